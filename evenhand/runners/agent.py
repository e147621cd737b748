"""The agent: it claims trainings, has its workers train them, and passes on what they measure.

It runs by itself against a server (`Client`), or in threads of a process that has the `Lab`.
"""

import json
import logging
import os
import signal
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from evenhand.errors import CodeRefused, Dismissed, EvenhandError, InvalidSettings, StaleAttempt, Unreachable
from evenhand.lab.client import Client
from evenhand.lab.verbs import AgentVerbs
from evenhand.model import codec
from evenhand.model.job import Assignment, Order
from evenhand.model.sent_code import SentCode
from evenhand.model.trial import Measurement, Outcome
from evenhand.runners.fork_server import ForkServer, Worker
from evenhand.runners.sent_tasks import Allow, SentTasks, owners_word
from evenhand.settings import rules_from_environment
from evenhand.tasks import machine, parked, requirements
from evenhand.tasks.parked import EpochState, Parked

log = logging.getLogger(__name__)

LOCK_VARIABLE = "EVENHAND_AGENT_LOCK"  # number of the locked file's descriptor, where a supervisor started this agent
POST_SECONDS = 0.2  # seconds between two posts of one training
RETRY_SECONDS = 0.25  # seconds until a server that did not answer is asked again
IDLE_SECONDS = 0.5  # seconds that a claim waits for a training
READ_SECONDS = 0.5  # seconds that reading waits at most, so that an end is noticed
SHUT_DOWN_REASON = "its agent was shut down"
PROGRAM = "program"  # the task whose command the lab names
NO_PROGRAMS = "this agent starts no programs that a laboratory names; where you trust it to, start the agent with --programs"
MOST_MEASUREMENTS = 1000  # measurements in one post
REFUSED_SECONDS = 60.0  # seconds for which a task version that is not here is not asked for
HEED_SECONDS = 5.0  # between two questions of an agent without work which studies refuse it
OVER_LONG_SECONDS = 5.0  # seconds after a task's limit on time without a word, at which a training is killed
WORDS = {Order.STOP: "stop", Order.HOLD: "hold", Order.GO_ON: "go on"}  # for a worker
PARK_SECONDS = 2.0  # seconds between two looks for another training, in the place of one that stands still
LOAD_SECONDS = 0.02  # seconds for which reading may go on where a post is due


@dataclass(frozen=True)
class Patience:
    """How long (in seconds) an agent waits. heartbeat: until the next post, even an empty one. stall: for any word of a worker
    before it is killed. server: for a server that does not answer, while trainings go on and what they measure is kept.
    idle: without work, until it loads PyTorch and scikit-learn for the trainings that may come.
    """

    heartbeat: float = 1.0
    stall: float = 120.0
    server: float = 60.0
    idle: float = 3.0

    @classmethod
    def usual(cls, session_id: int | None = None) -> "Patience":
        """With a heartbeat that keeps even a short lease. An agent of one session loads what its task needs, and no more."""
        heartbeat = min(cls.heartbeat, rules_from_environment().lease / 4)
        return cls(heartbeat=heartbeat, idle=cls.idle if session_id is None else float("inf"))


def run_agent(
    verbs: AgentVerbs,
    agent_id: int = 0,
    *,
    slots: int,
    name: str = "",
    nice: int = 0,
    memory: int | None = None,
    session_id: int | None = None,
    stop: threading.Event | None = None,
    patience: Patience | None = None,
    programs: bool = True,
    allow: Allow | None = None,
) -> None:
    """Train what waits, `slots` trainings at once, until `stop` is set; then give back what is unfinished.

    agent_id: as `lab.agents.add` gave it; a `Client` knows it by its token. name: of this machine. nice: priority that workers
    give up, 0 to 19. memory: bytes that one worker may use, 0 for any (default: an equal share of the machine's).
    session_id: train for this session only. programs: whether it starts programs, whose commands the lab names. allow: is shown
    what code the lab sends before any of it runs, and says whether it may; with None it may not.

    Raises:
        Unreachable: the server did not answer for `patience.server` seconds.
        NotAllowed: the token is not, or no longer, an agent's.
        Dismissed: the session that it joined is served no more.
    """
    share = total_memory() // slots if memory is None else memory
    forks, sent = ForkServer((nice, share)), SentTasks(verbs, agent_id, allow)
    agent = _Agent(verbs, agent_id, forks, session_id, stop or threading.Event(), patience or Patience.usual(), programs, sent)
    try:
        agent.run(slots, name)
    finally:
        forks.close()
        sent.close()


