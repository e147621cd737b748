"""The code of a task as it travels to agents: its files by their checksums, what they need beside them, and what may travel.

This is the list alone. `tasks.transport` makes it and follows it, on either side; nothing else sends code anywhere, and nothing
is ever unpickled.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from evenhand.errors import CodeRefused

SHOWN_DIGITS = 12  # of a checksum
SUFFIX = ".py"  # of all files that travel
MOST_FILES = 500
MOST_FILE_BYTES = 1 << 20
MOST_BYTES = 4 << 20  # of all files together
LONGEST_PLACE = 200  # characters
LONGEST_TEXT = 1000  # characters
CHECKSUM = re.compile("[0-9a-f]{64}")
MOST_LIST_BYTES = 4 << 20  # of the list as it is sent
FORBIDDEN = frozenset('\\:*?"<>|')  # characters that mean something else in a path of some system


@dataclass(frozen=True, slots=True)
class SentFile:
    """One file. place: its path from the code's folder, with /. checksum: SHA-256 (hex) of its content. size: in bytes."""

    place: str
    checksum: str
    size: int


@dataclass(frozen=True, slots=True)
class NamedData:
    """A data file that the task names, and that does not travel.

    place: its path from the code's folder, where the task looks for it; "" where it names the whole path. path: at the
    laboratory. checksum: SHA-256 (hex) of its content.
    """

    place: str
    path: str
    checksum: str


@dataclass(frozen=True, slots=True)
class SentCode:
    """A task's code. main: the place of the file that has the task. attribute: what the task is called in it.

    packages: modules that the files import and that do not travel, without Python's own and Evenhand.
    """

    main: str
    attribute: str
    files: tuple[SentFile, ...]
    data: tuple[NamedData, ...] = ()
    packages: tuple[str, ...] = ()

    def check(self) -> None:
        """Nothing, or CodeRefused where it is no list of a task's files."""
        if why := next(self._wrong(), None):
            raise CodeRefused(f"the code that the laboratory sends is not taken: {why}")

    def _wrong(self) -> Iterator[str]:
        places = [file.place for file in self.files]
        for place in (*places, *(data.place for data in self.data if data.place)):
            if why := _why_no_place(place):
                yield f"{place!r} {why}"
        for file in self.files:
            if not file.place.endswith(SUFFIX):
                yield f"{file.place!r} is no Python file, expected names that end in {SUFFIX}"
            if not 0 <= file.size <= MOST_FILE_BYTES:
                yield f"{file.place!r} has {file.size} bytes, expected at most {MOST_FILE_BYTES}"
        taken = [*places, *(data.place for data in self.data if data.place)]
        folders = {str(folder).lower() for place in taken for folder in PurePosixPath(place).parents}
        if len({place.lower() for place in taken}) < len(taken) or folders & {place.lower() for place in taken}:
            yield "two of its files have the same place"
        for checksum in (*(file.checksum for file in self.files), *(data.checksum for data in self.data)):
            if not CHECKSUM.fullmatch(checksum):
                yield f"{checksum!r} is no checksum"
        for text in (*self.packages, *(data.path for data in self.data)):
            if not text.isprintable() or len(text) > LONGEST_TEXT:  # it is shown in a terminal
                yield f"{text[:LONGEST_TEXT]!r} is no name of a package or a data file"
        if not 0 < len(places) <= MOST_FILES or max(len(self.data), len(self.packages)) > MOST_FILES:
            yield f"it has {len(places)} files, expected 1 to {MOST_FILES}"
        if sum(file.size for file in self.files) > MOST_BYTES:
            yield f"it has {sum(file.size for file in self.files)} bytes in all, expected at most {MOST_BYTES}"
        if self.main not in places or not self.attribute.isidentifier():
            yield f"its task {self.attribute!r} in {self.main!r} is in none of its files"

    def lines(self) -> list[str]:
        """What a person is shown before any of it runs, a line each."""
        files = [f"  {file.place}  {file.size} bytes, sha256 {file.checksum[:SHOWN_DIGITS]}" for file in self.files]
        named = [f"  {data.place or data.path}  sha256 {data.checksum[:SHOWN_DIGITS]}" for data in self.data]
        return [
            f"task {self.attribute} of {self.main}",
            "files:",
            *files,
            *(["data, which must be here:", *named] if named else []),
        ]


def _why_no_place(place: str) -> str | None:
    """Why a path may be none within a folder of the agent's own; None where it may."""
    parts = place.split("/")
    if len(place) > LONGEST_PLACE or not place.isprintable() or FORBIDDEN & {*place}:
        return "is no plain path"
    if any(part in ("", ".", "..") or part.startswith((".", "~")) or part != part.strip() for part in parts):
        return "does not stay within its folder, or is hidden"
    return None
