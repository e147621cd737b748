"""The queue of trainings: leases, attempts, measurements. Every write about a job names the attempt that it is of."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import (
    Connection,
    Result,
    Select,
    and_,
    bindparam,
    delete,
    exists,
    false,
    func,
    insert,
    null,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from evenhand.model import codec
from evenhand.model.evaluation import Evaluation, SeedScore
from evenhand.model.job import AgentRecord, MeasurementBatch
from evenhand.model.session import Session
from evenhand.model.study import Mode
from evenhand.model.trial import Hold, Measurement, Outcome, Stopper
from evenhand.store import environments, odd_cells, tables
from evenhand.store.cache import changed
from evenhand.store.sessions import ARCHIVE_DRIVER, PYTHON_DRIVER, UNREADABLE
from evenhand.store.studies import inserted, study

_job, _attempt, _measurement = tables.job.c, tables.attempt.c, tables.measurement.c
_version = tables.study_version.c
_ARCHIVED = select(tables.session.c.id).where(tables.session.c.driver == ARCHIVE_DRIVER)  # nothing is trained for these any more
_NOT_FOR_AGENTS = select(tables.session.c.id).where(tables.session.c.driver.in_((ARCHIVE_DRIVER, PYTHON_DRIVER)))


@dataclass(frozen=True)
class Job:
    """One training in the queue: of a trial, or of one seed of an evaluation.

    holds: when this attempt stood still. is_paused: whether it is a trial's whose session is paused.
    """

    id: int
    session_id: int
    trial_id: int | None
    seed_index: int | None
    of_earlier: int
    seed: int
    queued_at: float
    attempt: int
    agent_id: int | None
    claimed_at: float | None
    leased_until: float | None
    stop_by: Stopper | None
    stop_why: str | None
    finished_at: float | None
    outcome: Outcome | None
    why: str | None
    environment: str | None
    holds: tuple[Hold, ...]
    is_paused: bool

    @property
    def is_held(self) -> bool:
        """Whether its training stands still now."""
        return bool(self.holds) and self.holds[-1].end is None


class Taker(NamedTuple):
    """Which agent takes a training, until when it is leased to it, and the key of the agent's environment."""

    agent_id: int
    until: float
    environment_key: str | None


def add(
    tx: Connection,
    session_id: int,
    seed: int,
    now: float,
    *,
    trial_id: int | None = None,
    index: int | None = None,
    taker: Taker | None = None,
) -> int:
    """Queue one training; its id. taker: of its first attempt, where an agent takes it at once."""
    changed(tx, session_id)
    row = {"session_id": session_id, "trial_id": trial_id, "seed_index": index, "seed": seed, "queued_at": now}
    if taker is None:
        return inserted(tx, tables.job, row)
    leased = {"attempt": 1, "agent_id": taker.agent_id, "claimed_at": now, "leased_until": taker.until}
    job_id = inserted(tx, tables.job, {**row, **leased, "environment": taker.environment_key})
    _add_attempt(tx, job_id, 1, taker, now)
    return job_id


def get(tx: Connection, job_id: int) -> Job | None:
    """The job with this id; None where it does not exist (any more)."""
    return next(iter(_jobs(tx.execute(_BY_ID, {"id": job_id}))), None)


def some(tx: Connection, ids: Collection[int]) -> dict[int, Job]:
    """The jobs with these ids, by id."""
    return {job.id: job for job in _jobs(tx.execute(_BY_IDS, {"ids": list(ids)}))}


def of_trial(tx: Connection, trial_id: int) -> Job:
    """The job of a trial: each has exactly one."""
    return _jobs(tx.execute(_BY_TRIAL, {"id": trial_id}))[0]


def unfinished(tx: Connection, session_id: int) -> list[Job]:
    """A session's jobs without an outcome: first those of trials, each in the order of the queue."""
    return _select(tx, and_(_job.finished_at.is_(None), _job.session_id.not_in(_ARCHIVED), _job.session_id == session_id))


def leased(tx: Connection) -> list[Job]:
    """Jobs without an outcome that agents hold, with only what they are of: whatever else is stored of them."""
    condition = and_(_job.finished_at.is_(None), _job.leased_until.is_not(None), _job.session_id.not_in(_ARCHIVED))
    known = ("id", "session_id", "trial_id", "attempt")
    columns: list[Any] = [column if column.name in known else null().label(column.name) for column in tables.job.columns]
    columns.append(false().label("is_paused"))
    with odd_cells.any_text(tx):
        held = _jobs(tx.execute(select(*columns).where(condition).order_by(_job.queued_at, _job.id)))
    return [replace(job, attempt=odd_cells.closest(_job.attempt, job.attempt)) for job in held]


