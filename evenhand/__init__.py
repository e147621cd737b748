"""Evenhand: a laboratory where people and optimizers tune the same task on equal terms."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evenhand.estimators import EstimatorResult, tune_estimator
    from evenhand.frames import Session, session
    from evenhand.space import Choice, Condition, Configuration, Float, Hyperparameter, Integer, Prior, Space
    from evenhand.tasks import Run, Splits, Task, task
    from evenhand.tuning import Result, tune

__version__ = "0.1.0"
__all__ = [
    "Choice",
    "Condition",
    "Configuration",
    "EstimatorResult",
    "Float",
    "Hyperparameter",
    "Integer",
    "Prior",
    "Result",
    "Run",
    "Session",
    "Space",
    "Splits",
    "Task",
    "session",
    "task",
    "tune",
    "tune_estimator",
]

_HOMES = {
    "evenhand.estimators": ("EstimatorResult", "tune_estimator"),
    "evenhand.frames": ("Session", "session"),
    "evenhand.space": ("Choice", "Condition", "Configuration", "Float", "Hyperparameter", "Integer", "Prior", "Space"),
    "evenhand.tasks": ("Run", "Splits", "Task", "task"),
    "evenhand.tuning": ("Result", "tune"),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import evenhand` itself is quick."""
    if name not in _HOME:
        raise AttributeError(f"module 'evenhand' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    found = globals()[name] = getattr(import_module(_HOME[name]), name)
    return found


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
