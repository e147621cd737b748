"""One thread for a training in this process: the order of sums, and with it every bit of the result, depends on their number."""

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # scikit-learn brings it

_found: tuple[int, ThreadpoolController] | None = None  # how many modules were loaded, and the libraries that these brought


_lock = threading.Lock()  # of the two below
_held = 0  # how many threads are within `one_thread`: the first one sets what the last one sets back
_setting = ExitStack()


@contextmanager
def one_thread() -> Iterator[None]:
    """Within it PyTorch, NumPy and scikit-learn compute on one thread, as in an agent's workers, wherever they are loaded.

    Threads may be within it beside one another: each of them computes on one.
    """
    global _held
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
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # for what the training loads first
    torch = sys.modules.get("torch")
    threads = torch.get_num_threads() if torch else 0
    if torch:
        torch.set_num_threads(1)
    try:
        with _controller().limit(limits=1):
            yield
    finally:
        if torch:
            torch.set_num_threads(threads)
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def _controller() -> ThreadpoolController:
    """The libraries that are loaded and have threads, looked for where modules were loaded since: it takes milliseconds."""
    global _found
    if _found is None or _found[0] != len(sys.modules):
        _found = len(sys.modules), ThreadpoolController()
    return _found[1]
