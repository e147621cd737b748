"""A class that tunes together: its study, its board by validation alone, and whether the slots can serve it."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evenhand.analysis.cohort import own_sessions
from evenhand.lab.lab import Lab
from evenhand.lab.seats import short_code
from evenhand.model import rules
from evenhand.model.direction import best_of, best_so_far, sign_of, value_of
from evenhand.model.participant import Batch, Participant
from evenhand.model.session import Session
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord
from evenhand.model.trial import Trial
from evenhand.model.words import budget_words, clock, plural

ENOUGH_TRIALS = 5  # trials that each student should get, at least
LEADERS = 6  # places of the board that are shown large, the others beside each other
DRAWN = 5  # of them with a curve: more lines cannot be told apart from the last row
JUST_SECONDS = 60.0  # for which the board says that somebody has just improved
MOST_JUST = 3  # of whom it says so, the newest first


@dataclass(frozen=True)
class Capacity:
    """Whether the slots serve the class. seconds: of one trial; waiting: expected, between submitting and training, when everyone
    wants to train; trials: that each student gets in the time."""

    students: int
    slots: int
    seconds: float
    minutes: float
    waiting: float
    trials: float

    @property
    def serves(self) -> bool:
        """Whether each student gets enough trials."""
        return self.trials >= ENOUGH_TRIALS

    @property
    def slots_needed(self) -> int:
        """How many slots would serve the class."""
        return math.ceil(self.students * self.seconds * ENOUGH_TRIALS / (60 * self.minutes))


def capacity(students: int, slots: int, epoch_seconds: float, epochs: int, minutes: float) -> Capacity:
    """What a class of `students` gets of `slots` trainings at once, when everyone always trains `epochs` epochs.

    With S students on s slots, a trial of t seconds waits (S - s) t / s seconds at the most, and each student gets
    60 m s / (S t) trials in m minutes, but not more than 60 m / t.
    """
    seconds = max(epoch_seconds * epochs, 0.001)
    served = min(slots, students) / max(students, 1)
    waiting = max(0.0, students - slots) * seconds / max(slots, 1)
    return Capacity(students, slots, seconds, minutes, waiting, 60 * minutes * served / seconds)


def advice(capacity: Capacity, epochs: int, size: int | None = None) -> list[str]:
    """What would serve the class better, in words, the cheapest first; nothing where it is served.

    size: of the images in pixels, where the task has them: the time of an epoch grows with its square.
    """
    if capacity.serves:
        return []
    missing = ENOUGH_TRIALS / capacity.trials if capacity.trials else math.inf
    ways = []
    fewer = math.floor(epochs / missing)
    if fewer >= 1:
        ways.append(f"at most {plural(fewer, 'epoch')} a trial instead of {epochs} (--epochs {fewer})")
    if size is not None and (smaller := math.floor(size / math.sqrt(missing))) >= 17:
        ways.append(f"images of {smaller} pixels instead of {size} (--size {smaller})")
    needed = capacity.slots_needed
    ways.append(
        f"{needed} training slots instead of {capacity.slots}: `evenhand add-agent NAME`, then `evenhand agent` on other machines"
    )
    longer = math.ceil(capacity.minutes * missing)
    if longer <= 240:
        ways.append(f"{longer} minutes instead of {capacity.minutes:g}")
    return ways


def study_of(task: TaskRecord, name: str, title: str, minutes: float, seed: int) -> Study:
    """A class's study: nicknames, no consent page, no questions, validation shown live, three evaluation seeds."""
    return Study(
        name=name,
        title=title,
        task_id=task.id,
        budget=Budget(seconds=60 * minutes),
        seed=seed,
        consent=Text(""),
        details=Text(
            "Find the values that score best on validation data. Everyone has the same task, the same time and the same seed. "
            "The board shows everyone's best validation score under the nicknames; waiting for a free slot does not count."
        ),
        thanks=Text("That is your final choice. The board shows where it stands."),
        evaluation_seeds=3,
        questionnaires=(),
        classroom=True,
        machines="any",
    )


def open_class(lab: Lab, study: Study, students: int) -> tuple[Batch, str]:
    """The class's one invitation, and its code, which the room reads from the wall. Twice as many may join as are expected."""
    code = short_code()
    batch, _ = lab.participants.invite(study.id, "class", cap=2 * students, token=code)
    return batch, code


