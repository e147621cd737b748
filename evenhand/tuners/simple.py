"""Methods that need no model."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evenhand.records import Trial
from evenhand.space import Space
from evenhand.tuners.base import Suggestion, tried, untried_draw


@dataclass(frozen=True)
class Random:
    """Uniform draws on each domain's own scale; exact repeats are avoided where the space allows it."""

    name: ClassVar[str] = "random"
    maximize: bool

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` distinct draws; only what was tried matters of `trials`, not how well it did."""
        known = tried(space, trials)
        suggestions: list[Suggestion] = []
        for _ in range(n):
            drawn, avoided = untried_draw(space, known, rng)
            repeated = known.get(drawn)
            suggestions.append(Suggestion(drawn, explain_draw("random draw", avoided, repeated)))
            known.setdefault(drawn, 0)
        return suggestions


def explain_draw(what: str, avoided: bool, repeated: int | None) -> str:
    """`what`, and whether a repeat was avoided or could not be; `repeated` is the trial's number, 0 for one of this call."""
    if repeated is not None:
        of = f"trial {repeated}" if repeated else "another suggestion"
        return f"{what}; it repeats {of}, since no untried configuration was found"
    return f"{what}; a repeat was avoided" if avoided else what
