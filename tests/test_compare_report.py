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
from evenhand.analysis.anytime import Comparison, Kind, Setup, race
from evenhand.model.study import Budget
from evenhand.report import disclosure, document, figures, page
from evenhand.report.blocks import Item, Report, ReportSection, table
from evenhand.report.comparison import contestants, standings
from evenhand.report.comparison import report as comparison_report
from evenhand.report.latex import escape, latex
from tests.components import need
from tests.entrants import entry, field, record, shuffled

need("report")

DATE = "2026-11-21"
NASTY = "<script>alert(1)</script> \"'`#[*$_\\ & {x} ~^% -- '' \x07\x00é 中"
SETUP = Setup("Toy", "evenhand compare", "2 cores", "0123456789abcdef0123456789abcdef", {"evenhand": "0.1", "optuna": "5.0"}, 7)
ACROSS = """
import sys
from evenhand.report import latex, page
from evenhand.report.comparison import report as comparison
from evenhand.analysis.anytime import Setup
from tests.entrants import field
built = comparison.build(field(3, 2, 2, 4, people=1), Setup())
sys.stdout.buffer.write((page.html(built, "2026-11-21") + latex.latex(built)).encode())
"""


@pytest.fixture(scope="module")
def made() -> Comparison:
    return field(6, 3, 3, 8, people=1)


@pytest.fixture(scope="module")
def comparison_sheet(made: Comparison) -> Report:
    return comparison_report.build(made, SETUP)


@pytest.fixture(scope="module")
def shown(comparison_sheet: Report) -> str:
    return page.html(comparison_sheet, DATE)


def item(report: Report, key: str) -> Item:
    return next(item for item in report.items if item.key == key)


def rows(shown_item: Item) -> list[list[str]]:
    assert shown_item.table is not None
    return list(csv.reader(io.StringIO(shown_item.table.csv())))[1:]


# The report


@pytest.mark.slow
def test_every_part_is_there_with_its_cases_and_how(comparison_sheet: Report) -> None:
    keys = [section.key for section in comparison_sheet.sections]
    assert keys == ["checklist", "course", "gaps", "ranks", "tests", "cost", "disclosure"]
    assert len({item.key for item in comparison_sheet.items}) == len(comparison_sheet.items)
    for item in comparison_sheet.items:
        assert item.n, item.key
        assert item.how, item.key
        assert not item.drawn or (item.alt and item.table), f"{item.key} is drawn without words and a table beside it"
    assert comparison_sheet.mark == ""


@pytest.mark.slow
def test_the_headline_names_the_best_rank_with_its_interval(made: Comparison, comparison_sheet: Report) -> None:
    best = ranks.ranking(race(made), 7).standings[0]
    assert comparison_sheet.lead[0].startswith(f"{best.contestant} has the best average rank: {best.rank:.2f} of 6")
    assert f"{best.low:.2f} to {best.high:.2f}" in comparison_sheet.lead[0]
    assert "9 pairs of task and seed on 3 tasks" in comparison_sheet.lead[0]
    assert dict(comparison_sheet.facts)["contestants"] == "5 methods, 1 person"


@pytest.mark.slow
def test_tables_hold_the_numbers_of_the_analysis(made: Comparison, comparison_sheet: Report) -> None:
    raced = race(made)
    standing = ranks.ranking(raced, 7).standings
    assert [row[:2] for row in rows(item(comparison_sheet, "average-ranks"))] == [
        [place.contestant, f"{place.rank:.2f}"] for place in standing
    ]
    efforts = {effort.contestant: effort for effort in anytime.efforts(raced)}
    for row in rows(item(comparison_sheet, "cost")):
        effort = efforts[row[0]]
        assert [int(number) for number in row[1:4]] == [effort.sessions, effort.trials, effort.epochs]
        assert [int(number) for number in row[6:]] == [effort.outcomes.get(name, 0) for name in disclosure.OUTCOME_ORDER]
    gaps = {(gap.task, gap.contestant): gap for gap in anytime.gaps(raced) if gap.share == 1}
    for row in rows(item(comparison_sheet, "gaps")):
        assert float(row[8]) == pytest.approx(gaps[row[0], row[1]].regret, abs=5e-3)
    duels = rows(item(comparison_sheet, "duels"))
    assert [row[0] for row in duels] == [f"{at} {contestant.contestant}" for at, contestant in enumerate(standing, 1)]
    assert sum(map(int, duels[0][2].split("/"))) == 9


