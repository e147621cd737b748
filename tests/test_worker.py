"""The agent with real worker processes: what it passes on, how each way of ending is told, and what it does when things die."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from evenhand.errors import StaleAttempt, Unreachable
from evenhand.lab.client import Client
from evenhand.lab.lab import Lab
from evenhand.model.job import Assignment, MeasurementBatch, Order
from evenhand.model.session import Session
from evenhand.model.trial import Measurement, Outcome, Trial
from evenhand.runners.agent import Patience, run_agent
from evenhand.settings import Rules
from tests.agents import ended, opened, record_of, submit, training, undisturbed
from tests.waiting import PATIENCE_SECONDS, wait_for

GIBI = 2**30
WITHOUT_END = 100_000  # epochs of `steady`


@dataclass
class Laboratory:
    """A lab, and an agent with two slots in threads of this process."""

    lab: Lab
    claimed: list[Assignment]
    server_pid: int

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        return children(self.server_pid)


def children(pid: int) -> list[int]:
    """Ids of the processes that this one started."""
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(pid) for thread in threads for pid in thread.read_text().split()]


def fork_servers() -> list[int]:
    """The fork servers that this process started, the newest last."""
    return sorted(pid for pid in children(os.getpid()) if b"runners.fork_server" in told_of(pid, "cmdline"))


def told_of(pid: int, what: str) -> bytes:
    """What the system says of a process; nothing where it has ended."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    with laboratory_in(tmp_path_factory.mktemp("lab"), Patience()) as made:
        yield made


@contextmanager
def laboratory_in(folder: Path, patience: Patience, slots: int = 2) -> Iterator[Laboratory]:
    claimed: list[Assignment] = []

    class Watched(Lab):
        """Notes what was claimed, and holds what is measured against the plan, as the server does at its door."""

        def measure(
            self, job_id: int, attempt: int, batch: Sequence[Measurement], agent_id: int | None = None, *, is_held: bool = False
        ) -> Order:
            self.agents.check(MeasurementBatch(job_id, attempt, batch))
            return super().measure(job_id, attempt, batch, agent_id, is_held=is_held)

        def claim(self, agent_id: int, **options: Any) -> Assignment | None:
            assignment = super().claim(agent_id, **options)
            claimed.extend([assignment] if assignment else [])
            return assignment

    lab = Watched.connect(f"sqlite:///{folder / 'lab.sqlite'}", Rules(lease=PATIENCE_SECONDS))
    agent_id, _ = lab.agents.add("test", slots)
    stop = threading.Event()
    options = {"slots": slots, "nice": 7, "memory": 4 * GIBI, "stop": stop, "patience": patience}
    agent = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs=options)
    before = fork_servers()
    agent.start()
    yield Laboratory(lab, claimed, another_fork_server(before))
    stop.set()
    agent.join(PATIENCE_SECONDS)
    assert not agent.is_alive()
    lab.close()


def another_fork_server(than: list[int]) -> int:
    """A fork server that is none of these."""
    return wait_for(lambda: [pid for pid in fork_servers() if pid not in than], "a fork server")[-1]


def train(laboratory: Laboratory, name: str, **values: float) -> tuple[Session, Trial]:
    """A trial of a task, when it has ended."""
    session = opened(laboratory.lab, record_of(name))
    trial = submit(laboratory.lab, session, **values)
    return session, ended(laboratory.lab, session, trial.number)


@pytest.mark.slow
def test_every_measurement_arrives_once_and_equals_an_undisturbed_training(laboratory: Laboratory) -> None:
    session, trial = train(laboratory, "digits", batch_size=48, epochs=4)
    assert trial.outcome is Outcome.COMPLETED
    stored = laboratory.lab.curve(session.id, 1).measurements
    rows = [
        (measurement.index, measurement.step, measurement.epoch, measurement.loss, measurement.value) for measurement in stored
    ]
    assert rows == undisturbed(session.task, trial.configuration, session.tuning_seed)
    assert trial.value == stored[-1].value
    assert trial.epochs_done == 4


@pytest.mark.slow
def test_an_evaluation_is_trained_seed_by_seed_and_scored_on_test(laboratory: Laboratory) -> None:
    session, _ = train(laboratory, "digits", batch_size=48, epochs=2)
    laboratory.lab.choose(session.id, number=1)
    wait_for(lambda: laboratory.lab.sessions.get(session.id).evaluated.done == 2, "two seeds")
    laboratory.lab.evaluations.reveal(session.id, "test")
    scores = laboratory.lab.evaluations.get(session.id, "test").scores
    assert [score.outcome for score in scores] == [Outcome.COMPLETED, Outcome.COMPLETED]
    assert scores[0].value != scores[1].value
    assert all(score.value and score.value > 0.3 for score in scores)


