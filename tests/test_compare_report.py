"""The report of a comparison: its numbers are the analysis's, its drawings' layout holds, and nothing typed becomes markup."""

import csv
import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evenhand.analysis import anytime, ranks, stats
from evenhand.analysis.anytime import Comparison, Kind, race
from evenhand.declaration import Budget
from evenhand.report import comparison, contestants, document, figures, page, sheet, standings
from evenhand.report.blocks import Item, Report, Section, table
from evenhand.report.latex import escape, latex
from evenhand.report.sheet import Setup
from tests.entrants import entry, field, record, shuffled

pytest.importorskip("vl_convert", reason="figures need evenhand[report]")

DATE = "2026-11-21"
NASTY = "<script>alert(1)</script> \"'`#[*$_\\ & {x} ~^% -- '' \x07\x00é 中"
SETUP = Setup("Toy", "evenhand compare", "2 cores", "0123456789abcdef0123456789abcdef", {"evenhand": "0.1", "optuna": "5.0"}, 7)
ACROSS = """
import sys
from evenhand.report import comparison, latex, page
from evenhand.report.sheet import Setup
from tests.entrants import field
found = comparison.build(field(3, 2, 2, 4, people=1), Setup())
sys.stdout.buffer.write((page.html(found, "2026-11-21") + latex.latex(found)).encode())
"""


@pytest.fixture(scope="module")
def made() -> Comparison:
    return field(6, 3, 3, 8, people=1)


@pytest.fixture(scope="module")
def found(made: Comparison) -> Report:
    return comparison.build(made, SETUP)


@pytest.fixture(scope="module")
def shown(found: Report) -> str:
    return page.html(found, DATE)


def item(report: Report, key: str) -> Item:
    return next(each for each in report.items if each.key == key)


def rows(each: Item) -> list[list[str]]:
    assert each.table is not None
    return list(csv.reader(io.StringIO(each.table.csv())))[1:]


# The report


def test_every_part_is_there_with_its_cases_and_how(found: Report) -> None:
    keys = [section.key for section in found.sections]
    assert keys == ["course", "gaps", "ranks", "tests", "cost", "disclosure"]
    assert len({each.key for each in found.items}) == len(found.items)
    for each in found.items:
        assert each.n, each.key
        assert each.how, each.key
        assert not each.drawn or (each.alt and each.table), f"{each.key} is drawn without words and a table beside it"
    assert found.mark == ""


def test_the_headline_names_the_best_rank_with_its_interval(made: Comparison, found: Report) -> None:
    best = ranks.ranking(race(made), 7).standings[0]
    assert found.lead[0].startswith(f"{best.contestant} has the best average rank: {best.rank:.2f} of 6")
    assert f"{best.low:.2f} to {best.high:.2f}" in found.lead[0]
    assert "9 pairs of task and seed on 3 tasks" in found.lead[0]
    assert dict(found.facts)["contestants"] == "5 methods, 1 person"


def test_tables_hold_the_numbers_of_the_analysis(made: Comparison, found: Report) -> None:
    raced = race(made)
    standing = ranks.ranking(raced, 7).standings
    assert [row[:2] for row in rows(item(found, "average-ranks"))] == [[each.contestant, f"{each.rank:.2f}"] for each in standing]
    efforts = {each.contestant: each for each in anytime.efforts(raced)}
    for row in rows(item(found, "cost")):
        each = efforts[row[0]]
        assert [int(number) for number in row[1:4]] == [each.sessions, each.trials, each.epochs]
        assert [int(number) for number in row[6:]] == [each.outcomes.get(name, 0) for name in sheet.OUTCOMES]
    gaps = {(each.task, each.contestant): each for each in anytime.gaps(raced) if each.share == 1}
    for row in rows(item(found, "gaps")):
        assert float(row[8]) == pytest.approx(gaps[row[0], row[1]].regret, abs=5e-3)
    duels = rows(item(found, "duels"))
    assert [row[0] for row in duels] == [f"{at} {each.contestant}" for at, each in enumerate(standing, 1)]
    assert sum(map(int, duels[0][2].split("/"))) == 9


def test_the_order_of_entries_changes_nothing(made: Comparison, found: Report) -> None:
    assert comparison.build(shuffled(made, 5), SETUP) == found


