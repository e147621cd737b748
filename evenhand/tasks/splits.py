"""The data of a task: disjoint splits, each opened only when it is needed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import InvalidSettings
from evenhand.model.rules import derive_seed
from evenhand.tasks import targets
from evenhand.tasks.accounts import DataAccount

REVISION = 3  # of what `Splits.drawn` draws; it is in the version of each task of one's own that has data
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
                numbers of at most 20 values.
            groups: (N,), such as a patient's or a machine's name for each example; no group is in two splits.
            times: (N,), numbers or dates; training has the earliest examples, test the latest, and equal times are together.
                Nothing is drawn then.
            account: what the data was taken for.

        Returns:
            Three splits that share no example.

        Raises:
            InvalidSettings: the shares leave a split empty, groups are too few, or what was given does not go together.
        """
        x, y = _examples("x", x), _examples("y", y)
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
            is_stratified = targets.are_classes(y) if stratify is None else stratify
            codes = _codes("y", y) if is_stratified else np.zeros(count, np.int64)
            if groups is not None:
                named = _codes("groups", _key("groups", groups, count))
                rows = _by_group(order, codes, named, (count - second, second - first, first))
            else:
                begins = np.random.Generator(np.random.PCG64(derive_seed(seed, "splits", "classes"))).random(codes.max() + 1)
                rows = _cut(interleaved(order, codes, begins), first, second)
        return cls(*((x[part], y[part]) for part in rows), account=account)


def interleaved(drawn: Rows, codes: Rows, begins: NDArray[np.float64] | None = None) -> Rows:
    """Row numbers in drawn order, moved so that any stretch of them has its share of each class.

    Args:
        drawn: row numbers.
        codes: the class of each of all rows, from 0.
        begins: by class, where its first row is within the stretch of it, between 0 and 1. Drawn for each class, they give the
            rows of a rare one the same chance of each place. None: 0.5 for all.

    Returns:
        The row numbers.
    """
    classes = codes[drawn]
    sizes = np.bincount(classes)
    by_class = np.argsort(classes, kind="stable")
    rank = np.empty(len(drawn), np.int64)  # of each row within its class
    rank[by_class] = np.arange(len(drawn)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    begin = 0.5 if begins is None else begins[classes]
    return drawn[np.argsort((rank + begin) / sizes[classes], kind="stable")]


def unsalted(x: Any, y: Any, seed: int) -> Splits:
    """60, 20 and 20 %, as built-in tasks drew first, whose numbers are held by it. Never for data that is drawn itself."""
    count = len(y)
    order = np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")
    return Splits(*((x[part], y[part]) for part in _cut(order, round(count * 0.2), 2 * round(count * 0.2))))


def _cut(order: Rows, first: int, second: int) -> tuple[Rows, Rows, Rows]:
    """Rows of train, validation and test: the test's come first in the order."""
    return order[second:], order[first:second], order[:first]


def _examples(what: str, values: Any) -> Any:
    """An array of examples, or of targets."""
    kind = type(values).__name__
    if hasattr(values, "tocsr"):
        raise InvalidSettings(
            f"Splits.drawn: {what} is a sparse {kind}, expected an array; give {what}.toarray(), or make the splits: "
            "Splits((x[rows], y[rows]), ...)"
        )
    values = np.asarray(values)
    if not values.ndim:
        raise InvalidSettings(f"Splits.drawn: {what} is a {kind}, expected an array with a row for each example")
    return values


def _codes(what: str, values: Any) -> Rows:
    """Equal values as equal whole numbers, in the order in which they first come; they need not be comparable."""
    numbers: dict[Any, int] = {}
    try:
        return np.array([numbers.setdefault(value, len(numbers)) for value in values.tolist()], np.int64)
    except TypeError as error:
        raise InvalidSettings(
            f"Splits.drawn: {what} holds values that cannot be told apart ({error}), expected texts, truth values or numbers"
        ) from None


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
    rows_of = np.bincount(groups)  # of each group
    if len(rows_of) < len(sizes):
        raise InvalidSettings(f"Splits.drawn: there are {len(rows_of)} groups, expected three or more, one for each split")
    totals = np.bincount(codes)
    pairs, counts = np.unique(
        np.stack([groups, codes]), axis=1, return_counts=True
    )  # the classes that each group has, in its order
    starts = np.searchsorted(pairs[0], np.arange(len(rows_of) + 1))
    lacks = np.outer(np.array(sizes) / sum(sizes), totals)
    place = np.full(len(rows_of), -1)
    is_empty = np.ones(len(sizes), bool)
    drawn = list(dict.fromkeys(groups[order].tolist()))
    for done, group in enumerate(sorted(drawn, key=lambda group: -rows_of[group])):
        part = slice(starts[group], starts[group + 1])
        held, count = pairs[1, part], counts[part]
        wants = (lacks[:, held] * (count / totals[held])).sum(axis=1)
        if len(drawn) - done == is_empty.sum():  # no split stays without a group
            wants[~is_empty] = -np.inf
        place[group] = chosen = int(np.argmax(wants))
        is_empty[chosen] = False
        lacks[chosen, held] -= count
    return [order[place[groups[order]] == split] for split in range(len(sizes))]


def _withheld() -> Part:
    raise InvalidSettings("test data is not for the training function: its choice is scored on it once, after it has returned")
