"""A session's history as Optuna knows it: the same for every method that is one of its samplers."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from evenhand.methods.base import fits, has_value, is_bad, is_there, misses_by, modelled
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Integer, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import Outcome, Trial

if TYPE_CHECKING:
    import optuna

STUDY_NAME = "evenhand-history"
LONG_AGO = datetime.fromtimestamp(0, UTC)  # Optuna wants times, and no sampler looks at them


def study_of(
    sampler: "optuna.samplers.BaseSampler",
    maximize: bool,
    frozen: "Sequence[optuna.trial.FrozenTrial]",
    beside: Sequence[tuple[str, str]] = (),
) -> "optuna.Study":
    """A study in memory with this history, see `numbered`. beside: objectives after the first, as [name, direction]."""
    import optuna

    ways = [optuna.study.StudyDirection.MINIMIZE, optuna.study.StudyDirection.MAXIMIZE]
    directions = [ways[maximize], *(ways[way == "maximize"] for _, way in beside)]
    _silence()
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(directions=directions, sampler=sampler, study_name=STUDY_NAME, storage=storage)
    # Not one by one: a storage checks and copies each trial, which takes longer than the sampler.
    storage._studies[storage.get_study_id_from_name(STUDY_NAME)].trials.extend(frozen)
    return study


def numbered(trials: "Iterable[optuna.trial.FrozenTrial]", start: int = 0) -> "list[optuna.trial.FrozenTrial]":
    """The trials with their places in a history, from `start`, as their numbers."""
    listed = list(trials)
    for place, trial in enumerate(listed, start):
        trial.number = place
    return listed


class Asked(Protocol):
    """What gives one parameter after the other, as a trial of Optuna's does."""

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """A number of the range."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """One of the choices."""


def suggested(asked: Asked, space: Space) -> Configuration:
    """Optuna's next configuration."""
    values: dict[str, Value] = {}
    for hyperparameter in space:
        if space.is_active(hyperparameter, values):
            values[hyperparameter.name] = _suggested(asked, hyperparameter)
    return space.near(values)


def _suggested(asked: Asked, hyperparameter: Hyperparameter) -> Value:
    """The next value: numbers, and options in an order, go through the unit interval of their domain."""
    if isinstance(hyperparameter.domain, Choice) and not hyperparameter.domain.ordered:
        return hyperparameter.domain.of_text(asked.suggest_categorical(hyperparameter.name, hyperparameter.domain.texts))
    return hyperparameter.domain.from_unit(asked.suggest_float(hyperparameter.name, 0.0, 1.0))


def frozen(
    space: Space,
    trial: Trial,
    *,
    worst: float | None = None,
    inactive: Callable[[Hyperparameter], Value] | None = None,
    beside: Sequence[str] = (),
) -> "optuna.trial.FrozenTrial | None":
    """The trial as Optuna knows it, None where it says nothing about its configuration, or has an option that is none any more.

    worst: the value that what cannot be chosen gets; without one it is pruned, with what it misses as a constraint, which ranks
    it below every other trial. beside: metrics after the first, of which it has a value each.
    inactive: the value that an inactive hyperparameter is given, for a model that knows no conditions.
    """
    from optuna.trial import FrozenTrial, TrialState

    values: list[float] | None = None
    if trial.is_open:
        state = TrialState.RUNNING
    elif is_bad(trial):
        state, values = (TrialState.PRUNED, None) if worst is None else (TrialState.COMPLETE, [modelled(worst)])
    elif has_value(trial) and trial.value is not None and all(name in trial.extra for name in beside):
        state, values = (
            TrialState.COMPLETE,
            [modelled(number) for number in (trial.value, *(trial.extra[name] for name in beside))],
        )
    else:
        return None
    if not fits(space, trial):
        return None
    params: dict[str, Any] = {}
    distributions: dict[str, Any] = {}
    for hyperparameter in space:
        if is_learnt(hyperparameter, trial):
            setting = learnt(hyperparameter, trial)
        elif inactive is not None:
            setting = inactive(hyperparameter)
        else:
            continue
        params[hyperparameter.name], distributions[hyperparameter.name] = _param(hyperparameter, setting)
    return FrozenTrial(
        number=-1, trial_id=-1, state=state, value=None, values=values, params=params, distributions=distributions,
        datetime_start=LONG_AGO, datetime_complete=None if trial.is_open else LONG_AGO, user_attrs={},
        system_attrs={"constraints": [misses_by(trial)]} if state == TrialState.PRUNED else {}, intermediate_values={},
    )  # fmt: skip


def params_of(space: Space, values: Mapping[str, Value]) -> dict[str, Any]:
    """A configuration's values as the parameters that `frozen` makes of them."""
    return {name: _param(space[name], value)[0] for name, value in values.items() if name in space}


def is_learnt(hyperparameter: Hyperparameter, trial: Trial) -> bool:
    """Whether the trial has a value of it, and not an option that the space has no more."""
    name = hyperparameter.name
    return name in trial.configuration and is_there(hyperparameter.domain, trial.configuration[name])


def learnt(hyperparameter: Hyperparameter, trial: Trial) -> Value:
    """The value that the trial's result belongs to: of a stopped one the epochs it completed, not those it asked for.

    The trial must have one; see `is_learnt`.
    """
    value = trial.configuration[hyperparameter.name]
    if hyperparameter.fidelity and isinstance(hyperparameter.domain, Integer) and trial.outcome is Outcome.STOPPED:
        return max(hyperparameter.domain.low, min(int(value), trial.epochs_done))
    return value


def to_unit(hyperparameter: Hyperparameter, value: Value) -> float:
    """Where a number, or an option in an order, lies in the unit interval of its domain."""
    return min(max(hyperparameter.domain.to_unit(value), 0.0), 1.0)


def _param(hyperparameter: Hyperparameter, value: Value) -> tuple[Any, Any]:
    if isinstance(hyperparameter.domain, Choice) and not hyperparameter.domain.ordered:
        texts = hyperparameter.domain.texts
        return texts[hyperparameter.domain.index(value)], _distribution(texts)
    return to_unit(hyperparameter, value), _distribution(None)


@cache
def _distribution(options: tuple[str, ...] | None) -> "optuna.distributions.BaseDistribution":
    """Of one of the options, as text, or of the unit interval."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return FloatDistribution(0.0, 1.0) if options is None else CategoricalDistribution(options)


@cache
def _silence() -> None:
    """Keep Optuna from announcing each of these short-lived studies on the terminal; the user's own studies still are."""
    logging.getLogger("optuna.storages._in_memory").addFilter(lambda record: STUDY_NAME not in record.getMessage())
