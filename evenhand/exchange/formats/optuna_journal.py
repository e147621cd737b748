"""Optuna's journal: a file with one operation a line, which are done again here, as Optuna does them.

The file is gone through once for the trials and again for what they reported, so that no curve is kept in memory but of trials
that are open at one time.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.trial import TrialState

from evenhand.errors import InvalidSettings
from evenhand.exchange.formats.base import ForeignRun, Losses, Point, Source, Wanted
from evenhand.exchange.formats.optuna_study import OptunaStudy, OptunaTrial, distribution_of, run_of, seconds_of

NAME = "optuna-journal"
WORDS = "a journal file of Optuna's"
DIRECTIONS = {1: "minimize", 2: "maximize"}
CREATE_STUDY, DELETE_STUDY, SET_STUDY_USER_ATTR, SET_STUDY_SYSTEM_ATTR, CREATE_TRIAL = 0, 1, 2, 3, 4
SET_PARAM, SET_STATE, SET_INTERMEDIATE, SET_USER_ATTR, SET_SYSTEM_ATTR = 5, 6, 7, 8, 9
STUDY_ATTRIBUTES = (SET_STUDY_USER_ATTR, SET_STUDY_SYSTEM_ATTR)
TRIAL_CHANGES = (SET_PARAM, SET_STATE, SET_INTERMEDIATE, SET_USER_ATTR, SET_SYSTEM_ATTR)


def holds(source: Source) -> bool:
    """Whether it is such a file."""
    if not source.head.startswith(b"{"):
        return False
    try:
        first = json.loads(source.head.partition(b"\n")[0])
    except ValueError:
        return False
    return isinstance(first, dict) and "op_code" in first and "worker_id" in first


def names(source: Source) -> list[str]:
    """The studies in it."""
    return [study.name for study in _done(source).studies.values()]


def read(source: Source, name: str, wanted: Wanted) -> ForeignRun:
    """One of its studies."""
    replay, losses = _done(source), Losses()
    study_id, study = next((id_, study) for id_, study in replay.studies.items() if study.name == name)
    if replay.broken is not None:
        losses.note("the last line is half-written, as by a process that was killed, and is left out", replay.broken)
    study.curves = lambda: (
        (number + 1, points) for of, number, points in _Replay(source, keeps_reports=True).ended() if of == study_id
    )
    return run_of(study, NAME, wanted, losses)


def _done(source: Source) -> "_Replay":
    """A journal, done again to its end."""
    replay = _Replay(source)
    for _ in replay.ended():
        pass
    return replay


def _operations(source: Source) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """Each line's number and operation; None of a last line that is half-written. InvalidSettings for one amid the file."""
    assert source.path is not None
    bad: int | None = None
    with source.path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if bad is not None:
                raise InvalidSettings(
                    f"{source.text}: line {bad} is no operation of a journal of Optuna: the file is damaged there"
                )
            try:
                if not line.endswith(b"\n"):
                    raise ValueError  # Optuna takes none before its end of line is there
                operation = json.loads(line)
                operation["op_code"] = int(operation["op_code"])
            except (ValueError, KeyError, TypeError):
                bad = number
                continue
            yield number, operation
    if bad is not None:
        yield bad, None


@dataclass(slots=True)
class _Made:
    """A trial, the number of the study that it is of, and what it reported so far, where that is kept."""

    study_id: int
    trial: OptunaTrial
    points: dict[int, float] = field(default_factory=dict)


