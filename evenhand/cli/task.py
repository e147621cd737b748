"""The commands `evenhand task new` and `check`: a task of one's own, and what makes a task worth studying."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from evenhand.cli.accounts import print_account, print_account_of
from evenhand.cli.options import DataName, Setting, Size, TaskName, bars, console, escape, task_spec

if TYPE_CHECKING:
    from evenhand.tasks.check import TaskCheck

app = typer.Typer(name="task", help="Tasks: what is trained.", no_args_is_help=True)


@app.command(name="new")
def new(
    name: Annotated[str, typer.Argument(help="of the task; its file will be NAME.py", metavar="NAME")],
    source: Annotated[Path, typer.Option("--from", help="a folder of images CLASS/FILE, or a CSV file", metavar="DIR|FILE.csv")],
    target: Annotated[str | None, typer.Option(help="the column to predict [default: the last]")] = None,
    classes: Annotated[bool | None, typer.Option("--classes/--numbers", help="what the target is [default: told]")] = None,
    header: Annotated[bool | None, typer.Option(help="whether the first line names the columns [default: told]")] = None,
    delimiter: Annotated[str | None, typer.Option(help="what splits cells [default: told from the rows]")] = None,
    encoding: Annotated[str | None, typer.Option(help="of the table's text, such as cp1252 [default: UTF-8]")] = None,
    decimal: Annotated[str | None, typer.Option(help="the decimal mark, a point or a comma [default: told]")] = None,
    missing: Annotated[list[str] | None, typer.Option(help="a further text that stands for no value; repeatable")] = None,
    text: Annotated[list[str] | None, typer.Option(help="a column that is text, whatever it looks like; repeatable")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="a column to keep that would be left out; repeatable")] = None,
    leave_out: Annotated[list[str] | None, typer.Option(help="a column not to learn from; repeatable")] = None,
    check: Annotated[bool, typer.Option(help="train its example under three seeds, for the first numbers")] = True,
) -> None:
    """Write a task file for your own data, to be read and changed, and show its first numbers."""
    with console.status("Reading the data ..."):
        from evenhand.tasks import scaffold

        reading = {
            "classes": classes, "header": header, "delimiter": delimiter, "encoding": encoding, "decimal": decimal,
            "missing": missing, "text": text, "keep": keep, "leave_out": leave_out,
        }  # fmt: skip
        given = {option: value for option, value in reading.items() if value is not None}
        made = scaffold.new(name, source, target=target, reading=given)
    path = made.path
    print_account(made.account)
    console.print(f"{path}: read it top to bottom; its comments say what to change")
    if check:
        with bars() as progress:
            bar = progress.add_task("preparing the data", total=None)
            numbers = scaffold.first_numbers(
                path, progress=lambda what, done, total: progress.update(bar, description=what, completed=done, total=total)
            )
        print_check(numbers.check)
        console.print(f"These numbers took {numbers.seconds:.0f} s. Next:")
    console.print(f"  evenhand task check {path}:train\n  evenhand tune {path}:train --method tpe --trials 20")


@app.command(name="check")
def task_check(
    name: TaskName,
    data: DataName = None,
    size: Size = None,
    setting: Setting = None,
    configurations: Annotated[int, typer.Option(help="random configurations for the spread")] = 20,
    epochs: Annotated[int, typer.Option(help="epochs of each training at most")] = 2,
    seeds: Annotated[int, typer.Option(help="seeds of one configuration for the noise")] = 3,
) -> None:
    """What makes a task worth studying: the time of an epoch, the noise over seeds, the spread of random configurations."""
    from evenhand import tasks
    from evenhand.tasks import check

    task = tasks.load(task_spec(name, data, size, setting))
    print_account_of(task, open_data=True)
    sheet = check.sample_sheet(task, Path("samples.png"))
    with bars() as progress:
        bar = progress.add_task("", total=None)
        result = check.check(
            task,
            seeds=seeds,
            configurations=configurations,
            epochs=epochs,
            progress=lambda what, done, total: progress.update(bar, description=what, completed=done, total=total),
        )
    print_check(result)
    if sheet:
        console.print(f"A few training images: {sheet}")


def print_check(result: "TaskCheck") -> None:
    """Print a task's check: the noise, and where random configurations were trained, their spread."""
    from evenhand.model.words import last_line

    table = Table(box=None, show_header=False)
    table.add_row("one epoch", "none completed" if result.epoch_seconds is None else f"{result.epoch_seconds:.2f} s")
    pairs = [("the same configuration, several seeds", result.noise)]
    if result.random:
        pairs.append(("random configurations", result.spread))
    for label, pair in pairs:
        table.add_row(label, "too few have a value" if pair is None else f"{result.metric} {pair[0]:.4f}, SD {pair[1]:.4f}")
    wrong = next((training for training in result.same if training.value is None), None)
    if wrong is not None and wrong.why:
        table.add_row("why", escape(last_line(wrong.why)))
    if result.chance is not None and result.stuck is not None:
        table.add_row("no better than chance", f"{result.stuck:.0%} of the random ones (chance is {result.chance:.3f})")
    elif result.chance is not None:
        table.add_row("chance", f"{result.chance:.4f}, by always naming the most common class")
    if result.random:
        table.add_row("outcomes", ", ".join(f"{count} {outcome}" for outcome, count in result.outcomes.items()))
    console.print(table)
    console.print(f"Each training took at most {result.epochs} epochs; standard deviations have n - 1.")
