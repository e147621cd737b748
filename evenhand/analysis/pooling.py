"""Studies of several labs, or several versions of one, as a random-effects meta-analysis; and whether they may be pooled at all.

A study is an archive. Each gives one estimate of each effect with its variance; the paper's printed values can be one more.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy import optimize, stats

from evenhand.analysis import paper_items, summaries
from evenhand.analysis.cohort import cohort, own_sessions
from evenhand.analysis.stats import INTERVAL_LEVEL, quiet
from evenhand.analysis.stats import spearman as rank_correlation
from evenhand.analysis.study_items import Cohort
from evenhand.errors import InvalidSettings
from evenhand.model import codec
from evenhand.model.archive import Archive
from evenhand.model.extras import require
from evenhand.model.study import Mode, Study
from evenhand.model.task import TaskRecord
from evenhand.model.words import budget_words, metric_name, plural

PAPER_NAME = "Anand et al. (2020), as printed"
PAPER_PARTICIPANTS = 31
PAPER_RHO, PAPER_GUESSING_RHO = 0.60, -0.58  # its sections 3.1 and 3.2
# Of Fisher's z of Spearman's rho: Fieller, Hartley and Pearson (1957), "Tests for rank correlation coefficients. I".
RHO_VARIANCE_FACTOR = 1.06
LARGEST_SPREAD = 1e70  # of a side's scores: the squares of Cochran's Q are numbers up to here
LEAST_FOR_RHO = 5  # participants of a study, below which Fisher's z has hardly any freedom
LARGEST_TAU2_FACTOR = 1e6  # of the largest variance, beyond which no interval of tau² is searched


@dataclass(frozen=True)
class StudyEstimate:
    """One study's estimate of an effect, on the scale that it is pooled on. printed: taken from a paper, not computed."""

    study: str
    n: int
    estimate: float
    variance: float
    printed: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """The study's own interval, by the normal distribution."""
        away = float(stats.norm.ppf(0.5 + INTERVAL_LEVEL / 2)) * math.sqrt(self.variance)
        return self.estimate - away, self.estimate + away


@dataclass(frozen=True)
class MetaAnalysis:
    """Estimates of several studies as one. low, high: of the mean of all such studies; None of fewer than two.

    weights: each study's share. q, df, q_p: Cochran's test of whether the studies differ. i2: the share of their variance that is
    no chance. tau2, tau2_low, tau2_high: the variance between studies with its interval.
    """

    k: int
    estimate: float | None
    low: float | None
    high: float | None
    p: float | None
    weights: tuple[float, ...]
    q: float | None
    df: int
    q_p: float | None
    i2: float | None
    tau2: float | None
    tau2_low: float | None
    tau2_high: float | None
    how: str
    why: str | None = None


@dataclass(frozen=True)
class PooledEffect:
    """An effect over studies. scale: `rho` is pooled as Fisher's z, `difference` as it is. left: studies without it, and why."""

    key: str
    name: str
    scale: str
    metric: str
    studies: tuple[StudyEstimate, ...]
    pooled: MetaAnalysis
    left: tuple[tuple[str, str], ...]

    def shown(self, value: float | None) -> float | None:
        """A value of the pooled scale on the one that people read."""
        return math.tanh(value) if value is not None and self.scale == "rho" else value


