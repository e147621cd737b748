"""The list of runs as somebody asked for it: filtered, sorted, grouped, with the columns that they chose."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.analysis.run_rows import PLAIN_FIELDS, RUN_STATES, RunRow
from evenhand.errors import InvalidSettings
from evenhand.model.domain import show
from evenhand.model.filters import read_filter
from evenhand.model.words import plural

Grouping = Literal["", "task", "tag", "method"]
Shelf = Literal["", "archived", "deleted"]

COLUMNS = {
    "who": "Who tunes",
    "state": "State",
    "spark": "Best so far",
    "trials": "Trials",
    "best": "Best",
    "time": "Time",
    "tags": "Tags",
    "task": "Task",
    "opened": "Begun",
}
STANDARD_COLUMNS = ("who", "state", "spark", "trials", "best", "time", "tags")
SORTS: dict[str, Callable[[RunRow], float | str | None]] = {
    "opened": lambda row: row.opened_at,
    "name": lambda row: row.name.lower(),
    "task": lambda row: row.task.lower(),
    "who": lambda row: row.tuner.lower(),
    "state": lambda row: RUN_STATES.index(row.state),
    "trials": lambda row: row.trials,
    "best": lambda row: row.best,
    "time": lambda row: row.seconds,
}
NO_TAG_TITLE = "without a tag"


@dataclass(frozen=True)
class Wish:
    """What was asked for. sort: a column's key, with - before it where the largest comes first."""

    typed: str = ""
    sort: str = "-opened"
    group: Grouping = ""
    columns: tuple[str, ...] = STANDARD_COLUMNS
    shelf: Shelf = ""


@dataclass(frozen=True)
class GroupHead:
    """The line above a group."""

    title: str
    words: str


@dataclass(frozen=True)
class Listing:
    """The list. entries: runs and the heads of groups, in order. count: runs in it; of: runs that are on its shelf.

    problem: why the filter could not be read; all runs are shown then. values: columns that are hyperparameters.
    """

    wish: Wish
    entries: tuple[RunRow | GroupHead, ...]
    count: int
    of: int
    archived: int
    deleted: int
    problem: str
    values: tuple[str, ...]

    @property
    def columns(self) -> dict[str, str]:
        """The headings of the columns that are shown, by key, in order."""
        return {key: COLUMNS.get(key, key) for key in self.wish.columns if key in COLUMNS or key in self.values}


def listing(rows: Sequence[RunRow], wish: Wish) -> Listing:
    """The list of runs that somebody asked for."""
    shelves = {shelf: [row for row in rows if shelf_of(row) == shelf] for shelf in ("", "archived", "deleted")}
    there = shelves[wish.shelf]
    problem, right = "", there
    try:
        wanted = read_filter(wish.typed, known_fields(there), {"state": RUN_STATES})
        right = [row for row in there if wanted.holds(row.fields)]
    except InvalidSettings as error:
        problem = str(error)
    ordered = _sorted(right, wish.sort)
    return Listing(
        wish=wish,
        entries=tuple(_grouped(ordered, wish.group)),
        count=len(right),
        of=len(there),
        archived=len(shelves["archived"]),
        deleted=len(shelves["deleted"]),
        problem=problem,
        values=tuple(sorted({name for row in there for name in row.best_values})),
    )


def shelf_of(row: RunRow) -> Shelf:
    """Where a run lies."""
    if row.notes.deleted_at is not None:
        return "deleted"
    return "" if row.notes.archived_at is None else "archived"


def known_fields(rows: Iterable[RunRow]) -> frozenset[str]:
    """What a filter can ask of these runs."""
    fields = set(PLAIN_FIELDS)
    for row in rows:
        fields |= {row.metric, *row.best_values, *(f"best.{name}" for name in row.best_values)}
    return frozenset(fields)


def value_words(row: RunRow, name: str) -> str:
    """The value of a hyperparameter in a run's best trial, as people read it; nothing where it has none."""
    return show(row.best_values[name]) if name in row.best_values else ""


def _sorted(rows: Sequence[RunRow], sort: str) -> list[RunRow]:
    """Rows by a column; those without a value there last, equals the newest first."""
    key = sort.removeprefix("-")
    value_of = SORTS.get(key) or (lambda row: _comparable(row, key))
    newest = sorted(rows, key=lambda row: (-row.opened_at, -row.session_id))
    valued = [row for row in newest if value_of(row) is not None]
    ordered = sorted(valued, key=lambda row: _key(value_of(row)), reverse=sort.startswith("-"))
    return [*ordered, *(row for row in newest if value_of(row) is None)]


def _comparable(row: RunRow, name: str) -> float | str | None:
    value = row.best_values.get(name)
    if isinstance(value, bool | int | float):
        return float(value)
    return None if value is None else show(value)


def _key(value: float | str | None) -> tuple[bool, float, str]:
    if isinstance(value, str):
        return True, 0.0, value
    return False, value or 0.0, ""


def _grouped(rows: Sequence[RunRow], group: Grouping) -> Iterable[RunRow | GroupHead]:
    """Rows under the heads of their groups, in the order of each group's first row. With several tags a run stands in each."""
    if not group:
        yield from rows
        return
    groups: dict[str, list[RunRow]] = {}
    for row in rows:
        for title in _titles(row, group):
            groups.setdefault(title, []).append(row)
    for title, members in groups.items():
        yield GroupHead(title, _group_words(members, group))
        yield from members


def _titles(row: RunRow, group: Grouping) -> tuple[str, ...]:
    if group == "tag":
        return row.notes.tags or (NO_TAG_TITLE,)
    return (row.task if group == "task" else row.tuner,)


def _group_words(members: Sequence[RunRow], group: Grouping) -> str:
    counted = f"{plural(len(members), 'run')} · {plural(sum(row.trials for row in members), 'trial')}"
    if group != "task":
        return counted
    row = members[0]
    return f"{row.metric}, {'higher' if row.maximize else 'lower'} is better · {counted}"
