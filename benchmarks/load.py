"""Many participants at once on one machine, with trainings replaced by the replay of a recorded one.

    python benchmarks/load.py --participants 200 --seconds 120 --seed 1

Run it in the repository. Three processes beside this one, all on the loopback interface: the real server on a new SQLite
database (`evenhand serve --slots 0`); agents that claim trainings and, instead of training, post a recorded curve once a second
each; simulated participants (`evenhand.rehearsal.bots`) who arrive over half a minute, tune at a human pace and hold the live
stream of their page open all the while. It ends by itself.

Measured are every page's answer, from the request to the answer's last byte, and every measurement's way from the moment at
which its agent makes it to its arrival in the stream of that participant's page. A measurement's `seconds`, which the stream
carries, count from the start of the test, so that its arrival tells its age. At the end what the agents and the participants
were told is held against the database.
"""

import argparse
import asyncio
import json
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from evenhand import tasks
from evenhand.errors import EvenhandError, Unreachable
from evenhand.lab.client import Client
from evenhand.lab.lab import Lab
from evenhand.model import codec
from evenhand.model.job import Assignment
from evenhand.model.rules import derive_seed
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.rehearsal.bots import Bot, Crowd, Diary, Memory, Page, browser
from evenhand.rehearsal.run import held_port, wait_for_server

ROOT = Path(__file__).resolve().parents[1]
TASK = "evenhand.examples.digits_mlp:train"
RAMP_SECONDS = 30.0  # seconds over which participants arrive
EVALUATION_SECONDS = 3.0  # seconds that a replayed seed of an evaluation takes
TICK_SECONDS = 1.0  # seconds between two posts of a training
SLOTS = 20  # of one agent
IDLE_SECONDS = 0.5  # seconds between two claims of an agent for which nothing waits
END_SECONDS = 300.0  # seconds that the end may take
RETRY_SECONDS = 30.0  # seconds for which an agent's call is repeated where the server does not answer
GOALS = {"pages": 0.3, "measurements": 0.5}  # seconds, 95 %


@dataclass(frozen=True)
class Pace:
    """Seconds, each drawn between two bounds. training: that a replayed training takes. thinking: between two trials.
    reading: on any other page."""

    training: tuple[float, float]
    thinking: tuple[float, float]
    reading: tuple[float, float]


# The paper's 31 people tried 463 configurations in two hours each, one in eight minutes; here one in 2 min 40 s, or in 34 s.
PACES = {
    "people": Pace((60, 180), (20, 60), (5, 20)),
    "hectic": Pace((20, 40), (2, 6), (1, 3)),
    "test": Pace((2, 4), (0.5, 1), (0.2, 0.5)),
}


@dataclass(frozen=True)
class Wishes:
    """What the test is asked for. seconds: of the steady part, after the arrivals. slots: trainings at once; None: one each."""

    participants: int = 200
    slots: int | None = None
    seconds: float = 120.0
    seed: int = 1
    ramp: float = RAMP_SECONDS
    pace: str = "people"
    profile: bool = False


@dataclass(frozen=True)
class Result:
    """What was found. Seconds of pages by kind and ages of measurements are of the steady part.

    sent: measurements that an agent was told are stored. lost: of those, the ones that are not in the database, or differ.
    shown, unseen: measurements that streams gave in all, and those that one left out between two that it gave.
    """

    pages: Mapping[str, list[float]]
    ages: list[float]
    sent: int
    lost: int
    trials: int
    unfinished: int
    shown: int
    unseen: int
    participants: int
    choices: int
    troubles: list[str]
    outages: int
    server_cpu: float
    lag: float
    seconds: float

    @property
    def every_page(self) -> list[float]:
        """Seconds of all pages."""
        return [value for seconds in self.pages.values() for value in seconds]


# The recorded training


def record() -> list[Measurement]:
    """What one real training of the example's network measures, with its defaults."""
    task, measurements = tasks.load(TaskSpec(TASK)), list[Measurement]()
    outcome, why = tasks.run_trial(task, task.record.space.defaults(), seed=0, evaluation=False, report=measurements.append)
    assert outcome is Outcome.COMPLETED, why
    return measurements


# Agents


