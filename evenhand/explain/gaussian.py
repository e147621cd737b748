"""A Gaussian process over the trials: what decides whether a hyperparameter matters, and how sure its importance is.

Values are replaced by their normal scores (by rank), so that heavy tails and single bad trials decide nothing. The covariance of
two configurations is a product over hyperparameters, exp(-rate x squared distance / 2); a hyperparameter at rate 0 has no effect.
Rates and noise are those of the largest posterior density, under a weak prior.
"""

from dataclasses import dataclass

import numpy as np
from scipy import linalg, optimize, stats

from evenhand.explain.history import Codes

LEAST, MOST = 1e-4, 1e3  # of a rate
LEAST_NOISE, MOST_NOISE = 1e-4, 1e3  # variance of the noise as a multiple of the effects'
RATE, RATE_SPREAD = 0.5, 2.0  # the prior of a rate: log-normal, its median and the standard deviation of its logarithm
NOISE, NOISE_SPREAD = 0.3, 1.5  # the same of the noise
STEPS = 60  # of the search for the best rates
ALTERNATIVES = (1.0, 6.0, 36.0)  # rates that a hyperparameter which matters may have
WARM_UP, THINNED = 150, 15  # steps of the walk over rates and noise, before it counts and between two that count
JITTER = 1e-6  # added to a covariance, so that it has a root


@dataclass(frozen=True)
class Process:
    """A fitted process. rates: (d,). noise: its variance by that of the effects. scale: the variance of the effects."""

    rates: Codes
    noise: float
    scale: float


def scores(values: Codes) -> Codes:
    """Normal scores of values, by their ranks; of equals the mean rank."""
    ranks = stats.rankdata(values)
    found: Codes = stats.norm.ppf((ranks - 0.5) / len(values))
    spread = float(found.std())
    return (found - found.mean()) / spread if spread > 0 else np.zeros(len(values))


def covariance(apart: Codes, rates: Codes) -> Codes:
    """The effects' covariance at unit variance, of squared distances (d, n, m)."""
    found: Codes = np.exp(-0.5 * np.tensordot(rates, apart, 1))
    return found


