"""How much each headline number of a study depends on each choice that the paper leaves open: one table.

Every headline is computed as planned, and once more for each alternative with all else as planned. A row that does not change
says so by its numbers; one that cannot be computed says why.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

from evenhand.analysis import experience, paper_items, stats, summaries
from evenhand.analysis.cohort import EXPERIENCE_QUESTION, cohort, counted
from evenhand.analysis.paper_items import first_reaching, from_defaults
from evenhand.analysis.process_signals import process_signals, rule_words
from evenhand.analysis.study_items import Cohort, CohortMember
from evenhand.model.archive import Archive
from evenhand.model.direction import best_of, best_so_far, recorded_value, value_of
from evenhand.model.domain import Value, show
from evenhand.model.evaluation import SeedScore
from evenhand.model.space import Space
from evenhand.model.study import Grouping, Mode, ParticipantGroup, Study, measures, reason_codes
from evenhand.model.trial import Outcome, Trial
from evenhand.model.words import is_share

BOUNDARY_MONTHS = 9.0  # months: the paper has medium below nine and expert above nine
COMPARED_TRY = 5  # at which the curves of Fig. 7 are compared
LAMBDA_PARAMETER = "lambd"  # in the space of the black-magic task: 0.75 in the paper's Table 1, 0 in its supplement

Diverged = Literal["as recorded", "no value", "zero", "chance", "dropped"]
Score = Literal["test", "validation", "best only"]


@dataclass(frozen=True)
class Choices:
    """One way to resolve everything that is left open; the defaults are the plan.

    boundary: whether the group below or the one above holds exactly the boundary. best: Fig. 7 by the best so far. centre: of
    Levene's test. diverged: how trials and evaluation seeds without a finite loss count. reasoned: whether a value at its default
    counts as one only where its reason does not say otherwise. defaults: other defaults than the space's. score: the test score,
    the session's best validation value in its place, or the test score of those alone who chose their best trial. automatic:
    whether choices made at the deadline count. flagged: whether those count whom the study's rule flags by process signals.
    """

    boundary: Literal["planned", "other"] = "planned"
    best: bool = False
    centre: stats.Centre = "median"
    diverged: Diverged = "as recorded"
    reasoned: bool = False
    defaults: Mapping[str, Value] | None = None
    score: Score = "test"
    automatic: bool = True
    flagged: bool = True
    measure: str = ""


@dataclass(frozen=True)
class Figure:
    """A headline under one set of choices. is_p: whether it is a p-value, whose side of alpha is a conclusion.

    place: the paper's figure or table that it is of.
    """

    value: float | None
    n: int
    is_p: bool = False
    why: str | None = None
    place: str = ""


@dataclass(frozen=True)
class SensitivityRow:
    """A headline as planned and under an alternative. n: cases of each.

    flips: whether significance at alpha changes; None for what is no test, or could not be computed on one side.
    """

    headline: str
    choice: str
    planned_as: str
    alternative: str
    planned: float | None
    under: float | None
    n: tuple[int, int]
    flips: bool | None
    why: str | None = None

    @property
    def moves(self) -> bool:
        """Whether the alternative changes the number at all."""
        if self.planned is None or self.under is None:
            return self.planned is not self.under
        return not math.isclose(self.planned, self.under, rel_tol=1e-9, abs_tol=1e-12)


@dataclass(frozen=True)
class Sensitivity:
    """The table. n: participants as planned. skipped: choices that do not arise in this study, and why."""

    n: int
    alpha: float
    rows: tuple[SensitivityRow, ...]
    skipped: tuple[tuple[str, str], ...]
    how: str


def sensitivity(archive: Archive, mode: Mode) -> Sensitivity:
    """Every headline under every alternative, one choice changed at a time."""
    alpha, plan = archive.study.plan.alpha, Choices()
    planned = headlines(archive, mode, plan)
    rows, skipped = [], []
    for name, planned_as, alternative, choices in alternatives(archive, mode):
        if isinstance(choices, str):
            skipped.append((f"{name}: {alternative}", choices))
            continue
        other = headlines(archive, mode, choices)
        for headline, figure in planned.items():
            rows.append(_row(headline, figure, other.get(headline), (name, planned_as, alternative), alpha))
    how = "each headline computed again with one choice changed and all else as planned; no multiplicity adjustment"
    return Sensitivity(len(_cohort(archive, mode, plan).members), alpha, tuple(rows), tuple(skipped), how)


@dataclass(frozen=True)
class MeasuresTable:
    """Figures 4 to 9 and Table 2 by each measure of experience.

    measures: the study's own one first. groups: how each makes the groups, in words. rows: figure or table, headline, and its
    number by each measure. flips: the rows and places at which significance at alpha is another one than by the first.
    """

    measures: tuple[str, ...]
    groups: tuple[str, ...]
    rows: tuple[tuple[str, str, tuple[Figure, ...]], ...]
    flips: frozenset[tuple[int, int]]


def by_measures(archive: Archive, mode: Mode) -> MeasuresTable:
    """Every headline by the study's own measure of experience, and by each other one that it asks for."""
    names = (EXPERIENCE_QUESTION, *measures(archive.study))
    choices = [Choices(measure=name) for name in ("", *names[1:])]
    columns = [headlines(archive, mode, chosen) for chosen in choices]
    rows = tuple(
        (figure.place, headline, tuple(column[headline] for column in columns)) for headline, figure in columns[0].items()
    )
    alpha = archive.study.plan.alpha
    flips = {
        (at, place)
        for at, (_, _, figures) in enumerate(rows)
        for place, figure in enumerate(figures)
        if figure.is_p and None not in (figure.value, figures[0].value) and (figure.value < alpha) != (figures[0].value < alpha)  # type: ignore[operator]
    }
    groups = tuple(_cohort(archive, mode, chosen).boundaries for chosen in choices)
    return MeasuresTable(names, groups, rows, frozenset(flips))


