"""What a history of trials says: what mattered, what it did, is it noise, and how sure is all that. Pure functions of records.

An explanation is a function of a `History` that makes a `Card`. Numbers are here; what draws them is `report.cards`.
"""

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
    },
)
