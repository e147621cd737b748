"""What every method must do, as checks of one method; `test_tuners` runs all of them over all methods.

Histories hold people's trials and every outcome; a method sees them as `lab.view` gives them.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evenhand.protocol import derive_seed
from evenhand.records import Outcome, Stopper, Trial
from evenhand.space import Choice, Condition, Configuration, Float, Hyperparameter, Integer, Space
from evenhand.tuners import Method, Suggestion, method
from evenhand.tuners.base import Known

SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 20), fidelity=True),
        Hyperparameter("batch_size", Integer(8, 512, log=True)),
        Hyperparameter("optimizer", Choice(("adam", "sgd", "adagrad"))),
        Hyperparameter("width", Choice(("16", "32", "64", "128"), ordered=True), default="32"),
        Hyperparameter("learning_rate", Float(1e-5, 1, log=True), default=0.001),
        Hyperparameter("weight_decay", Float(1e-6, 0.1, log=True, or_zero=True), default=0),
        Hyperparameter("dropout", Float(0, 0.5), default=0),
        Hyperparameter("momentum", Float(0, 0.99), default=0, condition=Condition("optimizer", ("sgd",))),
        Hyperparameter("nesterov", Choice(("no", "yes")), default="no", condition=Condition("optimizer", ("sgd",))),
        Hyperparameter("beta1", Float(0.5, 0.999), default=0.9, condition=Condition("optimizer", ("adam",))),
    ]
)
SMALL = Space([Hyperparameter("width", Integer(1, 3)), Hyperparameter("kind", Choice(("a", "b")))])  # six configurations
ENDINGS = (Outcome.COMPLETED, Outcome.COMPLETED, Outcome.STOPPED, Outcome.DIVERGED, Outcome.INVALID, Outcome.FAILED)

Make = Callable[[bool], Method]  # a method for maximize or minimize
LISTED: list[dict[str, Any]] = [dict(SPACE.sample(np.random.default_rng(each))) for each in range(100)]
LISTED += [{"width": width, "kind": kind} for width in (1, 2, 3) for kind in ("a", "b")]
SETTINGS: dict[str, dict[str, Any]] = {"manual": {"configurations": LISTED}}  # of methods that need some


def accuracy(configuration: Configuration) -> float:
    """A smooth stand-in for a validation accuracy: best at a learning rate that depends on the optimizer, and 4 % dropout."""
    best = {"adam": -3.0, "sgd": -1.0, "adagrad": -2.0}[str(configuration["optimizer"])]
    distance = math.log10(configuration.number("learning_rate")) - best
    late = 0.3 * math.exp(-configuration.number("epochs") / 5)
    return (
        0.95
        - 0.07 * distance**2
        - late
        - abs(configuration.number("dropout") - 0.04)
        - 0.9 * configuration.number("weight_decay")
    )


def ended(
    number: int, configuration: Configuration, value: float | None, outcome: Outcome = Outcome.COMPLETED, proposer: str = "tpe"
) -> Trial:
    """A trial that ended; without a value it ended in its first epoch."""
    planned = int(configuration.number("epochs", 1))
    done = 0 if value is None else planned
    return Trial(
        id=100 + number,
        session_id=1,
        number=number,
        configuration=configuration,
        proposer=proposer,
        submitted_at=float(number),
        epochs_planned=planned,
        claimed_at=float(number),
        attempt=1,
        finished_at=number + 0.5,
        outcome=outcome,
        why="out of memory" if outcome is Outcome.INVALID else None,
        stop_by=Stopper.TUNER if outcome is Outcome.STOPPED else None,
        value=value,
        epochs_done=done,
        epochs_begun=max(1, done),
    )


def history(space: Space, count: int, seed: int = 5) -> list[Trial]:
    """Trials with every outcome, some of them a person's, the last one still open."""
    rng = np.random.default_rng(seed)
    trials = []
    for number in range(1, count):
        outcome = ENDINGS[int(rng.integers(len(ENDINGS)))]
        configuration = space.sample(rng)
        score = accuracy(configuration) if "optimizer" in configuration else float(rng.random())
        value = score if outcome in (Outcome.COMPLETED, Outcome.STOPPED) and rng.random() < 0.9 else None
        outcome = Outcome.STOPPED if outcome is Outcome.COMPLETED and value is None else outcome
        trials.append(ended(number, configuration, value, outcome, proposer="P-07" if number % 3 == 0 else "tpe"))
    waiting = Trial(count + 100, 1, count, space.sample(rng), "tpe", float(count), 1)
    return [*trials, waiting]


def made(name: str, maximize: bool = True) -> Method:
    """A method of this name, with what it needs."""
    return method(name, maximize=maximize, **SETTINGS.get(name, {}))


def suggest(method: Method, space: Space, trials: Sequence[Trial], n: int = 1, seed: int = 1) -> list[Suggestion]:
    """What the method suggests, with a stream of its own as `play` derives it."""
    return method.suggest(space, trials, n, np.random.default_rng(derive_seed(seed, len(trials))))


def play(method: Method, space: Space, count: int, seed: int, score: Callable[[Configuration], float] = accuracy) -> list[Trial]:
    """A whole session on a function, one trial after the other, until the method has no more to try."""
    trials: list[Trial] = []
    while len(trials) < count:
        suggestions = suggest(method, space, trials, seed=seed)
        if not suggestions:
            break
        (suggestion,) = suggestions
        trials.append(ended(len(trials) + 1, suggestion.configuration, score(suggestion.configuration)))
    return trials


def check_same_seed_same_suggestions(make: Make) -> None:
    """The stream that is given decides all."""
    for trials in ([], history(SPACE, 30)):
        first, again = (suggest(make(True), SPACE, trials, n=3) for _ in range(2))
        assert first == again


