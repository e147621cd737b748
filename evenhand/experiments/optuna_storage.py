"""A storage of Optuna's whose studies are sessions of a laboratory, with an open space: see `lab.open_spaces`.

Optuna's own `Study`, samplers and pruners work on it, so a script behaves as it does with any other storage. What a process
tunes, it alone changes, so that its trials are kept in memory as well; what another one tunes is read anew when it has changed.
"""

import copy
import json
import math
import os
import platform
import threading
import time
import traceback
import uuid
import warnings
import weakref
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    check_distribution_compatibility,
    distribution_to_json,
)
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.study._frozen import FrozenStudy  # what a storage gives back; Optuna has no public name for it
from optuna.trial import FrozenTrial, TrialState

from evenhand.errors import EvenhandError, NotFound, Refused
from evenhand.experiments import resumption
from evenhand.experiments.optuna_records import (
    END,
    FIXED,
    STEP,
    SYSTEM,
    TOLD,
    USER,
    VALUE,
    epoch_of,
    explanation_of,
    frozen_trial,
    is_finite_number,
    of_one,
    outcome_of,
    packed,
    running,
    seconds_of,
    stored_values,
    unpacked,
)
from evenhand.lab.lab import Lab
from evenhand.lab.open_spaces import End, Lease
from evenhand.methods.optuna_spaces import configuration_of, space_of
from evenhand.model import rules
from evenhand.model.open_space import ASKED, Memo, is_flag
from evenhand.model.run_notes import check_name
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.task import Metric
from evenhand.model.trial import Measurement, Outcome
from evenhand.runners.local_agent import FLUSH_SECONDS
from evenhand.tasks import machine

LOGGER = optuna.logging.get_logger("optuna.storages")
METHOD = "optuna"
UNNAMED = "no-name-"  # as Optuna calls a study without a name
METRIC_NAMES = "study:metric_names"  # where Optuna keeps what `Study.set_metric_names` was given
FEW = 30  # trials up to which conditions are looked for after each one; later after each tenth part more


@dataclass
class _Kept:
    """A study as this process knows it."""

    session: Session
    directions: list[StudyDirection]
    user: dict[str, Any] = field(default_factory=dict)
    system: dict[str, Any] = field(default_factory=dict)
    trials: list[FrozenTrial] = field(default_factory=list)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)  # the newest of each name
    asked: set[tuple[str, BaseDistribution]] = field(default_factory=set)  # by trials that have ended
    space: Space = field(default_factory=lambda: Space((), is_open=True))
    inferred: int = 0  # how many trials had ended when the space was looked at
    leases: dict[int, Lease] = field(default_factory=dict)
    reports: dict[int, int] = field(default_factory=dict)  # how much trials that go on have measured, by their ids
    unsent: dict[int, list[Measurement]] = field(default_factory=dict)  # what of it is not stored yet
    sent_at: float = 0.0  # when the last of it was, by the clock of `time.monotonic`
    failures: dict[int, str] = field(default_factory=dict)  # tracebacks of trials, by their ids
    best: FrozenTrial | None = None
    first_waiting: int = 0  # no trial before this one waits
    newest: int = 0  # the newest event when it was read
    is_ours: bool = False


