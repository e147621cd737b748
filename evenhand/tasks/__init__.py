"""Tasks: what is trained. Nothing here imports PyTorch before a training starts."""

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType

from evenhand.errors import EvenhandError, InvalidSettings, TaskMissing
from evenhand.model import extras
from evenhand.model.registry import FRAMES, Registry, module_at
from evenhand.model.task import TaskSpec
from evenhand.tasks import requirements
from evenhand.tasks.base import Task, task
from evenhand.tasks.run import Diverged, Run, Stopped
from evenhand.tasks.running import TrainingRequest, run_together, run_trial
from evenhand.tasks.splits import Splits

__all__ = [
    "BUILT_IN",
    "TASKS",
    "Diverged",
    "Run",
    "Splits",
    "Stopped",
    "Task",
    "TaskSpec",
    "TrainingRequest",
    "load",
    "run_together",
    "run_trial",
    "task",
]  # fmt: skip

BUILT_IN: Mapping[str, str] = {  # name: `load(settings) -> Task`
    "black-magic": "evenhand.tasks.builtin.black_magic:load",
    "eeg": "evenhand.tasks.builtin.eeg:load",
    "mlp": "evenhand.tasks.builtin.mlp:load",
    "patches": "evenhand.tasks.builtin.patches:load",
    "practice": "evenhand.tasks.builtin.practice:load",
    "program": "evenhand.tasks.programs:load",
    "sklearn": "evenhand.tasks.builtin.classic:load",
    "table": "evenhand.tasks.builtin.tables:load",
}
TASKS = Registry("task", "evenhand.tasks", BUILT_IN)


def load(spec: TaskSpec | str) -> Task:
    """The task that is meant by a name and settings.

    Args:
        spec: the name, of a built-in task, of a plug-in's, `path/to/file.py:NAME` or `MODULE:NAME`, and the settings; or the
            name alone.

    Returns:
        The task, ready to train.

    Raises:
        TaskMissing: there is none, or its file cannot be imported; the text says why, and lists those with names.
        PluginBroken: it is a plug-in's and cannot be used.
        InvalidSettings: the settings are wrong, all wrong ones are listed; or it is neither a name nor a TaskSpec.
        PackageMissing: a package that its trainings need is not installed; the text says how to.
        LaneMissing: the training lane that it was declared with is not on this machine.
        DataError: its data is not on this machine or is damaged.
    """
    if isinstance(spec, str):
        spec = TaskSpec(spec)
    if not isinstance(spec, TaskSpec):
        what = spec.__name__ if callable(spec) and hasattr(spec, "__name__") else spec
        raise InvalidSettings(f"task {what!r}: got a {type(spec).__name__}, expected a task's name, or TaskSpec(name, settings)")
    if spec.name in TASKS:
        return _registered(spec)
    place, _, attribute = spec.name.rpartition(":")
    if not place or not attribute.isidentifier():
        raise TaskMissing(f"task {spec.name!r}: unknown; expected {TASKS.known}, FILE.py:NAME or MODULE:NAME")
    if spec.settings:
        raise InvalidSettings(
            f"task {spec.name!r}: got the settings {', '.join(spec.settings)}, expected none for a task of your own"
        )
    candidate = getattr(module_at("task", spec.name, TaskMissing, _data_of), attribute, None)
    if not isinstance(candidate, Task):
        what = "no such name" if candidate is None else f"a {type(candidate).__name__}"
        raise TaskMissing(f"task {spec.name!r}: {attribute} in {place} is {what}, expected a function under @task(...)")
    return candidate


def _registered(spec: TaskSpec) -> Task:
    """A registered task: what `load(settings)` gives; a plug-in may register a task of its own, which has no settings, too."""
    by = TASKS.entry(spec.name).by
    needed = requirements.PACKAGES_OF_BUILT_IN.get(spec.name, requirements.NO_PACKAGES)  # what mlp needs, its lane says
    for package in sorted(needed):
        extras.check(package, f"task {spec.name!r}")
    entry = TASKS.get(spec.name)
    if not isinstance(entry, Task) and callable(entry):
        try:
            entry = entry(spec.settings)
        except EvenhandError:
            raise
        except Exception as error:
            if not by:
                raise
            raise TASKS.broken(spec.name, f"its load failed\n{traceback.format_exc(limit=FRAMES)}") from error
    elif spec.settings:
        raise InvalidSettings(f"task {spec.name!r}: got the settings {', '.join(spec.settings)}, expected none for this task")
    if not isinstance(entry, Task):
        expected = "a function under @task(...), or load(settings) that returns one"
        raise TASKS.broken(spec.name, f"it gives a {type(entry).__name__}, expected {expected}")
    return replace(entry, name=spec.name, settings=entry.settings or spec.settings) if by else entry


def _data_of(module: ModuleType) -> Iterator[Path]:
    """The data files that a module's tasks name."""
    return (file for task in vars(module).values() if isinstance(task, Task) for file in task.files)
