"""The agents, and their verbs: leases on trainings, what they measure, how they end.

Every write about a training carries the attempt number that its claim was given.
"""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from sqlalchemy import Connection

from evenhand.errors import NotFound, StaleAttempt
from evenhand.lab.base import Core, listening
from evenhand.lab.crews import Crews
from evenhand.lab.deadlines import Deadlines
from evenhand.lab.plausible import Expected, check, expected
from evenhand.lab.processes import this_process
from evenhand.lab.stopping import StoppingRules
from evenhand.lab.tokens import Tokens
from evenhand.lab.writes import Queued, fail_attempt, note_claimed
from evenhand.model import rules as equal_terms
from evenhand.model.environment import Environment, StatedEnvironment, why_refused
from evenhand.model.evaluation import EvaluationPlan
from evenhand.model.job import AgentRecord, Assignment, MeasurementBatch, Order, pinned_away, place_of
from evenhand.model.recent import Recent
from evenhand.model.session import Session, Waiting
from evenhand.model.trial import Measurement, Outcome, Trial
from evenhand.model.trial_history import unsettled
from evenhand.settings import AGENT_SILENCE_SECONDS
from evenhand.store import environments, events, jobs, sessions, studies

ATTEMPT_OVER_REASON = "attempt {} of job {} is over; stop this training and claim another"
NOT_THEIR_JOB_REASON = "job {} is not this agent's; stop this training and claim another"
NOBODY_TRAINS = "no connected agent"  # what the words begin with, where agents are there and all refuse
MOST_TRIED_JOBS = 100  # that wait and that a claim looks at again within its write: each session's first, then others
AGENT_SEEN_SECONDS = 1.0  # seconds for which it is not written again that an agent was heard of
MOST_REMEMBERED_ATTEMPTS = 10_000  # of which it is remembered what they may measure
MOST_REMEMBERED_AGENTS = 10_000  # of which it is remembered what they said last


