"""The agents' verbs: leases on trainings, what they measure, how they end.

`Lab` adds the tuners' verbs. Every write about a training carries the attempt number that its claim was given.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from evenhand import protocol
from evenhand.core import Core, told
from evenhand.errors import StaleAttempt
from evenhand.records import AgentRecord, Assignment, Measurement, Outcome, Report, Session, Waiting
from evenhand.settings import Rules
from evenhand.store import Store, jobs, journal, sessions
from evenhand.trials import unsettled

OVER = "attempt {} of job {} is over; stop this training and claim another"
NOT_THEIRS = "job {} is not this agent's; stop this training and claim another"
MOST_TRIED = 100  # trainings of those that wait that a claim looks at again within its write: each session's first, then others
AGENT_SILENCE = 10.0  # seconds after which an agent that has not been heard of counts as gone
NOTED = 1.0  # seconds for which it is not written again that an agent was heard of


class Leases(Core, ABC):
    """What agents ask of the laboratory. Threads may share it."""

    def __init__(self, store: Store, rules: Rules | None = None, clock: Callable[[], float] = time.time) -> None:
        super().__init__(store, rules, clock)
        self._swept_at = 0.0
        self._refused: dict[int, frozenset[str]] = {}  # task versions that each agent lately said it cannot train
        self._idle: set[int] = set()  # agents for which nothing waited when they last asked
        self._noted: dict[int, float] = {}  # when it was last written that an agent was heard of

    # Agents

    def add_agent(self, name: str, slots: int, *, local: bool = False, machine: str = "") -> tuple[int, str]:
        """Make an agent known; its id and its token, which is stored hashed and never shown again."""
        with self._change() as tx:
            agent_id = jobs.add_agent(tx, name, slots, local, machine, self.clock())
        return agent_id, self.issue_token("agent", agent_id)

    def agents(self, within: float = AGENT_SILENCE) -> list[AgentRecord]:
        """Agents heard of within the last seconds."""
        with self._store.read() as tx:
            return jobs.agents(tx, self.clock() - within)

    def last_measured(self) -> dict[int, float]:
        """By the id of each trial that trains: when its newest measurement was made."""
        with self._store.read() as tx:
            return jobs.last_measured(tx)

    def lacking(self, task_version: str) -> list[AgentRecord]:
        """Agents that lately said that they cannot train this version of a task; one that was not asked yet is not among them."""
        return [agent for agent in self.agents() if task_version in self._refused.get(agent.id, ())]

    def hello(self, agent_id: int, *, slots: int, machine: str, name: str = "") -> None:
        """An agent says what it is: its kind of machine, and its name where it has one. It counts as there without a job, too."""
        facts = {"slots": slots, "machine": machine, "last_seen": self.clock()}
        self._noted.pop(agent_id, None)
        with self._change() as tx:
            jobs.update_agent(tx, agent_id, {**facts, "name": name} if name else facts)

    def goodbye(self, agent_id: int) -> None:
        """An agent that is shut down in order says so: it counts as never heard of, so that nobody misses it."""
        with self._change() as tx:
            jobs.update_agent(tx, agent_id, {"last_seen": None})
        self._noted.pop(agent_id, None)

    def _heard_of(self, tx: Connection, agent_id: int, now: float) -> None:
        if abs(now - self._noted.get(agent_id, float("-inf"))) >= NOTED:
            jobs.agent_seen(tx, agent_id, now)
            self._noted[agent_id] = now

    def claim(
        self, agent_id: int, *, refused: Sequence[str] = (), session_id: int | None = None, seconds: float = 0.0
    ) -> Assignment | None:
        """The next training for this agent, leased to it as a new attempt; None where nothing waits.

        Trials come before evaluations; among sessions, the one with the fewest trainings running comes first.
        refused: task versions that the agent cannot train. session_id: of this session only. seconds: for how long to wait for a
        training that this process queues.
        """
        if not seconds:
            return self._claim(agent_id, refused, session_id)
        until, queued = time.monotonic() + seconds, threading.Event()
        with told(self.on_waiting, queued.set):
            found = self._claim(agent_id, refused, session_id)
            while found is None and queued.wait(max(0.0, until - time.monotonic())):
                queued.clear()
                found = self._claim(agent_id, refused, session_id)
            return found

    def _claim(self, agent_id: int, refused: Sequence[str], session_id: int | None) -> Assignment | None:
        self._sweep_now_and_then(session_id)
        self._refused[agent_id] = frozenset(refused)
        waiting: list[jobs.Job] = []
        looks = session_id is None or agent_id in self._idle  # else a process that has just submitted what it claims
        if looks:
            with self._store.read() as tx:
                waiting = jobs.claimable(tx, self.clock(), refused, session_id)
            if not waiting and abs(self.clock() - self._noted.get(agent_id, float("-inf"))) < AGENT_SILENCE / 5:
                return None  # without a write, which would be another's turn
        with self._change() as tx:
            now = self.clock()
            self._heard_of(tx, agent_id, now)
            free = _free(tx, waiting, now) or (jobs.claimable(tx, now, refused, session_id) if waiting or not looks else [])
            if not free:
                self._idle.add(agent_id)
                return None
            self._idle.discard(agent_id)
            running = jobs.busy_sessions(tx) if len({job.session_id for job in free}) > 1 else {}
            job = min(free, key=lambda job: (running.get(job.session_id, 0), job.queued_at, job.id))
            if job.leased_until is not None:
                self._fail_attempt(tx, job, "its agent was not heard of any more")
                job = jobs.get(tx, job.id) or job
            assignment = None
            if job.finished_at is None:
                attempt = jobs.lease(tx, job, agent_id, now, now + self.rules.lease)
                assignment = _assignment(sessions.get(tx, job.session_id, logged=True), job, attempt)
                journal.record(tx, now, "claimed", job.session_id, job.trial_id, attempt=attempt, agent=agent_id)
        self._notify(job.session_id)
        return assignment

    def measure(self, job_id: int, attempt: int, batch: Sequence[Measurement], agent_id: int | None = None) -> bool:
        """Store what a training measured and renew its lease; whether it shall go on. StaleAttempt: the lease is over.

        agent_id: also where it is another agent's.
        """
        answer = self.measure_all([Report(job_id, attempt, batch)], agent_id)[0]
        if isinstance(answer, StaleAttempt):
            raise answer
        return answer

    def measure_all(self, reports: Sequence[Report], agent_id: int | None = None) -> list[bool | StaleAttempt]:
        """What `measure` gives, or would raise, for each of these: those of one agent's trainings are stored in one write."""

        def write(tx: Connection) -> list[jobs.Job | StaleAttempt]:
            found = jobs.some(tx, {each.job_id for each in reports})
            answers = [_holder(found.get(each.job_id), each, agent_id) for each in reports]
            held = [(each, job) for each, job in zip(reports, answers, strict=True) if isinstance(job, jobs.Job)]
            if held:
                self._append(tx, held)
            return answers

        answers = self._store.together(write)
        measured = zip(reports, answers, strict=True)
        for session_id in {job.session_id for each, job in measured if each.batch and isinstance(job, jobs.Job)}:
            self._notify(session_id)
        return [job.stop_by is None if isinstance(job, jobs.Job) else job for job in answers]

    def _append(self, tx: Connection, held: Sequence[tuple[Report, jobs.Job]]) -> None:
        now, cap = self.clock(), self.rules.curve_points
        jobs.renew(tx, {job.id for _, job in held}, now + self.rules.lease)
        for agent_id in {job.agent_id for _, job in held if job.agent_id is not None}:
            self._heard_of(tx, agent_id, now)
        jobs.append(tx, [each for each, _ in held])
        for each, job in held:
            if each.batch and each.batch[0].index // cap != each.batch[-1].index // cap:
                self._thin(tx, job)

    def finish(
        self,
        job_id: int,
        attempt: int,
        outcome: Outcome,
        why: str | None = None,
        batch: Sequence[Measurement] = (),
        agent_id: int | None = None,
    ) -> None:
        """End a training, with the last of what it measured.

        The first end stands: the same attempt may say it twice, a later word of another is StaleAttempt. agent_id: StaleAttempt
        also where the job was last leased to another agent: a token ends its own trainings only.
        """
        with self._store.write() as tx:
            job = _theirs(jobs.get(tx, job_id), job_id, agent_id)
            if job is not None and job.finished_at is not None and job.attempt == attempt:
                return
            job = _held(job, job_id, attempt)
            jobs.append(tx, [Report(job_id, attempt, batch)])
            if not batch or batch[-1].index >= self.rules.curve_points:  # they are counted from 0: else there are not so many
                self._thin(tx, job)
            jobs.finish(tx, job_id, self.clock(), outcome, why)
            journal.record(tx, self.clock(), "finished", job.session_id, job.trial_id, outcome=outcome, job=job_id)
        self._notify(job.session_id)

    def release(self, job_id: int, attempt: int, why: str, counts: bool = True, agent_id: int | None = None) -> None:
        """Give a training back unfinished; `counts` where the attempt failed, not where its agent was shut down in order.

        agent_id: as `finish` has it.
        """
        with self._store.write() as tx:
            job = _held(_theirs(jobs.get(tx, job_id), job_id, agent_id), job_id, attempt)
            self._fail_attempt(tx, job, why, counts)
        self._notify(job.session_id)
        if counts:  # else its agent lacks something, or ends: the claims with which it waits still would only take it again
            self._tell_agents()

    def _fail_attempt(self, tx: Connection, job: jobs.Job, why: str, counts: bool = True) -> None:
        """End an attempt whose agent lost it. Was it asked to stop anyway, then it has stopped, and what it measured stands."""
        now = self.clock()
        journal.record(tx, now, "attempt ended", job.session_id, job.trial_id, attempt=job.attempt, why=why)
        if job.stop_by is not None:
            jobs.finish(tx, job.id, now, Outcome.STOPPED, None)
            return
        jobs.end_attempt(tx, job, now, why, counts)
        failures = jobs.failures(tx, job.id)
        if len(failures) >= self.rules.attempts:
            jobs.finish(tx, job.id, now, Outcome.FAILED, f"{len(failures)} attempts failed; the last one: {why}")

    def _thin(self, tx: Connection, job: jobs.Job) -> None:
        cap = self.rules.curve_points
        if jobs.count_batches(tx, job.id, job.attempt) > cap:
            found = jobs.measurements(tx, job.id, job.attempt)
            points = [(each.index, each.loss) for each in found if each.epoch is None and each.loss is not None]
            kept = protocol.thin(points, cap)
            jobs.delete_points(tx, job.id, job.attempt, [index for index, _ in points if index not in kept])

    def _waiting(self, tx: Connection, session: Session, now: float) -> Waiting | None:
        queued = next((trial for trial in unsettled(session.trials) if trial.is_open and trial.claimed_at is None), None)
        if queued is None:
            return None
        unfinished = jobs.unfinished_trials(tx)
        waiting = [job for job in unfinished if job.leased_until is None]
        position = 1 + next((i for i, job in enumerate(waiting) if job.trial_id == queued.id), 0)
        agents = jobs.agents(tx, now - AGENT_SILENCE)
        slots = sum(agent.slots for agent in agents)
        if not agents:
            return Waiting(position, 0, None, "no agent is connected; training starts by itself when one is")
        if all(session.task.version in self._refused.get(agent.id, ()) for agent in agents):
            why = "no connected agent has this version of the task; its source or data differ from the study's"
            return Waiting(position, slots, None, why)
        free = slots - sum(agent.busy for agent in agents)
        if free >= position:
            return Waiting(position, slots, 0.0, "an agent is about to start it")
        expected = self._expected(tx, unfinished, position - max(free, 0), now)
        return Waiting(position, slots, expected, f"all {slots} training slots are busy")

    def _expected(self, tx: Connection, unfinished: Sequence[jobs.Job], position: int, now: float) -> float | None:
        """Seconds until the `position`-th running training ends, from the epochs it did; None where that is not known."""
        running = {job.trial_id for job in unfinished if job.leased_until is not None}
        theirs = sessions.some(tx, [job.session_id for job in unfinished if job.trial_id in running])
        remaining = []
        for trial in (trial for session in theirs for trial in session.trials if trial.id in running):
            done = trial.epochs_done - trial.epochs_before
            if done and trial.claimed_at is not None:
                elapsed = now - trial.claimed_at
                remaining.append(max(0.0, elapsed / done * (trial.epochs_planned - trial.epochs_done)))
        remaining.sort()
        return remaining[position - 1] if position <= len(remaining) else None

    def _sweep_now_and_then(self, session_id: int | None) -> None:
        if self.clock() - self._swept_at >= min(0.5, self.rules.lease / 2):
            self.sweep(session_id)

    @abstractmethod
    def sweep(self, session_id: int | None = None) -> None:
        """Do what time asks for, in all sessions or in one."""