def fitted(apart: Codes, values: Codes, free: Codes, start: Process | None = None) -> Process:
    """The process of the largest posterior density. free: which hyperparameters may have an effect. start: looked at first."""
    count, n = len(apart), len(values)
    which = np.flatnonzero(free)
    used = apart[which].reshape(len(which), n * n)
    centre = np.log([*[RATE] * len(which), NOISE])
    widths = np.array([*[RATE_SPREAD] * len(which), NOISE_SPREAD])

    def cost(logs: Codes) -> tuple[float, Codes]:
        rates, noise = np.exp(logs[:-1]), float(np.exp(logs[-1]))
        kernel = np.exp(-0.5 * (rates @ used)).reshape(n, n)
        factor, _ = linalg.cho_factor(kernel + noise * np.eye(n), lower=True, check_finite=False)
        inverse = linalg.cho_solve((factor, True), np.eye(n), check_finite=False)
        weights = inverse @ values
        scale = float(values @ weights) / n
        outer = np.outer(weights, weights) / scale - inverse
        slopes = np.array([*(-0.5 * rates * (used @ (outer * kernel).ravel())), noise * np.trace(outer)])
        prior = (logs - centre) / widths
        value = 0.5 * n * np.log(scale) + np.log(np.diag(factor)).sum() + 0.5 * float(prior @ prior)
        return float(value), -0.5 * slopes + prior / widths

    first = centre if start is None else np.log([*np.clip(start.rates[which], LEAST, MOST), start.noise])
    bounds = [(np.log(LEAST), np.log(MOST))] * len(which) + [(np.log(LEAST_NOISE), np.log(MOST_NOISE))]
    found = optimize.minimize(cost, first, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": STEPS})
    rates = np.zeros(count)
    rates[which] = np.exp(found.x[:-1])
    noise = float(np.exp(found.x[-1]))
    root = linalg.cholesky(covariance(apart, rates) + noise * np.eye(n), lower=True)
    half = linalg.solve_triangular(root, values, lower=True)
    return Process(rates, noise, float(half @ half) / n)


def chance_of_nothing(apart: Codes, values: Codes, at: int, null: Process, normal: Codes) -> float:
    """How likely values without an effect of hyperparameter `at` speak as much for one as these do.

    The evidence is the mean likelihood ratio over ALTERNATIVES of its rate, against the process without it. Values are simulated
    from that process at the very configurations that were tried, so that what a method's choices confound is in the answer.

    normal: (n, draws) standard normal numbers.
    """
    n = len(values)
    kernel = covariance(apart, null.rates)
    root = linalg.cholesky(kernel + null.noise * np.eye(n), lower=True)
    simulated = np.column_stack([values, root @ normal])
    base = _fit_of(root, simulated)
    evidence = []
    for rate in ALTERNATIVES:
        other = linalg.cholesky(kernel * np.exp(-0.5 * rate * apart[at]) + null.noise * np.eye(n), lower=True)
        evidence.append(base - _fit_of(other, simulated))
    ratios = np.logaddexp.reduce(np.array(evidence), axis=0)
    return float((1 + np.sum(ratios[1:] >= ratios[0])) / (normal.shape[1] + 1))


def _fit_of(root: Codes, values: Codes) -> Codes:
    """Minus the profiled log-likelihood of each column."""
    half = linalg.solve_triangular(root, values, lower=True, check_finite=False)
    found: Codes = 0.5 * len(values) * np.log((half**2).sum(0)) + np.log(np.diag(root)).sum()
    return found


def likely_processes(apart: Codes, values: Codes, best: Process, count: int, rng: np.random.Generator) -> list[Process]:
    """Processes as likely as their posterior says, by a random walk from the best: what is not known of rates and noise."""
    n, d = len(values), len(apart)
    used = apart.reshape(d, n * n)
    centre = np.log([*[RATE] * d, NOISE])
    widths = np.array([*[RATE_SPREAD] * d, NOISE_SPREAD])
    lowest = np.log([*[LEAST] * d, LEAST_NOISE])
    highest = np.log([*[MOST] * d, MOST_NOISE])

    def density(logs: Codes) -> tuple[float, float]:
        if np.any(logs < lowest) or np.any(logs > highest):
            return -np.inf, 0.0
        kernel = np.exp(-0.5 * (np.exp(logs[:-1]) @ used)).reshape(n, n)
        root = linalg.cholesky(kernel + np.exp(logs[-1]) * np.eye(n), lower=True, check_finite=False)
        half = linalg.solve_triangular(root, values, lower=True, check_finite=False)
        square = float(half @ half)
        prior = float(np.sum(((logs - centre) / widths) ** 2))
        return -0.5 * n * np.log(square) - float(np.log(np.diag(root)).sum()) - 0.5 * prior, square

    at = np.log([*np.maximum(best.rates, LEAST), best.noise])
    level, square = density(at)
    step, found = 0.5, []
    for turn in range(WARM_UP + count * THINNED):
        block = rng.random(d + 1) < max(0.3, 1 / (d + 1))
        move = at + step * block * rng.normal(size=d + 1)
        moved, other = density(move)
        accepted = np.log(rng.random()) < moved - level
        if accepted:
            at, level, square = move, moved, other
        if turn < WARM_UP:
            step *= np.exp(0.15 * (accepted - 0.3))
        elif (turn - WARM_UP) % THINNED == 0:
            found.append(Process(np.exp(at[:-1]), float(np.exp(at[-1])), square / float(rng.chisquare(n))))
    return found


def drawn_effects(
    apart: Codes, values: Codes, cross: Codes, inner: Codes, process: Process, count: int, rng: np.random.Generator
) -> Codes:
    """Functions that the values leave possible, at other configurations, (m, count).

    apart: squared distances of the trials (d, n, n); cross: to the others (d, n, m); inner: among these (d, m, m).
    """
    root = linalg.cholesky(covariance(apart, process.rates) + process.noise * np.eye(len(values)), lower=True)
    half = linalg.solve_triangular(root, covariance(cross, process.rates), lower=True)
    mean = half.T @ linalg.solve_triangular(root, values, lower=True)
    spread = covariance(inner, process.rates) - half.T @ half
    inner_root = linalg.cholesky(spread + JITTER * np.eye(len(spread)), lower=True)
    found: Codes = mean[:, None] + np.sqrt(process.scale) * (inner_root @ rng.normal(size=(len(spread), count)))
    return found
