"""Which sessions changed in this process, so that a thread that waits for a change misses none between two looks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from evenhand.model.recent import Recent

MOST_KNOWN_SESSIONS = 1000  # whose newest change is known; of others any change counts as one of theirs


class Changes:
    """The number of each session's newest change, and of the newest that its tuner may act on. Threads may share it."""

    def __init__(self, most: int = MOST_KNOWN_SESSIONS) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._forgotten = 0  # the newest change of a session that is not among `_newest` any more
        self._newest: dict[int, tuple[int, int]] = {}  # the session that changed longest ago comes first
        self._most = most
        self._waiting: dict[int, list[tuple[threading.Event, bool]]] = {}
        self._looks = threading.local()

    def note(self, session_id: int, acts: bool) -> None:
        """A session changed. acts: whether its tuner may act on it."""
        with self._lock:
            self._count += 1
            _, acted = self._newest.pop(session_id, (0, self._forgotten))
            self._newest[session_id] = self._count, self._count if acts else acted
            while len(self._newest) > self._most:
                self._forgotten = max(self._forgotten, *self._newest.pop(next(iter(self._newest))))
            woken = [event for event, any_change in self._waiting.get(session_id, ()) if acts or any_change]
        for event in woken:
            event.set()

    def looked(self, session_id: int) -> None:
        """This thread is about to look at a session: what changed before it will see."""
        self._looked()[session_id] = self._count

    def wait(self, session_id: int, seconds: float, any_change: bool) -> None:
        """Until the session has changed since this thread last looked at it, at most so long; at once where it never looked.

        any_change: also by what its tuner cannot act on.
        """
        event = threading.Event()
        with self._registered(session_id, event, any_change):
            if not self._changed(session_id, any_change):
                event.wait(seconds)

    def _changed(self, session_id: int, any_change: bool) -> bool:
        looked = self._looked().get(session_id)
        with self._lock:
            newest, acted = self._newest.get(session_id, (self._forgotten, self._forgotten))
        return looked is None or looked < (newest if any_change else acted)

    @contextmanager
    def _registered(self, session_id: int, event: threading.Event, any_change: bool) -> Iterator[None]:
        entry = event, any_change
        with self._lock:
            self._waiting.setdefault(session_id, []).append(entry)
        try:
            yield
        finally:
            with self._lock:
                self._waiting[session_id].remove(entry)
                if not self._waiting[session_id]:
                    del self._waiting[session_id]

    def _looked(self) -> Recent[int, int]:
        """By session: how many changes there were when this thread last looked."""
        if not hasattr(self._looks, "of"):
            self._looks.of = Recent[int, int](MOST_KNOWN_SESSIONS)
        looked: Recent[int, int] = self._looks.of
        return looked
