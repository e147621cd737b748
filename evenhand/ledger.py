"""Data out and in: a study's records read a chunk at a time, so that collection goes on meanwhile, and archives brought in."""

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TypeVar

from sqlalchemy import Connection

from evenhand import protocol
from evenhand.core import Core, hash_token
from evenhand.declaration import Mode, Study
from evenhand.errors import InvalidSettings, Refused
from evenhand.records import Archive, Batch, Evaluation, Event, Measurement, Participant, Session, TaskRecord
from evenhand.store import bulk, jobs, journal, people, sessions, studies

T = TypeVar("T")
PEOPLE, ROWS = 25, 2000  # participants, and measurements or events, that one transaction reads or writes
IMPORTED = "imported"  # the event of an import: it is about this database, so no export holds it
UNFINISHED = " (being imported)"


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
class Part:
    """Some participants, their sessions (or some of methods), and the evaluations of these, as they were at one moment."""

    participants: tuple[Participant, ...]
    sessions: tuple[Session, ...]
    evaluations: Mapping[int, Evaluation] = field(default_factory=dict)


class Ledger(Core):
    """What exports and imports ask of the laboratory."""

    # Out

    def outline(self, study_id: int, mode: Mode, who: str, evaluations: bool = True) -> Outline:
        """Begin an export. With test scores, the rule of `archive` holds: refused for live records while the study collects, and
        each evaluated session's look is logged."""
        with self._change() as tx:
            study = studies.study(tx, study_id)
            evaluated = None
            if evaluations:
                if why := protocol.why_scores_hidden(study, mode):
                    raise Refused(why)
                evaluated = frozenset(jobs.scored(tx, study_id, mode))
                for session_id in sorted(evaluated):
                    journal.look(tx, session_id, who, self.clock())
            return Outline(
                study=study,
                versions=tuple(studies.versions(tx, study_id)),
                mode=mode,
                participants=tuple(bulk.participant_ids(tx, study_id, mode)),
                methods=tuple(bulk.method_ids(tx, study_id, mode)),
                batches=tuple(each for each in reversed(people.batches(tx, study_id)) if each.mode == mode),
                evaluated=evaluated,
                last_event=bulk.last_event(tx),
            )

    def chunks(self, outline: Outline) -> Iterator[Part]:
        """Participants with their sessions, then the methods' sessions, in the order of `archive`; each chunk of one moment."""
        for ids in _pieces(outline.participants, PEOPLE):
            with self._store.read() as tx:
                found = people.some(tx, ids)
                part = self._part(tx, outline, found, [each.session_id for each in found if each.session_id is not None])
            yield part
        for ids in _pieces(outline.methods, PEOPLE):
            with self._store.read() as tx:
                part = self._part(tx, outline, (), ids)
            yield part

    def _part(self, tx: Connection, outline: Outline, found: Sequence[Participant], ids: Sequence[int]) -> Part:
        theirs = sessions.some(tx, ids) if ids else []
        theirs.sort(key=lambda each: (each.participant_id or 0, each.id))
        evaluations = {}
        for each in theirs:
            if outline.evaluated is not None and each.id in outline.evaluated:
                evaluations[each.id] = Evaluation(each.id, each.task.metric, jobs.evaluation_scores(tx, each.id))
        return Part(tuple(found), tuple(theirs), evaluations)

    def measured(self, trial_id: int, attempt: int) -> Iterator[Measurement]:
        """What an attempt of a trial measured, in order, a chunk at a time."""
        after = -1
        while True:
            with self._store.read() as tx:
                found = bulk.measurements(tx, trial_id, attempt, after, ROWS)
            yield from found
            if len(found) < ROWS:
                return
            after = found[-1].index

    def happened(self, outline: Outline) -> Iterator[Event]:
        """The study's events up to the export's beginning, of every mode, in order, a chunk at a time."""
        after = 0
        while True:
            with self._store.read() as tx:
                found = journal.events(tx, after, ROWS, study_id=outline.study.id)
            yield from (each for each in found if each.id <= outline.last_event and each.kind != IMPORTED)
            if len(found) < ROWS or found[-1].id >= outline.last_event:
                return
            after = found[-1].id

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
        with self._change() as tx:
            self._check_free(tx, wanted)
            made = _Made(tx, self.clock(), archive, tasks or archive.tasks, batches, wanted)
        try:
            self._bring_measurements(made, measurements)
            self._bring_events(made, events)
        except BaseException:
            with self._change() as tx:
                bulk.drop_study(tx, made.study_id)
            raise
        with self._change() as tx:
            bulk.rename(tx, made.study_id, wanted)
            journal.record(tx, self.clock(), IMPORTED, study=made.study_id)
            return studies.study(tx, made.study_id)

    def _check_free(self, tx: Connection, name: str) -> None:
        left = studies.id_by_name(tx, name + UNFINISHED)
        if left is not None:
            bulk.drop_study(tx, left)
        if studies.id_by_name(tx, name) is not None:
            raise Refused(f"a study named {name!r} is here already; bring the archive in under another name (--name)")

    def _bring_measurements(self, made: "_Made", measurements: Iterable[tuple[int, Measurement]]) -> None:
        for some in _some(measurements):
            with self._change() as tx:
                of = bulk.job_ids(tx, sorted({made.trials[trial][0] for trial, _ in some}))
                rows = [(of[made.trials[trial][0]], made.trials[trial][1], each) for trial, each in some]
                bulk.add_measurements(tx, rows)

    def _bring_events(self, made: "_Made", events: Iterable[Event]) -> None:
        for some in _some(events):
            with self._change() as tx:
                bulk.add_events(tx, [made.event(each) for each in some])


