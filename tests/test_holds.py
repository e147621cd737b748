"""A pause holds what trains: at its next report, without any cost, and the numbers are those of a training without a pause."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from evenhand import tasks
from evenhand.errors import Refused, StaleAttempt
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.job import Order
from evenhand.model.session import Session
from evenhand.model.study import Budget
from evenhand.model.task import Metric
from evenhand.model.trial import Hold, Measurement, Outcome, Trial
from evenhand.runners.local_agent import Trainer
from evenhand.settings import Rules
from evenhand.store.engine import Store
from evenhand.tasks.gate import Gate
from evenhand.web.app import create_app
from tests.agents import agent_process, ended, opened, record_of, submit, training, undisturbed
from tests.labs import SPACE, Clock, batch, claim, database, epoch, make_lab, started, toy_study
from tests.paced_tasks import GO_VARIABLE
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import listening

CONFIGURATION = SPACE.configuration({"epochs": 2})
PAUSED = "a fire alarm"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def timed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Lab, Clock]]:
    """A lab and its clock."""
    with database(request.param, tmp_path) as url:
        lab, clock = make_lab(url, Rules(lease=1000, attempts=3))
        yield lab, clock
        lab.close()


def claimed(lab: Lab, budget: Budget | None = None) -> tuple[Session, int, int]:
    """A session whose trial has just been claimed, its job, and the agent that holds it."""
    session = started(lab, toy_study(lab, budget))
    agent, _ = lab.agents.add("one", 1)
    lab.submit(session.id, CONFIGURATION)
    return session, claim(lab, agent).job_id, agent


def test_the_time_held_is_in_neither_the_clock_nor_the_trials_seconds(timed: tuple[Lab, Clock]) -> None:
    lab, clock = timed
    session, job, _ = claimed(lab)
    clock.now += 10
    assert lab.measure(job, 1, [batch(0)]) is Order.GO_ON
    lab.sessions.pause([session.id], PAUSED)
    clock.now += 1  # until its next report it trains
    assert lab.measure(job, 1, [batch(1)]) is Order.HOLD
    assert not lab.sessions.get(session.id).trials[0].is_held, "it was told, but has not said that it stands still"
    clock.now += 1
    assert lab.measure(job, 1, [], is_held=True) is Order.HOLD
    assert lab.sessions.get(session.id).trials[0].is_held
    clock.now += 500
    assert lab.measure(job, 1, [], is_held=True) is Order.HOLD
    trial = lab.sessions.get(session.id).trials[0]
    assert trial.seconds(clock.now) == 12
    assert rules.seconds_left(lab.sessions.get(session.id), clock.now) == 90
    lab.sessions.unpause([session.id])
    clock.now += 3  # until its agent hears that it may go on
    assert lab.measure(job, 1, [], is_held=True) is Order.GO_ON
    assert rules.seconds_left(lab.sessions.get(session.id), clock.now) == 90
    assert lab.measure(job, 1, []) is Order.GO_ON
    clock.now += 7
    lab.finish(job, 1, Outcome.COMPLETED, None, [epoch(2, 2, 0.5)])
    ended = lab.sessions.get(session.id)
    assert ended.trials[0].seconds(clock.now) == 19
    assert ended.trials[0].holds == (Hold(1_000_012.0, 1_000_515.0),)
    assert rules.seconds_left(ended, clock.now) == 83
    assert [event.kind for event in lab.sessions.events(session.id) if event.trial_id] == [
        "submitted",
        "claimed",
        "held",
        "trains on",
        "finished",
    ]


def test_what_waits_in_a_paused_session_begins_after_the_pause(timed: tuple[Lab, Clock]) -> None:
    lab, clock = timed
    session = started(lab, toy_study(lab))
    agent, _ = lab.agents.add("one", 1)
    lab.hello(agent, slots=1, machine="here")
    lab.submit(session.id, CONFIGURATION)
    lab.sessions.pause([session.id], PAUSED)
    assert lab.claim(agent) is None
    waiting = lab.view(session.id).waiting
    assert waiting is not None
    assert waiting.why == "its session is paused"
    clock.now += 100
    lab.sessions.unpause([session.id])
    assert claim(lab, agent).attempt == 1
    assert rules.seconds_left(lab.sessions.get(session.id), clock.now) == 100


def test_a_stop_ends_what_is_held_and_its_hold(timed: tuple[Lab, Clock]) -> None:
    lab, clock = timed
    session, job, _ = claimed(lab)
    lab.sessions.pause([session.id], PAUSED)
    lab.measure(job, 1, [], is_held=True)
    clock.now += 20
    lab.stop(session.id, 1)
    assert lab.measure(job, 1, [], is_held=True) is Order.STOP
    lab.finish(job, 1, Outcome.STOPPED)
    trial = lab.sessions.get(session.id).trials[0]
    assert (trial.outcome, trial.seconds(clock.now)) == (Outcome.STOPPED, 0)
    assert not trial.is_held


def test_what_was_held_by_an_agent_that_died_is_trained_again_after_the_pause(timed: tuple[Lab, Clock]) -> None:
    lab, clock = timed
    session, job, agent = claimed(lab)
    lab.sessions.pause([session.id], PAUSED)
    lab.measure(job, 1, [], is_held=True)
    clock.now += 2000  # its lease has run out
    lab.sweep()
    with pytest.raises(StaleAttempt, match="attempt 1 of job 1 is over"):
        lab.measure(job, 1, [], is_held=True)
    assert lab.sessions.get(session.id).trials[0].holds == ()
    assert lab.claim(agent) is None
    lab.sessions.unpause([session.id])
    again = claim(lab, agent)
    assert (again.job_id, again.attempt) == (job, 2)
    assert rules.seconds_left(lab.sessions.get(session.id), clock.now) == 100


def test_a_training_that_says_it_stands_still_unasked_gets_no_time_for_it(timed: tuple[Lab, Clock]) -> None:
    lab, clock = timed
    session, job, _ = claimed(lab)
    assert lab.measure(job, 1, [], is_held=True) is Order.GO_ON
    clock.now += 30
    assert lab.sessions.get(session.id).trials[0].seconds(clock.now) == 30
    assert rules.seconds_left(lab.sessions.get(session.id), clock.now) == 70


class Ticking:
    """A clock that tests move, and what a run says on it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.measured: list[Measurement] = []
        self.held = 0
        self.gate = Gate(self.wait)

    def clock(self) -> float:
        """The time."""
        return self.now

    def wait(self) -> None:
        """A training comes to stand still: 1000 s later it goes on."""
        self.held += 1
        self.now += 1000
        self.gate.open()

    def report(self, measurement: Measurement) -> None:
        """Two seconds pass with each report; the second one is told to stand still."""
        self.measured.append(measurement)
        self.now += 2
        if len(self.measured) == 2:
            self.gate.close()


