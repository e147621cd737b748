"""Files that people name, read in bounds: a device has no end, and what a zip unpacks to is as large as its maker likes."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from evenhand.errors import DataError

MOST_UNPACKED_BYTES = 1 << 30  # of one file: beyond it, it is to be unpacked by hand, so that nobody's memory fills by surprise
MOST_DOCUMENT_BYTES = 1 << 26  # of one that is read as a whole document
BLOCK_BYTES = 1 << 20
MOST_LINE_BYTES = 1 << 26  # of one line, of a file that is read in lines
# What zipfile and what it unpacks with raise for a file that is damaged, encrypted, or no zip at all.
BROKEN_ZIP = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(ValueError, OverflowError, RuntimeError, NotImplementedError),
)


def check_file(path: Path) -> Path:
    """The path of a file or a pipe, or of what is not there, as it is; DataError for a device, a socket and a folder."""
    if path.is_dir():
        raise DataError(f"{path}: is a folder, expected a file; name the file in it")
    if path.is_char_device() or path.is_block_device() or path.is_socket():
        raise DataError(f"{path}: is a device or a socket, expected a file; name another one")
    return path


class Source(Protocol):
    """What bytes can be read from."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; nothing at its end."""


class TooLarge(DataError):
    """A file that unpacks to more than is read of one."""


def content_of(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    """A file of a zip.

    Args:
        archive: the zip.
        name: of the file in it.
        most_bytes: that it may have.

    Returns:
        Its content.

    Raises:
        TooLarge: it has more bytes.
        KeyError: there is none of this name.
    """
    with archive.open(name) as source:
        return bounded(source, name, most_bytes)


def bounded(source: Source, name: str, most_bytes: int) -> bytes:
    """All that a stream holds; TooLarge, naming it, where that is more than `most_bytes`."""
    content = bytearray()
    while block := source.read(BLOCK_BYTES):
        content += block
        if len(content) > most_bytes:
            raise TooLarge(f"{name} unpacks to more than {most_bytes >> 20} MB; unpack it, and give the file itself")
    return bytes(content)


def bounded_lines(source: IO[bytes], name: str) -> Iterator[bytes]:
    """The lines of a stream; TooLarge, naming it, for a line of more than `MOST_LINE_BYTES`."""
    while line := source.readline(MOST_LINE_BYTES):
        if len(line) == MOST_LINE_BYTES and not line.endswith(b"\n"):
            raise TooLarge(f"{name} has a line of more than {MOST_LINE_BYTES >> 20} MB; bring a whole copy of it")
        yield line
