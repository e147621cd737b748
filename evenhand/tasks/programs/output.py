"""What a program printed: kept with its trial as a file of bounded size, its beginning and its end, and read in lines."""

import os
from collections import deque
from contextlib import suppress
from io import FileIO
from pathlib import Path

from evenhand.model.words import without_colours
from evenhand.settings import private_opener, trials_dir

FIRST_BYTES = 256 << 10  # kept from the beginning
LAST_BYTES = 256 << 10  # and from the end, as soon as there is more
TAIL_LINES = 20  # of what is shown of it in a few words
TAIL_LETTERS = 2000
MOST_LINE_BYTES = 1 << 20  # of one that is read; of a longer one the beginning is
OUTPUT, ERRORS = "output.txt", "errors.txt"  # within a trial's folder


class Output:
    """One stream of a program.

    Args:
        path: the file that it is kept in.
    """

    def __init__(self, path: Path) -> None:
        self._file = FileIO(path, "wb", opener=private_opener)
        self._written = 0
        self._rest: deque[bytes] = deque()  # what came after the first bytes, of about `LAST_BYTES`
        self._rest_bytes = self._left_out = 0
        self._line = b""  # one that has not ended

    def take(self, chunk: bytes) -> list[str]:
        """Keep what was read, and return the lines that ended within it. A carriage return ends one, too, as progress bars do."""
        self._keep(chunk)
        *lines, self._line = (self._line + chunk).replace(b"\r", b"\n").split(b"\n")
        self._line = self._line[:MOST_LINE_BYTES]
        return [_text(line) for line in lines]

    def last_line(self) -> list[str]:
        """The line that had not ended when the program did, if there is one."""
        line, self._line = self._line, b""
        return [_text(line)] if line else []

    def close(self) -> None:
        """Keep the last bytes: nothing more comes."""
        if self._left_out:
            self._file.write(f"\n[... {self._left_out:,} bytes are left out here ...]\n".encode())
        self._file.write(b"".join(self._rest))
        self._file.close()

    def _keep(self, chunk: bytes) -> None:
        first = chunk[: max(0, FIRST_BYTES - self._written)]
        self._file.write(first)
        self._written += len(first)
        if rest := chunk[len(first) :]:
            self._rest.append(rest)
            self._rest_bytes += len(rest)
        while self._rest_bytes - len(self._rest[0] if self._rest else b"") > LAST_BYTES:
            dropped = len(self._rest.popleft())
            self._rest_bytes -= dropped
            self._left_out += dropped


def tail(path: Path) -> str:
    """The last lines of what was kept; nothing where nothing was printed."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4 * TAIL_LETTERS))
            text = _text(file.read())
    except OSError:
        return ""
    lines = [line.rpartition("\r")[2] for line in text.rstrip().splitlines()]
    return "\n".join(lines[-TAIL_LINES:])[-TAIL_LETTERS:].strip()


def kept(place: str) -> dict[str, str]:
    """What a program printed in a training on this machine, by what it is called; nothing where nothing was kept.

    Args:
        place: what the trial's folder is called, as `model.job.place_of` says.
    """
    texts = {}
    for name, words in ((OUTPUT, "standard output"), (ERRORS, "standard error")):
        with suppress(OSError):
            texts[words] = _text((trials_dir() / place / name).read_bytes())
    return {words: text for words, text in texts.items() if text.strip()}


def tail_of(place: str) -> str:
    """The last lines of all that it printed in a training on this machine."""
    tails = (tail(trials_dir() / place / name) for name in (OUTPUT, ERRORS))
    return "\n".join(text for text in tails if text)


def _text(line: bytes) -> str:
    text = line.decode("utf-8", errors="replace").removeprefix("\ufeff").replace("\0", "\N{REPLACEMENT CHARACTER}")
    return without_colours(text)
