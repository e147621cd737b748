"""Metrics that `run.score` knows by name."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from evenhand.errors import DataError

Score = Callable[[Any, Any], float]  # (targets, predictions) to the metric


def metric_of(name: str, score: Score | None) -> Score:
    """`score`, or the metric called `name`, as a function (targets, predictions) -> number; DataError for an unknown name."""
    if score is not None:
        return score
    if name not in METRICS:
        raise DataError(
            f"run.score: does not know the metric {name!r}, expected one of {', '.join(METRICS)}; "
            "give @task(metric=function) a function (targets, predictions) -> number, or compute it in the training function"
        )
    return METRICS[name]


def accuracy(targets: Any, predictions: Any) -> float:
    """The share of right labels; predictions are labels (N,) or scores (N, classes). NaN where a score or a label is NaN.

    Raises:
        ValueError: they cannot be compared with the targets, so that all would count as wrong, or as the first class.
    """
    predicted, wanted = np.asarray(predictions), np.asarray(targets)
    if predicted.ndim == wanted.ndim + 1:
        if predicted.shape[-1] == 1:
            raise ValueError(
                f"predict returned one score for each example, of shape {predicted.shape}, expected labels {wanted.shape}, or a "
                "score for each class; of a single score for the second class, return (score > 0.5), or (score > 0) of a logit"
            )
        if np.isnan(predicted).any():
            return math.nan
        predicted = predicted.argmax(axis=-1)
    predicted, wanted = _matching(predicted, wanted)
    if _has_nan(wanted):
        raise ValueError("the targets hold NaN, which equals no label; leave these examples out of the data")
    if _has_nan(predicted):
        return math.nan
    if (given := _kind_of(predicted)) != (expected := _kind_of(wanted)):
        raise ValueError(
            f"predict returned {given} (such as {predicted.flat[0]!r}), expected {expected} like the targets "
            f"(such as {wanted.flat[0]!r})"
        )
    if wanted.dtype.kind in "biu" and predicted.dtype.kind == "f" and (broken := predicted[predicted % 1 != 0]).size:
        raise ValueError(f"predict returned {broken.flat[0]!r}, expected labels, which are whole numbers like the targets")
    return float(np.mean(predicted == wanted))


def mse(targets: Any, predictions: Any) -> float:
    """The mean squared error."""
    predicted, wanted = _matching(np.asarray(predictions, dtype=float), np.asarray(targets, dtype=float))
    return float(np.mean((predicted - wanted) ** 2))


def mae(targets: Any, predictions: Any) -> float:
    """The mean absolute error."""
    predicted, wanted = _matching(np.asarray(predictions, dtype=float), np.asarray(targets, dtype=float))
    return float(np.mean(np.abs(predicted - wanted)))


def r2(targets: Any, predictions: Any) -> float:
    """The share of the targets' variance that the predictions explain: 1 - residual / total sum of squares."""
    predicted, wanted = _matching(np.asarray(predictions, dtype=float), np.asarray(targets, dtype=float))
    return float(1 - np.sum((predicted - wanted) ** 2) / np.sum((wanted - wanted.mean(axis=0)) ** 2))


def _kind_of(labels: Any) -> str:
    """What labels are, in words: text, bytes or numbers, or several of them."""
    if labels.dtype.kind != "O":
        return {"U": "text", "T": "text", "S": "bytes"}.get(labels.dtype.kind, "numbers")
    kinds = {"text" if isinstance(label, str) else "bytes" if isinstance(label, bytes) else "numbers" for label in labels.flat}
    return " and ".join(sorted(kinds)) or "numbers"


def _has_nan(labels: Any) -> bool:
    """Whether a label is NaN, or what pandas and others write in its place: it does not equal itself."""
    if labels.dtype.kind == "f":
        return bool(np.isnan(labels).any())
    return labels.dtype.kind == "O" and any(label != label for label in labels.flat)


def _matching(predicted: Any, wanted: Any) -> tuple[Any, Any]:
    if predicted.shape != wanted.shape:
        raise ValueError(f"predict returned an array of shape {predicted.shape}, expected {wanted.shape} like the targets")
    return predicted, wanted


METRICS: Mapping[str, Score] = {"accuracy": accuracy, "mse": mse, "mae": mae, "r2": r2}
