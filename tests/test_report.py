"""The report: complete, the same for the same archive, marked where it is no live study, escaped, in words where empty."""

import csv
import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evenhand.analysis import paper_items
from evenhand.analysis.cohort import cohort, groupings
from evenhand.analysis.stats import spearman
from evenhand.analysis.study_items import Histogram, ParticipantPoint, Scatter
from evenhand.cli import report as report_commands
from evenhand.cli.main import app
from evenhand.errors import InvalidSettings, PackageMissing
from evenhand.model.study import Option, Text
from evenhand.model.task import Level
from evenhand.report import document, figures, page, vega
from evenhand.report import study as study_report
from evenhand.report.blocks import Item, Report
from tests.archives import STUDY, Person, archive, many
from tests.components import need

need("report")

DATE = "2026-11-21"
NASTY = "<script>alert(1)</script> \"'`#[*$_\\ & \x07\x00\uffff\u2028é"
ACROSS = """
import sys
from evenhand.report import document, page
from evenhand.report import study
from tests.archives import many
built = study.build(many(5, 1), "live")
sys.stdout.buffer.write(page.html(built, "2026-11-21").encode() + document.pdf(built, "2026-11-21"))
"""


@pytest.fixture(scope="module")
def live_report() -> Report:
    return study_report.build(many(31, 1), "live")


@pytest.fixture(scope="module")
def shown(live_report: Report) -> str:
    return page.html(live_report, DATE)


def item(report: Report, key: str) -> Item:
    return next(item for item in report.items if item.key == key)


def rows(shown_item: Item) -> list[list[str]]:
    assert shown_item.table is not None
    return list(csv.reader(io.StringIO(shown_item.table.csv())))[1:]


def test_levels_are_fine_lines_with_their_names_in_figures_of_accuracies() -> None:
    levels = (Level("chance", 0.104), Level("nearest class mean", 0.782))
    bins = Histogram(n=3, edges=(0.0, 0.5, 1.0), counts=(2, 1), mean=0.4, sd=0.2, how="")
    points = (ParticipantPoint("P-01", "novice", 0.0, 0.3), ParticipantPoint("P-02", "expert", 20.0, 0.6))
    correlation = spearman([point.experience for point in points], [point.final for point in points], 1)
    drawings = (
        figures.histogram(bins, "validation accuracy", True, vega.METHOD, "configurations", levels),
        figures.scatter(Scatter(2, points, correlation, ""), ("novice", "expert"), "months", "test accuracy", True, levels),
    )
    for drawing in map(figures.svg, drawings):
        assert [words for words in re.findall(r'aria-label="([^"]*)"', drawing) if words.startswith(("chance", "nearest"))] == [
            "chance: 10.4 %",
            "nearest class mean: 78.2 %",
        ]
        assert drawing.count(">nearest class mean<") == 1
    assert "chance" not in figures.svg(figures.histogram(bins, "validation accuracy", True, vega.METHOD, "configurations"))


@pytest.mark.slow
def test_every_item_of_the_paper_is_there_with_its_cases_and_how(live_report: Report) -> None:
    titles = " ".join(item.title for item in live_report.items)
    for label in [*(f"Fig. {number}" for number in range(1, 10)), "Table 1", "Table 2", "Table 3"]:
        assert label in titles
    keys = {item.key for item in live_report.items}
    assert {"text-numbers", "location", "effects", "mixed", "power", "search", "likeness", "sensitivity", "disclosure"} <= keys
    assert len(keys) == len(live_report.items)
    for item in live_report.items:
        assert item.n, item.key
        assert item.how, item.key
        assert not item.drawn or (item.alt and item.table), f"{item.key} is drawn without words and a table beside it"


@pytest.mark.slow
def test_tables_hold_the_numbers_of_the_analysis(live_report: Report) -> None:
    people = cohort(many(31, 1), "live")
    points = paper_items.scatter(people, 1).points
    experience = rows(item(live_report, "fig4-experience"))
    assert [(name, float(months)) for name, _, months, _ in experience] == [
        (point.pseudonym, point.experience) for point in points
    ]
    assert [row[3] for row in experience] == [f"{100 * point.final:.1f} %" for point in points]
    trials = sum(len(member.session.trials) for member in people.members)
    assert dict(live_report.facts)["configurations tried"] == str(trials)
    assert rows(item(live_report, "text-numbers"))[0][1] == str(trials)


