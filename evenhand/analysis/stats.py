"""The statistics that reviewers ask for, as plain records: tests, effect sizes, intervals, tries to a threshold.

Every function takes one value a participant (a mean over evaluation seeds: seeds are never people). Values that are not finite
are left out; `n` counts those that remain. Where a number cannot be computed, its field is None and `why` says why: no record
holds NaN, and no function raises for what data may look like.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, Literal

import numpy as np
from scipy import optimize, stats

from evenhand.analysis.summaries import bounded, scale_of, summary
from evenhand.model.extras import require

Groups = Mapping[str, Sequence[float]]
Centre = Literal["mean", "median"]
PairTest = Literal["brunner-munzel", "mann-whitney"]
INTERVAL_LEVEL = 0.95  # coverage of every interval
RESAMPLES = 9999
EXACT_BELOW_PARTICIPANTS = 50  # a group, below which Mann-Whitney is exact where nothing is tied (as in R's wilcox.test)
NUMBERS_AT_ONCE = 4_000_000  # numbers that a bootstrap holds at a time
LEAST_FOR_RHO_DIFFERENCE = 5  # participants with both measures: below them Fisher's z has hardly any freedom
LEAST_FOR_SKEW = 8  # values, below which D'Agostino's test of skewness has no approximation
SKEW_LEVEL = 0.05  # at which data is called skewed
# Romano, Kromrey, Coraggio and Skowronek (2006), "Appropriate statistics for ordinal level data": bounds of |Cliff's delta|.
DELTA_WORDS = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"), (math.inf, "large"))


@dataclass(frozen=True)
class Interval:
    """An interval at INTERVAL_LEVEL, or (None, None) and why there is none."""

    low: float | None
    high: float | None
    how: str
    why: str | None = None


@dataclass(frozen=True)
class Test:
    """A test: its statistic and two-sided p (`df`: degrees of freedom, where it has any), over `n` participants."""

    name: str
    n: int
    statistic: float | None
    p: float | None
    how: str
    df: tuple[float, ...] = ()
    why: str | None = None


@dataclass(frozen=True)
class Skewness:
    """The sample skewness (bias-corrected) of `n` values within their groups, and D'Agostino's two-sided p; None of too few."""

    n: int
    value: float | None
    p: float | None

    @property
    def is_seen(self) -> bool:
        """Whether it is more than chance would have it."""
        return self.p is not None and self.p < SKEW_LEVEL


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho between two columns of `n` participants, its two-sided p and its interval."""

    n: int
    rho: float | None
    p: float | None
    interval: Interval
    how: str
    why: str | None = None


@dataclass(frozen=True)
class RhoDifference:
    """Spearman's rho of an outcome with a first measure less that with a second, of the same `n` participants.

    rhos: both. between: rho of the two measures. z, p: of Meng, Rosenthal and Rubin's test.
    """

    n: int
    rhos: tuple[float, float] | None
    between: float | None
    difference: float | None
    interval: Interval
    z: float | None
    p: float | None
    how: str
    why: str | None = None


@dataclass(frozen=True)
class Effect:
    """A difference of two groups, first against second. words: how large it is called, for Cliff's delta."""

    name: str
    n: tuple[int, int]
    value: float | None
    interval: Interval
    how: str
    words: str = ""
    why: str | None = None


@dataclass(frozen=True)
class Pair:
    """A test between two groups; `adjusted` is its p after Holm's adjustment over the pairs that could be computed."""

    first: str
    second: str
    n: tuple[int, int]
    statistic: float | None
    p: float | None
    adjusted: float | None
    how: str
    why: str | None = None


@dataclass(frozen=True)
class SurvivalStep:
    """After this try: who had not reached the threshold before it, who reached it, who stopped there, and the share left.

    low, high: the share's pointwise interval at `LEVEL`; None where the share is 0 or 1, where its variance is not estimated.
    """

    at: float
    risk: int
    reached: int
    censored: int
    share: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Survival:
    """Kaplan-Meier over `n` participants, of whom `reached` reached the threshold.

    median: the fewest tries after which at most half have not reached it; None where more than half never did.
    """

    name: str
    n: int
    reached: int
    steps: tuple[SurvivalStep, ...]
    median: float | None
    low: float | None
    high: float | None
    how: str
    why: str | None = None


