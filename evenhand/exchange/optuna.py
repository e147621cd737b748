"""Studies of Optuna as sessions, and sessions as studies of Optuna. docs/methods.md says what each cannot hold of the other."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from evenhand.analysis.seen_before import SeenBefore
from evenhand.errors import EvenhandError, InvalidSettings
from evenhand.exchange.foreign_runs import Opened, opened
from evenhand.exchange.formats.base import Point, Wanted
from evenhand.exchange.formats.optuna_study import METRIC_NAMES_ATTRIBUTE, SPACE_ATTRIBUTE, TOOL, OptunaStudy, of_frozen, run_of
from evenhand.lab.lab import Lab
from evenhand.lab.places import first_line, shown
from evenhand.methods.optuna_spaces import distribution_of, param_of
from evenhand.model import codec
from evenhand.model.aims import values_of
from evenhand.model.direction import best_trial
from evenhand.model.extras import needing
from evenhand.model.open_space import without_flags
from evenhand.model.session import Session
from evenhand.model.task import Metric, TaskRecord
from evenhand.model.trial import Measurement, Outcome, Trial

SEEN_ATTRIBUTE = "test_seen_before"  # of the study, in words, and of each trial that was proposed after such a look
VETO = "vetoed"  # the constraint that a person's veto becomes
STATES = {Outcome.COMPLETED: TrialState.COMPLETE, Outcome.STOPPED: TrialState.PRUNED}  # the other outcomes are FAIL
STORAGE = "the storage of Optuna's studies"


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
    brought = read(study)
    lab = Lab.connect(db)
    try:
        return brought.store(lab, name), tuple(map(str, brought.losses))
    finally:
        lab.close()


def read(study: optuna.Study) -> Opened:
    """A study as records: `formats.optuna_study` says what becomes of it. A storage is read more quickly where it lies."""
    trials = study.get_trials(deepcopy=False)
    return opened(
        run_of(
            OptunaStudy(
                study.study_name,
                [direction.name.lower() for direction in study.directions],
                study.user_attrs,
                {METRIC_NAMES_ATTRIBUTE: study.metric_names} if study.metric_names else {},
                [of_frozen(trial) for trial in trials],
                lambda: _curves(trials),
            ),
            TOOL,
            Wanted(),
        )
    )


def _curves(trials: Sequence[FrozenTrial]) -> Iterator[tuple[int, Sequence[Point]]]:
    for trial in trials:
        if trial.intermediate_values:
            yield trial.number + 1, [Point(step, value) for step, value in sorted(trial.intermediate_values.items())]


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
        seen = lab.evaluations.seen_before(session_id) if session.purpose == "exploratory" else None
    finally:
        lab.close()
    return written(session, curves, storage=storage, name=name, seen=seen)


def written(
    session: Session,
    curves: Mapping[int, Sequence[Measurement]],
    *,
    storage: str | None = None,
    name: str | None = None,
    seen: SeenBefore | None = None,
) -> optuna.Study:
    """A session as a study of Optuna. curves: by the trial's number, what it measured.

    seen: looks at scores on its test data before its trials: said by an attribute of the study and of each trial after them.

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
    if seen is not None:
        study.set_user_attr(SEEN_ATTRIBUTE, seen.words)
    for trial in ended:
        was_seen = seen is not None and seen.concerns(trial.submitted_at)
        study.add_trial(_written(session, trial, curves.get(trial.number, ()), further, was_seen))
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


def _written(
    session: Session, trial: Trial, curve: Sequence[Measurement], further: Sequence[Metric], was_seen: bool
) -> FrozenTrial:
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
        user_attrs={
            **_attributes(trial, further if state == TrialState.COMPLETE else ()),
            **({SEEN_ATTRIBUTE: True} if was_seen else {}),
        },
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