def test_the_page_is_the_same_and_asks_for_nothing(found: Report, shown: str) -> None:
    assert page.html(found, DATE) == shown
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', shown) == []
    ids = re.findall(r'\bid="([^"]+)"', shown)
    assert len(ids) == len(set(ids))
    assert "nan" not in re.findall(r">([^<]*)<", shown)
    for drawn in re.findall(r"<svg.*?</svg>", shown, re.DOTALL):
        assert not re.search(r'(?:fill|stroke)="#(?!fff)', drawn), "a colour that does not follow a dark page"


def test_another_process_gives_the_same_bytes() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    written = {
        subprocess.run(
            [sys.executable, "-c", ACROSS], env={**environment, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(written) == 1


def test_every_colour_of_a_drawing_is_in_the_page_in_light_and_dark(shown: str) -> None:
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", re.sub(r"<style>.*?</style>", "", shown, flags=re.DOTALL)))
    style = re.findall(r"<style>(.*?)</style>", shown, re.DOTALL)[0]
    for name in used:
        assert len(re.findall(rf"--{name}:", style)) >= 2, name


@pytest.mark.parametrize(
    "entries",
    [
        [entry("a", [0.5])],
        [entry("a", [None, "invalid"])],
        [entry("a", []), entry("b", [])],
        [entry("a", [0.5], "one"), entry("b", [0.5], "two")],
        [entry("a", [0.5, 0.6]), entry("b", [0.5, 0.6]), entry("c", [0.5, 0.6])],
        [entry("a", [0.5], seed=1), entry("b", [0.6], seed=2)],
        [entry("a", [0.5], budget=Budget(seconds=60), tests=[None, None])],
    ],
)
def test_what_cannot_be_computed_says_why_in_words(entries: list[anytime.Entry]) -> None:
    made = comparison.build(Comparison(tuple(entries)), Setup())
    shown = page.html(made, DATE)
    assert "nan" not in shown.lower().split()
    assert all(each.table or each.drawn or each.why for each in made.items)
    assert latex(made)


def test_sixteen_methods_on_a_page() -> None:
    made = comparison.build(field(16, 2, 2, 4), Setup())
    assert len(page.html(made, DATE).encode()) < 2_000_000


def test_people_with_fewer_sessions_leave_the_methods_their_own_ranks() -> None:
    made = field(4, 3, 3, 4, people=1)
    few = tuple(each for each in made.entries if each.kind == "method" or (each.task, each.seed) == ("task-00", 0))
    found = comparison.build(Comparison(few), SETUP)
    assert "not on every task, and so not in it: P-01" in item(found, "course-trials").how
    assert "P-01 did not run on every task" in item(found, "average-ranks").how
    one = tuple(each for each in made.entries if each.kind == "method" or each.seed == 0)
    found = comparison.build(Comparison(one), SETUP)
    assert len(rows(item(found, "average-ranks"))) == 4
    assert item(found, "average-ranks").n.startswith("n = 3 pairs")
    assert item(found, "methods-average-ranks").n.startswith("n = 9 pairs")


def test_notes_come_first() -> None:
    entries = [entry("a", [0.1, 0.2]), entry("b", [0.3]), entry("both", [0.9], kind="joint")]
    found = comparison.build(Comparison(tuple(entries)), SETUP)
    assert found.sections[0].key == "notes"
    told = [row[0] for row in rows(item(found, "notes"))]
    assert any("joint sessions" in words for words in told)
    assert any("compared over 1 trials" in words for words in told)


@pytest.mark.parametrize(
    ("kind", "mode", "words"), [("bot", "simulated", "Simulated participants"), ("person", "pilot", "Pilot")]
)
def test_bots_and_pilots_are_marked_on_the_page_and_every_drawing(kind: Kind, mode: str, words: str) -> None:
    other = entry("B-01", [0.5, 0.4], kind=kind)
    other = replace(other, session=replace(other.session, mode=mode))  # type: ignore[arg-type]
    found = comparison.build(Comparison((entry("a", [0.5, 0.6]), other)), SETUP)
    assert (found.mode, found.mark.startswith(words)) == (mode, True)
    assert "B-01" in found.mark
    for each in found.items:
        assert each.spec is None or words in str(each.spec["title"])
    assert words in latex(found)


def test_methods_run_in_any_mode_need_no_mark() -> None:
    method = entry("a", [0.5])
    method = replace(method, session=replace(method.session, mode="simulated"))
    assert comparison.build(Comparison((method,)), SETUP).mark == ""


def test_generated_data_is_labelled_in_the_headline_and_in_the_sheet() -> None:
    setup = replace(SETUP, labels={"toy": "Generated data"})
    found = comparison.build(Comparison((entry("a", [0.5]), entry("a", [0.5], "real"))), setup)
    assert "Generated data: toy." in found.lead
    assert [row[3] for row in rows(item(found, "tasks"))] == ["–", "Generated data"]


# The sheet


def test_the_sheet_discloses_every_setting() -> None:
    loss = record("two", "loss", minimize=True)
    entries = [
        entry("tpe", [0.5, 0.7], "one", 3, tests=[0.6, 0.8], settings={"startup": 10}),
        entry("tpe", [0.5, 0.7], "one", 4, settings={"startup": 10}),
        entry("tpe", [0.3, 0.2], "two", 3, settings={"startup": 5}, made=loss),
        entry("P-01", [0.4, None], "one", 3, kind="person"),
    ]
    found = comparison.build(Comparison(tuple(entries)), SETUP)
    told = {row[0]: row for row in rows(item(found, "contestants"))}
    assert told["tpe"] == ["tpe", "method", "startup 10 (on one); startup 5 (on two)", "3", "3, 4"]
    assert told["P-01"][1:3] == ["person", "–"]
    assert [row[:2] for row in rows(item(found, "tasks"))] == [["one", "v-one"], ["two", "v-two"]]
    assert [row[1] for row in rows(item(found, "spaces"))] == ["epochs", "optimizer", "rate", "momentum"]
    chosen = {(row[0], row[1], row[2]): row for row in rows(item(found, "chosen"))}
    best = chosen["one", "tpe", "3"]
    assert best[3:] == ["3", "2", "70.0 %", "70.0 % ± 14.1 %", "epochs 3, optimizer adam, rate 0.05"]
    effort = {(row[0], row[1]): row for row in rows(item(found, "effort"))}
    assert effort["one", "P-01"][3:] == ["2", "4", "18", "20", "0.3", "1 completed, 1 diverged"]
    where = dict(rows(item(found, "where")))
    assert where["study (hash)"] == SETUP.study_hash
    assert where["version of optuna"] == "5.0"


def test_what_was_not_recorded_says_so() -> None:
    found = comparison.build(Comparison((entry("a", [0.5]),)), Setup())
    assert dict(rows(item(found, "where")))["machine"] == "not recorded"


def test_runs_of_seeds_are_told_by_their_ends() -> None:
    entries = [entry("a", [0.5], seed=seed) for seed in (0, 1, 2, 3, 7, 9, 10)]
    found = comparison.build(Comparison(tuple(entries)), SETUP)
    assert rows(item(found, "contestants"))[0][4] == "0 to 3, 7, 9, 10"


# LaTeX


def test_latex_is_booktabs_with_every_row_whole(found: Report) -> None:
    written = latex(found)
    assert written == latex(found)
    sheets = next(each for each in found.sections if each.key == "disclosure").items
    assert written.count(r"\begin{longtable}") == written.count(r"\end{longtable}") == len(sheets)
    assert written.count(r"\toprule") == 2 * len(sheets)
    for each in sheets:
        assert each.table is not None
        lines = [
            line for line in written.splitlines() if line.endswith(r"\\") and line.count(" & ") == len(each.table.columns) - 1
        ]
        assert len(lines) >= len(each.table.rows)
    assert balanced(written)


def balanced(written: str) -> bool:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", "\n".join(line for line in written.splitlines() if not line.startswith("%"))):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


def test_nothing_typed_becomes_markup() -> None:
    nasty = entry(NASTY, [0.5], kind="person", settings={NASTY: NASTY})
    found = comparison.build(Comparison((nasty, entry("b", [0.6]))), replace(SETUP, title=NASTY + "\n\\input{x}", machine=NASTY))
    shown = page.html(found, DATE)
    assert "<script>alert" not in shown
    written = latex(found)
    assert balanced(written)
    assert r"\textbackslash{}" in written
    assert r"\input{x}" not in "\n".join(line for line in written.splitlines() if not line.startswith("%"))
    assert next(line for line in written.splitlines() if "input" in line).startswith("%")


def test_escapes_are_what_latex_prints_as_it_is() -> None:
    assert escape("a_b & 5 % of $3 #1 {x}") == r"a\_b \& 5 \% of \$3 \#1 \{x\}"
    assert escape("~^\\") == r"\textasciitilde{}\textasciicircum{}\textbackslash{}"
    assert escape("--seed ''") == r"-\allowbreak{}-seed '\allowbreak{}'"
    assert escape("70.0\u202f% ± 1 – χ²") == r"70.0\,\% $\pm$ 1 -- $\chi$\textsuperscript{2}"
    assert escape("[*]\n中é") == "{[}{*}{]} {[}U+4E2D{]}é"


@settings(max_examples=200, deadline=None)
@given(st.text())
def test_no_text_leaves_a_command_or_an_open_brace(words: str) -> None:
    written = escape(words)
    known = r"\\(?:textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar|char34|textasciigrave|allowbreak|"
    known += r"textsuperscript|ldots|textmu|pm|times|le|ge|to|chi|cdot|[{}$&#_%,])"
    rest = re.sub(known, "", written)
    assert "\\" not in rest
    assert not re.search(r"[&#_^~%\n\"<>|`\[]", rest.replace("{[}", "").replace("``", ""))
    assert balanced(written)


def test_long_text_gets_the_rest_of_the_width() -> None:
    wide = table(("name", "words", "n"), [("a", "word " * 60, "1"), ("b", "x" * 64, "12")], [2])
    report = Report("t", "live", "", (), (), (Section("s", "S", items=(Item("k", "T", "n = 1", "how", table=wide),)),))
    written = latex(report, ["s"])
    columns = re.findall(r"\\ragged(left|right)\\arraybackslash\}p\{(0\.\d+)\\linewidth\}", written)
    assert [side for side, _ in columns] == ["right", "right", "left"]
    widths = [float(width) for _, width in columns]
    assert widths[1] > 0.8
    assert sum(widths) < 1
    assert r"x" * 18 + r"\allowbreak{}" in written
    assert r"\begin{longtable}" not in latex(report, ["other"])


# Drawings


def test_sixteen_methods_look_different_and_people_are_not_blue() -> None:
    names: dict[str, Kind] = {f"m{at}": "method" for at in range(16)}
    names.update({f"p{at}": "person" for at in range(6)})
    looks = contestants.styles(names)
    methods = [(looks[f"m{at}"].colour, looks[f"m{at}"].dash) for at in range(16)]
    assert len(set(methods)) == 16
    assert not {looks[f"p{at}"].colour for at in range(6)} & {colour for colour, _ in methods}
    assert all(looks[f"m{at}"].colour != looks[f"m{at + 1}"].colour for at in range(15))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-100, 100), max_size=16), st.floats(0.1, 30))
