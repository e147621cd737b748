"""What several commands have in common: the console, their options, and what these say."""

import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from evenhand import settings
from evenhand.errors import InvalidSettings, NotFound

if TYPE_CHECKING:
    from evenhand.lab.lab import Lab
    from evenhand.model.session import Session
    from evenhand.model.study import Mode
    from evenhand.model.task import TaskSpec

CONTROL_PATTERN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # all but tabs and the ends of lines


class PlainConsole(Console):
    """A terminal on which what moves its cursor or colours it, as a file that is told of may hold it, is shown as its code."""

    def render_str(self, text: str, **wishes: Any) -> Text:
        """The text as Rich prints it."""
        return super().render_str(CONTROL_PATTERN.sub(lambda letter: f"\\x{ord(letter[0]):02x}", text), **wishes)


console = PlainConsole(highlight=False, soft_wrap=True)
errors = PlainConsole(highlight=False, soft_wrap=True, stderr=True)

Database = Annotated[str | None, typer.Option("--db", help="SQLAlchemy URL [default: SQLite in the data directory]")]
TASK_ARGUMENT = typer.Argument(help="a built-in or plug-in task (docs/tasks.md), FILE.py:NAME or MODULE:NAME", metavar="TASK")
TaskName = Annotated[str, TASK_ARGUMENT]
TaskNameOrNone = Annotated[str | None, TASK_ARGUMENT]
DataName = Annotated[str | None, typer.Option("--data", help="data set by name, or a folder or tar of SPLIT/CLASS/FILE")]
Size = Annotated[int | None, typer.Option("--size", help="image size in pixels")]
Setting = Annotated[list[str] | None, typer.Option("--set", help="another setting of the task, as KEY=VALUE; repeatable")]
ServerSlots = Annotated[
    int | None, typer.Option("--slots", min=0, help="trainings at once on this machine, 0 for none [default: one per core]")
]
Processes = Annotated[int | None, typer.Option("--processes", min=1, help="runs at once [default: one per core]")]
Port = Annotated[int, typer.Option(help="port of the laboratory", min=0, max=65535)]
Host = Annotated[str, typer.Option(help="address of the running laboratory")]
PublicUrl = Annotated[
    str | None,
    typer.Option(help="where browsers find it behind a proxy, as https://lab.example.org/evenhand [default: settings.toml's]"),
]
LinkHours = Annotated[
    float | None,
    typer.Option("--hours", min=0.01, max=8760, help="for which it is valid [default: settings.toml's, or 24]"),
]
SessionName = Annotated[str, typer.Argument(help="the session's name or number", metavar="SESSION")]
StudyName = Annotated[str, typer.Argument(help="the study's name or number", metavar="STUDY")]


def escape(text: str) -> str:
    """Text that Rich shall print as it is."""
    return text.replace("[", r"\[")


def writable(path: Path | None) -> Path | None:
    """A file or folder that a command is to write, as it is; InvalidSettings where it cannot, before anything was done for it."""
    if path is None:
        return None
    nearest = path.absolute().parent
    if not path.suffix:  # a folder, which is made with those above it
        nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    elif path.is_dir():
        raise InvalidSettings(f"{path} is a folder; expected the name of a file to be written")
    if not nearest.is_dir():
        raise InvalidSettings(f"{path} cannot be written: there is no folder {nearest}; make it, or name another place")
    if not os.access(nearest, os.W_OK):
        raise InvalidSettings(f"{path} cannot be written: the folder {nearest} is not yours to write in; name another place")
    return path


def check_port(host: str, port: int) -> None:
    """InvalidSettings where nothing can listen there."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, TypeError, UnicodeError) as error:
            why, other = getattr(error, "strerror", None) or str(error), port % 65535 + 1
            raise InvalidSettings(
                f"cannot listen on {host}:{port}: {why}; is Evenhand running already? Another port: --port {other}"
            ) from None


def bars(*, long: bool = False) -> Progress:
    """Bars that count what is done. long: of work that lasts; they say what time remains, and go to the standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    if long:
        return Progress(*columns, TimeRemainingColumn(), console=errors)
    return Progress(*columns, console=console)


@contextmanager
def shown_steps(begin: str = "", *, long: bool = False) -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar that is told what is done now, how much of it, and of how much. begin: what is done first. long: see `bars`."""
    with bars(long=long) as progress:
        bar = progress.add_task(begin, total=None)
        yield lambda what, done, total: progress.update(bar, description=what, completed=done, total=total)


def laboratory(db: str | None) -> "Lab":
    """The laboratory of `--db`. What a command does there is recorded under the person named as this machine's user is."""
    from evenhand.lab.base import act_as
    from evenhand.lab.lab import Lab
    from evenhand.lab.served import user_here

    lab = Lab.connect(db)
    act_as(user_here(lab))
    return lab


def who_here(lab: "Lab") -> str:
    """How looks at test scores name who gives a command: one of the laboratory's people, or nobody knows whom."""
    from evenhand.lab.served import user_here
    from evenhand.model.person import UNNAMED

    person = user_here(lab)
    return UNNAMED if person is None else person.who


def names_that_looked(lab: "Lab") -> tuple[str, ...]:
    """Whose looks show a test score to a command: those of who gives it, and of `evenhand tune`, which shows it here again."""
    from evenhand.model.person import TUNE_WHO

    return who_here(lab), TUNE_WHO


def address_of(host: str, port: int, public_url: str | None) -> str:
    """Where browsers find the running laboratory."""
    return settings.public_address(public_url).url or f"http://{host}:{port}"


def slots_of(slots: int | None) -> int:
    """How many trainings at once: as many as asked for, else one per core."""
    return os.cpu_count() or 1 if slots is None else slots


def task_settings(data: str | None, size: int | None, setting: list[str] | None) -> dict[str, Any]:
    """The task's settings that `--data`, `--size` and `--set` give."""
    from evenhand.model.arguments import key_values

    given: dict[str, Any] = {}
    if data is not None:
        given["data"] = data
    if size is not None:
        given["size"] = size
    return {**given, **key_values("--set", setting or (), "--set precision=bf16")}


def task_spec(name: str, data: str | None, size: int | None, setting: list[str] | None) -> "TaskSpec":
    """The task that a command's name and options say."""
    from evenhand.model.task import TaskSpec

    return TaskSpec(name, task_settings(data, size, setting))


def session_called(lab: "Lab", name: str) -> "Session":
    """The session of this number or name; NotFound where there is none."""
    known = lab.sessions.called(f"#{name}" if name.isdecimal() else name)
    if known is None:
        raise NotFound(f"no session is named {name!r}")
    return known


def mode_of(mode: str) -> "Mode":
    """Whose records `--mode` says; InvalidSettings for any other word."""
    from evenhand.model.study import MODES

    if mode not in MODES:
        raise InvalidSettings(f"--mode {mode!r}: expected one of {', '.join(MODES)}")
    return mode
