"""One training of one configuration, or several together, and how each way of ending is told apart."""

import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.records import Outcome
from evenhand.space import Configuration
from evenhand.tasks import checkpoints
from evenhand.tasks.base import Task, Together
from evenhand.tasks.run import Broken, Diverged, Reporter, Resumed, Run, Stopped, TookTooLong

OUT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not allocate",
    "could not create a primitive",
)  # the last: oneDNN
TRACE_LINES = 40  # of a traceback, the last ones: enough to find the fault, little enough to read


Ended = tuple[Outcome, str | None]  # and why, where it did not complete


@dataclass(frozen=True)
class Asked:
    """A training to be done; what each says stands at `run_trial`."""

    configuration: Mapping[str, object]
    seed: int
    evaluation: bool
    report: Reporter
    epochs_before: int = 0
    keep: bool = False
    alive: Callable[[], None] = lambda: None


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
) -> Ended:
    """Train one configuration and say how it ended, and why where it did not complete.

    report is called with each Measurement, in order; it raises `Stopped` to end the training. Any other exception of its own
    comes out of here unchanged, as it is not the training's fault. clock: seconds, for the measurements' times.
    epochs_before: those that an earlier training of the configuration has done, from which this one goes on. keep: whether its
    state is kept when it completes. alive: called in place of `report` for what is not reported, and may raise the same.
    """
    asked = Asked(configuration, seed, evaluation, report, epochs_before, keep, alive)
    run = _run_of(task, asked, clock)
    seed_everything(seed)
    try:
        task.train(_valid(task, configuration), run)
    except (Exception, SystemExit, Stopped, TookTooLong, Broken) as ending:
        return _ended(task, asked, run, ending)
    return _ended(task, asked, run, None)


def run_together(
    task: Task, asked: Sequence[Asked], *, clock: Callable[[], float] = time.monotonic
) -> list[Ended | BaseException]:
    """Train several configurations, together where the task can, else one after another; for each in turn how it ended.

    Each has the very numbers that `run_trial` gives it. One whose reporter failed has that exception in its place.
    """
    found: list[Ended | BaseException] = [RuntimeError("not trained")] * len(asked)
    members = []
    for at, each in enumerate(asked):
        run = _run_of(task, each, clock)
        try:
            members.append((at, run, _valid(task, each.configuration)))
        except InvalidConfiguration as error:
            found[at] = _ended(task, each, run, error)
    together = task.together or _one_by_one(task)
    for (at, run, _), ending in zip(members, together([(valid, run) for _, run, valid in members]), strict=True):
        found[at] = ending.error if isinstance(ending, Broken) else _ended(task, asked[at], run, ending)
    return found


def _one_by_one(task: Task) -> Together:
    def train(members: Sequence[tuple[Configuration, Run]]) -> list[BaseException | None]:
        found: list[BaseException | None] = []
        for configuration, run in members:
            seed_everything(run.seed)
            try:
                task.train(configuration, run)
            except (Exception, SystemExit, Stopped, TookTooLong, Broken) as ending:
                found.append(ending)
            else:
                found.append(None)
        return found

    return train


def _valid(task: Task, configuration: Mapping[str, object]) -> Configuration:
    return configuration if isinstance(configuration, Configuration) else task.space.configuration(configuration)


def _state_after(task: Task, asked: Asked, epochs: int) -> Path:
    return checkpoints.path_of(task.version, task.space, asked.configuration, asked.seed, epochs)


def _run_of(task: Task, asked: Asked, clock: Callable[[], float]) -> Run:
    before = asked.epochs_before
    resumed = Resumed(before, lambda: checkpoints.load(_state_after(task, asked, before))) if before else None
    return Run(
        task,
        seed=asked.seed,
        evaluation=asked.evaluation,
        report=asked.report,
        clock=clock,
        resumed=resumed,
        alive=asked.alive,
    )


def _ended(task: Task, asked: Asked, run: Run, ending: BaseException | None) -> Ended:
    """How a training ended, out of which `ending` came (None: it returned); its state is kept where that is asked for."""
    if isinstance(ending, Broken):
        raise ending.error from None
    if ending is None and asked.keep and run.ending is None and run.state is not None and run.value is not None:
        try:
            checkpoints.save(_state_after(task, asked, run.completed_epochs), run.state())
        except Exception as error:
            ending = error
    if isinstance(ending, Diverged):
        run.ending = run.ending or ending
    if isinstance(ending, InvalidConfiguration):
        return Outcome.INVALID, str(ending)
    if ending is not None and run.ending is None:
        return Outcome.INVALID, why_invalid(ending)
    if isinstance(run.ending, TookTooLong):
        ended = Outcome.INVALID if run.value is None else Outcome.STOPPED
        return ended, f"{run.ending}{' and completed no epoch' if run.value is None else ''}"
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
