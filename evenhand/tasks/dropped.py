"""Data that was dropped in the browser: kept in a folder that is named by what it holds, with the tasks that were written on it.

A table is kept as the file that it came in, pictures as a folder of CLASS/FILE. Nothing that is there is ever overwritten.
"""

import io
import os
import re
import secrets
import shutil
import unicodedata
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from evenhand.errors import DataError, NotFound
from evenhand.model.files import BLOCK_BYTES, BROKEN_ZIP, MOST_UNPACKED_BYTES
from evenhand.model.words import text_of
from evenhand.settings import data_dir, private_folder
from evenhand.tasks import readers

TASK_NAME = "train"  # of the function in each task file
MOST_TASKS = 100  # that are made of the same data
MOST_FILES = 20_000  # of a folder of pictures
LONGEST_PART = 100  # characters of a file's or a folder's name
ID_DIGITS = 20  # of the SHA-256 that names a folder
ID_PATTERN = re.compile(rf"[0-9a-f]{{{ID_DIGITS}}}")
WORKBOOK_PART = "[Content_Types].xml"
ZIP_MARK = b"PK\x03\x04"
_ODD = re.compile(r"[^\w .()+,=@-]")


@dataclass(frozen=True)
class DroppedData:
    """What was dropped. folder: its own. source: the table's file, or the folder of the pictures."""

    id: str
    folder: Path
    source: Path

    @property
    def name(self) -> str:
        """What it was called where it came from."""
        return self.source.name

    @property
    def is_table(self) -> bool:
        """Whether it is a table, and no folder of pictures."""
        return self.source.is_file()

    def tasks(self) -> list[Path]:
        """The task files that were written on it."""
        return sorted(self.folder.glob("*.py"))

    def keep_task(self, name: str, text: str) -> Path:
        """The task file of this text: one that is there already, or a new one, of this name or of the first that is free."""
        for number in range(1, MOST_TASKS + 1):
            path = self.folder / (f"{name}.py" if number == 1 else f"{name}_{number}.py")
            if path.exists():
                if path.read_text(encoding="utf-8") == text:
                    return path
                continue
            _write(path, io.BytesIO(text.encode()))
            return path
        raise DataError(f"{self.name}: {MOST_TASKS} tasks were made of it already; remove some from {self.folder}")


def home() -> Path:
    """The folder of all that was dropped."""
    return data_dir() / "dropped"


def everything() -> list[DroppedData]:
    """All that was dropped, the newest first."""
    folders = [folder for folder in home().glob("*") if ID_PATTERN.fullmatch(folder.name) and _source_in(folder)]
    return [_data(folder) for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime, reverse=True)]


def get(data_id: str) -> DroppedData:
    """What was dropped, by its id; NotFound where there is no such."""
    folder = home() / data_id
    if not ID_PATTERN.fullmatch(data_id) or not _source_in(folder):
        raise NotFound(f"data {data_id[:ID_DIGITS]!r}: nothing of this name was dropped here")
    return _data(folder)


def keep_file(name: str, stream: IO[bytes]) -> DroppedData:
    """Keep a table, or the pictures of a zip archive.

    Raises:
        DataError: the archive is damaged, holds no picture and more than one table, or more than is unpacked.
    """
    shown = safe_part(PurePosixPath(name.replace("\\", "/")).name) or "data"
    with coming() as fresh:
        if _holds_pictures(shown, stream):
            stem = safe_part(PurePosixPath(shown).stem) or "pictures"
            _unpack(shown, stream, fresh / stem)
            return _kept(fresh, _pictures_in(fresh / stem))
        _write(fresh / shown, stream)
        return _kept(fresh, fresh / shown)


def keep_folder(files: Iterable[tuple[str, IO[bytes]]]) -> DroppedData:
    """Keep a folder of pictures, from each file's path in it and its content.

    Raises:
        DataError: a path leads out of the folder, there are too many files, or none.
    """
    with coming() as fresh:
        count = 0
        for name, stream in files:
            count += 1
            if count > MOST_FILES:
                raise DataError(f"the folder has more than {MOST_FILES:,} files; drop fewer, or a zip archive of them")
            _write(fresh / "pictures" / safe_path(name), stream)
        if not count:
            raise DataError("the folder has no file; drop a table, or a folder of pictures, a folder for each class")
        return _kept(fresh, _pictures_in(fresh / "pictures"))


