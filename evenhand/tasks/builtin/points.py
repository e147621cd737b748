"""Points of several classes in three splits (train, dev, eval): generated, or read from a folder of CSV files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import DataError, InvalidSettings
from evenhand.model.digest import digest
from evenhand.model.files import check_file
from evenhand.model.rules import derive_seed
from evenhand.model.words import plural
from evenhand.tasks import accounts
from evenhand.tasks.accounts import DataAccount, Taken
from evenhand.tasks.builtin import shapes
from evenhand.tasks.builtin.mixtures import Labels, Numbers
from evenhand.tasks.builtin.shapes import GENERATED, SPLITS, Split
from evenhand.tasks.readers import sha256_of

COMMENTS = ("#", "%")
CLASSES_MOST = 100
NAMES_OF_AN_INDEX = ("", "Unnamed: 0")  # what pandas writes over the column that numbers the rows, and reads it as
LEAST_ROWS_OF_AN_ID = 10  # in fewer rows a column that counts them is no sign
Predict = Callable[[Numbers], NDArray[np.int64]]  # points (N, F) to class numbers (N,)


@dataclass(frozen=True)
class PointSet:
    """A data set of points. part: the points (N, F) and class numbers (N,) of a split, read or generated when asked for.

    label: what every output of it has to say of where it comes from. classes: the names by number. digest: of its content.
    account: says what its files were taken for; None where it is generated.
    """

    name: str
    label: str
    generated: bool
    classes: tuple[str, ...]
    features: int
    digest: str
    part: Callable[[Split], tuple[Numbers, Labels]]
    account: Callable[[], DataAccount] | None = None


@dataclass(frozen=True)
class Errors:
    """Error rates in percent on the three splits."""

    train: float
    dev: float
    eval: float


def locate(data: str, scale: float = 1.0) -> PointSet:
    """The data set called `data`: "08", "09" or "10" generated, or a folder with train*.csv, dev*.csv and eval*.csv.

    scale: the share (0 to 1] of the points to use, at most all. Raises InvalidSettings and DataError.
    """
    if data in shapes.SETS:
        shapes.size(data, "train", scale)  # refuses a wrong scale
        return _generated(data, scale)
    if not 0 < scale <= 1:
        raise InvalidSettings(f"scale of data set {data!r}: got {scale!r}, expected a number above 0 and at most 1")
    folder = Path(data).expanduser()
    if not folder.is_dir():
        raise DataError(
            f"data set {data!r}: neither a generated one ({', '.join(shapes.SETS)}) nor a folder; "
            "give the path of a folder with train*.csv, dev*.csv and eval*.csv"
        )
    files = {split: _file(folder.resolve(), split) for split in SPLITS}
    return _read_set(tuple(files.items()), tuple(sha256_of(file) for file in files.values()), scale)


def errors_of(data: PointSet, predict: Predict) -> Errors:
    """The error of `predict` on all three splits; this looks at the eval set, so whoever tunes must not call it."""
    rates = {}
    for split in SPLITS:
        points, labels = data.part(split)
        rates[split] = 100 * float(np.mean(predict(points) != labels))
    return Errors(**rates)


def write(folder: Path, data: PointSet) -> None:
    """The data set as train.csv, dev.csv and eval.csv in `folder`: class name, then features; the first line says what it is."""
    folder.mkdir(parents=True, exist_ok=True)
    for split in SPLITS:
        points, labels = data.part(split)
        rows = [
            ",".join([data.classes[label], *map(repr, row)]) for row, label in zip(points.tolist(), labels.tolist(), strict=True)
        ]
        text = "\n".join([f"# data set {data.name}, {split}: {data.label}", *rows, ""])
        (folder / f"{split}.csv").write_text(text, encoding="utf-8")


def read(path: Path) -> tuple[list[str], Numbers]:
    """Class names (N,) and features (N, F) of one CSV file.

    A line is one point: its class first or last, separated from the features by commas. Lines that start with # or %, blank
    lines, a line of column names and a column without a name that numbers the rows, as pandas writes both, are left out. The
    class is text, or in files of numbers only the one column of whole numbers.

    Raises:
        DataError: naming the file and the line.
    """
    made = _read(path)
    return made.names, made.features


@dataclass(frozen=True)
class PointFile:
    """One file of points. names: of the class of each; columns: what the features are called; class_column: what the class is;
    is_named: whether the file says it; remarks: how it was read, and what was left out, with counts.
    """

    names: list[str]
    features: Numbers
    columns: tuple[str, ...]
    class_column: str
    is_named: bool
    remarks: tuple[str, ...]


def _read(path: Path) -> PointFile:
    numbers, rows, heading, remarks = _lines(path)
    if heading is not None and heading[0] in NAMES_OF_AN_INDEX and _are_row_numbers(rows):
        begin = accounts.listed([row[0] for row in rows], 3)
        remarks.append(f"its first column has no name and numbers the rows ({begin}), so it was left out")
        heading, rows = heading[1:], [row[1:] for row in rows]
        if len(rows[0]) < 2:
            raise DataError(f"{path}: has one column beside the numbers of its rows, expected a class and at least one feature")
    first, last = [row[0] for row in rows], [row[-1] for row in rows]
    is_first = _class_is_first(path, numbers, first, last)
    if heading is None and not is_first and _counts(first):
        raise DataError(
            f"{path}: its first column counts the rows ({first[0]} to {first[-1]}), so it says nothing of a point; take it out "
            "(pandas writes it unless it is told index=False)"
        )
    names, texts = (first, [row[1:] for row in rows]) if is_first else (last, [row[:-1] for row in rows])
    places = range(1, len(rows[0]) + 1)
    called = [name or f"column {place}" for place, name in zip(places, heading or [""] * len(places), strict=True)]
    columns, class_column = (called[1:], called[0]) if is_first else (called[:-1], called[-1])
    features = _features(path, numbers, texts)
    return PointFile([_name(name) for name in names], features, tuple(columns), class_column, heading is not None, tuple(remarks))


def _are_row_numbers(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first column has another whole number in each row, as an index of pandas does, shuffled or not."""
    first = [row[0] for row in rows]
    return all(map(str.isdecimal, first)) and len(set(first)) == len(first)


