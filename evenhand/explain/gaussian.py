"""A Gaussian process over the trials: what decides whether a hyperparameter matters, and how sure its importance is.

Values far from all others are taken as less far, so that heavy tails and single bad trials decide nothing. The covariance of
two configurations is a product over hyperparameters, exp(-rate x squared distance / 2); a hyperparameter at rate 0 has no
effect. For shares of the variance, which are of the values themselves, what each does by itself is added, since a product alone
makes small effects smaller than they are. Rates, variances and noise are those of the largest posterior density, under a weak
prior.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg, optimize

from evenhand.explain.encoding import Mask
from evenhand.explain.history import Codes

LEAST, MOST = 1e-4, 1e3  # of a rate
LEAST_NOISE, MOST_NOISE = 1e-4, 1e3  # variance of the noise as a multiple of the effects'
RATE, RATE_SPREAD = 0.5, 2.0  # the prior of a rate: log-normal, its median and the standard deviation of its logarithm
NOISE, NOISE_SPREAD = 0.3, 1.5  # the same of the noise
ALONE_RATE = 8.0  # of what a hyperparameter does by itself, beside the product
ALONE, ALONE_SPREAD = 0.01, 2.5  # the prior of its variance, as a multiple of the product's
LEAST_ALONE, MOST_ALONE = 1e-5, 1e2
SPREAD = 1.4826  # by which a median absolute deviation gives a normal standard deviation
STEPS = 60  # of the search for the best rates
ALTERNATIVES = (1.0, 6.0, 36.0)  # rates that a hyperparameter which matters may have
WARM_UP, THINNED = 150, 15  # steps of the walk over rates and noise, before it counts and between two that count
JITTER = 1e-6  # added to a covariance, so that it has a root


@dataclass(frozen=True)
class Process:
    """A fitted process.

    rates: (d,). alone: the variance of what each does by itself, (d,). noise: its variance; both as multiples of `scale`, the
    product's.
    """

    rates: Codes
    alone: Codes
    noise: float
    scale: float

    @property
    def logs(self) -> Codes:
        """Its parameters as the search has them: logarithms of rates, variances and noise."""
        logarithms: Codes = np.log([*np.maximum(self.rates, LEAST), *np.maximum(self.alone, LEAST_ALONE), self.noise])
        return logarithms

    def covariance(self, apart: Codes) -> Codes:
        """The effects' covariance by `scale`, of squared distances (d, n, m)."""
        covariance: Codes = np.exp(-0.5 * np.tensordot(self.rates, apart, 1))
        for amount, distance in zip(self.alone, apart, strict=True):
            if amount:
                covariance += amount * np.exp(-0.5 * ALONE_RATE * distance)
        return covariance


def standardised(values: Codes, most: float) -> Codes:
    """Values of mean 0 and variance 1. What lies beyond `most` robust deviations from the median is taken as that far."""
    middle = float(np.median(values))
    spread = SPREAD * float(np.median(np.abs(values - middle)))
    held = np.clip(values, middle - most * spread, middle + most * spread) if spread > 0 else values
    deviation = float(held.std())
    normal: Codes = (held - held.mean()) / deviation if deviation > 0 else np.zeros(len(values))
    return normal


def fitted(apart: Codes, values: Codes, free: Mask, alone: bool = False, start: Process | None = None) -> Process:
    """The process of the largest posterior density.

    free: which hyperparameters may have an effect. alone: whether each may do something by itself. start: looked at first.
    """
    count = len(apart)
    which = np.flatnonzero(free)
    taken = np.concatenate([which, count + which if alone else [], [2 * count]]).astype(int)
    density = _density(apart[which], values, alone)
    centre, _, lowest, highest = (part[taken] for part in _prior(count))
    first = centre if start is None else np.clip(start.logs[taken], lowest, highest)
    optimum = optimize.minimize(
        density, first, jac=True, method="L-BFGS-B", bounds=list(zip(lowest, highest, strict=True)), options={"maxiter": STEPS}
    )
    logs = np.full(2 * count + 1, -np.inf)
    logs[taken] = optimum.x
    return _process(apart, values, logs)


def _prior(count: int) -> tuple[Codes, Codes, Codes, Codes]:
    """Of the logarithms of rates, variances and noise: median, standard deviation, least and most."""
    parts = ((RATE, ALONE, NOISE), (LEAST, LEAST_ALONE, LEAST_NOISE), (MOST, MOST_ALONE, MOST_NOISE))
    centre, lowest, highest = (np.log([*[one] * count, *[two] * count, three]) for one, two, three in parts)
    return centre, np.array([*[RATE_SPREAD] * count, *[ALONE_SPREAD] * count, NOISE_SPREAD]), lowest, highest


