"""How far people came: the same people at the same milestones, on the page of a running study and in a report."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest

from evenhand.analysis.attrition import Loss, Milestone, Stage, flow, live
from evenhand.analysis.cohort import cohort
from evenhand.model.archive import Archive
from evenhand.model.session import Evaluated
from evenhand.model.study import Arm, Text
from tests.archives import STUDY, TASK, Person, archive
from tests.test_cohort import SELF

PEOPLE = [
    Person(0, (0.5,), (0.5,)),
    Person(0, (0.5,), (0.5,), rest={"consented_at": None, "answered": ()}, chose=False),
    Person(0, (0.5,), (0.5,), rest={"answered": ()}),
    Person(0, (), ()),
    Person(0, (0.5,), ()),
    Person(0, (0.5,), (0.5,), rest={"excluded": "asked a friend"}),
    Person(0, (0.5,), (0.5,), rest={"withdrawn_at": 9.0, "answered": ()}),
]


def shape(stages: tuple[Stage, ...]) -> list[tuple[str, int, dict[str, int]]]:
    assert all(before.count - after.count == sum(loss.count for loss in after.lost) for before, after in pairwise(stages))
    return [(stage.name, stage.count, {loss.words: loss.count for loss in stage.lost}) for stage in stages]


# In a report


def test_each_step_tells_whom_it_lost_and_why() -> None:
    assert shape(flow(archive(PEOPLE), "live").everyone) == [
        ("joined", 7, {}),
        ("agreed to the terms", 6, {"did not agree": 1}),
        ("answered the questions", 5, {"did not answer": 1}),
        ("began to tune", 5, {}),
        ("made a final choice", 4, {"made no final choice": 1}),
        ("have a test score", 3, {"not evaluated yet": 1}),
        ("are in the statistics", 1, {"excluded: asked a friend": 1, "withdrew": 1}),
    ]


def test_whose_evaluation_gave_no_score_is_not_counted_as_if_it_had() -> None:
    people = [Person(0, (0.5,), (0.5,)), Person(0, (0.5,), (None, None)), Person(0, (0.5,), ())]
    made = archive(people)
    assert shape(flow(made, "live").everyone)[-2:] == [
        ("have a test score", 1, {"no evaluation training gave a score": 1, "not evaluated yet": 1}),
        ("are in the statistics", 1, {}),
    ]
    assert flow(made, "live").count(Milestone.INCLUDED) == len(cohort(made, "live").evaluated)


def test_steps_that_a_study_does_not_have_are_not_told() -> None:
    bare = replace(STUDY, consent=Text(""), questionnaires=())
    names = [name for name, *_ in shape(flow(archive([Person(0, (0.5,), (0.5,))], bare), "live").everyone)]
    assert names == ["joined", "began to tune", "made a final choice", "have a test score", "are in the statistics"]


@pytest.mark.parametrize(("consent", "count"), [("consent", 1), ("", 2)])
def test_whoever_withdrew_before_they_agreed_did_not_agree_where_nothing_is_asked(consent: str, count: int) -> None:
    study = replace(STUDY, consent=Text(consent), questionnaires=())
    asked = replace(study, version=2, consent=Text("consent"))
    withdrew = {"consented_at": None, "answered": (), "withdrawn_at": 9.0}
    people = [Person(rest=withdrew), Person(rest={"version": 2})]
    made = replace(archive(people, asked), versions=(study, asked), sessions=())
    for stages in (now(made), flow(made, "live").everyone):
        assert [(stage.milestone, stage.count) for stage in stages][:2] == [(Milestone.JOINED, 2), (Milestone.AGREED, count)]


def test_an_amendment_asks_nothing_of_those_before_it() -> None:
    amended = replace(STUDY, version=2, questionnaires=(*STUDY.questionnaires, SELF))
    people = [Person(0, (0.5,), (0.5,)), Person(0, (0.5,), (0.5,), rest={"version": 2})]
    made = replace(archive(people, amended), versions=(STUDY, amended))
    assert [(name, count) for name, count, _ in shape(flow(made, "live").everyone)][2] == ("answered the questions", 1)
    assert shape(flow(made, "live").everyone)[-1][1] == 1
    everyone = replace(
        made, participants=tuple(replace(participant, answered=("background", "self")) for participant in made.participants)
    )
    assert shape(flow(everyone, "live").everyone)[-1][1] == 2


def test_conditions_are_told_apart_and_add_up() -> None:
    arms = tuple(Arm(name) for name in ("plain", "hints"))
    people = [
        Person(0, (0.5,), (0.5,), rest={"condition": "plain"}),
        Person(0, (0.5,), (0.5,), chose=False, rest={"condition": "plain"}),
        Person(0, (0.5,), (0.5,), rest={"condition": "hints"}),
        Person(0, rest={"consented_at": None}),
    ]
    attrition = flow(archive(people, replace(STUDY, arms=arms)), "live")
    assert [(name, stages[0].count, shape(stages)[-1][1]) for name, stages in attrition.arms.items()] == [
        ("plain", 2, 1),
        ("hints", 1, 1),
    ]
    assert (attrition.everyone[0].count, attrition.everyone[-1].count) == (4, 2)


def test_a_study_of_nobody_has_a_flow_of_zeros() -> None:
    attrition = flow(archive([]), "live")
    assert attrition.n == 0
    assert {count for _, count, _ in shape(attrition.everyone)} == {0}
    assert cohort(archive([]), "live").members == ()


# While a study goes on


def now(made: Archive) -> Sequence[Stage]:
    """The stages of an archive's records as if they were of a running study: who has scores is evaluated."""
    sessions = [
        replace(session, evaluated=Evaluated(done=int(session.id in made.evaluations), planned=1)) if session.choice else session
        for session in made.sessions
    ]
    return live(made.study, made.versions, made.participants, sessions, 2000.0).everyone


