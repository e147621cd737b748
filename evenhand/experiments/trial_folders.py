"""Which trials' folders stay: all, none, or those of the best few. What is kept is derived from the session each time."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Literal

from evenhand.errors import InvalidSettings
from evenhand.lab.lab import Lab
from evenhand.model import numbers
from evenhand.model.direction import best_first
from evenhand.model.job import kept_place_of, place_of
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.settings import trials_dir

Keep = int | Literal["all", "none"]


def checked_keep(keep: object) -> Keep:
    """A rule as it was given.

    Args:
        keep: "all", "none", or how many.

    Returns:
        The same.

    Raises:
        InvalidSettings: it is none of these.
    """
    if keep == "all" or keep == "none":
        return keep
    if isinstance(keep, str):
        raise InvalidSettings(f"keep_folders is {keep!r}, expected 'all', 'none', or of how many of the best trials")
    return numbers.whole("keep_folders", keep)


class TrialFolders:
    """The folders of a session's trials on this machine, of which those that the rule does not keep are deleted."""

    def __init__(self, lab: Lab, session_id: int, keep: Keep, resumes: bool) -> None:
        """resumes: whether the method goes on with trials that have ended, which all stay until the choice."""
        self._lab, self._session_id = lab, session_id
        self._keep = keep
        self._resumes = resumes
        self._deleted: set[int] = set()

    def tidy(self) -> None:
        """Delete the folders of trials that have ended and that the rule does not keep."""
        if self._keep == "all":
            return
        session = self._lab.sessions.get(self._session_id)
        if self._resumes and session.choice is None:
            return
        for trial in fallen(session, self._keep):
            if trial.number not in self._deleted:
                self._deleted.add(trial.number)
                delete(session, trial)


def fallen(session: Session, keep: int | Literal["none"]) -> Iterator[Trial]:
    """The trials whose folders the rule does not keep.

    Args:
        session: as it stands.
        keep: of how many of the best they stay, or "none".

    Returns:
        Trials that have ended. One that an open trial goes on with is never among them, nor, but for "none", the chosen one.
    """
    stay = {trial.resumes for trial in session.trials if trial.is_open}
    if keep != "none":
        stay |= {trial.number for trial in best_first(session.trials, session.maximize)[:keep]}
        stay |= set() if session.chosen_trial is None else {session.chosen_trial.number}
    return (trial for trial in session.trials if not trial.is_open and trial.number not in stay)


def delete(session: Session, trial: Trial) -> None:
    """Delete the folders of a trial's attempts and of what it kept; what is a link, or lies behind one, stays.

    Args:
        session: the trial's.
        trial: one that has ended.
    """
    root, last = trials_dir().resolve(), place_of(session, trial.number, trial.attempt)
    places = [place_of(session, trial.number, attempt) for attempt in range(1, trial.attempt + 1)]
    for place in (*places, kept_place_of(last)):
        folder = root / place
        if folder.is_dir() and folder.resolve() == folder:
            shutil.rmtree(folder, ignore_errors=True)  # it removes links within as links
    with suppress(OSError):  # others are in it still
        Path(root / last).parent.rmdir()
