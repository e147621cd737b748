"""Data out and in: a study's records read a chunk at a time, so that collection goes on meanwhile, and archives brought in."""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection

from evenhand.errors import InvalidSettings, Refused
from evenhand.lab.base import Core, hash_token
from evenhand.lab.evaluations import scores_to_read
from evenhand.model.archive import Archive, Event
from evenhand.model.evaluation import Evaluation
from evenhand.model.participant import Batch, Participant
from evenhand.model.session import FinalChoice, Session
from evenhand.model.study import Mode, Study
from evenhand.model.task import TaskRecord
from evenhand.model.trial import Measurement
from evenhand.store import bulk, jobs, sessions, studies
from evenhand.store import events as event_rows
from evenhand.store import participants as participant_rows
from evenhand.tasks import versions

T = TypeVar("T")
PEOPLE_PER_PIECE, ROWS_PER_PIECE = 25, 2000  # participants, and measurements or events, that one transaction reads
WRITTEN_PER_PIECE = 10_000  # measurements or events that one transaction writes: each commit waits for the disk
IMPORTED_EVENT = "imported"  # the event of an import: it is about this database, so no export holds it
UNFINISHED_SUFFIX = " (being imported)"


@dataclass(frozen=True)
class Outline:
    """What an export is of: the ids of its participants and methods' sessions in order, and the newest event when it began.

    evaluated: sessions whose test scores it may hold, since the look at each is logged; None where it shall hold none.
    """

    study: Study
    versions: tuple[Study, ...]
    mode: Mode
    participants: tuple[int, ...]
    methods: tuple[int, ...]
    batches: tuple[Batch, ...]
    evaluated: frozenset[int] | None
    last_event: int


@dataclass(frozen=True)
class ExportChunk:
    """Some participants, their sessions (or some of methods), and the evaluations of these, as they were at one moment."""

    participants: tuple[Participant, ...]
    sessions: tuple[Session, ...]
    evaluations: Mapping[int, Evaluation] = field(default_factory=dict)


