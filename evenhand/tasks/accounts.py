"""What data was taken for: a line for each column or folder, to be read before anything is trained."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from evenhand.model.domain import show
from evenhand.model.words import plural, shortened
from evenhand.settings import data_dir, private_folder, private_opener
from evenhand.tasks import targets

FILE_NAME = "account.json"  # within a folder of prepared data
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
        what: whether the parts are columns, folders or classes.
    """

    source: str
    parts: tuple[Taken, ...]
    remarks: tuple[str, ...] = ()
    what: Literal["column", "folder", "class"] = "column"

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


def keep(account: DataAccount, folder: Path) -> None:
    """Write an account into a folder of prepared data; `kept` reads it."""
    (folder / FILE_NAME).write_text(json.dumps(asdict(account)), encoding="utf-8")


def kept(folder: Path) -> DataAccount:
    """The account that `keep` wrote into a folder."""
    said = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
    parts = [Taken(**{**part, "first": tuple(part["first"]), "remarks": tuple(part["remarks"])}) for part in said["parts"]]
    return DataAccount(said["source"], tuple(parts), tuple(said["remarks"]), said["what"])


def note(version: str, account: DataAccount) -> None:
    """Note what the data of a task's version was taken for, for this machine's pages; `noted` reads it."""
    place = _place_of(version)
    private_folder(place)
    fresh = place / f"{FILE_NAME}.{os.getpid()}"
    with open(fresh, "w", encoding="utf-8", opener=private_opener) as file:
        file.write(json.dumps(asdict(account)))
    fresh.replace(place / FILE_NAME)


def noted(version: str) -> DataAccount | None:
    """What `note` noted of a task's version on this machine; None where nothing was, or it cannot be read."""
    try:
        return kept(_place_of(version))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _place_of(version: str) -> Path:
    return data_dir() / "accounts" / hashlib.sha256(version.encode()).hexdigest()[:32]


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
        parts = [of_numbers(f"column {place}", "numbers", column) for place, column in enumerate(x.T, 1)]
    elif x.ndim and x.dtype.kind in "biuf":
        parts = [of_numbers(" x ".join(["examples", *map(str, x.shape[1:])]), "numbers", x)]
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


def of_numbers(name: str, kind: str, values: Any) -> Taken:
    """A part that is an array of numbers."""
    missing = int((~np.isfinite(values)).sum()) if values.dtype.kind == "f" else 0
    return Taken(name, kind, range_of(values), missing, tuple(f"{value:.6g}" for value in values.ravel()[:FIRST_VALUES].tolist()))


def _of_targets(y: Any, is_classes: bool | None) -> Taken:
    if y.ndim != 1 or y.dtype.kind not in "biufUSO":
        return Taken("target", "an array" if y.ndim else "an object", f"shape {y.shape}" if y.ndim else type(y.item()).__name__)
    y = targets.as_numbers(y)
    if is_classes is None:
        is_classes = targets.are_classes(y)
    if not is_classes and y.dtype.kind in "iuf":
        return of_numbers("target", f"target: numbers, {plural(len(np.unique(y)), 'value')}", y)
    texts = [show(value) if isinstance(value, float) else str(value) for value in y.tolist()]
    return Taken("target", f"target: {plural(len(set(texts)), 'class', 'classes')}", counts_of(texts), 0, first_of(texts))
