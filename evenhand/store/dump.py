"""Whole tables out and in, whatever their columns are: what a backup reads, and what a restore writes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, create_engine, delete, func, insert, select, text, update

from evenhand.store import tables
from evenhand.store.engine import Store

Row = Mapping[str, Any]
Rows = Callable[[str], Iterable[Row]]  # the rows of a table, by its name
CHUNK_ROWS = 1000  # rows that one statement reads or writes, so that memory stays flat
OWN_TOKENS = ("signin", "researcher")  # tokens that are about who is at the machine now, not about the record

TABLE_NAMES = tuple(table.name for table in tables.metadata.sorted_tables)  # each after those that it refers to
TABLE_COLUMNS: Mapping[str, frozenset[str]] = {
    table.name: frozenset(column.name for column in table.columns) for table in tables.metadata.sorted_tables
}
_person, _study, _job, _token = tables.participant.c, tables.study.c, tables.job.c, tables.token.c


def revisions() -> tuple[str, ...]:
    """Every revision of the tables that this version of Evenhand knows, the newest first."""
    return tuple(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> alembic.config.Config:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config


def rows(tx: Connection, name: str) -> Iterator[Row]:
    """All rows of a table in order of its key, read a few at a time."""
    table = tables.metadata.tables[name]
    options = {"stream_results": True, "yield_per": CHUNK_ROWS}
    yield from map(dict, tx.execute(select(table).order_by(*table.primary_key), execution_options=options).mappings())


def build(path: Path, revision: str, names: Iterable[str], rows_of: Rows) -> Store:
    """A new SQLite file with the tables of an older revision, these rows in them, brought up to date."""
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = _config()
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, revision)
        past = MetaData()
        past.reflect(connection)
        wanted = set(names)
        for table in past.sorted_tables:
            if table.name in wanted:
                _insert(connection, table, rows_of(table.name))
    engine.dispose()
    return Store(f"sqlite:///{path}")


def replace(tx: Connection, rows_of: Rows) -> None:
    """Put these rows in the place of all that there are.

    Who runs the laboratory, who is signed in, and the agents that are connected, stay: they are about now. A training that an
    agent runs now, or ran when the backup was made, is not the queue's any more: it is queued again as a later attempt, so that
    nothing which that agent still says is taken for the new one's.
    """
    highest = {name: _highest(tx, name) for name in TABLE_NAMES}
    agents = [dict(row) for row in tx.execute(select(tables.agent)).mappings()]
    people_now = [dict(row) for row in tx.execute(select(tables.person)).mappings()]
    environment_rows = [dict(row) for row in tx.execute(select(tables.environment)).mappings()]
    tokens = [dict(row) for row in tx.execute(select(tables.token).where(_token.kind.in_((*OWN_TOKENS, "agent")))).mappings()]
    leased = {row.id: row.attempt for row in tx.execute(select(_job.id, _job.attempt).where(_job.leased_until.is_not(None)))}
    for table in reversed(tables.metadata.sorted_tables):
        tx.execute(delete(table))
    for table in tables.metadata.sorted_tables:
        _insert(tx, table, rows_of(table.name))
    _keep_people(tx, people_now)
    _keep(tx, agents, environment_rows, tokens)
    for job_id, attempt in leased.items():
        later = (_job.id == job_id, _job.finished_at.is_(None), _job.attempt < attempt)
        tx.execute(update(tables.job).where(*later).values(attempt=attempt))
    if tx.dialect.name == "postgresql":
        _reset_sequences(tx, highest)


def _insert(tx: Connection, table: Table, rows: Iterable[Row]) -> None:
    left = iter(rows)
    while chunk := [dict(row) for row in islice(left, CHUNK_ROWS)]:
        tx.execute(insert(table), chunk)


def _highest(tx: Connection, name: str) -> int:
    table = tables.metadata.tables[name]
    return tx.execute(select(func.max(table.c.id))).scalar() or 0 if "id" in table.c else 0


def _keep(
    tx: Connection, agents: list[dict[str, Any]], environment_rows: list[dict[str, Any]], tokens: list[dict[str, Any]]
) -> None:
    """Agents, their environments and tokens of the database as it was, where no other agent has the number now."""
    known = set(tx.execute(select(tables.environment.c.key)).scalars())
    _insert(tx, tables.environment, [row for row in environment_rows if row["key"] not in known])
    made = {row.id: row.created_at for row in tx.execute(select(tables.agent.c.id, tables.agent.c.created_at))}
    _insert(tx, tables.agent, [row for row in agents if row["id"] not in made])
    for row in agents:  # one that is in both is still the agent of now, and trains where it does now
        same = (tables.agent.c.id == row["id"], tables.agent.c.created_at == row["created_at"])
        tx.execute(update(tables.agent).where(*same).values(environment=row["environment"]))
    ours = {row["id"] for row in agents if made.get(row["id"], row["created_at"]) == row["created_at"]}
    tx.execute(delete(tables.token).where(_token.kind.in_(OWN_TOKENS)))
    there = set(tx.execute(select(_token.hash)).scalars())
    kept = [row for row in tokens if row["hash"] not in there and (row["kind"] in OWN_TOKENS or row["subject"] in ours)]
    _insert(tx, tables.token, kept)


def _keep_people(tx: Connection, people_now: list[dict[str, Any]]) -> None:
    """Who is here now stays so, under their names and roles of now; whom only the backup knows comes back as it knows them."""
    tx.execute(delete(tables.person).where(tables.person.c.id.in_([row["id"] for row in people_now])))
    _insert(tx, tables.person, people_now)


def _reset_sequences(tx: Connection, highest: Mapping[str, int]) -> None:
    """New rows get ids that none ever had, those that the restore took away included."""
    for name in TABLE_NAMES:
        table = tables.metadata.tables[name]
        if "id" in table.c and table is not tables.person:  # whose ids are random
            last = max(highest[name], _highest(tx, name))
            sequence = tx.execute(text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": f'"{name}"'}).scalar()
            values = {"sequence": sequence, "last": max(last, 1), "used": last > 0}
            tx.execute(text("SELECT setval(CAST(:sequence AS regclass), :last, :used)"), values)


def withdrawals(tx: Connection) -> list[Row]:
    """Whoever withdrew: study (its name), number, joined and at (seconds since the epoch)."""
    columns = (_study.name.label("study"), _person.number, _person.created_at.label("joined"), _person.withdrawn_at.label("at"))
    joined = tables.participant.join(tables.study, _study.id == _person.study_id)
    query = select(*columns).select_from(joined).where(_person.withdrawn_at.is_not(None))
    return [dict(row) for row in tx.execute(query.order_by(_person.withdrawn_at, _person.id)).mappings()]


def still_there(tx: Connection, study: str, number: int, joined: float) -> int | None:
    """The id of the participant of this number who joined then and has not withdrawn; None where there is none.

    A number alone does not say who: after a restore it may be given to somebody else.
    """
    query = select(_person.id).join(tables.study, _study.id == _person.study_id)
    whose = (_study.name == study, _person.number == number, _person.created_at == joined, _person.withdrawn_at.is_(None))
    return tx.execute(query.where(*whose)).scalar()


def activity(tx: Connection) -> int:
    """The id of the newest event: it grows with everything that is done, except for what trainings measure."""
    return _highest(tx, "event")
