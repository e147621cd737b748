"""A laboratory with a server of its own on this machine, for the sides of benchmarks that go through one."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from evenhand.lab.lab import Lab
from evenhand.model.study import Budget, Study, Text
from evenhand.rehearsal.run import held_port, wait_for_server
from evenhand.tasks import Task

SERVER_STOP_SECONDS = 20.0  # seconds that a server has to end in order


@dataclass(frozen=True)
class Served:
    """A running server: the lab behind it, its only session, its address and its process."""

    lab: Lab
    session_id: int
    url: str
    process: psutil.Process


@contextmanager
def served(
    task: Task,
    method: Mapping[str, object],
    budget: Budget,
    *,
    slots: int = 0,
    driver: str = "server",
) -> Iterator[Served]:
    """A server with a new database that holds one method's session, which the server plays, or else the driver that is named.

    slots: of the server's own agent.
    """
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, held_port() as port:
        database = f"sqlite:///{Path(folder, 'lab.sqlite')}"
        lab = Lab.connect(database)
        session_id = _session(lab, task, method, budget, driver)
        options = ["serve", "--slots", str(slots), "--port", str(port), "--db", database]
        environment = {**os.environ, "EVENHAND_DATA": folder}
        command = [sys.executable, "-m", "evenhand.cli.main", *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for_server(url, process)
            yield Served(lab, session_id, url, psutil.Process(process.pid))
        finally:
            lab.close()
            process.terminate()
            try:
                process.wait(timeout=SERVER_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _session(lab: Lab, task: Task, method: Mapping[str, object], budget: Budget, driver: str) -> int:
    text, record = Text(""), lab.studies.add_task(task.record)
    study = Study(
        "benchmark", "Benchmark", record.id, budget, 0, text, text, text, evaluation_seeds=0, resumable=True, machines="any"
    )
    return lab.sessions.open(lab.studies.add(study).id, tuner=str(method["name"]), method=method, budget=budget, driver=driver).id


def seconds_of(process: psutil.Process) -> float:
    """The CPU seconds of a process so far."""
    used = process.cpu_times()
    return float(used.user + used.system)
