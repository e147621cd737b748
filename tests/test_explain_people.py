"""Whose trials brought the gain, and whether validation misled; and how all explanations are asked for."""

import json
from dataclasses import replace

import numpy as np
import pytest

from evenhand.errors import InvalidSettings
from evenhand.explain import EXPLANATIONS, History
from evenhand.explain.explained import explained, wanted
from evenhand.explain.overfitting import overfitting, scored
from evenhand.explain.people import brought, who
from tests.histories import drawn


def shared(count: int = 60, better: float = 0.0, seed: int = 0) -> History:
    """Trials of two proposers in turn; ada's are better by so much."""
    history = drawn(count, 0.02, seed)
    trials = [
        replace(trial, proposer="ada", value=(trial.value or 0) + better) if at % 2 else trial
        for at, trial in enumerate(history.trials)
    ]
    return replace(history, trials=tuple(trials))


def test_gains_add_up_and_are_of_whoever_bettered_the_best() -> None:
    history = shared()
    shares = brought(history)
    assert sum(one.share for one in shares) == pytest.approx(1)
    assert sum(one.gain for one in shares) == pytest.approx(history.values.max() - history.values[0])
    assert {one.proposer for one in shares} == {"ada", "random"}


def test_equals_are_not_told_from_chance_and_a_better_proposer_is() -> None:
    named = sum(any(one.is_told for one in brought(shared(seed=seed))) for seed in range(20))
    assert named <= 3
    card = who(shared(better=0.2))
    assert card.data["proposers"][0]["proposer"] == "ada"
    assert card.data["proposers"][0]["share"] > 0.9
    assert json.dumps(card.data, allow_nan=False)


def test_one_proposer_has_nobody_to_be_compared_with() -> None:
    assert not who(drawn(10, 0.02)).says
    assert not who(replace(drawn(0, 0.02))).says


def test_no_test_score_is_shown_that_nobody_looked_at() -> None:
    card = overfitting(drawn(20, 0.02))
    assert not card.says
    assert card.data == {"trials": []}
    assert "No test score of these trials has been looked at" in card.finding


def evaluated(gap: float, others: int = 0) -> History:
    """The best trial, and some others, with test scores of five seeds that are worse by a gap."""
    history = drawn(60, 0.02)
    ordered = sorted(history.trials, key=lambda trial: trial.value or 0, reverse=True)
    rng = np.random.default_rng(0)
    tests = {
        trial.id: tuple((0.5 - gap + 0.02 * rng.normal(size=5)).tolist()) for trial in (ordered[0], *ordered[10 : 10 + others])
    }
    return replace(history, tests=tests)


def test_a_small_gap_is_luck_and_a_large_one_is_not() -> None:
    assert overfitting(evaluated(0.0)).data["is_luck"] is True
    card = overfitting(evaluated(0.3))
    assert card.data["is_luck"] is False
    assert card.data["gap"] == pytest.approx(0.35, abs=0.03)
    assert "is the best of 60 on validation" in card.finding
    assert "more than picking one of 60 explains" in card.finding


def test_ranks_and_order_of_several_evaluated_trials() -> None:
    history = evaluated(0.0, others=4)
    ranked = scored(history)
    assert [one.rank for one in ranked] == [1, 11, 12, 13, 14]
    assert all(one.low is not None and one.high is not None and one.low < one.test < one.high for one in ranked)
    card = overfitting(history)
    assert card.data["rank_correlation"]["n"] == 5
    assert json.dumps(card.data, allow_nan=False)


def test_of_shares_the_rows_are_noise_too() -> None:
    history = replace(evaluated(0.0), metric="accuracy", validation_rows=500, test_rows=500)
    most = overfitting(history).data["explained"]["most"]
    assert most > overfitting(replace(history, validation_rows=50_000, test_rows=50_000)).data["explained"]["most"]


def test_all_cards_are_of_their_keys_in_order_and_an_unknown_key_is_refused() -> None:
    history = drawn(30, 0.02)
    assert [card.key for card in explained(history)] == list(EXPLANATIONS)
    assert [card.key for card in explained(history, ["who", "noise"])] == [key for key in EXPLANATIONS if key in ("noise", "who")]
    with pytest.raises(InvalidSettings, match=r"expected some of .*noise"):
        wanted(["nose"])


def test_trials_of_several_sessions_are_told_with_whose_they_are() -> None:
    first, second = drawn(30, 0.02), drawn(30, 0.02, seed=1)
    others = [replace(trial, id=trial.id + 1000, session_id=2, proposer="P-01") for trial in second.trials]
    card = next(explained(replace(first, trials=(*first.trials, *others)), ["noise"]))
    assert {entry["called"].partition(" of ")[2] for entry in card.data["set"]} == {"random", "P-01"}
    assert card.data["best"]["called"] in card.finding
    alone = next(explained(first, ["noise"]))
    assert alone.data["best"]["called"] == f"trial {alone.data['best']['trial']}"
