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

from evenhand.analysis.stats import EXACT_BELOW_PARTICIPANTS, quiet
from evenhand.model.study import AnalysisPlan

SAMPLE_SIZES = tuple(range(20, 201, 10))
GROUP_PROPORTIONS = (8, 12, 11)  # the paper's novices, medium and experts
SIMULATIONS = 4000
AIMED_POWERS = (0.8, 0.9)
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
    plan: AnalysisPlan,
    sizes: Sequence[int] = SAMPLE_SIZES,
    seed: int = 0,
    proportions: Sequence[int] = GROUP_PROPORTIONS,
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
    reaches = tuple(_reach(points, aim, at) for aim in AIMED_POWERS)
    return PowerCurve(plan.test, plan.alpha, plan.expected, simulations, seed, points, reaches, how)


def split(n: int, proportions: Sequence[int] = GROUP_PROPORTIONS) -> tuple[int, ...]:
    """`n` participants divided as `proportions`, by the largest remainders; the sum is n."""
    shares = [n * proportion / sum(proportions) for proportion in proportions]
    counts = [math.floor(share) for share in shares]
    order = sorted(range(len(shares)), key=lambda index: (counts[index] - shares[index], index))
    for index in order[: n - sum(counts)]:
        counts[index] += 1
    return tuple(counts)


def fisher_z_power(rho: float, n: int, alpha: float) -> float:
    """Approximate power of the two-sided test of Spearman's rho: normal, variance 1.06 / (n - 3) of its Fisher z."""
    away = math.atanh(rho) * math.sqrt((n - 3) / SPEARMAN_VARIANCE)
    critical = float(stats.norm.isf(alpha / 2))
    return float(stats.norm.sf(critical - away) + stats.norm.cdf(-critical - away))


def _words(plan: AnalysisPlan, proportions: Sequence[int], simulations: int, seed: int) -> str:
    drawn = f"{simulations} simulated studies a size, seed {seed}"
    if plan.test == "spearman":
        return f"{drawn}; pairs from a bivariate normal whose Spearman's rho is {plan.expected:g}, no ties"
    parts = ":".join(str(proportion) for proportion in proportions)
    apart = "those between lie between, evenly" if len(proportions) > 2 else "two groups"
    whose = "all groups" if plan.test == "kruskal-wallis" else "the outer groups"
    return (
        f"{drawn}; groups {parts}, normal with equal spread, outer groups apart by Cliff's delta {plan.expected:g} ({apart}), "
        f"no ties; the test is of {whose}"
    )


def _why_none(plan: AnalysisPlan, sizes: Sequence[int], proportions: Sequence[int]) -> str | None:
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


def _power(plan: AnalysisPlan, n: int, groups: tuple[int, ...], simulations: int, seed: int) -> Power:
    rng = np.random.default_rng([seed, n])
    if plan.test == "spearman":
        hits = _spearman(rng, plan.expected, plan.alpha, n, simulations)
    else:
        hits = _by_groups(rng, plan, groups, simulations)
    share = float(np.mean(hits))
    closed = fisher_z_power(plan.expected, n, plan.alpha) if plan.test == "spearman" else None
    return Power(n, groups, share, math.sqrt(share * (1 - share) / simulations), closed)


def _reach(points: Sequence[Power], aim: float, at: Callable[[int], Power]) -> Reach:
    """Between the first size that reaches the aim and the one before it, halved until one is left."""
    position = next((index for index, point in enumerate(points) if point.power >= aim), None)
    if position is None:
        return Reach(aim, None, f"more than {points[-1].n}")
    high = points[position].n
    if position == 0:
        return Reach(aim, None, f"{high} or fewer")
    low = points[position - 1].n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if at(middle).power >= aim else (middle, high)
    return Reach(aim, high, str(high))


def _ranks(values: Any) -> Any:
    """Ranks from 1 along the last axis of values that are never equal."""
    return values.argsort(axis=-1).argsort(axis=-1) + 1.0


def _spearman(rng: np.random.Generator, rho: float, alpha: float, n: int, simulations: int) -> Any:
    """Which of the simulated studies are significant. Pearson's r of the normal pair is 2 sin(pi rho / 6) (Pearson 1907).

    rho is computed here, since SciPy's `spearmanr` takes one study at a time, and its `rankdata` three times as long.
    """
    r = 2 * math.sin(math.pi * rho / 6)
    x = rng.standard_normal((simulations, n))
    y = r * x + math.sqrt(1 - r * r) * rng.standard_normal((simulations, n))
    correlations = 1 - 6 * ((_ranks(x) - _ranks(y)) ** 2).sum(axis=-1) / (n * (n * n - 1))
    t = float(stats.t.isf(alpha / 2, n - 2))
    return np.abs(correlations) >= t / math.sqrt(n - 2 + t * t)


def _by_groups(rng: np.random.Generator, plan: AnalysisPlan, groups: tuple[int, ...], simulations: int) -> Any:
    """Groups whose means lie evenly apart. Outer ones: P(last > first) = (1 + delta) / 2 = Phi(shift / sqrt 2)."""
    shift = math.sqrt(2) * float(stats.norm.ppf((1 + plan.expected) / 2))
    samples = [rng.standard_normal((simulations, n)) + shift * index / (len(groups) - 1) for index, n in enumerate(groups)]
    return significant(plan.test, samples, plan.alpha)


def significant(test: str, samples: Sequence[Any], alpha: float) -> Any:
    """Which of many studies a test of location finds significant: a row a study, an array of a column a participant for each
    group. Mann-Whitney is exact or normal as `stats.mann_whitney` chooses, and it and Brunner-Munzel compare the outer groups. Of
    groups that do not overlap Brunner-Munzel has no p, since it has no variance: they count as significant.
    """
    first, last = samples[0], samples[-1]
    if test == "kruskal-wallis":
        p = stats.kruskal(*samples, axis=-1).pvalue
    elif test == "mann-whitney":
        exact = max(first.shape[-1], last.shape[-1]) < EXACT_BELOW_PARTICIPANTS
        p = stats.mannwhitneyu(first, last, axis=-1, method="exact" if exact else "asymptotic").pvalue
    else:
        with quiet():
            p = stats.brunnermunzel(first, last, axis=-1).pvalue
    return ~(p > alpha)
