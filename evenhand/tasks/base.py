"""Task: a versioned objective, and the decorator that makes one of a user's own training function."""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from evenhand.errors import InvalidSettings
from evenhand.records import Metric, TaskRecord, TaskSpec
from evenhand.space import Configuration, Space, Value, digest
from evenhand.tasks.metrics import Score
from evenhand.tasks.run import Run
from evenhand.tasks.splits import Splits

Direction = Literal["maximize", "minimize"]
# Trains several configurations, each with its run; for each in turn what ended it, or None where it completed.
Together = Callable[[Sequence[tuple[Configuration, Run]]], Sequence[BaseException | None]]
NATURAL: Mapping[str, Direction] = {"accuracy": "maximize", "r2": "maximize", "mse": "minimize", "mae": "minimize"}


@dataclass(frozen=True)
class Task:
    """A versioned objective: a space, data in fixed splits, a training function, a metric with its direction.

    name: what `tasks.load` finds it by. version: SHA-256 of its source, settings and data. together: trains several
    configurations at once, each with the numbers that `train` gives it; group_size: how many trainings of a configuration are
    quickest together. data: returns the splits, or None where the training function brings its own. example: a configuration
    known to train, for `task check`. score: the metric as a function, None where `metric` is a name that `run.score` knows or
    the task computes it itself. further: metrics that it reports beside the first. max_seconds, max_memory: limits of one
    training, in seconds, and in bytes beyond what its worker held before; what passes them is ended, and the search goes on.
    threads: whether its trainings may run beside one another in threads of one process: they compute outside Python's lock, and
    change nothing that they share.
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

    def __call__(self, configuration: Configuration, run: Run) -> None:
        """Train, as the function that was decorated would."""
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
        )


def task(
    *,
    space: Space,
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
) -> Callable[[Callable[[Configuration, Run], None]], Task]:
    """Make a task of a function `train(configuration, run)`; docs/tasks.md walks through one.

    metric: "accuracy", "r2", "mse", "mae", a function (targets, predictions) -> number, or another name that the task reports
    itself. direction may be left out where the metric's name says it. data: a function that returns `Splits`; without it
    `run.score` and the final evaluation on test data are not available. files: data files beside the source, whose contents
    count into the version. statistics: what tuners may know about the data. example: a configuration known to train.
    further: other metrics that the function reports at each epoch, and which way is better. max_seconds, max_memory: see `Task`.
    """
    name, score = (metric, None) if isinstance(metric, str) else (metric.__name__, metric)
    chosen = direction or (NATURAL.get(name) if score is None else None)
    if chosen not in ("maximize", "minimize"):
        raise InvalidSettings(f"task with metric {name!r}: direction is {direction!r}, expected 'maximize' or 'minimize'")
    if score is None and NATURAL.get(name, chosen) != chosen:
        raise InvalidSettings(f"task with metric {name!r}: direction is {chosen!r}, expected {NATURAL[name]!r}")
    for what, limit in (("max_epochs", max_epochs), ("max_seconds", max_seconds), ("max_memory", max_memory)):
        if limit is not None and not limit > 0:
            raise InvalidSettings(f"task: {what} is {limit}, expected {'at least 1' if what == 'max_epochs' else 'more than 0'}")
    if example is not None:
        space.configuration(example)

    def decorate(train: Callable[[Configuration, Run], None]) -> Task:
        source, content = _source_of(train)
        facts = {
            "source": hashlib.sha256(content).hexdigest(),
            "function": train.__qualname__,
            "files": [hashlib.sha256((source.parent / file).read_bytes()).hexdigest() for file in files] if source else [],
        }
        return Task(
            name=f"{source or train.__module__}:{train.__qualname__}",
            version=digest(facts),
            space=space,
            metric=name,
            direction=chosen,
            max_epochs=max_epochs,
            train=train,
            data=data,
            score=score,
            has_test=data is not None,
            statistics=dict(statistics or {}),
            example=example,
            further=tuple(Metric(name, way) for name, way in (further or {}).items()),
            max_seconds=max_seconds,
            max_memory=max_memory,
        )

    return decorate


def _source_of(function: Callable[..., Any]) -> tuple[Path | None, bytes]:
    """The file a function was written in and that file's content; without a file (a notebook), None and its own code."""
    path = Path(function.__code__.co_filename)
    if path.is_file():
        return path.resolve(), path.read_bytes()
    try:
        return None, inspect.getsource(function).encode()
    except (OSError, TypeError):
        return None, function.__code__.co_code


def source_digest(names: Sequence[str]) -> str:
    """SHA-256 (hex) of the named modules of this package, or files: what a built-in task's version says of its source."""
    files = (name if "." in name else f"{name}.py" for name in names)
    return hashlib.sha256(b"\0".join((Path(__file__).parent / file).read_bytes() for file in files)).hexdigest()
