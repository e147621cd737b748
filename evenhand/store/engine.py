"""A database: its connections, transactions, and writes that are committed together."""

import contextvars
import json
import logging
import os
import re
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import alembic.command
import alembic.config
import msgspec
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, ExceptionContext, create_engine, event, inspect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from evenhand.errors import DatabaseLost, DiskFull, InvalidSettings, NotFound
from evenhand.model.domain import MOST_INTEGER
from evenhand.model.extras import needing
from evenhand.model.whole_text import whole_json, whole_text
from evenhand.store.cache import KEPT_KEY, MARKS_KEY, WRITE_KEY, Kept, Marks
from evenhand.store.soundness import Fault, Sentinel
from evenhand.store.tables import metadata

log = logging.getLogger(__name__)
T = TypeVar("T")
MIGRATIONS_FOLDER = Path(__file__).parent / "migrations"
DAMAGED_WORDS = ("malformed", "is not a database", "no such table")  # of SQLite's errors
BUSY_SECONDS = 30.0  # how long a write waits for another process's
MOST_WRITES_TOGETHER = 50  # writes in one commit, so that the first of them need not wait long
URL_KINDS = "sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME"
# What a transaction begins with. SQLAlchemy's own event for that would cost each statement of it several empty calls.
BEGIN_READ, BEGIN_WRITE = "BEGIN", "BEGIN IMMEDIATE"
POSTGRES_READ = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
POSTGRES_DISK_FULL = "53100"  # an SQLSTATE
POSTGRES_WRITE = "SELECT pg_advisory_xact_lock(7264813)"  # of the one writer; any fixed number


