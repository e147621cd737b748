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

from evenhand import reportcommands
from evenhand.analysis import study
from evenhand.analysis.cohort import cohort
from evenhand.cli import app
from evenhand.declaration import Option, Text
from evenhand.errors import InvalidSettings
from evenhand.report import build, document, figures, page
from evenhand.report.blocks import Item, Report
from tests.archives import STUDY, Person, archive, many

pytest.importorskip("vl_convert", reason="figures need evenhand[report]")
pytest.importorskip("typst", reason="the PDF needs evenhand[report]")

DATE = "2026-11-21"
NASTY = "<script>alert(1)</script> \"'`#[*$_\\ & \x07\x00\uffff\u2028é"
ACROSS = """
import sys
from evenhand.report import build, document, page
from tests.archives import many
found = build.build(many(5, 1), "live")
sys.stdout.buffer.write(page.html(found, "2026-11-21").encode() + document.pdf(found, "2026-11-21"))
"""


@pytest.fixture(scope="module")
def found() -> Report:
    return build.build(many(31, 1), "live")


@pytest.fixture(scope="module")
def shown(found: Report) -> str:
    return page.html(found, DATE)


def item(report: Report, key: str) -> Item:
    return next(each for each in report.items if each.key == key)


def rows(each: Item) -> list[list[str]]:
    assert each.table is not None
    return list(csv.reader(io.StringIO(each.table.csv())))[1:]


def test_every_item_of_the_paper_is_there_with_its_cases_and_how(found: Report) -> None:
    titles = " ".join(each.title for each in found.items)
    for label in [*(f"Fig. {number}" for number in range(1, 10)), "Table 1", "Table 2", "Table 3"]:
        assert label in titles
    keys = {each.key for each in found.items}
    assert {"text-numbers", "location", "effects", "mixed", "power", "search", "likeness", "sensitivity", "disclosure"} <= keys
    assert len(keys) == len(found.items)
    for each in found.items:
        assert each.n, each.key
        assert each.how, each.key
        assert not each.drawn or (each.alt and each.table), f"{each.key} is drawn without words and a table beside it"


def test_tables_hold_the_numbers_of_the_analysis(found: Report) -> None:
    people = cohort(many(31, 1), "live")
    points = study.scatter(people, 1).points
    told = rows(item(found, "fig4-experience"))
    assert [(name, float(months)) for name, _, months, _ in told] == [(each.pseudonym, each.experience) for each in points]
    assert [row[3] for row in told] == [f"{100 * each.final:.1f} %" for each in points]
    trials = sum(len(each.session.trials) for each in people.members)
    assert dict(found.facts)["configurations tried"] == str(trials)
    assert rows(item(found, "text-numbers"))[0][1] == str(trials)


def test_the_same_archive_gives_the_same_bytes_but_for_the_date(found: Report, shown: str) -> None:
    again = build.build(many(31, 1), "live")
    assert again == found
    assert page.html(again, DATE) == shown
    assert shown.count(DATE) == 1
    assert page.html(found, "2030-01-02").replace("2030-01-02", DATE) == shown
    assert document.pdf(found, DATE) == document.pdf(again, DATE)
    assert page.contents(found) == page.contents(again)


