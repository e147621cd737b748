"""Methods that promote: rungs, brackets and promotions as the papers count them, from any history."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from evenhand import methods
from evenhand.methods import Method
from evenhand.methods.fidelity import brackets, rungs_of
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float, Integer
from evenhand.model.hyperparameter import Hyperparameter, Prior
from evenhand.model.rules import derive_seed
from evenhand.model.space import Space, reshaped
from evenhand.model.trial import Outcome, Trial
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
    assert rungs_of(SPACE, 2, 20) == (9,)


def test_rungs_are_epochs_that_the_domain_has() -> None:
    steps = Space([Hyperparameter("epochs", Integer(10, 105, step=10), fidelity=True)])
    assert rungs_of(steps, 3, 1) == (10, 30, 100)
    assert rungs_of(steps, 2, 25) == (50, 100)
    assert rungs_of(Space([Hyperparameter("epochs", Integer(1, 9, step=4), fidelity=True)]), 3, 1) == (1, 9)


def test_brackets_have_the_papers_sizes() -> None:
    """Li et al. (2018), table 1: R = 81, eta = 3."""
    computed = brackets(5, 3)
    assert [next(computed) for _ in range(5)] == [(81, 0), (34, 1), (15, 2), (8, 3), (5, 4)]


def test_hyperband_walks_its_brackets() -> None:
    method, trials = methods.method("hyperband", maximize=True), list[Trial]()
    planned = [step(method, trials).epochs_planned for _ in range(9 + 3 + 1 + 5 + 1 + 3)]
    assert planned == [1] * 9 + [3] * 3 + [9] + [3] * 5 + [9] + [9] * 3
    promoted = [trials[trial.resumes - 1].number for trial in trials[9:12] if trial.resumes]
    best = sorted(trials[:9], key=lambda trial: -(trial.value or 0))[:3]
    assert promoted == [trial.number for trial in best]
    assert trials[9].explanation.startswith(f"promoted to 3 epochs: trial {best[0].number} (")
    assert step(method, trials).epochs_planned == 1  # and so on, from the first bracket


def test_hyperband_waits_for_a_whole_rung_and_begins_the_next_bracket_meanwhile() -> None:
    method, trials = methods.method("hyperband", maximize=True), list[Trial]()
    for _ in range(9):
        step(method, trials)
    trials[8] = replace(trials[8], outcome=None, finished_at=None, value=None)
    (waiting,) = method.suggest(SPACE, trials, 1, np.random.default_rng(0))
    assert waiting.resumes is None
    assert waiting.configuration["epochs"] == 3


def test_what_diverged_is_never_promoted_and_its_bracket_goes_on() -> None:
    method, trials = methods.method("hyperband", maximize=True), list[Trial]()
    for _ in range(9):
        step(method, trials, lambda configuration: None if configuration.number("x") < 0.9 else 0.5)
    good = sum(trial.outcome is Outcome.COMPLETED for trial in trials)
    later = [step(method, trials) for _ in range(4)]
    assert sum(trial.resumes is not None for trial in later) <= max(good, 1)
    assert all(trials[trial.resumes - 1].outcome is Outcome.COMPLETED for trial in later if trial.resumes)


def test_asha_promotes_whenever_it_can() -> None:
    """At each moment no more than a third of a rung is promoted, and each was among the best third when it was."""
    method, trials = methods.method("asha", maximize=True), list[Trial]()
    for _ in range(60):
        trial = step(method, trials)
        if trial.resumes is not None:
            there = [other for other in trials[:-1] if other.epochs_done == trial.epochs_before]
            rank = sum((other.value or 0) > (trials[trial.resumes - 1].value or 0) for other in there)
            assert rank < len(there) // 3
    at = {epochs: sum(trial.epochs_planned == epochs for trial in trials) for epochs in (1, 3, 9)}
    assert at[3] >= at[1] // 3  # the best third changes as trials come in
    assert at[9] >= at[3] // 3
    assert len({trial.resumes for trial in trials if trial.resumes}) == sum(trial.resumes is not None for trial in trials)


def test_a_persons_trial_can_be_promoted() -> None:
    method, trials = methods.method("asha", maximize=True), list[Trial]()
    for _ in range(2):
        step(method, trials, lambda _: 0.1)
    mine = ended(3, SPACE.configuration({"epochs": 1, "x": 0.7}), 0.9, proposer="researcher")
    trials.append(mine)
    assert step(method, trials).resumes == 3


@pytest.mark.parametrize("name", ["asha", "hyperband", "priorband"])
def test_what_lies_outside_of_new_limits_is_not_promoted(name: str) -> None:
    """It could not be resumed as it is: the lab would refuse it, and the method would wait for ever."""
    method, trials = methods.method(name, maximize=True), list[Trial]()
    for _ in range(9):
        step(method, trials)
    narrow = reshaped(SPACE, {"x": {"low": 0.0, "high": 0.4}})
    for seed in range(3):
        (suggestion,) = method.suggest(narrow, trials, 1, np.random.default_rng(seed))
        assert suggestion.configuration.number("x") <= 0.4
        if suggestion.resumes is not None:
            assert trials[suggestion.resumes - 1].configuration["x"] == suggestion.configuration["x"]


def test_priorband_draws_from_the_prior_more_on_higher_rungs() -> None:
    """Without an incumbent the chance of a uniform draw is 1 / (1 + eta^r): a half at the bottom, a tenth on the rung of 9."""
    space = Space([SPACE["epochs"], replace(SPACE["x"], prior=Prior(0.7, "high"))])
    method = methods.method("priorband", maximize=True)
    first = [method.suggest(space, [], 1, np.random.default_rng(seed))[0] for seed in range(300)]
    share = sum(suggestion.explanation.startswith("from your prior") for suggestion in first) / 300
    assert math.isclose(share, 0.5, abs_tol=0.1)
    near = [suggestion.configuration.number("x") for suggestion in first if suggestion.explanation.startswith("from your prior")]
    assert abs(float(np.median(near)) - 0.7) < 0.03


@pytest.mark.slow
def test_priorband_uses_the_incumbent_that_proved_itself() -> None:
    space = Space([SPACE["epochs"], replace(SPACE["x"], prior=Prior(0.1, "high"))])  # misleading: the best is at 0.7
    method = methods.method("priorband", maximize=True)
    rng, trials = np.random.default_rng(3), list[Trial]()
    for number in range(1, 31):
        configuration = SPACE.configuration({"epochs": 9, "x": round(float(rng.random()), 3)})
        trials.append(ended(number, configuration, value_of(configuration)))
    drawn = [method.suggest(space, trials, 1, np.random.default_rng(seed))[0].explanation for seed in range(200)]
    near, prior = (
        sum(explanation.startswith(what) for explanation in drawn) for what in ("near the incumbent", "from your prior")
    )
    assert near > 3 * prior
