"""How a run went, trial by trial: its values and the best so far, thinned where there are more than a drawing can hold."""

from dataclasses import dataclass

from evenhand.model import rules
from evenhand.model.direction import best_so_far, value_of
from evenhand.model.session import Session

MOST_POINTS = 800  # that one drawing holds


@dataclass(frozen=True, slots=True)
class CoursePoint:
    """A trial's number, and a value there."""

    number: int
    value: float


@dataclass(frozen=True, slots=True)
class Course:
    """How a run went.

    Attributes:
        trials: the number of the last one.
        points: values of trials, in order; of many the lowest and the highest of each stretch.
        bests: each new best, and the best at the end.
        is_thinned: whether points were left out.
    """

    trials: int
    points: tuple[CoursePoint, ...]
    bests: tuple[CoursePoint, ...]
    is_thinned: bool


def course_of(session: Session, most: int = MOST_POINTS) -> Course:
    """How a run went, by the trials that have ended.

    Args:
        session: the run.
        most: points that a drawing holds.

    Returns:
        Its values and the best so far.
    """
    ended = [trial for trial in session.trials if not trial.is_open]
    values = [value_of(trial) for trial in ended]
    valued = [(trial.number, value) for trial, value in zip(ended, values, strict=True) if value is not None]
    kept = rules.thin(valued, most)
    bests: list[CoursePoint] = []
    for trial, best in zip(ended, best_so_far(values, session.maximize), strict=True):
        if best is not None and (not bests or best != bests[-1].value):
            bests.append(CoursePoint(trial.number, best))
    if bests and bests[-1].number != ended[-1].number:
        bests.append(CoursePoint(ended[-1].number, bests[-1].value))
    return Course(
        trials=ended[-1].number if ended else 0,
        points=tuple(CoursePoint(number, value) for number, value in valued if number in kept),
        bests=tuple(bests),
        is_thinned=len(kept) < len(valued),
    )
