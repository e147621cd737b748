"""Participants."""

from typing import Any

from sqlalchemy import Connection, RowMapping, func, select, update

from evenhand.errors import NotFound
from evenhand.records import Participant
from evenhand.store import tables
from evenhand.store.studies import inserted

_CONSENT = ("consent_version", "consented_at", "read_details_at", "withdrawn_at")
_PLAIN = ("id", "study_id", "created_at", "months", "education", *_CONSENT)


def add(tx: Connection, study_id: int, resume_hash: str, now: float) -> int:
    """A new participant of the study, with the next number; the row's id."""
    of_study = tables.participant.c.study_id == study_id
    last = tx.execute(select(func.max(tables.participant.c.number)).where(of_study)).scalar() or 0
    row = {"study_id": study_id, "number": last + 1, "resume_hash": resume_hash, "created_at": now}
    return inserted(tx, tables.participant, row)


def update_facts(tx: Connection, participant_id: int, **facts: Any) -> None:
    """Set columns of a participant's row."""
    tx.execute(update(tables.participant).where(tables.participant.c.id == participant_id).values(**facts))


def get(tx: Connection, participant_id: int) -> Participant:
    """The participant with this id."""
    rows = _select(tx, tables.participant.c.id == participant_id)
    if not rows:
        raise NotFound(f"participant {participant_id} does not exist")
    return rows[0]


def by_resume_hash(tx: Connection, resume_hash: str) -> Participant | None:
    """The participant whose resume code has this hash."""
    return next(iter(_select(tx, tables.participant.c.resume_hash == resume_hash)), None)


def of_study(tx: Connection, study_id: int) -> list[Participant]:
    """All participants of a study, in order of joining."""
    return _select(tx, tables.participant.c.study_id == study_id)


def _select(tx: Connection, condition: Any) -> list[Participant]:
    joined = tables.participant.outerjoin(tables.session, tables.session.c.participant_id == tables.participant.c.id)
    query = select(tables.participant, tables.session.c.id.label("session_id")).select_from(joined)
    rows = tx.execute(query.where(condition).order_by(tables.participant.c.id)).mappings()
    return [_participant(row) for row in rows]


def _participant(row: RowMapping) -> Participant:
    facts = {key: row[key] for key in _PLAIN}
    return Participant(pseudonym=f"P-{row['number']:02d}", session_id=row["session_id"], **facts)