class Store:
    """A database by SQLAlchemy URL, migrated to the newest tables when opened."""

    def __init__(self, url: str) -> None:
        """InvalidSettings for a URL of another kind, or of what cannot be opened; PackageMissing where the package that reaches
        it is not installed.
        """
        if not isinstance(url, str):
            raise InvalidSettings(f"database {url!r}: expected a text, {URL_KINDS}")
        self.url = url
        backend = _backend(url)
        if backend not in ("sqlite", "postgresql"):
            raise InvalidSettings(f"database {shown(url)!r}: expected {URL_KINDS}")
        self._sentinel: Sentinel | None = None
        self._sqlite = backend == "sqlite"
        self._engine = self._made_engine()
        self._writer = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._group: _Group | None = None
        self._works: list[_Work] = []
        self._led = False
        self._joined = threading.local()
        if self._sqlite:
            event.listen(self._engine, "connect", _configure_sqlite)
        event.listen(self._engine, "handle_error", _in_our_words)
        file = file_of(url) if self._sqlite else None
        if file is not None:
            _keep_private(file)
        self._check_opens()
        self._migrate()
        if file is not None:
            self._sentinel = Sentinel(file)

    def fault(self) -> Fault | None:
        """Look whether the database is still what was opened: what is wrong with it; None where nothing is.

        From the first fault that lasts on writes are refused: what they would write to is not what will be restored.
        """
        return self._sentinel.look() if self._sentinel is not None else None

    def note_start(self) -> None:
        """Note in a SQLite file that a server begins on it: an older copy of the file is told from it by that."""
        if self._sqlite:
            with self.write() as connection:
                starts = connection.exec_driver_sql("PRAGMA user_version").scalar() or 0
                connection.exec_driver_sql(f"PRAGMA user_version = {starts + 1}")
                if not connection.exec_driver_sql("PRAGMA application_id").scalar():
                    _name_database(connection)

    def _connect_args(self) -> dict[str, Any]:
        return {"check_same_thread": False, "timeout": BUSY_SECONDS} if self._sqlite else {}

    def _made_engine(self) -> Engine:
        try:
            with needing(f"database {shown(self.url)}"):
                return create_engine(
                    self.url,
                    connect_args=self._connect_args(),
                    pool_size=20,
                    max_overflow=40,
                    execution_options={KEPT_KEY: Kept()},
                    json_serializer=written_json,
                    json_deserializer=read_json,
                )
        except (ArgumentError, TypeError, ValueError) as error:
            raise InvalidSettings(f"database {shown(self.url)!r}: {first_line(error)}; expected {URL_KINDS}") from None

    def _check_opens(self) -> None:
        """Nothing, or InvalidSettings where the file cannot be opened, or no server answers."""
        try:
            with self._engine.connect():
                pass
        except (SQLAlchemyError, DatabaseLost, OSError, TypeError, ValueError) as error:
            cause: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
            if isinstance(error, DatabaseLost):
                cause = error.__cause__ or error.__context__ or error
            file = "a database's file, in a folder that is there and that you may write to"
            expected = file if self._sqlite else "a server that answers and lets you in"
            raise InvalidSettings(
                f"database {shown(self.url)!r}: cannot be opened ({first_line(cause)}); expected {expected}"
            ) from None

    def _migrate(self) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", str(MIGRATIONS_FOLDER))
        scripts = ScriptDirectory.from_config(config)
        with self.read() as connection:
            current = set(MigrationContext.configure(connection).get_current_heads())
            if current == set(scripts.get_heads()):
                return  # opening waits for no write, and checks no rows
            is_new = not inspect(connection).get_table_names()
        if unknown := current - {script.revision for script in scripts.walk_revisions()}:
            raise InvalidSettings(
                f"database {shown(self.url)!r}: its tables are of revision {', '.join(sorted(unknown))}, which this Evenhand "
                "does not know; a newer one made them, or another program"
            )
        if is_new and self._made_new():
            return
        with self._without_foreign_keys() as connection:
            config.attributes["connection"] = connection
            alembic.command.upgrade(config, "head")

    def _made_new(self) -> bool:
        """Make the tables as they are now, which is quicker than migrating; False where another process was first."""
        with self.write() as connection:
            if inspect(connection).get_table_names():
                return False
            metadata.create_all(connection)
            if self._sqlite:
                _name_database(connection)
            MigrationContext.configure(connection).stamp(ScriptDirectory(str(MIGRATIONS_FOLDER)), "heads")
            return True

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
                connection = connection.execution_options(**{WRITE_KEY: True})
                with connection.begin():
                    connection.exec_driver_sql(BEGIN_WRITE)
                    yield connection
                    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
                    assert not broken, f"these rows refer to missing ones: {broken[:5]}"
            finally:
                driver.execute("PRAGMA foreign_keys=ON")

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that no other write overlaps; committed when this ends, undone on an error."""
        with self._turn() as group, group.member():
            yield group.connection
        group.wait()

    def together(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, done as a write of its own, for writes that come often: one thread does all that wait.

        That spares each of them the change of threads, which costs a busy process more than the write.
        """
        mine = _Work(work)
        with self._counting:
            self._works.append(mine)
            leads, self._led = not self._led, True
        if leads:
            self._lead()
        mine.done.wait()
        return cast(T, mine.result())

    def _lead(self) -> None:
        works: list[_Work] = []
        try:
            with self._turn() as group:
                with self._counting:
                    works, self._works, self._led = self._works, [], False
                for work in works:
                    work.run(group, len(works) == 1)
            group.wait()
        except BaseException as error:
            with self._counting:
                if not works:
                    works, self._works, self._led = self._works, [], False
            for work in works:
                work.error = work.error or error
        finally:
            for work in works:
                work.done.set()

    @contextmanager
    def _turn(self) -> Iterator["_Group"]:
        """The turn of one writer in the group that is open, or in a new one; the last of a group commits it."""
        with self._counting:
            self._waiting += 1
        try:
            self._writer.acquire()
        finally:
            with self._counting:
                self._waiting -= 1
        try:
            group = self._group = self._group or _Group(self._begin())
            try:
                yield group
            finally:
                if not self._waiting or group.count >= MOST_WRITES_TOGETHER or not group.count or group.is_undone:
                    self._group = None
                    group.end()
        finally:
            self._writer.release()

    def _begin(self) -> Connection:
        if self._sentinel is not None and self._sentinel.fault is not None:
            raise DatabaseLost(lost_words(self._sentinel.fault.words))
        connection = self._engine.connect().execution_options(**{WRITE_KEY: True, MARKS_KEY: Marks()})
        try:
            connection.begin()
            connection.exec_driver_sql(BEGIN_WRITE if self._sqlite else POSTGRES_WRITE)
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def is_joined(self) -> bool:
        """Whether this thread reads of one moment now; see `at_once`."""
        return self._joined_now() is not None

    def _joined_now(self) -> Connection | None:
        connection: Connection | None = getattr(self._joined, "connection", None)
        return connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        if (joined := self._joined_now()) is not None:
            yield joined
            return
        with self._engine.connect() as connection, connection.begin():
            connection.exec_driver_sql(BEGIN_READ if self._sqlite else POSTGRES_READ)
            yield connection

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within it, this thread's reads are one; its writes are their own, and what they changed is not read before it ends."""
        if self.is_joined:
            yield
            return
        with self.read() as connection:
            self._joined.connection = connection
            try:
                yield
            finally:
                self._joined.connection = None

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