@pytest.mark.slow
def test_the_order_of_entries_changes_nothing(made: Comparison, comparison_sheet: Report) -> None:
    assert comparison_report.build(shuffled(made, 5), SETUP) == comparison_sheet


@pytest.mark.slow
def test_the_page_is_the_same_and_asks_for_nothing(comparison_sheet: Report, shown: str) -> None:
    assert page.html(comparison_sheet, DATE) == shown
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"', shown) == ['href="data:,"']  # an icon of none
    ids = re.findall(r'\bid="([^"]+)"', shown)
    assert len(ids) == len(set(ids))
    assert "nan" not in re.findall(r">([^<]*)<", shown)
    for drawn in re.findall(r"<svg.*?</svg>", shown, re.DOTALL):
        assert not re.search(r'(?:fill|stroke)="#(?!fff)', drawn), "a colour that does not follow a dark page"


@pytest.mark.slow
def test_another_process_gives_the_same_bytes() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    written = {
        subprocess.run(
            [sys.executable, "-c", ACROSS], env={**environment, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(written) == 1


@pytest.mark.slow
def test_every_colour_of_a_drawing_is_in_the_page_in_light_and_dark(shown: str) -> None:
    used = set(re.findall(r"var\(--([a-z0-9-]+)\)", re.sub(r"<style>.*?</style>", "", shown, flags=re.DOTALL)))
    style = re.findall(r"<style>(.*?)</style>", shown, re.DOTALL)[0]
    for name in used:
        assert len(re.findall(rf"--{name}:", style)) >= 2, name


@pytest.mark.slow
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
def test_what_cannot_be_computed_says_why_in_words(entries: list[anytime.SessionEntry]) -> None:
    made = comparison_report.build(Comparison(tuple(entries)), Setup())
    shown = page.html(made, DATE)
    assert "nan" not in shown.lower().split()
    assert all(item.table or item.drawn or item.why for item in made.items)
    assert latex(made)


@pytest.mark.slow
def test_where_no_run_has_a_value_it_says_why_and_nobody_is_best() -> None:
    entries = (entry("a", ["invalid", "invalid"]), entry("b", ["invalid", None]))
    made = comparison_report.build(Comparison(entries), Setup())
    assert len(made.lead) == 1
    assert re.fullmatch(r"No run has a value: 3 of 4 trials were invalid( \(.+\))?\.", made.lead[0])
    shown = re.sub(r"<[^>]+>", " ", page.html(made, DATE))
    assert "best average rank" not in shown
    assert item(made, "average-ranks").table is None
    assert item(made, "critical-difference").table is None
    assert item(made, "course-tasks").alt == "The best at the end: toy: no run has a value"


def test_at_a_tie_nobody_is_best() -> None:
    made = comparison_report.build(Comparison((entry("a", [0.5]), entry("b", [0.5]))), Setup())
    assert made.lead[0].startswith("a and b share the best average rank: 1.50 of 2")
    assert item(made, "course-tasks").alt == "The best at the end: toy: a, b alike"


def test_at_a_tie_the_checklist_claims_nothing() -> None:
    made = comparison_report.build(Comparison((entry("a", [0.5]), entry("b", [0.5]))), Setup())
    facts = {name: (verdict, fact) for name, verdict, fact in rows(item(made, "recommendations"))}
    claim = facts["Claims: who is ahead is ahead by more than chance"]
    assert claim == ("not passed", "a and b share the best average rank: claim no superiority")


def test_one_pair_has_neither_interval_nor_quartiles() -> None:
    made = comparison_report.build(Comparison((entry("a", [0.5, 0.6]), entry("b", [0.5, 0.7]))), Setup())
    assert "(no interval from a single pair), over 1 pair of task and seed" in made.lead[0]
    assert [row[2] for row in rows(item(made, "average-ranks"))] == ["–", "–"]
    assert {row[-1] for key in ("course-trials", "course-tasks") for row in rows(item(made, key))} == {"–"}
    assert {row[9] for row in rows(item(made, "gaps"))} == {"–"}


def test_gaps_of_accuracies_are_in_points() -> None:
    made = comparison_report.build(Comparison((entry("a", [0.5, 0.65]), entry("b", [0.5, 0.7]))), Setup())
    gaps = {row[1]: row[5] for row in rows(item(made, "gaps"))}
    assert gaps == {"a": "5.0 points", "b": "0.0 points"}


@pytest.mark.parametrize(
    ("explained", "words"),
    [
        (("random start-up draw 1 of 2", "start-up draw 2 of 2"), ["a was still in its start-up: 2 of 2 trials"]),
        (("random start-up draw 1 of 1", "by the model"), ["a was still in its start-up: 1 of 2 trials"]),
        (("by the model", "by the model"), []),
    ],
)
def test_a_method_that_was_still_in_its_start_up_is_remarked(explained: tuple[str, str], words: list[str]) -> None:
    first = entry("a", [0.5, 0.6])
    trials = tuple(replace(trial, explanation=why) for trial, why in zip(first.session.trials, explained, strict=True))
    drawn = replace(first, session=replace(first.session, trials=trials))
    made = comparison_report.build(Comparison((drawn, entry("b", [0.5, 0.7]))), Setup())
    assert [line.partition(";")[0] for line in made.lead if "start-up" in line] == words


def test_the_paper_s_recommendations_are_a_checklist_with_a_fact_for_each() -> None:
    """Two contestants on one task, one session each, of equal effort, without test scores."""
    made = comparison_report.build(Comparison((entry("a", [0.5, 0.6]), entry("b", [0.5, 0.7]))), Setup())
    lines = {name.partition(": ")[2]: (verdict, fact) for name, verdict, fact in rows(item(made, "recommendations"))}
    assert len(lines) == 8
    assert lines["the final hyperparameter settings are shared"] == (
        "passed", "2 of 2 sessions have a final configuration, listed in the disclosure sheet",
    )  # fmt: skip
    assert lines["tuned with the same effort as what is compared with them"][0] == "passed"
    verdict, fact = lines["who is ahead is ahead by more than chance"]
    assert verdict == "not passed"
    assert "b, with the best rank, cannot be told from a" in fact
    assert "with 1 task the test can hardly tell" in fact
    assert lines["choices are scored on data that no tuner saw"] == ("unknown", "no session was evaluated on test data")
    assert lines["repeated with several seeds"][0] == "not passed"
    assert lines["command, packages and machines are recorded"][1].endswith("not recorded: the command, packages")
    assert "less-effort" not in {one.key for one in made.items}


def test_a_baseline_with_less_effort_is_warned_of_in_the_headline() -> None:
    made = comparison_report.build(Comparison((entry("ours", [0.5, 0.6, 0.7, 0.8]), entry("base", [0.5, 0.6]))), Setup())
    assert (
        "Unequal effort: base on toy: 2 of the 4 trials a session that ours had; base on toy: 20 of the 40 seconds"
        in " ".join(made.lead)
    )
    lines = {name: (verdict, fact) for name, verdict, fact in rows(item(made, "recommendations"))}
    verdict, fact = lines["Baselines: tuned with the same effort as what is compared with them"]
    assert (verdict, fact) == ("not passed", "less effort: base on toy: 2 of the 4 trials a session that ours had")
    assert [row[:3] for row in rows(item(made, "less-effort"))] == [["toy", "base", "trials"], ["toy", "base", "seconds"]]
    scored = comparison_report.build(
        Comparison((entry("a", [0.5], tests=(0.5, 0.6)), entry("b", [0.6], tests=(0.4, 0.5)))), Setup()
    )
    verdicts = {name: verdict for name, verdict, _ in rows(item(scored, "recommendations"))}
    assert verdicts["Claims: choices are scored on data that no tuner saw"] == "passed"


def test_no_cell_of_a_table_is_bold() -> None:
    built = latex(comparison_report.build(Comparison((entry("a", [0.5, 0.6]), entry("b", [0.5, 0.7]))), Setup()))
    bodies = re.findall(r"\\endlastfoot(.*?)\\end\{longtable\}", built, flags=re.S)
    assert bodies
    assert not [body for body in bodies if r"\textbf" in body]


@pytest.mark.slow
def test_sixteen_methods_on_a_page() -> None:
    made = comparison_report.build(field(16, 2, 2, 4), Setup())
    assert len(page.html(made, DATE).encode()) < 2_000_000


@pytest.mark.slow
def test_people_with_fewer_sessions_leave_the_methods_their_own_ranks() -> None:
    made = field(4, 3, 3, 4, people=1)
    few = tuple(entry for entry in made.entries if entry.kind == "method" or (entry.task, entry.seed) == ("task-00", 0))
    report = comparison_report.build(Comparison(few), SETUP)
    assert "not on every task, and so not in it: P-01" in item(report, "course-trials").how
    assert "P-01 did not run on every task" in item(report, "average-ranks").how
    first_seed = tuple(entry for entry in made.entries if entry.kind == "method" or entry.seed == 0)
    report = comparison_report.build(Comparison(first_seed), SETUP)
    assert len(rows(item(report, "average-ranks"))) == 4
    assert item(report, "average-ranks").n.startswith("n = 3 pairs")
    assert item(report, "methods-average-ranks").n.startswith("n = 9 pairs")


@pytest.mark.slow
def test_notes_come_first() -> None:
    entries = [entry("a", [0.1, 0.2]), entry("b", [0.3]), entry("both", [0.9], kind="joint")]
    report = comparison_report.build(Comparison(tuple(entries)), SETUP)
    assert report.sections[0].key == "notes"
    notes = [row[0] for row in rows(item(report, "notes"))]
    assert any("joint sessions" in words for words in notes)
    assert any("compared over 1 trials" in words for words in notes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "mode", "words"), [("bot", "simulated", "Simulated participants"), ("person", "pilot", "Pilot")]
)
def test_bots_and_pilots_are_marked_on_the_page_and_every_drawing(kind: Kind, mode: str, words: str) -> None:
    other = entry("B-01", [0.5, 0.4], kind=kind)
    other = replace(other, session=replace(other.session, mode=mode))  # type: ignore[arg-type]
    report = comparison_report.build(Comparison((entry("a", [0.5, 0.6]), other)), SETUP)
    assert (report.mode, report.mark.startswith(words)) == (mode, True)
    assert "B-01" in report.mark
    for item in report.items:
        assert item.spec is None or words in str(item.spec["title"])
    assert words in latex(report)


def test_methods_run_in_any_mode_need_no_mark() -> None:
    method = entry("a", [0.5])
    method = replace(method, session=replace(method.session, mode="simulated"))
    assert comparison_report.build(Comparison((method,)), SETUP).mark == ""


def test_generated_data_is_labelled_in_the_headline_and_in_the_sheet() -> None:
    setup = replace(SETUP, labels={"toy": "Generated data"})
    report = comparison_report.build(Comparison((entry("a", [0.5]), entry("a", [0.5], "real"))), setup)
    assert "Generated data: toy." in report.lead
    assert [row[3] for row in rows(item(report, "tasks"))] == ["–", "Generated data"]


# The sheet


def test_the_sheet_discloses_every_setting() -> None:
    loss = record("two", "loss", minimize=True)
    entries = [
        entry("tpe", [0.5, 0.7], "one", 3, tests=[0.6, 0.8], settings={"startup": 10}),
        entry("tpe", [0.5, 0.7], "one", 4, settings={"startup": 10}),
        entry("tpe", [0.3, 0.2], "two", 3, settings={"startup": 5}, made=loss),
        entry("P-01", [0.4, None], "one", 3, kind="person"),
    ]
    report = comparison_report.build(Comparison(tuple(entries)), SETUP)
    written = {row[0]: row for row in rows(item(report, "contestants"))}
    assert written["tpe"] == ["tpe", "method", "startup 10 (on one); startup 5 (on two)", "3", "3, 4"]
    assert written["P-01"][1:3] == ["person", "–"]
    assert [row[:2] for row in rows(item(report, "tasks"))] == [["one", "v-one"], ["two", "v-two"]]
    assert [row[1] for row in rows(item(report, "spaces"))] == ["epochs", "optimizer", "rate", "momentum"]
    chosen = {(row[0], row[1], row[2]): row for row in rows(item(report, "chosen"))}
    best = chosen["one", "tpe", "3"]
    assert best[3:] == ["3", "2", "70.0 %", "70.0 % ± 14.1 %", "epochs 3, optimizer adam, rate 0.05"]
    effort = {(row[0], row[1]): row for row in rows(item(report, "effort"))}
    assert effort["one", "P-01"][3:] == ["2", "4", "18", "20", "0.3", "1 completed, 1 diverged"]
    where = dict(rows(item(report, "where")))
    assert where["study (hash)"] == SETUP.study_hash
    assert where["version of optuna"] == "5.0"


def test_what_was_not_recorded_says_so() -> None:
    report = comparison_report.build(Comparison((entry("a", [0.5]),)), Setup())
    assert dict(rows(item(report, "where")))["machine"] == "not recorded"


def test_runs_of_seeds_are_told_by_their_ends() -> None:
    entries = [entry("a", [0.5], seed=seed) for seed in (0, 1, 2, 3, 7, 9, 10)]
    report = comparison_report.build(Comparison(tuple(entries)), SETUP)
    assert rows(item(report, "contestants"))[0][4] == "0 to 3, 7, 9, 10"


# LaTeX


def test_latex_is_booktabs_with_every_row_whole(comparison_sheet: Report) -> None:
    written = latex(comparison_sheet)
    assert written == latex(comparison_sheet)
    sheets = next(section for section in comparison_sheet.sections if section.key == "disclosure").items
    assert written.count(r"\begin{longtable}") == written.count(r"\end{longtable}") == len(sheets)
    assert written.count(r"\toprule") == 2 * len(sheets)
    for sheet in sheets:
        assert sheet.table is not None
        lines = [
            line for line in written.splitlines() if line.endswith(r"\\") and line.count(" & ") == len(sheet.table.columns) - 1
        ]
        assert len(lines) >= len(sheet.table.rows)
    assert balanced(written)


def balanced(written: str) -> bool:
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", "\n".join(line for line in written.splitlines() if not line.startswith("%"))):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


@pytest.mark.slow
def test_nothing_typed_becomes_markup() -> None:
    nasty = entry(NASTY, [0.5], kind="person", settings={NASTY: NASTY})
    report = comparison_report.build(
        Comparison((nasty, entry("b", [0.6]))), replace(SETUP, title=NASTY + "\n\\input{x}", machine=NASTY)
    )
    shown = page.html(report, DATE)
    assert "<script>alert" not in shown
    written = latex(report)
    assert balanced(written)
    assert r"\textbackslash{}" in written
    assert r"\input{x}" not in "\n".join(line for line in written.splitlines() if not line.startswith("%"))
    assert next(line for line in written.splitlines() if "input" in line).startswith("%")


def test_escapes_are_what_latex_prints_as_it_is() -> None:
    assert escape("a_b & 5 % of $3 #1 {x}") == r"a\_b \& 5 \% of \$3 \#1 \{x\}"
    assert escape("~^\\") == r"\textasciitilde{}\textasciicircum{}\textbackslash{}"
    assert escape("--seed ''") == r"-\allowbreak{}-seed '\allowbreak{}'"
    assert escape("70.0\u202f% ± 1 – χ²") == r"70.0\,\% $\pm$ 1 \textendash{} $\chi$\textsuperscript{2}"
    assert escape("?‘‘–-") == r"?\textquoteleft{}\textquoteleft{}\textendash{}-", (
        "as letters these would be joined to other signs"
    )
    assert escape("[*]\n中é") == "{[}{*}{]} {[}U+4E2D{]}é"


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(st.text())
def test_no_text_leaves_a_command_or_an_open_brace(words: str) -> None:
    written = escape(words)
    known = r"\\(?:textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar|char34|textasciigrave|allowbreak|"
    known += (
        r"text(?:en|em)dash|textquote(?:dbl)?(?:left|right)|textsuperscript|ldots|textmu|pm|times|le|ge|to|chi|cdot|[{}$&#_%,])"
    )
    rest = re.sub(known, "", written)
    assert "\\" not in rest
    assert not re.search(r"[&#_^~%\n\"<>|`\[]", rest.replace("{[}", ""))
    assert balanced(written)


def test_long_text_gets_the_rest_of_the_width() -> None:
    wide = table(("name", "words", "n"), [("a", "word " * 60, "1"), ("b", "x" * 64, "12")], [2])
    report = Report("t", "live", "", (), (), (ReportSection("s", "S", items=(Item("k", "T", "n = 1", "how", table=wide),)),))
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
    assert all(placed[lower] - placed[upper] >= gap - 1e-6 for upper, lower in pairwise(order))
    if all(abs(upper - lower) >= gap for upper, lower in combinations(wanted, 2)):
        assert placed == pytest.approx(wanted)


def test_labels_that_are_too_close_stand_about_their_middle() -> None:
    assert contestants.spread([10.0, 10.0, 10.0, 100.0], 14) == pytest.approx([-4.0, 10.0, 24.0, 100.0])


def difference(ordered: dict[str, float], critical: float) -> ranks.CriticalDifference:
    test = stats.Test("", 5, None, None, "")
    pairs = tuple(ordered.items())
    return ranks.CriticalDifference(5, 0.05, pairs, critical, ranks.cliques(pairs, critical), test, test, (), "")


def test_the_critical_difference_diagram_names_the_better_half_at_the_left() -> None:
    made = standings.diagram(difference({"a": 1.2, "b": 2.1, "c": 3.0, "d": 4.1, "e": 4.6}, 1.5))
    assert [(label.name, label.row, label.left) for label in made.labels] == [
        ("a", 0, True), ("b", 1, True), ("c", 2, True), ("d", 1, False), ("e", 0, False),
    ]  # fmt: skip
    bars = [(bar.low, bar.high, bar.level) for bar in made.bars]
    assert bars == [(1.2, 2.1, 0), (2.1, 3.0, 1), (3.0, 4.1, 0), (4.1, 4.6, 1)]
    assert (made.count, made.rows) == (5, 3)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(1, 12), min_size=2, max_size=12), st.floats(0.1, 6))
