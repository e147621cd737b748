"""The list of what must be true before a study goes live: each unsafe setting is refused in words, and nothing else is."""

from dataclasses import replace
from pathlib import Path

import pytest

from evenhand.model.job import AgentRecord
from evenhand.model.study import AnalysisPlan, Arm, Budget, ExclusionRule, Grouping, ParticipantGroup, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Outcome
from evenhand.studies import checklist as checklists
from evenhand.studies.checklist import ChecklistFacts, ChecklistLine, checklist, facts_of
from tests.labs import HERE, SPACE, claim, epoch, make_lab, toy_study

TASK = TaskRecord(TaskSpec("toy"), "version 1", SPACE, "accuracy", "maximize", 10)
STUDY = Study(
    name="toy",
    title="Toy",
    task_id=1,
    budget=Budget(seconds=100),
    seed=7,
    consent=Text("I agree."),
    details=Text("Details."),
    thanks=Text("Thanks."),
    contact="Ada, ada@example.org",
    plan=AnalysisPlan(participants=4),
)
AGENT = AgentRecord(1, "one", 4, 0.0, 0, machine="Linux x86_64 EPYC", environment=HERE)
MAC = replace(AGENT, id=2, name="two", environment=replace(HERE, machine="ARM64", system="Darwin"))
SAFE = ChecklistFacts(STUDY, (TASK,), (AGENT,), piloted=1)


def failed(facts: ChecklistFacts) -> list[ChecklistLine]:
    return [item for item in checklist(facts) if not item.ok]


def test_a_safe_study_passes_and_every_line_says_what_was_found() -> None:
    items = checklist(SAFE)
    assert all(item.ok for item in items)
    assert all(item.why for item in items)
    assert len({item.name for item in items}) == len(items)


@pytest.mark.parametrize(
    ("changed", "name", "words"),
    [
        (replace(SAFE, study=replace(STUDY, consent=Text(" \n"))), "consent", "no consent text"),
        (replace(SAFE, study=replace(STUDY, details=Text(""))), "details", "empty"),
        (replace(SAFE, study=replace(STUDY, contact="")), "contact", "nobody to ask"),
        (replace(SAFE, backup="no folder for backups is named"), "backup", "no folder"),
        (replace(SAFE, signins=1), "sign-in", "a sign-in link is still unused"),
        (replace(SAFE, agents=()), "agents", "no agent is connected"),
        (
            replace(SAFE, study=replace(STUDY, plan=AnalysisPlan(participants=81))),
            "slots",
            "81 participants expected, 4 training slots",
        ),
        (
            replace(SAFE, agents=(AGENT, MAC)),
            "machines",
            "agent one has x86-64 with AVX-512 (Intel), Linux, agent two has ARM64, Darwin",
        ),
        (
            replace(SAFE, agents=(AGENT, replace(MAC, environment=None))),
            "machines",
            "agent two says nothing of its",
        ),
        (replace(SAFE, agents=(AGENT, MAC), like="three"), "machines", "no agent 'three' is connected"),
        (replace(SAFE, lacking=("one",)), "task", "one cannot train this version"),
        (replace(SAFE, study=replace(STUDY, evaluation_seeds=2)), "evaluation", "2 evaluation seeds cannot tell"),
        (replace(SAFE, study=replace(STUDY, plan=AnalysisPlan(participants=4, alpha=5))), "planned analysis", "alpha is 5"),
    ],
)
def test_an_unsafe_setting_blocks_and_says_why(changed: ChecklistFacts, name: str, words: str) -> None:
    (only,) = [item for item in failed(changed) if item.blocks]
    assert (only.name, only.warns) == (name, False)
    assert words in only.why
    assert only.fix


@pytest.mark.parametrize(
    ("changed", "name", "words"),
    [
        (replace(SAFE, study=replace(STUDY, budget=Budget(trials=8))), "time limit", "without a time limit"),
        (replace(SAFE, study=replace(STUDY, arms=(Arm("a"), Arm("b", budget=Budget(epochs=9))))), "time limit", "without"),
        (replace(SAFE, piloted=0), "pilot", "nobody has gone all the way"),
        (replace(SAFE, study=replace(STUDY, plan=AnalysisPlan())), "slots", "does not say how many participants"),
        (replace(SAFE, tasks=(replace(TASK, has_test=False),)), "evaluation", "no test data"),
        (replace(SAFE, study=replace(STUDY, plan=AnalysisPlan(participants=40))), "slots", "up to 9 others"),
        (
            replace(SAFE, study=replace(STUDY, plan=AnalysisPlan(participants=40)), training=60.0),
            "slots",
            "of 60 s would wait up to 9 min",
        ),
    ],
)
def test_what_only_has_to_be_read_warns(changed: ChecklistFacts, name: str, words: str) -> None:
    (only,) = failed(changed)
    assert (only.name, only.warns, only.blocks) == (name, True, False)
    assert words in only.why


