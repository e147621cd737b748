"""Explanations worked out in a process of their own, at a low priority, so that pages never wait for them.

`python -m evenhand.runners.explaining` reads a history from its standard input and writes each card as it is worked out. Both are
pickles between this program and its own child.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

from evenhand.errors import EvenhandError
from evenhand.explain import EXPLANATIONS, Card, History, nothing_said
from evenhand.explain.explained import explained

NICENESS = 10  # of the process, so that trainings and pages go first
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class CardProcess:
    """The cards of a history, worked out by a process that ends with this."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._process: subprocess.Popen[bytes] | None = None

    def cards(self) -> Iterator[Card]:
        """Each card as it is there; fewer where the process was ended."""
        with _process() as process:
            self._process = process
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                pickle.dump(self._history, process.stdin)
                process.stdin.close()
                for _ in EXPLANATIONS:
                    yield pickle.load(process.stdout)
            except (EOFError, OSError, pickle.UnpicklingError):
                return

    def stop(self) -> None:
        """End the process; `cards` then ends, too."""
        if self._process is not None:
            self._process.kill()


@contextmanager
def _process() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, "-m", "evenhand.runners.explaining"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **ONE_THREAD},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for end in (process.stdin, process.stdout):
            if end is not None:
                with suppress(OSError):  # what it was still to be told
                    end.close()


# In the process


def _written(card: Card, out: BinaryIO) -> None:
    pickle.dump(card, out)
    out.flush()


def _card(history: History, key: str) -> Card:
    """One card; of an explanation that fails, one that says so, since the others are none the worse for it."""
    try:
        return next(explained(history, [key]))
    except Exception as error:
        why = str(error) if isinstance(error, EvenhandError) else f"{type(error).__name__}: {error}"
        return nothing_said(key, key, f"It could not be worked out: {why}", len(history.trials), "")


def main() -> None:
    """Write the cards of the history on standard input."""
    out: Any = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what other people's explanations print is no card
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    history: History = pickle.load(sys.stdin.buffer)
    for key in EXPLANATIONS:
        _written(_card(history, key), out)


if __name__ == "__main__":
    main()
