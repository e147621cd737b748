"""Conditions and tasks, compared and never pooled: contrasts between conditions on a task, and one mixed model across tasks."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from evenhand.analysis import mixed_model, stats, summaries
from evenhand.analysis.mixed_model import Mixed, Term
from evenhand.analysis.paper_items import pooled_values
from evenhand.analysis.stats import Effect, Interval, Pair, Test
from evenhand.analysis.study_items import Cohort
from evenhand.model.direction import sign_of
from evenhand.model.extras import require
from evenhand.model.study import AnalysisPlan, Contrast

ADJUSTED_WORDS = "least squares, score ~ condition + log(1 + experience), errors robust to unequal spread (HC3)"
INTERACTION_WORDS = "F test of score ~ condition x group against condition + group"


@dataclass(frozen=True)
class ConditionScores:
    """Final test scores of one condition on one task."""

    task: str
    condition: str
    n: int
    mean: float | None
    sd: float | None
    interval: Interval


@dataclass(frozen=True)
class Comparison:
    """Two conditions on one task, the first less the second. planned: whether the plan names the contrast.

    p: of `test` after the plan's adjustment over all contrasts and tasks. by_experience: the difference adjusted for experience.
    """

    task: str
    contrast: Contrast
    planned: bool
    difference: Effect
    delta: Effect
    test: Test
    p: float | None
    by_experience: Term | None
    interaction: Test


def scores(people: Mapping[str, Cohort], conditions: Sequence[str], seed: int) -> tuple[ConditionScores, ...]:
    """Final scores of each condition on each task on which it has any."""
    rows = []
    for task, cohort in people.items():
        for condition in conditions:
            values = _finals(cohort, condition)
            if values:
                spread = (summaries.mean(values), summaries.deviation(values), stats.mean_interval(values, seed))
                rows.append(ConditionScores(task, condition, len(values), *spread))
    return tuple(rows)


def comparisons(people: Mapping[str, Cohort], plan: AnalysisPlan, conditions: Sequence[str], seed: int) -> tuple[Comparison, ...]:
    """The plan's contrasts on every task on which both conditions have scores; where it names none, all pairs, as not planned."""
    planned = bool(plan.contrasts)
    contrasts = plan.contrasts or tuple(Contrast(one, two) for one, two in combinations(conditions, 2))
    made = []
    for task, cohort in people.items():
        for contrast in contrasts:
            first, second = _finals(cohort, contrast.first), _finals(cohort, contrast.second)
            if not first or not second:
                continue
            test = stats.location(first, second, contrast.test)
            effects = (stats.mean_difference(first, second), stats.cliffs_delta(first, second, seed))
            adjusted, interaction = _adjusted(cohort, contrast), _interaction(cohort, contrast)
            made.append(Comparison(task, contrast, planned, *effects, test, test.p, adjusted, interaction))
    if plan.multiplicity == "none":
        return tuple(made)
    pairs = stats.holm([Pair("", "", (0, 0), None, comparison.test.p, None, "") for comparison in made])
    return tuple(replace(comparison, p=pair.adjusted) for comparison, pair in zip(made, pairs, strict=True))


def apart(people: Mapping[str, Cohort], contrast: Contrast) -> bool:
    """Whether no task has scores of both conditions, so that their scores cannot be compared."""
    return not any(_finals(cohort, contrast.first) and _finals(cohort, contrast.second) for cohort in people.values())


def _finals(cohort: Cohort, condition: str) -> list[float]:
    return [member.final for member in cohort.members if member.condition == condition and member.final is not None]


# Adjusted for experience, and by group


def _adjusted(cohort: Cohort, contrast: Contrast) -> Term | None:
    """The difference at equal experience; None where too few say how much they have, or all in a condition have the same."""
    rows = [
        (member.final, float(member.condition == contrast.first), math.log1p(member.experience))
        for member in cohort.members
        if member.condition in (contrast.first, contrast.second)
        and member.final is not None
        and member.experience is not None
        and member.experience >= 0
    ]
    if len(rows) < 5:
        return None
    values, condition, experience = (np.array(column) for column in zip(*rows, strict=True))
    design = np.column_stack([np.ones(len(values)), condition, experience])
    if np.linalg.matrix_rank(design) < 3 or values.min() == values.max():
        return None
    unit = summaries.scale_of(values.tolist())
    models = require("statsmodels.regression.linear_model", "a difference adjusted for experience")
    with stats.quiet():
        fit = models.OLS(values / unit, design).fit(cov_type="HC3", use_t=True)
        low, high = fit.conf_int(1 - stats.INTERVAL_LEVEL)[1]
    numbers = [float(number) for number in (fit.params[1], fit.bse[1], fit.pvalues[1], low, high)]
    if not all(map(math.isfinite, numbers)):
        return None
    estimate, error, p, low, high = numbers
    bounds = (summaries.bounded(low * unit), summaries.bounded(high * unit))
    return Term("condition", summaries.bounded(estimate * unit), summaries.bounded(error * unit), p, *bounds)