def total_memory() -> int:
    """Bytes of memory that this process's machine, or container, has."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        return min(machine, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return machine


class _Agent:
    """What the slots of one agent share."""

    def __init__(
        self,
        verbs: AgentVerbs,
        agent_id: int,
        forks: ForkServer,
        session_id: int | None,
        stop: threading.Event,
        patience: Patience,
        programs: bool,
        sent: SentTasks,
    ) -> None:
        self.verbs, self.id, self.forks, self.session_id = verbs, agent_id, forks, session_id
        self.stop, self.patience, self.programs, self.sent = stop, patience, programs, sent
        self.loaded = requirements.NO_PACKAGES  # what new workers have
        self.loading = threading.Lock()  # of the slot that has all loaded ahead
        self._refused: dict[str, float] = {}  # task version: until when
        self._asked_at = float("-inf")  # when the lab was last asked which studies refuse this agent
        self._asking = threading.Lock()  # of the slot that asks
        self._told: tuple[str, ...] = ()  # what it said, and was logged
        self._answered_at = time.monotonic()
        self._failed: BaseException | None = None
        self._ended = threading.Event()
        self._parked: list[_ParkedTraining] = []
        self._parking = threading.Lock()  # of that list

    def run(self, slots: int, name: str) -> None:
        """Every slot in a thread, until the stop or the first error."""
        self._greet(slots, name)
        threads = [threading.Thread(target=self._run_slot, name=f"slot-{i}", daemon=True) for i in range(slots)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for left in self._parked:
            left.give_up()
        if self._failed is not None:
            raise self._failed
        with suppress(Unreachable):
            self.verbs.goodbye(self.id)

    def _greet(self, slots: int, name: str) -> None:
        model, here = machine.model(), machine.here()
        while not self.ending:
            try:
                self.verbs.hello(self.id, slots=slots, machine=model, name=name, environment=here)
            except Unreachable as error:
                self.unanswered(error)
                self.pause(RETRY_SECONDS)
            else:
                self.answered()
                return

    def _run_slot(self) -> None:
        slot = _Slot(self)
        try:
            slot.run()
        except BaseException as error:
            self.fail(error)
        finally:
            slot.close()

    def fail(self, error: BaseException) -> None:
        """End the agent with this error, where no other came first."""
        self._failed = self._failed or error
        self._ended.set()

    def park(self, left: "_ParkedTraining") -> None:
        """Keep the lease of a training that left its slot, until it goes on or is over."""
        with self._parking:
            self._parked.append(left)
        left.start()

    def unpark(self, left: "_ParkedTraining") -> None:
        """Forget a parked training that is over."""
        with self._parking, suppress(ValueError):
            self._parked.remove(left)

    def next_parked(self) -> "_ParkedTraining | None":
        """A parked training that may go on, for the slot that asks."""
        with self._parking:
            left = next((left for left in self._parked if left.may_go_on), None)
            if left is not None:
                self._parked.remove(left)
        return left

    @property
    def ending(self) -> bool:
        """Whether to give back what is unfinished and end."""
        return self.stop.is_set() or self._ended.is_set()

    def pause(self, seconds: float) -> None:
        """Wait, but not beyond the stop."""
        if not self._ended.is_set():
            self.stop.wait(seconds)

    def answered(self) -> None:
        """Note that the server answered."""
        self._answered_at = time.monotonic()

    def unanswered(self, error: Unreachable) -> None:
        """Raise the error where the server has not answered for too long."""
        if time.monotonic() - self._answered_at > self.patience.server:
            raise error

    def claim(self) -> Assignment | None:
        """The next training that was not refused lately."""
        now = time.monotonic()
        for version, until in list(self._refused.items()):
            if until <= now:
                self._refused.pop(version, None)
        refused = tuple(self._refused)
        return self.verbs.claim(self.id, refused=refused, session_id=self.session_id, seconds=IDLE_SECONDS)

    def heed_refusals(self) -> None:
        """Where nothing could be claimed: log now and then which studies refuse this agent, and why, when that has changed."""
        if time.monotonic() - self._asked_at < HEED_SECONDS or not self._asking.acquire(blocking=False):
            return
        self._asked_at = time.monotonic()
        try:
            refusals = self.verbs.refusals(self.id)
            for why in refusals if refusals != self._told else ():
                log.warning("a claim is refused: %s", why)
            self._told = refusals
        except Unreachable as error:
            self.unanswered(error)
        except EvenhandError as error:  # of a server that cannot tell: it is for the log only
            log.debug("which studies refuse this agent is not known: %s", error)
        finally:
            self._asking.release()

    def bring(self, version: str, code: SentCode) -> None:
        """Have the code of a task here, or its owner's word that it may not run; nothing of it is claimed meanwhile."""
        self._refused[version] = float("inf")
        try:
            is_done = self.sent.bring(version, code)
        except Unreachable as error:
            self.unanswered(error)
            is_done = True
        if is_done:
            self._refused.pop(version, None)

    def refuse(self, version: str, why: str) -> None:
        """Leave trainings of this task version to other agents for a while: meanwhile it may have been brought here."""
        log.warning("cannot train a task, asking again in %.0f s: %s", REFUSED_SECONDS, why)
        self._refused[version] = time.monotonic() + REFUSED_SECONDS


