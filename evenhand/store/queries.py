"""Queries that are made once."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, bindparam


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