@pytest.mark.slow
def test_the_same_archive_gives_the_same_bytes_but_for_the_date(live_report: Report, shown: str) -> None:
    again = study_report.build(many(31, 1), "live")
    assert again == live_report
    assert page.html(again, DATE) == shown
    assert shown.count(DATE) == 1
    assert page.html(live_report, "2030-01-02").replace("2030-01-02", DATE) == shown
    assert document.pdf(live_report, DATE) == document.pdf(again, DATE)
    assert page.contents(live_report) == page.contents(again)


@pytest.mark.slow
def test_another_process_gives_the_same_bytes() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    made = {
        subprocess.run(
            [sys.executable, "-c", ACROSS], env={**environment, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(made) == 1


@pytest.mark.slow
def test_the_page_is_one_light_file_that_asks_for_nothing(shown: str) -> None:
    assert len(shown.encode()) < 600_000
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', shown) == ['href="data:,"']  # an icon of none: else a browser asks for one
    assert "@import" not in shown
    assert "url(http" not in shown
    ids = re.findall(r'\bid="([^"]+)"', shown)
    assert len(ids) == len(set(ids))
    assert "nan" not in re.findall(r">([^<]*)<", shown)


@pytest.mark.slow
def test_drawings_follow_the_page_and_tell_their_numbers(live_report: Report, shown: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", shown, re.DOTALL)
    assert len(drawings) == sum(item.drawn for item in live_report.items)
    for drawn in drawings:
        assert 'role="img"' in drawn
        assert not re.search(r'(?:fill|stroke)="#(?!fff)', drawn), "a colour that does not follow a dark page"
    assert "<title>P-01: " in shown


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["pilot", "simulated"])
def test_what_is_no_live_study_says_so_in_the_title_and_on_every_figure(mode: str) -> None:
    people = [Person(months, (0.2, 0.6), (0.6, 0.61), mode=mode) for months in (0, 4, 20)]  # type: ignore[arg-type]
    report = study_report.build(archive(people), mode)  # type: ignore[arg-type]
    words = "Pilot" if mode == "pilot" else "Simulated participants"
    shown = page.html(report, DATE)
    assert f"({words.lower()})" in re.findall("<title>(.*?)</title>", shown)[0]
    for item in report.items:
        block = shown.partition(f'<figure id="{item.key}"')[2].partition("</figure>")[0]
        assert words in block, item.key
    for name, content in page.contents(report).items():
        assert name.startswith(f"{mode}-")
        assert not name.endswith("svg") or words in content.decode()


@pytest.mark.slow
def test_a_live_report_carries_no_mark(live_report: Report, shown: str) -> None:
    assert live_report.mark == ""
    assert 'class="mark"' not in shown
    assert 'class="tag"' not in shown
    assert all(not name.startswith("live") for name in page.contents(live_report))


@pytest.mark.slow
@pytest.mark.parametrize(
    "people",
    [
        [],
        [Person(3, (), chose=False)],
        [Person(0, (None, None), (), chose=False)],
        [Person(3, (0.5, 0.6), (0.5, 0.52))],
        [Person(None, (0.5,), ()), Person(2, (0.4,), (None,))],
        [Person(2, (0.5,), (0.5,)), Person(2, (0.5,), (0.5,)), Person(2, (0.5,), (0.5,))],
    ],
)
def test_too_little_data_is_said_in_words(people: list[Person]) -> None:
    report = study_report.build(archive(people), "live")
    for item in report.items:
        assert item.drawn or (item.table and item.table.rows) or item.why or item.alt, item.key
    assert "not computable" in report.lead[0]
    shown = page.html(report, DATE)
    assert not re.search(r"\b(?:nan|None|inf)\b", re.sub("<[^>]*>", " ", shown.partition("<body>")[2].partition("<script>")[0]))
    assert document.pdf(report, DATE).startswith(b"%PDF")


@pytest.mark.slow
def test_everything_that_people_typed_stays_text() -> None:
    reasons = (Option("guess", Text(NASTY)), *STUDY.reasons[1:])
    reasons_given = [{"rate": NASTY, "epochs": "something else"}, {}]
    people = [
        Person(months, (0.2, 0.6), (0.6, 0.61), reasons=reasons_given, rest={"pseudonym": f"P{months}{NASTY}"})
        for months in (0, 4, 20)
    ]
    people.append(Person(1, (0.2,), (0.5,), rest={"excluded": NASTY}))
    nasty = replace(STUDY, title=NASTY, reasons=reasons, note=NASTY, packages={NASTY: NASTY})
    report = study_report.build(archive(people, nasty), "live")
    shown = page.html(report, DATE)
    assert shown.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in shown
    assert document.pdf(report, DATE).startswith(b"%PDF")
    for name, content in page.contents(report).items():
        if name.endswith(".svg"):
            assert b"<script>" not in content


@pytest.mark.slow
def test_groups_can_be_of_another_question() -> None:
    names = groupings(STUDY)
    assert names, "the background form has a question with options"
    question = STUDY.question(names[0])
    assert question is not None
    values = [option.value for option in question.options] * 3
    people = [Person(i, (0.1 * i,), (0.1 * i, 0.2), answers={names[0]: value}) for i, value in enumerate(values, 1)]
    report = study_report.build(archive(people), "live", regroup=names[0])
    assert {row[0] for row in rows(item(report, "fig5-groups"))} == {option.label.markdown for option in question.options}
    with pytest.raises(InvalidSettings, match=re.escape(names[0])):
        study_report.build(archive(people), "live", regroup="background.nothing")
    assert study_report.build(archive(people), "live", regroup=STUDY.grouping.by) == study_report.build(archive(people), "live")


@pytest.mark.slow
def test_each_figure_and_table_is_a_file(live_report: Report, tmp_path: Path) -> None:
    written = page.files(live_report, tmp_path / "figures")
    assert {path.name for path in written} == set(page.contents(live_report))
    names = {path.name for path in written}
    for item in live_report.items:
        assert not item.drawn or {f"{item.key}.svg", f"{item.key}.png"} <= names
        assert item.table is None or f"{item.key}.csv" in names
    assert (tmp_path / "figures" / "fig4-experience.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_the_command_writes_page_document_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [Person(months, (0.2, 0.6), (0.6, 0.61), mode="simulated") for months in (0, 4, 20)]
    monkeypatch.setattr(report_commands, "_records", lambda *_: (archive(people), "simulated"))
    command = ["study", "report", "toy", "--out"]
    done = CliRunner().invoke(app, [*command, str(tmp_path / "r.html"), "--figures", str(tmp_path / "figures")])
    assert done.exit_code == 0, done.output
    assert "Simulated participants" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "simulated-fig4-experience.svg").exists()
    assert CliRunner().invoke(app, [*command, str(tmp_path / "r.pdf")]).exit_code == 0
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")
    refused = CliRunner().invoke(app, [*command, str(tmp_path / "r.txt")])
    assert isinstance(refused.exception, InvalidSettings)


@pytest.mark.slow
def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    figures._drawn.cache_clear()
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    monkeypatch.setitem(sys.modules, "typst", None)
    report = study_report.build(archive([Person(1, (0.5,), (0.5,))]), "live")
    with pytest.raises(PackageMissing, match=re.escape("pip install 'evenhand[report]'")):
        figures.svg({})
    with pytest.raises(PackageMissing, match=re.escape("pip install 'evenhand[report]'")):
        page.html(report, DATE)
    with pytest.raises(PackageMissing, match=re.escape("pip install 'evenhand[report]'")):
        document.pdf(report, DATE)
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(PackageMissing, match=r"altair.*pip install 'evenhand\[report\]'"):
        vega.chart([])
