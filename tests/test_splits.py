"""Splits of arrays: disjoint and repeatable, of a stream of their own, by class, by group and by time."""

import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_array
from sklearn.datasets import load_digits

from evenhand.errors import InvalidSettings
from evenhand.tasks import Splits
from evenhand.tasks.builtin import classic, practice

NAMES = ("train", "validation", "test")


def parts(splits: Splits, of: int = 0) -> list[Any]:
    return [splits.load(name)[of] for name in NAMES]  # type: ignore[arg-type] # they are its splits


def test_drawn_splits_are_disjoint_whole_and_repeatable() -> None:
    first, again, other = (Splits.drawn(np.arange(100), np.arange(100), seed=seed) for seed in (1, 1, 2))
    assert [len(part) for part in parts(first)] == [60, 20, 20]
    assert sorted(np.concatenate(parts(first))) == list(range(100))
    assert np.array_equal(first.load("test")[0], again.load("test")[0])
    assert not np.array_equal(first.load("test")[0], other.load("test")[0])
    with pytest.raises(InvalidSettings):
        Splits.drawn(np.arange(3), np.arange(3), validation=0.1)


@pytest.mark.parametrize("seed", [0, 1, 42])
@pytest.mark.parametrize("kind", ["uniform", "normal", "integers"])
def test_a_split_does_not_repeat_the_stream_that_data_was_made_with(seed: int, kind: str) -> None:
    rng: Any = np.random.default_rng(seed)
    made = {"uniform": rng.uniform, "normal": rng.normal, "integers": rng.integers}[kind]
    x = made(0, 1000, 400)
    train, validation, test = parts(Splits.drawn(x, np.sin(x), seed=seed))
    for part in (validation, test):
        assert abs(part.mean() - train.mean()) < 0.5 * x.std(), "a part has its share of small and large values"
        assert part.min() < np.median(x) < part.max()


def test_what_is_built_in_keeps_the_splits_that_its_numbers_are_of() -> None:
    order = np.argsort(np.random.PCG64(1).random_raw(1797), kind="stable")
    whole = np.concatenate([practice.digits().load(name)[1] for name in ("test", "validation", "train")])
    assert np.array_equal(whole, load_digits().target[order])
    assert [len(part) for part in parts(classic.splits_of("wine"))] == [106, 36, 36]


@pytest.mark.parametrize(
    "y",
    [
        np.repeat([0, 1], [180, 20]),
        np.repeat(["a", "b", "c"], [100, 80, 20]),
        np.repeat([1.0, 2.0], [150, 50]),
        np.repeat([True, False], [10, 190]),
    ],
)
def test_each_split_has_its_share_of_each_class(y: Any) -> None:
    y = np.random.default_rng(3).permutation(y)
    shares = {value: (y == value).mean() for value in set(y.tolist())}
    splits = Splits.drawn(np.arange(200), y)
    assert [len(part) for part in parts(splits)] == [120, 40, 40]
    for part in parts(splits, 1):
        for value, share in shares.items():
            assert abs((part == value).sum() - share * len(part)) <= 1
    rarest = min(shares, key=lambda value: shares[value])
    counts = [(parts(Splits.drawn(y, y, seed=seed, stratify=False))[2] == rarest).sum() for seed in range(10)]
    assert max(counts) - min(counts) > 2, "without it shares vary"


def test_numbers_are_not_taken_for_classes() -> None:
    y = np.linspace(0, 1, 100)
    assert np.array_equal(parts(Splits.drawn(y, y))[2], parts(Splits.drawn(y, y, stratify=False))[2])


def test_an_example_that_is_alone_in_its_class_comes_everywhere() -> None:
    y = np.array([*np.repeat(["a", "b"], 50), "alone"])
    held = [next(name for name in NAMES if "alone" in Splits.drawn(y, y, seed=seed).load(name)[1]) for seed in range(60)]  # type: ignore[arg-type]
    assert {name: held.count(name) for name in NAMES} == pytest.approx({"train": 36, "validation": 12, "test": 12}, abs=9)


