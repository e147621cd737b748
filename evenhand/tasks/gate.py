"""The gate that a training passes with each report: while it is closed, the training stands still."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

WORD_SECONDS = 1.0  # seconds between two words of a training that stands still
Around = Callable[[], AbstractContextManager[object]]


class Gate:
    """Whoever runs a training closes and opens it, in any thread; the training stops at it, where it is closed.

    Args:
        on_wait: is called when a training comes to stand still, and every second while it does. What it raises ends the training.
    """

    def __init__(self, on_wait: Callable[[], None] = lambda: None) -> None:
        self._on_wait = on_wait
        self._opened = threading.Event()
        self._opened.set()
        self.is_waited_at = False  # whether a training stands still here now

    def catches_up(self) -> None:
        """A training that was parked is not yet where it stood: for whoever watches it stands still."""
        self._on_wait()

    def close(self) -> None:
        """The training stands still from its next report on."""
        self._opened.clear()

    def open(self) -> None:
        """It goes on."""
        self._opened.set()

    def passed(self, around: Around) -> bool:
        """Stand still while it is closed, within `around()`; whether it was."""
        if self._opened.is_set():
            return False
        with around():
            self.is_waited_at = True
            try:
                self._on_wait()
                while not self._opened.wait(WORD_SECONDS):
                    self._on_wait()
            finally:
                self.is_waited_at = False
        return True
