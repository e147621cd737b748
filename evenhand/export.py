"""A study's records as an archive: tidy tables, the study as declared, the codebook, and a manifest with the hash of each file.

Ids become numbers from 1 within the archive, so that the same records give the same bytes from any database. It holds pseudonyms
only: nicknames, tokens, practice sessions, and where the study's file, backups, webhook and tasks lie, are left out. Records are
read a chunk at a time, so that collection goes on meanwhile and memory stays flat.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from evenhand import __version__, codebook, tablefiles, wire
from evenhand.codebook import Row
from evenhand.declaration import Mode, Study
from evenhand.errors import InvalidSettings, Refused
from evenhand.lab import Lab
from evenhand.ledger import Outline, Part
from evenhand.records import Event, Participant, Session, TaskRecord, TaskSpec, Trial

WALKED = ("participants", "sessions", "trials", "values", "evaluations", "answers")  # what a walk over the participants gives
BLOCK = 1 << 16
PIECE = 1000  # rows that are written at a time
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # of every file in a zip, so that the same records give the same bytes

File = tuple[str, Iterable[bytes]]


# Where to


def to_folder(export: "Export", folder: Path) -> None:
    """Write an archive as files of a folder, which must be empty or not there; nothing is left of one that fails."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is there already, and not an empty folder; choose another name")
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        for name, blocks in export.files():
            with (draft / name).open("wb") as out:
                out.writelines(blocks)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def to_zip(export: "Export", path: Path) -> None:
    """Write an archive as a zip; a file that is there is replaced when all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("wb") as out:
            out.writelines(zipped(export.files()))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def zipped(files: Iterable[File]) -> Iterator[bytes]:
    """Files as a zip, in blocks, each as soon as it is made."""
    made = _Drain()
    with zipfile.ZipFile(made, "w") as target:
        for name, blocks in files:
            info = zipfile.ZipInfo(name, LONG_AGO)
            info.compress_type = zipfile.ZIP_DEFLATED
            with target.open(info, "w", force_zip64=True) as out:
                for block in blocks:
                    out.write(block)
                    yield from made.taken()
    yield from made.taken()


class _Drain:
    """A file that is written and taken away again."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def write(self, data: Any) -> int:
        self._blocks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What was written can still be taken."""

    def taken(self) -> Iterator[bytes]:
        """What was written since the last time."""
        blocks, self._blocks = self._blocks, []
        found = b"".join(blocks)
        if found:
            yield found


# What


@dataclass
class _Numbers:
    """The archive's number of each thing in the database, given in the order in which they come."""

    people: dict[int, int] = field(default_factory=dict)
    sessions: dict[int, int] = field(default_factory=dict)
    tasks: dict[int, int] = field(default_factory=dict)
    batches: dict[int, int] = field(default_factory=dict)
    agents: dict[int, int] = field(default_factory=dict)
    jobs: dict[int, int] = field(default_factory=dict)


def numbered(numbers: dict[int, int], found: int) -> int:
    """The number of `found`; the next one where it has none."""
    return numbers.setdefault(found, len(numbers) + 1)


@dataclass(frozen=True)
class _Walked:
    """A trial whose measurements are to be written: what its row says of it, so that they agree."""

    session: int
    number: int
    id: int
    attempt: int
    epochs_done: int
    begun: bool
    version: int


