"""What several test files share."""

import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import hypothesis
import pytest
from sqlalchemy import Connection, RowMapping

from evenhand.lab.base import act_as
from evenhand.store import sessions
from tests import components

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Two test processes on two cores: more threads each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what it puts behind with Ctrl-C ignored; tests, and all that they start, would inherit that.
for number, handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, handler)

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("any machine")


def pytest_configure() -> None:
    """Refuses an EVENHAND_REQUIRE that names what nobody knows, before anything runs."""
    components.required()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what drives a browser, before tests are chosen by their marks."""
    for item in items:
        if "chromium_path" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips a test, or fails it, that lacks what its marks name."""
    for mark in item.iter_markers("needs"):
        for name in mark.args:
            components.need(name)
    if item.get_closest_marker("postgres"):
        components.need("postgres")


@pytest.fixture(autouse=True)
def nobody_acts() -> Iterator[None]:
    """A command that a test runs in its own process acts as somebody; the next test's records are nobody's again."""
    yield
    act_as(None)


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """Path of the Chromium that browser tests drive."""
    path: str = components.need("chromium")
    return path


@pytest.fixture(scope="module")
def browser(chromium_path: str) -> Iterator["Browser"]:
    """A Chromium for the tests of a module."""
    with components.chromium(chromium_path) as launched:
        yield launched


@pytest.fixture(autouse=True)
def kept_as_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """In every test: what is kept in memory of a session is what reading it anew gives, so no change goes without an event."""
    parts = sessions._parts

    def compared(tx: Connection, rows: Sequence[RowMapping], logged: bool) -> Mapping[int, sessions.SessionParts]:
        bodies = parts(tx, rows, logged)
        assert bodies == sessions._read_parts(tx, rows)
        return bodies

    monkeypatch.setattr(sessions, "_parts", compared)
