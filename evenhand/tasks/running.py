"""One training of one configuration, or several together, and how each way of ending is told apart."""

import inspect
import os
import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import NoReturn

import numpy as np

from evenhand.errors import DataError, EvenhandError, InvalidConfiguration, MissingHere
from evenhand.model import extras, interrupts
from evenhand.model.configuration import Configuration
from evenhand.model.direction import is_better
from evenhand.model.evaluation import RETRAINED, EvaluationPlan
from evenhand.model.study import ValueRule
from evenhand.model.trial import Outcome
from evenhand.model.words import shortened, storable, text_of
from evenhand.tasks import checkpoints, functions
from evenhand.tasks.base import Task, Together
from evenhand.tasks.gate import Gate
from evenhand.tasks.parked import Parked, StateKeeper
from evenhand.tasks.run import Diverged, Finished, Reporter, ReporterBroken, Resumed, Run, Stopped, TookTooLong, score_on_test
from evenhand.tasks.splits import Splits

OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not allocate",
    "could not create a primitive",
)  # the last: oneDNN
TRACE_LINES = 40  # of a traceback, the last ones: enough to find the fault, little enough to read
MESSAGE_LINES = 20  # of each part of it, the first ones: a message may be as long as the data
LINE_CHARACTERS = 1000  # of each line
OURS = (__file__, functions.__file__, inspect.getfile(Run))  # what stands above the task's own code in a traceback


Ended = tuple[Outcome, str | None]  # and why, where it did not complete


@dataclass(frozen=True)
class TrainingRequest:
    """A training to be done; what each says stands at `run_trial`."""

    configuration: Mapping[str, object]
    seed: int
    evaluation: bool
    report: Reporter
    epochs_before: int = 0
    keep: bool = False
    alive: Callable[[], None] = lambda: None
    number: int = 0
    place: str = ""
    plan: EvaluationPlan = RETRAINED
    value_rule: ValueRule = "last"
    gate: Gate | None = None
    parked: Parked | None = None
    keeper: StateKeeper | None = None


def run_trial(
    task: Task,
    configuration: Mapping[str, object],
    *,
    seed: int,
    evaluation: bool,
    report: Reporter,
    clock: Callable[[], float] = time.monotonic,
    epochs_before: int = 0,
    keep: bool = False,
    alive: Callable[[], None] = lambda: None,
    number: int = 0,
    place: str = "",
    plan: EvaluationPlan = RETRAINED,
    value_rule: ValueRule = "last",
    gate: Gate | None = None,
    parked: Parked | None = None,
    keeper: StateKeeper | None = None,
) -> Ended:
    """Train one configuration, and say how it ended.

    Args:
        task: what is trained.
        configuration: values by name; what is not valid ends the trial, and raises nothing.
        seed: of the training.
        evaluation: whether it is scored on test data, once, after the training function has returned.
        report: is called with each Measurement, in order; it raises `Stopped` to end the training. Any other exception of its
            own comes out of here unchanged, as it is not the training's fault.
        clock: what says the time, in seconds, for the measurements.
        epochs_before: those that an earlier training of the configuration has done, from which this one goes on.
        keep: whether its state is kept when it completes.
        alive: is called in place of `report` for what is not reported, and may raise the same.
        number: the trial's within its session.
        place: what the trial's folder is called among those of all trials; with none it has one that is deleted.
        plan: how an evaluation is trained; by default on training and validation data together.
        value_rule: "best" where the state after the best epoch is kept, too.
        gate: where it stands still while it is held, at a report; with none it never does.
        parked: where it stood before it left its worker: it goes on from there, with the numbers that it would have had.
        keeper: writes its state after epochs, so that it can be parked; with none it never is.

    Returns:
        The outcome, and why, where it did not complete.

    Raises:
        MissingHere: this machine lacks what the training needs.
    """
    asked = TrainingRequest(
        configuration, seed, evaluation, report, epochs_before, keep, alive, number, place, plan, value_rule, gate, parked, keeper
    )
    opened = _opened(task)
    run = _run_of(task, asked, clock, opened)
    seed_everything(seed)
    ending = _after(run, _ending_of(lambda: task.train(_valid(task, configuration), run)), opened)
    if (elsewhere := _fault_elsewhere(task, run, ending)) is not None:
        raise elsewhere from None
    return _ended(task, asked, run, ending)


