"""Who can read what is written: what holds data is its owner's only, whatever the umask."""

import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import evenhand
from evenhand import settings
from evenhand.exchange import backup, export
from evenhand.lab.lab import Lab
from evenhand.model.domain import Float
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.rehearsal.bots import Memory
from evenhand.tasks.checkpoints import FOLDER, save
from evenhand.tasks.run import Run
from evenhand.web.serving import Server
from tests.labs import toy_study
from tests.test_backup import took_part


@pytest.fixture
def open_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data directory that is not there yet, under a umask that hides nothing."""
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "above" / "data"))
    before = os.umask(0)
    yield tmp_path / "above" / "data"
    os.umask(before)


def open_to_others(folder: Path) -> list[str]:
    """What of a folder, itself included, others have rights to."""
    return [str(path) for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077]


def train(configuration: Mapping[str, float], run: Run) -> float:
    run.keep(dict(configuration), "state")
    (run.folder / "kept.txt").touch(0o600)
    run.keep(run.folder / "kept.txt", "file")
    return configuration["rate"]


@pytest.mark.slow
def test_all_that_holds_data_is_its_owners_only_whatever_the_umask(open_umask: Path) -> None:
    lab = Lab.connect()
    study = toy_study(lab)
    took_part(lab, study, "Ada")
    Server(lab, "127.0.0.1", 1, 0)
    backup.make(lab, open_umask / "backups", open_umask)
    export.to_folder(export.Export(lab, study.id, "live", who="me", evaluations=False), open_umask / "folder")
    export.to_zip(export.Export(lab, study.id, "live", who="me", evaluations=False), open_umask / "export.zip")
    space = Space([Hyperparameter("rate", Float(0, 1))])
    evenhand.tune(train, space, direction="maximize", trials=1, evaluate=False, progress=False)
    save(open_umask / FOLDER / "state.pickle", {})
    Memory.at(open_umask / "bots.json").keep(1, code="secret")
    lab.close()
    assert open_to_others(open_umask.parent) == []


def test_what_was_open_is_closed_at_the_start_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    mine = tmp_path / "mine.txt"
    (tmp_path / "backups").mkdir(mode=0o755)
    for path in (mine, tmp_path / "settings.toml", tmp_path / "backups" / "evenhand-old.zip"):
        path.write_text("")
        path.chmod(0o644)
    tmp_path.chmod(0o755)
    lab = Lab.connect()
    with caplog.at_level(logging.WARNING):
        Server(lab, "127.0.0.1", 1, 0)
    assert open_to_others(tmp_path) == [str(tmp_path), str(mine)]
    assert f"{tmp_path / 'backups'} could be read by others" in caplog.text
    assert f"{tmp_path / 'settings.toml'} could be read by others" in caplog.text
    lab.close()
    monkeypatch.delenv("EVENHAND_DATA")
    assert settings.close_to_others(tmp_path) == [tmp_path]
