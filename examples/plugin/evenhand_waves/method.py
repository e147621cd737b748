"""A method: of a few untried draws, take those nearest to the best trial so far."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from evenhand import BaseMethod, Choice, Configuration, InvalidSettings, Outcome, Space, Suggestion, Trial, draw_untried


@dataclass(frozen=True)
class Nearby(BaseMethod):
    """draws: how many draws are looked at for a suggestion."""

    name: ClassVar[str] = "nearby"
    draws: int = 5

    def __post_init__(self) -> None:
        if type(self.draws) is not int or self.draws < 1:
            raise InvalidSettings(f"method 'nearby': draws is {self.draws!r}, expected a whole number above 0")

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """The `n` of a few draws that are nearest to the best trial; before there is one, the first of them."""
        drawn = draw_untried(space, trials, n + self.draws - 1, rng, f"one of {self.draws} draws")
        tried = {trial.configuration for trial in trials if trial.outcome is not Outcome.FAILED}
        fresh = [suggestion for suggestion in drawn if suggestion.configuration not in tried] or drawn
        valued = [trial for trial in trials if trial.value is not None and trial.outcome in (Outcome.COMPLETED, Outcome.STOPPED)]
        if not valued:
            return fresh[:n]
        best = max(valued, key=lambda trial: (trial.value or 0.0) * (1 if self.maximize else -1))
        fresh.sort(key=lambda suggestion: distance(space, suggestion.configuration, best.configuration))
        return [
            replace(suggestion, explanation=f"{suggestion.explanation}, nearest to trial {best.number}")
            for suggestion in fresh[:n]
        ]


def distance(space: Space, first: Configuration, second: Configuration) -> float:
    """The sum over what both have, each on its own scale of length 1; what one of them lacks counts 1."""
    total = float(len(first.keys() ^ second.keys()))
    for hyperparameter in space:
        if hyperparameter.name in first and hyperparameter.name in second:
            one, other = first[hyperparameter.name], second[hyperparameter.name]
            if isinstance(hyperparameter.domain, Choice):
                total += one != other
            else:
                total += abs(hyperparameter.domain.to_unit(float(one)) - hyperparameter.domain.to_unit(float(other)))
    return total