def meta_analysis(studies: Sequence[StudyEstimate]) -> MetaAnalysis:
    """The random-effects mean (DerSimonian and Laird) with the modified Hartung-Knapp interval, and how the studies differ.

    Sources: DerSimonian and Laird (1986); Hartung and Knapp (2001), whose variance is not made smaller than the usual one, as
    Röver, Knapp and Friede (2015) advise for few studies; Viechtbauer (2007) for the interval of tau², by the Q-profile.
    """
    how = (
        "random effects: tau² by DerSimonian and Laird; interval by Hartung and Knapp with Student's t of studies − 1 degrees of "
        f"freedom, never narrower than the usual one, {INTERVAL_LEVEL:.0%}; interval of tau²: Q-profile"
    )
    k, nothing = len(studies), (None,) * 8
    if k < 2:
        q, q_p, i2, tau2, low, high, p, _ = nothing
        only = studies[0].estimate if studies else None
        why = f"not pooled: {plural(k, 'study', 'studies')} with this estimate, at least 2 are needed"
        return MetaAnalysis(k, only, low, high, p, (1.0,) * k, q, 0, q_p, i2, tau2, None, None, how, why)
    effects, variances = np.array([one.estimate for one in studies]), np.array([one.variance for one in studies])
    combine = require("statsmodels.stats.meta_analysis", "a meta-analysis").combine_effects
    with quiet():
        made = combine(effects, variances, method_re="dl", use_t=True)
    between = max(0.0, float(made.tau2))  # statsmodels' may lie below 0
    weights = 1 / (variances + between)
    mean = float((weights * effects).sum() / weights.sum())
    scale = max(1.0, float((weights * (effects - mean) ** 2).sum()) / (k - 1))
    error = math.sqrt(scale / float(weights.sum()))
    away = float(stats.t.ppf(0.5 + INTERVAL_LEVEL / 2, k - 1)) * error
    q = float(made.q)
    low, high = tau2_interval(effects, variances)
    return MetaAnalysis(
        k=k,
        estimate=mean,
        low=mean - away,
        high=mean + away,
        p=2 * float(stats.t.sf(abs(mean) / error, k - 1)),
        weights=tuple(float(weight) for weight in weights / weights.sum()),
        q=q,
        df=k - 1,
        q_p=float(stats.chi2.sf(q, k - 1)),
        i2=max(0.0, 1 - (k - 1) / q) if q > 0 else 0.0,
        tau2=between,
        tau2_low=low,
        tau2_high=high,
        how=how,
    )


def tau2_interval(effects: Any, variances: Any) -> tuple[float, float]:
    """The Q-profile interval: the variances between studies at which Cochran's generalised Q is no surprise."""

    def q(tau2: float) -> float:
        weights = 1 / (variances + tau2)
        return float((weights * (effects - (weights * effects).sum() / weights.sum()) ** 2).sum())

    def where(quantile: float) -> float:
        wanted = float(stats.chi2.ppf(quantile, len(effects) - 1))
        if q(0.0) <= wanted:
            return 0.0
        most = float(variances.max() + np.ptp(effects) ** 2)
        while q(most) > wanted and most < LARGEST_TAU2_FACTOR * float(variances.max() + np.ptp(effects) ** 2):
            most *= 10
        return float(optimize.brentq(lambda tau2: q(tau2) - wanted, 0.0, most)) if q(most) <= wanted else math.inf

    return where(0.5 + INTERVAL_LEVEL / 2), where(0.5 - INTERVAL_LEVEL / 2)


# Effects of studies


def pooled(studies: Mapping[str, Archive], mode: Mode, paper: bool = True) -> tuple[PooledEffect, ...]:
    """Every effect over the studies, on each task by itself. paper: whether its printed values are one more study."""
    first = next(iter(studies.values()))
    versions = {task.version: task for archive in studies.values() for task in _tasks(archive)}
    effects: list[PooledEffect] = []
    for place, (version, task) in enumerate(versions.items(), 1):
        people = {name: cohort(_of_version(archive, version), mode) for name, archive in studies.items()}
        several = len(versions) > 1
        key, where = (f"-task-{place}", f" ({task.spec.plain_name})") if several else ("", "")
        metric = metric_name(task.metric)
        rhos = {name: _rho(name, its) for name, its in people.items()}
        printed = [_fisher(PAPER_NAME, PAPER_PARTICIPANTS, PAPER_RHO, True)] if paper and task.metric == "accuracy" else []
        name = f"Spearman's rho of experience and the final test {metric}{where}"
        effects.append(_effect(f"pooled-rho{key}", name, "rho", task.metric, rhos, printed))
        guesses = {name: _guessing(name, its, studies[name].study) for name, its in people.items()}
        printed = [_fisher(PAPER_NAME, PAPER_PARTICIPANTS, PAPER_GUESSING_RHO, True)] if printed else []
        name = f"Spearman's rho of experience and the share of guesses{where}"
        effects.append(_effect(f"pooled-guessing{key}", name, "rho", task.metric, guesses, printed))
        groups = next(iter(people.values())).groups
        if len(groups) > 1:
            apart = {name: _apart(name, its.finals()[groups[-1]], its.finals()[groups[0]]) for name, its in people.items()}
            name = f"final test {metric}, {groups[-1]} less {groups[0]}{where}"
            effects.append(_effect(f"pooled-groups{key}", name, "difference", task.metric, apart, []))
        for number, contrast in enumerate(first.study.plan.contrasts, 1):
            sides = {
                name: _apart(name, _of_condition(its, contrast.first), _of_condition(its, contrast.second))
                for name, its in people.items()
            }
            if any(isinstance(side, StudyEstimate) for side in sides.values()):
                name = f"final test {metric}, {contrast.first} less {contrast.second}{where}"
                effects.append(_effect(f"pooled-contrast-{number}{key}", name, "difference", task.metric, sides, []))
    return tuple(effects)


