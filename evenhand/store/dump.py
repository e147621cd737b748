"""Whole tables out and in, whatever their columns are: what a backup reads, and what a restore writes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Connection, MetaData, Table, create_engine, delete, func, insert, select, text, update
from sqlalchemy.exc import DataError, IntegrityError, SQLAlchemyError

from evenhand.errors import InvalidSettings
from evenhand.store import odd_cells, tables
from evenhand.store.engine import Store
from evenhand.store.odd_cells import OddCell

Row = Mapping[str, Any]
Note = Callable[[OddCell], None]  # is told of each odd cell that was read
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


def unnoted(cell: OddCell) -> None:
    """For whoever is content with the closest values."""


def rows(tx: Connection, name: str, note: Note = unnoted) -> Iterator[Row]:
    """All rows of a table in order of its key, read a few at a time. Of an odd cell they have the closest value; it is noted."""
    table = tables.metadata.tables[name]
    options = {"stream_results": True, "yield_per": CHUNK_ROWS}
    with odd_cells.any_text(tx):
        result = tx.execute(odd_cells.as_they_are(table, tx.dialect.name), execution_options=options)
        for number, cells in enumerate(result, 1):
            yield odd_cells.read(table, number, cells, note)


@dataclass
class Replaced:
    """What became of rows that were written: odd cells that are what they were, those of the closest value, and by table how many
    rows the database would not take."""

    exact: int = 0
    closest: int = 0
    left_out: dict[str, int] = field(default_factory=dict)


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


def replace(tx: Connection, rows_of: Rows, odd_of: Callable[[str], Iterable[OddCell]]) -> Replaced:
    """Put these rows in the place of all that there are. odd_of: a table's odd cells, in order of the rows.

    A row that the database will not take, as one that refers to a row which is not there, is left out and counted.
    Who runs the laboratory, who is signed in, and the agents that are connected, stay: they are about now. A training that an
    agent runs now, or ran when the backup was made, is not the queue's any more: it is queued again as a later attempt, so that
    nothing which that agent still says is taken for the new one's.
    """
    highest = {name: _highest(tx, name) for name in TABLE_NAMES}
    agents, environment_rows, people_now = (list(rows(tx, name)) for name in ("agent", "environment", "person"))
    tokens = [row for row in rows(tx, "token") if row["kind"] in (*OWN_TOKENS, "agent")]
    leased = _leased(tx)
    for table in reversed(tables.metadata.sorted_tables):
        tx.execute(delete(table))
    replaced = Replaced()
    for table in tables.metadata.sorted_tables:
        _insert_all(tx, table, rows_of(table.name), odd_of(table.name), replaced)
    _keep_people(tx, people_now)
    _keep(tx, agents, environment_rows, tokens)
    for job_id, attempt in leased.items():
        later = (_job.id == job_id, _job.finished_at.is_(None), _job.attempt < attempt)
        tx.execute(update(tables.job).where(*later).values(attempt=attempt))
    if tx.dialect.name == "postgresql":
        _reset_sequences(tx, highest)
    return replaced


def _leased(tx: Connection) -> dict[int, int]:
    """Attempts of jobs that agents hold, by the job's id."""
    query = select(_job.id, _job.attempt).where(_job.leased_until.is_not(None))
    with odd_cells.any_text(tx):
        return {row.id: odd_cells.closest(_job.attempt, row.attempt) for row in tx.execute(query)}


def _insert(tx: Connection, table: Table, rows: Iterable[Row]) -> None:
    left = iter(rows)
    while chunk := [dict(row) for row in islice(left, CHUNK_ROWS)]:
        tx.execute(insert(table), chunk)


def _insert_all(tx: Connection, table: Table, rows: Iterable[Row], odd: Iterable[OddCell], replaced: Replaced) -> None:
    """Rows, exactly where the database holds their odd cells; those that it will not take are counted."""
    odd_left, number = iter(odd), 0
    cell, left = next(odd_left, None), iter(rows)
    while chunk := [dict(row) for row in islice(left, CHUNK_ROWS)]:
        cells: dict[int, list[OddCell]] = {}  # by place in the chunk
        while cell is not None and cell.row <= number + len(chunk):
            cells.setdefault(cell.row - number - 1, []).append(cell)
            cell = next(odd_left, None)
        number += len(chunk)
        if cells or not _taken(tx, table, chunk):
            for place, row in enumerate(chunk):
                _insert_one(tx, table, row, cells.get(place, []), replaced)


