"""A served method's session that a person works with, and an agent that trains its trials at a pace, by a formula."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evenhand.lab.lab import Lab
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.job import Assignment
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Measurement, Outcome, Trial
from evenhand.web.state import held_by
from tests.labs import Clock, make_lab
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import Site, serve

SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 4), default=4, fidelity=True),
        Hyperparameter("optimizer", Choice(("sgd", "adam", "rmsprop"), ("SGD", "Adam", "RMSprop"))),
        Hyperparameter("learning_rate", Float(1e-5, 1, log=True), 0.001),
        Hyperparameter("momentum", Float(0, 0.99), 0.0, condition=Condition("optimizer", ("sgd",))),
        Hyperparameter("weight_decay", Float(1e-6, 0.1, log=True, or_zero=True), 0.0),
    ]
)


def score(values: Mapping[str, Any], epoch: int) -> float:
    """Best at a learning rate of 0.01, with Adam, after more epochs."""
    away = abs(math.log10(float(values["learning_rate"])) + 2) / 5
    return round(0.9 - 0.6 * away - 0.05 * bool(values["optimizer"] != "adam") - 0.1 / epoch, 4)


@dataclass
class Agent:
    """Trains what is claimed until it is told to hold: it then goes on with epochs that say nothing new, until it is stopped.

    Tests' time moves by a second with each epoch. pace: real seconds between two epochs.
    """

    lab: Lab
    clock: Clock
    pace: float
    ending: threading.Event = field(default_factory=threading.Event)
    holds: threading.Event = field(default_factory=threading.Event)
    holding: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Claim and train until the end."""
        agent, _ = self.lab.agents.add("formula", 1)
        while not self.ending.is_set():
            self.lab.hello(agent, slots=1, machine="Linux")
            job = self.lab.claim(agent)
            if job is None:
                self.ending.wait(self.pace)
            else:
                self._train(job)

    def _train(self, job: Assignment) -> None:
        index, epochs = 0, int(job.configuration["epochs"])
        while index < epochs or self.holds.is_set():
            if self.ending.wait(self.pace):
                return
            self.clock.now += 1
            fresh = index < epochs - self.holds.is_set()
            if not fresh:
                self.holding.set()
            value = score(job.configuration, index + 1)
            batch = [Measurement(index, 10 * (index + 1), index + 1, 1 - value, value, index + 1.0)] if fresh else []
            if not self.lab.measure(job.job_id, job.attempt, batch):
                self.lab.finish(job.job_id, job.attempt, Outcome.STOPPED)
                return
            index += fresh
        self.lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)


@dataclass
class Bench:
    """A session that is played and trained."""

    site: Site
    agent: Agent
    id: int

    @property
    def session(self) -> Session:
        """The session now."""
        return self.site.lab.sessions.get(self.id)

    @property
    def address(self) -> str:
        """The workbench's address."""
        return f"/sessions/{self.id}/workbench"

    def until(self, true: Callable[[Session], bool], why: str) -> Session:
        """The session, when this is true of it."""
        return wait_for(lambda: self.session, why, true)

    def trained(self, count: int) -> Session:
        """The session, when this many trials have ended."""
        return self.until(lambda session: sum(not trial.is_open for trial in session.trials) >= count, f"{count} trials end")

    def held(self) -> Trial:
        """A trial that trains on until it is stopped."""
        self.agent.holding.clear()
        self.agent.holds.set()
        assert self.agent.holding.wait(PATIENCE_SECONDS), "no trial trains on"
        return next(trial for trial in self.session.trials if trial.is_open)


@contextmanager
def bench(folder: Path, method: str = "tpe", pace: float = 0.01, **settings: object) -> Iterator[Bench]:
    """A server that plays a method's session, and the agent."""
    lab, clock = make_lab(f"sqlite:///{folder / 'lab.sqlite'}")
    task = TaskRecord(TaskSpec("formula"), "version 1", SPACE, "accuracy", "maximize", 4)
    study = lab.studies.add(
        Study(
            name="bench",
            title="Working together",
            task_id=lab.studies.add_task(task).id,
            budget=Budget(trials=10_000),  # more than any test stays for
            seed=7,
            consent=Text(""),
            details=Text(""),
            thanks=Text(""),
            evaluation_seeds=2,
            machines="any",
        )
    )
    agent = Agent(lab, clock, pace)
    thread = threading.Thread(target=agent.run, daemon=True)
    with serve(lab, clock, folder) as site:
        session = lab.sessions.open(study.id, tuner=method, method={"name": method, "seed": 0, **settings})
        thread.start()
        held_by(site.app).players.play(session.id)
        try:
            yield Bench(site, agent, session.id)
        finally:
            agent.ending.set()
            thread.join(PATIENCE_SECONDS)
            assert not thread.is_alive(), "the agent does not end"
    lab.close()
