"""An archive holds all that a report needs: it reads back equal, has the same bytes again, and tells where it was damaged."""

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evenhand import archive
from evenhand.cli import app
from evenhand.errors import InvalidSettings
from evenhand.records import Archive, Participant
from evenhand.report import build, page
from tests import archives, labs


def shifted(found: Archive) -> Archive:
    """The same records as another database would number them."""

    def person(each: Participant) -> Participant:
        session = None if each.session_id is None else each.session_id + 500
        return replace(each, id=each.id + 70, study_id=9, session_id=session, nickname="Zoe")

    sessions = tuple(
        replace(
            each,
            id=each.id + 500,
            study_id=9,
            participant_id=None if each.participant_id is None else each.participant_id + 70,
            trials=tuple(replace(trial, session_id=each.id + 500) for trial in each.trials),
        )
        for each in found.sessions
    )
    scores = {key + 500: replace(each, session_id=key + 500) for key, each in found.evaluations.items()}
    study = replace(found.study, id=9, webhook="http://127.0.0.1/secret", source="/home/someone/study.toml")
    return replace(
        found, study=study, versions=(study,), participants=tuple(map(person, found.participants)), sessions=sessions,
        evaluations=scores,
    )  # fmt: skip


def test_it_reads_back_what_was_written(tmp_path: Path) -> None:
    found = archives.many(12, seed=3)
    archive.write(found, tmp_path / "a.zip", "1")
    assert archive.read(tmp_path / "a.zip") == archive.renumbered(found)


def test_written_again_it_has_the_same_bytes_whatever_the_database_numbered(tmp_path: Path) -> None:
    found = archives.many(12, seed=3)
    archive.write(found, tmp_path / "a.zip", "1")
    archive.write(archive.read(tmp_path / "a.zip"), tmp_path / "b.zip", "1")
    archive.write(shifted(found), tmp_path / "c.zip", "1")
    assert len({(tmp_path / f"{name}.zip").read_bytes() for name in "abc"}) == 1


def test_the_report_of_an_archive_is_that_of_the_database(tmp_path: Path) -> None:
    found = archives.many(6, seed=3)
    archive.write(found, tmp_path / "a.zip", "1")
    pages = [page.html(build.build(each, "live"), "today") for each in (found, archive.read(tmp_path / "a.zip"))]
    assert pages[0] == pages[1]


def test_names_and_addresses_stay_out_of_it(tmp_path: Path) -> None:
    archive.write(shifted(archives.many(3, seed=3)), tmp_path / "a.zip", "1")
    with zipfile.ZipFile(tmp_path / "a.zip") as source:
        text = b"".join(source.read(name) for name in source.namelist())
    assert not any(each in text for each in (b"Zoe", b"secret", b"/home/someone"))


def test_an_edited_file_is_refused_by_name(tmp_path: Path) -> None:
    archive.write(archives.many(3, seed=3), tmp_path / "a.zip", "1")
    with zipfile.ZipFile(tmp_path / "a.zip") as source:
        files = {name: source.read(name) for name in source.namelist()}
    files["sessions.jsonl"] = files["sessions.jsonl"].replace(b"toy", b"TOY")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as target:
        for name, content in files.items():
            target.writestr(name, content)
    with pytest.raises(InvalidSettings, match=r"sessions\.jsonl is not what the manifest says"):
        archive.read(tmp_path / "a.zip")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_text("hello")
    with pytest.raises(InvalidSettings, match="not an archive"):
        archive.read(tmp_path / "a.zip")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as target:
        target.writestr(archive.MANIFEST, json.dumps({"format": 1, "sha256": {}}))
    with pytest.raises(InvalidSettings, match=r"studies\.jsonl is missing"):
        archive.read(tmp_path / "b.zip")


@pytest.mark.parametrize("backend", ["sqlite", "postgresql"])
def test_a_study_in_the_database_is_exported_by_command(backend: str, tmp_path: Path) -> None:
    if backend == "postgresql" and "EVENHAND_TEST_DB" not in os.environ:
        pytest.skip("EVENHAND_TEST_DB names no PostgreSQL")
    with labs.database(backend, tmp_path) as url:
        lab, _ = labs.make_lab(url)
        study = labs.toy_study(lab)
        session = lab.start(lab.open(study.id, tuner="random", mode="pilot").id)
        lab.submit(session.id, labs.SPACE.configuration({"epochs": 2, "learning_rate": 0.1 + 0.2}))
        command = ["study", "export", study.name, "--db", url, "--out", str(tmp_path / "a.zip")]
        assert CliRunner().invoke(app, command).exit_code == 1, "test scores stay hidden while a study collects"
        assert CliRunner().invoke(app, [*command, "--mode", "pilot"]).exit_code == 0
        back = archive.read(tmp_path / "a.zip")
        assert back == archive.renumbered(lab.archive(study.id, "pilot"))
        assert back.sessions[0].trials[0].configuration["learning_rate"] == 0.1 + 0.2
        lab.close()