@dataclass
class Replayer:
    """One agent, which posts as real ones do: `SLOTS` replays at once over one client, and what the server acknowledged."""

    client: Client
    curve: list[Measurement]
    wishes: Wishes
    start: float
    acknowledged: list[list[Any]] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def run(self, stop: threading.Event) -> None:
        """Claim and replay until `stop` is set and nothing runs any more."""
        self.client.hello(slots=SLOTS, machine="replay")
        running: list[threading.Thread] = []
        while not stop.is_set() or running:
            running = [thread for thread in running if thread.is_alive()]
            job = None
            with suppress(Unreachable):
                job = self.client.claim() if len(running) < SLOTS and not stop.is_set() else None
            if job is None:
                time.sleep(IDLE_SECONDS)
                continue
            running.append(threading.Thread(target=self.replay, args=(job,)))
            running[-1].start()

    def curve_of(self, job: Assignment) -> list[Measurement]:
        """The recorded curve, up to the last epoch that the job was asked for: the server refuses what goes beyond it."""
        ends = [index for index, point in enumerate(self.curve, 1) if point.epoch == job.configuration["epochs"]]
        return self.curve[: ends[0]] if ends else self.curve

    def replay(self, job: Assignment) -> None:
        """Post the recorded curve over the trial's time, and end it."""
        rng = np.random.default_rng(derive_seed(self.wishes.seed, "training", job.job_id))
        seconds = rng.uniform(*PACES[self.wishes.pace].training) if job.kind == "trial" else EVALUATION_SECONDS
        outcome, due = Outcome.COMPLETED, time.monotonic()
        curve = self.curve_of(job)
        try:
            for part in np.array_split(np.arange(len(curve)), max(1, round(seconds / TICK_SECONDS))):
                due += TICK_SECONDS
                time.sleep(max(0.0, due - time.monotonic()))
                made = round(time.time() - self.start, 3)
                batch = [replace(curve[i], seconds=made) for i in part]
                go_on = self.client.measure(job.job_id, job.attempt, batch)
                self.acknowledged += [
                    [job.job_id, job.attempt, measurement.index, measurement.loss, measurement.seconds] for measurement in batch
                ]
                if not go_on:
                    outcome = Outcome.STOPPED
                    break
            self.client.finish(job.job_id, job.attempt, outcome)
        except EvenhandError as error:
            self.errors[f"{type(error).__name__}: {error}"] += 1


def agents(folder: Path) -> None:
    """The agents' process, until its standard input ends: agents.json in the folder gets what was acknowledged."""
    plan, stop = json.loads((folder / "plan.json").read_text()), threading.Event()
    curve = [codec.measurement_of(row) for row in plan["curve"]]
    every = [
        Replayer(Client(plan["address"], token, retry=RETRY_SECONDS), curve, _wishes(plan), plan["start"])
        for token in plan["agents"]
    ]
    threads = [threading.Thread(target=agent.run, args=(stop,)) for agent in every]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()
    errors = sum((agent.errors for agent in every), Counter[str]())
    (folder / "agents.json").write_text(
        json.dumps({"acknowledged": [row for agent in every for row in agent.acknowledged], "errors": errors})
    )


# Participants


@dataclass
class Seen:
    """What all participants' pages got: ages of measurements with the time of their arrival, and indices that were left out."""

    start: float
    ages: list[tuple[float, float]] = field(default_factory=list)
    unseen: int = 0
    lags: list[float] = field(default_factory=list)