def test_another_process_gives_the_same_bytes() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    made = {
        subprocess.run(
            [sys.executable, "-c", ACROSS], env={**environment, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(made) == 1


def test_the_page_is_one_light_file_that_asks_for_nothing(shown: str) -> None:
    assert len(shown.encode()) < 600_000
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', shown) == []
    assert "@import" not in shown
    assert "url(http" not in shown
    ids = re.findall(r'\bid="([^"]+)"', shown)
    assert len(ids) == len(set(ids))
    assert "nan" not in re.findall(r">([^<]*)<", shown)


def test_drawings_follow_the_page_and_tell_their_numbers(found: Report, shown: str) -> None:
    drawings = re.findall(r"<svg.*?</svg>", shown, re.DOTALL)
    assert len(drawings) == sum(each.drawn for each in found.items)
    for drawn in drawings:
        assert 'role="img"' in drawn
        assert not re.search(r'(?:fill|stroke)="#(?!fff)', drawn), "a colour that does not follow a dark page"
    assert "<title>P-01: " in shown


@pytest.mark.parametrize("mode", ["pilot", "simulated"])
def test_what_is_no_live_study_says_so_in_the_title_and_on_every_figure(mode: str) -> None:
    people = [Person(months, (0.2, 0.6), (0.6, 0.61), mode=mode) for months in (0, 4, 20)]  # type: ignore[arg-type]
    report = build.build(archive(people), mode)  # type: ignore[arg-type]
    words = "Pilot" if mode == "pilot" else "Simulated participants"
    shown = page.html(report, DATE)
    assert f"({words.lower()})" in re.findall("<title>(.*?)</title>", shown)[0]
    for each in report.items:
        block = shown.partition(f'<figure id="{each.key}"')[2].partition("</figure>")[0]
        assert words in block, each.key
    for name, content in page.contents(report).items():
        assert name.startswith(f"{mode}-")
        assert not name.endswith("svg") or words in content.decode()


def test_a_live_report_carries_no_mark(found: Report, shown: str) -> None:
    assert found.mark == ""
    assert 'class="mark"' not in shown
    assert 'class="tag"' not in shown
    assert all(not name.startswith("live") for name in page.contents(found))


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
    report = build.build(archive(people), "live")
    for each in report.items:
        assert each.drawn or (each.table and each.table.rows) or each.why or each.alt, each.key
    assert "not computable" in report.lead[0]
    shown = page.html(report, DATE)
    assert not re.search(r"\b(?:nan|None|inf)\b", re.sub("<[^>]*>", " ", shown.partition("<body>")[2].partition("<script>")[0]))
    assert document.pdf(report, DATE).startswith(b"%PDF")


def test_everything_that_people_typed_stays_text() -> None:
    reasons = (Option("guess", Text(NASTY)), *STUDY.reasons[1:])
    told = [{"rate": NASTY, "epochs": "something else"}, {}]
    people = [
        Person(months, (0.2, 0.6), (0.6, 0.61), reasons=told, rest={"pseudonym": f"P{months}{NASTY}"}) for months in (0, 4, 20)
    ]
    people.append(Person(1, (0.2,), (0.5,), rest={"excluded": NASTY}))
    nasty = replace(STUDY, title=NASTY, reasons=reasons, note=NASTY, packages={NASTY: NASTY})
    report = build.build(archive(people, nasty), "live")
    shown = page.html(report, DATE)
    assert shown.count("<script>") == 1
    assert "&lt;script&gt;alert(1)" in shown
    assert document.pdf(report, DATE).startswith(b"%PDF")
    for name, content in page.contents(report).items():
        if name.endswith(".svg"):
            assert b"<script>" not in content


def test_groups_can_be_of_another_question() -> None:
    names = build.groupings(STUDY)
    assert names, "the background form has a question with options"
    question = STUDY.question(names[0])
    assert question is not None
    values = [option.value for option in question.options] * 3
    people = [Person(i, (0.1 * i,), (0.1 * i, 0.2), answers={names[0]: value}) for i, value in enumerate(values, 1)]
    report = build.build(archive(people), "live", regroup=names[0])
    assert {row[0] for row in rows(item(report, "fig5-groups"))} == {option.label.markdown for option in question.options}
    with pytest.raises(InvalidSettings, match=re.escape(names[0])):
        build.build(archive(people), "live", regroup="background.nothing")
    assert build.build(archive(people), "live", regroup=STUDY.grouping.by) == build.build(archive(people), "live")


def test_each_figure_and_table_is_a_file(found: Report, tmp_path: Path) -> None:
    written = page.files(found, tmp_path / "figures")
    assert {path.name for path in written} == set(page.contents(found))
    names = {path.name for path in written}
    for each in found.items:
        assert not each.drawn or {f"{each.key}.svg", f"{each.key}.png"} <= names
        assert each.table is None or f"{each.key}.csv" in names
    assert (tmp_path / "figures" / "fig4-experience.png").read_bytes().startswith(b"\x89PNG")


def test_the_command_writes_page_document_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [Person(months, (0.2, 0.6), (0.6, 0.61), mode="simulated") for months in (0, 4, 20)]
    monkeypatch.setattr(reportcommands, "_records", lambda *_: (archive(people), "simulated"))
    given = ["study", "report", "toy", "--out"]
    done = CliRunner().invoke(app, [*given, str(tmp_path / "r.html"), "--figures", str(tmp_path / "figures")])
    assert done.exit_code == 0, done.output
    assert "Simulated participants" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "simulated-fig4-experience.svg").exists()
    assert CliRunner().invoke(app, [*given, str(tmp_path / "r.pdf")]).exit_code == 0
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")
    refused = CliRunner().invoke(app, [*given, str(tmp_path / "r.txt")])
    assert isinstance(refused.exception, InvalidSettings)


def test_without_the_extra_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    figures._drawn.cache_clear()
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    monkeypatch.setitem(sys.modules, "typst", None)
    report = build.build(archive([Person(1, (0.5,), (0.5,))]), "live")
    with pytest.raises(InvalidSettings, match=re.escape("pip install 'evenhand[report]'")):
        figures.svg({})
    with pytest.raises(InvalidSettings, match=re.escape("pip install 'evenhand[report]'")):
        page.html(report, DATE)
    with pytest.raises(InvalidSettings, match=re.escape("pip install 'evenhand[report]'")):
        document.pdf(report, DATE)
