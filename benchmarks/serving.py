"""What the server itself costs: agents that claim, measure and submit, and a thousand connections that watch.

    python -m benchmarks.serving agents   [--agents 64] [--seconds 30] [--out benchmarks/records]      (about 45 s)
    python -m benchmarks.serving watchers [--watchers 1000] [--sessions 10] [--seconds 30] [--out ...]  (about 65 s)

Two processes on the loopback interface: the real server (`evenhand serve --slots 0`, its commits counted) on a new database, kept
on one core, and this one, which is the whole load. What trains is generated: no network is trained, and the numbers that are
posted are the time at which they are posted and a made-up loss.

agents: each has a method's session and is an agent, too. It submits a configuration of 15 hyperparameters, claims a training,
posts a batch of measurements each second and finishes, over and over. Timed is each request from its first byte to its answer's
last. Afterwards what was acknowledged is held against the database.

watchers: trainings of several sessions post five times a second, as often as a real agent posts for one training at the most.
First alone, for a third of the time; then with all the event streams of researchers' session pages open. The server's CPU beside
the posts alone, by the messages written, is what a message costs. A message is one write to one connection: the measurements
that it lacks, and the parts of the page that changed. A measurement's age is counted from the moment before its post.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any, cast

import numpy as np
import uvloop
from sqlalchemy import Connection, Engine, create_engine, event, text

from evenhand.cli import main as cli
from evenhand.lab.client import IDLE_CONNECTION_SECONDS
from evenhand.lab.lab import Lab
from evenhand.model.domain import Float
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.rehearsal.run import held_port, wait_for_server
from evenhand.tasks import machine
from evenhand.web.access import COOKIE_NAMES, Role

ROOT = Path(__file__).resolve().parents[1]
PARAMETERS = 15
EPOCHS = 10**6  # of a training, which no load reaches
EPOCH_MEASUREMENTS = 20  # measurements, the last of which is the epoch's
TICK_SECONDS = 1.0  # seconds between two posts of an agent
TRAINING_POSTS = (4, 9)  # posts of a training, from and to
POSTS_A_SECOND = 5  # posts a second for a training that is watched: agents send one in 200 ms at the most
SETTLE_SECONDS = 3.0  # seconds from the load's start to the steady part
CLOSING_SECONDS = 0.25  # seconds for which what is under way may still arrive
GOALS = {"claim and submit, median": 0.005, "CPU a message": 30e-6, "age, 95 %": 0.250}  # seconds
PACKAGES = ("evenhand", "fastapi", "uvicorn", "uvloop", "httptools", "sqlalchemy")


@dataclass(frozen=True)
class Wishes:
    """What is measured. rate: measurements a second of one training, in all its posts. database: its URL; None: SQLite."""

    agents: int = 64
    watchers: int = 1000
    sessions: int = 10
    rate: int = 20
    seconds: float = 30.0
    seed: int = 1
    database: str | None = None


# The server


def serve(arguments: Sequence[str]) -> None:
    """The server's process: `evenhand serve`, with its commits counted into a file each tenth of a second."""
    counts, path = Counter[str](), Path(arguments[0])

    @event.listens_for(Engine, "commit")
    def _(connection: Connection) -> None:
        counts["writes" if connection.get_execution_options().get("evenhand_write") else "reads"] += 1

    @event.listens_for(Engine, "before_cursor_execute")
    def _(*_: Any) -> None:
        counts["statements"] += 1

    def write() -> None:
        while True:
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(counts))
            fresh.replace(path)
            time.sleep(0.1)

    threading.Thread(target=write, daemon=True).start()
    sys.argv[1:] = list(arguments[1:])
    cli.main()


@dataclass
class Served:
    """A lab that a process of its own serves."""

    lab: Lab
    url: str  # of the database
    port: int
    pid: int
    folder: Path

    def now(self) -> "Spent":
        """What it has spent by now."""
        parts = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")
        return Spent(time.monotonic(), cpu, json.loads((self.folder / "counts.json").read_text()))


