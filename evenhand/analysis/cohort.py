"""Who counts in a study's statistics, into which group they belong, and where the others were lost."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from evenhand import protocol
from evenhand.analysis import scores
from evenhand.analysis.items import Cohort, Flow, Left, Member, Stage
from evenhand.declaration import Group, Grouping, Mode, Rule, Study
from evenhand.records import Archive, Evaluation, Outcome, Participant, Session, Trial

EXPERIENCE = "background.months"


def cohort(
    archive: Archive, mode: Mode, *, grouping: Grouping | None = None, experience: str = EXPERIENCE, automatic: bool = True
) -> Cohort:
    """Everyone of a mode whose session began and ended with a choice, less those excluded by the researcher or by a planned rule.

    grouping: by another question than the study's own. automatic: whether choices count that were made at the deadline for a
    participant who made none.
    """
    study, part = archive.study, archive.of_mode(mode)
    by = grouping or study.grouping
    theirs = {each.participant_id: each for each in part.sessions if each.participant_id is not None and not each.practice}
    members, left = [], []
    for person in part.participants:
        session = theirs.get(person.id)
        why = _why_left(study, person, session, automatic)
        if why is not None or session is None:
            left.append(Left(person.pseudonym, why or "never began to tune"))
            continue
        values = seed_values(archive.evaluations.get(session.id))
        members.append(
            Member(
                pseudonym=person.pseudonym,
                experience=person.number(experience),
                group=group_of(study, by, person),
                condition=person.condition,
                session=session,
                final=scores.mean(values),
                seeds=len(values),
            )
        )
    task = archive.tasks[0] if not theirs else next(iter(theirs.values())).task
    return Cohort(
        mode=mode,
        metric=task.metric,
        maximize=task.maximize,
        experience=experience,
        by=by.by,
        groups=group_names(study, by),
        members=tuple(members),
        left=tuple(left),
        boundaries=boundaries(by),
    )


def seed_values(evaluation: Evaluation | None) -> list[float]:
    """The test metrics of an evaluation's seeds that have one."""
    found = [] if evaluation is None else [score.value for score in evaluation.scores]
    return [value for value in found if value is not None and math.isfinite(value)]


def _why_left(study: Study, person: Participant, session: Session | None, automatic: bool) -> str | None:
    if person.withdrawn_at is not None:
        return "withdrew"
    if person.excluded is not None:
        return f"excluded: {person.excluded}"
    if session is None or session.started_at is None:
        return "never began to tune"
    if session.choice is None or session.choice.configuration is None:
        return "made no final choice"
    if not automatic and session.choice.automatic:
        return "the choice was made automatically"
    return next((words for rule in study.plan.exclusions if (words := broken(rule, person, session))), None)


def broken(rule: Rule, person: Participant, session: Session) -> str | None:
    """How a planned rule excludes a participant, in words; None where it does not."""
    least = rule.at_least or 0.0
    if rule.fact == "trials" and protocol.trials_used(session) < least:
        return f"planned rule: fewer than {least:g} trials"
    if rule.fact == "minutes" and scores.clock(session, _ended(session)) < 60 * least:
        return f"planned rule: fewer than {least:g} minutes"
    if rule.fact == "choice" and session.choice is not None and session.choice.automatic:
        return "planned rule: made no choice"
    if rule.fact == "answer" and not _says(person.answers.get(rule.question), rule.value):
        return f"planned rule: {rule.question} is not {rule.value}"
    return None


def _says(answer: object, value: str) -> bool:
    """Whether an answer is `value`: as a number where it is one, among those chosen where there are several."""
    if isinstance(answer, list):
        return value in answer
    if isinstance(answer, int | float):
        return value in (str(answer), f"{answer:g}")
    return answer == value


def _ended(session: Session) -> float:
    return (
        session.choice.at if session.choice is not None else max([trial.finished_at or 0 for trial in session.trials], default=0)
    )


# Groups


def group_names(study: Study, by: Grouping) -> tuple[str, ...]:
    """The groups' names in their order: those declared, else the question's options."""
    if by.groups:
        return tuple(group.name for group in by.groups)
    question = study.question(by.by)
    if question is None:
        return ()
    return tuple(option.label.markdown for option in question.options) or tuple(str(n) for n in range(1, question.points + 1))


