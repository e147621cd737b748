"""A database that is damaged, emptied, replaced or gone, and a disk that is full: noticed, said, nothing written over."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from evenhand.cli.main import app
from evenhand.errors import DatabaseLost, DiskFull
from evenhand.exchange import backup
from evenhand.lab.lab import Lab, key_of
from evenhand.lab.places import Fault, FaultKind
from evenhand.lab.served import HEARTBEAT_FILE, beat
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.rehearsal.run import held_port, wait_for_server
from evenhand.store.engine import Store
from evenhand.store.soundness import stamp_of
from evenhand.studies import alerts
from evenhand.studies.alerts import UNREAD_SECONDS, Watch
from evenhand.web.app import describe
from evenhand.web.state import held_by
from tests.labs import SPACE, make_lab, started, toy_study
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import serve


def damage(path: Path) -> None:
    pages = bytearray(path.read_bytes())
    pages[4096:] = b"\xa5" * (len(pages) - 4096)
    path.write_bytes(pages)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace(path: Path) -> None:
    other = path.with_name("other.sqlite")
    Lab(Store(f"sqlite:///{other}")).close()
    other.rename(path)


def delete(path: Path) -> None:
    path.unlink()


def write_over(path: Path) -> None:
    """Another database, whole in itself, in the same file: as `cp other.sqlite lab.sqlite` does."""
    other = path.with_name("other.sqlite")
    lab = Lab(Store(f"sqlite:///{other}"))
    toy_study(lab)
    lab.close()
    identity = path.stat().st_ino
    path.write_bytes(other.read_bytes())
    assert path.stat().st_ino == identity


RUINS = [damage, empty, replace, delete, write_over]


def settled(lab: Lab, path: Path) -> None:
    """All of the database in its one file."""
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


@pytest.mark.slow
@pytest.mark.parametrize("ruin", RUINS, ids=lambda ruin: ruin.__name__)
def test_a_running_server_notices_a_ruin_refuses_writes_and_says_so(ruin: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "lab.sqlite"
    lab, clock = make_lab(f"sqlite:///{path}")
    study = toy_study(lab)
    with serve(lab, clock, tmp_path) as site:
        settled(lab, path)
        ruin(path)
        shown = wait_for(lambda: [alert for alert in held_by(site.app).alerts if alert.kind == "database"], "an alert")
        assert "nothing is recorded any more" in shown[0].words
        assert "evenhand restore" in shown[0].what_to_do
        with pytest.raises(DatabaseLost, match="What you sent was not taken"):
            lab.participants.invite(study.id, "after")
    lab.close()


def test_content_that_is_written_over_the_same_file_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "lab.sqlite"
    lab, _ = make_lab(f"sqlite:///{path}")
    study = toy_study(lab)
    lab.recover()
    settled(lab, path)
    older = path.read_bytes()
    beside, _ = make_lab(f"sqlite:///{path}")  # a second process on the same file
    lab.recover()
    assert lab.fault() is beside.fault() is None  # a start beside it is no fault
    settled(lab, path)
    path.write_bytes(older)
    for opened in (lab, beside):
        fault = opened.fault()
        assert fault is not None
        assert (fault.kind, fault.words) == (FaultKind.REPLACED, "its file was written over with an older state of it")
        with pytest.raises(DatabaseLost, match="an older state of it"):
            opened.participants.invite(study.id, "after")
        opened.close()
    again, _ = make_lab(f"sqlite:///{path}")
    again.recover()
    settled(again, path)
    write_over(path)
    other = again.fault()
    assert other is not None
    assert other.words == "its file was written over with another database"
    again.close()


def test_a_database_of_before_gets_a_number_at_the_first_start_and_a_restore_changes_none(tmp_path: Path) -> None:
    path = tmp_path / "lab.sqlite"
    lab, _ = make_lab(f"sqlite:///{path}")
    toy_study(lab)
    made = backup.make(lab, tmp_path / "kept", tmp_path)
    with lab.core.store.write() as tx:
        tx.exec_driver_sql("PRAGMA application_id = 0")
    old, _ = make_lab(f"sqlite:///{path}")
    lab.recover()
    stamp = stamp_of(path)
    assert stamp is not None
    assert stamp.database > 0
    backup.restore(lab, backup.Backup(made), tmp_path)
    assert stamp_of(path) == stamp
    assert old.fault() is None
    assert lab.fault() is not None  # its number was taken away while it was open
    old.close()
    lab.close()


@pytest.mark.slow
def test_a_server_refuses_writes_to_another_file_and_ends_in_order(tmp_path: Path) -> None:
    path, log = tmp_path / "lab.sqlite", tmp_path / "said.txt"
    environment = {**os.environ, "EVENHAND_DATA": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    with held_port() as port, log.open("w") as said:
        options = ["serve", "--db", f"sqlite:///{path}", "--port", str(port), "--slots", "1"]
        command = [sys.executable, "-m", "evenhand.cli.main", *options]
        server = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
        try:
            wait_for_server(address := f"http://127.0.0.1:{port}", server)
            link = wait_for(lambda: re.search(r"/signin/\S+", log.read_text()), "its link is told")
            wait_for(lambda: list(tmp_path.glob("agent-*.lock")), "its agent runs")
            other = tmp_path / "other.sqlite"
            other.write_bytes(path.read_bytes())
            other.replace(path)
            wait_for(lambda: "the database is not what it was" in log.read_text(), "the ruin is noticed")
            answer = httpx.post(f"{address}{link[0]}", trust_env=False)
            assert answer.status_code == 503
            assert "database is not what it was, its file was replaced" in answer.text
            server.terminate()
            code = server.wait(PATIENCE_SECONDS)
        finally:
            server.kill()
    assert "Traceback" not in log.read_text()
    assert code in (0, -signal.SIGTERM)


def test_a_lost_database_and_a_full_disk_are_answered_with_503_and_words() -> None:
    status, name, words = describe(DatabaseLost("nothing can be recorded now"))
    assert (status, name, words) == (503, "DatabaseLost", "nothing can be recorded now")
    for full in (DiskFull(), OSError(28, "No space left on device")):
        status, name, words = describe(full)
        assert (status, name) == (503, "DiskFull")
        assert "Nothing that was recorded before is lost" in words


@pytest.mark.parametrize("ruin", [damage, empty, delete], ids=lambda ruin: ruin.__name__)
def test_a_start_names_the_backup_and_restore_works_over_the_ruin(
    ruin: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    path = tmp_path / "evenhand.sqlite"
    lab = Lab.connect()
    study = toy_study(lab)
    made = backup.make(lab, tmp_path / "backups", tmp_path)
    beat(tmp_path / HEARTBEAT_FILE.format(lab.key), lab.clock())
    url = lab.core.store.url
    lab.close()
    settled(lab, path)
    backup.check_start(url, tmp_path)
    ruin(path)
    left = path.read_bytes() if path.exists() else None
    with pytest.raises(DatabaseLost, match=made.name):
        backup.check_start(url, tmp_path)
    done = CliRunner().invoke(app, ["restore", str(made), "--yes"])
    assert done.exit_code == 0, done.output
    aside = [file for file in tmp_path.glob("evenhand.sqlite.damaged-*") if not file.name.endswith(("-wal", "-shm"))]
    assert [file.read_bytes() for file in aside] == ([] if left is None else [left])
    backup.check_start(url, tmp_path)
    restored = Lab.connect()
    assert restored.studies.get(study.id).name == study.name
    restored.close()


def test_a_look_that_cannot_open_the_file_is_no_ruin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "lab.sqlite"
    lab, clock = make_lab(f"sqlite:///{path}")
    study = toy_study(lab)
    watch = Watch(lab, tmp_path)
    with monkeypatch.context() as exhausted:
        exhausted.setattr("evenhand.store.soundness.sqlite3.connect", no_file_left)
        fault = lab.fault()
        assert fault is not None
        assert not fault.lasts
        assert backup.set_aside(lab.core.store.url, tmp_path) is None
        backup.check_start(lab.core.store.url, tmp_path)
        assert watch.look_at_database() is None
        clock.now += UNREAD_SECONDS
        problem = watch.look_at_database()
        assert problem is not None
        assert "cannot be looked at" in problem.words
    assert lab.fault() is None
    assert watch.look_at_database() is None
    assert watch.alerts == ()
    lab.participants.invite(study.id, "after")
    lab.close()


def no_file_left(*_: object, **__: object) -> None:
    raise sqlite3.OperationalError("unable to open database file")


def test_a_database_that_is_just_being_made_is_no_ruin(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    with closing(sqlite3.connect(tmp_path / "lab.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")  # the first that a new one gets, before any table
        assert (tmp_path / "lab.sqlite").stat().st_size
        backup.check_start(url, tmp_path)
        assert backup.set_aside(url, tmp_path) is None
    Store(url).close()


def test_a_ruin_that_was_never_served_is_called_that_and_no_file_is_named_that_is_not_there(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    (tmp_path / "lab.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(DatabaseLost) as unserved:
        backup.check_start(url, tmp_path)
    assert "served" not in str(unserved.value)
    assert "heartbeat" not in str(unserved.value)
    (tmp_path / "lab.sqlite").unlink()
    beat(tmp_path / HEARTBEAT_FILE.format(key_of(url)), 1.0)
    with pytest.raises(DatabaseLost) as gone:
        backup.check_start(url, tmp_path)
    assert "was served here, and now its file is not there" in str(gone.value)
    assert str(gone.value).endswith(f"move {tmp_path / HEARTBEAT_FILE.format(key_of(url))} away")
    assert "kept aside" not in str(gone.value)


def test_a_ruin_takes_no_good_backups_place(tmp_path: Path) -> None:
    path = tmp_path / "lab.sqlite"
    lab, clock = make_lab(f"sqlite:///{path}")
    toy_study(lab)
    keeper = backup.Keeper(lab, tmp_path)
    keeper.look()
    kept = sorted((tmp_path / "backups").iterdir())
    assert kept
    replace(path)
    clock.now += backup.INTERVAL_SECONDS + 1
    keeper.look()
    assert sorted((tmp_path / "backups").iterdir()) == kept
    keeper.close()
    lab.close()


def test_a_look_that_began_before_the_ruin_leaves_its_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    posted: list[str] = []

    def post(url: str, content: Mapping[str, Any]) -> str:
        posted.append(content["text"])
        return ""

    monkeypatch.setattr(alerts, "post", post)
    path = tmp_path / "lab.sqlite"
    lab, _ = make_lab(f"sqlite:///{path}")
    lab.studies.add(changed(toy_study(lab), name="told", webhook="http://127.0.0.1:1/x", id=0))
    watch = Watch(lab, tmp_path)
    watch.look()
    fault = Fault(FaultKind.MISSING, "its file is not there")
    monkeypatch.setattr(lab, "fault", lambda: fault)
    assert watch.look_at_database() is not None
    with monkeypatch.context() as before:
        before.setattr(lab, "fault", lambda: None)
        watch.look()
    assert [alert.kind for alert in watch.alerts if alert.kind == "database"] == ["database"]
    watch.look_at_database()
    assert len([text for text in posted if "not what it was" in text]) == 1
    lab.close()


def test_a_full_disk_loses_nothing_and_says_what_to_do(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    lab = Lab(store)
    study = toy_study(lab)
    with store.write() as tx:
        pages = tx.exec_driver_sql("PRAGMA page_count").scalar()
        tx.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DiskFull, match="Nothing that was recorded before is lost"):
        lab.participants.invite(study.id, "x" * 1_000_000)
    assert lab.studies.get(study.id).name == study.name
    lab.close()


@pytest.mark.parametrize("column", ["session.budget", "session.method", "task.space", "trial.configuration"])
@pytest.mark.parametrize("value", ["{", "null", b"\x80\xff", "[1]", 12.5])
def test_what_is_done_for_all_sessions_goes_on_where_one_cannot_be_read(column: str, value: object, tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    broken = started(lab, toy_study(lab))
    lab.submit(broken.id, {"epochs": 2})
    second = lab.studies.add_task(TaskRecord(TaskSpec("second"), "version 2", SPACE, "accuracy", "maximize", 10))
    other = started(lab, lab.studies.add(changed(toy_study(lab), name="other", task_id=second.id)))
    table, _, name = column.partition(".")
    with closing(sqlite3.connect(tmp_path / "lab.sqlite")) as connection, connection:
        connection.execute(f"UPDATE {table} SET {name} = ? WHERE id = 1", (value,))
    fresh = Lab(Store(lab.core.store.url), lab.rules, clock)
    watch = Watch(fresh, tmp_path)
    if unreadable := fresh.sessions.running()[1]:
        assert list(unreadable) == [broken.id]
        assert [alert.about for alert in watch.look() if alert.kind == "unreadable"] == [f"session {broken.id}"]
    clock.now += 1e6
    fresh.sweep()
    assert fresh.sessions.get(other.id).choice is not None
    fresh.close()
    lab.close()


def test_a_database_is_its_owners_only_whatever_the_umask(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, before = tmp_path / "lab.sqlite", os.umask(0)
    try:
        lab = Lab(Store(f"sqlite:///{path}"))
        toy_study(lab)
        assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("lab.sqlite*")} == {0o600}
        lab.close()
    finally:
        os.umask(before)
    path.chmod(0o644)
    Store(f"sqlite:///{path}").close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "now it is its owner's only" in caplog.text
