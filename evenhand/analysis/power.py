"""Power of a study's planned test by the number of participants: simulated with a seed, with its Monte Carlo error.

The simulated participants are as favourable as the plan says, no more: normal values without ties, groups that differ in location
only. Real data with ties (many participants without any experience) or unequal spreads have somewhat less power.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from evenhand.analysis.stats import EXACT_BELOW
from evenhand.declaration import Plan

SIZES = tuple(range(20, 201, 10))
PROPORTIONS = (8, 12, 11)  # the paper's novices, medium and experts
SIMULATIONS = 4000
AIMS = (0.8, 0.9)
SPEARMAN_VARIANCE = 1.06  # of Fisher's z of Spearman's rho, times n - 3: Fieller, Hartley and Pearson (1957)


@dataclass(frozen=True)
class Power:
    """The share of `simulations` studies with `n` participants whose test was significant, and its standard error.

    groups: participants in each. closed: by Fisher's z, where the test is Spearman's, as a check.
    """

    n: int
    groups: tuple[int, ...]
    power: float
    error: float
    closed: float | None = None


@dataclass(frozen=True)
class Reach:
    """The smallest number of participants whose simulated power is at least `power`; None where it lies outside the sizes."""

    power: float
    n: int | None
    words: str


@dataclass(frozen=True)
class PowerCurve:
    """Power of the planned test for each size, and where it reaches 80 % and 90 %. why: why there is none."""

    test: str
    alpha: float
    expected: float
    simulations: int
    seed: int
    points: tuple[Power, ...]
    reaches: tuple[Reach, ...]
    how: str
    why: str | None = None


def power_curve(
    plan: Plan,
    sizes: Sequence[int] = SIZES,
    seed: int = 0,
    proportions: Sequence[int] = PROPORTIONS,
    simulations: int = SIMULATIONS,
) -> PowerCurve:
    """The power of `plan.test` at `plan.alpha` if the effect is `plan.expected`, for each number of participants.

    proportions: how participants divide among the groups, from the first to the last outer one. Every size has a random stream of
    its own, so that a number never depends on which others were asked for.
    """
    how = _words(plan, proportions, simulations, seed)
    why = _why_none(plan, sizes, proportions)
    if why:
        return PowerCurve(plan.test, plan.alpha, plan.expected, simulations, seed, (), (), how, f"not computable: {why}")

    def at(n: int) -> Power:
        return _power(plan, n, split(n, proportions), simulations, seed)

    points = tuple(at(n) for n in sorted(set(sizes)))
    reaches = tuple(_reach(points, aim, at) for aim in AIMS)
    return PowerCurve(plan.test, plan.alpha, plan.expected, simulations, seed, points, reaches, how)


def split(n: int, proportions: Sequence[int] = PROPORTIONS) -> tuple[int, ...]:
    """`n` participants divided as `proportions`, by the largest remainders; the sum is n."""
    shares = [n * each / sum(proportions) for each in proportions]
    counts = [math.floor(each) for each in shares]
    order = sorted(range(len(shares)), key=lambda index: (counts[index] - shares[index], index))
    for index in order[: n - sum(counts)]:
        counts[index] += 1
    return tuple(counts)


def fisher_z_power(rho: float, n: int, alpha: float) -> float:
    """Approximate power of the two-sided test of Spearman's rho: normal, variance 1.06 / (n - 3) of its Fisher z."""
    away = math.atanh(rho) * math.sqrt((n - 3) / SPEARMAN_VARIANCE)
    critical = float(stats.norm.isf(alpha / 2))
    return float(stats.norm.sf(critical - away) + stats.norm.cdf(-critical - away))


def _words(plan: Plan, proportions: Sequence[int], simulations: int, seed: int) -> str:
    drawn = f"{simulations} simulated studies a size, seed {seed}"
    if plan.test == "spearman":
        return f"{drawn}; pairs from a bivariate normal whose Spearman's rho is {plan.expected:g}, no ties"
    parts = ":".join(str(each) for each in proportions)
    apart = "those between lie between, evenly" if len(proportions) > 2 else "two groups"
    whose = "all groups" if plan.test == "kruskal-wallis" else "the outer groups"
    return (
        f"{drawn}; groups {parts}, normal with equal spread, outer groups apart by Cliff's delta {plan.expected:g} ({apart}), "
        f"no ties; the test is of {whose}"
    )


def _why_none(plan: Plan, sizes: Sequence[int], proportions: Sequence[int]) -> str | None:
    if not -1 < plan.expected < 1:
        return f"the expected effect is {plan.expected:g}, it has to lie between -1 and 1"
    if not 0 < plan.alpha < 1:
        return f"alpha is {plan.alpha:g}, it has to lie between 0 and 1"
    if not sizes:
        return "no sizes were given"
    smallest = min(split(min(sizes), proportions), default=0)
    if min(sizes) < 4 or (plan.test != "spearman" and (len(proportions) < 2 or smallest < 2)):
        return f"{min(sizes)} participants leave fewer than two in a group"
    return None


def _power(plan: Plan, n: int, groups: tuple[int, ...], simulations: int, seed: int) -> Power:
    rng = np.random.default_rng([seed, n])
    if plan.test == "spearman":
        significant = _spearman(rng, plan.expected, plan.alpha, n, simulations)
    else:
        significant = _by_groups(rng, plan, groups, simulations)
    share = float(np.mean(significant))
    closed = fisher_z_power(plan.expected, n, plan.alpha) if plan.test == "spearman" else None
    return Power(n, groups, share, math.sqrt(share * (1 - share) / simulations), closed)