class _Slot:
    """One training at a time, in a worker that is kept."""

    def __init__(self, agent: _Agent) -> None:
        self._agent = agent
        self._worker: Worker | None = None

    def run(self) -> None:
        """Claim and train until the agent ends."""
        idle_since = time.monotonic()
        while not self._agent.ending:
            assignment, worker = None, self._ready()
            if worker is None:
                return
            if (left := self._agent.next_parked()) is not None:
                self._go_on(left)
                idle_since = time.monotonic()
                continue
            asked_at = time.monotonic()
            try:
                assignment = self._agent.claim()
                self._agent.answered()
            except Unreachable as error:
                self._agent.unanswered(error)
                self._agent.pause(RETRY_SECONDS)
            if assignment is None:
                self._agent.heed_refusals()
                if time.monotonic() - idle_since > self._agent.patience.idle and worker.loaded < requirements.ALL_PACKAGES:
                    self._load_ahead()
                continue
            with suppress(StaleAttempt):
                self._take(assignment, asked_at)
            idle_since = time.monotonic()

    def _take(self, assignment: Assignment, asked_at: float) -> None:
        """Train it, or give it back where something has to be had here first: meanwhile no trial's time goes by."""
        agent, version = self._agent, assignment.task_version
        try:
            code = agent.sent.sent(assignment)
            placed = assignment if code else agent.sent.placed(assignment)
        except Unreachable as error:
            agent.unanswered(error)
            code, placed = None, None
        except CodeRefused as error:
            agent.refuse(version, str(error))
            self._give_back(assignment, str(error))
            return
        if code is not None:
            self._give_back(assignment, "its code is brought there first")
            agent.bring(version, code)
        elif placed is not None:
            self._take_here(placed, asked_at)

    def _take_here(self, assignment: Assignment, asked_at: float) -> None:
        """Train what is here, or give it back where the worker lacks what it needs, and load that."""
        wanted, worker = requirements.of(assignment.task), self._ready()  # it may have died while the claim waited
        if worker is None:
            self._give_back(assignment, SHUT_DOWN_REASON)
        elif assignment.task.name == PROGRAM and not self._agent.programs:
            self._agent.refuse(assignment.task_version, NO_PROGRAMS)
            self._give_back(assignment, NO_PROGRAMS)
        elif wanted <= worker.loaded:
            self._train(_Training(self._agent, worker, assignment, asked_at))
        else:
            self._give_back(assignment, f"{' and '.join(sorted(wanted))} had to be loaded")
            self._load(wanted)

    def _give_back(self, assignment: Assignment, why: str) -> None:
        with suppress(Unreachable):  # then its lease runs out
            self._agent.verbs.release(assignment.job_id, assignment.attempt, why, False)

    def close(self) -> None:
        """End the worker."""
        if self._worker is not None:
            self._worker.kill()
            self._worker = None

    def _ready(self) -> Worker | None:
        """A living worker with all that was loaded, before a training is claimed for it. None where the agent ends meanwhile."""
        worker, agent = self._worker, self._agent
        if worker is not None and (worker.loaded < agent.loaded or worker.connection.poll()):  # what it says is its end
            self.close()
        self._worker = self._worker or agent.forks.fork(lambda: agent.ending, agent.loaded)
        return self._worker

    def _load(self, wanted: frozenset[str]) -> None:
        """Have a worker with `wanted`, too, which may take seconds; other slots then get such workers at once."""
        self.close()
        both = wanted | self._agent.loaded
        self._worker = self._agent.forks.fork(lambda: self._agent.ending, both)
        self._agent.loaded |= both

    def _load_ahead(self) -> None:
        """Have all that may be needed loaded; while one slot waits for it, the others take what needs nothing."""
        if self._agent.loading.acquire(blocking=False):
            try:
                self._load(requirements.ALL_PACKAGES)
            finally:
                self._agent.loading.release()

    def _train(self, training: "_Training") -> None:
        try:
            training.run()
        finally:
            if not training.clean:
                self.close()
        if training.left is not None:
            left, claimed = training.left
            self._agent.park(left)
            self._take(*claimed)

    def _go_on(self, left: "_ParkedTraining") -> None:
        """Train on what was parked, once a worker has what it needs; until then its lease is kept."""
        wanted, worker = requirements.of(left.assignment.task), self._ready()
        if worker is not None and not wanted <= worker.loaded:
            self._load(wanted)
            worker = self._ready()
        left.stop()
        if worker is None:
            left.give_up()
            return
        with suppress(StaleAttempt):
            self._train(_Training(self._agent, worker, left.assignment, time.monotonic(), left.parked))


