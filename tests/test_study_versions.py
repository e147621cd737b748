"""What differs between a study's versions, and what speaks against publishing the newest one."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from evenhand.lab.lab import Lab
from evenhand.model import codec
from evenhand.model.study import BACKGROUND, AnalysisPlan, Arm, Budget, Contrast, Question, QuestionSection, Study, Text, hash_of
from evenhand.studies.versions import differences, flat, history, is_amendment, why_not_publish
from tests.labs import make_lab, toy_study


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A laboratory."""
    made, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield made
    made.close()


def test_a_declaration_keeps_its_hash_where_it_says_nothing_of_what_is_new() -> None:
    study = Study("s", "Title", 1, Budget(seconds=60), 0, Text("a"), Text("b"), Text("c"))
    before = hash_of(study, codec.to_json(study), {"1": "v"})
    assert before == "2cd226efbf5996fbcef06c291deb5027735442bc31d3c1fd4a7e873e1ced6a17", "what was published as this is another"
    with_arms = replace(study, arms=(Arm("x"), Arm("y", share=2)))
    assert (
        hash_of(with_arms, codec.to_json(with_arms), {"1": "v"})
        == "a2a7941859f09f13382531356f59a3efbe3deb6ea1d99fafbba6ea35a764a857"
    )
    worded = replace(study, arms=(Arm("x"), Arm("y", share=2, reasons=study.reasons)))
    assert hash_of(worded, codec.to_json(worded), {"1": "v"}) != hash_of(with_arms, codec.to_json(with_arms), {"1": "v"})
    for plan in (
        AnalysisPlan(multiplicity="none"),
        AnalysisPlan(contrasts=(Contrast("a", "b"),)),
        AnalysisPlan(measures=("a.b",)),
    ):
        planned = replace(study, plan=plan)
        assert hash_of(planned, codec.to_json(planned), {"1": "v"}) != before


def test_differences_go_by_names_not_by_places(lab: Lab) -> None:
    study = toy_study(lab)
    more = Question("years", "number", Text("How many years?"))
    changed = replace(BACKGROUND, sections=(QuestionSection((more, *BACKGROUND.questions)),))
    changes = differences(lab, study, replace(study, questionnaires=(changed,), presets=False))
    paths = {difference.path for difference in changes}
    assert "presets" in paths
    assert {difference.before for difference in changes if difference.path == "presets"} == {"yes"}
    assert all("years" in path for path in paths - {"presets"})
    assert differences(lab, study, study) == ()
    assert flat("", {"a": [1, 2], "b": [{"name": "x", "c": None}, {"name": "y", "c": 0.5}]}) == {
        "a.1": "1",
        "a.2": "2",
        "b.x.name": "x",
        "b.y.name": "y",
        "b.y.c": "0.5",
    }


def test_the_history_has_the_newest_first_each_beside_the_one_before(lab: Lab) -> None:
    first = toy_study(lab)
    second = replace(first, id=2, version=2, budget=Budget(trials=7), details=Text("one\ntwo"))
    third = replace(second, version=3, details=Text("one\nthree"))
    versions = history(lab, (first, second, third))
    assert [version.version for version, _ in versions] == [3, 2, 1]
    assert versions[-1] == (first, ())
    (details,) = versions[0][1]
    assert (details.path, [line for line in details.lines if line[0] in "+-"]) == ("details", [("-", "two"), ("+", "three")])
    assert "budget.trials" in {difference.path for difference in versions[1][1]}
    assert [is_amendment(version) for version in (first, second, third)] == [False, True, True]


def test_what_speaks_against_publishing_is_said_in_order(lab: Lab, tmp_path: Path) -> None:
    draft = replace(toy_study(lab), name="new", contact="", backup="", evaluation_seeds=3, plan=AnalysisPlan(participants=2))
    study = lab.studies.declare(draft)
    assert "look at version 1 first" in why_not_publish(lab, study.id, 2, "", ())
    assert why_not_publish(lab, study.id, 1, "", ()) == "not published: contact, backup, agents first"
    agent, _ = lab.agents.add("one", 2)
    lab.hello(agent, slots=2, machine="Linux")
    mended = replace(draft, name="mended", contact="Ada", backup=str(tmp_path))
    study = lab.studies.declare(mended)
    assert why_not_publish(lab, study.id, 1, "", ()) == "not published: say that you have read what is said of pilot"
    assert why_not_publish(lab, study.id, 1, "", ["pilot"]) == ""
    lab.studies.publish(study.id, "first")
    lab.studies.declare(replace(mended, presets=False))
    assert why_not_publish(lab, study.id, 2, " ", ["pilot"]) == "not published: say in the note what was changed, and why"
    assert why_not_publish(lab, study.id, 2, "no presets", ["pilot"]) == ""