def _insert_one(tx: Connection, table: Table, row: Row, cells: list[OddCell], replaced: Replaced) -> None:
    written = {cell.column: cell.written() for cell in cells} if tx.dialect.name == "sqlite" else {}
    if written and _taken(tx, table, {**row, **written}):
        replaced.exact += len(cells)
    elif _taken(tx, table, row):
        replaced.closest += len(cells)
    else:
        replaced.left_out[table.name] = replaced.left_out.get(table.name, 0) + 1


def _taken(tx: Connection, table: Table, given: Row | list[dict[str, Any]]) -> bool:
    """Whether the database took one row, or all of several; else none is in it."""
    first: BaseException | None = None
    try:
        with tx.begin_nested():
            try:
                tx.execute(insert(table), given) if isinstance(given, list) else tx.execute(insert(table).values(dict(given)))
            except BaseException as error:
                first = error
                raise
    except (IntegrityError, DataError, InvalidSettings):
        return False
    except SQLAlchemyError:
        if first is None:
            raise
        raise first from None  # a savepoint goes with the transaction where SQLite undoes all of it
    return True


def _highest(tx: Connection, name: str) -> int:
    table = tables.metadata.tables[name]
    return tx.execute(select(func.max(table.c.id))).scalar() or 0 if "id" in table.c else 0


def _keep(tx: Connection, agents: list[Row], environment_rows: list[Row], tokens: list[Row]) -> None:
    """Agents, their environments and tokens of the database as it was, where no other agent has the number now."""
    known = {row["key"] for row in rows(tx, "environment")}
    _insert(tx, tables.environment, [row for row in environment_rows if row["key"] not in known])
    made = {row["id"]: row["created_at"] for row in rows(tx, "agent")}
    _insert(tx, tables.agent, [row for row in agents if row["id"] not in made])
    for row in agents:  # one that is in both is still the agent of now, and trains where it does now
        same = (tables.agent.c.id == row["id"], tables.agent.c.created_at == row["created_at"])
        tx.execute(update(tables.agent).where(*same).values(environment=row["environment"]))
    ours = {row["id"] for row in agents if made.get(row["id"], row["created_at"]) == row["created_at"]}
    tx.execute(delete(tables.token).where(_token.kind.in_(OWN_TOKENS)))
    there = {row["hash"] for row in rows(tx, "token")}
    kept = [row for row in tokens if row["hash"] not in there and (row["kind"] in OWN_TOKENS or row["subject"] in ours)]
    _insert(tx, tables.token, kept)


def _keep_people(tx: Connection, people_now: list[Row]) -> None:
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
    with odd_cells.any_text(tx):
        rows_found = tx.execute(query.order_by(_person.withdrawn_at, _person.id)).mappings().all()
    closest = [{name: odd_cells.closest(_WITHDRAWAL[name], cell) for name, cell in row.items()} for row in rows_found]
    return [{**row, "at": row["at"] or 0.0} for row in closest]  # whoever withdrew at no time did withdraw


_WITHDRAWAL: Mapping[str, Column[Any]] = {
    "study": _study.name,
    "number": _person.number,
    "joined": _person.created_at,
    "at": _person.withdrawn_at,
}


def still_there(tx: Connection, study: str, number: int, joined: float) -> int | None:
    """The id of the participant of this number who joined then and has not withdrawn; None where there is none.

    A number alone does not say who: after a restore it may be given to somebody else. study, joined: as `withdrawals` gives them.
    """
    query = select(_person.id, _study.name, _person.created_at).join(tables.study, _study.id == _person.study_id)
    with odd_cells.any_text(tx):
        people = tx.execute(query.where(_person.number == number, _person.withdrawn_at.is_(None))).all()
    same = (study, joined)
    closest = odd_cells.closest
    return next(
        (row.id for row in people if (closest(_study.name, row.name), closest(_person.created_at, row.created_at)) == same), None
    )


def activity(tx: Connection) -> int:
    """The id of the newest event: it grows with everything that is done, except for what trainings measure."""
    return _highest(tx, "event")
