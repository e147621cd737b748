"""A study of Optuna, from whichever of its storages, as a run: states, distributions, attributes, and what has no place."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution, json_to_distribution
from optuna.trial import FrozenTrial, TrialState

from evenhand.errors import InvalidSettings
from evenhand.exchange.formats.base import ForeignRun, ForeignTrial, Losses, Point, Wanted, no_curves
from evenhand.exchange.formats.metrics import direction_of
from evenhand.methods.optuna_spaces import merged_domain, option_of
from evenhand.model import codec
from evenhand.model.domain import Domain, Value
from evenhand.model.inferred_space import configuration_in
from evenhand.model.space import Space
from evenhand.model.study import Budget
from evenhand.model.task import Metric
from evenhand.model.trial import Outcome, Stopper

SPACE_ATTRIBUTE = "evenhand"  # the study's user attribute that holds what a Space and a Session say beyond Optuna's
METRIC_NAMES_ATTRIBUTE = "study:metric_names"
CONSTRAINTS_PREFIX = "constraints"  # of the system attributes that hold what a trial misses
# User attributes of trials that have a place.
TRIAL_ATTRIBUTES = ("explanation", "proposer", "outcome", "why", "stop_by", "resumes")
TOOL = "optuna"
NO_REASON = "Optuna keeps no reason for a trial that failed"
PRUNED = "pruned"


@dataclass(slots=True)
class OptunaTrial:
    """One trial as Optuna stores it. codes: its parameters as Optuna's numbers for them. started, ended: seconds since 1970."""

    number: int
    state: TrialState
    values: Sequence[float] | None = None
    codes: dict[str, float] = field(default_factory=dict)
    distributions: dict[str, BaseDistribution] = field(default_factory=dict)
    user_attrs: dict[str, Any] = field(default_factory=dict)
    system_attrs: dict[str, Any] = field(default_factory=dict)
    started: float | None = None
    ended: float | None = None


@dataclass(slots=True)
class OptunaStudy:
    """One study as Optuna stores it. directions: "maximize" or "minimize" for each objective."""

    name: str
    directions: Sequence[str]
    user_attrs: Mapping[str, Any] = field(default_factory=dict)
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    trials: list[OptunaTrial] = field(default_factory=list)
    curves: Callable[[], Iterator[tuple[int, Sequence[Point]]]] = no_curves


@cache
def distribution_of(text: str) -> BaseDistribution:
    """The distribution that this JSON is of; one object for all that are alike."""
    return json_to_distribution(text)


def of_frozen(trial: FrozenTrial) -> OptunaTrial:
    """A trial as Optuna itself hands it out."""
    return OptunaTrial(
        number=trial.number,
        state=trial.state,
        values=trial.values,
        codes={name: trial.distributions[name].to_internal_repr(value) for name, value in trial.params.items()},
        distributions=dict(trial.distributions),
        user_attrs=dict(trial.user_attrs),
        system_attrs=dict(trial.system_attrs),
        started=None if trial.datetime_start is None else trial.datetime_start.timestamp(),
        ended=None if trial.datetime_complete is None else trial.datetime_complete.timestamp(),
    )


def seconds_of(at: datetime | str | None, utc: bool = True) -> float | None:
    """A time of a storage in seconds since 1970. utc: what one without a zone is of; else of this machine's own zone."""
    if at is None:
        return None
    moment = datetime.fromisoformat(at) if isinstance(at, str) else at
    if moment.tzinfo is None and utc:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()


def run_of(study: OptunaStudy, form: str, wanted: Wanted, losses: Losses | None = None) -> ForeignRun:
    """A study as a run. Its first objective is the metric, the others are further ones; trials keep their numbers plus 1."""
    losses = losses or Losses()
    attribute = study.user_attrs.get(SPACE_ATTRIBUTE)
    said: Mapping[str, Any] = attribute if isinstance(attribute, dict) else {}
    metrics = _metrics(study, wanted)
    ended = [trial for trial in study.trials if trial.state.is_finished()]
    space, domains, rows = _placed(study, said, ended, losses)
    reader = _Reader(metrics[1:], str(said.get("tuner", TOOL)), losses)
    trials = [reader.trial(trial, rows.get(trial.number, {})) for trial in study.trials]
    reader.note_attributes()
    for name in sorted(study.user_attrs.keys() - {SPACE_ATTRIBUTE}):
        losses.note("{count} user attributes of the study are not kept", name)
    return ForeignRun(
        name=study.name,
        format=form,
        metrics=metrics,
        direction_words="as the study says",
        domains=domains,
        trials=trials,
        losses=losses,
        tuner=str(said.get("tuner", TOOL)),
        tool=TOOL,
        task=str(said.get("task", "")),
        curves=study.curves,
        space=space,
        budget=codec.from_json(Budget, said["budget"]) if "budget" in said else None,
        seed=int(said.get("tuning_seed", 0)),
        max_epochs=int(said.get("max_epochs", 1)),
    )


