"""SIGKILL in the middle of real trainings: nothing acknowledged is lost, nothing is doubled, nothing trains for ever."""

import json
import sqlite3
from pathlib import Path

import pytest

from benchmarks import kills
from evenhand import wire
from evenhand.lab import Lab
from evenhand.records import Outcome
from evenhand.settings import Rules
from tests.agents import opened, record_of, submit, undisturbed

VALUES = {"epochs": 2, "batch_size": 48}


@pytest.mark.timeout(900)  # 45 s on two idle cores; on busy ones PyTorch alone takes many seconds to load, nine times
def test_nine_kills_lose_nothing_and_double_nothing() -> None:
    found = kills.run(9, seed=20201121)
    assert found.faults == []
    assert sorted(kill.kind for kill in found.kills) == sorted(3 * kills.KINDS)
    assert sum(kill.training > 0 for kill in found.kills) >= 5, "the kills came too early or too late to mean anything"
    assert found.trials == 9 * kills.SESSIONS
    assert found.attempts > found.trials, "no training was begun again, so nothing was tested"
    assert found.acknowledged > 1000
    assert found.adopted == 3, "an agent that outlived the server was not left at work"


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A lab where one trial was trained as it should be, and the agent's own record of what it was told."""
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}", Rules(lease=60))
    session = opened(lab, record_of("digits"))
    trial = submit(lab, session, **VALUES)
    agent_id, _ = lab.add_agent("test", 1)
    job = lab.claim(agent_id)
    assert job is not None
    rows = undisturbed(session.task, trial.configuration, session.tuning_seed)
    lab.measure(job.job_id, 1, [wire.measurement_of([*row, 0.0, {}]) for row in rows])
    lab.finish(job.job_id, 1, Outcome.COMPLETED)
    (tmp_path / "told.jsonl").write_text("".join(json.dumps([job.job_id, 1, *row, 0.0, {}]) + "\n" for row in rows))
    lab.close()
    return tmp_path / "lab.sqlite"


def checked(database: Path) -> kills.Outcomes:
    """What the checks say of the database."""
    lab, found = Lab.connect(f"sqlite:///{database}"), kills.Outcomes()
    sessions = [lab.session(1)]
    lab.close()
    rows = kills.stored(database)
    kills.check_trials(database, sessions, found, 1)
    kills.check_acknowledged(database.parent / "told.jsonl", rows, found)
    kills.check_values(sessions, database, rows, found)
    return found


def test_the_checks_find_nothing_wrong_where_nothing_is(database: Path) -> None:
    found = checked(database)
    assert found.faults == []
    assert found.acknowledged == found.stored > 40


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
