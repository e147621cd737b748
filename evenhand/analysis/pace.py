"""How quickly a run goes now, and how long it may still take."""

from dataclasses import dataclass

from evenhand.model import rules
from evenhand.model.session import Session
from evenhand.model.trial_history import unsettled

RECENT_TRIALS = 20  # that have ended, by which the pace is told


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly a run goes.

    Attributes:
        trials_per_minute: of the trials that ended last; None before two have.
        seconds_left: until its budget is spent, if it goes on so; None where that cannot be said.
    """

    trials_per_minute: float | None
    seconds_left: float | None


def pace_of(session: Session, now: float) -> Pace:
    """How quickly a run goes at a moment, and how long it may still take.

    Args:
        session: the run.
        now: the time, in seconds since 1970.

    Returns:
        Both, as far as they can be told.
    """
    first_open = len(session.trials) - len(unsettled(session.trials))
    tail = session.trials[max(0, first_open - RECENT_TRIALS) :]
    ended = sorted((trial for trial in tail if trial.finished_at is not None), key=lambda trial: trial.finished_at or 0.0)
    ended = ended[-RECENT_TRIALS:]
    span = (ended[-1].finished_at or 0.0) - (ended[0].finished_at or 0.0) if ended else 0.0
    if session.choice is not None:
        return Pace(None, None)
    left = [] if (seconds := rules.seconds_left(session, now)) is None else [seconds]
    if span <= 0:
        return Pace(None, min(left, default=None))
    later = ended[1:]
    if (trials := rules.trials_left(session)) is not None:
        left.append(trials * span / len(later))
    epochs = sum(trial.epochs_begun for trial in later)
    if (epochs_left := rules.epochs_left(session)) is not None and epochs:
        left.append(epochs_left * span / epochs)
    return Pace(60 * len(later) / span, min(left, default=None))
