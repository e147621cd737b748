"""What makes a task worth studying, in numbers: the time of an epoch, how much the seed alone matters, how much settings do."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evenhand.model.configuration import Configuration
from evenhand.model.domain import Value
from evenhand.model.rules import derive_seed
from evenhand.model.trial import Measurement, Outcome
from evenhand.tasks import levels
from evenhand.tasks.base import Task
from evenhand.tasks.running import run_trial

Progress = Callable[[str, int, int], None]  # what is trained now, how many are done, of how many
GAP_PIXELS = 2  # pixels between the pictures of a sample sheet
SURE_STANDARD_ERRORS = 2.0  # standard errors above chance from which on a network has learnt something


@dataclass(frozen=True)
class CheckTraining:
    """One training of a check. epoch_seconds: of its quickest epoch, scoring included; None where none was completed."""

    configuration: Configuration
    seed: int
    outcome: Outcome
    why: str | None
    value: float | None
    epoch_seconds: float | None
    seconds: float


@dataclass(frozen=True)
class TaskCheck:
    """A task in numbers.

    same: one configuration under several seeds (the noise); random: random configurations under one seed (the spread), each
    for `epochs` epochs at most. chance: the accuracy of always naming the most common class on validation, None for other
    metrics; stuck: the share of random configurations whose value is none, or no better than chance by two standard errors.
    """

    metric: str
    epochs: int
    same: tuple[CheckTraining, ...]
    random: tuple[CheckTraining, ...]
    chance: float | None
    stuck: float | None

    @property
    def epoch_seconds(self) -> float | None:
        """Seconds of one epoch of the example configuration, the quickest seen."""
        return min((training.epoch_seconds for training in self.same if training.epoch_seconds is not None), default=None)

    @property
    def noise(self) -> tuple[float, float] | None:
        """Mean and standard deviation (n - 1) of the value over seeds; None where fewer than two have one."""
        return _mean_and_deviation(self.same)

    @property
    def spread(self) -> tuple[float, float] | None:
        """Mean and standard deviation (n - 1) of the value over random configurations; None where fewer than two have one."""
        return _mean_and_deviation(self.random)

    @property
    def outcomes(self) -> Mapping[Outcome, int]:
        """How the trainings of random configurations ended."""
        return {outcome: n for outcome in Outcome if (n := sum(training.outcome is outcome for training in self.random))}


def check(
    task: Task,
    *,
    seeds: int = 3,
    configurations: int = 20,
    epochs: int = 2,
    root: int = 0,
    progress: Progress | None = None,
) -> TaskCheck:
    """Train the example configuration under `seeds` seeds and `configurations` random ones, each for `epochs` at most.

    root: the seed that all seeds and the random configurations are derived from. What was trained is called by progress.
    """
    report = progress or (lambda what, done, total: None)
    example, same, drawn = example_of(task, root), [], []
    for index in range(seeds):
        report("one configuration, several seeds", index, seeds)
        same.append(train_once(task, shortened(task, example, epochs), derive_seed(root, "check", index)))
    rng = np.random.default_rng(derive_seed(root, "check", "configurations"))
    for index in range(configurations):
        report("random configurations", index, configurations)
        drawn.append(train_once(task, shortened(task, task.space.sample(rng), epochs), derive_seed(root, "check", 0)))
    report("random configurations", configurations, configurations)
    chance, error = chance_of(task)
    return TaskCheck(
        metric=task.metric,
        epochs=epochs,
        same=tuple(same),
        random=tuple(drawn),
        chance=chance,
        stuck=None if chance is None or not drawn else _stuck(drawn, chance + SURE_STANDARD_ERRORS * error),
    )


def example_of(task: Task, root: int = 0) -> Configuration:
    """A configuration to try the task with: its own example, else its defaults, else (where some are mandatory) a random one."""
    if task.example is not None:
        return task.space.configuration(task.example)
    if all(not hyperparameter.mandatory for hyperparameter in task.space):
        return task.space.configuration({})
    return task.space.sample(np.random.default_rng(root))


def shortened(task: Task, configuration: Configuration, epochs: int) -> Configuration:
    """The configuration trained for `epochs` at most, where the space says how long a trial trains."""
    fidelity = task.space.fidelity
    if fidelity is None or fidelity.name not in configuration:
        return configuration
    lowest = getattr(fidelity.domain, "low", epochs)
    values: dict[str, Value] = {**configuration, fidelity.name: max(int(lowest), min(epochs, int(configuration[fidelity.name])))}
    return task.space.configuration(values)


def train_once(task: Task, configuration: Configuration, seed: int) -> CheckTraining:
    """One training scored on validation, timed."""
    epochs: list[Measurement] = []

    def keep(measurement: Measurement) -> None:
        if measurement.epoch is not None:
            epochs.append(measurement)

    started = time.monotonic()
    outcome, why = run_trial(task, configuration, seed=seed, evaluation=False, report=keep)
    seconds = time.monotonic() - started
    ends = [0.0, *(measurement.seconds for measurement in epochs)]
    took = [end - start for start, end in pairwise(ends)]
    values = [measurement.value for measurement in epochs if measurement.value is not None]
    return CheckTraining(configuration, seed, outcome, why, values[-1] if values else None, min(took, default=None), seconds)


def chance_of(task: Task) -> tuple[float | None, float]:
    """The accuracy of always naming validation's most common class, and its standard error; (None, 0) for other metrics."""
    if task.metric != "accuracy" or task.data is None:
        return None, 0.0
    _, y = task.data().load("validation")
    chance = levels.chance_of(y)
    return chance, float(np.sqrt(chance * (1 - chance) / len(y)))


def sample_sheet(task: Task, path: Path, columns: int = 10) -> Path | None:
    """Write a few training images as one PNG, a row for each class, as the network gets them; None for data without images."""
    if task.data is None:
        return None
    x, y = task.data().load("train")
    pixels, labels = np.asarray(x), np.asarray(y)
    if pixels.ndim != 4 or pixels.dtype != np.uint8:
        return None
    classes = np.unique(labels)
    height, width = pixels.shape[1] + GAP_PIXELS, pixels.shape[2] + GAP_PIXELS
    sheet = np.full((len(classes) * height - GAP_PIXELS, columns * width - GAP_PIXELS, 3), 255, dtype=np.uint8)
    for row, label in enumerate(classes):
        for column, index in enumerate(np.flatnonzero(labels == label)[:columns]):
            top, left = row * height, column * width
            sheet[top : top + height - GAP_PIXELS, left : left + width - GAP_PIXELS] = pixels[index]
    Image.fromarray(sheet).save(path)
    return path


def _mean_and_deviation(trained: tuple[CheckTraining, ...]) -> tuple[float, float] | None:
    values: Any = [training.value for training in trained if training.value is not None]
    return (float(np.mean(values)), float(np.std(values, ddof=1))) if len(values) > 1 else None


def _stuck(trained: list[CheckTraining], threshold: float) -> float:
    return sum(training.value is None or training.value <= threshold for training in trained) / len(trained)
