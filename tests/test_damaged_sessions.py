"""What is stored of one session is damaged: the server's background work goes on for others, and an alert names the session."""

import sqlite3
from pathlib import Path

import pytest

from evenhand.lab.lab import Lab
from evenhand.model.study import Budget
from evenhand.model.trial import Outcome
from evenhand.settings import Rules
from evenhand.store.engine import Store
from evenhand.studies.alerts import alerts, facts_of
from tests.labs import Clock, epoch, make_lab, started, toy_study

LEASE = 10
LIMIT = 100  # seconds of each session
# A column, what a damaged disk or another program left there, and whether an alert tells of it: else it does not hinder reading.
DAMAGE: list[tuple[str, str, object, bool]] = [
    ("session", "budget", "garbage", True),
    ("session", "budget", "2", True),
    ("session", "budget", b"\xff\x00\xfe", True),
    ("session", "method", "garbage", True),
    ("session", "version", 7, True),
    ("session", "opened_at", "garbage", True),
    ("session", "started_at", "garbage", True),
    ("session", "started_at", b"\xff\x00\xfe", True),
    ("trial", "configuration", '{"epochs": [', True),
    ("trial", "signals", "garbage", True),
    ("trial", "submitted_at", "garbage", True),
    ("job", "outcome", "garbage", True),
    ("job", "stop_by", "garbage", True),
    ("job", "holds", "garbage", True),
    ("job", "holds", "2", True),
    ("job", "attempt", b"\xff\x00\xfe", False),
    ("job", "leased_until", "garbage", False),
]


@pytest.mark.parametrize(("table", "column", "value", "is_alerted"), DAMAGE)
def test_one_damaged_session_holds_nothing_up(tmp_path: Path, table: str, column: str, value: object, is_alerted: bool) -> None:
    file = tmp_path / "lab.sqlite"
    lab, clock = make_lab(f"sqlite:///{file}")
    study = toy_study(lab, Budget(seconds=LIMIT))
    agent, _ = lab.agents.add("here", 2)
    damaged, sound = (started(lab, study).id for _ in range(2))
    for session_id in (damaged, sound):
        lab.submit(session_id, {"epochs": 1, "learning_rate": 0.1})
        training = lab.claim(agent, session_id=session_id)
        assert training is not None
        lab.measure(training.job_id, training.attempt, [epoch(0, 1, 0.5)])
    lab.close()
    with sqlite3.connect(file) as connection:
        where = "id" if table == "session" else "session_id"
        connection.execute(f'update "{table}" set "{column}" = ? where {where} = ?', (value, damaged))
    connection.close()
    lab = Lab(Store(f"sqlite:///{file}"), Rules(lease=LEASE, choosing=600), clock)
    lab.recover(clock.now)
    lab.sweep()
    alerted = {alert.about for alert in alerts(facts_of(lab, tmp_path, clock.now), clock.now) if alert.kind == "unreadable"}
    assert alerted == ({f"session {damaged}"} if is_alerted else set())
    _go_on(lab, clock, agent, sound, tmp_path)
    lab.close()


def _go_on(lab: Lab, clock: Clock, agent: int, session_id: int, folder: Path) -> None:
    """Its lost lease ends, its deadline passes, and the best is chosen for it, while alerts are looked for."""
    clock.now += LEASE + 1
    lab.sweep()
    [trial] = lab.sessions.get(session_id).trials
    assert (trial.claimed_at, trial.attempt) == (None, 1), "it is in the queue again"
    training = lab.claim(agent, session_id=session_id)
    assert training is not None
    lab.finish(training.job_id, training.attempt, Outcome.COMPLETED, None, [epoch(0, 1, 0.5)])
    clock.now += LIMIT + 1
    lab.sweep()
    clock.now += lab.rules.choosing + LIMIT
    lab.sweep()
    alerts(facts_of(lab, folder, clock.now), clock.now)
    choice = lab.sessions.get(session_id).choice
    assert choice is not None
    assert choice.automatic
