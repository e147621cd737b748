"""One thread for a training in this process: the order of sums, and with it every bit of the result, depends on their number."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from threadpoolctl import OpenBLASController, ThreadpoolController  # type: ignore[import-untyped]  # scikit-learn brings it

from evenhand.model import extras

# What libraries read when they are loaded.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class _Libraries(NamedTuple):
    """The libraries that are loaded and have threads. modules: how many modules were loaded when they were looked for.

    blas: their number is the process's. openmp: each thread has a number of its own.
    """

    modules: int
    blas: ThreadpoolController
    openmp: ThreadpoolController


_found: _Libraries | None = None
_lock = threading.Lock()  # of the two below
_held = 0  # how many threads are within `one_thread`: the first one sets what the last one sets back
_setting = ExitStack()


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it PyTorch, NumPy and scikit-learn compute on one thread, as in an agent's workers, wherever they are loaded.

    Threads may be within it beside one another: each of them computes on one.
    """
    global _held
    with _libraries().openmp.limit(limits=1):
        with _lock:
            if not _held:
                _setting.enter_context(_limited())
            _held += 1
        try:
            yield
        finally:
            with _lock:
                _held -= 1
                if not _held:
                    _setting.close()


@contextmanager
def _limited() -> Iterator[None]:
    """What threads have in common."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # for what the training loads first
    torch = extras.loaded("torch")
    threads = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        with _blas_limited():
            yield
    finally:
        if torch:
            torch.set_num_threads(threads)
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


@contextmanager
def _blas_limited() -> Iterator[None]:
    """Whichever thread leaves last sets it back: threadpoolctl 3.8 lets only the one that set it, unless that gives it up."""
    give_up = getattr(OpenBLASController, "clear_controlling_thread", lambda force: None)
    limiter = _libraries().blas.limit(limits=1)
    give_up(force=True)
    try:
        yield
    finally:
        limiter.restore_original_limits()
        give_up(force=True)


def _libraries() -> _Libraries:
    """The libraries that are loaded and have threads, looked for where modules were loaded since: it takes milliseconds."""
    global _found
    if _found is None or _found.modules != len(sys.modules):
        all_of_them = ThreadpoolController()
        _found = _Libraries(len(sys.modules), *(all_of_them.select(user_api=api) for api in ("blas", "openmp")))
    return _found