def _counts(column: Sequence[str]) -> bool:
    """Whether a column counts its rows, from 0 or 1; of few rows nobody can tell."""
    if len(column) < LEAST_ROWS_OF_AN_ID or not all(map(str.isdecimal, column)):
        return False
    return [int(text) for text in column] in ([*range(len(column))], [*range(1, len(column) + 1)])


def _generated(name: str, scale: float) -> PointSet:
    figures = shapes.shapes(name)
    count = len(figures.classes("train"))
    return PointSet(
        name=name,
        label=GENERATED,
        generated=True,
        classes=tuple(str(number) for number in range(count)),
        features=2,
        digest=digest({"generated": name, "scale": scale}),
        part=partial(_points, name, scale),
    )


@lru_cache(maxsize=6)
def _kept(name: str, split: Split, scale: float) -> tuple[Numbers, Labels]:
    points, labels = shapes.points(name, split, scale)
    points.setflags(write=False)
    labels.setflags(write=False)
    return points, labels


def _points(name: str, scale: float, split: Split) -> tuple[Numbers, Labels]:
    return _kept(name, split, scale)


def _file(folder: Path, split: Split) -> Path:
    files = sorted(file for file in folder.glob("*") if file.name.lower().startswith(split) and file.suffix.lower() == ".csv")
    if len(files) != 1:
        listed = ", ".join(file.name for file in files) or "none"
        raise DataError(f"{folder}: files named {split}*.csv: {listed}; expected exactly one")
    return files[0]


