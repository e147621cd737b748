"""A condition that says whether an assistant may be used: what pages say, what is asked, what the report lists."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evenhand.analysis.conditions import AssistantUse, assistant_use
from evenhand.model.study import ASSISTANT, Arm, Study
from evenhand.report import study as study_report
from evenhand.report.study_conditions import assistants
from evenhand.studies import file
from evenhand.web.access import Role
from tests.archives import STUDY, Person, archive
from tests.labs import toy_study
from tests.web import Site, toy_site

ARMS = (Arm("alone"), Arm("helped", assistant=True))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with toy_site(tmp_path_factory.mktemp("assistant")) as made:
        yield made


def test_where_one_condition_says_so_the_others_are_without(tmp_path: Path) -> None:
    study = replace(STUDY, arms=ARMS)
    assert [study.allows_assistant(name) for name in ("alone", "helped", None)] == [False, True, False]
    assert STUDY.allows_assistant("alone") is None
    said = '\n[[conditions]]\nname = "alone"\nassistant = false\n[[conditions]]\nname = "helped"\nassistant = true\n'
    file.new(tmp_path / "a", seed=1)
    path = tmp_path / "a" / "study.toml"
    plain = file.read(path)
    assert plain.study.questionnaire("assistant") is None
    path.write_text(path.read_text() + said)
    declared = file.read(path)
    assert declared.errors == ()
    assert declared.study.arms == (Arm("alone", assistant=False), Arm("helped", assistant=True))
    assert declared.study.questionnaires == (*plain.study.questionnaires, ASSISTANT)


def test_a_questionnaire_of_ones_own_has_to_ask_what_the_report_counts(tmp_path: Path) -> None:
    file.new(tmp_path / "a", seed=1)
    path = tmp_path / "a" / "study.toml"
    own = """
[[conditions]]
name = "helped"
assistant = true
[[conditions]]
name = "alone"
[[questionnaires]]
name = "assistant"
title = "Help"
at = "after"
[[questionnaires.sections]]
[[questionnaires.sections.questions]]
name = "liked"
kind = "text"
text = "How was it?"
"""
    path.write_text(path.read_text() + own)
    assert any("no question assistant.used" in str(mistake) for mistake in file.read(path).errors)


def person_of(site: Site, arms: tuple[Arm, ...]) -> tuple[Study, int]:
    base = toy_study(site.lab)
    arms = tuple(replace(arm, task_id=base.task_id) for arm in arms)
    study = site.lab.studies.add(replace(base, id=0, name=f"{base.name}-{len(arms)}", arms=arms, questionnaires=(ASSISTANT,)))
    person, _ = site.lab.participants.join(study.id)
    site.lab.participants.consent(person.id, study.consent.version)
    return study, person.id


@pytest.mark.slow
@pytest.mark.parametrize(("allowed", "words"), [(True, "An assistant is allowed."), (False, "Without an assistant, please.")])
def test_pages_say_what_holds_and_ask_after_the_session(site: Site, allowed: bool, words: str) -> None:
    _, person = person_of(site, (Arm("one", assistant=allowed),))
    caller = site.caller(Role.PARTICIPANT, person)
    caller.http.follow_redirects = True
    assert words in caller.get(caller.home).text
    session = site.lab.participants.begin(person)
    assert words in caller.get(caller.home).text
    site.lab.choose(session.id, configuration=session.space.configuration({"epochs": 1}))
    asked = caller.get(caller.home).text
    assert "Did you use an assistant" in asked
    assert words not in asked


@pytest.mark.slow
def test_a_study_without_such_a_condition_says_nothing_of_assistants(site: Site) -> None:
    _, person = person_of(site, ())
    caller = site.caller(Role.PARTICIPANT, person)
    caller.http.follow_redirects = True
    assert "ssistant" not in caller.get(caller.home).text


@pytest.mark.slow
def test_the_report_lists_the_declared_use_and_who_used_one_against_the_rule() -> None:
    answers = [
        ("alone", {"assistant.used": "no"}),
        ("alone", {"assistant.used": "yes", "assistant.which": "a chatbot, for ranges"}),
        ("helped", {"assistant.used": "yes"}),
        ("helped", {}),
    ]
    people = [Person(12, [0.4, 0.5], (0.5,), rest={"condition": condition}, answers=given) for condition, given in answers]
    made = archive(people, replace(STUDY, arms=ARMS, questionnaires=(*STUDY.questionnaires, ASSISTANT)))
    names = [person.pseudonym for person in made.participants]
    assert assistant_use(made, names)[1] == AssistantUse(names[1], "alone", False, True, "a chatbot, for ranges")
    by_condition, users = assistants(study_report.context(made, "live"))
    assert by_condition.table is not None
    assert [row[1:5] for row in by_condition.table.rows] == [("not allowed", "2", "2", "1"), ("allowed", "2", "1", "1")]
    assert f"against the condition's rule by {names[1]}" in by_condition.how
    assert users.table is not None
    assert [row[0] for row in users.table.rows] == [names[1], names[2]]
