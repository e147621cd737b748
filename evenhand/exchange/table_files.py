"""Tables as CSV, JSON lines or Parquet, written and read back a piece at a time by the codebook's columns.

Floats keep every digit. In CSV a missing value is empty, a truth `true` or `false`, and JSON is in its own text. CSV for
spreadsheets is written only: what a person typed could be a formula there, so it is made text.
"""

import codecs
import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, Protocol

from evenhand.errors import InvalidSettings
from evenhand.exchange.codebook import FORMATS, TABLES, Column, Kind, Row
from evenhand.model.extras import require
from evenhand.model.files import bounded_lines
from evenhand.model.spreadsheets import without_formula

GROUP_ROWS = 10_000  # rows of one group of Parquet


class Sink(Protocol):
    """What can be written to."""

    def write(self, data: bytes, /) -> object:
        """Take these bytes."""


class Writer(Protocol):
    """A table that is written."""

    def write(self, rows: Sequence[Row]) -> None:
        """Write these rows."""

    def close(self) -> None:
        """Write what is left."""


def writer(table: str, form: str, sink: Sink) -> Writer:
    """A writer of a table of the codebook in one of the formats; PackageMissing where it needs one that is missing."""
    kinds: Mapping[str, Callable[[Sequence[Column], Sink], Writer]] = {
        "csv": _Csv,
        "jsonl": _Lines,
        "parquet": _Parquet,
        "spreadsheet": _Spreadsheet,
    }
    if form not in kinds:
        raise InvalidSettings(f"format {form!r}: expected one of {', '.join(FORMATS)}")
    return kinds[form](TABLES[table], sink)


def read(columns: Sequence[Column], form: str, source: IO[bytes], name: str) -> Iterator[Row]:
    """The rows of a table's file with these columns; InvalidSettings with its name, the line and the reason where one is none."""
    kinds = {"csv": _csv_rows, "jsonl": _line_rows, "parquet": _parquet_rows}
    yield from kinds[form](columns, source, name)


def cell(kind: Kind, value: Any) -> Any:
    """A value as its column holds it: a float for a number, text that UTF-8 can write."""
    if value is None:
        return None
    if kind == "number":
        return float(value)
    if kind == "text":
        return str(value).encode("utf-8", "replace").decode()
    return value


# CSV


class _Csv:
    def __init__(self, columns: Sequence[Column], sink: Sink) -> None:
        self._columns, self._sink = columns, sink
        self._put([[column.name for column in columns]])

    def write(self, rows: Sequence[Row]) -> None:
        self._put([[_as_text(column.kind, row[column.name]) for column in self._columns] for row in rows])

    def _put(self, rows: Sequence[Sequence[str]]) -> None:
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        self._sink.write(text.getvalue().encode())

    def close(self) -> None:
        """All is written."""


class _Spreadsheet(_Csv):
    """CSV that says it is UTF-8, in which nothing is a formula."""

    def __init__(self, columns: Sequence[Column], sink: Sink) -> None:
        sink.write(codecs.BOM_UTF8)
        super().__init__(columns, sink)

    def _put(self, rows: Sequence[Sequence[str]]) -> None:
        super()._put([[without_formula(text) for text in row] for row in rows])


def _as_text(kind: Kind, value: Any) -> str:
    value = cell(kind, value)
    if value is None:
        return ""
    if kind == "number":
        return repr(value)
    if kind == "truth":
        return "true" if value else "false"
    return _json(value) if kind == "json" else str(value)


def _csv_rows(columns: Sequence[Column], source: IO[bytes], name: str) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)
    lines = csv.reader(line.decode() for line in bounded_lines(source, name))
    try:
        _check_columns(next(lines, []), columns, name)
        for number, line in enumerate(lines, 1):
            if len(line) != len(columns):
                raise InvalidSettings(f"{name}, row {number}: {len(line)} fields, expected {len(columns)}")
            yield {column.name: _from_text(column, text, name, number) for column, text in zip(columns, line, strict=True)}
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidSettings(f"{name}: not CSV in UTF-8 ({error})") from error


def _from_text(column: Column, text: str, name: str, number: int) -> Any:
    if text == "" and (column.optional or column.kind != "text"):
        return _checked(column, None, name, number)
    try:
        value = _READ[column.kind](text)
    except (ValueError, KeyError, RecursionError):
        value = text if column.kind != "text" else None
    return _checked(column, value, name, number)


_READ: Mapping[Kind, Callable[[str], Any]] = {
    "integer": int,
    "number": float,
    "text": str,
    "truth": lambda text: {"true": True, "false": False}[text],
    "json": json.loads,
}


# JSON lines


class _Lines:
    def __init__(self, columns: Sequence[Column], sink: Sink) -> None:
        self._columns, self._sink = columns, sink

    def write(self, rows: Sequence[Row]) -> None:
        records = ({column.name: _plain(column.kind, row[column.name]) for column in self._columns} for row in rows)
        self._sink.write("".join(f"{_json(record)}\n" for record in records).encode())

    def close(self) -> None:
        """All is written."""


