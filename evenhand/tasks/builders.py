"""One's own data made ready for a task that `evenhand task new` wrote: a folder of pictures, or a table in a CSV file."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import DataError
from evenhand.tasks import readers
from evenhand.tasks.builtin import images
from evenhand.tasks.builtin.images import PreparedImages
from evenhand.tasks.readers import ImageItem, Pixels

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "?"})  # in lower case: what stands for no value
MOST_OPTIONS = 200  # of a text column; with more it says too little by itself, and its codes are taken as numbers
MOST_CLASSES = 20  # whole numbers with at most so many values are classes
SNIFFED = 1 << 16  # characters from which the delimiter is told


@dataclass(frozen=True)
class ClassFolder:
    """A folder of CLASS/FILE; deeper folders belong to the class that they are in."""

    path: Path
    photos: bool = True

    def items(self) -> list[ImageItem]:
        """All images, ordered by their path."""
        items = []
        for file in readers.files_below(self.path):
            place = PurePosixPath(file.relative_to(self.path).as_posix())
            if place.suffix.lower() not in readers.SUFFIXES or place.name.startswith("."):
                continue
            if len(place.parts) < 2:
                raise DataError(f"{self.path}: holds the image {place}, expected CLASS/FILE, a folder for each class")
            items.append(ImageItem("all", place.parts[0], str(place)))
        if not items:
            raise DataError(f"{self.path}: holds no images, expected CLASS/FILE, a folder for each class")
        return sorted(items, key=lambda item: item.name)

    def images(self, wanted: Sequence[ImageItem], size: int) -> Iterator[tuple[ImageItem, Pixels]]:
        """The wanted images, in the order given."""
        for item in wanted:
            file = self.path / item.name
            yield item, readers.decode(file.read_bytes(), size, str(file))


def collection_of(folder: Path) -> readers.Collection:
    """The images of a folder: CLASS/FILE, or SPLIT/CLASS/FILE where its own folders are called train, validation and test."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; give one of CLASS/FILE, a folder for each class")
    names = {entry.name.lower() for entry in folder.iterdir() if entry.is_dir()}
    return readers.Folder(folder) if names and names <= readers.SPLIT_NAMES.keys() else ClassFolder(folder)


def pictures(folder: str | Path, size: int, *, checksum: str | None = None, split_seed: int = 0) -> PreparedImages:
    """A folder of images as fixed splits of square colour images, prepared once; see `images.prepare`, whose splits it has.

    Args:
        folder: of CLASS/FILE, or SPLIT/CLASS/FILE.
        size: pixels of a side.
        checksum: the SHA-256 that the folder had when the task was written; None to take it as it is.
        split_seed: draws the splits where the folder has none.

    Returns:
        The prepared images.

    Raises:
        DataError: there is no such folder, it has no images or other ones than then, or one of them is damaged.
    """
    path = Path(folder).expanduser()
    collection = collection_of(path)
    digest = images.checksum_of(path.resolve())
    if checksum is not None and digest != checksum:
        raise DataError(
            f"{path}: its images changed since the task was written (SHA-256 {digest}, expected {checksum}); write the new one "
            "into the task's file, which makes it another version"
        )
    layout = hashlib.sha256(f"{type(collection).__name__} {digest}".encode()).hexdigest()
    place = images.home() / "prepared" / f"own-v{images.FORMAT}-{layout[:20]}-{size}px-split{split_seed}"

    def make(fresh: Path) -> None:
        items = collection.items()
        own = {item.split for item in items} == set(images.SPLITS)
        splits = images.choose_splits(items, split_seed)
        images.write(collection, splits, fresh, None, checksum=digest, size=size, split_seed=split_seed, own_splits=own)

    images.made_once(place, make)
    return images.read(place)