class Transfer:
    """A study's records out of the laboratory, and an archive's into it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    # Out

    def export(self, study_id: int, mode: Mode, who: str, evaluations: bool = True, *, looked: bool = False) -> Outline:
        """Begin an export. With test scores, the rule of `archive` holds."""
        now = None if looked else self._core.clock()
        with self._core.change() if evaluations and not looked else self._core.read() as tx:
            study = studies.study(tx, study_id)
            evaluated = scores_to_read(tx, study, mode, who, now) if evaluations else None
            return Outline(
                study=study,
                versions=tuple(studies.versions(tx, study_id)),
                mode=mode,
                participants=tuple(bulk.participant_ids(tx, study_id, mode)),
                methods=tuple(bulk.method_ids(tx, study_id, mode)),
                batches=tuple(batch for batch in reversed(participant_rows.batches(tx, study_id)) if batch.mode == mode),
                evaluated=evaluated,
                last_event=bulk.last_event(tx),
            )

    def chunks(self, outline: Outline) -> Iterator[ExportChunk]:
        """Participants with their sessions, then the methods' sessions, in the order of `archive`; each chunk of one moment."""
        for ids in _pieces(outline.participants, PEOPLE_PER_PIECE):
            with self._core.read() as tx:
                participants = participant_rows.some(tx, ids)
                part = self._part(
                    tx,
                    outline,
                    participants,
                    [participant.session_id for participant in participants if participant.session_id is not None],
                )
            yield part
        for ids in _pieces(outline.methods, PEOPLE_PER_PIECE):
            with self._core.read() as tx:
                part = self._part(tx, outline, (), ids)
            yield part

    def _part(self, tx: Connection, outline: Outline, participants: Sequence[Participant], ids: Sequence[int]) -> ExportChunk:
        chosen = sessions.some(tx, ids) if ids else []
        chosen.sort(key=lambda session: (session.participant_id or 0, session.id))
        evaluations = {}
        for session in chosen:
            if outline.evaluated is not None and session.id in outline.evaluated:
                evaluations[session.id] = jobs.evaluation(tx, session)
        return ExportChunk(tuple(participants), tuple(chosen), evaluations)

    def measured(self, trial_id: int, attempt: int) -> Iterator[Measurement]:
        """What an attempt of a trial measured, in order, a chunk at a time."""
        after = -1
        while True:
            with self._core.read() as tx:
                measurements = bulk.measurements(tx, trial_id, attempt, after, ROWS_PER_PIECE)
            yield from measurements
            if len(measurements) < ROWS_PER_PIECE:
                return
            after = measurements[-1].index

    def happened(self, outline: Outline) -> Iterator[Event]:
        """The study's events up to the export's beginning, of every mode, in order, a chunk at a time."""
        after = 0
        while True:
            with self._core.read() as tx:
                events = event_rows.events(tx, after, ROWS_PER_PIECE, study_id=outline.study.id)
            yield from (event for event in events if event.id <= outline.last_event and event.kind != IMPORTED_EVENT)
            if len(events) < ROWS_PER_PIECE or events[-1].id >= outline.last_event:
                return
            after = events[-1].id

    # In

    def bring_in(
        self,
        archive: Archive,
        *,
        tasks: Sequence[TaskRecord] = (),
        batches: Sequence[Batch] = (),
        measurements: Iterable[tuple[int, Measurement]] = (),
        events: Iterable[Event] = (),
        name: str | None = None,
    ) -> Study:
        """Store an archive as a study that nobody can take part in. Refused where its name is taken; all of it comes in, or none.

        Ids are those within the archive, also in events' details. tasks: all that a version names, where they are not all in the
        archive. measurements: each with its trial's id.
        """
        wanted = name or archive.study.name
        with self._core.change() as tx:
            self._check_free(tx, wanted)
            made = _Made(tx, self._core.clock(), archive, tasks or archive.tasks, batches, wanted)
        try:
            self._bring_measurements(made, measurements)
            self._bring_events(made, events)
        except BaseException:
            with self._core.change() as tx:
                bulk.drop_study(tx, made.study_id)
            raise
        with self._core.change() as tx:
            bulk.rename(tx, made.study_id, wanted)
            event_rows.record(tx, self._core.clock(), IMPORTED_EVENT, study=made.study_id)
            return studies.study(tx, made.study_id)

    def _check_free(self, tx: Connection, name: str) -> None:
        left = studies.id_by_name(tx, name + UNFINISHED_SUFFIX)
        if left is not None:
            bulk.drop_study(tx, left)
        if studies.id_by_name(tx, name) is not None:
            raise Refused(f"a study named {name!r} is here already; bring the archive in under another name (--name)")

    def _bring_measurements(self, made: "_Made", measurements: Iterable[tuple[int, Measurement]]) -> None:
        for some in _some(measurements):
            with self._core.change() as tx:
                of = bulk.job_ids(tx, sorted({made.trials[trial][0] for trial, _ in some}))
                rows = [(of[made.trials[trial][0]], made.trials[trial][1], measurement) for trial, measurement in some]
                bulk.add_measurements(tx, rows)

    def _bring_events(self, made: "_Made", events: Iterable[Event]) -> None:
        for some in _some(events):
            with self._core.change() as tx:
                bulk.add_events(tx, [made.event(event) for event in some])


