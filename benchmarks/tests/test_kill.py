"""SIGKILL in the middle of real trainings: nothing acknowledged is lost, nothing is doubled, nothing trains for ever."""

import json
import sqlite3
from pathlib import Path

import pytest

from benchmarks import kills
from evenhand.lab.lab import Lab
from evenhand.model import codec
from evenhand.model.trial import Outcome
from evenhand.settings import Rules
from tests.agents import opened, record_of, submit, undisturbed

VALUES = {"epochs": 2, "batch_size": 48}


@pytest.mark.slow
@pytest.mark.kill
def test_nine_kills_lose_nothing_and_double_nothing() -> None:
    outcomes = kills.run(9, seed=20201121)
    assert outcomes.faults == []
    assert sorted(kill.kind for kill in outcomes.kills) == sorted(3 * kills.KINDS)
    assert sum(kill.training > 0 for kill in outcomes.kills) >= 5, "the kills came too early or too late to mean anything"
    assert outcomes.trials == 9 * kills.SESSIONS
    assert outcomes.attempts > outcomes.trials, "no training was begun again, so nothing was tested"
    assert outcomes.acknowledged > 1000
    assert outcomes.adopted == 3, "an agent that outlived the server was not left at work"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A lab where one trial was trained as it should be, and the agent's own record of what it was told."""
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}", Rules(lease=60))
    session = opened(lab, record_of("digits"))
    trial = submit(lab, session, **VALUES)
    agent_id, _ = lab.agents.add("test", 1)
    job = lab.claim(agent_id)
    assert job is not None
    rows = undisturbed(session.task, trial.configuration, session.tuning_seed)
    lab.measure(job.job_id, 1, [codec.measurement_of([*row, 0.0, {}]) for row in rows])
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    (tmp_path / "told.jsonl").write_text("".join(json.dumps([job.job_id, 1, *row, 0.0, {}]) + "\n" for row in rows))
    lab.close()
    return tmp_path / "lab.sqlite"


def checked(database: Path) -> kills.Outcomes:
    """What the checks say of the database."""
    lab, outcomes = Lab.connect(f"sqlite:///{database}"), kills.Outcomes()
    sessions = [lab.sessions.get(1)]
    lab.close()
    rows = kills.stored(database)
    kills.check_trials(database, sessions, outcomes, 1)
    kills.check_acknowledged(database.parent / "told.jsonl", rows, outcomes)
    kills.check_values(sessions, database, rows, outcomes)
    return outcomes


@pytest.mark.slow
def test_the_checks_find_nothing_wrong_where_nothing_is(database: Path) -> None:
    outcomes = checked(database)
    assert outcomes.faults == []
    assert outcomes.acknowledged == outcomes.stored > 40


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "harm"),
    [
        ("lost", 'delete from measurement where "index" = 7'),
        ("lost", 'update measurement set loss = loss + 1e-15 where "index" = 7'),
        ("failed", "update job set outcome = 'failed'"),
        ("doubled", "insert into event (at, kind, session_id, trial_id, detail) values (0, 'finished', 1, 1, '{\"job\": 1}')"),
        ("doubled", "delete from measurement; delete from job; delete from trial"),
        ("unending", "update job set outcome = null, finished_at = null"),
        ("unending", "update job set leased_until = 9e9"),
        ("different", "update measurement set value = value / 2 where value is not null"),
        (
            "different",
            'update measurement set "index" = "index" + 1 where "index" = (select max("index") from measurement)',
        ),
    ],
)
def test_the_checks_find_each_kind_of_fault(database: Path, fault: str, harm: str) -> None:
    with sqlite3.connect(database) as connection:
        connection.executescript(harm)
    connection.close()
    assert getattr(checked(database), fault)
