"""Who is ahead over many tasks: average ranks with intervals, and which contestants differ more than chance would have it.

Two levels are kept apart. Average ranks, wins and their intervals are over pairs of task and seed, paired: in each pair all
contestants are ranked against each other. Tests and the critical difference are over tasks alone (the median over seeds of
each), since seeds of one task are no independent cases.

Sources: Demsar (2006), "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7; Benavoli, Corani and Mangili
(2016), "Should We Really Use Post-Hoc Tests Based on Mean-Ranks?", JMLR 17, who show that the verdict on two contestants by
mean ranks depends on who else takes part: so a pairwise test stands beside the critical difference.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats as tests

from evenhand.analysis.anytime import Numbers, Race
from evenhand.analysis.stats import INTERVAL_LEVEL, RESAMPLES, Pair, Test, holm
from evenhand.model.rules import derive_seed

NO_VALUE_REASON = "not computable: no run has a value"
ALPHA_LEVEL = 0.05  # level of the critical difference and of every verdict


@dataclass(frozen=True)
class AverageRank:
    """A contestant's average rank (1 is best), its bootstrap interval, and how often it was first, shared firsts included.

    low, high: None where there is one pair of task and seed, of which nothing can be resampled.
    """

    contestant: str
    rank: float
    low: float | None
    high: float | None
    firsts: int


@dataclass(frozen=True)
class Duel:
    """How often the first contestant ended with a better, an equal and a worse value than the second."""

    first: str
    second: str
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Ranking:
    """Average ranks over `pairs` pairs of task and seed, the best first. left: contestants that cannot be ranked, and why."""

    pairs: int
    tasks: int
    standings: tuple[AverageRank, ...]
    duels: tuple[Duel, ...]
    left: tuple[tuple[str, str], ...]
    how: str
    why: str | None = None


@dataclass(frozen=True)
class CriticalDifference:
    """What a critical-difference diagram shows. ranks: average over `tasks` tasks, the best first. critical: two contestants
    whose ranks are at least so far apart differ (Nemenyi). cliques: largest groups that do not, in the order of ranks.

    friedman, iman: whether any differ at all. pairs: Wilcoxon's signed rank test of each two, with Holm's adjustment.
    """

    tasks: int
    alpha: float
    ranks: tuple[tuple[str, float], ...]
    critical: float | None
    cliques: tuple[tuple[str, ...], ...]
    friedman: Test
    iman: Test
    pairs: tuple[Pair, ...]
    how: str
    why: str | None = None


# Over pairs of task and seed


def ranking(race: Race, seed: int) -> Ranking:
    """Average ranks by the value at the end of the budget, ties averaged, with percentile bootstrap intervals.

    Only contestants that ran on every task are ranked, and only pairs of task and seed that all of them have. Each task weighs
    the same. A session without any value is ranked last. The bootstrap is paired: it draws tasks, then seeds of each task,
    for all contestants alike.
    """
    names = race.everywhere
    left = tuple((name, "did not run on every task") for name in race.contestants if name not in names)
    how = (
        "ranks of the best validation value at the end of the budget, within each pair of task and seed; ties share the average "
        f"rank; each task weighs the same; {INTERVAL_LEVEL:.0%} intervals: percentiles of {RESAMPLES} paired resamples of tasks, "
        "then of their seeds; none of a single pair"
    )
    if len(names) < 2:
        return Ranking(0, len(race.tasks), (), (), left, how, f"not computable: {len(names)} contestants ran on every task")
    values = {task: finals for task in race.tasks if len(finals := _shared(race, task, names))}
    if not values:
        return Ranking(0, 0, (), (), left, how, "not computable: no seed of any task was run by all of them")
    if not any(trajectory.final is not None for trajectory in race.courses):
        return Ranking(0, len(race.tasks), (), (), left, how, NO_VALUE_REASON)
    ranked = [tests.rankdata(-table, axis=1) for table in values.values()]
    rank = np.mean([task_ranks.mean(axis=0) for task_ranks in ranked], axis=0)
    every = np.concatenate(list(values.values()))
    bounds = zip(*_bootstrap(ranked, derive_seed(seed, "ranks")), strict=True) if len(every) > 1 else [(None, None)] * len(names)
    firsts = (every >= every.max(axis=1, keepdims=True)).sum(axis=0)
    placed = [
        AverageRank(
            name, float(rank[i]), None if low is None else float(low), None if high is None else float(high), int(firsts[i])
        )
        for i, (name, (low, high)) in enumerate(zip(names, bounds, strict=True))
    ]
    standings = tuple(sorted(placed, key=lambda standing: (standing.rank, standing.contestant)))
    columns = {name: every[:, i] for i, name in enumerate(names)}
    return Ranking(
        len(every), len(values), standings, _duels([standing.contestant for standing in standings], columns), left, how
    )


def _shared(race: Race, task: str, names: Sequence[str]) -> Numbers:
    """Final values, larger is better: a row for each seed that all contestants ran on the task, a column for each contestant."""
    by_seed = [{trajectory.entry.seed: trajectory.final for trajectory in race.of(task, name)} for name in names]
    shared = sorted(set.intersection(*(set(finals) for finals in by_seed)))
    sign = race.sign(task)
    rows = [[_signed(finals[seed], sign) for finals in by_seed] for seed in shared]
    return np.array(rows, dtype=np.float64).reshape(len(shared), len(names))


def _signed(value: float | None, sign: float) -> float:
    return -math.inf if value is None else sign * value


def _bootstrap(ranked: Sequence[Numbers], seed: int) -> tuple[Numbers, Numbers]:
    """Bounds of the average ranks. ranked: for each task its ranks, a row a seed. A task drawn twice draws its seeds twice."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(ranked), size=(RESAMPLES, len(ranked)))
    total = np.zeros((RESAMPLES, ranked[0].shape[1]))
    for task, ranks in enumerate(ranked):
        rows = np.nonzero(drawn == task)[0]
        seeds = rng.integers(len(ranks), size=(len(rows), len(ranks)))
        np.add.at(total, rows, ranks[seeds].mean(axis=1))
    low, high = np.quantile(total / len(ranked), ((1 - INTERVAL_LEVEL) / 2, (1 + INTERVAL_LEVEL) / 2), axis=0)
    return low, high


