"""A study's records as one zip that opens anywhere: `write` and `read` are each other's inverse but for database ids.

Ids become numbers from 1 within the archive, so that the same records give the same bytes from any database. It holds pseudonyms
only: nicknames, and where the study's file, backups and webhook lie, are left out. Floats keep every digit.
"""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from evenhand import wire
from evenhand.declaration import Study
from evenhand.errors import InvalidSettings
from evenhand.records import Archive, Evaluation, Participant, Session, TaskRecord

T = TypeVar("T")
FORMAT = 1
MANIFEST = "manifest.json"
FILES = ("studies.jsonl", "tasks.jsonl", "participants.jsonl", "sessions.jsonl", "evaluations.jsonl")
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # of every file in the zip, so that the same records give the same bytes


def write(archive: Archive, path: Path, version: str) -> None:
    """Write an archive to the zip at `path`; `version` is Evenhand's. A file that is there is replaced when all is written."""
    files = {name: _lines(rows) for name, rows in zip(FILES, _tables(renumbered(archive)), strict=True)}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = {"format": FORMAT, "evenhand": version, "sha256": hashes}
    files[MANIFEST] = json.dumps(manifest, indent=1).encode()
    draft = path.with_name(f"{path.name}.part")
    with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, LONG_AGO)
            info.compress_type = zipfile.ZIP_DEFLATED
            target.writestr(info, content)
    draft.replace(path)


def read(path: Path) -> Archive:
    """The archive in the zip at `path`; InvalidSettings, with the file and the reason, where it is damaged or was edited."""
    files = _checked(path)
    versions = _records(Study, files, "studies.jsonl")
    if not versions:
        raise InvalidSettings(f"{path}: studies.jsonl is empty; expected the study's versions")
    return Archive(
        study=versions[0],
        versions=versions[1:],
        tasks=_records(TaskRecord, files, "tasks.jsonl"),
        participants=_records(Participant, files, "participants.jsonl"),
        sessions=_records(Session, files, "sessions.jsonl"),
        evaluations={each.session_id: each for each in _records(Evaluation, files, "evaluations.jsonl")},
    )


def renumbered(archive: Archive) -> Archive:
    """The archive with numbers from 1 for ids, in the order of its records, and without what an archive leaves out."""
    versions = (archive.study, *archive.versions)
    named = [each.id for each in archive.tasks] + [each for study in versions for each in _tasks_of(study)]
    tasks = _numbers([*named, *(each.task.id for each in archive.sessions)])
    people = _numbers(each.id for each in archive.participants)
    sessions = _numbers(each.id for each in archive.sessions)
    trials = _numbers(trial.id for each in archive.sessions for trial in each.trials)
    batches = _numbers(each.batch_id for each in archive.participants if each.batch_id is not None)
    return Archive(
        study=_study(archive.study, tasks),
        versions=tuple(_study(each, tasks) for each in archive.versions),
        tasks=tuple(replace(each, id=tasks[each.id]) for each in archive.tasks),
        participants=tuple(_participant(each, people, sessions, batches) for each in archive.participants),
        sessions=tuple(_session(each, people, sessions, trials, tasks) for each in archive.sessions),
        evaluations={
            sessions[key]: replace(each, session_id=sessions[key]) for key, each in archive.evaluations.items() if key in sessions
        },
    )


def _tasks_of(study: Study) -> list[int]:
    return [study.task_id, *(arm.task_id for arm in study.arms if arm.task_id is not None)]


def _numbers(ids: Iterable[int]) -> Mapping[int, int]:
    return {each: number for number, each in enumerate(dict.fromkeys(ids), 1)}


def _study(study: Study, tasks: Mapping[int, int]) -> Study:
    arms = tuple(replace(arm, task_id=None if arm.task_id is None else tasks[arm.task_id]) for arm in study.arms)
    return replace(study, id=1, task_id=tasks[study.task_id], arms=arms, source="", backup="", webhook="")


def _participant(
    each: Participant, people: Mapping[int, int], sessions: Mapping[int, int], batches: Mapping[int, int]
) -> Participant:
    return replace(
        each,
        id=people[each.id],
        study_id=1,
        nickname=None,
        batch_id=None if each.batch_id is None else batches[each.batch_id],
        session_id=None if each.session_id is None else sessions.get(each.session_id),
        practice_id=None if each.practice_id is None else sessions.get(each.practice_id),
    )


def _session(
    each: Session, people: Mapping[int, int], sessions: Mapping[int, int], trials: Mapping[int, int], tasks: Mapping[int, int]
) -> Session:
    number = sessions[each.id]
    choice = each.choice
    if choice is not None and choice.trial_id is not None:
        choice = replace(choice, trial_id=trials[choice.trial_id])
    return replace(
        each,
        id=number,
        study_id=1,
        task=replace(each.task, id=tasks[each.task.id]),
        participant_id=None if each.participant_id is None else people.get(each.participant_id),
        trials=tuple(replace(trial, id=trials[trial.id], session_id=number) for trial in each.trials),
        choice=choice,
    )


def _tables(archive: Archive) -> tuple[Sequence[Any], ...]:
    studies = (archive.study, *archive.versions)
    return studies, archive.tasks, archive.participants, archive.sessions, tuple(archive.evaluations.values())


def _lines(rows: Sequence[Any]) -> bytes:
    return "".join(f"{json.dumps(wire.to_json(each), allow_nan=False)}\n" for each in rows).encode()


def _records(kind: type[T], files: Mapping[str, bytes], name: str) -> tuple[T, ...]:
    found = []
    for number, line in enumerate(files[name].decode().splitlines(), 1):
        try:
            found.append(wire.from_json(kind, json.loads(line)))
        except (ValueError, InvalidSettings) as error:
            raise InvalidSettings(f"{name}, line {number}: {error}") from error
    return tuple(found)


def _checked(path: Path) -> dict[str, bytes]:
    """Every file of the zip, where each is what the manifest says."""
    try:
        with zipfile.ZipFile(path) as source:
            files = {name: source.read(name) for name in source.namelist()}
        manifest = json.loads(files[MANIFEST])
        hashes, found = dict(manifest["sha256"]), manifest["format"]
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise InvalidSettings(f"{path}: not an archive of a study, or damaged ({error}); export the study again") from error
    if found != FORMAT:
        raise InvalidSettings(f"{path}: its format is {found!r}, expected {FORMAT}; read it with the Evenhand that wrote it")
    for name in FILES:
        if name not in files or name not in hashes:
            raise InvalidSettings(f"{path}: {name} is missing; export the study again")
    for name, expected in hashes.items():
        if hashlib.sha256(files.get(name, b"")).hexdigest() != expected:
            raise InvalidSettings(f"{path}: {name} is not what the manifest says, so it was edited or damaged; export it again")
    return files