class Agents:
    """The agents of a laboratory, and what they ask of it; see `verbs.AgentVerbs`. Threads may share it."""

    def __init__(self, core: Core, tokens: Tokens, deadlines: Deadlines, stopping: StoppingRules, crews: Crews) -> None:
        self._core = core
        self._crews = crews
        self._tokens = tokens
        self._deadlines = deadlines
        self._stopping = stopping
        self._refused: Recent[int, frozenset[str]] = Recent(MOST_REMEMBERED_AGENTS)  # task versions that each cannot train
        # What each agent said that its trainings' numbers hang on:
        self._environments: Recent[int, Environment | None] = Recent(MOST_REMEMBERED_AGENTS)
        self._environments_by_key: Recent[str, Environment] = Recent(MOST_REMEMBERED_AGENTS)  # an environment never changes
        # What each agent said last, giving back a training of a task version for which it could do nothing:
        self._said: Recent[tuple[int, str], str] = Recent(MOST_REMEMBERED_AGENTS)
        self._idle: Recent[int, bool] = Recent(MOST_REMEMBERED_AGENTS)  # whether nothing waited when the agent last asked
        self._wanted: Recent[tuple[int, int], tuple[Expected, str]] = Recent(MOST_REMEMBERED_ATTEMPTS)  # and the metric
        self._noted: Recent[int, float] = Recent(MOST_REMEMBERED_AGENTS)  # when it was last written that an agent was heard of
        self._trained_of: Recent[int, int] = Recent(MOST_REMEMBERED_AGENTS)  # the session whose trial each agent claimed last
        self._standing_by: dict[int, int] = {}  # by session: the agent of this process that has nothing to do
        self._handed: dict[int, tuple[Assignment, float]] = {}  # what was leased to each that stood by, and until when

    def add(
        self, name: str, slots: int, *, local: bool = False, machine: str = "", environment: Environment | None = None
    ) -> tuple[int, str]:
        """Make an agent known; its id and its token, which is stored hashed and never shown again.

        environment: of one that says no `hello`, since it is this process.
        """
        with self._core.change() as tx:
            agent_id = jobs.add_agent(tx, name, slots, local, machine, self._core.clock(), environments.add(tx, environment))
        self._environments[agent_id] = environment
        return agent_id, self._tokens.issue("agent", agent_id)

    def all(self, within: float = AGENT_SILENCE_SECONDS) -> list[AgentRecord]:
        """Agents heard of within the last seconds."""
        with self._core.read() as tx:
            return jobs.agents(tx, self._core.clock() - within)

    def names(self) -> dict[int, str]:
        """What every agent is called that was ever made known, by its id."""
        with self._core.read() as tx:
            return jobs.agent_names(tx)

    def last_measured(self) -> dict[int, float]:
        """By the id of each trial that trains: when its newest measurement was made."""
        with self._core.read() as tx:
            return jobs.last_measured(tx)

    def lacking(self, task_version: str) -> list[AgentRecord]:
        """Agents that lately said that they cannot train this version of a task; one that was not asked yet is not among them."""
        return [agent for agent in self.all() if task_version in self._refused.get(agent.id, ())]

    def environments(self) -> dict[str, Environment]:
        """Every environment that something was trained in, by its key."""
        with self._core.read() as tx:
            return environments.everything(tx)

    def environment(self, key: str) -> Environment:
        """The environment of this key, as trials and evaluations name it; NotFound where there is none."""
        environment = self._environments_by_key.get(key)
        if environment is None:
            environment = self.environments().get(key)
            if environment is None:
                raise NotFound(f"environment {key!r} does not exist")
            self._environments_by_key[key] = environment
        return environment

    def hello(self, agent_id: int, *, slots: int, machine: str, name: str = "", environment: Environment | None = None) -> None:
        """An agent says what it is: its kind of machine, and its name where it has one. It counts as there without a job, too.

        environment: what its trainings' numbers hang on; an older agent says nothing of it, and no pinned study takes its claims.
        """
        facts = {"slots": slots, "machine": machine, "last_seen": self._core.clock()}
        self._noted.pop(agent_id, None)
        with self._core.change() as tx:
            facts["environment"] = environments.add(tx, environment)
            jobs.update_agent(tx, agent_id, {**facts, "name": name} if name else facts)
        self._environments[agent_id] = environment

    def refusals(self, agent_id: int) -> tuple[str, ...]:
        """Why studies whose trainings wait take no claim of this agent: for its log."""
        environment = self._environment_of(agent_id)
        with self._core.read() as tx:
            name = jobs.agent_name(tx, agent_id)
            refusing = [studies.study(tx, *which) for which in jobs.refusing(tx, environment.kind if environment else "")]
        pins = [(study.name, study.environment) for study in refusing if study.environment is not None]
        return tuple(f"study {study!r}: {why_refused(pinned, StatedEnvironment(name, environment))}" for study, pinned in pins)

    def _environment_of(self, agent_id: int) -> Environment | None:
        """What an agent said of itself: to this process, or to the one that served before it."""
        try:
            return self._environments[agent_id]
        except KeyError:
            with self._core.read() as tx:
                environment = self._environments[agent_id] = environments.of_agent(tx, agent_id)
            return environment

    def goodbye(self, agent_id: int) -> None:
        """An agent that is shut down in order says so: it counts as never heard of, so that nobody misses it."""
        assignment, _ = self._handed.pop(agent_id, (None, 0.0))
        if assignment is not None:
            with suppress(StaleAttempt):
                self.release(assignment.job_id, assignment.attempt, "its agent ended before it began", counts=False)
        with self._core.change() as tx:
            jobs.update_agent(tx, agent_id, {"last_seen": None})
        self._noted.pop(agent_id, None)

    def _heard_of(self, tx: Connection, agent_id: int, now: float) -> None:
        if abs(now - self._noted.get(agent_id, float("-inf"))) >= AGENT_SEEN_SECONDS:
            jobs.agent_seen(tx, agent_id, now)
            self._noted[agent_id] = now

    def claim(
        self, agent_id: int, *, refused: Sequence[str] = (), session_id: int | None = None, seconds: float = 0.0
    ) -> Assignment | None:
        """The next training for this agent, leased to it as a new attempt; None where nothing waits.

        Trials come before evaluations; among sessions, the one with the fewest trainings running comes first. Of a study that is
        pinned to another kind of environment than the agent's nothing is leased (see `refusals`). refused: task versions that the
        agent cannot train. session_id: of this session only. seconds: for how long to wait for a training that this process
        queues.
        Of an agent of a crew it is its own session's; Dismissed where that is served no more.
        """
        session_id = self._crews.session_of(agent_id) or session_id
        if not seconds:
            return self._claim(agent_id, refused, session_id)
        until, queued = time.monotonic() + seconds, threading.Event()
        with listening(self._core.on_waiting, queued.set):
            assignment = self._claim(agent_id, refused, session_id)
            while assignment is None and queued.wait(max(0.0, until - time.monotonic())):
                queued.clear()
                assignment = self._claim(agent_id, refused, session_id)
            return assignment

    def _claim(self, agent_id: int, refused: Sequence[str], session_id: int | None) -> Assignment | None:
        self._deadlines.sweep_now_and_then(session_id)
        assignment, until = self._handed.pop(agent_id, (None, 0.0))
        if assignment is not None and self._core.clock() < until:
            return assignment
        if session_id is not None and self._standing_by.get(session_id) == agent_id:
            self._standing_by.pop(session_id, None)
        self._refused[agent_id] = frozenset(refused)
        environment = self._environment_of(agent_id)
        kind = environment.kind if environment else ""
        waiting: list[jobs.Job] = []
        looks = session_id is None or self._idle.get(agent_id, False)  # else a process that has just submitted what it claims
        if looks:
            with self._core.read() as tx:
                waiting = jobs.claimable(tx, self._core.clock(), refused, session_id, kind)
            if not waiting and abs(self._core.clock() - self._noted.get(agent_id, float("-inf"))) < AGENT_SILENCE_SECONDS / 5:
                return None  # without a write, which would be another's turn
        with self._core.change() as tx:
            now = self._core.clock()
            self._heard_of(tx, agent_id, now)
            free = _free(tx, waiting, now)
            if not free and (waiting or not looks):
                free = jobs.claimable(tx, now, refused, session_id, kind)
            if not free:
                self._idle[agent_id] = True
                return None
            self._idle[agent_id] = False
            running = jobs.busy_sessions(tx) if len({job.session_id for job in free}) > 1 else {}
            job = min(free, key=lambda job: (running.get(job.session_id, 0), job.queued_at, job.id))
            lost = job.leased_until is not None
            if lost:
                fail_attempt(tx, job, now, "its agent was not heard of any more", attempts=self._core.rules.attempts)
                job = jobs.get(tx, job.id) or job
            assignment = None
            if job.finished_at is None:
                attempt = jobs.lease(tx, job, self._taker(agent_id, environment, now), now)
                session = sessions.get(tx, job.session_id, logged=True)
                self._stopping.note(tx, session)
                if (trial := _trial_of(session, job)) is not None:
                    assignment = self._assigned(session, trial, job.id, attempt)
                    self._trained_of[agent_id] = session.id
                else:
                    self._wanted[job.id, attempt] = expected(session, None, 0), session.task.metric
                    plan = equal_terms.evaluation_plan(session, _values_of_choice(tx, session))
                    assignment = _assignment_of_seed(session, job, attempt, plan)
                note_claimed(tx, now, job.session_id, job.trial_id, attempt, agent_id)
        self._core.notify(job.session_id, acts=lost)
        return assignment

    def _taker(self, agent_id: int, environment: Environment | None, now: float) -> jobs.Taker:
        return jobs.Taker(agent_id, now + self._core.rules.lease, environment.key if environment else None)

    def _assigned(self, session: Session, trial: Trial, job_id: int, attempt: int) -> Assignment:
        """What the agent is told to which a trial was leased; what it may measure is remembered."""
        self._wanted[job_id, attempt] = expected(session, trial, 0), session.task.metric
        return _assignment_of_trial(session, trial, job_id, attempt)

    def stand_by(self, agent_id: int, session_id: int) -> None:
        """An agent of this process has nothing to do, and asks for a training next: the trial that is submitted to its session
        until then is leased to it in the write that stores it.

        That is one write fewer a trial. An agent that has trained nothing of the session yet claims as any other does, which
        checks what never changes.
        """
        if self._trained_of.get(agent_id) == session_id:
            self._standing_by[session_id] = agent_id

    def taker_of(self, tx: Connection, session: Session, now: float) -> jobs.Taker | None:
        """Who takes a trial that is about to be queued, where an agent stands by; None where it waits like others.

        One that waits already comes first. Only what this very process tunes is leased so: nobody else waits for that.
        """
        agent_id = self._standing_by.pop(session.id, None)
        is_alone = session.process == this_process() and not any(trial.is_open for trial in unsettled(session.trials))
        if agent_id is None or not is_alone:
            return None
        self._heard_of(tx, agent_id, now)
        self._stopping.note(tx, session)
        return self._taker(agent_id, self._environment_of(agent_id), now)

    def hand(self, session: Session, queued: Queued, taker: jobs.Taker) -> None:
        """What was leased so is stored: the agent gets it when it asks."""
        self._handed[taker.agent_id] = self._assigned(session, queued.trial, queued.job_id, 1), taker.until

    def check(self, report: MeasurementBatch) -> None:
        """Nothing, or InvalidSettings where a report from elsewhere cannot be what its training measured: see `plausible`."""
        if not report.batch:
            return
        key = report.job_id, report.attempt
        known = self._wanted.get(key)  # asked once: another thread's attempts may push it out at any moment
        if known is None:
            with self._core.read() as tx:
                job = jobs.get(tx, report.job_id)
                if job is None:
                    return  # whoever stores it says that
                session = sessions.get(tx, job.session_id, logged=True)
            known = self._wanted[key] = expected(session, _trial_of(session, job), None), session.task.metric
        wanted, metric = known
        check(report.batch, wanted, metric)
        wanted.next_index = max(wanted.next_index or 0, report.batch[-1].index + 1)

    def measure(
        self, job_id: int, attempt: int, batch: Sequence[Measurement], agent_id: int | None = None, *, is_held: bool = False
    ) -> Order:
        """Store what a training measured and renew its lease; what it shall do. StaleAttempt: the lease is over.

        agent_id: also where it is another agent's. is_held: whether it stands still, as it was told.
        """
        answer = self.measure_all([MeasurementBatch(job_id, attempt, batch, is_held)], agent_id)[0]
        if isinstance(answer, StaleAttempt):
            raise answer
        return answer

    def measure_all(self, reports: Sequence[MeasurementBatch], agent_id: int | None = None) -> list[Order | StaleAttempt]:
        """What `measure` gives, or would raise, for each of these: those of one agent's trainings are stored in one write."""

        def write(tx: Connection) -> list[jobs.Job | StaleAttempt]:
            jobs_by_id = jobs.some(tx, {report.job_id for report in reports})
            answers = [_holder(jobs_by_id.get(report.job_id), report, agent_id) for report in reports]
            held = [(report, job) for report, job in zip(reports, answers, strict=True) if isinstance(job, jobs.Job)]
            after = self._append(tx, held) if held else {}
            return [after.get(job.id, job) if isinstance(job, jobs.Job) else job for job in answers]

        answers = self._core.together(write)
        measured = zip(reports, answers, strict=True)
        news = {job.session_id for report, job in measured if isinstance(job, jobs.Job) and (report.batch or job.holds)}
        for session_id in news:
            self._core.notify(session_id, acts=False)
        return [_order(job) if isinstance(job, jobs.Job) else job for job in answers]

    def _append(self, tx: Connection, held: Sequence[tuple[MeasurementBatch, jobs.Job]]) -> dict[int, jobs.Job]:
        """Store what these trainings measured, as far as their stopping rules let them go; the jobs then, by id."""
        now, cap, after = self._core.clock(), self._core.rules.curve_points, {job.id: job for _, job in held}
        jobs.renew(tx, {job.id for _, job in held}, now + self._core.rules.lease)
        for agent_id in {job.agent_id for _, job in held if job.agent_id is not None}:
            self._heard_of(tx, agent_id, now)
        reports: dict[int, MeasurementBatch] = {}
        for sent, job in held:
            if job.id in reports:  # twice in one write: its rule asks for what was stored
                jobs.append(tx, reports.values())
                reports.clear()
            reports[job.id], after[job.id], _ = self._stopping.judged(tx, after[job.id], sent)
            after[job.id] = self._note_hold(tx, after[job.id], sent.is_held, now)
        jobs.append(tx, reports.values())
        for report, job in held:
            if report.batch and report.batch[0].index // cap != report.batch[-1].index // cap:
                self._thin(tx, job)
        return after

    def _note_hold(self, tx: Connection, job: jobs.Job, is_held: bool, now: float) -> jobs.Job:
        """Note where a training has come to stand still, or to go on. Only one of a paused session can come to stand still."""
        if is_held == job.is_held or (is_held and not job.is_paused):
            return job
        events.record(tx, now, "held" if is_held else "trains on", job.session_id, job.trial_id)
        return jobs.note_held(tx, job, is_held, now)

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

        The first end stands: the same attempt may say it twice, a later word of another is StaleAttempt. A trial that its
        session's stopping rule has ended is `stopped`, however its training ended. agent_id: StaleAttempt also where the job was
        last leased to another agent: a token ends its own trainings only.
        """
        with self._core.change() as tx:
            job = _theirs(jobs.get(tx, job_id), job_id, agent_id)
            if job is not None and job.finished_at is not None and job.attempt == attempt:
                return
            report, job, is_over = self._stopping.judged(tx, held(job, job_id, attempt), MeasurementBatch(job_id, attempt, batch))
            if is_over:  # whatever came of it after that epoch
                outcome, why = Outcome.STOPPED, None
            jobs.append(tx, [report])
            if (
                not batch or batch[-1].index >= self._core.rules.curve_points
            ):  # they are counted from 0: else there are not so many
                self._thin(tx, job)
            self._stopping.note_end(tx, job, outcome)
            jobs.finish(tx, job, self._core.clock(), outcome, why)
            events.record(tx, self._core.clock(), "finished", job.session_id, job.trial_id, outcome=outcome, job=job_id)
        self._core.notify(job.session_id)

    def release(self, job_id: int, attempt: int, why: str, counts: bool = True, agent_id: int | None = None) -> None:
        """Give a training back unfinished; `counts` where the attempt failed, not where its agent was shut down in order.

        agent_id: as `finish` has it.
        """
        with self._core.change() as tx:
            job = held(_theirs(jobs.get(tx, job_id), job_id, agent_id), job_id, attempt)
            if not counts and job.agent_id is not None:
                self._said[job.agent_id, sessions.get(tx, job.session_id, logged=True).task.version] = why
            fail_attempt(tx, job, self._core.clock(), why, attempts=self._core.rules.attempts, counts=counts)
        self._core.notify(job.session_id)
        if counts:  # else its agent lacks something, or ends: the claims with which it waits still would only take it again
            self._core.tell_agents()

    def _thin(self, tx: Connection, job: jobs.Job) -> None:
        cap = self._core.rules.curve_points
        if jobs.count_batches(tx, job.id, job.attempt) > cap:
            measurements = jobs.measurements(tx, job.id, job.attempt)
            points = [
                (measurement.index, measurement.loss)
                for measurement in measurements
                if measurement.epoch is None and measurement.loss is not None
            ]
            kept = equal_terms.thin(points, cap)
            jobs.delete_points(tx, job.id, job.attempt, [index for index, _ in points if index not in kept])

    def waiting(self, tx: Connection, session: Session, now: float) -> Waiting | None:
        """What a session's queued trial waits for, as a read of this connection sees it; None where none is queued."""
        queued = next((trial for trial in unsettled(session.trials) if trial.is_open and trial.claimed_at is None), None)
        if queued is None:
            return None
        if session.is_paused:
            return Waiting(1, 0, None, "its session is paused")
        unfinished = jobs.unfinished_trials(tx)
        waiting = [job for job in unfinished if job.leased_until is None]
        position = 1 + next((i for i, job in enumerate(waiting) if job.trial_id == queued.id), 0)
        agents, crew = jobs.agents(tx, now - AGENT_SILENCE_SECONDS), self._crews.members(session.id)
        if crew is not None:
            agents = [agent for agent in agents if agent.id in crew]
        if not agents:
            return Waiting(position, 0, None, "no agent is connected; training starts by itself when one is")
        having = [agent for agent in agents if session.task.version not in self._refused.get(agent.id, ())]
        slots = sum(agent.slots for agent in agents)
        if not having:
            said = [f"{agent.name}: {why}" for agent in agents if (why := self._said.get((agent.id, session.task.version)))]
            why = f"{NOBODY_TRAINS} has this version of the task; its source or data differ from the study's"
            return Waiting(position, slots, None, f"{NOBODY_TRAINS} trains it; {'; '.join(said)}" if said and crew else why)
        pinned = None if session.practice else studies.study(tx, session.study_id, session.version).environment
        refused = pinned_away(pinned, having)
        if len(refused) == len(having):
            return Waiting(position, slots, None, f"{NOBODY_TRAINS} fits: {'; '.join(refused.values())}")
        able = [agent for agent in having if agent.id not in refused]
        slots = sum(agent.slots for agent in able)
        if not slots:
            return Waiting(position, 0, None, f"{NOBODY_TRAINS} has a slot; start one with --slots")
        free = slots - sum(agent.busy for agent in able)
        if free >= position:
            return Waiting(position, slots, 0.0, "an agent is about to start it")
        expected = self._expected(tx, unfinished, position - max(free, 0), now)
        return Waiting(position, slots, expected, f"all {slots} training slots are busy")

    def _expected(self, tx: Connection, unfinished: Sequence[jobs.Job], position: int, now: float) -> float | None:
        """Seconds until the `position`-th running training ends, from the epochs it did; None where that is not known."""
        running = {job.trial_id for job in unfinished if job.leased_until is not None}
        busy, _ = sessions.readable(tx, list({job.session_id for job in unfinished if job.trial_id in running}))
        remaining = []
        for trial in (trial for session in busy for trial in session.trials if trial.id in running):
            done = trial.epochs_done - trial.epochs_before
            if done and trial.claimed_at is not None:
                elapsed = now - trial.claimed_at
                remaining.append(max(0.0, elapsed / done * (trial.epochs_planned - trial.epochs_done)))
        remaining.sort()
        return remaining[position - 1] if position <= len(remaining) else None


