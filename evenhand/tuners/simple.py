"""Methods that need no model: draws, sequences that fill the space, grids, and lists."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import count
from typing import Any, ClassVar

import numpy as np

from evenhand.errors import InvalidConfiguration, InvalidSettings
from evenhand.records import Trial
from evenhand.space import Choice, Configuration, Domain, Float, Space, Value
from evenhand.tuners.base import DRAWS, Known, Method, Suggestion, check_counts, combinations, first_fresh, fresh_draw

MOST = 100_000  # configurations of a grid: more than anybody trains


@dataclass(frozen=True)
class Random(Method):
    """Uniform draws on each domain's own scale; exact repeats are avoided where the space allows it."""

    name: ClassVar[str] = "random"

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` distinct draws; only what was tried matters of `trials`, and what could not be trained."""
        known = Known(space, trials)
        return [fresh_draw(space, known, rng, "random draw") for _ in range(n)]


@dataclass(frozen=True)
class Sobol(Method):
    """Sobol's sequence with Owen's scrambling (SciPy): fills the space more evenly than random draws do.

    The k-th trial of the session gets the k-th point, whoever proposed those before it. A conditional hyperparameter has a
    coordinate of its own, which is left out where it is inactive. seed: of the scrambling.
    """

    name: ClassVar[str] = "sobol"
    seed: int = 0

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """The next `n` points of the sequence that nothing speaks against."""
        known, start = Known(space, trials), len(trials)
        points = count(start)
        suggestions: list[Suggestion] = []
        for _ in range(n):
            reached = start

            def propose() -> Configuration:
                nonlocal reached
                reached = next(points)
                return space.at(_sobol(len(space.hyperparameters), self.seed, reached))

            found = first_fresh(known, propose, DRAWS)
            if found is None:
                suggestions.append(fresh_draw(space, known, rng, "random draw, since the sequence kept repeating what was tried"))
                continue
            known.add(found[0])
            suggestions.append(Suggestion(found[0], f"point {reached + 1} of a Sobol sequence{found[1]}"))
        return suggestions


BLOCK = 64  # points of a sequence that are made at once


def _sobol(dimensions: int, seed: int, index: int) -> Sequence[float]:
    return _sobol_block(dimensions, seed, index // BLOCK)[index % BLOCK]


@lru_cache(maxsize=32)
def _sobol_block(dimensions: int, seed: int, block: int) -> list[list[float]]:
    from scipy.stats import qmc  # here, since it takes half a second to load

    engine = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    if block:
        engine.fast_forward(block * BLOCK)
    with warnings.catch_warnings():  # that a block is no power of two of the whole sequence loses nothing here
        warnings.simplefilter("ignore", UserWarning)
        found: list[list[float]] = engine.random(BLOCK).tolist()
    return found


@dataclass(frozen=True)
class Grid(Method):
    """Every combination of a few levels of each hyperparameter, in order: the last one of the space changes fastest.

    points: levels of a number, at equal distances on its own scale, both ends included; a whole number has no more levels than
    values, an `or_zero` domain has 0 as a further one. A choice has all its options. What is inactive has no levels.
    The session ends with the grid. A grid of more than 100,000 is refused.
    """

    name: ClassVar[str] = "grid"
    points: int = 3

    def __post_init__(self) -> None:
        check_counts(self.name, points=self.points)

    def check(self, space: Space) -> None:
        """Refuse a grid that nobody can walk through, with its size."""
        size = self.size(space)
        if size > MOST:
            raise InvalidSettings(
                f"method 'grid': {self.points} points of each number make {size:,} configurations in this space, expected at "
                f"most {MOST:,}; take fewer points, or narrow the space"
            )

    def size(self, space: Space) -> int:
        """How many configurations the grid has."""
        levels = {each.name: self._levels(each.domain) for each in space}
        asked = {each.condition.on for each in space if each.condition}

        @cache
        def below(depth: int, parents: tuple[tuple[str, Value], ...]) -> int:
            if depth == len(space.hyperparameters):
                return 1
            each = space.hyperparameters[depth]
            if not space.is_active(each, dict(parents)):
                return below(depth + 1, parents)
            if each.name not in asked:
                return len(levels[each.name]) * below(depth + 1, parents)
            return sum(below(depth + 1, (*parents, (each.name, option))) for option in levels[each.name])

        return below(0, ())

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """The next `n` of the grid that nothing speaks against; fewer at its end."""
        known = Known(space, trials)
        levels = {each.name: self._levels(each.domain) for each in space}
        size, suggestions, skipped = self.size(space), list[Suggestion](), ""
        for place, values in enumerate(combinations(space, levels), start=1):
            if len(suggestions) == n:
                break
            configuration = space.configuration(values)
            why = known.why_not(configuration)
            if why is not None:
                skipped = "" if why == "a repeat" else f"; {why} was avoided"
                continue
            known.add(configuration)
            suggestions.append(Suggestion(configuration, f"point {place} of a grid of {size}{skipped}"))
            skipped = ""
        return suggestions

    def _levels(self, domain: Domain) -> tuple[Value, ...]:
        if isinstance(domain, Choice):
            return domain.options
        units = [0.5] if self.points == 1 else [each / (self.points - 1) for each in range(self.points)]
        levels = [domain.from_unit(unit) for unit in units]
        if isinstance(domain, Float) and domain.or_zero:
            plain = Float(domain.low, domain.high, domain.log)
            levels = [0.0, *(plain.from_unit(unit) for unit in units)]
        return tuple(dict.fromkeys(levels))


@dataclass(frozen=True)
class Manual(Method):
    """A list of configurations, in order; the session ends with it. Blank optional values take their defaults.

    Somebody wrote the list, so all of it is tried, near twins of bad configurations too.

    configurations: each as name and value of its hyperparameters.
    """

    name: ClassVar[str] = "manual"
    configurations: Sequence[Mapping[str, Any]] = ()

    def check(self, space: Space) -> None:
        """Refuse an empty list, or one with a configuration that is none of the space."""
        if not isinstance(self.configurations, Sequence) or not self.configurations:
            raise InvalidSettings("method 'manual': no configurations are given, expected a list of at least one")
        for place, each in enumerate(self.configurations, start=1):
            if not isinstance(each, Mapping):
                raise InvalidSettings(f"method 'manual': configuration {place} is {each!r}, expected names and values")
            try:
                space.configuration(each)
            except InvalidConfiguration as error:
                raise InvalidSettings(f"method 'manual': configuration {place}: {error}") from None

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """The next `n` of the list that were not tried."""
        known = Known(space, trials)
        suggestions: list[Suggestion] = []
        for place, raw in enumerate(self.configurations, start=1):
            configuration = _still_valid(space, raw)
            if len(suggestions) < n and configuration is not None and configuration not in known:
                known.add(configuration)
                suggestions.append(Suggestion(configuration, f"configuration {place} of a list of {len(self.configurations)}"))
        return suggestions


def _still_valid(space: Space, raw: Mapping[str, Any]) -> Configuration | None:
    """The configuration without what the space leaves out; None where the space was narrowed and takes it no more."""
    try:
        return space.configuration({name: value for name, value in raw.items() if name in space})
    except InvalidConfiguration:
        return None