class _Replay:
    """The studies of a journal with their trials. broken: the last line, where it is half-written."""

    def __init__(self, source: Source, keeps_reports: bool = False) -> None:
        self.studies: dict[int, OptunaStudy] = {}
        self.broken: str | None = None
        self._source, self._keeps_reports = source, keeps_reports
        self._made: list[_Made] = []  # a trial's number in the journal is its place here
        self._next_study = 0

    def ended(self) -> Iterator[tuple[int, int, Sequence[Point]]]:
        """Do all again; of each trial, as it ends, its study's number, its own and what it reported."""
        for number, operation in _operations(self._source):
            if operation is None:
                self.broken = f"line {number}"
                continue
            try:
                made = self._applied(operation)
            except (KeyError, ValueError, TypeError, IndexError) as error:
                raise InvalidSettings(
                    f"{self._source.text}: line {number} cannot be done again ({type(error).__name__}: {error}); expected one "
                    "that Optuna 3 to 5 wrote"
                ) from None
            if made is not None and made.trial.state.is_finished():
                points = [Point(step, made.points[step]) for step in sorted(made.points)]
                made.points = {}
                yield made.study_id, made.trial.number, points

    def _applied(self, line: dict[str, Any]) -> _Made | None:
        """The trial that an operation made or changed; None of one that changed none."""
        code = line["op_code"]
        if code == CREATE_STUDY:
            if all(study.name != line["study_name"] for study in self.studies.values()):
                directions = [DIRECTIONS[way] for way in line["directions"]]
                self.studies[self._next_study] = OptunaStudy(line["study_name"], directions)
                self._next_study += 1
        elif code == DELETE_STUDY:
            self.studies.pop(line["study_id"], None)
        elif code == CREATE_TRIAL:
            return self._created(line)
        elif code in STUDY_ATTRIBUTES:
            if (study := self.studies.get(line["study_id"])) is not None:
                if code == SET_STUDY_USER_ATTR:
                    study.user_attrs = {**study.user_attrs, **line["user_attr"]}
                else:
                    study.system_attrs = {**study.system_attrs, **line["system_attr"]}
        elif code in TRIAL_CHANGES and 0 <= line["trial_id"] < len(self._made):
            made: _Made = self._made[line["trial_id"]]
            if not made.trial.state.is_finished():  # one that has ended is changed no more
                self._change(made, code, line)
                return made
        return None  # what other programs note in it, Optuna passes over, too

    def _created(self, line: dict[str, Any]) -> _Made | None:
        study = self.studies.get(line["study_id"])
        if study is None:
            return None
        values = line.get("values")
        if values is None and line.get("value") is not None:
            values = [line["value"]]
        trial = OptunaTrial(
            number=len(study.trials),
            state=TrialState(line.get("state", TrialState.RUNNING)),
            values=values,
            codes=dict(line.get("params", {})),
            distributions={name: distribution_of(text) for name, text in line.get("distributions", {}).items()},
            user_attrs=dict(line.get("user_attrs", {})),
            system_attrs=dict(line.get("system_attrs", {})),
            started=seconds_of(line["datetime_start"], utc=False),
            ended=seconds_of(line.get("datetime_complete"), utc=False),
        )
        made = _Made(line["study_id"], trial)
        if self._keeps_reports:
            made.points = {int(step): value for step, value in line.get("intermediate_values", {}).items()}
        study.trials.append(trial)
        self._made.append(made)
        return made

    def _change(self, made: _Made, code: int, line: dict[str, Any]) -> None:
        trial = made.trial
        if code == SET_PARAM:
            name = line["param_name"]
            trial.codes[name], trial.distributions[name] = line["param_value_internal"], distribution_of(line["distribution"])
        elif code == SET_INTERMEDIATE:
            if self._keeps_reports:
                made.points[line["step"]] = line["intermediate_value"]
        elif code == SET_USER_ATTR:
            trial.user_attrs.update(line["user_attr"])
        elif code == SET_SYSTEM_ATTR:
            trial.system_attrs.update(line["system_attr"])
        else:
            _set_state(trial, line)


def _set_state(trial: OptunaTrial, line: dict[str, Any]) -> None:
    state = TrialState(line["state"])
    if state == trial.state == TrialState.RUNNING:
        return  # another process took it before
    if state == TrialState.RUNNING:
        trial.started = seconds_of(line["datetime_start"], utc=False)
    if state.is_finished():
        trial.ended = seconds_of(line["datetime_complete"], utc=False)
    trial.state = state
    if line["values"] is not None:
        trial.values = line["values"]
