"""One's own data made ready for a task that `evenhand task new` wrote: a folder of pictures, or a table in a CSV file."""

import hashlib
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal as Exact
from functools import cached_property, partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import DataError
from evenhand.model.domain import show
from evenhand.model.words import plural
from evenhand.tasks import accounts, number_texts, readers, targets, text_tables
from evenhand.tasks.accounts import DataAccount, Taken
from evenhand.tasks.builtin import images
from evenhand.tasks.builtin.images import PreparedImages
from evenhand.tasks.number_texts import Decimal, NumberColumn, NumberTexts, says_number
from evenhand.tasks.readers import ImageItem, Pixels
from evenhand.tasks.text_tables import TextTable

MOST_OPTIONS = 200  # of a text column; with more it says too little by itself, and its codes are taken as numbers
ROWS_A_CLASS = 5  # whole numbers of few values are classes where each of them is in so many rows on average
LEAST_ROWS_OF_AN_ID = 10  # in fewer rows other values in each are no sign
ZERO_FIRST = re.compile("0[0-9]+")


@dataclass(frozen=True)
class ClassFolder:
    """A folder of CLASS/FILE; deeper folders belong to the class that they are in."""

    path: Path
    photos: bool = True

    def items(self) -> list[ImageItem]:
        """All images, ordered by their path."""
        items = []
        for place in readers.images_among(readers.paths_below(self.path), self.path):
            if len(place.parts) < 2:
                raise DataError(f"{self.path}: holds the image {place}, expected CLASS/FILE, a folder for each class")
            items.append(ImageItem("all", place.parts[0], str(place)))
        if not items:
            raise DataError(f"{self.path}: holds no images, expected CLASS/FILE, a folder for each class")
        return sorted(items, key=lambda item: item.name)

    def others(self) -> list[PurePosixPath]:
        """The files that are no images, but for those that programs keep beside the data."""
        return readers.others_among(readers.paths_below(self.path))

    def images(self, wanted: Sequence[ImageItem], size: int) -> Iterator[tuple[ImageItem, Pixels]]:
        """The wanted images, in the order given."""
        files = ((item, self.path / item.name) for item in wanted)
        yield from readers.decoded(((item, partial(readers.picture_in, file), str(file)) for item, file in files), size)