class Export:
    """One mode of a study's records. Making it is the look at test scores, where it holds any; `files` may be taken once."""

    def __init__(self, lab: Lab, study_id: int, mode: Mode, *, who: str, form: str = "csv", evaluations: bool = True) -> None:
        if form not in codebook.FORMATS:
            raise InvalidSettings(f"format {form!r}: expected one of {', '.join(codebook.FORMATS)}")
        tablefiles.writer("events", form, _Drain())  # says now that a package is missing
        self._lab, self._form = lab, form
        self._outline: Outline = lab.outline(study_id, mode, who, evaluations)
        self._hashes = {each.version: each.hash for each in self._outline.versions}
        self._numbers = _Numbers()
        self._tasks: dict[int, TaskRecord] = {}
        self._trials: list[_Walked] = []
        self._of: dict[int, tuple[int, int | None, int]] = {}  # by session: its number, its participant's, and the version
        self._numbers_of_trials: dict[tuple[int, int], int] = {}  # by session and trial: SQLite gives an erased trial's id again
        self._versions: dict[int, int] = {}  # by participant
        self.count: dict[str, int] = dict.fromkeys(codebook.TABLES, 0)

    @property
    def study(self) -> Study:
        """The study, at the version that participants get."""
        return self._outline.study

    def files(self) -> Iterator[File]:
        """Every file's name and its blocks, which are to be taken in this order; the manifest comes last."""
        hashes: dict[str, str] = {}
        with tempfile.TemporaryDirectory() as folder:
            for name, blocks in self._files(Path(folder)):
                yield name, _hashed(hashes, name, blocks)
        manifest = {
            "format": codebook.FORMAT,
            "evenhand": __version__,
            "study": self._outline.study.name,
            "mode": self._outline.mode,
            "tables": self._form,
            "evaluations": self._outline.evaluated is not None,
            "sha256": hashes,
        }
        yield codebook.MANIFEST, [_pretty(manifest)]

    def _files(self, folder: Path) -> Iterator[File]:
        self._walk(folder)
        yield codebook.STUDY, [_pretty(self._declared())]
        yield codebook.CODEBOOK, [codebook.as_csv()]
        for table in WALKED:
            yield self._name(table), _blocks(folder / table)
        yield self._name("measurements"), self._streamed("measurements", self._measurements())
        yield self._name("events"), self._streamed("events", self._events())

    def _name(self, table: str) -> str:
        return table + codebook.FORMATS[self._form]

    # The walk over participants and methods

    def _walk(self, folder: Path) -> None:
        with ExitStack() as stack:
            put = {table: stack.enter_context(self._table(table, folder / table)) for table in WALKED}
            for part in self._lab.chunks(self._outline):
                self._number(part)
                put["participants"]([self._participant(each) for each in part.participants])
                put["answers"]([row for each in part.participants for row in self._answers(each)])
                put["sessions"]([self._session(each) for each in part.sessions])
                put["trials"]([self._trial(each, trial) for each in part.sessions for trial in each.trials])
                put["values"]([row for each in part.sessions for trial in each.trials for row in self._values(each, trial)])
                put["evaluations"]([row for each in part.sessions for row in self._evaluations(each, part)])

    @contextmanager
    def _table(self, table: str, path: Path) -> Iterator[Callable[[Sequence[Row]], None]]:
        with path.open("wb") as out:
            writer = tablefiles.writer(table, self._form, out)

            def put(rows: Sequence[Row]) -> None:
                self.count[table] += len(rows)
                writer.write(rows)

            yield put
            writer.close()

    def _number(self, part: Part) -> None:
        for person in part.participants:
            numbered(self._numbers.people, person.id)
            self._versions[person.id] = person.version
            if person.batch_id is not None:
                numbered(self._numbers.batches, person.batch_id)
        for each in part.sessions:
            number, whose = numbered(self._numbers.sessions, each.id), each.participant_id
            self._of[each.id] = (number, None if whose is None else self._numbers.people[whose], each.version)
            numbered(self._numbers.tasks, each.task.id)
            self._tasks[each.task.id] = each.task
            for trial in each.trials:
                self._numbers_of_trials[each.id, trial.id] = trial.number
                if trial.claimed_at is not None:  # else what is stored is of an attempt that was lost
                    begun = trial.epochs_begun > trial.epochs_done - trial.epochs_before
                    walked = _Walked(number, trial.number, trial.id, trial.attempt, trial.epochs_done, begun, each.version)
                    self._trials.append(walked)

    def _whose(self, version: int) -> Row:
        return {"study_version": version, "study_hash": self._hashes.get(version, ""), "mode": self._outline.mode}

    def _participant(self, each: Participant) -> Row:
        return {
            "participant": self._numbers.people[each.id],
            "pseudonym": each.pseudonym,
            "joined_at": each.created_at,
            "invitations": None if each.batch_id is None else self._numbers.batches[each.batch_id],
            "answered": list(each.answered),
            **{key: getattr(each, key) for key in PLAIN_OF_PARTICIPANT},
            **self._whose(each.version),
        }

    def _answers(self, each: Participant) -> Iterator[Row]:
        for path, value in sorted(each.answers.items()):
            questionnaire, _, question = path.partition(".")
            of = {"participant": self._numbers.people[each.id], "questionnaire": questionnaire, "question": question}
            for row in unrolled(value):
                yield {**of, **row, **self._whose(each.version)}

    def _session(self, each: Session) -> Row:
        choice, budget = each.choice, each.budget
        chosen = None if choice is None or choice.trial_id is None else self._numbers_of_trials.get((each.id, choice.trial_id))
        configuration = None if choice is None or choice.configuration is None else dict(choice.configuration)
        return {
            "session": self._numbers.sessions[each.id],
            "participant": self._of[each.id][1],
            "method": dict(each.method),
            "task": self._numbers.tasks[each.task.id],
            "budget_seconds": budget.seconds,
            "budget_trials": budget.trials,
            "budget_epochs": budget.epochs,
            "budget_parallel": budget.parallel,
            "pauses": wire.to_json(each.pauses),
            "extensions": wire.to_json(each.extensions),
            "interventions": wire.to_json(each.interventions),
            "chose_at": choice and choice.at,
            "final_trial": chosen,
            "final_configuration": configuration,
            "automatic": choice and choice.automatic,
            **{key: getattr(each, key) for key in PLAIN_OF_SESSION},
            **self._whose(each.version),
        }

    def _trial(self, session: Session, each: Trial) -> Row:
        return {
            "session": self._numbers.sessions[session.id],
            "trial": each.number,
            "extra": dict(each.extra),
            **{key: getattr(each, key) for key in PLAIN_OF_TRIAL},
            **self._whose(session.version),
        }

    def _values(self, session: Session, trial: Trial) -> Iterator[Row]:
        for name, value in trial.configuration.items():
            default = session.space[name].default if name in session.space else None
            yield {
                "session": self._numbers.sessions[session.id],
                "trial": trial.number,
                "hyperparameter": name,
                "value": as_text(value),
                "number": None if isinstance(value, str) else value,
                "is_default": None if default is None else value == default,
                "reason": trial.reasons.get(name),
                **self._whose(session.version),
            }

    def _evaluations(self, session: Session, part: Part) -> Iterator[Row]:
        found = part.evaluations.get(session.id)
        for score in found.scores if found else ():
            plain = {"seed": score.seed, "outcome": score.outcome, "value": score.value, "why": score.why}
            of = {"session": self._numbers.sessions[session.id], "seed_index": score.index}
            yield {**of, **plain, **self._whose(session.version)}

    # What is streamed

    def _streamed(self, table: str, rows: Iterator[Row]) -> Iterator[bytes]:
        drain = _Drain()
        writer = tablefiles.writer(table, self._form, drain)
        piece: list[Row] = []
        for row in rows:
            piece.append(row)
            if len(piece) == PIECE:
                writer.write(piece)
                self.count[table] += len(piece)
                piece = []
                yield from drain.taken()
        writer.write(piece)
        self.count[table] += len(piece)
        writer.close()
        yield from drain.taken()

    def _measurements(self) -> Iterator[Row]:
        for trial in self._trials:
            of = {"session": trial.session, "trial": trial.number, **self._whose(trial.version)}
            for each in self._lab.measured(trial.id, trial.attempt):
                # A trial may have gone on since its row was read: what came later belongs to the next export.
                if each.epoch is not None and each.epoch > trial.epochs_done:
                    break
                yield {**of, **{key: getattr(each, key) for key in PLAIN_OF_MEASUREMENT}, "extra": dict(each.extra)}
                if each.epoch == trial.epochs_done and not trial.begun:
                    break

    def _events(self) -> Iterator[Row]:
        number = 0
        for each in self._lab.happened(self._outline):
            row = self._event(each)
            if row is not None:
                number += 1
                yield {"event": number, **row}

    def _event(self, each: Event) -> Row | None:
        """An event as a row; None where it is of another mode, or of a practice session."""
        detail = dict(each.detail)
        person, batch, version = detail.pop("participant", None), detail.pop("batch", None), detail.get("version")
        detail.pop("study", None)
        batches = {known.id for known in self._outline.batches}
        session, participant, trial = None, None, None
        if each.session_id is not None:
            trial = self._numbers_of_trials.get((each.session_id, each.trial_id or 0))
            if each.session_id not in self._of:
                return None
            session, participant, version = self._of[each.session_id]
        elif person is not None:
            if person not in self._numbers.people:
                return None
            participant, version = self._numbers.people[person], self._versions[person]
        elif batch is not None and batch not in batches:
            return None
        if batch is not None:
            detail["batch"] = numbered(self._numbers.batches, batch) if batch in batches else None
        for key, numbers in (("agent", self._numbers.agents), ("job", self._numbers.jobs)):
            if isinstance(detail.get(key), int):
                detail[key] = numbered(numbers, detail[key])
        return {
            "at": each.at,
            "kind": each.kind,
            "participant": participant,
            "session": session,
            "trial": trial,
            "detail": dict(sorted(detail.items())),
            **self._whose(version if version in self._hashes else self._outline.study.version),
        }

    # The study as declared

    def _declared(self) -> Row:
        study = self._outline.study
        for each in (study, *self._outline.versions):
            for task_id in (each.task_id, *(arm.task_id for arm in each.arms if arm.task_id is not None)):
                numbered(self._numbers.tasks, task_id)
                self._tasks.setdefault(task_id, self._lab.task(task_id))
        for batch in self._outline.batches:
            numbered(self._numbers.batches, batch.id)
        tasks = sorted((number, self._tasks[task_id]) for task_id, number in self._numbers.tasks.items())
        batches = sorted((self._numbers.batches[each.id], each) for each in self._outline.batches)
        return {
            "versions": [self._version(each) for each in self._outline.versions],
            "tasks": [wire.to_json(_plain_task(number, each)) for number, each in tasks],
            "invitations": [{"number": at, **{key: getattr(each, key) for key in PLAIN_OF_BATCH}} for at, each in batches],
        }

    def _version(self, version: Study) -> Row:
        arms = tuple(replace(arm, task_id=arm.task_id and self._numbers.tasks[arm.task_id]) for arm in version.arms)
        plain = replace(version, task_id=self._numbers.tasks[version.task_id], arms=arms)
        return {key: value for key, value in wire.to_json(plain).items() if key not in LEFT_OUT}


