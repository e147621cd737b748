"""What is only ever appended: events, and looks at evaluations."""

from collections.abc import Collection
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, or_, select

from evenhand.model.archive import Event
from evenhand.model.person import UNNAMED, WHO_PATTERN
from evenhand.store import tables
from evenhand.store.cache import logged
from evenhand.store.studies import same_test_data

ACTING: ContextVar[str | None] = ContextVar("acting", default=None)  # which person asked for what is written now


def record(
    tx: Connection, now: float, kind: str, session_id: int | None = None, trial_id: int | None = None, **detail: Any
) -> None:
    """Append an event. It names things by id; personal content stays in rows that can be erased.

    Its detail says `who` where a person asked for it.
    """
    if (person := ACTING.get()) is not None:
        detail = {"who": person, **detail}
    tx.execute(_RECORD, {"at": now, "kind": kind, "session_id": session_id, "trial_id": trial_id, "detail": detail})
    if session_id is not None:
        logged(tx, session_id)


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
        own_sessions = select(tables.session.c.id).where(tables.session.c.participant_id == participant_id)
        query = query.where(or_(row.session_id.in_(own_sessions), row.detail["participant"].as_integer() == participant_id))
    if study_id is not None:
        query = query.where(of_study(study_id))
    return [Event(**fields) for fields in tx.execute(query).mappings()]


def of_kind(tx: Connection, session_id: int, kind: str) -> list[Event]:
    """A session's events of one kind, in order."""
    return [Event(**fields) for fields in tx.execute(_OF_KIND, {"id": session_id, "kind": kind}).mappings()]


_OF_KIND = (
    select(tables.event)
    .where(tables.event.c.session_id == bindparam("id"), tables.event.c.kind == bindparam("kind"))
    .order_by(tables.event.c.id)
)


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


def unseen(tx: Connection, session_ids: Collection[int], who: str) -> frozenset[int]:
    """Of these sessions those at whose evaluation somebody has not looked."""
    row = tables.look.c
    seen = tx.execute(select(row.session_id).where(row.who == who, row.session_id.in_(session_ids))).scalars()
    return frozenset(session_ids) - frozenset(seen)


def looked_at_task(tx: Connection, task_id: int, who: str) -> bool:
    """Whether somebody looked at any evaluation of a task, or of another one that is scored on the same test data.

    A look from before people had names counts for each of them: nobody knows which one it was.
    """
    by = (who, UNNAMED) if WHO_PATTERN.fullmatch(who) else (who,)
    return tx.execute(_LOOKED, {"task": task_id, "by": by}).first() is not None


_LOOKED_SESSIONS = tables.look.join(tables.session, tables.session.c.id == tables.look.c.session_id)
_ON_THE_SAME = tables.session.c.task_id.in_(same_test_data(bindparam("task")))
_LOOKED = (
    select(tables.look.c.id)
    .select_from(_LOOKED_SESSIONS)
    .where(_ON_THE_SAME, tables.look.c.who.in_(bindparam("by", expanding=True)))
    .limit(1)
)


def looks_at_test_data(tx: Connection, task_id: int) -> list[tuple[str, float]]:
    """Who looked at a test score of a task, or of another one that is scored on the same test data, and when, in order."""
    return [(who, at) for who, at in tx.execute(_LOOKS_AT_TEST_DATA, {"task": task_id})]


_LOOKS_AT_TEST_DATA = (
    select(tables.look.c.who, tables.look.c.at)
    .select_from(_LOOKED_SESSIONS)
    .where(_ON_THE_SAME)
    .order_by(tables.look.c.at, tables.look.c.id)
)