class Participant(Bot):
    """A bot at a human pace whose page stays open: it holds its live stream from the first tune page to the choice."""

    seen: Seen
    pace: str
    over: float  # time.monotonic() from which on it makes its choice

    async def _step(self, page: Page) -> bool:
        if page.step != "tune":
            self._leave()
            await self._wait(PACES[self.pace].reading)
        elif getattr(self, "_listener", None) is None:
            self._state: Mapping[str, Any] | None = None
            self._fresh = asyncio.Event()
            self._submitted = 0
            self._listener: asyncio.Task[None] | None = asyncio.create_task(self._listen())
        return await super()._step(page)

    def _leave(self) -> None:
        listener = getattr(self, "_listener", None)
        if listener is not None:
            listener.cancel()
        self._listener = None

    async def _wait(self, span: tuple[float, float]) -> None:
        await asyncio.sleep(float(self._rng().uniform(*span)))

    def _rng(self) -> np.random.Generator:
        if not hasattr(self, "_stream"):
            self._stream = np.random.default_rng(derive_seed(self.crowd.seed, "pace", self.plan.number))
        return self._stream

    async def _until_free(self) -> None:
        """Wait for the end of the trial that was submitted last, as the open page tells it, and think; at the end, choose."""
        while True:
            run = self._state["run"] if self._state else None
            if run and run["number"] >= self._submitted and not run["open"]:
                break
            self._fresh.clear()
            await asyncio.wait_for(self._fresh.wait(), END_SECONDS)
        if time.monotonic() < self.over:
            await self._wait(PACES[self.pace].thinking)
        if time.monotonic() >= self.over:
            self.plan = replace(self.plan, trials=1)

    async def _submit(self, page: Page, typed: Mapping[str, str]) -> int:
        status = await super()._submit(page, typed)
        self._submitted += status == 200
        return status

    async def _listen(self) -> None:
        """Hold the page's stream; come back with the cursor where it breaks, as browsers do."""
        cursor, indices = "", dict[tuple[int, int], int]()
        while True:
            with suppress(httpx.TransportError):
                headers = {"last-event-id": cursor} if cursor else {}
                async with self._http.stream("GET", f"{self._home}/events", headers=headers, timeout=httpx.Timeout(30)) as stream:
                    event: dict[str, str] = {}
                    async for line in stream.aiter_lines():
                        if line:
                            name, _, value = line.partition(": ")
                            event[name] = value
                            continue
                        cursor = event.get("id", cursor)
                        self._take(event, indices)
                        event = {}
            self.diary.outages += 1
            await asyncio.sleep(0.2)

    def _take(self, event: Mapping[str, str], indices: dict[tuple[int, int], int]) -> None:
        now = time.time()
        if event.get("event") == "state":
            self._state = json.loads(event["data"])
            self._fresh.set()
        elif event.get("event") == "points":
            points = json.loads(event["data"])
            key = points["number"], points["attempt"]
            for row in points["measurements"]:
                last = indices.get(key, -1)
                if row[0] > last:
                    self.seen.unseen += row[0] - last - 1
                    self.seen.ages.append((now, now - self.seen.start - row[5]))
                    indices[key] = row[0]


async def _live(bot: Participant, address: str, delay: float) -> None:
    await asyncio.sleep(delay)
    try:
        await bot.arrive(address)
        await bot.walk()
    except (EvenhandError, TimeoutError) as error:
        bot.trouble(f"{error!r}"[:300])
    finally:
        bot._leave()


async def _lags(seen: Seen) -> None:
    """How late this process's own loop is: part of what is measured is its own slowness."""
    while True:
        begun = time.monotonic()
        await asyncio.sleep(0.05)
        seen.lags.append(time.monotonic() - begun - 0.05)


async def _crowd(plan: Mapping[str, Any], wishes: Wishes) -> dict[str, Any]:
    task = tasks.load(TaskSpec(TASK)).record
    crowd = Crowd(plan["address"], task.space, task.maximize, trials=10**6, seed=wishes.seed, steady=True, mishaps=False)
    diary, seen, begun = Diary(), Seen(plan["start"]), time.monotonic()
    lags, counts = asyncio.create_task(_lags(seen)), list[dict[str, int]]()

    async def mark(after: float) -> None:
        await asyncio.sleep(after)
        counts.append({kind: len(seconds) for kind, seconds in diary.pages.items()})

    async with AsyncExitStack() as stack:
        walks = [mark(wishes.ramp), mark(wishes.ramp + wishes.seconds)]
        for number, address in enumerate(plan["invitations"], 1):
            http = await stack.enter_async_context(browser(crowd))
            bot = Participant(crowd, crowd.plan(number), diary, Memory(), http)
            bot.seen, bot.pace, bot.over = seen, wishes.pace, begun + wishes.ramp + wishes.seconds
            walks.append(_live(bot, address, wishes.ramp * (number - 1) / wishes.participants))
        await asyncio.gather(*walks)
    lags.cancel()
    first, last = counts
    started = time.time() - (time.monotonic() - begun)
    window = started + wishes.ramp, started + wishes.ramp + wishes.seconds
    return {
        "pages": {kind: seconds[first.get(kind, 0) : last.get(kind, 0)] for kind, seconds in diary.pages.items()},
        "ages": [age for at, age in seen.ages if window[0] <= at < window[1]],
        "shown": len(seen.ages),
        "unseen": seen.unseen,
        "trials": diary.trials,
        "troubles": diary.troubles,
        "outages": diary.outages,
        "statuses": diary.statuses,
        "lag": float(np.quantile(seen.lags, 0.95)),
    }


