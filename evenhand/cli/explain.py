"""The command `evenhand explain`: what a run's trials, or those in a file of any tool, say; with how sure that is."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evenhand.cli.options import Database, console, escape, laboratory, names_that_looked, session_called, writable
from evenhand.errors import InvalidSettings

if TYPE_CHECKING:
    from evenhand.experiments.explanation import Explanation

app = typer.Typer()
IMPORTANCE = "importance"  # whose entries `--json` prints first


@app.command()
def explain(
    source: Annotated[
        str, typer.Argument(help="a run's name or number, or a file or storage of another tool", metavar="RUN_OR_FILE_OR_URL")
    ],
    target: Annotated[
        str | None,
        typer.Option("--target", "--metric", help="of a file: what was tuned, where no name says it"),
    ] = None,
    minimize: Annotated[bool, typer.Option("--minimize", help="of a file: smaller values of it are better")] = False,
    study: Annotated[str | None, typer.Option(help="of a file: one of several studies")] = None,
    out: Annotated[Path | None, typer.Option(help="write a report: .html or .pdf", callback=writable)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print the numbers, for programs")] = False,
    only: Annotated[str | None, typer.Option(help="keys of cards, with commas between them, such as noise,checks")] = None,
    db: Database = None,
) -> None:
    """Say what mattered, what is noise, whether the search is healthy, and how sure all that is."""
    from evenhand.cli.report import check_out
    from evenhand.explain.explained import wanted

    keys = [key.strip() for key in (only or "").split(",") if key.strip()]
    wanted(keys)
    if out is not None:
        check_out(out)
    is_file = "://" in source or Path(source).expanduser().exists()
    if not is_file and (target is not None or minimize or study is not None):
        raise InvalidSettings(
            f"explain {source!r}: --target, --minimize and --study are of a file, and there is no file {source}"
        )
    with nullcontext() if as_json else console.status("Computing ..."):
        explanation = _of_file(source, target, minimize, study, keys) if is_file else _of_run(source, keys, db)
    if as_json:
        typer.echo(json.dumps(numbers(explanation), ensure_ascii=False, indent=1, allow_nan=False))
    if out is not None:
        explanation.report(out)
    if not as_json:
        _show(explanation, out)


def _of_file(source: str, target: str | None, minimize: bool, study: str | None, keys: list[str]) -> "Explanation":
    from evenhand.experiments.explanation import explain_source

    return explain_source(source, target, False if minimize else None, keys, study=study)


def _of_run(name: str, keys: list[str], db: str | None) -> "Explanation":
    from evenhand.experiments.explanation import explain_session
    from evenhand.report import run_records
    from evenhand.report.cards.histories import history_of

    lab = laboratory(db)
    try:
        records = run_records.read(lab, session_called(lab, name), names_that_looked(lab))
        names = run_records.names_in(lab, records)
    finally:
        lab.close()
    session = records.session
    return explain_session(session, session.name or f"run {session.called}", keys, history_of(session, records.evaluation, names))


def numbers(explanation: "Explanation") -> dict[str, Any]:
    """All numbers, and each hyperparameter's importance by itself, where that is among the cards."""
    cards = explanation.data
    facts: dict[str, Any] = {
        "title": explanation.title,
        "metric": explanation.metric,
        "maximize": explanation.maximize,
        "trials": explanation.trials,
    }
    if IMPORTANCE in cards:
        facts["hyperparameters"] = cards[IMPORTANCE].get("hyperparameters", [])
    return {**facts, "cards": cards}


def _show(explanation: "Explanation", out: Path | None) -> None:
    console.print(f"[bold]{escape(explanation.title)}[/]: {explanation.trials} trials")
    for card in explanation:
        console.print(f"\n[bold]{escape(card.title)}[/]")
        console.print(escape(card.finding))
        if card.sure:
            console.print(f"  [dim]{escape(card.sure)}[/]")
        for step in card.next:
            console.print(f"  → {escape(step.words)}")
    if out is not None:
        console.print(f"\nWrote {escape(str(out))}")
