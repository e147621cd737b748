"""Every method keeps the contract; TPE learns, and its explanations are true."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from evenhand import tuners
from evenhand.errors import InvalidSettings
from evenhand.records import Outcome, Trial
from evenhand.space import Float, Hyperparameter, Space
from evenhand.tuners.base import every
from tests.tuner_contract import CHECKS, SMALL, SPACE, Make, accuracy, ended, history, made, play, suggest

LINE = Space([Hyperparameter("x", Float(0, 1))])
AGAIN = """
import json, sys
from tests.tuner_contract import SPACE, history, made, suggest
found = suggest(made(sys.argv[1]), SPACE, history(SPACE, 40), n=3)
print(json.dumps([[dict(each.configuration), each.explanation] for each in found]))
"""


@pytest.mark.parametrize("name", tuners.METHODS)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_contract(name: str, check: Callable[[Make], None]) -> None:
    check(lambda maximize: made(name, maximize))


@pytest.mark.parametrize("name", tuners.METHODS)
def test_another_process_suggests_the_same(name: str) -> None:
    here = suggest(made(name), SPACE, history(SPACE, 40), n=3)
    environment = os.environ | {"PYTHONHASHSEED": "12345"}  # the order of sets must not matter
    ran = subprocess.run([sys.executable, "-c", AGAIN, name], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == [[dict(each.configuration), each.explanation] for each in here]
    assert ran.stderr == ""  # Optuna announces no study of ours


def test_unknown_method_is_answered_with_the_list() -> None:
    with pytest.raises(InvalidSettings, match="'tp': there is none; expected one of grid, random, sobol, tpe"):
        tuners.method("tp", maximize=True)


def test_unknown_and_wrong_settings_are_named() -> None:
    with pytest.raises(InvalidSettings, match="'starts' is unknown; expected one of startup, candidates"):
        tuners.method("tpe", maximize=True, starts=3)
    with pytest.raises(InvalidSettings, match="'startup' is unknown; expected no settings"):
        tuners.method("random", maximize=True, startup=3)
    with pytest.raises(InvalidSettings, match="startup is 0, expected a whole number above 0"):
        tuners.method("tpe", maximize=True, startup=0)


def test_every_configuration_of_a_finite_space() -> None:
    found = list(every(SMALL))
    assert len(found) == len(set(found)) == 6


def test_tpe_beats_random() -> None:
    """Ten seeds of 40 trials: measured medians 0.929 (TPE) and 0.889 (random), and TPE ahead in nine of ten."""
    best = {
        name: [
            max(trial.value or 0.0 for trial in play(tuners.method(name, maximize=True), SPACE, 40, seed)) for seed in range(10)
        ]
        for name in ("random", "tpe")
    }
    assert np.median(best["tpe"]) > np.median(best["random"]) + 0.02
    assert sum(tpe > random for tpe, random in zip(best["tpe"], best["random"], strict=True)) >= 8


@pytest.mark.parametrize("maximize", [True, False])
def test_tpe_follows_the_direction(maximize: bool) -> None:
    trials = [ended(n, LINE.configuration({"x": n / 40}), n / 40) for n in range(1, 40)]
    found = suggest(tuners.method("tpe", maximize=maximize), LINE, trials, n=10)
    mean = float(np.mean([each.configuration.number("x") for each in found]))
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
    method = tuners.method("tpe", maximize=True)
    found = [suggest(method, LINE, trials, seed=seed)[0].configuration.number("x") for seed in range(20)]
    assert sum(x > 0.5 for x in found) <= 4


def test_tpe_does_not_imitate_failures() -> None:
    """With fewer values than the model would imitate, a failure would be taken for good; a random draw is made instead."""
    rng = np.random.default_rng(0)
    trials = [ended(n, SPACE.sample(rng), None, Outcome.DIVERGED) for n in range(1, 20)]
    trials.append(ended(20, SPACE.sample(rng), 0.5))
    (suggestion,) = suggest(tuners.method("tpe", maximize=True), SPACE, trials)
    assert suggestion.explanation == "random draw, since only 1 of 20 trials gave a value to learn from"


def test_tpe_counts_its_startup_in_words() -> None:
    found = suggest(tuners.method("tpe", maximize=True, startup=4), SPACE, history(SPACE, 1), n=2)
    assert [each.explanation for each in found] == ["random start-up draw 2 of 4", "random start-up draw 3 of 4"]


def test_tpe_explains_with_true_facts() -> None:
    trials = play(tuners.method("tpe", maximize=True), SPACE, 30, seed=6)
    (suggestion,) = suggest(tuners.method("tpe", maximize=True), SPACE, trials)
    told = re.search(r"trial (\d+) \(([\d.]+)\)", suggestion.explanation)
    assert told is not None
    trial = trials[int(told[1]) - 1]
    assert float(told[2]) == pytest.approx(trial.value, rel=1e-3)
    best = sorted(trials, key=lambda each: -(each.value or 0.0))[:3]
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
        suggest(tuners.method("tpe", maximize=True), SPACE, good, seed=seed)[0].configuration.number("epochs")
        for seed in range(9)
    ]
    assert np.median(epochs) < 10
