"""Programs: a training script in any language as a task. It is started for each trial, and says by lines how it does.

It brings its own data, so there is no test score: the lab has no data of it that no tuner saw.
"""

import hashlib
import json
import os
import re
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from evenhand.errors import DataError, EvenhandError, InvalidSettings, InvalidSpace, TaskMissing, repr_of
from evenhand.model.configuration import Configuration
from evenhand.model.space import Space
from evenhand.settings import private_folder, private_opener
from evenhand.tasks import versions
from evenhand.tasks.base import NATURAL_DIRECTIONS, Task
from evenhand.tasks.programs import process
from evenhand.tasks.programs.command import VARIABLE_PREFIX, Command
from evenhand.tasks.programs.output import ERRORS, OUTPUT, Output, tail
from evenhand.tasks.programs.results import Results
from evenhand.tasks.run import Run
from evenhand.tasks.settings import Checks, checked, number, text, whole
from evenhand.tasks.threads import THREAD_VARIABLES

NAME = "program"
REVISION = 1  # raised when its numbers change; tests/golden holds it to that
WORK = "work"  # within a trial's folder: where the program starts
CONFIGURATION = "configuration.json"
GRACE_SECONDS = 5.0  # seconds between SIGTERM and SIGKILL
NOT_A_METRIC = ("epoch", "step")  # what lines say besides
COMMAND_WORDS = "a command line, or a list of its parts"


def _is_command(value: object) -> bool:
    return isinstance(value, str) or (isinstance(value, list | tuple) and all(isinstance(part, str) for part in value))


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


CHECKS: Checks = {
    "command": (_is_command, COMMAND_WORDS),
    "space": (lambda value: isinstance(value, Mapping), "the JSON of a space"),
    "metric": text("the metric's name"),
    "direction": (lambda value: value in ("maximize", "minimize"), "maximize or minimize"),
    "result": text("a regular expression with named groups", or_none=True),
    "environment": (_is_flag, "true or false"),
    "in_place": (_is_flag, "true or false"),
    "folder": text("a folder"),
    "files": (lambda value: _is_command(value) and not isinstance(value, str), "a list of files"),
    "max_epochs": whole(1, 10**9),
    "max_seconds": (lambda value: value is None or number(1e-3, 1e9)[0](value), "a number above 0, or null"),
    "threads": whole(1, 4096),
    "grace": number(0, 3600),
}
PLACES = ("folder",)  # settings that only say where things lie on this machine
REQUIRED = ("command", "space", "metric", "direction", "folder")


def program(
    command: str | Sequence[str],
    space: Space,
    *,
    metric: str,
    direction: Literal["maximize", "minimize"] | None = None,
    result: str | None = None,
    environment: bool = False,
    in_place: bool = False,
    folder: str | PathLike[str] = ".",
    files: Sequence[str] = (),
    max_epochs: int | None = None,
    max_seconds: float | None = None,
    threads: int = 1,
    grace: float = GRACE_SECONDS,
) -> Task:
    """A training script in any language as a task; docs/programs.md walks through several.

    Args:
        command: what is started for each trial, without a shell, with a placeholder {name} for each hyperparameter.
        space: what is tuned.
        metric: what the program's results call the number that is tuned.
        direction: whether that is to be large or small; may be left out where its name says it, as "accuracy" does.
        result: a regular expression with a group named as the metric, and maybe epoch, step and loss, searched in each line that
            the program prints. Without one, results are JSON lines on its standard output.
        environment: whether the program reads the hyperparameters from variables EVENHAND_NAME.
        in_place: whether it starts in `folder` itself, in place of a folder of its own in which all that is there is linked.
        folder: what relative paths of the command are relative to.
        files: further files that its numbers hang on, relative to `folder`, beside the first file that the command names.
        max_epochs: the most epochs that it reports, where the space has no fidelity.
        max_seconds: the limit of one training.
        threads: how many threads libraries such as PyTorch and NumPy may use in a training.
        grace: how many seconds it has for ending by itself, where it is to stop, before it is killed.

    Returns:
        The task, for `evenhand.tune` and all else that takes one.

    Raises:
        InvalidSettings: something that was given cannot be used; the text says which and why.
        TaskMissing: the program is not on this machine.
        DataError: a file of `files` cannot be read.
    """
    if not isinstance(space, Space):
        raise InvalidSettings(
            f"program: got {repr_of(space)} as its space, expected a Space, such as evenhand.load_space('space.toml')"
        )
    settings = {
        "command": list(command) if isinstance(command, tuple) else command,
        "space": json.loads(json.dumps(space.to_json())),
        "metric": metric,
        "direction": direction or (NATURAL_DIRECTIONS.get(metric) if isinstance(metric, str) else None),
        "folder": str(Path(folder).expanduser().absolute()),
    }
    further: dict[str, tuple[object, object]] = {  # given, and what it is where nothing is said
        "result": (result, None), "environment": (environment, False), "in_place": (in_place, False), "files": (list(files), []),
        "max_epochs": (max_epochs, None), "max_seconds": (max_seconds, None), "threads": (threads, 1),
        "grace": (grace, GRACE_SECONDS),
    }  # fmt: skip
    return load({**settings, **{name: given for name, (given, usual) in further.items() if given != usual}})