def _interaction(cohort: Cohort, contrast: Contrast) -> Test:
    """Whether the difference between conditions is another one in another group."""
    name = "condition x group"
    rows = [
        (member.final, float(member.condition == contrast.first), member.group)
        for member in cohort.members
        if member.condition in (contrast.first, contrast.second) and member.final is not None and member.group is not None
    ]
    values, condition = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    groups = list(mixed_model.dummies([row[2] for row in rows], cohort.groups).values()) if rows else []
    plain = np.column_stack([np.ones(len(rows)), condition, *map(np.array, groups)])
    crossed = np.column_stack([plain, *(condition * np.array(column) for column in groups)])
    freedom = len(rows) - crossed.shape[1]
    if not groups or freedom < 1 or np.linalg.matrix_rank(crossed) < crossed.shape[1]:
        return Test(name, len(rows), None, None, INTERACTION_WORDS, why="not computable: not every group has both conditions")
    unit = summaries.scale_of(values.tolist())
    models = require("statsmodels.regression.linear_model", "a test of condition x group")
    with stats.quiet():
        statistic, p, more = models.OLS(values / unit, crossed).fit().compare_f_test(models.OLS(values / unit, plain).fit())
    if not math.isfinite(statistic) or not math.isfinite(p):
        return Test(name, len(rows), None, None, INTERACTION_WORDS, why="not computable: the scores do not vary within groups")
    return Test(name, len(rows), float(statistic), float(p), INTERACTION_WORDS, (float(more), float(freedom)))


# Across tasks


def across(people: Mapping[str, Cohort], conditions: Sequence[str]) -> Mixed:
    """All trials of all tasks in one mixed model: value ~ task + condition + group + try, a random intercept a participant.

    Where tasks have different metrics, or directions, values are standard deviations above their task's mean, better upwards. A
    condition that is one task's alone is not told apart from that task, and left out.
    """
    alike = len({(cohort.metric, cohort.maximize) for cohort in people.values()}) == 1
    rows: list[tuple[float, str, str, str, int, str]] = []
    for task, cohort in people.items():
        of = {member.pseudonym: member.condition or "" for member in cohort.members}
        trials = list(pooled_values(cohort))
        values = [trial[0] for trial in trials]
        middle, spread = summaries.mean(values) or 0.0, summaries.deviation(values) or 1.0
        sign = sign_of(cohort.maximize)
        for value, number, group, pseudonym in trials:
            compared = value if alike else sign * (value - middle) / spread
            rows.append((compared, task, of[pseudonym], group, number, pseudonym))
    groups = next(iter(people.values())).groups if people else ()
    factors = (
        ([row[1] for row in rows], tuple(people)),
        ([row[2] for row in rows], conditions),
        ([row[3] for row in rows], groups),
    )
    columns: dict[str, list[float]] = {}
    left = []
    for labels, order in factors:
        for name, column in mixed_model.dummies(labels, order).items():
            if _adds([*columns.values()], column):
                columns[name] = column
            else:
                left.append(name)
    columns["try"] = [float(row[4]) for row in rows]
    unit = "value" if alike else "value in standard deviations of its task"
    formula = f"{unit} ~ task + condition + group + try"
    if left:
        formula += f" (not told apart from the task: {', '.join(left)}),"
    return mixed_model.fitted([row[0] for row in rows], columns, [row[5] for row in rows], formula)


def _adds(columns: Sequence[Sequence[float]], column: Sequence[float]) -> bool:
    design = np.column_stack([np.ones(len(column)), *map(np.array, columns), np.array(column)])
    return bool(np.linalg.matrix_rank(design) == design.shape[1])
