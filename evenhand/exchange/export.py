"""A study's records as an archive: tidy tables, the study as declared, the codebook, and a manifest with the hash of each file.

Ids become numbers from 1 within the archive, so that the same records give the same bytes from any database. It holds pseudonyms
only: nicknames, tokens, practice sessions, and where the study's file, backups, webhook and tasks lie, are left out. Records are
read a chunk at a time, so that collection goes on meanwhile and memory stays flat.
"""

import codecs
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from evenhand import __version__
from evenhand.errors import InvalidSettings, Refused
from evenhand.exchange import codebook, table_files
from evenhand.exchange.codebook import Row
from evenhand.lab.lab import Lab
from evenhand.lab.transfer import ExportChunk, Outline
from evenhand.model import codec, rules
from evenhand.model.archive import Event
from evenhand.model.domain import Value, is_same
from evenhand.model.participant import Participant
from evenhand.model.session import EarlierChoice, Session
from evenhand.model.study import OWN_WORDS_REASON, Mode, Study, reason_codes
from evenhand.model.task import TaskRecord, TaskSpec
from evenhand.model.trial import Trial
from evenhand.settings import private_opener

# What a walk over the participants gives.
WALKED_TABLES = ("participants", "sessions", "trials", "values", "evaluations", "answers")
BLOCK_BYTES = 1 << 16
PIECE_ROWS = 1000  # rows that are written at a time
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # of every file in a zip, so that the same records give the same bytes

File = tuple[str, Iterable[bytes]]


# Where to


class Files(Protocol):
    """What is written as an archive."""

    def files(self) -> Iterator[File]:
        """Every file's name and its blocks, to be taken in this order."""


def to_folder(export: Files, folder: Path) -> None:
    """Write an archive as files of a folder, which must be empty or not there; nothing is left of one that fails.

    It holds what people said: only its owner can read it.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Refused(f"{folder} is there already, and not an empty folder; choose another name")
    draft = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    try:
        for name, blocks in export.files():
            with open(draft / name, "wb", opener=private_opener) as out:
                out.writelines(blocks)
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def to_zip(export: Files, path: Path) -> None:
    """Write an archive as a zip that only its owner can read; a file that is there is replaced when all is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.part")
    try:
        with open(draft, "wb", opener=private_opener) as out:
            out.writelines(zipped(export.files()))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def zipped(files: Iterable[File]) -> Iterator[bytes]:
    """Files as a zip, in blocks, each as soon as it is made."""
    made = _Drain()
    with zipfile.ZipFile(made, "w") as target:
        for name, blocks in files:
            info = zipfile.ZipInfo(name, ZIP_TIME)
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
        data = b"".join(blocks)
        if data:
            yield data


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


def numbered(numbers: dict[int, int], key: int) -> int:
    """The number of `key`; the next one where it has none."""
    return numbers.setdefault(key, len(numbers) + 1)


@dataclass(frozen=True)
class _Walked:
    """A trial whose measurements are to be written: what its row says of it, so that they agree."""

    session: int
    number: int
    id: int
    attempt: int
    epochs_done: int
    begun: bool
    has_ended: bool
    version: int


