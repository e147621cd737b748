"""The command `evenhand contest`: tuned by hand against autotuned, on the five data sets of paper 003."""

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from evenhand.cli.options import Database, Processes, bars, console, writable
from evenhand.errors import InvalidSettings

if TYPE_CHECKING:
    from evenhand.report.blocks import Item, Report

app = typer.Typer()
PRINTED_KEYS = ("table-3", "difficulty", "architectures-")  # keys, or beginnings of keys, of the tables that the terminal shows
LEAST_WIDTH_LETTERS = 150  # letters of a table at least, also where the terminal says that it has fewer


@app.command()
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
    processes: Processes = None,
    out: Annotated[Path, typer.Option(help="the report (HTML)", callback=writable)] = Path("contest.html"),
    db: Database = None,
) -> None:
    """Tuned by hand against autotuned, as in paper 003; interrupted, the same command goes on where it stood."""
    from evenhand import settings
    from evenhand.experiments import compare
    from evenhand.experiments import contest as program
    from evenhand.report import page
    from evenhand.report.contest import report

    page.check()
    terms = program.Terms(
        sets=tuple(number.strip() for number in only.split(",")) if only else program.SETS,
        scale=scale,
        trials=trials,
        method=method,
        seed=seed,
        data=_pairs("--data", data),
        human={number: _session(value) for number, value in _pairs("--human", human).items()},
    )
    program.check(terms)
    with bars(long=True) as progress:
        bar = progress.add_task("trials", total=None)

        def show(now: program.ContestProgress) -> None:
            progress.update(bar, description=now.what, completed=now.done, total=now.planned)

        outcome = program.run(db or settings.default_database(), terms, processes=processes, tell=show)
    with console.status("Drawing ..."):
        title = "By hand or automatic: the contest of paper 003"
        built = report.build(outcome, compare.setup(title, " ".join(["evenhand", *sys.argv[1:]])))
        _write(built, out)
    for words in built.lead:
        console.print(words, markup=False)
    console.print(f"{out}: {len(built.items)} items")


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or ():
        number, equals, value = text.partition("=")
        if not number or not equals or not value or number in pairs:
            raise InvalidSettings(f"{option}: got {text!r}, expected NUMBER=VALUE, each number once")
        pairs[number] = value
    return pairs


def _session(value: str) -> int:
    from evenhand.model.typed_numbers import whole_number

    number = whole_number(value)
    if number is None:
        raise InvalidSettings(f"--human: got session {value!r}, expected its number, as the pages show it")
    return number


def _write(built: "Report", out: Path) -> None:
    from evenhand.report import page

    out.write_text(page.html(built, time.strftime("%Y-%m-%d", time.gmtime())), encoding="utf-8")
    for item in built.items:
        if item.key.startswith(PRINTED_KEYS):
            _print(item)


def _print(item: "Item") -> None:
    """An item's table, as wide as it is: numbers that are cut are of no use."""
    assert item.table is not None
    shown = Table(title=item.title, title_justify="left", box=None)
    for at, name in enumerate(item.table.columns):
        shown.add_column(name, justify="right" if at in item.table.numbers else "left", overflow="fold")
    for row in item.table.rows:
        shown.add_row(*row)
    Console(highlight=False, soft_wrap=True, width=max(console.width, LEAST_WIDTH_LETTERS)).print(shown)
