"""What a training that is held leaves on its machine's disk, so that its slot may train another one, and it goes on later.

A training that says how to get its state (`run.keep`) has it written after an epoch now and then. One that is parked begins anew
from there, in another worker; what it had reported since it trains again in silence, and then it is where it stood.
"""

import os
import pickle
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evenhand.model.digest import digest
from evenhand.model.job import Assignment
from evenhand.settings import data_dir, private_folder, private_opener
from evenhand.tasks import checkpoints

FIRST_SECONDS = 1.0  # seconds of training before the first state is written: a shorter one is soon trained again
EVERY_SECONDS = 10.0  # seconds between two states
MOST_SHARE = 0.01  # of the time that writing may take


@dataclass(frozen=True)
class EpochState:
    """A training after an epoch. path: of its state. reports: how many measurements it had made. value: its score then."""

    path: str
    epochs: int
    reports: int
    seconds: float
    value: float | None


@dataclass(frozen=True)
class Parked:
    """A training that left its worker. reported: how many measurements the laboratory has. seconds: of the last of them."""

    state: EpochState
    reported: int
    seconds: float

    def load(self) -> Any | None:
        """Its state; None where it is gone: then all of it is trained again in silence."""
        return checkpoints.load(Path(self.state.path))


class StateKeeper:
    """Writes a training's state after its epochs, as often as it costs next to nothing."""

    def __init__(self, path: Path, before: EpochState | None = None) -> None:
        self._path = path
        self._begun_at = time.monotonic()
        self._due_at = self._begun_at + FIRST_SECONDS
        self.newest = before  # the state that was written last

    def epoch_ended(self, state_of: Callable[[], Any], epochs: int, reports: int, seconds: float, value: float | None) -> None:
        """Write the state, where it is time to. A state that cannot be written is none: the training keeps its slot then."""
        begun_at = time.monotonic()
        if begun_at < self._due_at:
            return
        try:
            write(self._path, state_of())
        except Exception:
            self._due_at = float("inf")
            return
        self.newest = EpochState(str(self._path), epochs, reports, seconds, value)
        ended_at = time.monotonic()
        self._due_at = ended_at + max(EVERY_SECONDS, (ended_at - begun_at) / MOST_SHARE)


def path_of(assignment: Assignment) -> Path:
    """Where the state of a training lies."""
    return data_dir() / "held" / f"{digest([assignment.place, assignment.job_id, assignment.attempt])}.pickle"


def write(path: Path, state: Any) -> None:
    """Write a state whole, in place of the one before."""
    private_folder(path.parent)
    part = path.with_suffix(f".{os.getpid()}")
    with open(part, "wb", opener=private_opener) as file:
        pickle.dump(state, file, pickle.HIGHEST_PROTOCOL)
    part.replace(path)


def forget(assignment: Assignment) -> None:
    """Delete the state of a training that has ended, or that another attempt has."""
    with suppress(OSError):
        path_of(assignment).unlink(missing_ok=True)