class _Group:
    """Writes of several threads, one after the other, in one transaction. None returns before it is committed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.count = 0
        self._marks: Marks = connection.get_execution_options()[MARKS_KEY]
        self._committed = threading.Event()
        self._undone_by: BaseException | None = None  # the error at which SQLite undid all of it
        self._error: BaseException | None = None

    @contextmanager
    def member(self, alone: bool = True) -> Iterator[None]:
        """One write: what it did is undone on an error, and what the others did stands. alone: no other follows in its turn."""
        self._marks.begin()
        if alone and not self.count:  # it needs no savepoint: without it there is no group
            yield
            self._marks.check()
        else:
            with self._savepoint():
                yield
                self._marks.check()
        self.count += 1

    @contextmanager
    def _savepoint(self) -> Iterator[None]:
        try:
            with self.connection.begin_nested():
                try:
                    yield
                except BaseException as error:
                    if self.is_undone:
                        self._undone_by = error
                    raise
        except SQLAlchemyError:
            if self._undone_by is not None:  # its savepoint went with the transaction
                raise self._undone_by from None
            raise

    @property
    def is_undone(self) -> bool:
        """Whether SQLite has undone the whole transaction by itself, as where a disk is full or cannot be read."""
        return getattr(self.connection.connection.driver_connection, "in_transaction", True) is False

    def end(self) -> None:
        """Commit, or undo where there is nothing to commit, and let every member go on."""
        try:
            with self.connection as connection:
                if self.count and self.is_undone:
                    raise self._undone_by or SQLAlchemyError("the database undid a transaction by itself")
                if self.count:
                    connection.commit()
        except BaseException as error:
            self._error = error
        finally:
            self._committed.set()

    def wait(self) -> None:
        """Return when the group is committed; raise what went wrong with it."""
        self._committed.wait()
        if self._error is not None:
            raise self._error


class _Work:
    """A write that another thread may do, in the name of whoever asked this one for it."""

    def __init__(self, work: Callable[[Connection], Any]) -> None:
        self._work = work
        self._context = contextvars.copy_context()
        self._value: Any = None
        self.error: BaseException | None = None
        self.done = threading.Event()

    def run(self, group: _Group, alone: bool) -> None:
        """Do it, as a member of a group."""
        try:
            with group.member(alone):
                self._value = self._context.run(self._work, group.connection)
        except Exception as error:
            self.error = error

    def result(self) -> Any:
        """What it gave, or raise what it raised."""
        if self.error is not None:
            raise self.error
        return self._value


def _backend(url: str) -> str | None:
    try:
        url.encode()  # bytes that are no text, as a command line may bring them, are in no address
        return make_url(url).get_backend_name()
    except (ArgumentError, ValueError):
        return None


def shown(url: str) -> str:
    """A URL as errors say it: without its password, also where it is none that SQLAlchemy reads."""
    return make_url(url).render_as_string() if _backend(url) else re.sub(r"(?<=:)[^:/]*(?=@)", "***", url)


def file_of(url: str) -> Path | None:
    """The file that a database's URL is of; None where it is of a server, or of memory."""
    database = make_url(url).database if _backend(url) == "sqlite" else None
    return Path(database) if database and not database.startswith((":memory:", "file:")) else None


