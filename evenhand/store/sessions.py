"""Sessions with their trials: read whole, since every rule is a function of a whole session."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, delete, func, insert, select, update

from evenhand.declaration import Budget
from evenhand.errors import NotFound
from evenhand.records import Choice, Evaluated, Extension, Outcome, Session, Stopper, Trial
from evenhand.space import Configuration
from evenhand.store import studies, tables
from evenhand.store.studies import budget_to_json, inserted

_job, _trial = tables.job.c, tables.trial.c


def add(tx: Connection, session: Session, driver: str) -> int:
    """Store a new session; its id."""
    row = {
        "study_id": session.study_id,
        "task_id": session.task.id,
        "participant_id": session.participant_id,
        "tuner": session.tuner,
        "method": dict(session.method),
        "driver": driver,
        "budget": budget_to_json(session.budget),
        "tuning_seed": session.tuning_seed,
        "opened_at": session.opened_at,
    }
    return inserted(tx, tables.session, row)


def get(tx: Connection, session_id: int) -> Session:
    """The session with this id, with its trials."""
    found = _load(tx, tables.session.c.id == session_id)
    if not found:
        raise NotFound(f"session {session_id} does not exist")
    return found[0]


def of_study(tx: Connection, study_id: int) -> list[Session]:
    """All sessions of a study, in order of opening."""
    return _load(tx, tables.session.c.study_id == study_id)


def past_limit(tx: Connection, now: float) -> list[Session]:
    """Started sessions without a choice whose time limit, without credits, has passed: their deadline may have, too."""
    chosen = select(tables.choice.c.session_id)
    table = tables.session.c
    open_sessions = and_(table.started_at.is_not(None), table.withdrawn_at.is_(None), table.id.not_in(chosen))
    rows = tx.execute(select(table.id, table.started_at, table.budget).where(open_sessions))
    late = [row.id for row in rows if (seconds := row.budget["seconds"]) is not None and row.started_at + seconds <= now]
    return _load(tx, table.id.in_(late)) if late else []


def open_ids(tx: Connection, driver: str) -> list[int]:
    """Ids of started sessions without a choice that this driver serves."""
    table, chosen = tables.session.c, select(tables.choice.c.session_id)
    started = and_(table.started_at.is_not(None), table.withdrawn_at.is_(None), table.driver == driver)
    return list(tx.execute(select(table.id).where(started, table.id.not_in(chosen))).scalars())


def driven_by(tx: Connection, driver: str) -> list[int]:
    """Ids of the methods' sessions that this driver has to play on."""
    table = tables.session.c
    query = select(table.id).where(
        table.driver == driver, table.participant_id.is_(None), table.id.not_in(select(tables.choice.c.session_id))
    )
    return list(tx.execute(query.order_by(table.id)).scalars())


def update_facts(tx: Connection, session_id: int, **facts: Any) -> None:
    """Set columns of a session's row."""
    tx.execute(update(tables.session).where(tables.session.c.id == session_id).values(**facts))


def extend(tx: Connection, session_id: int, extension: Extension) -> None:
    """Give a session time."""
    row = {"session_id": session_id, "start": extension.start, "seconds": extension.seconds, "reason": extension.reason}
    tx.execute(insert(tables.extension).values(row))


def add_trial(tx: Connection, trial: Trial, key: str | None) -> int:
    """Store a new trial; its id."""
    row = {
        "session_id": trial.session_id,
        "number": trial.number,
        "configuration": dict(trial.configuration),
        "reasons": dict(trial.reasons),
        "explanation": trial.explanation,
        "proposer": trial.proposer,
        "submitted_at": trial.submitted_at,
        "epochs_planned": trial.epochs_planned,
        "key": key,
    }
    return inserted(tx, tables.trial, row)


def number_by_key(tx: Connection, session_id: int, key: str) -> int | None:
    """The number of the trial that was submitted with this idempotency key."""
    query = select(_trial.number).where(_trial.session_id == session_id, _trial.key == key)
    return tx.execute(query).scalar()


def choose(tx: Connection, session_id: int, choice: Choice, key: str | None) -> None:
    """Store the choice that ends a session."""
    row = {
        "session_id": session_id,
        "at": choice.at,
        "configuration": None if choice.configuration is None else dict(choice.configuration),
        "trial_id": choice.trial_id,
        "automatic": choice.automatic,
        "key": key,
    }
    tx.execute(insert(tables.choice).values(row))


def choice_key(tx: Connection, session_id: int) -> str | None:
    """The idempotency key of the session's choice."""
    return tx.execute(select(tables.choice.c.key).where(tables.choice.c.session_id == session_id)).scalar()


def erase(tx: Connection, session_id: int) -> None:
    """Delete what a session's tuner did; the session's row stays as the tombstone that keeps the count."""
    jobs = select(_job.id).where(_job.session_id == session_id)
    for table in (tables.measurement, tables.attempt):
        tx.execute(delete(table).where(table.c.job_id.in_(jobs)))
    for table in (tables.choice, tables.job, tables.trial, tables.extension, tables.look):
        tx.execute(delete(table).where(table.c.session_id == session_id))