def test_a_study_is_pinned_to_the_agents_or_to_the_one_that_was_chosen_or_to_nothing() -> None:
    def machines(facts: ChecklistFacts) -> str:
        return next(item.why for item in checklist(facts) if item.name == "machines" and item.ok)

    assert machines(SAFE) == f"the study is pinned to {HERE.words()}"
    chosen = machines(replace(SAFE, agents=(AGENT, MAC), like="one"))
    assert chosen == f"the study is pinned to {HERE.words()}; two will not train for it"
    assert "itself for any machines" in machines(replace(SAFE, study=replace(STUDY, machines="any"), agents=(AGENT, MAC)))
    assert checklists.choosable((AGENT, AGENT)) == {}
    assert checklists.choosable((AGENT, MAC)) == {"one": HERE.words(), "two": MAC.environment.words() if MAC.environment else ""}


def test_a_class_needs_no_consent_page_and_no_contact() -> None:
    study = replace(STUDY, classroom=True, consent=Text(""), contact="")
    assert failed(replace(SAFE, study=study)) == []


@pytest.mark.parametrize(
    ("study", "words"),
    [
        (
            replace(STUDY, grouping=Grouping("background.age", (ParticipantGroup("a", 0, 1),))),
            "'background.age', which is not asked",
        ),
        (replace(STUDY, grouping=Grouping("background.education", (ParticipantGroup("a", 0, 1),))), "is no number"),
        (replace(STUDY, grouping=Grouping("background.months")), "no options to group by"),
        (
            replace(STUDY, grouping=Grouping("background.months", (ParticipantGroup("a", 0, 9), ParticipantGroup("b", 9)))),
            "'a' and 'b' overlap",
        ),
        (replace(STUDY, plan=AnalysisPlan(thresholds=(25.0,))), "threshold 25 is no accuracy"),
        (replace(STUDY, plan=AnalysisPlan(expected=0)), "expected effect is 0"),
        (
            replace(STUDY, plan=AnalysisPlan(exclusions=(ExclusionRule("answer", question="check.blue", value="blue"),))),
            "'check.blue'",
        ),
    ],
)
def test_an_analysis_that_cannot_be_computed_is_named(study: Study, words: str) -> None:
    assert words in "; ".join(checklists.plan_problems(study, TASK))


def test_groups_by_options_and_the_papers_own_are_fine() -> None:
    assert checklists.plan_problems(STUDY, TASK) == []
    assert checklists.plan_problems(replace(STUDY, grouping=Grouping("background.education")), TASK) == []


def test_a_folder_for_backups_may_have_yet_to_be_made(tmp_path: Path) -> None:
    assert checklists.why_not_usable(str(tmp_path)) == ""
    assert checklists.why_not_usable(str(tmp_path / "a" / "b")) == ""
    (tmp_path / "file").write_text("")
    assert "is a file" in checklists.why_not_usable(str(tmp_path / "file"))
    assert "cannot be written" in checklists.why_not_usable(str(tmp_path / "file" / "below"))
    assert checklists.why_not_usable(" ") == "no folder for backups is named"


def test_the_facts_come_from_the_lab(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = toy_study(lab)
    facts = facts_of(lab, study.id)
    assert (facts.study.hash, facts.agents, facts.signins, facts.piloted, facts.training) == (study.hash, (), 0, 0, None)
    assert facts.backup == "no folder for backups is named"
    link = lab.tokens.issue("signin", seconds=60)
    agent, _ = lab.agents.add("one", 2)
    lab.hello(agent, slots=2, machine="Linux")
    person, _ = lab.participants.join(study.id, "pilot")
    session = lab.participants.begin(person.id)
    lab.submit(session.id, SPACE.configuration({"epochs": 1}))
    assert lab.claim(agent, refused=[lab.studies.task_of(study.id).version]) is None
    assert facts_of(lab, study.id).lacking == ("one",)
    job = claim(lab, agent)
    clock.now += 12
    lab.hello(agent, slots=2, machine="Linux")
    lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.5)])
    lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)
    lab.choose(session.id, number=1)
    facts = facts_of(lab, study.id)
    assert (facts.lacking, facts.signins, facts.piloted, facts.training) == ((), 1, 1, 12.0)
    assert [agent.machine for agent in facts.agents] == ["Linux"]
    assert lab.tokens.spend("signin", link)
    assert facts_of(lab, study.id).signins == 0
    lab.tokens.issue("signin", seconds=60)
    lab.tokens.revoke_all("signin")
    assert facts_of(lab, study.id).signins == 0
    lab.close()


def test_an_amendment_is_what_is_checked(tmp_path: Path) -> None:
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = toy_study(lab)
    lab.studies.declare(replace(study, contact="Ada", backup=str(tmp_path)))
    facts = facts_of(lab, study.id)
    assert (facts.study.version, facts.study.contact, facts.backup) == (2, "Ada", "")
    lab.close()
