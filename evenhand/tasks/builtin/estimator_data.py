"""A user's own examples in splits and folds of row numbers: stratified for classes, never a group in two of them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from importlib import import_module
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import InvalidSettings
from evenhand.model.rules import derive_seed
from evenhand.tasks.splits import Splits, interleaved

Rows = NDArray[np.int64]
Fold = tuple[Rows, Rows]  # row numbers to train on, and to score on
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.25  # of what is not for test
SHOWN = 5  # things that an error names at most


@dataclass(frozen=True)
class EstimatorData:
    """Examples X (array, sparse matrix or data frame, one row an example) and targets y (N,), in splits of row numbers.

    folds: what trials train and are scored on, the same for all of them; without `cv` there is one. groups: (N,), or None.
    """

    x: Any
    y: Any
    splits: Splits
    folds: tuple[Fold, ...]
    groups: Any = None

    @classmethod
    def drawn(
        cls, x: Any, y: Any, seed: int, *, classes: bool = False, cv: Any = None, groups: Any = None, test: Any = TEST_SHARE
    ) -> "EstimatorData":
        """A fifth for test, drawn by the seed, and of the rest a quarter for validation, or the folds of `cv`.

        classes: whether y holds classes, of which each split then has its share. cv: a number of folds, a splitter, or pairs of
        row numbers of X. groups: (N,); no group is in two splits. test: another share, or the row numbers themselves.

        Raises:
            InvalidSettings: X, y and groups do not fit, or cannot be split so; the text says what and why.
        """
        x, y = _examples(x), _targets(y)
        count = x.shape[0]
        if count != len(y):
            raise InvalidSettings(f"X has {count} examples and y {len(y)}, expected as many of both")
        groups = None if groups is None else _groups(groups, count)
        if classes:
            _check_classes(y)
        elif y.dtype.kind not in "biuf":
            raise InvalidSettings(
                f"y holds {y.tolist()[0]!r}, which is no number; expected numbers for an estimator that is no classifier"
            )
        codes = _codes(y) if classes else np.zeros(count, np.int64)
        group_codes = None if groups is None else _codes(groups)
        in_order = type(cv).__name__ == "TimeSeriesSplit"
        tested, rest = _test_part(test, _drawn(count, seed), codes, group_codes, least=_least(cv, group_codes), in_order=in_order)
        if cv is None:
            validated, trained = _cut(rest, VALIDATION_SHARE, codes, group_codes)
            folds: tuple[Fold, ...] = ((trained, validated),)
        else:
            folds = tuple(_folds(cv, np.sort(rest), _Whole(x, y, groups), classes, seed, tested))
            rest = np.sort(rest) if isinstance(cv, Integral) or hasattr(cv, "split") else _all_of(folds)
        made = cls(x, y, _splits(y, folds, rest, tested), folds, groups)
        _check_folds(made, tested, classes)
        return made

    def at(self, rows: Any) -> Any:
        """X of some rows."""
        return at(self.x, rows)


def held_out(y: Any, share: float, seed: int, *, classes: bool, groups: Any = None) -> tuple[Rows, Rows]:
    """Places of a share of the targets y (N,), and of the others: of each class its share, and no group on both sides.

    Raises:
        InvalidSettings: there are too few of them.
    """
    codes = _codes(y) if classes else np.zeros(len(y), np.int64)
    return _cut(_drawn(len(y), seed), share, codes, None if groups is None else _codes(groups))


@dataclass(frozen=True)
class _Whole:
    x: Any
    y: Any
    groups: Any


def at(x: Any, rows: Any) -> Any:
    """X of some rows."""
    return x.iloc[rows] if hasattr(x, "iloc") else x[rows]


def _examples(x: Any) -> Any:
    if hasattr(x, "tocsr"):
        return x.tocsr()
    if not hasattr(x, "iloc"):
        try:
            x = np.asarray(x)
        except ValueError as error:
            raise InvalidSettings(f"X: got rows of different lengths ({error}); expected (N, features)") from None
    is_text = len(x.shape) == 1 and len(x) > 0 and all(isinstance(text, str) for text in x)
    if len(x.shape) < 2 and not is_text:
        advice = "; one feature is X.reshape(-1, 1), or of a data frame X[['name']]" if len(x.shape) == 1 else ""
        raise InvalidSettings(f"X has the shape {x.shape}, expected (N, features), or N texts{advice}")
    if len(x.shape) > 1 and x.shape[1] == 0:
        raise InvalidSettings(f"X has the shape {x.shape}, expected at least one feature")
    return x


def _targets(y: Any) -> Any:
    given = y
    try:
        y = np.asarray(y)
    except ValueError as error:
        raise InvalidSettings(f"y: got {type(given).__name__} that is no array of targets ({error}); expected (N,)") from None
    if y.ndim != 1:
        advice = "; a single column of targets is y.ravel(), or y['name']" if y.ndim == 2 and y.shape[1] == 1 else ""
        raise InvalidSettings(f"y has the shape {y.shape}, expected (N,), one target for each example{advice}")
    missing = _missing(y)
    if len(missing):
        raise InvalidSettings(
            f"y: {len(missing)} of {len(y)} targets are missing or not finite, in rows {_some(missing)}; leave these examples out"
        )
    return np.asarray(y.tolist()) if y.dtype == object and not any(isinstance(target, str) for target in y) else y


def _missing(values: Any) -> Rows:
    if values.dtype.kind == "f":
        return np.flatnonzero(~np.isfinite(values))
    if values.dtype.kind in "mM":
        return np.flatnonzero(np.isnat(values))
    if values.dtype != object:
        return np.empty(0, np.int64)
    return np.flatnonzero([_is_missing(value) for value in values])


def _is_missing(value: Any) -> bool:
    return (
        value is None
        or type(value).__name__ in ("NAType", "NaTType")
        or (isinstance(value, Real) and not np.isfinite(float(value)))
    )


def _groups(groups: Any, count: int) -> Any:
    groups = np.asarray(groups)
    if groups.shape != (count,):
        raise InvalidSettings(f"groups has the shape {groups.shape}, expected ({count},), a group for each example")
    missing = _missing(groups)
    if len(missing):
        raise InvalidSettings(f"groups: {len(missing)} are missing, in rows {_some(missing)}; give each example one")
    return groups


def _some(values: Iterable[Any]) -> str:
    listed = [str(value) for value in values]
    return ", ".join(listed[:SHOWN]) + (", ..." if len(listed) > SHOWN else "")


def _codes(values: Any) -> Rows:
    """Equal values as equal whole numbers, in the order in which they first come; they need not be comparable."""
    known: dict[Any, int] = {}
    return np.array([known.setdefault(value, len(known)) for value in values.tolist()], np.int64)


def _check_classes(y: Any) -> None:
    if y.dtype.kind == "f" and not np.all(y == np.round(y)):
        raise InvalidSettings(
            f"y holds real numbers such as {y[y != np.round(y)][0]}, but the estimator is a classifier"
            "; expected classes, or a regressor"
        )
    if len(targets := set(y.tolist())) < 2:
        held = f"one class only, {next(iter(targets))!r}" if targets else "no target"
        raise InvalidSettings(f"y holds {held}; expected at least two classes")


def _drawn(count: int, seed: int) -> Rows:
    """All row numbers in an order that the seed decides."""
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")


def _test_part(test: Any, drawn: Rows, codes: Rows, groups: Rows | None, *, least: int, in_order: bool) -> tuple[Rows, Rows]:
    """Row numbers for test, and the others, which keep at least so many groups."""
    count = len(drawn)
    if isinstance(test, Real) and not isinstance(test, bool):
        if not 0 < float(test) < 1:
            raise InvalidSettings(f"test={test!r}: expected a share between 0 and 1, or a list of row numbers")
        if in_order:
            first = count - round(count * float(test))
            return np.arange(first, count), np.arange(first)
        return _cut(drawn, float(test), codes, groups, least=least)
    tested = _row_numbers("test", test, count)
    return tested, _without(drawn, tested)


def _least(cv: Any, groups: Rows | None) -> int:
    """Groups that are left beside the test part: one for each fold, where there are enough of them."""
    wanted = int(cv) if isinstance(cv, Integral) and not isinstance(cv, bool) else 2
    return 2 if groups is None else max(min(wanted, len(np.unique(groups)) - 1), 2)


def _row_numbers(what: str, given: Any, count: int) -> Rows:
    rows = np.asarray(given)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows):
        raise InvalidSettings(f"{what}: got {given!r}, expected row numbers from 0 to {count - 1}")
    if rows.min() < 0 or rows.max() >= count or len(np.unique(rows)) != len(rows):
        raise InvalidSettings(
            f"{what}: holds row numbers from {rows.min()} to {rows.max()}, expected distinct ones from 0 to {count - 1}"
        )
    return rows.astype(np.int64)


def _cut(drawn: Rows, share: float, codes: Rows, groups: Rows | None, *, least: int = 1) -> tuple[Rows, Rows]:
    """A share of rows in drawn order, and the others: of each class its share, each group on one side.

    least: groups that the others keep.
    """
    if groups is not None:
        held = _groups_held(drawn, share, codes, groups, least)
        return drawn[held], drawn[~held]
    drawn = interleaved(drawn, codes)
    first = round(len(drawn) * share)
    if not 0 < first < len(drawn):
        raise InvalidSettings(
            f"{len(drawn)} examples are too few: a share of {share:g} for test or validation leaves a part empty"
        )
    return drawn[:first], drawn[first:]


def _groups_held(drawn: Rows, share: float, codes: Rows, groups: Rows, least: int) -> NDArray[np.bool_]:
    """Which rows are held out: group by group, the larger first, to the side that lacks more of the group's classes."""
    sizes = Counter(groups[drawn].tolist())  # in drawn order
    if len(sizes) <= least:
        raise InvalidSettings(f"groups: there are {len(sizes)} for {least + 1} parts, such as training, validation and test")
    counts = np.zeros((groups.max() + 1, codes.max() + 1))  # of each group's examples in each class
    np.add.at(counts, (groups[drawn], codes[drawn]), 1)
    totals = counts.sum(axis=0)
    lacks = np.array([share, 1 - share])[:, None] * totals
    needs = [1, least]  # groups that the side held out, and the other one, still have to get
    is_held = np.zeros(len(counts), bool)
    for place, (group, _) in enumerate(sizes.most_common()):
        side = int(np.argmax((lacks * counts[group] / np.maximum(totals, 1)).sum(axis=1)))
        if len(sizes) - place == sum(needs) and not needs[side]:
            side = 1 - side
        is_held[group] = side == 0
        lacks[side] -= counts[group]
        needs[side] = max(needs[side] - 1, 0)
    return is_held[groups[drawn]]