def unfinished_trials(tx: Connection) -> list[Job]:
    """Jobs of trials without an outcome that agents train, in the order of the queue."""
    return _select(tx, and_(_job.finished_at.is_(None), _job.seed_index.is_(None), _job.session_id.not_in(_NOT_FOR_AGENTS)))


def claimable(tx: Connection, now: float, refused: Sequence[str], session_id: int | None, kind: str) -> list[Job]:
    """Jobs that no live lease holds, in the order of the queue, without those of the refused task versions or of paused sessions.

    Nor are those among them that are of a study pinned to environments of another kind than this one, nor, unless they are asked
    for by their session, those of sessions whose own process trains them. Those of evaluations only where no trial waits: each
    study has many of them.
    """
    given = {"now": now, "id": session_id, "refused": list(refused), "kind": kind}
    for trials in (True, False):
        jobs = _jobs(tx.execute(_claimable(trials, bool(refused), session_id is not None), given))
        if jobs:
            return jobs
    return []


@lru_cache
def _claimable(trials: bool, refused: bool, one: bool) -> Select[Any]:
    """The query of `claimable`: for trials only or for all jobs, with refused versions or without, of one session or of all."""
    free = or_(_job.leased_until.is_(None), _job.leased_until < bindparam("now"))
    others = _ARCHIVED if one else _NOT_FOR_AGENTS
    conditions = [_job.finished_at.is_(None), free, _job.session_id.not_in(others), _job.session_id.not_in(_PINNED_ELSEWHERE)]
    conditions.append(~_IS_PAUSED)
    if trials:
        conditions.append(_job.seed_index.is_(None))
    if one:  # + 0: no index of sessions serves it, since a session has ended jobs by the thousand, and unfinished ones are few
        conditions.append(_job.session_id + 0 == bindparam("id"))
    if refused:
        version = tables.session.join(tables.task, tables.session.c.task_id == tables.task.c.id)
        with_version = select(tables.session.c.id).select_from(version)
        refused_ones = with_version.where(tables.task.c.version.in_(bindparam("refused", expanding=True)))
        conditions.append(_job.session_id.not_in(refused_ones))
    return _JOBS.where(and_(*conditions))


# Sessions of versions that are pinned to another kind: for most claims there is none. Practice is not part of what is studied.
_OTHER_VERSIONS = (
    select(_version.study_id, _version.version)
    .join(tables.environment, tables.environment.c.key == _version.environment)
    .where(tables.environment.c.kind != bindparam("kind"))
)
_PINNED_ELSEWHERE = select(tables.session.c.id).where(
    tuple_(tables.session.c.study_id, tables.session.c.version).in_(_OTHER_VERSIONS), tables.session.c.practice.is_(False)
)


def refusing(tx: Connection, kind: str) -> list[tuple[int, int]]:
    """Versions of studies whose trainings wait, or run, and that are pinned to another kind of environment than this one."""
    query = (
        select(tables.session.c.study_id, tables.session.c.version)
        .join(tables.job, _job.session_id == tables.session.c.id)
        .where(_job.finished_at.is_(None), _job.session_id.not_in(_ARCHIVED), _job.session_id.in_(_PINNED_ELSEWHERE))
        .distinct()
        .order_by(tables.session.c.study_id, tables.session.c.version)
    )
    return [(row.study_id, row.version) for row in tx.execute(query, {"kind": kind})]


def busy_sessions(tx: Connection) -> Mapping[int, int]:
    """How many trainings each session has running."""
    return {row[0]: row[1] for row in tx.execute(_BUSY)}


_RUNNING = and_(_job.finished_at.is_(None), _job.leased_until.is_not(None))
_BUSY = select(_job.session_id, func.count()).where(_RUNNING).group_by(_job.session_id)


