"""The command `evenhand class`: a lesson in which everyone tunes the same task at the same time."""

import secrets
import socket
import time
from typing import Annotated, Any

import typer

from evenhand import settings
from evenhand.cli.options import (
    Database,
    DataName,
    Port,
    ServerSlots,
    Setting,
    Size,
    TaskName,
    check_port,
    console,
    slots_of,
    task_settings,
)

app = typer.Typer()


@app.command(name="class")
def open_class(
    task: TaskName,
    minutes: Annotated[float, typer.Option(help="how long each student tunes")] = 30,
    students: Annotated[int, typer.Option(help="how many are expected")] = 30,
    epochs: Annotated[int, typer.Option(help="epochs of a trial that the class is planned with")] = 3,
    title: Annotated[str, typer.Option(help="the class's name on its pages")] = "Tuning together",
    data: DataName = None,
    size: Size = None,
    setting: Setting = None,
    host: Annotated[str, typer.Option(help="address to listen on [default: this machine's in the room's network]")] = "",
    port: Port = settings.DEFAULT_PORT,
    slots: ServerSlots = None,
    db: Database = None,
) -> None:
    """Open a class: one join code and QR for the room, nicknames, a live board by validation."""
    from evenhand import tasks
    from evenhand.exchange.backup import check_start
    from evenhand.lab.lab import Lab
    from evenhand.lab.served import signin_link
    from evenhand.model.task import TaskSpec
    from evenhand.studies import classroom
    from evenhand.tasks.records import record_of
    from evenhand.web.serving import Server

    address = host or _own_address()
    check_port(address, port)
    chosen = task_settings(data, size, setting)
    with console.status("Preparing the task's data ..."):
        check_start(db or settings.default_database(), settings.data_dir())
        lab = Lab.connect(db)
        made = tasks.load(TaskSpec(task, chosen))
        record = lab.studies.add_task(record_of(made))
    with console.status("Timing one epoch ..."):
        seconds = _epoch_seconds(made)
    cores = slots_of(slots)
    capacity = classroom.capacity(students, cores, seconds, epochs, minutes)
    _print_capacity(capacity, classroom.advice(capacity, epochs, chosen.get("size")), epochs)
    name = f"class {time.strftime('%Y-%m-%d %H:%M')} {secrets.token_hex(2)}"
    study = lab.studies.add(classroom.study_of(record, name, title, minutes, secrets.randbelow(2**31)))
    _, code = classroom.open_class(lab, study, students)
    link = f"http://{address}:{port}/class/{code}"
    _print_qr(link)
    console.print(f"Join: [bold]{link}[/]   or the code [bold]{code}[/] at http://{address}:{port}/class")
    console.print(f"The board for the wall: [bold]{link}/board[/]")
    console.print(f"Your own pages, once: {signin_link(lab, f'http://{address}:{port}')}")
    Server(lab, address, port, cores).run()


def _epoch_seconds(task: Any) -> float:
    from evenhand.tasks import check

    return check.check(task, seeds=1, configurations=1, epochs=1).epoch_seconds or 0.0


def _print_capacity(capacity: Any, ways: list[str], epochs: int) -> None:
    from evenhand.model.words import plural

    slots = plural(capacity.slots, "slot")
    what = f"{capacity.students} students, {slots}, {epochs} epochs of {capacity.seconds / epochs:.1f} s"
    console.print(
        f"{what}: about {capacity.trials:.1f} trials for each in {capacity.minutes:g} minutes; "
        f"waits up to {capacity.waiting:.0f} s."
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
