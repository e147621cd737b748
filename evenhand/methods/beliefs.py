"""What people believe, as numbers: the density of a prior over a space, draws from it, and how much each hyperparameter counts.

A likely value makes a bell around it on the domain's own scale, the narrower the surer; a belief that larger values are better
makes a slope. Each density has a floor, so that nothing is ever ruled out.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from evenhand.methods.encoding import Encoding, Matrix, to_coordinate
from evenhand.model.domain import Choice
from evenhand.model.hyperparameter import PRIOR_WIDTH, Hyperparameter, Prior, keeps_to
from evenhand.model.space import Space, with_priors

LIKELY_CHANCES = {"low": 0.5, "medium": 0.7, "high": 0.9}  # chance of the likely option of a choice without an order
# The density at the better end less that at the worse one, which 2 would rule out.
SLOPE_DENSITIES = {"low": 1.0, "medium": 1.5, "high": 1.9}
UNIFORM_SHARE = 0.05  # part of each density that is uniform
STRETCH_FACTORS = {True: 1.5, False: 0.4, None: 1.0}  # of a hyperparameter that is important, is not, and of any other


def believed(space: Space) -> list[Hyperparameter]:
    """The hyperparameters of which anything is believed."""
    return [hyperparameter for hyperparameter in space if hyperparameter.prior is not None]


def says_where(hyperparameter: Hyperparameter) -> bool:
    """Whether it is believed which values are good, and not only whether it matters."""
    prior = hyperparameter.prior
    return prior is not None and (prior.value is not None or prior.better is not None)


def without(space: Space, names: Iterable[str]) -> Space:
    """The space without what is believed of the values of these hyperparameters; whether they matter stays."""
    priors = {name: prior for name in names if (prior := space[name].prior) is not None}
    kept = {name: None if prior.important is None else replace(prior, value=None, better=None) for name, prior in priors.items()}
    return with_priors(space, kept) if kept else space


def weights(space: Space) -> list[float]:
    """How much each hyperparameter counts in a model's distances."""
    return [STRETCH_FACTORS[hyperparameter.prior.important if hyperparameter.prior else None] for hyperparameter in space]


def log_density(space: Space, points: Matrix) -> Matrix:
    """The logarithm of the prior's density at points (n, hyperparameters) of the unit cube, (n,).

    1 (logarithm 0) where nothing is believed, or a hyperparameter is inactive.
    """
    encoding = Encoding(space)
    snapped, active = encoding.snapped(points), encoding.active(points)
    total: Matrix = np.zeros(len(points))
    for at, hyperparameter in enumerate(space):
        if hyperparameter.prior is not None:
            density = _density(hyperparameter, hyperparameter.prior, snapped[:, at])
            total = total + np.where(active[:, at], np.log(density), 0.0)
    return total


def draws(space: Space, count: int, rng: np.random.Generator) -> Matrix:
    """Points drawn from the prior, (count, hyperparameters); uniform where nothing is believed."""
    points = rng.random((count, len(space.hyperparameters)))
    for at, hyperparameter in enumerate(space):
        if hyperparameter.prior is not None:
            uniform = rng.random(count) < UNIFORM_SHARE
            points[:, at] = np.where(uniform, points[:, at], _drawn(hyperparameter, hyperparameter.prior, points[:, at]))
    return points


def agrees(hyperparameter: Hyperparameter, value: Any) -> bool | None:
    """Whether a value keeps to what is believed likely; None where no value is: within two widths, or the option itself."""
    return None if hyperparameter.prior is None else keeps_to(hyperparameter.domain, value, hyperparameter.prior)


def _density(hyperparameter: Hyperparameter, prior: Prior, units: Matrix) -> Matrix:
    density = np.ones(len(units))
    if prior.value is not None:
        density = _around(hyperparameter, prior, units)
    if prior.better is not None:
        slope = SLOPE_DENSITIES[prior.confidence] * (1 if prior.better == "larger" else -1)
        density = density * (1 + slope * (units - 0.5))
    return UNIFORM_SHARE + (1 - UNIFORM_SHARE) * density


def _around(hyperparameter: Hyperparameter, prior: Prior, units: Matrix) -> Matrix:
    assert prior.value is not None
    middle = to_coordinate(hyperparameter, prior.value)
    if isinstance(hyperparameter.domain, Choice) and not hyperparameter.domain.ordered:
        count = len(hyperparameter.domain.options)
        if count == 1:
            return np.ones(len(units))
        likely = np.abs(units - middle) < 0.5 / count
        return np.where(
            likely, LIKELY_CHANCES[prior.confidence] * count, (1 - LIKELY_CHANCES[prior.confidence]) * count / (count - 1)
        )
    _, mass, width = _bell(prior, middle)
    density: Matrix = np.exp(-(((units - middle) / width) ** 2) / 2) / (math.sqrt(2 * math.pi) * width * mass)
    return density


def _bell(prior: Prior, middle: float) -> tuple[float, float, float]:
    """A normal distribution cut to the unit interval: its part below it, its part within, and its standard deviation."""
    from scipy.special import ndtr  # here, since most sessions have no beliefs

    width = PRIOR_WIDTH[prior.confidence]
    low = float(ndtr(-middle / width))
    return low, float(ndtr((1 - middle) / width)) - low, width


def _drawn(hyperparameter: Hyperparameter, prior: Prior, uniform: Matrix) -> Matrix:
    """The prior's quantiles at `uniform`, without its floor. A slope beside a likely value only weighs; it does not draw."""
    from scipy.special import ndtri

    if prior.value is not None:
        middle = to_coordinate(hyperparameter, prior.value)
        if isinstance(hyperparameter.domain, Choice) and not hyperparameter.domain.ordered:
            count, sure = len(hyperparameter.domain.options), LIKELY_CHANCES[prior.confidence]
            others = [at for at in range(count) if at != int(middle * count)] or [0]
            picked = np.minimum(((uniform - sure) / (1 - sure) * len(others)).astype(int), len(others) - 1)
            return np.where(uniform < sure, middle, (np.array(others)[np.maximum(picked, 0)] + 0.5) / count)
        low, mass, width = _bell(prior, middle)
        quantiles: Matrix = np.clip(middle + width * ndtri(low + mass * uniform), 0, 1)
        return quantiles
    if prior.better is not None:
        slope = SLOPE_DENSITIES[prior.confidence]
        # F(u) = (1 - s/2) u + s u^2 / 2, solved for u
        rising: Matrix = (-(1 - slope / 2) + np.sqrt((1 - slope / 2) ** 2 + 2 * slope * uniform)) / slope
        return rising if prior.better == "larger" else 1 - rising
    return uniform


def told(space: Space, names: Sequence[str] | None = None) -> str:
    """What is believed, in words: learning rate near 0.01 (high confidence)."""
    hyperparameters = [hyperparameter for hyperparameter in believed(space) if names is None or hyperparameter.name in names]
    return "; ".join(
        f"{hyperparameter.label} {words(hyperparameter, hyperparameter.prior)}"
        for hyperparameter in hyperparameters
        if hyperparameter.prior is not None
    )


def words(hyperparameter: Hyperparameter, prior: Prior) -> str:
    """A belief in words: near 0.01, important (high confidence)."""
    said = []
    if prior.value is not None:
        said.append(f"{'' if isinstance(hyperparameter.domain, Choice) else 'near '}{hyperparameter.show(prior.value)}")
    if prior.better is not None:
        said.append(f"{prior.better} is better")
    if prior.important is not None:
        said.append("important" if prior.important else "not important")
    return f"{', '.join(said)} ({prior.confidence} confidence)"