def alternatives(archive: Archive, mode: Mode) -> list[tuple[str, str, str, Choices | str]]:
    """Choice, how it is planned, the alternative, and the choices that it makes; or why it does not arise here."""
    rows: list[tuple[str, str, str, Choices | str]] = []
    study, task = archive.study, next(iter(archive.tasks), None)
    held = _held(study.grouping)
    none = f"the groups are not of {BOUNDARY_MONTHS:g} and more or fewer months"
    below, above = held or ("the group below", "the group above")
    rows.append((f"exactly {BOUNDARY_MONTHS:g} months", below, above, Choices(boundary="other") if held else none))
    rows.append(("Fig. 7 and tries", "the trial itself", "the best so far", Choices(best=True)))
    rows.append(("Levene's centre", "median", "mean", Choices(centre="mean")))
    share = task is not None and task.maximize and is_share(task.metric)
    classes = task.statistics.get("classes") if task else None
    for how, words in (("no value", "no value, but a try"), ("zero", "0"), ("chance", "chance"), ("dropped", "no try at all")):
        why = "" if share or how in ("no value", "dropped") else "the metric is no share that is better the larger it is"
        if how == "chance" and not why and not isinstance(classes, int):
            why = "the task does not say how many classes there are"
        rows.append(("diverged trainings", "as recorded", words, why or Choices(diverged=how)))  # type: ignore[arg-type]
    words = "only where no other reason was given for it"
    rows.append(("a value at its default", "counts, blank or typed", words, Choices(reasoned=True)))
    has = task is not None and LAMBDA_PARAMETER in task.space and task.space[LAMBDA_PARAMETER].default != 0
    shown = show(task.space[LAMBDA_PARAMETER].default or 0) if task is not None and LAMBDA_PARAMETER in task.space else "none"
    rows.append(
        ("lambda's default", shown, "0", Choices(defaults={LAMBDA_PARAMETER: 0.0}) if has else "no lambda with another default")
    )
    rows.append(("what is judged", "test score of the choice", "best validation value", Choices(score="validation")))
    rows.append(("what is judged", "test score of the choice", "only who chose their best trial", Choices(score="best only")))
    rows.append(("automatic choices", "in", "out", Choices(automatic=False)))
    if study.signals:
        rows.append((f"who {rule_words(study.plan.flags)}", "in", "without flagged people", Choices(flagged=False)))
    return rows