class Export:
    """One mode of a study's records; `files` may be taken once. Making it is the look at test scores, where it holds any.

    looked: the look is logged already, so that making it changes nothing.
    """

    def __init__(
        self,
        lab: Lab,
        study_id: int,
        mode: Mode,
        *,
        who: str,
        form: str = "csv",
        evaluations: bool = True,
        looked: bool = False,
    ) -> None:
        if form not in codebook.FORMATS:
            raise InvalidSettings(f"format {form!r}: expected one of {', '.join(codebook.FORMATS)}")
        table_files.writer("events", form, _Drain())  # says now that a package is missing
        self._lab, self._form = lab, form
        self._outline: Outline = lab.transfer.export(study_id, mode, who, evaluations, looked=looked)
        self._hashes = {version.version: version.hash for version in self._outline.versions}
        self._reason_codes = {
            version.version: reason_codes(version.reasons) for version in (self._outline.study, *self._outline.versions)
        }
        self._numbers = _Numbers()
        self._tasks: dict[int, TaskRecord] = {}
        self._environments: set[str] = set()
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
        mark = codecs.BOM_UTF8 if self._form == "spreadsheet" else b""
        yield codebook.CODEBOOK, [mark + codebook.as_csv()]
        for table in WALKED_TABLES:
            yield self._name(table), _blocks(folder / table)
        yield self._name("measurements"), self._streamed("measurements", self._measurements())
        yield self._name("events"), self._streamed("events", self._events())

    def _name(self, table: str) -> str:
        return table + codebook.FORMATS[self._form]

    # The walk over participants and methods

    def _walk(self, folder: Path) -> None:
        with ExitStack() as stack:
            put = {table: stack.enter_context(self._table(table, folder / table)) for table in WALKED_TABLES}
            for part in self._lab.transfer.chunks(self._outline):
                self._number(part)
                self._environments.update(rules.trained_in(part.sessions, part.evaluations))
                put["participants"]([self._participant(person) for person in part.participants])
                put["answers"]([row for person in part.participants for row in self._answers(person)])
                put["sessions"]([self._session(session) for session in part.sessions])
                put["trials"]([self._trial(session, trial) for session in part.sessions for trial in session.trials])
                put["values"](
                    [row for session in part.sessions for trial in session.trials for row in self._values(session, trial)]
                )
                put["evaluations"]([row for session in part.sessions for row in self._evaluations(session, part)])

    @contextmanager
    def _table(self, table: str, path: Path) -> Iterator[Callable[[Sequence[Row]], None]]:
        with path.open("wb") as out:
            writer = table_files.writer(table, self._form, out)

            def put(rows: Sequence[Row]) -> None:
                self.count[table] += len(rows)
                writer.write(rows)

            yield put
            writer.close()

    def _number(self, part: ExportChunk) -> None:
        for person in part.participants:
            numbered(self._numbers.people, person.id)
            self._versions[person.id] = person.version
            if person.batch_id is not None:
                numbered(self._numbers.batches, person.batch_id)
        for session in part.sessions:
            number, whose = numbered(self._numbers.sessions, session.id), session.participant_id
            self._of[session.id] = (number, None if whose is None else self._numbers.people[whose], session.version)
            numbered(self._numbers.tasks, session.task.id)
            self._tasks[session.task.id] = session.task
            for trial in session.trials:
                self._numbers_of_trials[session.id, trial.id] = trial.number
                if trial.claimed_at is not None:  # else what is stored is of an attempt that was lost
                    begun = trial.epochs_begun > trial.epochs_done - trial.epochs_before
                    ended, done = trial.finished_at is not None, trial.epochs_done
                    walked = _Walked(number, trial.number, trial.id, trial.attempt, done, begun, ended, session.version)
                    self._trials.append(walked)

    def _whose(self, version: int) -> Row:
        return {"study_version": version, "study_hash": self._hashes.get(version, ""), "mode": self._outline.mode}

    def _participant(self, person: Participant) -> Row:
        return {
            "participant": self._numbers.people[person.id],
            "pseudonym": person.pseudonym,
            "joined_at": person.created_at,
            "invitations": None if person.batch_id is None else self._numbers.batches[person.batch_id],
            "answered": list(person.answered),
            **{key: getattr(person, key) for key in PLAIN_OF_PARTICIPANT},
            **self._whose(person.version),
        }

    def _answers(self, person: Participant) -> Iterator[Row]:
        for path, value in sorted(person.answers.items()):
            questionnaire, _, question = path.partition(".")
            of = {"participant": self._numbers.people[person.id], "questionnaire": questionnaire, "question": question}
            for row in unrolled(value):
                yield {**of, **row, **self._whose(person.version)}

    def _session(self, session: Session) -> Row:
        choice, budget = session.choice, session.budget
        chosen = None if choice is None or choice.trial_id is None else self._numbers_of_trials.get((session.id, choice.trial_id))
        configuration = None if choice is None or choice.configuration is None else dict(choice.configuration)
        return {
            "session": self._numbers.sessions[session.id],
            "participant": self._of[session.id][1],
            "method": dict(session.method),
            "task": self._numbers.tasks[session.task.id],
            "budget_seconds": budget.seconds,
            "budget_trials": budget.trials,
            "budget_epochs": budget.epochs,
            "budget_parallel": budget.parallel,
            "budget_until": None if budget.until is None else str(budget.until),
            "budget_cost": None if budget.cost is None else str(budget.cost),
            "pauses": codec.to_json(session.pauses),
            "extensions": codec.to_json(session.extensions),
            "interventions": codec.to_json(session.interventions),
            "chose_at": choice and choice.at,
            "final_trial": chosen,
            "final_configuration": configuration,
            "automatic": choice and choice.automatic,
            "earlier_choices": [self._earlier(session, entry) for entry in session.earlier_choices],
            **{key: getattr(session, key) for key in PLAIN_OF_SESSION},
            **self._whose(session.version),
        }

    def _earlier(self, session: Session, entry: EarlierChoice) -> Row:
        choice = entry.choice
        return {
            "at": choice.at,
            "trial": None if choice.trial_id is None else self._numbers_of_trials.get((session.id, choice.trial_id)),
            "configuration": None if choice.configuration is None else dict(choice.configuration),
            "automatic": choice.automatic,
            "reopened_at": entry.reopened_at,
        }

    def _trial(self, session: Session, trial: Trial) -> Row:
        return {
            "session": self._numbers.sessions[session.id],
            "trial": trial.number,
            "extra": dict(trial.extra),
            "signals": codec.to_json(trial.signals),
            "holds": codec.to_json(trial.holds),
            **{key: getattr(trial, key) for key in PLAIN_OF_TRIAL},
            **self._whose(session.version),
        }

    def _values(self, session: Session, trial: Trial) -> Iterator[Row]:
        defaults, codes = session.space.defaults(), self._reason_codes.get(session.version, {})
        for name, value in trial.configuration.items():
            reason = trial.reasons.get(name)
            yield {
                "session": self._numbers.sessions[session.id],
                "trial": trial.number,
                "hyperparameter": name,
                **_recorded(value),
                "is_default": is_same(value, defaults[name]) if name in defaults else None,
                "reason": None if reason is None else codes.get(reason, OWN_WORDS_REASON),
                "reason_label": reason,
                **self._whose(session.version),
            }

    def _evaluations(self, session: Session, part: ExportChunk) -> Iterator[Row]:
        evaluation = part.evaluations.get(session.id)
        for number, scores in enumerate((evaluation.scores, *evaluation.earlier) if evaluation else ()):
            for score in scores:
                plain = {key: getattr(score, key) for key in PLAIN_OF_SCORE}
                of = {"session": self._numbers.sessions[session.id], "of_earlier": number, "seed_index": score.index}
                yield {**of, **plain, **self._whose(session.version)}

    # What is streamed

    def _streamed(self, table: str, rows: Iterator[Row]) -> Iterator[bytes]:
        drain = _Drain()
        writer = table_files.writer(table, self._form, drain)
        piece: list[Row] = []
        for row in rows:
            piece.append(row)
            if len(piece) == PIECE_ROWS:
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
            for measurement in self._lab.transfer.measured(trial.id, trial.attempt):
                # An open trial may have gone on since its row was read: what came later belongs to the next export.
                goes_on = not trial.has_ended
                if goes_on and measurement.epoch is not None and measurement.epoch > trial.epochs_done:
                    break
                yield {**of, **{key: getattr(measurement, key) for key in PLAIN_OF_MEASUREMENT}, "extra": dict(measurement.extra)}
                if goes_on and measurement.epoch == trial.epochs_done and not trial.begun:
                    break

    def _events(self) -> Iterator[Row]:
        number = 0
        for event in self._lab.transfer.happened(self._outline):
            row = self._event(event)
            if row is not None:
                number += 1
                yield {"event": number, **row}

    def _event(self, event: Event) -> Row | None:
        """An event as a row; None where it is of another mode, or of a practice session."""
        detail = dict(event.detail)
        person, batch, version = detail.pop("participant", None), detail.pop("batch", None), detail.get("version")
        detail.pop("study", None)
        batches = {known.id for known in self._outline.batches}
        session, participant, trial = None, None, None
        if event.session_id is not None:
            trial = self._numbers_of_trials.get((event.session_id, event.trial_id or 0))
            if event.session_id not in self._of:
                return None
            session, participant, version = self._of[event.session_id]
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
            "at": event.at,
            "kind": event.kind,
            "participant": participant,
            "session": session,
            "trial": trial,
            "detail": dict(sorted(detail.items())),
            **self._whose(version if version in self._hashes else self._outline.study.version),
        }

    # The study as declared

    def _declared(self) -> Row:
        study = self._outline.study
        for declaration in (study, *self._outline.versions):
            for task_id in (declaration.task_id, *(arm.task_id for arm in declaration.arms if arm.task_id is not None)):
                numbered(self._numbers.tasks, task_id)
                self._tasks.setdefault(task_id, self._lab.studies.task(task_id))
        for batch in self._outline.batches:
            numbered(self._numbers.batches, batch.id)
        tasks = sorted((number, self._tasks[task_id]) for task_id, number in self._numbers.tasks.items())
        batches = sorted((self._numbers.batches[invitation.id], invitation) for invitation in self._outline.batches)
        return {
            "versions": [self._version(version) for version in self._outline.versions],
            "tasks": [codec.to_json(_plain_task(number, task)) for number, task in tasks],
            "environments": self._environments_by_key(),
            "invitations": [
                {"number": at, **{key: getattr(invitation, key) for key in PLAIN_OF_BATCH}} for at, invitation in batches
            ],
        }

    def _environments_by_key(self) -> Row:
        """Those in which something in this archive was trained, by key."""
        known = self._lab.agents.environments()
        return {key: codec.to_json(known[key]) for key in sorted(self._environments)}

    def _version(self, version: Study) -> Row:
        arms = tuple(replace(arm, task_id=arm.task_id and self._numbers.tasks[arm.task_id]) for arm in version.arms)
        plain = replace(version, task_id=self._numbers.tasks[version.task_id], arms=arms)
        return {key: value for key, value in codec.to_json(plain).items() if key not in LEFT_OUT_FIELDS}


