"""A trial of a tune in one process is leased in the write that stores it, to the agent there that has nothing to do."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.engine import Engine

import evenhand
from evenhand import Configuration, Float
from evenhand.errors import Refused, StaleAttempt
from evenhand.lab.lab import Lab
from evenhand.model.job import Assignment, place_of
from evenhand.model.session import Session
from evenhand.model.study import Budget
from evenhand.model.trial import Outcome, Trial
from tests.labs import Clock, database, make_lab, toy_study

CONFIGURATION = {"epochs": 1, "learning_rate": 0.1}


class Tuned:
    """A session that this process tunes, of which its agent has claimed a first trial as any agent does, and ended it."""

    def __init__(self, lab: Lab, clock: Clock, driver: str = "python") -> None:
        self.lab, self.clock = lab, clock
        study = toy_study(lab, Budget(trials=10))
        self.session = lab.start(lab.sessions.open(study.id, tuner="random", driver=driver).id)
        self.agent, _ = lab.agents.add("here", 1)
        self.submit()
        self.first = self.claim()
        self.finish(self.first)

    def stand_by(self) -> None:
        self.lab.agents.stand_by(self.agent, self.session.id)

    def submit(self, key: str | None = None) -> Trial:
        return self.lab.submit(self.session.id, CONFIGURATION, key=key)

    def claim(self) -> Assignment:
        assignment = self.asked()
        assert assignment is not None
        return assignment

    def asked(self) -> Assignment | None:
        return self.lab.claim(self.agent, session_id=self.session.id)

    def finish(self, assignment: Assignment) -> None:
        self.lab.finish(assignment.job_id, assignment.attempt, Outcome.COMPLETED)

    def read(self) -> Session:
        return self.lab.sessions.get(self.session.id)

    def trial(self, number: int) -> Trial:
        trial = self.read().trial(number)
        assert trial is not None
        return trial

    def kinds(self) -> list[str]:
        return [event.kind for event in self.lab.sessions.events(self.session.id)]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def tuned(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tuned]:
    with database(request.param, tmp_path) as url:
        lab, clock = make_lab(url)
        yield Tuned(lab, clock)
        lab.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Tuned]:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield Tuned(lab, clock)
    lab.close()


def test_what_is_submitted_is_leased_as_a_claim_leases_it(tuned: Tuned) -> None:
    ordinary = tuned.submit()
    by_claim = tuned.claim()
    stored = tuned.trial(ordinary.number)
    tuned.finish(by_claim)
    tuned.stand_by()
    submitted = tuned.submit()
    leased = tuned.trial(submitted.number)
    assert leased == submitted
    assert replace(leased, id=stored.id, number=stored.number) == stored
    assert (leased.claimed_at, leased.attempt, leased.outcome) == (tuned.clock.now, 1, None)
    assert tuned.kinds()[-3:] == ["finished", "submitted", "claimed"]
    handed = tuned.claim()
    assert replace(handed, job_id=0, label="", number=0, place="") == replace(by_claim, job_id=0, label="", number=0, place="")
    assert (handed.number, handed.label) == (submitted.number, f"session {tuned.session.id} trial {submitted.number}")
    assert handed.place == place_of(tuned.session, submitted.number, 1)
    assert tuned.asked() is None, "it is handed once"
    tuned.finish(handed)
    assert tuned.trial(submitted.number).outcome is Outcome.COMPLETED


def test_it_is_one_write(here: Tuned) -> None:
    writes = counted_writes()
    next(writes)
    here.stand_by()
    here.submit()
    handed = here.claim()
    here.finish(handed)
    assert next(writes) == 2
    here.submit()
    here.finish(here.claim())
    assert next(writes) == 3, "nobody stood by"


def test_the_first_trial_is_claimed_as_any_agent_claims(tmp_path: Path) -> None:
    """A claim looks whether the study is pinned to another kind of machine, which never changes."""
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    tuned = Tuned(lab, clock)
    stranger, _ = lab.agents.add("another", 1)
    lab.agents.stand_by(stranger, tuned.session.id)
    assert tuned.submit().claimed_at is None
    lab.close()


def test_a_trial_that_waits_comes_first(here: Tuned) -> None:
    budget = replace(here.session.budget, parallel=2)
    here.lab.sessions.leave(here.session.id)
    here.lab.sessions.take_up(here.session.id, budget)
    waits = here.submit()
    here.stand_by()
    assert here.submit().claimed_at is None
    assert here.claim().number == waits.number


def test_an_agent_that_has_claimed_stands_by_no_more(here: Tuned) -> None:
    here.stand_by()
    assert here.asked() is None
    assert here.submit().claimed_at is None


def test_what_a_study_counts_is_claimed_by_agents_alone(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    tuned = Tuned(lab, clock, driver="compare")
    tuned.stand_by()
    assert tuned.submit().claimed_at is None
    lab.close()


def test_what_is_refused_hands_out_nothing(here: Tuned) -> None:
    here.stand_by()
    with pytest.raises(Refused, match="reshaped meanwhile"):
        here.lab.submit(here.session.id, Configuration(CONFIGURATION), revision=7)
    here.stand_by()
    with pytest.raises(Refused):
        here.lab.submit(here.session.id, {"epochs": 1, "learning_rate": 0.1}, resumes=1)  # trainings never go on here
    assert here.asked() is None
    assert len(here.read().trials) == 1


def test_the_same_key_twice_is_one_trial_and_one_lease(here: Tuned) -> None:
    here.stand_by()
    first = here.submit(key="second")
    here.stand_by()
    assert here.submit(key="second").number == first.number
    handed = here.claim()
    assert handed.number == first.number
    assert here.kinds().count("claimed") == 2


def test_an_agent_that_ends_before_it_begins_gives_it_back_uncounted(here: Tuned) -> None:
    here.stand_by()
    number = here.submit().number
    here.lab.goodbye(here.agent)
    assert here.trial(number).claimed_at is None
    other, _ = here.lab.agents.add("another", 1)
    again = here.lab.claim(other, session_id=here.session.id)
    assert again is not None
    assert (again.number, again.attempt) == (number, 2)


def test_a_lease_that_has_run_out_is_not_handed_out(here: Tuned) -> None:
    """As of a process that slept in between: the training is claimed again, as a new attempt."""
    here.stand_by()
    number = here.submit().number
    here.clock.now += here.lab.rules.lease + 1
    again = here.claim()
    assert (again.number, again.attempt) == (number, 2)
    with pytest.raises(StaleAttempt):
        here.lab.measure(again.job_id, 1, [])


def test_a_process_that_dies_in_between_leaves_it_to_the_next(here: Tuned, tmp_path: Path) -> None:
    """Only the database is left of it: the training is given back uncounted when the session is taken up."""
    here.stand_by()
    number = here.submit().number
    next_lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    clock.now = here.clock.now + 100
    next_lab.sessions.leave(here.session.id)
    next_lab.sessions.take_up(here.session.id, here.session.budget)
    agent, _ = next_lab.agents.add("next", 1)
    assert next_lab.claim(agent, session_id=here.session.id) is not None
    trial = next_lab.sessions.get(here.session.id).trial(number)
    assert trial is not None
    assert (trial.attempt, trial.outcome) == (2, None)
    next_lab.close()


@pytest.mark.parametrize("method", ["random", "tpe"])
def test_a_trial_of_a_tune_is_two_writes(tmp_path: Path, method: str) -> None:
    """What its book-keeping costs hangs on that more than on anything else."""
    writes = counted_writes()
    seen: list[int] = []

    def objective(configuration: Configuration) -> float:
        seen.append(next(writes))
        return configuration.number("x")

    next(writes)
    evenhand.tune(
        objective,
        {"x": Float(0.0, 1.0)},
        method=method,
        trials=20,
        direction="maximize",
        db=f"sqlite:///{tmp_path / 'lab.sqlite'}",
        progress=False,
        evaluate=False,
    )
    per_trial = seen[2:]
    assert sorted(per_trial)[len(per_trial) // 2] == 2
    assert sum(per_trial) <= 2 * len(per_trial) + 4, "beside signs of life"


def counted_writes() -> Iterator[int]:
    """How many writes were committed since it was asked last."""
    count = 0

    def note(connection: Connection) -> None:
        nonlocal count
        count += bool(connection.get_execution_options().get("evenhand_write"))

    event.listen(Engine, "commit", note)
    try:
        while True:
            before, count = count, 0
            yield before
    finally:
        event.remove(Engine, "commit", note)
