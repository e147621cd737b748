"""Methods as somebody else writes them, with and without the base class, for tests that send them to other processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

import evenhand
from evenhand import BaseMethod, Space, Suggestion, Trial, draw_untried


class Plain:
    """Nothing but the protocol: a name and `suggest`."""

    name = "plain"

    def __init__(self, width: float = 0.5, note: object = None) -> None:
        self.width = width
        self.note = note

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        return draw_untried(space, trials, n, rng, f"a draw of {len(trials) + 1}")


@dataclass(frozen=True)
class Greedy(BaseMethod):
    """A dataclass that looks at values, and takes a seed."""

    name: ClassVar[str] = "greedy"
    uses_priors: ClassVar[bool] = True
    step: float = 0.1
    seed: int = 0

    def check(self, space: Space) -> None:
        """It tunes numbers."""
        if any(not isinstance(hyperparameter.domain, evenhand.Float) for hyperparameter in space):
            raise evenhand.InvalidSettings("method 'greedy' tunes real numbers only")

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """Near the likely value of the first hyperparameter, else a draw."""
        prior = space.hyperparameters[0].prior
        if prior is not None and not trials:
            configuration = space.configuration({space.hyperparameters[0].name: prior.value})
            return [Suggestion(configuration, f"as believed, by seed {self.seed}")]
        return draw_untried(space, trials, n, rng, f"a draw by seed {self.seed}")


class Failing(Plain):
    """Raises at its third suggestion."""

    name = "failing"

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        if len(trials) == 2:
            raise KeyError("no model of mine")
        return super().suggest(space, trials, n, rng)


class Answering(Plain):
    """Answers what it was told to."""

    name = "answering"

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Any]:
        return [self.note]


NOTHING = 3  # no method at all
