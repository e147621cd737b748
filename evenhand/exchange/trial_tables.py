"""A run's trials as a table in a file, for other programs: CSV or Parquet. The columns are those of `analysis.trial_frame`.

Where scores on its test data were seen before some of its trials, a last column says before which.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evenhand.analysis.seen_before import SeenBefore
from evenhand.analysis.trial_frame import CellKind, TableColumn, columns_of, rows_of
from evenhand.errors import InvalidSettings
from evenhand.model.extras import require
from evenhand.model.session import Session
from evenhand.model.words import free_name

INDEX = "number"  # the column of the trials' numbers
SEEN = "test_seen_before"  # the column that says whether a score on the test data had been seen when a trial was proposed
SEEN_KEY = b"evenhand.test_seen_before"  # of Parquet's metadata: the same in words, of the whole run
GROUP_ROWS = 10_000  # rows that Parquet holds in one group
FORMAT_OF_ENDING: Mapping[str, str] = {".csv": "csv", ".parquet": "parquet"}


def format_of(path: Path, wanted: str | None = None) -> str:
    """The format of a file: the one that is wanted, else what its ending says; InvalidSettings where it says none."""
    form = wanted or FORMAT_OF_ENDING.get(path.suffix.lower(), "")
    if form not in FORMAT_OF_ENDING.values():
        raise InvalidSettings(f"{str(path)!r}: expected a file that ends in {' or '.join(FORMAT_OF_ENDING)}, or --format optuna")
    return form


def write(session: Session, path: Path, form: str, seen: SeenBefore | None = None) -> int:
    """Write a run's trials, whole or not at all; how many.

    Args:
        session: the run.
        path: the file; one that is there is replaced.
        form: "csv" or "parquet".
        seen: looks at scores on its test data before its trials.

    Returns:
        The number of rows.

    Raises:
        PackageMissing: Parquet is wanted, and pyarrow is not installed.
        InvalidSettings: the file cannot be written.
    """
    if form == "parquet":
        require("pyarrow.parquet", "a table in Parquet")  # before anything is written
    part = path.with_name(f".{path.name}.part")
    try:
        (_write_parquet if form == "parquet" else _write_csv)(session, part, seen)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InvalidSettings(f"{str(path)!r} cannot be written ({error.strerror}); name another place") from error
    return len(session.trials)


def _columns(session: Session, seen: SeenBefore | None) -> list[TableColumn]:
    own = columns_of(session)
    names = [column.name for column in own]
    last = [TableColumn(free_name(SEEN, names), "truth")] if seen is not None else []
    return [TableColumn(free_name(INDEX, names), "integer"), *own, *last]


def _rows(session: Session, seen: SeenBefore | None) -> Iterator[Sequence[Any]]:
    for trial, row in zip(session.trials, rows_of(session), strict=True):
        yield [trial.number, *row, *(() if seen is None else (seen.concerns(trial.submitted_at),))]


def csv_text(session: Session, seen: SeenBefore | None = None) -> str:
    """The table as CSV: floats keep every digit, a missing value is empty, truths are true and false, tuples are JSON.

    seen: as in `write`.
    """
    text = io.StringIO()
    columns = _columns(session, seen)
    writer = csv.writer(text)
    writer.writerow([column.name for column in columns])
    writer.writerows([_as_text(value) for value in row] for row in _rows(session, seen))
    return text.getvalue()


def _write_csv(session: Session, path: Path, seen: SeenBefore | None) -> None:
    path.write_text(csv_text(session, seen), encoding="utf-8", errors="replace", newline="")


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value) if isinstance(value, list | tuple) else str(value)


def _write_parquet(session: Session, path: Path, seen: SeenBefore | None) -> None:
    pyarrow, parquet = require("pyarrow", "a table in Parquet"), require("pyarrow.parquet", "a table in Parquet")
    types: dict[CellKind, Any] = {
        "number": pyarrow.float64(),
        "integer": pyarrow.int64(),
        "truth": pyarrow.bool_(),
        "text": pyarrow.string(),
        "value": pyarrow.string(),
    }
    columns = _columns(session, seen)
    cells: list[list[Any]] = [[] for _ in columns]
    for row in _rows(session, seen):
        for place, (column, value) in enumerate(zip(columns, row, strict=True)):
            cells[place].append(_as_cell(column.kind, value))
    arrays = [pyarrow.array(values, types[column.kind]) for column, values in zip(columns, cells, strict=True)]
    table = pyarrow.table(arrays, names=[column.name for column in columns])
    if seen is not None:
        table = table.replace_schema_metadata({SEEN_KEY: seen.words.encode()})
    parquet.write_table(table, path, row_group_size=GROUP_ROWS)


def _as_cell(kind: CellKind, value: Any) -> Any:
    if value is None:
        return None
    if kind == "number":
        return float(value)
    if kind == "text":
        return str(value).encode("utf-8", "replace").decode()
    return _as_text(value) if kind == "value" else value
