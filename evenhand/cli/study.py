"""The commands `evenhand study ...`: from the file to the published, closed and reported study."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from evenhand import settings
from evenhand.cli import archive, pool, report
from evenhand.cli.accounts import print_account_of
from evenhand.cli.options import Database, StudyName, console, laboratory
from evenhand.errors import InvalidSettings, Refused

if TYPE_CHECKING:
    from evenhand.studies.file import Declared
    from evenhand.tasks.base import Task

app = typer.Typer(name="study", help="Studies: from the file to the report.", no_args_is_help=True)
app.command(name="report")(report.report)
app.command(name="export")(archive.export)
app.command(name="import")(archive.import_)
app.command(name="pool")(pool.pool)
SURE_POWER = 0.999  # power from which on larger studies are not listed
TIMED_EPOCHS = 2  # epochs that `plan` trains; the quicker one counts, since the first one loads what trainings need

Folder = Annotated[Path, typer.Argument(help="a folder with study.toml, or the file", metavar="DIR|FILE")]
Address = Annotated[str, typer.Option(help="the laboratory's address, as those who open a link reach it")]


@app.command(name="new")
def new(
    folder: Annotated[Path, typer.Argument(help="a folder, made if need be")],
    task: Annotated[str, typer.Option(help="a built-in task (docs/tasks.md), FILE.py:NAME or MODULE:NAME")] = "black-magic",
    data: Annotated[
        str | None, typer.Option(help="data set by name, or a folder or tar [default: a calibrated preset's]")
    ] = None,
    size: Annotated[int | None, typer.Option(help="image size in pixels [default: the preset's; with --data 32]")] = None,
    wordings: Annotated[
        bool, typer.Option("--reason-wordings", help="two conditions: the paper's reasons, and in words that say which past")
    ] = False,
) -> None:
    """Write a commented study.toml with its texts beside it."""
    from evenhand.model.task import TaskSpec
    from evenhand.studies import file
    from evenhand.tasks.builtin import images

    says_data = data is not None or size is not None
    if says_data and task != "black-magic":
        raise InvalidSettings(f"--data and --size are for black-magic here; the task {task!r} brings its own data")
    spec = None if task == "black-magic" else TaskSpec(task)  # None: in a preset
    if says_data:
        chosen = data or images.best_at_hand()
        given = str(Path(chosen).resolve()) if Path(chosen).exists() else chosen
        spec = TaskSpec(task, {"data": given, "size": size or 32})
    for path in file.new(folder, spec, wordings=wordings):
        console.print(str(path))
    console.print(f"Edit them, then: evenhand study check {folder}")


@app.command(name="check")
def check(folder: Folder, load: Annotated[bool, typer.Option(help="load each task and its data, too")] = True) -> None:
    """Explain every mistake with file, line and fix."""
    declared, loaded = _read(folder, load)
    for task in loaded.values():
        print_account_of(task, open_data=False)
    if not load:
        console.print("The tasks were not loaded (--no-load), so they and what hangs on their metric were not checked.")
    raise typer.Exit(1 if declared.errors else 0)


def _read(folder: Path, load: bool = True) -> "tuple[Declared, dict[str, Task]]":
    """What a file declares and its tasks by key; prints everything that is wrong with either, or should be looked at."""
    from evenhand.model.words import plural
    from evenhand.studies import file

    declared = file.read(folder)
    loaded: dict[str, Task] = {}
    if load:
        with console.status(f"Loading {', '.join(sorted({spec.name for spec in declared.tasks.values()}))} ..."):
            loaded = file.load(declared)
    for mistake in declared.mistakes:
        console.print("[red]error[/]   " if mistake.kind == "error" else "[yellow]warning[/] ", end="")
        console.print(f"{mistake.place} {mistake.key}", markup=False)
        for label, words in (("given", mistake.given), ("expected", mistake.expected), ("fix", mistake.fix)):
            console.print(f"          {label:<9} {words}", markup=False)
    errors, warnings = len(declared.errors), len(declared.mistakes) - len(declared.errors)
    console.print(f"{declared.path}: {plural(errors, 'error')}, {plural(warnings, 'warning')}", markup=False)
    return declared, loaded


def _usable(folder: Path) -> "tuple[Declared, dict[str, Task]]":
    declared, loaded = _read(folder)
    if declared.errors:
        from evenhand.model.words import plural

        raise InvalidSettings(f"{declared.path} has {plural(len(declared.errors), 'error')}; mend them first")
    return declared, loaded


@app.command(name="plan")
def plan(
    folder: Folder,
    participants: Annotated[int | None, typer.Option(min=1, help="how many [default: what the file expects]")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="epochs of a trial, on average [default: 5]")] = None,
    slots: Annotated[int | None, typer.Option(min=1, help="trainings at once [default: as few as keep waiting short]")] = None,
) -> None:
    """Estimate hours, agents, queue and power, from one timed epoch."""
    from evenhand.analysis.power import GROUP_PROPORTIONS, power_curve
    from evenhand.studies import planning
    from evenhand.tasks import check as checks

    declared, loaded = _usable(folder)
    task = next(iter(loaded.values()))
    with console.status("Timing one epoch ..."):
        timed = checks.train_once(
            task, checks.shortened(task, checks.example_of(task), TIMED_EPOCHS), declared.study.seed
        ).epoch_seconds
    if timed is None:
        raise InvalidSettings(
            f"task {task.name!r}: its example configuration completes no epoch; `evenhand task check` says more"
        )
    study = declared.study
    images = task.statistics.get("training images")
    steps = -(-int(images) // 64) if isinstance(images, int) else 100
    wanted = participants or study.plan.participants or planning.EXPECTED_PARTICIPANTS
    mean = min(epochs or planning.TRIAL_EPOCHS, task.max_epochs)
    _print_estimate(planning.estimate(study, timed, steps, wanted, epochs=mean, slots=slots, seed=study.seed))
    groups = len(study.grouping.groups) or len(getattr(study.question(study.grouping.by), "options", ()))
    with console.status("Simulating the planned test ..."):
        power = power_curve(study.plan, seed=study.seed, proportions=GROUP_PROPORTIONS if groups in (0, 3) else (1,) * groups)
    _print_power(power)


def _print_estimate(estimate: Any) -> None:
    table = Table(box=None, show_header=False)
    table.add_row("one epoch, timed here", f"{estimate.epoch:.2f} s")
    table.add_row("trials of each participant", f"about {estimate.trials:.0f}, of {estimate.epochs} epochs")
    table.add_row(f"training for {estimate.participants} participants", f"{estimate.tuning_hours:.1f} hours on one slot")
    table.add_row("evaluation of their choices", f"{estimate.evaluation_hours:.1f} hours on one slot")
    table.add_row("database", f"about {estimate.disk / 1e6:.0f} MB")
    console.print(table)
    queues = Table("participants at once", "slots", "a trial waits", "slots busy", "a session lasts", box=None)
    for queue in estimate.queues:
        waits, lasts = f"{queue.waiting:.0f} s", f"{queue.lasts / 60:.0f} min"
        queues.add_row(str(queue.together), str(queue.slots), waits, f"{queue.busy:.0%}", lasts)
    console.print(queues)
    console.print("Assumed: " + "; ".join(estimate.assumptions) + ".")


def _print_power(analysis: Any) -> None:
    if analysis.why:
        console.print(f"Power: {analysis.why}")
        return
    table = Table("participants", "power", "± (simulation)", box=None)
    for point in analysis.points:
        power = f"{point.power:.0%}" if point.power < SURE_POWER else f"above {SURE_POWER:.1%}"
        table.add_row(str(point.n), power, f"{point.error:.1%}")
        if point.power >= SURE_POWER:
            break  # more participants give no less
    console.print(
        f"Power of the planned test ({analysis.test}) for an effect of {analysis.expected:g} at level {analysis.alpha:g}:"
    )
    console.print(table)
    for reach in analysis.reaches:
        console.print(f"{reach.power:.0%} power: {reach.words} participants")
    console.print(f"How: {analysis.how}.")


@app.command(name="add")
def add(folder: Folder, url: Address = f"http://127.0.0.1:{settings.DEFAULT_PORT}", db: Database = None) -> None:
    """Bring a study, or its next version, into the laboratory; it is not live until it is published."""
    from evenhand.tasks.records import record_of

    declared, loaded = _usable(folder)
    for task in loaded.values():
        print_account_of(task, open_data=False)
    lab = laboratory(db)
    study = lab.studies.declare(declared.with_tasks({key: lab.studies.add_task(record_of(task)) for key, task in loaded.items()}))
    state = "published already" if study.published_at is not None else "not published yet: try it out as a pilot"
    console.print(f"Study {study.id} {study.name!r}, version {study.version}, {study.hash[:12]}: {state}")
    console.print(f"Its page: {url.rstrip('/')}/studies/{study.id}")
    if study.published_at is None:
        _, tokens = lab.participants.invite(study.id, f"pilot of version {study.version}", mode="pilot")
        console.print(f"Try it out, apart from the study's records: {url.rstrip('/')}/join/{tokens[0]}")
        console.print(f"Then: evenhand study publish {shlex.quote(study.name)}")


@app.command(name="list")
def listed(db: Database = None) -> None:
    """List the studies with their state."""
    from evenhand.model import rules

    lab = laboratory(db)
    table = Table("", "name", "version", "state", "participants", box=None)
    for study in lab.studies.all():
        people = [person for person in lab.participants.of_study(study.id) if person.mode == "live"]
        table.add_row(str(study.id), study.name, str(study.version), rules.phase_of(study, piloted=False), str(len(people)))
    console.print(table)


@app.command(name="publish")
def publish(
    study: StudyName,
    note: Annotated[str, typer.Option(help="what was changed, and why; an amendment needs one")] = "",
    accept: Annotated[bool, typer.Option("--accept-warnings", help="the warnings of the checklist were read")] = False,
    like: Annotated[str, typer.Option(help="agent to whose kind of machine it is pinned, where agents differ")] = "",
    db: Database = None,
) -> None:
    """Go live: run the checklist, then freeze the newest version."""
    from evenhand.studies import checklist
    from evenhand.studies.versions import why_not_publish

    lab = laboratory(db)
    record = lab.studies.named(study)
    newest = lab.studies.versions(record.id)[-1]
    checks = checklist.checklist(checklist.facts_of(lab, record.id, like))
    for check in checks:
        mark = "[green]ok[/]     " if check.ok else "[yellow]warning[/]" if check.warning else "[red]blocks[/] "
        console.print(f"{mark} ", end="")
        console.print(f"{check.name}: {check.why}{'' if check.ok or not check.fix else f'; {check.fix}'}", markup=False)
    read = [check.name for check in checks] if accept else []
    if why := why_not_publish(lab, record.id, newest.version, note, read, like):
        ways = '--accept-warnings says that the warnings were read, --note "..." what was changed, and why'
        raise Refused(f"{why} ({ways}; `evenhand study diff {shlex.quote(record.name)}` shows it)")
    done = lab.studies.publish(record.id, note.strip() or "first version", like)
    console.print(f"Study {done.name!r} is live at version {done.version}, {done.hash[:12]}.")


@app.command(name="diff")
def diff(
    study: StudyName,
    versions: Annotated[str | None, typer.Argument(help="two of them, as 1:3 [default: the last two]", metavar="FROM:TO")] = None,
    db: Database = None,
) -> None:
    """What a version of a study declares differently from an earlier one."""
    from evenhand.model.typed_numbers import whole_number
    from evenhand.studies.versions import differences

    lab = laboratory(db)
    known = {version.version: version for version in lab.studies.versions(lab.studies.named(study).id)}
    first, _, last = (versions or f"{max(1, len(known) - 1)}:{len(known)}").partition(":")
    before, after = known.get(whole_number(first) or 0), known.get(whole_number(last) or 0)
    if before is None or after is None:
        raise InvalidSettings(f"versions {versions!r}: expected two of {', '.join(map(str, known))}, as 1:{len(known)}")
    console.print(f"Version {before.version}, {before.hash[:12]}, to version {after.version}, {after.hash[:12]}:")
    changes = differences(lab, before, after)
    for change in changes:
        console.print(change.path if change.lines else f"{change.path}: {change.before} -> {change.after}", markup=False)
        for sign, text in change.lines:
            console.print(f"    {sign} {text}", markup=False)
    if not changes:
        console.print("Nothing that they declare differs.")


@app.command(name="close")
def close(study: StudyName, db: Database = None) -> None:
    """End collection: nobody can join any more, and the report may be read."""
    lab = laboratory(db)
    done = lab.studies.close(lab.studies.named(study).id)
    console.print(f"Study {done.name!r} is closed.")


@app.command(name="invite")
def invite(
    study: StudyName,
    pilot: Annotated[bool, typer.Option("--pilot", help="for a try-out, kept apart from the study")] = False,
    single: Annotated[int | None, typer.Option(help="so many links for one person each [default: one open link]")] = None,
    cap: Annotated[int | None, typer.Option(help="how many may join by the open link")] = None,
    url: Address = f"http://127.0.0.1:{settings.DEFAULT_PORT}",
    db: Database = None,
) -> None:
    """Print invitation links, once."""
    lab = laboratory(db)
    record, mode = lab.studies.named(study), "pilot" if pilot else "live"
    kind: Any = "single" if single else "open"
    _, tokens = lab.participants.invite(record.id, "by command", kind=kind, cap=single or cap, mode=mode)  # type: ignore[arg-type]
    for token in tokens:
        console.print(f"{url.rstrip('/')}/join/{token}")
