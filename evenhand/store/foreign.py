"""Databases of other programs, read and never written to: their tables, and rows of these in bulk.

A SQLite file is copied, with its journal, and the copy is read: no lock keeps its own program waiting, and no file beside it is
made or changed. A server's database is read in one transaction that may not write.
"""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, column, create_engine, event, inspect, select
from sqlalchemy import table as table_named
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from evenhand.errors import EvenhandError, InvalidSettings, NotFound, Refused
from evenhand.model.extras import needing
from evenhand.store.engine import file_of, first_line, shown

SQLITE_START = b"SQLite format 3\x00"  # the first bytes of each of its files
JOURNAL_SUFFIXES = ("-wal", "-journal")  # of files beside it that hold what its own does not yet, or no more
ROWS_AT_ONCE = 10_000
TRIES = 20  # to copy a file that is written to meanwhile
STILL_SECONDS = 0.05  # for which a file has to have been left alone, since times of files are coarse
URL_WORDS = "such as sqlite:///PATH, postgresql+psycopg://USER@HOST/NAME or mysql+pymysql://USER@HOST/NAME"


@dataclass(frozen=True)
class Within:
    """Rows whose `key` is that of a row of another table: of `table`, where it has these values."""

    key: str
    table: str
    where: Mapping[str, Any]


class ForeignDatabase:
    """A database by its SQLAlchemy URL. folder: where the copy of a SQLite file is put."""

    def __init__(self, url: str, folder: Path) -> None:
        """NotFound for a file that is not there; InvalidSettings for what cannot be opened; PackageMissing without a driver."""
        self.url = url
        file = file_of(url)
        if file is not None:
            copy = _copied(file, folder)
            self._engine = create_engine(f"sqlite:///{copy}", poolclass=NullPool)
        else:
            self._engine = _engine_of(url)
        self._connection = self._connected()
        event.listen(self._engine, "handle_error", _in_words(url))
        self.tables = frozenset(inspect(self._connection).get_table_names())

    def close(self) -> None:
        """Read no more."""
        self._connection.close()
        self._engine.dispose()

    def _connected(self) -> Connection:
        try:
            connection = self._engine.connect()
            if self._engine.dialect.name == "postgresql":
                return connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            if self._engine.dialect.name in ("mysql", "mariadb"):
                connection.exec_driver_sql("SET SESSION TRANSACTION READ ONLY")
                connection.commit()
            return connection
        except EvenhandError:
            raise
        except (SQLAlchemyError, OSError, TypeError, ValueError) as error:
            raise unopened(self.url, error) from None

    def columns(self, table: str) -> frozenset[str]:
        """The names of a table's columns."""
        return frozenset(described["name"] for described in inspect(self._connection).get_columns(table))

    def rows(
        self,
        table: str,
        columns: Sequence[str],
        *,
        where: Mapping[str, Any] | None = None,
        within: Within | None = None,
        order: Sequence[str] = (),
    ) -> Iterator[Sequence[Any]]:
        """Rows of a table, a piece at a time. where: values that columns have. order: columns to order by."""
        query = _where(select(*map(column, columns)).select_from(table_named(table)), where or {})
        if within is not None:
            inner: Any = select(column(within.key)).select_from(table_named(within.table))
            query = query.where(column(within.key).in_(_where(inner, within.where)))
        result = self._connection.execution_options(stream_results=True).execute(query.order_by(*map(column, order)))
        yield from result.yield_per(ROWS_AT_ONCE)


def _where(query: Any, values: Mapping[str, Any]) -> Any:
    return query.where(*(column(name) == value for name, value in values.items()))


def _engine_of(url: str) -> Engine:
    try:
        with needing(f"database {shown(url)}"):
            return create_engine(url, poolclass=NullPool)
    except EvenhandError:
        raise
    except (SQLAlchemyError, TypeError, ValueError) as error:
        raise unopened(url, error) from None


def _in_words(url: str) -> Any:
    """What makes an error of a database one in words."""

    def raised(context: Any) -> None:
        cause = context.original_exception
        raise InvalidSettings(f"database {shown(url)!r}: cannot be read ({first_line(cause)})") from None

    return raised


def unopened(url: str, error: BaseException) -> InvalidSettings:
    """What to raise where a database cannot be opened."""
    cause: BaseException = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return InvalidSettings(f"database {shown(url)!r}: cannot be opened ({first_line(cause)}); expected a URL {URL_WORDS}")


def _copied(file: Path, folder: Path) -> Path:
    """A copy of a SQLite file as it was at one moment, with what lies beside it; Refused where it is never left alone."""
    if not file.is_file():
        raise NotFound(f"there is no file {file}")
    copy = folder / f"copy-{len(list(folder.iterdir()))}.sqlite"
    for _ in range(TRIES):
        before = _state(file)
        try:
            for name in ("", *JOURNAL_SUFFIXES):
                copy.with_name(copy.name + name).unlink(missing_ok=True)
                if before[name] is not None:
                    shutil.copyfile(file.with_name(file.name + name), copy.with_name(copy.name + name))
        except FileNotFoundError:
            continue  # its journal went meanwhile
        except OSError as error:
            raise InvalidSettings(f"{file}: cannot be read ({error.strerror})") from None
        if _state(file) == before:
            return copy
        time.sleep(STILL_SECONDS)
    raise Refused(f"{file}: its program writes to it all the time, so that no whole copy could be made; try again when it rests")


def _state(file: Path) -> dict[str, tuple[int, int] | None]:
    """When each of a database's files was last written to, and its size; not before they were left alone for a moment."""
    state: dict[str, tuple[int, int] | None] = {}
    for name in ("", *JOURNAL_SUFFIXES):
        try:
            stat = file.with_name(file.name + name).stat()
        except FileNotFoundError:
            state[name] = None
            continue
        state[name] = (stat.st_mtime_ns, stat.st_size)
        if 0 <= time.time() - stat.st_mtime < STILL_SECONDS:
            time.sleep(STILL_SECONDS)
    return state
