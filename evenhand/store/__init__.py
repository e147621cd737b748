"""All the SQL: tables, migrations, and one module of functions a noun. Only `lab` uses it.

Every function takes the connection of the transaction it is part of. A write transaction is alone: SQLite's BEGIN IMMEDIATE, or
one advisory lock on PostgreSQL, so that what a transaction read still holds when it writes.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from evenhand.errors import InvalidSettings

BUSY_SECONDS = 30.0  # how long a write waits for another process's
WRITER_LOCK = 7_264_813  # PostgreSQL's advisory lock of the one writer; any fixed number


class Store:
    """A database by SQLAlchemy URL, migrated to the newest tables when opened."""

    def __init__(self, url: str) -> None:
        self.url = url
        backend = _backend(url)
        if backend not in ("sqlite", "postgresql"):
            raise InvalidSettings(f"database {url!r}: expected sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME")
        self._sqlite = backend == "sqlite"
        self._engine = create_engine(url, connect_args=self._connect_args(), pool_size=20, max_overflow=40)
        self._writer = threading.RLock()
        if self._sqlite:
            event.listen(self._engine, "connect", _configure_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._migrate()

    def _connect_args(self) -> dict[str, Any]:
        return {"check_same_thread": False, "timeout": BUSY_SECONDS} if self._sqlite else {}

    def _migrate(self) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._without_foreign_keys() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")

    @contextmanager
    def _without_foreign_keys(self) -> Iterator[Connection]:
        """A write in which SQLite may drop and rebuild tables that others refer to; they are checked before its commit."""
        if not self._sqlite:
            with self.write() as connection:
                yield connection
            return
        with self._writer, self._engine.connect() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            driver.execute("PRAGMA foreign_keys=OFF")  # does nothing within a transaction
            try:
                connection = connection.execution_options(evenhand_write=True)
                with connection.begin():
                    yield connection
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
                    assert not broken, f"these rows refer to missing ones: {broken[:5]}"
            finally:
                driver.execute("PRAGMA foreign_keys=ON")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that no other write overlaps; committed at the end, rolled back on an error."""
        with self._writer, self._engine.connect() as connection:
            connection = connection.execution_options(evenhand_write=True)
            with connection.begin():
                if not self._sqlite:
                    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": WRITER_LOCK})
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        with self._engine.connect() as connection, connection.begin():
            if not self._sqlite:
                connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _backend(url: str) -> str | None:
    try:
        return make_url(url).get_backend_name()
    except (ArgumentError, NoSuchModuleError):
        return None


def _configure_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy begins transactions, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("evenhand_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