@dataclass(frozen=True)
class BoardPlace:
    """One student on the board. rank: None without a value; equal values share one. session: None before it is opened."""

    rank: int | None
    name: str
    best: Trial | None
    trials: int
    training: bool
    waiting: bool
    chosen: bool
    session: Session | None


def board(people: Sequence[Participant], sessions: Sequence[Session]) -> list[BoardPlace]:
    """Who is ahead by validation, the best first; those without a value come last, as they joined. No test score here."""
    session_of = own_sessions(sessions)
    places = []
    for person in people:
        session = session_of.get(person.id)
        if person.withdrawn_at is not None:
            continue
        opened = next((trial for trial in session.trials if trial.is_open), None) if session else None
        places.append(
            BoardPlace(
                rank=None,
                name=person.nickname or person.pseudonym,
                best=rules.best_trial(session, ended=True) if session else None,
                trials=rules.trials_used(session) if session else 0,
                training=opened is not None and opened.claimed_at is not None,
                waiting=opened is not None and opened.claimed_at is None,
                chosen=session is not None and session.choice is not None,
                session=session,
            )
        )
    sign = -sign_of(any(session.maximize for session in sessions))
    values = sorted(sign * place.best.value for place in places if place.best and place.best.value is not None)
    ranked = [replace(place, rank=_rank(place, sign, values)) for place in places]
    return sorted(ranked, key=lambda place: (place.rank is None, place.rank or 0))


def curves(places: Sequence[BoardPlace]) -> list[dict[str, Any]]:
    """Of the leaders, the best value so far after each trial: their name, and pairs of a trial's number and a value."""
    lines = []
    for place in places[:DRAWN]:
        if place.session is not None and place.best is not None:
            ended = [trial for trial in place.session.trials if not trial.is_open]  # the value of one that trains may still fall
            bests = best_so_far([value_of(trial) for trial in ended], place.session.maximize)
            numbered = zip((trial.number for trial in ended), bests, strict=True)
            lines.append({"name": place.name, "values": [[number, best] for number, best in numbered if best is not None]})
    return lines


@dataclass(frozen=True)
class Improvement:
    """Somebody whose best score came a moment ago. before: the best until then; None where it is the first score."""

    name: str
    value: float
    before: float | None


def improvements(places: Sequence[BoardPlace], now: float) -> list[Improvement]:
    """Who has just improved, the newest first."""
    fresh: list[tuple[float, Improvement]] = []
    for place in places:
        best, session = place.best, place.session
        if session is None or best is None or best.value is None or best.finished_at is None:
            continue
        if now - best.finished_at < JUST_SECONDS:
            earlier = [trial for trial in session.trials if trial.number < best.number and not trial.is_open]
            before = best_of((value_of(trial) for trial in earlier), session.maximize)
            fresh.append((best.finished_at, Improvement(place.name, best.value, before)))
    newest = sorted(fresh, key=lambda timed: timed[0], reverse=True)
    return [improvement for _, improvement in newest[:MOST_JUST]]


@dataclass(frozen=True)
class ClassClock:
    """How long the class still has, in words: big and small.

    ends_at: when the last student's time is up, in seconds by the server's clock; None where it does not run.
    """

    ends_at: int | None
    big: str
    small: str


def clock_of(study: Study, sessions: Sequence[Session], now: float) -> ClassClock:
    """The class's clock: of whoever has the most time left, since each student's own starts with the first step."""
    limit = study.budget.seconds
    begun = [session for session in own_sessions(sessions).values() if session.started_at is not None]
    open_ones = [session for session in begun if session.choice is None and session.withdrawn_at is None]
    tuning = f"{plural(len(open_ones), 'student')} tuning"
    if limit is None:
        return ClassClock(None, "no limit", f"{tuning} · {budget_words(study.budget)} each")
    if not begun:
        return ClassClock(None, clock(limit), "for each, from the own start on")
    ends = max((end for session in open_ones if (end := rules.deadline(session, now)) is not None), default=None)
    if ends is None or ends <= now:
        return ClassClock(None, clock(0), "time is up" if open_ones else "everyone is done")
    until = time.strftime("%H:%M", time.localtime(ends))
    return ClassClock(round(ends), clock(ends - now), f"left, until {until} · {tuning}")


def _rank(place: BoardPlace, sign: float, values: Sequence[float]) -> int | None:
    value = place.best.value if place.best else None
    return None if value is None else 1 + values.index(sign * value)
