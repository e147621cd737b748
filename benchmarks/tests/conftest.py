"""Tests of benchmarks are chosen, skipped and held to what is kept in memory as all others are, and drive the same Chromium."""

from tests.conftest import browser, chromium_path, kept_as_fresh, pytest_collection_modifyitems, pytest_runtest_setup

__all__ = ["browser", "chromium_path", "kept_as_fresh", "pytest_collection_modifyitems", "pytest_runtest_setup"]
