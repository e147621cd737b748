"""Who counts in a study's statistics, into which group they belong, and where the others were lost."""

import math
from collections.abc import Iterable

from evenhand.analysis import summaries
from evenhand.analysis.study_items import Cohort, CohortMember, Left
from evenhand.errors import InvalidSettings
from evenhand.model import rules
from evenhand.model.archive import Archive
from evenhand.model.evaluation import Evaluation
from evenhand.model.participant import Participant
from evenhand.model.session import Session
from evenhand.model.study import ExclusionRule, Grouping, Mode, Option, ParticipantGroup, Question, Study
from evenhand.model.trial import Outcome, Trial

EXPERIENCE_QUESTION = "background.months"
UNORDERED_OPTION = "other"  # "something else": the option that is neither less nor more than the others


def cohort(
    archive: Archive,
    mode: Mode,
    *,
    grouping: Grouping | None = None,
    experience: str = EXPERIENCE_QUESTION,
    automatic: bool = True,
) -> Cohort:
    """Everyone of a mode whose session began and ended with a choice, less those excluded by the researcher or by a planned rule.

    grouping: by another question than the study's own. experience: the question that measures it. automatic: whether choices
    count that were made at the deadline for a participant who made none.
    """
    study, part = archive.study, archive.of_mode(mode)
    by = grouping or study.grouping
    session_of = own_sessions(part.sessions)
    members, left = [], []
    for person in part.participants:
        session = session_of.get(person.id)
        why = why_left(study, person, session, automatic)
        if why is not None or session is None:
            left.append(Left(person.pseudonym, why or "never began to tune"))
            continue
        values = seed_values(archive.evaluations.get(session.id))
        members.append(
            CohortMember(
                pseudonym=person.pseudonym,
                experience=experience_of(study, experience, person),
                group=group_of(study, by, person),
                condition=person.condition,
                session=session,
                final=summaries.mean(values),
                seeds=len(values),
            )
        )
    task = archive.tasks[0] if not session_of else next(iter(session_of.values())).task
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


def own_sessions(sessions: Iterable[Session]) -> dict[int, Session]:
    """Each participant's session by their id: practice and methods' sessions are nobody's."""
    return {
        session.participant_id: session for session in sessions if session.participant_id is not None and not session.practice
    }


def seed_values(evaluation: Evaluation | None) -> list[float]:
    """The test metrics of an evaluation's seeds that have one."""
    values = [] if evaluation is None else [score.value for score in evaluation.scores]
    return [value for value in values if value is not None and math.isfinite(value)]


def why_left(study: Study, person: Participant, session: Session | None, automatic: bool = True) -> str | None:
    """Why somebody is not in the statistics; None for those who are. automatic: whether choices made at the deadline count."""
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


def broken(rule: ExclusionRule, person: Participant, session: Session) -> str | None:
    """How a planned rule excludes a participant, in words; None where it does not."""
    least = rule.at_least or 0.0
    if rule.fact == "trials" and rules.trials_used(session) < least:
        return f"planned rule: fewer than {least:g} trials"
    if rule.fact == "minutes" and summaries.clock(session, _ended(session)) < 60 * least:
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


# Experience


def experience_of(study: Study, measure: str, person: Participant) -> float | None:
    """A participant's answer to a measure of experience: its number, or of one choice among ordered ones, its place from 0.

    The option `other` has no place in any order.
    """
    question = study.question(measure)
    if question is None or question.kind != "single":
        return person.number(measure)
    places = {option.value: float(place) for place, option in enumerate(ordered_options(question))}
    return places.get(str(person.answers.get(measure)))


def ordered_options(question: Question) -> tuple[Option, ...]:
    """The options of a question that stand in an order, the least first."""
    return tuple(option for option in question.options if option.value != UNORDERED_OPTION)


# Groups


def group_names(study: Study, by: Grouping) -> tuple[str, ...]:
    """The groups' names in their order: those declared, else the question's options."""
    if by.groups:
        return tuple(group.name for group in by.groups)
    question = study.question(by.by)
    if question is None:
        return ()
    return tuple(option.label.markdown for option in question.options) or tuple(str(n) for n in range(1, question.points + 1))


def groupings(study: Study) -> tuple[str, ...]:
    """The questions that participants can be grouped by, as QUESTIONNAIRE.QUESTION: one choice of a few, or a Likert scale."""
    return tuple(
        f"{questionnaire.name}.{question.name}"
        for questionnaire in study.questionnaires
        for question in questionnaire.questions
        if question.kind in ("single", "likert")
    )


def grouping_by(study: Study, by: str) -> Grouping:
    """The study's own groups, or each option of another question."""
    if by == study.grouping.by:
        return study.grouping
    known = groupings(study)
    if by not in known:
        raise InvalidSettings(
            f"cannot group by {by!r}: expected a question with options, of {', '.join(known) or 'which there is none'}"
        )
    return Grouping(by)


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


def _limits(group: ParticipantGroup) -> str:
    low = "" if group.low is None else f"{group.low:g}"
    high = "" if group.high is None else f"{group.high:g}"
    if low and high:
        return low if low == high else f"{low} to {high}"
    return f"from {low}" if low else f"up to {high}" if high else "any number"


# Trials


def counted(session: Session) -> list[Trial]:
    """The trials that count as tries: all that were begun, but those that failed for a technical reason."""
    return [trial for trial in session.trials if trial.claimed_at is not None and trial.outcome not in (None, Outcome.FAILED)]
