"""A plugin of pytest that runs each chosen test again and again in one process: `scripts/repeat` loads it."""

import os

import pytest


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Makes as many tests of each as EVENHAND_REPEAT says."""
    metafunc.fixturenames.append("turn")
    metafunc.parametrize("turn", range(1, int(os.environ["EVENHAND_REPEAT"]) + 1), indirect=True)


@pytest.fixture
def turn(request: pytest.FixtureRequest) -> int:
    """Which repetition this is."""
    number: int = request.param
    return number
