"""Writes that wait for each other are committed together, and what one of them does wrong concerns it alone."""

import json
import math
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from evenhand.errors import DiskFull, InvalidSettings, NotFound
from evenhand.lab.client import error_of
from evenhand.lab.lab import Lab
from evenhand.store.engine import MOST_WRITES_TOGETHER, Store, read_json
from tests.components import DATABASES, need
from tests.labs import database
from tests.waiting import PATIENCE_SECONDS, wait_for


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("sqlite:///{folder}/none/x.db", "cannot be opened (unable to open database file)"),
        ("sqlite:///{folder}", "cannot be opened (unable to open database file)"),
        ("sqlite:///{folder}/text.db", "cannot be opened (file is not a database)"),
        ("sqlite:///{folder}/other.db", "its tables are of revision v3.2.0.a, which this Evenhand does not know"),
        ("sqlite://host/x.db", "Invalid SQLite URL"),
        ("mysql://a:secret@h/x", "expected sqlite:///PATH or postgresql"),
        ("nonsense:secret@x", "expected sqlite:///PATH or postgresql"),
        ("sqlite:////nowhere/\udc80.sqlite", "expected sqlite:///PATH or postgresql"),
        ("postgresql+psycopg://a:secret@h:port/c", "expected sqlite:///PATH or postgresql"),
        ("postgresql+nosuch://a:secret@h/c", "Can't load plugin"),
    ],
)
def test_a_database_that_cannot_be_opened_is_said_in_one_sentence_without_its_password(
    url: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / "text.db").write_text("no database at all, but a text that is long enough to be taken for one\n" * 9)
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
        other.execute("INSERT INTO alembic_version VALUES ('v3.2.0.a')")
    with pytest.raises(InvalidSettings) as refused:
        Store(url.format(folder=tmp_path))
    said = str(refused.value)
    assert words in said
    assert "\n" not in said
    assert "secret" not in said


def test_a_server_that_refuses_is_said_in_one_sentence_without_its_password() -> None:
    need("psycopg")
    with pytest.raises(InvalidSettings, match=r"'postgresql\+psycopg://a:\*\*\*@127\.0\.0\.1:1/c': cannot be opened") as refused:
        Store("postgresql+psycopg://a:secret@127.0.0.1:1/c")
    assert "secret" not in str(refused.value)


def test_what_is_no_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="expected a text, sqlite:///PATH or"):
        Store(tmp_path / "x.sqlite")  # type: ignore[arg-type]


def test_a_data_directory_that_cannot_be_made_is_said_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "within"):
        monkeypatch.setenv("EVENHAND_DATA", str(folder))
        with pytest.raises(InvalidSettings, match=r"data directory '.*': cannot be made \(.*\); set EVENHAND_DATA to one"):
            Lab.connect()


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


def test_a_number_that_no_database_holds_is_no_rows(store: Store) -> None:
    with store.read() as tx, pytest.raises(NotFound, match="nothing here has one"):
        tx.execute(text("SELECT number FROM note WHERE number = :number"), {"number": 10**20})


def test_half_a_character_is_refused_with_what_to_do(store: Store) -> None:
    with store.read() as tx, pytest.raises(InvalidSettings, match="which cannot be stored; remove it"):
        tx.execute(text("SELECT number FROM note WHERE number = :text"), {"text": "\ud800"})


@pytest.mark.parametrize("backend", DATABASES)
def test_a_read_sees_one_state_whatever_is_written_meanwhile(backend: str, tmp_path: Path) -> None:
    with database(backend, tmp_path) as url:
        store = Store(url)
        with store.write() as tx:
            tx.execute(text("CREATE TABLE note (number INTEGER PRIMARY KEY)"))
        count = text("SELECT count(*) FROM note")
        with store.read() as tx:
            before = tx.execute(count).scalar_one()
            with store.write() as other:
                add(other, 1)
            assert tx.execute(count).scalar_one() == before == 0
        assert numbers(store) == [1]
        store.close()