def _reach(points: Sequence[Power], aim: float, at: Callable[[int], Power]) -> Reach:
    """Between the first size that reaches the aim and the one before it, halved until one is left."""
    found = next((index for index, each in enumerate(points) if each.power >= aim), None)
    if found is None:
        return Reach(aim, None, f"more than {points[-1].n}")
    high = points[found].n
    if found == 0:
        return Reach(aim, None, f"{high} or fewer")
    low = points[found - 1].n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if at(middle).power >= aim else (middle, high)
    return Reach(aim, high, str(high))


def _ranks(values: Any) -> Any:
    """Ranks from 1 along the last axis of values that are never equal."""
    return values.argsort(axis=-1).argsort(axis=-1) + 1.0


def _spearman(rng: np.random.Generator, rho: float, alpha: float, n: int, simulations: int) -> Any:
    """Which of the simulated studies are significant. Pearson's r of the normal pair is 2 sin(pi rho / 6) (Pearson 1907)."""
    r = 2 * math.sin(math.pi * rho / 6)
    x = rng.standard_normal((simulations, n))
    y = r * x + math.sqrt(1 - r * r) * rng.standard_normal((simulations, n))
    found = 1 - 6 * ((_ranks(x) - _ranks(y)) ** 2).sum(axis=-1) / (n * (n * n - 1))
    t = float(stats.t.isf(alpha / 2, n - 2))
    return np.abs(found) >= t / math.sqrt(n - 2 + t * t)


def _by_groups(rng: np.random.Generator, plan: Plan, groups: tuple[int, ...], simulations: int) -> Any:
    """Groups whose means lie evenly apart. Outer ones: P(last > first) = (1 + delta) / 2 = Phi(shift / sqrt 2)."""
    shift = math.sqrt(2) * float(stats.norm.ppf((1 + plan.expected) / 2))
    samples = [rng.standard_normal((simulations, n)) + shift * index / (len(groups) - 1) for index, n in enumerate(groups)]
    if plan.test == "kruskal-wallis":
        return _kruskal(samples, plan.alpha)
    outer = samples[0], samples[-1]
    return _mann_whitney(*outer, plan.alpha) if plan.test == "mann-whitney" else _brunner_munzel(*outer, plan.alpha)


def _kruskal(samples: Sequence[Any], alpha: float) -> Any:
    ranks = _ranks(np.concatenate(samples, axis=-1))
    n = ranks.shape[-1]
    parts = np.split(ranks, np.cumsum([each.shape[-1] for each in samples])[:-1], axis=-1)
    h = 12 / (n * (n + 1)) * sum(each.sum(axis=-1) ** 2 / each.shape[-1] for each in parts) - 3 * (n + 1)
    return h >= stats.chi2.isf(alpha, len(samples) - 1)


def _mann_whitney(x: Any, y: Any, alpha: float) -> Any:
    """Exact or normal as `stats.mann_whitney` chooses; p of every possible U is computed once."""
    n, m = x.shape[-1], y.shape[-1]
    u = _ranks(np.concatenate([x, y], axis=-1))[:, :n].sum(axis=-1) - n * (n + 1) / 2
    if max(n, m) < EXACT_BELOW:
        counts = _u_counts(n, m)
        below = np.cumsum(counts) / counts.sum()
        return np.minimum(1, 2 * below[np.minimum(u, n * m - u).astype(int)]) <= alpha
    z = (np.abs(u - n * m / 2) - 0.5) / math.sqrt(n * m * (n + m + 1) / 12)
    return 2 * stats.norm.sf(z) <= alpha


def _u_counts(n: int, m: int) -> Any:
    """How many orders of n and m values give each U from 0 to n m: the coefficients of the Gaussian binomial.

    Source: Mann and Whitney (1947). Multiplied by (1 - q^(m+i)) and divided by (1 - q^i) for i = 1..n.
    """
    counts = [1] + [0] * (n * m)
    for i in range(1, n + 1):
        for k in range(n * m, m + i - 1, -1):
            counts[k] -= counts[k - m - i]
        for k in range(i, n * m + 1):
            counts[k] += counts[k - i]
    return np.array([float(each) for each in counts])


def _brunner_munzel(x: Any, y: Any, alpha: float) -> Any:
    """Brunner and Munzel (2000); groups that do not overlap, for which it has no variance, count as significant."""
    n, m = x.shape[-1], y.shape[-1]
    ranks = _ranks(np.concatenate([x, y], axis=-1))
    first, second = ranks[:, :n], ranks[:, n:]
    apart = second.mean(axis=-1) - first.mean(axis=-1)
    a = (first - _ranks(x)).var(axis=-1, ddof=1)
    b = (second - _ranks(y)).var(axis=-1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = n * m * apart / ((n + m) * np.sqrt(n * a + m * b))
        df = (n * a + m * b) ** 2 / ((n * a) ** 2 / (n - 1) + (m * b) ** 2 / (m - 1))
        return np.where(a + b == 0, True, 2 * stats.t.sf(np.abs(statistic), df) <= alpha)