@lru_cache(maxsize=4)
def _read_set(files: tuple[tuple[Split, Path], ...], digests: tuple[str, ...], scale: float) -> PointSet:
    """A folder's data set; the training file says which classes there are. Cached by the files' content."""
    paths = dict(files)
    train = _read(paths["train"])
    names, features = train.names, train.features
    classes = tuple(sorted(set(names), key=_by_number))
    if not 2 <= len(classes) <= CLASSES_MOST:
        raise DataError(f"{paths['train']}: has {len(classes)} classes, expected 2 to {CLASSES_MOST}")
    return PointSet(
        name=paths["train"].parent.name,
        label=f"read from {paths['train'].parent.name}{_origin(paths['train'])}",
        generated=False,
        classes=classes,
        features=features.shape[1],
        digest=digest({"files": list(digests), "scale": scale}),
        part=partial(_part, files, digests, classes, train.columns, train.is_named, scale),
        account=partial(_account, files, digests),
    )


@lru_cache(maxsize=4)
def _account(files: tuple[tuple[Split, Path], ...], digests: tuple[str, ...]) -> DataAccount:
    """What the files of training and dev were taken for; eval is not opened. Cached by the files' content."""
    paths = dict(files)
    train, dev = _read(paths["train"]), _read(paths["dev"])
    remarks = [
        f"{path.name}: {plural(len(made.names), 'point')}" + "".join(f"; {remark}" for remark in made.remarks)
        for path, made in ((paths["train"], train), (paths["dev"], dev))
    ]
    classes = Taken(
        train.class_column,
        f"target: {plural(len(set(train.names)), 'class', 'classes')}",
        accounts.counts_of(train.names),
        0,
        accounts.first_of(train.names),
    )
    columns = [accounts.of_numbers(name, "numbers", column) for name, column in zip(train.columns, train.features.T, strict=True)]
    source = f"{paths['train'].name}: {plural(len(train.names), 'point')}, {plural(len(columns), 'feature')}"
    return DataAccount(source, (classes, *columns), (*remarks, f"{paths['eval'].name} is opened in evaluations only"))


def _origin(path: Path) -> str:
    """What a file that `write` made of generated points says of itself; "" for any other."""
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        first = file.readline()
    return f", {GENERATED}" if first.startswith(COMMENTS) and GENERATED in first else ""


@lru_cache(maxsize=6)
def _part(
    files: tuple[tuple[Split, Path], ...],
    digests: tuple[str, ...],
    classes: tuple[str, ...],
    columns: tuple[str, ...],
    is_named: bool,
    scale: float,
    split: Split,
) -> tuple[Numbers, Labels]:
    """One split of a folder's data set. Cached by the files' content (`digests`)."""
    paths = dict(files)
    made = _read(paths[split])
    names, points = made.names, made.features
    if points.shape[1] != len(columns):
        raise DataError(f"{paths[split]}: has {points.shape[1]} features, expected {len(columns)} as in {paths['train'].name}")
    if is_named and made.is_named and made.columns != columns:
        raise DataError(
            f"{paths[split]}: names its features {', '.join(made.columns)}, expected {', '.join(columns)} as in "
            f"{paths['train'].name}, in this order"
        )
    numbers = {name: number for number, name in enumerate(classes)}
    strange = sorted(set(names) - numbers.keys())
    if strange:
        raise DataError(f"{paths[split]}: has the classes {', '.join(strange)}, expected only those of {paths['train'].name}")
    labels = np.array([numbers[name] for name in names], dtype=np.int64)
    if scale < 1:
        words = np.random.PCG64(derive_seed(0, "share", split)).random_raw(len(labels))
        chosen = np.sort(
            np.argsort(words, kind="stable")[: max(min(shapes.LEAST_POINTS, len(labels)), round(len(labels) * scale))]
        )
        points, labels = points[chosen], labels[chosen]
    points.setflags(write=False)
    labels.setflags(write=False)
    return points, labels


