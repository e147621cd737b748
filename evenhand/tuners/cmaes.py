"""Covariance matrix adaptation for mixed spaces, by the `cmaes` library.

Source: Hamano et al., "CatCMA with Margin" (2025): a Gaussian for numbers, with a margin that keeps whole numbers moving, and
a categorical distribution for choices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evenhand.records import Trial
from evenhand.space import Choice, Configuration, Domain, Integer, Space, Value
from evenhand.tuners import explaining
from evenhand.tuners.base import UNUSABLE, Known, Method, Suggestion, by_value, first_fresh, fits, fresh_draw, has_value
from evenhand.tuners.encoding import Encoding, to_coordinate

if TYPE_CHECKING:
    from cmaes import CatCMAwM

ASKS = 20  # draws from the distribution that may be refused before a uniform draw takes over
STEPS = 12  # a whole number with more values than these is drawn as if it were real, and rounded


@dataclass(frozen=True)
class CMAES(Method):
    """The search distribution is rebuilt at each call: the trials that ended, in order, are told to it a generation at a time.

    Anybody's trials count. What diverged or was invalid ranks below every value; what failed or was stopped before a value is
    left out. A hyperparameter has its coordinate also where it is inactive: its default's. The generation has the library's
    size, 4 + 3 ln d.
    """

    name: ClassVar[str] = "cmaes"

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` draws from the distribution that the whole generations so far have led to."""
        layout = _Layout.of(space)
        told = [each for each in trials if fits(space, each) and (has_value(each) or each.outcome in UNUSABLE)]
        optimizer, generations = self._replayed(layout, told)
        optimizer.reseed_rng(int(rng.integers(2**31)))
        known, best = Known(space, trials), by_value(trials, self.maximize)[:1]
        suggestions: list[Suggestion] = []
        for _ in range(n):
            found = first_fresh(known, lambda: layout.configuration(optimizer.ask()), ASKS)
            if found is None:
                why = "random draw, since the search distribution kept proposing what was tried"
                suggestions.append(fresh_draw(space, known, rng, why))
                continue
            known.add(found[0])
            why = f"draw from the search distribution after {generations} generations of {optimizer.population_size}"
            if generations and best:
                why += f"; best so far is {explaining.called(best[0])}; {explaining.changed(space, found[0], best[0])}"
            suggestions.append(Suggestion(found[0], why + found[1]))
        return suggestions

    def _replayed(self, layout: "_Layout", told: Sequence[Trial]) -> "tuple[CatCMAwM, int]":
        optimizer = layout.optimizer()
        size, generations = optimizer.population_size, 0
        for start in range(0, len(told) - size + 1, size):
            ranks = self._ranks(told[start : start + size])
            if ranks:
                rows = zip(told[start : start + size], ranks, strict=True)
                optimizer.tell([(layout.solution(each.configuration), float(rank)) for each, rank in rows])
                generations += 1
        return optimizer, generations

    def _ranks(self, trials: Sequence[Trial]) -> list[int]:
        """Each trial's rank, 0 for the best; nothing where all are alike, from which nothing can be learnt.

        Ranks are all that the search is defined by, and they keep the library's penalty for leaving the cube in proportion.
        """
        order = by_value(trials, self.maximize)
        if not order or (len(order) == len(trials) and order[0].value == order[-1].value):
            return []
        order += [each for each in trials if not has_value(each)]
        return [order.index(each) for each in trials]


@dataclass(frozen=True)
class _Layout:
    """Which hyperparameters are drawn as real numbers, as steps, or as options: indices into the space."""

    space: Space
    real: tuple[int, ...]
    steps: tuple[int, ...]
    options: tuple[int, ...]

    @classmethod
    def of(cls, space: Space) -> "_Layout":
        kinds = [_kind(each.domain) for each in space]
        found = [tuple(at for at, kind in enumerate(kinds) if kind == wanted) for wanted in ("real", "steps", "options")]
        return cls(space, *found)

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
        each = self.space.hyperparameters[at]
        return [to_coordinate(each, value) for value in _values(each.domain)]


def _values(domain: Domain) -> Sequence[Value]:
    if isinstance(domain, Choice):
        return domain.options
    assert isinstance(domain, Integer)
    return range(domain.low, domain.high + 1)


def _kind(domain: Domain) -> Any:
    if isinstance(domain, Choice):
        if len(domain.options) == 1:
            return "fixed"
        return "steps" if domain.ordered and len(domain.options) > 2 else "options"
    if domain.low == domain.high:
        return "fixed"
    if isinstance(domain, Integer) and domain.high - domain.low < STEPS:
        return "steps" if domain.high - domain.low > 1 else "options"
    return "real"
