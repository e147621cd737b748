"""The commands `evenhand task new`, `check` and `calibrate`: one's own task, whether it is worth studying, in which ranges."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from evenhand.cli.accounts import print_account, print_account_of
from evenhand.cli.options import DataName, Setting, Size, TaskName, console, escape, shown_steps, task_spec, writable

if TYPE_CHECKING:
    from evenhand.tasks.base import Task
    from evenhand.tasks.calibration import Spread, Wanted
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
        said = {option: value for option, value in reading.items() if value is not None}
        made = scaffold.new(name, source, target=target, reading=said)
    path = made.path
    print_account(made.account)
    console.print(f"{path}: read it top to bottom; its comments say what to change")
    if check:
        with shown_steps("preparing the data") as progress:
            numbers = scaffold.first_numbers(path, progress=progress)
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
    task = print_account_of(task, open_data=True)
    sheet = check.sample_sheet(task, Path("samples.png"))
    with shown_steps() as progress:
        result = check.check(task, seeds=seeds, configurations=configurations, epochs=epochs, progress=progress)
    print_check(result)
    if sheet:
        console.print(f"A few training images: {sheet}")


@app.command(name="calibrate")
def calibrate(
    name: TaskName,
    data: DataName = None,
    size: Size = None,
    setting: Setting = None,
    mean: Annotated[float, typer.Option(help="wanted mean accuracy of random configurations, a share of 1")] = 0.42,
    mean_within: Annotated[float, typer.Option(help="by how much the mean may miss")] = 0.05,
    sd: Annotated[float, typer.Option(help="wanted standard deviation, a share of 1")] = 0.24,
    sd_within: Annotated[float, typer.Option(help="by how much the standard deviation may miss")] = 0.04,
    at_chance: Annotated[float, typer.Option(help="largest share of configurations that learn nothing")] = 0.4,
    best: Annotated[float, typer.Option(help="least accuracy of the best one")] = 0.8,
    seconds: Annotated[float, typer.Option(help="longest median time of a training, in seconds of one core")] = 5.0,
    steps: Annotated[int, typer.Option(min=1, help="ranges to try at most; each is 24 to 60 trainings")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="of the draws")] = 0,
    state: Annotated[Path, typer.Option(help="keeps every draw; the same command goes on from it")] = Path("calibration.jsonl"),
    record: Annotated[
        Path | None, typer.Option(help="search nothing: draw from the task as it is, and write this record", metavar="FILE.json")
    ] = None,
    draws: Annotated[int, typer.Option(min=2, help="configurations of --record")] = 320,
) -> None:
    """Search the ranges and largest epochs of which random configurations have a wanted spread; or record that spread.

    Accuracies are shares of 1. What was drawn is kept, so that a command that was stopped goes on when it is given again.
    """
    from evenhand import tasks
    from evenhand.tasks import calibration
    from evenhand.tasks.threads import one_thread

    writable(record)
    writable(state)
    wanted = calibration.Wanted(mean, mean_within, sd, sd_within, at_chance, best, seconds)
    task = tasks.load(task_spec(name, data, size, setting))
    task = print_account_of(task, open_data=True)
    with shown_steps(long=True) as progress, one_thread():
        if record is not None:
            spread, chance = calibration.record(task, draws=draws, state=state, seed=seed, progress=progress)
        else:
            search = calibration.calibrate(task, wanted, state=state, steps=steps, seed=seed, progress=progress)
    if record is not None:
        print_spread(spread, wanted)
        record.write_text(json.dumps(record_of(task, spread, seed, chance), indent=1) + "\n")
        console.print(f"Written to {record}. It took {spread.seconds / 60:.1f} minutes of training.")
        return
    for number, step in enumerate(search.steps, 1):
        console.print(
            f"step {number}: {step.spread.draws} draws, mean {step.spread.mean:.1%}, SD {step.spread.sd:.1%}, "
            f"{step.spread.at_chance:.0%} at chance, best {step.spread.best:.1%}, median {step.spread.median_seconds:.1f} s"
        )
    print_spread(search.best.spread, wanted)
    ceiling = search.ceiling
    console.print(
        f"Ceiling: {'nothing learnt' if ceiling is None else f'{ceiling.value:.1%}'}. "
        f"It cost {len(search.draws)} trainings, {search.seconds / 60:.1f} minutes."
    )
    console.print("Ranges of these draws, all others as the task has them:" if search.found else "Not found. The nearest ranges:")
    console.print(f"  --set ranges={json.dumps(search.best.ranges)!r}")


def print_spread(spread: "Spread", wanted: "Wanted") -> None:
    """Print what draws look like: the numbers first, then the histogram, then what is not as wanted."""
    from evenhand.tasks.calibration import histogram

    console.print(
        f"{spread.draws} random configurations: mean {spread.mean:.1%}, SD {spread.sd:.1%}, {spread.at_chance:.0%} at chance, "
        f"best {spread.best:.1%}, median training {spread.median_seconds:.1f} s"
    )
    for line in histogram(spread.values):
        console.print(f"  {line}")
    for missed in spread.misses(wanted):
        console.print(f"Not as wanted: {missed}")


def record_of(task: "Task", spread: "Spread", seed: int, chance: float) -> dict[str, object]:
    """What `benchmarks/records` keeps of draws: the numbers, the space, the command."""
    import sys

    return {
        "what": "validation accuracy of random configurations, a share of 1; those without a value count as chance",
        "command": " ".join(["evenhand", *sys.argv[1:]]),
        "task": task.name,
        "version": task.version,
        "settings": dict(task.settings),
        "seed": seed,
        "draws": spread.draws,
        "mean": round(spread.mean, 4),
        "sd": round(spread.sd, 4),
        "at_chance": round(spread.at_chance, 4),
        "best": round(spread.best, 4),
        "chance": round(chance, 4),
        "median_seconds": round(spread.median_seconds, 2),
        "median_elapsed": round(spread.median_elapsed, 2),
        "seconds": round(spread.seconds, 1),
        "ranges": {hyperparameter.name: hyperparameter.domain.expected for hyperparameter in task.space},
        "values": [round(value, 4) for value in spread.values],
    }


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
