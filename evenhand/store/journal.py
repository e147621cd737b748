"""What is only ever appended or spent: events, looks at evaluations, tokens."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, or_, select, update

from evenhand.records import Event
from evenhand.store import tables

_token = tables.token.c


def record(
    tx: Connection, now: float, kind: str, session_id: int | None = None, trial_id: int | None = None, **detail: Any
) -> None:
    """Append an event. It names things by id; personal content stays in rows that can be erased."""
    tx.execute(_RECORD, {"at": now, "kind": kind, "session_id": session_id, "trial_id": trial_id, "detail": detail})


_RECORD = insert(tables.event)  # statements of what comes often are made once: building one costs more than running it


def events(
    tx: Connection,
    after: int,
    limit: int,
    session_id: int | None = None,
    participant_id: int | None = None,
    study_id: int | None = None,
    before: int | None = None,
) -> list[Event]:
    """Events with an id above `after`, in order; with `before`, those below it, the newest first. Of one thing, or of all."""
    row = tables.event.c
    query = select(tables.event).where(row.id > after).order_by(row.id if before is None else row.id.desc()).limit(limit)
    if before is not None:
        query = query.where(row.id < before)
    if session_id is not None:
        query = query.where(row.session_id == session_id)
    if participant_id is not None:
        theirs = select(tables.session.c.id).where(tables.session.c.participant_id == participant_id)
        query = query.where(or_(row.session_id.in_(theirs), row.detail["participant"].as_integer() == participant_id))
    if study_id is not None:
        query = query.where(of_study(study_id))
    return [Event(**found) for found in tx.execute(query).mappings()]


def newest(tx: Connection, session_id: int) -> int:
    """The id of a session's newest event, but for a trial's start, which tells its tuner nothing; 0 where there is none."""
    return int(tx.execute(_NEWEST, {"id": session_id}).scalar_one() or 0)


_NEWEST = select(func.max(tables.event.c.id)).where(
    tables.event.c.session_id == bindparam("id"), tables.event.c.kind.not_in(("submitted", "claimed"))
)


def of_study(study_id: int) -> Any:
    """The condition that an event is of a study, of one of its sessions, participants or batches."""
    row = tables.event.c
    parts = {"participant": tables.participant, "batch": tables.batch}
    named = [row.detail[name].as_integer().in_(select(t.c.id).where(t.c.study_id == study_id)) for name, t in parts.items()]
    sessions = select(tables.session.c.id).where(tables.session.c.study_id == study_id)
    return or_(row.session_id.in_(sessions), row.detail["study"].as_integer() == study_id, *named)


def look(tx: Connection, session_id: int, who: str, now: float) -> None:
    """Log that somebody looked at a session's evaluation."""
    tx.execute(insert(tables.look).values(session_id=session_id, who=who, at=now))


def looks(tx: Connection, session_id: int) -> list[tuple[str, float]]:
    """Who looked at a session's evaluation, and when."""
    return [(who, at) for who, at in tx.execute(_LOOKS, {"session": session_id})]


_LOOKS = (
    select(tables.look.c.who, tables.look.c.at).where(tables.look.c.session_id == bindparam("session")).order_by(tables.look.c.id)
)


def looked_at_task(tx: Connection, task_id: int, who: str) -> bool:
    """Whether somebody looked at any evaluation of a task."""
    return tx.execute(_LOOKED, {"task": task_id, "by": who}).first() is not None


_LOOKED = (
    select(tables.look.c.id)
    .select_from(tables.look.join(tables.session, tables.session.c.id == tables.look.c.session_id))
    .where(tables.session.c.task_id == bindparam("task"), tables.look.c.who == bindparam("by"))
    .limit(1)
)


def add_token(tx: Connection, kind: str, hashed: str, subject: int, now: float, expires_at: float | None) -> None:
    """Store a token's hash."""
    row: Mapping[str, Any] = {"hash": hashed, "kind": kind, "subject": subject, "created_at": now, "expires_at": expires_at}
    tx.execute(insert(tables.token).values(row))


def token_subject(tx: Connection, kind: str, hashed: str, now: float) -> int | None:
    """What a valid token stands for."""
    return tx.execute(_SUBJECT, {"of": kind, "is": hashed, "at": now}).scalar()


def count_tokens(tx: Connection, kind: str, now: float) -> int:
    """How many tokens of a kind are valid."""
    return tx.execute(select(func.count()).where(_valid(kind, None, now))).scalar_one()


def spend_token(tx: Connection, kind: str, hashed: str, now: float) -> bool:
    """Use up a token; False where it was not valid."""
    return tx.execute(update(tables.token).where(_valid(kind, hashed, now)).values(spent_at=now)).rowcount == 1


def revoke_tokens(tx: Connection, kind: str, subject: int) -> None:
    """Delete every token of a kind for one subject."""
    tx.execute(delete(tables.token).where(_token.kind == kind, _token.subject == subject))


def revoke_token(tx: Connection, kind: str, hashed: str) -> None:
    """Delete one token."""
    tx.execute(delete(tables.token).where(_token.kind == kind, _token.hash == hashed))


def _valid(kind: Any, hashed: Any, now: Any) -> Any:
    unexpired = or_(_token.expires_at.is_(None), _token.expires_at > now)
    one = [] if hashed is None else [_token.hash == hashed]
    return and_(_token.kind == kind, *one, _token.spent_at.is_(None), unexpired)


_SUBJECT = select(_token.subject).where(_valid(bindparam("of"), bindparam("is"), bindparam("at")))
