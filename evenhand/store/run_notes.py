"""What people wrote beside exploratory sessions."""

from collections.abc import Mapping

from sqlalchemy import Connection, RowMapping, delete, insert, select

from evenhand.model.run_notes import RunNotes
from evenhand.store import tables

_row = tables.run_notes.c


def of(tx: Connection, session_id: int) -> RunNotes:
    """What is written beside a session."""
    row = tx.execute(select(tables.run_notes).where(_row.session_id == session_id)).mappings().first()
    return RunNotes() if row is None else _to_notes(row)


def every(tx: Connection) -> Mapping[int, RunNotes]:
    """What is written beside all sessions that have notes."""
    return {row["session_id"]: _to_notes(row) for row in tx.execute(select(tables.run_notes)).mappings()}


def put(tx: Connection, session_id: int, notes: RunNotes) -> None:
    """Store what is written beside a session, in the place of what was."""
    drop(tx, session_id)
    row = {
        "session_id": session_id,
        "tags": list(notes.tags),
        "note": notes.note,
        "archived_at": notes.archived_at,
        "deleted_at": notes.deleted_at,
        "baseline": notes.baseline,
    }
    tx.execute(insert(tables.run_notes).values(row))


def drop(tx: Connection, session_id: int) -> None:
    """Delete what is written beside a session."""
    tx.execute(delete(tables.run_notes).where(_row.session_id == session_id))


def deleted_before(tx: Connection, moment: float) -> list[int]:
    """Ids of the sessions that were put away to be erased before a moment."""
    return list(tx.execute(select(_row.session_id).where(_row.deleted_at < moment).order_by(_row.session_id)).scalars())


def _to_notes(row: RowMapping) -> RunNotes:
    return RunNotes(tuple(row["tags"]), row["note"], row["archived_at"], row["deleted_at"], row["baseline"])
