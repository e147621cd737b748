"""Where trainings are done: each distinct environment once, by its key."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from evenhand.model import codec
from evenhand.model.environment import Environment
from evenhand.store import tables

_environment = tables.environment.c


def add(tx: Connection, environment: Environment | None) -> str | None:
    """Store an environment, where it is not there yet; its key."""
    if environment is None:
        return None
    row = {"key": environment.key, "kind": environment.kind, "facts": codec.to_json(environment)}
    tx.execute(_INSERT_NEW[tx.dialect.name], row)
    return environment.key


_INSERT_NEW: dict[str, Any] = {
    "sqlite": sqlite.insert(tables.environment).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(tables.environment).on_conflict_do_nothing(),
}


def of_agent(tx: Connection, agent_id: int) -> Environment | None:
    """What an agent said of itself; None where it said nothing."""
    row = tx.execute(_OF_AGENT, {"id": agent_id}).first()
    return None if row is None else read(row.key, row.facts)


_OF_AGENT = (
    select(_environment.key, _environment.facts)
    .join(tables.agent, tables.agent.c.environment == _environment.key)
    .where(tables.agent.c.id == bindparam("id"))
)


def everything(tx: Connection) -> dict[str, Environment]:
    """All environments, by key."""
    rows = tx.execute(select(_environment.key, _environment.facts).order_by(_environment.key))
    return {row.key: read(row.key, row.facts) for row in rows}


def read(key: str, facts: Any) -> Environment:
    """An environment as it is stored."""
    return _read(key, tuple(sorted(facts.items())))


@lru_cache(maxsize=256)
def _read(key: str, facts: tuple[tuple[str, Any], ...]) -> Environment:
    """Cached, since each reading of agents and of studies needs some, and an environment never changes."""
    return codec.from_json(Environment, dict(facts))