def _free(tx: Connection, waiting: Sequence[jobs.Job], now: float) -> list[jobs.Job]:
    """Of jobs that waited just now, each session's first among them, those that no other agent has claimed meanwhile."""
    firsts = {job.session_id: job.id for job in reversed(waiting)}
    ids = dict.fromkeys([*firsts.values(), *(job.id for job in waiting)])
    jobs_by_id = jobs.some(tx, list(ids)[:MOST_TRIED_JOBS]) if ids else {}
    return [
        job
        for job in jobs_by_id.values()
        if job.finished_at is None and not job.is_paused and (job.leased_until is None or job.leased_until < now)
    ]


def _order(job: jobs.Job) -> Order:
    """What a training is told that has reported."""
    if job.stop_by is not None:
        return Order.STOP
    return Order.HOLD if job.is_paused else Order.GO_ON


def _holder(job: jobs.Job | None, report: MeasurementBatch, agent_id: int | None) -> jobs.Job | StaleAttempt:
    """The job, where the report is of the attempt that holds its lease; else what the reporter is told."""
    if job is None or job.attempt != report.attempt or job.finished_at is not None or job.leased_until is None:
        return StaleAttempt(ATTEMPT_OVER_REASON.format(report.attempt, report.job_id))
    if agent_id is not None and job.agent_id != agent_id:
        return StaleAttempt(NOT_THEIR_JOB_REASON.format(report.job_id))
    return job


