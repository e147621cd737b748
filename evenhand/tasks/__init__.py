"""Tasks: what is trained. Nothing here imports PyTorch before a training starts."""

import hashlib
import importlib
import importlib.util
import json
import sys
import traceback
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from evenhand.errors import EvenhandError, InvalidSettings, TaskMissing
from evenhand.records import TaskSpec
from evenhand.tasks.base import Task, task
from evenhand.tasks.run import Diverged, Run, Stopped
from evenhand.tasks.running import Asked, run_together, run_trial
from evenhand.tasks.splits import Splits

__all__ = [
    "BUILT_IN", "Asked", "Diverged", "Run", "Splits", "Stopped", "Task", "TaskSpec", "load", "run_together",
    "run_trial", "task",
]  # fmt: skip

BUILT_IN: Mapping[str, str] = {  # name: module with `load(settings) -> Task`
    "black-magic": "evenhand.tasks.black_magic",
    "eeg": "evenhand.tasks.eeg",
    "mlp": "evenhand.tasks.mlp",
    "patches": "evenhand.tasks.patches",
    "practice": "evenhand.tasks.practice",
    "sklearn": "evenhand.tasks.classic",
    "table": "evenhand.tasks.tables",
}


def load(spec: TaskSpec) -> Task:
    """The task that `spec` names: a built-in one, `path/to/file.py:attribute`, or `module:attribute`.

    Raises:
        TaskMissing: there is none, or its file cannot be imported; the text says why, and lists the built-in ones.
        InvalidSettings: the settings are wrong; all wrong ones are listed.
        DataError: its data is not on this machine or is damaged.
    """
    if spec.name in BUILT_IN:
        built: Task = importlib.import_module(BUILT_IN[spec.name]).load(spec.settings)
        return built
    place, _, attribute = spec.name.rpartition(":")
    if not place or not attribute.isidentifier():
        raise TaskMissing(f"task {spec.name!r}: unknown; expected {', '.join(BUILT_IN)}, FILE.py:NAME or MODULE:NAME")
    if spec.settings:
        raise InvalidSettings(
            f"task {spec.name!r}: got the settings {', '.join(spec.settings)}, expected none for a task of your own"
        )
    found = getattr(_module(spec.name, place), attribute, None)
    if not isinstance(found, Task):
        what = "no such name" if found is None else f"a {type(found).__name__}"
        raise TaskMissing(f"task {spec.name!r}: {attribute} in {place} is {what}, expected a function under @task(...)")
    return found


def _module(name: str, place: str) -> ModuleType:
    path = Path(place).expanduser()
    try:
        if path.suffix == ".py":
            if not path.is_file():
                raise TaskMissing(f"task {name!r}: there is no file {path.absolute()}; give the path of a Python file")
            return _imported(path.resolve(), path.stat().st_mtime_ns)
        return importlib.import_module(place)
    except EvenhandError:
        raise
    except (Exception, SystemExit) as error:
        raise TaskMissing(f"task {name!r}: {place} cannot be imported\n{traceback.format_exc(limit=-3)}") from error


@lru_cache(maxsize=64)
def _imported(path: Path, changed: int) -> ModuleType:
    """The file at `path` as a module of its own name; imported again when its time of change differs."""
    name = f"evenhand_task_{hashlib.sha256(f'{path} {changed}'.encode()).hexdigest()[:16]}"
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # so that it finds its siblings, as it does when it is run
    sys.modules[name] = module
    try:
        found.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def read_settings(data: str | None, size: int | None, setting: list[str] | None) -> dict[str, Any]:
    """The task settings that a command's options give; values of `--set` are read as JSON where they are JSON, else as text."""
    given: dict[str, Any] = {}
    if data is not None:
        given["data"] = data
    if size is not None:
        given["size"] = size
    for pair in setting or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InvalidSettings(f"--set {pair!r}: expected KEY=VALUE, such as --set precision=bf16")
        try:
            given[key] = json.loads(value)
        except ValueError:
            given[key] = value
    return given
