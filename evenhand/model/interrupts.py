"""Ctrl-C and SIGTERM while a process tunes: they are heeded where nothing is held, never amid what others wait for.

Python raises KeyboardInterrupt between any two steps of a process's first thread. Where that thread has just taken a lock, nobody
gives it back, and other threads wait for it for ever. So while somebody listens here, a signal is only noted, and raised where
code says that it can be: in a training, in a method's own code, and where the one who listens looks.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

PATIENCE_SECONDS = 2.0  # seconds after the first signal, from which on a further one is heeded wherever it comes


class Terminated(KeyboardInterrupt):
    """SIGTERM: it ends a training as Ctrl-C does."""


class Interrupts:
    """What signals came, and whether they may be heeded now."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._came_at: float | None = None
        self.terminated = False
        self.heeds = False

    def check(self) -> None:
        """Nothing, or what came: KeyboardInterrupt, and Terminated where it was SIGTERM."""
        if self._came_at is not None:
            raise Terminated if self.terminated else KeyboardInterrupt

    def hear(self, number: int, frame: FrameType | None) -> None:
        """What Python calls for a signal."""
        if os.getpid() != self._process:  # a process that a training forked ends as it would without us
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        now = time.monotonic()
        is_late = self._came_at is not None and now - self._came_at > PATIENCE_SECONDS
        self._came_at = now if self._came_at is None else self._came_at
        self.terminated = self.terminated or number == signal.SIGTERM
        if self.heeds or is_late:
            self.heeds = False
            self.check()


_interrupts: Interrupts | None = None  # of the process's first thread, while somebody listens


@contextmanager
def listening() -> Iterator[Interrupts]:
    """While this lasts, signals are noted. Only a process's first thread hears any, and only where nobody else does.

    Yields:
        What came. Whoever listens calls its `check` now and then, where nothing is held.
    """
    global _interrupts
    if threading.current_thread() is not threading.main_thread():
        yield Interrupts()
        return
    if _interrupts is not None:  # a training that tunes something itself
        with _heeding(_interrupts, False):
            yield _interrupts
        return
    interrupts = Interrupts()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    ours = [number for number, handler in before.items() if handler == usual[number]]
    _interrupts = interrupts
    try:
        for number in ours:
            signal.signal(number, interrupts.hear)
        yield interrupts
    finally:
        for number in ours:
            signal.signal(number, before[number])
        _interrupts = None
    interrupts.check()  # what came after the last look


@contextmanager
def heeded() -> Iterator[None]:
    """Within it a signal is raised at once: code of the user's own runs, which may take long and holds nothing of ours."""
    if _interrupts is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    with _heeding(_interrupts, True):
        _interrupts.check()
        yield


@contextmanager
def _heeding(interrupts: Interrupts, heeds: bool) -> Iterator[None]:
    before, interrupts.heeds = interrupts.heeds, heeds
    try:
        yield
    finally:
        interrupts.heeds = before
