"""An archive of a study read back: a folder or a zip that `evenhand study export` wrote, without any database.

Every file is checked against the manifest, and every row against the codebook, before anything is made of it. Ids are the
archive's own numbers, from 1.
"""

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, TypeVar

from evenhand.errors import EvenhandError, InvalidSettings
from evenhand.exchange import table_files
from evenhand.exchange.codebook import (
    CODEBOOK,
    FORMAT,
    FORMATS,
    MANIFEST,
    OLDEST_FORMAT,
    STUDY,
    TABLES,
    UNREAD_FORMAT,
    Row,
    columns_of,
)
from evenhand.model import codec, rules
from evenhand.model.archive import Archive, Event, PublicRelease
from evenhand.model.configuration import Configuration
from evenhand.model.cost import cost_of_text
from evenhand.model.domain import Value, frozen
from evenhand.model.environment import Environment
from evenhand.model.evaluation import Evaluation, SeedScore
from evenhand.model.files import BROKEN_ZIP, MOST_DOCUMENT_BYTES, TooLarge, bounded, check_file
from evenhand.model.participant import Batch, Participant
from evenhand.model.session import EarlierChoice, Evaluated, Extension, FinalChoice, Intervention, Pause, Session, judge_of
from evenhand.model.signals import Signals
from evenhand.model.study import MODES, Budget, Mode, Study
from evenhand.model.task import TaskRecord
from evenhand.model.trial import Hold, Measurement, Outcome, Stopper, Trial
from evenhand.model.words import text_of

T = TypeVar("T")
_Key = tuple[int, int]  # a session's number and a trial's within it
BLOCK_BYTES = 1 << 20
IN_MEMORY_BYTES = 1 << 26  # bytes of a file of Parquet that are kept in memory while it is read from a zip


def read(path: Path) -> Archive:
    """The records of the archive at `path`; InvalidSettings, with the file and the reason, where it is damaged or was edited."""
    return Package(path).archive