@dataclass(frozen=True)
class Columns:
    """A table as numbers.

    Attributes:
        x: (rows, features), nan where nothing is given; of a text column the place of each text among its sorted ones.
        y: (rows,), class numbers, or numbers.
        features: the columns' names.
        text: which of them are text.
        target: the name of the column to predict.
        classes: what the class numbers stand for; empty where numbers are predicted.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64] | NDArray[np.int64]
    features: tuple[str, ...]
    text: tuple[bool, ...]
    target: str
    classes: tuple[str, ...]


def table(path: str | Path, target: str | None = None, *, classes: bool | None = None) -> Columns:
    """A CSV file with a header, as numbers.

    Columns whose values are all numbers are numbers, the others text. Blank cells, NA, NaN, null, none and ? are missing.

    Args:
        path: the file.
        target: the column to predict (default: the last).
        classes: whether the target is classes; None: it is where it is text, or whole numbers with at most 20 values.

    Returns:
        The table without its target, and the target.

    Raises:
        DataError: the file is missing or has no rows, a row has more or fewer cells than the header, there is no such column,
            or the target is missing in a row; the text names the line.
    """
    file = Path(path).expanduser()
    names, rows = _read(file)
    chosen = names[-1] if target is None else target
    if chosen not in names:
        raise DataError(f"{file}: has no column {chosen!r}; expected one of {', '.join(names)}")
    cells = {name: [row[place].strip() for row in rows] for place, name in enumerate(names)}
    wanted = cells.pop(chosen)
    if not cells:
        raise DataError(f"{file}: has the one column {chosen!r}; expected at least one more to predict it from")
    for line, cell in enumerate(wanted, 2):
        if cell.lower() in MISSING:
            raise DataError(f"{file}, row {line}: the target {chosen!r} is missing; remove the row, or fill it in")
    codes = [_coded(column) for column in cells.values()]
    numbers = _numbers(wanted)
    if classes or (classes is None and (numbers is None or _few_whole(numbers))):
        labels = sorted(set(wanted)) if numbers is None else [f"{number:g}" for number in np.unique(numbers)]
        y = np.unique(np.array(wanted) if numbers is None else numbers, return_inverse=True)[1].astype(np.int64)
        return Columns(_stacked(codes), y, tuple(cells), tuple(text for _, text in codes), chosen, tuple(labels))
    if numbers is None:
        raise DataError(f"{file}: the target {chosen!r} is text, expected numbers; or take it as classes")
    return Columns(_stacked(codes), numbers, tuple(cells), tuple(text for _, text in codes), chosen, ())


def _read(file: Path) -> tuple[list[str], list[list[str]]]:
    """The header's names, blank and repeated ones made distinct, and the rows, each as long as the header."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as source:
            start = source.read(SNIFFED)
            source.seek(0)
            rows = list(csv.reader(source, delimiter=_delimiter(start)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: cannot be read as a CSV file in UTF-8 ({error})") from error
    rows = [row for row in rows if any(cell.strip() for cell in row)]
    if len(rows) < 2:
        raise DataError(f"{file}: has {len(rows)} rows, expected a header and rows below it")
    names: list[str] = []
    for place, cell in enumerate(rows[0], 1):
        name = cell.strip() or f"column {place}"
        names.append(f"{name} {place}" if name in names else name)
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise DataError(f"{file}, row {line}: has {len(row)} cells, expected {len(names)} as in the header")
    return names, rows[1:]


def _delimiter(start: str) -> str:
    """Which of comma, semicolon, tab and bar the header has most of."""
    header = start.partition("\n")[0]
    return max(",;\t|", key=header.count)


def _numbers(column: Sequence[str]) -> NDArray[np.float64] | None:
    """The column as numbers, nan where one is missing; None where a value is none."""
    try:
        numbers = np.array([float("nan") if cell.lower() in MISSING else float(cell) for cell in column])
    except ValueError:
        return None
    return None if np.isinf(numbers).any() else numbers


def _few_whole(numbers: NDArray[np.float64]) -> bool:
    return bool((numbers == np.round(numbers)).all()) and len(np.unique(numbers)) <= MOST_CLASSES


def _coded(column: Sequence[str]) -> tuple[NDArray[np.float64], bool]:
    """A column as numbers, and whether they are codes of text."""
    numbers = _numbers(column)
    if numbers is not None:
        return numbers, False
    options = {cell: place for place, cell in enumerate(sorted({cell for cell in column if cell.lower() not in MISSING}))}
    codes = np.array([float(options[cell]) if cell in options else float("nan") for cell in column])
    return codes, len(options) <= MOST_OPTIONS


def _stacked(codes: Sequence[tuple[NDArray[np.float64], bool]]) -> NDArray[np.float64]:
    return np.stack([numbers for numbers, _ in codes], axis=1)
