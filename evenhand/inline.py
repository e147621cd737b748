"""This process as an agent: it claims a session's trainings and trains them here, so that any function can be trained."""

import os
import platform
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from evenhand import tasks
from evenhand.errors import StaleAttempt
from evenhand.lab import Lab
from evenhand.records import Assignment, Measurement, Outcome
from evenhand.tasks import Stopped, Task
from evenhand.tasks.threads import one_thread

FLUSH = 0.2  # seconds between two writes of what a training measured
RENEWAL = 1.0  # seconds after which the lease is renewed even without a measurement
SWEEP = 0.5  # seconds between two looks at the deadline


class Trainer:
    """This process as the agent of one session: it claims a training, trains it here and now, and says how it ended."""

    def __init__(self, lab: Lab, task: Task, session_id: int, on_sent: Callable[[], None] = lambda: None) -> None:
        """on_sent: called while a training goes on, in another thread, after what it measured was sent."""
        self._lab = lab
        self._task = task
        self._session_id = session_id
        self._on_sent = on_sent
        self._agent_id, _ = lab.add_agent(f"python {os.getpid()}", 1, machine=platform.node())

    def close(self) -> None:
        """Say that this agent ends in order."""
        self._lab.goodbye(self._agent_id)

    def train_next(self) -> bool:
        """Train what waits, or return False where nothing does."""
        assignment = self._lab.claim(self._agent_id, session_id=self._session_id)
        if assignment is None:
            return False
        with suppress(StaleAttempt):  # this machine slept, say; the training is in the queue again
            self._train(assignment)
        return True

    def _train(self, assignment: Assignment) -> None:
        job = assignment.job_id, assignment.attempt
        with Pipe(self._lab, assignment, self._session_id, self._on_sent) as pipe, one_thread():
            try:
                outcome, why = tasks.run_trial(
                    self._task,
                    assignment.configuration,
                    seed=assignment.seed,
                    evaluation=assignment.kind == "evaluation",
                    report=pipe.report,
                    epochs_before=assignment.epochs_before,
                    keep=assignment.keep,
                    alive=pipe.check,
                )
            except KeyboardInterrupt:
                pipe.close()
                if assignment.kind == "evaluation":
                    self._lab.release(*job, "interrupted", counts=False)
                else:
                    self._lab.finish(*job, Outcome.STOPPED, "interrupted")
                raise
        self._lab.finish(*job, outcome, why)


class Pipe:
    """Carries measurements from a training to the lab in a thread of its own, which also keeps the lease and the deadline."""

    def __init__(self, lab: Lab, assignment: Assignment, session_id: int, on_sent: Callable[[], None]) -> None:
        self._lab = lab
        self._on_sent = on_sent
        self._session_id = session_id
        self._job = assignment.job_id, assignment.attempt
        self._lock = threading.Lock()
        self._waiting: list[Measurement] = []
        self._ended = threading.Event()
        self._stopped = False
        self._error: BaseException | None = None
        self._sent_at = self._swept_at = time.monotonic()
        self._thread = threading.Thread(target=self._carry, name="evenhand measurements", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        if self._error is not None:
            raise self._error

    def report(self, measurement: Measurement) -> None:
        """Take a measurement; Stopped where a stop was asked for, or what went wrong with the lab."""
        with self._lock:
            self._waiting.append(measurement)
        self.check()

    def check(self) -> None:
        """Stopped where a stop was asked for, or what went wrong with the lab."""
        if self._error is not None:
            raise self._error
        if self._stopped:
            raise Stopped

    def close(self) -> None:
        """Send what is left, and end the thread."""
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join()

    def _carry(self) -> None:
        try:
            while not self._ended.wait(FLUSH):
                self._send()
                if time.monotonic() - self._swept_at >= SWEEP:
                    self._swept_at = time.monotonic()
                    self._lab.sweep(self._session_id)
            self._send()
        except BaseException as error:  # it is raised again in the thread that trains
            self._error = error

    def _send(self) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
        if batch or time.monotonic() - self._sent_at >= RENEWAL:
            self._sent_at = time.monotonic()
            self._stopped = not self._lab.measure(*self._job, batch) or self._stopped
            if batch and not self._stopped:
                self._on_sent()