def _process(apart: Codes, values: Codes, logs: Codes) -> Process:
    count = len(apart)
    process = Process(np.exp(logs[:count]), np.exp(logs[count:-1]), float(np.exp(logs[-1])), 1.0)
    root = linalg.cholesky(process.covariance(apart) + process.noise * np.eye(len(values)), lower=True)
    half = linalg.solve_triangular(root, values, lower=True)
    return replace(process, scale=float(half @ half) / len(values))


def _density(apart: Codes, values: Codes, alone: bool) -> Callable[[Codes], tuple[float, Codes]]:
    """Minus the logarithm of the posterior density (the scale profiled), and its slopes, at logarithms of the parameters."""
    d, n = len(apart), len(values)
    used = apart.reshape(d, n * n)
    own = np.exp(-0.5 * ALONE_RATE * used) if alone else np.zeros((0, n * n))
    taken = np.concatenate([np.arange(d), d + np.arange(len(own)), [2 * d]]).astype(int)
    centre, widths = (part[taken] for part in _prior(d)[:2])

    def cost(logs: Codes) -> tuple[float, Codes]:
        rates, amounts, noise = np.exp(logs[:d]), np.exp(logs[d:-1]), float(np.exp(logs[-1]))
        product = np.exp(-0.5 * (rates @ used))
        kernel = (product + amounts @ own).reshape(n, n) + noise * np.eye(n)
        factor, _ = linalg.cho_factor(kernel, lower=True, check_finite=False)
        inverse = linalg.cho_solve((factor, True), np.eye(n), check_finite=False)
        weights = inverse @ values
        scale = float(values @ weights) / n
        outer = (np.outer(weights, weights) / scale - inverse).ravel()
        slopes = np.concatenate(
            [-0.5 * rates * (used @ (outer * product)), amounts * (own @ outer), [noise * outer[:: n + 1].sum()]]
        )
        prior = (logs - centre) / widths
        value = 0.5 * n * np.log(scale) + np.log(np.diag(factor)).sum() + 0.5 * float(prior @ prior)
        return float(value), -0.5 * slopes + prior / widths

    return cost


def chance_of_nothing(apart: Codes, values: Codes, at: int, null: Process, normal: Codes) -> float:
    """How likely values without an effect of hyperparameter `at` speak as much for one as these do.

    The evidence is the mean likelihood ratio over ALTERNATIVES of its rate, against the process without it. Values are simulated
    from that process at the very configurations that were tried, so that what a method's choices confound is in the answer.

    normal: (n, draws) standard normal numbers.
    """
    n = len(values)
    kernel = null.covariance(apart)
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
    misfit: Codes = 0.5 * len(values) * np.log((half**2).sum(0)) + np.log(np.diag(root)).sum()
    return misfit


def likely_processes(apart: Codes, values: Codes, best: Process, count: int, rng: np.random.Generator) -> list[Process]:
    """Processes as likely as their posterior says, by a random walk from the best: what is not known of their parameters."""
    n = len(values)
    _, widths, lowest, highest = _prior(len(apart))
    density = _density(apart, values, alone=True)
    at = np.clip(best.logs, lowest, highest)
    level = density(at)[0]
    step, processes = 0.3, []
    share = max(0.2, 1 / len(at))
    for turn in range(WARM_UP + count * THINNED):
        moved = at + step * widths * (rng.random(len(at)) < share) * rng.normal(size=len(at))
        other = density(moved)[0] if np.all((lowest <= moved) & (moved <= highest)) else np.inf
        accepted = np.log(rng.random()) < level - other
        if accepted:
            at, level = moved, other
        if turn < WARM_UP:
            step *= np.exp(0.15 * (accepted - 0.3))
        elif (turn - WARM_UP) % THINNED == 0:
            process = _process(apart, values, at)
            processes.append(replace(process, scale=process.scale * n / float(rng.chisquare(n))))
    return processes


def drawn_effects(
    apart: Codes, values: Codes, cross: Codes, inner: Codes, process: Process, count: int, rng: np.random.Generator
) -> Codes:
    """Functions that the values leave possible, at other configurations, (m, count).

    apart: squared distances of the trials (d, n, n); cross: to the others (d, n, m); inner: among these (d, m, m).
    """
    root = linalg.cholesky(process.covariance(apart) + process.noise * np.eye(len(values)), lower=True)
    half = linalg.solve_triangular(root, process.covariance(cross), lower=True)
    mean = half.T @ linalg.solve_triangular(root, values, lower=True)
    spread = process.covariance(inner) - half.T @ half
    inner_root = linalg.cholesky(spread + JITTER * np.eye(len(spread)), lower=True)
    functions: Codes = mean[:, None] + np.sqrt(process.scale) * (inner_root @ rng.normal(size=(len(spread), count)))
    return functions
