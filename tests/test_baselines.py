"""Baselines on generated data, held against the error that the known densities leave."""

import numpy as np
import pytest

from evenhand.errors import InvalidSettings
from evenhand.tasks.builtin import points, shapes
from evenhand.tasks.builtin.baselines import Baseline, BaselineSettings, ClosedLoop, baselines, closed_loop, predictor
from evenhand.tasks.builtin.shapes import GENERATED

QUICK = BaselineSettings(trees=15, fitted=6_000, scored=4_000)
SPREAD = 4 * 100 * np.sqrt(0.25 / 4_000)  # four standard errors of an error counted on as many points, in percentage points


def both(name: str) -> tuple[tuple[Baseline, Baseline], ClosedLoop]:
    data = points.locate(name)
    return baselines(data, QUICK), closed_loop(data, QUICK)


@pytest.mark.slow
@pytest.mark.parametrize("name", shapes.SETS)
def test_no_baseline_is_below_the_bayes_error(name: str) -> None:
    fitted, loop = both(name)
    assert [baseline.name for baseline in fitted] == ["KNN", "RNF"]
    for split in ("dev", "eval"):
        bound = shapes.bayes_error(name, split).percent
        reached = shapes.shifted_error(name, "train", split).percent
        for baseline in fitted:
            assert getattr(baseline.errors, split) > bound - SPREAD / 4
            if split == "dev":  # where they know the plane: on eval of #09 few training points say what to do
                assert baseline.errors.dev == pytest.approx(reached, abs=SPREAD + 2)
        assert getattr(loop.errors, split) == pytest.approx(bound, abs=SPREAD)


@pytest.mark.slow
def test_what_was_done_is_said() -> None:
    (nearest, forest), loop = both("10")
    assert nearest.fitted == forest.fitted == 6_000
    assert nearest.points == {"train": 4_000, "dev": 4_000, "eval": 4_000}
    assert nearest.how == "25 nearest neighbours, fitted to 6000 training points"
    assert forest.how == "random forest of 15 trees with at least 25 points a leaf, fitted to 6000 training points"
    assert {nearest.label, forest.label, loop.label} == {GENERATED}
    assert loop.points["eval"] == 4_000
    assert set(loop.by.values()) <= {"KNN", "RNF"}
    assert "fitted to and scored on the same points" in loop.how


@pytest.mark.slow
def test_a_closed_loop_is_optimistic_with_small_leaves() -> None:
    data = points.locate("08", 0.02)
    remembered = closed_loop(data, BaselineSettings(trees=15, leaf=1, neighbours=1))
    assert remembered.errors.train == remembered.errors.eval == 0
    assert closed_loop(data, QUICK).errors.train > 15


@pytest.mark.slow
def test_the_same_settings_give_the_same_numbers() -> None:
    data = points.locate("09", 0.01)
    assert baselines(data, QUICK) == baselines(data, QUICK)
    assert closed_loop(data, QUICK) == closed_loop(data, QUICK)
    other = BaselineSettings(trees=15, fitted=1_000, scored=1_000, seed=1)
    assert baselines(data, other) != baselines(data, BaselineSettings(trees=15, fitted=1_000, scored=1_000))
    whole = baselines(points.locate("10", 0.001))[0]
    assert (whole.fitted, whole.points) == (100, {"train": 100, "dev": 60, "eval": 60})


@pytest.mark.slow
def test_a_predictor_is_the_baseline_itself() -> None:
    data = points.locate("10", 0.05)
    forest = baselines(data, QUICK)[1]
    assert points.errors_of(data, predictor(data, "RNF", QUICK)).dev == forest.errors.dev
    with pytest.raises(InvalidSettings, match="baseline 'SVM': unknown, expected one of KNN, RNF"):
        predictor(data, "SVM")
    with pytest.raises(InvalidSettings, match="neighbours: got 0, expected 1 or more; trees: got -1"):
        BaselineSettings(neighbours=0, trees=-1)
