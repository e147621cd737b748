"""What several test files share."""

import os

import pytest

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
