"""Downloads that survive a broken connection: a `.part` file is continued, and gets its name only when it is whole."""

import fcntl
import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from evenhand.errors import DataError

Progress = Callable[[int, int | None], None]  # bytes (or images) done, and of how many where that is known
ATTEMPTS = 3  # connections tried in one call; each continues where the last one broke
TIMEOUT = httpx.Timeout(20.0)


@dataclass(frozen=True)
class Remote:
    """One file to download: its address, its MD5 (hex) as its publisher or a widely used loader lists it, its size in bytes."""

    url: str
    md5: str
    size: int

    @property
    def name(self) -> str:
        """The file's name, the last part of its address."""
        return self.url.rsplit("/", 1)[-1]


def part_of(target: Path) -> Path:
    """Where the unfinished download of `target` lies."""
    return target.with_name(target.name + ".part")


def md5_of(path: Path) -> str:
    """The MD5 of a file's content (hex): what the publishers of these archives list."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time beyond this point for the same path; the lock ends with the process, however it ends."""
    with path.with_name(path.name + ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def download(remote: Remote, target: Path, progress: Progress | None = None) -> None:
    """Bring `remote` to `target`, which afterwards is whole and has the right checksum, or is not there.

    Raises:
        DataError: the host does not answer, or what came has another checksum. In the first case what was received stays in
            the `.part` file for the next call; in the second it is removed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(target)
    with locked(target):
        if target.exists():
            return
        _receive(remote, part, progress or _silent)
        checksum = md5_of(part)
        if checksum != remote.md5:
            part.unlink()
            raise DataError(
                f"{remote.url}: the download has MD5 {checksum}, expected {remote.md5}; it was removed, nothing else changed. "
                "Fetch it again; if that repeats, the file at that address is another one"
            )
        part.replace(target)


def _silent(done: int, total: int | None) -> None:
    del done, total


def _receive(remote: Remote, part: Path, progress: Progress) -> None:
    trouble: Exception | None = None
    with httpx.Client(follow_redirects=True, timeout=TIMEOUT) as client:
        for _ in range(ATTEMPTS):
            try:
                if _continue(client, remote, part, progress):
                    return
                trouble = None
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                raise DataError(f"{remote.url}: the host answers {status}; download it yourself and give its path") from error
            except httpx.HTTPError as error:
                trouble = error
    kept = part.stat().st_size if part.exists() else 0
    reason = str(trouble) or type(trouble).__name__ if trouble else "the host ends the connection early"
    raise DataError(
        f"{remote.url}: cannot be downloaded ({reason}); {kept:,} bytes are kept and continued by the next try. "
        "Without a connection, bring the file by other means and give its path"
    ) from trouble


def _continue(client: httpx.Client, remote: Remote, part: Path, progress: Progress) -> bool:
    """One connection; True where the file is whole afterwards, as far as its length tells."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", remote.url, headers=headers) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
            return True  # nothing is left to send; the checksum decides whether it is the right file
        response.raise_for_status()
        resumed = response.status_code == httpx.codes.PARTIAL_CONTENT
        done = have if resumed else 0
        length = response.headers.get("Content-Length")
        total = done + int(length) if length else None
        with part.open("ab" if resumed else "wb") as out:
            progress(done, total)
            for block in response.iter_raw():  # as it comes: larger blocks would be lost where the connection breaks
                out.write(block)
                done += len(block)
                progress(done, total)
    return total is None or done >= total