def test_a_held_trainings_seconds_and_its_limit_leave_the_hold_out() -> None:
    ticking, task = Ticking(), replace(tasks.load(record_of("summing").spec), max_seconds=100)
    ended = tasks.run_trial(
        task,
        {"epochs": 3, "rate": 0.5},
        seed=1,
        evaluation=False,
        report=ticking.report,
        clock=ticking.clock,
        gate=ticking.gate,
    )
    assert ended == (Outcome.COMPLETED, None)
    assert [point.seconds for point in ticking.measured] == [0, 2, 4, 6, 8, 10]
    assert ticking.held == 1


def test_a_session_whose_program_defines_its_space_cannot_be_paused(tmp_path: Path) -> None:
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    session = lab.open_spaces.open("mine", [Metric("loss", "minimize")], {"name": "optuna"})
    with pytest.raises(Refused, match="has an open space"):
        lab.sessions.pause([session.id], PAUSED)
    lab.close()


# With what trains


@dataclass
class Paused:
    """A lab on a database, a session in it whose trial waits amid its training for a file, and a clock that can jump."""

    url: str
    go: Path
    ahead: float = 0.0

    def __post_init__(self) -> None:
        self.lab = self.connected()
        self.session = opened(self.lab, record_of("waiting"))

    def connected(self) -> Lab:
        """The laboratory as another process has it, which knows only what is stored."""
        return Lab(Store(self.url), Rules(lease=PATIENCE_SECONDS), lambda: time.time() + self.ahead)

    def held(self, number: int) -> Trial:
        """The session is paused; the trial, when it stands still."""
        training(self.lab, self.session, number)
        self.lab.sessions.pause([self.session.id], PAUSED)
        return wait_for(lambda: self.lab.sessions.get(self.session.id).trial(number), "it is held", lambda trial: trial.is_held)

    def still_held(self, number: int) -> None:
        """It measures nothing, although it could go on."""
        before = self.lab.curve(self.session.id, number).measurements
        self.go.touch()
        time.sleep(1.5)  # for longer than its agent is silent
        assert self.lab.curve(self.session.id, number).measurements == before

    def equal_to_one_without_a_pause(self, number: int) -> Trial:
        """The trial goes on to its end, and its numbers are those of a training that nobody held."""
        self.lab.sessions.unpause([self.session.id])
        trial = ended(self.lab, self.session, number)
        assert trial.outcome is Outcome.COMPLETED
        rows = [
            (point.index, point.step, point.epoch, point.loss, point.value)
            for point in self.lab.curve(self.session.id, number).measurements
        ]
        assert len(rows) == 15
        assert rows == undisturbed(self.session.task, trial.configuration, self.session.tuning_seed)
        return trial