@dataclass(frozen=True)
class _End:
    """How a training ended: with an outcome, or None where it is given back; `counts` is release's."""

    outcome: Outcome | None
    why: str | None
    counts: bool = True


class _Training:
    """One assignment: what its worker says goes to the lab, what the lab says goes to the worker.

    Its lease counts from `asked_at`, when it was asked for, and then from the start of each post: answers may be slow.
    """

    def __init__(
        self, agent: _Agent, worker: Worker, assignment: Assignment, asked_at: float, before: Parked | None = None
    ) -> None:
        self._agent, self._worker, self._assignment = agent, worker, assignment
        self._job = assignment.job_id, assignment.attempt
        self._unsent: list[Measurement] = []
        self._end: _End | None = None
        self._order = Order.GO_ON  # what the worker was told last
        # Whether the worker stands still, and what the lab knows of that: one that was parked does until it is where it stood.
        self._is_held = self._said_held = before is not None
        self._held_seconds, self._held_at = 0.0, time.monotonic()  # for which it stood still, and since when it does
        self._before = before
        self._reported = before.reported if before else 0  # measurements that it has made
        self._seconds = before.seconds if before else 0.0  # of the last of them
        self._state: EpochState | None = None  # from which it could go on elsewhere, while it stands still
        self._looks_at = 0.0  # when to look for another training in its place
        self.left: tuple[_ParkedTraining, tuple[Assignment, float]] | None = None  # it, and what was claimed in its place
        self._first_sent = False  # the first measurement is posted at once, so that a chart begins early
        self._posted_at = asked_at
        self._retry_at = 0.0
        self._begun_at = self._heard_at = time.monotonic()
        self.clean = False  # whether the worker is ready for another training

    def run(self) -> None:
        """Until it has ended and the lab knows. StaleAttempt where the lab has given it to another attempt meanwhile."""
        self._tell("train", codec.to_json(self._assignment), None if self._before is None else codec.to_json(self._before))
        while True:
            self._read()
            if self._agent.ending:
                self._give_up()
                return
            if self._makes_place():
                return
            if self._end is None and time.monotonic() - self._heard_at > self._agent.patience.stall:
                self._end = _End(
                    None, f"no word from the training for {self._agent.patience.stall:.0f} s; it must report more often"
                )
            if self._end is None and self._is_over_long():
                limit = self._assignment.max_seconds
                self._end = _End(Outcome.INVALID, f"it did not end within the task's limit of {limit:g} s, and was killed")
            if time.monotonic() >= self._next() and self._answered():
                return

    def _makes_place(self) -> bool:
        """Whether another training was claimed for this slot: this one stands still, and can go on later from its state."""
        may = self._is_held and self._said_held and self._end is None and not self._unsent and self._order is Order.HOLD
        if not may or self._state is None or time.monotonic() < self._looks_at:
            return False
        asked_at = time.monotonic()
        try:
            claimed = self._agent.claim()
        except Unreachable as error:
            self._agent.unanswered(error)
            claimed = None
        self._looks_at = time.monotonic() + PARK_SECONDS
        if claimed is None:
            return False
        left = Parked(self._state, self._reported, self._seconds)
        self.left = _ParkedTraining(self._agent, self._assignment, left), (claimed, asked_at)
        return True

    def _is_over_long(self) -> bool:
        """Whether nothing is heard of it after the task's limit on time, at which it ends by itself where it reports."""
        limit = self._assignment.max_seconds
        begun_at = self._begun_at + self._held_seconds
        return limit is not None and time.monotonic() - max(begun_at + limit, self._heard_at) > OVER_LONG_SECONDS

    def _answered(self) -> bool:
        """Post what is due; whether the lab now knows how it ended."""
        try:
            done = self._post()
            self._agent.answered()
            return done
        except Unreachable as error:
            self._agent.unanswered(error)
            self._retry_at = time.monotonic() + RETRY_SECONDS
            return False
        except InvalidSettings as error:  # its task says what cannot be: a fault of the task, which would only come again
            if not self._unsent:
                raise
            self._unsent = []
            self._end, self.clean = _End(Outcome.INVALID, f"what it measured was not taken: {error}"), False
            return False

    def _due(self) -> float:
        """When to post next."""
        if self._end is not None or self._is_held != self._said_held:
            return 0.0
        if self._unsent:
            return self._posted_at + POST_SECONDS if self._first_sent else 0.0
        return self._posted_at + self._agent.patience.heartbeat

    def _post(self) -> bool:
        """Send what waits; whether that was all, and how it ended with it."""
        while self._end is None or len(self._unsent) > MOST_MEASUREMENTS:
            batch, posted_at, is_held = self._unsent[:MOST_MEASUREMENTS], time.monotonic(), self._is_held
            order = self._agent.verbs.measure(*self._job, batch, is_held=is_held)
            self._posted_at, self._said_held = posted_at, is_held
            self._first_sent = self._first_sent or bool(batch)
            del self._unsent[: len(batch)]
            self._pass_on(order)
            if not self._unsent:
                break
        if self._end is None:
            return False
        if self._end.outcome is not None:
            self._agent.verbs.finish(*self._job, self._end.outcome, self._end.why, self._unsent)
        else:
            self._agent.verbs.measure(*self._job, self._unsent)
            self._unsent = []
            self._agent.verbs.release(*self._job, self._end.why or "", self._end.counts)
        return True

    def _pass_on(self, order: Order) -> None:
        """Tell the worker what the lab says, where that is new to it. What is to end is told nothing more."""
        if order is not self._order and self._order is not Order.STOP:
            self._order = order
            self._tell(WORDS[order])

    def _read(self) -> None:
        """Take what the worker says until a post is due, and then what it has said already, if that is not too much."""
        connection, until = self._worker.connection, self._next()
        try:
            while self._end is None and connection.poll(max(0.0, min(until - time.monotonic(), READ_SECONDS))):
                self._take(json.loads(connection.recv_bytes()))
                until = self._next()
                if self._agent.ending or time.monotonic() > until + LOAD_SECONDS:
                    return
        except (EOFError, OSError):
            self._end = _End(None, "its worker process died; a lack of memory on its machine may be the cause")
        if self._end is not None:
            self._agent.pause(self._next() - time.monotonic())

    def _next(self) -> float:
        return max(self._due(), self._retry_at)

    def _take(self, message: list[object]) -> None:
        self._heard_at = time.monotonic()
        self._note_held(message[0] == "held")
        match message:
            case ["held", state]:
                self._state = None if state is None else codec.from_json(EpochState, state)
            case ["measured", row]:
                self._unsent.append(measurement := codec.measurement_of(row))
                self._reported, self._seconds = measurement.index + 1, measurement.seconds
            case ["ended", str(outcome), why]:
                self.clean = True
                self._end = _End(Outcome(outcome), None if why is None else str(why))
            case ["refused", why]:
                self.clean = True
                self._agent.refuse(self._assignment.task_version, str(why))
                self._end = _End(None, str(why), counts=False)

    def _note_held(self, is_held: bool) -> None:
        if is_held and not self._is_held:
            self._held_at = self._heard_at
        elif self._is_held and not is_held:
            self._held_seconds += self._heard_at - self._held_at
        self._is_held = is_held

    def _tell(self, *message: object) -> None:
        with suppress(OSError):  # reading will tell that it is dead
            self._worker.connection.send_bytes(json.dumps(message).encode())

    def _give_up(self) -> None:
        """The agent ends: what was measured is sent, the training goes back to the queue, without a second try."""
        self._worker.kill()
        self._end = self._end or _End(None, SHUT_DOWN_REASON, counts=False)
        with suppress(Unreachable):
            self._post()