class Package:
    """An archive on disk. `archive` is read at once; measurements and events are read as they are taken."""

    def __init__(self, path: Path) -> None:
        self._path = path
        manifest = self._manifest()
        self._form: str = manifest["tables"]
        self._format: int = manifest["format"]
        self.mode: Mode = manifest["mode"]
        self._tasks: dict[int, TaskRecord] = {}
        self._environments: dict[str, Environment] = {}
        self._public: PublicRelease | None = None
        self._numbers: dict[_Key, int] = {}  # the trial's id, by its session's number and its own
        self.versions, self.batches = self._declared()
        self._hashes = {version.version: version.hash for version in self.versions}
        self.archive = self._archive()

    @property
    def tasks(self) -> tuple[TaskRecord, ...]:
        """Every task that some version of the study names, or a session was on."""
        return tuple(self._tasks.values())

    # Files

    @contextmanager
    def _open(self, name: str) -> Iterator[IO[bytes]]:
        try:
            if self._path.is_dir():
                with check_file(self._path / name).open("rb") as source:
                    yield source
            else:
                with zipfile.ZipFile(self._path) as folder, folder.open(name) as source:
                    yield source
        except (FileNotFoundError, KeyError) as error:
            raise self._wrong(f"{name} is missing") from error
        except BROKEN_ZIP as error:
            raise self._wrong(f"{name} cannot be read ({text_of(error)})") from error

    def _manifest(self) -> Row:
        if not self._path.is_dir() and not (self._path.is_file() and zipfile.is_zipfile(self._path)):
            raise InvalidSettings(f"{self._path}: not an archive of a study; expected a folder or .zip that `study export` wrote")
        manifest = self._json(MANIFEST)
        wrong = f"{self._path}: {MANIFEST}"
        if manifest.get("format") not in range(OLDEST_FORMAT, FORMAT + 1):
            known, by = f"{OLDEST_FORMAT} to {FORMAT}", manifest.get("evenhand", "another program")
            raise InvalidSettings(f"{wrong}: format {manifest.get('format')!r}, expected {known}; read it with Evenhand {by}")
        if manifest.get("tables") == UNREAD_FORMAT:
            raise InvalidSettings(f"{wrong}: tables for spreadsheets, which are not read back; export the study as csv, too")
        if manifest.get("tables") not in FORMATS or manifest.get("mode") not in MODES:
            raise InvalidSettings(f"{wrong}: names no known format of tables, or no mode; export the study again")
        hashes = manifest.get("sha256")
        names = [STUDY, CODEBOOK, *(f"{table}{FORMATS[manifest['tables']]}" for table in TABLES)]
        for name in names:
            if not isinstance(hashes, dict) or name not in hashes:
                raise InvalidSettings(f"{wrong}: has no hash of {name}; export the study again")
            if self._hash(name) != hashes[name]:
                raise InvalidSettings(
                    f"{self._path}: {name} is not what the manifest says, so it was edited or damaged; export the study again"
                )
        return manifest

    def _hash(self, name: str) -> str:
        digest = hashlib.sha256()
        with self._open(name) as source:
            while block := source.read(BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()

    def _json(self, name: str) -> Row:
        with self._open(name) as source:
            try:
                document = json.loads(bounded(source, name, MOST_DOCUMENT_BYTES))
            except (ValueError, RecursionError, TooLarge) as error:
                raise self._wrong(f"{name}: not JSON ({text_of(error)})") from error
        if not isinstance(document, dict):
            raise self._wrong(f"{name}: expected an object")
        return document

    def rows(self, table: str) -> Iterator[Row]:
        """The rows of a table of the codebook, as they lie in the archive."""
        name, columns = table + FORMATS[self._form], columns_of(table, self._format)
        with self._open(name) as source:
            if self._form != "parquet":
                yield from table_files.read(columns, self._form, source, f"{self._path}: {name}")
                return
            with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES) as copy:  # Parquet is read from its end
                shutil.copyfileobj(source, copy)
                yield from table_files.read(columns, self._form, copy, f"{self._path}: {name}")

    def _each(self, table: str, make: Callable[[Row], T]) -> Iterator[T]:
        """What each row of a table is; InvalidSettings with the file and the row where it is none."""
        for number, row in enumerate(self.rows(table), 1):
            try:
                self._check_whose(row)
                yield make(row)
            except (KeyError, TypeError, ValueError, AttributeError, RecursionError, EvenhandError) as error:
                name = f"{self._path}: {table}{FORMATS[self._form]}, row {number}"
                raise InvalidSettings(f"{name}: cannot be understood ({error!s}); export the study again") from error

    def _check_whose(self, row: Row) -> None:
        if row["mode"] != self.mode:
            raise ValueError(f"mode {row['mode']!r} in an archive of {self.mode} records")
        if self._hashes.get(row["study_version"]) != row["study_hash"]:
            raise ValueError(f"{STUDY} has no version {row['study_version']} with this hash")

    def _wrong(self, why: str) -> InvalidSettings:
        return InvalidSettings(f"{self._path}: {why}; export the study again")

    @property
    def document(self) -> Row:
        """The study as declared, as it lies in the archive."""
        return self._json(STUDY)

    # The study

    def _declared(self) -> tuple[tuple[Study, ...], tuple[Batch, ...]]:
        document = self._json(STUDY)
        try:
            self._tasks = {task["id"]: codec.from_json(TaskRecord, task) for task in document["tasks"]}
            versions = tuple(codec.from_json(Study, {**version, "id": 1, "archived": True}) for version in document["versions"])
            named = {arm.task_id for version in versions for arm in version.arms} | {version.task_id for version in versions}
            if not versions or named - self._tasks.keys() - {None}:
                raise InvalidSettings("expected at least one version of the study, and every task that it names")
            self._environments = codec.from_json(dict[str, Environment], document.get("environments", {}))
            self._public = codec.from_json(PublicRelease, document["public"]) if "public" in document else None
            fixed = {"study_id": 1, "mode": self.mode, "enabled": False}
            batches = tuple(
                codec.from_json(Batch, {**batch, "id": batch["number"], **fixed}) for batch in document["invitations"]
            )
        except (KeyError, TypeError, ValueError, AttributeError, EvenhandError) as error:
            raise self._wrong(f"{STUDY}: cannot be understood ({error})") from error
        return versions, batches

    # The records

    def _archive(self) -> Archive:
        values, reasons = self._values()
        trials: dict[int, list[Trial]] = defaultdict(list)
        for trial in self._each("trials", lambda row: self._trial(row, values, reasons)):
            trials[trial.session_id].append(trial)
        scores: dict[int, list[SeedScore]] = defaultdict(list)
        earlier: dict[_Key, list[SeedScore]] = defaultdict(list)
        for (session, number), score in self._each("evaluations", _score):
            (earlier[session, number] if number else scores[session]).append(score)
        sessions = tuple(self._each("sessions", lambda row: self._session(row, trials, scores)))
        answers = self._answers()
        session_ids = {record.participant_id: record.id for record in sessions if record.participant_id is not None}
        people = tuple(self._each("participants", lambda row: _participant(row, session_ids, answers)))
        evaluated = {**scores, **{session: entries for (session, _), entries in earlier.items()}}
        self._check_references(sessions, people, {"trials": trials, "evaluations": evaluated})
        study = next((version for version in reversed(self.versions) if version.published_at is not None), self.versions[-1])
        used = {record.task.id: record.task for record in sessions} | {study.task_id: self._tasks[study.task_id]}
        evaluations = {
            record.id: Evaluation(
                record.id,
                record.task.metric,
                tuple(scores.get(record.id, ())),
                _of_earlier(record, earlier),
                record.evaluation_mode,
            )
            for record in sessions
            if record.id in evaluated
        }
        self._check_environments(sessions, evaluations)
        archive = Archive(study, self.versions, tuple(used.values()), people, sessions, evaluations)
        return replace(archive, environments=self._environments, public=self._public)

    def _check_references(
        self, sessions: Sequence[Session], people: Sequence[Participant], of_sessions: Mapping[str, Mapping[int, object]]
    ) -> None:
        known, persons = {session.id for session in sessions}, {person.id for person in people}
        for table, by_session in of_sessions.items():
            if missing := by_session.keys() - known:
                raise self._wrong(f"{table}: session {min(missing)} is none of the sessions")
        if missing := {session.participant_id for session in sessions if session.participant_id is not None} - persons:
            raise self._wrong(f"sessions: participant {min(missing)} is none of the participants")

    def _check_environments(self, sessions: Sequence[Session], evaluations: Mapping[int, Evaluation]) -> None:
        if missing := [key for key in rules.trained_in(sessions, evaluations) if key not in self._environments]:
            raise self._wrong(f"{STUDY}: has no environment {missing[0]!r}, in which something was trained")

    def _values(self) -> tuple[Mapping[_Key, dict[str, Value]], Mapping[_Key, dict[str, str]]]:
        values: dict[_Key, dict[str, Value]] = defaultdict(dict)
        reasons: dict[_Key, dict[str, str]] = defaultdict(dict)
        for key, name, value, reason in self._each("values", _value):
            values[key][name] = value
            if reason is not None:
                reasons[key][name] = reason
        return values, reasons

    def _trial(self, row: Row, values: Mapping[_Key, Any], reasons: Mapping[_Key, Any]) -> Trial:
        key = (row["session"], row["trial"])
        if key in self._numbers:
            raise ValueError(f"trial {key[1]} of session {key[0]} a second time")
        self._numbers[key] = len(self._numbers) + 1
        plain = (
            "proposer", "submitted_at", "claimed_at", "finished_at", "epochs_planned", "epochs_done", "epochs_begun", "attempt",
            "value", "why", "explanation", "resumes", "epochs_before", "revision", "extra",
        )  # fmt: skip
        return Trial(
            id=self._numbers[key],
            session_id=row["session"],
            number=row["trial"],
            configuration=Configuration(values.get(key, {})),
            reasons=reasons.get(key, {}),
            outcome=_outcome(row),
            stop_by=Stopper(row["stop_by"]) if row["stop_by"] else None,
            environment=row.get("environment"),
            signals=None if row.get("signals") is None else codec.from_json(Signals, row["signals"]),
            holds=codec.from_json(tuple[Hold, ...], row.get("holds") or []),
            value_epoch=row.get("value_epoch", None if row["value"] is None else row["epochs_done"]),
            **{name: row[name] for name in plain},
        )

    def _session(self, row: Row, trials: Mapping[int, list[Trial]], scores: Mapping[int, list[SeedScore]]) -> Session:
        number, mine = row["session"], scores.get(row["session"], [])
        interventions = tuple(codec.from_json(Intervention, intervention) for intervention in row["interventions"])
        plain = (
            "tuner", "condition", "tuning_seed", "presets", "live_validation", "resumable", "opened_at", "started_at",
            "withdrawn_at", "last_seen", "method", "mode",
        )  # fmt: skip
        return Session(
            id=number,
            study_id=1,
            task=self._tasks[row["task"]],
            kind="method" if row["participant"] is None else "participant",
            budget=Budget(
                row["budget_seconds"],
                row["budget_trials"],
                row["budget_epochs"],
                row["budget_parallel"],
                None if row.get("budget_until") is None else rules.parse_until(row["budget_until"]),
                None if row.get("budget_cost") is None else cost_of_text(row["budget_cost"]),
            ),
            participant_id=row["participant"],
            version=row["study_version"],
            interventions=interventions,
            pauses=tuple(codec.from_json(Pause, pause) for pause in row["pauses"]),
            extensions=tuple(codec.from_json(Extension, extension) for extension in row["extensions"]),
            trials=tuple(judge_of(self._tasks[row["task"]].metric, row["method"], interventions).all(trials.get(number, ()))),
            choice=self._choice(row),
            earlier_choices=tuple(self._earlier(number, entry) for entry in row.get("earlier_choices", ())),
            purpose=row.get("purpose", "study"),
            name=row.get("name"),
            evaluation_mode=row.get("evaluation_mode", "retrain"),
            value_rule=row.get("value_rule", "last"),
            evaluated=Evaluated(len(mine), sum(score.outcome is not None for score in mine)),
            **{name: row[name] for name in plain},
        )

    def _choice(self, row: Row) -> FinalChoice | None:
        if row["chose_at"] is None:
            return None
        final = row["final_configuration"]
        trial_id = None if row["final_trial"] is None else self._numbers[row["session"], row["final_trial"]]
        return FinalChoice(row["chose_at"], None if final is None else Configuration(final), trial_id, bool(row["automatic"]))

    def _earlier(self, session: int, entry: Row) -> EarlierChoice:
        trial_id = None if entry["trial"] is None else self._numbers[session, entry["trial"]]
        final = entry["configuration"]
        choice = FinalChoice(entry["at"], None if final is None else Configuration(final), trial_id, bool(entry["automatic"]))
        return EarlierChoice(choice, entry["reopened_at"])

    def _answers(self) -> Mapping[int, dict[str, Any]]:
        answers: dict[int, dict[str, Any]] = defaultdict(dict)

        def gather(row: Row) -> None:
            mine, path = answers[row["participant"]], f"{row['questionnaire']}.{row['question']}"
            mine[path] = _gathered(row, mine.get(path))

        for _ in self._each("answers", gather):
            pass
        return answers

    # What is read as it is taken

    def measurements(self) -> Iterator[tuple[int, Measurement]]:
        """Every measurement with its trial's id."""
        yield from self._each("measurements", self._measurement)

    def _measurement(self, row: Row) -> tuple[int, Measurement]:
        plain = ("index", "step", "epoch", "loss", "value", "seconds", "extra")
        return self._numbers[row["session"], row["trial"]], Measurement(**{name: row[name] for name in plain})

    def events(self) -> Iterator[Event]:
        """Every event, in order."""
        yield from self._each("events", self._event)

    def _event(self, row: Row) -> Event:
        detail, session = dict(row["detail"]), row["session"]
        if session is None and row["participant"] is not None:
            detail["participant"] = row["participant"]
        trial_id = None if row["trial"] is None else self._numbers[session, row["trial"]]
        return Event(row["event"], row["at"], row["kind"], session, trial_id, detail)


