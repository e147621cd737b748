"""Waiting in tests: for the fact itself, with a deadline that a busy machine keeps, too."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 240.0  # on a busy machine PyTorch alone takes many to load
LOOK_SECONDS = 0.01  # between two looks


def wait_for(look: Callable[[], T | None], what: str, when: Callable[[T], object] = bool, seconds: float = PATIENCE_SECONDS) -> T:
    """Looks again and again, until it sees what the test waits for.

    Args:
        look: Gives what there is to see now; None for nothing.
        what: The fact that is waited for, in words, for the message.
        when: Whether what is seen is that; by default, that it is true.
        seconds: After which what did not come does not come.

    Returns:
        What was seen.

    Raises:
        AssertionError: It was not seen in time; the message says what was seen last.
    """
    until = time.monotonic() + seconds
    while (seen := look()) is None or not when(seen):
        assert time.monotonic() < until, f"{what}: not within {seconds:g} s; last seen: {seen!r}"
        time.sleep(LOOK_SECONDS)
    return seen


async def wait_in_loop(look: Callable[[], T | None], what: str, when: Callable[[T], object] = bool) -> T:
    """As `wait_for`, while what else this event loop has to do goes on."""
    until = time.monotonic() + PATIENCE_SECONDS
    while (seen := look()) is None or not when(seen):
        assert time.monotonic() < until, f"{what}: not within {PATIENCE_SECONDS:g} s; last seen: {seen!r}"
        await asyncio.sleep(LOOK_SECONDS)
    return seen