def collection_of(folder: Path) -> readers.Collection:
    """The images of a folder: CLASS/FILE, or SPLIT/CLASS/FILE where two or more of its own folders are called as splits are.

    What lies beside such folders is refused when it is listed, unless it holds no image.

    Args:
        folder: where they lie.

    Returns:
        The images, not yet listed.

    Raises:
        DataError: there is no such folder.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder; give one of CLASS/FILE, a folder for each class")
    own = [entry for entry in folder.iterdir() if entry.is_dir() and readers.is_of_the_data(PurePosixPath(entry.name))]
    names = {entry.name.lower() for entry in own}
    splits = {readers.SPLIT_NAMES[name] for name in names & readers.SPLIT_NAMES.keys()}
    has_splits = len(splits) > 1 or (names and names <= readers.SPLIT_NAMES.keys())
    return readers.Folder(folder) if has_splits else ClassFolder(folder)


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
        accounts.keep(images.account_of(str(path), items, splits, collection.others()), fresh)

    images.made_once(place, make, path)
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
        account: what each column was taken for, those that are left out, too.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64] | NDArray[np.int64]
    features: tuple[str, ...]
    text: tuple[bool, ...]
    target: str
    classes: tuple[str, ...]
    account: DataAccount


@dataclass(frozen=True)
class _Column:
    """One column as it was read. numbers: None where it is text. gone: the texts in it that stand for no value."""

    name: str
    cells: list[str]
    lines: list[int]
    numbers: NumberColumn | None
    gone: frozenset[str]

    @cached_property
    def there(self) -> list[str]:
        return [cell for cell in self.cells if cell not in self.gone] if self.gone else self.cells


def table(
    path: str | Path,
    target: str | None = None,
    *,
    classes: bool | None = None,
    header: bool | None = None,
    delimiter: str | None = None,
    encoding: str | None = None,
    decimal: Decimal | None = None,
    missing: Sequence[str] = (),
    text: Sequence[str] = (),
    keep: Sequence[str] = (),
    leave_out: Sequence[str] = (),
) -> Columns:
    """A CSV file, or the one in a zip archive, as numbers.

    Columns whose values are all numbers are numbers, the others text. Blank cells, NA, NaN, null, -, ? and the error cells of
    Excel are missing; none is, too, in a column of numbers. What could be read in two ways is refused, with its line.

    Args:
        path: the file.
        target: the column to predict (default: the last).
        classes: whether the target is classes; None: it is where it is text, or whole numbers of at most 20 values, each of which
            many rows have.
        header: whether the first line names the columns; None: it does, unless it looks like values.
        delimiter: what splits cells; None: it is told from the rows.
        encoding: of the text; None: UTF-8, or UTF-16 where the file's first bytes say so, or some of them are zero.
        decimal: the decimal mark, a point or a comma; None: it is told from the numbers.
        missing: further texts that stand for no value.
        text: columns that are text, whatever they look like.
        keep: columns to learn from that would be left out, since they number or name the rows.
        leave_out: columns not to learn from.

    Returns:
        The table without its target, and the target.

    Raises:
        DataError: the file is missing or has no rows, there is no such column, the target is missing in a row or has one value,
            or something could be read in two ways; the text names the line and what to do.
    """
    file = Path(path).expanduser()
    read = text_tables.read(file, delimiter=delimiter, encoding=encoding, header=header)
    names = read.names or [f"column {place}" for place in range(1, len(read.rows[0]) + 1)]
    chosen = names[-1] if target is None else target
    for name in (chosen, *text, *keep, *leave_out):
        if name not in names:
            raise DataError(f"{file}: has no column {name!r}; expected one of {', '.join(names)}")
    if len(names) < 2:
        raise DataError(
            f"{file}: has the one column {chosen!r} where cells are split by {text_tables.delimiter_words(read.delimiter)}, "
            'expected at least one more to predict it from; say what splits them, such as delimiter=" " (--delimiter " ")'
        )
    if chosen in leave_out:
        raise DataError(f"{file}: leave_out=[{chosen!r}] (--leave-out) is the target; name another target, or leave out others")
    if both := [name for name in keep if name in leave_out]:
        raise DataError(f"{file}: keep (--keep) and leave_out (--leave-out) both name {both[0]!r}, expected one of them")
    as_text = {*text, *leave_out}
    if classes and any(not number_texts.is_missing(cell) and not says_number(cell) for cell in set(_cells(read, names, chosen))):
        as_text.add(chosen)
    columns = _columns(file, read, names, as_text, decimal, frozenset(entry.strip().lower() for entry in missing))
    marks = {column.numbers.decimal for column in columns.values() if column.numbers is not None and column.numbers.has_decimals}
    remarks = [f"cells are split by {text_tables.delimiter_words(read.delimiter)}"]
    if marks == {","}:
        remarks.append("the decimal mark is a comma")
    y, labels, target_taken = _target(file, columns[chosen], classes, len(marks) > 1)
    taken: dict[str, Taken] = {chosen: target_taken}
    codes: dict[str, tuple[NDArray[np.float64], bool]] = {}
    for name, column in columns.items():
        if name == chosen:
            continue
        why = "as asked for" if name in leave_out else None if name in keep else _why_left_out(column)
        taken[name] = _feature(column, len(marks) > 1) if why is None else _left_out(column, why)
        if why is None:
            codes[name] = _coded(column) if column.numbers is None else (column.numbers.values, False)
    if not codes:
        raise DataError(f"{file}: no column is left to predict {chosen!r} from; keep=[...] (--keep) keeps one that was left out")
    source = f"{file.name}: {plural(len(y), 'row')}, {plural(len(names), 'column')}"
    account = DataAccount(source, tuple(taken[name] for name in names), (*remarks, *read.remarks))
    x = np.stack([values for values, _ in codes.values()], axis=1)
    return Columns(x, y, tuple(codes), tuple(is_text for _, is_text in codes.values()), chosen, labels, account)


def _cells(read: TextTable, names: Sequence[str], name: str) -> list[str]:
    place = names.index(name)
    return [row[place] for row in read.rows]


def _columns(
    file: Path,
    read: TextTable,
    names: Sequence[str],
    as_text: Collection[str],
    decimal: Decimal | None,
    missing: Collection[str],
) -> dict[str, _Column]:
    """Each column by its name, with its numbers where it is no text."""
    cells = {name: _cells(read, names, name) for name in names}
    numeric: dict[str, NumberTexts] = {}
    try:
        for name in names:
            if name in as_text:
                continue
            column = number_texts.numbers_of(name, cells[name], read.lines, decimal=decimal, missing=missing)
            if column is not None:
                numeric[name] = column
        marks = number_texts.decimals_of(numeric.values(), comma_splits=read.delimiter == ",")
    except DataError as error:
        raise DataError(f"{file}, {error}") from None
    columns = {}
    for name in names:
        if name in numeric:
            numbers, gone = numeric[name].read(marks[name]), numeric[name].gone
        else:
            numbers, gone = None, number_texts.missing_of(cells[name], missing)
        columns[name] = _Column(name, cells[name], read.lines, numbers, gone)
    return columns


def _target(
    file: Path, column: _Column, classes: bool | None, marks_differ: bool
) -> tuple[NDArray[np.float64] | NDArray[np.int64], tuple[str, ...], Taken]:
    """The target as class numbers or numbers, the classes' names, and what it was taken for; see `_number_remarks`."""
    name, cells, numbers = column.name, column.cells, column.numbers
    is_gone = [cell in column.gone for cell in cells] if numbers is None else np.isnan(numbers.values)
    gone = [str(line) for line, is_missing in zip(column.lines, is_gone, strict=True) if is_missing]
    if gone:
        where = f" (lines {accounts.listed(gone)})" if len(gone) > 1 else ""
        more = ""
        if numbers is not None and numbers.nones:
            more = f"; where 'none' is a class, say text=[{name!r}] (--text)"
        elif len(gone) == len(cells):
            more = "; a last column is empty where lines end with what splits cells: name the one to predict, target= (--target)"
        raise DataError(
            f"{file}, line {gone[0]}: the target {name!r} is missing, in {len(gone)} of {plural(len(cells), 'row')}{where}; "
            f"remove such rows, or fill them in{more}"
        )
    if numbers is None and classes is False:
        raise DataError(f"{file}: the target {name!r} is text, such as {cells[0]!r}, expected numbers; or take it as classes")
    is_classes = numbers is None or _are_few_whole(file, name, numbers, cells) if classes is None else classes
    first = accounts.first_of(cells)
    if numbers is not None and not is_classes:
        different = len(np.unique(numbers.values))
        if different == 1:
            raise DataError(
                f"{file}: the target {name!r} is {cells[0]!r} in every row, so there is nothing to predict"
                + (f"; where other ways to write it are classes, say text=[{name!r}] (--text)" if len(first) > 1 else "")
            )
        kind = f"target: numbers{f' in {numbers.unit}' if numbers.unit else ''}, {plural(different, 'value')}"
        remarks = _number_remarks(column, numbers, marks_differ)
        return numbers.values, (), Taken(name, kind, accounts.range_of(numbers.values), 0, first, remarks)
    y, labels = _classes(cells, numbers)
    if len(labels) == 1:
        raise DataError(f"{file}: the target {name!r} has the one class {labels[0]!r}, expected at least two")
    if classes is None and len(labels) > 2 and len(labels) * 2 > len(cells):
        raise DataError(
            f"{file}: the target {name!r} has {len(labels)} classes in {plural(len(cells), 'row')}, such as "
            f"{accounts.listed(labels, 3)}; expected two rows of each or more: name another target, or say that it is meant so "
            "with classes=True (--classes)"
        )
    counts = accounts.counts_of(labels[place] for place in y.tolist())
    kind = f"target: {plural(len(labels), 'class', 'classes')}"
    remarks = () if numbers is None else _number_remarks(column, numbers, marks_differ, is_classes=True)
    return y, labels, Taken(name, kind, counts, 0, first, remarks)


