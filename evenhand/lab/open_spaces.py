"""Sessions whose programs define their space while they run, as scripts of Optuna do: exploratory, in one process, open.

A trial is submitted with an empty configuration, each suggestion appends its value, and its end freezes what it asked for under
the space's revision of that moment. The space is what the trials that have ended asked for; each growth is an event. What the
program says of its trials beside that is kept as it says it (`Memo`), so that it goes on where it stood.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection

from evenhand.errors import InvalidSpace, NotFound, Refused
from evenhand.lab.base import Core
from evenhand.lab.jobs import held
from evenhand.lab.processes import in_words, this_process
from evenhand.lab.sessions import Sessions
from evenhand.lab.studies import Studies
from evenhand.lab.writes import note_claimed
from evenhand.model.configuration import Configuration
from evenhand.model.job import MeasurementBatch
from evenhand.model.open_space import ASKED, Memo, why_narrower
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import Metric, TaskRecord, TaskSpec
from evenhand.model.trial import Measurement, Outcome, Stopper, Trial
from evenhand.model.trial_history import unsettled
from evenhand.store import environments, events, jobs, open_spaces, sessions, studies
from evenhand.tasks import versions

NEVER = 1e11  # seconds since 1970: such a lease ends with its process, which its session knows


class Lease(NamedTuple):
    """One training of an open session, by the attempt that every write about it names."""

    trial_id: int
    number: int
    job_id: int
    attempt: int


class End(NamedTuple):
    """How a trial of an open session ended.

    values: all that it asked for, by name. batch: the last of what it measured. space: what the trials that have ended asked for,
    this one included; None where that is what was known already.
    """

    outcome: Outcome
    why: str | None
    values: Mapping[str, Any]
    batch: Sequence[Measurement] = ()
    memos: Sequence[Memo] = ()
    space: Space | None = None


class OpenSpaces:
    """What a program asks of the laboratory that defines its space while it runs."""

    def __init__(self, core: Core, studies: Studies, sessions: Sessions) -> None:
        self._core, self._studies, self._sessions = core, studies, sessions

    def open(self, name: str, metrics: Sequence[Metric], method: Mapping[str, Any]) -> Session:
        """A new session of this name and process, with nothing in its space yet; its clock runs.

        Its task's version leaves the space out, and is no other session's. Refused: a session has the name.
        """
        if self._sessions.called(name) is not None:
            raise Refused(f"a session named {name!r} is there already; give another name")
        key, tuner = secrets.token_hex(4), str(method["name"])
        facts = {tuner: name, "metrics": [[metric.name, metric.direction] for metric in metrics], "key": key}
        task = self._studies.add_task(
            TaskRecord(
                spec=TaskSpec(f"{tuner}:{name}"),
                version=versions.of_facts(facts),
                space=Space((), is_open=True),
                metric=metrics[0].name,
                direction=metrics[0].direction,
                max_epochs=1,
                has_test=False,
                further=tuple(metrics[1:]),
            )
        )
        nothing = Text("")
        study = self._studies.declare(
            Study(
                name=f"{name} ({key})",
                title=name,
                task_id=task.id,
                budget=Budget(),  # how many trials, and how many at once, is the program's own affair
                seed=0,
                consent=nothing,
                details=nothing,
                thanks=nothing,
                evaluation_seeds=0,
                machines="any",
            )
        )
        session = self._sessions.open(study.id, tuner=tuner, method=method, driver=sessions.PYTHON_DRIVER, mode="live", name=name)
        with self._core.change(session.id) as tx:
            now = self._core.clock()
            sessions.update_facts(tx, session.id, started_at=now, last_seen=now)
            events.record(tx, now, "started", session.id)
            return sessions.get(tx, session.id)

    def all(self) -> list[Session]:
        """The sessions with an open space, in order of opening."""
        with self._core.read() as tx:
            return sessions.some(tx, open_spaces.session_ids(tx))

    def take_up(self, session_id: int) -> Session:
        """Go on with it in this process; see `Sessions.take_up`. What trained when its process ended waits to begin again."""
        with self._core.read() as tx:
            session = self._checked(tx, session_id)
        return session if session.process == this_process() else self._sessions.take_up(session_id, session.budget)

    def remembered(self, session_id: int) -> list[tuple[int | None, Memo]]:
        """All that was kept with a session and its trials, each with its trial's id, in order."""
        with self._core.read() as tx:
            self._checked(tx, session_id)
            return open_spaces.remembered(tx, session_id)

    def session_of(self, trial_id: int) -> int | None:
        """The id of the session that a trial is of; None where there is no such trial."""
        with self._core.read() as tx:
            return open_spaces.session_of(tx, trial_id)

    def measured(self, trials: Iterable[Trial]) -> dict[int, list[Measurement]]:
        """What the last attempts at trials measured, by the trial's id."""
        with self._core.read() as tx:
            return jobs.epochs_of_trials(tx, [trial.id for trial in trials])

    def remember(self, session_id: int, memo: Memo, trial_id: int | None = None) -> None:
        """Keep what the program says of a trial, or of its session."""

        def write(tx: Connection) -> None:
            self._ours(tx, session_id)
            open_spaces.remember(tx, session_id, trial_id, memo)

        self._core.together(write)

    def name_metrics(self, session_id: int, names: Sequence[str]) -> None:
        """Name the session's metrics, the first of which is its trials' value."""
        with self._core.change(session_id) as tx:
            task = self._ours(tx, session_id).task
            directions = (task.direction, *(metric.direction for metric in task.further))
            metrics = [Metric(name, direction) for name, direction in zip(names, directions, strict=True)]
            studies.name_metrics(tx, task.id, metrics)
            events.record(tx, self._core.clock(), "named metrics", session_id, names=list(names))

    def submit(self, session_id: int, memos: Sequence[Memo] = (), explanation: str = "") -> Trial:
        """A trial that waits, with an empty configuration. A session that has ended goes on: its choice is an earlier one."""
        with self._core.change(session_id) as tx:
            return self._submit(tx, self._ours(tx, session_id), memos, explanation)

    def begin(self, session_id: int, trial_id: int, agent_id: int) -> Lease:
        """A trial that waits begins to train, anew where it was interrupted."""
        with self._core.change(session_id, acts=False) as tx:
            session = self._ours(tx, session_id)
            waiting = next((trial for trial in unsettled(session.trials) if trial.id == trial_id), None)
            if waiting is None:
                raise NotFound(f"session {session_id} has no open trial with the id {trial_id}")
            return self._begin(tx, waiting, agent_id)

    def ask(self, session_id: int, agent_id: int, memos: Sequence[Memo] = (), explanation: str = "") -> Lease:
        """A trial that begins at once."""
        with self._core.read() as tx:  # what a read finds is kept, so that the writes that follow need not read all trials
            self._checked(tx, session_id)
        with self._core.change(session_id, acts=False) as tx:
            return self._begin(tx, self._submit(tx, self._ours(tx, session_id), memos, explanation), agent_id)

    def append(self, session_id: int, lease: Lease, name: str, value: Any, memo: Memo) -> None:
        """A trial asks for one more value. StaleAttempt: it was given back meanwhile."""

        def write(tx: Connection) -> None:
            held(jobs.get(tx, lease.job_id), lease.job_id, lease.attempt)
            open_spaces.set_values(tx, lease.trial_id, {**open_spaces.values(tx, lease.trial_id), name: value})
            open_spaces.remember(tx, session_id, lease.trial_id, memo)

        self._core.together(write)
        self._core.notify(session_id, acts=False)

    def measure(self, session_id: int, lease: Lease, batch: Sequence[Measurement]) -> bool:
        """Store what a trial measured; whether it shall go on, since nobody asked it to stop. StaleAttempt as for `append`."""

        def write(tx: Connection) -> bool:
            job = held(jobs.get(tx, lease.job_id), lease.job_id, lease.attempt)
            jobs.append(tx, [MeasurementBatch(lease.job_id, lease.attempt, batch)])
            return job.stop_by is None

        goes_on = self._core.together(write)
        self._core.notify(session_id, acts=False)
        return goes_on

    def tell(self, session_id: int, lease: Lease, end: End) -> None:
        """A trial ends: what it asked for is frozen under the revision that the space has then. StaleAttempt as for `append`."""
        with self._core.change(session_id) as tx:
            self._end(tx, self._ours(tx, session_id), lease, end)

    def add(self, session_id: int, agent_id: int, end: End, explanation: str = "") -> Lease:
        """A trial that has ended already, elsewhere."""
        with self._core.change(session_id) as tx:
            session = self._ours(tx, session_id)
            lease = self._begin(tx, self._submit(tx, session, (), explanation), agent_id)
            self._end(tx, session, lease, end)
            return lease

    def discard(self, session_id: int) -> None:
        """Delete what is in a session, and free its name. Its row and its log stay, as those of one that was withdrawn."""
        with self._core.change(session_id) as tx:
            self._ours(tx, session_id)
            now = self._core.clock()
            sessions.erase(tx, session_id)
            sessions.update_facts(tx, session_id, withdrawn_at=now, name=None, process=None)
            events.record(tx, now, "discarded", session_id)

    def _submit(self, tx: Connection, session: Session, memos: Sequence[Memo], explanation: str) -> Trial:
        now, number = self._core.clock(), len(session.trials) + 1
        if session.choice is not None:
            sessions.reopen(tx, session, now)
            events.record(tx, now, "reopened", session.id)
        trial = Trial(0, session.id, number, Configuration(), session.tuner, now, 1, explanation=explanation)
        trial = replace(trial, id=sessions.add_trial(tx, trial, None))
        jobs.add(tx, session.id, session.tuning_seed, now, trial_id=trial.id)
        for memo in memos:
            open_spaces.remember(tx, session.id, trial.id, memo)
        events.record(tx, now, "submitted", session.id, trial.id)
        return trial

    def _begin(self, tx: Connection, trial: Trial, agent_id: int) -> Lease:
        now, job = self._core.clock(), jobs.of_trial(tx, trial.id)
        if job.finished_at is not None or job.leased_until is not None:
            raise Refused(f"trial {trial.number} does not wait; only one that waits begins")
        open_spaces.set_values(tx, trial.id, {})
        open_spaces.forget(tx, trial.id, ASKED)
        environment = environments.of_agent(tx, agent_id)
        attempt = jobs.lease(tx, job, jobs.Taker(agent_id, NEVER, environment.key if environment else None), now)
        note_claimed(tx, now, trial.session_id, trial.id, attempt, agent_id)
        return Lease(trial.id, trial.number, job.id, attempt)

    def _end(self, tx: Connection, session: Session, lease: Lease, end: End) -> None:
        now, session_id = self._core.clock(), session.id
        revision = open_spaces.revision(tx, session_id)
        if end.space is not None and end.space != session.space:
            revision += 1
            self._grow(tx, session, lease, end.space, revision)
        job = held(jobs.get(tx, lease.job_id), lease.job_id, lease.attempt)
        if end.outcome is Outcome.STOPPED:
            jobs.ask_to_stop(tx, job, Stopper.RULE)
        open_spaces.freeze(tx, session_id, lease.trial_id, end.values, revision)
        for memo in end.memos:
            open_spaces.remember(tx, session_id, lease.trial_id, memo)
        jobs.append(tx, [MeasurementBatch(lease.job_id, lease.attempt, end.batch)])
        jobs.finish(tx, job, now, end.outcome, end.why)
        events.record(tx, now, "finished", session_id, lease.trial_id, outcome=end.outcome, job=lease.job_id)

    def _grow(self, tx: Connection, session: Session, lease: Lease, space: Space, revision: int) -> None:
        if not space.is_open:
            raise InvalidSpace(f"session {session.id}: its space is open, so what it grows to must be; got {space!r}")
        if why := why_narrower(session.space, space):
            raise InvalidSpace(f"session {session.id}: an open space can only grow, but {why}")
        studies.grow(tx, session.task.id, space)
        events.record(
            tx, self._core.clock(), open_spaces.GREW, session.id, lease.trial_id, revision=revision, space=space.to_json()
        )

    def _ours(self, tx: Connection, session_id: int) -> Session:
        """The session, where this process may write in it."""
        session = self._checked(tx, session_id)
        if session.process != this_process():
            whose = "no process" if session.process is None else in_words(session.process)
            raise Refused(f"session {session_id} is {whose}'s now; take it up first (load it by its name), one process at a time")
        return session

    def _checked(self, tx: Connection, session_id: int) -> Session:
        session = sessions.get(tx, session_id, logged=True)
        if not session.space.is_open:
            raise Refused(
                f"session {session_id}: its space is fixed ({', '.join(session.space.names)}), so a trial is submitted with all "
                "of its values; only the session of a program that defines its space while it runs takes them one by one"
            )
        return session
