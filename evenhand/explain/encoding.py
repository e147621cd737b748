"""How models see a history: columns for forests, distances for Gaussian processes, and draws from the active space.

A number or an ordered choice is its place on the unit scale of its domain. Where a hyperparameter is inactive a forest sees -1,
a place of its own outside of the unit interval; a distance sees the middle, so that being active is the parent's effect alone.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import qmc

from evenhand.explain.history import Codes, History, codes_of
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice
from evenhand.model.space import Space

INACTIVE = -1.0  # what a forest sees of an inactive hyperparameter
MIDDLE = 0.5  # what a distance sees of one
DRAWN = 1024  # configurations that stand for the active space
Mask = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True)
class Table:
    """The trials that numbers are computed from.

    codes: (n, d), NaN where inactive. better: (n,), larger is better. rows: which trials of the history they are.
    """

    codes: Codes
    better: Codes
    rows: np.ndarray[Any, np.dtype[np.int64]]


def table_of(history: History) -> Table:
    """The trials with a value whose every active hyperparameter has a value that the space still has."""
    known = np.array(
        [
            all(
                np.isnan(code) == (not history.space.is_active(hyperparameter, trial.configuration))
                for code, hyperparameter in zip(codes, history.space, strict=True)
            )
            for codes, trial in zip(history.codes, history.trials, strict=True)
        ],
        dtype=bool,
    )
    rows = np.flatnonzero(history.valued & known)
    return Table(history.codes[rows], history.better[rows], rows)


def unordered(space: Space) -> tuple[bool, ...]:
    """Of each hyperparameter whether its values are options without an order."""
    return tuple(isinstance(one.domain, Choice) and not one.domain.ordered for one in space)


def columns(codes: Codes) -> Codes:
    """What a forest sees, (n, d)."""
    return np.where(np.isnan(codes), INACTIVE, codes)


def distances(space: Space, first: Codes, second: Codes) -> Codes:
    """Squared distances along each hyperparameter, (d, n, m): up to 1 between the ends of a scale, or two options."""
    parts = []
    for at, is_unordered in enumerate(unordered(space)):
        one, two = first[:, at, None], second[None, :, at]
        if is_unordered:
            there, other = ~np.isnan(one), ~np.isnan(two)
            both = there & other
            parts.append(np.where(both, one != two, 0.5 * (there ^ other)).astype(float))
        else:
            parts.append((np.where(np.isnan(one), MIDDLE, one) - np.where(np.isnan(two), MIDDLE, two)) ** 2)
    return np.array(parts)


@lru_cache(maxsize=8)
def drawn(space: Space, count: int, seed: int) -> tuple[tuple[Configuration, ...], Codes]:
    """Configurations spread evenly (a scrambled Sobol sequence) over the active space, and their codes (count, d).

    Uniform on each domain's own scale; where a constraint does not hold, one near it that keeps to it.
    """
    points = qmc.Sobol(len(space.names), rng=np.random.default_rng(seed)).random(count)
    configurations = tuple(space.at(point) for point in points)
    return configurations, codes_of(space, configurations)
