"""The data of a task: disjoint splits, each opened only when it is needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import InvalidSettings
from evenhand.model.rules import derive_seed
from evenhand.tasks.accounts import DataAccount

REVISION = 2  # of what `Splits.drawn` draws; it is in the version of each task of one's own that has data
MOST_CLASSES = 20  # whole numbers among floats with at most so many values are classes
Rows = NDArray[np.int64]  # row numbers
Part = tuple[Any, Any]  # examples X and targets y of one split, as the training function wants them


@dataclass(frozen=True)
class Splits:
    """Disjoint data of a task. Each part is (X, y), or a function that returns it and is called only when the part is needed.

    Attributes:
        train: what is learnt from.
        validation: what trials are scored on.
        test: what final choices are scored on; None where there is none.
        account: what the data was taken for, to be read before anything is trained; None where nothing says it.
    """

    train: Part | Callable[[], Part]
    validation: Part | Callable[[], Part]
    test: Part | Callable[[], Part] | None = None
    account: DataAccount | None = field(default=None, compare=False, kw_only=True)

    def load(self, split: Literal["train", "validation", "test"]) -> Part:
        """One split. Test data is asked for in evaluations only, and not opened before.

        Args:
            split: which one.

        Returns:
            Its examples and targets.

        Raises:
            InvalidSettings: it is test data, and there is none.
        """
        part = getattr(self, split)
        if part is None:
            raise InvalidSettings("the task has no test split; give Splits(train, validation, test) to evaluate it")
        data: Part = part() if callable(part) else part
        return data

    @property
    def counts(self) -> dict[str, int]:
        """Rows of validation and test, as statistics call them, of parts that are there without being opened."""
        parts = {"validation rows": self.validation, "test rows": self.test}
        return {words: len(part[1]) for words, part in parts.items() if isinstance(part, tuple) and hasattr(part[1], "__len__")}

    @property
    def without_test(self) -> "Splits":
        """Train and validation alone, as a training function may have them."""
        return Splits(self.train, self.validation, _withheld)

    @classmethod
    def drawn(
        cls,
        x: Any,
        y: Any,
        *,
        validation: float = 0.2,
        test: float = 0.2,
        seed: int = 0,
        stratify: bool | None = None,
        groups: Any = None,
        times: Any = None,
        account: DataAccount | None = None,
    ) -> "Splits":
        """Arrays, shuffled and cut. The shuffle is of a stream of its own: data made with the same seed is not repeated by it.

        Args:
            x: examples, (N, ...).
            y: targets, (N,).
            validation: the share of all examples that is for validation, between 0 and 1.
            test: the share that is for test.
            seed: decides who comes where.
            stratify: whether each split has its share of each class; None: where targets are texts, truth values, or whole
                numbers of which there are few.
            groups: (N,), such as a patient's or a machine's name for each example; no group is in two splits.
            times: (N,), numbers or dates; training has the earliest examples, test the latest, and equal times are together.
                Nothing is drawn then.
            account: what the data was taken for.

        Returns:
            Three splits that share no example.

        Raises:
            InvalidSettings: the shares leave a split empty, groups are too few, or what was given does not go together.
        """
        x, y = np.asarray(x), np.asarray(y)
        count = len(y)
        if len(x) != count:
            raise InvalidSettings(f"Splits.drawn: x has {len(x)} examples and y {count}, expected as many of both")
        first, second = round(count * test), round(count * test) + round(count * validation)
        if not 0 < first < second < count:
            raise InvalidSettings(f"shares {validation} and {test} of {count} examples leave a split empty")
        if groups is not None and times is not None:
            raise InvalidSettings("Splits.drawn: got groups and times, expected one of them")
        if times is not None:
            rows = _by_time(_key("times", times, count), first, second)
        else:
            order = np.argsort(np.random.PCG64(derive_seed(seed, "splits")).random_raw(count), kind="stable")
            is_stratified = _is_of_classes(y) if stratify is None else stratify
            codes = _codes(y) if is_stratified else np.zeros(count, np.int64)
            if groups is not None:
                rows = _by_group(order, codes, _codes(_key("groups", groups, count)), (count - second, second - first, first))
            else:
                rows = _cut(interleaved(order, codes), first, second)
        return cls(*((x[part], y[part]) for part in rows), account=account)


def interleaved(drawn: Rows, codes: Rows) -> Rows:
    """Row numbers in drawn order, moved so that any stretch of them has its share of each class. codes: of all rows."""
    place = np.empty(len(drawn))  # of each row within its class, from 0 to 1
    for code in np.unique(codes[drawn]):
        of_class = np.flatnonzero(codes[drawn] == code)
        place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    return drawn[np.argsort(place, kind="stable")]


def unsalted(x: Any, y: Any, seed: int) -> Splits:
    """60, 20 and 20 %, as built-in tasks drew first, whose numbers are held by it. Never for data that is drawn itself."""
    count = len(y)
    order = np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")
    return Splits(*((x[part], y[part]) for part in _cut(order, round(count * 0.2), 2 * round(count * 0.2))))


def _cut(order: Rows, first: int, second: int) -> tuple[Rows, Rows, Rows]:
    """Rows of train, validation and test: the test's come first in the order."""
    return order[second:], order[first:second], order[:first]


