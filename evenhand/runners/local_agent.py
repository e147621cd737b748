"""This process as an agent: it claims a session's trainings and trains them here, so that any function can be trained."""

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Self

from evenhand import tasks
from evenhand.errors import MissingHere, StaleAttempt
from evenhand.lab.lab import Lab
from evenhand.model.job import Assignment, Order
from evenhand.model.trial import Measurement
from evenhand.tasks import Stopped, Task, machine, requirements
from evenhand.tasks.gate import Gate
from evenhand.tasks.threads import one_thread

FLUSH_SECONDS = 0.2  # seconds between two writes of what a training measured
RENEWAL_SECONDS = 1.0  # seconds after which the lease is renewed even without a measurement
SWEEP_SECONDS = 0.5  # seconds between two looks at the deadline
LOOK_SECONDS = 0.2  # seconds until the next look for a training, where nothing waited


class Trainer:
    """This process as the agent of one session: it claims a training, trains it here and now, and says how it ended."""

    def __init__(self, lab: Lab, task: Task, session_id: int, on_sent: Callable[[], None] = lambda: None) -> None:
        """on_sent: called while a training goes on, in another thread, after what it measured was sent."""
        self._lab = lab
        self._task = task
        self._session_id = session_id
        self._on_sent = on_sent
        name, environment = f"python {os.getpid()}", machine.here()
        self._agent_id, _ = lab.agents.add(name, 1, machine=platform.node(), environment=environment)
        self._pipes = [Pipe(lab, session_id, on_sent)]

    def close(self) -> None:
        """Say that this agent ends in order."""
        for pipe in self._pipes:
            pipe.close()
        self._lab.goodbye(self._agent_id)

    def interrupt(self) -> None:
        """Let the training that goes on end as by Ctrl-C, which only a process's first thread hears."""
        for pipe in self._pipes:
            pipe.interrupted = True

    def stand_by(self) -> None:
        """Nothing trains, and `train_next` comes next: what is submitted until then is leased to this agent at once."""
        self._lab.agents.stand_by(self._agent_id, self._session_id)

    def train_next(self) -> bool:
        """Train what waits, or return False where nothing does. Seeds of an evaluation train together where that is quicker."""
        assignment = self._lab.claim(self._agent_id, session_id=self._session_id)
        if assignment is None:
            return False
        group = [assignment]
        most = self._task.group_size(assignment.configuration) if assignment.kind == "evaluation" else 1
        while len(group) < most and (more := self._lab.claim(self._agent_id, session_id=self._session_id)) is not None:
            group.append(more)
        self._pipes += [Pipe(self._lab, self._session_id, self._on_sent) for _ in group[len(self._pipes) :]]
        with one_thread(), ExitStack() as stack:
            for pipe, member in zip(self._pipes, group, strict=False):
                stack.enter_context(pipe.of(member.job_id, member.attempt))
            self._train(group)
        return True

    def _train(self, group: Sequence[Assignment]) -> None:
        trainings = list(zip(self._pipes, group, strict=False))
        try:
            ended = tasks.run_together(self._task, [_asked(pipe, member) for pipe, member in trainings])
        except KeyboardInterrupt:
            for pipe, assignment in trainings:
                self._interrupted(pipe, assignment)
            raise
        failures = []
        for (pipe, assignment), end in zip(trainings, ended, strict=True):
            with suppress(StaleAttempt):  # this machine slept, say; the training is in the queue again
                if isinstance(end, MissingHere):
                    self._lab.release(assignment.job_id, assignment.attempt, str(end), counts=False)
                if isinstance(end, BaseException):
                    failures += [] if isinstance(end, StaleAttempt) else [end]
                    continue
                outcome, why = end
                self._lab.finish(assignment.job_id, assignment.attempt, outcome, why, pipe.end())
        if failures:
            raise failures[0]

    def _interrupted(self, pipe: "Pipe", assignment: Assignment) -> None:
        """Give it back uncounted, so that it is trained again when the session goes on."""
        with suppress(StaleAttempt):
            pipe.end()
            self._lab.release(assignment.job_id, assignment.attempt, "interrupted", counts=False)


def _asked(pipe: "Pipe", assignment: Assignment) -> tasks.TrainingRequest:
    return tasks.TrainingRequest(
        assignment.configuration,
        assignment.seed,
        assignment.kind == "evaluation",
        pipe.report,
        assignment.epochs_before,
        assignment.keep,
        pipe.check,
        assignment.number,
        assignment.place,
        assignment.plan,
        assignment.value_rule,
        pipe.gate,
    )


