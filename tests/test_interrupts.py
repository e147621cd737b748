"""Ctrl-C and SIGTERM: noted while something is held, raised where nothing is."""

# ruff: noqa: PT012 - what is tested is how far a block gets before it is interrupted

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from evenhand.model import interrupts


@pytest.fixture(autouse=True)
def handlers_as_before() -> Iterator[None]:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    yield
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_next_look(number: int) -> None:
    with pytest.raises(KeyboardInterrupt) as raised, interrupts.listening() as heard:
        heard.check()
        send(number)
        before = "nothing was raised amid it"
        heard.check()
    assert before
    assert heard.terminated is (number == signal.SIGTERM)
    assert raised.type is (interrupts.Terminated if number == signal.SIGTERM else KeyboardInterrupt)


def test_a_signal_is_raised_at_once_in_code_of_the_users_own() -> None:
    reached = False
    with pytest.raises(KeyboardInterrupt), interrupts.listening() as heard:  # nobody swallows a signal
        with pytest.raises(KeyboardInterrupt), interrupts.heeded():
            send(signal.SIGINT)
            reached = True
        assert not heard.heeds
        send(signal.SIGINT)  # a second one in the same moment, while things are put in order
        with pytest.raises(KeyboardInterrupt), interrupts.heeded():
            reached = True
        with pytest.raises(KeyboardInterrupt):
            heard.check()
    assert not reached


def test_a_signal_that_nobody_looked_for_is_raised_in_the_end() -> None:
    with pytest.raises(KeyboardInterrupt), interrupts.listening():
        send(signal.SIGINT)


def test_a_late_second_signal_is_heeded_wherever_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "PATIENCE_SECONDS", 0.0)
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupts.listening():
        send(signal.SIGINT)
        reached.append("after the first")
        time.sleep(0.01)
        send(signal.SIGINT)
        reached.append("after the second")
    assert reached == ["after the first"]


def test_what_tunes_within_a_training_is_not_interrupted_amid_a_write() -> None:
    reached = []
    with pytest.raises(KeyboardInterrupt), interrupts.listening() as outer, interrupts.heeded():
        with interrupts.listening() as inner:
            assert inner is outer
            send(signal.SIGINT)
            reached.append("amid a write of the inner one")
            inner.check()
        reached.append("after the inner one")
    assert reached == ["amid a write of the inner one"]


def test_somebody_elses_handler_stays() -> None:
    heard_elsewhere = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard_elsewhere.append(number))
    try:
        with interrupts.listening() as heard:
            send(signal.SIGTERM)
            heard.check()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard_elsewhere == [signal.SIGTERM]


def test_another_thread_hears_nothing() -> None:
    seen = []

    def listens() -> None:
        with interrupts.listening() as heard, interrupts.heeded():
            seen.append(heard.heeds)

    with interrupts.listening() as heard:
        thread = threading.Thread(target=listens)
        thread.start()
        thread.join()
        assert (seen, heard.heeds) == ([False], False)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_forked_process_ends_by_the_signal(number: int) -> None:
    with interrupts.listening():
        child = os.fork()
        if child == 0:
            try:
                send(number)
                time.sleep(30)
            except KeyboardInterrupt:
                os._exit(42)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    assert ended == (42 if number == signal.SIGINT else signal.SIGTERM)
