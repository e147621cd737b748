"""Conditions and tasks are compared, never pooled: planted effects are found, and none where there is none."""

import math
from dataclasses import replace

import numpy as np
import pytest

from evenhand.analysis import conditions
from evenhand.analysis.cohort import cohort
from evenhand.analysis.paper_items import pooled_values
from evenhand.model.archive import Archive
from evenhand.model.study import AnalysisPlan, Arm, Contrast, Text
from evenhand.model.task import TaskSpec
from evenhand.report import study as study_report
from evenhand.report import study_conditions
from evenhand.report.blocks import Item, Report
from evenhand.report.context import ReportContext
from evenhand.report.items import report_item
from tests.archives import STUDY, TASK, Person, archive
from tests.components import need

need("report")

SECOND = replace(TASK, spec=TaskSpec("other"), version="2", id=2, metric="loss", direction="minimize")
ARMS = tuple(Arm(f"{kind} {task}", task_id=number) for task, number in (("toy", 1), ("other", 2)) for kind in ("hints", "plain"))
PLAN = AnalysisPlan(contrasts=(Contrast("hints toy", "plain toy"), Contrast("hints other", "plain other", "mann-whitney")))


def rehearsed(effect: float, seed: int = 1, people: int = 16) -> Archive:
    """Four conditions, hints and none on each of two tasks, with `people` each; hints are worth `effect` deviations."""
    rng = np.random.default_rng(seed)
    study = replace(STUDY, arms=ARMS, plan=PLAN)
    made = []
    for arm in ARMS:
        better = effect * ("hints" in arm.name) * (1 if arm.task_id == 1 else -1)
        for _ in range(people):
            months = int(rng.choice([0, 5, 15]))
            score = 0.5 + 0.1 * better + 0.002 * months + rng.normal(0, 0.1)
            values = [float(score + rng.normal(0, 0.02)) for _ in range(4)]
            made.append(Person(months, values, (float(score),), rest={"condition": arm.name}))
    records = archive(made, study)
    tasks = {arm.name: TASK if arm.task_id == 1 else SECOND for arm in ARMS}
    sessions = tuple(
        replace(session, task=tasks[str(person.condition)])
        for session, person in zip(records.sessions, records.participants, strict=True)
    )
    return replace(records, sessions=sessions, tasks=(TASK, SECOND))


def item(report: Report, key: str) -> Item:
    return next(item for item in report.items if item.key == key)


def compared(made: Archive) -> tuple[conditions.Comparison, ...]:
    people = {task.spec.name: cohort(made.of_task(task.id), "live") for task in made.tasks}
    return conditions.comparisons(people, PLAN, [arm.name for arm in ARMS], 1)


def test_a_planted_effect_is_found_on_each_task_in_its_direction() -> None:
    first, second = compared(rehearsed(1.5))
    assert [(one.task, one.planned, one.test.name) for one in (first, second)] == [
        ("toy", True, "Brunner-Munzel"),
        ("other", True, "Mann-Whitney"),
    ]
    assert first.difference.value is not None
    assert second.difference.value is not None
    assert (first.difference.value > 0.05, second.difference.value < -0.05) == (True, True)
    for one in (first, second):
        assert one.difference.n == (16, 16)
        assert one.p is not None
        assert one.test.p is not None
        assert one.test.p <= one.p < 0.05
        assert one.by_experience is not None
        assert abs(abs(one.by_experience.estimate) - 0.15) < 3 * (one.by_experience.error or 0)
        assert one.interaction.p is not None


@pytest.mark.slow
def test_without_an_effect_hardly_any_study_finds_one() -> None:
    """Of 20 studies with two contrasts, Holm's adjustment keeps false findings at 5 %: more than 4 has a chance of 0.3 %."""
    wrong = sum(any((one.p or 1) < 0.05 for one in compared(rehearsed(0, seed))) for seed in range(20))
    assert wrong <= 4


def test_the_difference_at_equal_experience_is_least_squares() -> None:
    made = rehearsed(1.0, 3)
    one = compared(made)[0]
    people = cohort(made.of_task(1), "live").members
    rows = [[1.0, float(member.condition == "hints toy"), math.log1p(member.experience or 0)] for member in people]
    design, scores = np.array(rows), np.array([member.final or 0.0 for member in people])
    assert one.by_experience is not None
    assert one.by_experience.estimate == pytest.approx(np.linalg.lstsq(design, scores, rcond=None)[0][1])


def test_wordings_of_the_reasons_are_compared_by_each_one_s_share_of_contradicted_reasons() -> None:
    """By hand: of two reasons each, learnt in the first trial contradicts the records, and is half of who said it."""
    other = tuple(replace(option, label=Text(f"{option.label} here")) for option in STUDY.reasons)
    study = replace(STUDY, arms=(Arm("plain"), Arm("clear", reasons=other)))
    learnt, guess = {"rate": "learnt from previous submissions", "epochs": "just a guess"}, {"rate": "guess", "epochs": "guess"}
    people = [
        Person(12, (0.5,), (0.5,), reasons=[given], rest={"condition": name})
        for name, given in (("plain", learnt), ("plain", learnt), ("plain", learnt), *(("clear", guess),) * 3, ("clear", {}))
    ]
    (made,) = study_conditions.wordings(study_report.context(archive(people, study), "live"))
    assert made.table is not None
    assert made.table.rows == (
        ("plain", "the study's", "3", "6", "3", "50.0\u202f%"),
        ("clear", "own", "3", "6", "0", "0.0\u202f%"),
    )
    assert "Mann-Whitney" in made.n
    plain = replace(study, arms=(Arm("plain"), Arm("clear")))
    assert study_conditions.wordings(study_report.context(archive(people, plain), "live")) == ()


