"""The files of a trial on this machine: those of its folder (`run.folder`), and what it kept under names (`run.keep`)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evenhand.errors import NotFound
from evenhand.model.job import kept_place_of, place_of
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.settings import trials_dir

MOST_FILES = 500  # that are listed of one trial


@dataclass(frozen=True, slots=True)
class TrialFile:
    """One file.

    Attributes:
        name: its path within the trial's folder, with slashes; of what was kept under a name, behind "kept/".
        path: where it lies.
        size_bytes: how large it is.
    """

    name: str
    path: Path
    size_bytes: int


def files_of(session: Session, trial: Trial) -> tuple[TrialFile, ...]:
    """The files of a trial on this machine, in order; links, and what lies behind one, are none of them.

    Args:
        session: the trial's.
        trial: the trial.

    Returns:
        At most `MOST_FILES`; none where its folder is on another machine, or was deleted.
    """
    files: list[TrialFile] = []
    for file in _all(session, trial):
        files.append(file)
        if len(files) == MOST_FILES:
            break
    return tuple(files)


def file_called(session: Session, trial: Trial, name: str) -> TrialFile:
    """The file of this name, as `files_of` lists it; NotFound where there is none."""
    file = next((file for file in _all(session, trial) if file.name == name), None)
    if file is None:
        raise NotFound(f"trial {trial.number} of session {session.id} has no file {name!r} on this machine")
    return file


def _all(session: Session, trial: Trial) -> Iterator[TrialFile]:
    place = place_of(session, trial.number, trial.attempt)
    for before, folder in (("", place), ("kept/", kept_place_of(place))):
        root = trials_dir().resolve() / folder
        if not root.is_dir() or root.resolve() != root:
            continue
        for parent, folders, names in os.walk(root):
            folders.sort()
            for name in sorted(names):
                path = Path(parent) / name
                if path.is_file() and not path.is_symlink():
                    yield TrialFile(f"{before}{path.relative_to(root).as_posix()}", path, path.stat().st_size)
