"""A lab with a clock that tests move, a tiny task that needs no training code, and the databases that it runs on."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from sqlalchemy import create_engine, text

from evenhand.lab.lab import Lab
from evenhand.model.domain import Float, Integer
from evenhand.model.environment import Environment
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.job import Assignment
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Measurement
from evenhand.settings import Rules
from evenhand.store.engine import Store

SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 10), fidelity=True),
        Hyperparameter("learning_rate", Float(1e-4, 1, log=True), 0.01),
    ]
)


HERE = Environment(
    python="3.11.7",
    torch="2.13.0+cpu",
    numpy="2.3.1",
    scipy="1.16.0",
    scikit_learn="1.7.0",
    engine="0123456789ab",
    machine="x86-64 with AVX-512 (Intel)",
    system="Linux",
)


class Clock:
    """Time that moves when told to."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def database(backend: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database: a file, or a schema of its own on the PostgreSQL that EVENHAND_TEST_DB names."""
    if backend == "sqlite":
        yield f"sqlite:///{folder / 'lab.sqlite'}"
        return
    server = os.environ["EVENHAND_TEST_DB"]
    schema = f"test_{uuid.uuid4().hex}"
    engine = create_engine(server)
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    try:
        yield f"{server}{'&' if '?' in server else '?'}options=-csearch_path%3D{schema}"
    finally:
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
        engine.dispose()


def make_lab(url: str, rules: Rules | None = None) -> tuple[Lab, Clock]:
    """A lab on `url` and its clock."""
    clock = Clock()
    return Lab(Store(url), rules or Rules(lease=10, choosing=600), clock), clock


def toy_study(
    lab: Lab,
    budget: Budget | None = None,
    live_validation: bool = True,
    machines: Literal["alike", "any"] = "any",
    trial_share: float | None = None,
) -> Study:
    """A study on a task of two hyperparameters that nothing here trains."""
    record = TaskRecord(TaskSpec("toy"), "version 1", SPACE, "accuracy", "maximize", 10)
    return lab.studies.add(
        Study(
            name=f"toy-{uuid.uuid4().hex[:6]}",
            title="Toy",
            task_id=lab.studies.add_task(record).id,
            budget=budget or Budget(seconds=100),
            seed=7,
            consent=Text("I agree."),
            details=Text("Details."),
            thanks=Text("Thanks."),
            evaluation_seeds=2,
            live_validation=live_validation,
            machines=machines,
            trial_share=trial_share,
        )
    )


def started(lab: Lab, study: Study) -> Session:
    """A method's session whose clock runs."""
    return lab.start(lab.sessions.open(study.id, tuner="random").id)


def epoch(index: int, number: int, value: float) -> Measurement:
    """The measurement at the end of an epoch of ten steps."""
    return Measurement(index, number * 10, number, 1.0, value, number * 1.0)


def batch(index: int, loss: float = 2.0) -> Measurement:
    """The measurement of one batch."""
    return Measurement(index, index + 1, None, loss, None, index * 0.1)


def claim(lab: Lab, agent_id: int) -> Assignment:
    """The job that must be waiting."""
    assignment = lab.claim(agent_id)
    assert assignment is not None
    return assignment