@dataclass(frozen=True)
class Spent:
    """CPU seconds, transactions and statements up to a moment, or between two."""

    at: float
    cpu: float
    counts: Mapping[str, int]

    def since(self, before: "Spent") -> "Spent":
        """What was spent after `before`."""
        counts = {key: count - before.counts.get(key, 0) for key, count in self.counts.items()}
        return Spent(self.at - before.at, self.cpu - before.cpu, counts)


@contextmanager
def served(folder: Path, database: str | None) -> Iterator[Served]:
    """A new lab, served; the server on the first core where there are several, this process on the others."""
    url = database or f"sqlite:///{folder / 'lab.sqlite'}"
    with held_port() as port:
        lab = Lab.connect(url)
        options = [str(folder / "counts.json"), "serve", "--slots", "0", "--port", str(port), "--db", url]
        command = [sys.executable, "-m", "benchmarks.serving", "server", *options]
        cores = sorted(os.sched_getaffinity(0))
        with (folder / "server.log").open("wb") as said:
            environment = {**os.environ, "EVENHAND_DATA": str(folder)}
            process = subprocess.Popen(command, stdout=said, stderr=said, env=environment, cwd=ROOT)
        try:
            if len(cores) > 1:
                os.sched_setaffinity(process.pid, cores[:1])
                os.sched_setaffinity(0, cores[1:])
            wait_for_server(f"http://127.0.0.1:{port}", process)
            yield Served(lab, url, port, process.pid, folder)
        finally:
            process.terminate()
            process.wait(timeout=30)
            os.sched_setaffinity(0, cores)
            lab.close()


def study_of(lab: Lab, seed: int) -> Study:
    """A study on a task of 15 hyperparameters that nothing trains."""
    names = ["learning_rate", *(f"parameter_{number}" for number in range(2, PARAMETERS + 1))]
    space = Space([Hyperparameter(name, Float(1e-4, 1, log=True), 0.01) for name in names])
    task = lab.studies.add_task(
        TaskRecord(TaskSpec("generated"), "version 1", space, "accuracy", "maximize", EPOCHS, has_test=False)
    )
    words = Text("A load test; nothing is trained.")
    return lab.studies.add(Study("serving", "Serving", task.id, Budget(trials=10**6), seed, words, words, words, machines="any"))


# The load: one connection that asks


class Line:
    """One kept connection that posts JSON as an agent or a method, and how long each answer took, by what was asked."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self.took: list[tuple[str, float, float]] = []  # what, when it was asked (time.monotonic), seconds

    async def open(self) -> None:
        """Connect."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._spoke = time.monotonic()

    def close(self) -> None:
        """Disconnect, if connected."""
        if hasattr(self, "_writer"):
            self._writer.close()

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        """The answer; RuntimeError where it is an error."""
        sent = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {self._token}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(sent)}\r\n\r\n"
        begun = time.monotonic()
        if begun - self._spoke > IDLE_CONNECTION_SECONDS:  # as agents' clients do, since the server ends idle connections
            self.close()
            await self.open()
        self._writer.write(head.encode() + sent)
        answered = await self._reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in answered.decode().lower().split("\r\n") if line.startswith("content-length:"))
        content = await self._reader.readexactly(length)
        self._spoke = time.monotonic()
        self.took.append((path.rsplit("/", 1)[1], begun, self._spoke - begun))
        if b" 200 " not in answered[:20]:
            raise RuntimeError(f"{path} was answered with {answered[:40]!r}: {content[:300]!r}")
        answer: dict[str, Any] = json.loads(content)
        return answer


def row_of(index: int, at: float) -> list[Any]:
    """A generated measurement as an agent posts it: of one batch, or each twentieth time of an epoch, with made-up numbers."""
    epoch = (index + 1) // EPOCH_MEASUREMENTS if (index + 1) % EPOCH_MEASUREMENTS == 0 else None
    return [index, 10 * index, epoch, round(2 / (1 + index), 6), None if epoch is None else round(1 - 1 / (1 + index), 6), at, {}]


