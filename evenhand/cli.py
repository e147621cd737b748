"""The command line: `evenhand serve`, `tune`, `agent`, `data`, `task`, `replay`, `signin`.

Heavy imports wait until their command runs, so that `evenhand --help` answers at once.
"""

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from evenhand import (
    __version__,
    backupcommands,
    botcommands,
    classcommands,
    comparecommands,
    contestcommands,
    optunacommands,
    settings,
    studycommands,
    taskcommands,
)
from evenhand.errors import EvenhandError, InvalidSettings

if TYPE_CHECKING:
    from evenhand.records import TaskSpec
    from evenhand.space import Prior, Space

app = typer.Typer(
    name="evenhand",
    help="A laboratory where people and optimizers tune the same task on equal terms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="The image data sets that the black-magic task can use.")
task_app = typer.Typer(help="Tasks: what is trained.", no_args_is_help=True)
app.add_typer(data_app, name="data", invoke_without_command=True)
app.add_typer(task_app, name="task")
app.add_typer(studycommands.app, name="study")
app.add_typer(optunacommands.app, name="optuna")
task_app.command(name="new")(taskcommands.new)
app.command()(botcommands.bots)
app.command()(backupcommands.backup)
app.command()(backupcommands.restore)
app.command()(comparecommands.compare)
app.command()(contestcommands.contest)
app.command(name="class")(classcommands.open_class)

console = Console(highlight=False, soft_wrap=True)
SIGNIN_SECONDS = 24 * 3600.0

Database = Annotated[str | None, typer.Option("--db", help="SQLAlchemy URL [default: SQLite in the data directory]")]
TaskName = Annotated[str, typer.Argument(help="a built-in task (docs/tasks.md), FILE.py:NAME or MODULE:NAME", metavar="TASK")]
DataName = Annotated[str | None, typer.Option("--data", help="data set by name, or a folder or tar of SPLIT/CLASS/FILE")]
Size = Annotated[int | None, typer.Option("--size", help="image size in pixels")]
Setting = Annotated[list[str] | None, typer.Option("--set", help="another setting of the task, as KEY=VALUE; repeatable")]


def main() -> None:
    """The entry point: deliberate errors become one message and exit code 1, anything else keeps its traceback."""
    try:
        app()
    except EvenhandError as error:
        console.print(f"[red]error[/] {escape(str(error))}")
        raise SystemExit(1) from None


def escape(text: str) -> str:
    """Text that Rich shall print as it is."""
    return text.replace("[", r"\[")


def _show_version(wanted: bool) -> None:
    if wanted:
        console.print(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True)] = False,
) -> None:
    """A laboratory where people and optimizers tune the same task on equal terms."""


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="address to listen on; the default: this machine only")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="port to listen on")] = settings.DEFAULT_PORT,
    slots: Annotated[int | None, typer.Option(help="trainings at once on this machine [default: one per core]")] = None,
    db: Database = None,
    sample: Annotated[bool, typer.Option("--sample", help="open the sample study, on the best data at hand")] = False,
    data: DataName = None,
    size: Size = None,
    setting: Setting = None,
) -> None:
    """Start the laboratory: pages, agents on this machine, and a sign-in link for the researcher."""
    _check_port(host, port)
    with console.status("Opening the laboratory ..."):
        from evenhand import tasks
        from evenhand.lab import Lab
        from evenhand.sample import sample_study
        from evenhand.web.serving import Server

        lab = Lab.connect(db)
    wanted = tasks.read_settings(data, size, setting)
    if wanted or sample:
        with console.status("Preparing the data of the sample study ..."):
            study = sample_study(lab, wanted)
        console.print(f"Sample study: {study.title}, on {_statistics(lab.task(study.task_id).statistics)}")
    server = Server(lab, host, port, os.cpu_count() or 1 if slots is None else slots)
    console.print(f"Evenhand {__version__} is running at [bold]http://{host}:{port}[/]")
    console.print(f"Sign in as the researcher, once, within a day: [bold]{_signin_link(lab.issue_token, host, port)}[/]")
    console.print(f"Data: {settings.data_dir()}   Stop with Ctrl-C; running trainings go back to the queue.")
    server.run()


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InvalidSettings(
                f"cannot listen on {host}:{port}: {error.strerror}; is Evenhand running already? Another port: --port {port + 1}"
            ) from None


def _signin_link(issue: Any, host: str, port: int) -> str:
    return f"http://{host}:{port}/signin/{issue('signin', seconds=SIGNIN_SECONDS)}"


def _statistics(statistics: Any) -> str:
    return ", ".join(f"{name} {value}" for name, value in statistics.items())


@app.command()
def signin(
    host: Annotated[str, typer.Option(help="address of the running laboratory")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="its port")] = settings.DEFAULT_PORT,
    db: Database = None,
) -> None:
    """Print a new one-time sign-in link for the researcher."""
    from evenhand.lab import Lab

    console.print(_signin_link(Lab.connect(db).issue_token, host, port))


@app.command()
def agent(
    url: Annotated[str, typer.Argument(help="address of the laboratory, such as http://lab.example:8765")],
    token: Annotated[str, typer.Option(envvar="EVENHAND_AGENT_TOKEN", help="the agent's token")],
    slots: Annotated[int, typer.Option(help="trainings at once [default: one per core]")] = 0,
    name: Annotated[str, typer.Option(help="what the researcher's page calls this agent")] = "",
    nice: Annotated[int, typer.Option(help="how far trainings give way to other programs, 0 to 19")] = 0,
) -> None:
    """Train for a laboratory: claim its trainings, run them here, send what they measure."""
    from evenhand.worker import main_agent

    main_agent(url, token, slots=slots or os.cpu_count() or 1, name=name or socket.gethostname(), nice=nice)


