"""What a trial of an open space asks for while it trains, and what its program keeps with it and with its session."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from evenhand.model.open_space import Memo
from evenhand.store import tables
from evenhand.store.cache import changed
from evenhand.store.sessions import PYTHON_DRIVER

GREW = "grew"  # the event that an open space holds more than before
_kept, _trial, _event = tables.remembered.c, tables.trial.c, tables.event.c


def values(tx: Connection, trial_id: int) -> dict[str, Any]:
    """What a trial has asked for so far, by name."""
    asked: dict[str, Any] = tx.execute(_VALUES, {"of": trial_id}).scalar_one()
    return asked


def set_values(tx: Connection, trial_id: int, asked: Mapping[str, Any]) -> None:
    """Write what a trial that goes on has asked for: it is read anew each time, so no event says it."""
    tx.execute(_SET_VALUES, {"of": trial_id, "to": dict(asked)})


def freeze(tx: Connection, session_id: int, trial_id: int, asked: Mapping[str, Any], revision: int) -> None:
    """Write what a trial that ends has asked for, and the space's revision that this lies in."""
    changed(tx, session_id)
    tx.execute(update(tables.trial).where(_trial.id == trial_id).values(configuration=dict(asked), revision=revision))


def revision(tx: Connection, session_id: int) -> int:
    """How often a session's open space grew."""
    return int(tx.execute(_REVISION, {"of": session_id}).scalar_one())


def remember(tx: Connection, session_id: int, trial_id: int | None, memo: Memo) -> None:
    """Keep a value under its kind and name; one that is there already is replaced."""
    given = {"session": session_id, "trial": trial_id, "a_kind": memo.kind, "a_name": memo.name, "to": memo.value}
    if tx.execute(_REPLACE if trial_id is not None else _REPLACE_OF_SESSION, given).rowcount == 0:
        row = {"session_id": session_id, "trial_id": trial_id, "kind": memo.kind, "name": memo.name, "value": memo.value}
        tx.execute(_REMEMBER, row)


def forget(tx: Connection, trial_id: int, kind: str) -> None:
    """Drop what of a kind was kept with a trial."""
    tx.execute(delete(tables.remembered).where(_kept.trial_id == trial_id, _kept.kind == kind))


def remembered(tx: Connection, session_id: int) -> list[tuple[int | None, Memo]]:
    """All that was kept with a session and its trials, each with its trial's id, in order."""
    return [(row.trial_id, Memo(row.kind, row.name, row.value)) for row in tx.execute(_ALL, {"session": session_id})]


def session_ids(tx: Connection) -> list[int]:
    """Ids of the sessions of this laboratory's own whose tasks have an open space, in order."""
    open_tasks = select(tables.task.c.id).where(tables.task.c.space["open"].as_boolean())
    table = tables.session.c
    query = select(table.id).where(table.task_id.in_(open_tasks), table.driver == PYTHON_DRIVER, table.withdrawn_at.is_(None))
    return list(tx.execute(query.order_by(table.id)).scalars())


def session_of(tx: Connection, trial_id: int) -> int | None:
    """The id of the session that a trial is of; None where there is no such trial."""
    return tx.execute(select(_trial.session_id).where(_trial.id == trial_id)).scalar()


_VALUES = select(_trial.configuration).where(_trial.id == bindparam("of"))
_SET_VALUES = update(tables.trial).where(_trial.id == bindparam("of")).values(configuration=bindparam("to"))
_REVISION = select(func.count()).where(_event.session_id == bindparam("of"), _event.kind == GREW)
_REMEMBER = insert(tables.remembered)
_REPLACING = update(tables.remembered).where(_kept.kind == bindparam("a_kind"), _kept.name == bindparam("a_name"))
_REPLACE = _REPLACING.where(_kept.trial_id == bindparam("trial")).values(value=bindparam("to"))
_REPLACE_OF_SESSION = _REPLACING.where(_kept.session_id == bindparam("session"), _kept.trial_id.is_(None)).values(
    value=bindparam("to")
)
_ALL = (
    select(_kept.trial_id, _kept.kind, _kept.name, _kept.value).where(_kept.session_id == bindparam("session")).order_by(_kept.id)
)
