"""Many rows at a time: what an export reads by primary key, and what an import brings in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from evenhand.model import codec
from evenhand.model.archive import Event
from evenhand.model.environment import Environment
from evenhand.model.job import MeasurementBatch
from evenhand.model.participant import Batch, Participant
from evenhand.model.session import Session
from evenhand.model.study import Mode, Study
from evenhand.model.trial import Measurement, Outcome
from evenhand.store import environments, jobs, sessions, studies, tables
from evenhand.store import events as event_rows
from evenhand.store.cache import logged
from evenhand.store.sessions import ARCHIVE_DRIVER
from evenhand.store.studies import inserted

_job, _measurement, _person, _session = tables.job.c, tables.measurement.c, tables.participant.c, tables.session.c


# Out


def participant_ids(tx: Connection, study_id: int, mode: Mode) -> list[int]:
    """Ids of a study's participants of one mode, in order of joining."""
    query = select(_person.id).where(_person.study_id == study_id, _person.mode == mode)
    return list(tx.execute(query.order_by(_person.id)).scalars())


def method_ids(tx: Connection, study_id: int, mode: Mode) -> list[int]:
    """Ids of a study's sessions of methods of one mode, in order of opening, without those that were removed."""
    of_methods = (_session.study_id == study_id, _session.mode == mode, _session.participant_id.is_(None))
    query = select(_session.id).where(*of_methods, _session.practice.is_(False), _session.withdrawn_at.is_(None))
    return list(tx.execute(query.order_by(_session.id)).scalars())


def last_event(tx: Connection) -> int:
    """The id of the newest event; 0 where there is none."""
    return tx.execute(select(func.max(tables.event.c.id))).scalar() or 0


def measurements(tx: Connection, trial_id: int, attempt: int, after: int, limit: int) -> list[Measurement]:
    """At most `limit` measurements of a trial's attempt with an index above `after`; none where the trial was erased."""
    columns = (_measurement[key] for key in ("index", "step", "epoch", "loss", "value", "seconds", "extra"))
    joined = tables.measurement.join(tables.job, _measurement.job_id == _job.id)
    conditions = (_job.trial_id == trial_id, _measurement.attempt == attempt, _measurement.index > after)
    rows = tx.execute(select(*columns).select_from(joined).where(*conditions).order_by(_measurement.index).limit(limit))
    return [Measurement(row[0], row[1], row[2], row[3], row[4], row[5], row[6] or {}) for row in rows]


# In


def rename(tx: Connection, study_id: int, name: str) -> None:
    """Give a study another name."""
    tx.execute(update(tables.study).where(tables.study.c.id == study_id).values(name=name))


def add_version(tx: Connection, study: Study) -> None:
    """Store one version of a study as it is, its number and times included."""
    row = {
        "study_id": study.id,
        "version": study.version,
        "task_id": study.task_id,
        "hash": study.hash,
        "declared": studies.declared(study),
        "created_at": study.created_at,
        "published_at": study.published_at,
        "note": study.note,
        "environment": environments.add(tx, study.environment),
    }
    tx.execute(insert(tables.study_version).values(row))


def add_environments(tx: Connection, trained_in: Iterable[Environment]) -> None:
    """Store the environments that trials and evaluations were trained in."""
    for environment in trained_in:
        environments.add(tx, environment)


def add_batch(tx: Connection, batch: Batch) -> int:
    """Store a batch of invitations, switched off and without links; its id."""
    plain = ("study_id", "label", "mode", "kind", "cap", "created_at", "expires_at")
    return inserted(tx, tables.batch, {"enabled": False, **{key: getattr(batch, key) for key in plain}})


def add_participant(tx: Connection, person: Participant, number: int, resume_hash: str, now: float) -> int:
    """Store a participant with what they answered; the row's id."""
    plain = (
        "study_id", "created_at", "mode", "batch_id", "version", "condition", "language", "consent_version", "consented_at",
        "read_details_at", "practised_at", "withdrawn_at",
    )  # fmt: skip
    row = {"number": number, "resume_hash": resume_hash, **{key: getattr(person, key) for key in plain}}
    participant_id = inserted(tx, tables.participant, row)
    # Only the order of what was sent in is known; each a second later, it stays.
    sent = [
        {"participant_id": participant_id, "questionnaire": name, "at": person.created_at + index}
        for index, name in enumerate(person.answered)
    ]
    given = [{"participant_id": participant_id, "question": name, "value": value} for name, value in person.answers.items()]
    _insert(tx, tables.answered, sent)
    _insert(tx, tables.answer, given)
    if person.excluded is not None:
        row = {"participant_id": participant_id, "at": now, "excluded": True, "reason": person.excluded}
        _insert(tx, tables.exclusion, [row])
    return participant_id


