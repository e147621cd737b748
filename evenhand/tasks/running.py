"""One training of one configuration, and how each way of ending is told apart."""

import random
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from evenhand.errors import EvenhandError, InvalidConfiguration
from evenhand.records import Outcome
from evenhand.space import Configuration
from evenhand.tasks import checkpoints
from evenhand.tasks.base import Task
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
) -> tuple[Outcome, str | None]:
    """Train one configuration and say how it ended, and why where it did not complete.

    report is called with each Measurement, in order; it raises `Stopped` to end the training. Any other exception of its own
    comes out of here unchanged, as it is not the training's fault. clock: seconds, for the measurements' times.
    epochs_before: those that an earlier training of the configuration has done, from which this one goes on. keep: whether its
    state is kept when it completes. alive: called in place of `report` for what is not reported, and may raise the same.
    """

    def state_after(epochs: int) -> Path:
        return checkpoints.path_of(task.version, task.space, configuration, seed, epochs)

    resumed = Resumed(epochs_before, lambda: checkpoints.load(state_after(epochs_before))) if epochs_before else None
    run = Run(task, seed=seed, evaluation=evaluation, report=report, clock=clock, resumed=resumed, alive=alive)
    seed_everything(seed)
    try:
        valid = configuration if isinstance(configuration, Configuration) else task.space.configuration(configuration)
        task.train(valid, run)
        if keep and run.ending is None and run.state is not None and run.value is not None:
            checkpoints.save(state_after(run.completed_epochs), run.state())
    except (Stopped, TookTooLong):
        pass
    except Broken as broken:
        raise broken.error from None
    except Diverged as diverged:
        run.ending = run.ending or diverged
    except InvalidConfiguration as error:
        return Outcome.INVALID, str(error)
    except (Exception, SystemExit) as error:
        if run.ending is None:
            return Outcome.INVALID, why_invalid(error)
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