def _tasks(archive: Archive) -> list[TaskRecord]:
    """The tasks that participants worked on, in the study's order."""
    worked_on = {session.task.id for session in own_sessions(archive.sessions).values()}
    return [task for task in archive.tasks if task.id in worked_on]


def _of_version(archive: Archive, version: str) -> Archive:
    task = next((task for task in archive.tasks if task.version == version), None)
    return archive.of_task(-1 if task is None else task.id)


def _effect(
    key: str,
    name: str,
    scale: str,
    metric: str,
    made: Mapping[str, StudyEstimate | str],
    printed: Sequence[StudyEstimate],
) -> PooledEffect:
    there = tuple(one for one in made.values() if isinstance(one, StudyEstimate)) + tuple(printed)
    left = tuple((study, why) for study, why in made.items() if isinstance(why, str))
    return PooledEffect(key, name, scale, metric, there, meta_analysis(there), left)


def _fisher(study: str, n: int, rho: float, printed: bool = False) -> StudyEstimate:
    return StudyEstimate(study, n, math.atanh(rho), RHO_VARIANCE_FACTOR / (n - 3), printed)


def _rho(study: str, people: Cohort) -> StudyEstimate | str:
    pairs = [
        (member.experience, member.final)
        for member in people.evaluated
        if member.experience is not None and member.final is not None
    ]
    rank = rank_correlation([pair[0] for pair in pairs], [pair[1] for pair in pairs], None)
    return _estimate_of(study, rank.n, rank.rho, rank.why)


def _guessing(study: str, people: Cohort, declared: Study) -> StudyEstimate | str:
    rank = paper_items.reasons(people, declared.reasons, None).guessing
    return _estimate_of(study, rank.n, rank.rho, rank.why)


def _estimate_of(study: str, n: int, rho: float | None, why: str | None) -> StudyEstimate | str:
    if rho is None:
        return why or "no estimate"
    if n < LEAST_FOR_RHO:
        return f"{plural(n, 'participant')}, at least {LEAST_FOR_RHO} are needed"
    if abs(rho) > 1 - 1e-12:
        return "a perfect correlation, whose Fisher's z is infinite"
    return _fisher(study, n, rho)


def _apart(study: str, first: Sequence[float], second: Sequence[float]) -> StudyEstimate | str:
    n = len(first), len(second)
    if min(n) < 2:
        return f"{n[0]} and {n[1]} scores, at least 2 are needed on each side"
    spreads = summaries.deviation(first) or 0.0, summaries.deviation(second) or 0.0
    if max(spreads) > LARGEST_SPREAD:
        return f"scores that spread by {max(spreads):.3g}, whose variance is no number"
    variance = spreads[0] ** 2 / n[0] + spreads[1] ** 2 / n[1]
    if variance == 0:
        return "the scores do not vary, or so little that their variance is 0"
    return StudyEstimate(study, sum(n), (summaries.mean(first) or 0.0) - (summaries.mean(second) or 0.0), variance)


def _of_condition(people: Cohort, condition: str) -> list[float]:
    return [member.final for member in people.members if member.condition == condition and member.final is not None]


# Whether studies may be pooled


