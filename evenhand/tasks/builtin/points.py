"""Points of several classes in three splits (train, dev, eval): generated, or read from a folder of CSV files."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import DataError, InvalidSettings
from evenhand.model.digest import digest
from evenhand.model.rules import derive_seed
from evenhand.tasks.builtin import shapes
from evenhand.tasks.builtin.mixtures import Labels, Numbers
from evenhand.tasks.builtin.shapes import GENERATED, SPLITS, Split
from evenhand.tasks.readers import sha256_of

COMMENTS = ("#", "%")
CLASSES_MOST = 100
Predict = Callable[[Numbers], NDArray[np.int64]]  # points (N, F) to class numbers (N,)


@dataclass(frozen=True)
class PointSet:
    """A data set of points. part: the points (N, F) and class numbers (N,) of a split, read or generated when asked for.

    label: what every output of it has to say of where it comes from. classes: the names by number. digest: of its content.
    """

    name: str
    label: str
    generated: bool
    classes: tuple[str, ...]
    features: int
    digest: str
    part: Callable[[Split], tuple[Numbers, Labels]]


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
    lines and a line of column names are skipped. The class is text, or in files of numbers only the one column of whole numbers.

    Raises:
        DataError: naming the file and the line.
    """
    numbers, rows = _lines(path)
    first, last = [row[0] for row in rows], [row[-1] for row in rows]
    if _class_is_first(path, numbers, first, last):
        names, texts = first, [row[1:] for row in rows]
    else:
        names, texts = last, [row[:-1] for row in rows]
    return [_name(name) for name in names], _features(path, numbers, texts)


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
    names, features = read(paths["train"])
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
        part=partial(_part, files, digests, classes, features.shape[1], scale),
    )


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
    features: int,
    scale: float,
    split: Split,
) -> tuple[Numbers, Labels]:
    """One split of a folder's data set. Cached by the files' content (`digests`)."""
    paths = dict(files)
    names, points = read(paths[split])
    if points.shape[1] != features:
        raise DataError(f"{paths[split]}: has {points.shape[1]} features, expected {features} as in {paths['train'].name}")
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


def _lines(path: Path) -> tuple[list[int], list[list[str]]]:
    """The numbers of the lines that hold points, and their fields, all equally many."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as text ({error}); expected a CSV file") from error
    numbers, rows = [], []
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.strip()
        if bare and not bare.startswith(COMMENTS):
            numbers.append(number)
            rows.append([field.strip() for field in bare.split(",")])
    if rows and not any(_number(field) for field in rows[0]):
        del numbers[0], rows[0]  # the names of the columns
    if not rows:
        raise DataError(f"{path}: holds no points; expected lines of a class and its features, separated by commas")
    width = len(rows[0])
    for number, row in zip(numbers, rows, strict=True):
        if len(row) != width or width < 2:
            expected = f"{width}, as in line {numbers[0]}" if width >= 2 else "a class and at least one feature"
            raise DataError(f"{path}, line {number}: has {len(row)} values separated by commas, expected {expected}")
    return numbers, rows


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