@pytest.mark.parametrize("highest", [15, 10_000])
def test_splits_of_counts_spread_alike(highest: int) -> None:
    rng = np.random.default_rng(4)
    y = np.minimum(rng.pareto(1.2, 300).astype(int), highest)
    spread = np.array([[part.std() for part in parts(Splits.drawn(y, y, seed=seed), 1)] for seed in range(300)])
    tail = np.mean([[part.max() == y.max() for part in parts(Splits.drawn(y, y, seed=seed), 1)] for seed in range(300)], axis=0)
    if (y == y.max()).sum() == 1:
        assert tail == pytest.approx([0.6, 0.2, 0.2], abs=0.07), "the largest has the same chance of each split"
    else:
        assert spread.mean(axis=0) == pytest.approx(np.full(3, y.std()), rel=0.05)


def test_groups_and_classes_may_be_many() -> None:
    tracemalloc.start()
    Splits.drawn(np.arange(4000), np.repeat(np.arange(2000).astype(str), 2), groups=np.arange(4000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6, "not groups x classes"


def test_no_group_is_in_two_splits() -> None:
    rng = np.random.default_rng(5)
    groups = np.array([f"patient {number}" for number in rng.integers(0, 30, 300)])
    y = rng.integers(0, 2, 300)
    splits = Splits.drawn(groups, y, groups=groups)
    held = [set(part) for part in parts(splits)]
    assert not held[0] & held[1] | held[0] & held[2] | held[1] & held[2]
    assert sum(map(len, held)) == 30
    sizes = [len(part) for part in parts(splits)]
    assert sum(sizes) == 300
    assert sizes == pytest.approx([180, 60, 60], abs=15)
    assert all(0.3 < part.mean() < 0.7 for part in parts(splits, 1))
    assert set(parts(Splits.drawn(groups, y, groups=groups, seed=1))[2]) != held[2]
    three = Splits.drawn(np.arange(12), np.arange(12), groups=np.repeat([1, 2, 3], 4))
    assert [len(part) for part in parts(three)] == [4, 4, 4]


def test_by_time_the_latest_examples_are_for_test() -> None:
    days = np.datetime64("2026-01-01") + np.random.default_rng(2).permutation(100)
    train, validation, test = parts(Splits.drawn(days, np.arange(100), times=days))
    assert train.max() < validation.min()
    assert validation.max() < test.min()
    assert [len(part) for part in (train, validation, test)] == [60, 20, 20]
    weeks = np.repeat(np.arange(10), 11)
    train, validation, test = parts(Splits.drawn(weeks, weeks, times=weeks))
    assert (set(train), set(validation), set(test)) == ({*range(6)}, {6, 7}, {8, 9}), "equal times stay together"


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"groups": [1, 2]}, r"groups has the shape \(2,\), expected \(10,\)"),
        ({"groups": np.repeat([1, 2], 5)}, "there are 2 groups, expected three or more"),
        ({"groups": [None, *range(9)]}, "groups of 1 examples are missing, the first of row 0"),
        ({"times": [float("nan"), *range(9)]}, "times of 1 examples are missing"),
        ({"times": np.repeat([1, 2], 5)}, "2 different times are too few"),
        ({"times": range(10), "groups": range(10)}, "expected one of them"),
        ({"times": np.array([1, "a", *range(8)], dtype=object)}, "times cannot be ordered"),
        ({"test": 0.0}, "leave a split empty"),
    ],
)
def test_what_does_not_go_together_is_refused(given: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidSettings, match=why):
        Splits.drawn(np.arange(10), np.linspace(0, 1, 10), **given)


@pytest.mark.parametrize(
    ("x", "y", "why"),
    [
        (coo_array(np.eye(10)), np.arange(10), r"x is a sparse coo_array, .*x\.toarray\(\)"),
        (5, np.arange(10), "x is a int, expected an array"),
        (np.arange(10), iter(range(10)), "y is a range_iterator, expected an array"),
    ],
)
def test_what_is_no_array_is_refused(x: Any, y: Any, why: str) -> None:
    with pytest.raises(InvalidSettings, match=why):
        Splits.drawn(x, y)


def test_targets_without_a_hash_are_split_but_not_by_class() -> None:
    y = np.empty(10, object)
    y[:] = [[number] for number in range(10)]
    assert [len(part) for part in parts(Splits.drawn(np.arange(10), y))] == [6, 2, 2]
    with pytest.raises(InvalidSettings, match=r"y holds values that cannot be told apart \(unhashable type: 'list'\)"):
        Splits.drawn(np.arange(10), y, stratify=True)


def test_examples_and_targets_are_as_many() -> None:
    with pytest.raises(InvalidSettings, match="x has 9 examples and y 10"):
        Splits.drawn(np.arange(9), np.arange(10))
