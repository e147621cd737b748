"""A class that tunes together: its study, its board by validation alone, and whether the slots can serve it."""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evenhand.analysis.cohort import own_sessions
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.direction import sign_of
from evenhand.model.participant import Batch, Participant
from evenhand.model.session import Session
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskRecord
from evenhand.model.trial import Trial
from evenhand.model.words import plural

CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # without those that look alike on a projector
CODE_LENGTH = 6  # letters of a join code: 887 million codes, for a lesson, on the room's network
ENOUGH_TRIALS = 5  # trials that each student should get, at least
LONGEST_NAME = 24


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
    code = "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))
    batch, _ = lab.participants.invite(study.id, "class", cap=2 * students, token=code)
    return batch, code


def plain_code(text: str) -> str:
    """A code as it is stored: capitals, without spaces and dashes."""
    return "".join(letter for letter in text.upper() if letter.isalnum())


def nickname(text: str) -> str | None:
    """A nickname in one line without what cannot be seen; None where nothing is left."""
    plain = " ".join("".join(letter for letter in text if letter.isprintable()).split())[:LONGEST_NAME].strip()
    return plain or None


@dataclass(frozen=True)
class BoardPlace:
    """One student on the board. rank: None without a value; equal values share one."""

    rank: int | None
    name: str
    best: Trial | None
    trials: int
    training: bool
    waiting: bool
    chosen: bool


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
            )
        )
    sign = -sign_of(any(session.maximize for session in sessions))
    values = sorted(sign * place.best.value for place in places if place.best and place.best.value is not None)
    ranked = [replace(place, rank=_rank(place, sign, values)) for place in places]
    return sorted(ranked, key=lambda place: (place.rank is None, place.rank or 0))


def _rank(place: BoardPlace, sign: float, values: Sequence[float]) -> int | None:
    value = place.best.value if place.best else None
    return None if value is None else 1 + values.index(sign * value)
