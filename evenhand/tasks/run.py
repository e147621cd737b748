"""Run: what a training function is given, and the exceptions that end a training from within `run.report`."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import numpy as np

from evenhand.errors import DataError
from evenhand.records import Measurement
from evenhand.tasks.metrics import Score, metric_of
from evenhand.tasks.splits import Part, Splits

Reporter = Callable[[Measurement], None]


class Stopped(BaseException):
    """Raised in `run.report` where a stop was asked for. Not an Exception, so that a task's `except Exception` lets it pass."""


class Diverged(Exception):
    """The loss or the metric is no longer a finite number; its text says where."""


class TookTooLong(BaseException):
    """Raised in `run.report` where the task's limit on time is passed."""


class Broken(BaseException):
    """The reporter itself failed (the server is gone, the lease is over): not the task's fault; `error` is what happened."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


class Objective(Protocol):
    """What a run needs of its task."""

    @property
    def metric(self) -> str:
        """The name of the metric."""

    @property
    def max_seconds(self) -> float | None:
        """The limit of one training, in seconds."""

    @property
    def score(self) -> Score | None:
        """The metric as a function, where it is not one of the known ones."""

    @property
    def data(self) -> Callable[[], Splits] | None:
        """What returns the splits."""


class Resumed(NamedTuple):
    """What a training goes on from: how many epochs, and what loads their state (None where it is not here)."""

    epochs: int
    load: Callable[[], Any | None]


class Run:
    """What a training function is given: its seed, its data, a scoring function, and `report`.

    In tuning it trains on the training split and is scored on validation. In an evaluation it trains on both together and is
    scored on test; in tuning test data is never opened.
    """

    def __init__(
        self,
        task: Objective,
        *,
        seed: int,
        evaluation: bool,
        report: Reporter,
        clock: Callable[[], float] = time.monotonic,
        resumed: "Resumed | None" = None,
        alive: Callable[[], None] = lambda: None,
    ) -> None:
        self.task = task
        self.seed = seed
        self.evaluation = evaluation
        self.completed_epochs = 0
        self.value: float | None = None  # the metric at the last completed epoch
        self.ending: Stopped | Diverged | TookTooLong | None = None  # kept, so that a task that swallows it changes nothing
        self.state: Callable[[], Any] | None = None  # what `keep` was given
        self._resumed = resumed
        self._alive = alive
        self._silent = resumed is not None  # until the epochs before are there, loaded or trained again
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

    def restore(self) -> Any | None:
        """What the training that this one goes on with had kept after its last epoch; None for one from the start.

        `completed_epochs` then says how many epochs there are already. Where the state is not on this machine it is None, too:
        the epochs before are then trained again, and nothing of them is reported.
        """
        state = None if self._resumed is None else self._resumed.load()
        if self._resumed is not None and state is not None:
            self.completed_epochs, self._silent = self._resumed.epochs, False
        return state

    def keep(self, state: Callable[[], Any]) -> None:
        """Say how to get the training's state (it is pickled), once, before the first epoch: where the training completes, the
        state is kept, so that it can be resumed with more epochs."""
        self.state = state

    def score(self, predict: Callable[[Any], Any]) -> float:
        """The task's metric of `predict(X)`, on validation data; in an evaluation on test data.

        predict gets X of the split as the data function gave it, and returns one prediction for each: labels, or for accuracy
        also scores (N, classes) of which the largest counts.
        """
        if self._scored is None:
            self._scored = self._data("run.score").load("test" if self.evaluation else "validation")
        x, y = self._scored
        return metric_of(self.task.metric, self.task.score)(y, predict(x))

    def report(self, *, step: int | None = None, epoch: int | None = None, loss: float | None = None, **metrics: float) -> None:
        """Say how the training stands: after a batch (`step`, `loss`), or after an epoch (`epoch`, `loss` and the task's metric).

        step counts optimizer steps from 1 and is counted here where it is left out; so is `epoch` beside a metric. Other
        metrics by name are stored too. Raises `Stopped` where a stop was asked for, and `Diverged` where a number is not finite.
        """
        if self.ending is not None:
            raise self.ending
        if self.task.max_seconds is not None and self._clock() - self._started > self.task.max_seconds:
            self.ending = TookTooLong(f"it took longer than the task's limit of {self.task.max_seconds:g} s")
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
        if self._silent:
            self._silent = self._resumed is not None and self.completed_epochs < self._resumed.epochs
            self.value = None
            self._send(None)
            return
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
        self._send(measurement)

    def _send(self, measurement: Measurement | None) -> None:
        try:
            if measurement is None:
                self._alive()
            else:
                self._report(measurement)
        except Stopped as stop:
            self.ending = stop
            raise
        except Exception as error:
            raise Broken(error) from error

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


def joined(first: Any, second: Any) -> Any:
    """Two parts of a data set, one after the other: arrays, lists, or data frames."""
    if isinstance(first, list) and isinstance(second, Sequence):
        return first + list(second)
    if hasattr(first, "iloc"):
        return import_module("pandas").concat([first, second])
    return np.concatenate([first, second])