@dataclass
class Load:
    """The load on a server: a line for each session that submits and for each agent that trains, and what was acknowledged.

    acknowledged: measurements as (job, attempt, index, loss). Their `seconds` count from `start`.
    """

    site: Served
    wishes: Wishes
    space: Space
    asks: dict[int, Line]
    trains: list[Line]
    start: float = field(default_factory=time.time)
    acknowledged: list[tuple[int, int, int, float]] = field(default_factory=list)
    finished: int = 0

    @classmethod
    def of(cls, site: Served, wishes: Wishes, count: int) -> "Load":
        """With so many sessions, started, and as many agents."""
        lab, asks = site.lab, dict[int, Line]()
        study = study_of(lab, wishes.seed)
        for number in range(count):
            method = {"name": "random", "seed": number}
            session = lab.sessions.open(study.id, tuner=f"random {number}", method=method, driver="benchmark")
            asks[lab.start(session.id).id] = Line(site.port, lab.tokens.issue("method", session.id))
        trains = [Line(site.port, lab.agents.add(f"agent {number}", 1)[1]) for number in range(count)]
        return cls(site, wishes, lab.studies.task_of(study.id).space, asks, trains)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Within it, the lines are connected."""
        lines = [*self.asks.values(), *self.trains]
        try:
            for line in lines:
                await line.open()
            yield
        finally:
            for line in lines:
                line.close()

    def configuration(self, rng: np.random.Generator) -> dict[str, float]:
        """A random configuration."""
        return {hyperparameter.name: float(10 ** rng.uniform(-4, 0)) for hyperparameter in self.space}

    async def measure(self, line: Line, job: Mapping[str, Any], first: int, count: int) -> None:
        """Post generated measurements from an index on, with the time of now."""
        at = round(time.time() - self.start, 3)
        rows = [row_of(index, at) for index in range(first, first + count)]
        await line.post("/api/agent/measure", reports=[[job["job_id"], job["attempt"], rows]])
        self.acknowledged += [(job["job_id"], job["attempt"], row[0], row[3]) for row in rows]

    def lost(self) -> int:
        """How many of the measurements that were acknowledged are not stored as they were sent."""
        engine = create_engine(self.site.url)
        with engine.connect() as connection:
            stored = set(map(tuple, connection.execute(text('SELECT job_id, attempt, "index", loss FROM measurement'))))
        engine.dispose()
        return len(set(self.acknowledged) - stored)


# Agents


async def live(load: "Load", number: int, until: float) -> None:
    """One agent until the time is over. The session whose training it has finished submits the next one."""
    rng, line = np.random.default_rng([load.wishes.seed, number]), load.trains[number]
    await asyncio.sleep(float(rng.uniform(0, TICK_SECONDS)))
    await line.post("/api/agent/hello", slots=1, machine="benchmark")
    session_id = list(load.asks)[number]
    while time.monotonic() < until:
        await load.asks[session_id].post("/api/session/submit", configuration=load.configuration(rng), key=str(rng.random()))
        job = (await line.post("/api/agent/claim", refused=[]))["assignment"]
        assert job is not None, "each agent submits before it claims"
        session_id, index, due = int(job["label"].split()[1]), 0, time.monotonic()
        for _ in range(rng.integers(*TRAINING_POSTS)):
            due += TICK_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await load.measure(line, job, index, load.wishes.rate)
            index += load.wishes.rate
        await line.post(f"/api/agent/jobs/{job['job_id']}/finish", attempt=job["attempt"], outcome="completed")
        load.finished += 1


async def load_of_agents(site: Served, wishes: Wishes) -> dict[str, Any]:
    """Let the agents live; what they met in the steady part."""
    load, spent = Load.of(site, wishes, wishes.agents), list[Spent]()

    async def mark() -> None:
        for wait in (SETTLE_SECONDS, wishes.seconds):
            await asyncio.sleep(wait)
            spent.append(site.now())

    async with load.opened():
        until = time.monotonic() + SETTLE_SECONDS + wishes.seconds
        await asyncio.gather(mark(), *(live(load, number, until) for number in range(wishes.agents)))
    used, window = spent[1].since(spent[0]), (spent[0].at, spent[1].at)
    took = [
        request for line in (*load.asks.values(), *load.trains) for request in line.took if window[0] <= request[1] < window[1]
    ]
    kinds = ("claim", "submit", "measure", "finish")
    return {
        "answers, ms": {kind: milliseconds([seconds for what, _, seconds in took if what == kind]) for kind in kinds},
        "requests a second": len(took) / used.at,
        "commits a second": used.counts["writes"] / used.at,
        "measurements a commit": load.wishes.rate
        * sum(request[0] == "measure" for request in took)
        / max(1, used.counts["writes"]),
        "SQL statements a request": used.counts["statements"] / len(took),
        "server's CPU, share of a core": used.cpu / used.at,
        "trainings": load.finished,
        "measurements acknowledged": len(load.acknowledged),
        "measurements lost": load.lost(),
    }


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """How many there are, their median and their 95 % quantile."""
    median, high = 1000 * np.quantile(seconds, (0.5, 0.95)) if len(seconds) else (float("nan"), float("nan"))
    return {"count": len(seconds), "median": round(float(median), 2), "95 %": round(float(high), 2)}


# Watchers


@lru_cache(64)  # many are sent the same; reading each would make this process late
def points_of(message: bytes) -> list[dict[str, Any]]:
    """The measurements in a message, as the page's script takes them."""
    events = [part.split(b"\n") for part in message.split(b"\n\n") if part.startswith(b"event: points")]
    return [json.loads(next(line for line in lines if line.startswith(b"data: "))[6:]) for lines in events]


