"""What people believe, as numbers: the density of a prior over a space, draws from it, and how much each hyperparameter counts.

A likely value makes a bell around it on the domain's own scale, the narrower the surer; a belief that larger values are better
makes a slope. Each density has a floor, so that nothing is ever ruled out.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenhand.space import PRIOR_WIDTH, Choice, Hyperparameter, Prior, Space, keeps_to
from evenhand.tuners.encoding import Encoding, Matrix, to_coordinate

SURE = {"low": 0.5, "medium": 0.7, "high": 0.9}  # chance of the likely option of a choice without an order
SLOPE = {"low": 1.0, "medium": 1.5, "high": 1.9}  # density at the better end less that at the worse; 2 would rule that one out
FLOOR = 0.05  # part of each density that is uniform
WEIGHT = {True: 1.5, False: 0.4, None: 1.0}  # by which an important, an unimportant, any other hyperparameter is stretched


def believed(space: Space) -> list[Hyperparameter]:
    """The hyperparameters of which anything is believed."""
    return [each for each in space if each.prior is not None]


def weights(space: Space) -> list[float]:
    """How much each hyperparameter counts in a model's distances."""
    return [WEIGHT[each.prior.important if each.prior else None] for each in space]


def log_density(space: Space, points: Matrix) -> Matrix:
    """The logarithm of the prior's density at points (n, hyperparameters) of the unit cube, (n,).

    1 (logarithm 0) where nothing is believed, or a hyperparameter is inactive.
    """
    encoding = Encoding(space)
    snapped, active = encoding.snapped(points), encoding.active(points)
    found: Matrix = np.zeros(len(points))
    for at, each in enumerate(space):
        if each.prior is not None:
            density = _density(each, each.prior, snapped[:, at])
            found = found + np.where(active[:, at], np.log(density), 0.0)
    return found


def draws(space: Space, count: int, rng: np.random.Generator) -> Matrix:
    """Points drawn from the prior, (count, hyperparameters); uniform where nothing is believed."""
    points = rng.random((count, len(space.hyperparameters)))
    for at, each in enumerate(space):
        if each.prior is not None:
            uniform = rng.random(count) < FLOOR
            points[:, at] = np.where(uniform, points[:, at], _drawn(each, each.prior, points[:, at]))
    return points


def agrees(each: Hyperparameter, value: Any) -> bool | None:
    """Whether a value keeps to what is believed likely; None where no value is: within two widths, or the option itself."""
    return None if each.prior is None else keeps_to(each.domain, value, each.prior)


def _density(each: Hyperparameter, prior: Prior, units: Matrix) -> Matrix:
    found = np.ones(len(units))
    if prior.value is not None:
        found = _around(each, prior, units)
    if prior.better is not None:
        slope = SLOPE[prior.confidence] * (1 if prior.better == "larger" else -1)
        found = found * (1 + slope * (units - 0.5))
    return FLOOR + (1 - FLOOR) * found


def _around(each: Hyperparameter, prior: Prior, units: Matrix) -> Matrix:
    assert prior.value is not None
    middle = to_coordinate(each, prior.value)
    if isinstance(each.domain, Choice) and not each.domain.ordered:
        count = len(each.domain.options)
        if count == 1:
            return np.ones(len(units))
        likely = np.abs(units - middle) < 0.5 / count
        return np.where(likely, SURE[prior.confidence] * count, (1 - SURE[prior.confidence]) * count / (count - 1))
    found: Matrix = _bell(prior, middle).pdf(units)
    return found


def _bell(prior: Prior, middle: float) -> Any:
    from scipy.stats import truncnorm  # here, since it takes half a second to load, and most sessions have no beliefs

    width = PRIOR_WIDTH[prior.confidence]
    return truncnorm(-middle / width, (1 - middle) / width, loc=middle, scale=width)


def _drawn(each: Hyperparameter, prior: Prior, uniform: Matrix) -> Matrix:
    """The prior's quantiles at `uniform`, without its floor. A slope beside a likely value only weighs; it does not draw."""
    if prior.value is not None:
        middle = to_coordinate(each, prior.value)
        if isinstance(each.domain, Choice) and not each.domain.ordered:
            count, sure = len(each.domain.options), SURE[prior.confidence]
            others = [at for at in range(count) if at != int(middle * count)] or [0]
            picked = np.minimum(((uniform - sure) / (1 - sure) * len(others)).astype(int), len(others) - 1)
            return np.where(uniform < sure, middle, (np.array(others)[np.maximum(picked, 0)] + 0.5) / count)
        found: Matrix = _bell(prior, middle).ppf(uniform)
        return found
    if prior.better is not None:
        slope = SLOPE[prior.confidence]
        # F(u) = (1 - s/2) u + s u^2 / 2, solved for u
        rising: Matrix = (-(1 - slope / 2) + np.sqrt((1 - slope / 2) ** 2 + 2 * slope * uniform)) / slope
        return rising if prior.better == "larger" else 1 - rising
    return uniform


def told(space: Space, names: Sequence[str] | None = None) -> str:
    """What is believed, in words: learning rate near 0.01 (high confidence)."""
    found = [each for each in believed(space) if names is None or each.name in names]
    return "; ".join(f"{each.label} {words(each, each.prior)}" for each in found if each.prior is not None)


def words(each: Hyperparameter, prior: Prior) -> str:
    """A belief in words: near 0.01, important (high confidence)."""
    said = []
    if prior.value is not None:
        said.append(f"{'' if isinstance(each.domain, Choice) else 'near '}{each.show(prior.value)}")
    if prior.better is not None:
        said.append(f"{prior.better} is better")
    if prior.important is not None:
        said.append("important" if prior.important else "not important")
    return f"{', '.join(said)} ({prior.confidence} confidence)"
