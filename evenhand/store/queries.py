"""Queries that are made once, and what they gave as long as it holds."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, bindparam

T = TypeVar("T")
Newest = tuple[int | None, float | None]  # an event's id and time; of a thing without events, None
KEPT = "evenhand.kept"  # where a connection's info has what was read of sessions


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
            found = {id_: self._found[id_] for id_ in newest if id_ in self._found}
        return {id_: value for id_, (event, value) in found.items() if event == newest[id_]}

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
