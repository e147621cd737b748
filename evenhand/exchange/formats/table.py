"""A table of trials, one a row: CSV or Parquet, as Optuna, MLflow and W&B export them, or a plain one.

What each column is taken for follows from its name by the rules below (docs/opening.md shows them), and is said.
"""

import ast
import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from evenhand.analysis import trial_frame
from evenhand.errors import InvalidSettings
from evenhand.exchange.formats import metrics, spaces
from evenhand.exchange.formats.base import ForeignRun, ForeignTrial, Losses, Source, Wanted
from evenhand.model.direction import known_direction
from evenhand.model.extras import require
from evenhand.model.trial import Outcome, Stopper
from evenhand.model.words import free_name

NAME = "table"
WORDS = "a table of trials in CSV or Parquet: of Optuna, MLflow or W&B, or a plain one"
TOOL = "table"
PARQUET_START = b"PAR1"
SEPARATORS = ",;\t"
MOST_OPTIONS = 100  # different texts in a column without a prefix that is a hyperparameter unasked
FIRST_ROW_LINE = 2  # of a CSV, after the line of names
MILLISECONDS_FROM = 1e11  # numbers from here on are times in milliseconds since 1970, smaller ones in seconds


class Role(StrEnum):
    """What a column is taken for."""

    PARAMETER = "hyperparameter"
    METRIC = "metric"
    ATTRIBUTE = "further number"
    LABEL = "name of the trial"
    STATE = "how the trial ended"
    STARTED = "when it started"
    ENDED = "when it ended"
    DURATION = "how long it took"
    NOTE = "note"
    INDEX = "number of the row"
    LEFT_OUT = "nothing: left out"


# What a column's name begins with; the rest is the name here. Optuna's, MLflow's, W&B's, Ray's.
PREFIXES: Mapping[str, Role] = {
    "params_": Role.PARAMETER,
    "params.": Role.PARAMETER,
    "config.": Role.PARAMETER,
    "config/": Role.PARAMETER,
    "metrics.": Role.METRIC,
    "summary.": Role.METRIC,
    "values_": Role.METRIC,
    "user_attrs_": Role.ATTRIBUTE,
    "system_attrs_": Role.LEFT_OUT,
    "tags.": Role.LEFT_OUT,
}
NAMES: Mapping[str, Role] = {
    **dict.fromkeys(("", "unnamed: 0", "index"), Role.INDEX),
    **dict.fromkeys(
        ("number", "trial", "trial number", "trial_number", "trial_id", "run_id", "run id", "id", "name", "run_name"), Role.LABEL
    ),
    **dict.fromkeys(("state", "status", "outcome"), Role.STATE),
    **dict.fromkeys(("datetime_start", "start_time", "start time", "started", "started_at", "created"), Role.STARTED),
    **dict.fromkeys(("datetime_complete", "end_time", "end time", "ended", "ended_at", "finished_at"), Role.ENDED),
    **dict.fromkeys(("duration", "runtime", "seconds"), Role.DURATION),
    **dict.fromkeys(("notes", "note", "explanation"), Role.NOTE),
    **dict.fromkeys(("value", "objective", "score"), Role.METRIC),
    **dict.fromkeys(
        ("experiment_id", "artifact_uri", "user", "tags", "sweep", "source type", "source name", "hostname"), Role.LEFT_OUT
    ),
}
# The facts that `evenhand export` writes of a trial, in its order.
OWN_FACTS: Mapping[str, Role] = {
    **dict.fromkeys(trial_frame.FACTS, Role.LEFT_OUT),
    "value": Role.METRIC,
    "outcome": Role.STATE,
    "epochs": Role.ATTRIBUTE,
    "seconds": Role.DURATION,
    "explanation": Role.NOTE,
}
STATES: Mapping[str, tuple[Outcome | None, Stopper | None]] = {
    **dict.fromkeys(
        ("complete", "completed", "finished", "success", "succeeded", "done", "terminated"), (Outcome.COMPLETED, None)
    ),
    **dict.fromkeys(("pruned", "stopped"), (Outcome.STOPPED, Stopper.RULE)),
    "killed": (Outcome.STOPPED, Stopper.RESEARCHER),
    **dict.fromkeys(("fail", "failed", "error", "crashed", "invalid"), (Outcome.INVALID, None)),
    "diverged": (Outcome.DIVERGED, None),
    **dict.fromkeys(("running", "waiting", "pending", "scheduled", "queued"), (None, None)),
}
# The columns of what W&B's guide has people write: dictionaries as Python shows them.
WANDB_COLUMNS = frozenset(("summary", "config", "name"))
WANDB_OWN = "_"  # what the names begin with that W&B itself keeps in a summary