def test_no_two_bars_lie_on_each_other_and_no_lines_cross(values: list[float], critical: float) -> None:
    ordered = {f"c{at:02}": rank for at, rank in enumerate(sorted(values))}
    made = standings.diagram(difference(ordered, critical))
    for first, second in combinations(made.bars, 2):
        assert first.level != second.level or first.high < second.low or second.high < first.low
    left, right = ([label for label in made.labels if label.left is side] for side in (True, False))
    assert all(near.rank <= far.rank and near.row < far.row for near, far in pairwise(left))
    assert all(near.rank <= far.rank and near.row > far.row for near, far in pairwise(right))
    assert not right or left[-1].rank <= right[0].rank


def test_drawings_hold_the_numbers(made: Comparison) -> None:
    raced = race(made)
    overall = anytime.overall(raced, 1)
    spec = contestants.lines(overall, raced.contestants, "trials", 8)
    drawn = spec["layer"][0]["data"]["values"]
    assert [row["y"] for row in drawn] == [at.regret for curve in overall for at in curve.points]
    assert {row["x"] for row in drawn} == set(range(1, 9))
    points = standings.ranks(ranks.ranking(raced, 1), raced.contestants)["layer"][1]["data"]["values"]
    assert [row["x"] for row in points] == [standing.rank for standing in ranks.ranking(raced, 1).standings]
    scores = standings.tests(anytime.tested(raced), raced.contestants, tuple(raced.contestants))["data"]["values"]
    means = {(score.contestant, f"{score.task} ({score.metric})"): score.mean for score in anytime.tested(raced)}
    assert {(row["name"], row["panel"]): row["mean"] for row in scores if "mean" in row} == means


