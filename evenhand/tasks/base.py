"""Task: a versioned objective, and the decorator that makes one of a user's own training function."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evenhand.errors import DataError, InvalidSettings
from evenhand.model import numbers
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Value
from evenhand.model.space import GivenSpace, Space
from evenhand.model.study import VALUE_RULES, EvaluationMode, ValueRule
from evenhand.model.task import Metric, TaskRecord, TaskSpec
from evenhand.tasks import splits, versions
from evenhand.tasks.functions import name_of, training_function
from evenhand.tasks.metrics import Score
from evenhand.tasks.run import Run
from evenhand.tasks.splits import Splits

Direction = Literal["maximize", "minimize"]
# Trains several configurations, each with its run; for each in turn what ended it, or None where it completed.
Together = Callable[[Sequence[tuple[Configuration, Run]]], Sequence[BaseException | None]]
TAKEN_NAMES = ("step", "epoch", "self")  # what `run.report` takes beside metrics
NATURAL_DIRECTIONS: Mapping[str, Direction] = {"accuracy": "maximize", "r2": "maximize", "mse": "minimize", "mae": "minimize"}


@dataclass(frozen=True)
class Task:
    """A versioned objective: a space, data in fixed splits, a training function, a metric with its direction.

    Attributes:
        name: what `load_task` finds it by.
        version: what its numbers hang on, in one word; see `tasks.versions`.
        space: what is tuned.
        metric: the name of the metric.
        direction: which way it is better.
        max_epochs: the largest number of epochs of one training.
        train: trains a configuration with what its run gives.
        together: trains several configurations at once, each with the numbers that `train` gives it.
        group_size: how many trainings of a configuration are quickest together.
        data: returns the splits; None where the training function brings its own data.
        score: the metric as a function; None where its name is one that `run.score` knows, or the task computes it itself.
        has_test: whether it has test data.
        settings: JSON values that it was loaded with, by name.
        statistics: what tuners may know about the data, by what it is called there.
        example: a configuration known to train.
        further: metrics that it reports beside the first.
        max_seconds: the limit of one training, in seconds; one that passes it is ended, and the search goes on.
        max_memory: the same in bytes, beyond what its worker held before.
        threads: whether its trainings may run beside one another in threads of one process: they compute outside Python's lock,
            and change nothing that they share.
        files: data files whose contents are in the version.
        evaluation_mode: how an exploratory choice is trained for its test score; see `model.evaluation.EvaluationPlan`.
        value_rule: whether a trial's value is its last epoch's, or its best one's, where `tune` is told nothing else.
        test_data: what its test data is known by, whatever is trained on the rest; "" where only its data says it.
    """

    name: str
    version: str
    space: Space
    metric: str
    direction: Direction
    max_epochs: int
    train: Callable[[Configuration, Run], None]
    together: Together | None = None
    group_size: Callable[[Mapping[str, Any]], int] = lambda configuration: 1
    data: Callable[[], Splits] | None = None
    score: Score | None = None
    has_test: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)
    example: Mapping[str, Value] | None = None
    further: tuple[Metric, ...] = ()
    max_seconds: float | None = None
    max_memory: int | None = None
    threads: bool = False
    files: tuple[Path, ...] = ()
    evaluation_mode: EvaluationMode = "retrain"
    value_rule: ValueRule = "last"
    test_data: str = ""

    def __post_init__(self) -> None:
        self.space.check_tunable()

    def __call__(self, configuration: Configuration, run: Run) -> None:
        """Train, as the function that was decorated would.

        Args:
            configuration: what is trained.
            run: its seed and data, and where it reports.
        """
        self.train(configuration, run)

    @property
    def spec(self) -> TaskSpec:
        """What names this task on any machine that has its source."""
        return TaskSpec(self.name, dict(self.settings))

    @property
    def record(self) -> TaskRecord:
        """What the lab stores of it."""
        return TaskRecord(
            spec=self.spec,
            version=self.version,
            space=self.space,
            metric=self.metric,
            direction=self.direction,
            max_epochs=self.max_epochs,
            has_test=self.has_test,
            statistics=dict(self.statistics),
            further=self.further,
            max_seconds=self.max_seconds,
            max_memory=self.max_memory,
            test_data=self.test_data,
        )


def task(
    *,
    space: GivenSpace,
    metric: str | Score,
    max_epochs: int,
    direction: Direction | None = None,
    data: Callable[[], Splits] | None = None,
    files: Sequence[str] = (),
    statistics: Mapping[str, Any] | None = None,
    example: Mapping[str, Value] | None = None,
    further: Mapping[str, Direction] | None = None,
    max_seconds: float | None = None,
    max_memory: int | None = None,
    revision: int | None = None,
    value: ValueRule = "last",
) -> Callable[[Callable[..., Any]], Task]:
    """Make a task of a function `train(configuration, run)`; docs/tasks.md walks through one.

    Args:
        space: what is tuned: a Space, or what one is made of.
        metric: "accuracy", "r2", "mse", "mae", a function (targets, predictions) -> number, or another name that the task
            reports itself, or returns.
        max_epochs: the largest number of epochs of one training.
        direction: which way the metric is better; may be left out where its name says it.
        data: returns the splits; without it `run.score` and the final evaluation on test data are not available.
        files: data files, relative to the source, whose contents are in the version.
        statistics: what tuners may know about the data, by what it is called there.
        example: a configuration known to train.
        further: other metrics that the function reports at each epoch, and which way is better.
        max_seconds: the limit of one training, in seconds.
        max_memory: the limit of one training, in bytes beyond what its worker held before.
        revision: a whole number that you raise when the task's numbers change; the version then has it in place of the source.
        value: whether a trial's value is its last epoch's ("last") or its best one's ("best"); see docs/tasks.md, The value.

    Returns:
        The decorator, which turns the training function into a `Task`.

    Raises:
        InvalidSettings: what was given does not go together; the text says what was expected.
        InvalidSpace: a space that no task can have.
        InvalidConfiguration: the example is not of the space.
    """
    space = Space.of(space)
    if not isinstance(metric, str) and not callable(metric):
        raise InvalidSettings(f"task: metric is {metric!r}, expected a name, or a function (targets, predictions) -> number")
    name, score = (metric, None) if isinstance(metric, str) else (name_of(metric), metric)
    _check_names(name, further or {})
    chosen = direction or (NATURAL_DIRECTIONS.get(name) if score is None else None)
    if chosen not in ("maximize", "minimize"):
        raise InvalidSettings(f"task with metric {name!r}: direction is {direction!r}, expected 'maximize' or 'minimize'")
    if score is None and NATURAL_DIRECTIONS.get(name, chosen) != chosen:
        raise InvalidSettings(f"task with metric {name!r}: direction is {chosen!r}, expected {NATURAL_DIRECTIONS[name]!r}")
    max_epochs = numbers.whole("task: max_epochs", max_epochs)
    max_seconds = None if max_seconds is None else numbers.above_zero("task: max_seconds", max_seconds)
    max_memory = None if max_memory is None else numbers.whole("task: max_memory", max_memory)
    revision = None if revision is None else numbers.whole("task: revision", revision)
    check_value_rule(value)
    if data is not None and not callable(data):
        raise InvalidSettings(
            f"task: data is a {type(data).__name__}, expected a function that returns Splits, such as lambda: Splits.drawn(X, y)"
        )
    if example is not None:
        space.configuration(example)

    def decorate(train: Callable[..., Any]) -> Task:
        if isinstance(train, Task):
            raise InvalidSettings(f"task: {train.name} is a task already")
        called = training_function(train, space)
        source = versions.file_of(train)
        paths = tuple((source.parent if source else Path()) / file for file in files)
        further_metrics = tuple(Metric(name, way) for name, way in (further or {}).items())
        declared = {
            "space": space.digest,
            "metrics": [[name, chosen], *([measure.name, measure.direction] for measure in further_metrics)],
            "max_epochs": max_epochs,
            "limits": [max_seconds, max_memory],
            "has_test": data is not None,
            **({} if data is None else {"splits": splits.REVISION}),
            "files": [_checksum(path) for path in paths],
        }
        others = [function for function in (data, score) if function is not None]
        return Task(
            name=f"{source or versions.module_of(train)}:{name_of(train)}",
            version=versions.of_own(train, others, declared, revision),
            space=space,
            metric=name,
            direction=chosen,
            max_epochs=max_epochs,
            train=called,
            data=data,
            score=score,
            has_test=data is not None,
            statistics=dict(statistics or {}),
            example=example,
            further=further_metrics,
            max_seconds=max_seconds,
            max_memory=max_memory,
            files=paths,
            evaluation_mode="as tuned",
            value_rule=value,
        )

    return decorate


def check_value_rule(value: object) -> None:
    """Nothing, or InvalidSettings where it does not say which epoch a trial's value is of.

    Args:
        value: what was given.

    Raises:
        InvalidSettings: it is neither "last" nor "best".
    """
    if value not in VALUE_RULES:
        expected = " or ".join(f'"{rule}"' for rule in VALUE_RULES)
        raise InvalidSettings(f"value is {value!r}, expected {expected}: which epoch of a trial its value is of")


def _check_names(metric: object, further: Mapping[str, Direction]) -> None:
    """InvalidSettings where a metric's name is none that `run.report` can be given it by."""
    for name in (metric, *further):
        if not isinstance(name, str) or not name.strip() or not name.isprintable():
            raise InvalidSettings(f"task: a metric is called {name!r}, expected a name, such as 'accuracy'")
        if name in TAKEN_NAMES or (name == "loss" and name != metric):
            raise InvalidSettings(
                f"task: a metric is called {name!r}, which means something else in run.report({name}=...); give it another name, "
                f"such as 'final_{name}'"
            )
        if further.get(name, "maximize") not in ("maximize", "minimize"):
            raise InvalidSettings(f"task: further says {name!r} is to {further[name]!r}, expected 'maximize' or 'minimize'")
    if metric in further:
        raise InvalidSettings(f"task: further names {metric!r}, which is the metric; leave it out there")


def _checksum(path: Path) -> str:
    """SHA-256 (hex) of a file that a task names."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"task: files names {path.absolute()}, which cannot be read ({error.strerror})") from error