def group_of(study: Study, by: Grouping, person: Participant) -> str | None:
    """The group that a participant's answer belongs to; None where it is missing, or lies between groups."""
    answer = person.answers.get(by.by)
    if by.groups:
        number = person.number(by.by)
        return None if number is None else next((group.name for group in by.groups if group.holds(number)), None)
    question = study.question(by.by)
    if question is None or answer is None:
        return None
    labels = {option.value: option.label.markdown for option in question.options}
    return labels.get(str(answer), str(answer) if question.kind == "likert" else None)


def boundaries(by: Grouping) -> str:
    """The groups' boundaries in words: novice 0, medium 1 to 9, expert from 10."""
    return ", ".join(f"{group.name} {_limits(group)}" for group in by.groups)


def _limits(group: Group) -> str:
    low = "" if group.low is None else f"{group.low:g}"
    high = "" if group.high is None else f"{group.high:g}"
    if low and high:
        return low if low == high else f"{low} to {high}"
    return f"from {low}" if low else f"up to {high}" if high else "any number"


# Trials


def counted(session: Session) -> list[Trial]:
    """The trials that count as tries: all that were begun, but those that failed for a technical reason."""
    return [trial for trial in session.trials if trial.claimed_at is not None and trial.outcome not in (None, Outcome.FAILED)]


def is_better(value: float, than: float, maximize: bool) -> bool:
    """Whether a value reaches another one."""
    return value >= than if maximize else value <= than


def best_so_far(values: Sequence[float | None], maximize: bool) -> list[float | None]:
    """After each try, the best value so far; None before the first."""
    best: float | None = None
    found = []
    for value in values:
        if value is not None and (best is None or is_better(value, best, maximize)):
            best = value
        found.append(best)
    return found


# Attrition


def flow(archive: Archive, mode: Mode) -> Flow:
    """How many joined, agreed, answered, began, chose, were evaluated and are in the statistics, and why others were lost."""
    part = archive.of_mode(mode)
    names = [arm.name for arm in archive.study.arms]
    by_condition: Mapping[str, tuple[Stage, ...]] = {
        name: _stages(archive, mode, [each for each in part.participants if each.condition == name]) for name in names
    }
    how = "each step counts those who did it and all before it; whoever withdrew is counted where they were lost last"
    return Flow(len(part.participants), _stages(archive, mode, part.participants), by_condition, how)


def _stages(archive: Archive, mode: Mode, people: Sequence[Participant]) -> tuple[Stage, ...]:
    theirs = {each.participant_id: each for each in archive.of_mode(mode).sessions if not each.practice}
    left = {each.pseudonym: each.why for each in cohort(archive, mode).left}
    joined = {each.version: each for each in (*archive.versions, archive.study)}
    met = {each.id: joined.get(each.version, archive.study) for each in people}  # an amendment asks nothing of those before it
    stages = [Stage("joined", len(people))]
    remaining = list(people)

    def step(name: str, passed: list[Participant], why: str) -> None:
        nonlocal remaining
        gone = [each for each in remaining if each not in passed]
        reasons = Counter("withdrew" if each.withdrawn_at is not None else why or left[each.pseudonym] for each in gone)
        stages.append(Stage(name, len(passed), tuple(sorted(reasons.items()))))
        remaining = passed

    versions = [*met.values(), archive.study]
    if any(each.consent.markdown.strip() for each in versions):
        agreed = [each for each in remaining if each.consented_at is not None or not met[each.id].consent.markdown.strip()]
        step("agreed to the terms", agreed, "did not agree")
    if any(each.before for each in versions):
        known = [
            each
            for each in remaining
            if {asked.name for asked in met[each.id].before} <= set(each.answered)
            or (each.withdrawn_at is not None and each.id in theirs)
        ]
        step("answered the questions", known, "did not answer")
    begun = {person_id for person_id, each in theirs.items() if each.started_at is not None}
    chosen = {person_id for person_id, each in theirs.items() if each.choice and each.choice.configuration is not None}
    scored = {person_id for person_id, each in theirs.items() if each.id in archive.evaluations}
    step("began to tune", [each for each in remaining if each.id in begun], "did not begin")
    step("made a final choice", [each for each in remaining if each.id in chosen], "made no final choice")
    step("were evaluated on test data", [each for each in remaining if each.id in scored], "not evaluated yet")
    step("are in the statistics", [each for each in remaining if each.pseudonym not in left], "")
    return tuple(stages)
