"""Run: what a training function is given, and the exceptions that end a training from within `run.report`."""

import math
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext, suppress
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np

from evenhand.errors import DataError, InvalidSettings
from evenhand.model import numbers
from evenhand.model.domain import plain
from evenhand.model.evaluation import RETRAINED, EvaluationPlan
from evenhand.model.job import kept_place_of
from evenhand.model.trial import Measurement
from evenhand.settings import private_folder, trials_dir
from evenhand.tasks import kept
from evenhand.tasks.gate import Around, Gate
from evenhand.tasks.metrics import Score, metric_of
from evenhand.tasks.parked import Parked, StateKeeper
from evenhand.tasks.splits import Part, Splits

MOST_SHOWN = 80  # characters of a wrong value in an error

Reporter = Callable[[Measurement], None]


class Stopped(BaseException):
    """Raised in `run.report` where a stop was asked for. Not an Exception, so that a task's `except Exception` lets it pass."""


class Finished(Stopped):
    """Raised in `run.report` where an evaluation has trained for as long as the chosen trial says; let it pass."""


class Diverged(Exception):
    """The loss or the metric is no longer a finite number; its text says where."""


class TookTooLong(BaseException):
    """Raised in `run.report` where the task's limit on time is passed."""


class ReporterBroken(BaseException):
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

    In tuning it trains on the training split and is scored on validation. In an evaluation `as tuned`, too; in one that retrains
    it trains on both together. No test data, and no number made from it, passes through here: when an evaluation's function has
    returned, the predictions of the last `score` are scored on test by whoever called it (`score_on_test`).

    Args:
        task: whose metric, data and limits these are.
        seed: of this training, the same for every trial of a session.
        evaluation: whether it is an evaluation.
        plan: of an evaluation, how it is trained.
        report: what each Measurement is handed to.
        clock: what says the time, in seconds.
        resumed: what the training goes on from.
        alive: what is called in place of `report` for what is not reported.
        number: the trial's within its session; 0 where it is none of a session.
        place: what the folder of its own is called among those of all trials; with none it gets one that is deleted.
        on_epoch: what each epoch's value is handed to, before it is reported.
        gate: where it stands still while it is held; with none it never does.
        parked: where it stood before it left its worker.
        keeper: writes its state after epochs, so that it can be parked; with none it never is.
    """

    def __init__(
        self,
        task: Objective,
        *,
        seed: int,
        evaluation: bool,
        report: Reporter,
        plan: EvaluationPlan = RETRAINED,
        clock: Callable[[], float] = time.monotonic,
        resumed: "Resumed | None" = None,
        alive: Callable[[], None] = lambda: None,
        number: int = 0,
        place: str = "",
        on_epoch: Callable[["Run", float], None] = lambda run, value: None,
        gate: Gate | None = None,
        parked: Parked | None = None,
        keeper: StateKeeper | None = None,
    ) -> None:
        self.task = task
        self.plan = plan
        self.number = number
        self.seed = seed
        self.evaluation = evaluation
        self.completed_epochs = 0
        self.value: float | None = None  # the metric at the last completed epoch
        self.ending: Stopped | Diverged | TookTooLong | None = None  # kept, so that a task that swallows it changes nothing
        self.state: Callable[[], Any] | None = None  # what `keep` was given
        self.predict: Callable[[Any], Any] | None = None  # what `score` was given last
        self.further: dict[str, float] = {}  # what was reported beside the metric, the newest of each name
        self._parked = parked  # until it is where it stood
        self._keeper = keeper
        if parked is not None:
            resumed, self.value = Resumed(parked.state.epochs, parked.load), parked.state.value
        self._resumed = resumed
        self._alive = alive
        self._process = os.getpid()
        self._place = place
        self._silent = resumed is not None  # until the epochs before are there, loaded or trained again
        self._report = report
        self._gate = gate or Gate()
        self._around_hold: Around = nullcontext  # what `while_held` was given
        self._on_epoch = on_epoch
        self._clock = clock
        self._started = clock() - (parked.state.seconds if parked else 0.0)
        self._index = parked.state.reports if parked else 0
        self._step = 0
        self._splits: Splits | None = None
        self._train: Part | None = None
        self._validation: Part | None = None

    @property
    def retrains(self) -> bool:
        """Whether it learns from training and validation data together."""
        return self.evaluation and self.plan.mode == "retrain"

    @property
    def train(self) -> Part:
        """(X, y) to learn from: the training split; in an evaluation that retrains, training and validation together."""
        if self._train is None:
            splits = self._data("run.train")
            self._train = splits.load("train")
            if self.retrains:
                x, y = splits.load("validation")
                self._train = joined(self._train[0], x), joined(self._train[1], y)
        return self._train

    @cached_property
    def folder(self) -> Path:
        """A folder of its own, made when it is first asked for; what is written there stays with the trial."""
        if not self._place:
            self._temporary = tempfile.TemporaryDirectory(prefix="evenhand-")  # deleted with this run
            return Path(self._temporary.name)
        return private_folder(_within_trials(self._place))

    @cached_property
    def _kept_folder(self) -> Path:
        return _within_trials(kept_place_of(self._place)) if self._place else self.folder / ".kept"

    def restore(self, name: str | None = None) -> Any | None:
        """What was kept: under a name by this trial, also before it was interrupted; else by the training that it goes on with.

        Without a name `completed_epochs` then says how many epochs there are already.

        Args:
            name: as `keep` was given it.

        Returns:
            With a name the object, or the path of the copy of a file or folder; None where nothing was kept. Without one the
            state; None for a training from the start. Where the state is not on this machine it is None, too: the epochs
            before are then trained again, and nothing of them is reported.

        Raises:
            DataError: what was kept cannot be read.
        """
        if name is not None:
            return kept.load(self._kept_folder, name)
        state = None if self._resumed is None else self._resumed.load()
        if self._resumed is not None and state is not None:
            self.completed_epochs, self._silent = self._resumed.epochs, False
        return state

    def keep(self, state: Any, name: str | None = None) -> None:
        """Keep something under a name now, or, without one, say how to get the state from which more epochs go on.

        What has a name is kept for this trial: an attempt that is interrupted (Ctrl-C, a kill, a reboot) is trained again, and
        `restore(name)` then gives it back. It is written whole or not at all, in place of what the name had.

        Args:
            state: with a name an object that can be pickled, or a `Path`, whose file or folder is copied. Without one a function
                that returns the state. It is called where the training completes, after each epoch that is the best so far
                where a trial's value is its best epoch's, and after an epoch now and then (every ten seconds at most), so that a
                pause can give the training's slot to another; what it returns is pickled. So say it once, before the first epoch.
            name: letters, digits, and _ . - in it.

        Raises:
            InvalidSettings: it cannot be kept; the text says why. All that a trial keeps is at most 4 GiB.
        """
        if name is not None:
            kept.save(self._kept_folder, name, state)
            return
        if not callable(state):
            raise InvalidSettings(
                f"run.keep: got a {type(state).__name__} without a name, expected run.keep(thing, name), or a function that "
                "returns the training's state"
            )
        self.state = state

    def score(self, predict: Callable[[Any], Any]) -> float:
        """The task's metric on validation data, in an evaluation, too.

        An evaluation calls the last `predict` on test data when the function has returned, so the model counts as it is then. In
        one that retrains no example is left to be scored on: where the chosen trial trained to its end, epoch by epoch, its
        values are returned, so that all that a function decides by them it decides as in that trial; else the metric on
        validation data that it has learnt from.

        Args:
            predict: gets X of the split as the data function gave it, N examples, and returns one prediction for each, (N,): a
                label or a number; for accuracy also scores (N, classes), of which the largest counts.

        Returns:
            The metric of these predictions.

        Raises:
            DataError: the task was declared without data.
        """
        self.predict = predict
        splits = self._data("run.score")
        if (known := self._value_of_trial()) is not None:
            return known
        if self._validation is None:
            self._validation = splits.load("validation")
        x, y = self._validation
        return metric_of(self.task.metric, self.task.score)(y, predict(x))

    def _value_of_trial(self) -> float | None:
        """What an evaluation that retrains is told in place of a score; None where that is not known."""
        values = self._values_of_trial
        later = (values[at] for at in range(self.completed_epochs, len(values)))
        return next((value for value in later if value is not None), None)

    @cached_property
    def _values_of_trial(self) -> tuple[float | None, ...]:
        """The chosen trial's, by epoch; none where it reported one epoch, since its function then decided within it."""
        several = self.retrains and sum(value is not None for value in self.plan.values) > 1
        return self.plan.values if several else ()

    def report(self, *, step: int | None = None, epoch: int | None = None, loss: float | None = None, **metrics: float) -> None:
        """Say how the training stands: after a batch (`step`, `loss`), or after an epoch (`epoch`, `loss` and the task's metric).

        Args:
            step: optimizer steps done, from 1; counted here where it is left out.
            epoch: completed epochs, from 1; counted here where it is left out beside the task's metric.
            loss: of the batch, or the mean over the epoch. Of a task whose metric it is, the value wherever `step` stands alone.
            metrics: the task's metric by its name, on validation data, and further ones.

        Raises:
            Stopped: a stop was asked for; let it pass.
            Diverged: a number is not finite.
            TookTooLong: the task's limit on time is passed.
            InvalidSettings: it is no number, or epochs go backwards; the text says which, and what was expected.
        """
        self._check_process()
        self._check_may_go_on()
        given = {
            name: number if type(number) is float else _number(f"run.report: {name} is", number)
            for name, number in metrics.items()
        }
        if not all(map(str.isprintable, given)):
            unreadable = next(name for name in given if not name.isprintable())
            raise InvalidSettings(f"run.report: the name {unreadable!r} cannot be shown, expected one of letters")
        lost = loss if loss is None or type(loss) is float else _number("run.report: loss is", loss)
        if self.task.metric == "loss" and lost is not None and (epoch is not None or step is None):
            given["loss"] = lost
        step = self._index + 1 if step is None else numbers.whole("run.report: step", step, 0)
        if epoch is None and self.task.metric in given:
            epoch = self.completed_epochs + 1
        if epoch is not None:
            epoch = numbers.whole("run.report: epoch", epoch)
            if epoch < self.completed_epochs:
                raise InvalidSettings(
                    f"run.report: epoch is {epoch} after {self.completed_epochs}, expected completed epochs in order; leave "
                    "epoch out to have them counted"
                )
        self._check_finite({"loss": lost, **given}, step, epoch)
        if epoch is not None and self.retrains and 0 < len(self.plan.values) < epoch:
            self._finish()
        value = given.pop(self.task.metric, None)
        if given:
            self.further |= given
        if epoch is not None:
            self.completed_epochs = epoch
            self.value = value if value is not None else self.value
        if self._silent and self._resumed is not None and self.completed_epochs <= self._resumed.epochs:
            self._silent = self.completed_epochs < self._resumed.epochs
            self.value = self._parked.state.value if self._parked is not None else None
            self._send(None)
            return
        self._silent = False  # also where the first epoch that is reported lies beyond those before
        if epoch is not None and value is not None:
            self._on_epoch(self, value)
        if epoch is not None and self.state is not None and self._keeper is not None:
            seconds = self._clock() - self._started
            self._keeper.epoch_ended(self.state, epoch, self._index + 1, seconds, self.value)
        self._measure(step, epoch, lost, None if self.evaluation else value, given)
        if self.evaluation and epoch is not None and self.plan.until is not None and epoch >= self.plan.until:
            self._finish()

    def _measure(self, step: int, epoch: int | None, loss: float | None, value: float | None, extra: Mapping[str, float]) -> None:
        """Hand on a measurement. The one value among those of an evaluation is its test score."""
        if self._parked is not None:
            is_known = self._index < self._parked.reported
            if self._index >= self._parked.reported - 1:  # it is where it stood: the time since is none of its own
                self._started, self._parked = self._clock() - self._parked.seconds, None
            if is_known:
                self._index += 1
                self._step = step
                self._send(None)
                return
        measurement = Measurement(
            index=self._index,
            step=step,
            epoch=epoch,
            loss=loss,
            value=value,
            seconds=self._clock() - self._started,
            extra=extra,
        )
        self._index += 1
        self._step = step
        self._send(measurement)

    def _finish(self) -> NoReturn:
        self.ending = Finished(f"it has trained for {self.completed_epochs} epochs, as the chosen trial did")
        raise self.ending

    def report_returned(self, returned: object) -> None:
        """Report what a function returned in place of reporting it: the task's metric, after its last epoch.

        Args:
            returned: a number, or several by name, the task's metric among them.

        Raises:
            InvalidSettings: it is none, or the task's metric is not among them.
        """
        metrics: dict[str, Any] = dict(returned) if isinstance(returned, Mapping) else {self.task.metric: returned}
        if (
            self.task.metric not in metrics
            or not all(isinstance(name, str) for name in metrics)
            or {"step", "epoch"} & metrics.keys()
        ):
            raise InvalidSettings(
                f"the function returned {', '.join(map(repr, metrics)) or 'nothing'}, expected a number, or numbers by name, "
                f"{self.task.metric!r} among them, and neither 'step' nor 'epoch'"
            )
        metrics = {name: _number("the function returned", number) for name, number in metrics.items()}
        self.report(epoch=max(1, self.completed_epochs), **metrics)

    def _check_process(self) -> None:
        """A child that was forked meanwhile has a copy of all this, which leads nowhere."""
        if os.getpid() != self._process:
            raise InvalidSettings(
                "run.report: called in a process that the training forked; send the number to the training's own process, and "
                "report it there"
            )

    def alive(self) -> None:
        """Say that the training goes on, where there is nothing to report; raises the same as `report`."""
        self._check_may_go_on()
        self._send(None)

    def while_held(self, around: Around) -> None:
        """Say within what the training stands still while it is held, where something else must stand still, too.

        Args:
            around: returns a context manager, which is entered when it comes to stand still, and left when it goes on.
        """
        self._around_hold = around

    def ends(self) -> None:
        """Say that the training is still there while it ends, which takes it a while; raises nothing."""
        with suppress(Exception, Stopped, KeyboardInterrupt):
            self._alive()

    def _check_may_go_on(self) -> None:
        if self.ending is not None:
            raise self.ending
        if self.task.max_seconds is not None and self._clock() - self._started > self.task.max_seconds:
            self.ending = TookTooLong(f"it took longer than the task's limit of {self.task.max_seconds:g} s")
            raise self.ending

    def _send(self, measurement: Measurement | None) -> None:
        try:
            if measurement is not None:
                self._report(measurement)
            elif self._parked is not None:
                self._gate.catches_up()
            else:
                self._alive()
            self._stand_still_where_held()
        except Stopped as stop:
            self.ending = stop
            raise
        except Exception as error:
            raise ReporterBroken(error) from error

    def _stand_still_where_held(self) -> None:
        """The time for which it does is none of the training's, nor of its limit's."""
        begun = self._clock()
        if self._gate.passed(self._around_hold):
            self._started += self._clock() - begun
            self._alive()  # says at once that it goes on, or hears that it was stopped meanwhile

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