@pytest.mark.slow
def test_tasks_are_never_pooled() -> None:
    report = study_report.build(rehearsed(1.5), "live")
    keys = [made.key for made in report.items]
    assert "fig4-experience" not in keys
    assert {
        "fig4-experience-task-1",
        "fig4-experience-task-2",
        "conditions",
        "contrasts",
        "contrast-power",
        "across-tasks",
    } <= set(keys)
    assert len(keys) == len(set(keys))
    assert [item(report, f"fig4-experience-task-{place}").n for place in (1, 2)] == ["n = 32 participants"] * 2
    assert item(report, "fig4-experience-task-1").title == "Fig. 4: final test accuracy against experience (toy)"
    assert item(report, "fig4-experience-task-2").title == "Fig. 4: final test loss against experience (other)"
    assert dict(report.facts)["tasks"].startswith("toy, accuracy, ")
    assert {line.partition(":")[0] for line in report.lead} == {"toy", "other"}
    shown = item(report, "contrasts").table
    assert shown is not None
    assert [row[:3] for row in shown.rows] == [
        ("toy", "hints toy less plain toy", "16, 16"),
        ("other", "hints other less plain other", "16, 16"),
    ]
    assert "points" in shown.rows[0][3]
    assert "points" not in shown.rows[1][3]  # a loss is no share
    sizes = item(report, "conditions").table
    assert sizes is not None
    assert [row[2] for row in sizes.rows] == ["16"] * 4


def test_items_are_of_each_task_in_the_study_s_order_but_those_of_the_whole_study() -> None:
    made = rehearsed(0)
    made = replace(made, sessions=made.sessions[::-1], participants=made.participants[::-1])
    frame = study_report.context(made, "live")
    assert [*frame.by_task] == ["toy", "other"], "whoever came first"

    def names(its: ReportContext) -> Item:
        return Item("names", "Names", "", f"{len(its.people.members)} of {its.people.metric}")

    by_task = report_item("search")(names)(frame)
    assert [(one.key, one.how) for one in by_task] == [("names-task-1", "32 of accuracy"), ("names-task-2", "32 of loss")]
    assert [one.key for one in report_item("search", whole_study=True)(names)(frame)] == ["names"]


@pytest.mark.slow
def test_one_task_that_was_worked_on_has_its_own_name() -> None:
    made = rehearsed(0)
    frame = study_report.context(made.of_task(2), "live")
    assert frame.by_task == {}
    assert [*frame.tasks] == ["other"]
    assert {row.task for row in conditions.scores({"other": frame.people}, [arm.name for arm in ARMS], 1)} == {"other"}
    report = study_report.build(replace(made, sessions=made.of_task(2).sessions), "live")
    shown = item(report, "conditions").table
    assert shown is not None
    assert {row[0] for row in shown.rows} == {"other"}
    assert dict(report.facts)["task"].startswith("other, loss")


def test_one_mixed_model_goes_across_tasks() -> None:
    made = rehearsed(1.5)
    people = {task.spec.name: cohort(made.of_task(task.id), "live") for task in made.tasks}
    fit = conditions.across(people, [arm.name for arm in ARMS])
    assert (fit.n, fit.participants, fit.why) == (256, 64, None)
    names = [term.name for term in fit.terms]
    assert names[0] == "intercept"
    assert "other against toy" in names
    assert "standard deviations of its task" in fit.how
    terms = {term.name: term for term in fit.terms}
    for task, cohort_of_task in people.items():
        deviation = np.std([value for value, *_ in pooled_values(cohort_of_task)], ddof=1)
        term = terms[f"plain {task} against hints {task}"]
        assert abs(term.estimate - -0.15 / deviation) < 3 * term.error, "as planted: 1.5 times 0.1, better upwards on both tasks"
        assert term.p < 0.001


@pytest.mark.slow
def test_without_planned_contrasts_all_pairs_of_a_task_are_an_exploration() -> None:
    made = rehearsed(0)
    report = study_report.build(replace(made, study=replace(made.study, plan=AnalysisPlan())), "live")
    assert "as an exploration" in item(report, "contrasts").how
    shown = item(report, "contrasts").table
    assert shown is not None
    assert len(shown.rows) == 2  # of six pairs of conditions two are on one task
    assert all(made.key != "contrast-power" for made in report.items)


@pytest.mark.slow
def test_conditions_of_different_tasks_do_not_compare() -> None:
    made = rehearsed(0)
    plan = AnalysisPlan(contrasts=(Contrast("hints toy", "hints other"),))
    report = study_report.build(replace(made, study=replace(made.study, plan=plan)), "live")
    assert "On different tasks, so that their scores do not compare: hints toy and hints other" in item(report, "contrasts").how
    assert item(report, "contrasts").why == "no task has scores of two conditions"
