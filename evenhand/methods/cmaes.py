"""Covariance matrix adaptation for mixed spaces, by the `cmaes` library.

Source: Hamano et al., "CatCMA with Margin" (2025): a Gaussian for numbers, with a margin that keeps whole numbers moving, and
a categorical distribution for choices.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evenhand.methods import explanations
from evenhand.methods.base import (
    BaseMethod,
    Known,
    Suggestion,
    bad_last,
    by_value,
    first_fresh,
    fits,
    fresh_draw,
    has_value,
    is_bad,
    misses_by,
)
from evenhand.methods.encoding import Encoding, to_coordinate
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Domain, is_finite, values_of
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from evenhand.model.trial_history import fold

if TYPE_CHECKING:
    from cmaes import CatCMAwM

ASKS = 20  # draws from the distribution that may be refused before a uniform draw takes over
MOST_DISCRETE_VALUES = 12  # a whole number with more values than these is drawn as if it were real, and rounded


@dataclass(frozen=True)
class CMAES(BaseMethod):
    """The trials that ended, in order, are told to the search distribution a generation at a time.

    Anybody's trials count. What misses a requirement ranks below every value, by how much, and below it what was vetoed, diverged
    or was invalid; what failed or was stopped before a value is left out. A hyperparameter has its coordinate also where it is
    inactive: its default's. The generation has the library's size, 4 + 3 ln d.
    """

    name: ClassVar[str] = "cmaes"
    one_aim: ClassVar[bool] = True

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` draws from the distribution that the whole generations so far have led to."""
        layout = _Layout.of(space)
        searched = self._searched(layout, trials)
        optimizer, generations = copy.deepcopy(searched.optimizer), searched.generations
        optimizer.reseed_rng(int(rng.integers(2**31)))
        known, best = Known(space, trials), by_value(trials, self.maximize)[:1]
        suggestions: list[Suggestion] = []
        for _ in range(n):
            proposal = first_fresh(known, lambda: layout.configuration(optimizer.ask()), ASKS)
            if proposal is None:
                why = "random draw, since the search distribution kept proposing what was tried"
                suggestions.append(fresh_draw(space, known, rng, why))
                continue
            known.add(proposal[0])
            why = f"draw from the search distribution after {generations} generations of {optimizer.population_size}"
            if generations and best:
                why += f"; best so far is {explanations.called(best[0])}; {explanations.changed(space, proposal[0], best[0])}"
            suggestions.append(Suggestion(proposal[0], why + proposal[1]))
        return suggestions

    def _searched(self, layout: "_Layout", trials: Sequence[Trial]) -> "_Searched":
        add = partial(self._with_trial, layout)
        settled, later = fold(trials, ("search distribution", self.maximize, layout.space), partial(_Searched.none, layout), add)
        searched: _Searched = reduce(add, later, settled)
        return searched

    def _with_trial(self, layout: "_Layout", searched: "_Searched", trial: Trial) -> "_Searched":
        """With one more trial: the distribution as it is, or where this one completes a generation the next one."""
        if not (fits(layout.space, trial) and (has_value(trial) or is_bad(trial))):
            return searched
        generation = (*searched.waiting, trial)
        if len(generation) < searched.optimizer.population_size:
            return replace(searched, waiting=generation)
        ranks = self._ranks(generation)
        if not ranks:
            return replace(searched, waiting=())
        optimizer = copy.deepcopy(searched.optimizer)
        rows = zip(generation, ranks, strict=True)
        optimizer.tell([(layout.solution(trial.configuration), float(rank)) for trial, rank in rows])
        return _Searched(optimizer, searched.generations + 1)

    def _ranks(self, trials: Sequence[Trial]) -> list[int]:
        """Each trial's rank, 0 for the best; nothing where all are alike, from which nothing can be learnt.

        Ranks are all that the search is defined by, and they keep the library's penalty for leaving the cube in proportion.
        """
        valued, order = by_value(trials, self.maximize), bad_last(trials, self.maximize)
        if not valued and len({misses_by(trial) for trial in order}) < 2:
            return []
        if len(valued) == len(trials) and valued[0].value == valued[-1].value:
            return []
        return [order.index(trial) for trial in trials]


@dataclass(frozen=True)
class _Searched:
    """A search distribution, which nobody changes; the generations that led to it; and those of the next that have ended."""

    optimizer: "CatCMAwM"
    generations: int = 0
    waiting: tuple[Trial, ...] = ()

    @classmethod
    def none(cls, layout: "_Layout") -> "_Searched":
        return cls(layout.optimizer())


@dataclass(frozen=True)
class _Layout:
    """Which hyperparameters are drawn as real numbers, as steps, or as options: indices into the space."""

    space: Space
    real: tuple[int, ...]
    steps: tuple[int, ...]
    options: tuple[int, ...]

    @classmethod
    def of(cls, space: Space) -> "_Layout":
        kinds = [_kind(hyperparameter.domain) for hyperparameter in space]
        places = [tuple(at for at, kind in enumerate(kinds) if kind == wanted) for wanted in ("real", "steps", "options")]
        return cls(space, *places)

    def optimizer(self) -> "CatCMAwM":
        from cmaes import CatCMAwM

        return CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self.real) or None,
            z_space=[self._units(at) for at in self.steps] or None,
            c_space=[len(self._units(at)) for at in self.options] or None,
            seed=0,  # what is drawn comes from the caller's stream
        )

    def configuration(self, solution: "CatCMAwM.Solution") -> Configuration:
        units = [0.5] * len(self.space.hyperparameters)
        for indices, values in ((self.real, solution.x), (self.steps, solution.z)):
            for at, value in zip(indices, () if values is None else values, strict=True):
                units[at] = float(value)
        for at, row in zip(self.options, () if solution.c is None else solution.c, strict=True):
            units[at] = self._units(at)[int(np.argmax(row))]
        return self.space.at(units)

    def solution(self, configuration: Configuration) -> "CatCMAwM.Solution":
        from cmaes import CatCMAwM

        point = Encoding(self.space).point(configuration)
        x, z = np.array([point[at] for at in self.real]), np.array([point[at] for at in self.steps])
        widest = max((len(self._units(at)) for at in self.options), default=0)
        c = np.zeros((len(self.options), widest), dtype=bool)
        for row, at in enumerate(self.options):
            count = len(self._units(at))
            c[row, min(int(point[at] * count), count - 1)] = True
        return CatCMAwM.Solution(x, z, c, np.concatenate([x, z]))

    def _units(self, at: int) -> list[float]:
        hyperparameter = self.space.hyperparameters[at]
        return [to_coordinate(hyperparameter, value) for value in values_of(hyperparameter.domain)]


def _kind(domain: Domain) -> Any:
    if isinstance(domain, Choice):
        if len(domain.options) == 1:
            return "fixed"
        return "steps" if domain.ordered and len(domain.options) > 2 else "options"
    if domain.low == domain.high:
        return "fixed"
    if is_finite(domain) and domain.count <= MOST_DISCRETE_VALUES:
        return "steps" if domain.count > 2 else "options"
    return "real"
