"""What a history of trials says: what mattered, what it did, is it noise, and how sure is all that. Pure functions of records.

An explanation is a function of a `History` that makes a `Card`. Numbers are here; what draws them is `report.cards`.

`evenhand.explain(...)` can be called: it explains a table of trials, a file, or a run, see `experiments.explanation.explain`.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

from evenhand.explain.card import Card, NextStep, nothing_said
from evenhand.explain.history import History
from evenhand.model.registry import Registry

__all__ = ["EXPLANATIONS", "Card", "History", "NextStep", "nothing_said"]

# In the order in which pages and reports show them.
EXPLANATIONS = Registry(
    "explanation",
    "evenhand.explanations",
    {
        "importance": "evenhand.explain.importance:importance",
        "effects": "evenhand.explain.effects:effects",
        "ablation": "evenhand.explain.ablation:ablation",
        "tunability": "evenhand.explain.tunability:tunability",
        "among-best": "evenhand.explain.ped_anova:among_best",
        "noise": "evenhand.explain.noise:noise",
        "checks": "evenhand.explain.checks:checks",
        "overfitting": "evenhand.explain.overfitting:overfitting",
        "who": "evenhand.explain.people:who",
    },
)


class _Called(ModuleType):
    """This room as a function, since the public face has its name: whoever imports a module of the room would hide a function."""

    def __call__(self, *given: Any, **named: Any) -> Any:
        return import_module("evenhand.experiments.explanation").explain(*given, **named)


sys.modules[__name__].__class__ = _Called
