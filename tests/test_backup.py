"""Backup and restore on real databases: nothing is lost, nothing is changed by a damaged file, and who withdrew stays erased."""

import hashlib
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from evenhand.errors import DataError, InvalidSettings, Refused, StaleAttempt
from evenhand.exchange import backup
from evenhand.lab.backups import TABLE_NAMES, Erasure, revisions, unnoted
from evenhand.lab.lab import Lab
from evenhand.model.participant import Participant
from evenhand.model.trial import Outcome
from evenhand.store.engine import Store
from evenhand.web.access import Role
from tests.components import DATABASES
from tests.labs import SPACE, Clock, claim, database, epoch, make_lab, toy_study
from tests.web import serve, tuning_participant

CONFIGURATION = SPACE.configuration({"epochs": 2})


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with database(request.param, tmp_path) as database_url:
        yield database_url


@pytest.fixture
def lab_and_clock(url: str) -> Iterator[tuple[Lab, Clock]]:
    lab, clock = make_lab(url)
    yield lab, clock
    lab.close()


def dump(lab: Lab) -> dict[str, list[Any]]:
    with lab.backups.make() as rows:
        return {name: list(rows(name, unnoted)) for name in TABLE_NAMES}


def records(lab: Lab) -> dict[str, list[Any]]:
    """Every table but the events, to which a restore adds its own, and who is signed in."""
    return {name: rows for name, rows in dump(lab).items() if name not in ("event", "token")}


def took_part(lab: Lab, study: Any, words: str) -> Participant:
    """Somebody who answered, trained one trial to its end, and gave a nickname."""
    person, _ = lab.participants.join(study.id, nickname=words)
    lab.participants.consent(person.id, study.consent.version)
    lab.participants.answer(person.id, "background", {"months": 12, "education": "msc"})
    lab.participants.read_details(person.id)
    session = lab.participants.begin(person.id)
    agent, _ = lab.agents.add("one", 1)
    lab.submit(session.id, CONFIGURATION, explanation=words)
    job = claim(lab, agent)
    lab.measure(job.job_id, job.attempt, [epoch(0, 1, 0.3), epoch(1, 2, 0.6)])
    lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)
    return lab.participants.get(person.id)


@pytest.mark.slow
def test_what_was_there_comes_back(lab_and_clock: tuple[Lab, Clock], tmp_path: Path) -> None:
    lab, _ = lab_and_clock
    study = toy_study(lab)
    took_part(lab, study, "Ada")
    before = records(lab)
    path = backup.make(lab, tmp_path / "kept", tmp_path)
    assert path.name == "evenhand-19700112T134640Z.zip"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "kept").iterdir()] == [path.name]
    took_part(lab, study, "Grace")
    done = backup.restore(lab, backup.Backup(path), tmp_path)
    now = records(lab)
    assert len(now.pop("agent")) == 2  # an agent that is connected goes on
    before.pop("agent")
    assert now == before
    assert done.erased == 0
    assert took_part(lab, study, "Grace again").pseudonym == "P-02"
    backup.restore(lab, backup.Backup(done.safety), tmp_path)
    assert [participant.nickname for participant in lab.participants.of_study(study.id)] == ["Ada", "Grace"]


@pytest.mark.slow
def test_a_restore_keeps_the_people_of_now_and_who_is_signed_in(lab_and_clock: tuple[Lab, Clock], tmp_path: Path) -> None:
    lab, _ = lab_and_clock
    owner, rosa = lab.people.first_owner("Ada"), lab.people.add("Rosa")
    path = backup.make(lab, tmp_path / "kept", tmp_path)
    lab.people.rename(rosa.id, "Rosalind")
    bert = lab.people.add("Bert", "owner")
    lab.people.set_role(owner.id, "researcher")
    made = lab.people.sign_in(lab.people.link(rosa.id), "Firefox")
    assert made is not None
    before = lab.people.everybody()
    backup.restore(lab, backup.Backup(path), tmp_path)
    assert lab.people.everybody() == before
    assert lab.people.signed_in(made[0]) == lab.people.named("Rosalind")
    lab.people.remove(rosa.id)
    backup.restore(lab, backup.Backup(path), tmp_path)
    assert {person.name for person in lab.people.present()} == {"Ada", "Bert"}  # who was removed stays so
    assert lab.people.named("Bert") == bert
    assert lab.people.shown(rosa.who) == "Rosalind"


