"""Every method keeps the contract; TPE learns, and its explanations are true."""

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from evenhand import methods
from evenhand.errors import InvalidSettings
from evenhand.methods.base import every
from evenhand.model.domain import Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import Outcome, Trial
from evenhand.testing import check_method
from evenhand.testing import methods as contract
from tests.tuner_contract import LISTED, SMALL_SPACE, SPACE, accuracy, ended, history, made, play, suggest

LINE = Space([Hyperparameter("x", Float(0, 1))])
QUIET = """
import sys
from tests.tuner_contract import SPACE, history, made, suggest
suggest(made(sys.argv[1]), SPACE, history(SPACE, 40), n=3)
"""
SMALL_WITH_EPOCHS = Space([Hyperparameter("epochs", Integer(1, 9), fidelity=True), *SMALL_SPACE])
IN_SMALL = (  # rules that hold even where a method would not be started: with epochs fixed, or for another list
    contract.check_repeats_are_avoided,
    contract.check_failed_configurations_may_come_again,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", methods.METHODS)
def test_contract(name: str) -> None:
    method: Any = methods.METHODS.get(name)
    if name == "manual":
        check_method(method, space=SPACE, settings={"configurations": LISTED[:100]})
    else:
        check_method(method)


@pytest.mark.slow
@pytest.mark.parametrize("name", methods.METHODS)
@pytest.mark.parametrize("check", IN_SMALL, ids=lambda check: check.__name__)
def test_contract_in_a_small_space(name: str, check: Callable[[contract.Make, Space], None]) -> None:
    check(lambda maximize: made(name, maximize), SMALL_SPACE)


@pytest.mark.slow
def test_promotions_in_a_small_space_are_no_repeats() -> None:
    promoting = [method for method in map(methods.METHODS.get, methods.METHODS) if method.needs_fidelity]
    assert len(promoting) >= 3
    for method in promoting:
        check_method(method, space=SMALL_WITH_EPOCHS)


@pytest.mark.parametrize("name", methods.METHODS)
def test_eight_at_once_are_eight(name: str) -> None:
    for trials in ([], history(SPACE, 30)):
        assert len({suggestion.configuration for suggestion in suggest(made(name), SPACE, trials, n=8)}) == 8
    without_epochs = Space([hyperparameter for hyperparameter in SPACE if not hyperparameter.fidelity])
    assert all(
        "epochs" not in suggestion.configuration for suggestion in suggest(made(name), without_epochs, history(SPACE, 40), n=2)
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_optuna_announces_no_study_of_ours(name: str) -> None:
    ran = subprocess.run([sys.executable, "-c", QUIET, name], capture_output=True, text=True, check=True)
    assert ran.stderr == ""


def test_unknown_method_is_answered_with_the_list() -> None:
    with pytest.raises(InvalidSettings, match="'tp': there is none; expected one of grid, random, sobol, tpe"):
        methods.method("tp", maximize=True)


def test_unknown_and_wrong_settings_are_named() -> None:
    with pytest.raises(InvalidSettings, match="'starts' is unknown; expected one of startup, candidates"):
        methods.method("tpe", maximize=True, starts=3)
    with pytest.raises(InvalidSettings, match="'startup' is unknown; expected no settings"):
        methods.method("random", maximize=True, startup=3)
    with pytest.raises(InvalidSettings, match="startup is 0, expected a whole number above 0"):
        methods.method("tpe", maximize=True, startup=0)


def test_every_configuration_of_a_finite_space() -> None:
    configurations = list(every(SMALL_SPACE))
    assert len(configurations) == len(set(configurations)) == 6


@pytest.mark.slow
def test_tpe_beats_random() -> None:
    """Ten seeds of 40 trials: measured medians 0.929 (TPE) and 0.889 (random), and TPE ahead in nine of ten."""
    best = {
        name: [
            max(trial.value or 0.0 for trial in play(methods.method(name, maximize=True), SPACE, 40, seed)) for seed in range(10)
        ]
        for name in ("random", "tpe")
    }
    assert np.median(best["tpe"]) > np.median(best["random"]) + 0.02
    assert sum(tpe > random for tpe, random in zip(best["tpe"], best["random"], strict=True)) >= 8


@pytest.mark.parametrize("maximize", [True, False])
def test_tpe_follows_the_direction(maximize: bool) -> None:
    trials = [ended(n, LINE.configuration({"x": n / 40}), n / 40) for n in range(1, 40)]
    suggestions = suggest(methods.method("tpe", maximize=maximize), LINE, trials, n=10)
    mean = float(np.mean([suggestion.configuration.number("x") for suggestion in suggestions]))
    assert mean > 0.75 if maximize else mean < 0.25


def test_tpe_keeps_away_from_what_diverged() -> None:
    """Half of the line diverges; the value of the other half says nothing."""
    trials = []
    for n in range(1, 40):
        x = (n * 17 % 40) / 40
        bad = x > 0.5
        trials.append(
            ended(n, LINE.configuration({"x": x}), None if bad else 0.5, Outcome.DIVERGED if bad else Outcome.COMPLETED)
        )
    method = methods.method("tpe", maximize=True)
    numbers = [suggest(method, LINE, trials, seed=seed)[0].configuration.number("x") for seed in range(20)]
    assert sum(x > 0.5 for x in numbers) <= 4


def test_tpe_does_not_imitate_failures() -> None:
    """With fewer values than the model would imitate, a failure would be taken for good; a random draw is made instead."""
    rng = np.random.default_rng(0)
    trials = [ended(n, SPACE.sample(rng), None, Outcome.DIVERGED) for n in range(1, 20)]
    trials.append(ended(20, SPACE.sample(rng), 0.5))
    (suggestion,) = suggest(methods.method("tpe", maximize=True), SPACE, trials)
    assert suggestion.explanation == "random draw, since only 1 of 20 trials gave a value to learn from"


def test_tpe_counts_its_startup_in_words() -> None:
    suggestions = suggest(methods.method("tpe", maximize=True, startup=4), SPACE, history(SPACE, 1), n=2)
    assert [suggestion.explanation for suggestion in suggestions] == [
        "random start-up draw 2 of 4",
        "random start-up draw 3 of 4",
    ]


def test_tpe_explains_with_true_facts() -> None:
    trials = play(methods.method("tpe", maximize=True), SPACE, 30, seed=6)
    (suggestion,) = suggest(methods.method("tpe", maximize=True), SPACE, trials)
    match = re.search(r"trial (\d+) \(([\d.]+)\)", suggestion.explanation)
    assert match is not None
    trial = trials[int(match[1]) - 1]
    assert float(match[2]) == pytest.approx(trial.value, rel=1e-3)
    best = sorted(trials, key=lambda trial: -(trial.value or 0.0))[:3]
    assert suggestion.explanation.startswith("exploits") == (trial in best)


def test_a_stopped_trial_counts_with_the_epochs_it_completed() -> None:
    """Stopped after two of twenty epochs with the best value: two epochs are what was good."""
    rng = np.random.default_rng(3)
    trials: list[Trial] = []
    for n in range(1, 30):
        configuration = SPACE.configuration({**SPACE.sample(rng), "epochs": 20})
        trials.append(replace(ended(n, configuration, accuracy(configuration), Outcome.STOPPED), epochs_done=2 if n % 2 else 20))
    good = [replace(trial, value=0.99 if trial.epochs_done == 2 else 0.1) for trial in trials]
    epochs = [
        suggest(methods.method("tpe", maximize=True), SPACE, good, seed=seed)[0].configuration.number("epochs")
        for seed in range(9)
    ]
    assert np.median(epochs) < 10