def _outcome(row: Row) -> Outcome | None:
    return Outcome(row["outcome"]) if row["outcome"] else None


def _value(row: Row) -> tuple[_Key, str, Value, str | None]:
    return (row["session"], row["trial"]), row["hyperparameter"], _recorded(row), row.get("reason_label", row["reason"])


def _recorded(row: Row) -> Value:
    """What was recorded; before format 3, `number` said whether it is a number. A whole one is written without a point."""
    text, kind = row["value"], row.get("type") or ("text" if row["number"] is None else "number")
    if kind == "json":
        return frozen(json.loads(text))
    return text if kind == "text" else _number(text)


def _number_or_text(text: str, number: float | None) -> float | str:
    """An answer: the column `number` says whether it is a number."""
    return text if number is None else _number(text)


def _number(text: str) -> float:
    """A number as it was written: a whole one has no point."""
    try:
        return int(text)
    except ValueError:
        return float(text)


def _of_earlier(session: Session, scores: Mapping[_Key, list[SeedScore]]) -> tuple[tuple[SeedScore, ...], ...]:
    """The scores of each choice that a session was extended after."""
    return tuple(tuple(scores.get((session.id, number), ())) for number in range(1, len(session.earlier_choices) + 1))


def _score(row: Row) -> tuple[_Key, SeedScore]:
    """The session's number and which earlier choice it is of (0: the final one), and the score."""
    score = SeedScore(
        row["seed_index"], row["seed"], _outcome(row), row["value"], row["why"], row.get("environment"), row.get("extra", {})
    )
    return (row["session"], row.get("of_earlier", 0)), score


def _participant(row: Row, session_ids: Mapping[int, int], answers: Mapping[int, dict[str, Any]]) -> Participant:
    number = row["participant"]
    plain = (
        "pseudonym", "mode", "condition", "language", "consent_version", "consented_at", "read_details_at", "practised_at",
        "withdrawn_at", "excluded",
    )  # fmt: skip
    return Participant(
        id=number,
        study_id=1,
        created_at=row["joined_at"],
        batch_id=row["invitations"],
        version=row["study_version"],
        session_id=session_ids.get(number),
        answered=tuple(row["answered"]),
        answers=answers.get(number, {}),
        **{name: row[name] for name in plain},
    )


def _gathered(row: Row, known: Any) -> Any:
    """An answer with one more of its rows."""
    value: Any = _number_or_text(row["answer"], row["number"])
    several, of_matrix = row["item"] is not None, row["row"] is not None
    if row["form"] == "json":
        value = json.loads(row["answer"])
    before = (known or {}).get(row["row"]) if of_matrix else known
    if several:
        value = [*(before or []), *([value] if row["item"] > 0 else [])]
    return {**(known or {}), row["row"]: value} if of_matrix else value