def participants(folder: Path) -> None:
    """The participants' process: participants.json in the folder gets what they met."""
    plan = json.loads((folder / "plan.json").read_text())
    (folder / "participants.json").write_text(json.dumps(asyncio.run(_crowd(plan, _wishes(plan)))))


# The server


def server(folder: Path) -> None:
    """The server's process where it is profiled: every hundredth second, where each of its threads is."""
    from evenhand.cli import main

    plan, stacks, own = json.loads((folder / "plan.json").read_text()), Counter[str](), Counter[str]()

    def sample() -> None:
        while True:
            time.sleep(0.01)
            for ident, frame in sys._current_frames().items():
                if ident == threading.get_ident():
                    continue
                stack = traceback.extract_stack(frame)
                if stack[-1].name in ("wait", "select", "_worker", "get", "accept") or "selectors" in stack[-1].filename:
                    continue
                own[f"{Path(stack[-1].filename).name}:{stack[-1].name}"] += 1
                for name in {f"{Path(frame.filename).name}:{frame.name}" for frame in stack}:
                    stacks[name] += 1

    def write() -> None:
        while True:
            time.sleep(5)
            lines = [f"{count:7d} {name}" for counts in (stacks, own) for name, count in [(".", 0), *counts.most_common(90)]]
            (folder / "profile.txt").write_text("\n".join(lines))

    for work in (sample, write):
        threading.Thread(target=work, daemon=True).start()
    sys.argv[1:] = plan["serve"]
    main.main()


# The whole


def _wishes(plan: Mapping[str, Any]) -> Wishes:
    return Wishes(**plan["wishes"])


@contextmanager
def _process(command: list[str], folder: Path, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    environment = {**os.environ, "EVENHAND_DATA": str(folder), "PYTHONPATH": str(ROOT)}
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=environment, cwd=ROOT)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


def run(wishes: Wishes, folder: Path) -> Result:
    """The whole test, in a folder that gets the database and what each process wrote."""
    database = f"sqlite:///{folder / 'lab.sqlite'}"
    lab = Lab.connect(database)
    task = lab.studies.add_task(tasks.load(TaskSpec(TASK)).record)
    words, budget = Text("A load test."), Budget(seconds=4 * 3600)
    study = Study("load", "Load test", task.id, budget, wishes.seed, words, words, words, evaluation_seeds=1, machines="any")
    study = lab.studies.add(study)
    _, tokens = lab.participants.invite(study.id, "load", kind="single", cap=wishes.participants, mode="simulated")
    with held_port() as port:
        return _served(wishes, folder, lab, study, tokens, port)