def test_labels_keep_their_distance_and_their_order(wanted: list[float], gap: float) -> None:
    placed = contestants.spread(wanted, gap)
    order = sorted(range(len(wanted)), key=lambda at: (wanted[at], at))
    assert all(placed[two] - placed[one] >= gap - 1e-6 for one, two in pairwise(order))
    if all(abs(one - two) >= gap for one, two in combinations(wanted, 2)):
        assert placed == pytest.approx(wanted)


def test_labels_that_are_too_close_stand_about_their_middle() -> None:
    assert contestants.spread([10.0, 10.0, 10.0, 100.0], 14) == pytest.approx([-4.0, 10.0, 24.0, 100.0])


def difference(ordered: dict[str, float], critical: float) -> ranks.Difference:
    test = stats.Test("", 5, None, None, "")
    found = tuple(ordered.items())
    return ranks.Difference(5, 0.05, found, critical, ranks.cliques(found, critical), test, test, (), "")


def test_the_critical_difference_diagram_names_the_better_half_at_the_left() -> None:
    made = standings.diagram(difference({"a": 1.2, "b": 2.1, "c": 3.0, "d": 4.1, "e": 4.6}, 1.5))
    assert [(each.name, each.row, each.left) for each in made.labels] == [
        ("a", 0, True), ("b", 1, True), ("c", 2, True), ("d", 1, False), ("e", 0, False),
    ]  # fmt: skip
    bars = [(each.low, each.high, each.level) for each in made.bars]
    assert bars == [(1.2, 2.1, 0), (2.1, 3.0, 1), (3.0, 4.1, 0), (4.1, 4.6, 1)]
    assert (made.count, made.rows) == (5, 3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1, 12), min_size=2, max_size=12), st.floats(0.1, 6))