def _classes(cells: Sequence[str], numbers: NumberColumn | None) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Class numbers and classes' names. 1 and 1.0 are one class; 7 and 007 are two, as are numbers that one float stands for."""
    if numbers is None:
        values, y = np.unique(np.array(cells), return_inverse=True)
        return y.astype(np.int64), tuple(values.tolist())
    written = {text: number_texts.exact(text, numbers.decimal) for text in dict.fromkeys(cells)}
    texts: dict[tuple[Exact, int], str] = {}
    for text, number in written.items():
        texts[number] = min(texts.get(number, text), text, key=lambda one: (len(one), one))
    labels = []
    for (value, zeros), text in sorted(texts.items()):
        shown = show(float(value))
        labels.append(shown if not numbers.unit and not zeros and Exact(shown) == value else text)
    places = {number: place for place, number in enumerate(sorted(texts))}
    return np.array([places[written[cell]] for cell in cells], np.int64), tuple(labels)


def _are_few_whole(file: Path, name: str, numbers: NumberColumn, cells: Sequence[str]) -> bool:
    """Whether numbers are names of classes: whole ones, few, and each of them in many rows. Few in few rows may be either."""
    if not targets.are_classes(numbers.values):
        return False
    different = len({number_texts.exact(text, numbers.decimal) for text in set(cells)})
    if different > targets.MOST_CLASSES:
        return False
    if different > 1 and len(cells) < ROWS_A_CLASS * different:
        raise DataError(
            f"{file}: the target {name!r} has {different} whole numbers in {plural(len(cells), 'row')}, which may be "
            "classes or amounts; say which with classes=True (--classes) or classes=False (--numbers)"
        )
    return True