def headlines(archive: Archive, mode: Mode, choices: Choices) -> dict[str, Figure]:
    """Every headline number under one set of choices, by its name."""
    people = _cohort(archive, mode, choices)
    finals = {member.pseudonym: _final(archive, member, choices) for member in people.members}
    return {
        **_tests(people, finals, choices),
        **_means(people, finals),
        **_by_try(archive, people, choices),
        **_defaults(archive, people, choices),
        **_guesses(archive, people),
    }


def _cohort(archive: Archive, mode: Mode, choices: Choices) -> Cohort:
    grouping = archive.study.grouping
    if choices.boundary == "other":
        grouping = moved(grouping)
    people = cohort(archive, mode, grouping=grouping, automatic=choices.automatic)
    if not choices.flagged:
        names = {member.pseudonym for member in people.members}
        flagged = {row.pseudonym for row in process_signals(archive, names) if row.flagged}
        people = replace(people, members=tuple(member for member in people.members if member.pseudonym not in flagged))
    return experience.by_measure(archive, people, choices.measure) if choices.measure else people


def moved(grouping: Grouping) -> Grouping:
    """The same groups, but exactly nine months belong to the other one of the two that meet there."""
    groups, index = list(grouping.groups), _meeting(grouping)
    if index is None:
        return grouping
    below, above = groups[index], groups[index + 1]
    if below.holds(BOUNDARY_MONTHS):
        groups[index : index + 2] = replace(below, high=math.nextafter(BOUNDARY_MONTHS, 0)), replace(above, low=BOUNDARY_MONTHS)
    else:
        groups[index : index + 2] = (
            replace(below, high=BOUNDARY_MONTHS),
            replace(above, low=math.nextafter(BOUNDARY_MONTHS, math.inf)),
        )
    return replace(grouping, groups=tuple(groups))


def _meeting(grouping: Grouping) -> int | None:
    """Index of the group that ends at nine months: its neighbour begins there."""
    for index, (below, above) in enumerate(zip(grouping.groups, grouping.groups[1:], strict=False)):
        if below.high == BOUNDARY_MONTHS or above.low == BOUNDARY_MONTHS:
            return index
    return None


def _held(grouping: Grouping) -> tuple[str, str] | None:
    """The group that holds exactly nine months as planned, and the one that might."""
    index = _meeting(grouping)
    if index is None:
        return None
    pair: tuple[ParticipantGroup, ParticipantGroup] = grouping.groups[index], grouping.groups[index + 1]
    return (pair[0].name, pair[1].name) if pair[0].holds(BOUNDARY_MONTHS) else (pair[1].name, pair[0].name)


def _final(archive: Archive, member: CohortMember, choices: Choices) -> float | None:
    """A participant's score under these choices: one number, the mean over evaluation seeds."""
    session = member.session
    best = best_of(map(value_of, counted(session)), session.maximize)
    if choices.score == "validation":
        return best
    if choices.score == "best only":
        chosen = session.choice.configuration if session.choice else None
        its = [value_of(trial) for trial in counted(session) if trial.configuration == chosen]
        if best is None or best not in its:
            return None
    evaluation = archive.evaluations.get(session.id)
    values = [_seed_value(score, member, choices) for score in (evaluation.scores if evaluation else ())]
    return summaries.mean([value for value in values if value is not None and math.isfinite(value)])


