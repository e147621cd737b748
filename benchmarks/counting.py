"""A command's seconds of processor, those of every process that it starts included, also of those that nobody waits for.

What a process and the children that it waits for used is known at its end. Daemons, and the workers of a parent that ignores
their end, are in no such sum. Where this process may make a control group (Linux, with the right to), the command runs in one of
its own and the kernel counts exactly. Elsewhere the tree of processes is looked at ten times a second: what a process used before
the last look at it counts, so at most a tenth of a second of each is missed.
"""

import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

STOP_SECONDS = 5.0  # seconds that a killed process has to be gone
LOOK_SECONDS = 0.1  # seconds
GROUPS_PATH = Path("/sys/fs/cgroup")
ERROR_LETTERS = 4000  # letters of what a failed command wrote, its end


@dataclass(frozen=True)
class Counted:
    """What a command printed, and took. cpu, wall: seconds. how: counted by the "control group" or by "looking"."""

    printed: str
    cpu: float
    wall: float
    how: str


class Counter(Protocol):
    """What counts. how: see `Counted`."""

    how: str

    @property
    def prefix(self) -> Sequence[str]:
        """What the command is started through."""

    def begin(self, pid: int) -> None:
        """The command runs as this process."""

    def end(self) -> float:
        """End what it left running, and return the seconds of all."""


def run(command: Sequence[str], environment: Mapping[str, str], *, looking: bool = False) -> Counted:
    """Run a command to its end; what it leaves running then is ended. looking: without a control group.

    Raises CalledProcessError where it fails, with the end of what it wrote to standard error.
    """
    with _counter(looking) as counter, tempfile.TemporaryFile("w+") as printed, tempfile.TemporaryFile("w+") as errors:
        begun = time.perf_counter()
        process = subprocess.Popen([*counter.prefix, *command], stdout=printed, stderr=errors, env=environment)
        counter.begin(process.pid)
        try:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            wall = time.perf_counter() - begun
        finally:
            counted = counter.end()
        cpu = max(counted, used.ru_utime + used.ru_stime)
        for file in (printed, errors):
            file.seek(0)
        if process.returncode:
            failed = subprocess.CalledProcessError(process.returncode, command, stderr=errors.read()[-ERROR_LETTERS:])
            failed.add_note(failed.stderr)  # its own text leaves out what the command wrote
            raise failed
        return Counted(printed.read(), cpu, wall, counter.how)


@contextmanager
def _counter(looking: bool) -> Iterator[Counter]:
    path = None if looking else _new_group()
    if path is None:
        yield Looking()
        return
    try:
        yield Group(path)
    finally:
        path.rmdir()


def _new_group() -> Path | None:
    """A control group below this process's own; None where none can be made."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, own = line.split(":", 2)
            root = {"cpuacct": GROUPS_PATH / "cpuacct", "cpu,cpuacct": GROUPS_PATH / "cpu,cpuacct", "": GROUPS_PATH}.get(
                controllers
            )
            if root is None or not any((root / own[1:] / name).exists() for name in ("cpuacct.usage", "cpu.stat")):
                continue
            path = root / own[1:] / f"evenhand-{os.getpid()}-{time.monotonic_ns()}"
            with suppress(OSError):
                path.mkdir()
                if _may_enter(path):
                    return path
                path.rmdir()
    return None


def _may_enter(path: Path) -> bool:
    return (
        subprocess.run(["sh", "-c", f"echo $$ > '{path}/cgroup.procs'"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    )


class Group:
    """Counts by a control group, version 1 or 2."""

    how = "control group"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._before = self._used()  # of the trial that it can be entered
        self.prefix = ("sh", "-c", f"echo $$ > '{path}/cgroup.procs'; exec \"$@\"", "sh")

    def begin(self, pid: int) -> None:
        """Nothing: the command entered the group by itself."""

    def end(self) -> float:
        """Kill what is left, and read the group's sum."""
        while pids := (self._path / "cgroup.procs").read_text().split():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(int(pid), 9)
            time.sleep(LOOK_SECONDS / 10)
        return self._used() - self._before

    def _used(self) -> float:
        usage = self._path / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text()) / 1e9
        return int((self._path / "cpu.stat").read_text().split()[1]) / 1e6  # usage_usec comes first


class Looking:
    """Counts by looking at the tree of processes every so often."""

    how = "looking"
    prefix = ()

    def __init__(self) -> None:
        self._seen: dict[psutil.Process, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look_on, name="counting", daemon=True)

    def begin(self, pid: int) -> None:
        """Look at this process and what comes of it."""
        self._seen[psutil.Process(pid)] = 0.0
        self._thread.start()

    def end(self) -> float:
        """Kill what is left, and add what each process used."""
        self._ended.set()
        self._thread.join()
        self._look()
        for process in self._seen:
            with suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(list(self._seen), timeout=STOP_SECONDS)
        return sum(self._seen.values())

    def _look_on(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        for process in list(self._seen):
            with suppress(psutil.Error):
                for child in process.children(recursive=True):
                    self._seen.setdefault(child, 0.0)
        for process in self._seen:
            with suppress(psutil.Error):
                if process.is_running():  # and its number was not given to another
                    used = process.cpu_times()
                    self._seen[process] = used.user + used.system