class Crew:
    """Several trainers of one session in threads of this process, which train what waits beside one another."""

    def __init__(self, lab: Lab, task: Task, session_id: int, count: int, on_sent: Callable[[], None] = lambda: None) -> None:
        """count: of the trainers. on_sent: as for a `Trainer`."""
        self._lab = lab
        self._session_id = session_id
        self._needed = requirements.named_by(task.spec)
        self._trainers = [Trainer(lab, task, session_id, on_sent) for _ in range(count)]
        self._changed = [threading.Event() for _ in range(count + 1)]  # the last one is of `wait`
        self._ended = threading.Event()
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._train, args=pair, name="trainer", daemon=True) for pair in enumerate(self._trainers)
        ]

    def __enter__(self) -> Self:
        requirements.load(self._needed)  # once, before threads would import it beside one another
        self._lab.on_change.append(self._listen)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._ended.set()
        for trainer in self._trainers if kind is not None else ():
            trainer.interrupt()
        self._listen(self._session_id)
        for thread in self._threads:
            thread.join()
        self._lab.on_change.remove(self._listen)
        for trainer in self._trainers:
            trainer.close()

    def wait(self, seconds: float) -> None:
        """Until the session changes, at most so long; raises what a trainer ended with."""
        self._changed[-1].wait(seconds)
        self._changed[-1].clear()
        if self._error is not None:
            raise self._error

    def _listen(self, session_id: int) -> None:
        if session_id == self._session_id:
            for event in self._changed:
                event.set()

    def _train(self, number: int, trainer: Trainer) -> None:
        try:
            while not self._ended.is_set():
                self._changed[number].clear()
                if not trainer.train_next():
                    self._changed[number].wait(LOOK_SECONDS)
        except BaseException as error:  # it is raised again where `wait` is called
            self._error = self._error or error
            self._changed[-1].set()


class Pipe:
    """Carries what a training measures to the lab in a thread of its own, which also keeps the lease and the deadline.

    The thread is there from the first training on, for all that follow.
    """

    def __init__(self, lab: Lab, session_id: int, on_sent: Callable[[], None]) -> None:
        self._lab = lab
        self._on_sent = on_sent
        self._session_id = session_id
        self._lock = threading.Lock()  # of what waits
        self._waiting: list[Measurement] = []
        self._job: tuple[int, int] | None = None  # and attempt, while one trains
        self._stopped = False
        self._error: BaseException | None = None
        self._was_held = False  # what was said last of whether it stands still
        self.gate = Gate(self.check)
        self.interrupted = False  # whether what trains is to end as by Ctrl-C
        self._sent_at = self._swept_at = 0.0
        self._sending = threading.Lock()  # held while what was taken from `_waiting` is on its way
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._carry, name="evenhand measurements", daemon=True)

    @contextmanager
    def of(self, job_id: int, attempt: int) -> Iterator[None]:
        """While one training goes on."""
        with self._lock:
            self._job, self._waiting, self._stopped, self._error = (job_id, attempt), [], False, None
            self._was_held = False
            self.gate.open()
            self._sent_at = self._swept_at = time.monotonic()
        if self._thread.ident is None:
            self._thread.start()
        try:
            yield
        finally:
            self._taken()

    def end(self) -> list[Measurement]:
        """The training has ended: what it measured and was not sent yet. Raises what went wrong with the lab meanwhile."""
        left, error = self._taken()
        if error is not None:
            raise error
        return left

    def _taken(self) -> tuple[list[Measurement], BaseException | None]:
        """What was not sent, and what went wrong: from now on no training goes on."""
        with self._sending, self._lock:
            remainder = self._waiting, self._error
            self._job, self._waiting, self._error = None, [], None
        return remainder

    def close(self) -> None:
        """End the thread."""
        self._closed.set()
        if self._thread.ident is not None:
            self._thread.join()

    def report(self, measurement: Measurement) -> None:
        """Take a measurement; Stopped where a stop was asked for, or what went wrong with the lab."""
        with self._lock:
            self._waiting.append(measurement)
        self.check()

    def check(self) -> None:
        """Stopped where a stop was asked for, or what went wrong with the lab."""
        if self.interrupted:
            raise KeyboardInterrupt
        if self._error is not None:
            raise self._error
        if self._stopped:
            raise Stopped

    def _carry(self) -> None:
        while not self._closed.wait(FLUSH_SECONDS):
            with self._sending:
                job = self._job
                if job is None or self._error is not None:
                    continue
                try:
                    self._send(*job)
                except BaseException as error:  # it is raised again in the thread that trains
                    self._error = error
                    self.gate.open()

    def _send(self, job_id: int, attempt: int) -> None:
        with self._lock:
            batch, self._waiting = self._waiting, []
        now, is_held = time.monotonic(), self.gate.is_waited_at
        if batch or is_held != self._was_held or now - self._sent_at >= RENEWAL_SECONDS:
            self._sent_at, self._was_held = now, is_held
            order = self._lab.measure(job_id, attempt, batch, is_held=is_held)
            self._stopped = order is Order.STOP or self._stopped
            if order is Order.HOLD:
                self.gate.close()
            else:
                self.gate.open()
            if batch and not self._stopped:
                self._on_sent()
        if now - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = now
            self._lab.sweep(self._session_id)
