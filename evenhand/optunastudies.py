"""Studies of Optuna as sessions, and sessions as studies of Optuna. docs/methods.md says what each cannot hold of the other."""

import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from evenhand.declaration import Budget, Study, Text
from evenhand.errors import InvalidSettings, NotFound
from evenhand.lab import Lab
from evenhand.optunaspaces import configuration_of, distribution_of, space_of, without_flags
from evenhand.records import Archive, Choice, Measurement, Metric, Outcome, Session, Stopper, TaskRecord, TaskSpec, Trial
from evenhand.space import Configuration, Space, digest

OURS = "evenhand"  # the study's user attribute that holds what a Space and a Session say beyond Optuna's
SAID = ("explanation", "proposer", "outcome", "why", "stop_by", "resumes")  # user attributes of trials that have a place
STATES = {Outcome.COMPLETED: TrialState.COMPLETE, Outcome.STOPPED: TrialState.PRUNED}  # the other outcomes are FAIL
TUNER = "optuna"
NO_REASON = "Optuna keeps no reason for a trial that failed"
PRUNED = "pruned"


@dataclass(frozen=True)
class Imported:
    """A study of Optuna as records. notes: what of it had no place, in words, one thing each."""

    archive: Archive
    measurements: tuple[tuple[int, Measurement], ...]
    notes: tuple[str, ...]

    @property
    def session(self) -> Session:
        """The one session, without what its trials measured."""
        return self.archive.sessions[0]


def open_study(storage: str, name: str | None = None) -> optuna.Study:
    """The study of this name in a storage: an SQLAlchemy URL, or the path of a journal file. name: needed where it has several.

    Raises:
        NotFound: there is no such study. InvalidSettings: the storage cannot be opened, or holds several studies.
    """
    try:
        where = storage_of(storage)
        names = optuna.get_all_study_names(where)
    except Exception as error:  # of SQLAlchemy, of its drivers, of the file
        raise InvalidSettings(f"storage {storage!r}: cannot be opened ({str(error).splitlines()[0]})") from error
    if name is None and len(names) != 1:
        raise InvalidSettings(f"storage {storage!r}: holds {len(names)} studies, name one of them: {', '.join(names)}")
    if name is not None and name not in names:
        raise NotFound(f"storage {storage!r}: has no study {name!r}; expected one of {', '.join(names)}")
    return optuna.load_study(study_name=name or names[0], storage=where)


def storage_of(place: str) -> Any:
    """A storage by its SQLAlchemy URL, or by the path of a journal file."""
    if "://" in place:
        return place
    return optuna.storages.JournalStorage(JournalFileBackend(str(Path(place).expanduser())))


# In


def import_study(study: optuna.Study, *, name: str | None = None, db: str | None = None) -> tuple[int, tuple[str, ...]]:
    """Bring a study into a laboratory as a session that nothing changes any more; its number, and what had no place.

    name: of the study there (default: "optuna NAME"). db: SQLAlchemy URL (default: the user's data directory).

    Raises:
        InvalidSettings: the study has no trial that could be brought in. Refused: a study of this name is there already.
    """
    found = read(study)
    lab = Lab.connect(db)
    try:
        made = lab.bring_in(found.archive, measurements=found.measurements, name=name)
        return lab.sessions(made.id)[0].id, found.notes
    finally:
        lab.close()


def read(study: optuna.Study) -> Imported:
    """A study as an archive of one session, ids from 1. Its first objective is the metric; the others are further ones.

    Trials keep Optuna's numbers plus 1. COMPLETE becomes completed, PRUNED stopped by a stopping rule with its last
    intermediate value, FAIL invalid; intermediate values become one measurement a step, as epochs counted from 1.
    """
    trials = study.get_trials(deepcopy=False)
    ended = [each for each in trials if each.state.is_finished()]
    notes = [_left_out([each for each in trials if not each.state.is_finished()], "had not ended")]
    said = _said(study)
    space = _space(said, ended)
    if space is None:
        space, more = space_of(ended)
        notes += more
    placed = [(each, configuration_of(space, each)) for each in ended]
    kept = [(each, configuration) for each, configuration in placed if configuration is not None]
    notes.append(_left_out([each for each, none in placed if none is None], "ended before they had all hyperparameters"))
    if not kept:
        raise InvalidSettings(f"study {study.study_name!r}: has no trial that ended with all its hyperparameters")
    shift = _shift([each for each, _ in kept], notes)
    task = _task(study, said, space, shift, [each for each, _ in kept])
    reader = _Reader(task, str(said.get("tuner", TUNER)), shift, notes)
    made = [reader.trial(each, configuration) for each, configuration in kept]
    notes += reader.unplaced()
    if extra := sorted(study.user_attrs.keys() - {OURS}):
        notes.append(f"the study's user attributes {', '.join(extra)} are not kept")
    archive = _archive(study, said, task, made)
    return Imported(archive, tuple(reader.measurements), tuple(note for note in notes if note))


