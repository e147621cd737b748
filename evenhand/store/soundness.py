"""Whether a SQLite file is still the database that it was: there, the same file, readable, and no other database's content.

Files are looked at by connections of SQLite only: to open and close one in any other way would take this process's locks away.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

CHECK_SHARE = 0.01  # of the time that may go into reading the whole file
LEAST_CHECK_SECONDS = 5.0  # between two readings of all of it
BUSY_SECONDS = 5.0


class FaultKind(StrEnum):
    """What can be wrong with a database's file. All but `unread` are of the file itself, and last."""

    MISSING = "missing"
    REPLACED = "replaced"
    EMPTY = "empty"
    DAMAGED = "damaged"
    UNREAD = "unread"


@dataclass(frozen=True)
class Fault:
    """What is wrong with a database's file, and in words."""

    kind: FaultKind
    words: str

    @property
    def lasts(self) -> bool:
        """Whether the file itself is at fault; else this look could not read it, and the next one may."""
        return self.kind is not FaultKind.UNREAD


def fault_of(path: Path, *, whole: bool = True) -> Fault | None:
    """What is wrong with a database's file; None where nothing is. whole: read all of it, not only its beginning.

    A database that is just being made is empty, too: whoever asks has to know whether there was anything in it.
    """
    try:
        path.stat()
    except FileNotFoundError:
        return Fault(FaultKind.MISSING, "its file is not there")
    except OSError as error:
        return _unread(error.strerror or str(error))
    try:
        with closing(_opened(path)) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return Fault(FaultKind.EMPTY, "its file is empty")
            if whole and (verdict := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                return _damaged(verdict.splitlines()[-1])
    except sqlite3.OperationalError as error:
        return None if "locked" in str(error) else _unread(str(error))  # as where no file can be opened any more
    except sqlite3.DatabaseError as error:
        return _damaged(str(error))
    return None


def _damaged(why: str) -> Fault:
    return Fault(FaultKind.DAMAGED, f"its file is damaged ({why})")


def _unread(why: str) -> Fault:
    return Fault(FaultKind.UNREAD, f"its file cannot be read ({why})")


@dataclass(frozen=True)
class Stamp:
    """What a database's file says of itself in its header, where no restore changes it.

    database: a random number, of this one only; 0 where no server of this version opened it yet. starts: how often servers began
    on it, which only grows.
    """

    database: int
    starts: int

    def follows(self, before: "Stamp") -> bool:
        """Whether it is of the same database, no earlier than `before`."""
        return before.database in (0, self.database) and self.starts >= before.starts


def stamp_of(path: Path) -> Stamp | None:
    """A file's stamp; None where it cannot be read now."""
    try:
        with closing(_opened(path)) as connection:
            return Stamp(*(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")))
    except sqlite3.Error:
        return None


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)


class Sentinel:
    """Looks at the file of an opened database again and again, and keeps what is wrong with it once something is that lasts.

    fault: what lasts.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._file, self._stamp = _identity(path), stamp_of(path)
        self._next_whole = clock() + LEAST_CHECK_SECONDS
        self.fault: Fault | None = None

    def look(self) -> Fault | None:
        """What is wrong; None where nothing is. Now and then all of the file is read."""
        if self.fault is not None:
            return self.fault
        seen = self._seen()
        if seen is not None and seen.lasts:
            self.fault = seen
        return seen

    def _seen(self) -> Fault | None:
        if _identity(self._path) not in (self._file, None):
            return Fault(FaultKind.REPLACED, "its file was replaced by another one")
        begun = self._clock()
        whole = begun >= self._next_whole
        fault = fault_of(self._path, whole=whole)
        if whole:
            took = self._clock() - begun
            self._next_whole = self._clock() + max(LEAST_CHECK_SECONDS, took / CHECK_SHARE)
        return fault or self._other()

    def _other(self) -> Fault | None:
        """Where other content was written over the same file, which is whole in itself."""
        stamp, before = stamp_of(self._path), self._stamp
        if stamp is None:
            return None
        if before is None or stamp.follows(before):
            self._stamp = stamp
            return None
        what = "an older state of it" if stamp.database == before.database else "another database"
        return Fault(FaultKind.REPLACED, f"its file was written over with {what}")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