@pytest.mark.slow
def test_whom_only_the_backup_knows_comes_back_signed_out(tmp_path: Path) -> None:
    there, _ = make_lab(f"sqlite:///{tmp_path / 'there.sqlite'}")
    rosa = there.people.add("Rosa")
    made = there.people.sign_in(there.people.link(rosa.id), "Firefox")
    assert made is not None
    path = backup.make(there, tmp_path / "kept", tmp_path)
    there.close()
    here, _ = make_lab(f"sqlite:///{tmp_path / 'here.sqlite'}")
    here.people.first_owner("Ada")
    backup.restore(here, backup.Backup(path), tmp_path)
    assert here.people.named("Rosa") == rosa
    assert (here.people.signed_in(made[0]), here.people.ways_in()) == (None, [])
    assert {person.name for person in here.people.present()} == {"Owner", "Ada", "Rosa"}
    here.close()


@pytest.mark.slow
@pytest.mark.parametrize("beside", [False, True])
def test_who_withdrew_stays_erased(lab_and_clock: tuple[Lab, Clock], tmp_path: Path, beside: bool) -> None:
    lab, clock = lab_and_clock
    study = toy_study(lab)
    gone, stays = took_part(lab, study, "Secret words"), took_part(lab, study, "Plain words")
    path = backup.make(lab, tmp_path / "kept", tmp_path)
    clock.now += 10
    lab.participants.withdraw(gone.id)
    target, empty = lab, None
    if beside:  # the disk is lost; what is left lies beside the backup
        backup.note_erasures(lab, [path.parent])
        (tmp_path / "new").mkdir()
        target = empty = make_lab(f"sqlite:///{tmp_path / 'new' / 'lab.sqlite'}")[0]
    done = backup.restore(target, backup.Backup(path), tmp_path / "new" if beside else tmp_path)
    assert done.erased == 1
    text = json.dumps(dump(target))
    assert "Secret words" not in text
    assert "Plain words" in text
    people = target.participants.of_study(study.id)
    assert [participant.withdrawn_at for participant in people] == [clock.now, None]
    assert [len(target.sessions.get(participant.session_id or 0).trials) for participant in people] == [0, 1]
    assert people[0].answers == {}
    assert people[1].pseudonym == stays.pseudonym
    if empty:
        empty.close()


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[tuple[Lab, Clock]]:
    lab, clock = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}")
    yield lab, clock
    lab.close()


def changed(path: Path, name: str, change: Any) -> Path:
    """A copy of a backup in which one file is another."""
    copy = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as original, zipfile.ZipFile(copy, "w") as out:
        for member in original.namelist():
            out.writestr(member, change(original.read(member)) if member == name else original.read(member))
    return copy


def test_damaged_and_newer_backups_are_refused(toy: tuple[Lab, Clock], tmp_path: Path) -> None:
    lab, _ = toy
    toy_study(lab)
    path = backup.make(lab, tmp_path / "kept", tmp_path)
    with pytest.raises(DataError, match="'study' is not what was written: 0 rows, expected 1"):
        backup.Backup(changed(path, "study.jsonl", lambda data: b""))
    with pytest.raises(DataError, match="'task' cannot be read"):
        backup.Backup(changed(path, "task.jsonl", lambda data: data[:-9]))
    with pytest.raises(DataError, match=r"manifest\.json is missing"):
        backup.Backup(changed(path, "manifest.json", lambda data: b"{}"))
    with pytest.raises(Refused, match="knows them up to"):
        backup.Backup(changed(path, "manifest.json", lambda data: data.replace(revisions()[0].encode(), b"9999")))
    cut = tmp_path / "cut.zip"
    cut.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="no zip"):
        backup.Backup(cut)
    with pytest.raises(InvalidSettings, match="cannot be read"):
        backup.Backup(tmp_path / "none.zip")
    with pytest.raises(Refused, match="is there already"):
        backup.write(lab, path, tmp_path)


