"""The command `evenhand compare`: methods x tasks x seeds on equal budgets, with people's and bots' sessions beside them."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from evenhand.analysis.anytime import Comparison
    from evenhand.report.sheet import Setup

console = Console(highlight=False, soft_wrap=True)


def compare(
    task: Annotated[list[str], typer.Option("--task", help="NAME, FILE.py:NAME or NAME[key=value,...]; repeatable")],
    method: Annotated[list[str], typer.Option("--method", help="NAME, NAME:key=value,... or LABEL=NAME:...; repeatable")],
    seeds: Annotated[int, typer.Option(help="repetitions of each method on each task")] = 5,
    trials: Annotated[int | None, typer.Option(help="budget of each run: trials")] = None,
    epochs: Annotated[int | None, typer.Option(help="budget of each run: epochs")] = None,
    minutes: Annotated[float | None, typer.Option(help="budget of each run: minutes")] = None,
    test_seeds: Annotated[int, typer.Option(help="seeds of each choice's score on test; 0 for none")] = 10,
    study: Annotated[list[str] | None, typer.Option("--study", help="people and bots of this study too; repeatable")] = None,
    processes: Annotated[int | None, typer.Option(help="runs at once [default: one per core]")] = None,
    title: Annotated[str, typer.Option(help="of the report")] = "Comparison",
    out: Annotated[Path, typer.Option(help="the report (HTML); the disclosure sheet (LaTeX) goes beside it")] = Path(
        "comparison.html"
    ),
    db: Annotated[str | None, typer.Option("--db", help="SQLAlchemy URL [default: SQLite in the data directory]")] = None,
) -> None:
    """Compare methods on equal budgets with paired seeds; interrupted, the same command goes on where it stood."""
    from evenhand import comparison, protocol, settings

    plan = comparison.Plan(
        tasks=tuple(comparison.task_spec(each) for each in task),
        contestants=tuple(comparison.contestant(each) for each in method),
        seeds=tuple(range(seeds)),
        budget=protocol.parse_budget(None if minutes is None else 60 * minutes, trials, epochs),
        evaluation_seeds=test_seeds,
    )
    url = db or settings.default_database()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("runs", total=None)
        runs = comparison.run(
            url, plan, processes=processes, tell=lambda now: bars.update(bar, completed=now.runs, total=now.planned)
        )
    with console.status("Computing ..."):
        found = comparison.comparison(url, runs, study or ())
        setup = comparison.setup(title, " ".join(["evenhand", *sys.argv[1:]]))
    write(found, setup, out)


def write(found: "Comparison", setup: "Setup", out: Path) -> None:
    """Write a comparison's report, and its disclosure sheet beside it, and print its ranks."""
    from evenhand.report import comparison as report
    from evenhand.report import latex, page

    with console.status("Drawing ..."):
        built = report.build(found, setup)
        out.write_text(page.html(built, time.strftime("%Y-%m-%d", time.gmtime())), encoding="utf-8")
        sheet = out.with_suffix(".tex")
        sheet.write_text(latex.latex(built), encoding="utf-8")
    ranks = next((item.table for section in built.sections for item in section.items if item.key == "average-ranks"), None)
    if ranks is not None:
        table = Table(*ranks.columns, box=None)
        for row in ranks.rows:
            table.add_row(*row)
        console.print(table)
    for line in built.lead:
        console.print(line, markup=False)
    console.print(f"{out}: {len(built.items)} items; {sheet}: the disclosure sheet")
