"""A rehearsal of a whole study: its own server where none is given, simulated participants, random configurations, evaluations.

It may be interrupted and started again with the same seed: what was done stays done.
"""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from evenhand import settings
from evenhand.errors import InvalidSettings, Unreachable
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.study import Budget, Study
from evenhand.rehearsal.bots import Crowd, Diary, Memory, rehearse
from evenhand.rehearsal.policies import Limits
from evenhand.runners import method_player

START_SECONDS = 120.0  # seconds that a server may take to answer for the first time
DRIVER = "rehearsal"


@dataclass(frozen=True)
class Wishes:
    """What a rehearsal is asked for.

    participants, trials: how many bots, and about how many trials each. limits: values within which they stay. steady: nothing
    that depends on how quick the machine is. random: trials of a `random` session beside the bots (Fig. 1); 0 for none.
    address: of a running server on the same database; None for one of its own with `slots` trainings at once.
    """

    participants: int = 31
    trials: int = 8
    seed: int = 0
    limits: Limits = field(default_factory=dict)
    steady: bool = False
    mishaps: bool = True
    random: int = 0
    at_once: int | None = None
    address: str | None = None
    slots: int = 2


@dataclass(frozen=True)
class RehearsalProgress:
    """How far a rehearsal is: bots that ended, trials and evaluation seeds done of those there are."""

    bots: int
    trials: int
    random: int
    seeds: int
    planned: int


def run(lab: Lab, db: str | None, study: Study, wishes: Wishes, tell: Callable[[RehearsalProgress], None] | None = None) -> Diary:
    """Play the rehearsal to its end, evaluations included.

    db: the lab's database, for the server of its own. Raises InvalidSettings where a limit names no hyperparameter.
    """
    task = lab.studies.task(study.task_id)
    if unknown := sorted(set(wishes.limits) - {hyperparameter.name for hyperparameter in task.space}):
        known = ", ".join(hyperparameter.name for hyperparameter in task.space)
        raise InvalidSettings(f"limit on {unknown[0]!r}: the task has no such hyperparameter; expected one of {known}")
    memory = Memory.at(settings.data_dir() / f"bots-{lab.key}-{study.id}-{wishes.seed}.json")
    tokens = _invitations(lab, study, wishes, memory)
    drawn = _random_session(lab, study, wishes)
    with _server(db, wishes) as address, _played(lab, drawn):
        crowd = Crowd(
            address=address,
            space=task.space,
            maximize=task.maximize,
            limits=wishes.limits,
            trials=wishes.trials,
            seed=wishes.seed,
            steady=wishes.steady,
            seconds=study.budget.seconds,
            mishaps=wishes.mishaps,
        )
        diary = Diary()
        with _telling(lab, study, drawn, diary, tell):
            diary = asyncio.run(
                rehearse(crowd, [f"/join/{token}" for token in tokens], memory=memory, at_once=wishes.at_once, diary=diary)
            )
            _wait_for_evaluations(lab, study, drawn)
    return diary


def _invitations(lab: Lab, study: Study, wishes: Wishes, memory: Memory) -> list[str]:
    """One single-use link a bot: those made before where the rehearsal goes on."""
    known: list[str] = memory.of(0).get("tokens", [])
    if len(known) < wishes.participants:
        label = f"bots, seed {wishes.seed}"
        _, made = lab.participants.invite(study.id, label, kind="single", cap=wishes.participants - len(known), mode="simulated")
        known = [*known, *made]
        memory.keep(0, tokens=known)
    return known[: wishes.participants]


def _random_session(lab: Lab, study: Study, wishes: Wishes) -> Session | None:
    if not wishes.random:
        return None
    for session in lab.sessions.of_study(study.id):
        if session.mode == "simulated" and session.method.get("seed") == wishes.seed and session.method.get("name") == "random":
            return session
    method = {"name": "random", "seed": wishes.seed}
    budget = Budget(trials=wishes.random, parallel=wishes.slots)
    return lab.sessions.open(study.id, tuner="random", method=method, budget=budget, driver=DRIVER, mode="simulated")


@contextmanager
def _played(lab: Lab, session: Session | None) -> Iterator[None]:
    """The random session, played in a thread beside the bots and to its end after them."""
    if session is None:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=method_player.tune, args=(lab, session.id), kwargs={"stop": stop}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)


@contextmanager
def _server(db: str | None, wishes: Wishes) -> Iterator[str]:
    """The address of a server: the one that is given, or one that lives as long as the rehearsal."""
    if wishes.address is not None:
        yield wishes.address.rstrip("/")
        return
    with held_port() as port:
        options = ["--port", str(port), "--slots", str(wishes.slots), *(["--db", db] if db else [])]
        process = subprocess.Popen([sys.executable, "-m", "evenhand.cli.main", "serve", *options], stdout=subprocess.DEVNULL)
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for_server(address, process)
            yield address
        finally:
            process.terminate()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def held_port() -> Iterator[int]:
    """A port that nothing listens on, and that nobody but a server that is told to may take meanwhile."""
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # Linux lets another that says so listen on it
        holder.bind(("127.0.0.1", 0))
        port = int(holder.getsockname()[1])
        if sys.platform != "linux":
            holder.close()
        yield port


def wait_for_server(address: str, process: "subprocess.Popen[bytes] | None" = None) -> None:
    """Return when the server answers; Unreachable where it does not in time, or has ended."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if process is not None and process.poll() is not None:
            raise Unreachable(
                f"the server at {address} did not start: it ended with exit code {process.poll()}; start it by "
                "`evenhand serve` to see why"
            )
        try:
            httpx.get(address, timeout=5, trust_env=False)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise Unreachable(
        f"the server at {address} did not start within {START_SECONDS:.0f} s; start it by `evenhand serve` to see why"
    )


def _wait_for_evaluations(lab: Lab, study: Study, drawn: Session | None) -> None:
    while True:
        mine = [session for session in lab.sessions.of_study(study.id) if session.mode == "simulated"]
        open_seeds = any(session.evaluated.done < session.evaluated.planned for session in mine)
        draws = drawn is not None and lab.sessions.get(drawn.id).choice is None
        if not open_seeds and not draws:
            return
        time.sleep(1.0)


@contextmanager
def _telling(
    lab: Lab, study: Study, drawn: Session | None, diary: Diary, tell: Callable[[RehearsalProgress], None] | None
) -> Iterator[None]:
    """Tell how far it is, every second."""
    if tell is None:
        yield
        return
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(1.0):
            sessions = [
                session for session in lab.sessions.of_study(study.id) if session.mode == "simulated" and not session.practice
            ]
            random = next((len(session.trials) for session in sessions if drawn is not None and session.id == drawn.id), 0)
            trials = sum(not trial.is_open for session in sessions if session.participant_id for trial in session.trials)
            seeds = [(session.evaluated.done, session.evaluated.planned) for session in sessions]
            tell(
                RehearsalProgress(
                    len(diary.ended), trials, random, sum(done for done, _ in seeds), sum(all_ for _, all_ in seeds)
                )
            )

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=5)


def parse_limits(texts: list[str]) -> dict[str, tuple[float, float]]:
    """Limits from NAME=LOW:HIGH; InvalidSettings for any other text."""
    limits = {}
    for text in texts:
        name, _, values = text.partition("=")
        low, colon, high = values.partition(":")
        try:
            limits[name] = (float(low), float(high))
        except ValueError:
            colon = ""
        if not colon or not name or limits[name][0] > limits[name][1]:
            raise InvalidSettings(f"--limit {text!r}: expected NAME=LOW:HIGH, such as batch_size=32:256")
    return limits