def test_a_running_training_starts_again(toy: tuple[Lab, Clock], tmp_path: Path) -> None:
    lab, clock = toy
    study = toy_study(lab)
    session = lab.start(lab.sessions.open(study.id, tuner="random").id)
    agent, token = lab.agents.add("one", 1)
    lab.submit(session.id, CONFIGURATION)
    job = claim(lab, agent)
    lab.measure(job.job_id, 1, [epoch(0, 1, 0.3)])
    path = backup.make(lab, tmp_path, tmp_path)
    assert lab.sessions.get(session.id).trials[0].epochs_done == 1  # and keeps it, although no event follows until the restore
    lab.measure(job.job_id, 1, [epoch(1, 2, 0.4)])
    clock.now += 5
    backup.restore(lab, backup.Backup(path), tmp_path)
    with pytest.raises(StaleAttempt):
        lab.measure(job.job_id, 1, [epoch(2, 3, 0.5)])
    assert lab.tokens.check("agent", token) is None or lab.tokens.check("agent", token) == agent
    again = claim(lab, agent)
    assert (again.job_id, again.attempt) == (job.job_id, 2)
    assert [extension.seconds for extension in lab.sessions.get(session.id).extensions] == [5]


def test_after_a_restore_nothing_of_before_is_read(toy: tuple[Lab, Clock], tmp_path: Path) -> None:
    lab, clock = toy
    session = lab.start(lab.sessions.open(toy_study(lab).id, tuner="random").id)
    path = backup.make(lab, tmp_path, tmp_path)
    lab.sessions.extend([session.id], 60, "a fire alarm")
    lab.sessions.extend([session.id], 60, "another one")
    newest = lab.sessions.events(session.id)[-1]
    assert [extension.seconds for extension in lab.sessions.get(session.id).extensions] == [60, 60]
    backup.restore(lab, backup.Backup(path), tmp_path)
    clock.now += 5
    lab.sessions.extend([session.id], 1, "a third one")
    assert [extension.seconds for extension in lab.sessions.get(session.id).extensions] == [1]
    assert lab.sessions.events(session.id)[-1].id == newest.id  # the ids of events are given again


def test_old_backups_go(tmp_path: Path) -> None:
    for day in range(1, 21):
        for hour in range(24):
            (tmp_path / f"evenhand-202601{day:02d}T{hour:02d}0000Z.zip").touch()
    (tmp_path / "evenhand-by-hand.zip").touch()
    for path in backup.outdated(tmp_path):
        path.unlink()
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 24 + 13 + 1  # the newest day's last hour counts for both
    assert left[0] == "evenhand-20260107T230000Z.zip"
    assert left[-1] == "evenhand-by-hand.zip"


