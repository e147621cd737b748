"""Other measures of experience (programming, machine learning, self-rating, education) beside the one that groups are of."""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from evenhand.analysis import stats
from evenhand.analysis.cohort import experience_of, ordered_options
from evenhand.analysis.stats import Correlation, RhoDifference
from evenhand.analysis.study_items import Cohort, CohortMember
from evenhand.model.archive import Archive
from evenhand.model.domain import show
from evenhand.model.study import Study, measures


@dataclass(frozen=True)
class MeasureComparison:
    """A measure of experience and the final score. difference: of the cohort's own rho less this one; None of its own.

    adjusted: p of the difference after Holm's adjustment over all other measures.
    """

    measure: str
    correlation: Correlation
    difference: RhoDifference | None = None
    adjusted: float | None = None


def compared(archive: Archive, people: Cohort, seed: int) -> tuple[MeasureComparison, ...]:
    """Each measure against the final score, the cohort's own first; none where the study asks for no other."""
    others = measures(archive.study)
    if not others:
        return ()
    members = [member for member in people.evaluated if member.final is not None]
    finals = [member.final if member.final is not None else float("nan") for member in members]
    own = [_number(member.experience) for member in members]
    rows = [MeasureComparison(people.experience, stats.spearman(own, finals, seed))]
    for measure in others:
        answers = _answers(archive, measure)
        given = [_number(answers.get(member.pseudonym)) for member in members]
        difference = stats.rho_difference(finals, own, given)
        rows.append(MeasureComparison(measure, stats.spearman(given, finals, seed), difference))
    adjusted = stats.holm_adjusted([row.difference.p if row.difference else None for row in rows])
    return tuple(replace(row, adjusted=p) for row, p in zip(rows, adjusted, strict=True))


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _answers(archive: Archive, measure: str) -> dict[str, float | None]:
    return {person.pseudonym: experience_of(archive.study, measure, person) for person in archive.participants}


def by_measure(archive: Archive, people: Cohort, measure: str) -> Cohort:
    """The same people, their experience and groups by another measure; who did not answer it is in no group.

    One choice of as many ordered options as there are groups gives its options as groups. Anything else is cut so that the
    groups are as large as the cohort's own, as nearly as equal answers, which stay together, allow.
    """
    answers = _answers(archive, measure)
    known = sorted(value for member in people.members if (value := answers.get(member.pseudonym)) is not None)
    limits = _limits(archive.study, people, measure, known)
    members = tuple(_moved(member, answers.get(member.pseudonym), people.groups, limits) for member in people.members)
    words = _words(archive.study, measure, people.groups, known, limits)
    return replace(people, experience=measure, by=measure, members=members, boundaries=words)


def _moved(member: CohortMember, value: float | None, groups: Sequence[str], limits: Sequence[float]) -> CohortMember:
    group = None if value is None or not groups else groups[bisect.bisect_left(limits, value)]
    return replace(member, experience=value, group=group)


def _limits(study: Study, people: Cohort, measure: str, known: Sequence[float]) -> list[float]:
    """The largest answer of each group but the last."""
    question = study.question(measure)
    if question is not None and question.kind == "single" and len(ordered_options(question)) == len(people.groups):
        return [float(place) for place in range(len(people.groups) - 1)]
    sizes = [len(people.of(group)) for group in people.groups]
    whole = sum(sizes)
    if not known or not whole:
        return [float("inf")] * (len(people.groups) - 1)
    ends = [at for at, (one, two) in enumerate(pairwise(known), 1) if one < two] + [len(known)]
    limits: list[float] = []
    for place in range(1, len(sizes)):
        wanted = len(known) * sum(sizes[:place]) / whole
        limits.append(known[min(ends, key=lambda end: abs(end - wanted)) - 1])
    return limits


def _words(study: Study, measure: str, groups: Sequence[str], known: Sequence[float], limits: Sequence[float]) -> str:
    """Which answers each group has: novice 0 to 2, medium 3 to 6, expert 7 to 20."""
    question = study.question(measure)
    options = ordered_options(question) if question is not None and question.kind == "single" else ()
    parts = []
    for place, group in enumerate(groups):
        inside = [value for value in known if bisect.bisect_left(limits, value) == place]
        if not inside:
            parts.append(f"{group}: nobody")
            continue
        least, most = (options[int(end)].label.markdown if options else show(end) for end in (inside[0], inside[-1]))
        parts.append(f"{group}: {least}" if least == most else f"{group}: {least} to {most}")
    return ", ".join(parts)