class _Made:
    """The rows that an archive became: for each of its ids the one in the database."""

    def __init__(
        self, tx: Connection, now: float, archive: Archive, tasks: Sequence[TaskRecord], batches: Sequence[Batch], name: str
    ) -> None:
        self.study_id = studies.add_study(tx, name + UNFINISHED, archive.study.created_at, archived=True)
        studies.close(tx, self.study_id, archive.study.closed_at)
        self.tasks = {each.id: _add_task(tx, each) for each in tasks}
        for version in archive.versions:
            bulk.add_version(tx, self._version(version))
        self.batches = {each.id: bulk.add_batch(tx, replace(each, study_id=self.study_id)) for each in batches}
        self.people = {each.id: self._person(tx, each, now) for each in archive.participants}
        self.sessions: dict[int, int] = {}
        self.trials: dict[int, tuple[int, int]] = {}  # by the archive's id: the trial's id here, and the attempt that counts
        for session in archive.sessions:
            self._session(tx, session)
        for evaluation in archive.evaluations.values():
            chosen = next(each.choice for each in archive.sessions if each.id == evaluation.session_id)
            for score in evaluation.scores:
                bulk.add_score(tx, self.sessions[evaluation.session_id], chosen.at if chosen else now, score)

    def _version(self, version: Study) -> Study:
        arms = tuple(replace(arm, task_id=arm.task_id and self.tasks[arm.task_id]) for arm in version.arms)
        return replace(version, id=self.study_id, task_id=self.tasks[version.task_id], arms=arms)

    def _person(self, tx: Connection, each: Participant, now: float) -> int:
        number = re.fullmatch(r"P-(\d+)", each.pseudonym)
        if number is None:
            raise InvalidSettings(f"participant {each.id}: pseudonym {each.pseudonym!r}, expected one such as P-01")
        batch_id = each.batch_id and self.batches[each.batch_id]
        person = replace(each, study_id=self.study_id, batch_id=batch_id)
        unknown = hash_token(secrets.token_urlsafe(16))  # of a resume code that nobody has
        return bulk.add_participant(tx, person, int(number[1]), unknown, now)

    def _session(self, tx: Connection, each: Session) -> None:
        task = replace(each.task, id=self.tasks[each.task.id])
        participant_id = each.participant_id and self.people[each.participant_id]
        session = replace(each, study_id=self.study_id, task=task, participant_id=participant_id)
        session_id, trials = bulk.add_session(tx, session)
        self.sessions[each.id] = session_id
        self.trials |= {trial.id: (trials[trial.id], trial.attempt) for trial in each.trials}
        if each.choice is not None:
            chosen = each.choice.trial_id
            sessions.choose(tx, session_id, replace(each.choice, trial_id=chosen and trials[chosen]), None)

    def event(self, each: Event) -> Event:
        """An event with the ids that things have here."""
        detail = dict(each.detail)
        for key, ids in (("participant", self.people), ("batch", self.batches)):
            if isinstance(number := detail.get(key), int):
                detail[key] = ids.get(number)
        if each.session_id is None and not detail.keys() & {"participant", "batch"}:
            detail["study"] = self.study_id
        return replace(
            each,
            session_id=each.session_id and self.sessions[each.session_id],
            trial_id=each.trial_id and self.trials[each.trial_id][0],
            detail=detail,
        )


def _add_task(tx: Connection, record: TaskRecord) -> int:
    task_id = studies.add_task(tx, record)
    known = studies.task(tx, task_id)
    if replace(known, id=0, spec=record.spec) != replace(record, id=0):
        raise Refused(
            f"task {record.spec.name!r}, version {record.version[:12]}, is known here with another space or statistics than in "
            "the archive; bring it into a database of its own (--db)"
        )
    return task_id


def _pieces(ids: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    for start in range(0, len(ids), size):
        yield ids[start : start + size]


def _some(rows: Iterable[T]) -> Iterator[list[T]]:
    found = iter(rows)
    while some := list(islice(found, ROWS)):
        yield some
