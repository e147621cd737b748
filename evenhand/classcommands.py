"""The command `evenhand class`: a lesson in which everyone tunes the same task at the same time."""

import os
import secrets
import socket
import time
from typing import Annotated, Any

import typer
from rich.console import Console

console = Console(highlight=False, soft_wrap=True)


def open_class(
    task: Annotated[str, typer.Argument(help="a built-in task (docs/tasks.md), FILE.py:NAME or MODULE:NAME", metavar="TASK")],
    minutes: Annotated[float, typer.Option(help="how long each student tunes")] = 30,
    students: Annotated[int, typer.Option(help="how many are expected")] = 30,
    epochs: Annotated[int, typer.Option(help="epochs of a trial that the class is planned with")] = 3,
    title: Annotated[str, typer.Option(help="the class's name on its pages")] = "Tuning together",
    data: Annotated[str | None, typer.Option("--data", help="data set by name, or a folder or tar of SPLIT/CLASS/FILE")] = None,
    size: Annotated[int | None, typer.Option("--size", help="image size in pixels")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="another setting of the task, as KEY=VALUE")] = None,
    host: Annotated[str, typer.Option(help="address to listen on [default: this machine's in the room's network]")] = "",
    port: Annotated[int, typer.Option(help="port to listen on")] = 8765,
    slots: Annotated[int | None, typer.Option(help="trainings at once on this machine [default: one per core]")] = None,
    db: Annotated[str | None, typer.Option("--db", help="SQLAlchemy URL [default: SQLite in the data directory]")] = None,
) -> None:
    """Open a class: one join code and QR for the room, nicknames, a live board by validation."""
    from evenhand import classroom, tasks
    from evenhand.lab import Lab
    from evenhand.records import TaskSpec
    from evenhand.web.serving import Server

    chosen = tasks.read_settings(data, size, setting)
    with console.status("Preparing the task's data ..."):
        lab = Lab.connect(db)
        made = tasks.load(TaskSpec(task, chosen))
        record = lab.add_task(made.record)
    with console.status("Timing one epoch ..."):
        seconds = _epoch_seconds(made)
    cores = os.cpu_count() or 1 if slots is None else slots
    found = classroom.capacity(students, cores, seconds, epochs, minutes)
    _print_capacity(found, classroom.advice(found, epochs, chosen.get("size")), epochs)
    name = f"class {time.strftime('%Y-%m-%d %H:%M')} {secrets.token_hex(2)}"
    study = lab.add_study(classroom.study_of(record, name, title, minutes, secrets.randbelow(2**31)))
    _, code = classroom.open_class(lab, study, students)
    address = host or _own_address()
    link = f"http://{address}:{port}/class/{code}"
    _print_qr(link)
    console.print(f"Join: [bold]{link}[/]   or the code [bold]{code}[/] at http://{address}:{port}/class")
    console.print(f"The board for the wall: [bold]{link}/board[/]")
    token = lab.issue_token("signin", seconds=24 * 3600.0)
    console.print(f"Your own pages, once: http://{address}:{port}/signin/{token}")
    Server(lab, address, port, cores).run()


def _epoch_seconds(task: Any) -> float:
    from evenhand.tasks import check

    return check.check(task, seeds=1, configurations=1, epochs=1).epoch_seconds or 0.0


def _print_capacity(found: Any, ways: list[str], epochs: int) -> None:
    slots = f"{found.slots} slot{'' if found.slots == 1 else 's'}"
    what = f"{found.students} students, {slots}, {epochs} epochs of {found.seconds / epochs:.1f} s"
    console.print(
        f"{what}: about {found.trials:.1f} trials for each in {found.minutes:g} minutes; waits up to {found.waiting:.0f} s."
    )
    if ways:
        console.print("[yellow]That is few.[/] What would serve the class: " + "; or ".join(ways) + ".")


def _print_qr(link: str) -> None:
    import segno

    segno.make(link, error="m").terminal(compact=True)


def _own_address() -> str:
    """This machine's address in the network that its default route leads to; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation, which nobody has
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