class _ParkedTraining:
    """A training without a worker, whose session is paused: its lease is kept, and said to stand still, until a slot takes it."""

    def __init__(self, agent: _Agent, assignment: Assignment, left: Parked) -> None:
        self._agent, self.assignment, self.parked = agent, assignment, left
        self.may_go_on = False  # whether its pause is over
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"parked-{assignment.job_id}", daemon=True)

    def start(self) -> None:
        """Keep its lease from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Leave its lease to the slot that trains it on."""
        self._stopped.set()
        self._thread.join()

    def give_up(self) -> None:
        """The agent ends: it goes back to the queue, without a second try."""
        self.stop()
        with suppress(Unreachable, StaleAttempt):
            self._agent.verbs.release(self.assignment.job_id, self.assignment.attempt, SHUT_DOWN_REASON, False)
        parked.forget(self.assignment)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set() and not self._agent.ending and self._is_there():
                self._stopped.wait(self._agent.patience.heartbeat)
        except BaseException as error:
            self._agent.fail(error)

    def _is_there(self) -> bool:
        """Say that it stands still; whether it is still this agent's to go on with."""
        job = self.assignment.job_id, self.assignment.attempt
        try:
            order = self._agent.verbs.measure(*job, [], is_held=True)
            self._agent.answered()
            self.may_go_on = order is Order.GO_ON
            if order is not Order.STOP:
                return True
            self._agent.verbs.finish(*job, Outcome.STOPPED)
        except Unreachable as error:
            self._agent.unanswered(error)
            return True
        except StaleAttempt:
            pass
        self._agent.unpark(self)
        parked.forget(self.assignment)
        return False