def _metrics(study: OptunaStudy, wanted: Wanted) -> tuple[Metric, ...]:
    """The objectives; `--metric` puts another one first."""
    stored = study.system_attrs.get(METRIC_NAMES_ATTRIBUTE)
    names = stored or ["value", *(f"value_{n}" for n in range(2, len(study.directions) + 1))]
    metrics = [Metric(str(name), direction_of(way)) for name, way in zip(names, study.directions, strict=True)]
    if wanted.metric not in (None, metrics[0].name):
        raise InvalidSettings(
            f"study {study.name!r}: --metric {wanted.metric}: its objectives have an order of their own, and {metrics[0].name!r} "
            "is the first one; leave --metric out"
        )
    if wanted.direction not in (None, metrics[0].direction):
        raise InvalidSettings(
            f"study {study.name!r}: --direction {wanted.direction}: the study itself says {metrics[0].direction}; leave it out"
        )
    return tuple(metrics)


Rows = dict[int, dict[str, Value]]


def _placed(
    study: OptunaStudy, said: Mapping[str, Any], ended: Sequence[OptunaTrial], losses: Losses
) -> tuple[Space | None, dict[str, Domain], Rows]:
    """The space that an export wrote down, where every trial lies in it, else None; the domains; each trial's values."""
    if "space" in said:
        space = Space.from_json(said["space"])
        domains = {hyperparameter.name: hyperparameter.domain for hyperparameter in space}
        rows = _rows(domains, ended)
        if all(configuration_in(space, values) is not None for values in rows.values()):
            return space, domains, rows
    kinds: dict[str, dict[int, BaseDistribution]] = {}
    for trial in ended:
        for name, distribution in trial.distributions.items():
            kinds.setdefault(name, {})[id(distribution)] = distribution
    notes: list[str] = []
    domains = {name: merged_domain(name, list(some.values()), notes) for name, some in kinds.items()}
    for note in notes:
        losses.note(note)
    return None, domains, _rows(domains, ended)


def _rows(domains: Mapping[str, Domain], trials: Sequence[OptunaTrial]) -> Rows:
    options: dict[tuple[str, int, float], Value] = {}

    def value_of(name: str, distribution: BaseDistribution, code: float) -> Value:
        if isinstance(distribution, CategoricalDistribution):
            key = (name, id(distribution), code)
            if key not in options:
                options[key] = option_of(domains.get(name), distribution, distribution.to_external_repr(code))
            return options[key]
        return int(code) if isinstance(distribution, IntDistribution) else code

    return {
        trial.number: {name: value_of(name, trial.distributions[name], code) for name, code in trial.codes.items()}
        for trial in trials
    }


class _Reader:
    """Makes trials, and counts what has no place."""

    def __init__(self, further: Sequence[Metric], tuner: str, losses: Losses) -> None:
        self._further, self._tuner, self._losses = further, tuner, losses
        self._attributes: dict[str, list[Any]] = {}

    def trial(self, trial: OptunaTrial, values: Mapping[str, Value]) -> ForeignTrial:
        """One trial, whether it has ended or not."""
        attributes, is_complete = trial.user_attrs, trial.state == TrialState.COMPLETE
        outcome, why, by = _outcome(trial)
        if any(name.startswith(CONSTRAINTS_PREFIX) for name in trial.system_attrs):
            self._losses.note("constraint values of {trials} are not kept", trial.number)
        explanation = str(attributes.get("explanation", ""))
        if not explanation and "fixed_params" in trial.system_attrs:
            explanation = f"enqueued: {json.dumps(trial.system_attrs['fixed_params'], default=str)} were given"
        return ForeignTrial(
            number=trial.number + 1,
            label=str(trial.number),
            values=values,
            outcome=outcome,
            value=trial.values[0] if is_complete and trial.values else None,
            further=self._numbers(trial, is_complete) if attributes or self._further else {},
            why=why,
            stop_by=by,
            started=trial.started,
            ended=trial.ended,
            proposer=str(attributes.get("proposer", self._tuner)),
            explanation=explanation,
            resumes=attributes.get("resumes"),
        )

    def _numbers(self, trial: OptunaTrial, is_complete: bool) -> dict[str, float]:
        """The further objectives, and user attributes that are numbers."""
        numbers: dict[str, float] = {}
        for name, value in trial.user_attrs.items():
            if name in TRIAL_ATTRIBUTES:
                continue
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                numbers[name] = float(value)
            else:
                self._attributes.setdefault(name, []).append(value)
        if is_complete and trial.values:
            numbers |= {metric.name: value for metric, value in zip(self._further, trial.values[1:], strict=True)}
        return numbers

    def note_attributes(self) -> None:
        """Say which user attributes had no place."""
        for name, values in sorted(self._attributes.items()):
            self._losses.note(f"user attribute {name!r} of {{trials}} is not kept", repr(values[0]), len(values))


def _outcome(trial: OptunaTrial) -> tuple[Outcome | None, str | None, Stopper | None]:
    """How a trial ended: by what an export noted, where its state agrees, else by its state."""
    noted, why = trial.user_attrs.get("outcome"), trial.user_attrs.get("why")
    reason = str(why) if why else None
    if trial.state == TrialState.COMPLETE:
        return Outcome.COMPLETED, reason, None
    if trial.state == TrialState.PRUNED:
        by = trial.user_attrs.get("stop_by")
        if noted == Outcome.STOPPED:
            return Outcome.STOPPED, reason, Stopper(by) if by in set(Stopper) else None
        return Outcome.STOPPED, reason or PRUNED, Stopper.RULE
    if trial.state != TrialState.FAIL:
        return None, None, None
    outcome = Outcome(noted) if noted in (Outcome.INVALID, Outcome.DIVERGED, Outcome.FAILED) else Outcome.INVALID
    return outcome, reason or NO_REASON, None
