"""What several test files share."""

import os
from collections.abc import Mapping, Sequence

import pytest
from sqlalchemy import Connection, RowMapping

from evenhand.store import sessions
from start import NO_CHROMIUM, find_chromium

# Two test processes on two cores: more threads each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of the Chromium that browser tests drive; they are skipped where there is none."""
    path = find_chromium()
    if path is None:
        pytest.skip(NO_CHROMIUM)
    return path


@pytest.fixture(autouse=True)
def kept_as_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every test: what is kept in memory of a session is what reading it anew gives, so no change goes without an event."""
    parts = sessions._parts

    def compared(tx: Connection, rows: Sequence[RowMapping], logged: bool) -> Mapping[int, sessions.Parts]:
        found = parts(tx, rows, logged)
        assert found == sessions._read_parts(tx, rows)
        return found

    monkeypatch.setattr(sessions, "_parts", compared)
