"""Values that are not what their column may hold, as other programs and damaged disks leave them: no backup fails for one."""

import json
import sqlite3
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Column, String, Table, text
from typer.testing import CliRunner

from evenhand.cli.main import app
from evenhand.errors import DataError
from evenhand.exchange import backup
from evenhand.lab.lab import Lab
from evenhand.store import tables
from evenhand.store.odd_cells import OddCell
from evenhand.studies.alerts import Watch
from tests.components import DATABASES
from tests.labs import database, make_lab, toy_study
from tests.test_backup import records, took_part

DEEP = "[" * 3000 + "]" * 3000
# By what a column holds, values that SQLite takes and it should not hold, as SQL.
ODD = {
    "text": ("CAST(x'61ff' AS TEXT)", "x'80ff'", "CAST(x'eda080' AS TEXT)", "'a' || char(0) || 'b'"),
    "json": (
        "'{'",
        "CAST(x'2280ff22' AS TEXT)",
        "x'7b7d'",
        "'\"\\ud800\"'",
        "'[NaN, 1e999, 1]'",
        "9e999",
        f"'{DEEP}'",
        f"'{'1' * 5000}'",
    ),
    "number": ("'twelve'", "x'00'", "CAST(x'ff' AS TEXT)"),
    "truth": ("7", "'yes'", "x'01'"),
}
MOST = max(map(len, ODD.values()))
OWN_TABLES = ("event", "token", "agent", "attempt")  # to which a restore adds what it did, or who is connected now


def kind_of(column: Column[Any]) -> str:
    if isinstance(column.type, JSON):
        return "json"
    return "truth" if isinstance(column.type, Boolean) else "text" if isinstance(column.type, String) else "number"


def free_columns(table: Table) -> list[Column[Any]]:
    """Columns that no key and no index is of, and that do not say who withdrew."""
    bound = {"withdrawn_at"} | {column.name for index in table.indexes for column in index.columns}
    bound |= {column.name for rule in table.constraints if hasattr(rule, "columns") for column in rule.columns}
    return [column for column in table.columns if column.name not in bound and not column.unique]


def spoil(path: Path, number: int) -> int:
    """Put the odd value of this number into the first row of every free column of every table; how many there are now."""
    count = 0
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in tables.metadata.sorted_tables:
            for column in free_columns(table):
                values = ODD[kind_of(column)]
                where = f'WHERE rowid = (SELECT min(rowid) FROM "{table.name}")'
                done = connection.execute(f'UPDATE "{table.name}" SET "{column.name}" = {values[number % len(values)]} {where}')
                count += done.rowcount
    return count


def exactly(path: Path) -> dict[str, list[Any]]:
    """Every cell as SQLite holds it: its kind and its bytes."""
    with closing(sqlite3.connect(path)) as connection:
        return {
            table.name: connection.execute(
                "SELECT {} FROM {} ORDER BY 1, 2".format(
                    ", ".join(f'typeof("{column.name}") || hex("{column.name}")' for column in table.columns), f'"{table.name}"'
                )
            ).fetchall()
            for table in tables.metadata.sorted_tables
            if table.name not in OWN_TABLES
        }


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    study = toy_study(lab)
    took_part(lab, study, "Ada")
    took_part(lab, study, "Grace")
    yield lab
    lab.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", range(MOST))
def test_odd_values_in_every_column_come_back_byte_for_byte(number: int, lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "lab.sqlite"
    count = spoil(path, number)
    before = exactly(path)
    made = backup.make(lab, tmp_path / "kept", tmp_path)
    assert sum(backup.odd_cells_of(made).values()) == count
    done = backup.restore(lab, backup.Backup(made), tmp_path)
    assert exactly(path) == before
    assert (done.replaced.exact, done.replaced.closest, done.replaced.left_out) == (count, 0, {})


@pytest.mark.postgres
@pytest.mark.parametrize("number", [0, 3])
def test_postgresql_takes_the_closest_values_and_every_row(number: int, lab: Lab, tmp_path: Path) -> None:
    count = spoil(tmp_path / "lab.sqlite", number)
    made = backup.make(lab, tmp_path / "kept", tmp_path)
    (tmp_path / "there").mkdir()
    with database("postgresql", tmp_path) as url:
        other, _ = make_lab(url)
        done = backup.restore(other, backup.Backup(made), tmp_path / "there")
        assert (done.replaced.exact, done.replaced.closest, done.replaced.left_out) == (0, count, {})
        assert records(other) == records(lab)  # of both, the closest
        assert records(other)["participant"][0]["nickname"] == ("a\\xff" if number == 0 else "a\\x00b")
        other.close()


@pytest.mark.slow
@pytest.mark.parametrize("backend", DATABASES)
def test_what_a_number_and_a_json_may_hold_comes_back(backend: str, tmp_path: Path) -> None:
    with database(backend, tmp_path) as url:
        lab, _ = make_lab(url)
        took_part(lab, toy_study(lab), "Ada")
        infinity, numbers = ("9e999", 1) if backend == "sqlite" else ("'NaN'", 0)
        half = "'\"\\ud800\"'"
        with lab.core.store.write() as tx:
            tx.execute(text(f"UPDATE measurement SET loss = {infinity}"))
            tx.execute(text(f"UPDATE answer SET value = {half}"))
        made = backup.make(lab, tmp_path / "kept", tmp_path)
        assert backup.odd_cells_of(made) == {"answer": 2}  # SQLite keeps no NaN, and what is not finite is a number
        with zipfile.ZipFile(made) as archive:
            answers = [json.loads(line) for line in archive.read("answer.jsonl").splitlines()]
            odd = [OddCell.from_json(json.loads(line)) for line in archive.read("answer.odd.jsonl").splitlines()]
        assert [row["value"] for row in answers] == ["\ufffd", "\ufffd"]
        assert odd == [OddCell(1, "value", "text", b'"\\ud800"'), OddCell(2, "value", "text", b'"\\ud800"')]
        done = backup.restore(lab, backup.Backup(made), tmp_path)
        assert (done.replaced.exact, done.replaced.closest) == ((2, 0) if backend == "sqlite" else (0, 2))
        with lab.core.read() as tx:
            losses = [str(loss) for loss in tx.execute(text("SELECT loss FROM measurement")).scalars()]
        assert losses == (["inf", "inf"] if numbers else ["nan", "nan"])
        lab.close()


def test_a_row_that_refers_to_nothing_is_left_out_and_counted(lab: Lab, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "lab.sqlite")) as connection, connection:
        connection.execute("INSERT INTO exclusion (participant_id, at, excluded, reason) VALUES (77, 1, 1, 'nobody')")
    made = backup.make(lab, tmp_path / "kept", tmp_path)
    done = backup.restore(lab, backup.Backup(made), tmp_path)
    assert done.replaced.left_out == {"exclusion": 1}
    (words,) = backup.replaced_words(done.replaced)
    assert words == (
        "1 rows were left out, which the database does not take (exclusion: 1): they refer to rows that are not there, or repeat "
        "what may be there once; the backup has them"
    )
    assert len(records(lab)["participant"]) == 2


