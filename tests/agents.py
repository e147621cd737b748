"""What the tests of agents share: a lab with a study of a task that agents can load, and waiting for what has to happen."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from evenhand import tasks
from evenhand.declaration import Budget, Study, Text
from evenhand.lab import Lab
from evenhand.records import Session, TaskRecord, TaskSpec, Trial
from evenhand.space import Configuration

T = TypeVar("T")
TASKS = Path(__file__).parent / "paced_tasks.py"


def record_of(name: str) -> TaskRecord:
    """A task of `paced_tasks`, as the lab knows it."""
    return tasks.load(TaskSpec(f"{TASKS}:{name}")).record


def opened(lab: Lab, record: TaskRecord, seeds: int = 2) -> Session:
    """A session on a study of the task; its clock runs, and no server plays it."""
    kept = lab.add_task(record)
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
    )
    session = lab.open(lab.add_study(study).id, tuner="test", driver="test")
    return lab.start(session.id)


def submit(lab: Lab, session: Session, **values: float | int | str) -> Trial:
    """Submit the task's defaults with these values changed."""
    return lab.submit(session.id, session.space.configuration({**session.space.defaults(), **values}))


def wait_for(what: Callable[[], T | None], why: str, seconds: float = 60.0) -> T:
    """The first value of `what` that is true; AssertionError, with `why`, where there is none in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.02)
    raise AssertionError(f"{why}: not within {seconds} s")


def ended(lab: Lab, session: Session, number: int, seconds: float = 60.0) -> Trial:
    """The trial, when it has ended."""

    def look() -> Trial | None:
        trial = lab.session(session.id).trial(number)
        return trial if trial and not trial.is_open else None

    return wait_for(look, f"trial {number} ends", seconds)


def training(lab: Lab, session: Session, number: int, attempt: int = 1) -> Trial:
    """The trial, when this attempt of it has measured something."""

    def look() -> Trial | None:
        trial = lab.session(session.id).trial(number)
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
            report=lambda each: measured.append((each.index, each.step, each.epoch, each.loss, each.value)),
        )
    return measured
