"""Health checks of a history: edges, corners of failures, gains to come, repeats, what was never tried, cheaper ones."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evenhand.explain import Card, History
from evenhand.explain.checks import checks, expected_gain
from evenhand.explain.failures import failing_corner
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import Outcome
from tests.histories import drawn, ended, of_rows

SPACE = Space({"rate": Float(0.001, 0.1, log=True), "units": Integer(1, 8), "optimizer": ["adam", "sgd", "rmsprop"]})


def found(card: Card, key: str) -> list[Mapping[str, Any]]:
    return [check for check in card.data["checks"] if check["key"] == key]


def diverged(history: History, where: Any) -> History:
    trials = [
        replace(trial, outcome=Outcome.DIVERGED) if failed else trial for trial, failed in zip(history.trials, where, strict=True)
    ]
    return replace(history, trials=tuple(trials))


# Edges


def test_a_best_at_the_end_of_its_range_is_to_be_widened() -> None:
    card = checks(drawn(100, 0.02, slope=1.0))
    (edge,) = found(card, "edge")
    assert (edge["hyperparameter"], edge["side"]) == ("x0", "high")
    (step,) = [step for step in card.next if step.kind == "widen"]
    assert step.changes == {"x0": {"high": 1.3}}
    assert "lie at the upper end of x0" in card.finding


def test_a_best_within_its_range_or_without_any_effect_is_no_finding() -> None:
    named = [bool(found(checks(drawn(50, 0.02, seed)), "edge")) for seed in range(40)]
    assert sum(named) <= 4


def test_beyond_0_and_beyond_the_whole_there_is_nothing_to_widen_to() -> None:
    space = Space({"share": Float(0, 1), "count": Float(0, 8)})
    rng = np.random.default_rng(0)
    rows = rng.uniform(0, 1, (80, 2)) * (1, 8)
    assert not found(checks(of_rows(space, rows, (rows[:, 0] - rows[:, 1]).tolist())), "edge")


# Failures


def test_a_corner_of_failures_is_a_rule_in_words_with_its_precision() -> None:
    history = drawn(100, 0.02)
    card = checks(diverged(history, history.codes[:, 1] > 0.8))
    (corner,) = found(card, "failures")
    assert corner["rule"].startswith("x1 is above 0.7")
    assert (corner["precision"], corner["failed_elsewhere"], corner["told"]) == (1.0, 0, True)
    assert 0.7 < corner["low"] < corner["high"] == 1.0
    step = next(step for step in card.next if step.kind == "narrow")
    assert step.changes["x1"]["high"] == pytest.approx(0.74, abs=0.02)


def test_failures_at_random_are_in_no_corner() -> None:
    named = 0
    for seed in range(20):
        history = drawn(80, 0.02, seed)
        corner = failing_corner(diverged(history, np.random.default_rng(seed).random(80) < 0.15))
        named += corner is not None and corner.is_told
    assert named <= 3


def test_a_corner_of_an_option_leaves_the_option_out() -> None:
    rng = np.random.default_rng(1)
    trials = [ended(at, SPACE, dict(SPACE.sample(rng)), rng.random()) for at in range(1, 61)]
    history = History.of(SPACE, "score", True, trials)
    corner = failing_corner(diverged(history, [trial.configuration["optimizer"] == "sgd" for trial in trials]))
    assert corner is not None
    assert corner.is_told
    assert corner.words == "optimizer is sgd"
    assert corner.changes == {"optimizer": {"options": ["adam", "rmsprop"]}}


def test_a_corner_may_be_where_something_is_active() -> None:
    space = Space(
        [
            Hyperparameter("rate", Float(0, 1)),
            Hyperparameter("optimizer", Choice(("adam", "sgd"))),
            Hyperparameter("momentum", Float(0, 1), default=0, condition=Condition("optimizer", ("sgd",))),
        ]
    )
    rng = np.random.default_rng(2)
    trials = [ended(at, space, dict(space.sample(rng)), rng.random()) for at in range(1, 81)]
    history = History.of(space, "score", True, trials)
    corner = failing_corner(diverged(history, [trial.configuration.get("momentum", 0) > 0.6 for trial in trials]))
    assert corner is not None
    assert corner.words.startswith("momentum is above 0.")


def test_too_few_failures_say_nothing() -> None:
    history = drawn(40, 0.02)
    assert failing_corner(diverged(history, [at < 2 for at in range(40)])) is None


# What more trials bring


def test_the_gain_of_ten_more_trials_is_covered() -> None:
    rng = np.random.default_rng(4)
    covered, expected, brought = 0, [], []
    for _ in range(200):
        values = rng.normal(size=60)
        gain = expected_gain(values[:50].tolist())
        assert gain is not None
        really = max(0.0, values[50:].max() - values[:50].max())
        covered += really <= gain.high
        expected.append(gain.mean)
        brought.append(really)
    assert covered >= 188
    assert 0.5 < np.mean(expected) / np.mean(brought) < 2


def test_a_search_that_rises_is_still_improving_and_one_on_a_plateau_is_flat() -> None:
    space = Space({"x0": Float(0.1, 0.9)})
    rng = np.random.default_rng(5)
    rows = rng.uniform(0.1, 0.9, (80, 1))
    climbed = np.sort(rows, axis=0)
    rising = checks(of_rows(space, climbed, (climbed[:, 0] + rng.normal(0, 0.01, 80)).tolist()))
    (course,) = found(rising, "course")
    assert course["state"] == "improving"
    assert course["high"] >= course["mean"] > 0
    repeats = [0.5 + 0.001 * (at % 7) for at in range(80)]
    (course,) = found(checks(of_rows(space, np.repeat(rows[:40], 2, axis=0), repeats)), "course")
    assert course["state"] == "flat"


def test_a_share_cannot_better_beyond_its_end() -> None:
    history = drawn(60, 0.001)
    best = replace(history, metric="accuracy", trials=(replace(history.trials[0], value=1.0), *history.trials[1:]))
    (course,) = found(checks(best), "course")
    assert course["high"] == course["mean"] == 0


# Repeats, gaps, costs


def test_what_was_trained_again_to_the_same_value_is_counted() -> None:
    space = Space({"x0": Float(0, 1)})
    history = of_rows(space, [[0.1], [0.1], [0.2], [0.1]], [0.5, 0.5, 0.6, 0.7])
    (again,) = found(checks(history), "duplicates")
    assert (again["repeated"], again["trials"]) == (1, [1, 2])


def test_options_and_stretches_that_were_never_tried_are_named_with_a_trial_to_try() -> None:
    rng = np.random.default_rng(6)
    rows = [{**SPACE.sample(rng), "optimizer": "adam"} for _ in range(40)]
    for row in rows:
        row["rate"] = 0.001 * 10 ** rng.uniform(0, 0.6)
    card = checks(History.of(SPACE, "score", True, [ended(at, SPACE, row, rng.random()) for at, row in enumerate(rows, 1)]))
    never = found(card, "unexplored")
    assert never[0]["hyperparameter"] == "rate"
    assert never[0]["high"] == 0.1
    assert never[0]["width"] > 0.6
    assert never[1]["options"] == ["sgd", "rmsprop"]
    tries = [step for step in card.next if step.kind == "try"]
    assert tries[-1].values["optimizer"] == "sgd"
    assert SPACE.configuration(tries[0].values)


def test_a_cheaper_configuration_that_is_as_good_is_named() -> None:
    history = drawn(60, 0.02)
    trials = [replace(trial, claimed_at=trial.submitted_at, finished_at=trial.submitted_at + 100) for trial in history.trials]
    ordered = sorted(trials, key=lambda trial: trial.value or 0, reverse=True)
    quick = replace(ordered[3], finished_at=ordered[3].submitted_at + 20)
    card = checks(replace(history, trials=tuple(quick if trial.id == quick.id else trial for trial in trials)))
    (cheaper,) = found(card, "cheaper")
    assert (cheaper["trial"], cheaper["cost"], cheaper["best_cost"]) == (quick.number, 20, 100)


def test_the_card_is_json_and_says_so_where_there_is_nothing() -> None:
    assert not checks(History.of(SPACE, "score", True, [])).says
    assert "too few to be checked" in checks(drawn(5, 0.02)).finding
    assert checks(drawn(40, 0.02)).finding.startswith("Nothing is wrong")
    assert json.dumps(checks(drawn(100, 0.02, slope=1.0)).data, allow_nan=False)
