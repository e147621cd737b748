"""What runs in a worker process: it is told what to train, trains it on one thread, and says what it measures.

Messages are JSON lists. To a worker: ["train", assignment, parked], ["stop"], ["hold"], ["go on"]; parked: of a training that
goes on from where it stood in another worker, else null. From it: ["measured", row], ["alive"], ["held", state] while it stands
still (with the state after an epoch that it has written, else null), ["ended", outcome, why], or ["refused", why] where it lacks
this task in this version, or what its trainings need.
"""

import json
import os
import queue
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from evenhand import tasks
from evenhand.errors import EvenhandError, MissingHere, TaskMissing
from evenhand.model import codec, extras
from evenhand.model.job import Assignment
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement
from evenhand.tasks import Stopped, Task, versions
from evenhand.tasks.gate import Gate
from evenhand.tasks.parked import Parked, StateKeeper, forget, path_of
from evenhand.tasks.threads import one_thread

DRIVER_PATHS = (Path("/dev/nvidiactl"), Path("/dev/kfd"))  # of NVIDIA's GPUs, and of AMD's


@dataclass(frozen=True)
class Body:
    """What each worker does from its start to its end. nice: priority given up. memory: most bytes of data, 0 for no limit."""

    nice: int = 0
    memory: int = 0

    def __call__(self, connection: Connection) -> None:
        """Train what arrives, until the agent closes the connection."""
        os.nice(self.nice)
        _limit_memory(self.memory)
        with one_thread():
            _Trainings(connection).run()


def _limit_memory(most: int) -> None:
    """Let allocations beyond `most` bytes fail, which makes the trial `invalid`, rather than the whole machine run out.

    With a GPU there is no limit, since its driver maps the whole address space.
    """
    if most and not _has_gpu():
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (most, hard))


def _has_gpu() -> bool:
    """Whether a training may find a GPU: as PyTorch says, or where it is not loaded (yet), whether a driver is there."""
    torch = extras.loaded("torch")
    return bool(torch.cuda.is_available()) if torch else any(driver.exists() for driver in DRIVER_PATHS)


@contextmanager
def _memory_limit(most: int | None) -> Iterator[None]:
    """Let allocations beyond `most` bytes more than this process has now fail, while one training runs; see `_limit_memory`."""
    if most is None or sys.platform != "linux" or _has_gpu():
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _data_bytes() + most
    resource.setrlimit(resource.RLIMIT_DATA, (limit if soft == resource.RLIM_INFINITY else min(soft, limit), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _data_bytes() -> int:
    """Bytes of data that this process has, as the kernel counts them for the limit."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("VmData")))


class _Trainings:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._waiting: queue.SimpleQueue[tuple[Assignment, Parked | None]] = queue.SimpleQueue()
        self._stop = False
        self._gate = Gate(self._held)
        self._keeper: StateKeeper | None = None
        self._known: dict[tuple[str, str], Task] = {}

    def run(self) -> None:
        threading.Thread(target=self._listen, name="agent", daemon=True).start()
        while True:
            self._train(*self._waiting.get())

    def _listen(self) -> None:
        """Take messages while the training runs; the agent's end is this process's end."""
        try:
            while True:
                message = json.loads(self._connection.recv_bytes())
                self._heed(*message)
        except (EOFError, OSError):
            os._exit(0)

    def _heed(self, word: str, assignment: object = None, parked: object = None) -> None:
        """Do what the agent says. A stop, a hold and its end are of the training that goes on; the next one begins without."""
        if word == "hold":
            self._gate.close()
            return
        self._stop = word == "stop" or (self._stop and word != "train")
        self._gate.open()
        if word == "train":
            left = None if parked is None else codec.from_json(Parked, parked)
            self._waiting.put((codec.from_json(Assignment, assignment), left))

    def _train(self, assignment: Assignment, parked: Parked | None) -> None:
        try:
            task = self._task(assignment.task, assignment.task_version)
        except EvenhandError as error:
            self._say("refused", str(error))
            return
        keeper = self._keeper = StateKeeper(path_of(assignment), parked.state if parked else None)
        try:
            with _memory_limit(assignment.max_memory):
                outcome, why = tasks.run_trial(
                    task,
                    assignment.configuration,
                    seed=assignment.seed,
                    evaluation=assignment.kind == "evaluation",
                    report=self._report,
                    epochs_before=assignment.epochs_before,
                    keep=assignment.keep,
                    alive=self._alive,
                    number=assignment.number,
                    place=assignment.place,
                    plan=assignment.plan,
                    value_rule=assignment.value_rule,
                    gate=self._gate,
                    parked=parked,
                    keeper=keeper,
                )
        except MissingHere as error:
            self._say("refused", str(error))
            return
        finally:
            self._keeper = None
            forget(assignment)
        self._say("ended", outcome.value, why)

    def _task(self, spec: TaskSpec, version: str) -> Task:
        """The task, loaded once. A version names all that its numbers hang on, so what was loaded stays right."""
        key = spec.name, version
        if key not in self._known:
            task = tasks.load(spec)
            if why := versions.difference(version, task.version):
                raise TaskMissing(
                    f"task {spec.name!r} is not here as the study has it: {why}; give the agent the same files and the same "
                    "version of Evenhand, or declare a new study"
                )
            self._known = {key: task}  # only the newest one is kept: its data may be large
        return self._known[key]

    def _report(self, measurement: Measurement) -> None:
        self._say("measured", codec.row_of(measurement))
        if self._stop:
            raise Stopped

    def _held(self) -> None:
        """Say that the training stands still, and from what it could go on elsewhere."""
        newest = self._keeper.newest if self._keeper is not None else None
        self._say("held", None if newest is None else codec.to_json(newest))
        if self._stop:
            raise Stopped

    def _alive(self) -> None:
        """Say that the training goes on, where there is nothing to report."""
        self._say("alive")
        if self._stop:
            raise Stopped

    def _say(self, *message: Any) -> None:
        try:
            self._connection.send_bytes(json.dumps(message).encode())
        except OSError:
            os._exit(0)