@dataclass(frozen=True)
class _Column:
    """A column: its name in the file, what it is taken for, its name here, and its cells, None where there is none."""

    name: str
    role: Role
    short: str
    cells: Sequence[Any]


def holds(source: Source) -> bool:
    """Whether it is such a table: Parquet, or lines of text with a separator in the first."""
    if source.head.startswith(PARQUET_START):
        return True
    if not source.head or b"\0" in source.head or source.head.lstrip()[:1] in (b"{", b"[", b"<"):
        return False
    first = source.head.partition(b"\n")[0]
    return any(separator.encode() in first for separator in SEPARATORS)


def names(source: Source) -> list[str]:
    """The one run that it is."""
    assert source.path is not None
    return [source.path.stem]


def read(source: Source, name: str, wanted: Wanted) -> ForeignRun:
    """The run."""
    return replace(of_cells(source.shown, name, _cells(source), wanted), dated=source.dated)


def of_cells(shown: str, name: str, cells: Mapping[str, Sequence[Any]], wanted: Wanted) -> ForeignRun:
    """The run of a table's columns.

    Args:
        shown: what the table is called in errors.
        name: of the run.
        cells: of each column by its name; None where there is none.
        wanted: what its names do not say.

    Returns:
        The run; a row is a trial.
    """
    losses = Losses()
    if cells.keys() >= WANDB_COLUMNS:
        cells = _unfolded(shown, cells)
    if not cells or not any(map(len, cells.values())):
        raise InvalidSettings(f"{shown}: has no row; expected one a trial below the line of names")
    columns = _placed(shown, cells, wanted, losses)
    count = len(next(iter(cells.values())))
    of_metrics = {column.short: column.cells for column in columns if column.role is Role.METRIC}
    metric, words = metrics.chosen(shown, of_metrics, _short(wanted, columns))
    parameters = [column for column in columns if column.role is Role.PARAMETER]
    rows = [
        {column.short: column.cells[place] for column in parameters if column.cells[place] is not None} for place in range(count)
    ]
    domains, values = spaces.tried(rows, losses)
    further = {column.short: column.cells for column in columns if column.role in (Role.METRIC, Role.ATTRIBUTE)}
    del further[metric.name]
    reader = _Rows(columns, of_metrics[metric.name], further, losses)
    return ForeignRun(
        name=name,
        format=NAME,
        metrics=(metric,),
        direction_words=words,
        domains=domains,
        trials=[reader.trial(place, row) for place, row in enumerate(values)],
        losses=losses,
        tuner=TOOL,
        tool=TOOL,
        taken={column.name or "(no name)": _taken(column, metric.name) for column in columns},
    )


def _taken(column: _Column, metric: str) -> str:
    if column.role is Role.METRIC and column.short != metric:
        return f"further metric {column.short}"
    named = (Role.PARAMETER, Role.METRIC, Role.ATTRIBUTE)
    return f"{column.role} {column.short}" if column.role in named else str(column.role)


def _short(wanted: Wanted, columns: Sequence[_Column]) -> Wanted:
    """What is wanted, with the metric's name here where it is said by its column's."""
    short = next((one.short for one in columns if one.role is Role.METRIC and one.name == wanted.metric), wanted.metric)
    return Wanted(metric=short, direction=wanted.direction)


# Cells


def _cells(source: Source) -> dict[str, list[Any]]:
    assert source.path is not None
    if source.head.startswith(PARQUET_START):
        return _of_parquet(source.path)
    return _of_csv(source)


def _of_parquet(path: Path) -> dict[str, list[Any]]:
    parquet = require("pyarrow.parquet", "Parquet (unlike CSV)")
    try:
        table = parquet.read_table(path)
    except (OSError, ValueError) as error:
        raise InvalidSettings(f"{path}: cannot be read as Parquet ({error})") from None
    cells: dict[str, list[Any]] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        cells[free_name(name, cells)] = [None if _is_nan(value) else value for value in column.to_pylist()]
    return cells


def _is_nan(value: object) -> bool:
    return isinstance(value, float) and math.isnan(value)