def _served(wishes: Wishes, folder: Path, lab: Lab, study: Study, tokens: Sequence[str], port: int) -> Result:
    options = ["serve", "--slots", "0", "--port", str(port), "--db", f"sqlite:///{folder / 'lab.sqlite'}"]
    plan = {
        "address": f"http://127.0.0.1:{port}",
        "serve": options,
        "agents": [lab.agents.add(f"replay {i}", SLOTS)[1] for i in range(-(-(wishes.slots or wishes.participants) // SLOTS))],
        "invitations": [f"/join/{token}" for token in tokens],
        "curve": [codec.row_of(measurement) for measurement in record()],
        "start": time.time(),
        "wishes": asdict(wishes),
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    mine = [sys.executable, str(Path(__file__).resolve()), "--folder", str(folder), "--process"]
    serve = [*mine, "server"] if wishes.profile else [sys.executable, "-m", "evenhand.cli.main", *options]
    begun = time.monotonic()
    with _process(serve, folder, "server") as serving:
        wait_for_server(str(plan["address"]), serving)
        with _process([*mine, "agents"], folder, "agents") as replaying:
            with _process([*mine, "participants"], folder, "participants") as walking:
                status = walking.wait(timeout=wishes.ramp + wishes.seconds + 2 * END_SECONDS)
            assert status == 0, f"the participants ended with {status}: {(folder / 'participants.log').read_text()[-2000:]}"
            _await_evaluations(lab, study)
            assert replaying.stdin is not None
            replaying.stdin.close()
            replaying.wait(timeout=END_SECONDS)
        cpu = _cpu_seconds(serving.pid)
    result = _checked(lab, study, folder, cpu, time.monotonic() - begun)
    lab.close()
    return result


def _await_evaluations(lab: Lab, study: Study) -> None:
    until = time.monotonic() + END_SECONDS
    while (
        any(session.evaluated.done < session.evaluated.planned for session in lab.sessions.of_study(study.id))
        and time.monotonic() < until
    ):
        time.sleep(IDLE_SECONDS)


def _cpu_seconds(pid: int) -> float:
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def _checked(lab: Lab, study: Study, folder: Path, cpu: float, seconds: float) -> Result:
    """What the processes wrote, held against the database."""
    met = json.loads((folder / "participants.json").read_text())
    agents = json.loads((folder / "agents.json").read_text())
    with sqlite3.connect(folder / "lab.sqlite") as connection:
        query = 'SELECT job_id, attempt, "index", loss, seconds FROM measurement'
        stored = {tuple(row[:3]): tuple(row[3:]) for row in connection.execute(query)}
    lost = sum(stored.get(tuple(row[:3])) != tuple(row[3:]) for row in agents["acknowledged"])
    sessions = lab.sessions.of_study(study.id)
    trials = [trial for session in sessions for trial in session.trials]
    return Result(
        pages=met["pages"],
        ages=met["ages"],
        sent=len(agents["acknowledged"]),
        lost=lost,
        trials=met["trials"],
        unfinished=sum(trial.is_open for trial in trials) + abs(len(trials) - met["trials"]),
        shown=met["shown"],
        unseen=met["unseen"],
        participants=len(sessions),
        choices=sum(session.choice is not None for session in sessions),
        troubles=[*met["troubles"], *(f"agents: {count} times {what}" for what, count in agents["errors"].items())],
        outages=met["outages"],
        server_cpu=cpu,
        lag=met["lag"],
        seconds=seconds,
    )


def table(result: Result, wishes: Wishes) -> str:
    """The result in lines."""

    def quantiles(values: list[float]) -> str:
        marks = np.quantile(values, (0.5, 0.95, 0.99, 1.0)) * 1000 if values else [float("nan")] * 4
        return "  ".join(f"{name} {mark:.0f} ms" for name, mark in zip(("median", "95 %", "99 %", "largest"), marks, strict=True))

    machine = f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}"
    goals = {name: f"goal: 95 % within {goal * 1000:.0f} ms" for name, goal in GOALS.items()}
    slots, asked = wishes.slots or wishes.participants, f"pace {wishes.pace}, seed {wishes.seed}"
    late = f"the participants' own process was late by {result.lag * 1000:.0f} ms (95 %)"
    lines = [
        f"{wishes.participants} participants, {slots} slots, {wishes.seconds:.0f} s steady, {asked}; {machine}",
        f"pages ({len(result.every_page)}): {quantiles(result.every_page)}; {goals['pages']}",
        *(f"    {kind} ({len(seconds)}): {quantiles(seconds)}" for kind, seconds in sorted(result.pages.items()) if seconds),
        f"measurement to page ({len(result.ages)}): {quantiles(result.ages)}; {goals['measurements']}",
        f"measurements acknowledged {result.sent}, lost {result.lost}, left out by a stream {result.unseen}",
        f"trials {result.trials}, unfinished or not there {result.unfinished}",
        f"participants {result.participants}, choices {result.choices}; unanswered requests {result.outages}",
        f"server: {result.server_cpu:.0f} s of processor in {result.seconds:.0f} s; {late}",
        *(f"trouble: {trouble}" for trouble in result.troubles[:20]),
    ]
    return "\n".join(lines)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--participants", type=int, default=200)
    parser.add_argument("--slots", type=int, help="trainings at once, in steps of 20; the default: one a participant")
    parser.add_argument("--seconds", type=float, default=120.0, help="of the steady part")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pace", choices=tuple(PACES), default="people")
    parser.add_argument("--profile", action="store_true", help="also write where the server spends its time")
    parser.add_argument("--folder", type=Path, help="for the database and logs; the default: a temporary one")
    parser.add_argument("--process", choices=("server", "agents", "participants"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.process:
        {"server": server, "agents": agents, "participants": participants}[options.process](options.folder)
        return
    wishes = Wishes(
        options.participants, options.slots, options.seconds, options.seed, pace=options.pace, profile=options.profile
    )
    with tempfile.TemporaryDirectory(prefix="evenhand-load-") as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        print(table(run(wishes, folder), wishes))


if __name__ == "__main__":
    main()
