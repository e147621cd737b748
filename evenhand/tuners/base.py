"""The suggest protocol, and what every method needs: which configurations were tried, and how to avoid a repeat."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np

from evenhand.records import Outcome, Trial
from evenhand.space import Choice, Configuration, Float, Space, Value

DRAWS = 100  # repeats in a row before the space is taken for (nearly) exhausted
ENUMERATED = 100_000  # configurations looked through for one that was not tried


@dataclass(frozen=True)
class Suggestion:
    """A configuration to try next, and why this one: true facts in words, stored with the trial."""

    configuration: Configuration
    explanation: str


class Method(Protocol):
    """What proposes configurations. It keeps nothing between calls, so that a restart changes nothing.

    `maximize` and settings are given at construction. A method sees what `lab.view` shows of the trials, nothing else.
    """

    @property
    def name(self) -> str:
        """What `tuners.method` finds it by."""

    @property
    def maximize(self) -> bool:
        """Whether larger values are better."""

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` configurations of `space` to try next, after `trials` (in the order of their numbers, open ones included).

        The same arguments give the same suggestions, in any process. Trials may be anybody's, with any outcome, and may
        hold values of hyperparameters that `space` leaves out.
        """


def within(space: Space, configuration: Configuration) -> Configuration:
    """`configuration` without the hyperparameters that `space` leaves out."""
    return Configuration({name: value for name, value in configuration.items() if name in space})


def tried(space: Space, trials: Iterable[Trial]) -> dict[Configuration, int]:
    """What was tried, and the number of the first trial that did; `failed` trials do not count, since nothing was seen."""
    found: dict[Configuration, int] = {}
    for trial in trials:
        if trial.outcome is not Outcome.FAILED:
            found.setdefault(within(space, trial.configuration), trial.number)
    return found


def untried_draw(space: Space, known: Iterable[Configuration], rng: np.random.Generator) -> tuple[Configuration, bool]:
    """A uniform draw that is not in `known`, and whether a repeat was drawn first.

    Where every configuration of the space is known, the draw is a repeat.
    """
    seen = set(known)
    for count in range(DRAWS):
        drawn = space.sample(rng)
        if drawn not in seen:
            return drawn, count > 0
    if _is_finite(space):
        rest = [each for each in islice(every(space), ENUMERATED) if each not in seen]
        if rest:
            return rest[int(rng.integers(len(rest)))], True
    return drawn, True


def every(space: Space) -> Iterator[Configuration]:
    """All configurations of a space without real numbers, in the order of its hyperparameters and their values."""
    yield from (space.configuration(values) for values in _branches(space, 0, {}))


def _branches(space: Space, depth: int, values: dict[str, Value]) -> Iterator[dict[str, Value]]:
    if depth == len(space.hyperparameters):
        yield values
        return
    each = space.hyperparameters[depth]
    if not space.is_active(each, values):
        yield from _branches(space, depth + 1, values)
        return
    assert not isinstance(each.domain, Float)
    options: Iterable[Value] = (
        each.domain.options if isinstance(each.domain, Choice) else range(each.domain.low, each.domain.high + 1)
    )
    for option in options:
        yield from _branches(space, depth + 1, {**values, each.name: option})


def _is_finite(space: Space) -> bool:
    return not any(isinstance(each.domain, Float) for each in space)