def _folds(cv: Any, rest: Rows, whole: _Whole, classes: bool, seed: int, tested: Rows) -> Sequence[Fold]:
    """The folds, of rows that are not for test."""
    count = whole.x.shape[0]
    if isinstance(cv, Integral) and not isinstance(cv, bool):
        cv = _splitter(int(cv), rest, whole, classes, seed)
    if isinstance(cv, type):
        raise InvalidSettings(f"cv={cv.__name__}: is a class, expected one of its objects, such as cv={cv.__name__}(5)")
    if hasattr(cv, "test_fold") and hasattr(cv, "split"):  # PredefinedSplit: of all rows
        return _pairs(list(cv.split()), count, tested)
    if hasattr(cv, "split") and not isinstance(cv, str):
        return _of_splitter(cv, rest, whole, seed)
    if isinstance(cv, str | Mapping) or not isinstance(cv, Iterable):
        raise InvalidSettings(
            f"cv={cv!r}: expected a number of folds from 2, a splitter of scikit-learn such as GroupKFold(5), or pairs "
            "(row numbers to train on, row numbers to score on)"
        )
    return _pairs(list(cv), count, tested)


def _splitter(folds: int, rest: Rows, whole: _Whole, classes: bool, seed: int) -> Any:
    selection = import_module("sklearn.model_selection")
    if not 2 <= folds <= len(rest):
        raise InvalidSettings(
            f"cv={folds}: expected from 2 to {len(rest)} folds, as many examples as there are beside the test part"
        )
    drawn = {"shuffle": True, "random_state": derive_seed(seed, "folds") % 2**32}
    if whole.groups is None:
        return (selection.StratifiedKFold if classes else selection.KFold)(folds, **drawn)
    if folds > (groups := len(set(whole.groups[rest].tolist()))):
        raise InvalidSettings(f"cv={folds}: there are {groups} groups beside the test part, expected at least as many as folds")
    return (selection.StratifiedGroupKFold if classes else selection.GroupKFold)(folds, **drawn)


