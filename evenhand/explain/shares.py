"""Functional-ANOVA shares of functions that are known at configurations drawn from the active space.

The share of a hyperparameter is the variance of the mean of the function at each of its values, over the function's variance, all
under the uniform distribution of the active space. Of a hyperparameter with a condition only the part of the space counts where
it is active: that it is active at all is the effect of what its condition asks for.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.polynomial import legendre

from evenhand.explain.encoding import unordered
from evenhand.explain.history import Codes
from evenhand.model.space import Space

DEGREE = 8  # of the polynomials that stand for a main effect
PAIRED = 3  # columns of each of a pair, whose products stand for an interaction
LEAST_WHOLE = 1e-300  # a variance below which a function is constant
EMPTY = 1e-9  # the part of a column's length below which it adds nothing


@dataclass(frozen=True)
class Bases:
    """For each hyperparameter orthonormal columns over the drawn configurations, (m, columns); 0 where it is inactive."""

    of: tuple[Codes, ...]

    def shares(self, functions: Codes) -> Codes:
        """The share of each hyperparameter in each function (m, draws), as (hyperparameters, draws)."""
        centred = functions - functions.mean(0)
        whole = (centred**2).sum(0)
        shares = np.zeros((len(self.of), functions.shape[1]))
        for at, basis in enumerate(self.of):
            explained = ((basis.T @ centred) ** 2).sum(0)
            shares[at] = explained / np.maximum(whole, LEAST_WHOLE)
        return shares

    def pair_shares(self, functions: Codes) -> dict[tuple[int, int], Codes]:
        """The share of each pair's interaction, beyond what each of the two does alone, in each function: (draws,)."""
        centred = functions - functions.mean(0)
        whole = np.maximum((centred**2).sum(0), LEAST_WHOLE)
        by_pair = {}
        for first, second in combinations(range(len(self.of)), 2):
            one, two = self.of[first][:, :PAIRED], self.of[second][:, :PAIRED]
            products = (one[:, :, None] * two[:, None, :]).reshape(len(functions), -1) * len(functions)
            alone = np.hstack([self.of[first], self.of[second]])
            basis = _orthonormal(products - products.mean(0) - alone @ (alone.T @ products))
            by_pair[first, second] = ((basis.T @ centred) ** 2).sum(0) / whole
        return by_pair


def bases_of(space: Space, codes: Codes) -> Bases:
    """The bases over drawn configurations. codes: (m, d), NaN where inactive."""
    return Bases(tuple(_basis(codes[:, at], kind) for at, kind in enumerate(unordered(space))))


def _basis(code: Codes, is_unordered: bool) -> Codes:
    active = ~np.isnan(code)
    raw = np.zeros((len(code), 0))
    if active.any():
        there = code[active]
        values = np.unique(there)
        if is_unordered or len(values) <= DEGREE:
            made = (there[:, None] == values[None, 1:]).astype(float)
        else:
            made = legendre.legvander(2 * there - 1, DEGREE)[:, 1:]
        raw = np.zeros((len(code), made.shape[1]))
        raw[active] = made - made.mean(0)
    return _orthonormal(raw)


def _orthonormal(raw: Codes) -> Codes:
    """Orthonormal columns of the same span, in their order; what adds nothing is left out."""
    if not raw.shape[1]:
        return raw
    directions, lengths = np.linalg.qr(raw)
    sizes = np.abs(np.diag(lengths))
    kept: Codes = directions[:, sizes > EMPTY * max(1.0, float(sizes.max()))]
    return kept