def check(studies: Mapping[str, Archive]) -> None:
    """Nothing, or InvalidSettings with everything that the studies declare differently, and who is in two of them."""
    problems = [*disagreements(studies), *_shared(studies)]
    if problems:
        raise InvalidSettings(
            "these archives cannot be pooled, since their studies are not the same experiment:\n  " + "\n  ".join(problems)
        )


def disagreements(studies: Mapping[str, Archive]) -> list[str]:
    """Each thing of the experiment that two studies, or two versions in which people took part, declare differently."""
    declared = [
        (f"{name}, version {version.version}", _declared(archive, version))
        for name, archive in studies.items()
        for version in _versions(archive)
    ]
    (first, expected), *others = declared
    return [
        f"{what}: {first} has {expected.get(what, 'none')}, {name} has {given.get(what, 'none')}"
        for name, given in others
        for what in dict.fromkeys((*expected, *given))
        if expected.get(what, "none") != given.get(what, "none")
    ]


def _versions(archive: Archive) -> list[Study]:
    """The versions in which anybody took part; the newest where nobody did."""
    taken = {person.version for person in archive.participants}
    return [version for version in archive.versions if version.version in taken] or [archive.study]


def _declared(archive: Archive, study: Study) -> dict[str, str]:
    """What has to be the same, in words, by what it is."""
    tasks = {task.id: task for task in archive.tasks}
    arms: dict[str, str] = {}
    for arm in study.arms:
        own = {
            "task version": _version_of(tasks, arm.task_id or study.task_id),
            "budget": budget_words(arm.budget or study.budget),
            "presets": study.presets if arm.presets is None else arm.presets,
            "live validation": study.live_validation if arm.live_validation is None else arm.live_validation,
            "reasons": ", ".join(str(option.label) for option in study.reasons_of(arm.name)),
        }
        arms |= {f"{what} of condition {arm.name!r}": str(value) for what, value in own.items()}
    named = {
        "task version": _version_of(tasks, study.task_id),
        "budget": budget_words(study.budget),
        "presets": str(study.presets),
        "live validation": str(study.live_validation),
        "evaluation": f"{study.evaluation_mode}, {plural(study.evaluation_seeds, 'seed')}",
        "a trial's value": f"of its {study.value_rule} epoch",
        "conditions": ", ".join(arm.name for arm in study.arms) or "none",
        "reasons": ", ".join(option.value for option in study.reasons),
        "groups": f"by {study.grouping.by}: {', '.join(_group_words(study))}",
    }
    spaces = {
        f"space of {task.spec.plain_name}, {hyperparameter.name}": str(codec.to_json(hyperparameter))
        for task in archive.tasks
        for hyperparameter in task.space
        if task.id in {study.task_id, *(arm.task_id for arm in study.arms)}
    }
    questions = {
        f"question {questionnaire.name}.{question.name}": str(codec.to_json(question))
        for questionnaire in study.questionnaires
        for question in questionnaire.questions
    }
    return {**named, **arms, **spaces, **questions}


def _version_of(tasks: Mapping[int, TaskRecord], task_id: int) -> str:
    task = tasks.get(task_id)
    return "a task that nobody worked on" if task is None else f"{task.spec.plain_name} {task.version}"


def _group_words(study: Study) -> list[str]:
    return [f"{group.name} {group.low} to {group.high}" for group in study.grouping.groups]


def _shared(studies: Mapping[str, Archive]) -> list[str]:
    """Studies that have somebody in common: two archives of the same records, or one that holds another."""
    seen = {name: _people(archive) for name, archive in studies.items()}
    return [
        f"participants: {plural(len(seen[one] & seen[two]), 'person', 'people')} in {one} also in {two}; give each archive once"
        for one, two in combinations(seen, 2)
        if seen[one] & seen[two]
    ]


def _people(archive: Archive) -> set[tuple[object, ...]]:
    """What tells sessions apart whatever their archive numbers them by: each configuration, when it was tried, its value."""
    return {
        tuple(
            (
                round(trial.submitted_at - (session.started_at or 0), 3),
                trial.value,
                *sorted(map(str, trial.configuration.items())),
            )
            for trial in session.trials
        )
        for session in own_sessions(archive.sessions).values()
        if session.trials
    }