LEFT_OUT = frozenset({"id", "archived", "source", "backup", "webhook"})  # of a study: ids, and addresses on somebody's machines
PLAIN_OF_PARTICIPANT = (
    "condition", "language", "consent_version", "consented_at", "read_details_at", "practised_at", "withdrawn_at", "excluded",
)  # fmt: skip
PLAIN_OF_SESSION = (
    "tuner", "condition", "tuning_seed", "presets", "live_validation", "resumable", "opened_at", "started_at",
    "withdrawn_at", "last_seen",
)  # fmt: skip
PLAIN_OF_TRIAL = (
    "proposer", "submitted_at", "claimed_at", "finished_at", "epochs_planned", "epochs_done", "epochs_begun", "attempt",
    "outcome", "stop_by", "value", "why", "explanation", "resumes", "epochs_before", "revision",
)  # fmt: skip
PLAIN_OF_MEASUREMENT = ("index", "step", "epoch", "loss", "value", "seconds")
PLAIN_OF_BATCH = ("label", "kind", "cap", "created_at", "expires_at")


def as_text(value: Any) -> str:
    """A value with every digit: a float keeps its point, so that it is told from a whole number."""
    return value if isinstance(value, str) else repr(value)


def unrolled(value: Any) -> list[Row]:
    """An answer as rows: one, or one for each option of several and each row of a matrix."""
    if isinstance(value, list):
        return _several("several", None, value)
    if isinstance(value, dict) and value:
        rows: list[Row] = []
        for row, each in value.items():
            rows += _several("row of several", row, each) if isinstance(each, list) else [_answer("row", row, None, each)]
        return rows
    return [_answer("one", None, None, value)]


def _several(form: str, row: str | None, values: Sequence[Any]) -> list[Row]:
    found = [_answer(form, row, item, each) for item, each in enumerate(values, 1)]
    return found or [_answer(form, row, 0, "")]


def _answer(form: str, row: str | None, item: int | None, value: Any) -> Row:
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if number is None and not isinstance(value, str):
        return {"form": "json", "row": row, "item": item, "answer": json.dumps(value), "number": None}
    return {"form": form, "row": row, "item": item, "answer": as_text(value), "number": number}


def _plain_task(number: int, task: TaskRecord) -> TaskRecord:
    return replace(task, id=number, spec=TaskSpec(task.spec.plain_name, task.spec.settings))


def _pretty(value: Any) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace")


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        while block := source.read(BLOCK):
            yield block


def _hashed(hashes: dict[str, str], name: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
        yield block
    hashes[name] = digest.hexdigest()
