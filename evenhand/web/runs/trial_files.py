"""The files of a trial's folder on this machine: which there are, and one of them, never anything beside them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evenhand.errors import NotFound, Refused
from evenhand.model.job import place_of
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.settings import trials_dir

MOST_LISTED = 200  # files of one folder
MOST_DEPTH = 8  # folders within folders that are looked into


@dataclass(frozen=True)
class TrialFile:
    """A file of a trial's folder. name: its path within it, with slashes."""

    name: str
    bytes: int


@dataclass(frozen=True)
class TrialFolder:
    """A trial's folder. path: where it lies, None where it is not on this machine. more: whether it has more than are listed."""

    path: Path | None
    files: tuple[TrialFile, ...] = ()
    more: bool = False


def folder_of(session: Session, trial: Trial) -> TrialFolder:
    """What lies in the folder of the attempt at a trial that counts; links are not followed."""
    path = _root(session, trial)
    if path is None:
        return TrialFolder(None)
    listed: list[TrialFile] = []
    for name in _names(path, 0):
        if len(listed) == MOST_LISTED:
            return TrialFolder(path, tuple(listed), more=True)
        listed.append(TrialFile(name, (path / name).lstat().st_size))
    return TrialFolder(path, tuple(listed))


def file_of(session: Session, trial: Trial, name: str, most_bytes: int) -> Path:
    """A file of the folder, by its path within it.

    NotFound: that is none, or leads out of the folder. Refused: it is larger than `most_bytes`.
    """
    path = _inside(_root(session, trial), name)
    if path is None:
        raise NotFound(f"trial {trial.number} of session {session.id} keeps no file {name[:200]!r} on this machine")
    if (size := path.stat().st_size) > most_bytes:
        raise Refused(f"{path} has {size:,} bytes, and at most {most_bytes:,} are sent; copy it on the machine that serves")
    return path


def _inside(root: Path | None, name: str) -> Path | None:
    """A regular file below a folder, reached without a link; None where there is none of this name."""
    if root is None:
        return None
    try:
        path = root / name
        return path if path.is_file() and path.resolve() == path and path.is_relative_to(root) else None
    except (OSError, ValueError):  # too long a name, or one with a zero
        return None


def _root(session: Session, trial: Trial) -> Path | None:
    """The folder, where it is there and no link."""
    path = trials_dir().resolve() / place_of(session, trial.number, trial.attempt)
    return path if path.is_dir() and path.resolve() == path else None


def _names(folder: Path, depth: int, before: str = "") -> Iterator[str]:
    """The regular files within, in order, those of a folder before those of the folders in it."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: (entry.is_dir(follow_symlinks=False), entry.name))
    for entry in ordered:
        if entry.is_file(follow_symlinks=False):
            yield before + entry.name
        elif entry.is_dir(follow_symlinks=False) and depth < MOST_DEPTH:
            yield from _names(Path(entry.path), depth + 1, f"{before}{entry.name}/")