def _is_of_classes(y: Any) -> bool:
    if y.ndim != 1 or y.dtype.kind not in "biuUSOf":
        return False
    distinct = len(set(y.tolist()))
    if y.dtype.kind == "f":
        return distinct <= MOST_CLASSES and bool((y == np.round(y)).all())
    return 2 * distinct <= len(y)


def _codes(values: Any) -> Rows:
    """Equal values as equal whole numbers, in the order in which they first come; they need not be comparable."""
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(value, len(numbers)) for value in values.tolist()], np.int64)


def _key(what: str, values: Any, count: int) -> Any:
    """What examples are grouped or ordered by, one for each."""
    values = np.asarray(values)
    if values.shape != (count,):
        raise InvalidSettings(f"Splits.drawn: {what} has the shape {values.shape}, expected ({count},), one for each example")
    is_gone = np.isnat(values) if values.dtype.kind in "mM" else [value is None or value != value for value in values.tolist()]
    gone = np.flatnonzero(is_gone)
    if len(gone):
        raise InvalidSettings(f"Splits.drawn: {what} of {len(gone)} examples are missing, the first of row {gone[0]}")
    return values


def _by_time(times: Any, tested: int, held: int) -> Sequence[Rows]:
    """Rows of train, validation and test in the order of times. tested, held: wanted for test, and with those for validation."""
    try:
        order = np.argsort(times, kind="stable")
    except TypeError as error:
        raise InvalidSettings(f"Splits.drawn: times cannot be ordered ({error}), expected numbers or dates") from None
    changes = 1 + np.flatnonzero(times[order][1:] != times[order][:-1])  # equal times stay together: only here may be cut
    if len(changes) < 2:
        raise InvalidSettings(f"Splits.drawn: {len(changes) + 1} different times are too few, expected three or more")
    begin = int(np.argmin(np.abs(changes[:-1] - (len(times) - held))))
    end = begin + 1 + int(np.argmin(np.abs(changes[begin + 1 :] - (len(times) - tested))))
    return np.split(order, [changes[begin], changes[end]])


def _by_group(order: Rows, codes: Rows, groups: Rows, sizes: tuple[int, int, int]) -> Sequence[Rows]:
    """Rows of train, validation and test, whole groups: the larger first, each to the split that lacks most of its classes."""
    counts = np.zeros((groups.max() + 1, codes.max() + 1))  # of each group's examples in each class
    np.add.at(counts, (groups, codes), 1)
    if len(counts) < len(sizes):
        raise InvalidSettings(f"Splits.drawn: there are {len(counts)} groups, expected three or more, one for each split")
    totals = counts.sum(axis=0)
    lacks = np.outer(np.array(sizes) / sum(sizes), totals)
    place = np.full(len(counts), -1)
    drawn = list(dict.fromkeys(groups[order].tolist()))
    for done, group in enumerate(sorted(drawn, key=lambda group: -counts[group].sum())):
        wants = (lacks * counts[group] / totals).sum(axis=1)
        is_empty = ~np.isin(range(len(sizes)), place)
        if len(drawn) - done == is_empty.sum():  # no split stays without a group
            wants[~is_empty] = -np.inf
        place[group] = int(np.argmax(wants))
        lacks[place[group]] -= counts[group]
    return [order[place[groups[order]] == split] for split in range(len(sizes))]


def _withheld() -> Part:
    raise InvalidSettings("test data is not for the training function: its choice is scored on it once, after it has returned")