def held(job: jobs.Job | None, job_id: int, attempt: int) -> jobs.Job:
    """The job, where this attempt holds its lease; else StaleAttempt."""
    held = _holder(job, MeasurementBatch(job_id, attempt, ()), None)
    if isinstance(held, StaleAttempt):
        raise held
    return held


def _theirs(job: jobs.Job | None, job_id: int, agent_id: int | None) -> jobs.Job | None:
    """The job; StaleAttempt where there is an agent and it is not the one that the job was last leased to."""
    if agent_id is not None and (job is None or job.agent_id != agent_id):
        raise StaleAttempt(NOT_THEIR_JOB_REASON.format(job_id))
    return job


def _values_of_choice(tx: Connection, session: Session) -> dict[int, float]:
    """What the chosen trial, and those that it went on from, reached on validation, by epoch; nothing where none was chosen."""
    trials = []
    trial = session.chosen_trial
    while trial is not None:
        trials.append(trial)
        trial = None if trial.resumes is None else session.trial(trial.resumes)
    read = jobs.epochs_of_trials(tx, [trial.id for trial in trials])
    values: dict[int, float] = {}
    for trial in reversed(trials):  # what is after the epoch from which the next one went on is not of it
        values = {epoch: value for epoch, value in values.items() if epoch <= trial.epochs_before}
        values |= {one.epoch: one.value for one in read.get(trial.id, ()) if one.epoch is not None and one.value is not None}
    return values