def _duels(names: Sequence[str], columns: Mapping[str, Numbers]) -> tuple[Duel, ...]:
    return tuple(
        Duel(
            one,
            two,
            int((columns[one] > columns[two]).sum()),
            int((columns[one] == columns[two]).sum()),
            int((columns[one] < columns[two]).sum()),
        )
        for one in names
        for two in names
        if one != two
    )


# Over tasks


def difference(race: Race, alpha: float = ALPHA_LEVEL) -> CriticalDifference:
    """The critical difference over tasks, by the median over seeds of the best value at the end of the budget."""
    names = race.everywhere
    values = np.array([[_middle(race, task, name) for name in names] for task in race.tasks]).reshape(len(race.tasks), len(names))
    scales = np.array([_unit(race, task, row) for task, row in zip(race.tasks, values, strict=True)])
    ranks = tests.rankdata(-values, axis=1).mean(axis=0) if len(names) else np.zeros(0)
    ordered = tuple(sorted(((name, float(ranks[i])) for i, name in enumerate(names)), key=lambda pair: (pair[1], pair[0])))
    valued = any(trajectory.final is not None for trajectory in race.courses)
    critical = critical_difference(len(names), len(values), alpha) if len(names) > 1 and valued else None
    few = f"not computable: {len(names)} contestants ran on every task, at least 2 are needed"
    how = (
        f"ranks of the median over seeds, averaged over tasks; two contestants differ (Nemenyi, level {alpha:g}) where their "
        "ranks are at least the critical difference apart; bars join groups that do not differ"
    )
    return CriticalDifference(
        len(values),
        alpha,
        ordered,
        critical,
        cliques(ordered, critical) if critical is not None else (),
        friedman(values),
        iman_davenport(values),
        wilcoxon(names, values / scales[:, None]),
        how,
        None if critical is not None else few if valued else NO_VALUE_REASON,
    )


def _middle(race: Race, task: str, name: str) -> float:
    return float(np.median([_signed(trajectory.final, race.sign(task)) for trajectory in race.of(task, name)]))


def _unit(race: Race, task: str, values: Numbers) -> float:
    """What differences on a task are divided by, so that those of different tasks can be compared: regret's unit."""
    scale = race.scales[task]
    if scale.best is not None and scale.reference is not None and race.sign(task) * (scale.best - scale.reference) > 0:
        return abs(scale.best - scale.reference)
    there = values[np.isfinite(values)]
    return float(np.ptp(there)) or 1.0 if len(there) else 1.0