@pytest.mark.parametrize(
    "written",
    [
        {"rate": 1e-5, "units": [64, 32], "name": "Ünï\u2028", "none": None, "whole": 1.0, "off": False, "zero": -0.0},
        [2**63 - 1, -(2**63), 2**64, 10**40, 5e-324, 1.7976931348623157e308, 0.1],
        [math.nan, math.inf, -math.inf],
        "\ud800",
        {},
    ],
)
def test_json_is_read_as_python_wrote_it(written: object) -> None:
    text_of = json.dumps(written)
    assert repr(read_json(text_of)) == repr(json.loads(text_of)) == repr(written)


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
            go_on.wait(PATIENCE_SECONDS)

    def other(number: int | None) -> None:
        with store.write() as tx:
            add(tx, number if number is not None else 500)
            if number is None:
                raise ValueError("on purpose")

    with ThreadPoolExecutor(count + 1) as pool:
        leader = pool.submit(first)
        assert begun.wait(PATIENCE_SECONDS)
        others = [pool.submit(other, number) for number in work]
        wait_for(lambda: store._waiting, f"{count} writes wait", lambda waiting: waiting == count)
        go_on.set()
        leader.result(PATIENCE_SECONDS)
        return [write.exception(PATIENCE_SECONDS) for write in others]


def test_writes_that_wait_are_committed_together(store: Store) -> None:
    commits = count_commits(store)
    assert held_up(store, list(range(1, 11))) == [None] * 10
    assert numbers(store) == list(range(11))
    assert len(commits) == 2, "one of the writes, one of the read"


def test_a_group_has_an_end(store: Store) -> None:
    commits = count_commits(store)
    count = MOST_WRITES_TOGETHER + 10
    assert held_up(store, list(range(1, count + 1))) == [None] * count
    assert len(commits) == 2
    assert len(numbers(store)) == count + 1


def test_an_error_undoes_its_own_write_only(store: Store) -> None:
    failed = held_up(store, [1, None, 2])
    assert [type(error) for error in failed] == [type(None), ValueError, type(None)]
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
            go_on.wait(PATIENCE_SECONDS)

    def second() -> None:
        with store.write() as tx:
            tx.exec_driver_sql("ROLLBACK")
            raise ValueError("the disk cannot be read")

    with ThreadPoolExecutor(2) as pool:
        leading = pool.submit(first)
        assert begun.wait(PATIENCE_SECONDS)
        following = pool.submit(second)
        wait_for(lambda: store._waiting, "the second waits")
        go_on.set()
        for writer in (leading, following):
            assert str(writer.exception(PATIENCE_SECONDS)) == "the disk cannot be read"
    with store.write() as tx:
        add(tx, 2)
    assert numbers(store) == [2]


@pytest.mark.postgres
def test_a_servers_full_disk_is_said_as_one_of_this_machine(tmp_path: Path) -> None:
    with database("postgresql", tmp_path) as url:
        store = Store(url)
        with pytest.raises(DiskFull, match="Nothing that was recorded before is lost"), store.write() as tx:
            tx.exec_driver_sql("DO $$ BEGIN RAISE disk_full; END $$")
        store.close()


def test_an_error_that_came_back_over_http_keeps_its_words() -> None:
    assert str(error_of(409, {"error": "DiskFull", "message": "the words of the server"})) == "the words of the server"


def test_one_thread_does_the_writes_of_all_that_wait(store: Store) -> None:
    commits, threads = count_commits(store), set[int]()
    begun, go_on = threading.Event(), threading.Event()

    def first(tx: Connection) -> int:
        add(tx, 0)
        begun.set()
        go_on.wait(PATIENCE_SECONDS)
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
        assert begun.wait(PATIENCE_SECONDS)
        others = [pool.submit(other, number) for number in range(1, 11)]
        wait_for(lambda: store._works, "ten writes wait", lambda works: len(works) == 10)
        go_on.set()
        assert leader.result(PATIENCE_SECONDS) == 0
        errors = [write.exception(PATIENCE_SECONDS) for write in others]
    assert [number for number, error in enumerate(errors, 1) if error is not None] == [1, 5]
    assert [write.result() for write in others if write.exception() is None] == [2, 3, 4, 6, 7, 8, 9, 10]
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
