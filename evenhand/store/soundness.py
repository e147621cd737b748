"""Whether a SQLite file is still the database that it was: there, the same file, and readable.

Files are looked at by connections of SQLite only: to open and close one in any other way would take this process's locks away.
"""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

CHECK_SHARE = 0.01  # of the time that may go into reading the whole file
LEAST_CHECK_SECONDS = 5.0  # between two readings of all of it
BUSY_SECONDS = 5.0


def fault_of(path: Path, *, whole: bool = True) -> str | None:
    """What is wrong with a database's file, in words; None where nothing is. whole: read all of it, not only its beginning."""
    if not path.exists():
        return "its file is not there"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_SECONDS)) as connection:
            if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                return "its file is empty"
            if whole and (verdict := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                return f"its file is damaged ({verdict.splitlines()[-1]})"
    except sqlite3.OperationalError as error:
        return None if "locked" in str(error) else f"its file cannot be read ({error})"
    except sqlite3.DatabaseError as error:
        return f"its file is damaged ({error})"
    return None


class Sentinel:
    """Looks at a file again and again, and keeps what is wrong with it once something is."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._file = _identity(path)
        self._next_whole = clock() + LEAST_CHECK_SECONDS
        self.fault: str | None = None

    def look(self) -> str | None:
        """What is wrong, in words; None where nothing is. Now and then all of the file is read."""
        if self.fault is None and _identity(self._path) not in (self._file, None):
            self.fault = "its file was replaced by another one"
        elif self.fault is None:
            begun = self._clock()
            whole = begun >= self._next_whole
            self.fault = fault_of(self._path, whole=whole)
            if whole:
                took = self._clock() - begun
                self._next_whole = self._clock() + max(LEAST_CHECK_SECONDS, took / CHECK_SHARE)
        return self.fault


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        facts = os.stat(path)
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