@pytest.mark.parametrize("people", [PEOPLE, [], PEOPLE[:1], PEOPLE[1:3], PEOPLE[-1:]])
def test_the_page_and_the_report_count_alike(people: list[Person]) -> None:
    made = archive(people)
    assert [(stage.milestone, stage.count) for stage in now(made)] == [
        (stage.milestone, stage.count) for stage in flow(made, "live").everyone
    ]


def test_the_page_tells_who_may_get_further_yet() -> None:
    stages = now(archive(PEOPLE))
    assert [(stage.name, stage.count) for stage in stages] == [
        ("joined", 7), ("consented", 6), ("answered the questions", 5), ("began to tune", 5), ("chose", 4), ("evaluated", 3),
        ("included", 1),
    ]  # fmt: skip
    assert [stage.lost for stage in stages] == [
        (Loss("tuning", 1, True),),
        (Loss("being evaluated", 1, True),),
        (),
        (Loss("tuning", 1, True),),
        (Loss("being evaluated", 1, True),),
        (Loss("left out: asked a friend", 1), Loss("withdrew", 1)),
        (),
    ]


def test_whoever_withdrew_is_in_no_statistics_also_of_a_task_without_test_data() -> None:
    person = Person(0, (0.5,), rest={"withdrawn_at": 9.0, "answered": ()})
    made = archive([person, Person(0, (0.5,))], task=replace(TASK, has_test=False))
    for stages in (now(made), flow(made, "live").everyone):
        assert [(stage.milestone, stage.count) for stage in stages][-2:] == [(Milestone.EVALUATED, 2), (Milestone.INCLUDED, 1)]


def test_an_amendment_asks_nothing_of_those_before_it_while_the_study_goes_on() -> None:
    amended = replace(STUDY, version=2, questionnaires=(*STUDY.questionnaires, SELF))
    people = [Person(0, (0.5,), (0.5,)), Person(0, rest={"version": 2})]
    made = replace(archive(people, amended), versions=(STUDY, amended))
    assert [(stage.name, stage.count) for stage in now(made)][2:4] == [("answered the questions", 1), ("began to tune", 1)]