class LabStorage(BaseStorage):
    """Optuna's studies in a laboratory's database. Threads may share it; a process of its own needs one of its own.

    Args:
        db: SQLAlchemy URL of the laboratory (default: the one in the user's data directory).
    """

    def __init__(self, db: str | None = None) -> None:
        self._db = db
        self._lab = Lab.connect(db)
        self._lock = threading.RLock()
        self._kept: dict[int, _Kept] = {}
        self._study_of: dict[int, int] = {}  # by the trial's id
        self._agent: int | None = None
        self._attendance = _Attendance(self._lab)
        self._unkept: set[str] = set()  # attributes and choices of which it was said that they are kept in memory only
        weakref.finalize(self, self._attendance.close)

    def __reduce__(self) -> "tuple[type[LabStorage], tuple[str | None]]":
        return LabStorage, (self._db,)  # where it is read, it is another process's, which may take its studies up

    @property
    def lab(self) -> Lab:
        """The laboratory."""
        return self._lab

    def session_of(self, study_id: int) -> Session:
        """The session that a study is, as it is now."""
        return self._lab.sessions.get(study_id)

    # Studies

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """A new session, which this process tunes; its id."""
        name = study_name if study_name is not None else f"{UNNAMED}{uuid.uuid4()}"
        check_name(name)
        metrics = [Metric("value" if n == 1 else f"value_{n}", _way(way)) for n, way in enumerate(directions, 1)]
        with self._lock:
            if self._lab.sessions.called(name) is not None:
                raise DuplicatedStudyError(f"a session named {name!r} is there already")
            session = self._lab.open_spaces.open(name, metrics, {"name": METHOD})
            self._kept[session.id] = _Kept(session, list(directions), is_ours=True)
            self._attendance.begin(session.id)
            LOGGER.info(f"A new study created as session {session.id} with name: {name}")
            return session.id

    def delete_study(self, study_id: int) -> None:
        """Delete what is in the session, and free its name."""
        with self._lock:
            self._ours(study_id)
            self._attendance.drop(study_id)
            self._lab.open_spaces.discard(study_id)
            del self._kept[study_id]

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Keep a user attribute with the session."""
        with self._lock:
            kept = self._ours(study_id)
            self._remember(study_id, Memo(USER, key, value))
            kept.user = {**kept.user, key: value}

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Keep an attribute of Optuna's with the session."""
        with self._lock:
            kept = self._ours(study_id)
            self._remember(study_id, Memo(SYSTEM, key, value))
            kept.system = {**kept.system, key: value}
            if key == METRIC_NAMES and isinstance(value, list):
                self._lab.open_spaces.name_metrics(study_id, value)
                kept.session = self._lab.sessions.get(study_id)

    def get_study_id_from_name(self, study_name: str) -> int:
        """The session's id; KeyError where there is none of this name."""
        with self._lock:
            known = next((id_ for id_, kept in self._kept.items() if kept.is_ours and kept.session.name == study_name), None)
            if known is not None:
                return known
            session = self._lab.sessions.called(study_name)
        if session is None:
            raise KeyError(f"No such study {study_name}.")
        if not session.space.is_open:
            raise Refused(
                f"session {session.id} ({study_name!r}) is no study of Optuna: its space is fixed; give another name, or go on "
                "with it by evenhand.tune"
            )
        return session.id

    def get_study_name_from_id(self, study_id: int) -> str:
        """The session's name."""
        return self._study(study_id).session.called

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """The directions of its objectives."""
        return self._study(study_id).directions

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """Its user attributes."""
        return self._study(study_id).user

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """Optuna's own attributes of it."""
        return self._study(study_id).system

    def get_all_studies(self) -> list[FrozenStudy]:
        """All sessions with an open space, in order of opening."""
        with self._lock:
            studies = [(session.id, self._study(session.id)) for session in self._lab.open_spaces.all()]
            return [
                FrozenStudy(
                    kept.session.called,
                    None,
                    copy.deepcopy(kept.user),
                    copy.deepcopy(kept.system),
                    id_,
                    directions=list(kept.directions),
                )
                for id_, kept in studies
            ]

    # Trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """A trial that trains, waits or has ended, as the template says; its id."""
        with self._lock:
            kept, spaces = self._ours(study_id), self._lab.open_spaces
            trial = copy.deepcopy(template_trial) if template_trial is not None else running()
            for name, distribution in trial.distributions.items():
                if name in kept.distributions:
                    check_distribution_compatibility(kept.distributions[name], distribution)
            attributes = self._attributes(trial)
            explanation = explanation_of(trial)
            if trial.state.is_finished():
                end = self._end(kept, trial, 0, [*attributes, *self._asked(trial)])
                lease = spaces.add(study_id, self._agent_id(), end, explanation)
                trial_id = lease.trial_id
            elif trial.state == TrialState.WAITING:
                trial_id = spaces.submit(study_id, [*attributes, *self._asked(trial)], explanation).id
            else:
                lease = spaces.ask(study_id, self._agent_id(), attributes, explanation)
                trial_id = lease.trial_id
                kept.leases[trial_id] = lease
            trial.number, trial._trial_id = len(kept.trials), trial_id
            kept.trials.append(trial)
            kept.first_waiting = (
                min(kept.first_waiting, trial.number) if trial.state == TrialState.WAITING else kept.first_waiting
            )
            self._study_of[trial_id] = study_id
            if trial.state == TrialState.RUNNING:
                self._write_again(kept, trial)
            if trial.state.is_finished():
                kept.distributions.update(trial.distributions)
                self._note_best(kept, trial)
            return trial_id

    def _write_again(self, kept: _Kept, trial: FrozenTrial) -> None:
        """Store what a trial that begins has asked for and measured already: one that was given so."""
        for name, distribution in trial.distributions.items():
            self._append(kept, trial, name, distribution.to_internal_repr(trial.params[name]), distribution)
        for step, value in trial.intermediate_values.items():
            self._measure(kept, trial, step, value)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Append one value to a trial's configuration."""
        with self._lock:
            kept, trial = self._updatable(trial_id)
            if param_name in kept.distributions:
                check_distribution_compatibility(kept.distributions[param_name], distribution)
            if trial.state == TrialState.WAITING:  # it is to ask for the value when it begins
                memo = self._asked_memo(param_name, param_value_internal, distribution)
                self._lab.open_spaces.remember(kept.session.id, memo, trial_id)
            else:
                self._append(kept, self._leased(kept, trial), param_name, param_value_internal, distribution)
            kept.distributions[param_name] = distribution
            value = distribution.to_external_repr(param_value_internal)
            self._put(
                kept,
                trial,
                params={**trial.params, param_name: value},
                distributions={**trial.distributions, param_name: distribution},
            )

    def _append(self, kept: _Kept, trial: FrozenTrial, name: str, internal: float, distribution: BaseDistribution) -> None:
        value = stored_values(of_one(name, internal, distribution))[name]  # or InvalidSpace: no space can hold it
        memo = self._asked_memo(name, internal, distribution)
        self._lab.open_spaces.append(kept.session.id, kept.leases[trial._trial_id], name, value, memo)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Begin or end a trial; False where one that trains was to begin."""
        with self._lock:
            kept, trial = self._updatable(trial_id)
            if state == TrialState.RUNNING and trial.state != TrialState.WAITING:
                return False
            given = list(trial.values or ()) if values is None else [float(value) for value in values]
            if state == TrialState.RUNNING:
                if FIXED in trial.system_attrs:  # of one that was interrupted, too, which may be interrupted again
                    self._remember(kept.session.id, Memo(SYSTEM, FIXED, trial.system_attrs[FIXED]), trial_id)
                kept.leases[trial_id] = self._lab.open_spaces.begin(kept.session.id, trial_id, self._agent_id())
                self._put(kept, trial, state=state, datetime_start=datetime.now())  # noqa: DTZ005 - Optuna's times have no zone
                self._write_again(kept, trial)
            elif state.is_finished():
                ended = copy.copy(trial)
                ended.state, ended.values = state, given or None
                ended.datetime_complete = datetime.now()  # noqa: DTZ005
                lease = kept.leases[self._leased(kept, trial)._trial_id]
                end = self._end(kept, ended, kept.reports.get(trial_id, 0), ())
                self._lab.open_spaces.tell(kept.session.id, lease, end)
                for of_open in (kept.leases, kept.reports, kept.unsent, kept.failures):
                    of_open.pop(trial_id, None)
                kept.trials[trial.number] = ended
                self._note_best(kept, ended)
            else:
                raise ValueError(f"trial {trial.number} cannot become {state.name}; expected RUNNING or a state of its end")
            return True

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Store what a trial measured; TrialPruned where somebody has asked it to stop on its session's page."""
        with self._lock:
            kept, trial = self._updatable(trial_id)
            self._leased(kept, trial)
            goes_on = self._measure(kept, trial, step, intermediate_value)
            self._put(kept, trial, intermediate_values={**trial.intermediate_values, step: intermediate_value})
        if not goes_on:
            raise optuna.TrialPruned("it was stopped on its session's page")

    def _measure(self, kept: _Kept, trial: FrozenTrial, step: int, value: float) -> bool:
        trial_id, study_id = trial._trial_id, kept.session.id
        index = kept.reports.get(trial_id, 0)
        kept.reports[trial_id] = index + 1
        finite = float(value) if math.isfinite(value) else None
        if finite is None:
            self._remember(study_id, Memo(ASKED, f"{STEP}{step}", value), trial_id)
        measurement = Measurement(index, step, epoch_of(trial, step), None, finite, seconds_of(trial))
        kept.unsent.setdefault(trial_id, []).append(measurement)
        if time.monotonic() - kept.sent_at < FLUSH_SECONDS:
            return True
        kept.sent_at = time.monotonic()
        return self._lab.open_spaces.measure(study_id, kept.leases[trial_id], kept.unsent.pop(trial_id))

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep a user attribute with a trial."""
        with self._lock:
            kept, trial = self._updatable(trial_id)
            self._remember(kept.session.id, Memo(USER, key, value), trial_id)
            self._put(kept, trial, user_attrs={**trial.user_attrs, key: value})

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Keep an attribute of Optuna's with a trial."""
        with self._lock:
            kept, trial = self._updatable(trial_id)
            self._remember(kept.session.id, Memo(SYSTEM, key, value), trial_id)
            self._put(kept, trial, system_attrs={**trial.system_attrs, key: value})

    def note_failure(self, trial_id: int, error: BaseException) -> None:
        """Note what a trial's objective raised, so that its record says so."""
        with self._lock:
            kept = self._study(self._study_id_of(trial_id))
            kept.failures[trial_id] = "".join(traceback.format_exception(error))

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """The id of a study's trial by its number; KeyError where there is none."""
        trials = self._study(study_id).trials
        if not 0 <= trial_number < len(trials):
            raise KeyError(f"No trial with trial number {trial_number} exists in study with study_id {study_id}.")
        return trials[trial_number]._trial_id

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial as it is now; KeyError where there is none."""
        with self._lock:
            return self._trial(trial_id)[1]

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """A study's trials in these states, in order."""
        with self._lock:
            kept = self._study(study_id)
            if states == (TrialState.WAITING,):
                trials = [trial for trial in kept.trials[kept.first_waiting :] if trial.state == TrialState.WAITING]
                kept.first_waiting = trials[0].number if trials else len(kept.trials)
            else:
                trials = [trial for trial in kept.trials if states is None or trial.state in states]
        return copy.deepcopy(trials) if deepcopy else trials

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """The completed trial with the best value: as Optuna has it, what was pruned is none."""
        with self._lock:
            kept = self._study(study_id)
            if kept.best is None or len(kept.directions) > 1:
                return super().get_best_trial(study_id)  # which says why there is none
            return kept.best

    # What this process tunes

    def take_up(self, study_id: int) -> None:
        """This process tunes a study from now on; Refused where another one does."""
        with self._lock:
            self._ours(study_id)

    def leave(self, study_id: int) -> None:
        """This process tunes a study no more until it next changes it; what trains waits, to be trained again as it was."""
        with self._lock:
            kept = self._kept.get(study_id)
            if kept is not None and kept.is_ours:
                kept.is_ours = False
                self._attendance.end(study_id, chooses=False)

    def close(self) -> None:
        """Leave all studies; what has ended in order gets its best trial as its choice."""
        self._attendance.close()

    def _ours(self, study_id: int) -> _Kept:
        """A study that this process may change: it takes it up where it has not yet."""
        kept = self._study(study_id)
        if kept.is_ours and self._attendance.holds(study_id):
            return kept
        self._lab.open_spaces.take_up(study_id)
        self._attendance.begin(study_id)
        kept = self._kept[study_id] = self._read(study_id)
        kept.is_ours = True
        return kept

    def _study(self, study_id: int) -> _Kept:
        with self._lock:
            kept = self._kept.get(study_id)
            if kept is not None and (kept.is_ours or kept.newest == self._lab.sessions.newest_event(study_id)):
                return kept
            try:
                kept = self._kept[study_id] = self._read(study_id)
            except EvenhandError as error:
                raise KeyError(f"No study with study_id {study_id} exists.") from error
            return kept

    def _study_id_of(self, trial_id: int) -> int:
        study_id = self._study_of.get(trial_id)
        if study_id is None and (study_id := self._lab.open_spaces.session_of(trial_id)) is None:
            raise KeyError(f"No trial with trial_id {trial_id} exists.")
        return study_id

    def _trial(self, trial_id: int) -> tuple[_Kept, FrozenTrial]:
        kept = self._study(self._study_id_of(trial_id))
        trial = next((trial for trial in reversed(kept.trials) if trial._trial_id == trial_id), None)
        if trial is None:
            raise KeyError(f"No trial with trial_id {trial_id} exists.")
        return kept, trial

    def _updatable(self, trial_id: int) -> tuple[_Kept, FrozenTrial]:
        """A trial that has not ended, of a study that this process may change."""
        self._ours(self._study_id_of(trial_id))
        kept, trial = self._trial(trial_id)
        self.check_trial_is_updatable(trial_id, trial.state)
        return kept, trial

    def _leased(self, kept: _Kept, trial: FrozenTrial) -> FrozenTrial:
        """A trial, where it trains in this process."""
        if trial._trial_id not in kept.leases:
            raise Refused(f"trial {trial.number} does not train in this process; it begins when the study asks for it (`ask`)")
        return trial

    def _put(self, kept: _Kept, trial: FrozenTrial, **changes: Any) -> None:
        """Replace a trial by one with changes: what was given out before never changes."""
        changed = copy.copy(trial)
        for name, value in changes.items():
            setattr(changed, name, value)
        kept.trials[trial.number] = changed

    def _note_best(self, kept: _Kept, trial: FrozenTrial) -> None:
        if trial.state != TrialState.COMPLETE or len(kept.directions) > 1 or trial.value is None:
            return
        best = kept.best
        sign = 1 if kept.directions[0] == StudyDirection.MAXIMIZE else -1
        if best is None or best.value is None or (sign * trial.value, -trial.number) > (sign * best.value, -best.number):
            kept.best = trial  # the first of equals, however their ends came

    def _agent_id(self) -> int:
        if self._agent is None:
            name = f"python {os.getpid()}"
            self._agent, _ = self._lab.agents.add(name, 1, machine=platform.node(), environment=machine.here())
        return self._agent

    # What is stored, and what is made of it

    def _remember(self, study_id: int, memo: Memo, trial_id: int | None = None) -> None:
        stored = self._storable(memo)
        if stored is not None:
            self._lab.open_spaces.remember(study_id, stored, trial_id)

    def _storable(self, memo: Memo) -> Memo | None:
        """A memo as JSON; None where its value is nothing that can be stored, which is said once."""
        try:
            return memo._replace(value=packed(memo.value))
        except TypeError as error:
            self._say_unkept(f"attribute {memo.name!r}", error)
            return None

    def _say_unkept(self, what: str, error: TypeError) -> None:
        if what not in self._unkept:
            self._unkept.add(what)
            warnings.warn(f"{what} is kept in this process only, since it cannot be stored: {error}", stacklevel=2)

    def _attributes(self, trial: FrozenTrial) -> list[Memo]:
        given = ((USER, trial.user_attrs), (SYSTEM, trial.system_attrs))
        memos = [self._storable(Memo(kind, name, value)) for kind, attributes in given for name, value in attributes.items()]
        return [memo for memo in memos if memo is not None]

    def _asked(self, trial: FrozenTrial) -> list[Memo]:
        """How an ended trial of elsewhere asked for its values, and what it measured that is no finite number."""
        memos = [
            self._asked_memo(name, distribution.to_internal_repr(trial.params[name]), distribution)
            for name, distribution in trial.distributions.items()
        ]
        return memos + [
            Memo(ASKED, f"{STEP}{step}", packed(value))
            for step, value in trial.intermediate_values.items()
            if not math.isfinite(value)
        ]

    def _asked_memo(self, name: str, internal: float, distribution: BaseDistribution) -> Memo:
        if not isinstance(distribution, CategoricalDistribution):
            said: dict[str, Any] = json.loads(distribution_to_json(distribution))
        else:
            said = {"choices": [self._choice(name, choice) for choice in distribution.choices]}
        return Memo(ASKED, f"{VALUE}{name}", {**said, "internal": packed(float(internal))})

    def _choice(self, name: str, choice: Any) -> Any:
        try:
            return packed(choice)
        except TypeError as error:
            self._say_unkept(f"{name}: its choice {choice!r}", error)
            return str(choice)

    def _end(self, kept: _Kept, trial: FrozenTrial, reports: int, memos: Sequence[Memo]) -> End:
        """How a trial ended, as the laboratory says it: as `exchange.optuna` brings trials of Optuna in."""
        batch = list(kept.unsent.get(trial._trial_id, ()))
        if reports == 0:
            batch = [
                Measurement(index, step, epoch_of(trial, step), None, value if math.isfinite(value) else None, seconds_of(trial))
                for index, (step, value) in enumerate(trial.intermediate_values.items())
            ]
            reports = len(batch)
        last = next((value for value in reversed(trial.intermediate_values.values()) if math.isfinite(value)), None)
        values = trial.values or []
        outcome, why = outcome_of(trial, kept.failures.get(trial._trial_id))
        names = [metric.name for metric in kept.session.task.further]
        extra = {name: value for name, value in zip(names, values[1:], strict=False) if math.isfinite(value)}
        extra |= {name: float(value) for name, value in trial.user_attrs.items() if is_finite_number(value) and name not in extra}
        value = values[0] if outcome is Outcome.COMPLETED else last
        if value is not None and math.isfinite(value) and (value != last or extra):
            step = next(reversed(trial.intermediate_values), 0)
            batch.append(Measurement(reports, step, epoch_of(trial, step), None, value, seconds_of(trial), extra))
        ending = {"state": trial.state.name, "values": packed(list(values)), "reports": reports}
        space = self._grown(kept, trial)
        return End(outcome, why, stored_values(trial), batch, [*memos, Memo(TOLD, END, ending)], space)

    def _grown(self, kept: _Kept, trial: FrozenTrial) -> Space | None:
        """What the trials that have ended asked for, where this one may change what is known of it."""
        ended = [known for known in kept.trials if known.state.is_finished()] + [trial]
        new = {(name, distribution) for name, distribution in trial.distributions.items()} - kept.asked
        fits = configuration_of(kept.space, trial) is not None or trial.state == TrialState.FAIL
        looks = len(ended) >= max(kept.inferred * 1.1, kept.inferred + 1 if kept.inferred < FEW else 0)
        has_flags = any(is_flag(kept.space, hyperparameter) for hyperparameter in kept.space)
        kept.asked |= new
        if not any(known.distributions for known in ended) or not (new or not fits or (has_flags and looks)):
            return None
        kept.inferred = len(ended)
        space, _ = space_of(ended)
        kept.space = Space(space.hyperparameters, is_open=True)
        return kept.space

    def _read(self, study_id: int) -> _Kept:
        """A study as the laboratory has it."""
        with self._lab.at_once():
            newest, session = self._lab.sessions.newest_event(study_id), self._lab.sessions.get(study_id)
            if session.withdrawn_at is not None:
                raise NotFound(f"session {study_id} was deleted")
            memos, measured = self._lab.open_spaces.remembered(study_id), self._lab.open_spaces.measured(session.trials)
        kinds: dict[tuple[int | None, str], dict[str, Any]] = {}
        for trial_id, memo in memos:
            kinds.setdefault((trial_id, memo.kind), {})[memo.name] = unpacked(memo.value)
        task = session.task
        ways = [task.direction, *(metric.direction for metric in task.further)]
        kept = _Kept(
            session,
            [StudyDirection[way.upper()] for way in ways],
            kinds.get((None, USER), {}),
            kinds.get((None, SYSTEM), {}),
            space=session.space,
            newest=newest,
        )
        for trial in session.trials:
            facts = {kind: kinds.get((trial.id, kind), {}) for kind in (USER, SYSTEM, ASKED, TOLD)}
            frozen = frozen_trial(trial, facts, measured.get(trial.id, ()))
            kept.trials.append(frozen)
            self._study_of[trial.id] = study_id
            kept.distributions.update(frozen.distributions)
            if frozen.state.is_finished():
                kept.asked |= set(frozen.distributions.items())
                kept.inferred += 1
                self._note_best(kept, frozen)
        return kept