def training_seconds(tx: Connection, session_id: int, now: float) -> float:
    """Seconds that a session's trials have trained, without the times in which they stood still and without failed ones."""
    counted = and_(
        _job.session_id == session_id,
        _job.trial_id.is_not(None),
        _job.claimed_at.is_not(None),
        or_(_job.outcome.is_(None), _job.outcome != Outcome.FAILED),
    )
    until = func.coalesce(_job.finished_at, now)
    whole: float = tx.execute(select(func.sum(until - _job.claimed_at)).where(counted)).scalar() or 0.0
    held = tx.execute(select(_job.holds, _job.finished_at).where(counted, _job.holds.is_not(None)))
    stood = sum(
        hold.seconds(now if row.finished_at is None else row.finished_at)
        for row in held
        for hold in codec.from_json(tuple[Hold, ...], row.holds)
    )
    return whole - stood


def with_limited_trials(tx: Connection) -> list[int]:
    """Sessions of studies that limit what one trial may use, or whose budget limits what training may cost, of which a trial
    trains that nobody has asked to stop."""
    session = tables.session
    query = (
        select(session.c.id, session.c.study_id, session.c.version, session.c.budget)
        .join(tables.job, _job.session_id == session.c.id)
        .where(_RUNNING, _job.trial_id.is_not(None), _job.stop_by.is_(None))
    )
    try:
        training = {row.id: row for row in tx.execute(query)}
        versions = {(row.study_id, row.version) for row in training.values()}
        limited = {which for which in versions if study(tx, *which).trial_share is not None}
        return [row.id for row in training.values() if (row.study_id, row.version) in limited or row.budget.get("cost")]
    except UNREADABLE:  # of one of them what is stored is damaged: each is looked at when it is read
        return list(tx.execute(query.with_only_columns(session.c.id).distinct()).scalars())


class Lost(NamedTuple):
    """A job whose lease has run out, and its session; what else is stored of it is read when something is done about it."""

    job_id: int
    session_id: int


def expired(tx: Connection, now: float) -> list[Lost]:
    """Jobs whose lease has run out, in the order of the queue."""
    run_out = and_(_job.finished_at.is_(None), _job.leased_until < now)
    return [Lost(*row) for row in tx.execute(select(_job.id, _job.session_id).where(run_out).order_by(*_IN_ORDER))]


def _select(tx: Connection, condition: Any) -> list[Job]:
    return _jobs(tx.execute(_JOBS.where(condition)))


_PAUSE = tables.pause.c
_IS_PAUSED = and_(_job.seed_index.is_(None), exists().where(_PAUSE.session_id == _job.session_id, _PAUSE.end.is_(None)))
_IN_ORDER = (_job.seed_index.is_not(None), _job.queued_at, _job.id)  # evaluations come after trials
_JOB = select(tables.job, _IS_PAUSED.label("is_paused"))
_JOBS = _JOB.order_by(*_IN_ORDER)
_BY_ID = _JOB.where(_job.id == bindparam("id"))
_BY_IDS = _JOB.where(_job.id.in_(bindparam("ids", expanding=True)))
_BY_TRIAL = _JOB.where(_job.trial_id == bindparam("id"))


def _jobs(rows: Result[Any]) -> list[Job]:
    return [
        Job(
            stop_by=Stopper(row["stop_by"]) if row["stop_by"] else None,
            outcome=Outcome(row["outcome"]) if row["outcome"] else None,
            holds=codec.from_json(tuple[Hold, ...], row["holds"]) if row["holds"] else (),
            **{key: row[key] for key in row if key not in ("stop_by", "outcome", "holds")},
        )
        for row in rows.mappings()
    ]


def lease(tx: Connection, job: Job, to: Taker, now: float) -> int:
    """Give the job to an agent as a new attempt; the attempt's number."""
    changed(tx, job.session_id)
    number = job.attempt + 1
    given = {"of": job.id, "number": number, "to": to.agent_id, "at": now, "until": to.until}
    tx.execute(_LEASE, {**given, "environment_key": to.environment_key})
    _add_attempt(tx, job.id, number, to, now)
    return number


def _add_attempt(tx: Connection, job_id: int, number: int, taker: Taker, now: float) -> None:
    row = {"job_id": job_id, "attempt": number, "agent_id": taker.agent_id, "claimed_at": now, "counts": True}
    tx.execute(_ATTEMPT, {**row, "environment": taker.environment_key})


_LEASE = (
    update(tables.job)
    .where(_job.id == bindparam("of"))
    .values(
        attempt=bindparam("number"),
        agent_id=bindparam("to"),
        claimed_at=bindparam("at"),
        leased_until=bindparam("until"),
        environment=bindparam("environment_key"),
        holds=None,
    )
)
_ATTEMPT = insert(tables.attempt)


