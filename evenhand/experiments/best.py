"""The best trial of a session, as a program of one's own holds it: the trial, and where its folder is."""

from dataclasses import dataclass, fields
from pathlib import Path

from evenhand.model import rules
from evenhand.model.job import place_of
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.settings import trials_dir


@dataclass(frozen=True, slots=True, eq=False)
class BestTrial(Trial):
    """A session's best trial; it equals the trial itself.

    Attributes:
        folder: its folder (`run.folder`); None where it is not on this machine.
    """

    folder: Path | None = None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Trial):
            return NotImplemented
        return all(getattr(self, of_trial.name) == getattr(other, of_trial.name) for of_trial in fields(Trial))

    __hash__ = Trial.__hash__


def best_of(session: Session) -> BestTrial | None:
    """The trial with the best value on validation; None where no trial has one."""
    trial = rules.best_trial(session)
    if trial is None:
        return None
    folder = trials_dir() / place_of(session, trial.number, trial.attempt)
    facts = {of_trial.name: getattr(trial, of_trial.name) for of_trial in fields(trial)}
    return BestTrial(**facts, folder=folder if folder.is_dir() else None)
