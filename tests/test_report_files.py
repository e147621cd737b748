"""What the report is written to, read back by others: SVG as XML, PNG, CSV, PDF, and a page without the extra's libraries."""

import csv
import io
import re
import struct
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from evenhand.model.domain import Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.study import Arm, Grouping, Option, Question, Questionnaire, Text
from evenhand.model.study import QuestionSection as Asked
from evenhand.model.task import TaskSpec
from evenhand.model.words import NARROW_SPACE
from evenhand.report import document, page
from evenhand.report import study as study_report
from evenhand.report.blocks import Report, ReportTable
from tests.archives import STUDY, TASK, Person, archive, many
from tests.components import need

need("report")

DATE = "2026-11-21"
HOSTILE = '"><img src=x onerror=alert(1)>]]>&amp;\';--,"\n=1+1 #let $x$ `raw` \\ é'
SVG = "{http://www.w3.org/2000/svg}"
SHAPES = {"path", "rect", "line", "circle", "polygon", "polyline", "marker", "clipPath"}
TAGS = {"svg", "g", "defs", "style", "title", "text", "tspan"} | SHAPES


@pytest.fixture(scope="module")
def hostile() -> Report:
    """Everything that a researcher or participant can type is hostile, and everybody is grouped by hostile options."""
    level = Question("level", "single", Text(HOSTILE), options=(Option("a", Text(HOSTILE)), Option("b", Text("<b>" + HOSTILE))))
    study = replace(
        STUDY,
        name=HOSTILE,
        title=HOSTILE,
        questionnaires=(*STUDY.questionnaires, Questionnaire("self", Text(HOSTILE), (Asked((level,)),))),
        grouping=Grouping("self.level"),
        reasons=(Option("guess", Text(HOSTILE)), *STUDY.reasons[1:]),
        plan=replace(STUDY.plan, hypothesis=HOSTILE),
    )
    people = [
        Person(
            months,
            (0.1, 0.3 + months / 100, 0.6),
            (0.5 + months / 100, 0.6),
            answers={"self.level": "ab"[months % 2]},
            reasons=[{"epochs": HOSTILE, "optimizer": f"other: {HOSTILE}"}] * 3,
            mode="pilot",
            rest={"pseudonym": f"P{months}{HOSTILE}", "nickname": HOSTILE},
        )
        for months in range(8)
    ]
    people.append(Person(1, (0.2,), (0.5,), mode="pilot", rest={"excluded": HOSTILE}))
    return study_report.build(archive(people, study, random=(0.2, 0.4)), "pilot")


@pytest.fixture(scope="module")
def report() -> Report:
    return study_report.build(many(31, 1), "live")


@pytest.mark.slow
def test_drawings_are_xml_without_scripts_or_strangers(hostile: Report) -> None:
    drawn = {name: content for name, content in page.contents(hostile).items() if name.endswith(".svg")}
    assert len(drawn) > 5
    for name, content in drawn.items():
        root = ElementTree.fromstring(content)
        assert root.tag == f"{SVG}svg", name
        for element in root.iter():
            assert element.tag.removeprefix(SVG) in TAGS, (name, element.tag)
            assert not [key for key in element.attrib if key.lower().startswith("on") or key.endswith("href")], name


@pytest.mark.slow
def test_the_page_shows_hostile_text_and_runs_none_of_it(hostile: Report) -> None:
    shown = page.html(hostile, DATE)
    assert "&lt;img src=x" in shown
    assert "<img" not in shown
    assert not re.search(r"<[^>]*\son\w+=", re.sub(r'"[^"]*"', '""', shown))
    assert len(re.findall(r"<script", shown)) == 1
    assert document.pdf(hostile, DATE).startswith(b"%PDF")


@pytest.mark.slow
def test_tables_are_read_back_from_csv_as_they_are(hostile: Report) -> None:
    contents = page.contents(hostile)
    for item in hostile.items:
        if item.table is None:
            continue
        read = list(csv.reader(io.StringIO(contents[f"pilot-{item.key}.csv"].decode(), newline="")))
        assert read[0] == list(item.table.columns), item.key
        assert read[1:] == [[cell.replace(NARROW_SPACE, " ") for cell in row] for row in item.table.rows], item.key


@pytest.mark.slow
def test_own_words_and_nicknames_stay_out_of_the_report() -> None:
    people = [
        Person(m, (0.5,), (0.5,), reasons=[{"epochs": "other: my secret"}], rest={"nickname": "secret me"}) for m in (0, 5, 20)
    ]
    report = study_report.build(archive(people), "live")
    assert "secret" not in page.html(report, DATE)
    assert all(b"secret" not in content for content in page.contents(report).values())