def _load(tx: Connection, condition: Any) -> list[Session]:
    rows = tx.execute(select(tables.session).where(condition).order_by(tables.session.c.id)).mappings().all()
    ids = [row["id"] for row in rows]
    if not ids:
        return []
    trials, extensions = _trials(tx, ids), _extensions(tx, ids)
    choices, evaluated = _choices(tx, ids), _evaluated(tx, ids)
    tasks = {task_id: studies.task(tx, task_id) for task_id in {row["task_id"] for row in rows}}
    live = {study_id: studies.study(tx, study_id).live_validation for study_id in {row["study_id"] for row in rows}}
    plain = ("id", "study_id", "participant_id", "tuner", "method", "tuning_seed", "opened_at", "started_at", "withdrawn_at")
    return [
        Session(
            task=tasks[row["task_id"]],
            kind="method" if row["participant_id"] is None else "participant",
            budget=Budget(**row["budget"]),
            last_seen=row["last_seen"],
            live_validation=live[row["study_id"]],
            trials=tuple(trials[row["id"]]),
            extensions=tuple(extensions[row["id"]]),
            choice=choices.get(row["id"]),
            evaluated=evaluated.get(row["id"], Evaluated()),
            **{key: row[key] for key in plain},
        )
        for row in rows
    ]


def _trials(tx: Connection, ids: Iterable[int]) -> Mapping[int, list[Trial]]:
    """Trials of the sessions, with what their current attempt measured so far."""
    # Both are looked up from the end of the attempt's primary key: a session's read must not grow with its batches.
    epoch, newest, last = tables.measurement.alias("epoch"), tables.measurement.alias("newest"), tables.measurement.alias("last")
    epoch_index = (
        select(epoch.c.index)
        .where(epoch.c.job_id == _job.id, epoch.c.attempt == _job.attempt, epoch.c.epoch.is_not(None))
        .order_by(epoch.c.index.desc())
        .limit(1)
        .correlate(tables.job)
        .scalar_subquery()
    )
    last_index = (
        select(func.max(newest.c.index))
        .where(newest.c.job_id == _job.id, newest.c.attempt == _job.attempt)
        .correlate(tables.job)
        .scalar_subquery()
    )
    is_last = and_(last.c.job_id == _job.id, last.c.attempt == _job.attempt, last.c.index == epoch_index)
    source = tables.trial.join(tables.job, _job.trial_id == _trial.id).outerjoin(last, is_last)
    facts = (_job.claimed_at, _job.attempt, _job.finished_at, _job.outcome, _job.why, _job.stop_by, last.c.value)
    marks = (last.c.epoch.label("epochs_done"), last.c.index.label("epoch_index"), last_index.label("last_index"))
    query = select(tables.trial, *facts, *marks).select_from(source).where(_trial.session_id.in_(ids))
    trials: dict[int, list[Trial]] = defaultdict(list)
    for row in tx.execute(query.order_by(_trial.number)).mappings():
        trials[row["session_id"]].append(_to_trial(row))
    return trials


def _to_trial(row: RowMapping) -> Trial:
    outcome = Outcome(row["outcome"]) if row["outcome"] else None
    runs = row["claimed_at"] is not None  # else what is stored is of an attempt that was lost
    done = (row["epochs_done"] or 0) if runs else 0
    begun = runs and row["last_index"] is not None and row["last_index"] != row["epoch_index"]
    plain = (
        "id", "session_id", "number", "proposer", "submitted_at", "epochs_planned", "reasons", "explanation", "claimed_at",
        "attempt", "finished_at", "why",
    )  # fmt: skip
    return Trial(
        configuration=Configuration(row["configuration"]),
        outcome=outcome,
        stop_by=Stopper(row["stop_by"]) if row["stop_by"] else None,
        value=row["value"] if runs and outcome is not Outcome.FAILED else None,
        epochs_done=done,
        epochs_begun=done + begun,
        **{key: row[key] for key in plain},
    )


def _extensions(tx: Connection, ids: Iterable[int]) -> Mapping[int, list[Extension]]:
    found: dict[int, list[Extension]] = defaultdict(list)
    for row in tx.execute(select(tables.extension).where(tables.extension.c.session_id.in_(ids))).mappings():
        found[row["session_id"]].append(Extension(row["seconds"], row["reason"], row["start"]))
    return found


def _choices(tx: Connection, ids: Iterable[int]) -> Mapping[int, Choice]:
    found = {}
    for row in tx.execute(select(tables.choice).where(tables.choice.c.session_id.in_(ids))).mappings():
        configuration = None if row["configuration"] is None else Configuration(row["configuration"])
        found[row["session_id"]] = Choice(row["at"], configuration, row["trial_id"], row["automatic"])
    return found


def _evaluated(tx: Connection, ids: Iterable[int]) -> Mapping[int, Evaluated]:
    query = (
        select(_job.session_id, func.count(_job.id), func.count(_job.finished_at))
        .where(_job.session_id.in_(ids), _job.seed_index.is_not(None))
        .group_by(_job.session_id)
    )
    return {session_id: Evaluated(planned, done) for session_id, planned, done in tx.execute(query)}
