"""The methods that this server plays: one daemon thread for each open session."""

import logging
import threading

from evenhand.errors import EvenhandError
from evenhand.lab.lab import Lab
from evenhand.model.recent import Recent
from evenhand.runners import method_player

log = logging.getLogger(__name__)

MOST_PROBLEMS = 1000  # that are remembered
HELD_DRIVER = "held"  # the driver of a session that is not to be played before somebody says so


class Players:
    """Plays methods' sessions in threads; what stopped one is kept in words for the researcher's page."""

    def __init__(self, lab: Lab) -> None:
        self.problems: Recent[int, str] = Recent(MOST_PROBLEMS)  # by session
        self._lab = lab
        self._stop = threading.Event()
        self._starting = threading.Lock()
        self._threads: dict[int, threading.Thread] = {}  # by session: those that run

    def resume(self) -> None:
        """Play on every open session that is this server's to play."""
        for session_id in self._lab.sessions.to_play("server"):
            self.play(session_id)

    def play(self, session_id: int) -> None:
        """Play a session in a thread of its own; one that is being played already is left alone."""
        with self._starting:
            self._threads = {id_: thread for id_, thread in self._threads.items() if thread.is_alive()}
            if session_id not in self._threads:
                thread = threading.Thread(target=self._run, args=(session_id,), name=f"method-{session_id}", daemon=True)
                self._threads[session_id] = thread
                thread.start()

    def begin(self, session_id: int) -> bool:
        """Play a session that was held until now, also after a restart; False where it was not held."""
        if session_id not in self._lab.sessions.to_play(HELD_DRIVER):
            return False
        self._lab.sessions.drive(session_id)
        self.play(session_id)
        return True

    def stop(self) -> None:
        """Let every thread end at its next step; the sessions stay open and are played on after the next start."""
        self._stop.set()
        for thread in self._threads.values():
            thread.join(timeout=2)

    def _run(self, session_id: int) -> None:
        self.problems.pop(session_id, None)
        try:
            method_player.tune(self._lab, session_id, stop=self._stop)
        except EvenhandError as error:
            self.problems[session_id] = str(error)
            log.warning("session %d: its method stopped: %s", session_id, error)
        except Exception as error:
            self.problems[session_id] = f"{type(error).__name__}: {error}"
            log.exception("session %d: its method stopped", session_id)