def load(settings: Mapping[str, Any]) -> Task:
    """The task of settings, as `program` writes them.

    Raises:
        InvalidSettings: they are wrong, or do not go together.
        TaskMissing: the program is not on this machine.
        DataError: a file of `files` cannot be read.
    """
    if missing := [name for name in REQUIRED if settings.get(name) is None]:
        how = "evenhand tune --command ... --space space.toml --metric accuracy --maximize, or evenhand.program(...)"
        raise InvalidSettings(f"task {NAME!r}: got no {', '.join(missing)}; make it by {how}")
    given = checked(f"task {NAME!r}", settings, CHECKS)
    try:
        space = Space.from_json(given["space"])
    except InvalidSpace as error:
        raise InvalidSettings(f"task {NAME!r}: space: {error}") from None
    command = Command.of(given["command"], space, given.get("environment", False))
    metric, pattern = given["metric"], _pattern(given.get("result"), given["metric"])
    if metric in NOT_A_METRIC:
        raise InvalidSettings(f"program: the metric is called {metric!r}, which in results means something else; rename it")
    folder = Path(given["folder"])
    high = getattr(space.fidelity.domain, "high", 1) if space.fidelity else given.get("max_epochs", 1)
    made = Program(
        command=command,
        metric=metric,
        pattern=pattern,
        folder=folder,
        in_place=given.get("in_place", False),
        files=tuple(given.get("files", ())),
        threads=given.get("threads", 1),
        grace=given.get("grace", GRACE_SECONDS),
    )
    made.check_is_here()
    checksums = made.checksums()
    declared = {name: value for name, value in given.items() if name not in (*PLACES, "space")}
    return Task(
        name=NAME,
        version=versions.of_built_in(NAME, REVISION, declared, space.digest, checksums),
        space=space,
        metric=metric,
        direction=given["direction"],
        max_epochs=int(high),
        train=Training(made, checksums),
        has_test=False,
        settings=given,
        max_seconds=given.get("max_seconds"),
        threads=True,
    )


def _pattern(result: str | None, metric: str) -> re.Pattern[str] | None:
    if result is None:
        return None
    try:
        pattern = re.compile(result)
    except (re.error, RecursionError) as error:
        raise InvalidSettings(f"result {result!r}: it is no regular expression ({error})") from None
    if metric not in pattern.groupindex:
        raise InvalidSettings(
            f"result {result!r}: it has no group named {metric!r}; write the number as (?P<{metric}>[0-9.]+)"
            if metric.isidentifier()
            else f"metric {metric!r}: with a regular expression it must be a name of letters, digits and _, as its groups are"
        )
    return pattern


class ProgramFailed(EvenhandError):
    """A program did not do its training; the text says how it ended, and the end of what it printed."""


@dataclass(frozen=True)
class Program:
    """How a command is run for a configuration. What each field says stands at `program`."""

    command: Command
    metric: str
    pattern: re.Pattern[str] | None
    folder: Path
    in_place: bool
    files: tuple[str, ...]
    threads: int
    grace: float

    def check_is_here(self) -> None:
        """TaskMissing where the folder or the program is not on this machine."""
        if not self.folder.is_dir():
            raise TaskMissing(f"program: the folder {self.folder} is not here; the command's paths are relative to it")
        first = self.command.parts[0]
        if self.command.placeholders(first):
            return
        has_folder = os.sep in first
        if shutil.which(self.folder / first if has_folder else first) is not None:
            return
        path = self.folder / first
        if path.is_file():
            how = (
                f"make it executable (chmod +x {first})"
                if has_folder
                else f"write ./{first}, or name what runs it, as in sh {first}"
            )
            raise TaskMissing(f"program {first!r}: {path} is there, but cannot be started by that name; {how}")
        where = f"{self.folder} has none" if has_folder else "no folder of PATH has one"
        if shutil.which(f"{first}3") is not None:  # where there is a python3 and no python, say
            where = f"{where}, but there is {first}3"
        raise TaskMissing(f"program {first!r}: {where}; name a program that is installed here, or its path")

    def checksums(self) -> dict[str, Any]:
        """Checksums of the script, which is the first file that the command names, and of `files`.

        Of a Python script's imports, too. Further files of the command may be what it writes.
        """
        for name in self.files:
            if not (self.folder / name).is_file():
                raise DataError(f"program: files names {self.folder / name}, which is no file; expected paths of files")
        return {name: _checksum(self.folder / name) for name in (*self._script(), *self.files)}

    def _script(self) -> Iterator[str]:
        for place, part in enumerate(self.command.parts):
            if self.command.placeholders(part) or (place == 0 and os.sep not in part):
                continue
            with suppress(OSError):  # a name that is too long
                if (self.folder / part).is_file():
                    yield part
                    return

    def placed(self) -> "Program":
        """The same, with paths above its folder (../train.py) as whole ones, since it starts elsewhere."""

        def placed(part: str) -> str:
            is_above = part.startswith("..") and not self.command.placeholders(part) and (self.folder / part).exists()
            return os.path.abspath(self.folder / part) if is_above else part

        return (
            self if self.in_place else replace(self, command=replace(self.command, parts=tuple(map(placed, self.command.parts))))
        )


