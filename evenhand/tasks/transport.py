"""How a task's code travels to agents: its files as they are, by their checksums, into a new folder of the agent's own.

The one way that code takes. What it is made of is `model.sent_code`; who may have it run is the agent's to say
(`runners.sent_tasks`). Data does not travel: it is found by its path or name, and told by its checksum.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evenhand.errors import CodeRefused, InvalidSettings
from evenhand.model import siblings
from evenhand.model.sent_code import SHOWN_DIGITS, SUFFIX, NamedData, SentCode, SentFile
from evenhand.model.task import TaskSpec
from evenhand.tasks.base import Task


@dataclass(frozen=True)
class Packed:
    """A task's code, ready to be sent. contents: of its files, by checksum."""

    code: SentCode
    contents: Mapping[str, bytes]


def packed(task: Task) -> Packed | None:
    """A task's code; None where it is in no file of its own, so that agents have it by its name.

    Raises:
        InvalidSettings: a file that it imports, or data that it names, could not be found on another machine.
        CodeRefused: it is more than may be sent.
    """
    place, _, attribute = task.name.rpartition(":")
    path = Path(place)
    if path.suffix != SUFFIX or not path.is_file():
        return None
    root, followed = path.resolve().parent, siblings.follow(path)
    if above := [place for place in followed.files if place.startswith("..")]:
        raise InvalidSettings(
            f"task {task.name!r} imports {', '.join(above)}, which lie outside the folder of its file, so that they would not be "
            "found on another machine; serve a file that lies beside or above all that it imports"
        )
    files = tuple(SentFile(place, _checksum(content), len(content)) for place, content in followed.files.items())
    tops = {name.partition(".")[0] for name in followed.elsewhere}
    packages = tuple(sorted(tops - {siblings.OUR_PACKAGE, *sys.stdlib_module_names} - {""}))
    data = tuple(_named(file, root) for file in task.files)
    code = SentCode(files[0].place, attribute, files, data, packages)
    code.check()
    return Packed(code, {_checksum(content): content for content in followed.files.values()})


def _named(file: Path, root: Path) -> NamedData:
    path = Path(os.path.normpath(file.absolute()))
    if path.is_relative_to(root):
        return NamedData(path.relative_to(root).as_posix(), str(path), _of_file(path))
    if ".." in file.parts:
        raise InvalidSettings(
            f"task: files names {file}, which lies outside the folder of its code, so that an agent on another machine cannot "
            "have it there; move it into that folder, or name it by its whole path"
        )
    return NamedData("", str(path), _of_file(path))


def unpacked(code: SentCode, fetch: Callable[[str], bytes], folder: Path, data_folder: Path) -> TaskSpec:
    """Have a task's code in a folder, as the list says and not otherwise; what loads the task there.

    Args:
        code: as the laboratory sent it.
        fetch: gives the content of a checksum.
        folder: an empty one, that nobody else writes in.
        data_folder: where data that is not at its path is looked for by its name.

    Raises:
        CodeRefused: the list, or a file, is not what it should be, or data is not here; nothing was written then.
    """
    code.check()
    links = [(data.place, _found(data, data_folder)) for data in code.data]
    contents = [(file.place, _fetched(file, fetch)) for file in code.files]
    for place, content in contents:
        _write(folder / place, content)
    for place, path in links:
        if place:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).symlink_to(path)
    return TaskSpec(f"{folder / code.main}:{code.attribute}")


def _fetched(file: SentFile, fetch: Callable[[str], bytes]) -> bytes:
    content = fetch(file.checksum)
    if len(content) != file.size or _checksum(content) != file.checksum:
        raise CodeRefused(
            f"the code that the laboratory sends is not taken: {file.place!r} came with {len(content)} bytes, sha256 "
            f"{_checksum(content)[:SHOWN_DIGITS]}, expected {file.size} bytes, sha256 {file.checksum[:SHOWN_DIGITS]}"
        )
    return content


def _write(path: Path, content: bytes) -> None:
    """A new file: one that is there already, or a link, is never written to."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(content)


def _found(data: NamedData, folder: Path) -> Path:
    """Where data is on this machine: at its path, or by its name in the folder; told by its content."""
    tried = [Path(data.path), *([folder / data.place, folder / Path(data.place).name] if data.place else [])]
    there = [path for path in dict.fromkeys(tried) if path.is_file()]
    for path in there:
        if _of_file(path) == data.checksum:
            return path.absolute()
    what = f"data {data.place or data.path!s} (sha256 {data.checksum[:SHOWN_DIGITS]})"
    if there:
        raise CodeRefused(f"{what} is here with another content: {there[0]} has sha256 {_of_file(there[0])[:SHOWN_DIGITS]}")
    raise CodeRefused(f"{what} is not here; looked for {', '.join(map(str, dict.fromkeys(tried)))}")


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise CodeRefused(f"data {path} cannot be read ({error.strerror})") from error
