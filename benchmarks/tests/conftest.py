"""Tests of benchmarks are chosen, skipped and held to what is kept in memory as all others are."""

from tests.conftest import kept_as_fresh, pytest_runtest_setup

__all__ = ["kept_as_fresh", "pytest_runtest_setup"]