def renew(tx: Connection, ids: Collection[int], until: float) -> None:
    """Prolong the leases of these jobs."""
    tx.execute(_RENEW, {"ids": list(ids), "until": until})


_RENEW = update(tables.job).where(_job.id.in_(bindparam("ids", expanding=True))).values(leased_until=bindparam("until"))


def note_held(tx: Connection, job: Job, is_held: bool, now: float) -> Job:
    """Note that a training stands still from now on, or that one that did goes on, or has ended; the job then."""
    changed(tx, job.session_id)
    holds = (*job.holds, Hold(now)) if is_held else (*job.holds[:-1], Hold(job.holds[-1].start, now))
    tx.execute(update(tables.job).where(_job.id == job.id).values(holds=codec.to_json(holds)))
    return replace(job, holds=holds)


def renew_all(tx: Connection, until: float) -> None:
    """Prolong every running lease, as a restarting server does before anything may expire."""
    running = and_(_job.finished_at.is_(None), _job.leased_until.is_not(None))
    tx.execute(update(tables.job).where(running).values(leased_until=until))


def end_attempt(tx: Connection, job: Job, now: float, why: str, counts: bool) -> None:
    """Record how an attempt ended that left the job unfinished, and put the job back in the queue."""
    changed(tx, job.session_id)
    mine = and_(_attempt.job_id == job.id, _attempt.attempt == job.attempt)
    tx.execute(update(tables.attempt).where(mine).values(ended_at=now, why=why, counts=counts))
    facts = {"leased_until": None, "agent_id": None, "claimed_at": None, "environment": None, "holds": None}
    tx.execute(update(tables.job).where(_job.id == job.id).values(facts))


def failures(tx: Connection, job_id: int) -> list[str]:
    """Why each of the job's failed attempts failed."""
    query = select(_attempt.why).where(_attempt.job_id == job_id, _attempt.ended_at.is_not(None), _attempt.counts)
    return [why or "" for why in tx.execute(query.order_by(_attempt.attempt)).scalars()]


def finish(tx: Connection, job: Job, now: float, outcome: Outcome, why: str | None) -> None:
    """Give the job its outcome, and its last attempt its end. PostgreSQL stores no NUL, which a traceback may hold."""
    changed(tx, job.session_id)
    if job.is_held:
        note_held(tx, job, False, now)
    facts = {"at": now, "end": outcome, "reason": why and why.replace("\0", "\ufffd")}
    tx.execute(_FINISH, {"of": job.id, **facts})
    tx.execute(_END_ATTEMPT, {"of": job.id, "at": now})


_FINISH = (
    update(tables.job)
    .where(_job.id == bindparam("of"), _job.finished_at.is_(None))
    .values(finished_at=bindparam("at"), outcome=bindparam("end"), why=bindparam("reason"), leased_until=None)
)
_END_ATTEMPT = (
    update(tables.attempt)
    .where(_attempt.job_id == bindparam("of"), _attempt.ended_at.is_(None))
    .values(ended_at=bindparam("at"), counts=False)
)


def ask_to_stop(tx: Connection, job: Job, by: Stopper, why: str | None = None) -> None:
    """Note who wants the training to end, and why; the first one stands."""
    changed(tx, job.session_id)
    tx.execute(update(tables.job).where(_job.id == job.id, _job.stop_by.is_(None)).values(stop_by=by, stop_why=why))


def append(tx: Connection, reports: Iterable[MeasurementBatch]) -> None:
    """Store measurements; those whose (job, attempt, index) is there already are the same and stay."""
    rows = [
        {
            "job_id": report.job_id,
            "attempt": report.attempt,
            **{key: getattr(measurement, key) for key in _MEASURED},
            "extra": dict(measurement.extra) or None,
        }
        for report in reports
        for measurement in report.batch
    ]
    if rows:
        tx.execute(_INSERT_NEW[tx.dialect.name], rows)


_INSERT_NEW: dict[str, Any] = {
    "sqlite": sqlite.insert(tables.measurement).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(tables.measurement).on_conflict_do_nothing(),
}
_MEASURED = ("index", "step", "epoch", "loss", "value", "seconds")


def measurements(tx: Connection, job_id: int, attempt: int, after: int = -1) -> list[Measurement]:
    """An attempt's measurements with an index above `after`, in order."""
    return _measured(tx.execute(_MEASUREMENTS, {"job_id": job_id, "attempt": attempt, "after": after}))