class Watcher(asyncio.Protocol):
    """One open event stream: the messages that were written to it, and the age of each measurement when it arrived."""

    def __init__(self, port: int, session_id: int, token: str, start: float) -> None:
        self._head = f"GET /sessions/{session_id}/events HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
        self._head += f"cookie: {COOKIE_NAMES[Role.RESEARCHER]}={token}\r\n\r\n"
        self._start = start
        self._held = b""
        self._answered = False
        self.messages: list[float] = []  # when each arrived, time.monotonic()
        self.ages: list[tuple[float, float]] = []  # when a measurement arrived, and its age
        self.newest: list[tuple[float, float]] = []  # the same, of the newest of each message
        self.last = -1
        self.gaps = 0
        self.bytes = 0
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(self._head.encode())

    def connection_lost(self, error: Exception | None) -> None:
        self.ended = True

    def close(self) -> None:
        """End it."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._held += data
        if not self._answered:
            head, ends, rest = self._held.partition(b"\r\n\r\n")
            if not ends:
                return
            assert b" 200 " in head[:20], head
            self._held, self._answered = rest, True
        while True:
            size, ends, rest = self._held.partition(b"\r\n")
            if not ends or len(rest) < int(size, 16) + 2:
                return
            message, self._held = rest[: int(size, 16)], rest[int(size, 16) + 2 :]
            self.bytes += len(message)
            self._take(message)

    def _take(self, message: bytes) -> None:
        arrived, now = time.monotonic(), time.time()
        self.messages.append(arrived)
        for points in points_of(message):
            self._note(points, arrived, now - self._start)

    def _note(self, points: Mapping[str, Any], arrived: float, now: float) -> None:
        """The first message has all that was measured before: that is not late."""
        for row in points["measurements"]:
            self.gaps += row[0] != self.last + 1
            self.last = row[0]
            if not points["reset"]:
                self.ages.append((arrived, now - row[5]))
        if not points["reset"] and points["measurements"]:
            self.newest.append(self.ages[-1])


async def train(load: Load, number: int) -> None:
    """Submit a configuration, claim its training and post what it measures until cancelled."""
    line, asks = load.trains[number], list(load.asks.values())[number]
    await asks.post("/api/session/submit", configuration=load.configuration(np.random.default_rng(number)), key="first")
    job = (await line.post("/api/agent/claim", refused=[]))["assignment"]
    await asyncio.sleep(number / load.wishes.sessions / POSTS_A_SECOND)
    index, due, count = 0, time.monotonic(), max(1, load.wishes.rate // POSTS_A_SECOND)
    while True:
        due += 1 / POSTS_A_SECOND
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        await load.measure(line, job, index, count)
        index += count


async def load_of_watchers(site: Served, wishes: Wishes) -> dict[str, Any]:
    """Let trainings post, alone and with all the watchers; what was met."""
    load, lags, loop = Load.of(site, wishes, wishes.sessions), list[float](), asyncio.get_running_loop()
    token, pages = site.lab.tokens.issue("researcher", site.lab.people.first_owner("Olga").id), list(load.asks)
    watching = [Watcher(site.port, pages[number % len(pages)], token, load.start) for number in range(wishes.watchers)]
    async with load.opened():
        trains = [asyncio.create_task(train(load, number)) for number in range(wishes.sessions)]
        await asyncio.sleep(SETTLE_SECONDS)
        alone = await spent_in(site, wishes.seconds / 3)
        for watcher in watching:
            await loop.create_connection(partial(_same, watcher), "127.0.0.1", site.port)
        late = asyncio.create_task(lateness(lags))
        await asyncio.sleep(SETTLE_SECONDS)
        lags.clear()
        begun = time.monotonic()
        used = await spent_in(site, wishes.seconds)
        for task in (*trains, late):
            task.cancel()
        done = await asyncio.gather(*trains, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in done), done
        await asyncio.sleep(CLOSING_SECONDS)
        broken = sum(watcher.ended for watcher in watching)
        for watcher in watching:
            watcher.close()
    return arrived(watching, begun, alone, used) | {
        "connections lost": broken,
        "the load's own lateness, ms": milliseconds(lags),
        "measurements acknowledged": len(load.acknowledged),
        "measurements lost": load.lost(),
    }


def _same(watcher: Watcher) -> Watcher:
    return watcher


async def spent_in(site: Served, seconds: float) -> Spent:
    """What the server spends in the next seconds."""
    before = site.now()
    await asyncio.sleep(seconds)
    return site.now().since(before)


async def lateness(late: list[float]) -> None:
    """How late this process's own loop is: part of every age is its own slowness."""
    while True:
        begun = time.monotonic()
        await asyncio.sleep(0.05)
        late.append(time.monotonic() - begun - 0.05)