def _left_out(trials: Sequence[FrozenTrial], why: str) -> str:
    return f"{len(trials)} trials are left out, since they {why}: {_numbers(trials)}" if trials else ""


def _numbers(trials: Sequence[FrozenTrial]) -> str:
    shown = ", ".join(str(each.number) for each in trials[:10])
    return shown + (", ..." if len(trials) > 10 else "")


def _said(study: optuna.Study) -> Mapping[str, Any]:
    found = study.user_attrs.get(OURS)
    return found if isinstance(found, dict) else {}


def _space(said: Mapping[str, Any], trials: Sequence[FrozenTrial]) -> Space | None:
    """The space that an export wrote down, where every trial lies in it; else None."""
    if "space" not in said:
        return None
    space = Space.from_json(said["space"])
    return space if all(configuration_of(space, each) is not None for each in trials) else None


def _shift(trials: Sequence[FrozenTrial], notes: list[str]) -> int:
    """What is added to Optuna's steps, so that the least is at least 1."""
    least = min((step for each in trials for step in each.intermediate_values), default=1)
    if least < 1:
        notes.append(f"steps of intermediate values begin at {least}; as epochs they are counted from 1")
    return max(0, 1 - least)


def _task(study: optuna.Study, said: Mapping[str, Any], space: Space, shift: int, trials: Sequence[FrozenTrial]) -> TaskRecord:
    names = study.metric_names or ["value", *(f"value_{n}" for n in range(2, len(study.directions) + 1))]
    ways = [_direction(each) for each in study.directions]
    last = max((step for each in trials for step in each.intermediate_values), default=1 - shift)
    most = max(int(said.get("max_epochs", 1)), last + shift)
    facts = {"name": said.get("task", f"optuna:{study.study_name}"), "metrics": list(zip(names, ways, strict=True))}
    return TaskRecord(
        spec=TaskSpec(str(facts["name"])),
        version=digest({"optuna": facts, "space": space.to_json(), "max_epochs": most}),
        space=space,
        metric=names[0],
        direction=ways[0],
        max_epochs=most,
        has_test=False,
        id=1,
        further=tuple(Metric(name, way) for name, way in zip(names[1:], ways[1:], strict=True)),
    )


def _direction(direction: optuna.study.StudyDirection) -> Any:
    return "maximize" if direction == optuna.study.StudyDirection.MAXIMIZE else "minimize"


