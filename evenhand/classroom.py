"""A class that tunes together: its study, its board by validation alone, and whether the slots can serve it."""

import math
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace

from evenhand import protocol
from evenhand.declaration import Budget, Study, Text
from evenhand.lab import Lab
from evenhand.records import Batch, Participant, Session, TaskRecord, Trial

LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # without those that look alike on a projector
CODE = 6  # letters of a join code: 887 million codes, for a lesson, on the room's network
ENOUGH = 5  # trials that each student should get, at least
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
        return self.trials >= ENOUGH

    @property
    def slots_needed(self) -> int:
        """How many slots would serve the class."""
        return math.ceil(self.students * self.seconds * ENOUGH / (60 * self.minutes))


def capacity(students: int, slots: int, epoch_seconds: float, epochs: int, minutes: float) -> Capacity:
    """What a class of `students` gets of `slots` trainings at once, when everyone always trains `epochs` epochs.

    With S students on s slots, a trial of t seconds waits (S - s) t / s seconds at the most, and each student gets
    60 m s / (S t) trials in m minutes, but not more than 60 m / t.
    """
    seconds = max(epoch_seconds * epochs, 0.001)
    served = min(slots, students) / max(students, 1)
    waiting = max(0.0, students - slots) * seconds / max(slots, 1)
    return Capacity(students, slots, seconds, minutes, waiting, 60 * minutes * served / seconds)


def advice(found: Capacity, epochs: int, size: int | None = None) -> list[str]:
    """What would serve the class better, in words, the cheapest first; nothing where it is served.

    size: of the images in pixels, where the task has them: the time of an epoch grows with its square.
    """
    if found.serves:
        return []
    missing = ENOUGH / found.trials if found.trials else math.inf
    ways = []
    fewer = math.floor(epochs / missing)
    if fewer >= 1:
        ways.append(f"at most {fewer} {'epoch' if fewer == 1 else 'epochs'} a trial instead of {epochs} (--epochs {fewer})")
    if size is not None and (smaller := math.floor(size / math.sqrt(missing))) >= 17:
        ways.append(f"images of {smaller} pixels instead of {size} (--size {smaller})")
    needed = found.slots_needed
    ways.append(
        f"{needed} training slots instead of {found.slots}: `evenhand add-agent NAME`, then `evenhand agent` on other machines"
    )
    longer = math.ceil(found.minutes * missing)
    if longer <= 240:
        ways.append(f"{longer} minutes instead of {found.minutes:g}")
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
    )


def open_class(lab: Lab, study: Study, students: int) -> tuple[Batch, str]:
    """The class's one invitation, and its code, which the room reads from the wall. Twice as many may join as are expected."""
    code = "".join(secrets.choice(LETTERS) for _ in range(CODE))
    batch, _ = lab.invite(study.id, "class", cap=2 * students, token=code)
    return batch, code


def plain_code(text: str) -> str:
    """A code as it is stored: capitals, without spaces and dashes."""
    return "".join(letter for letter in text.upper() if letter.isalnum())


def nickname(text: str) -> str | None:
    """A nickname in one line without what cannot be seen; None where nothing is left."""
    plain = " ".join("".join(letter for letter in text if letter.isprintable()).split())[:LONGEST_NAME].strip()
    return plain or None


@dataclass(frozen=True)
class Place:
    """One student on the board. rank: None without a value; equal values share one."""

    rank: int | None
    name: str
    best: Trial | None
    trials: int
    training: bool
    waiting: bool
    chosen: bool


def board(people: Sequence[Participant], sessions: Sequence[Session]) -> list[Place]:
    """Who is ahead by validation, the best first; those without a value come last, as they joined. No test score here."""
    theirs = {session.participant_id: session for session in sessions if not session.practice}
    found = []
    for person in people:
        session = theirs.get(person.id)
        if person.withdrawn_at is not None:
            continue
        opened = next((trial for trial in session.trials if trial.is_open), None) if session else None
        found.append(
            Place(
                rank=None,
                name=person.nickname or person.pseudonym,
                best=protocol.best_trial(session) if session else None,
                trials=protocol.trials_used(session) if session else 0,
                training=opened is not None and opened.claimed_at is not None,
                waiting=opened is not None and opened.claimed_at is None,
                chosen=session is not None and session.choice is not None,
            )
        )
    sign = -1.0 if any(session.maximize for session in sessions) else 1.0
    values = sorted(sign * each.best.value for each in found if each.best and each.best.value is not None)
    ranked = [replace(each, rank=_rank(each, sign, values)) for each in found]
    return sorted(ranked, key=lambda each: (each.rank is None, each.rank or 0))


def _rank(place: Place, sign: float, values: Sequence[float]) -> int | None:
    value = place.best.value if place.best else None
    return None if value is None else 1 + values.index(sign * value)