def _lines(path: Path) -> tuple[list[int], list[list[str]], list[str] | None, list[str]]:
    """The numbers of the lines that hold points, and their fields, all equally many; the names of columns; what was left out."""
    try:
        text = check_file(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error}); expected a CSV file") from error
    numbers, rows, blank, comments = [], [], 0, 0
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if not bare:
            blank += 1
        elif bare.startswith(COMMENTS):
            comments += 1
        else:
            numbers.append(number)
            rows.append([field.strip() for field in bare.split(",")])
    counted = ((comments, "line of comments", "lines of comments"), (blank, "empty line", "empty lines"))
    remarks = [f"{plural(count, one, many)} passed over" for count, one, many in counted if count]
    heading = None
    if rows and _names_columns(path, numbers[0], rows):
        heading = [field.strip("\"'") for field in rows[0]]
        remarks.append(f"line {numbers[0]} names the columns: {accounts.listed([name or 'no name' for name in heading])}")
        del numbers[0], rows[0]
    if not rows:
        raise DataError(f"{path}: holds no points; expected lines of a class and its features, separated by commas")
    width = len(rows[0])
    for number, row in zip(numbers, rows, strict=True):
        if len(row) != width or width < 2:
            expected = f"{width}, as in line {numbers[0]}" if width >= 2 else "a class and at least one feature"
            raise DataError(f"{path}, line {number}: has {len(row)} values separated by commas, expected {expected}")
    if heading is not None and len(heading) != width:
        raise DataError(f"{path}: names {plural(len(heading), 'column')}, but its lines have {width} values; give each a name")
    return numbers, rows, heading, remarks


def _names_columns(path: Path, line: int, rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row names the columns: no number is in it, or it is 0, 1, 2, ... as pandas numbers them, with or without
    a cell of no name before them. DataError where it may be a point as well.
    """
    first, rest = rows[0], rows[1:]
    if not any(map(_number, first)):
        return True
    named = [cell.strip("\"'") for cell in first]
    if named[0] in NAMES_OF_AN_INDEX:
        return True
    if len(named) < 2 or named != [str(place) for place in range(len(named))]:
        return False
    if any(len(row) == len(first) and not (_number(row[0]) and _number(row[-1])) for row in rest):
        return True  # a class is text, and neither end of this row is
    raise DataError(
        f"{path}, line {line}: is {','.join(first)}, which may be a point, or names of columns as pandas writes them; remove the "
        f"line where it is names, and write {first[0]}.0 where it is a point"
    )


def _class_is_first(path: Path, numbers: list[int], first: list[str], last: list[str]) -> bool:
    text = not _number(first[0]), not _number(last[0])
    if text == (True, True):
        raise DataError(
            f"{path}, line {numbers[0]}: starts with {first[0]!r} and ends with {last[0]!r}, expected one to be a number"
        )
    if text != (False, False):
        return text[0]
    whole = all(map(_whole, first)), all(map(_whole, last))
    if whole[0] == whole[1]:
        what = "both the first and the last column hold" if whole[0] else "neither the first nor the last column holds"
        raise DataError(f"{path}: {what} whole numbers only; write the classes as text, so that their column can be told")
    return whole[0]


def _features(path: Path, numbers: list[int], texts: list[list[str]]) -> Numbers:
    try:
        features = np.array(texts).astype(np.float64)
    except ValueError:
        where, field = next((at, text) for at, row in zip(numbers, texts, strict=True) for text in row if not _number(text))
        raise DataError(f"{path}, line {where}: got {field!r}, expected a number") from None
    wrong = np.flatnonzero(~np.isfinite(features).all(1))
    if wrong.size:
        raise DataError(f"{path}, line {numbers[wrong[0]]}: got {texts[wrong[0]]}, expected finite numbers")
    return features


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _whole(text: str) -> bool:
    return _number(text) and float(text).is_integer()


def _name(text: str) -> str:
    return str(int(float(text))) if _whole(text) else text.strip("\"'")


def _by_number(name: str) -> tuple[float, str]:
    return (float(name), name) if _whole(name) else (float("inf"), name)
