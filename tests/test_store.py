"""Writes that wait for each other are committed together, and what one of them does wrong concerns it alone."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from evenhand.store import MOST_TOGETHER, Store
from tests.labs import database


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with database("sqlite", tmp_path) as url:
        store = Store(url)
        with store.write() as tx:
            tx.execute(text("CREATE TABLE note (number INTEGER PRIMARY KEY)"))
        yield store
        store.close()


def add(tx: Connection, number: int) -> None:
    tx.execute(text("INSERT INTO note VALUES (:number)"), {"number": number})


def numbers(store: Store) -> list[int]:
    with store.read() as tx:
        return list(tx.execute(text("SELECT number FROM note ORDER BY number")).scalars())


def count_commits(store: Store) -> list[int]:
    commits: list[int] = []
    event.listen(store._engine, "commit", lambda connection: commits.append(1))
    return commits


def held_up(store: Store, work: Sequence[int | None]) -> list[BaseException | None]:
    """Let one write begin, others wait for it, and then all go on; what each of the others raised. None: it fails on purpose."""
    begun, go_on, count = threading.Event(), threading.Event(), len(work)

    def first() -> None:
        with store.write() as tx:
            add(tx, 0)
            begun.set()
            go_on.wait(10)

    def other(number: int | None) -> None:
        with store.write() as tx:
            add(tx, number if number is not None else 500)
            if number is None:
                raise ValueError("on purpose")

    with ThreadPoolExecutor(count + 1) as pool:
        leader = pool.submit(first)
        begun.wait(10)
        others = [pool.submit(other, number) for number in work]
        until = time.monotonic() + 10
        while store._waiting < count and time.monotonic() < until:
            time.sleep(0.001)
        go_on.set()
        leader.result(10)
        return [each.exception(10) for each in others]


def test_writes_that_wait_are_committed_together(store: Store) -> None:
    commits = count_commits(store)
    assert held_up(store, list(range(1, 11))) == [None] * 10
    assert numbers(store) == list(range(11))
    assert len(commits) == 2, "one of the writes, one of the read"


def test_a_group_has_an_end(store: Store) -> None:
    commits = count_commits(store)
    count = MOST_TOGETHER + 10
    assert held_up(store, list(range(1, count + 1))) == [None] * count
    assert len(commits) == 2
    assert len(numbers(store)) == count + 1


def test_an_error_undoes_its_own_write_only(store: Store) -> None:
    failed = held_up(store, [1, None, 2])
    assert [type(each) for each in failed] == [type(None), ValueError, type(None)]
    assert numbers(store) == [0, 1, 2]
    with store.write() as tx:
        add(tx, 7)
    assert numbers(store) == [0, 1, 2, 7], "the next write finds no trace of the error"


def test_the_first_write_may_fail(store: Store) -> None:
    def write() -> None:
        with store.write() as tx:
            add(tx, 1)
            raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        write()
    with store.write() as tx:
        add(tx, 2)
    assert numbers(store) == [2]


def test_a_write_returns_after_its_commit(store: Store) -> None:
    def write(number: int) -> bool:
        with store.write() as tx:
            add(tx, number)
        return number in numbers(store)

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(write, range(200)))


def test_where_sqlite_undoes_a_transaction_by_itself_everyone_in_it_is_told(store: Store) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with store.write() as tx:
            add(tx, 1)
            begun.set()
            go_on.wait(10)

    def second() -> None:
        with store.write() as tx:
            tx.exec_driver_sql("ROLLBACK")
            raise ValueError("the disk is full")

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        begun.wait(10)
        two = pool.submit(second)
        while not store._waiting:
            time.sleep(0.001)
        go_on.set()
        assert two.exception(10) is not None
        assert isinstance(one.exception(10), OSError)
    with store.write() as tx:
        add(tx, 2)
    assert numbers(store) == [2]


def test_one_thread_does_the_writes_of_all_that_wait(store: Store) -> None:
    commits, threads = count_commits(store), set[int]()
    begun, go_on = threading.Event(), threading.Event()

    def first(tx: Connection) -> int:
        add(tx, 0)
        begun.set()
        go_on.wait(10)
        return 0

    def other(number: int) -> int:
        def work(tx: Connection) -> int:
            threads.add(threading.get_ident())
            add(tx, number)
            if number in (1, 5):
                raise ValueError("on purpose")
            return number

        return store.together(work)

    with ThreadPoolExecutor(12) as pool:
        leader = pool.submit(store.together, first)
        begun.wait(10)
        others = [pool.submit(other, number) for number in range(1, 11)]
        until = time.monotonic() + 10
        while len(store._works) < 10 and time.monotonic() < until:
            time.sleep(0.001)
        go_on.set()
        assert leader.result(10) == 0
        errors = [each.exception(10) for each in others]
    assert [number for number, error in enumerate(errors, 1) if error is not None] == [1, 5]
    assert [each.result() for each in others if each.exception() is None] == [2, 3, 4, 6, 7, 8, 9, 10]
    assert (len(threads), len(commits)) == (1, 1)
    assert numbers(store) == [0, 2, 3, 4, 6, 7, 8, 9, 10]


def test_all_that_wait_are_told_where_the_turn_itself_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Connection:
        raise OSError("no more files")

    with monkeypatch.context() as patched:
        patched.setattr(store, "_begin", fail)
        for _ in range(2):
            with pytest.raises(OSError, match="no more files"):
                store.together(lambda tx: add(tx, 1))
    store.together(lambda tx: add(tx, 2))
    assert numbers(store) == [2]