def _seed_value(score: SeedScore, member: CohortMember, choices: Choices) -> float | None:
    filled = _filling(member, choices)
    return filled if score.outcome is Outcome.DIVERGED and filled is not None else score.value


def _filling(member: CohortMember, choices: Choices) -> float | None:
    """What stands for a diverged training: 0, the chance among the task's classes, or nothing."""
    if choices.diverged == "zero":
        return 0.0
    return 1 / int(member.session.task.statistics["classes"]) if choices.diverged == "chance" else None


def _values(member: CohortMember, choices: Choices, value: Callable[[Trial], float | None]) -> list[float | None]:
    """What each try gave, in order: its `value`, or what stands for it where it diverged."""
    values = []
    for trial in counted(member.session):
        if trial.outcome is Outcome.DIVERGED and choices.diverged != "as recorded":
            if choices.diverged == "dropped":
                continue
            values.append(_filling(member, choices))
        else:
            values.append(value(trial))
    return best_so_far(values, member.session.maximize) if choices.best else values


def _own_value(trial: Trial) -> float | None:
    """A trial's own value, as Fig. 7 shows it: also one that counts nowhere else."""
    return trial.value


def _tests(people: Cohort, finals: Mapping[str, float | None], choices: Choices) -> dict[str, Figure]:
    pairs = [
        (member.experience, final)
        for member in people.members
        if member.experience is not None and (final := finals[member.pseudonym]) is not None
    ]
    rank = stats.spearman([pair[0] for pair in pairs], [pair[1] for pair in pairs], None)
    groups = _grouped(people, finals)
    kruskal = stats.kruskal(groups)
    figures = {
        "Spearman's rho of score and experience": Figure(rank.rho, rank.n, why=rank.why, place="Fig. 4"),
        "p of Spearman's rho": Figure(rank.p, rank.n, True, rank.why, "Fig. 4"),
        "p of Kruskal-Wallis": Figure(kruskal.p, kruskal.n, True, kruskal.why, "Fig. 5"),
    }
    for first, second in combinations(people.groups, 2):
        spread = stats.levene({first: groups[first], second: groups[second]}, choices.centre)
        figures[f"p of Levene, {first} and {second}"] = Figure(spread.p, spread.n, True, spread.why, "Table 2")
    return figures


def _grouped(people: Cohort, finals: Mapping[str, float | None]) -> dict[str, list[float]]:
    return {
        group: [final for member in people.of(group) if (final := finals[member.pseudonym]) is not None]
        for group in people.groups
    }


def _means(people: Cohort, finals: Mapping[str, float | None]) -> dict[str, Figure]:
    return {
        f"mean score, {group}": Figure(
            summaries.mean(values), len(values), why=None if values else "no score in this group", place="Fig. 5"
        )
        for group, values in _grouped(people, finals).items()
    }


def _by_try(archive: Archive, people: Cohort, choices: Choices) -> dict[str, Figure]:
    """Tries to each planned threshold, of those who reached it; log-rank with the others; and Fig. 7 at its fifth try."""
    figures: dict[str, Figure] = {}
    for group in people.groups:
        rows = [_values(member, choices, value_of if choices.best else _own_value) for member in people.of(group)]
        fifth = [value for row in rows if len(row) >= COMPARED_TRY and (value := row[COMPARED_TRY - 1]) is not None]
        why = None if fifth else f"nobody of this group has a value at try {COMPARED_TRY}"
        name = f"value at try {COMPARED_TRY} (Fig. 7), {group}"
        figures[name] = Figure(summaries.mean(fifth), len(fifth), why=why, place="Fig. 7")
    for threshold in archive.study.plan.thresholds:
        figures |= _tries(people, choices, threshold)
    return figures