def spearman(x: Sequence[float], y: Sequence[float], seed: int | None) -> Correlation:
    """Spearman's rank correlation of pairs, average ranks for ties. Pairs with a value that is not finite are left out.

    seed: of the interval's resamples; None: no interval is wanted. p is by Student's t with n - 2 degrees of freedom (as R's
    cor.test with exact=FALSE), but where |rho| is 1, for which that says 0: there it is the chance of such an order among all.
    """
    pairs = [(float(a), float(b)) for a, b in zip(x, y, strict=True) if math.isfinite(a) and math.isfinite(b)]
    how = "Spearman's rho with average ranks; p two-sided, by Student's t with n − 2 degrees of freedom"
    n = len(pairs)
    if n < 3:
        return Correlation(n, None, None, _none("no estimate"), how, f"not computable: {n} pairs, at least 3 are needed")
    a, b = np.array(pairs).T
    if _is_constant(a) or _is_constant(b):
        which = "first" if _is_constant(a) else "second"
        return Correlation(n, None, None, _none("no estimate"), how, f"not computable: all {n} values of the {which} are equal")
    rho = float(_rho(a, b))
    p = float(stats.spearmanr(a, b).pvalue)
    if abs(rho) > 1 - 1e-12:
        rho, p = math.copysign(1.0, rho), _chance_of_order(a)
        how = "Spearman's rho with average ranks; p two-sided: the chance of a perfect order among all orders"
    interval = _none("not asked for") if seed is None else _interval((a, b), _rho, seed, paired=True)
    return Correlation(n, rho, p, interval, how)


def rho_difference(outcome: Sequence[float], first: Sequence[float], second: Sequence[float]) -> RhoDifference:
    """Does an outcome go together with one measure more than with another one of the same participants?

    p by Meng, Rosenthal and Rubin (1992), "Comparing correlated correlation coefficients", eq. 1; interval by Zou (2007), "Toward
    using confidence intervals to compare correlations", eq. 15. Both take three correlations and n, and were made for Pearson's
    r, which Spearman's rho is of ranks; with tied months and six degrees a test simulates that they keep their level.
    """
    how = (
        "rho of the score with the first measure less that with the second, of those who answered both; p two-sided by "
        f"Meng, Rosenthal and Rubin's test (1992), intervals by Zou (2007), {INTERVAL_LEVEL:.0%}, both on ranks"
    )
    rows = [row for row in zip(outcome, first, second, strict=True) if all(map(math.isfinite, row))]
    n = len(rows)
    if n < LEAST_FOR_RHO_DIFFERENCE:
        why = f"not computable: {n} participants answered both, at least {LEAST_FOR_RHO_DIFFERENCE} are needed"
        return RhoDifference(n, None, None, None, _none("no estimate"), None, None, how, why)
    score, one, two = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    if any(_is_constant(column) for column in (score, one, two)):
        why = f"not computable: all {n} values of the score or of a measure are equal"
        return RhoDifference(n, None, None, None, _none("no estimate"), None, None, how, why)
    rhos, between = (float(_rho(one, score)), float(_rho(two, score))), float(_rho(one, two))
    difference = rhos[0] - rhos[1]
    if max(abs(rho) for rho in (*rhos, between)) > 1 - 1e-12:
        why = "not computable: a perfect correlation leaves no error to compare with"
        return RhoDifference(n, rhos, between, difference, _none("a correlation is perfect"), None, None, how, why)
    z = meng_z(*rhos, between, n)
    low, high = zou_interval(*rhos, between, n)
    p = 2 * float(stats.norm.sf(abs(z)))
    return RhoDifference(n, rhos, between, difference, Interval(low, high, "Zou (2007)"), z, p, how)


def meng_z(first: float, second: float, between: float, n: int) -> float:
    """Meng, Rosenthal and Rubin's Z of two correlations with one outcome, whose measures correlate as `between`."""
    mean_square = (first**2 + second**2) / 2
    f = min(1.0, (1 - between) / (2 * (1 - mean_square)))
    h = (1 - f * mean_square) / (1 - mean_square)
    return (math.atanh(first) - math.atanh(second)) * math.sqrt((n - 3) / (2 * (1 - between) * h))


