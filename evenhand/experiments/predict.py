"""`predict`: a final model on a new table, whose columns are checked first."""

import csv
import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

from evenhand import tasks
from evenhand.errors import DataError, InvalidSettings, NotFound, Refused, TaskMissing
from evenhand.experiments.final_models import CARD, CARD_FORMAT, PREDICTOR, default_folder, predictions
from evenhand.lab.lab import Lab
from evenhand.model.extras import require
from evenhand.model.files import check_file
from evenhand.model.task import TaskSpec
from evenhand.model.words import free_name, text_of
from evenhand.tasks import readers, versions

TRUE, FALSE = ("true", "1", "1.0", "yes"), ("false", "0", "0.0", "no")
SHOWN = 10  # names in an error


@dataclass(frozen=True)
class Table:
    """A CSV file. names: of its columns; None where its first row is numbers, too. rows: texts, without that header."""

    file: Path
    names: list[str] | None
    rows: list[list[str]]


@dataclass(frozen=True)
class Predicted:
    """What a final model says of a table.

    Attributes:
        table: what was read.
        values: one a row.
        unused: columns of the table that the model does not know, in order.
        left_out: those that it knows and does not use, since they number the rows.
    """

    table: Table
    values: Sequence[Any]
    unused: tuple[str, ...]
    left_out: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write the table with one more column, the predictions.

        Args:
            path: a CSV file; one that is there is replaced.

        Raises:
            InvalidSettings: it cannot be written.
        """
        try:
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file)
                if self.table.names is not None:
                    writer.writerow([*self.table.names, free_name("prediction", self.table.names)])
                writer.writerows([*row, value] for row, value in zip(self.table.rows, self.values, strict=True))
        except OSError as error:
            raise InvalidSettings(f"{path} cannot be written ({error.strerror}); name another place") from error


def predict(lab: Lab, model: str, file: Path, *, trust: bool = False) -> Predicted:
    """What a final model says of a new table.

    Args:
        lab: the laboratory; a predictor that it has not recorded is not read.
        model: the folder of a final model, or the number or name of a session.
        file: a CSV file; for a model of images an image, or a folder of them.
        trust: read the predictor of this folder, wherever it comes from: that runs code in it.

    Returns:
        One prediction a row.

    Raises:
        NotFound: there is no such model.
        Refused: its predictor is not of this laboratory, or there is none.
        DataError: the table, or a column of it, is not what the model takes.
    """
    folder = _folder_of(lab, model)
    card, checksum = _card_of(folder)
    predictor = _predictor(lab, folder, card, checksum, trust)
    size = card["data"].get("image size")
    table = read(file) if size is None else _images(file)
    unused: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    if size is not None:
        x = _pixels(table, size)
    elif card["columns"]:
        x, unused, left_out = _frame(table, card["columns"])
    else:
        x = _array(table, card["data"])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            predicted = predictions(predictor, x)
    except Exception as error:  # of whatever kind: it is the model's own code
        raise DataError(f"the model in {folder} cannot predict {file}: {text_of(error)}") from error
    names = card.get("classes")
    return Predicted(table, [names[value] for value in predicted] if names else predicted.tolist(), unused, left_out)


def _folder_of(lab: Lab, model: str) -> Path:
    if (Path(model) / CARD).is_file():
        return Path(model)
    if Path(model).is_dir():
        raise NotFound(f"the folder {model} holds no final model; expected one that evenhand finalize wrote")
    try:
        session = lab.sessions.called(f"#{model}" if model.isdecimal() else model)
    except NotFound:
        session = None
    if session is None:
        raise NotFound(f"there is neither a folder {model!r} nor a session of this name or number")
    folder = default_folder(session)
    if not (folder / CARD).is_file():
        raise NotFound(f"session {session.id} has no final model on this machine; evenhand finalize {model} makes it")
    return folder


def _card_of(folder: Path) -> tuple[dict[str, Any], str]:
    """The card of a final model, and its checksum."""
    try:
        content = (folder / CARD).read_bytes()
        card: dict[str, Any] = json.loads(content)
        if card["format"] != CARD_FORMAT:
            raise DataError(f"{folder / CARD} has format {card['format']!r}, expected {CARD_FORMAT}; use the newer Evenhand")
        _ = card["session"] + 0, card["files"].keys(), card["task"]["name"], card["data"].keys(), list(card["columns"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{folder / CARD} is no card of a final model ({text_of(error)})") from error
    return card, hashlib.sha256(content).hexdigest()


def _predictor(lab: Lab, folder: Path, card: Mapping[str, Any], checksum: str, trust: bool) -> Any:
    """What predicts, read where its card is recorded in the laboratory and has its checksum, or where it is trusted."""
    path = folder / PREDICTOR
    if not path.is_file():
        why = card.get("no predictor") or f"{PREDICTOR} is not there"
        raise Refused(f"the model in {folder} cannot predict: {why}")
    content = path.read_bytes()
    is_ours = card["files"].get(PREDICTOR) == hashlib.sha256(content).hexdigest()
    if not trust and not (is_ours and lab.sessions.has_model(card["session"], checksum)):
        raise Refused(
            f"the model in {folder} is not as this laboratory wrote it, if it did; reading it runs code that is in it. Where you "
            "trust the folder, add --trust"
        )
    if card["task"]["load first"]:
        task = tasks.load(TaskSpec(card["task"]["name"], card["task"]["settings"]))
        if why := versions.difference(card["task"]["version"], task.version):
            raise TaskMissing(f"the model in {folder} is of another version of task {card['task']['name']!r}: {why}")
    try:
        return import_module("joblib").load(BytesIO(content))
    except Exception as error:  # of whatever kind: unpickling runs code
        raise DataError(f"{path} cannot be read here: {text_of(error)}; its card lists the versions it was made with") from error


# Tables


def read(file: Path) -> Table:
    """A CSV file.

    Args:
        file: with a row for each example; the first row may name the columns.

    Returns:
        Its names and rows.

    Raises:
        DataError: it cannot be read, is empty, or rows have different lengths.
    """
    try:
        with check_file(file).open(newline="", encoding="utf-8-sig") as lines:
            rows = [row for row in csv.reader(lines) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file} cannot be read as CSV: {text_of(error)}") from error
    if not rows:
        raise DataError(f"{file} is empty, expected a CSV file with a row for each example")
    if uneven := next((number for number, row in enumerate(rows, 1) if len(row) != len(rows[0])), None):
        raise DataError(f"{file}: row {uneven} has {len(rows[uneven - 1])} fields, and the first one {len(rows[0])}")
    has_names = not all(map(_is_number, rows[0]))
    if has_names and len(rows) == 1:
        raise DataError(f"{file} has names of columns and no row, expected one for each example")
    return Table(file, rows[0] if has_names else None, rows[1:] if has_names else rows)


def _images(place: Path) -> Table:
    """An image, or those in a folder and the folders in it, as a table of their paths."""
    files = readers.files_below(place) if place.is_dir() else [place]
    images = [file for file in files if file.suffix.lower() in readers.SUFFIXES]
    if not images:
        raise DataError(f"{place} is no image and holds none; expected files that end in {', '.join(sorted(readers.SUFFIXES))}")
    return Table(place, ["file"], [[str(file)] for file in images])


def _pixels(table: Table, size: int) -> Any:
    """The images, (N, size, size, 3), as those were prepared that the model learnt from."""
    try:
        decoded = [readers.decode(Path(file).read_bytes(), size, file) for (file,) in table.rows]
    except OSError as error:
        raise DataError(f"{error.filename} cannot be read ({error.strerror})") from error
    return import_module("numpy").stack(decoded)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text.strip()
    return True


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} others" if len(names) > SHOWN else "")


def _array(table: Table, learnt_from: Mapping[str, Any]) -> Any:
    """The table as numbers, (N, features), or as texts (N,)."""
    numpy, features = import_module("numpy"), learnt_from.get("features")
    if learnt_from.get("texts"):
        if len(table.rows[0]) != 1:
            raise DataError(
                f"{table.file} has {len(table.rows[0])} columns, expected one: the model takes a text for each example"
            )
        return [row[0] for row in table.rows]
    if features is None:
        raise DataError(f"{table.file} is a table, and the model learnt from examples of another form; read its files in Python")
    if len(table.rows[0]) != features:
        named = "" if table.names is None else f" ({_some(table.names)})"
        raise DataError(
            f"{table.file} has {len(table.rows[0])} columns{named}, expected {features}: the model learnt from numbers without "
            "names, so exactly these, in their order"
        )
    for number, row in enumerate(table.rows, 1):
        for place, text in enumerate(row):
            if not _is_number(text):
                column = table.names[place] if table.names else f"{place + 1}"
                raise DataError(f"{table.file}: column {column!r} has {text!r} in row {number}, expected a number")
    return numpy.array([[float(text) if text.strip() else numpy.nan for text in row] for row in table.rows])


def _frame(table: Table, columns: Sequence[Mapping[str, Any]]) -> tuple[Any, tuple[str, ...], tuple[str, ...]]:
    """The table as the data frame that the model takes, the columns that it does not know, and those that it leaves out."""
    pandas = require("pandas", "the columns of a table")
    names = table.names
    if names is None or len(set(names)) < len(names):
        what = "has no names of columns" if names is None else "names two columns alike"
        raise DataError(f"{table.file} {what}, expected a first row with {_some([column['name'] for column in columns])}")
    known = {column["name"]: column for column in columns}
    extra = [name for name in names if name not in known]
    missing = [name for name, column in known.items() if column["used"] and name not in names]
    if missing:
        also = f"; it has others that the model does not know: {_some(extra)}" if extra else ""
        raise DataError(f"{table.file} lacks the columns {_some(missing)}{also}")
    made = {}
    for name, column in known.items():
        place = names.index(name) if name in names and column["used"] else None
        texts = [None] * len(table.rows) if place is None else [row[place] or None for row in table.rows]
        made[name] = _column(pandas, table.file, name, column, texts)
    left_out = tuple(name for name, column in known.items() if not column["used"] and name in names)
    return pandas.DataFrame(made), tuple(extra), left_out


def _column(pandas: Any, file: Path, name: str, column: Mapping[str, Any], texts: Sequence[str | None]) -> Any:
    """Texts as the column had them that the model learnt from."""
    kind = column["kind"] if column["used"] else "text"
    expected = {"number": "a number", "truth": "true or false", "date": "a date, such as 2026-11-28"}
    for number, text in enumerate(texts, 1):
        if text is not None and kind in expected and not _says(pandas, kind, text):
            raise DataError(f"{file}: column {name!r} has {text!r} in row {number}, expected {expected[kind]}")
    if kind == "number":
        return pandas.Series([None if text is None else float(text) for text in texts], dtype="float64")
    if kind == "truth":
        truths = [None if text is None else text.lower() in TRUE for text in texts]
        return pandas.Series(truths, dtype="object" if None in truths else "bool")
    if kind == "date":
        return pandas.to_datetime(pandas.Series(texts))
    if kind == "category":
        categories = column["categories"]
        numeric = all(isinstance(value, float) for value in categories)
        values = [float(text) if numeric and text is not None and _is_number(text) else text for text in texts]
        return pandas.Series(pandas.Categorical(values, categories=categories))
    return pandas.Series(texts, dtype="object")


def _says(pandas: Any, kind: str, text: str) -> bool:
    if kind == "number":
        return _is_number(text)
    if kind == "truth":
        return text.lower() in (*TRUE, *FALSE)
    try:
        pandas.Timestamp(text)
    except ValueError:
        return False
    return True
