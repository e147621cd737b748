"""The command `evenhand task new`, and how a check's numbers are printed."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from evenhand.tasks.check import Check

console = Console(highlight=False, soft_wrap=True)


def new(
    name: Annotated[str, typer.Argument(help="of the task; its file will be NAME.py", metavar="NAME")],
    source: Annotated[Path, typer.Option("--from", help="a folder of images CLASS/FILE, or a CSV file", metavar="DIR|FILE.csv")],
    target: Annotated[str | None, typer.Option(help="the column to predict [default: the last]")] = None,
    check: Annotated[bool, typer.Option(help="train its example under three seeds, for the first numbers")] = True,
) -> None:
    """Write a task file for your own data, to be read and changed, and show its first numbers."""
    with console.status("Reading the data ..."):
        from evenhand import newtask

        path = newtask.new(name, source, target=target)
    console.print(f"{path}: read it top to bottom; its comments say what to change")
    if check:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as bars:
            bar = bars.add_task("preparing the data", total=None)
            found = newtask.first_numbers(
                path, progress=lambda what, done, total: bars.update(bar, description=what, completed=done, total=total)
            )
        print_check(found.check)
        console.print(f"These numbers took {found.seconds:.0f} s. Next:")
    console.print(f"  evenhand task check {path}:train\n  evenhand tune {path}:train --method tpe --trials 20")


def print_check(found: "Check") -> None:
    """Print a task's check: the noise, and where random configurations were trained, their spread."""
    table = Table(box=None, show_header=False)
    table.add_row("one epoch", "none completed" if found.epoch_seconds is None else f"{found.epoch_seconds:.2f} s")
    pairs = [("the same configuration, several seeds", found.noise)]
    if found.random:
        pairs.append(("random configurations", found.spread))
    for label, pair in pairs:
        table.add_row(label, "too few have a value" if pair is None else f"{found.metric} {pair[0]:.4f}, SD {pair[1]:.4f}")
    wrong = next((each for each in found.same if each.value is None), None)
    if wrong is not None and wrong.why:
        table.add_row("why", wrong.why.splitlines()[-1].replace("[", r"\["))
    if found.chance is not None and found.stuck is not None:
        table.add_row("no better than chance", f"{found.stuck:.0%} of the random ones (chance is {found.chance:.3f})")
    elif found.chance is not None:
        table.add_row("chance", f"{found.chance:.4f}, by always naming the most common class")
    if found.random:
        table.add_row("outcomes", ", ".join(f"{count} {outcome}" for outcome, count in found.outcomes.items()))
    console.print(table)
    console.print(f"Each training took at most {found.epochs} epochs; standard deviations have n - 1.")
