"""How far people came, and where the others were lost: while a study goes on (for its page), and once it is over (CONSORT)."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from evenhand.analysis.cohort import own_sessions, seed_values, why_left
from evenhand.model import rules
from evenhand.model.archive import Archive
from evenhand.model.participant import Participant
from evenhand.model.session import Session, State
from evenhand.model.study import Mode, Study


class Milestone(StrEnum):
    """What a participant comes past, in order."""

    JOINED = "joined"
    AGREED = "agreed"
    ANSWERED = "answered"
    BEGAN = "began"
    CHOSE = "chose"
    EVALUATED = "evaluated"
    INCLUDED = "included"


MILESTONE_ORDER = tuple(Milestone)
LIVE_WORDS: Mapping[Milestone, str] = {
    Milestone.JOINED: "joined",
    Milestone.AGREED: "consented",
    Milestone.ANSWERED: "answered the questions",
    Milestone.BEGAN: "began to tune",
    Milestone.CHOSE: "chose",
    Milestone.EVALUATED: "evaluated",
    Milestone.INCLUDED: "included",
}
REPORTED_WORDS: Mapping[Milestone, str] = {
    Milestone.JOINED: "joined",
    Milestone.AGREED: "agreed to the terms",
    Milestone.ANSWERED: "answered the questions",
    Milestone.BEGAN: "began to tune",
    Milestone.CHOSE: "made a final choice",
    Milestone.EVALUATED: "have a test score",
    Milestone.INCLUDED: "are in the statistics",
}
# Why somebody did not come past a milestone of a study that is over; past the last one only whom `why_left` lets.
NOT_PAST_WORDS: Mapping[Milestone, str] = {
    Milestone.AGREED: "did not agree",
    Milestone.ANSWERED: "did not answer",
    Milestone.BEGAN: "did not begin",
    Milestone.CHOSE: "made no final choice",
    Milestone.EVALUATED: "not evaluated yet",
}
HOW_COUNTED = "each step counts those who did it and all before it; whoever withdrew is counted where they were lost last"
Why = Callable[[Participant, Milestone], tuple[str, bool]]  # why somebody is not past it, and whether they wait


@dataclass(frozen=True)
class Loss:
    """Those who did not get on, for one reason. waits: they may get there yet."""

    words: str
    count: int
    waits: bool = False


@dataclass(frozen=True)
class Stage:
    """A milestone, how many came past it, and those of them who did not come past the next one, by reason."""

    milestone: Milestone
    name: str
    count: int
    lost: tuple[Loss, ...] = ()


@dataclass(frozen=True)
class Attrition:
    """everyone: all who joined. arms: those assigned to each condition; empty where there are no conditions."""

    everyone: tuple[Stage, ...]
    arms: Mapping[str, tuple[Stage, ...]] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """How many joined."""
        return self.count(Milestone.JOINED)

    def count(self, milestone: Milestone) -> int:
        """How many came past a milestone; 0 where the study does not have it."""
        return next((stage.count for stage in self.everyone if stage.milestone == milestone), 0)


def reached(study: Study, met: Study, person: Participant, session: Session | None, evaluated: bool) -> Milestone:
    """The last milestone that a participant came past, having come past all before it.

    Of whoever withdrew, whose answers are erased, it is the last one of which there is a fact. met: the version that they joined,
    since an amendment asks nothing of those before it. study: the one whose plan says who is left out.
    """
    agreed = person.consented_at is not None or not met.consent.markdown.strip()
    chose = session is not None and session.choice is not None and session.choice.configuration is not None
    past = {
        Milestone.JOINED: True,
        Milestone.AGREED: agreed,
        Milestone.ANSWERED: {asked.name for asked in met.before} <= set(person.answered) if met.before else agreed,
        Milestone.BEGAN: session is not None and session.started_at is not None,
        Milestone.CHOSE: chose,
        Milestone.EVALUATED: chose and evaluated,
        Milestone.INCLUDED: chose and evaluated and why_left(study, person, session) is None,
    }
    if person.withdrawn_at is not None:
        return [milestone for milestone in MILESTONE_ORDER if past[milestone]][-1]
    first = next((place for place, milestone in enumerate(MILESTONE_ORDER) if not past[milestone]), len(MILESTONE_ORDER))
    return MILESTONE_ORDER[first - 1]


def live(
    study: Study, versions: Sequence[Study], people: Sequence[Participant], sessions: Sequence[Session], now: float
) -> Attrition:
    """Where the participants of one mode stand now; practice and methods' sessions are passed over.

    study: as it is now. versions: those that they may have joined.
    """
    session_of = own_sessions(sessions)

    def is_evaluated(session: Session) -> bool:
        return rules.state_of(session, now) is State.EVALUATED or not session.task.has_test

    def why(person: Participant, beyond: Milestone) -> tuple[str, bool]:
        return _why_no_further(study, person, session_of.get(person.id), beyond)

    return _attrition(study, versions, people, session_of, is_evaluated, LIVE_WORDS, why)


def flow(archive: Archive, mode: Mode) -> Attrition:
    """The participants of a mode as a report tells of them; a stage's `lost` are those who were lost before it.

    Scores are counted, not choices: whoever chose and has no test score is in no statistics of scores.
    """
    part = archive.of_mode(mode)
    session_of = own_sessions(part.sessions)

    def is_evaluated(session: Session) -> bool:
        return bool(seed_values(archive.evaluations.get(session.id))) or not session.task.has_test

    def why(person: Participant, beyond: Milestone) -> tuple[str, bool]:
        if person.withdrawn_at is not None:
            return "withdrew", False
        session = session_of.get(person.id)
        if beyond is Milestone.EVALUATED and session is not None and session.id in archive.evaluations:
            return "no evaluation training gave a score", False
        left = why_left(archive.study, person, session) or ""
        return NOT_PAST_WORDS.get(beyond, left), False

    attrition = _attrition(archive.study, archive.versions, part.participants, session_of, is_evaluated, REPORTED_WORDS, why)
    return Attrition(_lost_before(attrition.everyone), {name: _lost_before(stages) for name, stages in attrition.arms.items()})


def _attrition(
    study: Study,
    versions: Sequence[Study],
    people: Sequence[Participant],
    session_of: Mapping[int, Session],
    is_evaluated: Callable[[Session], bool],
    names: Mapping[Milestone, str],
    why: Why,
) -> Attrition:
    joined = {edition.version: edition for edition in (*versions, study)}
    met = {person.id: joined.get(person.version, study) for person in people}
    last: dict[int, Milestone] = {}
    for person in people:
        session = session_of.get(person.id)
        last[person.id] = reached(study, met[person.id], person, session, session is not None and is_evaluated(session))
    there = {
        Milestone.AGREED: any(edition.consent.markdown.strip() for edition in (study, *met.values())),
        Milestone.ANSWERED: any(edition.before for edition in (study, *met.values())),
    }
    milestones = [milestone for milestone in MILESTONE_ORDER if there.get(milestone, True)]
    arms = {
        arm.name: _stages([person for person in people if person.condition == arm.name], last, milestones, names, why)
        for arm in study.arms
    }
    return Attrition(_stages(people, last, milestones, names, why), arms)


def _stages(
    people: Sequence[Participant],
    last: Mapping[int, Milestone],
    milestones: Sequence[Milestone],
    names: Mapping[Milestone, str],
    why: Why,
) -> tuple[Stage, ...]:
    stages, remaining = [], list(people)
    for milestone, beyond in zip(milestones, (*milestones[1:], None), strict=True):
        further = [person for person in remaining if beyond is not None and _is_past(last[person.id], beyond)]
        reasons = Counter(
            why(person, beyond) for person in remaining if beyond is not None and not _is_past(last[person.id], beyond)
        )
        lost = tuple(Loss(words, count, waits) for (words, waits), count in sorted(reasons.items(), key=lambda item: item[0]))
        stages.append(Stage(milestone, names[milestone], len(remaining), lost))
        remaining = further
    return tuple(stages)


def _is_past(last: Milestone, milestone: Milestone) -> bool:
    return MILESTONE_ORDER.index(last) >= MILESTONE_ORDER.index(milestone)


def _lost_before(stages: Sequence[Stage]) -> tuple[Stage, ...]:
    """The stages, each with those who were lost on the way to it."""
    before = ((), *(stage.lost for stage in stages[:-1]))
    return tuple(Stage(stage.milestone, stage.name, stage.count, lost) for stage, lost in zip(stages, before, strict=True))


def _why_no_further(study: Study, person: Participant, session: Session | None, beyond: Milestone) -> tuple[str, bool]:
    """Why somebody is no further now, and whether they may get further yet."""
    if person.withdrawn_at is not None:
        return "withdrew", False
    if person.excluded is not None:
        return f"left out: {person.excluded}", False
    if session is not None and session.choice is not None:
        if session.choice.configuration is None:
            return "no trial had a score", False
        left = why_left(study, person, session) if beyond is Milestone.INCLUDED else None
        return (left, False) if left else ("being evaluated", True)
    if session is not None and session.started_at is not None:
        return "tuning", True
    return ("did not go on", False) if study.closed_at is not None else ("under way", True)