def _trial_of(session: Session, job: jobs.Job) -> Trial | None:
    """The trial that a job is of; None of an evaluation's."""
    return next((trial for trial in reversed(session.trials) if trial.id == job.trial_id), None)


def _assignment_of_seed(session: Session, job: jobs.Job, attempt: int, plan: EvaluationPlan) -> Assignment:
    assert session.choice is not None
    assert session.choice.configuration is not None
    return Assignment(
        job_id=job.id,
        attempt=attempt,
        kind="evaluation",
        task=session.task.spec,
        task_version=session.task.version,
        configuration=dict(session.choice.configuration),
        seed=job.seed,
        label=f"session {session.id} evaluation seed {job.seed_index}",
        max_seconds=session.task.max_seconds,
        max_memory=session.task.max_memory,
        value_rule=session.value_rule,
        plan=plan,
    )


def _assignment_of_trial(session: Session, trial: Trial, job_id: int, attempt: int) -> Assignment:
    return Assignment(
        job_id=job_id,
        attempt=attempt,
        kind="trial",
        task=session.task.spec,
        task_version=session.task.version,
        configuration=dict(trial.configuration),
        seed=session.tuning_seed,
        label=f"session {session.id} trial {trial.number}",
        epochs_before=trial.epochs_before,
        keep=session.resumable,
        max_seconds=session.task.max_seconds,
        max_memory=session.task.max_memory,
        number=trial.number,
        place=place_of(session, trial.number, attempt),
        value_rule=session.value_rule,
    )