def zou_interval(first: float, second: float, between: float, n: int) -> tuple[float, float]:
    """Zou's interval of the difference of two correlations with one outcome, from the intervals of both by Fisher's z."""
    away = float(stats.norm.ppf(0.5 + INTERVAL_LEVEL / 2)) / math.sqrt(n - 3)
    (low_1, high_1), (low_2, high_2) = (
        (math.tanh(math.atanh(rho) - away), math.tanh(math.atanh(rho) + away)) for rho in (first, second)
    )
    squares = first**2 + second**2 + between**2
    shared = (between - first * second / 2) * (1 - squares) + between**3
    c = shared / ((1 - first**2) * (1 - second**2))
    down = (first - low_1) ** 2 + (high_2 - second) ** 2 - 2 * c * (first - low_1) * (high_2 - second)
    up = (high_1 - first) ** 2 + (second - low_2) ** 2 - 2 * c * (high_1 - first) * (second - low_2)
    return first - second - math.sqrt(max(0.0, down)), first - second + math.sqrt(max(0.0, up))


def mean_interval(values: Sequence[float], seed: int, resamples: int = RESAMPLES) -> Interval:
    """Of a mean: the bootstrap-t interval (Efron 1981), which follows skewed data where Student's is too short on one side.

    Where so many resamples do not vary that it has no end, it is Student's.
    """
    sample = _finite(values)
    if why := _why_no_interval(sample):
        return _none(why)
    unit, n = scale_of(sample.tolist()), len(sample)
    scaled = sample / unit
    mean, error = float(np.mean(scaled)), float(np.std(scaled, ddof=1)) / math.sqrt(n)
    rng = np.random.default_rng(seed)
    away = np.empty(resamples)
    at_once = max(1, NUMBERS_AT_ONCE // n)
    for begin in range(0, resamples, at_once):
        drawn = scaled[rng.integers(n, size=(min(at_once, resamples - begin), n))]
        with quiet():
            away[begin : begin + at_once] = (drawn.mean(1) - mean) / (drawn.std(1, ddof=1) / math.sqrt(n))
    away[np.isnan(away)] = 0.0
    low, high = np.quantile(away, ((1 - INTERVAL_LEVEL) / 2, (1 + INTERVAL_LEVEL) / 2), method="closest_observation")
    how = f"bootstrap-t, {resamples} resamples, {INTERVAL_LEVEL:.0%}, seed {seed}"
    if not math.isfinite(low) or not math.isfinite(high):
        high = float(stats.t.ppf((1 + INTERVAL_LEVEL) / 2, n - 1))
        low, how = -high, f"Student's t, {INTERVAL_LEVEL:.0%}, since too many resamples do not vary for a bootstrap-t"
    with quiet():  # an end may be beyond the largest number
        return Interval(bounded((mean - high * error) * unit), bounded((mean - low * error) * unit), how)


def student_interval(values: Sequence[float]) -> Interval:
    """Of a mean, as papers write it (mean ± half of it): Student's, symmetric about the mean; None of fewer than two values."""
    of_values = summary(values)
    if of_values.mean is None or of_values.deviation is None:
        return _none("an interval needs at least two values")
    half = float(stats.t.ppf((1 + INTERVAL_LEVEL) / 2, len(values) - 1)) * of_values.deviation / math.sqrt(len(values))
    return Interval(bounded(of_values.mean - half), bounded(of_values.mean + half), f"Student's t, {INTERVAL_LEVEL:.0%}")


def median_interval(values: Sequence[float]) -> Interval:
    """Of a median: between two order statistics, interpolated so that it covers nearly as often as it says.

    Source: Hettmansperger and Sheather (1986), "Confidence intervals based on interpolated order statistics". The exact interval,
    of whole order statistics, covers 99.2 % of the time with 8 values, or 93.0 %. Fewer than 6 values have none at 95 %.
    """
    sample = np.sort(_finite(values))
    if why := _why_no_interval(sample):
        return _none(why)
    n = len(sample)

    def level(place: int) -> float:
        return 1 - 2 * float(stats.binom.cdf(place - 1, n, 0.5))

    if level(1) < INTERVAL_LEVEL:
        return _none(f"from the least to the largest of {n} values covers the median in only {level(1):.1%} of the samples")
    place = max(place for place in range(1, n // 2 + 1) if level(place) >= INTERVAL_LEVEL)
    share = (level(place) - INTERVAL_LEVEL) / (level(place) - level(place + 1))
    inner = (n - place) * share / (place + (n - 2 * place) * share)
    low = (1 - inner) * sample[place - 1] + inner * sample[place]
    high = (1 - inner) * sample[n - place] + inner * sample[n - place - 1]
    return Interval(float(low), float(high), f"interpolated order statistics (Hettmansperger and Sheather), {INTERVAL_LEVEL:.0%}")


def mean_difference(first: Sequence[float], second: Sequence[float]) -> Effect:
    """Mean of the first group less that of the second, in the values' own unit, with Welch's interval."""
    x, y = _finite(first), _finite(second)
    name, n = "difference of means", (len(x), len(y))
    how = f"{name}, first less second"
    if 0 in n:
        return _no_effect(name, n, how)
    unit = scale_of([*x, *y])
    x, y = x / unit, y / unit
    value = float(np.mean(x) - np.mean(y))
    if min(n) < 2:
        interval = _none("a group has one value, which has no spread")
    elif _is_constant(x) and _is_constant(y):
        interval = _none("the values do not vary")
    else:
        with quiet():
            low, high = stats.ttest_ind(x, y, equal_var=False).confidence_interval(INTERVAL_LEVEL)
        interval = Interval(bounded(float(low) * unit), bounded(float(high) * unit), f"Welch's t, {INTERVAL_LEVEL:.0%}")
    return Effect(name, n, bounded(value * unit), interval, how)


def cliffs_delta(first: Sequence[float], second: Sequence[float], seed: int) -> Effect:
    """Cliff's delta: P(first > second) - P(first < second), from -1 to 1, with an interval and its usual word.

    The interval is BCa; where that has none (few participants, many ties, groups that do not overlap) it is Newcombe's, by the
    score of the Mann-Whitney statistic. Sources: Cliff (1993), "Dominance statistics"; words by Romano et al. (2006), see
    DELTA_WORDS; Newcombe (2006), "Confidence intervals for an effect size measure based on the Mann-Whitney statistic", method 5.
    """
    effect = _effect("Cliff's delta", first, second, _delta, seed)
    if effect.value is None:
        return effect
    size = abs(effect.value)
    words = next(word for bound, word in DELTA_WORDS if size < bound)
    return replace(effect, words=words, interval=effect.interval if effect.interval.how else _newcombe(effect.value, effect.n))


def _newcombe(delta: float, n: tuple[int, int]) -> Interval:
    """Where theta = (delta + 1) / 2 is just as far from its estimate as z of its own standard errors: two roots.

    Where the groups do not overlap, the estimate itself is such a theta (its variance is 0), so that its factor is divided out.
    """
    share, z = (delta + 1) / 2, float(stats.norm.ppf(0.5 + INTERVAL_LEVEL / 2))
    more = sum(n) / 2 - 1

    def beyond(theta: float) -> float:
        part = z * z * (1 + more * ((1 - theta) / (2 - theta) + theta / (1 + theta))) / (n[0] * n[1])
        if share >= 1:
            return 1 - theta - theta * part
        if share <= 0:
            return theta - (1 - theta) * part
        return (theta - share) ** 2 - theta * (1 - theta) * part

    low = 0.0 if share <= 0 else float(optimize.brentq(beyond, 0.0, share))
    high = 1.0 if share >= 1 else float(optimize.brentq(beyond, share, 1.0))
    return Interval(2 * low - 1, 2 * high - 1, f"Newcombe's score interval of the Mann-Whitney statistic, {INTERVAL_LEVEL:.0%}")


def kruskal(groups: Groups) -> Test:
    """Kruskal-Wallis over all groups that have values: do they differ in location? H with ties corrected, p by chi-squared."""
    name, how = (
        "Kruskal-Wallis",
        "H corrected for ties; p by chi-squared with (groups − 1) degrees of freedom; a test of location",
    )
    samples = [sample for sample in (_finite(values) for values in groups.values()) if len(sample)]
    n = sum(len(sample) for sample in samples)
    if len(samples) < 2:
        return Test(name, n, None, None, how, why=f"not computable: {len(samples)} groups have values, at least 2 are needed")
    if _is_constant(np.concatenate(samples)):
        return Test(name, n, None, None, how, why=f"not computable: all {n} values are equal")
    result = stats.kruskal(*samples)
    return Test(name, n, float(result.statistic), float(result.pvalue), how, (len(samples) - 1.0,))


def levene(groups: Groups, centre: Centre) -> Test:
    """Levene's test about the mean, or about the median (Brown and Forsythe): do groups differ in SPREAD, not in location?"""
    about = "mean" if centre == "mean" else "median (Brown–Forsythe)"
    name = f"Levene, centre {centre}"
    how = f"absolute deviations from each group's {about}, compared by analysis of variance; a test of spread, not of location"
    samples = {key: sample for key, sample in ((key, _finite(values)) for key, values in groups.items()) if len(sample)}
    n = sum(len(sample) for sample in samples.values())
    why = _why_no_levene(samples, centre)
    if why:
        return Test(name, n, None, None, how, why=f"not computable: {why}")
    unit = scale_of([value for sample in samples.values() for value in sample])  # changes nothing but that squares are numbers
    result = stats.levene(*(sample / unit for sample in samples.values()), center=centre)
    return Test(name, n, float(result.statistic), float(result.pvalue), how, (len(samples) - 1.0, float(n - len(samples))))


def skewness(groups: Groups) -> Skewness:
    """How skewed values are within their groups: of deviations from each group's mean, in its own standard deviations, pooled."""
    samples = [
        sample for sample in (_finite(values) for values in groups.values()) if len(sample) > 1 and not _is_constant(sample)
    ]
    n = sum(map(len, samples))
    if n < LEAST_FOR_SKEW:
        return Skewness(n, None, None)
    scaled = np.concatenate([stats.zscore(sample / scale_of(sample.tolist()), ddof=1) for sample in samples])
    return Skewness(n, float(stats.skew(scaled, bias=False)), float(stats.skewtest(scaled).pvalue))


def levene_pairs(groups: Groups, centre: Centre) -> tuple[Pair, ...]:
    """Levene's test of every pair of groups (the paper's Table 2), with Holm's adjustment beside the plain p."""
    pairs = []
    for one, two in combinations(groups, 2):
        test = levene({one: groups[one], two: groups[two]}, centre)
        n = len(_finite(groups[one])), len(_finite(groups[two]))
        missing = f"not computable: group {one if n[0] == 0 else two} is empty" if 0 in n else test.why
        pairs.append(Pair(one, two, n, test.statistic, test.p, None, test.how, missing))
    return holm(pairs)


def pairwise(groups: Groups, test: PairTest) -> tuple[Pair, ...]:
    """A test of location for every pair of groups, in their order, with Holm's adjustment."""
    pairs = []
    for one, two in combinations(groups, 2):
        result = location(groups[one], groups[two], test)
        n = len(_finite(groups[one])), len(_finite(groups[two]))
        pairs.append(Pair(one, two, n, result.statistic, result.p, None, result.how, result.why))
    return holm(pairs)


def location(first: Sequence[float], second: Sequence[float], test: PairTest) -> Test:
    """The named test of location of two groups."""
    return mann_whitney(first, second) if test == "mann-whitney" else brunner_munzel(first, second)


def holm(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """The same pairs with p adjusted by Holm (1979), over those that have one."""
    there = sum(pair.p is not None for pair in pairs)
    note = f"; Holm's adjustment over {there} pairs"
    return tuple(
        pair if adjusted is None else replace(pair, adjusted=adjusted, how=pair.how + note)
        for pair, adjusted in zip(pairs, holm_adjusted([pair.p for pair in pairs]), strict=True)
    )


def holm_adjusted(ps: Sequence[float | None]) -> list[float | None]:
    """Each p adjusted by Holm (1979), over those that are there."""
    there = [p for p in ps if p is not None]
    if len(there) < 2:  # nothing to adjust: statsmodels, which collects garbage each time, is not asked
        return list(ps)
    multitest = require("statsmodels.stats.multitest", "Holm's adjustment")
    adjusted = iter(multitest.multipletests(there, method="holm")[1])
    return [None if p is None else float(next(adjusted)) for p in ps]


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> Test:
    """Mann-Whitney U of the first group (R's W), two-sided: exact below EXACT_BELOW a group without ties, else normal."""
    x, y = _finite(first), _finite(second)
    name, n = "Mann-Whitney", len(x) + len(y)
    tied = len(np.unique(np.concatenate([x, y]))) < n
    exact = not tied and max(len(x), len(y)) < EXACT_BELOW_PARTICIPANTS
    how = "U of the first group; p two-sided, exact" if exact else _normal_words(tied)
    why = _why_no_pair(x, y, least=1)
    if why:
        return Test(name, n, None, None, how, why=f"not computable: {why}")
    result = stats.mannwhitneyu(x, y, alternative="two-sided", method="exact" if exact else "asymptotic")
    return Test(name, n, float(result.statistic), float(result.pvalue), how)


def brunner_munzel(first: Sequence[float], second: Sequence[float]) -> Test:
    """Brunner and Munzel (2000), two-sided with the t approximation: like Mann-Whitney, but groups may differ in spread.

    A positive statistic says that the second group's values tend to be larger.
    """
    x, y = _finite(first), _finite(second)
    name, n = "Brunner-Munzel", len(x) + len(y)
    how = "t approximation, two-sided" + ("; rough below 10 participants a group" if min(len(x), len(y)) < 10 else "")
    why = _why_no_pair(x, y, least=2) or _why_no_overlap(x, y)
    if why:
        return Test(name, n, None, None, how, why=f"not computable: {why}")
    with quiet():
        result = stats.brunnermunzel(x, y)
    if not math.isfinite(result.statistic) or not math.isfinite(result.pvalue):
        return Test(name, n, None, None, how, why="not computable: the ranks have no variance within the groups")
    return Test(name, n, float(result.statistic), float(result.pvalue), how)


def kaplan_meier(name: str, tries: Sequence[float], reached: Sequence[bool]) -> Survival:
    """Kaplan-Meier of the number of tries to a threshold.

    tries: at which try each participant reached it, or, where `reached` is False, how many they made in all: they count as not
    having reached it so far (right-censored). Intervals: log(-log) with Greenwood's variance; of the median, by inversion.
    """
    how = (
        "Kaplan–Meier; those who never reached it are censored at their last try; median: the first try after which at most half "
        "are left (where exactly half are, R's survfit takes the middle of the tries at which they are); intervals by log(−log), "
        "Greenwood's variance, of the median by inversion"
    )
    pairs = [(float(at), bool(did)) for at, did in zip(tries, reached, strict=True) if math.isfinite(at)]
    n, events = len(pairs), sum(did for _, did in pairs)
    if not pairs:
        return Survival(name, 0, 0, (), None, None, None, how, "not computable: nobody is in this group")
    steps = _steps(pairs)
    low = next((step.at for step in steps if step.low is not None and step.low <= 0.5), None)
    high = next((step.at for step in steps if step.high is not None and step.high <= 0.5), None)
    median = next((step.at for step in steps if step.share <= 0.5 + 1e-12), None)
    why = None if median is not None else f"no median: {events} of {n} reached the threshold, fewer than half by this estimate"
    return Survival(name, n, events, steps, median, low, high, how, why)


def log_rank(groups: Mapping[str, tuple[Sequence[float], Sequence[bool]]]) -> Test:
    """The log-rank test over groups of (tries, reached): do they reach a threshold equally fast? p by chi-squared."""
    name, how = "log-rank", "log-rank test, chi-squared with (groups − 1) degrees of freedom"
    rows = [
        (float(at), bool(did), key)
        for key, (tries, reached) in groups.items()
        for at, did in zip(tries, reached, strict=True)
        if math.isfinite(at)
    ]
    n, there = len(rows), len({key for _, _, key in rows})
    if there < 2:
        return Test(name, n, None, None, how, why=f"not computable: {there} groups have participants, at least 2 are needed")
    if not any(did for _, did, _ in rows):
        return Test(name, n, None, None, how, why="not computable: nobody reached the threshold")
    survfunc = require("statsmodels.duration.survfunc", "the log-rank test")
    try:
        with quiet():
            statistic, p = survfunc.survdiff(*(np.array(column) for column in zip(*rows, strict=True)))
    except np.linalg.LinAlgError:
        statistic, p = math.nan, math.nan
    if not math.isfinite(statistic) or not math.isfinite(p):
        return Test(name, n, None, None, how, why="not computable: no try had two groups still at risk")
    return Test(name, n, float(statistic), float(p), how, (there - 1.0,))


def _finite(values: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([float(value) for value in values if math.isfinite(value)], dtype=np.float64)


def _is_constant(values: Any) -> bool:
    """Whether all are equal; told without their differences, of which one may be no number."""
    return bool(values.min() == values.max())


@contextmanager
def quiet() -> Iterator[None]:
    """What libraries warn of here is told in `why`, or is of no account."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _none(why: str) -> Interval:
    return Interval(None, None, "", f"no interval: {why}")


def _rho(x: Any, y: Any, axis: int = -1) -> Any:
    """Pearson's correlation of average ranks along the last axis; nan where a column does not vary."""
    a, b = stats.rankdata(x, axis=axis), stats.rankdata(y, axis=axis)
    a, b = a - a.mean(axis, keepdims=True), b - b.mean(axis, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (a * b).sum(axis) / np.sqrt((a * a).sum(axis) * (b * b).sum(axis))


def _chance_of_order(x: Any) -> float:
    """The two-sided chance that a random order agrees with x perfectly: 2 * (product of the factorials of its ties) / n!."""
    counts = np.unique(x, return_counts=True)[1]
    return min(1.0, 2 * math.exp(sum(math.lgamma(count + 1) for count in counts) - math.lgamma(len(x) + 1)))


def _delta(x: Any, y: Any, axis: int = -1) -> Any:
    return np.sign(x[..., :, None] - y[..., None, :]).mean(axis=(-2, -1))


def _effect(name: str, first: Sequence[float], second: Sequence[float], statistic: Callable[..., Any], seed: int) -> Effect:
    x, y = _finite(first), _finite(second)
    n, how = (len(x), len(y)), f"{name}, first less second"
    if 0 in n:
        return _no_effect(name, n, how)
    unit = scale_of([*x, *y])
    x, y = x / unit, y / unit
    back = 1.0 if statistic is _delta else unit
    interval = _interval((x, y), statistic, seed)
    low, high = (end if end is None else bounded(end * back) for end in (interval.low, interval.high))
    return Effect(name, n, bounded(float(statistic(x, y)) * back), replace(interval, low=low, high=high), how)


def _no_effect(name: str, n: tuple[int, int], how: str) -> Effect:
    which = "first" if not n[0] else "second"
    return Effect(name, n, None, _none("no estimate"), how, why=f"not computable: the {which} group is empty")


def _why_no_interval(sample: Any) -> str | None:
    """Why there is no interval of one sample."""
    if len(sample) < 3:
        return "fewer than 3 participants in a sample"
    return "the values do not vary" if _is_constant(sample) else None


def _interval(samples: tuple[Any, ...], statistic: Callable[..., Any], seed: int, paired: bool = False) -> Interval:
    """The bias-corrected and accelerated bootstrap interval (Efron 1987), by its own generator; or why there is none."""
    if min(len(sample) for sample in samples) < 3:
        return _none("fewer than 3 participants in a sample")
    if statistic is not _rho and all(_is_constant(sample) for sample in samples):
        return _none("the values do not vary")
    width = len(samples[0]) * (1 if paired else len(samples[1]))
    with quiet():
        result = stats.bootstrap(
            samples,
            statistic,
            n_resamples=RESAMPLES,
            batch=max(1, NUMBERS_AT_ONCE // width),
            paired=paired,
            vectorized=True,
            confidence_level=INTERVAL_LEVEL,
            method="BCa",
            rng=np.random.default_rng(seed),
        )
    low, high = result.confidence_interval
    if math.isfinite(low) and math.isfinite(high):
        return Interval(float(low), float(high), f"BCa bootstrap, {RESAMPLES} resamples, {INTERVAL_LEVEL:.0%}, seed {seed}")
    drawn = result.bootstrap_distribution
    if _is_constant(drawn[np.isfinite(drawn)]):
        return _none("every resample gives the same value")
    if not np.isfinite(drawn).all():
        return _none("some resamples do not vary, too few participants or too many ties")
    return _none("the bootstrap distribution lies on one side of the estimate")


def _normal_words(tied: bool) -> str:
    reason = "ties" if tied else f"{EXACT_BELOW_PARTICIPANTS} participants or more in a group"
    return f"U of the first group; p two-sided, normal with continuity correction ({reason})"


def _why_no_pair(x: Any, y: Any, least: int) -> str | None:
    """Why two samples cannot be compared."""
    if min(len(x), len(y)) < least:
        return f"the groups have {len(x)} and {len(y)} values, at least {least} are needed in each"
    if _is_constant(np.concatenate([x, y])):
        return f"all {len(x) + len(y)} values are equal"
    return None


def _why_no_overlap(x: Any, y: Any) -> str | None:
    """Brunner-Munzel's variance is 0 where every value of one group exceeds every one of the other."""
    if max(x) < min(y) or max(y) < min(x):
        return "the groups do not overlap, so that the test has no variance; see Mann-Whitney"
    return None


def _why_no_levene(samples: Mapping[str, Any], centre: Centre) -> str | None:
    if len(samples) < 2:
        return f"{len(samples)} groups have values, at least 2 are needed"
    single = [key for key, sample in samples.items() if len(sample) < 2]
    if single:
        return f"group {single[0]} has one value, which has no spread"
    middle = np.mean if centre == "mean" else np.median
    together = np.concatenate(list(samples.values()))
    unit = scale_of(together.tolist())
    away = [np.abs(sample / unit - middle(sample / unit)) for sample in samples.values()]
    scale = float(np.max(np.abs(together / unit)))
    if sum(float(np.sum((distances - distances.mean()) ** 2)) for distances in away) <= (1e-12 * scale) ** 2:
        return "within each group every value is equally far from the centre"
    return None


def _steps(pairs: Sequence[tuple[float, bool]]) -> tuple[SurvivalStep, ...]:
    """The product-limit estimate at every try at which somebody reached the threshold or stopped.

    statsmodels gives shares and Greenwood's errors, where somebody reached it. Of intervals it has bands for the whole curve
    only, and its median is the first share below a half, where this takes the first that is not above: so these are here.
    """
    at, did = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    survfunc = require("statsmodels.duration.survfunc", "a survival curve")
    with quiet():
        curve = survfunc.SurvfuncRight(at, did)
    estimates = dict(zip(curve.surv_times, zip(curve.surv_prob, curve.surv_prob_se, strict=True), strict=True))
    steps: list[SurvivalStep] = []
    share, error = 1.0, 0.0
    for time in np.unique(at):
        share, error = estimates.get(time, (share, error))
        low, high = _log_log(float(share), float(error))
        reached, stopped = int(np.sum((at == time) & (did == 1))), int(np.sum((at == time) & (did == 0)))
        steps.append(SurvivalStep(float(time), int(np.sum(at >= time)), reached, stopped, float(share), low, high))
    return tuple(steps)


def _log_log(share: float, error: float) -> tuple[float | None, float | None]:
    """The interval of a surviving share (Kalbfleisch and Prentice): exp(-exp(log(-log S) +- z * error / (S log S)))."""
    if not 0 < share < 1:
        return None, None
    away = float(stats.norm.ppf(0.5 + INTERVAL_LEVEL / 2)) * error / (share * abs(math.log(share)))
    return share ** math.exp(away), share ** math.exp(-away)