def _why_left_out(column: _Column) -> str | None:
    """Why a column says nothing of what is to be predicted; None where it may."""
    if not column.there:
        return "it is empty"
    if len(column.cells) < LEAST_ROWS_OF_AN_ID:
        return None
    if column.numbers is None:
        return "another text in each row" if len(set(column.there)) == len(column.cells) else None
    is_numbering = not column.numbers.unit and column.numbers.values[0] in (0, 1) and _goes_on_by_one(column.numbers.values)
    return "it counts the rows" if is_numbering else None


def _goes_on_by_one(numbers: NDArray[np.float64]) -> bool:
    return len(numbers) >= LEAST_ROWS_OF_AN_ID and bool((np.diff(numbers) == 1).all())


def _left_out(column: _Column, why: str) -> Taken:
    holds = accounts.counts_of(column.there) if column.numbers is None else accounts.range_of(column.numbers.values)
    return Taken(column.name, f"left out: {why}", holds, len(column.cells) - len(column.there), accounts.first_of(column.there))


def _feature(column: _Column, marks_differ: bool) -> Taken:
    """What a column to predict from was taken for; see `_number_remarks`."""
    name, there, numbers = column.name, column.there, column.numbers
    remarks: list[str] = []
    if numbers is None:
        options = len(set(there))
        kind, holds, missing = f"text, {plural(options, 'value')}", accounts.counts_of(there), len(column.cells) - len(there)
        if options > MOST_OPTIONS:
            remarks.append(f"more than {MOST_OPTIONS} texts: taken by their place in the alphabet")
        if nones := sum(cell.lower() == number_texts.NONE for cell in there):
            where = plural(nones, "row")
            remarks.append(f"'none' is a value, in {where}; that it stands for no value, missing=['none'] (--missing) says")
    else:
        kind, holds = f"numbers in {numbers.unit}" if numbers.unit else "numbers", accounts.range_of(numbers.values)
        missing = int(np.isnan(numbers.values).sum())
        remarks += _number_remarks(column, numbers, marks_differ)
        named = f"where it names the row, say leave_out=[{name!r}] (--leave-out)"
        if not numbers.unit and _is_another_in_each_row(numbers.values):
            remarks.append(f"another whole number in each row; {named}")
        elif _goes_on_by_one(numbers.values):
            remarks.append(f"one more in each row; {named}")
    if len(set(there)) == 1:
        remarks.append("the same value wherever there is one")
    return Taken(name, kind, holds, missing, accounts.first_of(there), tuple(remarks))


def _number_remarks(column: _Column, numbers: NumberColumn, marks_differ: bool, is_classes: bool = False) -> tuple[str, ...]:
    """What to look at in a column of numbers. marks_differ: in the file; each column says its own. is_classes: they are names."""
    remarks = []
    if marks_differ and numbers.has_decimals:
        remarks.append(f"the decimal mark is {'a comma' if numbers.decimal == ',' else 'a point'}")
    if numbers.thousands:
        remarks.append("thousands are set apart")
    if numbers.nones:
        remarks.append(f"'none' is taken as missing in {plural(numbers.nones, 'row')}")
    if any(map(ZERO_FIRST.fullmatch, column.there)):
        ways = "each way to write one is a class" if is_classes else f"where they are codes, say text=[{column.name!r}] (--text)"
        remarks.append(f"numbers begin with 0; {ways}")
    return tuple(remarks)


def _is_another_in_each_row(numbers: NDArray[np.float64]) -> bool:
    is_unique = len(numbers) >= LEAST_ROWS_OF_AN_ID and len(np.unique(numbers)) == len(numbers)
    return is_unique and bool((numbers == np.round(numbers)).all())


def _coded(column: _Column) -> tuple[NDArray[np.float64], bool]:
    """Texts as their places among the sorted ones, and whether they are few enough to be options."""
    places = {cell: float(place) for place, cell in enumerate(sorted(set(column.there)))}
    gone = float("nan")
    return np.array([places.get(cell, gone) for cell in column.cells]), len(places) <= MOST_OPTIONS