def run_together(
    task: Task, asked: Sequence[TrainingRequest], *, clock: Callable[[], float] = time.monotonic
) -> list[Ended | BaseException]:
    """Train several configurations, together where the task can, else one after another.

    Args:
        task: what is trained.
        asked: a training each.
        clock: what says the time, in seconds, for the measurements.

    Returns:
        For each in turn how it ended; it has the very numbers that `run_trial` gives it. One whose reporter failed, or for which
        something is missing on this machine, has that exception in its place.
    """
    results: list[Ended | BaseException] = [RuntimeError("not trained")] * len(asked)
    members, opened = [], _opened(task)
    for at, request in enumerate(asked):
        run = _run_of(task, request, clock, opened)
        try:
            members.append((at, run, _valid(task, request.configuration)))
        except InvalidConfiguration as error:
            results[at] = _ended(task, request, run, error)
    with interrupts.heeded():
        endings = (task.together or _one_by_one(task, opened))([(valid, run) for _, run, valid in members])
    for (at, run, _), ended in zip(members, endings, strict=True):
        ending = _after(run, ended, opened) if task.together else ended
        results[at] = _fault_elsewhere(task, run, ending) or _ended(task, asked[at], run, ending)
    return results


Opened = Callable[[], Splits]  # what gives a task's splits, the same ones each time


def _opened(task: Task) -> Opened | None:
    data = task.data
    if data is None:
        return None

    @cache
    def opened() -> Splits:
        splits = data()
        if not isinstance(splits, Splits):
            raise DataError(
                f"the task's data function returned a {type(splits).__name__}, expected Splits(train, validation, test), each of "
                "them (X, y)"
            )
        return splits

    return opened


def _after(run: Run, ending: BaseException | None, opened: Opened | None) -> BaseException | None:
    """What an evaluation ended with after it was scored on test data; any other training what it ended with."""
    returned = ending is None and (run.ending is None or isinstance(run.ending, Finished))
    if not run.evaluation or not (returned or isinstance(ending, Finished)):
        return ending
    return _ending_of(lambda: score_on_test(run, opened))


def _one_by_one(task: Task, opened: Opened | None) -> Together:
    def train(members: Sequence[tuple[Configuration, Run]]) -> list[BaseException | None]:
        endings: list[BaseException | None] = []
        for configuration, run in members:
            seed_everything(run.seed)
            endings.append(_after(run, _ending_of(partial(task.train, configuration, run)), opened))
        return endings

    return train


def _ending_of(train: Callable[[], None]) -> BaseException | None:
    """What a training ended with, of whichever kind; None where it returned. Ctrl-C is the user's, and goes on."""
    process, ending = os.getpid(), None
    try:
        with interrupts.heeded():
            train()
    except BaseException as error:
        ending = error
    if os.getpid() != process:
        _end_child(ending)
    if isinstance(ending, KeyboardInterrupt):
        raise ending
    return ending


def _end_child(ending: BaseException | None) -> NoReturn:
    """End a process that the training forked, as Python would: what comes after a training is for its parent to do."""
    code: object = getattr(ending, "code", None) if isinstance(ending, SystemExit) else int(ending is not None)
    with suppress(BaseException):
        if ending is not None and not isinstance(ending, SystemExit):
            traceback.print_exception(ending)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


def _valid(task: Task, configuration: Mapping[str, object]) -> Configuration:
    return configuration if isinstance(configuration, Configuration) else task.space.configuration(configuration)


def _state_after(task: Task, asked: TrainingRequest, epochs: int) -> Path:
    return checkpoints.path_of(task.version, task.space, asked.configuration, asked.seed, epochs)


def _run_of(task: Task, asked: TrainingRequest, clock: Callable[[], float], opened: Opened | None) -> Run:
    before = asked.epochs_before
    resumed = Resumed(before, lambda: checkpoints.load(_state_after(task, asked, before))) if before else None
    return Run(
        task if opened is None else replace(task, data=lambda: opened().without_test),
        seed=asked.seed,
        evaluation=asked.evaluation,
        report=asked.report,
        clock=clock,
        resumed=resumed,
        alive=asked.alive,
        number=asked.number,
        place=asked.place,
        plan=asked.plan,
        on_epoch=_BestState(task, asked) if asked.keep and asked.value_rule == "best" else lambda run, value: None,
        gate=asked.gate,
        parked=asked.parked,
        keeper=asked.keeper,
    )


