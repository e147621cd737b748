"""Who counts, in which group, and where the others were lost: each rule on an archive of a few people."""

from dataclasses import replace
from typing import Any

import pytest

from evenhand.analysis import paper_items
from evenhand.analysis.attrition import flow
from evenhand.analysis.cohort import boundaries, cohort, counted, group_names
from evenhand.model.archive import Archive
from evenhand.model.session import Pause
from evenhand.model.study import (
    MONTHS,
    AnalysisPlan,
    ExclusionRule,
    Grouping,
    Option,
    ParticipantGroup,
    Question,
    Questionnaire,
    Text,
)
from evenhand.model.study import QuestionSection as Asked
from evenhand.model.trial import Outcome
from tests.archives import STUDY, Person, archive

LEVEL = Question("level", "single", Text("Your level?"), options=(Option("a", Text("beginner")), Option("b", Text("master"))))
SURE = Question("sure", "likert", Text("How sure are you?"), points=3)
SELF = Questionnaire("self", Text("You"), (Asked((LEVEL, SURE)),))


def left(made: Archive, **how: Any) -> dict[str, str]:
    return {exclusion.pseudonym: exclusion.why for exclusion in cohort(made, "live", **how).left}


def ruled(*rules: ExclusionRule) -> Any:
    return replace(STUDY, plan=AnalysisPlan(exclusions=rules))


# Who counts


def test_minutes_are_those_of_the_clock_without_pauses() -> None:
    made = archive([Person(0, (0.5,))] * 3, ruled(ExclusionRule("minutes", at_least=16)))
    ends, stood = (960.0, 960.0, 961.0), (Pause(100.0, 101.0, "fire alarm"),)
    one, two, three = (
        replace(session, choice=replace(session.choice, at=at))
        for session, at in zip(made.sessions, ends, strict=True)
        if session.choice
    )
    made = replace(made, sessions=(one, replace(two, pauses=stood), replace(three, pauses=stood)))
    assert left(made) == {"P-02": "planned rule: fewer than 16 minutes"}


def test_automatic_choices_count_unless_a_rule_or_the_question_says_otherwise() -> None:
    people = [Person(0, (0.5,), automatic=True), Person(0, (0.5,))]
    assert left(archive(people)) == {}
    assert left(archive(people), automatic=False) == {"P-01": "the choice was made automatically"}
    assert left(archive(people, ruled(ExclusionRule("choice")))) == {"P-01": "planned rule: made no choice"}


@pytest.mark.parametrize(
    ("answer", "kept"), [("7", True), (7, True), (7.0, True), (["7", "8"], True), (8, False), ([], False), (None, False)]
)
def test_an_attention_check_reads_every_kind_of_answer(answer: object, kept: bool) -> None:
    rule = ExclusionRule("answer", question="self.check", value="7")
    people = [Person(0, (0.5,), answers={} if answer is None else {"self.check": answer})]
    assert left(archive(people, ruled(rule))) == ({} if kept else {"P-01": "planned rule: self.check is not 7"})


def test_the_first_reason_is_told_and_nobody_is_told_twice() -> None:
    rules = (ExclusionRule("trials", at_least=2), ExclusionRule("choice"))
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
    assert [member.session.id for member in cohort(made, "live").members] == [three.id]


def test_modes_never_mix() -> None:
    people = [Person(0, (0.5,), (0.1,)), Person(0, (0.5,), (0.2,), mode="pilot"), Person(0, (0.5,), (0.3,), mode="simulated")]
    made = archive(people, random=(0.4,))
    for mode, score, methods in (("live", 0.1, 1), ("pilot", 0.2, 0), ("simulated", 0.3, 0)):
        chosen = cohort(made, mode)  # type: ignore[arg-type]
        assert [member.final for member in chosen.members] == [score]
        assert paper_items.random_configurations(made.of_mode(mode)).n == methods  # type: ignore[arg-type]
        assert flow(made, mode).everyone[0].count == 1  # type: ignore[arg-type]


def test_technical_failures_are_no_tries() -> None:
    made = archive([Person(0, (0.5, None, 0.7))])
    session = made.sessions[0]
    ends = (Outcome.FAILED, Outcome.DIVERGED, Outcome.STOPPED)
    trials = tuple(replace(trial, outcome=end) for trial, end in zip(session.trials, ends, strict=True))
    queued = replace(trials[2], number=4, claimed_at=None, outcome=None)
    assert [trial.number for trial in counted(replace(session, trials=(*trials, queued)))] == [2, 3]


# Groups


@pytest.mark.parametrize(
    ("months", "group"), [(0, "novice"), (1, "medium"), (9, "medium"), (10, "expert"), (600, "expert"), (9.5, None), (None, None)]
)
def test_boundaries_are_those_declared(months: float | None, group: str | None) -> None:
    chosen = cohort(archive([Person(months, (0.5,), (0.5,))]), "live")
    assert chosen.members[0].group == group
    assert sum(map(len, chosen.finals().values())) == (group is not None)
    assert paper_items.experience(chosen).others == (group is None)


def test_boundaries_in_words() -> None:
    assert boundaries(MONTHS) == "novice 0, medium 1 to 9, expert from 10"
    assert (
        boundaries(Grouping("a.b", (ParticipantGroup("few", None, 2), ParticipantGroup("all")))) == "few up to 2, all any number"
    )


def test_groups_of_options_and_of_a_scale() -> None:
    declared = replace(STUDY, questionnaires=(*STUDY.questionnaires, SELF))
    answers: list[dict[str, Any]] = [{"self.level": "b", "self.sure": 3}, {"self.level": "gone", "self.sure": 1}, {}]
    made = archive([Person(1, (0.5,), (0.5,), answers=answer) for answer in answers], declared)
    level, sure, nothing = Grouping("self.level"), Grouping("self.sure"), Grouping("self.nothing")
    assert group_names(declared, level) == ("beginner", "master")
    assert [member.group for member in cohort(made, "live", grouping=level).members] == ["master", None, None]
    assert group_names(declared, sure) == ("1", "2", "3")
    assert [member.group for member in cohort(made, "live", grouping=sure).members] == ["3", "1", None]
    assert group_names(declared, nothing) == ()
    assert [member.group for member in cohort(made, "live", grouping=nothing).members] == [None] * 3
