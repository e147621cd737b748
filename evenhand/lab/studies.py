"""The researcher's verbs: declare, publish and close a study; read everything for the report."""

from collections.abc import Iterable
from dataclasses import replace

from evenhand.errors import InvalidSettings, Refused
from evenhand.lab.base import Core, refuse_archive
from evenhand.lab.evaluations import scores_to_read
from evenhand.model import codec, rules
from evenhand.model.archive import Archive
from evenhand.model.environment import pin
from evenhand.model.person import UNNAMED
from evenhand.model.study import Mode, Study, hash_of
from evenhand.model.task import TaskRecord
from evenhand.settings import AGENT_SILENCE_SECONDS
from evenhand.store import environments, events, jobs, sessions, studies
from evenhand.store import participants as participant_rows
from evenhand.tasks import machine

MOST_NAMED_STUDIES = 12  # studies that an error lists


class Studies:
    """The studies of a laboratory, and their tasks."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def add_task(self, record: TaskRecord) -> TaskRecord:
        """Make a task known; the same version twice is one task."""
        with self._core.change() as tx:
            return studies.task(tx, studies.add_task(tx, record))

    def add(self, study: Study) -> Study:
        """Declare and publish a study; one with the same name is kept as it is and returned."""
        with self._core.read() as tx:
            known = studies.id_by_name(tx, study.name)
        if known is not None:
            return self.get(known)
        return self.publish(self.declare(study).id, "declared in code")

    def declare(self, study: Study) -> Study:
        """Store a study, or its next version where one of this name is there and differs in content; it is not published yet.

        The version's hash is of what is declared, of its tasks' versions and of the packages here.
        """
        packages = dict(study.packages) or machine.packages()
        study = replace(study, packages=packages, published_at=None, note="", environment=None)
        with self._core.change() as tx:
            now, study_id = self._core.clock(), studies.id_by_name(tx, study.name)
            tasks = {str(task_id): studies.task(tx, task_id).version for task_id in _task_ids(study)}
            study = replace(study, hash=hash_of(study, codec.to_json(study), tasks))
            if study_id is None:
                study_id = studies.add_study(tx, study.name, now)
            known = studies.versions(tx, study_id)
            if known and known[-1].archived:
                raise Refused(f"study {study.name!r} was imported from an archive and cannot be changed; use another name")
            same = next((version for version in known if version.hash == study.hash), None)
            if same is not None:
                return same
            studies.add_version(tx, replace(study, id=study_id), now)
            events.record(tx, now, "declared", study=study_id, version=len(known) + 1, hash=study.hash)
            return studies.versions(tx, study_id)[-1]

    def publish(self, study_id: int, note: str, like: str = "") -> Study:
        """Freeze the newest version: from now on it is what participants get. note: what was changed, and why.

        It is pinned to where its trainings are done, by the rule of `environment.pin`, unless it declares itself for any machine.
        like: the name of the agent to whose environment, where agents differ.
        """
        with self._core.read() as tx:
            pins = any(study.machines == "alike" and study.published_at is None for study in studies.versions(tx, study_id)[-1:])
        here = machine.here() if pins else None  # before the write: it may take a moment
        with self._core.change() as tx:
            newest = studies.versions(tx, study_id)[-1:]
            if not newest:
                return studies.study(tx, study_id)  # which says that there is none
            if newest[0].published_at is None:
                refuse_archive(newest[0])
                _refuse_open(studies.task(tx, task_id) for task_id in _task_ids(newest[0]))
                pinned = None
                if newest[0].machines == "alike":
                    agents = jobs.agents(tx, self._core.clock() - AGENT_SILENCE_SECONDS)
                    pinned = pin([agent.said for agent in agents], here or machine.here(), like)
                studies.publish(tx, study_id, newest[0].version, note, self._core.clock(), pinned)
                version, hashed, key = newest[0].version, newest[0].hash, pinned.key if pinned else None
                facts = {"study": study_id, "version": version, "hash": hashed, "environment": key}
                events.record(tx, self._core.clock(), "published", None, None, **facts)
            return studies.study(tx, study_id)

    def close(self, study_id: int) -> Study:
        """End collection: nobody can join any more, and the report may be read. Who is tuning goes on."""
        with self._core.change() as tx:
            study = studies.study(tx, study_id)
            if study.closed_at is None and not study.archived:
                studies.close(tx, study_id, self._core.clock())
                events.record(tx, self._core.clock(), "closed", study=study_id)
            return studies.study(tx, study_id)

    def reopen(self, study_id: int) -> Study:
        """Go on collecting; refused where somebody has looked at the live participants' test scores."""
        with self._core.change() as tx:
            study = studies.study(tx, study_id)
            refuse_archive(study)
            looked = any(events.looks(tx, session.id) for session in sessions.of_study(tx, study_id) if session.mode == "live")
            if looked:
                raise Refused("test scores of this study were looked at, so collection cannot go on; declare a new study")
            studies.close(tx, study.id, None)
            events.record(tx, self._core.clock(), "reopened", study=study_id)
            return studies.study(tx, study_id)

    def all(self) -> list[Study]:
        """All studies, the newest first."""
        with self._core.read() as tx:
            return studies.studies(tx)

    def declared(self) -> list[Study]:
        """The studies that people declared, the newest first: not those in which programs hold their sessions."""
        with self._core.read() as tx:
            programs = sessions.studies_of_programs(tx)
            return [study for study in studies.studies(tx) if study.id not in programs]

    def get(self, study_id: int, version: int | None = None) -> Study:
        """One version of a study: by its number, else the newest published one, else the newest. NotFound where there is none."""
        with self._core.read() as tx:
            return studies.study(tx, study_id, version)

    def named(self, name: str) -> Study:
        """The study with this name or number; InvalidSettings lists the names that people gave where there is none."""
        for study in self.all():
            if study.name == name or str(study.id) == name:
                return study
        names = [repr(study.name) for study in self.declared()]
        known = ", ".join(names[:MOST_NAMED_STUDIES]) or "none yet"
        if len(names) > MOST_NAMED_STUDIES:
            known += f" and {len(names) - MOST_NAMED_STUDIES} more"
        raise InvalidSettings(f"study {name!r} is not here; expected one of: {known}")

    def versions(self, study_id: int) -> list[Study]:
        """All versions of a study, in order; the last may not be published yet."""
        with self._core.read() as tx:
            return studies.versions(tx, study_id)

    def task(self, task_id: int) -> TaskRecord:
        """One task; NotFound where there is none."""
        with self._core.read() as tx:
            return studies.task(tx, task_id)

    def own_tasks(self) -> list[TaskRecord]:
        """The tasks that sessions of this laboratory are of, the newest first: none that only an archive brought."""
        with self._core.read() as tx:
            return sessions.own_tasks(tx)

    def task_of(self, study_id: int) -> TaskRecord:
        """The task of a study."""
        with self._core.read() as tx:
            return studies.task(tx, studies.study(tx, study_id).task_id)

    def archive(self, study_id: int, mode: Mode, who: str = UNNAMED, *, looked: bool = False) -> Archive:
        """A study's records of one mode, with the test scores; each evaluated session's look is logged.

        looked: it is logged already; see `scores_to_read`, which also says when this is refused.
        """
        now = None if looked else self._core.clock()
        # A short write: what it logs may be read afterwards, however long that takes.
        with self._core.read() if looked else self._core.change() as tx:
            scored = scores_to_read(tx, studies.study(tx, study_id), mode, who, now)
        with self._core.read() as tx:
            study = studies.study(tx, study_id)
            selection = [session for session in sessions.of_study(tx, study_id) if session.mode == mode and not session.practice]
            selection.sort(key=lambda session: (session.participant_id is None, session.participant_id or 0, session.id))
            evaluations = {session.id: jobs.evaluation(tx, session) for session in selection if session.id in scored}
            tasks = {session.task.id: session.task for session in selection} | {study.task_id: studies.task(tx, study.task_id)}
            participants = tuple(
                participant for participant in participant_rows.of_study(tx, study_id) if participant.mode == mode
            )
            versions = tuple(studies.versions(tx, study_id))
            environments_by_key = environments.everything(tx)
            archive = Archive(study, versions, tuple(tasks.values()), participants, tuple(selection), evaluations)
            trained_in = {key: environments_by_key[key] for key in rules.trained_in(selection, evaluations)}
            return replace(archive, environments=trained_in)


def _refuse_open(tasks: Iterable[TaskRecord]) -> None:
    """Refuse to publish what is tuned in a space that grows: all who take part in a study have the same one."""
    for task in tasks:
        if task.space.is_open:
            raise Refused(
                f"task {task.spec.name!r} has an open space, which its program defines while it runs; only exploratory sessions "
                "have one, so give the study a task with a fixed space"
            )


def _task_ids(study: Study) -> set[int]:
    return {study.task_id} | {arm.task_id for arm in study.arms if arm.task_id is not None}
