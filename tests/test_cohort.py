"""Who counts, in which group, and where the others were lost: each rule on an archive of a few people."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from evenhand.analysis import study
from evenhand.analysis.cohort import best_so_far, boundaries, cohort, counted, flow, group_names
from evenhand.analysis.items import Stage
from evenhand.declaration import MONTHS, Arm, Group, Grouping, Option, Plan, Question, Questionnaire, Rule, Text
from evenhand.declaration import Section as Asked
from evenhand.records import Archive, Outcome, Pause
from tests.archives import STUDY, Person, archive

LEVEL = Question("level", "single", Text("Your level?"), options=(Option("a", Text("beginner")), Option("b", Text("master"))))
SURE = Question("sure", "likert", Text("How sure are you?"), points=3)
SELF = Questionnaire("self", Text("You"), (Asked((LEVEL, SURE)),))


def left(made: Archive, **how: Any) -> dict[str, str]:
    return {each.pseudonym: each.why for each in cohort(made, "live", **how).left}


def ruled(*rules: Rule) -> Any:
    return replace(STUDY, plan=Plan(exclusions=rules))


def shape(stages: tuple[Stage, ...]) -> list[tuple[str, int, dict[str, int]]]:
    assert all(before.count - after.count == sum(n for _, n in after.lost) for before, after in pairwise(stages))
    return [(each.name, each.count, dict(each.lost)) for each in stages]


# Who counts


def test_minutes_are_those_of_the_clock_without_pauses() -> None:
    made = archive([Person(0, (0.5,))] * 3, ruled(Rule("minutes", at_least=16)))
    ends, stood = (960.0, 960.0, 961.0), (Pause(100.0, 101.0, "fire alarm"),)
    one, two, three = (
        replace(each, choice=replace(each.choice, at=at)) for each, at in zip(made.sessions, ends, strict=True) if each.choice
    )
    made = replace(made, sessions=(one, replace(two, pauses=stood), replace(three, pauses=stood)))
    assert left(made) == {"P-02": "planned rule: fewer than 16 minutes"}


def test_automatic_choices_count_unless_a_rule_or_the_question_says_otherwise() -> None:
    people = [Person(0, (0.5,), automatic=True), Person(0, (0.5,))]
    assert left(archive(people)) == {}
    assert left(archive(people), automatic=False) == {"P-01": "the choice was made automatically"}
    assert left(archive(people, ruled(Rule("choice")))) == {"P-01": "planned rule: made no choice"}


@pytest.mark.parametrize(
    ("answer", "kept"), [("7", True), (7, True), (7.0, True), (["7", "8"], True), (8, False), ([], False), (None, False)]
)
def test_an_attention_check_reads_every_kind_of_answer(answer: object, kept: bool) -> None:
    rule = Rule("answer", question="self.check", value="7")
    people = [Person(0, (0.5,), answers={} if answer is None else {"self.check": answer})]
    assert left(archive(people, ruled(rule))) == ({} if kept else {"P-01": "planned rule: self.check is not 7"})


def test_the_first_reason_is_told_and_nobody_is_told_twice() -> None:
    rules = (Rule("trials", at_least=2), Rule("choice"))
    out: dict[str, Any] = {"withdrawn_at": 1.0, "excluded": "asked a friend"}
    people = [Person(0, (0.5,), automatic=True, rest=out), Person(0, (0.5,), automatic=True), Person(0, ())]
    assert left(archive(people, ruled(*rules))) == {
        "P-01": "withdrew",
        "P-02": "planned rule: fewer than 2 trials",
        "P-03": "made no final choice",
    }


def test_who_never_began_or_only_practised_is_left_out() -> None:
    made = archive([Person(0, (0.5,)), Person(0, (0.5,)), Person(0, (0.5,), (0.6,))])
    one, two, three = made.sessions
    practised = replace(two, practice=True)
    made = replace(made, sessions=(replace(one, started_at=None), practised, three))
    assert left(made) == {"P-01": "never began to tune", "P-02": "never began to tune"}
    assert [each.session.id for each in cohort(made, "live").members] == [three.id]


def test_modes_never_mix() -> None:
    people = [Person(0, (0.5,), (0.1,)), Person(0, (0.5,), (0.2,), mode="pilot"), Person(0, (0.5,), (0.3,), mode="simulated")]
    made = archive(people, random=(0.4,))
    for mode, score, methods in (("live", 0.1, 1), ("pilot", 0.2, 0), ("simulated", 0.3, 0)):
        found = cohort(made, mode)  # type: ignore[arg-type]
        assert [each.final for each in found.members] == [score]
        assert study.random_configurations(made.of_mode(mode)).n == methods  # type: ignore[arg-type]
        assert flow(made, mode).stages[0].count == 1  # type: ignore[arg-type]


def test_technical_failures_are_no_tries() -> None:
    made = archive([Person(0, (0.5, None, 0.7))])
    session = made.sessions[0]
    ends = (Outcome.FAILED, Outcome.DIVERGED, Outcome.STOPPED)
    trials = tuple(replace(trial, outcome=end) for trial, end in zip(session.trials, ends, strict=True))
    queued = replace(trials[2], number=4, claimed_at=None, outcome=None)
    assert [each.number for each in counted(replace(session, trials=(*trials, queued)))] == [2, 3]


def test_the_best_so_far_begins_with_the_first_value() -> None:
    assert best_so_far([None, 0.2, 0.1, None, 0.3], maximize=True) == [None, 0.2, 0.2, 0.2, 0.3]
    assert best_so_far([None, 0.2, 0.1, None, 0.3], maximize=False) == [None, 0.2, 0.1, 0.1, 0.1]


# Groups


@pytest.mark.parametrize(
    ("months", "group"), [(0, "novice"), (1, "medium"), (9, "medium"), (10, "expert"), (600, "expert"), (9.5, None), (None, None)]
)
def test_boundaries_are_those_declared(months: float | None, group: str | None) -> None:
    found = cohort(archive([Person(months, (0.5,), (0.5,))]), "live")
    assert found.members[0].group == group
    assert sum(map(len, found.finals().values())) == (group is not None)
    assert study.experience(found).others == (group is None)


def test_boundaries_in_words() -> None:
    assert boundaries(MONTHS) == "novice 0, medium 1 to 9, expert from 10"
    assert boundaries(Grouping("a.b", (Group("few", None, 2), Group("all")))) == "few up to 2, all any number"


def test_groups_of_options_and_of_a_scale() -> None:
    declared = replace(STUDY, questionnaires=(*STUDY.questionnaires, SELF))
    answers: list[dict[str, Any]] = [{"self.level": "b", "self.sure": 3}, {"self.level": "gone", "self.sure": 1}, {}]
    made = archive([Person(1, (0.5,), (0.5,), answers=each) for each in answers], declared)
    level, sure, nothing = Grouping("self.level"), Grouping("self.sure"), Grouping("self.nothing")
    assert group_names(declared, level) == ("beginner", "master")
    assert [each.group for each in cohort(made, "live", grouping=level).members] == ["master", None, None]
    assert group_names(declared, sure) == ("1", "2", "3")
    assert [each.group for each in cohort(made, "live", grouping=sure).members] == ["3", "1", None]
    assert group_names(declared, nothing) == ()
    assert [each.group for each in cohort(made, "live", grouping=nothing).members] == [None] * 3


# Attrition


def test_each_step_tells_whom_it_lost_and_why() -> None:
    people = [
        Person(0, (0.5,), (0.5,)),
        Person(0, (0.5,), (0.5,), rest={"consented_at": None, "answered": ()}, chose=False),
        Person(0, (0.5,), (0.5,), rest={"answered": ()}),
        Person(0, (), ()),
        Person(0, (0.5,), ()),
        Person(0, (0.5,), (0.5,), rest={"excluded": "asked a friend"}),
        Person(0, (0.5,), (0.5,), rest={"withdrawn_at": 9.0, "answered": ()}),
    ]
    assert shape(flow(archive(people), "live").stages) == [
        ("joined", 7, {}),
        ("agreed to the terms", 6, {"did not agree": 1}),
        ("answered the questions", 5, {"did not answer": 1}),
        ("began to tune", 5, {}),
        ("made a final choice", 4, {"made no final choice": 1}),
        ("were evaluated on test data", 3, {"not evaluated yet": 1}),
        ("are in the statistics", 1, {"excluded: asked a friend": 1, "withdrew": 1}),
    ]


def test_steps_that_a_study_does_not_have_are_not_told() -> None:
    bare = replace(STUDY, consent=Text(""), questionnaires=())
    names = [name for name, *_ in shape(flow(archive([Person(0, (0.5,), (0.5,))], bare), "live").stages)]
    assert names == ["joined", "began to tune", "made a final choice", "were evaluated on test data", "are in the statistics"]


def test_an_amendment_asks_nothing_of_those_before_it() -> None:
    amended = replace(STUDY, version=2, questionnaires=(*STUDY.questionnaires, SELF))
    people = [Person(0, (0.5,), (0.5,)), Person(0, (0.5,), (0.5,), rest={"version": 2})]
    made = replace(archive(people, amended), versions=(STUDY, amended))
    assert [(name, count) for name, count, _ in shape(flow(made, "live").stages)][2] == ("answered the questions", 1)
    assert shape(flow(made, "live").stages)[-1][1] == 1
    everyone = replace(made, participants=tuple(replace(each, answered=("background", "self")) for each in made.participants))
    assert shape(flow(everyone, "live").stages)[-1][1] == 2


def test_conditions_are_told_apart_and_add_up() -> None:
    arms = tuple(Arm(name) for name in ("plain", "hints"))
    people = [
        Person(0, (0.5,), (0.5,), rest={"condition": "plain"}),
        Person(0, (0.5,), (0.5,), chose=False, rest={"condition": "plain"}),
        Person(0, (0.5,), (0.5,), rest={"condition": "hints"}),
        Person(0, rest={"consented_at": None}),
    ]
    found = flow(archive(people, replace(STUDY, arms=arms)), "live")
    assert [(name, stages[0].count, shape(stages)[-1][1]) for name, stages in found.conditions.items()] == [
        ("plain", 2, 1),
        ("hints", 1, 1),
    ]
    assert (found.stages[0].count, found.stages[-1].count) == (4, 2)


def test_a_study_of_nobody_has_a_flow_of_zeros() -> None:
    found = flow(archive([]), "live")
    assert found.n == 0
    assert {count for _, count, _ in shape(found.stages)} == {0}
    assert cohort(archive([]), "live").members == ()