def of_trials_attempt(tx: Connection, trial_id: int, attempt: int, after: int = -1) -> list[Measurement]:
    """What an attempt at a trial measured, with an index above `after`, in order."""
    return _measured(tx.execute(_OF_TRIAL, {"trial_id": trial_id, "attempt": attempt, "after": after}))


def epochs(tx: Connection, job_id: int, attempt: int) -> list[Measurement]:
    """An attempt's measurements at the end of an epoch, with a value, in order."""
    return _measured(tx.execute(_EPOCHS, {"job_id": job_id, "attempt": attempt, "after": -1}))


def epochs_of_trials(tx: Connection, trial_ids: Sequence[int]) -> dict[int, list[Measurement]]:
    """What `epochs` gives, of the last attempt at each of these trials, by their ids."""
    measured: dict[int, list[Measurement]] = {}
    for start in range(0, len(trial_ids), 500):  # SQLite limits the parameters of one statement
        for row in tx.execute(_EPOCHS_OF_TRIALS, {"ids": list(trial_ids[start : start + 500])}):
            measured.setdefault(row[0], []).extend(_measured([row[1:]]))
    return measured


def newest(tx: Connection, trial_id: int, attempt: int) -> list[Measurement]:
    """The last single batch and the last epoch that an attempt at a trial measured, as far as there are any, in order."""
    which = {"trial_id": trial_id, "attempt": attempt, "after": -1}
    points = [point for query in (_LAST_BATCH, _LAST_EPOCH) for point in _measured(tx.execute(query, which))]
    return sorted(points, key=lambda point: point.index)


def _measured(rows: Iterable[Any]) -> list[Measurement]:
    return [Measurement(row[0], row[1], row[2], row[3], row[4], row[5], row[6] or {}) for row in rows]


_AFTER = select(*(_measurement[key] for key in _MEASURED), _measurement.extra).where(
    _measurement.attempt == bindparam("attempt"), _measurement.index > bindparam("after")
)
_MEASUREMENTS = _AFTER.where(_measurement.job_id == bindparam("job_id")).order_by(_measurement.index)
_EPOCHS = _MEASUREMENTS.where(_measurement.epoch.is_not(None), _measurement.value.is_not(None))
_EPOCHS_OF_TRIALS = (
    select(_job.trial_id, *(_measurement[key] for key in _MEASURED), _measurement.extra)
    .select_from(tables.job.join(tables.measurement, and_(_measurement.job_id == _job.id, _measurement.attempt == _job.attempt)))
    .where(_job.trial_id.in_(bindparam("ids", expanding=True)), _measurement.epoch.is_not(None), _measurement.value.is_not(None))
    .order_by(_job.trial_id, _measurement.index)
)
_ITS_JOB = select(_job.id).where(_job.trial_id == bindparam("trial_id")).scalar_subquery()
_ALL_OF_TRIAL = _AFTER.where(_measurement.job_id == _ITS_JOB)
_OF_TRIAL = _ALL_OF_TRIAL.order_by(_measurement.index)
_LAST_BATCH = _ALL_OF_TRIAL.where(_measurement.epoch.is_(None)).order_by(_measurement.index.desc()).limit(1)
_LAST_EPOCH = _ALL_OF_TRIAL.where(_measurement.epoch.is_not(None)).order_by(_measurement.index.desc()).limit(1)


def last_measured(tx: Connection) -> dict[int, float]:
    """By the id of each trial that trains: when its newest measurement was made."""
    newest = tables.measurement.alias("newest")
    mine = and_(newest.c.job_id == _job.id, newest.c.attempt == _job.attempt)
    last = select(func.max(newest.c.index)).where(mine).correlate(tables.job).scalar_subquery()
    is_last = and_(_measurement.job_id == _job.id, _measurement.attempt == _job.attempt, _measurement.index == last)
    running = and_(_job.finished_at.is_(None), _job.claimed_at.is_not(None), _job.trial_id.is_not(None))
    query = select(_job.trial_id, _job.claimed_at + _measurement.seconds)
    return {row[0]: row[1] for row in tx.execute(query.select_from(tables.job.join(tables.measurement, is_last)).where(running))}


def count_batches(tx: Connection, job_id: int, attempt: int) -> int:
    """How many batch losses of an attempt are stored."""
    mine = and_(_measurement.job_id == job_id, _measurement.attempt == attempt, _measurement.epoch.is_(None))
    return int(tx.execute(select(func.count()).where(mine)).scalar_one())


