"""What a command does with an error that nobody foresaw: one line on the screen, and a file that says all of it."""

import os
import platform
import re
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

from evenhand import __version__, settings
from evenhand.errors import FULL_DISK, EvenhandError

PASSWORD_PATTERN = re.compile(r"(?<=://)[^\s/@]*:[^\s/@]*(?=@)")  # with its user's name, in an address
MOST_LOG_BYTES = 256 << 10  # of one error's file: its beginning and its end
MOST_LOGS = 50  # files of errors that are kept; the oldest go first
LOG_PATTERN = "error-*.log"
ISSUES = "the project's list of issues (SECURITY.md, where it is about security)"


def sentence(error: Exception, arguments: list[str]) -> str:
    """What is said of an error in one line. Of one that nobody foresaw, a file in the data directory keeps the rest.

    arguments: the command's; only names of options are kept, since values may be secret. The error's own text may hold values
    still; passwords in addresses are taken out of it.
    """
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return f"the disk is full{_place(error)}: nothing that was recorded before is lost; make room and try again"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename!r}: {error.strerror}; expected a file or folder that is there and that you may use"
    what = one_line(PASSWORD_PATTERN.sub("***", f"{type(error).__name__}: {error}"))
    try:
        path = _write(error, arguments)
    except (OSError, EvenhandError) as failure:
        return f"unexpected: {what}. Its details could not be written ({one_line(str(failure))}); please tell {ISSUES}"
    return f"unexpected: {what}. Please send {path} to {ISSUES}; look first whether it holds what you would not publish"


def one_line(text: str, most_letters: int = 300) -> str:
    """A text in one line, shortened."""
    joined = " ".join(text.split())
    return joined if len(joined) <= most_letters else f"{joined[:most_letters]}..."


def _place(error: OSError) -> str:
    return f" ({error.filename})" if error.filename is not None else ""


def _write(error: Exception, arguments: list[str]) -> Path:
    folder = settings.data_dir() / "logs"
    folder.mkdir(mode=0o700, exist_ok=True)
    now = datetime.now(UTC)
    path = folder / f"error-{now:%Y%m%dT%H%M%S.%fZ}.log"
    options = " ".join(word.partition("=")[0] for word in arguments if word.startswith("--"))
    lines = [
        f"Evenhand {__version__}, Python {platform.python_version()}, {platform.platform()}, {now.isoformat()}",
        f"Options: {options or 'none'}",
        PASSWORD_PATTERN.sub("***", "".join(traceback.format_exception(error))),
    ]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(_shortened("\n".join(lines).encode(errors="backslashreplace")))
    for old in sorted(folder.glob(LOG_PATTERN))[:-MOST_LOGS]:  # their names are their times
        old.unlink(missing_ok=True)
    return path


def _shortened(content: bytes) -> bytes:
    """The beginning and the end of what is too long, and how much is missing between them."""
    if len(content) <= MOST_LOG_BYTES:
        return content
    half = MOST_LOG_BYTES // 2
    return content[:half] + f"\n... {len(content) - 2 * half} bytes are left out ...\n".encode() + content[-half:]


def make_printable() -> None:
    """Let what no terminal can show be printed as its code, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
