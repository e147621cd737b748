"""A laboratory with a server of its own on this machine, for the sides of benchmarks that go through one."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from evenhand.declaration import Budget, Study, Text
from evenhand.lab import Lab
from evenhand.rehearsal import free_port, wait_for_server
from evenhand.tasks import Task

LAST = 20.0  # seconds that a server has to end in order


@dataclass(frozen=True)
class Served:
    """A running server: the lab behind it, the URL of its database, its own, and its process."""

    lab: Lab
    database: str
    url: str
    process: psutil.Process

    def session(self, task: Task, method: dict[str, object], budget: Budget, driver: str) -> int:
        """The number of a new session in a study of its own; a method plays it, or the driver that is named."""
        text, record = Text(""), self.lab.add_task(task.record)
        study = Study("benchmark", "Benchmark", record.id, budget, 0, text, text, text, evaluation_seeds=0, resumable=True)
        name = str(method["name"])
        return self.lab.open(self.lab.add_study(study).id, tuner=name, method=method, budget=budget, driver=driver).id


@contextmanager
def served(slots: int, script: Sequence[str] = ("-m", "evenhand.cli")) -> Iterator[Served]:
    """A server with a new database, and with an agent with so many slots. script: what runs the command `serve`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        database, port = f"sqlite:///{Path(folder, 'lab.sqlite')}", free_port()
        lab = Lab.connect(database)
        options = ["serve", "--slots", str(slots), "--port", str(port), "--db", database]
        environment = {**os.environ, "EVENHAND_DATA": folder}
        process = subprocess.Popen([sys.executable, *script, *options], stdout=subprocess.DEVNULL, env=environment)
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for_server(url, process)
            yield Served(lab, database, url, psutil.Process(process.pid))
        finally:
            lab.close()
            process.terminate()
            try:
                process.wait(timeout=LAST)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def seconds_of(process: psutil.Process) -> float:
    """The CPU seconds of a process so far."""
    used = process.cpu_times()
    return used.user + used.system
