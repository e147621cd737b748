"""Evolutionary methods for spaces with conditions and choices: one for a single metric, one for several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from evenhand.errors import InvalidSettings
from evenhand.methods import explanations
from evenhand.methods.base import (
    BaseMethod,
    Known,
    Suggestion,
    bad_last,
    check_counts,
    first_fresh,
    fresh_draw,
    has_value,
    is_infeasible,
)
from evenhand.methods.fronts import in_fronts
from evenhand.methods.variation import acceptable, crossed, mutated
from evenhand.model.configuration import Configuration
from evenhand.model.space import Space
from evenhand.model.trial import START_UP_DRAW, Trial

TRIES = 50  # children that may be refused before a random draw takes over


@dataclass(frozen=True)
class Evolution(BaseMethod):
    """Regularized evolution: the best of a few drawn from the newest trials has a child that differs by a mutation.

    Source: Real et al., "Regularized evolution for image classifier architecture search" (2019). Age, not rank, removes a trial
    from the population, so that a lucky one does not rule for ever.

    population: newest trials with a value that can be parents. tournament: how many of them are drawn for each child.
    startup: random draws first.
    """

    name: ClassVar[str] = "evolution"
    one_aim: ClassVar[bool] = True
    population: int = 20
    tournament: int = 5
    startup: int = 10

    def __post_init__(self) -> None:
        check_counts(self.name, population=self.population, tournament=self.tournament, startup=self.startup)

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` configurations: random draws during start-up, then children."""
        known = Known(space, trials)
        living = [trial for trial in trials if has_value(trial) or is_infeasible(trial)]
        if len(living) < self.startup:
            return [fresh_draw(space, known, rng, why) for why in startup_draws(trials, len(living), self.startup, n)]
        return [self._child(space, living[-self.population :], known, rng) for _ in range(n)]

    def _child(self, space: Space, living: Sequence[Trial], known: Known, rng: np.random.Generator) -> Suggestion:
        parent = living[-1]

        def propose() -> Configuration:
            nonlocal parent
            drawn = rng.choice(len(living), min(self.tournament, len(living)), replace=False)
            parent = bad_last([living[at] for at in drawn], self.maximize)[0]
            return mutated(space, acceptable(space, parent.configuration), rng)

        proposal = first_fresh(known, propose, TRIES)
        if proposal is None:
            return fresh_draw(space, known, rng, "random draw, since every child repeated what was tried")
        known.add(proposal[0])
        why = f"child of {explanations.called(parent)}, the best of {min(self.tournament, len(living))} drawn from the newest "
        why += f"{len(living)}; {explanations.changed(space, proposal[0], parent)}"
        return Suggestion(proposal[0], why + proposal[1])


@dataclass(frozen=True)
class NSGA2(BaseMethod):
    """Several metrics at once: parents are drawn by front, then by how alone they stand; children are crossed and mutated.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002), in its steady-state form: the
    population is always the best of all trials that have every metric, so that any history can be continued.
    With one metric only it is an elitist genetic algorithm. Trials that miss a requirement come after all fronts, by how much.

    further: the task's metrics after the first, each as [name, "maximize" or "minimize"]; a trial's values of them are in its
    `extra`. population: trials that can be parents. startup: random draws first.
    """

    name: ClassVar[str] = "nsga2"
    population: int = 20
    startup: int = 10
    further: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        check_counts(self.name, population=self.population, startup=self.startup)
        for metric in self.further:
            if len(metric) != 2 or metric[1] not in ("maximize", "minimize"):
                raise InvalidSettings(f'method \'nsga2\': further has {metric!r}, expected [name, "maximize" or "minimize"]')

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` configurations: random draws during start-up, then children."""
        known = Known(space, trials)
        ranked = self._ranked(trials)
        if len(ranked) < self.startup:
            return [fresh_draw(space, known, rng, why) for why in startup_draws(trials, len(ranked), self.startup, n)]
        ranked = ranked[: self.population]
        return [self._child(space, ranked, known, rng) for _ in range(n)]

    def _ranked(self, trials: Sequence[Trial]) -> list[tuple[Trial, int]]:
        """Trials with their front (from 1), the first front first; then each that misses a requirement, by how much it does."""
        ranked = in_fronts([trial for trial in trials if has_value(trial)], self.maximize, self.further)
        last = max((number for _, number in ranked), default=0)
        missing = bad_last([trial for trial in trials if is_infeasible(trial)], self.maximize)
        return ranked + [(trial, last + at) for at, trial in enumerate(missing, start=1)]

    def _child(self, space: Space, ranked: Sequence[tuple[Trial, int]], known: Known, rng: np.random.Generator) -> Suggestion:
        parents: list[tuple[Trial, int]] = []

        def propose() -> Configuration:
            places = [min(rng.choice(len(ranked), 2, replace=False).tolist()) for _ in range(2)]
            parents[:] = [ranked[place] for place in places]
            first, second = (acceptable(space, trial.configuration) for trial, _ in parents)
            return mutated(space, crossed(space, first, second, rng), rng)

        proposal = first_fresh(known, propose, TRIES)
        if proposal is None:
            return fresh_draw(space, known, rng, "random draw, since every child repeated what was tried")
        known.add(proposal[0])
        (first, one), (second, other) = parents
        origin = f"{explanations.called(first)}, of front {one}"
        origin += "" if second is first else f", and {explanations.called(second)}, of front {other}"
        return Suggestion(proposal[0], f"child of {origin}; {explanations.changed(space, proposal[0], first)}{proposal[1]}")


def startup_draws(trials: Sequence[Trial], ended: int, startup: int, n: int) -> list[str]:
    """What the next `n` draws of a start-up are called, after `ended` trials that count for it."""
    begun = ended + sum(trial.is_open for trial in trials)
    return [f"random {START_UP_DRAW} {min(begun + ahead + 1, startup)} of {startup}" for ahead in range(n)]
