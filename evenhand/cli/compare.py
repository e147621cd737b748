"""The command `evenhand compare`: methods x tasks x seeds on equal budgets, with people's and bots' sessions beside them."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from evenhand.cli.options import Database, Processes, bars, console, writable

if TYPE_CHECKING:
    from evenhand.analysis.anytime import Comparison, Setup

app = typer.Typer()


@app.command()
def compare(
    task: Annotated[list[str], typer.Option("--task", help="NAME, FILE.py:NAME or NAME[key=value,...]; repeatable")],
    method: Annotated[list[str], typer.Option("--method", help="NAME, NAME:key=value,... or LABEL=NAME:...; repeatable")],
    seeds: Annotated[int, typer.Option(min=1, max=10_000, help="repetitions of each method on each task")] = 5,
    trials: Annotated[int | None, typer.Option(help="budget of each run: trials")] = None,
    epochs: Annotated[int | None, typer.Option(help="budget of each run: epochs")] = None,
    minutes: Annotated[float | None, typer.Option(help="budget of each run: minutes")] = None,
    test_seeds: Annotated[int, typer.Option(min=0, max=10_000, help="seeds of each choice's score on test; 0 for none")] = 10,
    study: Annotated[list[str] | None, typer.Option("--study", help="people and bots of this study too; repeatable")] = None,
    processes: Processes = None,
    title: Annotated[str, typer.Option(help="of the report")] = "Comparison",
    out: Annotated[
        Path, typer.Option(help="the report (HTML); the disclosure sheet (LaTeX) goes beside it", callback=writable)
    ] = Path("comparison.html"),
    db: Database = None,
) -> None:
    """Compare methods on equal budgets with paired seeds; interrupted, the same command goes on where it stood."""
    from evenhand import settings
    from evenhand.experiments import compare as comparisons
    from evenhand.model import rules
    from evenhand.report import page

    page.check()
    plan = comparisons.ComparisonPlan(
        tasks=tuple(comparisons.task_spec(text) for text in task),
        contestants=tuple(comparisons.contestant(text) for text in method),
        seeds=tuple(range(seeds)),
        budget=rules.parse_budget(None if minutes is None else 60 * minutes, trials, epochs),
        evaluation_seeds=test_seeds,
    )
    url = db or settings.default_database()
    with console.status("Preparing the tasks' data ..."):
        runs = comparisons.open_all(url, [plan], study or ())
    with bars(long=True) as progress:
        bar = progress.add_task("runs", total=None)
        comparisons.play_all(
            url, runs, processes=processes, tell=lambda now: progress.update(bar, completed=now.runs, total=now.planned)
        )
    with console.status("Computing ..."):
        comparison = comparisons.comparison(url, runs, study or ())
        setup = comparisons.setup(title, " ".join(["evenhand", *sys.argv[1:]]))
    write(comparison, setup, out)


def write(comparison: "Comparison", setup: "Setup", out: Path) -> None:
    """Write a comparison's report, and its disclosure sheet beside it, and print its ranks and the reviewer's checklist."""
    from evenhand.report import latex, page
    from evenhand.report.comparison import report

    with console.status("Drawing ..."):
        built = report.build(comparison, setup)
        out.write_text(page.html(built, time.strftime("%Y-%m-%d", time.gmtime())), encoding="utf-8")
        sheet = out.with_suffix(".tex")
        sheet.write_text(latex.latex(built), encoding="utf-8")
    tables = {item.key: item.table for item in built.items}
    for shown in (tables["average-ranks"], tables["recommendations"]):
        if shown is not None:
            table = Table(*shown.columns, box=None)
            for row in shown.rows:
                table.add_row(*map(escape, row))
            console.print(table)
    for line in built.lead:
        console.print(line, markup=False)
    console.print(f"{out}: {len(built.items)} items; {sheet}: the disclosure sheet")
