"""The direction of a metric, and what is best by it: one home, and the same answer wherever it is asked."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

import evenhand
from evenhand.analysis import summaries
from evenhand.analysis.run_course import CoursePoint, course_of
from evenhand.exchange import optuna as optuna_exchange
from evenhand.methods.base import by_value
from evenhand.model import direction, rules
from evenhand.model.direction import (
    best_of,
    best_so_far,
    is_better,
    reaches,
    recorded_value,
    sign_of,
    value_of,
    words_of,
    worst_of,
)
from evenhand.model.trial import Outcome
from tests.test_rules import session, trial

SOURCES = Path(evenhand.__file__).parent


def test_a_sign_makes_larger_values_better() -> None:
    assert (sign_of(True), sign_of(False)) == (1.0, -1.0)
    assert (words_of(True), words_of(False)) == ("larger is better", "smaller is better")


@pytest.mark.parametrize(("value", "than", "maximize", "better", "as_good"), [
    (0.3, 0.2, True, True, True),
    (0.2, 0.3, True, False, False),
    (0.2, 0.2, True, False, True),
    (0.3, 0.2, False, False, False),
    (0.2, 0.3, False, True, True),
    (0.2, 0.2, False, False, True),
])  # fmt: skip
def test_equals_are_not_better_but_reach(value: float, than: float, maximize: bool, better: bool, as_good: bool) -> None:
    assert is_better(value, than, maximize) is better
    assert reaches(value, than, maximize) is as_good


def test_the_best_and_the_worst_are_of_those_that_are_there() -> None:
    values = [None, 0.2, -0.1, None, 0.3]
    assert (best_of(values, maximize=True), worst_of(values, maximize=True)) == (0.3, -0.1)
    assert (best_of(values, maximize=False), worst_of(values, maximize=False)) == (-0.1, 0.3)
    assert best_of([None], maximize=True) is None
    assert best_of([], maximize=False) is None


def test_the_best_so_far_begins_with_the_first_value() -> None:
    assert best_so_far([None, 0.2, 0.1, None, 0.3], maximize=True) == [None, 0.2, 0.2, 0.2, 0.3]
    assert best_so_far([None, 0.2, 0.1, None, 0.3], maximize=False) == [None, 0.2, 0.1, 0.1, 0.1]


def test_the_value_of_what_diverged_or_turned_out_invalid_does_not_count() -> None:
    known = trial(1, 0, 1, 2, value=0.5)
    assert value_of(known) == 0.5
    assert value_of(replace(known, outcome=Outcome.STOPPED)) == 0.5
    for outcome in (Outcome.INVALID, Outcome.DIVERGED, Outcome.FAILED):
        assert value_of(replace(known, outcome=outcome)) is None
    assert recorded_value(replace(known, outcome=Outcome.DIVERGED)) == 0.5
    assert recorded_value(replace(known, outcome=Outcome.INVALID)) is None
    assert value_of(replace(known, value=None)) is None
    assert value_of(replace(known, value=math.inf)) is None
    assert value_of(replace(known, outcome=None)) == 0.5  # it still trains


@pytest.mark.parametrize("maximize", [True, False])
@pytest.mark.parametrize("outcome", [Outcome.INVALID, Outcome.DIVERGED])
def test_all_that_say_what_is_best_agree_also_beside_an_unusable_trial_and_equals(maximize: bool, outcome: Outcome) -> None:
    """The table of sessions, the lines of who is ahead, the notebook's staircase, methods, Optuna, and the rules' own choice."""
    sign = sign_of(maximize)
    trials = [trial(number, 0, number, number + 1, value=sign * value) for number, value in enumerate((0.1, 0.6, 0.6, 0.2), 1)]
    trials.append(replace(trial(5, 0, 5, 6, value=sign * 0.9), outcome=outcome))
    tuned = session(*trials)
    tuned = replace(tuned, task=replace(tuned.task, direction="maximize" if maximize else "minimize"))
    best = rules.best_trial(tuned)
    assert best is not None
    assert best.number == 2
    assert best == direction.best_trial(tuned.trials, maximize)
    assert [trial.number for trial in direction.best_first(tuned.trials, maximize)] == [2, 3, 4, 1]
    ahead = summaries.best_so_far(tuned, "trials")[-1]
    assert (ahead.number, ahead.value) == (best.number, best.value)
    assert course_of(tuned).bests[-1] == CoursePoint(5, sign * 0.6)
    assert by_value(tuned.trials, maximize)[0] == best
    study = optuna_exchange.written(tuned, {})
    assert (study.best_trial.number, study.user_attrs["evenhand"]["best"]) == (1, 2)  # Optuna counts from 0


def test_nothing_else_turns_a_direction_into_a_sign_or_a_comparison() -> None:
    """A second home would be found by this line: `1.0 if x.maximize else -1.0`, `max if maximize else min`, and the like."""
    branches = re.compile(r"maximize\)? else (-?1(\.0)?\b(?!\.)|min\b|max\b|value|best)")
    there = [
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*.py")
        if branches.search(path.read_text(encoding="utf-8"))
    ]
    assert there == ["model/direction.py"]
