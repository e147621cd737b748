"""What the tests of agents share: a lab with a study of a task that agents can load, what becomes of its trials, and agents."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from evenhand import tasks
from evenhand.lab.lab import Lab
from evenhand.model.configuration import Configuration
from evenhand.model.session import Session
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Trial
from tests.waiting import PATIENCE_SECONDS, wait_for

TASKS = Path(__file__).parent / "paced_tasks.py"


def record_of(name: str) -> TaskRecord:
    """A task of `paced_tasks`, as the lab knows it."""
    return tasks.load(TaskSpec(f"{TASKS}:{name}")).record


def opened(lab: Lab, record: TaskRecord, seeds: int = 2) -> Session:
    """A session on a study of the task; its clock runs, and no server plays it."""
    kept = lab.studies.add_task(record)
    study = Study(
        name=f"{record.spec.name} {time.monotonic_ns()}",
        title="Paced",
        task_id=kept.id,
        budget=Budget(trials=10_000, parallel=8),
        seed=7,
        consent=Text(""),
        details=Text(""),
        thanks=Text(""),
        evaluation_seeds=seeds,
        machines="any",
    )
    session = lab.sessions.open(lab.studies.add(study).id, tuner="test", driver="test")
    return lab.start(session.id)


def submit(lab: Lab, session: Session, **values: float | int | str) -> Trial:
    """Submit the task's defaults with these values changed."""
    return lab.submit(session.id, session.space.configuration({**session.space.defaults(), **values}))


def ended(lab: Lab, session: Session, number: int) -> Trial:
    """The trial, when it has ended."""
    return wait_for(lambda: lab.sessions.get(session.id).trial(number), f"trial {number} ends", lambda trial: not trial.is_open)


def training(lab: Lab, session: Session, number: int, attempt: int = 1) -> Trial:
    """The trial, when this attempt of it has measured something."""

    def look() -> Trial | None:
        trial = lab.sessions.get(session.id).trial(number)
        return trial if trial and trial.attempt >= attempt and lab.curve(session.id, number).measurements else None

    return wait_for(look, f"trial {number} trains")


def undisturbed(record: TaskRecord, configuration: Configuration, seed: int) -> list[tuple[object, ...]]:
    """What an uninterrupted training in this process measures: all but the times."""
    from evenhand.tasks.threads import one_thread

    measured: list[tuple[object, ...]] = []
    with one_thread():
        tasks.run_trial(
            tasks.load(record.spec),
            configuration,
            seed=seed,
            evaluation=False,
            report=lambda measurement: measured.append(
                (measurement.index, measurement.step, measurement.epoch, measurement.loss, measurement.value)
            ),
        )
    return measured


@contextmanager
def agent_process(
    address: str, token: str, *options: str, folder: Path | None = None, log: Path | None = None, **environment: str
) -> Iterator[subprocess.Popen[bytes]]:
    """An agent with one slot in a process of its own, which is ended in order.

    Args:
        address: Of the server.
        token: The agent's.
        options: Further ones of `evenhand agent`.
        folder: In which it is started.
        log: Where its output goes.
        environment: Further variables.
    """
    command = [sys.executable, "-m", "evenhand", "agent", address, "--slots", "1", *options]
    variables = {**os.environ, "EVENHAND_AGENT_TOKEN": token, "PYTHONPATH": str(TASKS.parents[1]), **environment}
    with open(log or os.devnull, "wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)
