"""What a reader of another tool's trials makes of them: one neutral record, and all that has no place in it, by name."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from evenhand.errors import NotFound
from evenhand.lab.places import SQLITE_START, ForeignDatabase, file_of, shown
from evenhand.model.domain import Domain, Value
from evenhand.model.space import Space
from evenhand.model.study import Budget
from evenhand.model.task import Metric
from evenhand.model.trial import Outcome, Stopper
from evenhand.model.words import plural, shortened

MOST_EXAMPLES = 3  # of a loss, that are shown
EXAMPLE_CHARACTERS = 60
OWN_TABLES = frozenset(("session", "study_version", "measurement"))  # of a laboratory's database
HEAD_BYTES = 65536  # of a file, by which its format is told


@dataclass(frozen=True, slots=True)
class Loss:
    """One kind of thing that could not be carried over. words: what, with {count} or {trials} where the number stands."""

    words: str
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        said = self.words.replace("{count}", str(self.count)).replace("{trials}", plural(self.count, "trial"))
        if not self.examples:
            return said
        return f"{said}: {', '.join(self.examples)}{', ...' if self.count > len(self.examples) else ''}"


class Losses:
    """Counts what has no place, by kind, and keeps the first examples of each."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def note(self, words: str, example: object = "", count: int = 1) -> None:
        """Note that so many things of a kind are lost. example: one of them, as its source has it."""
        self._counts[words] = self._counts.get(words, 0) + count
        examples = self._examples.setdefault(words, [])
        text = shortened(str(example), EXAMPLE_CHARACTERS)
        if text and text not in examples and len(examples) < MOST_EXAMPLES:
            examples.append(text)

    @property
    def all(self) -> tuple[Loss, ...]:
        """What was lost so far, in the order in which it was first noted."""
        return tuple(Loss(words, count, tuple(self._examples[words])) for words, count in self._counts.items())


class Point(NamedTuple):
    """What a trial reported at a step. value: of the run's metric. seconds: since the trial's start, where that is known."""

    step: int
    value: float | None
    seconds: float | None = None
    extra: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True)
class ForeignTrial:
    """One trial of another tool.

    number: here, from 1. label: what its source calls it. outcome: None where it had not ended. value: its final one, where the
    source says one; it may be no finite number. further: other numbers at its end. started, ended: in seconds since 1970.
    """

    number: int
    label: str
    values: Mapping[str, Value]
    outcome: Outcome | None
    value: float | None = None
    further: Mapping[str, float] = field(default_factory=dict)
    why: str | None = None
    stop_by: Stopper | None = None
    started: float | None = None
    ended: float | None = None
    proposer: str = ""
    explanation: str = ""
    resumes: int | None = None


def no_curves() -> Iterator[tuple[int, Sequence[Point]]]:
    """The curves of a source that keeps none."""
    return iter(())


@dataclass(frozen=True)
class ForeignRun:
    """A run of another tool's: what is called a study, an experiment or a project there.

    metrics: the first one is what was tuned. direction_words: where it and its direction are known from. domains: of each
    hyperparameter, in order; of what was tried where the source declares none. curves: what trials reported, each trial once and
    in order of steps; it may be asked for again. taken: what each column of a table was taken for. tool: whose the run is, in one
    word. space, budget, seed, tuner, max_epochs: where the source says them, as what Evenhand itself wrote does. dated: when its
    file was last changed, in seconds since 1970.
    """

    name: str
    format: str
    metrics: tuple[Metric, ...]
    domains: Mapping[str, Domain]
    trials: Sequence[ForeignTrial]
    losses: Losses
    tuner: str
    tool: str
    task: str = ""
    direction_words: str = ""
    curves: Callable[[], Iterator[tuple[int, Sequence[Point]]]] = no_curves
    taken: Mapping[str, str] = field(default_factory=dict)
    space: Space | None = None
    budget: Budget | None = None
    seed: int = 0
    max_epochs: int = 1
    dated: float | None = None


@dataclass(frozen=True)
class Wanted:
    """What a person says where a source does not say it itself. study: which one is meant, where there are several."""

    format: str | None = None
    study: str | None = None
    metric: str | None = None
    direction: str | None = None
    parameters: Sequence[str] = ()


class Source:
    """A file, a folder or a database's URL, opened to be read; what is copied of it goes when this is closed."""

    def __init__(self, text: str) -> None:
        """NotFound where there is no such file or folder."""
        self.text = text
        self._closing = ExitStack()
        self.url = text if "://" in text and not text.startswith("file://") else None
        plain = file_of(text) if self.url else Path(text.removeprefix("file://")).expanduser()
        self.path: Path | None = plain
        if plain is not None and not plain.exists():
            raise NotFound(f"there is no file {plain}; give a file, a folder, or the URL of a database")

    @property
    def shown(self) -> str:
        """What it is called in errors: without a password."""
        return shown(self.text)

    @property
    def own_words(self) -> str:
        """What to do instead where it is a database of Evenhand's own; "" where it is none."""
        if not self.is_database or not self.database.tables >= OWN_TABLES:
            return ""
        url = f"sqlite:///{self.path}" if self.path is not None else self.shown
        return f"{self.shown}: is a laboratory of Evenhand's own; look at it with `evenhand serve --db {url}`"

    def __enter__(self) -> "Source":
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    @property
    def dated(self) -> float | None:
        """When it was last changed, in seconds since 1970; None of a server's database."""
        return None if self.path is None else self.path.stat().st_mtime

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return self.path is not None and self.path.is_dir()

    @cached_property
    def head(self) -> bytes:
        """The first bytes of a file; none of a folder, or of a server's database."""
        if self.path is None or not self.path.is_file():
            return b""
        with self.path.open("rb") as file:
            return file.read(HEAD_BYTES)

    @property
    def is_database(self) -> bool:
        """Whether tables can be read from it."""
        return (self.url is not None and self.path is None) or self.head.startswith(SQLITE_START)

    @cached_property
    def database(self) -> ForeignDatabase:
        """The database that it is; see `ForeignDatabase` for what is raised."""
        folder = Path(self._closing.enter_context(TemporaryDirectory(prefix="evenhand-opened-")))
        url = f"sqlite:///{self.path}" if self.path is not None else str(self.url)
        return self._closing.enter_context(closing(ForeignDatabase(url, folder)))