def test_a_live_study_is_kept_by_the_hour(toy: tuple[Lab, Clock], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lab, clock = toy
    keeper, folder = backup.Keeper(lab, tmp_path), tmp_path / "backups"
    study = toy_study(lab)
    lab.studies.close(study.id)
    clock.now += backup.AFTER_CLOSE_SECONDS + 1
    keeper.look()
    assert not folder.exists()  # none is live
    study = toy_study(lab)
    keeper.look()
    keeper.look()
    assert len(list(folder.glob("*.zip"))) == 1
    clock.now += 3601
    keeper.look()
    assert len(list(folder.glob("*.zip"))) == 1  # nothing changed
    person = took_part(lab, study, "Ada")
    monkeypatch.setattr(backup, "LEAST_FREE_BYTES", 10**18)
    keeper.look()
    trouble = keeper.troubles[folder]
    assert trouble.failed
    assert trouble.study_id == study.id
    assert "MB free, and 1000000000000 MB are asked for" in trouble.words
    monkeypatch.undo()
    keeper.look()
    assert keeper.troubles == {}
    assert len(list(folder.glob("*.zip"))) == 2
    lab.participants.withdraw(person.id)
    expected = {Erasure(study.name, 1, person.created_at, clock.now)}
    assert backup.read_erasures([tmp_path]) == backup.read_erasures([folder]) == expected
    keeper.close()


@pytest.mark.slow
@pytest.mark.parametrize("there", DATABASES)
def test_a_backup_moves_to_another_database(lab_and_clock: tuple[Lab, Clock], tmp_path: Path, there: str) -> None:
    lab, _ = lab_and_clock
    study = toy_study(lab)
    took_part(lab, study, "Ada")
    (tmp_path / "there").mkdir()
    path = backup.make(lab, tmp_path / "kept", tmp_path)
    with database(there, tmp_path / "there") as url:
        other, _ = make_lab(url)
        backup.restore(other, backup.Backup(path), tmp_path / "there")
        assert records(other) == records(lab)
        assert took_part(other, study, "Grace").pseudonym == "P-02"  # new rows get free ids
        other.close()


@pytest.mark.slow
def test_an_older_backup_is_brought_up_to_date(toy: tuple[Lab, Clock], tmp_path: Path) -> None:
    lab, _ = toy
    tables = {"task": {"id": 3, "name": "toy", "settings": {}, "version": "v", "space": SPACE.to_json()}}
    tables["task"] |= {"metric": "accuracy", "direction": "maximize", "max_epochs": 10, "has_test": True, "statistics": {}}
    path = tmp_path / "old.zip"
    lines = {name: json.dumps(row).encode() + b"\n" for name, row in tables.items()}
    sums = {name: {"rows": 1, "sha256": hashlib.sha256(line).hexdigest()} for name, line in lines.items()}
    manifest = backup.Manifest(1, "0.1", revisions()[-1], 1.0, sums)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps(asdict(manifest)))
        for name, line in lines.items():
            archive.writestr(f"{name}.jsonl", line)
    backup.restore(lab, backup.Backup(path), tmp_path)
    assert [row["id"] for row in records(lab)["task"]] == [3]
    assert not [path for path in tmp_path.iterdir() if path.is_dir() and path.name != "backups"]  # the scratch database is gone


@pytest.mark.slow
def test_a_server_goes_on_serving(lab_and_clock: tuple[Lab, Clock], tmp_path: Path) -> None:
    lab, clock = lab_and_clock
    study = toy_study(lab)
    with serve(lab, clock, tmp_path) as site:
        person = tuning_participant(site, study)
        caller, ended, wrong = site.caller(Role.PARTICIPANT, person.id), threading.Event(), []
        agent, _ = lab.agents.add("one", 1)
        job = train_first(lab, person, agent)

        def post() -> None:
            index = 1
            while not ended.is_set():
                with suppress(StaleAttempt):  # since the restore took the training back
                    lab.measure(job.job_id, job.attempt, [epoch(index, 1, 0.3)])
                index += 1
                answer = caller.get("/p/1/tune")
                if answer.status_code != 200:
                    wrong.append(answer.status_code)

        threads = [threading.Thread(target=post) for _ in range(3)]
        for thread in threads:
            thread.start()
        paths = [backup.make(lab, tmp_path / "kept", tmp_path) for _ in range(3)]
        command = Lab(Store(lab.core.store.url), lab.rules, clock)  # as `evenhand restore` is, beside the server
        for path in paths:
            backup.restore(command, backup.Backup(path), tmp_path)
        ended.set()
        for thread in threads:
            thread.join()
        command.close()
        assert wrong == []
        assert caller.get("/p/1/tune").status_code == 200
        later, _ = lab.participants.join(study.id)
        assert later.pseudonym == "P-02"


def train_first(lab: Lab, person: Participant, agent: int) -> Any:
    assert person.session_id is not None
    lab.submit(person.session_id, CONFIGURATION)
    return claim(lab, agent)
