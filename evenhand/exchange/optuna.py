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

from evenhand.errors import EvenhandError, InvalidSettings, NotFound
from evenhand.lab.lab import Lab
from evenhand.lab.places import file_of, first_line, shown
from evenhand.methods.optuna_spaces import configuration_of, distribution_of, param_of, space_of
from evenhand.model import codec
from evenhand.model.aims import values_of
from evenhand.model.archive import Archive
from evenhand.model.configuration import Configuration
from evenhand.model.direction import best_trial
from evenhand.model.extras import needing
from evenhand.model.open_space import without_flags
from evenhand.model.session import FinalChoice, Session
from evenhand.model.space import Space
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import Metric, TaskRecord, TaskSpec
from evenhand.model.trial import Measurement, Outcome, Stopper, Trial
from evenhand.tasks import versions

SPACE_ATTRIBUTE = "evenhand"  # the study's user attribute that holds what a Space and a Session say beyond Optuna's
VETO = "vetoed"  # the constraint that a person's veto becomes
# User attributes of trials that have a place.
TRIAL_ATTRIBUTES = ("explanation", "proposer", "outcome", "why", "stop_by", "resumes")
STATES = {Outcome.COMPLETED: TrialState.COMPLETE, Outcome.STOPPED: TrialState.PRUNED}  # the other outcomes are FAIL
TUNER = "optuna"
STORAGE = "the storage of Optuna's studies"
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
        NotFound: there is no such file or study; none is made. InvalidSettings: the storage cannot be opened, or holds several
            studies.
        PackageMissing: what reaches its database is not installed.
    """
    _check_there(storage)
    try:
        with needing(STORAGE):
            where = storage_of(storage)
            names = optuna.get_all_study_names(where)
    except EvenhandError:
        raise
    except Exception as error:  # of SQLAlchemy, of its drivers, of the file
        raise _unopened(storage, error) from error
    if not names:
        raise NotFound(f"storage {storage!r}: holds no study")
    if name is None and len(names) != 1:
        raise InvalidSettings(f"storage {storage!r}: holds {len(names)} studies, name one of them: {', '.join(names)}")
    if name is not None and name not in names:
        raise NotFound(f"storage {storage!r}: has no study {name!r}; expected one of {', '.join(names)}")
    return optuna.load_study(study_name=name or names[0], storage=where)


def _check_there(place: str) -> None:
    """Nothing, or NotFound where a storage's file is not there: Optuna would make an empty one."""
    path = file_of(place) if "://" in place else Path(place).expanduser()
    if path is not None and not path.is_file():
        raise NotFound(f"there is no file {path}; give the storage of a study of Optuna")


def _unopened(storage: str, error: Exception) -> InvalidSettings:
    """What to raise where a storage cannot be opened."""
    return InvalidSettings(
        f"storage {shown(storage)!r}: cannot be opened ({first_line(error)}); expected an SQLAlchemy URL, or a file"
    )


def storage_of(place: str) -> Any:
    """A storage by its SQLAlchemy URL, or by the path of a journal file."""
    if "://" in place:
        return place
    path = Path(place).expanduser()
    if not path.suffix and not path.is_file():
        raise InvalidSettings(f"storage {place!r}: expected an SQLAlchemy URL, or a journal file, such as study.log")
    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


# In


def import_study(study: optuna.Study, *, name: str | None = None, db: str | None = None) -> tuple[int, tuple[str, ...]]:
    """Bring a study into a laboratory as a session that nothing changes any more; its number, and what had no place.

    name: of the study there (default: "optuna NAME"). db: SQLAlchemy URL (default: the user's data directory).

    Raises:
        InvalidSettings: the study has no trial that could be brought in. Refused: a study of this name is there already.
    """
    imported = read(study)
    lab = Lab.connect(db)
    try:
        made = lab.transfer.bring_in(imported.archive, measurements=imported.measurements, name=name)
        return lab.sessions.of_study(made.id)[0].id, imported.notes
    finally:
        lab.close()


