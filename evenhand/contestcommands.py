"""The command `evenhand contest`: tuned by hand against autotuned, on the five data sets of paper 003."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from evenhand.errors import InvalidSettings

if TYPE_CHECKING:
    from evenhand.report.blocks import Item, Report

console = Console(highlight=False, soft_wrap=True)
PRINTED = ("table-3", "difficulty", "architectures-")  # keys, or beginnings of keys, of the tables that the terminal shows
WIDTH = 150  # letters of a table at least, also where the terminal says that it has fewer


def contest(
    name: Annotated[Literal["seed003"], typer.Argument(help="which contest")],
    scale: Annotated[float, typer.Option(help="share of the paper's points of #08 to #10, above 0 and at most 1")] = 1.0,
    trials: Annotated[int, typer.Option(help="trials of each autotuner")] = 500,
    method: Annotated[str, typer.Option(help="the autotuner: NAME or NAME:key=value,...")] = "random",
    seed: Annotated[int, typer.Option(help="root of all draws")] = 42,
    only: Annotated[str | None, typer.Option(help="data sets, as in 08,09,10 [default: all five]")] = None,
    data: Annotated[
        list[str] | None, typer.Option(help="NUMBER=DIR or NUMBER=DIR[key=value,...], a data set's real data; repeatable")
    ] = None,
    human: Annotated[
        list[str] | None, typer.Option(help="NUMBER=SESSION, a person's session that enters as tuned by hand; repeatable")
    ] = None,
    processes: Annotated[int | None, typer.Option(help="runs at once [default: one per core]")] = None,
    out: Annotated[Path, typer.Option(help="the report (HTML)")] = Path("contest.html"),
    db: Annotated[str | None, typer.Option("--db", help="SQLAlchemy URL [default: SQLite in the data directory]")] = None,
) -> None:
    """Tuned by hand against autotuned, as in paper 003; interrupted, the same command goes on where it stood."""
    from evenhand import comparison, settings
    from evenhand import contest as program
    from evenhand.report import contest as report

    terms = program.Terms(
        sets=tuple(each.strip() for each in only.split(",")) if only else program.SETS,
        scale=scale,
        trials=trials,
        method=method,
        seed=seed,
        data=_pairs("--data", data),
        human={number: _session(value) for number, value in _pairs("--human", human).items()},
    )
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bars:
        bar = bars.add_task("trials", total=None)

        def show(now: program.Progress) -> None:
            bars.update(bar, description=now.what, completed=now.done, total=now.planned)

        found = program.run(db or settings.default_database(), terms, processes=processes, tell=show)
    with console.status("Drawing ..."):
        title = "By hand or automatic: the contest of paper 003"
        built = report.build(found, comparison.setup(title, " ".join(["evenhand", *sys.argv[1:]])))
        _write(built, out)
    for words in built.lead:
        console.print(words, markup=False)
    console.print(f"{out}: {len(built.items)} items")


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in given or ():
        number, equals, value = each.partition("=")
        if not number or not equals or not value or number in found:
            raise InvalidSettings(f"{option}: got {each!r}, expected NUMBER=VALUE, each number once")
        found[number] = value
    return found


def _session(value: str) -> int:
    if not value.isdecimal():
        raise InvalidSettings(f"--human: got session {value!r}, expected its number, as the pages show it")
    return int(value)


def _write(built: "Report", out: Path) -> None:
    from evenhand.report import page

    out.write_text(page.html(built, time.strftime("%Y-%m-%d", time.gmtime())), encoding="utf-8")
    for item in built.items:
        if item.key.startswith(PRINTED):
            _print(item)


def _print(item: "Item") -> None:
    """An item's table, as wide as it is: numbers that are cut are of no use."""
    assert item.table is not None
    shown = Table(title=item.title, title_justify="left", box=None)
    for at, name in enumerate(item.table.columns):
        shown.add_column(name, justify="right" if at in item.table.numbers else "left", overflow="fold")
    for row in item.table.rows:
        shown.add_row(*row)
    Console(highlight=False, soft_wrap=True, width=max(console.width, WIDTH)).print(shown)
