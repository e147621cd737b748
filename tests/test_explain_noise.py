"""Is it noise: the spread over seeds, what cannot be told from the best, and the best's value without its luck."""

import json
from dataclasses import replace

import numpy as np
import pytest

from evenhand.explain import History
from evenhand.explain.noise import Spread, corrected, noise, not_distinguishable, spread, subset_width, tried
from evenhand.model.domain import Float
from evenhand.model.space import Space
from tests.histories import drawn, ended

SPACE = Space({"rate": Float(0, 1)})
KNOWN = Spread(0.03, "measured", None, 0.03, 0.03, 1, 2)


def repeated(rows: list[tuple[float, float, int]]) -> History:
    """Trials of rows: rate, value, session."""
    trials = [ended(at, SPACE, {"rate": rate}, value, session_id=session) for at, (rate, value, session) in enumerate(rows, 1)]
    return History.of(SPACE, "score", True, trials)


def test_what_was_trained_several_times_is_measured_and_pooled() -> None:
    known = spread(repeated([(0.1, 1.0, 1), (0.1, 1.2, 1), (0.2, 3.0, 1), (0.2, 3.4, 1), (0.2, 3.2, 1), (0.3, 9.0, 1)]))
    assert known is not None
    assert (known.source, known.freedom, known.configurations, known.trainings) == ("measured", 3, 2, 5)
    assert known.value == pytest.approx(np.sqrt((0.02 + 0.08) / 3))
    assert known.low < known.value < known.high


def test_one_seed_that_never_changes_measures_nothing() -> None:
    rows = [(0.1, 1.0, 1), (0.1, 1.0, 1), (0.2, 3.0, 1), (0.2, 3.0, 1), (0.3, 2.0, 1), (0.3, 2.0, 1)]
    assert spread(repeated(rows)) is None
    # Another session has another seed: each counts once, however often it repeated its own number.
    known = spread(repeated([*rows, (0.1, 1.4, 2), (0.2, 3.4, 2), (0.1, 1.4, 2)]))
    assert known is not None
    assert (known.freedom, known.trainings) == (2, 4)
    assert known.value == pytest.approx(np.sqrt(2 * 0.08 / 2))


def test_what_repeats_a_trial_in_another_session_is_measured_and_averaged_and_no_trial_of_its_own() -> None:
    whole = repeated([(0.1, 0.5, 1), (0.2, 0.6, 1), (0.2, 0.4, 2), (0.2, 0.5, 3), (0.9, 0.9, 2)])
    history = replace(whole, trials=whole.trials[:2], repeats=whole.trials[2:])
    known = spread(history)
    assert known is not None
    assert known.freedom == 2
    assert known.value == pytest.approx(0.1)
    assert [(one.trials[0].number, one.count, round(one.worth, 6)) for one in tried(history)] == [(1, 1, 0.5), (2, 3, 0.5)]


def test_the_same_configuration_for_fewer_epochs_is_another_one() -> None:
    history = repeated([(0.1, 1.0, 1), (0.1, 2.0, 1)])
    assert spread(replace(history, trials=(history.trials[0], replace(history.trials[1], epochs_done=2)))) is None


def test_an_evaluation_over_seeds_is_a_measurement() -> None:
    known = spread(replace(repeated([(0.1, 0.5, 1)]), tests={1001: (0.5, 0.6, 0.7)}))
    assert known is not None
    assert known.source == "evaluated"
    assert known.value == pytest.approx(0.1)


@pytest.mark.parametrize("slope", [0.0, 0.05])
def test_an_estimate_from_neighbours_is_about_the_spread(slope: float) -> None:
    known = [spread(drawn(100, 0.02, seed, slope)) for seed in range(20)]
    estimates = [one.value for one in known if one is not None and one.source == "estimated"]
    assert len(estimates) == 20
    assert 0.015 < np.median(estimates) < 0.027
    covered = np.mean([one is not None and one.low <= 0.02 <= one.high for one in known])
    assert covered >= 0.85


def test_few_trials_are_not_estimated_from() -> None:
    assert spread(drawn(19, 0.02)) is None


def test_the_subset_holds_the_truly_best_in_95_of_100_histories() -> None:
    rng = np.random.default_rng(3)
    width = subset_width(20, None) * 0.03
    for truth in (np.zeros(20), np.linspace(0, 0.05, 20)):
        values = truth + 0.03 * rng.normal(size=(4000, 20))
        held = np.mean(values.max(axis=1) - values[:, -1] <= width)
        assert held >= 0.945
    assert subset_width(20, 3) > subset_width(20, 30) > subset_width(20, None)
    assert subset_width(1, None) == 0


def test_what_is_far_behind_is_told_apart_and_what_is_near_is_not() -> None:
    configurations = tried(repeated([(0.1, 0.50, 1), (0.2, 0.90, 1), (0.3, 0.89, 1), (0.4, 0.10, 1)]))
    assert [one.trials[0].number for one in not_distinguishable(configurations, KNOWN)] == [2, 3]


def test_a_configuration_that_was_trained_often_is_told_apart_sooner() -> None:
    rows = [(0.1, 0.9, 1), (0.2, 0.85, 1)]
    assert len(not_distinguishable(tried(repeated(rows)), KNOWN)) == 2
    more = [(0.1, 0.9 + 0.001 * at, at) for at in range(2, 9)] + [(0.2, 0.85 + 0.001 * at, at) for at in range(2, 9)]
    assert len(not_distinguishable(tried(repeated([*rows, *more])), KNOWN)) == 1


def test_the_corrected_best_has_hardly_any_of_the_luck_and_its_interval_covers() -> None:
    luck, left, covered = [], [], []
    for seed in range(60):
        history = drawn(60, 0.03, seed, 0.2)
        configurations = tried(history)
        known = corrected(configurations, KNOWN)
        assert known is not None
        truth = 0.5 + 0.2 * (configurations[0].trials[0].configuration["x0"] - 0.5)
        luck.append(configurations[0].worth - truth)
        left.append(known.value - truth)
        covered.append(known.low <= truth <= known.high)
    assert np.mean(luck) > 0.03
    assert abs(np.mean(left)) < 0.4 * np.mean(luck)
    assert np.mean(covered) >= 0.8


def test_the_card_says_how_sure_it_is_and_offers_the_next_step() -> None:
    card = noise(drawn(100, 0.02))
    assert card.says
    assert card.key == "noise"
    assert card.sure.startswith("Estimated, not measured")
    assert "cannot be told from the best" in card.finding or "can be told from the best" in card.finding
    assert card.next[0].kind == "rerun"
    assert len(card.next[0].trials) == 5
    assert json.loads(json.dumps(card.data, allow_nan=False))["count"] == card.data["count"] > 10


def test_smaller_is_better_turns_the_numbers_back() -> None:
    history = drawn(100, 0.02)
    card = noise(replace(history, maximize=False))
    assert card.data["best"]["value"] == pytest.approx(min(history.values))
    ends = card.data["corrected"]
    assert ends["low"] <= ends["value"] <= ends["high"]
    assert ends["value"] > card.data["best"]["value"]


def test_without_trials_or_seeds_it_says_so() -> None:
    assert not noise(History.of(SPACE, "score", True, [])).says
    alone = noise(repeated([(0.1, 0.5, 1), (0.2, 0.6, 1)]))
    assert not alone.says
    assert "is not known" in alone.finding
    assert alone.next[0].trials == (2, 1)