def test_a_drawing_is_the_same_whatever_was_drawn_before_it(made: Comparison) -> None:
    bands = contestants.lines(anytime.overall(race(made), 1)[:2], race(made).contestants, "trials", 8)
    figures._drawn.cache_clear()
    first = figures.svg(bands)
    assert first.count("clip-path") == 2
    figures._drawn.cache_clear()
    assert figures.svg(bands) == first


def test_a_logarithmic_axis_is_taken_where_it_tells_more() -> None:
    def curve(*values: float) -> anytime.RegretCurve:
        return anytime.RegretCurve(
            None, "a", "trials", 1, tuple(anytime.At(at, value, value, value) for at, value in enumerate(values))
        )

    assert contestants.logarithmic([curve(1.0, 0.05)])
    assert not contestants.logarithmic([curve(1.0, 0.3)])
    assert not contestants.logarithmic([curve(1.0, 0.0)])
    assert contestants.logarithmic([curve(1.0, 0.0), curve(1.0, 0.05), curve(1.0, 0.2)])
    assert not contestants.logarithmic([])
    spec = contestants.lines([curve(1.0, 0.05, 0.0)], {"a": "method"}, "trials", log=True)
    line = spec["layer"][1]
    assert [row["y"] for row in line["data"]["values"]] == [1.0, 0.05, contestants.REGRET_FLOOR]
    assert line["encoding"]["y"]["axis"]["values"] == [0.0001, 0.001, 0.01, 0.1, 1.0]
    assert figures.svg(spec).startswith("<svg")


@pytest.mark.slow
def test_a_tall_drawing_fits_a_page_of_the_pdf() -> None:
    many = comparison_report.build(field(16, 1, 2, 3), Setup())
    tall, flat = (page.drawing(item(many, key)) for key in ("course-each", "critical-difference"))
    assert document._size(tall).startswith("height")
    assert document._size(flat).startswith("width")


@pytest.mark.slow
def test_the_pdf_and_the_files_can_be_made(comparison_sheet: Report) -> None:
    need("report")
    assert document.pdf(comparison_sheet, DATE).startswith(b"%PDF")
    names = page.contents(
        replace(comparison_sheet, sections=tuple(section for section in comparison_sheet.sections if section.key == "ranks"))
    )
    assert {"average-ranks.svg", "critical-difference.png", "duels.csv"} <= names.keys()