@dataclass(frozen=True)
class Training:
    """Trains by running the program. checksums: of its files when the task was loaded."""

    program: Program
    checksums: Mapping[str, Any]

    def __call__(self, configuration: Configuration, run: Run) -> None:
        """Run it once, for one configuration."""
        program, command, home = self.program, self.program.placed().command, run.folder
        self._check_unchanged()
        work = home / WORK
        private_folder(work)
        configuration_file = home / CONFIGURATION
        with open(configuration_file, "w", encoding="utf-8", opener=private_opener) as file:
            json.dump(dict(configuration), file, ensure_ascii=False)
        facts = {"number": str(run.number), "seed": str(run.seed), "folder": str(work), "configuration": str(configuration_file)}
        fidelity = command.space.fidelity
        results = Results(run, program.metric, program.pattern, int(configuration[fidelity.name]) if fidelity else 1)
        outputs = Output(home / OUTPUT), Output(home / ERRORS)
        arguments = command.arguments(configuration, facts)
        try:
            with nullcontext() if program.in_place else _linked(program.folder, work):
                code = process.run(
                    arguments,
                    program.folder if program.in_place else work,
                    _environment(program.threads, command.variables(configuration, facts)),
                    grace=program.grace,
                    outputs=outputs,
                    take=results.take,
                    alive=run.alive,
                    ends=run.ends,
                    while_held=run.while_held,
                )
        except process.NotStarted as error:
            raise ProgramFailed(f"the program {arguments[0]!r} could not be started: {error}") from None
        finally:
            for output in outputs:
                output.close()
        if code != 0:
            raise ProgramFailed(f"{_ending(code)}; {_printed(home)}")
        results.end()
        if run.value is None:
            raise ProgramFailed(f"{_printed(home)}\n{results.why_none()}")

    def _check_unchanged(self) -> None:
        now = self.program.checksums()
        changed = [name for name in {**self.checksums, **now} if self.checksums.get(name) != now.get(name)]
        if changed:
            raise TaskMissing(
                f"program: {', '.join(changed)} changed since this session began, so that further trials would not be of the "
                "same program; undo the change, or begin a new session"
            )


def _environment(threads: int, variables: Mapping[str, str]) -> dict[str, str]:
    """All variables that a program sees: the tuner's, without those that are Evenhand's own, and the trial's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(VARIABLE_PREFIX)}
    return {**inherited, **dict.fromkeys(THREAD_VARIABLES, str(threads)), "PYTHONUNBUFFERED": "1", **variables}


@contextmanager
def _linked(folder: Path, work: Path) -> Iterator[None]:
    """Within it all that lies in `folder` can be found in `work`, too; what the program makes anew stays in `work`."""
    links = []
    try:
        for entry in os.scandir(folder):
            link = work / entry.name
            with suppress(FileExistsError):
                link.symlink_to(entry.path)
                links.append(link)
        yield
    finally:
        for link in links:
            with suppress(OSError):
                if link.is_symlink():  # else the program put something of its own in its place
                    link.unlink()


def _ending(code: int | None) -> str:
    """How a program ended that did not end well, in words."""
    if code is None:
        return "the program was lost: the process that watched it was ended from outside; a lack of memory may be the cause"
    if code < 0:
        return f"the program was ended by {_signal(-code)}"
    shell = {126: "a shell's word for: it cannot be started", 127: "a shell's word for: command not found"}.get(code)
    if shell is None and code > 128 and code - 128 in set(signal.Signals):
        shell = f"a shell's word for: ended by {_signal(code - 128)}"
    return f"the program ended with exit code {code}{f' ({shell})' if shell else ''}"


def _signal(number: int) -> str:
    hint = "; a lack of memory may be the cause" if number == signal.SIGKILL else ""
    known = number in set(signal.Signals)
    return f"{signal.Signals(number).name if known else f'signal {number}'} ({signal.strsignal(number) or 'unknown'}{hint})"


def _printed(home: Path) -> str:
    """The end of what it said, of its standard error if there is any."""
    for name, what in ((ERRORS, "standard error"), (OUTPUT, "standard output")):
        if end := tail(home / name):
            return f"its {what} ended with:\n{end}"
    return "it printed nothing"


def _checksum(path: Path) -> Any:
    """What stands for a file: of a Python script the hashes of its code and of what it imports beside it, else of its bytes."""
    try:
        if path.suffix == ".py":
            return versions.of_file(path, [])
        stat = path.stat()
        return _hashed(path, stat.st_mtime_ns, stat.st_size, stat.st_ino)
    except OSError as error:
        raise DataError(f"program: {path} cannot be read ({error.strerror})") from error


@lru_cache(maxsize=256)
def _hashed(path: Path, *_: int) -> str:
    """SHA-256 (hex) of a file, which is read again where its time or size is another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