def _free(tx: Connection, waiting: Sequence[jobs.Job], now: float) -> list[jobs.Job]:
    """Of jobs that waited just now, each session's first among them, those that no other agent has claimed meanwhile."""
    firsts = {job.session_id: job.id for job in reversed(waiting)}
    ids = dict.fromkeys([*firsts.values(), *(job.id for job in waiting)])
    found = jobs.some(tx, list(ids)[:MOST_TRIED]) if ids else {}
    return [job for job in found.values() if job.finished_at is None and (job.leased_until is None or job.leased_until < now)]


def _holder(job: jobs.Job | None, report: Report, agent_id: int | None) -> jobs.Job | StaleAttempt:
    """The job, where the report is of the attempt that holds its lease; else what the reporter is told."""
    if job is None or job.attempt != report.attempt or job.finished_at is not None or job.leased_until is None:
        return StaleAttempt(OVER.format(report.attempt, report.job_id))
    if agent_id is not None and job.agent_id != agent_id:
        return StaleAttempt(NOT_THEIRS.format(report.job_id))
    return job


def _held(job: jobs.Job | None, job_id: int, attempt: int) -> jobs.Job:
    """The job, where this attempt holds its lease; else StaleAttempt."""
    held = _holder(job, Report(job_id, attempt, ()), None)
    if isinstance(held, StaleAttempt):
        raise held
    return held


def _theirs(job: jobs.Job | None, job_id: int, agent_id: int | None) -> jobs.Job | None:
    """The job; StaleAttempt where there is an agent and it is not the one that the job was last leased to."""
    if agent_id is not None and (job is None or job.agent_id != agent_id):
        raise StaleAttempt(NOT_THEIRS.format(job_id))
    return job


def _assignment(session: Session, job: jobs.Job, attempt: int) -> Assignment:
    if job.trial_id is None:
        assert session.choice is not None
        assert session.choice.configuration is not None
        configuration, label = session.choice.configuration, f"session {session.id} evaluation seed {job.seed_index}"
        before = 0
    else:
        trial = next(each for each in reversed(session.trials) if each.id == job.trial_id)
        configuration, label = trial.configuration, f"session {session.id} trial {trial.number}"
        before = trial.epochs_before
    return Assignment(
        job_id=job.id,
        attempt=attempt,
        kind="evaluation" if job.trial_id is None else "trial",
        task=session.task.spec,
        task_version=session.task.version,
        configuration=dict(configuration),
        seed=job.seed,
        label=label,
        epochs_before=before,
        keep=session.resumable and job.trial_id is not None,
        max_seconds=session.task.max_seconds,
        max_memory=session.task.max_memory,
    )
