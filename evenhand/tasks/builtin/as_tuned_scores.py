"""The model that a trial ended with, and its errors on every split: `as tuned`, as paper 003 scores its contestants.

Trained again on the training split alone, with the trial's seed and to the epoch that it reached, it is the trial's model bit for
bit. Opening the test split is a look at it: whoever tunes must not call `parts_of`.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.trial import Measurement
from evenhand.tasks.base import Task
from evenhand.tasks.builtin.points import Errors
from evenhand.tasks.run import Run, Stopped
from evenhand.tasks.running import seed_everything
from evenhand.tasks.splits import Part
from evenhand.tasks.threads import one_thread

Predict = Callable[[Any], Any]  # X of a split as the task's data gives it, to predictions
NAMES: Mapping[str, Any] = {"train": "train", "dev": "validation", "eval": "test"}  # the paper's words, and Evenhand's


def model_of(task: Task, configuration: Mapping[str, object], seed: int, epochs: int) -> Predict:
    """The model after `epochs` epochs of a tuning trial of `configuration` with `seed`, on one thread.

    Raises:
        InvalidSettings: the task does not score by `run.score`, or its training ended before. Whatever the training raises.
    """

    def report(measurement: Measurement) -> None:
        if measurement.epoch is not None and measurement.epoch >= epochs:
            raise Stopped

    valid = configuration if isinstance(configuration, Configuration) else task.space.configuration(configuration)
    run = Run(task, seed=seed, evaluation=False, report=report)
    with one_thread():
        seed_everything(seed)
        with suppress(Stopped):
            task.train(valid, run)
    if run.predict is None or run.completed_epochs != epochs:
        raise InvalidSettings(
            f"task {task.name!r}: its training reached epoch {run.completed_epochs} and scored "
            f"{'nothing' if run.predict is None else 'validation'}, expected epoch {epochs} and a call of run.score"
        )
    return run.predict


def parts_of(task: Task) -> dict[str, Part]:
    """(X, y) of train, dev (validation) and eval (test), which is opened by this.

    Raises:
        InvalidSettings: the task has no test split, or a metric that is not accuracy.
    """
    if task.metric != "accuracy" or task.data is None or not task.has_test:
        raise InvalidSettings(f"task {task.name!r}: errors on all splits need the metric accuracy and a test split")
    splits = task.data()
    return {name: splits.load(split) for name, split in NAMES.items()}


def errors_of(parts: Mapping[str, Part], predict: Predict) -> Errors:
    """The error of `predict` on each split, in percent."""
    with one_thread():
        return Errors(**{name: _error(y, np.asarray(predict(x))) for name, (x, y) in parts.items()})


def _error(wanted: Any, predictions: NDArray[Any]) -> float:
    """In percent; predictions are labels (N,), or scores (N, classes) of which the largest counts."""
    labels = predictions.argmax(axis=-1) if predictions.ndim == 2 else predictions
    return 100 * float(np.mean(labels != np.asarray(wanted)))