@app.command(name="add-agent")
def add_agent(
    name: Annotated[str, typer.Argument(help="what the researcher's page calls the agent")],
    slots: Annotated[int, typer.Option(help="trainings at once")] = 1,
    db: Database = None,
) -> None:
    """Make an agent known and print its token, once."""
    from evenhand.lab import Lab

    _, token = Lab.connect(db).add_agent(name, slots)
    console.print(token)


@data_app.callback()
def data_list(context: typer.Context) -> None:
    """List the data sets with their state; `evenhand data fetch NAME` brings one here."""
    if context.invoked_subcommand is not None:
        return
    from evenhand.tasks import images

    table = Table("name", "state", "images", "download", "licence", "checksum", box=None)
    for each in images.sources():
        size = f"{each.size / 1e6:.0f} MB" if each.size else "none"
        table.add_row(each.name, each.state, str(each.images), size, each.licence, each.checksum)
    console.print(table)
    console.print(f"Kept in {images.home()}. A folder or tar of SPLIT/CLASS/FILE can be named by its path wherever a name can.")


@data_app.command(name="fetch")
def data_fetch(name: Annotated[str, typer.Argument(help="a name that `evenhand data` lists")]) -> None:
    """Download a data set; what was interrupted is continued."""
    from evenhand.tasks import images

    with Progress(TextColumn(name), BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task(name, total=None)
        found = images.fetch(name, lambda done, total: progress.update(bar, completed=done, total=total))
    console.print(f"{found.name}: {found.state}, {found.where or 'nothing to download'}")


@task_app.command(name="check")
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

    task = tasks.load(_spec(name, data, size, setting))
    sheet = check.sample_sheet(task, Path("samples.png"))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("", total=None)
        found = check.check(
            task,
            seeds=seeds,
            configurations=configurations,
            epochs=epochs,
            progress=lambda what, done, total: progress.update(bar, description=what, completed=done, total=total),
        )
    taskcommands.print_check(found)
    if sheet:
        console.print(f"A few training images: {sheet}")


@app.command()
def replay(
    session: Annotated[int, typer.Argument(help="the session's number")],
    trial: Annotated[int, typer.Argument(help="the trial's number within it")],
    db: Database = None,
) -> None:
    """Retrain a stored trial and say whether every measurement matches."""
    from evenhand.lab import Lab
    from evenhand.replay import replay as run

    with console.status(f"Training trial {trial} of session {session} again ..."):
        found = run(Lab.connect(db), session, trial)
    console.print(str(found))
    raise typer.Exit(0 if found.matches else 1)


@app.command()
def tune(
    name: TaskName,
    method: Annotated[str, typer.Option(help="NAME or NAME:key=value,...; docs/methods.md lists them")] = "random",
    stopping: Annotated[str | None, typer.Option(help="a rule that ends running trials early: median")] = None,
    prior: Annotated[list[str] | None, typer.Option(help="a likely value, as NAME=VALUE or NAME=VALUE:high; repeatable")] = None,
    trials: Annotated[int | None, typer.Option(help="budget: number of trials")] = None,
    minutes: Annotated[float | None, typer.Option(help="budget: minutes")] = None,
    epochs: Annotated[int | None, typer.Option(help="budget: epochs in all")] = None,
    epochs_per_trial: Annotated[int | None, typer.Option(help="train every trial for so many epochs")] = None,
    parallel: Annotated[int, typer.Option(help="how many trials train at once, each in a thread")] = 1,
    seed: Annotated[int, typer.Option(help="seed of the method")] = 0,
    data: DataName = None,
    size: Size = None,
    setting: Setting = None,
    evaluate: Annotated[bool, typer.Option(help="score the choice on test with ten seeds")] = True,
    db: Database = None,
) -> None:
    """Let a method tune a task under a budget, and score its choice on test; the pages show the session."""
    from evenhand import tasks
    from evenhand.comparison import contestant
    from evenhand.tuning import tune as run

    described = dict(contestant(method).method)
    if stopping is not None:
        described["stopping"] = stopping
    with console.status("Preparing the task's data ..."):
        task = tasks.load(_spec(name, data, size, setting))
    found = run(
        task,
        method=described.pop("name"),
        trials=trials,
        minutes=minutes,
        epochs=epochs,
        epochs_per_trial=epochs_per_trial,
        parallel=parallel,
        priors=_priors(task.space, prior or []),
        seed=seed,
        evaluate=evaluate,
        db=db,
        **described,
    )
    console.print(escape(repr(found)))


def _priors(space: "Space", texts: list[str]) -> "dict[str, Prior]":
    """What `--prior` says: NAME=VALUE, or NAME=VALUE:CONFIDENCE."""
    from evenhand.space import Prior

    found = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        value, colon, confidence = rest.rpartition(":")
        if not colon:
            value, confidence = rest, "medium"
        if not equals or name not in space or confidence not in ("low", "medium", "high"):
            expected = "NAME=VALUE or NAME=VALUE:CONFIDENCE with low, medium or high"
            raise InvalidSettings(f"--prior {text!r}: expected {expected}, and one of {', '.join(space.names)}")
        try:
            found[name] = Prior(space[name].domain.accept(value), confidence)  # type: ignore[arg-type] # checked above
        except (ValueError, TypeError, OverflowError):
            raise InvalidSettings(f"--prior {text!r}: {value!r} is not {space[name].domain.expected}") from None
    return found


def _spec(name: str, data: str | None, size: int | None, setting: list[str] | None) -> "TaskSpec":
    from evenhand import tasks
    from evenhand.records import TaskSpec

    return TaskSpec(name, tasks.read_settings(data, size, setting))


if __name__ == "__main__":
    main()
