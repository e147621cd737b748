"""What mattered, effects, ablation, tunability and the best: their contract, and numbers that are known in advance."""

import numpy as np
import pytest

from benchmarks import honesty
from evenhand.explain import EXPLANATIONS, History, shares
from evenhand.explain.encoding import drawn
from evenhand.explain.importance import importance, is_even
from evenhand.explain.surrogate import surrogate_of
from evenhand.explain.tunability import shapley
from evenhand.testing import check_explanation

CORE = ("importance", "effects", "ablation", "tunability", "among-best")


@pytest.mark.slow
@pytest.mark.parametrize("key", CORE)
def test_the_core_passes_the_contract(key: str) -> None:
    check_explanation(EXPLANATIONS.get(key))


def test_shares_are_those_of_a_known_function() -> None:
    _, codes = drawn(honesty.FLAT_SPACE, 1024, 3)
    values = (2 * codes[:, 0] + codes[:, 1] + 4 * (codes[:, 2] - 0.5) * (codes[:, 3] - 0.5))[:, None]
    bases = shares.bases_of(honesty.FLAT_SPACE, codes)
    variances = np.array([4 / 12, 1 / 12, 0, 0])
    pair = 16 / 144
    whole = variances.sum() + pair
    np.testing.assert_allclose(bases.shares(values)[:, 0], variances / whole, atol=0.005)
    assert bases.pair_shares(values)[2, 3][0] == pytest.approx(pair / whole, abs=0.01)
    assert bases.pair_shares(values)[0, 1][0] == pytest.approx(0, abs=0.005)


def test_a_condition_s_effect_is_not_that_of_what_hangs_on_it() -> None:
    _, codes = drawn(honesty.CONDITIONAL_SPACE, 1024, 3)
    values = (codes[:, 2] == 0).astype(float)[:, None]
    by_hyperparameter = shares.bases_of(honesty.CONDITIONAL_SPACE, codes).shares(values)[:, 0]
    np.testing.assert_allclose(by_hyperparameter, [0, 0, 1, 0], atol=1e-3)


def test_shapley_values_of_known_games() -> None:
    weights = np.arange(1.0, 11.0)
    for count in (5, 10):  # exact, and along orders
        values = shapley(count, lambda sets: (sets @ weights[: sets.shape[1]])[:, None], 0)
        np.testing.assert_allclose(values[:, 0], weights[:count])
    glove = shapley(3, lambda sets: np.logical_and(sets[:, 0], sets[:, 1:].any(1)).astype(float)[:, None], 0)
    np.testing.assert_allclose(glove[:, 0], [2 / 3, 1 / 6, 1 / 6])


@pytest.mark.slow
def test_what_matters_is_named_and_noise_is_not() -> None:
    _, history, allowed = honesty.simulated(0, "random", 50)
    card = importance(history)
    assert [row["hyperparameter"] for row in card.data["hyperparameters"] if row["matters"]] == [allowed[0]]
    _, noise, _ = honesty.simulated(5, "random", 50)
    assert not importance(noise).says


def test_trials_that_a_method_chose_have_no_interval() -> None:
    _, tuned, _ = honesty.simulated(0, "tpe", 150)
    assert not is_even(honesty.FOUND_SPACE, tuned.codes)
    _, random, _ = honesty.simulated(0, "random", 150)
    assert is_even(honesty.FOUND_SPACE, random.codes)


def test_a_model_of_noise_is_not_drawn_from() -> None:
    _, noise, _ = honesty.simulated(5, "random", 50)
    grown = surrogate_of(noise)
    assert not grown.quality.is_enough
    card = EXPLANATIONS.get("effects")(noise)
    assert not card.says
    assert "more trials" in card.finding


def test_a_history_of_nobody_says_what_it_needs() -> None:
    card = importance(History.of(honesty.FLAT_SPACE, "value", True, []))
    assert not card.says
    assert "at least 10" in card.finding