def check_restart_changes_nothing(make: Make) -> None:
    """A method made anew continues a history as the one that made it does."""
    living = make(True)
    trials: list[Trial] = []
    for _ in range(16):
        (suggestion,) = suggest(living, SPACE, trials)
        assert suggest(make(True), SPACE, trials) == [suggestion]
        trials.append(ended(len(trials) + 1, suggestion.configuration, accuracy(suggestion.configuration)))


def check_valid_in_every_domain(make: Make) -> None:
    """Each suggestion is a configuration of the space: every kind of domain, inactive hyperparameters absent."""
    for seed in range(20):
        for trials in (history(SPACE, 1), history(SPACE, 40, seed)):
            found = suggest(make(True), SPACE, trials, n=2, seed=seed)
            assert found
            for suggestion in found:
                assert SPACE.configuration(suggestion.configuration) == suggestion.configuration
                assert suggestion.explanation


def check_history_is_not_changed(make: Make) -> None:
    """A method does not change what it is given."""
    trials = history(SPACE, 30)
    before = list(trials)
    suggest(make(True), SPACE, trials, n=2)
    assert trials == before


def check_n_at_once_are_distinct(make: Make) -> None:
    """Eight at once are eight configurations."""
    for trials in ([], history(SPACE, 30)):
        found = [each.configuration for each in suggest(make(True), SPACE, trials, n=8)]
        assert len(set(found)) == 8


def check_repeats_are_avoided(make: Make) -> None:
    """A small space is walked through without a repeat; then the method ends, or its suggestions say that they repeat."""
    trials = play(make(True), SMALL, 6, seed=3, score=lambda each: each.number("width"))
    assert len({trial.configuration for trial in trials}) == 6
    for suggestion in suggest(make(True), SMALL, trials):
        again = next(trial.number for trial in trials if trial.configuration == suggestion.configuration)
        assert f"repeats trial {again}" in suggestion.explanation


def check_failed_configurations_may_come_again(make: Make) -> None:
    """`failed` is the infrastructure's fault: nothing was learnt, so its configuration counts as untried."""
    everything = play(make(True), SMALL, 6, seed=4, score=lambda each: each.number("width"))
    last = everything[-1]
    trials = [*everything[:-1], ended(6, last.configuration, None, Outcome.FAILED)]
    (suggestion,) = suggest(make(True), SMALL, trials)
    assert suggestion.configuration == last.configuration


def check_nothing_but_bad_outcomes(make: Make) -> None:
    """A history without a single value stops nothing."""
    rng = np.random.default_rng(2)
    for outcome in (Outcome.DIVERGED, Outcome.INVALID, Outcome.FAILED, Outcome.STOPPED):
        trials = [ended(number, SPACE.sample(rng), None, outcome) for number in range(1, 25)]
        (suggestion,) = suggest(make(False), SPACE, trials)
        assert SPACE.configuration(suggestion.configuration) == suggestion.configuration


def check_bad_configurations_do_not_come_again(make: Make) -> None:
    """Nor do their near twins: the same options, and no number farther than a fiftieth of its scale, whatever the epochs."""
    if make(True).name == "manual":
        return  # somebody's list is tried as it is
    (first,) = suggest(make(True), SPACE, [], seed=8)
    for outcome in (Outcome.DIVERGED, Outcome.INVALID):
        (second,) = suggest(make(True), SPACE, [ended(1, first.configuration, None, outcome)], seed=8)
        assert "epochs" in first.configuration
        apart_ = {**first.configuration, "epochs": 0} != {**second.configuration, "epochs": 0}
        assert apart_
        trials = [*history(SPACE, 25)[:-1]]
        near = {**second.configuration, "dropout": min(0.5, second.configuration.number("dropout") + 0.005)}
        trials.append(ended(25, SPACE.configuration(near), None, outcome))
        known = Known(SPACE, trials)
        for seed in range(5):
            assert all(known.twin(each.configuration) is None for each in suggest(make(True), SPACE, trials, n=2, seed=seed))


def check_a_narrowed_space(make: Make) -> None:
    """Histories may hold values that the space takes no more: a range or a choice was narrowed on the way."""
    narrow = Space(
        [
            replace(each, domain=Float(1e-4, 1e-2, log=True))
            if each.name == "learning_rate"
            else replace(each, domain=Choice(("adam", "sgd")))
            if each.name == "optimizer"
            else replace(each, domain=Choice(("32", "64"), ordered=True))
            if each.name == "width"
            else replace(each, domain=Integer(16, 64, log=True))
            if each.name == "batch_size"
            else each
            for each in SPACE
        ]
    )
    for seed in range(3):
        found = suggest(make(True), narrow, history(SPACE, 40, seed), n=2, seed=seed)
        assert found
        for suggestion in found:
            assert narrow.configuration(suggestion.configuration) == suggestion.configuration


def check_a_space_with_less(make: Make) -> None:
    """Histories may hold hyperparameters that the space leaves out (a fixed number of epochs)."""
    smaller = Space([each for each in SPACE if not each.fidelity])
    for suggestion in suggest(make(True), smaller, history(SPACE, 40), n=2):
        assert "epochs" not in suggestion.configuration
        assert smaller.configuration(suggestion.configuration) == suggestion.configuration


CHECKS: tuple[Callable[[Make], None], ...] = (
    check_same_seed_same_suggestions,
    check_restart_changes_nothing,
    check_valid_in_every_domain,
    check_history_is_not_changed,
    check_n_at_once_are_distinct,
    check_repeats_are_avoided,
    check_failed_configurations_may_come_again,
    check_nothing_but_bad_outcomes,
    check_bad_configurations_do_not_come_again,
    check_a_narrowed_space,
    check_a_space_with_less,
)
