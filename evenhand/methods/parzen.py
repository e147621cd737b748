"""Optuna's Parzen estimator, its normal distributions computed by SciPy: the same model.

Optuna computes them number by number in Python, so as not to need SciPy.
"""

import math
from typing import Any

import numpy as np
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator
from optuna.samplers._tpe.probability_distributions import _BatchedCategoricalDistributions, _BatchedTruncNormDistributions
from scipy.special import ndtr, ndtri

from evenhand.methods.rows import Matrix


class ParzenEstimator(_ParzenEstimator):
    """Optuna's for choices and for numbers on a linear scale, which is what `optuna_history` makes of a space."""

    def sample(self, rng: np.random.RandomState, size: int) -> dict[str, Matrix]:
        """`size` draws, from the same numbers of `rng` as Optuna's."""
        kernels = rng.choice(len(self._mixture_distribution.weights), p=self._mixture_distribution.weights, size=size)
        parts: list[Any] = self._mixture_distribution.distributions
        drawn = np.empty((size, len(parts)))
        choices = [at for at, part in enumerate(parts) if isinstance(part, _BatchedCategoricalDistributions)]
        numbers = [at for at, part in enumerate(parts) if isinstance(part, _BatchedTruncNormDistributions)]
        for at in choices:
            sums = np.cumsum(parts[at].weights[kernels], axis=1)
            sums[:, -1] = 1
            drawn[:, at] = (sums < rng.rand(size)[:, None]).sum(axis=1)
        for at, uniform in zip(numbers, rng.uniform(size=(len(numbers), size)), strict=True):
            middle, width, below, within = _cut(parts[at])
            cell = ndtri(below[kernels] + uniform * within[kernels])
            drawn[:, at] = np.clip(middle[kernels] + width[kernels] * cell, parts[at].low, parts[at].high)
        untransformed: dict[str, Matrix] = self._untransform(drawn)
        return untransformed

    def log_pdf(self, samples_dict: dict[str, Matrix]) -> Matrix:
        """The logarithm of the density at each sample."""
        samples = self._transform(samples_dict)
        total = np.log(self._mixture_distribution.weights)[None, :]
        for at in range(samples.shape[1]):
            total = total + self._log_kernels(samples, at)
        return _log_sum(total)

    def log_marginals(self, samples_dict: dict[str, Matrix]) -> dict[str, Matrix]:
        """The logarithm of each parameter's own density at each sample, by its name."""
        samples = self._transform(samples_dict)
        weights = np.log(self._mixture_distribution.weights)[None, :]
        return {name: _log_sum(weights + self._log_kernels(samples, at)) for at, name in enumerate(self._search_space)}

    def _log_kernels(self, samples: Matrix, at: int) -> Matrix:
        """The logarithm of the density of each kernel along one parameter, (samples, kernels)."""
        part: Any = self._mixture_distribution.distributions[at]
        if isinstance(part, _BatchedCategoricalDistributions):
            logarithm: Matrix = np.log(part.weights[:, samples[:, at].astype(int)]).T
            return logarithm
        middle, width, _, within = _cut(part)
        kernels: Matrix = samples[:, at, None] - middle
        kernels /= width  # in place: there are as many as samples times kernels, and new arrays take longer than the sums
        np.square(kernels, out=kernels)
        kernels *= -0.5
        kernels -= np.log(math.sqrt(2 * math.pi) * width * within)
        return kernels


def _log_sum(logarithms: Matrix) -> Matrix:
    """The logarithm of the sum along the rows, without loss; the array is used up."""
    highest = logarithms.max(axis=1, keepdims=True)
    logarithms -= highest
    total: Matrix = highest[:, 0] + np.log(np.exp(logarithms, out=logarithms).sum(axis=1))
    return total


def _cut(part: Any) -> tuple[Matrix, Matrix, Matrix, Matrix]:
    """Normal distributions cut to an interval that their middles lie in: middles, widths, and the parts below and within it."""
    below = ndtr((part.low - part.mu) / part.sigma)
    return part.mu, part.sigma, below, ndtr((part.high - part.mu) / part.sigma) - below
