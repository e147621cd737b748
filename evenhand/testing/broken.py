"""What a contract raises, and how it asks something of a fresh process."""

import multiprocessing
import os
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

HASH_SEED = "PYTHONHASHSEED"  # in the environment: the order of sets of texts, which must not matter
OTHER_ORDERS = ("12345", "54321")


class Broken(AssertionError):
    """A rule that was broken: its text says which, with which input, what was found and what was expected."""


def ask(condition: object, rule: str, evidence: str) -> None:
    """Nothing, or Broken where the condition does not hold.

    Args:
        condition: what must be true.
        rule: what is asked of everybody, as a sentence without its full stop.
        evidence: with which input, what came of it, and what was expected.

    Raises:
        Broken: it is not true.
    """
    if not condition:
        raise Broken(f"{rule}: {evidence}")


def elsewhere(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a module gives in a fresh process, in which sets have another order.

    Args:
        function: one that can be imported there.
        arguments: its arguments, which are pickled.

    Returns:
        What it returns there.

    Raises:
        Exception: what the function raises there, or what pickling of its arguments raises here.
    """
    pickle.dumps(arguments)
    before = os.environ.get(HASH_SEED)
    os.environ[HASH_SEED] = next(order for order in OTHER_ORDERS if order != before)
    try:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            return pool.submit(function, *arguments).result()
    finally:
        if before is None:
            del os.environ[HASH_SEED]
        else:
            os.environ[HASH_SEED] = before
