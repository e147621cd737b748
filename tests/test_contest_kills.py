"""The command `evenhand contest`, killed twice with SIGKILL on the way: it goes on where it stood, and nothing is lost."""

import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from evenhand.experiments import contest
from evenhand.experiments.replay import replay
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from tests.components import need
from tests.waiting import PATIENCE_SECONDS, wait_for

need("torch")

TRIALS = 10
UNDER_WAY = "SELECT COUNT(*) FROM job WHERE trial_id NOT NULL AND finished_at IS NULL AND leased_until NOT NULL"
KNOWN = (
    "SELECT job.session_id, number, configuration, outcome FROM trial JOIN job ON job.trial_id = trial.id WHERE outcome NOT NULL"
)


def started(home: Path) -> "subprocess.Popen[bytes]":
    """The command, in a process group of its own, with a lease of one second."""
    options = ["--only", "08,09,10", "--scale", "0.0004", "--trials", str(TRIALS), "--processes", "2"]
    places = ["--db", f"sqlite:///{home / 'lab.sqlite'}", "--out", str(home / "contest.html")]
    return subprocess.Popen(
        [sys.executable, "-c", "from evenhand.cli.main import main; main()", "contest", "seed003", *options, *places],
        env={**os.environ, "EVENHAND_DATA": str(home), "EVENHAND_LEASE": "1", "COLUMNS": "200"},
        stdout=(home / "said.txt").open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def ended_trials(home: Path) -> list[tuple[object, ...]]:
    """Every trial that has ended, as it is stored."""
    if not (home / "lab.sqlite").exists():
        return []
    with closing(sqlite3.connect(home / "lab.sqlite", timeout=30)) as connection:
        try:
            return connection.execute(KNOWN).fetchall()
        except sqlite3.OperationalError:  # its tables are being made
            return []


def when_ended(count: int, home: Path, process: "subprocess.Popen[bytes]") -> None:
    """Returns when this many trials have ended, while the command goes on."""

    def look() -> int:
        assert process.poll() is None, "it ended before it was killed"
        return len(ended_trials(home))

    wait_for(look, f"{count} trials end", lambda ended: ended >= count)


def when_training(home: Path, process: "subprocess.Popen[bytes]") -> None:
    """Returns, with all its processes stopped, amid a training: one is under way, and can neither go on nor end."""

    def look() -> int:
        assert process.poll() is None, "it ended before it was killed"
        os.killpg(process.pid, signal.SIGSTOP)
        with closing(sqlite3.connect(home / "lab.sqlite", timeout=30)) as connection:
            count: int = connection.execute(UNDER_WAY).fetchone()[0]
        if not count:
            os.killpg(process.pid, signal.SIGCONT)
        return count

    wait_for(look, "a training is under way")


def children(process: "subprocess.Popen[bytes]") -> list[int]:
    return [int(pid) for children in Path(f"/proc/{process.pid}/task").glob("*/children") for pid in children.read_text().split()]


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def sessions_of(lab: Lab) -> list[Session]:
    return [session for study in lab.studies.all() for session in lab.sessions.of_study(study.id)]


@pytest.mark.slow
@pytest.mark.kill
@pytest.mark.needs("procfs")
def test_two_kills_lose_nothing(tmp_path: Path) -> None:
    process = started(tmp_path)
    when_ended(4, tmp_path, process)
    workers = children(process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(map(lives, workers)), "its workers end with it, so that nothing trains for nobody")
    first = ended_trials(tmp_path)

    process = started(tmp_path)
    when_ended(len(first) + 8, tmp_path, process)
    when_training(tmp_path, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    second = ended_trials(tmp_path)
    assert set(first) <= set(second)

    assert started(tmp_path).wait(PATIENCE_SECONDS) == 0, (tmp_path / "said.txt").read_text()
    last = ended_trials(tmp_path)
    assert set(second) <= set(last)
    said = (tmp_path / "said.txt").read_text()
    assert "Error rates, ours beside the paper's" in said
    assert "generated after the paper's description, not the course's data" in said
    assert "<svg" in (tmp_path / "contest.html").read_text()

    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    sessions = sessions_of(lab)
    assert Counter(session.tuner for session in sessions) == {"MLP-A": 2, "MLP-A1": 1, "MLP-A2": 1, "MLP-M1": 1, "MLP-M2": 1}
    for session in sessions:
        wanted = TRIALS if session.tuner.startswith("MLP-A") else 1
        assert [trial.number for trial in session.trials] == list(range(1, wanted + 1))
        assert session.choice is not None
        assert all(who == contest.WHO for who, _ in lab.evaluations.looks(session.id))
    trials = [trial for session in sessions for trial in session.trials]
    outcomes = Counter(str(trial.outcome) for trial in trials)
    assert outcomes["invalid"] > 0, "no configuration was invalid, so nothing was tested"
    assert outcomes["failed"] == 0
    again = [trial for trial in trials if trial.attempt > 1]
    assert again, "no training was cut off, so nothing was tested"
    for trial in again[:2]:
        assert replay(lab, trial.session_id, trial.number).matches
    lab.close()
