"""The levels that an accuracy is read against: chance, and a simple baseline that nothing was tuned for.

Both are of the validation data, since these are what tuners see; no test data are opened for them. They are statistics of a task
(`model.task.Level`), so that pages and reports have one place to read them from.
"""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evenhand.model.task import BASELINE, CHANCE

Part = Any  # examples (N, ...) and class numbers (N,)
Load = Callable[[Literal["train", "validation"]], Part]
ROWS_AT_ONCE = 500  # examples that are turned into numbers at a time


def chance_of(labels: Any) -> float:
    """The accuracy of always naming the most common class of `labels`."""
    _, counts = np.unique(np.asarray(labels), return_counts=True)
    return float(counts.max() / counts.sum())


def levels(load: Load, *, scaled: bool = False) -> dict[str, float]:
    """Chance and baseline, by what the task's statistics call them.

    The baseline names the class whose training examples' mean is the nearest (Euclidean), of the values as they are.

    Args:
        load: the examples and classes of a split, by its name.
        scaled: divide each feature by its standard deviation over the training examples first, as different units need.
    """
    (x, y), (x_validation, y_validation) = load("train"), load("validation")
    classes = np.unique(np.asarray(y))
    spread = _spread(x) if scaled else 1.0
    means = np.stack([_mean(x, np.flatnonzero(np.asarray(y) == label)) / spread for label in classes])
    hits = 0
    for start in range(0, len(y_validation), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        distances = [((_numbers(x_validation[rows]) / spread - mean) ** 2).sum(axis=1) for mean in means]
        hits += int((classes[np.argmin(distances, axis=0)] == np.asarray(y_validation[rows])).sum())
    return {CHANCE: round(chance_of(y_validation), 4), BASELINE: round(hits / len(y_validation), 4)}


def kept(path: Path, load: Load) -> Mapping[str, float]:
    """What `levels` gives, from the file that keeps it, which is written where it is not there yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        fresh.write_text(json.dumps(levels(load)))
        fresh.replace(path)
    content: Mapping[str, float] = json.loads(path.read_text())
    return content


def _numbers(examples: Any) -> NDArray[np.float64]:
    array = np.asarray(examples, dtype=np.float64)
    return array.reshape(len(array), -1)


def _mean(examples: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    total: NDArray[np.float64] = sum(
        _numbers(examples[rows[start : start + ROWS_AT_ONCE]]).sum(axis=0) for start in range(0, len(rows), ROWS_AT_ONCE)
    )
    return total / len(rows)


def _spread(examples: Any) -> NDArray[np.float64]:
    """The standard deviation of each feature; 1 for one that does not vary."""
    deviations = _numbers(examples).std(axis=0)
    return np.where(deviations > 0, deviations, 1.0)
