"""A test that lacks something is skipped and told by its name, and fails where the run says that it must be there."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import components

ROOT = Path(__file__).parents[1]
LACKING = """
import pytest
from tests.components import DATABASES, need

@pytest.mark.parametrize("backend", DATABASES)
def test_on_both(backend: str) -> None:
    assert backend in ("sqlite", "postgresql")

@pytest.mark.needs("chromium")
def test_marked() -> None:
    raise AssertionError("it runs")

def test_that_asks() -> None:
    need("chromium")
    raise AssertionError("it runs")

def test_that_drives(chromium_path: str) -> None:
    raise AssertionError("it runs")
"""
WHOLE = """
from tests.components import need

need("chromium")

def test_of_a_module() -> None:
    raise AssertionError("it runs")
"""


def run(folder: Path, *arguments: str, require: str = "", **environment: str) -> tuple[int, str]:
    """The exit code of a run of two modules that need a Chromium and a PostgreSQL, where neither is, and what it said."""
    (folder / "test_lacking.py").write_text(LACKING)
    (folder / "test_whole.py").write_text(WHOLE)
    (folder / "conftest.py").write_text("from tests.conftest import *\nfrom tests.conftest import pytest_runtest_setup\n")
    options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-n", "0", "-p", "no:cacheprovider", "-q"]
    absent = {"EVENHAND_CHROMIUM": "no-such-browser", "EVENHAND_TEST_DB": "", "EVENHAND_REQUIRE": require}
    command = [sys.executable, "-m", "pytest", *options, *arguments, str(folder)]
    done = subprocess.run(
        command, cwd=folder, env={**os.environ, **absent, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.slow
def test_what_is_missing_is_told_test_by_test(tmp_path: Path) -> None:
    code, said = run(tmp_path)
    assert code == 0, said
    assert "1 passed, 5 skipped" in said
    for name in ("test_on_both[postgresql]", "test_marked", "test_that_asks", "test_that_drives"):
        assert f"SKIPPED test_lacking.py::{name} - Skipped: " in said, said
    assert "SKIPPED test_whole.py - Skipped: chromium: Chromium was not found" in said, said
    assert said.count("postgres: EVENHAND_TEST_DB names no PostgreSQL") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("require", "failing", "skipped"),
    [
        ("chromium", ("test_marked", "test_that_asks", "test_that_drives"), 1),
        ("postgres", ("test_on_both[postgresql]",), 4),
        (" postgres, chromium", ("test_on_both[postgresql]", "test_marked", "test_that_asks", "test_that_drives"), 0),
    ],
)
def test_what_must_be_there_fails_the_run(tmp_path: Path, require: str, failing: tuple[str, ...], skipped: int) -> None:
    code, said = run(tmp_path, "--continue-on-collection-errors", require=require)
    assert code == 1, said
    for name in failing:
        assert any(f"{way} test_lacking.py::{name}" in said for way in ("FAILED", "ERROR")), said
    assert ("ERROR test_whole.py" in said) == ("chromium" in require)
    assert sum(map(int, re.findall(r"(\d+) skipped", said))) == skipped
    assert "must be here, says EVENHAND_REQUIRE" in said


@pytest.mark.slow
def test_what_nobody_knows_cannot_be_required(tmp_path: Path) -> None:
    code, said = run(tmp_path, require="chromium,postgre")
    assert code == pytest.ExitCode.USAGE_ERROR, said
    assert "EVENHAND_REQUIRE names postgre, expected some of chromium, axe, postgres" in said


@pytest.mark.slow
def test_what_drives_a_browser_or_postgresql_is_left_out_by_its_mark(tmp_path: Path) -> None:
    _, said = run(tmp_path, "-m", "not browser and not postgres", "--collect-only", "test_lacking.py")
    assert "test_on_both[sqlite]" in said
    assert "test_marked" in said
    assert "test_that_drives" not in said
    assert "postgresql" not in said


@pytest.mark.slow
def test_every_skip_goes_through_one_home() -> None:
    """Whatever else skips would not be told by its component, nor held to what is required."""
    for path in [*ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/tests/*.py")]:
        if path.name == "components.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("skip", "skipif", "importorskip"):
                raise AssertionError(f"{path.relative_to(ROOT)}, line {node.lineno}: use tests.components.need, or its mark")


def test_each_component_is_found_or_says_what_is_missing() -> None:
    said = {}
    for name, find in components.COMPONENTS.items():
        try:
            said[name] = str(find())
        except components.Missing as why:
            said[name] = str(why)
    assert all(len(words) > 3 for words in said.values()), said


def test_a_module_that_cannot_be_loaded_here_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As LightGBM is where the system has no libgomp."""
    (tmp_path / "needs_a_library.py").write_text("raise OSError('libgomp.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(components.COMPONENTS, "boosting", lambda: components._modules("needs_a_library"))
    monkeypatch.setenv("EVENHAND_REQUIRE", "boosting")
    with pytest.raises(pytest.fail.Exception, match=r"boosting must be here.*needs_a_library cannot be loaded here: libgomp"):
        components.need("boosting")