def main_agent(
    url: str,
    token: str,
    *,
    slots: int,
    name: str,
    nice: int = 0,
    programs: bool = False,
    session_id: int | None = None,
    yes: bool = False,
) -> None:
    """The process of an agent, until SIGTERM or Ctrl-C. Under a supervisor it holds a lock, so that it is found again.

    programs: as for `run_agent`; one under a supervisor, of the laboratory's own machine, always does. session_id: as there.
    yes: whether code that the laboratory sends runs without being asked for.
    """
    stop = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt  # twice means at once
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    local = LOCK_VARIABLE in os.environ
    _hold_lock(slots)
    logging.basicConfig(level=logging.WARNING if local else logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    with Client(url, token, retry=0.0) as client:
        log.info("training for %s, %d at once; stop with Ctrl-C", url, slots)
        try:
            run_agent(
                client,
                slots=slots,
                name=name,
                nice=nice,
                session_id=session_id,
                stop=stop,
                patience=Patience.usual(session_id),
                programs=programs or local,
                allow=owners_word(url, yes, stop),
            )
        except Dismissed as error:
            log.info("the agent ends: %s", error)
        except Unreachable as error:
            if not local:
                raise
            log.warning("this machine's agent ends: %s", error)


def _hold_lock(slots: int) -> None:
    """Keep the supervisor's locked file open, and write who holds it into it; it is unlocked when this process ends."""
    fd = os.environ.pop(LOCK_VARIABLE, None)
    if fd is not None:
        os.set_inheritable(int(fd), False)
        os.pwrite(int(fd), f"{os.getpid()} {slots}".encode(), 0)