def add_session(tx: Connection, session: Session) -> tuple[int, dict[int, int]]:
    """Store a session with its trials and its choice; its id, and those of its trials by the ids they had."""
    session_id = sessions.add(tx, session, ARCHIVE_DRIVER)
    facts = {key: getattr(session, key) for key in ("started_at", "withdrawn_at", "last_seen")}
    sessions.update_facts(tx, session_id, **facts)
    for extension in session.extensions:
        sessions.extend(tx, session_id, extension)
    pauses = [
        {"session_id": session_id, "start": pause.start, "end": pause.end, "reason": pause.reason} for pause in session.pauses
    ]
    _insert(tx, tables.pause, pauses)
    for intervention in session.interventions:
        sessions.intervene(tx, session_id, intervention)
    return session_id, _add_trials(tx, session, session_id)


FACTS_OF_JOB = ("attempt", "claimed_at", "finished_at", "stop_by", "outcome", "why", "environment")


def _add_trials(tx: Connection, session: Session, session_id: int) -> dict[int, int]:
    """Store a session's trials with their jobs; the rows' ids by the ids that the trials had."""
    plain = (
        "number", "explanation", "proposer", "submitted_at", "epochs_planned", "resumes", "epochs_before", "revision",
    )  # fmt: skip
    rows = [
        {
            **{key: getattr(trial, key) for key in plain},
            "configuration": dict(trial.configuration),
            "reasons": dict(trial.reasons),
            "signals": codec.to_json(trial.signals),
            "session_id": session_id,
            "key": None,
        }
        for trial in session.trials
    ]
    _insert(tx, tables.trial, rows)
    query = select(tables.trial.c.number, tables.trial.c.id).where(tables.trial.c.session_id == session_id)
    ids = {row[0]: row[1] for row in tx.execute(query)}
    jobs_of_trials = [
        {
            **{key: getattr(trial, key) for key in FACTS_OF_JOB},
            "session_id": session_id,
            "trial_id": ids[trial.number],
            "seed": session.tuning_seed,
            "queued_at": trial.submitted_at,
            "holds": codec.to_json(trial.holds) or None,
        }
        for trial in session.trials
    ]
    _insert(tx, tables.job, jobs_of_trials)
    return {trial.id: ids[trial.number] for trial in session.trials}


def add_score(tx: Connection, session_id: int, at: float, score: Any, of_earlier: int = 0) -> None:
    """Store one seed of an evaluation: its training, and the one measurement that its value is. of_earlier: of which choice."""
    ended = at if score.outcome is not None else None
    row = {
        "session_id": session_id,
        "seed_index": score.index,
        "of_earlier": of_earlier,
        "seed": score.seed,
        "queued_at": at,
        "attempt": 1,
        "claimed_at": ended,
        "finished_at": ended,
        "outcome": score.outcome,
        "why": score.why,
        "environment": score.environment,
    }
    job_id = inserted(tx, tables.job, row)
    if score.value is not None and score.outcome is Outcome.COMPLETED:
        jobs.append(tx, [MeasurementBatch(job_id, 1, [Measurement(0, 0, None, None, score.value, 0.0, score.extra)])])


def job_ids(tx: Connection, trial_ids: Sequence[int]) -> Mapping[int, int]:
    """The job of each trial."""
    rows = tx.execute(select(_job.trial_id, _job.id).where(_job.trial_id.in_(trial_ids)))
    return {row[0]: row[1] for row in rows}


def add_measurements(tx: Connection, entries: Iterable[tuple[int, int, Measurement]]) -> None:
    """Store measurements, each with its job and attempt."""
    rows = [
        {
            "job_id": job,
            "attempt": attempt,
            "index": one.index,
            "step": one.step,
            "epoch": one.epoch,
            "loss": one.loss,
            "value": one.value,
            "seconds": one.seconds,
            "extra": dict(one.extra) or None,
        }
        for job, attempt, one in entries
    ]
    _insert(tx, tables.measurement, rows)


def add_events(tx: Connection, events: Sequence[Event]) -> None:
    """Append events as they are, but for their ids."""
    plain = ("at", "kind", "session_id", "trial_id")
    rows = [{**{key: getattr(event, key) for key in plain}, "detail": dict(event.detail)} for event in events]
    _insert(tx, tables.event, rows)
    for session_id in {event.session_id for event in events if event.session_id is not None}:
        logged(tx, session_id)


def drop_study(tx: Connection, study_id: int) -> None:
    """Delete a study that was not brought in to its end, with all that is of it."""
    of_sessions = select(_session.id).where(_session.study_id == study_id)
    of_people = select(_person.id).where(_person.study_id == study_id)
    tx.execute(delete(tables.event).where(event_rows.of_study(study_id)))
    for session_id in list(tx.execute(of_sessions).scalars()):
        sessions.delete_parts(tx, session_id)
    for table in (tables.answer, tables.answered, tables.exclusion):
        tx.execute(delete(table).where(table.c.participant_id.in_(of_people)))
    for table in (tables.session, tables.participant, tables.batch, tables.study_version):
        tx.execute(delete(table).where(table.c.study_id == study_id))
    tx.execute(delete(tables.study).where(tables.study.c.id == study_id))


def _insert(tx: Connection, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        tx.execute(insert(table), list(rows))