@pytest.fixture
def paused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paused]:
    """Its file is not there yet."""
    monkeypatch.setenv(GO_VARIABLE, str(tmp_path / "go"))
    made = Paused(f"sqlite:///{tmp_path / 'lab.sqlite'}", tmp_path / "go")
    yield made
    made.lab.close()


@pytest.mark.slow
@pytest.mark.parametrize("waits_after", [5, 7], ids=["between epochs", "amid an epoch"])
def test_what_trains_in_this_process_is_held_and_its_numbers_stay(paused: Paused, waits_after: int) -> None:
    trainer = Trainer(paused.lab, tasks.load(record_of("waiting").spec), paused.session.id)
    submit(paused.lab, paused.session, waits_after=waits_after)
    thread = threading.Thread(target=trainer.train_next)
    thread.start()
    paused.held(1)
    paused.still_held(1)
    trial = paused.equal_to_one_without_a_pause(1)
    thread.join(PATIENCE_SECONDS)
    (hold,) = trial.holds
    assert hold.seconds(math.inf) > 1.5
    trainer.close()


@pytest.mark.slow
def test_ctrl_c_ends_what_is_held_in_this_process_and_gives_it_back(paused: Paused) -> None:
    trainer, ends = Trainer(paused.lab, tasks.load(record_of("waiting").spec), paused.session.id), []

    def train() -> None:
        try:
            trainer.train_next()
        except KeyboardInterrupt as error:
            ends.append(error)

    submit(paused.lab, paused.session, waits_after=7)
    thread = threading.Thread(target=train)
    thread.start()
    paused.held(1)
    trainer.interrupt()
    thread.join(PATIENCE_SECONDS)
    assert len(ends) == 1
    trial = paused.lab.sessions.get(paused.session.id).trials[0]
    assert (trial.outcome, trial.claimed_at, trial.holds) == (None, None, ())
    trainer.close()


