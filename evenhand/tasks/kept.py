"""What a training function keeps under names (`run.keep(thing, name)`), so that an interrupted training goes on from there.

Each name has an entry, a folder that is written whole beside the one before, and a file NAME.json that says which entry counts,
which is replaced in one step. So whenever a process ends, what was kept last is there.
"""

import json
import os
import pickle
import re
import shutil
from pathlib import Path
from typing import Any
from uuid import uuid4

from evenhand.errors import FULL_DISK, DataError, InvalidSettings
from evenhand.settings import private_folder, private_opener

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
MOST_BYTES = 4 << 30  # of all that one trial keeps
OBJECT = "object.pickle"


def save(folder: Path, name: str, thing: object) -> None:
    """Keep an object, or a copy of a file or folder, in place of what the name had.

    Args:
        folder: of all that the trial keeps.
        name: what it is called.
        thing: a `Path`, or an object that can be pickled.

    Raises:
        InvalidSettings: the name, a path that is not there, an object that cannot be pickled, or too much.
    """
    _check_name(name)
    if isinstance(thing, str) and os.path.exists(thing):
        raise InvalidSettings(
            f"run.keep: got the text {thing!r}, which names a file; expected Path({thing!r}), or another object"
        )
    entry = folder / f"{name}.{uuid4().hex}"
    try:
        private_folder(folder)
        entry.mkdir(mode=0o700)
    except OSError as error:
        if error.errno in FULL_DISK:
            raise
        raise InvalidSettings(
            f"run.keep: {folder}, where this trial keeps things, cannot be written to ({error.strerror}), so {name!r} was not "
            "kept; give its owner the right to write there, or name another place for all that Evenhand keeps: "
            "EVENHAND_DATA=FOLDER"
        ) from None
    try:
        held = _copied(thing, entry) if isinstance(thing, os.PathLike) else _pickled(name, thing, entry)
        others = [path for other in _names(folder) if other != name for path in _entries(folder, other)]
        if (size := sum(map(_size, [entry, *others]))) > MOST_BYTES:
            raise InvalidSettings(
                f"run.keep: with {name!r} the trial would keep {size / 1e9:.1f} GB, expected at most {MOST_BYTES / 1e9:.1f}"
            )
    except BaseException:
        shutil.rmtree(entry, ignore_errors=True)
        raise
    part = folder / f"{entry.name}.part"
    _write(part, json.dumps({"entry": entry.name, "held": held}).encode())
    part.replace(folder / f"{name}.json")
    for path in _entries(folder, name):
        if path.is_file():
            path.unlink()
        elif path != entry:
            shutil.rmtree(path, ignore_errors=True)


def load(folder: Path, name: str) -> Any | None:
    """What was kept last under a name: the object, or the path of the copy; None where there is nothing.

    Args:
        folder: of all that the trial keeps.
        name: what it is called.

    Raises:
        InvalidSettings: it is no name.
        DataError: it is there and cannot be read.
    """
    _check_name(name)
    try:
        said = json.loads((folder / f"{name}.json").read_bytes())
        path = folder / said["entry"] / said["held"]
        if said["held"] != OBJECT:
            return path if path.exists() else None
        return pickle.loads(path.read_bytes())  # of our own user's folder: whoever could write there could do anything else, too
    except FileNotFoundError:
        return None
    except Exception as error:  # of whatever kind: unpickling runs the code of what was kept
        raise DataError(f"run.restore: what was kept as {name!r} in {folder} cannot be read: {error}") from error


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise InvalidSettings(f"run.keep: the name is {name!r}, expected up to 100 letters, digits, and _ . -")


def _copied(path: "os.PathLike[str]", entry: Path) -> str:
    """Copy a file or folder, links in it as links; its name."""
    source = Path(path).absolute()
    if not source.exists():
        raise InvalidSettings(f"run.keep: there is no file or folder {source}")
    if source.is_dir():
        if entry.resolve().is_relative_to(source.resolve()):
            raise InvalidSettings(
                f"run.keep: {source} holds the folder that it would be copied to; expected one within run.folder"
            )
        shutil.copytree(source, entry / source.name, symlinks=True)
    else:
        with source.open("rb") as whole, open(entry / source.name, "wb", opener=private_opener) as copy:
            shutil.copyfileobj(whole, copy)
    return source.name


def _pickled(name: str, thing: object, entry: Path) -> str:
    try:
        with open(entry / OBJECT, "wb", opener=private_opener) as file:
            pickle.dump(thing, file, pickle.HIGHEST_PROTOCOL)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        raise
    except Exception as error:  # of whatever kind: pickling runs the object's own code
        raise InvalidSettings(f"run.keep: {name!r} is a {type(thing).__name__} that cannot be pickled: {error}") from error
    return OBJECT


def _write(path: Path, content: bytes) -> None:
    with open(path, "wb", opener=private_opener) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _names(folder: Path) -> list[str]:
    return [path.name.removesuffix(".json") for path in folder.glob("*.json")]


def _entries(folder: Path, name: str) -> list[Path]:
    """The entries of a name: the one that counts, and what a process that was killed has left."""
    entry = re.compile(rf"{re.escape(name)}\.[0-9a-f]{{32}}(\.part)?")
    return [path for path in folder.iterdir() if entry.fullmatch(path.name)]


def _size(path: Path) -> int:
    inside = path.rglob("*") if path.is_dir() else [path]
    return sum(file.lstat().st_size for file in inside if file.is_file() and not file.is_symlink())