class _Made:
    """The rows that an archive became: for each of its ids the one in the database."""

    def __init__(
        self, tx: Connection, now: float, archive: Archive, tasks: Sequence[TaskRecord], batches: Sequence[Batch], name: str
    ) -> None:
        self.study_id = studies.add_study(tx, name + UNFINISHED_SUFFIX, archive.study.created_at, archived=True)
        studies.close(tx, self.study_id, archive.study.closed_at)
        bulk.add_environments(tx, archive.environments.values())
        self.tasks = {task.id: _add_task(tx, task) for task in tasks}
        for version in archive.versions:
            bulk.add_version(tx, self._version(version))
        self.batches = {batch.id: bulk.add_batch(tx, replace(batch, study_id=self.study_id)) for batch in batches}
        self.people = {participant.id: self._person(tx, participant, now) for participant in archive.participants}
        self.sessions: dict[int, int] = {}
        self.trials: dict[int, tuple[int, int]] = {}  # by the archive's id: the trial's id here, and the attempt that counts
        for session in archive.sessions:
            self._session(tx, session)
        for evaluation in archive.evaluations.values():
            chosen = next(session.choice for session in archive.sessions if session.id == evaluation.session_id)
            for number, scores in enumerate((evaluation.scores, *evaluation.earlier)):
                for score in scores:
                    bulk.add_score(tx, self.sessions[evaluation.session_id], chosen.at if chosen else now, score, number)

    def _version(self, version: Study) -> Study:
        arms = tuple(replace(arm, task_id=arm.task_id and self.tasks[arm.task_id]) for arm in version.arms)
        return replace(version, id=self.study_id, task_id=self.tasks[version.task_id], arms=arms)

    def _person(self, tx: Connection, participant: Participant, now: float) -> int:
        number = re.fullmatch(r"P-(\d+)", participant.pseudonym)
        if number is None:
            raise InvalidSettings(f"participant {participant.id}: pseudonym {participant.pseudonym!r}, expected one such as P-01")
        batch_id = participant.batch_id and self.batches[participant.batch_id]
        person = replace(participant, study_id=self.study_id, batch_id=batch_id)
        unknown = hash_token(secrets.token_urlsafe(16))  # of a resume code that nobody has
        return bulk.add_participant(tx, person, int(number[1]), unknown, now)

    def _session(self, tx: Connection, original: Session) -> None:
        task = replace(original.task, id=self.tasks[original.task.id])
        participant_id = original.participant_id and self.people[original.participant_id]
        session = replace(original, study_id=self.study_id, task=task, participant_id=participant_id)
        session_id, trials = bulk.add_session(tx, session)
        self.sessions[original.id] = session_id
        self.trials |= {trial.id: (trials[trial.id], trial.attempt) for trial in original.trials}
        sessions.add_earlier(
            tx, session_id, [replace(entry, choice=_with_trial(entry.choice, trials)) for entry in original.earlier_choices]
        )
        if original.choice is not None:
            sessions.choose(tx, session_id, _with_trial(original.choice, trials), None)

    def event(self, event: Event) -> Event:
        """An event with the ids that things have here."""
        detail = dict(event.detail)
        for key, ids in (("participant", self.people), ("batch", self.batches)):
            if isinstance(number := detail.get(key), int):
                detail[key] = ids.get(number)
        if event.session_id is None and not detail.keys() & {"participant", "batch"}:
            detail["study"] = self.study_id
        return replace(
            event,
            session_id=event.session_id and self.sessions[event.session_id],
            trial_id=event.trial_id and self.trials[event.trial_id][0],
            detail=detail,
        )


def _with_trial(choice: FinalChoice, trials: Mapping[int, int]) -> FinalChoice:
    """A choice with the id that its trial has here."""
    return replace(choice, trial_id=choice.trial_id and trials[choice.trial_id])


def _add_task(tx: Connection, record: TaskRecord) -> int:
    task_id = studies.add_task(tx, record)
    known = studies.task(tx, task_id)
    if replace(known, id=0, spec=record.spec) != replace(record, id=0):
        raise Refused(
            f"task {record.spec.name!r}, version {versions.short(record.version)}, is known here with another space or other "
            "statistics than in the archive; bring it into a database of its own (--db)"
        )
    return task_id


def _pieces(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _some(rows: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(rows)
    while some := list(islice(iterator, WRITTEN_PER_PIECE)):
        yield some