def _plain(kind: Kind, value: Any) -> Any:
    """JSON has no infinity: such a number is its name."""
    value = cell(kind, value)
    return repr(value) if kind == "number" and value is not None and not math.isfinite(value) else value


def _line_rows(columns: Sequence[Column], source: IO[bytes], name: str) -> Iterator[Row]:
    for number, line in enumerate(bounded_lines(source, name), 1):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InvalidSettings(f"{name}, row {number}: not JSON ({error})") from error
        if not isinstance(record, dict):
            raise InvalidSettings(f"{name}, row {number}: expected an object")
        _check_columns(list(record), columns, f"{name}, row {number}")
        yield {column.name: _checked(column, _number(column.kind, record[column.name]), name, number) for column in columns}


def _number(kind: Kind, value: Any) -> Any:
    if kind == "number" and value in ("inf", "-inf", "nan"):
        return float(value)
    return float(value) if kind == "number" and isinstance(value, int) and not isinstance(value, bool) else value


# Parquet


class _Parquet:
    def __init__(self, columns: Sequence[Column], sink: Sink) -> None:
        self._pa, parquet = _pyarrow()
        self._columns, self._rows = columns, list[Row]()
        types = {"integer": self._pa.int64(), "number": self._pa.float64(), "truth": self._pa.bool_()}
        self._schema = self._pa.schema([(column.name, types.get(column.kind, self._pa.string())) for column in columns])
        self._out = parquet.ParquetWriter(self._pa.PythonFile(_Counted(sink), "w"), self._schema)

    def write(self, rows: Sequence[Row]) -> None:
        self._rows += rows
        while len(self._rows) >= GROUP_ROWS:
            self._put(self._rows[:GROUP_ROWS])
            del self._rows[:GROUP_ROWS]

    def _put(self, rows: Sequence[Row]) -> None:
        columns = [
            self._pa.array([_in_parquet(column.kind, row[column.name]) for row in rows], field.type)
            for column, field in zip(self._columns, self._schema, strict=True)
        ]
        self._out.write_table(self._pa.Table.from_arrays(columns, schema=self._schema))

    def close(self) -> None:
        """Write the last group and the footer."""
        if self._rows:
            self._put(self._rows)
        self._rows = []
        self._out.close()


class _Counted:
    """A sink as the file that Parquet asks for: it is asked where it is, never to go back."""

    closed = False

    def __init__(self, sink: Sink) -> None:
        self._sink, self._at = sink, 0

    def write(self, data: Any) -> int:
        content = bytes(data)
        self._sink.write(content)
        self._at += len(content)
        return len(content)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """The sink is closed by who opened it."""

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def _in_parquet(kind: Kind, value: Any) -> Any:
    value = cell(kind, value)
    return _json(value) if kind == "json" and value is not None else value


def _parquet_rows(columns: Sequence[Column], source: IO[bytes], name: str) -> Iterator[Row]:
    pa, parquet = _pyarrow()
    try:
        file = parquet.ParquetFile(source)
        _check_columns(file.schema_arrow.names, columns, name)
        number = 0
        for batch in file.iter_batches(GROUP_ROWS):
            for record in batch.to_pylist():
                number += 1
                row = {column.name: _from_parquet(column, record[column.name], name, number) for column in columns}
                yield row
    except (pa.ArrowException, OSError, ValueError, KeyError) as error:
        raise InvalidSettings(f"{name}: not Parquet, or damaged ({error})") from error


def _from_parquet(column: Column, value: Any, name: str, number: int) -> Any:
    if column.kind == "json" and isinstance(value, str):
        return _from_text(column, value, name, number)
    return _checked(column, value, name, number)


def _pyarrow() -> tuple[Any, Any]:
    purpose = "Parquet (unlike the formats csv and jsonl)"
    return require("pyarrow", purpose), require("pyarrow.parquet", purpose)


# What every format shares


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace").decode()


def _check_columns(names: Sequence[str], columns: Sequence[Column], name: str) -> None:
    missing = [column.name for column in columns if column.name not in names]
    if missing:
        raise InvalidSettings(
            f"{name}: column {missing[0]!r} is missing; expected {', '.join(column.name for column in columns)}"
        )
    if list(names) != [column.name for column in columns]:
        raise InvalidSettings(f"{name}: columns {', '.join(names)}; expected {', '.join(column.name for column in columns)}")


_TYPES: Mapping[Kind, tuple[type, ...]] = {
    "integer": (int,),
    "number": (float,),
    "text": (str,),
    "truth": (bool,),
    "json": (dict, list, str, int, float),
}


def _checked(column: Column, value: Any, name: str, number: int) -> Any:
    if value is None or (value == "" and column.kind == "text" and column.optional):
        if column.optional:
            return None
        raise InvalidSettings(f"{name}, row {number}: {column.name} is empty; expected a value ({column.kind})")
    if not isinstance(value, _TYPES[column.kind]) or (isinstance(value, bool) and column.kind != "truth"):
        raise InvalidSettings(f"{name}, row {number}: {column.name} is {str(value)[:60]!r}; expected a value ({column.kind})")
    return value