def _within_trials(place: str) -> Path:
    """The folder of this name among those of all trials; DataError where a laboratory elsewhere says another place."""
    path = (trials_dir() / place).resolve()
    if not path.is_relative_to(trials_dir().resolve()):
        raise DataError(f"the trial's folder is called {place!r}, which does not lie within {trials_dir()}")
    return path


def score_on_test(run: Run, data: Callable[[], Splits] | None) -> None:
    """Score an evaluation whose function has returned: the predictions of its last `score`, on test data, once.

    Args:
        run: the evaluation's.
        data: returns the splits of its task, test data included.

    Raises:
        InvalidSettings: there is nothing to score, or to score it on.
    """
    if run.predict is None or data is None:
        lacks = "has no data" if data is None else "never called run.score(predict)"
        raise InvalidSettings(
            f"the training {lacks}, so nothing of it can be scored on test data; give @task(..., data=function), and call "
            "run.score, or leave both out, for a task without a test score"
        )
    run.ending = None
    x, y = data().load("test")
    score = _number("the metric on test data is", metric_of(run.task.metric, run.task.score)(y, run.predict(x)))
    run._check_finite({f"{run.task.metric} on test data": score}, run._step, max(1, run.completed_epochs))
    run._measure(max(1, run._step), max(1, run.completed_epochs), None, score, {})


def _number(what: str, given: object) -> float:
    """A number that was given, infinite where it is too large for one. what: the beginning of an error's text."""
    number = plain(given)
    if isinstance(number, str | bytes) or number is None:
        raise InvalidSettings(f"{what} {repr(number)[:MOST_SHOWN]}, expected a number")
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf
    except (TypeError, ValueError, RuntimeError):
        raise InvalidSettings(f"{what} a {type(given).__name__}, expected a number") from None


def joined(first: Any, second: Any) -> Any:
    """Two parts of a data set, one after the other: arrays, lists, or data frames."""
    if isinstance(first, list) and isinstance(second, Sequence):
        return first + list(second)
    if hasattr(first, "iloc"):
        return import_module("pandas").concat([first, second])
    return np.concatenate([first, second])