def test_who_withdrew_stays_erased_from_a_study_of_an_odd_name(lab: Lab, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "lab.sqlite")) as connection, connection:
        connection.execute("UPDATE study SET name = CAST(x'61ff' AS TEXT)")
        connection.execute("UPDATE participant SET nickname = CAST(x'5365637265742dff' AS TEXT) WHERE number = 1")
    made = backup.make(lab, tmp_path / "kept", tmp_path)
    assert b"Secret" in zipfile.ZipFile(made).read("participant.jsonl")
    with closing(sqlite3.connect(tmp_path / "lab.sqlite")) as connection, connection:
        connection.execute("UPDATE participant SET withdrawn_at = 1000010.0, nickname = NULL WHERE number = 1")
    done = backup.restore(lab, backup.Backup(made), tmp_path)
    assert done.erased == 1
    assert [row["nickname"] for row in records(lab)["participant"]] == [None, "Grace"]


def test_the_keeper_makes_the_backup_and_the_watch_tells(lab: Lab, tmp_path: Path) -> None:
    keeper, watch = backup.Keeper(lab, tmp_path), Watch(lab, tmp_path)
    with closing(sqlite3.connect(tmp_path / "lab.sqlite")) as connection, connection:
        connection.execute("UPDATE answer SET value = '{' WHERE rowid = 1")
        connection.execute("UPDATE study_version SET declared = '{'")  # so that no study can be read
    keeper.look()
    watch.note_backups(keeper.troubles.values())
    (alert,) = watch.alerts
    assert alert.kind == "odd values"
    assert alert.words == (
        "of what the database holds 2 values are not what the column may hold (study_version: 1, answer: 1); the backup was made "
        "and keeps them as they are"
    )
    keeper.close()


def test_a_backup_that_fails_is_an_alert_at_once_and_stops_no_other(tmp_path: Path) -> None:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    keeper, watch, study = backup.Keeper(lab, tmp_path), Watch(lab, tmp_path), toy_study(lab)
    (tmp_path / "backups").write_text("no folder")
    keeper.look()
    watch.note_backups(keeper.troubles.values())
    (alert,) = watch.alerts
    assert (alert.kind, alert.words, alert.study_id) == ("backup failed", "a backup failed: File exists", study.id)
    clock.now += 60
    keeper.look()
    watch.note_backups(keeper.troubles.values())
    assert watch.alerts[0].since == clock.now - 60
    (tmp_path / "backups").unlink()
    keeper.look()
    watch.note_backups(keeper.troubles.values())
    assert watch.alerts == ()
    assert len(list((tmp_path / "backups").glob("*.zip"))) == 1
    keeper.close()
    lab.close()


def test_the_commands_say_what_is_odd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    lab = Lab.connect()
    toy_study(lab)
    lab.close()
    with closing(sqlite3.connect(tmp_path / "evenhand.sqlite")) as connection, connection:
        connection.execute("UPDATE task SET metric = x'00ff'")
    said = CliRunner().invoke(app, ["backup", str(tmp_path / "kept.zip")])
    assert said.exit_code == 0
    assert "1 value is not what the column may hold (task: 1); the backup keeps them" in " ".join(said.output.split())
    done = CliRunner().invoke(app, ["restore", str(tmp_path / "kept.zip"), "--yes"])
    assert done.exit_code == 0
    assert "1 values that are not what the column may hold are back as they were" in " ".join(done.output.split())


def test_an_odd_cell_that_was_changed_is_found(lab: Lab, tmp_path: Path) -> None:
    spoil(tmp_path / "lab.sqlite", 0)
    made = backup.make(lab, tmp_path / "kept", tmp_path)
    copy = made.with_name("copy.zip")
    with zipfile.ZipFile(made) as whole, zipfile.ZipFile(copy, "w") as changed:
        for name in whole.namelist():
            changed.writestr(name, whole.read(name)[1:] if name == "task.odd.jsonl" else whole.read(name))
    with pytest.raises(DataError, match="its table 'task' cannot be read"):
        backup.Backup(copy)