@pytest.mark.slow
@pytest.mark.kill
def test_a_pause_outlives_its_server_and_its_agent(paused: Paused, tmp_path: Path) -> None:
    """The agent holds on while no server is there. What a killed one held, the next one trains from its start."""
    submit(paused.lab, paused.session, waits_after=7)
    token = paused.lab.agents.add("far", 1)[1]
    with ExitStack() as stack:
        with listening(create_app(paused.lab, data_dir=tmp_path)) as address:
            agent = stack.enter_context(agent_process(address, token))
            paused.held(1)
        stack.enter_context(listening(create_app(paused.connected(), data_dir=tmp_path), int(address.rpartition(":")[2])))
        paused.still_held(1)
        trial = paused.equal_to_one_without_a_pause(1)
        assert (trial.attempt, len(trial.holds)) == (1, 1)
        paused.go.unlink()
        submit(paused.lab, paused.session, waits_after=5)
        paused.held(2)
        agent.kill()
        agent.wait(PATIENCE_SECONDS)
        paused.ahead += 2 * PATIENCE_SECONDS  # its lease runs out
        paused.go.touch()
        stack.enter_context(agent_process(address, paused.lab.agents.add("next", 1)[1]))
        assert paused.equal_to_one_without_a_pause(2).attempt == 2


@pytest.mark.slow
def test_what_is_held_gives_its_slot_to_another_where_it_can_go_on_later(tmp_path: Path) -> None:
    """One slot: while one session is paused the other one trains; then the first goes on, bit for bit, and no time is counted."""
    lab = Lab(Store(f"sqlite:///{tmp_path / 'lab.sqlite'}"), Rules(lease=PATIENCE_SECONDS))
    first, second = opened(lab, record_of("resumable")), opened(lab, record_of("staged"))
    token = lab.agents.add("far", 1)[1]

    def reaches(epochs: int) -> Trial:
        return wait_for(
            lambda: lab.sessions.get(first.id).trials[0], f"{epochs} epochs", lambda trial: trial.epochs_done >= epochs
        )

    with ExitStack() as stack:
        address = stack.enter_context(listening(create_app(lab, data_dir=tmp_path)))
        stack.enter_context(agent_process(address, token, EVENHAND_DATA=str(tmp_path)))
        submit(lab, first, epochs=120)
        reaches(24)  # its state is written after a second
        lab.sessions.pause([first.id], PAUSED)
        held = wait_for(lambda: lab.sessions.get(first.id).trials[0], "it is held", lambda trial: trial.is_held)
        seconds = held.seconds(lab.clock())
        submit(lab, second, epochs=3)
        assert ended(lab, second, 1).outcome is Outcome.COMPLETED
        still = lab.sessions.get(first.id).trials[0]
        assert (still.is_held, still.attempt, still.seconds(lab.clock())) == (True, 1, seconds)
        assert [(agent.slots, agent.busy) for agent in lab.agents.all()] == [(1, 1)]
        lab.sessions.unpause([first.id])
        trial = ended(lab, first, 1)
        assert (trial.outcome, trial.attempt, len(trial.holds)) == (Outcome.COMPLETED, 1, 1)
        measured = lab.curve(first.id, 1).measurements
        rows = [(point.index, point.step, point.epoch, point.loss, point.value) for point in measured]
        assert len(rows) == 600
        assert rows == undisturbed(first.task, trial.configuration, first.tuning_seed)
        times = [point.seconds for point in measured]
        assert times == sorted(times)
        assert times[-1] == pytest.approx(trial.seconds(lab.clock()), abs=1.0)  # what was trained twice is in neither
        submit(lab, first, epochs=1000)
        wait_for(lambda: lab.sessions.get(first.id).trials[1], "24 epochs", lambda trial: trial.epochs_done >= 24)
        lab.sessions.pause([first.id], PAUSED)
        submit(lab, second, epochs=1)
        ended(lab, second, 2)
        lab.stop(first.id, 2)  # of what has no worker any more
        trial = ended(lab, first, 2)
        assert (trial.outcome, trial.epochs_done >= 24) == (Outcome.STOPPED, True)
        wait_for(lambda: list((tmp_path / "held").glob("*")), "nothing is left on the disk", lambda left: not left)
    lab.close()
