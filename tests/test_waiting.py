"""Waiting for a fact: it comes back with what it saw, and says what it saw last where that never came."""

import asyncio
from itertools import count

import pytest

from tests.waiting import wait_for, wait_in_loop


def test_what_was_waited_for_is_given_back() -> None:
    numbers = count()
    assert wait_for(lambda: next(numbers), "three", lambda number: number == 3) == 3
    assert wait_for(iter((None, [], [7])).__next__, "something") == [7]
    assert asyncio.run(wait_in_loop(lambda: next(numbers), "six", lambda number: number == 6)) == 6


def test_what_never_comes_is_told_with_what_was_seen_last() -> None:
    with pytest.raises(AssertionError, match=r"^the end: not within 0\.05 s; last seen: 'the middle'$"):
        wait_for(lambda: "the middle", "the end", lambda seen: seen == "the end", seconds=0.05)


def test_what_comes_at_the_last_look_counts() -> None:
    assert wait_for(lambda: "here", "it", seconds=0.0) == "here"
