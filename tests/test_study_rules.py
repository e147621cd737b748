"""What the rules say of a participant's way: its steps, the budget of a condition, which values need a reason, who is invited."""

from dataclasses import replace

import pytest

from evenhand.analysis import summaries
from evenhand.model import rules
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice as Options
from evenhand.model.domain import Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.participant import Participant
from evenhand.model.rules import ParticipantStep
from evenhand.model.session import FinalChoice
from evenhand.model.space import Space
from evenhand.model.study import BACKGROUND, Arm, Budget, Study, Text
from tests.test_rules import session, trial

BARE = Study(
    "s", "S", 1, Budget(trials=5), 0, consent=Text(""), details=Text("d"), thanks=Text("t"), questionnaires=(), practice=False
)
SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 9)),
        Hyperparameter("optimizer", Options(("adam", "sgd")), "adam"),
        Hyperparameter("momentum", Float(0, 1), 0.0, condition=Condition("optimizer", ("sgd",))),
    ]
)


def test_steps_without_a_text_or_a_question_are_left_out() -> None:
    assert rules.steps_of(BARE) == (ParticipantStep.DETAILS, ParticipantStep.TUNE, ParticipantStep.FINAL)
    assert rules.steps_of(replace(BARE, consent=Text("I agree"))) == (
        ParticipantStep.TERMS,
        ParticipantStep.DETAILS,
        ParticipantStep.TUNE,
        ParticipantStep.FINAL,
    )
    after = replace(BACKGROUND, name="after", at="after")
    whole = replace(BARE, consent=Text("I agree"), practice=True, questionnaires=(BACKGROUND, after))
    assert rules.steps_of(whole) == tuple(
        step for step in ParticipantStep if step not in (ParticipantStep.THANKS, ParticipantStep.WITHDRAWN)
    )


def test_a_conditions_own_budget_comes_first() -> None:
    study = replace(BARE, arms=(Arm("short", budget=Budget(trials=2)), Arm("plain")))
    assert rules.budget_of(study, "short") == Budget(trials=2)
    assert rules.budget_of(study, "plain") == rules.budget_of(study, None) == study.budget


def test_a_value_needs_a_reason_where_it_differs() -> None:
    first = SPACE.configuration({"epochs": 3, "optimizer": "sgd", "momentum": 0.5})
    assert rules.without_reason(SPACE, first, (), None) == ("epochs", "optimizer", "momentum")
    assert rules.without_reason(SPACE, first, {"epochs", "momentum"}, None) == ("optimizer",)
    second = SPACE.configuration({"epochs": 4, "optimizer": "sgd", "momentum": 0.5})
    assert rules.without_reason(SPACE, second, (), first) == ("epochs",)
    assert rules.without_reason(SPACE, second, (), second) == ()
    at_defaults = SPACE.configuration({"epochs": 4, "optimizer": "adam"})
    assert rules.without_reason(SPACE, at_defaults, (), None) == ("epochs",)  # it has no default


def test_people_are_invited_to_the_pilot_until_the_study_is_published() -> None:
    assert rules.modes_to_invite(BARE) == ("pilot",)
    assert rules.modes_to_invite(replace(BARE, published_at=1.0)) == ("live", "pilot")


def test_somebody_was_last_seen_at_the_newest_of_their_steps() -> None:
    person = Participant(1, 1, "P-01", 10.0, "live")
    assert rules.last_seen(person, None) == 10.0
    assert rules.last_seen(replace(person, consented_at=20.0, practised_at=15.0), None) == 20.0
    seen = replace(session(), last_seen=30.0)
    assert rules.last_seen(person, seen) == 30.0
    assert rules.last_seen(replace(person, withdrawn_at=40.0), seen) is None


@pytest.mark.parametrize(("budget", "unit", "cap"), [
    (Budget(seconds=60, trials=3), "seconds", 60.0),
    (Budget(trials=3, epochs=9), "trials", 3.0),
    (Budget(epochs=9), "epochs", 9.0),
])  # fmt: skip
def test_a_budgets_clock_has_a_cap(budget: Budget, unit: str, cap: float) -> None:
    assert summaries.unit_of(budget) == unit
    assert summaries.cap(budget, summaries.unit_of(budget)) == cap


def test_the_chosen_trial_is_found_by_its_id() -> None:
    trials = [trial(number, 0, number, number + 1, value=0.5) for number in (1, 2)]
    known = session(*trials)
    assert known.chosen_trial is None
    choice = FinalChoice(9.0, trials[1].configuration, trials[1].id, False)
    assert replace(known, choice=choice).chosen_trial == trials[1]
    assert replace(known, choice=replace(choice, trial_id=None)).chosen_trial is None