def _of_splitter(cv: Any, rest: Rows, whole: _Whole, seed: int) -> Sequence[Fold]:
    """The folds of a splitter; one that draws and has no seed of its own draws by ours."""
    if getattr(cv, "random_state", 0) is None and getattr(cv, "shuffle", True):
        cv = copy(cv)
        cv.random_state = derive_seed(seed, "folds") % 2**32
    groups = None if whole.groups is None else whole.groups[rest]
    try:
        folds = [(rest[train], rest[held]) for train, held in cv.split(at(whole.x, rest), whole.y[rest], groups)]
    except (ValueError, TypeError, IndexError) as error:
        raise InvalidSettings(f"cv={cv!r} cannot split the {len(rest)} examples beside the test part: {error}") from None
    if not folds:
        raise InvalidSettings(f"cv={cv!r} gives no fold, expected at least one")
    return folds


def _pairs(given: Sequence[Any], count: int, tested: Rows) -> Sequence[Fold]:
    """Folds of row numbers of X, without those that are for test."""
    folds = []
    for number, pair in enumerate(given, start=1):
        if not isinstance(pair, Sequence | np.ndarray) or isinstance(pair, str) or len(pair) != 2:
            raise InvalidSettings(f"cv: its fold {number} is {pair!r}, expected a pair (row numbers to train on, to score on)")
        train, held = (_row_numbers(f"cv, fold {number}", rows, count) for rows in pair)
        folds.append((_without(train, tested), _without(held, tested)))
    if not folds:
        raise InvalidSettings("cv: got no fold, expected at least one pair (row numbers to train on, row numbers to score on)")
    return folds