class _BestState:
    """Keeps what a training's state is after its best epoch so far."""

    def __init__(self, task: Task, asked: TrainingRequest) -> None:
        self._task, self._asked = task, asked
        self._best: float | None = None
        self._path: Path | None = None

    def __call__(self, run: Run, value: float) -> None:
        better = self._best is None or is_better(value, self._best, self._task.direction == "maximize")
        if run.state is None or not better:
            return
        before, self._best, self._path = self._path, value, _state_after(self._task, self._asked, run.completed_epochs)
        checkpoints.save(self._path, run.state())
        if before is not None and before != self._path:
            before.unlink(missing_ok=True)


def _fault_elsewhere(task: Task, run: Run, ending: BaseException | None) -> BaseException | None:
    """What a training failed of that is neither its configuration's nor its own code's fault: another machine may do it."""
    if isinstance(ending, ReporterBroken):
        return ending.error
    if ending is None or run.ending is not None:
        return None
    if isinstance(ending, MissingHere):
        return ending
    package = extras.missing_in(ending)
    return None if package is None else extras.missing(package, f"the training of {task.name}")


def _ended(task: Task, asked: TrainingRequest, run: Run, ending: BaseException | None) -> Ended:
    """How a training ended, out of which `ending` came (None: it returned); its state is kept where that is asked for."""
    if ending is None and asked.keep and run.ending is None and run.state is not None and run.value is not None:
        try:
            checkpoints.save(_state_after(task, asked, run.completed_epochs), run.state())
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            ending = error
    if isinstance(ending, Diverged):
        run.ending = run.ending or ending
    if isinstance(ending, InvalidConfiguration):
        return Outcome.INVALID, text_of(ending)
    if ending is not None and run.ending is None:
        return Outcome.INVALID, why_invalid(ending)
    if isinstance(run.ending, TookTooLong):
        ended = Outcome.INVALID if run.value is None else Outcome.STOPPED
        return ended, f"{run.ending}{' and completed no epoch' if run.value is None else ''}"
    if isinstance(run.ending, Stopped):
        return Outcome.STOPPED, text_of(run.ending) or None
    if isinstance(run.ending, Diverged):
        return Outcome.DIVERGED, text_of(run.ending)
    if run.value is None and not run.evaluation:
        instead = f"; what it reported is {', '.join(run.further)}" if run.further else ""
        return Outcome.INVALID, (
            f"the training ended without a result: it never called run.report(epoch=..., {task.metric}=...){instead}"
        )
    return Outcome.COMPLETED, None


def seed_everything(seed: int) -> None:
    """Seed the global streams of Python, NumPy and (where it is loaded) PyTorch, for tasks that use them."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - the legacy stream is the one that a user's code may draw from unseeded
    torch = extras.loaded("torch")
    if torch is not None:
        torch.manual_seed(seed)


def why_invalid(error: BaseException) -> str:
    """Why a training could not be done, in words where the cause is known, else the traceback of the task's own code."""
    text = _cut(text_of(error)).removesuffix("\n")
    known = isinstance(error, RuntimeError | MemoryError)
    if isinstance(error, MemoryError) or (known and any(phrase in text.lower() for phrase in OUT_OF_MEMORY)):
        return (
            f"it does not fit in memory; a smaller batch or model may ({text.splitlines()[0] if text else type(error).__name__})"
        )
    if isinstance(error, EvenhandError):
        return text
    try:
        parts = traceback.format_exception(error)
    except BaseException:  # its own code makes the text of an exception, too
        return f"{type(error).__name__}: {text}"
    lines = storable("".join(map(_cut, parts))).splitlines()
    own = next((i for i, line in enumerate(lines) if line.startswith("  File") and not any(file in line for file in OURS)), 1)
    return "\n".join([lines[0], *lines[max(own, len(lines) - TRACE_LINES) :]])


def _cut(part: str) -> str:
    """A message or a part of a traceback with at most as many lines, and characters in each, as a person reads."""
    lines = part.splitlines()
    kept = [shortened(line, LINE_CHARACTERS) for line in lines[:MESSAGE_LINES]]
    return "\n".join([*kept, *(["…"] if len(lines) > MESSAGE_LINES else [])]) + "\n"