def _of_csv(source: Source) -> dict[str, list[Any]]:
    """The columns of a CSV: numbers or truths where all their cells are."""
    assert source.path is not None
    first = source.head.decode("utf-8-sig", "replace").partition("\n")[0]
    separator = max(SEPARATORS, key=first.count)
    texts: list[list[str | None]] = []
    try:
        with source.path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(file, delimiter=separator)
            header = next(lines)
            texts = [[] for _ in header]
            for row in lines:
                if not row:
                    continue
                if len(row) != len(header):
                    raise InvalidSettings(
                        f"{source.shown}: line {lines.line_num} has {len(row)} cells, expected {len(header)}, as the first has"
                    )
                for column, text in zip(texts, row, strict=True):
                    column.append(text)
    except UnicodeDecodeError as error:
        raise InvalidSettings(f"{source.shown}: is not in UTF-8 ({error.reason} at byte {error.start}); save it so") from None
    except (csv.Error, OSError) as error:
        raise InvalidSettings(f"{source.shown}: cannot be read ({error})") from None
    cells: dict[str, list[Any]] = {}
    for name, column in zip(header, texts, strict=True):
        cells[free_name(name.strip(), cells)] = spaces.typed_texts(column)
    return cells


def _unfolded(shown: str, cells: Mapping[str, Sequence[Any]]) -> dict[str, list[Any]]:
    """W&B's dictionaries as columns `config.NAME` and `summary.NAME`."""
    count = len(cells["config"])
    unfolded: dict[str, list[Any]] = {name: list(column) for name, column in cells.items() if name not in ("config", "summary")}
    for kind in ("config", "summary"):
        for place, text in enumerate(cells[kind]):
            try:
                read = {} if text is None else text if isinstance(text, Mapping) else literal(str(text))
                flat = spaces.flattened(read)
            except (ValueError, AttributeError):
                words = f"its {kind} is {str(text)[:60]!r}, expected a dictionary as Python or JSON has it"
                raise InvalidSettings(f"{shown}: row {place + 1}: {words}") from None
            for key, value in flat.items():
                if not (kind == "summary" and key.startswith(WANDB_OWN)):
                    unfolded.setdefault(f"{kind}.{key}", [None] * count)[place] = value
    return unfolded


def literal(text: str) -> Any:
    """What Python or JSON writes so, with nan and inf; nothing is run. ValueError for anything else."""
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return _value(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError, MemoryError):
        raise ValueError from None


def _value(node: ast.AST) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id="nan" | "inf" as word):
            return float(word)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value = _value(operand)
            if isinstance(value, int | float):
                return -value
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return [_value(part) for part in parts]
        case ast.Dict(keys=keys, values=values):
            return {str(_value(key)): _value(value) for key, value in zip(keys, values, strict=True) if key is not None}
    raise ValueError


# Roles


def _placed(shown: str, cells: Mapping[str, Sequence[Any]], wanted: Wanted, losses: Losses) -> list[_Column]:
    """What each column is taken for. Of one role, such as a state, the first column is; the others are left out."""
    if missing := [name for name in wanted.parameters if name not in cells]:
        raise InvalidSettings(f"{shown}: has no column {missing[0]!r}; expected some of {', '.join(cells)}")
    has_prefix = any(PREFIXES[prefix] is Role.PARAMETER for name in cells for prefix in PREFIXES if name.startswith(prefix))
    is_closed = has_prefix or bool(wanted.parameters)
    own = {} if wanted.parameters or wanted.metric else _own_roles(list(cells))
    columns: list[_Column] = []
    taken: set[Role] = set()
    for name, column in cells.items():
        role, short = (own[name], name) if name in own else _role(name, column, wanted, is_closed)
        if role in (Role.STATE, Role.STARTED, Role.ENDED, Role.DURATION, Role.LABEL, Role.NOTE):
            if role in taken:
                role = Role.LEFT_OUT
            taken.add(role)
        if role in (Role.METRIC, Role.ATTRIBUTE) and not _is_of_numbers(column):
            role = Role.LEFT_OUT
        if role is Role.LEFT_OUT and (example := next((cell for cell in column if cell is not None), None)) is not None:
            losses.note(f"column {name!r} is left out", example)
        columns.append(_Column(name, role, short, column))
    return columns


