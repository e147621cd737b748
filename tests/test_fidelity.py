"""Methods that promote: rungs, brackets and promotions as the papers count them, from any history."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from evenhand import tuners
from evenhand.protocol import derive_seed
from evenhand.records import Outcome, Trial
from evenhand.space import Configuration, Float, Hyperparameter, Integer, Prior, Space, reshaped
from evenhand.tuners import Method
from evenhand.tuners.fidelity import brackets, rungs_of
from tests.tuner_contract import ended

SPACE = Space([Hyperparameter("epochs", Integer(1, 9), fidelity=True), Hyperparameter("x", Float(0, 1))])


def value_of(configuration: Configuration) -> float:
    return 1 - abs(configuration.number("x") - 0.7) - 0.3 / configuration.number("epochs")


def step(method: Method, trials: list[Trial], score: Callable[[Configuration], float | None] = value_of, seed: int = 1) -> Trial:
    """The method's next trial, ended."""
    rng = np.random.default_rng(derive_seed(seed, len(trials)))
    (suggestion,) = method.suggest(SPACE, trials, 1, rng)
    value = score(suggestion.configuration)
    outcome = Outcome.COMPLETED if value is not None else Outcome.DIVERGED
    trial = ended(len(trials) + 1, suggestion.configuration, value, outcome)
    parent = None if suggestion.resumes is None else trials[suggestion.resumes - 1]
    before = parent.epochs_done if parent else 0
    if parent is not None:
        assert {**parent.configuration, "epochs": 0} == {**suggestion.configuration, "epochs": 0}
        assert before < trial.epochs_planned
    trial = replace(trial, resumes=suggestion.resumes, epochs_before=before, explanation=suggestion.explanation)
    trials.append(trial)
    return trial


def test_rungs_are_counted_from_the_top() -> None:
    assert rungs_of(SPACE, 3, 1) == (1, 3, 9)
    assert rungs_of(SPACE, 3, 2) == (3, 9)
    assert rungs_of(SPACE, 2, 1) == (1, 2, 4, 9)


def test_brackets_have_the_papers_sizes() -> None:
    """Li et al. (2018), table 1: R = 81, eta = 3."""
    found = brackets(5, 3)
    assert [next(found) for _ in range(5)] == [(81, 0), (34, 1), (15, 2), (8, 3), (5, 4)]


def test_hyperband_walks_its_brackets() -> None:
    method, trials = tuners.method("hyperband", maximize=True), list[Trial]()
    planned = [step(method, trials).epochs_planned for _ in range(9 + 3 + 1 + 5 + 1 + 3)]
    assert planned == [1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] + [9] * 3
    promoted = [trials[each.resumes - 1].number for each in trials[9:12] if each.resumes]
    best = sorted(trials[:9], key=lambda each: -(each.value or 0))[:3]
    assert promoted == [each.number for each in best]
    assert trials[9].explanation.startswith(f"promoted to 3 epochs: trial {best[0].number} (")
    assert step(method, trials).epochs_planned == 1  # and so on, from the first bracket


def test_hyperband_waits_for_a_whole_rung_and_begins_the_next_bracket_meanwhile() -> None:
    method, trials = tuners.method("hyperband", maximize=True), list[Trial]()
    for _ in range(9):
        step(method, trials)
    trials[8] = replace(trials[8], outcome=None, finished_at=None, value=None)
    (waiting,) = method.suggest(SPACE, trials, 1, np.random.default_rng(0))
    assert waiting.resumes is None
    assert waiting.configuration["epochs"] == 3


def test_what_diverged_is_never_promoted_and_its_bracket_goes_on() -> None:
    method, trials = tuners.method("hyperband", maximize=True), list[Trial]()
    for _ in range(9):
        step(method, trials, lambda configuration: None if configuration.number("x") < 0.9 else 0.5)
    good = sum(each.outcome is Outcome.COMPLETED for each in trials)
    later = [step(method, trials) for _ in range(4)]
    assert sum(each.resumes is not None for each in later) <= max(good, 1)
    assert all(trials[each.resumes - 1].outcome is Outcome.COMPLETED for each in later if each.resumes)


def test_asha_promotes_whenever_it_can() -> None:
    """At each moment no more than a third of a rung is promoted, and each was among the best third when it was."""
    method, trials = tuners.method("asha", maximize=True), list[Trial]()
    for _ in range(60):
        trial = step(method, trials)
        if trial.resumes is not None:
            there = [each for each in trials[:-1] if each.epochs_done == trial.epochs_before]
            rank = sum((each.value or 0) > (trials[trial.resumes - 1].value or 0) for each in there)
            assert rank < len(there) // 3
    at = {epochs: sum(each.epochs_planned == epochs for each in trials) for epochs in (1, 3, 9)}
    assert at[3] >= at[1] // 3  # the best third changes as trials come in
    assert at[9] >= at[3] // 3
    assert len({each.resumes for each in trials if each.resumes}) == sum(each.resumes is not None for each in trials)


def test_a_persons_trial_can_be_promoted() -> None:
    method, trials = tuners.method("asha", maximize=True), list[Trial]()
    for _ in range(2):
        step(method, trials, lambda _: 0.1)
    mine = ended(3, SPACE.configuration({"epochs": 1, "x": 0.7}), 0.9, proposer="researcher")
    trials.append(mine)
    assert step(method, trials).resumes == 3


@pytest.mark.parametrize("name", ["asha", "hyperband", "priorband"])
def test_what_lies_outside_of_new_limits_is_not_promoted(name: str) -> None:
    """It could not be resumed as it is: the lab would refuse it, and the method would wait for ever."""
    method, trials = tuners.method(name, maximize=True), list[Trial]()
    for _ in range(9):
        step(method, trials)
    narrow = reshaped(SPACE, {"x": {"low": 0.0, "high": 0.4}})
    for seed in range(3):
        (found,) = method.suggest(narrow, trials, 1, np.random.default_rng(seed))
        assert found.configuration.number("x") <= 0.4
        if found.resumes is not None:
            assert trials[found.resumes - 1].configuration["x"] == found.configuration["x"]


def test_priorband_draws_from_the_prior_more_on_higher_rungs() -> None:
    """Without an incumbent the chance of a uniform draw is 1 / (1 + eta^r): a half at the bottom, a tenth on the rung of 9."""
    space = Space([SPACE["epochs"], replace(SPACE["x"], prior=Prior(0.7, "high"))])
    method = tuners.method("priorband", maximize=True)
    first = [method.suggest(space, [], 1, np.random.default_rng(each))[0] for each in range(300)]
    share = sum(each.explanation.startswith("from your prior") for each in first) / 300
    assert math.isclose(share, 0.5, abs_tol=0.1)
    near = [each.configuration.number("x") for each in first if each.explanation.startswith("from your prior")]
    assert abs(float(np.median(near)) - 0.7) < 0.03


def test_priorband_uses_the_incumbent_that_proved_itself() -> None:
    space = Space([SPACE["epochs"], replace(SPACE["x"], prior=Prior(0.1, "high"))])  # misleading: the best is at 0.7
    method = tuners.method("priorband", maximize=True)
    rng, trials = np.random.default_rng(3), list[Trial]()
    for number in range(1, 31):
        configuration = SPACE.configuration({"epochs": 9, "x": round(float(rng.random()), 3)})
        trials.append(ended(number, configuration, value_of(configuration)))
    drawn = [method.suggest(space, trials, 1, np.random.default_rng(each))[0].explanation for each in range(200)]
    near, prior = (sum(each.startswith(what) for each in drawn) for what in ("near the incumbent", "from your prior"))
    assert near > 3 * prior
