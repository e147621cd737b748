"""Evolutionary methods for spaces with conditions and choices: one for a single metric, one for several."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from evenhand.errors import InvalidSettings
from evenhand.records import Trial
from evenhand.space import Configuration, Space
from evenhand.tuners import explaining
from evenhand.tuners.base import Known, Method, Suggestion, by_value, check_counts, first_fresh, fresh_draw, has_value
from evenhand.tuners.variation import acceptable, crossed, mutated

TRIES = 50  # children that may be refused before a random draw takes over


@dataclass(frozen=True)
class Evolution(Method):
    """Regularized evolution: the best of a few drawn from the newest trials has a child that differs by a mutation.

    Source: Real et al., "Regularized evolution for image classifier architecture search" (2019). Age, not rank, removes a trial
    from the population, so that a lucky one does not rule for ever.

    population: newest trials with a value that can be parents. tournament: how many of them are drawn for each child.
    startup: random draws first.
    """

    name: ClassVar[str] = "evolution"
    population: int = 20
    tournament: int = 5
    startup: int = 10

    def __post_init__(self) -> None:
        check_counts(self.name, population=self.population, tournament=self.tournament, startup=self.startup)

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` configurations: random draws during start-up, then children."""
        known = Known(space, trials)
        living = [each for each in trials if has_value(each)]
        if len(living) < self.startup:
            return [fresh_draw(space, known, rng, why) for why in startup_draws(trials, len(living), self.startup, n)]
        return [self._child(space, living[-self.population :], known, rng) for _ in range(n)]

    def _child(self, space: Space, living: Sequence[Trial], known: Known, rng: np.random.Generator) -> Suggestion:
        parent = living[-1]

        def propose() -> Configuration:
            nonlocal parent
            drawn = rng.choice(len(living), min(self.tournament, len(living)), replace=False)
            parent = by_value([living[at] for at in drawn], self.maximize)[0]
            return mutated(space, acceptable(space, parent.configuration), rng)

        found = first_fresh(known, propose, TRIES)
        if found is None:
            return fresh_draw(space, known, rng, "random draw, since every child repeated what was tried")
        known.add(found[0])
        why = f"child of {explaining.called(parent)}, the best of {min(self.tournament, len(living))} drawn from the newest "
        why += f"{len(living)}; {explaining.changed(space, found[0], parent)}"
        return Suggestion(found[0], why + found[1])


@dataclass(frozen=True)
class NSGA2(Method):
    """Several metrics at once: parents are drawn by front, then by how alone they stand; children are crossed and mutated.

    Source: Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002), in its steady-state form: the
    population is always the best of all trials that have every metric, so that any history can be continued.
    With one metric only it is an elitist genetic algorithm.

    further: the task's metrics after the first, each as [name, "maximize" or "minimize"]; a trial's values of them are in its
    `extra`. population: trials that can be parents. startup: random draws first.
    """

    name: ClassVar[str] = "nsga2"
    population: int = 20
    startup: int = 10
    further: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        check_counts(self.name, population=self.population, startup=self.startup)
        for each in self.further:
            if len(each) != 2 or each[1] not in ("maximize", "minimize"):
                raise InvalidSettings(f'method \'nsga2\': further has {each!r}, expected [name, "maximize" or "minimize"]')

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` configurations: random draws during start-up, then children."""
        known = Known(space, trials)
        whole = [each for each in trials if has_value(each) and all(name in each.extra for name, _ in self.further)]
        if len(whole) < self.startup:
            return [fresh_draw(space, known, rng, why) for why in startup_draws(trials, len(whole), self.startup, n)]
        ranked = self._ranked(whole)[: self.population]
        return [self._child(space, ranked, known, rng) for _ in range(n)]

    def costs(self, trial: Trial) -> tuple[float, ...]:
        """Every metric as something to be minimized."""
        first = -(trial.value or 0.0) if self.maximize else trial.value or 0.0
        return (first, *(-trial.extra[name] if way == "maximize" else trial.extra[name] for name, way in self.further))

    def _ranked(self, trials: Sequence[Trial]) -> list[tuple[Trial, int]]:
        """Trials with their front (from 1), the first front first; within it those that stand alone first."""
        costs = np.array([self.costs(each) for each in trials])
        found: list[tuple[Trial, int]] = []
        for number, front in enumerate(fronts(costs), start=1):
            alone = crowding(costs[front])
            order = sorted(range(len(front)), key=lambda at: (-alone[at], trials[front[at]].number))
            found += [(trials[front[at]], number) for at in order]
        return found

    def _child(self, space: Space, ranked: Sequence[tuple[Trial, int]], known: Known, rng: np.random.Generator) -> Suggestion:
        parents: list[tuple[Trial, int]] = []

        def propose() -> Configuration:
            places = [min(rng.choice(len(ranked), 2, replace=False).tolist()) for _ in range(2)]
            parents[:] = [ranked[place] for place in places]
            first, second = (acceptable(space, trial.configuration) for trial, _ in parents)
            return mutated(space, crossed(space, first, second, rng), rng)

        found = first_fresh(known, propose, TRIES)
        if found is None:
            return fresh_draw(space, known, rng, "random draw, since every child repeated what was tried")
        known.add(found[0])
        (first, one), (second, other) = parents
        told = f"{explaining.called(first)}, of front {one}"
        told += "" if second is first else f", and {explaining.called(second)}, of front {other}"
        return Suggestion(found[0], f"child of {told}; {explaining.changed(space, found[0], first)}{found[1]}")


def startup_draws(trials: Sequence[Trial], ended: int, startup: int, n: int) -> list[str]:
    """What the next `n` draws of a start-up are called, after `ended` trials that count for it."""
    begun = ended + sum(each.is_open for each in trials)
    return [f"random start-up draw {min(begun + ahead + 1, startup)} of {startup}" for ahead in range(n)]


def fronts(costs: np.ndarray[Any, np.dtype[np.float64]]) -> list[list[int]]:
    """The rows of costs (n, metrics), all to be minimized, in fronts: no row is dominated by one of its own or a later front."""
    better = (costs[:, None] <= costs[None]).all(axis=2) & (costs[:, None] < costs[None]).any(axis=2)
    rest, found = np.ones(len(costs), dtype=bool), []
    while rest.any():
        front = rest & ~(better & rest[:, None]).any(axis=0)
        found.append(np.flatnonzero(front).tolist())
        rest &= ~front
    return found


def crowding(costs: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """How alone each row of a front stands: the sum over metrics of the gap between its neighbours; infinite at the ends."""
    alone = np.zeros(len(costs))
    for column in costs.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        alone[order[[0, -1]]] = np.inf
        if span > 0 and len(order) > 2:
            alone[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return [float(each) for each in alone]