def arrived(watching: Sequence[Watcher], begun: float, alone: Spent, used: Spent) -> dict[str, Any]:
    """What arrived in the steady part, and what it cost."""

    def steady(ages: Iterable[tuple[float, float]]) -> list[float]:
        return [age for at, age in ages if begun <= at < begun + used.at]

    assert all(watcher.messages for watcher in watching), "some connections were sent nothing"
    messages = sum(begun <= at < begun + used.at for watcher in watching for at in watcher.messages)
    ages = [age for watcher in watching for age in steady(watcher.ages)]
    newest = [age for watcher in watching for age in steady(watcher.newest)]
    beside = used.cpu - alone.cpu * used.at / alone.at
    return {
        "messages": messages,
        "messages a second and connection": messages / used.at / len(watching),
        "bytes a message": sum(watcher.bytes for watcher in watching)
        / max(1, sum(len(watcher.messages) for watcher in watching)),
        "CPU a message, microseconds": 1e6 * beside / max(1, messages),
        "CPU a message with all that the posts cost, microseconds": 1e6 * used.cpu / max(1, messages),
        "server's CPU, share of a core": used.cpu / used.at,
        "server's CPU with the posts alone, share of a core": alone.cpu / alone.at,
        "age of a measurement, ms": milliseconds(ages),
        "age of the newest in a message, ms": milliseconds(newest),
        "measurements left out or twice": sum(watcher.gaps for watcher in watching),
    }


# The whole