def read(study: optuna.Study) -> Imported:
    """A study as an archive of one session, ids from 1. Its first objective is the metric; the others are further ones.

    Trials keep Optuna's numbers plus 1. COMPLETE becomes completed, PRUNED stopped by a stopping rule with its last
    intermediate value, FAIL invalid; intermediate values become one measurement a step, as epochs counted from 1.
    """
    trials = study.get_trials(deepcopy=False)
    ended = [trial for trial in trials if trial.state.is_finished()]
    notes = [_left_out([trial for trial in trials if not trial.state.is_finished()], "had not ended")]
    said = _said(study)
    space = _space(said, ended)
    if space is None:
        try:
            space, more = space_of(ended)
        except InvalidSettings as error:
            raise InvalidSettings(f"study {study.study_name!r}: {error}") from None
        notes += more
    placed = [(trial, configuration_of(space, trial)) for trial in ended]
    kept = [(trial, configuration) for trial, configuration in placed if configuration is not None]
    notes.append(_left_out([trial for trial, none in placed if none is None], "ended before they had all hyperparameters"))
    if not kept:
        raise InvalidSettings(f"study {study.study_name!r}: has no trial that ended with all its hyperparameters")
    shift = _shift([trial for trial, _ in kept], notes)
    task = _task(study, said, space, shift, [trial for trial, _ in kept])
    reader = _Reader(task, str(said.get("tuner", TUNER)), shift, notes)
    made = [reader.trial(trial, configuration) for trial, configuration in kept]
    notes += reader.unplaced()
    if extra := sorted(study.user_attrs.keys() - {SPACE_ATTRIBUTE}):
        notes.append(f"the study's user attributes {', '.join(extra)} are not kept")
    archive = _archive(study, said, task, made)
    notes.append(_other_best(made, task.maximize))
    return Imported(archive, tuple(reader.measurements), tuple(note for note in notes if note))


def _other_best(trials: Sequence[Trial], maximize: bool) -> str:
    """That Optuna, which asks completed trials alone, has another best one; nothing where it is the same."""
    best, best_completed = (
        best_trial(those, maximize) for those in (trials, [trial for trial in trials if trial.outcome is Outcome.COMPLETED])
    )
    if best is None or best_completed is None or best.number == best_completed.number:
        return ""
    return (
        f"trial {best.number} is the best one here, since what was stopped counts with its value; "
        f"of the completed ones, which alone Optuna asks, it is trial {best_completed.number}"
    )


def _left_out(trials: Sequence[FrozenTrial], why: str) -> str:
    return f"{len(trials)} trials are left out, since they {why}: {_numbers(trials)}" if trials else ""


def _numbers(trials: Sequence[FrozenTrial]) -> str:
    shown = ", ".join(str(trial.number) for trial in trials[:10])
    return shown + (", ..." if len(trials) > 10 else "")


def _said(study: optuna.Study) -> Mapping[str, Any]:
    attribute = study.user_attrs.get(SPACE_ATTRIBUTE)
    return attribute if isinstance(attribute, dict) else {}


def _space(said: Mapping[str, Any], trials: Sequence[FrozenTrial]) -> Space | None:
    """The space that an export wrote down, where every trial lies in it; else None."""
    if "space" not in said:
        return None
    space = Space.from_json(said["space"])
    return space if all(configuration_of(space, trial) is not None for trial in trials) else None


def _shift(trials: Sequence[FrozenTrial], notes: list[str]) -> int:
    """What is added to Optuna's steps, so that the least is at least 1."""
    least = min((step for trial in trials for step in trial.intermediate_values), default=1)
    if least < 1:
        notes.append(f"steps of intermediate values begin at {least}; as epochs they are counted from 1")
    return max(0, 1 - least)


