"""The command `evenhand runs`: every session outside of studies, as the page of runs has them."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from evenhand.cli.options import Database, console, errors, escape, laboratory

if TYPE_CHECKING:
    from evenhand.analysis.run_rows import RunRow

app = typer.Typer()

SHOWN_RUNS = 50  # rows, where nothing else is asked for


@app.command(name="runs")
def runs(
    wanted: Annotated[
        list[str] | None, typer.Argument(help="a filter, such as: accuracy>0.9 tag:paper", metavar="[FILTER]")
    ] = None,
    sort: Annotated[str, typer.Option(help="a column, with - before it where the largest comes first")] = "-opened",
    limit: Annotated[int, typer.Option(min=1, help="runs to show")] = SHOWN_RUNS,
    archived: Annotated[bool, typer.Option("--archived", help="the archived ones")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line, with all that a filter can ask")] = False,
    db: Database = None,
) -> None:
    """List the runs of this laboratory, the newest first."""
    from evenhand.analysis.run_list import Wish, listing
    from evenhand.analysis.run_rows import RunRow
    from evenhand.errors import InvalidSettings

    lab = laboratory(db)
    rows_there, damaged = lab.runs.read()
    shown = listing(rows_there, Wish(" ".join(wanted or ()), sort, shelf="archived" if archived else ""))
    entries = [entry for entry in shown.entries if isinstance(entry, RunRow)][:limit]
    rows = [replace(row, tuner=lab.people.shown(row.tuner)) for row in entries]  # people by their names
    lab.close()
    if shown.problem:
        raise InvalidSettings(shown.problem)
    if damaged:
        errors.print(
            f"not listed, since what is stored of them is damaged: {', '.join(f'session {number}' for number in damaged)}"
        )
    if as_json:
        for row in rows:
            typer.echo(json.dumps(_as_json(row), ensure_ascii=False))
        return
    if not rows:
        console.print("No run is like that." if shown.of else "No run yet: evenhand tune FILE.py:NAME --method tpe --trials 50")
        return
    console.print(_table(rows))
    if shown.count > len(rows):
        console.print(f"{len(rows)} of {shown.count} runs; more with --limit.")


def _as_json(row: "RunRow") -> dict[str, Any]:
    fields = {name: list(value) if isinstance(value, tuple) else value for name, value in row.fields.items()}
    return {"session": row.session_id, "metric": row.metric, "opened_at": row.opened_at, **fields}


def _table(rows: "list[RunRow]") -> Table:
    from evenhand.model.words import clock, show_score

    table = Table(box=None, pad_edge=False)
    for heading in ("#", "run", "task", "tuned by", "state"):
        table.add_column(heading, overflow="fold")
    for heading in ("trials", "best", "time"):
        table.add_column(heading, justify="right")
    table.add_column("tags", overflow="fold")
    for row in rows:
        trials = str(row.trials) if row.planned in (None, row.trials) else f"{row.trials} of {row.planned}"
        best = f"{row.metric} {show_score(row.best, row.metric)}"
        cells = (
            str(row.session_id),
            row.name,
            row.task,
            row.tuner,
            row.state,
            trials,
            best,
            clock(row.seconds),
            ", ".join(row.notes.tags),
        )
        table.add_row(*map(escape, cells))
    return table
