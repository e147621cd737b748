"""What a tuner may see of a session. Test scores are not part of a session, so what is left to hide is validation."""

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import Connection

from evenhand.model.session import Session
from evenhand.model.trial import LearningCurve, Measurement, Trial
from evenhand.model.trial_history import with_open
from evenhand.store import jobs


def session_as_shown(session: Session) -> Session:
    """Without the validation of open trials, where the study shows it only after training."""
    if session.live_validation:
        return session
    return replace(session, trials=with_open(session.trials, lambda trial: replace(trial, value=None, value_epoch=None)))


def curve_after(tx: Connection, session: Session, trial: Trial, after: tuple[int, int]) -> LearningCurve:
    """What a trial measured after the cursor (attempt, index); a newer attempt is given from its start."""
    start = after[1] if after[0] == trial.attempt else -1
    return curve_as_shown(session, trial, jobs.of_trials_attempt(tx, trial.id, trial.attempt, start))


def curve_as_shown(session: Session, trial: Trial, measurements: Sequence[Measurement]) -> LearningCurve:
    """Measurements as the session's tuner may see them: an open trial's without validation, where that is not shown live."""
    if trial.is_open and not session.live_validation:
        measurements = [replace(measurement, value=None, extra={}) for measurement in measurements]
    return LearningCurve(trial.number, trial.attempt, tuple(measurements))
