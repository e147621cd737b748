"""Kill the agent, a worker or the server, with SIGKILL at random moments of real trainings, and count what was lost or doubled.

    python benchmarks/kills.py --kills 100 --seed 1

Run it in the repository. The real server and its real agent run as processes of their own, with a lease of one second. Two
sessions submit a trial each over HTTP; somewhere between the submission and the end of the training, most often in the middle
of it, one process is killed (a server is started again by this script, as an init system would). What the agent's client was
told is stored, it also appends to a file: that record, not the server's, is what the database is held against.
"""

import argparse
import json
import os
import platform
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from evenhand import tasks
from evenhand.lab.client import Client
from evenhand.lab.lab import Lab
from evenhand.model.configuration import Configuration
from evenhand.model.session import Session
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Outcome
from evenhand.rehearsal.run import held_port
from evenhand.tasks.threads import one_thread

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("agent", "worker", "server")
SESSIONS = 2
SLOTS = 2
EARLY_SHARE = 0.25  # share of kills that come at any moment from the submission on, rather than once a training is seen
LONGEST_SECONDS = 1.2  # seconds until the kill then, at most: such a trial takes a little longer
PATIENCE_SECONDS = 120.0  # seconds within which whatever was killed must be back, and a trial must have ended
PACED_TASK = f"{ROOT / 'tests' / 'paced_tasks.py'}:digits"  # the example's network, with a pause after each batch
SWIFT_TASK = "evenhand.examples.digits_mlp:train"  # the same without the pauses
TAP_SCRIPT = """
import sys
if sys.orig_argv[1:4] == ["-m", "evenhand.cli.main", "agent"]:
    import json, os
    from evenhand.model import codec
    from evenhand.lab.client import Client
    told = os.open({path!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    measure = Client.measure
    def tapped(self, job_id, attempt, batch, *others, **named):
        answer = measure(self, job_id, attempt, batch, *others, **named)
        os.write(told, "".join(json.dumps([job_id, attempt, *codec.row_of(one)]) + "\\n" for one in batch).encode())
        return answer
    Client.measure = tapped
"""

Row = tuple[int, int, int, int, int | None, float | None, float | None]  # job, attempt, index, step, epoch, loss, value


@dataclass(frozen=True)
class Kill:
    """One kill. training: how many trials were training at that moment. after: seconds since the submission."""

    kind: str
    after: float
    training: int


@dataclass
class Outcomes:
    """What came of it. Each list names what went wrong; empty is well."""

    kills: list[Kill] = field(default_factory=list)
    trials: int = 0
    attempts: int = 0
    acknowledged: int = 0
    stored: int = 0
    adopted: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unending: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def faults(self) -> list[str]:
        """Everything that went wrong."""
        return [*self.lost, *self.doubled, *self.failed, *self.unending, *self.different, *self.left_behind]