def test_no_two_bars_lie_on_each_other_and_no_lines_cross(values: list[float], critical: float) -> None:
    ordered = {f"c{at:02}": rank for at, rank in enumerate(sorted(values))}
    made = standings.diagram(difference(ordered, critical))
    for one, two in combinations(made.bars, 2):
        assert one.level != two.level or one.high < two.low or two.high < one.low
    left, right = ([each for each in made.labels if each.left is side] for side in (True, False))
    assert all(near.rank <= far.rank and near.row < far.row for near, far in pairwise(left))
    assert all(near.rank <= far.rank and near.row > far.row for near, far in pairwise(right))
    assert not right or left[-1].rank <= right[0].rank


def test_drawings_hold_the_numbers(made: Comparison) -> None:
    raced = race(made)
    overall = anytime.overall(raced, 1)
    spec = contestants.lines(overall, raced.contestants, "trials", 8)
    drawn = spec["layer"][0]["data"]["values"]
    assert [row["y"] for row in drawn] == [at.regret for each in overall for at in each.points]
    assert {row["x"] for row in drawn} == set(range(1, 9))
    points = standings.ranks(ranks.ranking(raced, 1), raced.contestants)["layer"][1]["data"]["values"]
    assert [row["x"] for row in points] == [each.rank for each in ranks.ranking(raced, 1).standings]
    scores = standings.tests(anytime.tested(raced), raced.contestants, tuple(raced.contestants))["data"]["values"]
    means = {(each.contestant, f"{each.task} ({each.metric})"): each.mean for each in anytime.tested(raced)}
    assert {(row["name"], row["panel"]): row["mean"] for row in scores if "mean" in row} == means