def _tries(people: Cohort, choices: Choices, threshold: float) -> dict[str, Figure]:
    figures: dict[str, Figure] = {}
    needed: dict[str, tuple[list[float], list[bool]]] = {}
    for group in people.groups:
        counting = [_values(member, choices, recorded_value) for member in people.of(group)]
        ends = [first_reaching(row, threshold, people.maximize) for row in counting]
        needed[group] = [float(number) for number, _ in ends], [did for _, did in ends]
        tries = [number for number, did in ends if did]
        why = None if tries else "nobody of this group reached it"
        figures[f"tries to {threshold:g}, {group}"] = Figure(summaries.mean(tries), len(tries), why=why, place="Fig. 6")
    test = stats.log_rank(needed)
    figures[f"p of log-rank, tries to {threshold:g}"] = Figure(test.p, test.n, True, test.why, "Fig. 6")
    return figures


def _guesses(archive: Archive, people: Cohort) -> dict[str, Figure]:
    """The share of guesses among the reasons of each group, and its correlation with experience."""
    reasons = paper_items.reasons(people, archive.study.reasons, None)
    figures = {}
    for group in reasons.groups:
        share = dict(group.shares).get(paper_items.GUESS_REASON)
        why = None if share is not None else "nobody of this group gave a reason that is offered"
        figures[f"share of guesses, {group.group}"] = Figure(share, group.members, why=why, place="Fig. 9")
    rank = reasons.guessing
    figures["rho of guessing and experience"] = Figure(rank.rho, rank.n, why=rank.why, place="Fig. 9")
    figures["p of guessing and experience"] = Figure(rank.p, rank.n, True, rank.why, "Fig. 9")
    return figures


def _defaults(archive: Archive, people: Cohort, choices: Choices) -> dict[str, Figure]:
    """Who starts from the defaults, by group; and how often a value whose reason is `default` is at its default."""
    figures = {}
    for group in people.groups:
        first = [(member.session.space, made[0]) for member in people.of(group) if (made := counted(member.session))]
        began = [_starts_from_defaults(archive.study, space, trial, choices) for space, trial in first]
        why = None if began else "nobody of this group made a trial"
        figures[f"starts from defaults, {group}"] = Figure(summaries.mean(began), len(began), why=why, place="Fig. 8")
    fits = [
        float(trial.configuration[name] == (choices.defaults or {}).get(name, hyperparameter.default))
        for member in people.members
        for trial in counted(member.session)
        for name, said in trial.reasons.items()
        if name in trial.configuration
        and _is_default(archive.study, said)
        and not (hyperparameter := member.session.space[name]).mandatory
    ]
    why = None if fits else "nobody gave the reason `default` for an optional value"
    figures["values given as a default that are at it"] = Figure(summaries.mean(fits), len(fits), why=why, place="Fig. 9")
    return figures


def _starts_from_defaults(study: Study, space: Space, trial: Trial, choices: Choices) -> float:
    if not from_defaults(trial.configuration, space, choices.defaults):
        return 0.0
    optional = [
        hyperparameter.name
        for hyperparameter in space
        if not hyperparameter.mandatory and hyperparameter.name in trial.configuration
    ]
    otherwise = any(name in trial.reasons and not _is_default(study, trial.reasons[name]) for name in optional)
    return 0.0 if choices.reasoned and otherwise else 1.0


def _is_default(study: Study, said: str) -> bool:
    """Whether a stored reason, its value or its words, is that of a suggested default."""
    return reason_codes(study.reasons).get(said) == "default"


def _row(headline: str, planned: Figure, other: Figure | None, choice: tuple[str, str, str], alpha: float) -> SensitivityRow:
    under = other or Figure(None, 0, planned.is_p, "not computed under this alternative")
    flips = None
    if planned.is_p and planned.value is not None and under.value is not None:
        flips = (planned.value < alpha) != (under.value < alpha)
    return SensitivityRow(headline, *choice, planned.value, under.value, (planned.n, under.n), flips, under.why or planned.why)
