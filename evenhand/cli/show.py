"""The commands `evenhand show` and `evenhand compare-runs`: one run, or several side by side, in a terminal."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from evenhand.cli.options import Database, SessionName, console, escape, laboratory, names_that_looked, session_called

if TYPE_CHECKING:
    from evenhand.analysis.run_comparison import Row, RunColumn, RunComparison
    from evenhand.lab.lab import Lab
    from evenhand.model.session import Session
    from evenhand.report.run_records import RunRecords

app = typer.Typer()

RECENT_TRIALS = 5  # rows of `show`
LINE_CHARACTERS = 100  # of its paragraph
LABEL_WIDTH = 10
Json = Annotated[bool, typer.Option("--json", help="as JSON")]


@app.command()
def show(session: SessionName, as_json: Json = False, db: Database = None) -> None:
    """Show a run: where it stands, its best and recent trials, how sure it is, and how to go on with it."""
    from evenhand.report import run_records

    lab = laboratory(db)
    try:
        records = run_records.read(lab, session_called(lab, session), names_that_looked(lab))
        facts = _facts(lab, records)
        if as_json:
            typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))
        else:
            _print(records, facts)
    finally:
        lab.close()


def _facts(lab: "Lab", records: "RunRecords") -> dict[str, Any]:
    """All that `show` says, as JSON values."""
    from evenhand.analysis.certainty import certainty_of
    from evenhand.analysis.run_rows import run_row
    from evenhand.lab import served
    from evenhand.model import rules, state_words
    from evenhand.report.certainty import paragraph

    session, now = records.session, lab.clock()
    row = run_row(session, lab.runs.notes(session.id), now)
    test, chosen = records.test, session.chosen_trial
    scores = records.evaluation.scores if records.evaluation else ()
    goes_on = rules.is_interrupted(session, now)
    return {
        "session": session.id,
        "name": session.name,
        "task": session.task.spec.plain_name,
        "tuner": session.tuner,
        "state": row.state,
        "metric": session.task.metric,
        "direction": session.task.direction,
        "trials": row.trials,
        "planned": row.planned,
        "epochs": rules.epochs_used(session),
        "seconds": row.seconds,
        "best": None if row.best is None else {"trial": row.best_number, "value": row.best, "values": dict(row.best_values)},
        "chosen": None if chosen is None else chosen.number,
        "test": None if test is None else {"mean": test.mean, "half_width": test.half, "seeds": len(test.values)},
        "seeds_evaluated": session.evaluated.done,
        "looks": len(records.looks),
        "last_look_by": lab.people.shown(records.looks[-1][0]) if records.looks else None,
        "trials_after_a_look": 0 if records.seen_before is None else records.seen_before.trials,
        "seen_before": "" if records.seen_before is None else records.seen_before.words,
        "gain": "" if records.gain is None else records.gain.words,
        "recent": [_recent(session, trial.number) for trial in session.trials[-RECENT_TRIALS:]],
        "certainty": paragraph(session, certainty_of(session, scores)),
        "how_to_go_on": state_words.how_to_go_on(session) if goes_on else "",
        "page": served.page_words(lab, session.id),
    }


def _recent(session: "Session", number: int) -> dict[str, Any]:
    """A trial as `show` lists it."""
    from evenhand.analysis.summaries import changes, reference

    trial = session.trial(number)
    assert trial is not None
    changed = changes(session.space, reference(session, trial), trial.configuration)
    return {
        "trial": number,
        "outcome": str(trial.outcome or "open"),
        "value": trial.value,
        "changed": ", ".join(f"{change.label} {change.after}" for change in changed),
    }


def _print(records: "RunRecords", facts: dict[str, Any]) -> None:
    import textwrap

    from evenhand.model.words import budget_words, clock, plural, show_score

    session, metric = records.session, facts["metric"]
    console.print(escape(f"Run {session.called} (session {session.id}): {session.tuner} on {facts['task']}, {facts['state']}"))
    best = facts["best"]
    _line(
        "best",
        "no trial has a value" if best is None else f"{metric} {show_score(best['value'], metric)} (trial {best['trial']})",
    )
    if best is not None:
        values = ", ".join(f"{name} {session.space[name].show(value)}" for name, value in best["values"].items())
        _line("", values)
    if facts["chosen"] is not None:
        _line("chosen", f"trial {facts['chosen']}")
    _line("test", _test_words(records, facts))
    if facts["looks"]:
        _line("looks", f"{plural(facts['looks'], 'look')} at the test score, the last by {facts['last_look_by']}")
    for name in ("gain", "seen_before"):
        if facts[name]:
            _line(name.partition("_")[0], facts[name])
    _line("spent", f"{plural(facts['trials'], 'trial')}, {plural(facts['epochs'], 'epoch')}, {clock(facts['seconds'])}")
    _line("budget", budget_words(session.budget))
    if facts["recent"]:
        console.print(_recent_table(facts["recent"], metric))
    for line in textwrap.wrap(facts["certainty"], LINE_CHARACTERS):
        console.print(escape(line))
    if facts["how_to_go_on"]:
        console.print(escape(facts["how_to_go_on"]))
    _line("page", facts["page"])


def _test_words(records: "RunRecords", facts: dict[str, Any]) -> str:
    from evenhand.model.words import plural, show_score

    session, test, metric = records.session, records.test, facts["metric"]
    if test is not None:
        half = "" if test.half is None else f" ± {show_score(test.half, metric)}"
        return f"{metric} {show_score(test.mean, metric)}{half}, {plural(len(test.values), 'seed')}"
    if not session.task.has_test:
        return "the task has no test data"
    if not session.evaluated.planned:
        return "not scored"
    return f"{session.evaluated.done} of {session.evaluated.planned} seeds scored; its page shows the score, and keeps who looked"


def _line(label: str, words: str) -> None:
    console.print(escape(f"  {label:<{LABEL_WIDTH}}{words}"))


def _recent_table(recent: Sequence[dict[str, Any]], metric: str) -> Table:
    from evenhand.model.words import show_score

    table = Table(box=None, pad_edge=False)
    for heading in ("trial", metric):
        table.add_column(heading, justify="right")
    table.add_column("outcome")
    table.add_column("changed from the one before", overflow="fold")
    for trial in recent:
        cells = (str(trial["trial"]), show_score(trial["value"], metric), trial["outcome"], trial["changed"])
        table.add_row(*map(escape, cells))
    return table


@app.command(name="compare-runs")
def compare_runs(
    runs: Annotated[list[str], typer.Argument(help="two to twenty runs, by their names or numbers", metavar="RUN RUN [RUN ...]")],
    shows_all: Annotated[bool, typer.Option("--all", help="what is the same in all of them, too")] = False,
    as_json: Json = False,
    db: Database = None,
) -> None:
    """Compare runs of one metric: what differs in their configurations, what they reached, and what that cost."""
    from evenhand.analysis.run_comparison import compare_runs as compared
    from evenhand.report import run_records

    lab = laboratory(db)
    try:
        sessions = [session_called(lab, name) for name in runs]
        who = names_that_looked(lab)
        evaluations = {}
        for session in sessions:
            evaluation = run_records.read(lab, session, who).evaluation
            if evaluation is not None:
                evaluations[session.id] = evaluation
    finally:
        lab.close()
    comparison = compared(sessions, evaluations)
    if as_json:
        typer.echo(json.dumps(asdict(comparison), indent=2, ensure_ascii=False))
        return
    console.print(_comparison_table(comparison, shows_all))
    for warning in comparison.warnings:
        console.print(f"[yellow]note[/] {escape(warning)}")


def _comparison_table(comparison: "RunComparison", shows_all: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for column in comparison.columns:
        table.add_column(escape(column.name), justify="right", overflow="fold")
    for label, cells in _reached(comparison):
        table.add_row(label, *map(escape, cells))
    rows = [row for row in comparison.rows if shows_all or row.differs]
    if rows:
        table.add_section()
    for row in rows:
        table.add_row(escape(row.label), *map(escape, _cells(row)))
    domains = [row for row in comparison.domains if row.differs]
    for row in domains:
        table.add_row(escape(f"range of {row.label}"), *map(escape, _cells(row)))
    return table


def _cells(row: "Row") -> list[str]:
    return ["–" if text is None else text for text in row.texts]


def _reached(comparison: "RunComparison") -> list[tuple[str, list[str]]]:
    """What the runs reached and spent, line by line; lines of which no run has anything are left out."""
    from evenhand.model.words import clock, show_score

    metric = comparison.metric

    def value(number: float | None) -> str:
        return show_score(number, metric)

    columns = comparison.columns
    lines = [
        ("task", [column.task for column in columns]),
        ("tuned by", [column.tuner for column in columns]),
        ("trial", [_trial_words(column) for column in columns]),
        (f"{metric}, validation", [value(column.value) for column in columns]),
        (f"best of the first {comparison.common_trials}", [value(column.best_at_common) for column in columns]),
        (f"{metric}, test", [_test_cell(column, metric) for column in columns]),
        ("trials", [str(column.trials) for column in columns]),
        ("epochs", [str(column.epochs) for column in columns]),
        ("time", [clock(column.seconds) for column in columns]),
    ]
    return [(label, cells) for label, cells in lines if any(cell != "–" for cell in cells)]


def _trial_words(column: "RunColumn") -> str:
    if column.number is None:
        return "–"
    return f"{column.number}, {'chosen' if column.is_chosen else 'the best'}"


def _test_cell(column: "RunColumn", metric: str) -> str:
    from evenhand.model.words import show_score

    if column.test is None:
        return "–"
    half = "" if column.test.half is None else f" ± {show_score(column.test.half, metric)}"
    return f"{show_score(column.test.mean, metric)}{half} (n = {len(column.test.values)})"
