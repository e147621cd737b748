"""A session's history as Optuna knows it: the same for every method that is one of its samplers."""

import copy
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache, reduce
from typing import TYPE_CHECKING, Any

from evenhand.records import Outcome, Trial
from evenhand.space import Choice, Configuration, Hyperparameter, Integer, Space, Value
from evenhand.trials import fold
from evenhand.tuners.base import UNUSABLE, fits, has_value

if TYPE_CHECKING:
    import optuna

STUDY = "evenhand-history"
LONG_AGO = datetime.fromtimestamp(0, UTC)  # Optuna wants times, and no sampler looks at them


def study_of(
    sampler: "optuna.samplers.BaseSampler", maximize: bool, frozen: "Sequence[optuna.trial.FrozenTrial]"
) -> "optuna.Study":
    """A study in memory with this history."""
    import optuna

    direction = optuna.study.StudyDirection.MAXIMIZE if maximize else optuna.study.StudyDirection.MINIMIZE
    _silence()
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(direction=direction, sampler=sampler, study_name=STUDY, storage=storage)
    study_id = storage.get_study_id_from_name(STUDY)
    for each in frozen:  # not by `add_trials`, which checks all of them anew at each suggestion
        storage.create_new_trial(study_id, template_trial=each)
    return study


def history(space: Space, trials: Sequence[Trial]) -> "list[optuna.trial.FrozenTrial]":
    """The trials as Optuna knows them, what diverged or was invalid pruned. Each that has ended is translated once."""

    def add(known: "_Translated", trial: Trial) -> "_Translated":
        found = frozen(space, trial)
        return known if found is None else known.add(found)

    settled, later = fold(trials, ("frozen", space), _Translated, add)
    return [*settled.first(), *reduce(add, later, _Translated()).first()]


@dataclass(frozen=True)
class _Translated:
    """The first `count` of a list that only ever grows."""

    count: int = 0
    found: "list[optuna.trial.FrozenTrial]" = field(default_factory=list)

    def add(self, trial: "optuna.trial.FrozenTrial") -> "_Translated":
        """With one more."""
        self.found.append(trial)
        return replace(self, count=self.count + 1)

    def first(self) -> "list[optuna.trial.FrozenTrial]":
        """Those."""
        return self.found[: self.count]


def suggested(asked: "optuna.Trial", space: Space) -> Configuration:
    """Optuna's next configuration."""
    values: dict[str, Value] = {}
    for each in space:
        if space.is_active(each, values):
            values[each.name] = _suggested(asked, each)
    return space.configuration(values)


def _suggested(asked: "optuna.Trial", each: Hyperparameter) -> Value:
    """The next value: numbers, and options in an order, go through the unit interval of their domain."""
    if isinstance(each.domain, Choice) and not each.domain.ordered:
        return str(asked.suggest_categorical(each.name, each.domain.options))
    return each.domain.from_unit(asked.suggest_float(each.name, 0.0, 1.0))


def frozen(
    space: Space, trial: Trial, *, worst: float | None = None, inactive: Callable[[Hyperparameter], Value] | None = None
) -> "optuna.trial.FrozenTrial | None":
    """The trial as Optuna knows it, None where it says nothing about its configuration, or has an option that is none any more.

    worst: the value that what diverged or was invalid gets; without one it is pruned, which ranks below every other trial.
    inactive: the value that an inactive hyperparameter is given, for a model that knows no conditions.
    """
    from optuna.trial import TrialState

    value: float | None = None
    if trial.is_open:
        state = TrialState.RUNNING
    elif trial.outcome in UNUSABLE:
        state, value = (TrialState.PRUNED, None) if worst is None else (TrialState.COMPLETE, worst)
    elif has_value(trial):
        state, value = TrialState.COMPLETE, trial.value
    else:
        return None
    if not fits(space, trial):
        return None
    params: dict[str, Any] = {}
    distributions: dict[str, Any] = {}
    for each in space:
        found = learnt(each, trial)
        if found is None and inactive is not None:
            found = inactive(each)
        if found is not None:
            params[each.name], distributions[each.name] = _param(each, found)
    return _kept()(
        number=-1, trial_id=-1, state=state, value=value, params=params, distributions=distributions, datetime_start=LONG_AGO,
        datetime_complete=None if trial.is_open else LONG_AGO, user_attrs={}, system_attrs={}, intermediate_values={},
    )  # fmt: skip


@cache
def _kept() -> "type[optuna.trial.FrozenTrial]":
    """A trial of Optuna's that does not change any more but for its number, so that a study may have it as it is.

    Copying each one deeply, as Optuna's storage does, takes longer than its sampler.
    """
    import optuna

    class Kept(optuna.trial.FrozenTrial):
        def __deepcopy__(self, memo: object) -> "Kept":
            return copy.copy(self)

    return Kept


def learnt(each: Hyperparameter, trial: Trial) -> Value | None:
    """The value that the trial's result belongs to: of a stopped one the epochs it completed, not those it asked for.

    None where it has none, or an option that the space has no more.
    """
    value = trial.configuration.get(each.name)
    if isinstance(each.domain, Choice) and value not in each.domain.options:
        return None
    if value is not None and each.fidelity and isinstance(each.domain, Integer) and trial.outcome is Outcome.STOPPED:
        return max(each.domain.low, min(int(value), trial.epochs_done))
    return value


def to_unit(each: Hyperparameter, value: Value) -> float:
    """Where a number, or an option in an order, lies in the unit interval of its domain."""
    unit = each.domain.to_unit(str(value)) if isinstance(each.domain, Choice) else each.domain.to_unit(float(value))
    return min(max(unit, 0.0), 1.0)


def _param(each: Hyperparameter, value: Value) -> tuple[Any, Any]:
    if isinstance(each.domain, Choice) and not each.domain.ordered:
        return value, _distribution(each.domain.options)
    return to_unit(each, value), _distribution(None)


@cache
def _distribution(options: tuple[str, ...] | None) -> "optuna.distributions.BaseDistribution":
    """Of one of the options, or of the unit interval."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return FloatDistribution(0.0, 1.0) if options is None else CategoricalDistribution(options)


@cache
def _silence() -> None:
    """Keep Optuna from announcing each of these short-lived studies on the terminal; the user's own studies still are."""
    logging.getLogger("optuna.storages._in_memory").addFilter(lambda record: STUDY not in record.getMessage())