def critical_difference(contestants: int, tasks: int, alpha: float = ALPHA_LEVEL) -> float:
    """Nemenyi's critical difference of average ranks: q sqrt(k (k + 1) / (6 N)), for k contestants on N tasks.

    Source: Demsar (2006), 3.2.2. q: the studentised range statistic of k groups with infinite degrees of freedom, divided by the
    square root of 2.
    """
    q = float(tests.studentized_range.ppf(1 - alpha, contestants, math.inf)) / math.sqrt(2)
    return q * math.sqrt(contestants * (contestants + 1) / (6 * tasks))


def cliques(ranks: Sequence[tuple[str, float]], critical: float) -> tuple[tuple[str, ...], ...]:
    """The largest groups of two or more whose ranks lie less than the critical difference apart. ranks: the best first."""
    groups: list[tuple[str, ...]] = []
    reached = 0
    for start, (_, lowest) in enumerate(ranks):
        end = next((at for at in range(start, len(ranks)) if ranks[at][1] - lowest >= critical), len(ranks))
        if end - start > 1 and end > reached:
            groups.append(tuple(name for name, _ in ranks[start:end]))
            reached = end
    return tuple(groups)


def friedman(values: Numbers) -> Test:
    """Friedman's test with ties corrected. values: a row for each task, a column for each contestant."""
    tasks, contestants = values.shape
    how = "Friedman's chi-squared over tasks, corrected for ties: do any contestants differ?"
    why = _why_no_friedman(values)
    if why:
        return Test("Friedman", tasks, None, None, how, why=f"not computable: {why}")
    result = tests.friedmanchisquare(*tests.rankdata(values, axis=1).T)
    return Test("Friedman", tasks, float(result.statistic), float(result.pvalue), how, (contestants - 1.0,))


def iman_davenport(values: Numbers) -> Test:
    """Iman and Davenport's (1980) F of Friedman's statistic, which is less conservative (Demsar 2006, 3.2.2)."""
    tasks, contestants = values.shape
    how = "F = (N − 1) χ² / (N (k − 1) − χ²), with k − 1 and (k − 1)(N − 1) degrees of freedom"
    name, base = "Iman–Davenport", friedman(values)
    if base.statistic is None:
        return Test(name, tasks, None, None, how, why=base.why)
    rest = tasks * (contestants - 1) - base.statistic
    if rest <= 1e-9:
        return Test(name, tasks, None, 0.0, how, why="F is infinite: all tasks rank the contestants alike")
    df = (contestants - 1.0, (contestants - 1.0) * (tasks - 1))
    statistic = (tasks - 1) * base.statistic / rest
    return Test(name, tasks, statistic, float(tests.f.sf(statistic, *df)), how, df)


def _why_no_friedman(values: Numbers) -> str | None:
    tasks, contestants = values.shape
    if contestants < 3:
        return f"{contestants} contestants, at least 3 are needed; see the pairwise test"
    if tasks < 2:
        return f"{tasks} task, at least 2 are needed"
    if (values == values[:, :1]).all():
        return "all contestants are equal on every task"
    return None


def wilcoxon(names: Sequence[str], values: Numbers) -> tuple[Pair, ...]:
    """Wilcoxon's signed rank test of each two contestants over tasks, two-sided, with Holm's adjustment.

    values: a row for each task in units that can be compared between tasks, a column for each contestant. The ranks of zero
    differences are split evenly (Demsar 2006, 3.1.3). p is exact without ties, else normal; below 6 tasks it cannot reach 0.05.
    """
    how = "Wilcoxon's signed rank test over tasks, two-sided, on differences of the median in units of regret; zeros split"
    pairs = []
    for one, two in combinations(range(len(names)), 2):
        apart = np.array([0.0 if a == b else a - b for a, b in zip(values[:, one], values[:, two], strict=True)])
        n = len(apart), len(apart)
        if not apart.any():
            pairs.append(Pair(names[one], names[two], n, None, None, None, how, "not computable: equal on every task"))
            continue
        test = tests.wilcoxon(apart, zero_method="zsplit")
        pairs.append(Pair(names[one], names[two], n, float(test.statistic), float(test.pvalue), None, how))
    return holm(pairs)