def first_line(error: BaseException) -> str:
    """What an error says first; drivers go on with hints over several lines."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def written_json(value: object) -> str:
    """JSON of which every text can be written to a file: half a character, from wherever it came, is stored as U+FFFD.

    A zero, which PostgreSQL refuses, too. Within a name that would be another name, perhaps one that is there: InvalidSettings.
    """
    text = json.dumps(value)
    if "\\ud" not in text and "\\u0000" not in text:
        return text
    for name in _names(value):
        if whole_text(name) != name:
            raise InvalidSettings(
                f"the name {name!r} holds a zero or half a character (a lone surrogate), which no database keeps; give another"
            )
    return whole_json(text)


def _names(value: object) -> Iterator[str]:
    """All names of JSON's objects, also of those within it."""
    if isinstance(value, dict):
        yield from (str(name) for name in value)
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from _names(part)


def read_json(text: str | bytes) -> Any:
    """Each read of a trial has some JSON to read: msgspec does it in a third of the time, and refuses NaN, which Python wrote."""
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        return json.loads(text)


def _name_database(connection: Connection) -> None:
    """Give a SQLite file a number of its own, which `soundness` looks for."""
    connection.exec_driver_sql(f"PRAGMA application_id = {secrets.randbelow(2**31 - 1) + 1}")


def _keep_private(file: Path) -> None:
    """Let a database's file be its owner's only, whatever the umask; what SQLite makes beside it has the same rights."""
    with suppress(OSError):  # whether it can be opened at all is said later
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    for part in (file, *(file.with_name(file.name + ending) for ending in ("-wal", "-shm"))):
        with suppress(OSError):
            if part.is_file() and part.stat().st_mode & 0o077:
                part.chmod(0o600)
                log.warning("%s could be read by others; now it is its owner's only", part)


def lost_words(fault: str) -> str:
    """What is said to whoever wants to write to a database with a fault."""
    return (
        f"nothing can be recorded now: the laboratory's database is not what it was, {fault}. What you sent was not taken; keep "
        "this page open, tell the researcher, and send it again once they say so"
    )


def _in_our_words(context: ExceptionContext) -> None:
    """What a database cannot hold is no row's: whoever asks by such a number is answered as for any that is not there."""
    if isinstance(context.original_exception, InvalidSettings):  # of what writes JSON
        raise context.original_exception
    execution = context.execution_context
    said = str(context.original_exception)
    sqlstate = getattr(context.original_exception, "sqlstate", None)
    if sqlstate == POSTGRES_DISK_FULL or (
        isinstance(context.original_exception, sqlite3.OperationalError) and "disk is full" in said
    ):
        raise DiskFull()
    if isinstance(context.original_exception, sqlite3.DatabaseError) and any(words in said for words in DAMAGED_WORDS):
        raise DatabaseLost(lost_words(f"its file is damaged ({said})"))
    if isinstance(context.original_exception, OverflowError) and execution is not None and not execution.isinsert:
        raise NotFound(f"a number beyond {MOST_INTEGER} was asked for, and nothing here has one; give a smaller one")
    if isinstance(context.original_exception, OverflowError):
        raise InvalidSettings(f"a number beyond {MOST_INTEGER} was given, which a database cannot keep; give a smaller one")
    if isinstance(context.original_exception, UnicodeEncodeError):
        raise InvalidSettings(
            "a text was given that holds half a character (a lone surrogate), which cannot be stored; remove it"
        )


def _configure_sqlite(connection: Any, record: object) -> None:
    connection.isolation_level = None  # `Store` begins transactions, not the driver
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")