@pytest.mark.slow
def test_pictures_are_png_large_enough_to_print(report: Report) -> None:
    pictures = {name: content for name, content in page.contents(report).items() if name.endswith(".png")}
    assert len(pictures) == sum(item.drawn for item in report.items)
    for name, content in pictures.items():
        assert content.startswith(b"\x89PNG\r\n\x1a\n"), name
        width, _ = struct.unpack(">II", content[16:24])
        assert width >= 800, f"{name} is {width} px wide"


@pytest.mark.slow
def test_the_document_has_pages_and_ends(report: Report) -> None:
    made = document.pdf(report, DATE)
    assert made.startswith(b"%PDF-")
    assert made.rstrip().endswith(b"%%EOF")
    assert len(re.findall(rb"/Type\s*/Page\b", made)) > 3


@pytest.mark.slow
@pytest.mark.parametrize(("metric", "direction"), [("loss", "minimize"), ("accuracy", "minimize"), ("reward", "maximize")])
def test_metrics_that_are_no_share_are_told_as_they_are(metric: str, direction: str) -> None:
    task = replace(TASK, metric=metric, direction=direction)  # type: ignore[arg-type]
    people = [Person(m, (-120.5, 3000.0 + m, None), (12.5 + m, 13.5)) for m in (0, 0, 4, 5, 12, 30)]
    report = study_report.build(archive(people, task=task, random=(-5.0, 900.0)), "live")
    shown = page.html(report, DATE)
    if metric != "accuracy":
        numbers = next(item for item in report.items if item.key == "fig4-experience").table
        assert numbers is not None
        assert not any("%" in row[3] for row in numbers.rows)
        assert f"Fig. 1: {metric} of random configurations" in shown
    assert f"final {metric}" in shown
    assert not re.search(r"\bnan\b", re.sub("<[^>]*>", " ", shown.partition("<body>")[2].partition("<script>")[0]), re.IGNORECASE)


@pytest.mark.slow
def test_conditions_with_a_task_of_their_own_are_told_apart() -> None:
    space = Space([Hyperparameter("epochs", Integer(1, 100), fidelity=True), Hyperparameter("depth", Integer(1, 9), 3)])
    other = replace(TASK, id=2, version="2", space=space, spec=TaskSpec("deep"))
    study = replace(STUDY, arms=(Arm("shallow"), Arm("deep", task_id=2)))
    conditions = ("shallow", "deep")
    people = [Person(m, (0.3, 0.5), (0.5 + m / 100,), rest={"condition": conditions[m % 2]}) for m in range(6)]
    made = archive(people, study, random=(0.1, 0.4))
    tried = space.configuration({"epochs": 10})
    moved = tuple(
        replace(
            session,
            task=other,
            trials=tuple(replace(trial, configuration=tried) for trial in session.trials),
            choice=replace(session.choice, configuration=tried),
        )
        if session.choice is not None and session.id % 2 == 0
        else session
        for session in made.sessions
    )
    report = study_report.build(replace(made, tasks=(TASK, other), sessions=moved), "live")
    items = {item.key: item.table for item in report.items}
    table, toy, deep = (items[key] for key in ("table1-hyperparameters", "likeness-task-1", "likeness-task-2"))
    assert table is not None
    assert toy is not None
    assert deep is not None
    assert table.columns[0] == "task"
    assert [row[:2] for row in table.rows if row[0] == "deep"] == [("deep", "epochs"), ("deep", "depth")]
    assert len(table.rows) == 6
    assert re.fullmatch("toy, accuracy, .*; deep, accuracy, .*", dict(report.facts)["tasks"])
    assert [[row[5] == "–" for row in likeness.rows] for likeness in (toy, deep)] == [[False] * 3, [True] * 3], (
        "random trials of one task say nothing of another"
    )


def test_no_text_of_a_table_is_a_formula() -> None:
    table = ReportTable(("name", "difference"), (("=1+1", "-0.5"), ("@x", "-1.7 points to -0.2 points"), ("\t+a", "0.5")))
    read = list(csv.reader(io.StringIO(table.csv(), newline="")))
    assert read == [["name", "difference"], ["'=1+1", "-0.5"], ["'@x", "-1.7 points to -0.2 points"], ["'\t+a", "0.5"]]