def test_a_logarithmic_axis_is_taken_where_it_tells_more() -> None:
    def curve(*values: float) -> anytime.Curve:
        return anytime.Curve(
            None, "a", "trials", 1, tuple(anytime.At(at, value, value, value) for at, value in enumerate(values))
        )

    assert contestants.logarithmic([curve(1.0, 0.05)])
    assert not contestants.logarithmic([curve(1.0, 0.3)])
    assert not contestants.logarithmic([curve(1.0, 0.0)])
    assert contestants.logarithmic([curve(1.0, 0.0), curve(1.0, 0.05), curve(1.0, 0.2)])
    assert not contestants.logarithmic([])
    spec = contestants.lines([curve(1.0, 0.05, 0.0)], {"a": "method"}, "trials", log=True)
    line = spec["layer"][1]
    assert [row["y"] for row in line["data"]["values"]] == [1.0, 0.05, contestants.FLOOR]
    assert line["encoding"]["y"]["axis"]["values"] == [0.0001, 0.001, 0.01, 0.1, 1.0]
    assert figures.svg(spec).startswith("<svg")


def test_a_tall_drawing_fits_a_page_of_the_pdf() -> None:
    many = comparison.build(field(16, 1, 2, 3), Setup())
    tall, flat = (page.drawing(item(many, key)) for key in ("course-each", "critical-difference"))
    assert document._size(tall).startswith("height")
    assert document._size(flat).startswith("width")


def test_the_pdf_and_the_files_can_be_made(found: Report) -> None:
    pytest.importorskip("typst", reason="the PDF needs evenhand[report]")
    assert document.pdf(found, DATE).startswith(b"%PDF")
    names = page.contents(replace(found, sections=found.sections[2:3]))
    assert {"average-ranks.svg", "critical-difference.png", "duels.csv"} <= names.keys()