class _Attendance:
    """This process at the sessions that it tunes: their signs of life, and how they are left."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._process = lab, os.getpid()
        self._sessions: set[int] = set()
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def holds(self, session_id: int) -> bool:
        """Whether this process tunes the session."""
        return session_id in self._sessions

    def begin(self, session_id: int) -> None:
        """This process tunes a session from now on."""
        with self._lock:
            self._sessions.add(session_id)
            if self._thread is None:
                self._thread = threading.Thread(target=self._live, name="evenhand attendance", daemon=True)
                self._thread.start()

    def drop(self, session_id: int) -> None:
        """A session is nobody's any more."""
        with self._lock:
            self._sessions.discard(session_id)

    def end(self, session_id: int, chooses: bool) -> None:
        """This process tunes a session no more. chooses: its best trial, where nothing trains and there is one objective."""
        self.drop(session_id)
        if os.getpid() != self._process:  # a process that was forked leaves nothing
            return
        session = self._lab.sessions.get(session_id)
        best = rules.best_trial(session)
        done = chooses and not any(trial.is_open for trial in session.trials) and not session.task.further
        if done and best is not None and session.choice is None:
            self._lab.choose(session_id, number=best.number)
        self._lab.sessions.leave(session_id)

    def close(self) -> None:
        """Leave all sessions in order, and the database."""
        if self._over.is_set():
            return
        self._over.set()
        for session_id in list(self._sessions):
            with suppress(Exception):  # the database may be gone; the session is then seen as interrupted
                self.end(session_id, chooses=True)
        if os.getpid() == self._process:
            self._lab.close()

    def _live(self) -> None:
        while not self._over.wait(resumption.ALIVE_SECONDS):
            for session_id in list(self._sessions):
                with suppress(Exception):  # a database that is busy, say, is asked again
                    if not self._lab.sessions.attend(session_id):
                        self.drop(session_id)  # another process has taken it up: the next write says so


def _frozen_study(study_id: int, kept: _Kept) -> FrozenStudy:
    user, system = copy.deepcopy(kept.user), copy.deepcopy(kept.system)
    return FrozenStudy(kept.session.called, None, user, system, study_id, directions=list(kept.directions))


def _way(direction: StudyDirection) -> Any:
    return "maximize" if direction == StudyDirection.MAXIMIZE else "minimize"


@contextmanager
def noting_failures(storage: LabStorage, trial_id: int) -> Iterator[None]:
    """What an objective raises within it is noted with its trial."""
    try:
        yield
    except optuna.TrialPruned:
        raise
    except Exception as error:
        storage.note_failure(trial_id, error)
        raise
