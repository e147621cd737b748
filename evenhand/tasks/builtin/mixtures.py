"""Mixtures of round Gaussians in the plane: drawn from, their densities, and the error that no classifier can go below.

A class of a generated data set is one mixture: a few Gaussians, or a curve thickened with Gaussian noise, which is many equal
Gaussians along a polyline. So the class densities are known, and the Bayes error rate with them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenhand.model.rules import derive_seed

Numbers = NDArray[np.float64]
Labels = NDArray[np.int64]
REACH_DEVIATIONS = 7.0  # standard deviations around every component that the grid covers: the mass beyond is below 1e-10
CELLS = 1200  # of the grid, along each axis
DRAWS = 100_000
CHUNK_POINTS = 20_000  # points whose densities are computed at a time
DECIMALS = 6  # of drawn coordinates: what a file of them holds


@dataclass(frozen=True)
class Mixture:
    """Round Gaussians: centres (K, 2), their standard deviations (K,), and weights (K,) that add to one."""

    centres: Numbers
    deviations: Numbers
    weights: Numbers

    def density(self, points: Numbers) -> Numbers:
        """The density (N,) at points (N, 2), per unit of area."""
        densities = np.empty(len(points))
        for start in range(0, len(points), CHUNK_POINTS):
            part = points[start : start + CHUNK_POINTS]
            apart = ((part[:, None, :] - self.centres) / self.deviations[:, None]) ** 2
            densities[start : start + CHUNK_POINTS] = np.exp(-apart.sum(2) / 2) @ (
                self.weights / (2 * math.pi * self.deviations**2)
            )
        return densities

    def on_grid(self, x: Numbers, y: Numbers) -> Numbers:
        """The density (len(x), len(y)) at every crossing; a round Gaussian is a product, so this is one matrix product."""
        across = np.exp(-(((x[:, None] - self.centres[:, 0]) / self.deviations) ** 2) / 2)
        up = np.exp(-(((y[:, None] - self.centres[:, 1]) / self.deviations) ** 2) / 2)
        densities: Numbers = (across * (self.weights / (2 * math.pi * self.deviations**2))) @ up.T
        return densities


@dataclass(frozen=True)
class BayesError:
    """The Bayes error rate of equally likely classes in percent; uncertainty: in percentage points, as `how` says."""

    percent: float
    uncertainty: float
    how: str


def gaussians(centres: Sequence[tuple[float, float]], deviation: float) -> Mixture:
    """Equal Gaussians at `centres`."""
    count = len(centres)
    return Mixture(np.array(centres, dtype=np.float64), np.full(count, deviation), np.full(count, 1 / count))


def curve(vertices: Numbers, deviation: float, components: int) -> Mixture:
    """A polyline through `vertices` (V, 2) as `components` equal Gaussians, evenly spaced along its length."""
    lengths = np.hypot(*np.diff(vertices, axis=0).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    places = (np.arange(components) + 0.5) / components * along[-1]
    centres = np.stack([np.interp(places, along, vertices[:, axis]) for axis in (0, 1)], axis=1)
    return Mixture(centres, np.full(components, deviation), np.full(components, 1 / components))


def draw(classes: Sequence[Mixture], count: int, seed: int) -> tuple[Numbers, Labels]:
    """`count` points (N, 2) and their classes (N,), the classes as equally often as they can be, in random order.

    The same in every version of NumPy: made of its raw random words, with the Box-Muller transform.
    """
    labels = (np.arange(count) % len(classes))[_order(derive_seed(seed, "order"), count)]
    points = np.empty((count, 2))
    for number, mixture in enumerate(classes):
        rows = np.flatnonzero(labels == number)
        points[rows] = _drawn(mixture, len(rows), derive_seed(seed, "class", number))
    return np.round(points, DECIMALS), labels


def _order(seed: int, count: int) -> Labels:
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")


def _uniform(seed: int, shape: tuple[int, int]) -> Numbers:
    """Numbers in (0, 1)."""
    words = np.random.PCG64(seed).random_raw(shape[0] * shape[1])
    numbers: Numbers = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    return numbers.reshape(shape)


def _drawn(mixture: Mixture, count: int, seed: int) -> Numbers:
    chances = _uniform(seed, (3, count))
    steps = np.cumsum(mixture.weights)
    chosen = np.minimum(np.searchsorted(steps, chances[0] * steps[-1]), len(steps) - 1)
    radius = np.sqrt(-2 * np.log(chances[1])) * mixture.deviations[chosen]
    angle = 2 * math.pi * chances[2]
    points: Numbers = mixture.centres[chosen] + np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points


def grid_error(classes: Sequence[Mixture], rule: Sequence[Mixture] | None = None, cells: int = CELLS) -> BayesError:
    """The error of the best rule for `rule` (by default for `classes` themselves) on `classes`, integrated over a grid.

    The best rule names the class of the highest density. Integrated by the midpoint rule over `cells` x `cells`; the
    uncertainty is the largest difference to grids of half and of three quarters as many along each axis. Another split's rule
    is the harder one to integrate, as densities do not meet where it changes its mind: boundaries along an axis are worst.
    """
    by = classes if rule is None else rule
    fine, *others = (_integrated(classes, by, count) for count in (cells, cells // 2, 3 * cells // 4))
    uncertainty = 100 * max(abs(fine - other) for other in others)
    return BayesError(100 * fine, uncertainty, f"midpoint rule on {cells} x {cells} cells, against coarser grids")


def _integrated(classes: Sequence[Mixture], rule: Sequence[Mixture], cells: int) -> float:
    both = [*classes, *rule]
    low = np.min([(mixture.centres - REACH_DEVIATIONS * mixture.deviations[:, None]).min(0) for mixture in both], axis=0)
    high = np.max([(mixture.centres + REACH_DEVIATIONS * mixture.deviations[:, None]).max(0) for mixture in both], axis=0)
    x, y = (low[axis] + (np.arange(cells) + 0.5) / cells * (high[axis] - low[axis]) for axis in (0, 1))
    densities = np.stack([mixture.on_grid(x, y) for mixture in classes])
    named = np.stack([mixture.on_grid(x, y) for mixture in rule]).argmax(0) if rule is not classes else densities.argmax(0)
    right = np.take_along_axis(densities, named[None], 0).sum() / len(classes)
    return float(1 - right * np.prod((high - low) / cells))


def sampled_error(classes: Sequence[Mixture], draws: int = DRAWS, seed: int = 0) -> BayesError:
    """The Bayes error rate as the mean of 1 - the likeliest class's posterior over drawn points; uncertainty: standard error."""
    points, _ = draw(classes, draws, derive_seed(seed, "bayes"))
    densities = np.stack([mixture.density(points) for mixture in classes])
    wrong = 1 - densities.max(0) / densities.sum(0)
    return BayesError(
        100 * float(wrong.mean()), 100 * float(wrong.std(ddof=1) / math.sqrt(draws)), f"mean over {draws} drawn points"
    )