def run(case: str, wishes: Wishes, folder: Path) -> dict[str, Any]:
    """The record of a case, in a folder that gets the database and what the server said."""
    load = {"agents": load_of_agents, "watchers": load_of_watchers}[case]
    with served(folder, wishes.database) as site:
        measured = uvloop.run(load(site, wishes))  # so that the load itself takes little time
        backend = site.url.partition(":")[0]
    said = (folder / "server.log").read_text()
    return {
        "case": case,
        **described(case, wishes, measured),
        "found": measured,
        "command": command(case, wishes),
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{machine.model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end, database {backend}",
        "versions": {"Python": platform.python_version(), **{package: metadata.version(package) for package in PACKAGES}},
        "errors the server told": said.count("Traceback"),
    }


def described(case: str, wishes: Wishes, measured: Mapping[str, Any]) -> dict[str, Any]:
    """What a case measured, and for each of its goals what was found."""
    if case == "agents":
        what = f"{wishes.agents} simulated agents, one load process; each posts a batch of {wishes.rate} measurements a second"
        goal = 1000 * GOALS["claim and submit, median"]
        goals = {f"{kind}, median, ms": (goal, measured["answers, ms"][kind]["median"]) for kind in ("claim", "submit")}
    else:
        what = (
            f"{wishes.watchers} open session pages on {wishes.sessions} sessions, whose trainings measure {wishes.rate} times a "
        )
        what += f"second in {POSTS_A_SECOND} posts; the server on one core"
        goals = {
            "CPU a message, microseconds": (1e6 * GOALS["CPU a message"], measured["CPU a message, microseconds"]),
            "age of a measurement, 95 %, ms": (1000 * GOALS["age, 95 %"], measured["age of a measurement, ms"]["95 %"]),
            "age of the newest in a message, 95 %, ms": (
                1000 * GOALS["age, 95 %"],
                measured["age of the newest in a message, ms"]["95 %"],
            ),
            "messages a second and connection": (4.0, measured["messages a second and connection"]),
        }
    return {
        "what": what,
        "goals": {name: {"at most": goal, "found": was, "reached": round(was, 2) <= goal} for name, (goal, was) in goals.items()},
    }


def command(case: str, wishes: Wishes) -> str:
    """The command that measures it again."""
    named = {"agents": ("agents",), "watchers": ("watchers", "sessions")}[case]
    options = " ".join(f"--{name} {getattr(wishes, name)}" for name in (*named, "rate", "seed"))
    return f"python -m benchmarks.serving {case} {options} --seconds {wishes.seconds:g}"


def told(record: Mapping[str, Any]) -> str:
    """The record in words."""
    lines = [record["what"], record["machine"], *(f"    {name}: {value}" for name, value in record["found"].items())]
    for name, goal in record["goals"].items():
        lines.append(f"{name}: {goal['found']:.2f}, goal {goal['at most']:g}: {'reached' if goal['reached'] else 'missed'}")
    return "\n".join(lines)


def main() -> None:
    """The command."""
    if sys.argv[1:2] == ["server"]:
        serve(sys.argv[2:])
        return
    plain = Wishes()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=("agents", "watchers"))
    parser.add_argument("--agents", type=int, default=plain.agents)
    parser.add_argument("--watchers", type=int, default=plain.watchers)
    parser.add_argument("--sessions", type=int, default=plain.sessions, help="that are watched")
    parser.add_argument("--rate", type=int, default=plain.rate, help="measurements a second of one training")
    parser.add_argument("--seconds", type=float, default=plain.seconds, help="of the steady part")
    parser.add_argument("--seed", type=int, default=plain.seed)
    parser.add_argument("--database", help="an empty one's SQLAlchemy URL; the default: a new file of SQLite")
    parser.add_argument("--folder", type=Path, help="for the database and the server's log; the default: a temporary one")
    parser.add_argument("--out", type=Path, help="a folder for the record")
    options = vars(parser.parse_args())
    case, folder, out = (options.pop(name) for name in ("case", "folder", "out"))
    with tempfile.TemporaryDirectory(prefix="evenhand-serving-") as temporary:
        record = run(case, Wishes(**options), folder or Path(temporary))
    print(told(record))
    if out is not None:
        (out / f"{record['date']}-serving-{case}.json").write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
