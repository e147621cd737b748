"""How many participants came how far, and where the others were lost: the numbers of a CONSORT-style diagram."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand import protocol
from evenhand.analysis.cohort import broken
from evenhand.declaration import Study
from evenhand.records import Participant, Session, State


@dataclass(frozen=True)
class Loss:
    """Those who did not get to the next stage, for one reason. waits: they may get there yet."""

    words: str
    count: int
    waits: bool = False


@dataclass(frozen=True)
class Stage:
    """A stage, how many reached it, and those of them who did not reach the next one, by reason."""

    name: str
    count: int
    lost: tuple[Loss, ...] = ()


@dataclass(frozen=True)
class Attrition:
    """everyone: all who joined. arms: those assigned to each condition; empty where there are no conditions."""

    everyone: tuple[Stage, ...]
    arms: Mapping[str, tuple[Stage, ...]]


def attrition(study: Study, people: Sequence[Participant], sessions: Sequence[Session], now: float) -> Attrition:
    """The stages of a study's participants, who are of one mode. sessions: theirs; practice and methods are passed over."""
    theirs = {each.participant_id: each for each in sessions if each.participant_id is not None and not each.practice}
    arms = {}
    for arm in study.arms:
        assigned = [each for each in people if each.condition == arm.name]
        arms[arm.name] = _stages(study, assigned, theirs, now)
    return Attrition(_stages(study, people, theirs, now), arms)


def _stages(study: Study, people: Sequence[Participant], theirs: Mapping[int, Session], now: float) -> tuple[Stage, ...]:
    reached = [_reached(study, each, theirs.get(each.id), now) for each in people]
    names = list(_passed(study, None, None, now))
    found = []
    for index, name in enumerate(names):
        there = sum(each >= index for each in reached)
        last = [each for each, at in zip(people, reached, strict=True) if at == index]
        lost = () if index == len(names) - 1 else _losses(study, last, theirs, now)
        found.append(Stage(name, there, lost))
    return tuple(found)


def _passed(study: Study, person: Participant | None, session: Session | None, now: float) -> dict[str, bool]:
    """Each stage that this study has, in order, and whether the facts say that it was reached."""
    answered = person.answered if person else ()
    chose = session is not None and session.choice is not None and session.choice.configuration is not None
    evaluated = session is not None and chose and _is_evaluated(session, now)
    stages = {"joined": person is not None}
    if study.consent.markdown.strip():
        stages["consented"] = person is not None and person.consented_at is not None
    if study.before:
        stages["answered the questions"] = person is not None and all(each.name in answered for each in study.before)
    stages["began to tune"] = session is not None and session.started_at is not None
    stages["chose"] = chose
    stages["evaluated"] = evaluated
    stages["included"] = evaluated and person is not None and _why_left(study, person, session) is None
    return stages


def _is_evaluated(session: Session, now: float) -> bool:
    return protocol.state_of(session, now) is State.EVALUATED or not session.task.has_test


def _why_left(study: Study, person: Participant, session: Session | None) -> str | None:
    """Why somebody is not in the statistics: the researcher's word, or a planned rule."""
    if person.excluded is not None:
        return f"left out: {person.excluded}"
    if session is None:
        return None
    return next((words for rule in study.plan.exclusions if (words := broken(rule, person, session))), None)


def _reached(study: Study, person: Participant, session: Session | None, now: float) -> int:
    """The last stage whose fact is there: those before it were reached, even where a withdrawal erased their facts."""
    passed = _passed(study, person, session, now).values()
    return max(index for index, yes in enumerate(passed) if yes)


def _losses(study: Study, people: Sequence[Participant], theirs: Mapping[int, Session], now: float) -> tuple[Loss, ...]:
    reasons = Counter(_why(study, each, theirs.get(each.id), now) for each in people)
    return tuple(Loss(words, count, waits) for (words, waits), count in sorted(reasons.items(), key=lambda each: each[0]))


def _why(study: Study, person: Participant, session: Session | None, now: float) -> tuple[str, bool]:
    """Why somebody is no further, and whether they may get further yet."""
    if person.withdrawn_at is not None:
        return "withdrew", False
    if person.excluded is not None:
        return f"left out: {person.excluded}", False
    if session is not None and session.choice is not None:
        if session.choice.configuration is None:
            return "no trial had a score", False
        left = _why_left(study, person, session) if _is_evaluated(session, now) else None
        return (left, False) if left else ("being evaluated", True)
    if session is not None and session.started_at is not None:
        return "tuning", True
    return ("did not go on", False) if study.closed_at is not None else ("under way", True)