def _own_roles(names: Sequence[str]) -> Mapping[str, Role]:
    """What the columns of a table are that `evenhand export` wrote; empty of another one.

    There the number comes first, then the hyperparameters, the facts in their order, and further metrics.
    """
    plain = [name.rstrip("_") for name in names]  # a fact whose name a hyperparameter has carries an underscore
    count = len(OWN_FACTS)
    first = next((at for at in range(1, len(names)) if plain[at : at + count] == list(OWN_FACTS)), None)
    if first is None:
        return {}
    return {
        names[0]: Role.LABEL,
        **dict.fromkeys(names[1:first], Role.PARAMETER),
        **dict(zip(names[first : first + count], OWN_FACTS.values(), strict=True)),
        **dict.fromkeys(names[first + count :], Role.ATTRIBUTE),
    }


def _role(name: str, cells: Sequence[Any], wanted: Wanted, is_closed: bool) -> tuple[Role, str]:
    """is_closed: whether all hyperparameters are said, by prefixes or by name."""
    prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix) and name != prefix), "")
    short = name.removeprefix(prefix)
    if name in wanted.parameters:
        return Role.PARAMETER, short
    if name == wanted.metric:
        return Role.METRIC, short
    if prefix:
        role = PREFIXES[prefix]
        return (Role.LEFT_OUT, name) if wanted.parameters and role is Role.PARAMETER else (role, short)
    if (known := NAMES.get(name.lower())) is not None:
        return known, name
    if _is_of_numbers(cells) and known_direction(name) is not None:
        return Role.METRIC, name
    if is_closed or not any(cell is not None for cell in cells):
        return Role.LEFT_OUT, name
    is_text = any(isinstance(cell, str) for cell in cells)
    return (Role.LEFT_OUT if is_text and len(set(map(str, cells))) > MOST_OPTIONS else Role.PARAMETER), name


def _is_of_numbers(cells: Sequence[Any]) -> bool:
    there = [cell for cell in cells if cell is not None]
    return bool(there) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in there)


# Rows


class _Rows:
    """Makes trials of rows."""

    def __init__(
        self, columns: Sequence[_Column], metric: Sequence[Any], further: Mapping[str, Sequence[Any]], losses: Losses
    ) -> None:
        self._of = {column.role: column.cells for column in reversed(columns)}
        self._metric, self._further, self._losses = metric, further, losses

    def _cell(self, role: Role, place: int) -> Any:
        return self._of[role][place] if role in self._of else None

    def trial(self, place: int, values: spaces.Row) -> ForeignTrial:
        """The trial of a row."""
        label = self._cell(Role.LABEL, place)
        value = self._metric[place]
        outcome, by = self._outcome(place, value)
        started, ended = self._time(Role.STARTED, place), self._time(Role.ENDED, place)
        if ended is None and started is not None and (seconds := self._seconds(place)) is not None:
            ended = started + seconds
        return ForeignTrial(
            number=place + 1,
            label=str(place + 1 if label is None else label),
            values=values,
            outcome=outcome,
            value=None if value is None else float(value),
            further={name: float(cells[place]) for name, cells in self._further.items() if cells[place] is not None},
            why="its table gives no reason" if outcome is Outcome.INVALID else None,
            stop_by=by,
            started=started,
            ended=ended,
            explanation=str(self._cell(Role.NOTE, place) or ""),
        )

    def _outcome(self, place: int, value: float | None) -> tuple[Outcome | None, Stopper | None]:
        state = self._cell(Role.STATE, place)
        if state is None:
            return (Outcome.COMPLETED if value is not None else Outcome.INVALID), None
        word = str(state).lower().rpartition(".")[2]  # also as Python shows a member of an enumeration
        if word not in STATES:
            self._losses.note("the state of {trials} is not known; they count as completed", state)
            return Outcome.COMPLETED, None
        return STATES[word]

    def _time(self, role: Role, place: int) -> float | None:
        cell = self._cell(role, place)
        if cell is None:
            return None
        try:
            return time_of(cell)
        except ValueError:
            self._losses.note("{count} times are in no form that is known, and left out", cell)
            return None

    def _seconds(self, place: int) -> float | None:
        cell = self._cell(Role.DURATION, place)
        return float(cell) if isinstance(cell, int | float) and math.isfinite(cell) else None


def time_of(cell: Any) -> float:
    """A time in seconds since 1970, of ISO 8601 or a number; one without a zone is of this machine's. ValueError for others."""
    if isinstance(cell, datetime):
        return cell.timestamp()
    if isinstance(cell, date | bool):
        raise ValueError
    if isinstance(cell, int | float):
        if not math.isfinite(cell):
            raise ValueError
        return cell / 1000 if cell >= MILLISECONDS_FROM else float(cell)
    return datetime.fromisoformat(str(cell).strip()).timestamp()