class World:
    """A server process with its agent, in a folder of its own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.told = folder / "told.jsonl"
        self.database = folder / "lab.sqlite"
        self.port = port
        tap = folder / "tap"
        tap.mkdir()
        (tap / "sitecustomize.py").write_text(TAP_SCRIPT.format(path=str(self.told)))
        self.told.touch()
        self.environment = {
            **os.environ,
            "EVENHAND_DATA": str(folder),
            "EVENHAND_DB": f"sqlite:///{self.database}",
            "EVENHAND_LEASE": "1",
            "PYTHONPATH": os.pathsep.join([str(tap), str(ROOT)]),
        }
        self.lab = Lab.connect(self.environment["EVENHAND_DB"])
        self.server = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "evenhand.cli.main", "serve", "--port", str(self.port), "--slots", str(SLOTS)]
        with (self.folder / "server.log").open("ab") as log:
            return subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    def wait_for_server(self) -> None:
        """Until it answers."""

        def answers() -> bool:
            try:
                return httpx.get(self.url, trust_env=False).status_code < 500
            except httpx.HTTPError:
                return False

        wait_for(answers, "the server answers")

    def agent(self) -> int | None:
        """The agent's process."""
        try:
            pid = int((self.folder / f"agent-{self.port}.lock").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if b"evenhand" in _command(pid) else None

    def workers(self) -> list[int]:
        """The agent's worker processes."""
        agent = self.agent()
        return [worker for server in children(agent) for worker in children(server)] if agent else []

    def processes(self) -> list[int]:
        """Everything that belongs to it."""
        agent = self.agent()
        return [self.server.pid, *([agent, *children(agent)] if agent else []), *self.workers()]

    def ready(self) -> None:
        """Until every slot has a worker."""
        wait_for(lambda: len(self.workers()) >= SLOTS, "the agent has its workers")

    def kill(self, kind: str, rng: random.Random) -> bool:
        """Kill a process; whether the agent outlived it."""
        agent = self.agent()
        if kind == "server":
            self.server.kill()
            self.server.wait()
            time.sleep(rng.uniform(0, 1))
            self.server = self._start()
            self.wait_for_server()
            return agent is not None and self.agent() == agent
        victims = [agent] if kind == "agent" else self.workers()
        os.kill(rng.choice([pid for pid in victims if pid]), signal.SIGKILL)
        return False

    def close(self) -> list[str]:
        """End the server in order; what it left behind."""
        processes = self.processes()
        self.server.terminate()
        try:
            self.server.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        time.sleep(0.5)
        left = [pid for pid in processes if b"evenhand" in _command(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        self.lab.close()
        return [f"process {pid} outlived the server's end in order" for pid in left]


def run(kills: int, seed: int, kinds: tuple[str, ...] = KINDS, say: Callable[[str], None] = lambda line: None) -> Outcomes:
    """So many kills, as many of each kind as possible, in an order and at moments that the seed decides."""
    began, outcomes, rng = time.monotonic(), Outcomes(), random.Random(seed)
    order = [kinds[i % len(kinds)] for i in range(kills)]
    rng.shuffle(order)
    with tempfile.TemporaryDirectory(prefix="evenhand-kills-") as name, ThreadPoolExecutor(SESSIONS) as pool, held_port() as port:
        world = World(Path(name), port)
        try:
            world.wait_for_server()
            sessions = _sessions(world.lab)
            for number, kind in enumerate(order, 1):
                world.ready()
                _round(world, sessions, kind, rng, pool, outcomes)
                say(f"{number}/{kills} {outcomes.kills[-1]} faults so far: {len(outcomes.faults)}")
            rows = stored(world.database)
        finally:
            outcomes.left_behind += world.close()
        check_trials(world.database, sessions, outcomes, kills)
        check_acknowledged(world.told, rows, outcomes)
        check_values(sessions, world.database, rows, outcomes)
    outcomes.seconds = time.monotonic() - began
    return outcomes


def _sessions(lab: Lab) -> list[Session]:
    task = lab.studies.add_task(tasks.load(TaskSpec(PACED_TASK)).record)
    texts = Text("")
    study = Study("kills", "Kills", task.id, Budget(trials=100_000), 7, texts, texts, texts)
    study = lab.studies.add(study)
    return [lab.start(lab.sessions.open(study.id, tuner=f"tuner {i}", driver="test").id) for i in range(SESSIONS)]


def _round(
    world: World, sessions: list[Session], kind: str, rng: random.Random, pool: ThreadPoolExecutor, outcomes: Outcomes
) -> None:
    early, after = rng.random() < EARLY_SHARE, rng.uniform(0, LONGEST_SECONDS)
    draws = np.random.default_rng(rng.getrandbits(32))
    began = time.monotonic()
    waiting = [pool.submit(_train, world, session, _configuration(session, draws)) for session in sessions]
    if not early:
        wait_for(lambda: bool(_running(world.database)), "a trial trains")
    time.sleep(after)
    training = len(_running(world.database))
    elapsed = time.monotonic() - began
    outcomes.adopted += world.kill(kind, rng)
    outcomes.kills.append(Kill(kind, round(elapsed, 3), training))
    outcomes.unending += [trouble for answer in waiting if (trouble := answer.result())]


def _configuration(session: Session, draws: np.random.Generator) -> Configuration:
    values = {"epochs": int(draws.integers(16, 24)), "batch_size": 48, "units": int(draws.integers(4, 64))}
    return session.space.configuration(
        {**session.space.sample(draws), **values, "learning_rate": float(draws.uniform(0.01, 0.5))}
    )


def _train(world: World, session: Session, configuration: Configuration) -> str | None:
    """Submit over HTTP and wait for the end; what is wrong where it does not come."""
    with Client(world.url, world.lab.tokens.issue("method", session.id), retry=PATIENCE_SECONDS) as client:
        number = client.submit(session.id, configuration).number
        end = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < end:
            trial = client.view(session.id).session.trial(number)
            if trial is not None and not trial.is_open:
                return None
            time.sleep(0.1)
        client.stop(session.id, number)
    return f"session {session.id} trial {number} was still open after {PATIENCE_SECONDS:.0f} s"


def check_trials(database: Path, sessions: list[Session], outcomes: Outcomes, rounds: int) -> None:
    """Every submission is one trial that completed, each job ended once, no lease is left."""
    with _reading(database) as connection:
        trials = connection.execute("select session_id, count(*) from trial group by session_id").fetchall()
        jobs = connection.execute("select id, attempt, outcome, why, leased_until from job").fetchall()
        query = "select job_id, attempt, round(claimed_at, 2), round(ended_at - claimed_at, 2), why from attempt"
        attempts = connection.execute(query).fetchall()
        events = connection.execute("select detail from event where kind = 'finished'").fetchall()
    outcomes.trials, outcomes.attempts = len(jobs), sum(job[1] for job in jobs)
    if sorted(trials) != [(session.id, rounds) for session in sessions]:
        outcomes.doubled.append(f"trials of each session: {trials}, expected {rounds}")
    ends = Counter(json.loads(detail)["job"] for (detail,) in events)
    outcomes.doubled += [f"job {job} ended {count} times" for job, count in ends.items() if count != 1]
    for job, _, outcome, why, lease in jobs:
        if outcome is None or lease is not None:
            outcomes.unending.append(f"job {job} has outcome {outcome} and lease {lease}")
        elif outcome != Outcome.COMPLETED:
            outcomes.failed.append(f"job {job} is {outcome}: {why}; {[other for other in attempts if other[0] == job]}")


def check_acknowledged(path: Path, rows: list[Row], outcomes: Outcomes) -> None:
    """What the agent was told is stored is there, with the same numbers."""
    there = {row[:3]: row for row in rows}
    outcomes.stored = len(rows)
    for line in path.read_text().splitlines():
        try:
            job, attempt, index, step, epoch, loss, value, *_ = json.loads(line)
        except ValueError:
            continue  # the agent was killed while it wrote this line
        outcomes.acknowledged += 1
        if there.get((job, attempt, index)) != (job, attempt, index, step, epoch, loss, value):
            outcomes.lost.append(f"job {job} attempt {attempt} measurement {index} was acknowledged and is not there")


def check_values(sessions: list[Session], database: Path, rows: list[Row], outcomes: Outcomes) -> None:
    """Each attempt's measurements are those of an undisturbed training from its start, and a completed one's are all of them."""
    task = tasks.load(TaskSpec(SWIFT_TASK))
    with _reading(database) as connection:
        columns = "job.id, job.attempt, job.seed, job.outcome, trial.configuration"
        query = f"select {columns} from job join trial on trial.id = job.trial_id"
        jobs = connection.execute(query).fetchall()
    by_attempt: dict[tuple[int, int], list[tuple[object, ...]]] = {}
    for row in sorted(rows, key=lambda row: row[:3]):
        by_attempt.setdefault((row[0], row[1]), []).append(row[2:])
    for job, last, seed, outcome, configuration in jobs:
        expected: list[tuple[object, ...]] = []
        with one_thread():
            tasks.run_trial(
                task,
                json.loads(configuration),
                seed=seed,
                evaluation=False,
                report=lambda measurement, to=expected: to.append(
                    (measurement.index, measurement.step, measurement.epoch, measurement.loss, measurement.value)
                ),  # type: ignore[misc]
            )
        for attempt in range(1, last + 1):
            stored = by_attempt.get((job, attempt), [])
            whole = attempt == last and outcome == Outcome.COMPLETED
            if stored != (expected if whole else expected[: len(stored)]):
                outcomes.different.append(f"job {job} attempt {attempt}: {len(stored)} measurements, not the undisturbed ones")


def stored(database: Path) -> list[Row]:
    """Every measurement in the database."""
    with _reading(database) as connection:
        return connection.execute('select job_id, attempt, "index", step, epoch, loss, value from measurement').fetchall()


def _running(database: Path) -> list[tuple[int]]:
    query = """select id from job where finished_at is null and leased_until is not null
               and exists (select 1 from measurement m where m.job_id = job.id and m.attempt = job.attempt)"""
    with _reading(database) as connection:
        return connection.execute(query).fetchall()


@contextmanager
def _reading(database: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(database, timeout=30)
    try:
        yield connection
    finally:
        connection.close()


def children(pid: int) -> list[int]:
    """Ids of the processes that this one started and that live."""
    try:
        children = [child for thread in Path(f"/proc/{pid}/task").glob("*/children") for child in thread.read_text().split()]
    except OSError:
        return []
    return [int(child) for child in children]


def wait_for(what: Callable[[], bool], why: str) -> None:
    """Until it is true; RuntimeError where it does not become so in time."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not what():
        if time.monotonic() > end:
            raise RuntimeError(f"{why}: not within {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.05)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def report(outcomes: Outcomes, seed: int) -> str:
    """What was done and what came of it, with the date and the machine."""
    kinds = Counter(kill.kind for kill in outcomes.kills)
    middle = sum(kill.training > 0 for kill in outcomes.kills)
    load = os.getloadavg()[0]
    lines = [
        f"{time.strftime('%Y-%m-%d')}, {platform.platform()}, {os.cpu_count()} cores, load {load:.1f} at the end, seed {seed}",
        f"kills: {len(outcomes.kills)} ({', '.join(f'{n} {kind}' for kind, n in kinds.items())}) in {outcomes.seconds:.0f} s",
        f"kills while a trial was training: {middle}; agents that outlived the server and were adopted: {outcomes.adopted}",
        f"trials: {outcomes.trials}, in {outcomes.attempts} attempts; measurements stored: {outcomes.stored}",
        f"measurements acknowledged: {outcomes.acknowledged}; lost: {len(outcomes.lost)}; doubled: {len(outcomes.doubled)}",
        f"trials without an end: {len(outcomes.unending)}; given up after three attempts: {len(outcomes.failed)}",
        f"trials with other values than undisturbed: {len(outcomes.different)}",
        f"processes left behind: {len(outcomes.left_behind)}",
    ]
    return "\n".join(lines)


def main() -> None:
    """The command line; exit status 1 where anything went wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=9)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    options = parser.parse_args()
    outcomes = run(options.kills, options.seed, tuple(options.kinds), lambda line: print(line, flush=True))
    print(report(outcomes, options.seed))
    for fault in outcomes.faults:
        print("FAULT", fault)
    raise SystemExit(1 if outcomes.faults else 0)


if __name__ == "__main__":
    main()
