"""A fork server: one process that loads what trainings need, once, and makes a worker in milliseconds by forking.

It is not multiprocessing's, which imports `__main__` again in each child: a script that tunes would start over there. A worker
belongs to its agent: it ends when its connection does, or when the fork server does, which ends with the agent.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from types import FrameType

from evenhand.errors import EvenhandError
from evenhand.tasks.threads import THREAD_VARIABLES

PID_BYTES = 8
MOST_REQUEST_BYTES = 4096  # bytes of a request
LOOK_SECONDS = 0.1  # seconds between two looks whether a start was cancelled
ONE_THREAD = dict.fromkeys(THREAD_VARIABLES, "1")
BODY = (
    "import sys; sys.path[:] = {path!r}; "
    "from evenhand.runners import worker; from evenhand.runners.fork_server import serve; "
    "from evenhand.tasks import requirements; "
    "serve({fd}, requirements.load, worker.Body({arguments}))"
)


@dataclass(frozen=True)
class Worker:
    """A worker process, as its agent sees it. Messages are bytes; reading raises EOFError where the worker is gone.

    loaded: what it was forked with; see `tasks.requirements`.
    """

    pid: int
    connection: Connection
    loaded: frozenset[str] = frozenset()

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if not self.connection.closed:
            self.connection.close()
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


@dataclass
class ForkServer:
    """The agent's side. arguments: of `worker.Body`. Threads may share it; one that died is started anew."""

    arguments: Sequence[int] = ()
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _process: subprocess.Popen[bytes] | None = None
    _control: socket.socket | None = None

    def fork(self, cancelled: Callable[[], bool] = lambda: False, needs: frozenset[str] = frozenset()) -> Worker | None:
        """A new worker that has `needs` loaded; the first one with them waits. None where `cancelled` became true meanwhile.

        Raises:
            EvenhandError: the fork server cannot start.
        """
        with self._lock:
            for _ in range(2):
                if cancelled():
                    return None
                with suppress(OSError):
                    return self._fork(cancelled, needs)
                self._close()
            raise EvenhandError("this agent's fork server ends at once; the lines above, from its start, say why")

    def _fork(self, cancelled: Callable[[], bool], needs: frozenset[str]) -> Worker | None:
        control = self._control or self._start()
        ours, worker_end = socket.socketpair()
        with worker_end:
            socket.send_fds(control, [json.dumps(sorted(needs)).encode()], [worker_end.fileno()])
        while not wait([control], LOOK_SECONDS):
            if cancelled():
                ours.close()
                self._close()
                return None
        answer = control.recv(PID_BYTES, socket.MSG_WAITALL)
        if len(answer) < PID_BYTES:
            ours.close()
            raise BrokenPipeError
        return Worker(int.from_bytes(answer, "big"), Connection(ours.detach()), needs)

    def _start(self) -> socket.socket:
        self._control, worker_end = socket.socketpair()
        with worker_end:
            fd = worker_end.fileno()
            body = BODY.format(path=sys.path, fd=fd, arguments=", ".join(map(str, self.arguments)))
            environment = {**os.environ, **ONE_THREAD}
            self._process = subprocess.Popen([sys.executable, "-c", body], env=environment, pass_fds=[fd])
        return self._control

    def close(self) -> None:
        """End the fork server and all its workers."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._control = self._process = None


def serve(fd: int, load: Callable[[Sequence[str]], None], body: Callable[[Connection], None]) -> None:
    """The fork server's side: for each connection that arrives load what is asked for, and fork a process that runs `body`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the agent decides what ends
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries the workers
    control = socket.socket(fileno=fd)
    while True:
        message, fds, _, _ = socket.recv_fds(control, MOST_REQUEST_BYTES, 1)
        if not message:
            return
        load(json.loads(message))
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            control.close()
            _work(fds[0], server, body)
        os.close(fds[0])
        control.sendall(pid.to_bytes(PID_BYTES, "big"))


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(0)


def _work(fd: int, server: int, body: Callable[[Connection], None]) -> None:
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a training may start processes and wait for them
        _die_with(server)
        body(Connection(fd))
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)


def _die_with(server: int) -> None:
    """On Linux the kernel ends this process with the fork server, even in a computation that lets no other thread run."""
    if sys.platform == "linux":
        import ctypes

        PR_SET_PDEATHSIG = 1
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != server:
            os._exit(1)
