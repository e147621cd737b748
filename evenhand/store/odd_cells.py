"""Cells that hold what their column should not: text that is no UTF-8, bytes in a text, JSON that nobody can read.

SQLite stores anything anywhere, and another program may have written to the file. Such a cell is read as the closest value that
its column may hold, and noted beside it byte for byte, so that one row never stops all the others.
"""

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Connection,
    Double,
    Executable,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    cast,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType

from evenhand.model.whole_text import whole_json

Kind = Literal["text", "blob", "integer", "real"]
Row = Mapping[str, Any]
MOST_NESTED = 100  # levels of JSON: readers run out of room at some hundreds


@dataclass(frozen=True)
class OddCell:
    """One cell as the database holds it. row: counts from 1 in the order of the table's key. exact: a text's or blob's bytes."""

    row: int
    column: str
    kind: Kind
    exact: bytes | int | float

    def to_json(self) -> dict[str, Any]:
        """As a backup has it."""
        data = self.exact if isinstance(self.exact, bytes) else repr(self.exact).encode()
        return {"row": self.row, "column": self.column, "kind": self.kind, "base64": b64encode(data).decode()}

    @classmethod
    def from_json(cls, given: Row) -> "OddCell":
        """From what a backup has; KeyError, TypeError or ValueError where it is none."""
        data, kind = b64decode(given["base64"], validate=True), given["kind"]
        if kind not in get_args(Kind):
            raise ValueError(f"kind {kind!r}, expected one of {', '.join(get_args(Kind))}")
        exact = data if kind in ("text", "blob") else int(data) if kind == "integer" else float(data)
        return cls(given["row"], given["column"], kind, exact)

    def written(self) -> ColumnElement[Any]:
        """What an INSERT puts into the cell of SQLite."""
        if isinstance(self.exact, bytes):
            data = literal(self.exact, LargeBinary)
            return cast(data, Text) if self.kind == "text" else data
        return literal(self.exact, BigInteger if self.kind == "integer" else Double)


class NoText(bytes):
    """The bytes of a text that is no UTF-8."""


def closest_text(cell: str | bytes) -> str:
    """A text that differs where the cells do: what is no UTF-8, and a zero, are written like `\\xff`."""
    text = cell if isinstance(cell, str) else cell.decode(errors="backslashreplace")
    return text.replace("\0", "\\x00")


@contextmanager
def any_text(tx: Connection) -> Iterator[None]:
    """Within it, text of SQLite that is no UTF-8 is read as `NoText`; else the driver gives up the whole query."""
    if tx.dialect.name != "sqlite":
        yield
        return
    driver: Any = tx.connection.driver_connection
    before, driver.text_factory = driver.text_factory, _text
    try:
        yield
    finally:
        driver.text_factory = before


def _text(data: bytes) -> str | NoText:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return NoText(data)


def as_they_are(table: Table, dialect: str) -> Executable:
    """A table's cells in order of its key, as the driver gives them: nothing converts them. JSON comes as its text."""
    drawn = [
        cast(column, Text) if isinstance(column.type, JSON) and dialect == "postgresql" else column for column in table.columns
    ]
    named = [type_coerce(cell, NullType()).label(column.name) for cell, column in zip(drawn, table.columns, strict=True)]
    return select(*named).order_by(*table.primary_key)


def read(table: Table, number: int, cells: Sequence[Any], note: Callable[[OddCell], None]) -> dict[str, Any]:
    """A row of the closest values; what is odd in it is noted. number: the row's, from 1."""
    row: dict[str, Any] = {}
    for (name, value_of), cell in zip(_columns(table), cells, strict=True):
        if cell is None:
            row[name] = None
            continue
        row[name], is_odd = value_of(cell)
        if is_odd:
            note(_odd_cell(number, name, cell))
    return row


def closest(column: Column[Any], cell: Any) -> Any:
    """The closest value that a column may hold to a cell of it."""
    return None if cell is None else _reader(column)(cell)[0]


def _odd_cell(number: int, name: str, cell: Any) -> OddCell:
    if isinstance(cell, NoText):
        return OddCell(number, name, "text", bytes(cell))
    if isinstance(cell, bytes):
        return OddCell(number, name, "blob", cell)
    if isinstance(cell, str):
        return OddCell(number, name, "text", cell.encode())
    return OddCell(number, name, "integer" if isinstance(cell, int) else "real", cell)


# What a cell of a column is read as, and whether it is odd


_Reader = Callable[[Any], tuple[Any, bool]]


@lru_cache
def _columns(table: Table) -> tuple[tuple[str, _Reader], ...]:
    return tuple((column.name, _reader(column)) for column in table.columns)


def _reader(column: Column[Any]) -> _Reader:
    if isinstance(column.type, JSON):
        return _json_or_none if column.type.none_as_null else _json
    if isinstance(column.type, Boolean):
        return _truth
    if isinstance(column.type, String):
        return _string
    instead = None if column.nullable else 0
    if isinstance(column.type, Integer):
        return lambda cell: (cell, False) if isinstance(cell, int) else (_rounded(cell, instead), True)
    return lambda cell: (cell, False) if isinstance(cell, (float, int)) else (instead, True)


def _rounded(cell: Any, instead: int | None) -> int | None:
    return round(cell) if isinstance(cell, float) and math.isfinite(cell) else instead


def _truth(cell: Any) -> tuple[bool, bool]:
    return bool(cell) and isinstance(cell, (int, float)), not (isinstance(cell, int) and cell in (0, 1))


def _string(cell: Any) -> tuple[str, bool]:
    if isinstance(cell, str) and "\0" not in cell:
        return cell, False
    return closest_text(cell) if isinstance(cell, (str, bytes)) else str(cell), True


def _json_or_none(cell: Any) -> tuple[Any, bool]:
    value, is_odd = _json(cell)
    return value, is_odd or value is None  # JSON's null, where the column says the same by having nothing


def _json(cell: Any) -> tuple[Any, bool]:
    if isinstance(cell, str):
        return _json_of(cell)
    if isinstance(cell, bytes):
        return closest_text(cell), True
    return (cell, False) if math.isfinite(cell) else (None, True)


def _json_of(text: str) -> tuple[Any, bool]:
    try:
        mended = whole_json(text) if "\\ud" in text or "\\u0000" in text else text
        value = msgspec.json.decode(mended)
        if text.count("[") + text.count("{") > MOST_NESTED and _is_deep(value):
            return closest_text(text), True
        return value, mended != text
    except (msgspec.MsgspecError, RecursionError):
        return _json_of_python(text), True


def _json_of_python(text: str) -> Any:
    """JSON with numbers that are none, which Python writes: each is None. Else the text."""
    try:
        value = json.loads(whole_json(text), parse_constant=lambda _: None, parse_float=_finite)
        return closest_text(text) if _is_deep(value) else value
    except (ValueError, RecursionError):
        return closest_text(text)


def _finite(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _is_deep(value: Any) -> bool:
    """Whether there are more levels of lists and mappings, one within the other, than every reader takes."""
    level = [value]
    for _ in range(MOST_NESTED):
        wholes = [part for part in level if isinstance(part, (dict, list))]
        level = [part for whole in wholes for part in (whole.values() if isinstance(whole, dict) else whole)]
    return any(isinstance(part, (dict, list)) for part in level)