def _task(study: optuna.Study, said: Mapping[str, Any], space: Space, shift: int, trials: Sequence[FrozenTrial]) -> TaskRecord:
    names = study.metric_names or ["value", *(f"value_{n}" for n in range(2, len(study.directions) + 1))]
    ways = [_direction(direction) for direction in study.directions]
    last = max((step for trial in trials for step in trial.intermediate_values), default=1 - shift)
    most = max(int(said.get("max_epochs", 1)), last + shift)
    facts = {"name": said.get("task", f"optuna:{study.study_name}"), "metrics": list(zip(names, ways, strict=True))}
    return TaskRecord(
        spec=TaskSpec(str(facts["name"])),
        version=versions.of_facts({"optuna": facts, "space": space.to_json(), "max_epochs": most}),
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

    def trial(self, trial: FrozenTrial, configuration: Configuration) -> Trial:
        """One trial that has ended; what it measured goes to `measurements`."""
        number = trial.number + 1
        start, end = _seconds(trial.datetime_start), _seconds(trial.datetime_complete)
        start = end if start is None else start
        outcome, why, by = _outcome(trial)
        extra = self._extra(trial)
        parent = self._made.get(trial.user_attrs.get("resumes", 0))
        measured = self._measured(trial, (end or 0.0) - (start or 0.0), extra)
        self.measurements += [(number, one) for one in measured]
        self._constrained += bool(trial.constraints)
        explanation = str(trial.user_attrs.get("explanation", ""))
        if not explanation and "fixed_params" in trial.system_attrs:
            explanation = f"enqueued: {json.dumps(trial.system_attrs['fixed_params'], default=str)} were given"
        made = Trial(
            id=number,
            session_id=1,
            number=number,
            configuration=configuration,
            proposer=str(trial.user_attrs.get("proposer", self._tuner)),
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

    def _measured(self, trial: FrozenTrial, seconds: float, extra: Mapping[str, float]) -> list[Measurement]:
        """One measurement a step, and one more for the final value where it is not the last step's.

        Optuna keeps no times of steps, so each has the trial's whole duration, when it was known for certain.
        """
        points = [(step + self._shift, value) for step, value in sorted(trial.intermediate_values.items())]
        finite = [(epoch, value) for epoch, value in points if math.isfinite(value)]
        self._endless += len(points) - len(finite)
        if trial.state == TrialState.COMPLETE and math.isfinite(trial.values[0]):
            last = finite[-1] if finite else (1, None)
            if last[1] != trial.values[0]:
                finite.append((last[0], trial.values[0]))
        measurements = [Measurement(n, epoch, epoch, None, value, seconds) for n, (epoch, value) in enumerate(finite)]
        if measurements:
            measurements[-1] = replace(measurements[-1], extra=extra)
        elif extra:
            self._count(extra)
        return measurements

    def _extra(self, trial: FrozenTrial) -> dict[str, float]:
        """The further objectives, and user attributes that are numbers."""
        numbers = {
            name: float(value)
            for name, value in trial.user_attrs.items()
            if name not in TRIAL_ATTRIBUTES
            and isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
        }
        self._count(name for name in trial.user_attrs if name not in numbers and name not in TRIAL_ATTRIBUTES)
        if trial.state == TrialState.COMPLETE:
            numbers |= {metric.name: value for metric, value in zip(self._task.further, trial.values[1:], strict=True)}
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


def _outcome(trial: FrozenTrial) -> tuple[Outcome, str | None, Stopper | None]:
    """How a trial ended: by what an export noted, where its state agrees, else by its state."""
    noted, why = trial.user_attrs.get("outcome"), trial.user_attrs.get("why")
    reason = str(why) if why else None
    if trial.state == TrialState.COMPLETE:
        if not math.isfinite(trial.values[0]):
            return Outcome.DIVERGED, f"the value became {trial.values[0]}", None
        return Outcome.COMPLETED, reason, None
    if trial.state == TrialState.PRUNED:
        by = trial.user_attrs.get("stop_by")
        if noted == Outcome.STOPPED:
            return Outcome.STOPPED, reason, Stopper(by) if by in set(Stopper) else None
        return Outcome.STOPPED, reason or PRUNED, Stopper.RULE
    outcome = Outcome(noted) if noted in (Outcome.INVALID, Outcome.DIVERGED, Outcome.FAILED) else Outcome.INVALID
    return outcome, reason or NO_REASON, None


def _seconds(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def _archive(study: optuna.Study, said: Mapping[str, Any], task: TaskRecord, trials: Sequence[Trial]) -> Archive:
    began, ended = min(trial.submitted_at for trial in trials), max(trial.finished_at or 0.0 for trial in trials)
    budget = codec.from_json(Budget, said["budget"]) if "budget" in said else Budget(trials=len(trials))
    best = best_trial(trials, task.maximize)
    choice = (
        FinalChoice(ended, best.configuration, best.id, automatic=True)
        if best
        else FinalChoice(ended, None, None, automatic=True)
    )
    resumable = any(trial.resumes is not None for trial in trials)
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
        session = lab.sessions.get(session_id)
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

    The declared objectives, else the further metrics, are objectives where all completed trials have them, else user attributes.
    What is required, and vetoes, are constraints, so that Optuna's best trial is the session's.
    """
    ended = [trial for trial in session.trials if trial.outcome is not None]
    completed = [trial for trial in ended if trial.outcome is Outcome.COMPLETED]
    declared = session.aims.objectives[1:] or session.task.further
    further = [metric for metric in declared if all(metric.name in trial.extra for trial in completed)]
    wanted = name or f"evenhand session {session.id}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        try:
            with needing(STORAGE):
                study = optuna.create_study(
                    study_name=wanted,
                    storage=None if storage is None else storage_of(storage),
                    directions=[session.task.direction, *(metric.direction for metric in further)],
                )
        except optuna.exceptions.DuplicatedStudyError:
            raise InvalidSettings(f"storage {storage!r}: has a study {wanted!r} already; give another name") from None
        except EvenhandError:
            raise
        except Exception as error:  # of SQLAlchemy, of its drivers, of the file
            raise _unopened(str(storage), error) from error
        study.set_metric_names([session.task.metric, *(metric.name for metric in further)])
    study.set_user_attr(SPACE_ATTRIBUTE, _ours(session))
    for trial in ended:
        study.add_trial(_written(session, trial, curves.get(trial.number, ()), further))
    return study


def _ours(session: Session) -> dict[str, Any]:
    budget, best = session.budget, best_trial(session.trials, session.maximize)
    return {
        "best": best and best.number,
        "tuner": session.tuner,
        "task": session.task.spec.plain_name,
        "space": session.space.to_json(),
        "max_epochs": session.task.max_epochs,
        "tuning_seed": session.tuning_seed,
        "budget": codec.to_json(budget),
    }


def _written(session: Session, trial: Trial, curve: Sequence[Measurement], further: Sequence[Metric]) -> FrozenTrial:
    outcome = trial.outcome
    assert outcome is not None
    state = STATES.get(outcome, TrialState.FAIL)
    reached = (
        []
        if trial.value is None
        else [trial.value, *(trial.extra[metric.name] for metric in further if metric.name in trial.extra)]
    )
    values = without_flags(session.space, trial.configuration)
    made = optuna.trial.create_trial(
        state=state,
        values=reached if state == TrialState.COMPLETE else None,
        params={name: param_of(session.space[name], value) for name, value in values.items()},
        distributions={name: distribution_of(session.space[name]) for name in values},
        user_attrs=_attributes(trial, further if state == TrialState.COMPLETE else ()),
        intermediate_values=_intermediate(session.task, trial, curve),
        constraints=_constraints(session, trial) or None,
    )
    began = trial.claimed_at if trial.claimed_at is not None else trial.submitted_at
    made.datetime_start = datetime.fromtimestamp(began)  # noqa: DTZ006 - Optuna's times are local ones, without a zone
    made.datetime_complete = datetime.fromtimestamp(trial.finished_at or began)  # noqa: DTZ006
    return made


def _constraints(session: Session, trial: Trial) -> dict[str, float]:
    """What is required of a trial and that it was vetoed, as constraints: what is above 0 is violated."""
    measured = values_of(trial, session.task.metric)
    missed = {str(bound): bound.missed_by(measured.get(bound.metric)) for bound in session.aims.require}
    return {**missed, VETO: 1.0} if trial.veto else missed


def _intermediate(task: TaskRecord, trial: Trial, curve: Sequence[Measurement]) -> dict[int, float]:
    """The validation value after each epoch; of two at one epoch the first, since the last is the trial's value."""
    values: dict[int, float] = {}
    for measurement in curve:
        if measurement.epoch is not None and measurement.value is not None:
            values.setdefault(measurement.epoch, measurement.value)
    once = trial.outcome is Outcome.COMPLETED and task.max_epochs == 1
    return {} if once and list(values.values()) == [trial.value] else values


def _attributes(trial: Trial, further: Sequence[Metric]) -> dict[str, Any]:
    said = {
        "explanation": trial.explanation,
        "proposer": trial.proposer,
        "outcome": str(trial.outcome),
        "why": trial.why,
        "stop_by": trial.stop_by and str(trial.stop_by),
        "resumes": trial.resumes,
    }
    objectives = {metric.name for metric in further}
    numbers = {name: value for name, value in trial.extra.items() if name not in objectives}
    return {**numbers, **{name: value for name, value in said.items() if value not in (None, "")}}