class _Reader:
    """Makes trials and their measurements, and counts what has no place."""

    def __init__(self, task: TaskRecord, tuner: str, shift: int, notes: list[str]) -> None:
        self.measurements: list[tuple[int, Measurement]] = []
        self._task, self._tuner, self._shift, self._notes = task, tuner, shift, notes
        self._attributes: dict[str, int] = {}
        self._constrained = self._endless = 0
        self._made: dict[int, Trial] = {}

    def trial(self, each: FrozenTrial, configuration: Configuration) -> Trial:
        """One trial that has ended; what it measured goes to `measurements`."""
        number = each.number + 1
        start, end = _seconds(each.datetime_start), _seconds(each.datetime_complete)
        start = end if start is None else start
        outcome, why, by = _outcome(each)
        extra = self._extra(each)
        parent = self._made.get(each.user_attrs.get("resumes", 0))
        measured = self._measured(each, (end or 0.0) - (start or 0.0), extra)
        self.measurements += [(number, one) for one in measured]
        self._constrained += bool(each.constraints)
        explanation = str(each.user_attrs.get("explanation", ""))
        if not explanation and "fixed_params" in each.system_attrs:
            explanation = f"enqueued: {json.dumps(each.system_attrs['fixed_params'], default=str)} were given"
        made = Trial(
            id=number,
            session_id=1,
            number=number,
            configuration=configuration,
            proposer=str(each.user_attrs.get("proposer", self._tuner)),
            submitted_at=start or 0.0,
            epochs_planned=self._task.epochs_of(configuration),
            explanation=explanation,
            claimed_at=start or 0.0,
            attempt=1,
            finished_at=end or 0.0,
            outcome=outcome,
            why=why,
            stop_by=by,
            value=measured[-1].value if measured else None,
            epochs_done=measured[-1].epoch or 0 if measured else 0,
            extra=measured[-1].extra if measured else {},
            resumes=parent.number if parent else None,
            epochs_before=parent.epochs_done if parent else 0,
        )
        self._made[number] = made
        return made

    def _measured(self, each: FrozenTrial, seconds: float, extra: Mapping[str, float]) -> list[Measurement]:
        """One measurement a step, and one more for the final value where it is not the last step's.

        Optuna keeps no times of steps, so each has the trial's whole duration, when it was known for certain.
        """
        points = [(step + self._shift, value) for step, value in sorted(each.intermediate_values.items())]
        finite = [(epoch, value) for epoch, value in points if math.isfinite(value)]
        self._endless += len(points) - len(finite)
        if each.state == TrialState.COMPLETE and math.isfinite(each.values[0]):
            last = finite[-1] if finite else (1, None)
            if last[1] != each.values[0]:
                finite.append((last[0], each.values[0]))
        found = [Measurement(n, epoch, epoch, None, value, seconds) for n, (epoch, value) in enumerate(finite)]
        if found:
            found[-1] = replace(found[-1], extra=extra)
        elif extra:
            self._count(extra)
        return found

    def _extra(self, each: FrozenTrial) -> dict[str, float]:
        """The further objectives, and user attributes that are numbers."""
        numbers = {
            name: float(value)
            for name, value in each.user_attrs.items()
            if name not in SAID and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        }
        self._count(name for name in each.user_attrs if name not in numbers and name not in SAID)
        if each.state == TrialState.COMPLETE:
            numbers |= {metric.name: value for metric, value in zip(self._task.further, each.values[1:], strict=True)}
        return {name: value for name, value in numbers.items() if math.isfinite(value)}

    def _count(self, names: Iterable[str]) -> None:
        for name in names:
            self._attributes[name] = self._attributes.get(name, 0) + 1

    def unplaced(self) -> list[str]:
        """What had no place in any trial, in words."""
        notes = [f"user attribute {name!r} of {count} trials is not kept" for name, count in sorted(self._attributes.items())]
        if self._constrained:
            notes.append(f"constraint values of {self._constrained} trials are not kept")
        if self._endless:
            notes.append(f"{self._endless} intermediate values that are not finite are left out")
        return notes


def _outcome(each: FrozenTrial) -> tuple[Outcome, str | None, Stopper | None]:
    """How a trial ended: by what an export noted, where its state agrees, else by its state."""
    noted, why = each.user_attrs.get("outcome"), each.user_attrs.get("why")
    reason = str(why) if why else None
    if each.state == TrialState.COMPLETE:
        if not math.isfinite(each.values[0]):
            return Outcome.DIVERGED, f"the value became {each.values[0]}", None
        return Outcome.COMPLETED, reason, None
    if each.state == TrialState.PRUNED:
        by = each.user_attrs.get("stop_by")
        if noted == Outcome.STOPPED:
            return Outcome.STOPPED, reason, Stopper(by) if by in set(Stopper) else None
        return Outcome.STOPPED, reason or PRUNED, Stopper.RULE
    outcome = Outcome(noted) if noted in (Outcome.INVALID, Outcome.DIVERGED, Outcome.FAILED) else Outcome.INVALID
    return outcome, reason or NO_REASON, None


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _archive(study: optuna.Study, said: Mapping[str, Any], task: TaskRecord, trials: Sequence[Trial]) -> Archive:
    began, ended = min(each.submitted_at for each in trials), max(each.finished_at or 0.0 for each in trials)
    budget = Budget(**said["budget"]) if "budget" in said else Budget(trials=len(trials))
    valued = [each for each in trials if each.outcome is Outcome.COMPLETED and each.value is not None]
    sign = 1.0 if task.maximize else -1.0
    best = max(valued, key=lambda each: (sign * (each.value or 0.0), -each.number), default=None)
    choice = Choice(ended, best.configuration, best.id, automatic=True) if best else Choice(ended, None, None, automatic=True)
    resumable = any(each.resumes is not None for each in trials)
    made = Study(
        name=f"optuna {study.study_name}",
        title=study.study_name,
        task_id=1,
        budget=budget,
        seed=0,
        consent=Text(""),
        details=Text(""),
        thanks=Text(""),
        evaluation_seeds=0,
        resumable=resumable,
        created_at=began,
        closed_at=ended,
        archived=True,
        id=1,
    )
    session = Session(
        id=1,
        study_id=1,
        task=task,
        kind="method",
        tuner=str(said.get("tuner", TUNER)),
        budget=budget,
        tuning_seed=int(said.get("tuning_seed", 0)),
        opened_at=began,
        started_at=began,
        mode="pilot",
        resumable=resumable,
        trials=tuple(trials),
        choice=choice,
    )
    return Archive(made, (made,), (task,), (), (session,))


