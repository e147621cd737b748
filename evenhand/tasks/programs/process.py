"""A program while it runs: started behind a guard, its output read as it comes, and ended with all that it started."""

import os
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

from evenhand.tasks.gate import Around
from evenhand.tasks.programs import guard
from evenhand.tasks.programs.output import Output

TICK_SECONDS = 0.2  # seconds between two looks whether it is to stop
CHUNK_BYTES = 1 << 16
OVER_SECONDS = 10.0  # seconds beyond the grace for which its guard is waited for


class NotStarted(Exception):
    """The program could not be started; the text says why."""


def run(
    arguments: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    *,
    grace: float,
    outputs: tuple[Output, Output],
    take: Callable[[str, bool], None],
    alive: Callable[[], None],
    ends: Callable[[], None],
    while_held: Callable[[Around], None],
) -> int | None:
    """Run a program to its end.

    Args:
        arguments: the program, and what it is given.
        folder: it is started in.
        variables: all of its environment.
        grace: seconds between SIGTERM and SIGKILL, where it is to stop.
        outputs: where its standard output and its standard error are kept.
        take: is called with each line, and whether it is of the standard output.
        alive: is called at least five times a second. What this or `take` raises ends the program, and comes out of here.
        ends: is called as often while a program that is to stop ends.
        while_held: is given what suspends the program, and all that it started, while its training is held.

    Returns:
        Its exit code, or the negative number of the signal that ended it. None where its guard was ended by somebody else.

    Raises:
        NotStarted: it could not be.
    """
    ours, program_end = socket.socketpair()
    with ExitStack() as stack:
        for end in (ours, program_end):
            stack.enter_context(end)
        try:
            started = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(program_end.fileno()), str(grace), *arguments],
                cwd=folder,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[program_end.fileno()],
                start_new_session=True,  # so that Ctrl-C in a terminal reaches the tuner, which then decides
            )
        except (OSError, ValueError) as error:
            raise NotStarted(getattr(error, "strerror", None) or str(error)) from None
        program_end.close()
        assert started.stdout is not None
        assert started.stderr is not None
        for stream in (started.stdout, started.stderr):
            stack.enter_context(stream)
        while_held(partial(_suspended, ours))
        try:
            said = _read(ours, (started.stdout, started.stderr), outputs, take, alive)
        finally:
            ours.close()  # the guard ends what still runs
            drains = [threading.Thread(target=_drain, args=(stream,), daemon=True) for stream in (started.stdout, started.stderr)]
            for drain in drains:
                drain.start()
            until = time.monotonic() + grace + guard.KILL_SECONDS + OVER_SECONDS
            while started.poll() is None and time.monotonic() < until:
                ends()
                with suppress(subprocess.TimeoutExpired):
                    started.wait(TICK_SECONDS)
            for drain in drains:
                drain.join(OVER_SECONDS)
    return _code(said)


@contextmanager
def _suspended(control: socket.socket) -> Iterator[None]:
    """Within it the program stands still; one that has ended meanwhile needs nothing."""
    with suppress(OSError):
        control.sendall(guard.HOLD)
    try:
        yield
    finally:
        with suppress(OSError):
            control.sendall(guard.GO_ON)


def _read(
    control: socket.socket,
    streams: tuple[IO[bytes], IO[bytes]],
    outputs: tuple[Output, Output],
    take: Callable[[str, bool], None],
    alive: Callable[[], None],
) -> bytes:
    """Take what the program prints until it has ended and all of it is read; what its guard said."""
    said, is_open = b"", True
    with selectors.DefaultSelector() as selector:
        selector.register(control, selectors.EVENT_READ)
        for number, stream in enumerate(streams):
            selector.register(stream, selectors.EVENT_READ, number)
        while is_open or len(selector.get_map()):
            for key, _ in selector.select(TICK_SECONDS):
                if key.fileobj is control:
                    chunk = control.recv(CHUNK_BYTES)
                    said += chunk
                    is_open = bool(chunk)
                else:
                    chunk = os.read(key.fd, CHUNK_BYTES)
                    for line in outputs[key.data].take(chunk):
                        take(line, key.data == 0)
                if not chunk:
                    selector.unregister(key.fileobj)
            alive()
    for number, output in enumerate(outputs):
        for line in output.last_line():
            take(line, number == 0)
    return said


def _drain(stream: IO[bytes]) -> None:
    """Read what nobody wants any more, so that a program that prints while it ends is not held up by a full pipe."""
    with suppress(OSError, ValueError):
        while stream.read(CHUNK_BYTES):
            pass


def _code(said: bytes) -> int | None:
    match said.decode().split():
        case ["exit", code]:
            return int(code)
        case ["failed", number]:
            raise NotStarted(os.strerror(int(number)))
    return None