def delete_points(tx: Connection, job_id: int, attempt: int, indices: Sequence[int]) -> None:
    """Delete single measurements of an attempt."""
    for start in range(0, len(indices), 500):  # SQLite limits the parameters of one statement
        chosen = _measurement.index.in_(indices[start : start + 500])
        mine = and_(_measurement.job_id == job_id, _measurement.attempt == attempt)
        tx.execute(delete(tables.measurement).where(mine, chosen))


def scored(tx: Connection, study_id: int, mode: Mode) -> frozenset[int]:
    """The sessions of a study and a mode that have an evaluation, ended or not."""
    session = tables.session.c
    query = select(_job.session_id).join(tables.session, session.id == _job.session_id).distinct()
    mine = and_(session.study_id == study_id, session.mode == mode, session.practice.is_(False), _job.seed_index.is_not(None))
    return frozenset(tx.execute(query.where(mine)).scalars())


def evaluation(tx: Connection, session: Session) -> Evaluation:
    """Each evaluation seed's outcome and test metric (the value at the last epoch of its finished attempt), by choice."""
    scores: dict[int, list[SeedScore]] = defaultdict(list)
    condition = and_(_job.session_id == session.id, _job.seed_index.is_not(None))
    for job in sorted(_select(tx, condition), key=lambda job: job.seed_index or 0):
        measured = measurements(tx, job.id, job.attempt) if job.outcome is Outcome.COMPLETED else []
        value = next((one.value for one in reversed(measured) if one.value is not None), None)
        extra = next((one.extra for one in reversed(measured) if one.extra), {})  # of its last epoch; the test score has none
        score = SeedScore(job.seed_index or 0, job.seed, job.outcome, value, job.why, job.environment, extra)
        scores[job.of_earlier].append(score)
    earlier = tuple(tuple(scores[number]) for number in range(1, len(session.earlier_choices) + 1))
    return Evaluation(session.id, session.task.metric, tuple(scores[0]), earlier, session.evaluation_mode)


def add_agent(
    tx: Connection, name: str, slots: int, local: bool, machine: str, now: float, environment: str | None = None
) -> int:
    """Store a new agent; its id. environment: the key of what it said."""
    row = {"name": name, "slots": slots, "local": local, "machine": machine, "created_at": now, "environment": environment}
    return inserted(tx, tables.agent, row)


def agent_name(tx: Connection, agent_id: int) -> str:
    """What an agent is called."""
    name: str = tx.execute(select(tables.agent.c.name).where(tables.agent.c.id == agent_id)).scalar_one()
    return name


def agent_names(tx: Connection) -> dict[int, str]:
    """What all agents are called, by id."""
    return {row[0]: row[1] for row in tx.execute(select(tables.agent.c.id, tables.agent.c.name))}


def agent_seen(tx: Connection, agent_id: int, now: float) -> None:
    """Note that an agent was heard of."""
    tx.execute(_SEEN, {"of": agent_id, "at": now})


_SEEN = update(tables.agent).where(tables.agent.c.id == bindparam("of")).values(last_seen=bindparam("at"))


def update_agent(tx: Connection, agent_id: int, facts: Mapping[str, Any]) -> None:
    """Set what an agent says of itself."""
    tx.execute(update(tables.agent).where(tables.agent.c.id == agent_id).values(**facts))


def agents(tx: Connection, since: float) -> list[AgentRecord]:
    """Agents heard of since then, and how many jobs each holds."""
    busy = (
        select(_job.agent_id, func.count().label("busy"))
        .where(_job.finished_at.is_(None), _job.leased_until.is_not(None))
        .group_by(_job.agent_id)
        .subquery()
    )
    table = tables.agent
    environment = tables.environment
    source = table.outerjoin(busy, busy.c.agent_id == table.c.id).outerjoin(environment, environment.c.key == table.c.environment)
    query = (
        select(table, func.coalesce(busy.c.busy, 0).label("busy"), environment.c.facts)
        .select_from(source)
        .where(table.c.last_seen >= since)
        .order_by(table.c.id)
    )
    plain = ("id", "name", "slots", "last_seen", "local", "machine")
    return [
        AgentRecord(
            environment=None if row["environment"] is None else environments.read(row["environment"], row["facts"]),
            busy=min(row["busy"], row["slots"]),  # one that a pause holds may have given its slot to another
            **{key: row[key] for key in plain},
        )
        for row in tx.execute(query).mappings()
    ]
