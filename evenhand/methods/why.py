"""Why a method suggested a configuration: the parts that its own score of it is made of, for each hyperparameter.

A method that has a score gives it in parts, as an `Explaining` one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from evenhand.model.configuration import Configuration
from evenhand.model.space import Space
from evenhand.model.trial import Trial


@dataclass(frozen=True, slots=True)
class WhyPart:
    """What one hyperparameter's value adds to the score.

    Attributes:
        name: of the hyperparameter.
        good: because good trials had such values; above 0 speaks for it.
        unknown: because little is known of such values, or no bad trials had them; above 0 speaks for it.
        belief: because somebody believes in such values; 0 without a belief.
    """

    name: str
    good: float
    unknown: float
    belief: float = 0.0


@dataclass(frozen=True, slots=True)
class Why:
    """A method's score of a configuration, in parts that add up to it.

    Attributes:
        measure: what the score is, in words.
        score: the whole, as the method itself compared it.
        parts: of the active hyperparameters, in the space's order.
        good, unknown, belief: what belongs to no single hyperparameter, but to values that come together.
        good_words, unknown_words: what the two kinds of parts are, in words.
    """

    measure: str
    score: float
    parts: tuple[WhyPart, ...]
    good: float
    unknown: float
    belief: float
    good_words: str
    unknown_words: str


@runtime_checkable
class Explaining(Protocol):
    """A method that can give its score of a configuration in parts."""

    def why(self, space: Space, trials: Sequence[Trial], configuration: Configuration, rng: np.random.Generator) -> Why | None:
        """Its score of a configuration.

        Args:
            space: what could be tried.
            trials: those that it knew, as `suggest` got them.
            configuration: what it suggested.
            rng: in the state that `suggest` got it in.

        Returns:
            The parts; None where it compared no scores, as in its start-up.
        """