# Of a study: ids, and addresses on somebody's machines.
LEFT_OUT_FIELDS = frozenset({"id", "archived", "source", "backup", "webhook"})
PLAIN_OF_PARTICIPANT = (
    "condition", "language", "consent_version", "consented_at", "read_details_at", "practised_at", "withdrawn_at", "excluded",
)  # fmt: skip
PLAIN_OF_SESSION = (
    "tuner", "condition", "tuning_seed", "presets", "live_validation", "resumable", "opened_at", "started_at",
    "withdrawn_at", "last_seen", "purpose", "name", "evaluation_mode", "value_rule",
)  # fmt: skip
PLAIN_OF_TRIAL = (
    "proposer", "submitted_at", "claimed_at", "finished_at", "epochs_planned", "epochs_done", "epochs_begun", "attempt",
    "outcome", "stop_by", "value", "value_epoch", "why", "explanation", "resumes", "epochs_before", "revision", "environment",
)  # fmt: skip
PLAIN_OF_SCORE = ("seed", "outcome", "value", "why", "environment", "extra")
PLAIN_OF_MEASUREMENT = ("index", "step", "epoch", "loss", "value", "seconds")
PLAIN_OF_BATCH = ("label", "kind", "cap", "created_at", "expires_at")


def as_text(value: Any) -> str:
    """A value with every digit: a float keeps its point, so that it is told from a whole number."""
    return value if isinstance(value, str) else repr(value)


def _recorded(value: Value) -> Row:
    """A hyperparameter's value, with what it is: an archive read back has the very same."""
    if isinstance(value, str):
        return {"value": value, "type": "text", "number": None}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"value": as_text(value), "type": "number", "number": value}
    return {"value": json.dumps(value, ensure_ascii=False), "type": "json", "number": None}


def unrolled(value: Any) -> list[Row]:
    """An answer as rows: one, or one for each option of several and each row of a matrix."""
    if isinstance(value, list):
        return _several("several", None, value)
    if isinstance(value, dict) and value:
        rows: list[Row] = []
        for row, answer in value.items():
            rows += _several("row of several", row, answer) if isinstance(answer, list) else [_answer("row", row, None, answer)]
        return rows
    return [_answer("one", None, None, value)]


def _several(form: str, row: str | None, values: Sequence[Any]) -> list[Row]:
    rows = [_answer(form, row, item, value) for item, value in enumerate(values, 1)]
    return rows or [_answer(form, row, 0, "")]


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
        while block := source.read(BLOCK_BYTES):
            yield block


def _hashed(hashes: dict[str, str], name: str, blocks: Iterable[bytes]) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
        yield block
    hashes[name] = digest.hexdigest()
