"""Evenhand: a laboratory where people and optimizers tune the same task on equal terms."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evenhand._version import __version__ as __version__

if TYPE_CHECKING:
    from evenhand.errors import EvenhandError, InvalidConfiguration, InvalidSettings
    from evenhand.experiments import optuna_compat
    from evenhand.experiments.estimators import EstimatorResult, tune_estimator
    from evenhand.experiments.explanation import Explanation, explain
    from evenhand.experiments.hypermodels import HypermodelResult, tune_hypermodel
    from evenhand.experiments.judgements import rate, veto
    from evenhand.experiments.stored_session import StoredSession as Session
    from evenhand.experiments.stored_session import session
    from evenhand.experiments.tune import Result, tune
    from evenhand.explain.card import Card
    from evenhand.explain.history import History
    from evenhand.methods import load_method
    from evenhand.methods.base import BaseMethod, Method, Suggestion, draw_untried, why_no_suggestion
    from evenhand.model.condition import Condition
    from evenhand.model.configuration import Configuration
    from evenhand.model.domain import Choice, Float, Integer
    from evenhand.model.hyperparameter import Hyperparameter, Prior
    from evenhand.model.space import Space
    from evenhand.model.space_toml import load_space, save_space
    from evenhand.model.task import TaskSpec
    from evenhand.model.trial import Measurement, Outcome, Stopper, Trial
    from evenhand.report.blocks import Item, ReportTable
    from evenhand.report.context import ReportContext
    from evenhand.report.items import ReportItem, report_item
    from evenhand.tasks import Diverged, Run, Splits, Stopped, Task, run_trial, task
    from evenhand.tasks import load as load_task
    from evenhand.tasks.programs import program

__all__ = [
    "BaseMethod",
    "Card",
    "Choice",
    "Condition",
    "Configuration",
    "Diverged",
    "EstimatorResult",
    "EvenhandError",
    "Explanation",
    "Float",
    "History",
    "HypermodelResult",
    "Hyperparameter",
    "Integer",
    "InvalidConfiguration",
    "InvalidSettings",
    "Item",
    "Measurement",
    "Method",
    "Outcome",
    "Prior",
    "ReportContext",
    "ReportItem",
    "ReportTable",
    "Result",
    "Run",
    "Session",
    "Space",
    "Splits",
    "Stopped",
    "Stopper",
    "Suggestion",
    "Task",
    "TaskSpec",
    "Trial",
    "draw_untried",
    "explain",
    "load_method",
    "load_space",
    "load_task",
    "optuna_compat",
    "program",
    "rate",
    "report_item",
    "run_trial",
    "save_space",
    "session",
    "task",
    "tune",
    "tune_estimator",
    "tune_hypermodel",
    "veto",
    "why_no_suggestion",
]

_HOMES = {
    "evenhand.errors": ("EvenhandError", "InvalidConfiguration", "InvalidSettings"),
    "evenhand.experiments.estimators": ("EstimatorResult", "tune_estimator"),
    "evenhand.experiments.explanation": ("Explanation",),
    "evenhand.experiments.hypermodels": ("HypermodelResult", "tune_hypermodel"),
    "evenhand.experiments.judgements": ("rate", "veto"),
    "evenhand.experiments.stored_session": ("session",),
    "evenhand.experiments.tune": ("Result", "tune"),
    "evenhand.explain.card": ("Card",),
    "evenhand.explain.history": ("History",),
    "evenhand.methods": ("load_method",),
    "evenhand.methods.base": ("BaseMethod", "Method", "Suggestion", "draw_untried", "why_no_suggestion"),
    "evenhand.model.task": ("TaskSpec",),
    "evenhand.model.trial": ("Measurement", "Outcome", "Stopper", "Trial"),
    "evenhand.model.condition": ("Condition",),
    "evenhand.model.configuration": ("Configuration",),
    "evenhand.model.domain": ("Choice", "Float", "Integer"),
    "evenhand.model.hyperparameter": ("Hyperparameter", "Prior"),
    "evenhand.model.space": ("Space",),
    "evenhand.model.space_toml": ("load_space", "save_space"),
    "evenhand.report.blocks": ("Item", "ReportTable"),
    "evenhand.report.context": ("ReportContext",),
    "evenhand.report.items": ("ReportItem", "report_item"),
    "evenhand.tasks": ("Diverged", "Run", "Splits", "Stopped", "Task", "run_trial", "task"),
    "evenhand.tasks.programs": ("program",),
}
_HOME = {name: (module, name) for module, names in _HOMES.items() for name in names}
_HOME["load_task"] = ("evenhand.tasks", "load")
_HOME["optuna_compat"] = ("evenhand.experiments.optuna_compat", "")  # the module itself
_HOME["explain"] = ("evenhand.explain", "")  # the room itself, which can be called
_HOME["Session"] = ("evenhand.experiments.stored_session", "StoredSession")


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import evenhand` itself is quick.

    Args:
        name: one of `__all__`.

    Returns:
        What it stands for.

    Raises:
        AttributeError: there is no such public name; the text lists them.
    """
    if name not in _HOME:
        raise AttributeError(f"module 'evenhand' has no attribute {name!r}; its public names are {', '.join(__all__)}")
    module, attribute = _HOME[name]
    home = import_module(module)
    value = globals()[name] = getattr(home, attribute) if attribute else home
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