@pytest.mark.slow
def test_a_stop_reaches_the_training_and_keeps_what_it_measured(laboratory: Laboratory) -> None:
    session = opened(laboratory.lab, record_of("steady"))
    submit(laboratory.lab, session, epochs=WITHOUT_END)
    training(laboratory.lab, session, 1)
    laboratory.lab.stop(session.id, 1)
    trial = ended(laboratory.lab, session, 1)
    assert trial.outcome is Outcome.STOPPED
    assert 0 < trial.epochs_done < WITHOUT_END
    assert trial.value == trial.epochs_done * 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "values", "outcome", "words"),
    [
        ("hungry", {}, Outcome.INVALID, "does not fit in memory"),
        ("mistaken", {}, Outcome.INVALID, "KeyError: 'the bug'"),
        ("excessive", {"epochs": 2}, Outcome.INVALID, "epoch is 3, expected at most 2, the last that it was asked for"),
        ("digits", {"learning_rate": 100.0, "epochs": 30}, Outcome.DIVERGED, "loss became"),
        ("fatal", {}, Outcome.FAILED, "its worker process died"),
    ],
)
def test_each_bad_end_is_told_with_its_reason_and_the_agent_goes_on(
    laboratory: Laboratory, name: str, values: dict[str, float], outcome: Outcome, words: str
) -> None:
    check_bad_end(laboratory, name, values, outcome, words)


@pytest.mark.slow
def test_one_that_says_nothing_any_more_is_killed_and_the_agent_goes_on(tmp_path: Path) -> None:
    with laboratory_in(tmp_path, Patience(stall=5.0)) as impatient:
        check_bad_end(impatient, "silent", {}, Outcome.FAILED, "no word from the training for 5 s")


def check_bad_end(laboratory: Laboratory, name: str, values: dict[str, float], outcome: Outcome, words: str) -> None:
    session, trial = train(laboratory, name, **values)
    assert trial.outcome is outcome, trial.why
    assert words in (trial.why or "")
    _, after = train(laboratory, "steady", epochs=1)
    assert after.outcome is Outcome.COMPLETED
    attempts = [event.detail["attempt"] for event in laboratory.lab.sessions.events(session.id) if event.kind == "claimed"]
    assert attempts == ([1, 2, 3] if outcome is Outcome.FAILED else [1])


@pytest.mark.slow
@pytest.mark.kill
def test_a_killed_worker_costs_one_attempt_and_the_next_one_starts_over(tmp_path: Path) -> None:
    with laboratory_in(tmp_path, Patience(), slots=1) as alone:  # beside another worker the next attempt could be killed, too
        session = opened(alone.lab, record_of("digits"))
        submit(alone.lab, session, batch_size=48, epochs=20)
        training(alone.lab, session, 1)
        (pid,) = alone.workers()
        os.kill(pid, signal.SIGKILL)
        trial = ended(alone.lab, session, 1)
        stored = alone.lab.curve(session.id, 1).measurements
    assert (trial.outcome, trial.attempt) == (Outcome.COMPLETED, 2)
    rows = [
        (measurement.index, measurement.step, measurement.epoch, measurement.loss, measurement.value) for measurement in stored
    ]
    assert rows == undisturbed(session.task, trial.configuration, session.tuning_seed)


@pytest.mark.slow
@pytest.mark.kill
def test_a_killed_fork_server_is_started_anew(laboratory: Laboratory) -> None:
    session = opened(laboratory.lab, record_of("digits"))
    submit(laboratory.lab, session, batch_size=48, epochs=20)
    training(laboratory.lab, session, 1)
    workers = laboratory.workers()
    os.kill(laboratory.server_pid, signal.SIGKILL)
    trial = ended(laboratory.lab, session, 1)
    assert trial.outcome is Outcome.COMPLETED
    assert trial.attempt >= 2
    laboratory.server_pid = another_fork_server([laboratory.server_pid])
    wait_for(lambda: not [pid for pid in workers if Path(f"/proc/{pid}").exists()], "its workers end with it")


