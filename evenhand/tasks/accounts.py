"""What data was taken for: a line for each column or folder, to be read before anything is trained."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from evenhand.model.domain import show
from evenhand.model.words import plural, shortened
from evenhand.tasks import targets

FIRST_VALUES = 3
MOST_VALUES = 8  # classes or options that are listed
LONGEST_VALUE = 24  # characters of one
MOST_COLUMNS = 40  # of an array that are told one by one


@dataclass(frozen=True)
class Taken:
    """What one column or folder was taken for.

    Attributes:
        name: of the column or folder.
        kind: what it was taken for, in words.
        holds: its range, its values with their counts, or how many pictures.
        missing: how many values are not there.
        first: its first values as they are written.
        remarks: what a person should look at.
    """

    name: str
    kind: str
    holds: str = ""
    missing: int = 0
    first: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class DataAccount:
    """What a table or a folder was taken for.

    Attributes:
        source: what it is of, and how large.
        parts: each column or folder.
        remarks: what is said of all of it: how it was read, what was passed over and how often.
        what: whether the parts are columns or folders.
    """

    source: str
    parts: tuple[Taken, ...]
    remarks: tuple[str, ...] = ()
    what: Literal["column", "folder"] = "column"

    @property
    def headings(self) -> tuple[str, ...]:
        """The names of what `rows` holds."""
        return self.what, "taken for", "holds", "missing", f"first {'values' if self.what == 'column' else 'files'}"

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """A row of texts for each part."""
        return [
            (part.name, part.kind, part.holds, str(part.missing) if part.missing else "", " · ".join(map(short, part.first)))
            for part in self.parts
        ]

    @property
    def all_remarks(self) -> list[str]:
        """Remarks on all of it, then those on its parts, each with the part's name."""
        return [*self.remarks, *(f"{part.name}: {remark}" for part in self.parts for remark in part.remarks)]


def short(value: str) -> str:
    """A value in one line."""
    return shortened(" ".join(value.split()), LONGEST_VALUE)


def first_of(texts: Iterable[str]) -> tuple[str, ...]:
    """The first values that differ."""
    return tuple(dict.fromkeys(texts))[:FIRST_VALUES]


def range_of(values: Any) -> str:
    """The least and the largest of numbers that are there."""
    there = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not there.size:
        return ""
    low, high = float(there.min()), float(there.max())
    return f"{low:.10g} to {high:.10g}" if low < high else f"{low:.10g}"


def counts_of(values: Iterable[str]) -> str:
    """Each value with its count, the most frequent first."""
    counted = sorted(Counter(values).items(), key=lambda pair: (-pair[1], pair[0]))
    rest = f", {plural(len(counted) - MOST_VALUES, 'other')}" if len(counted) > MOST_VALUES else ""
    return ", ".join(f"{short(value)} ({count})" for value, count in counted[:MOST_VALUES]) + rest


def listed(names: Sequence[str], most: int = 5) -> str:
    """Names in one line, the rest counted."""
    return ", ".join(names[:most]) + (f" and {plural(len(names) - most, 'other')}" if len(names) > most else "")


def of_arrays(x: Any, y: Any, *, is_classes: bool | None = None) -> DataAccount:
    """What examples (N, ...) and targets (N,) of training data look like. is_classes: what targets are; None: they tell."""
    x, y = _array(x), _array(y)
    if x.ndim == 2 and x.shape[1] <= MOST_COLUMNS and x.dtype.kind in "biuf":
        parts = [_of_numbers(f"column {place}", "numbers", column) for place, column in enumerate(x.T, 1)]
    elif x.ndim and x.dtype.kind in "biuf":
        parts = [_of_numbers(" x ".join(["examples", *map(str, x.shape[1:])]), "numbers", x)]
    else:
        parts = [Taken("examples", "texts or objects", f"shape {x.shape}" if x.ndim else type(x.item()).__name__)]
    count = plural(len(y), "example") if y.ndim else "examples that cannot be counted"
    return DataAccount(f"training data: {count}", (*parts, _of_targets(y, is_classes)))


def _array(values: Any) -> Any:
    """An array of examples or targets; of what makes none, such as rows of several lengths, one that holds it as an object."""
    try:
        return np.asarray(values)
    except Exception:  # of whatever kind: tensors and frames have their own
        whole = np.empty((), object)
        whole[()] = values
        return whole


def _of_numbers(name: str, kind: str, values: Any) -> Taken:
    missing = int((~np.isfinite(values)).sum()) if values.dtype.kind == "f" else 0
    return Taken(name, kind, range_of(values), missing, tuple(f"{value:.6g}" for value in values.ravel()[:FIRST_VALUES].tolist()))


def _of_targets(y: Any, is_classes: bool | None) -> Taken:
    if y.ndim != 1 or y.dtype.kind not in "biufUSO":
        return Taken("target", "an array" if y.ndim else "an object", f"shape {y.shape}" if y.ndim else type(y.item()).__name__)
    y = targets.as_numbers(y)
    if is_classes is None:
        is_classes = targets.are_classes(y)
    if not is_classes and y.dtype.kind in "iuf":
        return _of_numbers("target", f"target: numbers, {plural(len(np.unique(y)), 'value')}", y)
    texts = [show(value) if isinstance(value, float) else str(value) for value in y.tolist()]
    return Taken("target", f"target: {plural(len(set(texts)), 'class', 'classes')}", counts_of(texts), 0, first_of(texts))