def _common(rows: Rows, others: Rows) -> Rows:
    return rows[_is_among(rows, others)]


def _without(rows: Rows, others: Rows) -> Rows:
    return rows[~_is_among(rows, others)]


def _is_among(rows: Rows, others: Rows) -> NDArray[np.bool_]:
    """Of each row whether it is among the others, by a mark for each row number: sorting large sets takes seconds."""
    marked = np.zeros(max(rows.max(initial=0), others.max(initial=0)) + 1, bool)
    marked[others] = True
    return marked[rows]


def _all_of(folds: Sequence[Fold]) -> Rows:
    return np.unique(np.concatenate([np.concatenate(fold) for fold in folds]))


def _check_folds(data: EstimatorData, tested: Rows, classes: bool) -> None:
    parts = [(f"fold {number}" if len(data.folds) > 1 else "the split", fold) for number, fold in enumerate(data.folds, start=1)]
    for words, (train, held) in parts:
        if not len(train) or not len(held):
            raise InvalidSettings(f"{words}: {len(train)} examples to train on and {len(held)} to score on are too few")
        if len(both := _common(train, held)):
            raise InvalidSettings(f"{words}: rows {_some(both)} are both to train and to score on")
        if classes and len(set(data.y[train].tolist())) < 2:
            raise InvalidSettings(
                f"{words}: its {len(train)} training examples are all of one class; expected at least two classes"
            )
    if data.groups is not None:
        for words, (train, held) in [*parts, ("the test part", (_all_of(data.folds), tested))]:
            if shared := {*data.groups[train].tolist()} & {*data.groups[held].tolist()}:
                raise InvalidSettings(
                    f"{words}: the groups {_some(sorted(shared, key=str))} are on both sides; "
                    "use a splitter that keeps groups together, such as GroupKFold(5)"
                )


def _splits(y: Any, folds: Sequence[Fold], rest: Rows, tested: Rows) -> Splits:
    """The splits that a run is given: with folds, the first one's part to score on is validation, all else training."""
    trained, validated = folds[0]
    if len(folds) > 1:
        trained = _without(rest, validated)
    return Splits(*((rows, y[rows]) for rows in (trained, validated, tested)))
