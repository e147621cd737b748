"""The final training of a configuration: on all data but test, as it was chosen, and what it leaves behind."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any

from evenhand.errors import Refused
from evenhand.model import interrupts
from evenhand.model.configuration import Configuration
from evenhand.model.trial import Measurement
from evenhand.tasks.base import Task
from evenhand.tasks.run import Run, Stopped, joined
from evenhand.tasks.running import seed_everything, why_invalid
from evenhand.tasks.splits import Part, Splits
from evenhand.tasks.threads import one_thread

NETWORK = "network"  # in the state of the built-in networks: their weights


@dataclass(frozen=True)
class Trained:
    """What a final training leaves behind.

    Attributes:
        predict: what the function gave `run.score` last; None where it never did.
        kept: what it kept under names; paths are of copies.
        epochs: how many it trained.
        learnt_from: (X, y), training and validation data; None where the function has its own data.
    """

    predict: Callable[[Any], Any] | None
    kept: Mapping[str, Any]
    epochs: int
    learnt_from: Part | None


class _FinalRun(Run):
    """A run that holds on to what is given to it."""

    def __init__(self, task: Task, seed: int, until: int | None, folder: Path) -> None:
        super().__init__(task, seed=seed, evaluation=False, report=self._look)
        self.predict: Callable[[Any], Any] | None = None
        self.named: dict[str, Any] = {}
        self._until, self._copies = until, folder

    def score(self, predict: Callable[[Any], Any]) -> float:
        self.predict = predict
        return super().score(predict)

    def keep(self, state: Any, name: str | None = None) -> None:
        super().keep(state, name)
        if name is not None:
            kept = super().restore(name) if isinstance(state, PathLike) else state
            self.named[name] = _copy(kept, self._copies / name) if isinstance(kept, Path) else kept

    def _look(self, measurement: Measurement) -> None:
        if self._until is not None and measurement.epoch is not None and measurement.epoch >= self._until:
            raise Stopped


def train_finally(task: Task, configuration: Configuration, seed: int, until: int | None, folder: Path) -> Trained:
    """Train a configuration on training and validation data together; test data is not opened.

    Args:
        task: whose training it is.
        configuration: what is trained.
        seed: of the training.
        until: the epoch that it ends at; None for as long as the function trains.
        folder: for copies of the files that it keeps.

    Returns:
        What it leaves behind.

    Raises:
        Refused: the training did not get there; the text says why.
    """
    parts: list[Part] = []

    def data() -> Splits:
        assert task.data is not None
        splits = task.data()
        (x, y), validation = splits.load("train"), splits.load("validation")
        parts[:] = [(joined(x, validation[0]), joined(y, validation[1]))]
        return Splits(parts[0], validation)

    run = _FinalRun(replace(task, data=None if task.data is None else data), seed, until, folder)
    seed_everything(seed)
    try:
        with one_thread(), interrupts.heeded():
            task.train(configuration, run)
    except (Stopped, KeyboardInterrupt) as ending:
        if isinstance(ending, KeyboardInterrupt):
            raise
    except BaseException as error:  # SystemExit and a limit on time, too
        raise Refused(f"the final training of {task.spec.plain_name} ended without a model: {why_invalid(error)}") from error
    if run.ending is not None and not isinstance(run.ending, Stopped):
        raise Refused(f"the final training of {task.spec.plain_name} ended without a model: {run.ending}")
    kept = dict(run.named)
    if run.state is not None and not kept:
        state = run.state()
        is_network = isinstance(state, Mapping) and NETWORK in state
        kept = {"weights": state[NETWORK]} if is_network else {"state": state}
    return Trained(run.predict, kept, run.completed_epochs, parts[0] if parts else None)


def checksum_of(data: Part) -> str:
    """A checksum of examples and targets, the same for equal contents."""
    return str(hashlib.sha256(import_module("joblib").hash(data, hash_name="sha1").encode()).hexdigest())


def _copy(source: Path, to: Path) -> Path:
    target = to / source.name
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        shutil.copyfile(source, target)
    return target
