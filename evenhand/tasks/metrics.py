"""Metrics that `run.score` knows by name."""

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
    """The share of right labels; predictions are labels (N,) or scores (N, classes)."""
    predicted, wanted = np.asarray(predictions), np.asarray(targets)
    if predicted.ndim == wanted.ndim + 1:
        predicted = predicted.argmax(axis=-1)
    return float(np.mean(_matching(predicted, wanted)[0] == wanted))


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


def _matching(predicted: Any, wanted: Any) -> tuple[Any, Any]:
    if predicted.shape != wanted.shape:
        raise ValueError(f"predict returned an array of shape {predicted.shape}, expected {wanted.shape} like the targets")
    return predicted, wanted


METRICS: Mapping[str, Score] = {"accuracy": accuracy, "mse": mse, "mae": mae, "r2": r2}
