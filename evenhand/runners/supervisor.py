"""Keeps this machine's own agent running beside the server.

The agent is a process of its own, so that trainings outlive a server that is killed. It holds a lock on a file in the data
directory for as long as it lives; a server that starts and finds it held leaves that agent at work.
"""

import fcntl
import logging
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from evenhand.errors import DatabaseLost
from evenhand.lab.lab import Lab
from evenhand.runners.agent import LOCK_VARIABLE

log = logging.getLogger(__name__)

NICENESS = 10  # workers of this machine give way to the server, so that pages stay quick while every core trains
LOOK_SECONDS = 0.1  # seconds between two looks at the lock
SETTLED_SECONDS = 10.0  # seconds after which an agent that ends is started again at once
LONGEST_WAIT_SECONDS = 30.0  # seconds between two starts of an agent that ends soon after each
GRACE_SECONDS = 10.0  # seconds that an agent has to end in order


class Supervisor:
    """The local agent of the server at `url`, with `slots` trainings at once; `data_dir` holds its lock."""

    def __init__(self, url: str, lab: Lab, slots: int, data_dir: Path) -> None:
        self._url, self._lab, self._slots = url, lab, slots
        self._path = data_dir / f"agent-{url.rpartition(':')[2]}.lock"
        self._token: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Start the agent, or adopt the one that runs; from now on one that dies is started again."""
        self._thread.start()

    def stop(self) -> None:
        """End the agent in order: it gives back what it trains. After some seconds it is killed."""
        self._ended.set()
        self._thread.join()
        for number in (signal.SIGTERM, signal.SIGKILL):
            self._tell(number)
        if self._token is not None:
            with suppress(DatabaseLost):  # its token is in what was lost
                self._lab.tokens.revoke("agent", self._token)

    @property
    def agent(self) -> tuple[int, int] | None:
        """Process id and slots of the running agent; None where there is none, or it has only just started."""
        lock = self._lock()
        if lock is not None:
            os.close(lock)
            return None
        with suppress(ValueError):
            pid, slots = map(int, self._path.read_text().split())
            return pid, slots
        return None

    def _watch(self) -> None:
        agent = self.agent
        if agent is not None and agent[1] != self._slots:
            log.warning("an agent with %d slots is running still; it ends, and one with %d starts", agent[1], self._slots)
            self._tell(signal.SIGTERM)
        wait, started_at = 0.0, float("-inf")
        while not self._ended.wait(LOOK_SECONDS):
            lock = self._lock()
            if lock is None:
                continue
            if time.monotonic() - started_at > SETTLED_SECONDS:
                wait = 0.0
            if started_at > float("-inf"):
                log.warning("this machine's agent died; it is started again in %.1f s", wait)
            if not self._ended.wait(wait):
                self._start_agent(lock)
                started_at = time.monotonic()
                wait = min(max(2 * wait, 2 * LOOK_SECONDS), LONGEST_WAIT_SECONDS)
            os.close(lock)

    def _tell(self, number: signal.Signals) -> None:
        """Send the agent a signal, and wait some seconds for its end."""
        until, sent = time.monotonic() + GRACE_SECONDS, False
        while time.monotonic() < until:
            lock = self._lock()
            if lock is not None:
                os.close(lock)
                return
            if not sent and (agent := self.agent):
                sent = True
                with suppress(ProcessLookupError):
                    os.kill(agent[0], number)
            time.sleep(LOOK_SECONDS / 2)

    def _lock(self) -> int | None:
        """The locked file's descriptor where no agent lives, else None."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return fd

    def _start_agent(self, lock: int) -> None:
        """The agent inherits the lock: it is held until the agent has ended, however that comes about."""
        if self._process is not None:
            self._process.wait()
        if self._token is None:
            _, self._token = self._lab.agents.add("this machine", self._slots, local=True, machine=platform.node())
        os.ftruncate(lock, 0)
        options = ["--slots", str(self._slots), "--name", platform.node(), "--nice", str(NICENESS)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "evenhand.cli.main", "agent", self._url, *options],
            env={**os.environ, "EVENHAND_AGENT_TOKEN": self._token, LOCK_VARIABLE: str(lock)},
            pass_fds=[lock],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in the terminal ends the server, which then ends the agent
        )