def safe_path(name: str) -> PurePosixPath:
    """A path that somebody else named, as one below a folder of ours.

    Raises:
        DataError: it leads elsewhere, or names nothing.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if ".." in parts:
        raise DataError(f"the file {name[:LONGEST_PART]!r} would lie outside of its folder; drop the data without it")
    safe = [part for part in map(safe_part, parts) if part]
    if not safe:
        raise DataError(f"a file is called {name[:LONGEST_PART]!r}, which names nothing; rename it")
    return PurePosixPath(*safe)


def safe_part(name: str) -> str:
    """A name of a file or folder in letters that every system takes; a dot at its start stays off."""
    plain = _ODD.sub("_", unicodedata.normalize("NFC", name)).strip(" .")
    return plain if len(plain.encode()) <= LONGEST_PART else f"{plain[: LONGEST_PART // 4]}{Path(plain).suffix[:8]}"


@contextmanager
def coming() -> Iterator[Path]:
    """A new folder for what comes; what is left in it at the end is removed."""
    fresh = private_folder(home() / f"coming-{secrets.token_hex(8)}")
    try:
        yield fresh
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _kept(fresh: Path, source: Path) -> DroppedData:
    """What came, under the name of its content; where the same was dropped before, that one."""
    data_id = readers.sha256_of(source)[:ID_DIGITS]
    folder = home() / data_id
    place = fresh / "whole"
    (place / "data").mkdir(parents=True)
    source.rename(place / "data" / source.name)
    try:
        place.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    return _data(folder)


def _data(folder: Path) -> DroppedData:
    source = _source_in(folder)
    assert source is not None
    return DroppedData(folder.name, folder, source)


def _source_in(folder: Path) -> Path | None:
    """What lies in a folder of dropped data; None where somebody has taken it away."""
    return next((folder / "data").glob("*"), None)


def _write(path: Path, stream: IO[bytes], most_bytes: int | None = None) -> int:
    """Write a new file; how many bytes it has. DataError where they are more than `most_bytes`."""
    private_folder(path.parent)
    written = 0
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
            while block := stream.read(BLOCK_BYTES):
                written += len(block)
                if most_bytes is not None and written > most_bytes:
                    raise DataError(
                        f"{path.name}: the archive unpacks to more than {MOST_UNPACKED_BYTES >> 20} MB; drop fewer pictures"
                    )
                file.write(block)
    except FileExistsError:
        raise DataError(f"two of its files are called {path.name!r} once odd letters are taken out; rename one") from None
    return written


def _holds_pictures(name: str, stream: IO[bytes]) -> bool:
    """Whether it is a zip archive with a picture in it; the stream is at its start then and before."""
    is_zip = stream.read(len(ZIP_MARK)) == ZIP_MARK
    stream.seek(0)
    if not is_zip:
        return False
    try:
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
    except BROKEN_ZIP as error:
        raise DataError(f"{name}: cannot be read as a zip archive ({text_of(error)})") from error
    stream.seek(0)
    if WORKBOOK_PART in names:  # which may hold pictures, too
        return False
    return any(PurePosixPath(member).suffix.lower() in readers.SUFFIXES for member in names)


def _unpack(name: str, stream: IO[bytes], folder: Path) -> None:
    """The files of a zip of pictures, below a folder, within bounds of number and of size."""
    left = MOST_UNPACKED_BYTES
    try:
        with zipfile.ZipFile(stream) as archive:
            files = [(safe_path(member.filename), member) for member in archive.infolist() if not member.is_dir()]
            members = [(path, member) for path, member in files if not _is_aside(member.filename)]
            if len(members) > MOST_FILES:
                raise DataError(f"{name}: has {len(members):,} files, expected at most {MOST_FILES:,}")
            for path, member in members:
                with archive.open(member) as content:
                    left -= _write(folder / path, content, left)
    except BROKEN_ZIP as error:
        raise DataError(f"{name}: cannot be unpacked ({text_of(error)}); make the archive anew, without a password") from error


def _is_aside(name: str) -> bool:
    """Whether a file is one that programs keep beside the data."""
    return not readers.is_of_the_data(PurePosixPath(name.replace("\\", "/")))


def _pictures_in(folder: Path) -> Path:
    """The folder of classes: one that holds nothing but one folder of folders is gone through."""
    entries = list(folder.iterdir())
    if len(entries) == 1 and entries[0].is_dir() and any(entry.is_dir() for entry in entries[0].iterdir()):
        return _pictures_in(entries[0])
    return folder
