"""How people read numbers, states and outcomes: one module of words for pages, reports, terminals and notebooks."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

import evenhand
from evenhand.model import rules, state_words, words
from evenhand.model.domain import Float
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.rules import Phase
from evenhand.model.session import State
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Text
from evenhand.model.trial import Outcome, Stopper
from evenhand.web.pages import environment
from tests.test_rules import TASK, trial

SOURCES = Path(evenhand.__file__).parent
NARROW = "\u202f"


@pytest.mark.parametrize(
    ("value", "metric", "shown"),
    [
        (0.6459, "accuracy", f"64.6{NARROW}%"),
        (0.5, "top_5_accuracy", f"50.0{NARROW}%"),
        (1.23456, "loss", "1.235"),
        (12345.6, "mse", "12350"),
        (None, "accuracy", "–"),
        (None, "loss", "–"),
    ],
)
def test_scores_are_shown_as_people_read_them(value: float | None, metric: str, shown: str) -> None:
    assert words.show_score(value, metric) == shown


@pytest.mark.parametrize(
    ("difference", "share", "shown"),
    [
        (0.05, True, "5.0\u202fpoints"),
        (-0.25, True, "-25.0\u202fpoints"),
        (0.05, False, "0.05"),
        (None, True, "–"),
        (1e9, True, "1e+09"),
    ],
)
def test_differences_of_shares_are_in_points(difference: float | None, share: bool, shown: str) -> None:
    assert words.points(difference, share) == shown


def test_a_reports_tables_have_three_digits() -> None:
    assert [words.score(0.6459, share=True), words.score(0.12345, share=False), words.score(None, share=True)] == [
        f"64.6{NARROW}%",
        "0.123",
        "–",
    ]
    assert [words.number(value) for value in (3.0, 1234567.0, 0.00012345, float("nan"), None)] == [
        "3", "1.23e+06", "0.000123", "–", "–",
    ]  # fmt: skip
    assert [words.p_value(value) for value in (0.0499, 0.00001, 1.0, None)] == ["0.05", "< 0.0001", "1", "–"]
    assert [words.interval(0.1, 0.25), words.interval(None, 1.0), words.interval(1, 2, lambda value: f"{value}!")] == [
        "0.1 to 0.25", "–", "1! to 2!",
    ]  # fmt: skip
    assert [words.cases(1, "try", "tries"), words.cases(2, "try", "tries")] == ["n = 1 try", "n = 2 tries"]


def test_numbers_are_shown_as_people_type_them_and_losses_do_not_jump() -> None:
    assert [words.typed(value) for value in (0.001, 1e-05, 64.0, "Adam", None)] == ["0.001", "1e-5", "64", "Adam", "–"]
    assert [words.rounded(value) for value in (0.123456, 1e-5, 2.0)] == ["0.1235", "1e-5", "2"]
    assert [words.loss(value) for value in (0.5, 999.9, 12345.0, None)] == ["0.500", "999.900", "1.23e+04", "–"]
    assert [words.percent(0.5), words.percent(0.12345, 2), words.percent(None)] == [f"50.0{NARROW}%", f"12.35{NARROW}%", "–"]


def test_durations_and_moments() -> None:
    assert [words.clock(value) for value in (5021, 130, 0, -3, None)] == ["1:23:41", "2:10", "0:00", "0:00", "–"]
    assert [words.span(value) for value in (48.4, 89, 90, 5399, 5400)] == ["48 s", "89 s", "2 min", "90 min", "1.5 h"]
    assert [words.minutes(value) for value in (1, 90.0, 1.5)] == ["1 minute", "90 minutes", "1.5 minutes"]
    assert [words.ago(100, 103), words.ago(100, 400), words.ago(0, 7300), words.ago(0, 200_000), words.ago(None)] == [
        "now",
        "5 min ago",
        "2 h ago",
        "2 days ago",
        "not yet",
    ]
    assert [words.moment(0), words.moment(None), words.exact(7)] == ["1970-01-01 00:00 UTC", "–", "1970-01-01 00:00:07 UTC"]


def test_counts() -> None:
    assert [words.plural(1, "trial"), words.plural(2, "trial"), words.plural(1234, "trial"), words.plural(0, "try", "tries")] == [
        "1 trial", "2 trials", f"1{NARROW}234 trials", "0 tries",
    ]  # fmt: skip
    assert words.grouped(1234567) == f"1{NARROW}234{NARROW}567"
    assert [words.shortened("twelve chars", 12), words.shortened("thirteen char", 12)] == ["twelve chars", "thirteen ch…"]


@pytest.mark.parametrize(
    ("budget", "share", "said"),
    [
        (Budget(seconds=7200), 0.25, "30 minutes"),
        (Budget(seconds=100), 0.25, "25 seconds"),
        (Budget(seconds=7200, epochs=30), 0.25, "30 minutes and 7 epochs"),
        (Budget(epochs=2), 0.25, "1 epoch"),
        (Budget(trials=9), 0.25, ""),
        (Budget(seconds=7200), 1.0, ""),
        (Budget(seconds=7200), None, ""),
    ],
)
def test_what_one_trial_may_use_is_said_where_it_is_not_all(budget: Budget, share: float | None, said: str) -> None:
    assert words.trial_share_words(budget, share) == said


@pytest.mark.parametrize(
    ("budget", "said"),
    [
        (Budget(seconds=7200), "120 minutes"),
        (Budget(seconds=60), "1 minute"),
        (Budget(seconds=90), "90 seconds"),
        (Budget(trials=1), "1 trial"),
        (Budget(seconds=600, trials=20, epochs=100, parallel=4), "10 minutes and 20 trials and 100 epochs, 4 at once"),
    ],
)
def test_a_budget_is_said_alike_on_pages_and_in_reports(budget: Budget, said: str) -> None:
    assert words.budget_words(budget) == said
    assert environment.from_string("{{ budget_words(budget) }}").render(budget=budget) == said


@pytest.mark.parametrize(
    ("seeds", "has_test", "said"), [(10, True, "10 times"), (1, True, "once"), (0, True, ""), (10, False, "")]
)
def test_how_often_a_choice_is_scored_on_test_data(seeds: int, has_test: bool, said: str) -> None:
    study = Study("s", "S", 1, Budget(trials=1), 0, Text(""), Text(""), Text(""), evaluation_seeds=seeds)
    assert words.times_scored(study, replace(TASK, has_test=has_test)) == said


def test_the_filters_of_pages_are_these_words() -> None:
    page = environment.from_string(
        "{{ 0.5|percent }} {{ 130|clock }} {{ 2|plural('try', 'tries') }} {{ 0.001|number }} {{ 'log_loss'|metric }}"
    )
    assert page.render() == f"50.0{NARROW}% 2:10 2 tries 0.001 log loss"


def test_every_state_and_phase_has_words() -> None:
    assert set(state_words.SESSIONS) == set(State)
    assert set(state_words.PHASES) == set(Phase)
    assert rules.ENDED_STATES.isdisjoint(rules.GOING_ON_STATES)
    assert rules.ENDED_STATES | rules.GOING_ON_STATES | {State.WAITING} == set(State)


def test_where_a_study_stands() -> None:
    study = Study(
        name="s", title="", task_id=1, budget=Budget(trials=1), seed=0, consent=Text(""), details=Text(""), thanks=Text("")
    )
    live = replace(study, published_at=1.0)
    assert [rules.phase_of(study, piloted=False), rules.phase_of(study, piloted=True)] == ["draft", "pilot"]
    assert [rules.phase_of(live, piloted=True), rules.phase_of(replace(live, closed_at=2.0), piloted=False)] == ["live", "closed"]
    assert rules.phase_of(replace(study, archived=True), piloted=True) == "archive"


def test_where_a_trial_stands() -> None:
    waiting = trial(1, 0, None, None)
    training = replace(waiting, claimed_at=1.0)
    assert [state_words.outcome_words(one) for one in (waiting, training)] == ["waiting", "training"]
    assert state_words.outcome_words(replace(training, stop_by=Stopper.TUNER)) == "stopping"
    ended = replace(training, finished_at=2.0, outcome=Outcome.STOPPED)
    assert [state_words.outcome_words(replace(ended, stop_by=who)) for who in (None, *Stopper)] == [
        "stopped early",
        "stopped early",
        "stopped by the stopping rule",
        "stopped: time up",
        "stopped by the researcher",
        "stopped by the withdrawal",
    ]
    assert state_words.outcome_words(replace(ended, outcome=Outcome.DIVERGED)) == "diverged"
    assert state_words.status_of(ended) == "stopped"


def test_how_far_a_trial_is_also_where_only_its_function_knows_the_last_epoch() -> None:
    known, trained = TASK, replace(trial(1, 0, 1, None), epochs_done=1)
    assert (state_words.epochs_words(known, trained), state_words.epoch_words(known, trained)) == (
        "1 of 2 epochs",
        "epoch 2 of 2",
    )
    assert state_words.epoch_words(known, replace(trained, epochs_done=2)) == "epoch 2 of 2"
    unknown = replace(TASK, space=Space([Hyperparameter("x", Float(0, 1))]), max_epochs=1)
    trained = replace(trained, epochs_planned=1, epochs_done=7)
    assert (state_words.epochs_words(unknown, trained), state_words.epoch_words(unknown, trained)) == ("7 epochs", "epoch 8")


def test_words_are_defined_nowhere_else() -> None:
    """A second home would be a function of one of these names, or of one that was there before."""
    here = {name for module in (words, state_words) for name, member in vars(module).items() if callable(member)}
    names = "|".join(sorted(here & {"clock", "percent", "plural", "loss", "p_value", "cases", "ago", "budget_words", "is_share"}))
    second = re.compile(
        rf"^def ({names}|badge_of|_count|_plural|_short|phase)\((count|number|seconds|value|share|name|at|budget|trial|study)\b",
        re.M,
    )
    there = {
        path.relative_to(SOURCES).as_posix() for path in SOURCES.rglob("*.py") if second.search(path.read_text(encoding="utf-8"))
    }
    assert there == {"model/words.py"}
