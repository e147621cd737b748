"""Started as a process of its own, with a program's command: it starts the program, and leaves nothing of it behind.

The trainer holds the other end of a socket. When that closes, since the training is to stop or since the trainer is gone, however
it went, the program and all that it started get SIGTERM, and after a grace SIGKILL. The same goes for what a program that has
ended left running. A byte that comes over the socket suspends all of it (HOLD), or lets it go on (GO_ON). What is said on the
socket is one line: "exit CODE", or "failed ERRNO" where it could not be started.

It imports nothing of Evenhand, so that it is there in some 30 ms.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

ON_LINUX = sys.platform == "linux"
LOOK_SECONDS = 0.02  # seconds between two looks whether all of it has ended
KILL_SECONDS = 5.0  # seconds for which what was killed is waited for
HOLD, GO_ON = b"h", b"g"  # what the trainer says
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # of Linux's prctl


def main(fd: int, grace: float, command: list[str]) -> None:
    """Start the command, wait for its end or the trainer's, and sweep up."""
    control = socket.socket(fileno=fd)
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # the trainer's end decides, not these; a handler is not inherited, as ignoring is
    die_with_guard = _adopt()
    try:
        program = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, preexec_fn=die_with_guard)
    except OSError as error:
        control.sendall(f"failed {error.errno or 0}\n".encode())
        return
    while program.poll() is None:
        ready, _, _ = select.select([control, woken], [], [])
        if control in ready:
            words = control.recv(4096)
            if not words:
                break
            _tell(program, signal.SIGSTOP if words[-1:] == HOLD else signal.SIGCONT)
        with suppress(BlockingIOError):
            woken.recv(4096)
    _sweep(program, grace)
    with suppress(OSError):
        control.sendall(f"exit {program.poll()}\n".encode())


def _adopt() -> Callable[[], object] | None:
    """On Linux orphans of the program become this process's children, and the program ends with this process; else nothing."""
    if not ON_LINUX:
        return None
    import ctypes

    prctl = ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _sweep(program: "subprocess.Popen[bytes]", grace: float) -> None:
    """End what still runs: by SIGTERM, and what does not heed it within the grace by SIGKILL."""
    for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_SECONDS)):
        until = time.monotonic() + seconds
        if not _tell(program, number):
            return
        _tell(program, signal.SIGCONT)  # what is suspended heeds no SIGTERM
        while time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
            if not _tell(program, 0 if number == signal.SIGTERM else number):
                return


def _tell(program: "subprocess.Popen[bytes]", number: int) -> bool:
    """Send a signal (0: none) to all that runs; whether there was any."""
    ended = program.poll() is not None
    some = False
    if not ON_LINUX or not ended:  # on Linux the number of a group that has ended may be another's by now
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(program.pid, number)
            some = True
    for pid in _descendants() if ON_LINUX else ():
        with suppress(ProcessLookupError, PermissionError):
            if ended or os.getpgid(pid) != program.pid:
                os.kill(pid, number)
            some = True
    return some


def _descendants() -> list[int]:
    """All that descends from this process and runs still."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with suppress(OSError):
                with open(f"/proc/{name}/stat", "rb") as file:
                    state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state != b"Z":
                    parents[int(name)] = int(parent)
    below, here = [], os.getpid()
    for pid in parents:
        above = pid
        while (above := parents.get(above, 0)) not in (0, here):
            pass
        if above == here:
            below.append(pid)
    return below


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