# Out


def export_session(
    session_id: int, *, storage: str | None = None, name: str | None = None, db: str | None = None
) -> optuna.Study:
    """A session as a study of Optuna, in memory or in a storage. Trials that have not ended are left out.

    storage: an SQLAlchemy URL, or the path of a journal file. name: of the study (default: "evenhand session N"). db: as
    `import_study`.

    Raises:
        NotFound: there is no such session. InvalidSettings: the storage has a study of this name already.
    """
    lab = Lab.connect(db)
    try:
        session = lab.session(session_id)
        curves = {trial.number: lab.curve(session_id, trial.number).measurements for trial in session.trials}
    finally:
        lab.close()
    return written(session, curves, storage=storage, name=name)


def written(
    session: Session,
    curves: Mapping[int, Sequence[Measurement]],
    *,
    storage: str | None = None,
    name: str | None = None,
) -> optuna.Study:
    """A session as a study of Optuna. curves: by the trial's number, what it measured.

    The further metrics are objectives where all completed trials have them, else user attributes.
    """
    ended = [trial for trial in session.trials if trial.outcome is not None]
    completed = [trial for trial in ended if trial.outcome is Outcome.COMPLETED]
    further = [each for each in session.task.further if all(each.name in trial.extra for trial in completed)]
    wanted = name or f"evenhand session {session.id}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            study = optuna.create_study(
                study_name=wanted,
                storage=None if storage is None else storage_of(storage),
                directions=[session.task.direction, *(each.direction for each in further)],
            )
        except optuna.exceptions.DuplicatedStudyError:
            raise InvalidSettings(f"storage {storage!r}: has a study {wanted!r} already; give another name") from None
        study.set_metric_names([session.task.metric, *(each.name for each in further)])
    study.set_user_attr(OURS, _ours(session))
    for trial in ended:
        study.add_trial(_written(session, trial, curves.get(trial.number, ()), further))
    return study


def _ours(session: Session) -> dict[str, Any]:
    budget = session.budget
    return {
        "tuner": session.tuner,
        "task": session.task.spec.plain_name,
        "space": session.space.to_json(),
        "max_epochs": session.task.max_epochs,
        "tuning_seed": session.tuning_seed,
        "budget": {key: getattr(budget, key) for key in ("seconds", "trials", "epochs", "parallel")},
    }


def _written(session: Session, trial: Trial, curve: Sequence[Measurement], further: Sequence[Metric]) -> FrozenTrial:
    outcome = trial.outcome
    assert outcome is not None
    state = STATES.get(outcome, TrialState.FAIL)
    reached = (
        [] if trial.value is None else [trial.value, *(trial.extra[each.name] for each in further if each.name in trial.extra)]
    )
    values = without_flags(session.space, trial.configuration)
    made = optuna.trial.create_trial(
        state=state,
        values=reached if state == TrialState.COMPLETE else None,
        params=values,
        distributions={name: distribution_of(session.space[name]) for name in values},
        user_attrs=_attributes(trial, further if state == TrialState.COMPLETE else ()),
        intermediate_values=_intermediate(session.task, trial, curve),
    )
    began = trial.claimed_at if trial.claimed_at is not None else trial.submitted_at
    made.datetime_start = datetime.fromtimestamp(began)  # noqa: DTZ006 - Optuna's times are local ones, without a zone
    made.datetime_complete = datetime.fromtimestamp(trial.finished_at or began)  # noqa: DTZ006
    return made


def _intermediate(task: TaskRecord, trial: Trial, curve: Sequence[Measurement]) -> dict[int, float]:
    """The validation value after each epoch; of two at one epoch the first, since the last is the trial's value."""
    found: dict[int, float] = {}
    for each in curve:
        if each.epoch is not None and each.value is not None:
            found.setdefault(each.epoch, each.value)
    once = trial.outcome is Outcome.COMPLETED and task.max_epochs == 1
    return {} if once and list(found.values()) == [trial.value] else found


def _attributes(trial: Trial, further: Sequence[Metric]) -> dict[str, Any]:
    said = {
        "explanation": trial.explanation,
        "proposer": trial.proposer,
        "outcome": str(trial.outcome),
        "why": trial.why,
        "stop_by": trial.stop_by and str(trial.stop_by),
        "resumes": trial.resumes,
    }
    objectives = {each.name for each in further}
    numbers = {name: value for name, value in trial.extra.items() if name not in objectives}
    return {**numbers, **{name: value for name, value in said.items() if value not in (None, "")}}
