"""A user's examples in splits and folds: stratified, grouped, fixed by the seed, or refused at once."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    PredefinedSplit,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)

from evenhand.errors import InvalidSettings
from evenhand.tasks.builtin.estimator_data import EstimatorData, held_out
from tests.components import need

COUNT = 100
X = np.arange(2.0 * COUNT).reshape(COUNT, 2)
Y = np.repeat([0, 1, 2, 3], [60, 20, 15, 5])
GROUPS = np.repeat(np.arange(20), 5)


def drawn(seed: int = 1, **settings: Any) -> EstimatorData:
    return EstimatorData.drawn(X, Y, seed, classes=True, **settings)


def rows_of(data: EstimatorData) -> tuple[Any, Any, Any]:
    train, validation, test = (data.splits.load(split)[0] for split in ("train", "validation", "test"))
    return train, validation, test


def test_each_part_has_its_share_of_each_class() -> None:
    train, validation, test = rows_of(drawn())
    assert sorted([*train, *validation, *test]) == list(range(COUNT))
    counts = [np.bincount(Y[rows]).tolist() for rows in (test, validation, train)]
    assert counts == [[12, 4, 3, 1], [12, 4, 3, 1], [36, 12, 9, 3]]


def test_a_rare_class_is_always_trained_on() -> None:
    for rare in (1, 2, 3):
        y = np.array(["often"] * (50 - rare) + ["rare"] * rare)
        for seed in range(10):
            data = EstimatorData.drawn(X[:50], y, seed, classes=True)
            assert "rare" in data.splits.load("train")[1]


def test_numbers_are_drawn_as_ever() -> None:
    data = EstimatorData.drawn(X, Y.astype(float), 3)
    order = np.argsort(np.random.PCG64(3).random_raw(COUNT), kind="stable")
    train, validation, test = rows_of(data)
    assert np.array_equal(np.concatenate([test, validation, train]), order)


@pytest.mark.parametrize("cv", [5, StratifiedKFold(5, shuffle=True), ShuffleSplit(4), KFold(3)])
def test_folds_are_fixed_by_the_seed_and_leave_the_test_part_out(cv: Any) -> None:
    data, again, other = drawn(cv=cv), drawn(cv=cv), drawn(2, cv=cv)
    _, _, test = rows_of(data)
    for (train, held), (train_again, held_again) in zip(data.folds, again.folds, strict=True):
        assert np.array_equal(train, train_again)
        assert np.array_equal(held, held_again)
        assert not {*train, *held} & {*test}
        assert not {*train} & {*held}
    assert any(not np.array_equal(fold[1], further[1]) for fold, further in zip(data.folds, other.folds, strict=True))
    assert len(test) == 20
    learnt = np.concatenate([data.splits.load("train")[0], data.splits.load("validation")[0]])
    assert sorted([*learnt, *test]) == list(range(COUNT))


def test_a_number_of_folds_keeps_the_shares_of_classes() -> None:
    for train, held in drawn(cv=4).folds:
        assert np.bincount(Y[held]).tolist() == [12, 4, 3, 1]
        assert len(train) == 60


@pytest.mark.parametrize("cv", [None, 4, GroupKFold(4), LeaveOneGroupOut()])
@pytest.mark.parametrize("classes", [True, False])
def test_no_group_is_in_two_parts(cv: Any, classes: bool) -> None:
    for seed in range(5):
        data = EstimatorData.drawn(X, Y, seed, classes=classes, cv=cv, groups=GROUPS)
        _, _, test = rows_of(data)
        assert 10 <= len(test) <= 30
        for train, held in data.folds:
            parts = [{*GROUPS[rows]} for rows in (train, held, test)]
            assert sum(map(len, parts)) == len(set.union(*parts))


def test_three_groups_are_enough() -> None:
    groups = np.repeat(["a", "b", "c"], [80, 15, 5])
    train, validation, test = rows_of(EstimatorData.drawn(X, np.arange(COUNT) % 2, 0, classes=True, groups=groups))
    assert [len({*groups[rows]}) for rows in (train, validation, test)] == [1, 1, 1]


def test_time_series_are_tested_on_the_end_and_scored_on_what_comes_after() -> None:
    data = EstimatorData.drawn(X, np.arange(COUNT), 0, cv=TimeSeriesSplit(3))
    assert rows_of(data)[2].tolist() == list(range(80, 100))
    assert all(train.max() < held.min() for train, held in data.folds)


def test_pairs_of_row_numbers_are_of_the_whole_x_and_lose_the_test_part() -> None:
    pairs = list(KFold(5).split(X))
    data = drawn(cv=iter(pairs))
    test = {*rows_of(data)[2]}
    assert [({*train}, {*held}) for train, held in data.folds] == [({*train} - test, {*held} - test) for train, held in pairs]
    own = drawn(cv=[(range(65), range(65, 80))], test=range(80, 100))
    assert [len(part) for part in rows_of(own)] == [65, 15, 20]
    predefined = drawn(cv=PredefinedSplit(np.repeat([-1, 0, 1], [40, 30, 30])))
    assert len(predefined.folds) == 2
    assert {*predefined.folds[1][1]} <= {*range(70, 100)}


def test_part_of_the_examples_is_held_out_for_early_stopping() -> None:
    held, rest = held_out(Y, 0.1, 1, classes=True)
    assert np.bincount(Y[held], minlength=4).tolist()[:3] == [6, 2, 2]
    assert sorted([*held, *rest]) == list(range(COUNT))


def test_a_frames_targets_and_text_examples_are_taken() -> None:
    pandas = need("pandas")
    frame = pandas.DataFrame({"x": range(20), "y": pandas.array([0, 1] * 10, dtype="Int64")})
    assert EstimatorData.drawn(frame[["x"]], frame["y"], 0, classes=True).y.dtype == np.int64
    texts = ["good", "bad"] * 10
    data = EstimatorData.drawn(texts, texts, 0, classes=True)
    assert data.at([0, 1]).tolist() == ["good", "bad"]


def with_nan() -> Any:
    y = Y.astype(float)
    y[[3, 7]] = np.nan
    return y


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x": np.arange(100)}, r"X has the shape \(100,\).*X.reshape\(-1, 1\)"),
        ({"x": 3.0}, r"X has the shape \(\), expected \(N, features\)"),
        ({"x": np.zeros((100, 0))}, "at least one feature"),
        ({"x": [[1, 2], [3]]}, "X: got rows of different lengths"),
        ({"y": Y[:-1]}, "X has 100 examples and y 99"),
        ({"y": Y.reshape(-1, 1)}, r"y has the shape \(100, 1\).*y.ravel\(\)"),
        ({"y": np.zeros((100, 2))}, r"y has the shape \(100, 2\), expected \(N,\)"),
        ({"y": with_nan()}, "y: 2 of 100 targets are missing or not finite, in rows 3, 7"),
        ({"y": ["a", None] * 50}, "y: 50 of 100 targets are missing or not finite, in rows 1, 3, 5, 7, 9, ..."),
        ({"y": np.full(100, np.inf), "classes": False}, "y: 100 of 100 targets"),
        ({"y": np.ones(100)}, "y holds one class only, 1.0"),
        ({"y": np.linspace(0, 1, 100)}, "the estimator is a classifier"),
        ({"y": ["a", "b"] * 50, "classes": False}, "y holds 'a', which is no number"),
        ({"x": X[:2], "y": [0, 1]}, "2 examples are too few"),
        ({"groups": GROUPS[:-1]}, r"groups has the shape \(99,\), expected \(100,\)"),
        ({"groups": np.where(Y == 0, np.nan, 1.0)}, "groups: 60 are missing"),
        ({"groups": np.zeros(100)}, "groups: there are 1 for 3 parts"),
        ({"groups": np.repeat([0, 1], 50)}, "groups: there are 2 for 3 parts"),
        ({"groups": GROUPS, "cv": 30}, "cv=30: there are .* groups"),
        ({"groups": GROUPS, "cv": KFold(3, shuffle=True)}, r"fold 1: the groups .* are on both sides.*GroupKFold\(5\)"),
        ({"cv": 1}, "cv=1: expected from 2 to 80 folds"),
        ({"cv": 90}, "cv=90: expected from 2 to 80 folds"),
        ({"cv": 70}, "cannot split the 80 examples"),
        ({"cv": True}, "cv=True: expected a number of folds"),
        ({"cv": 2.5}, "cv=2.5: expected a number of folds"),
        ({"cv": "kfold"}, "cv='kfold': expected a number of folds"),
        ({"cv": KFold}, r"cv=KFold: is a class, expected one of its objects, such as cv=KFold\(5\)"),
        ({"cv": []}, "cv: got no fold"),
        ({"cv": [1, 2]}, "fold 1 is 1, expected a pair"),
        ({"cv": [([0, 1], [1, 200])]}, "row numbers from 1 to 200, expected distinct ones from 0 to 99"),
        ({"cv": [(range(60), range(50, 80))]}, "are both to train and to score on"),
        ({"cv": [(range(50), range(60, 80))]}, "all of one class"),
        ({"cv": [([0.5], [1])]}, "expected row numbers"),
        ({"cv": GroupKFold(3)}, "cannot split.*groups"),
        ({"cv": [(range(50), range(80, 100))], "test": range(80, 100)}, "50 examples to train on and 0 to score on"),
        ({"test": 0}, "test=0: expected a share"),
        ({"test": 1.5}, "test=1.5: expected a share"),
        ({"test": [0, 0]}, "expected distinct ones"),
        ({"test": "last"}, "expected row numbers"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(changes: dict[str, Any], message: str) -> None:
    arguments = {"x": X, "y": Y, "seed": 1, "classes": True, **changes}
    make: Callable[..., EstimatorData] = EstimatorData.drawn
    with pytest.raises(InvalidSettings, match=message):
        make(**arguments)
