"""One training of one configuration: the Run that the training function is given, and how each way of ending is told apart."""

import math
import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from evenhand.errors import DataError, EvenhandError, InvalidConfiguration
from evenhand.records import Measurement, Outcome
from evenhand.space import Configuration
from evenhand.tasks.base import Part, Score, Splits, Task

Reporter = Callable[[Measurement], None]
OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not allocate",
    "could not create a primitive",
)  # the last: oneDNN
TRACE_LINES = 40  # of a traceback, the last ones: enough to find the fault, little enough to read


class Stopped(BaseException):
    """Raised in `run.report` where a stop was asked for. Not an Exception, so that a task's `except Exception` lets it pass."""


class Diverged(Exception):
    """The loss or the metric is no longer a finite number; its text says where."""


class _Broken(BaseException):
    """The reporter itself failed (the server is gone, the lease is over): not the task's fault; `error` is what happened."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class Run:
    """What a training function is given: its seed, its data, a scoring function, and `report`.

    In tuning it trains on the training split and is scored on validation. In an evaluation it trains on both together and is
    scored on test; in tuning test data is never opened.
    """

    def __init__(
        self, task: Task, *, seed: int, evaluation: bool, report: Reporter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.task = task
        self.seed = seed
        self.evaluation = evaluation
        self.completed_epochs = 0
        self.value: float | None = None  # the metric at the last completed epoch
        self.ending: Stopped | Diverged | None = None  # kept, so that a task that swallows it changes nothing
        self._report = report
        self._clock = clock
        self._started = clock()
        self._index = 0
        self._splits: Splits | None = None
        self._train: Part | None = None
        self._scored: Part | None = None

    @property
    def train(self) -> Part:
        """(X, y) to learn from: the training split; in an evaluation training and validation together."""
        if self._train is None:
            splits = self._data("run.train")
            self._train = splits.load("train")
            if self.evaluation:
                x, y = splits.load("validation")
                self._train = joined(self._train[0], x), joined(self._train[1], y)
        return self._train

    def score(self, predict: Callable[[Any], Any]) -> float:
        """The task's metric of `predict(X)`, on validation data; in an evaluation on test data.

        predict gets X of the split as the data function gave it, and returns one prediction for each: labels, or for accuracy
        also scores (N, classes) of which the largest counts.
        """
        if self._scored is None:
            self._scored = self._data("run.score").load("test" if self.evaluation else "validation")
        x, y = self._scored
        return metric_of(self.task)(y, predict(x))

    def report(self, *, step: int | None = None, epoch: int | None = None, loss: float | None = None, **metrics: float) -> None:
        """Say how the training stands: after a batch (`step`, `loss`), or after an epoch (`epoch`, `loss` and the task's metric).

        step counts optimizer steps from 1 and is counted here where it is left out; so is `epoch` beside a metric. Other
        metrics by name are stored too. Raises `Stopped` where a stop was asked for, and `Diverged` where a number is not finite.
        """
        if self.ending is not None:
            raise self.ending
        step = self._index + 1 if step is None else int(step)
        numbers = {name: float(number) for name, number in metrics.items()}
        if epoch is None and self.task.metric in numbers:
            epoch = self.completed_epochs + 1
        self._check_finite({"loss": loss, **numbers}, step, epoch)
        value = numbers.pop(self.task.metric, None)
        if epoch is not None:
            self.completed_epochs = int(epoch)
            self.value = value if value is not None else self.value
        measurement = Measurement(
            index=self._index,
            step=step,
            epoch=None if epoch is None else int(epoch),
            loss=None if loss is None else float(loss),
            value=value,
            seconds=self._clock() - self._started,
            extra=numbers,
        )
        self._index += 1
        try:
            self._report(measurement)
        except Stopped as stop:
            self.ending = stop
            raise
        except Exception as error:
            raise _Broken(error) from error

    def _check_finite(self, numbers: Mapping[str, float | None], step: int, epoch: int | None) -> None:
        for name, number in numbers.items():
            if number is not None and not math.isfinite(number):
                where = f"step {step}, in epoch {self.completed_epochs + 1}" if epoch is None else f"the end of epoch {epoch}"
                self.ending = Diverged(f"{name} became {'infinite' if math.isinf(number) else 'not a number'} at {where}")
                raise self.ending

    def _data(self, what: str) -> Splits:
        if self.task.data is None:
            raise DataError(
                f"{what}: this task was declared without data; give @task(..., data=function) a function that returns "
                f"Splits(train, validation, test), or compute {self.task.metric} in the training function and report it"
            )
        if self._splits is None:
            self._splits = self.task.data()
        return self._splits


def run_trial(
    task: Task,
    configuration: Mapping[str, object],
    *,
    seed: int,
    evaluation: bool,
    report: Reporter,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Outcome, str | None]:
    """Train one configuration and say how it ended, and why where it did not complete.

    report is called with each Measurement, in order; it raises `Stopped` to end the training. Any other exception of its own
    comes out of here unchanged, as it is not the training's fault. clock: seconds, for the measurements' times.
    """
    run = Run(task, seed=seed, evaluation=evaluation, report=report, clock=clock)
    seed_everything(seed)
    try:
        valid = configuration if isinstance(configuration, Configuration) else task.space.configuration(configuration)
        task.train(valid, run)
    except Stopped:
        pass
    except _Broken as broken:
        raise broken.error from None
    except Diverged as diverged:
        run.ending = run.ending or diverged
    except InvalidConfiguration as error:
        return Outcome.INVALID, str(error)
    except (Exception, SystemExit) as error:
        if run.ending is None:
            return Outcome.INVALID, why_invalid(error)
    if isinstance(run.ending, Stopped):
        return Outcome.STOPPED, str(run.ending) or None
    if isinstance(run.ending, Diverged):
        return Outcome.DIVERGED, str(run.ending)
    if run.value is None:
        return Outcome.INVALID, f"the training ended without a result: it never called run.report(epoch=..., {task.metric}=...)"
    return Outcome.COMPLETED, None


def seed_everything(seed: int) -> None:
    """Seed the global streams of Python, NumPy and (where it is loaded) PyTorch, for tasks that use them."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the legacy stream is the one that a user's code may draw from unseeded
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(seed)


def why_invalid(error: BaseException) -> str:
    """Why a training could not be done, in words where the cause is known, else the traceback of the task's own code."""
    text = str(error)
    known = isinstance(error, RuntimeError | MemoryError)
    if isinstance(error, MemoryError) or (known and any(each in text.lower() for each in OUT_OF_MEMORY)):
        return (
            f"it does not fit in memory; a smaller batch or model may ({text.splitlines()[0] if text else type(error).__name__})"
        )
    if isinstance(error, EvenhandError):
        return text
    lines = "".join(traceback.format_exception(error)).splitlines()
    own = next((i for i, line in enumerate(lines) if line.startswith("  File") and __file__ not in line), 1)
    return "\n".join([lines[0], *lines[max(own, len(lines) - TRACE_LINES) :]])


def metric_of(task: Task) -> Score:
    """The task's metric as a function (targets, predictions) -> number; DataError where `run.score` does not know it."""
    if task.score is not None:
        return task.score
    if task.metric not in METRICS:
        raise DataError(
            f"run.score: does not know the metric {task.metric!r}, expected one of {', '.join(METRICS)}; "
            "give @task(metric=function) a function (targets, predictions) -> number, or compute it in the training function"
        )
    return METRICS[task.metric]


def accuracy(targets: Any, predictions: Any) -> float:
    """The share of right labels; predictions are labels (N,) or scores (N, classes)."""
    found, wanted = np.asarray(predictions), np.asarray(targets)
    if found.ndim == wanted.ndim + 1:
        found = found.argmax(axis=-1)
    return float(np.mean(_matching(found, wanted)[0] == wanted))


def mse(targets: Any, predictions: Any) -> float:
    """The mean squared error."""
    found, wanted = _matching(np.asarray(predictions, dtype=float), np.asarray(targets, dtype=float))
    return float(np.mean((found - wanted) ** 2))


def mae(targets: Any, predictions: Any) -> float:
    """The mean absolute error."""
    found, wanted = _matching(np.asarray(predictions, dtype=float), np.asarray(targets, dtype=float))
    return float(np.mean(np.abs(found - wanted)))


def r2(targets: Any, predictions: Any) -> float:
    """The share of the targets' variance that the predictions explain: 1 - residual / total sum of squares."""
    found, wanted = _matching(np.asarray(predictions, dtype=float), np.asarray(targets, dtype=float))
    return float(1 - np.sum((found - wanted) ** 2) / np.sum((wanted - wanted.mean(axis=0)) ** 2))


def _matching(found: Any, wanted: Any) -> tuple[Any, Any]:
    if found.shape != wanted.shape:
        raise ValueError(f"predict returned an array of shape {found.shape}, expected {wanted.shape} like the targets")
    return found, wanted


METRICS: Mapping[str, Score] = {"accuracy": accuracy, "mse": mse, "mae": mae, "r2": r2}


def joined(first: Any, second: Any) -> Any:
    """Two parts of a data set, one after the other: arrays, lists, or data frames."""
    if isinstance(first, list) and isinstance(second, Sequence):
        return first + list(second)
    if hasattr(first, "iloc"):
        return import_module("pandas").concat([first, second])
    return np.concatenate([first, second])
