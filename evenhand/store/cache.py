"""Queries that are made once, and what they gave as long as it holds."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, bindparam

T = TypeVar("T")
Newest = tuple[int | None, float | None]  # an event's id and time; of a thing without events, None
# Options of a connection: what was read of sessions, whether it writes, and the `Marks` of the write that goes on.
KEPT_KEY, WRITE_KEY, MARKS_KEY = "evenhand_kept", "evenhand_write", "evenhand_marks"


class Of:
    """A query for the rows of some things, made once: building one costs more than running it.

    One session's is a plain comparison, which is quicker than a list of one.
    """

    def __init__(self, query: Select[Any], column: ColumnElement[int]) -> None:
        self._one = query.where(column == bindparam("id"))
        self._many = query.where(column.in_(bindparam("ids", expanding=True)))

    def __call__(self, tx: Connection, ids: Sequence[int]) -> Iterable[RowMapping]:
        """The rows."""
        result = tx.execute(self._one, {"id": ids[0]}) if len(ids) == 1 else tx.execute(self._many, {"ids": ids})
        return result.mappings()


class Marks:
    """Of one write: the sessions that it made, those that it changed, and those of which it appended an event.

    What `Kept` has of a session holds until there is a newer event of it. So a write that changes a session in silence is a
    fault of the program, and is undone.
    """

    def __init__(self) -> None:
        self.made: set[int] = set()
        self.changed: set[int] = set()
        self.logged: set[int] = set()

    def begin(self) -> None:
        """Another write begins."""
        self.made.clear()
        self.changed.clear()
        self.logged.clear()

    def check(self) -> None:
        """The write ends: AssertionError where it changed a session and appended no event of it. One that it made itself may wait
        for its events: nobody has read it yet."""
        silent = self.changed - self.logged - self.made
        if silent:
            which = ", ".join(map(str, sorted(silent)))
            raise AssertionError(
                f"session {which}: its trials, times, pauses, interventions or choice were changed in "
                "a write that appended no event of it, so whoever has read it would not see the change; record an event of the "
                "session in the same write (`store.events.record`)"
            )


def changed(tx: Connection, session_id: int) -> None:
    """Note that this write changes what a session has beside its row, but for what an open trial measures."""
    if (marks := tx.get_execution_options().get(MARKS_KEY)) is not None:
        marks.changed.add(session_id)


def logged(tx: Connection, session_id: int) -> None:
    """Note that this write appended an event of a session."""
    if (marks := tx.get_execution_options().get(MARKS_KEY)) is not None:
        marks.logged.add(session_id)


def made(tx: Connection, session_id: int) -> None:
    """Note that this write made a session."""
    if (marks := tx.get_execution_options().get(MARKS_KEY)) is not None:
        marks.made.add(session_id)


class Kept(Generic[T]):
    """What was read of some things, each with its newest event: it holds until there is a newer one.

    It may hold nothing that changes without an event. Threads may share it.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._found: dict[int, tuple[Newest, T]] = {}
        self._lock = threading.Lock()

    def some(self, newest: Mapping[int, Newest]) -> dict[int, T]:
        """Of the things with these ids and these newest events, those that are still as they were read."""
        with self._lock:
            entries = {id_: self._found[id_] for id_ in newest if id_ in self._found}
        return {id_: value for id_, (event, value) in entries.items() if event == newest[id_]}

    def any(self, ids: Iterable[int]) -> dict[int, tuple[Newest, T]]:
        """What was read last of these, with the newest event that there was then."""
        with self._lock:
            return {id_: self._found[id_] for id_ in ids if id_ in self._found}

    def drop(self, ids: Iterable[int]) -> None:
        """Forget these."""
        with self._lock:
            for id_ in ids:
                self._found.pop(id_, None)

    def add(self, newest: Mapping[int, Newest], read: Mapping[int, T]) -> None:
        """Keep what was read; the oldest goes where there is too much."""
        with self._lock:
            for id_, value in read.items():
                self._found.pop(id_, None)
                self._found[id_] = newest[id_], value
            while len(self._found) > self._most:
                del self._found[next(iter(self._found))]
