"""Conditions and tasks, compared and never pooled: contrasts between conditions on a task, and one mixed model across tasks."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from evenhand.analysis import mixed_model, stats, summaries
from evenhand.analysis.mixed_model import Mixed, Term
from evenhand.analysis.paper_items import pooled_values
from evenhand.analysis.stats import Effect, Interval, Test
from evenhand.analysis.study_items import Cohort
from evenhand.model.archive import Archive
from evenhand.model.direction import sign_of
from evenhand.model.extras import require
from evenhand.model.study import ASSISTANT_USED, ASSISTANT_WHICH, AnalysisPlan, Contrast

ADJUSTED_WORDS = "least squares, score ~ condition + log(1 + experience), errors robust to unequal spread (HC3)"
LEAST_ADJUSTED_PARTICIPANTS = 5  # with their experience: below them three coefficients leave hardly any rest
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


@dataclass(frozen=True)
class AssistantUse:
    """What a participant declared about an assistant. allowed: in their condition; used: None where they were not asked yet."""

    pseudonym: str
    condition: str | None
    allowed: bool
    used: bool | None
    which: str


def assistant_use(archive: Archive, pseudonyms: Collection[str]) -> list[AssistantUse]:
    """Of these participants, who declared the use of an assistant, where the study's conditions say whether one may be used."""
    study = archive.study
    return [
        AssistantUse(
            person.pseudonym,
            person.condition,
            bool(study.allows_assistant(person.condition)),
            None if (answer := person.answers.get(ASSISTANT_USED)) is None else answer == "yes",
            str(person.answers.get(ASSISTANT_WHICH) or ""),
        )
        for person in archive.participants
        if study.is_about_assistants and person.pseudonym in pseudonyms
    ]


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
    adjusted_ps = stats.holm_adjusted([comparison.test.p for comparison in made])
    return tuple(replace(comparison, p=p) for comparison, p in zip(made, adjusted_ps, strict=True))


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
    if len(rows) < LEAST_ADJUSTED_PARTICIPANTS:
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
    """All trials of all tasks in one mixed model, with a random intercept a participant.

    value ~ task + condition within task + group + try. A condition has one task, so it is compared with the first condition of
    that task. Where tasks have different metrics, or directions, values are standard deviations above their task's mean, better
    upwards.
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
    columns = mixed_model.dummies([row[1] for row in rows], tuple(people))
    for task in people:
        columns |= mixed_model.dummies([row[2] if row[1] == task else None for row in rows], conditions)
    columns |= mixed_model.dummies([row[3] for row in rows], groups)
    columns["try"] = [float(row[4]) for row in rows]
    unit = "value" if alike else "value in standard deviations of its task"
    formula = f"{unit} ~ task + condition within task + group + try"
    return mixed_model.fitted([row[0] for row in rows], columns, [row[5] for row in rows], formula)
