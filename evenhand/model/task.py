"""Tasks as records: what names one, what it is scored by, what the laboratory stores of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evenhand.model.domain import Real
from evenhand.model.space import Space

# What statistics of tasks call the levels that an accuracy is read against, both of the validation data.
CHANCE = "accuracy of the most common class"
BASELINE = "accuracy of the nearest class mean"
LEVEL_WORDS = {CHANCE: "chance", BASELINE: "nearest class mean"}  # what charts call them
ROW_WORDS = ("rows", "examples", "images", "points", "pieces")  # what statistics of tasks call their rows


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """What names a task on any machine.

    Attributes:
        name: a registered task's, `FILE.py:NAME` or `MODULE:NAME`.
        settings: JSON values by name; a task of one's own has none.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plain_name(self) -> str:
        """The name without the folders that a file lies in on one machine."""
        return self.name.replace("\\", "/").rpartition("/")[2]

    @property
    def short_name(self) -> str:
        """The name without the file or module that a task of one's own lies in."""
        return self.name.rpartition(":")[2]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric that a task reports.

    Attributes:
        name: what it is called.
        direction: which way is better.
    """

    name: str
    direction: Literal["maximize", "minimize"]


@dataclass(frozen=True, slots=True)
class Level:
    """What an accuracy is read against.

    Attributes:
        name: what charts call it.
        value: the accuracy that needs no tuning, a share of 1.
    """

    name: str
    value: Real


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task as the lab knows it: enough to tune it, without its data or its code.

    Attributes:
        spec: its name and settings.
        version: hash of its revision or source, settings, space and data; an agent with another version refuses its jobs.
        space: what is tuned.
        metric: the name of the first metric.
        direction: which way that is better.
        max_epochs: the largest number of epochs of one training.
        has_test: whether it has test data.
        statistics: what tuners may know about the data, by what it is called there (never the data set's name).
        id: its number in the database.
        further: metrics after the first, in order.
        max_seconds: the limit of one training, in seconds.
        max_memory: the limit of one training, in bytes.
        test_data: what its test data is known by: tasks that are scored on the same share it; "" where that is not known.
    """

    spec: TaskSpec
    version: str
    space: Space
    metric: str
    direction: Literal["maximize", "minimize"]
    max_epochs: int
    has_test: bool = True
    statistics: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
    further: tuple[Metric, ...] = ()
    max_seconds: Real | None = None
    max_memory: int | None = None
    test_data: str = ""

    @property
    def maximize(self) -> bool:
        """Whether larger values are better."""
        return self.direction == "maximize"

    @property
    def knows_epochs(self) -> bool:
        """Whether it is known beforehand how many epochs a training takes; else only its function knows."""
        return self.space.fidelity is not None or self.max_epochs > 1

    @property
    def levels(self) -> tuple[Level, ...]:
        """Chance and the simple baseline on validation data, where its statistics say them and its metric is accuracy."""
        if self.metric != "accuracy":
            return ()
        known = {key: self.statistics.get(key) for key in LEVEL_WORDS}
        return tuple(Level(LEVEL_WORDS[key], value) for key, value in known.items() if isinstance(value, float))

    def rows(self, split: Literal["validation", "test"]) -> int | None:
        """How many rows of a split a configuration is scored on.

        Args:
            split: which one; of folds validation has the rows of all of them.

        Returns:
            What the statistics say, as "validation examples" or "test images"; None where they do not.
        """
        counts = [self.statistics.get(f"{split} {word}") for word in ROW_WORDS]
        return next((count for count in counts if isinstance(count, int) and count > 0), None)

    def epochs_of(self, configuration: Mapping[str, Any]) -> int:
        """Epochs that a training takes at most.

        Args:
            configuration: what would be trained, by name.

        Returns:
            The value of the space's fidelity, else the task's largest number of epochs.
        """
        fidelity = self.space.fidelity
        return int(configuration[fidelity.name]) if fidelity else self.max_epochs


def share_test_data(one: TaskRecord, other: TaskRecord) -> bool:
    """Whether two tasks are known to be scored on the same test data."""
    return one.id == other.id or (one.test_data != "" and one.test_data == other.test_data)
