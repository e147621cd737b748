"""The researcher's verbs: declare, publish and close a study; pause and extend sessions; read everything for the report."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata

from evenhand import protocol, wire
from evenhand.core import Core, refuse_archive
from evenhand.declaration import Mode, Study, hash_of
from evenhand.errors import InvalidSettings, Refused
from evenhand.records import Archive, Evaluation, Extension, Session, State, TaskRecord
from evenhand.store import jobs, journal, people, sessions, studies

PACKAGES = ("evenhand", "numpy", "scipy", "scikit-learn", "torch", "optuna")  # what a training's numbers can depend on
RESEARCHER = "researcher"


def packages() -> dict[str, str]:
    """The installed versions of the packages that a training's numbers can depend on."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


class Conduct(Core):
    """What a researcher asks of the laboratory."""

    # Tasks and studies

    def add_task(self, record: TaskRecord) -> TaskRecord:
        """Make a task known; the same version twice is one task."""
        with self._change() as tx:
            return studies.task(tx, studies.add_task(tx, record))

    def add_study(self, study: Study) -> Study:
        """Declare and publish a study; one with the same name is kept as it is and returned."""
        with self._store.read() as tx:
            known = studies.id_by_name(tx, study.name)
        if known is not None:
            return self.study(known)
        return self.publish(self.declare(study).id, "declared in code")

    def declare(self, study: Study) -> Study:
        """Store a study, or its next version where one of this name is there and differs in content; it is not published yet.

        The version's hash is of what is declared, of its tasks' versions (source, settings, data) and of the packages here.
        """
        study = replace(study, packages=dict(study.packages) or packages(), published_at=None, note="")
        with self._change() as tx:
            now, study_id = self.clock(), studies.id_by_name(tx, study.name)
            tasks = {str(each): studies.task(tx, each).version for each in _task_ids(study)}
            study = replace(study, hash=hash_of(study, wire.to_json(study), tasks))
            if study_id is None:
                study_id = studies.add_study(tx, study.name, now)
            known = studies.versions(tx, study_id)
            if known and known[-1].archived:
                raise Refused(f"study {study.name!r} was imported from an archive and cannot be changed; use another name")
            same = next((each for each in known if each.hash == study.hash), None)
            if same is not None:
                return same
            studies.add_version(tx, replace(study, id=study_id), now)
            journal.record(tx, now, "declared", study=study_id, version=len(known) + 1, hash=study.hash)
            return studies.versions(tx, study_id)[-1]

    def publish(self, study_id: int, note: str) -> Study:
        """Freeze the newest version: from now on it is what participants get. note: what was changed, and why."""
        with self._change() as tx:
            newest = studies.versions(tx, study_id)[-1:]
            if not newest:
                return studies.study(tx, study_id)  # which says that there is none
            if newest[0].published_at is None:
                refuse_archive(newest[0])
                studies.publish(tx, study_id, newest[0].version, note, self.clock())
                version, hashed = newest[0].version, newest[0].hash
                journal.record(tx, self.clock(), "published", study=study_id, version=version, hash=hashed)
            return studies.study(tx, study_id)

    def close_study(self, study_id: int) -> Study:
        """End collection: nobody can join any more, and the report may be read. Who is tuning goes on."""
        with self._change() as tx:
            study = studies.study(tx, study_id)
            if study.closed_at is None and not study.archived:
                studies.close(tx, study_id, self.clock())
                journal.record(tx, self.clock(), "closed", study=study_id)
            return studies.study(tx, study_id)

    def reopen_study(self, study_id: int) -> Study:
        """Go on collecting; refused where somebody has looked at the live participants' test scores."""
        with self._change() as tx:
            study = studies.study(tx, study_id)
            refuse_archive(study)
            looked = any(journal.looks(tx, each.id) for each in sessions.of_study(tx, study_id) if each.mode == "live")
            if looked:
                raise Refused("test scores of this study were looked at, so collection cannot go on; declare a new study")
            studies.close(tx, study.id, None)
            journal.record(tx, self.clock(), "reopened", study=study_id)
            return studies.study(tx, study_id)

    def studies(self) -> list[Study]:
        """All studies, the newest first."""
        with self._store.read() as tx:
            return studies.studies(tx)

    def study(self, study_id: int, version: int | None = None) -> Study:
        """One version of a study: by its number, else the newest published one, else the newest. NotFound where there is none."""
        with self._store.read() as tx:
            return studies.study(tx, study_id, version)

    def study_named(self, name: str) -> Study:
        """The study with this name or number; InvalidSettings lists the names where there is none."""
        found = self.studies()
        for each in found:
            if each.name == name or str(each.id) == name:
                return each
        known = ", ".join(repr(each.name) for each in found) or "none yet"
        raise InvalidSettings(f"study {name!r} is not here; expected one of: {known}")

    def versions(self, study_id: int) -> list[Study]:
        """All versions of a study, in order; the last may not be published yet."""
        with self._store.read() as tx:
            return studies.versions(tx, study_id)

    def task(self, task_id: int) -> TaskRecord:
        """One task; NotFound where there is none."""
        with self._store.read() as tx:
            return studies.task(tx, task_id)

    def study_task(self, study_id: int) -> TaskRecord:
        """The task of a study."""
        with self._store.read() as tx:
            return studies.task(tx, studies.study(tx, study_id).task_id)

    # Time

    def has_looked(self, task_id: int, who: str) -> bool:
        """Whether `who` looked at a test score of a task, and so may not intervene in its open sessions one by one."""
        with self._store.read() as tx:
            return journal.looked_at_task(tx, task_id, who)

    def pause(self, session_ids: Sequence[int], reason: str, who: str | None = None) -> list[int]:
        """Let sessions stand still: their clocks stop, nothing new is accepted, a running training goes on. Those that paused.

        who: checked as in `stop` where sessions were picked one by one; what happens to everyone alike can favour nobody.
        """
        if not reason.strip():
            raise Refused("give the reason of the pause; participants read it")
        with self._change() as tx:
            self._check_may_intervene(tx, [sessions.get(tx, each) for each in session_ids], who)
            now = self.clock()
            states = {each: protocol.state_of(sessions.get(tx, each), now) for each in session_ids}
            able = [each for each, state in states.items() if state in (State.TUNING, State.CHOOSING)]
            for session_id in able:
                sessions.pause(tx, session_id, reason.strip(), now)
                journal.record(tx, now, "paused", session_id)
        for session_id in able:
            self._notify(session_id)
        return able

    def unpause(self, session_ids: Sequence[int]) -> list[int]:
        """Let paused sessions go on; the time of the pause is credited. Those that were paused."""
        with self._change() as tx:
            now = self.clock()
            paused = [session_id for session_id in session_ids if sessions.end_pause(tx, session_id, now)]
            for session_id in paused:
                journal.record(tx, now, "went on", session_id)
        for session_id in paused:
            self._notify(session_id)
        return paused

    def extend(self, session_ids: Sequence[int], seconds: float, reason: str, who: str | None = None) -> list[int]:
        """Give time, with a reason that is kept, to sessions with a time limit and no choice yet. Those that got it.

        who: as in `pause`.
        """
        if not 0 < seconds <= 86400:
            raise Refused(f"{seconds:g} seconds are no extension; give more than 0 and at most a day")
        if not reason.strip():
            raise Refused("give the reason of the extension; it is kept in the record")
        with self._change() as tx:
            now = self.clock()
            found = [sessions.get(tx, session_id) for session_id in session_ids]
            self._check_may_intervene(tx, found, who)
            able = [each.id for each in found if _can_take_time(each)]
            for session_id in able:
                sessions.extend(tx, session_id, Extension(seconds, reason.strip()))
                journal.record(tx, now, "extended", session_id, seconds=seconds)
        for session_id in able:
            self._notify(session_id)
        return able

    # Everything

    def archive(self, study_id: int, mode: Mode, who: str = RESEARCHER) -> Archive:
        """A study's records of one mode, with the test scores; each evaluated session's look is logged.

        Refused for live records while the study still collects: rankings by test stay hidden until it is closed.
        """
        with self._change() as tx:  # a short write: what it logs may be read afterwards, however long that takes
            if why := protocol.why_scores_hidden(studies.study(tx, study_id), mode):
                raise Refused(why)
            scored = jobs.scored(tx, study_id, mode)
            for session_id in scored:
                journal.look(tx, session_id, who, self.clock())
        with self._store.read() as tx:
            study = studies.study(tx, study_id)
            found = [each for each in sessions.of_study(tx, study_id) if each.mode == mode and not each.practice]
            found.sort(key=lambda each: (each.participant_id is None, each.participant_id or 0, each.id))
            evaluations = {
                each.id: Evaluation(each.id, each.task.metric, jobs.evaluation_scores(tx, each.id))
                for each in found
                if each.id in scored
            }
            tasks = {each.task.id: each.task for each in found} | {study.task_id: studies.task(tx, study.task_id)}
            participants = tuple(each for each in people.of_study(tx, study_id) if each.mode == mode)
            versions = tuple(studies.versions(tx, study_id))
            return Archive(study, versions, tuple(tasks.values()), participants, tuple(found), evaluations)


def _task_ids(study: Study) -> set[int]:
    return {study.task_id} | {arm.task_id for arm in study.arms if arm.task_id is not None}


def _can_take_time(session: Session) -> bool:
    running = session.started_at is not None and session.withdrawn_at is None and session.choice is None
    return running and session.budget.seconds is not None
