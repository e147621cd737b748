"""Methods that need no model: draws, sequences that fill the space, grids, and lists."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import count
from typing import Any, ClassVar

import numpy as np

from evenhand.errors import InvalidConfiguration, InvalidSettings
from evenhand.methods.base import (
    DRAWS,
    BaseMethod,
    Known,
    Suggestion,
    check_counts,
    combinations,
    draw_untried,
    first_fresh,
    fresh_draw,
)
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Domain, Float, Value
from evenhand.model.space import Space
from evenhand.model.trial import Trial

MOST_CONFIGURATIONS = 100_000  # configurations of a grid: more than anybody trains


@dataclass(frozen=True)
class Random(BaseMethod):
    """Uniform draws on each domain's own scale; exact repeats are avoided where the space allows it."""

    name: ClassVar[str] = "random"

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` distinct draws; only what was tried matters of `trials`, and what could not be trained."""
        return draw_untried(space, trials, n, rng, "random draw")


@dataclass(frozen=True)
class Sobol(BaseMethod):
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

            proposal = first_fresh(known, propose, DRAWS)
            if proposal is None:
                suggestions.append(fresh_draw(space, known, rng, "random draw, since the sequence kept repeating what was tried"))
                continue
            known.add(proposal[0])
            suggestions.append(Suggestion(proposal[0], f"point {reached + 1} of a Sobol sequence{proposal[1]}"))
        return suggestions


BLOCK_POINTS = 64  # points of a sequence that are made at once


def _sobol(dimensions: int, seed: int, index: int) -> Sequence[float]:
    return _sobol_block(dimensions, seed, index // BLOCK_POINTS)[index % BLOCK_POINTS]


@lru_cache(maxsize=32)
def _sobol_block(dimensions: int, seed: int, block: int) -> list[list[float]]:
    from scipy.stats import qmc  # here, since it takes half a second to load

    engine = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
    if block:
        engine.fast_forward(block * BLOCK_POINTS)
    with warnings.catch_warnings():  # that a block is no power of two of the whole sequence loses nothing here
        warnings.simplefilter("ignore", UserWarning)
        points: list[list[float]] = engine.random(BLOCK_POINTS).tolist()
    return points


@dataclass(frozen=True)
class Grid(BaseMethod):
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
        if size > MOST_CONFIGURATIONS:
            raise InvalidSettings(
                f"method 'grid': {self.points} points of each number make {size:,} configurations in this space, expected at "
                f"most {MOST_CONFIGURATIONS:,}; take fewer points, or narrow the space"
            )

    def size(self, space: Space) -> int:
        """How many configurations the grid has, without those against the constraints where it is small enough to count them."""
        whole = self._size_without_constraints(space)
        return _kept(self, space) if space.constraints and whole <= MOST_CONFIGURATIONS else whole

    def _size_without_constraints(self, space: Space) -> int:
        levels = self.levels(space)
        asked = frozenset[str]().union(*(hyperparameter.condition.asked for hyperparameter in space if hyperparameter.condition))

        @cache
        def below(depth: int, parents: tuple[tuple[str, Value], ...]) -> int:
            if depth == len(space.hyperparameters):
                return 1
            hyperparameter = space.hyperparameters[depth]
            if not space.is_active(hyperparameter, dict(parents)):
                return below(depth + 1, parents)
            if hyperparameter.name not in asked:
                return len(levels[hyperparameter.name]) * below(depth + 1, parents)
            return sum(below(depth + 1, (*parents, (hyperparameter.name, option))) for option in levels[hyperparameter.name])

        return below(0, ())

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """The next `n` of the grid that nothing speaks against; fewer at its end."""
        known = Known(space, trials)
        levels = self.levels(space)
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

    def levels(self, space: Space) -> dict[str, Sequence[Value]]:
        """The levels of each hyperparameter, by name."""
        return {hyperparameter.name: self._levels(hyperparameter.domain) for hyperparameter in space}

    def _levels(self, domain: Domain) -> tuple[Value, ...]:
        if isinstance(domain, Choice):
            return domain.options
        units = [0.5] if self.points == 1 else [step / (self.points - 1) for step in range(self.points)]
        levels = [domain.from_unit(unit) for unit in units]
        if isinstance(domain, Float) and domain.or_zero:
            plain = replace(domain, or_zero=False)
            levels = [0.0, *(plain.from_unit(unit) for unit in units)]
        return tuple(dict.fromkeys(levels))


@lru_cache(maxsize=32)
def _kept(grid: Grid, space: Space) -> int:
    """How many configurations of a grid keep to the constraints."""
    return sum(1 for _ in combinations(space, grid.levels(space)))


@dataclass(frozen=True)
class Manual(BaseMethod):
    """A list of configurations, in order; the session ends with it. Blank optional values take their defaults.

    Somebody wrote the list, so all of it is tried, near twins of bad configurations too.

    configurations: each as name and value of its hyperparameters.
    """

    name: ClassVar[str] = "manual"
    as_given: ClassVar[bool] = True
    configurations: Sequence[Mapping[str, Any]] = ()

    def check(self, space: Space) -> None:
        """Refuse an empty list, or one with a configuration that is none of the space."""
        if not isinstance(self.configurations, Sequence) or not self.configurations:
            raise InvalidSettings("method 'manual': no configurations are given, expected a list of at least one")
        for place, configuration in enumerate(self.configurations, start=1):
            if not isinstance(configuration, Mapping):
                raise InvalidSettings(f"method 'manual': configuration {place} is {configuration!r}, expected names and values")
            try:
                space.configuration(configuration)
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