@pytest.mark.slow
def test_a_training_that_is_another_agents_now_is_abandoned(laboratory: Laboratory) -> None:
    lab = laboratory.lab
    session = opened(lab, record_of("steady"))
    submit(lab, session, epochs=WITHOUT_END)
    first = training(lab, session, 1)
    job_id = laboratory.claimed[-1].job_id
    lab.release(job_id, first.attempt, "the test took it away", counts=False)
    again = training(lab, session, 1, attempt=2)
    assert again.attempt == 2
    with pytest.raises(StaleAttempt):
        lab.measure(job_id, 1, [])
    lab.stop(session.id, 1)
    assert ended(lab, session, 1).outcome is Outcome.STOPPED


@pytest.mark.slow
def test_another_version_of_a_task_is_refused_and_left_to_agents_that_have_it(laboratory: Laboratory) -> None:
    lab = laboratory.lab
    session = opened(lab, replace(record_of("steady"), version="another version"))
    submit(lab, session)
    wait_for(lambda: [event for event in lab.sessions.events(session.id) if event.kind == "attempt ended"], "a refusal")
    assert ended_ok(laboratory)  # others are trained meanwhile
    events = [event for event in lab.sessions.events(session.id) if event.kind == "attempt ended"]
    assert 1 <= len(events) <= 2  # two slots may ask at the same moment; after that neither does
    assert "give the agent the same files" in events[0].detail["why"]
    assert "its source or revision, its settings or its data are others now" in events[0].detail["why"]
    trial = lab.sessions.get(session.id).trials[0]
    assert trial.is_open
    lab.stop(session.id, 1)


def ended_ok(laboratory: Laboratory) -> bool:
    """Whether a training completes now."""
    return train(laboratory, "steady", epochs=1)[1].outcome is Outcome.COMPLETED


@pytest.mark.slow
def test_an_agent_that_is_stopped_gives_back_what_it_trains(tmp_path: Path) -> None:
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}", Rules(lease=PATIENCE_SECONDS))
    agent_id, _ = lab.agents.add("test", 1)
    session = opened(lab, record_of("steady"))
    submit(lab, session, epochs=WITHOUT_END)
    stop = threading.Event()
    agent = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs={"slots": 1, "stop": stop, "session_id": session.id})
    agent.start()
    training(lab, session, 1)
    stop.set()
    agent.join(PATIENCE_SECONDS)
    assert not agent.is_alive()
    again = lab.claim(agent_id)
    assert again is not None
    assert again.attempt == 2
    lab.close()


@pytest.mark.slow
def test_an_agent_that_is_stopped_while_pytorch_loads_ends_at_once(tmp_path: Path) -> None:
    lab = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}", Rules(lease=PATIENCE_SECONDS))
    agent_id, _ = lab.agents.add("test", 2)
    stop = threading.Event()
    options = {"slots": 2, "stop": stop, "patience": Patience(idle=0.0)}
    agent = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs=options)
    before = fork_servers()
    agent.start()
    loading = another_fork_server(before)
    wait_for(lambda: b"libtorch" in told_of(loading, "maps"), "PyTorch begins to load")
    os.kill(loading, signal.SIGSTOP)  # so that it never has loaded it
    stop.set()
    agent.join(PATIENCE_SECONDS)
    assert not agent.is_alive()
    lab.close()


@pytest.mark.slow
def test_a_server_that_stays_away_ends_the_agent_with_words() -> None:
    with Client("http://127.0.0.1:9", "token", retry=0.0) as nobody, pytest.raises(Unreachable, match="does not answer"):
        run_agent(nobody, slots=1, patience=Patience(server=0.3))


@pytest.mark.slow
def test_a_script_without_a_main_guard_can_start_workers(tmp_path: Path) -> None:
    """multiprocessing's fork server would import the script again in each worker, and start over there."""
    script = tmp_path / "script.py"
    script.write_text(
        "print('once')\n"
        "from evenhand.runners.fork_server import ForkServer\n"
        "forks = ForkServer()\n"
        "worker = forks.fork()\n"
        "worker.connection.send_bytes(b'[\"stop\"]')\n"
        "print('alive' if not worker.connection.poll(1) else worker.connection.recv_bytes())\n"
        "forks.close()\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("once\nalive\n", "")


@pytest.mark.slow
def test_workers_give_way_and_compute_on_one_thread(laboratory: Laboratory) -> None:
    workers = wait_for(laboratory.workers, "a worker")
    behind = min(os.getpriority(os.PRIO_PROCESS, 0) + 7, 19)  # this process may have given way itself
    wait_for(
        lambda: {os.getpriority(os.PRIO_PROCESS, pid) for pid in workers}, f"priority {behind}", lambda levels: levels == {behind}
    )
    assert all(b"OMP_NUM_THREADS=1" in told_of(pid, "environ") for pid in workers)
