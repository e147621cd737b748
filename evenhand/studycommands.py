"""The commands `evenhand study ...`: from the file to the published, closed and reported study."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from evenhand import datacommands, reportcommands, settings
from evenhand.errors import InvalidSettings, Refused

if TYPE_CHECKING:
    from evenhand.studyfile import Declared
    from evenhand.tasks.base import Task

app = typer.Typer(help="Studies: from the file to the report.", no_args_is_help=True)
app.command(name="report")(reportcommands.report)
app.command(name="export")(datacommands.export)
app.command(name="import")(datacommands.import_)
SURE = 0.999  # power from which on larger studies are not listed
TIMED = 2  # epochs that `plan` trains; the quicker one counts, since the first one loads what trainings need
console = Console(highlight=False, soft_wrap=True)

Folder = Annotated[Path, typer.Argument(help="a folder with study.toml, or the file", metavar="DIR|FILE")]
Name = Annotated[str, typer.Argument(help="the study's name or number", metavar="STUDY")]
Address = Annotated[str, typer.Option(help="the laboratory's address, as those who open a link reach it")]
Database = Annotated[str | None, typer.Option("--db", help="SQLAlchemy URL [default: SQLite in the data directory]")]


@app.command(name="new")
def new(
    folder: Annotated[Path, typer.Argument(help="a folder, made if need be")],
    task: Annotated[str, typer.Option(help="a built-in task (docs/tasks.md), FILE.py:NAME or MODULE:NAME")] = "black-magic",
    data: Annotated[str | None, typer.Option(help="data set by name, or a folder or tar [default: the best at hand]")] = None,
    size: Annotated[int | None, typer.Option(help="image size in pixels [default: 32]")] = None,
) -> None:
    """Write a commented study.toml with its texts beside it."""
    from evenhand import studyfile
    from evenhand.records import TaskSpec
    from evenhand.tasks import images

    if task == "black-magic":
        chosen = data or images.best_at_hand()
        given = str(Path(chosen).resolve()) if Path(chosen).exists() else chosen
        spec = TaskSpec(task, {"data": given, "size": size or 32})
    elif data is None and size is None:
        spec = TaskSpec(task)
    else:
        raise InvalidSettings(f"--data and --size are for black-magic here; the task {task!r} brings its own data")
    for path in studyfile.new(folder, spec):
        console.print(str(path))
    console.print(f"Edit them, then: evenhand study check {folder}")


@app.command(name="check")
def check(folder: Folder, load: Annotated[bool, typer.Option(help="load each task and its data, too")] = True) -> None:
    """Explain every mistake with file, line and fix."""
    declared, _ = _read(folder, load)
    if not load:
        console.print("The tasks were not loaded (--no-load), so they and what hangs on their metric were not checked.")
    raise typer.Exit(1 if declared.errors else 0)


def _read(folder: Path, load: bool = True) -> "tuple[Declared, dict[str, Task]]":
    """What a file declares and its tasks by key; prints everything that is wrong with either, or should be looked at."""
    from evenhand import studyfile

    declared = studyfile.read(folder)
    loaded: dict[str, Task] = {}
    if load:
        with console.status(f"Loading {', '.join(sorted({each.name for each in declared.tasks.values()}))} ..."):
            loaded = studyfile.load(declared)
    for each in declared.mistakes:
        console.print("[red]error[/]   " if each.kind == "error" else "[yellow]warning[/] ", end="")
        console.print(f"{each.place} {each.key}", markup=False)
        for label, words in (("given", each.given), ("expected", each.expected), ("fix", each.fix)):
            console.print(f"          {label:<9} {words}", markup=False)
    errors, warnings = len(declared.errors), len(declared.mistakes) - len(declared.errors)
    console.print(f"{declared.path}: {_count(errors, 'error')}, {_count(warnings, 'warning')}", markup=False)
    return declared, loaded


def _count(number: int, one: str) -> str:
    return f"{number} {one}{'' if number == 1 else 's'}"


def _usable(folder: Path) -> "tuple[Declared, dict[str, Task]]":
    declared, loaded = _read(folder)
    if declared.errors:
        raise InvalidSettings(f"{declared.path} has {_count(len(declared.errors), 'error')}; mend them first")
    return declared, loaded


@app.command(name="plan")
def plan(
    folder: Folder,
    participants: Annotated[int | None, typer.Option(min=1, help="how many [default: what the file expects]")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="epochs of a trial, on average [default: 5]")] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="trainings at once [default: as few as keep waiting short]")] = None,
) -> None:
    """Estimate hours, agents, queue and power, from one timed epoch."""
    from evenhand import planning
    from evenhand.analysis.power import PROPORTIONS, power_curve
    from evenhand.tasks import check as checks

    declared, loaded = _usable(folder)
    task = next(iter(loaded.values()))
    with console.status("Timing one epoch ..."):
        timed = checks.train_once(task, checks.shortened(task, checks.example_of(task), TIMED), declared.study.seed).epoch_seconds
    if timed is None:
        raise InvalidSettings(
            f"task {task.name!r}: its example configuration completes no epoch; `evenhand task check` says more"
        )
    study = declared.study
    images = task.statistics.get("training images")
    steps = -(-int(images) // 64) if isinstance(images, int) else 100
    wanted = participants or study.plan.participants or planning.EVERYBODY
    mean = min(epochs or planning.EPOCHS, task.max_epochs)
    _print_estimate(planning.estimate(study, timed, steps, wanted, epochs=mean, slots=slots, seed=study.seed))
    groups = len(study.grouping.groups) or len(getattr(study.question(study.grouping.by), "options", ()))
    with console.status("Simulating the planned test ..."):
        power = power_curve(study.plan, seed=study.seed, proportions=PROPORTIONS if groups in (0, 3) else (1,) * groups)
    _print_power(power)


def _print_estimate(found: Any) -> None:
    table = Table(box=None, show_header=False)
    table.add_row("one epoch, timed here", f"{found.epoch:.2f} s")
    table.add_row("trials of each participant", f"about {found.trials:.0f}, of {found.epochs} epochs")
    table.add_row(f"training for {found.participants} participants", f"{found.tuning_hours:.1f} hours on one slot")
    table.add_row("evaluation of their choices", f"{found.evaluation_hours:.1f} hours on one slot")
    table.add_row("database", f"about {found.disk / 1e6:.0f} MB")
    console.print(table)
    queues = Table("participants at once", "slots", "a trial waits", "slots busy", "a session lasts", box=None)
    for each in found.queues:
        waits, lasts = f"{each.waiting:.0f} s", f"{each.lasts / 60:.0f} min"
        queues.add_row(str(each.together), str(each.slots), waits, f"{each.busy:.0%}", lasts)
    console.print(queues)
    console.print("Assumed: " + "; ".join(found.assumptions) + ".")


def _print_power(found: Any) -> None:
    if found.why:
        console.print(f"Power: {found.why}")
        return
    table = Table("participants", "power", "± (simulation)", box=None)
    for each in found.points:
        power = f"{each.power:.0%}" if each.power < SURE else f"above {SURE:.1%}"
        table.add_row(str(each.n), power, f"{each.error:.1%}")
        if each.power >= SURE:
            break  # more participants give no less
    console.print(f"Power of the planned test ({found.test}) for an effect of {found.expected:g} at level {found.alpha:g}:")
    console.print(table)
    for reach in found.reaches:
        console.print(f"{reach.power:.0%} power: {reach.words} participants")
    console.print(f"How: {found.how}.")


@app.command(name="add")
def add(folder: Folder, url: Address = f"http://127.0.0.1:{settings.DEFAULT_PORT}", db: Database = None) -> None:
    """Bring a study, or its next version, into the laboratory; it is not live until it is published."""
    from evenhand.lab import Lab

    declared, loaded = _usable(folder)
    lab = Lab.connect(db)
    study = lab.declare(declared.with_tasks({key: lab.add_task(task.record) for key, task in loaded.items()}))
    state = "published already" if study.published_at is not None else "not published yet: try it out as a pilot"
    console.print(f"Study {study.id} {study.name!r}, version {study.version}, {study.hash[:12]}: {state}")
    console.print(f"Its page: {url.rstrip('/')}/studies/{study.id}")
    if study.published_at is None:
        _, tokens = lab.invite(study.id, f"pilot of version {study.version}", mode="pilot")
        console.print(f"Try it out, apart from the study's records: {url.rstrip('/')}/join/{tokens[0]}")
        console.print(f"Then: evenhand study publish {shlex.quote(study.name)}")


@app.command(name="list")
def listed(db: Database = None) -> None:
    """List the studies with their state."""
    from evenhand.lab import Lab

    lab = Lab.connect(db)
    table = Table("", "name", "version", "state", "participants", box=None)
    for study in lab.studies():
        people = [each for each in lab.participants(study.id) if each.mode == "live"]
        table.add_row(str(study.id), study.name, str(study.version), _state(study), str(len(people)))
    console.print(table)


def _state(study: Any) -> str:
    if study.archived:
        return "archive"
    if study.closed_at is not None:
        return "closed"
    return "live" if study.published_at is not None else "draft"


@app.command(name="publish")
def publish(
    study: Name,
    note: Annotated[str, typer.Option(help="what was changed, and why; an amendment needs one")] = "",
    accept: Annotated[bool, typer.Option("--accept-warnings", help="the warnings of the checklist were read")] = False,
    db: Database = None,
) -> None:
    """Go live: run the checklist, then freeze the newest version."""
    from evenhand import golive
    from evenhand.lab import Lab

    lab = Lab.connect(db)
    found = lab.study_named(study)
    newest = lab.versions(found.id)[-1]
    if newest.published_at is not None:
        raise Refused(f"version {newest.version}, the newest of study {found.name!r}, is published already; `study add` first")
    if newest.version > 1 and not note.strip():
        what = f"`evenhand study diff {shlex.quote(found.name)}` shows it"
        raise Refused(f'version {newest.version} is an amendment: say what was changed, and why, with --note "..."; {what}')
    checks = golive.checklist(golive.facts_of(lab, found.id))
    for each in checks:
        mark = "[green]ok[/]     " if each.ok else "[yellow]warning[/]" if each.warning else "[red]blocks[/] "
        console.print(f"{mark} ", end="")
        console.print(f"{each.name}: {each.why}{'' if each.ok or not each.fix else f'; {each.fix}'}", markup=False)
    blocking = sum(each.blocks for each in checks)
    if blocking:
        raise Refused(f"{blocking} checks block; nothing was published")
    if any(each.warns for each in checks) and not accept:
        raise Refused("read the warnings, then say so with --accept-warnings; nothing was published")
    done = lab.publish(found.id, note.strip() or "first version")
    console.print(f"Study {done.name!r} is live at version {done.version}, {done.hash[:12]}.")


@app.command(name="diff")
def diff(
    study: Name,
    versions: Annotated[str | None, typer.Argument(help="two of them, as 1:3 [default: the last two]", metavar="FROM:TO")] = None,
    db: Database = None,
) -> None:
    """What a version of a study declares differently from an earlier one."""
    from evenhand.lab import Lab
    from evenhand.web.versions import differences

    lab = Lab.connect(db)
    known = {each.version: each for each in lab.versions(lab.study_named(study).id)}
    first, _, last = (versions or f"{max(1, len(known) - 1)}:{len(known)}").partition(":")
    if not (first.isdecimal() and last.isdecimal() and int(first) in known and int(last) in known):
        raise InvalidSettings(f"versions {versions!r}: expected two of {', '.join(map(str, known))}, as 1:{len(known)}")
    before, after = known[int(first)], known[int(last)]
    console.print(f"Version {before.version}, {before.hash[:12]}, to version {after.version}, {after.hash[:12]}:")
    found = differences(lab, before, after)
    for each in found:
        console.print(each.path if each.lines else f"{each.path}: {each.before} -> {each.after}", markup=False)
        for sign, text in each.lines:
            console.print(f"    {sign} {text}", markup=False)
    if not found:
        console.print("Nothing that they declare differs.")


@app.command(name="close")
def close(study: Name, db: Database = None) -> None:
    """End collection: nobody can join any more, and the report may be read."""
    from evenhand.lab import Lab

    lab = Lab.connect(db)
    done = lab.close_study(lab.study_named(study).id)
    console.print(f"Study {done.name!r} is closed.")


@app.command(name="invite")
def invite(
    study: Name,
    pilot: Annotated[bool, typer.Option("--pilot", help="for a try-out, kept apart from the study")] = False,
    single: Annotated[int | None, typer.Option(help="so many links for one person each [default: one open link]")] = None,
    cap: Annotated[int | None, typer.Option(help="how many may join by the open link")] = None,
    url: Address = f"http://127.0.0.1:{settings.DEFAULT_PORT}",
    db: Database = None,
) -> None:
    """Print invitation links, once."""
    from evenhand.lab import Lab

    lab = Lab.connect(db)
    found, mode = lab.study_named(study), "pilot" if pilot else "live"
    kind: Any = "single" if single else "open"
    _, tokens = lab.invite(found.id, "by command", kind=kind, cap=single or cap, mode=mode)  # type: ignore[arg-type]
    for token in tokens:
        console.print(f"{url.rstrip('/')}/join/{token}")
