"""What is only ever appended or spent: events, looks at evaluations, tokens."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, or_, select, update

from evenhand.records import Event
from evenhand.store import tables

_token = tables.token.c


def record(
    tx: Connection, now: float, kind: str, session_id: int | None = None, trial_id: int | None = None, **detail: Any
) -> None:
    """Append an event. It names things by id; personal content stays in rows that can be erased."""
    row = {"at": now, "kind": kind, "session_id": session_id, "trial_id": trial_id, "detail": detail}
    tx.execute(insert(tables.event).values(row))


def events(tx: Connection, session_id: int | None, after: int, limit: int) -> list[Event]:
    """Events with an id above `after`, of one session or of all, in order."""
    query = select(tables.event).where(tables.event.c.id > after).order_by(tables.event.c.id).limit(limit)
    if session_id is not None:
        query = query.where(tables.event.c.session_id == session_id)
    return [Event(**row) for row in tx.execute(query).mappings()]


def look(tx: Connection, session_id: int, who: str, now: float) -> None:
    """Log that somebody looked at a session's evaluation."""
    tx.execute(insert(tables.look).values(session_id=session_id, who=who, at=now))


def looks(tx: Connection, session_id: int) -> list[tuple[str, float]]:
    """Who looked at a session's evaluation, and when."""
    query = select(tables.look.c.who, tables.look.c.at).where(tables.look.c.session_id == session_id)
    return [(who, at) for who, at in tx.execute(query.order_by(tables.look.c.id))]


def looked_at_task(tx: Connection, task_id: int, who: str) -> bool:
    """Whether somebody looked at any evaluation of a task."""
    joined = tables.look.join(tables.session, tables.session.c.id == tables.look.c.session_id)
    query = select(tables.look.c.id).select_from(joined)
    query = query.where(tables.session.c.task_id == task_id, tables.look.c.who == who).limit(1)
    return tx.execute(query).first() is not None


def add_token(tx: Connection, kind: str, hashed: str, subject: int, now: float, expires_at: float | None) -> None:
    """Store a token's hash."""
    row: Mapping[str, Any] = {"hash": hashed, "kind": kind, "subject": subject, "created_at": now, "expires_at": expires_at}
    tx.execute(insert(tables.token).values(row))


def token_subject(tx: Connection, kind: str, hashed: str, now: float) -> int | None:
    """What a valid token stands for."""
    return tx.execute(select(_token.subject).where(_valid(kind, hashed, now))).scalar()


def spend_token(tx: Connection, kind: str, hashed: str, now: float) -> bool:
    """Use up a token; False where it was not valid."""
    return tx.execute(update(tables.token).where(_valid(kind, hashed, now)).values(spent_at=now)).rowcount == 1


def revoke_tokens(tx: Connection, kind: str, subject: int) -> None:
    """Delete every token of a kind for one subject."""
    tx.execute(delete(tables.token).where(_token.kind == kind, _token.subject == subject))


def revoke_token(tx: Connection, kind: str, hashed: str) -> None:
    """Delete one token."""
    tx.execute(delete(tables.token).where(_token.kind == kind, _token.hash == hashed))


def _valid(kind: str, hashed: str, now: float) -> Any:
    unexpired = or_(_token.expires_at.is_(None), _token.expires_at > now)
    return and_(_token.kind == kind, _token.hash == hashed, _token.spent_at.is_(None), unexpired)
