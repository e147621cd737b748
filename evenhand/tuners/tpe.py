"""The tree-structured Parzen estimator, by Optuna's sampler.

Source: Bergstra et al., "Algorithms for hyper-parameter optimization" (2011); in the multivariate form of Falkner et al. (2018).
"""

import logging
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from evenhand.errors import InvalidSettings
from evenhand.records import Outcome, Trial
from evenhand.space import Choice, Configuration, Hyperparameter, Integer, Space, Value, show
from evenhand.tuners.base import Suggestion, tried, untried_draw, within
from evenhand.tuners.simple import explain_draw

if TYPE_CHECKING:
    import optuna

ASKS = 20  # suggestions of the model that may repeat a tried configuration before a random draw takes over
UNUSABLE = frozenset({Outcome.DIVERGED, Outcome.INVALID})
STUDY = "evenhand-tpe"
NAMED = 2  # hyperparameters that an explanation names


@dataclass(frozen=True)
class _History:
    """What the model learns from. good: the trials it imitates, best first; bad: those it keeps away from.

    ended: good and bad ones that have ended. startup: random draws that come before the model is used.
    """

    good: tuple[Trial, ...]
    bad: tuple[Trial, ...]
    ended: int
    startup: int


@dataclass(frozen=True)
class TPE:
    """Optuna's TPE, built anew from the history at each call.

    Numbers go through the unit interval of their domain, so that scales, zeros and rounding stay `space`'s business.
    The model is joint within each group of hyperparameters that are active together (multivariate, grouped): a good
    learning rate depends on the optimizer and the batch size, and without groups a conditional hyperparameter would be
    modelled on its own or not at all. Trials that diverged or were invalid rank below every value. Those that failed, or
    stopped before a value, say nothing about their configuration and are left out. A stopped trial counts with its value and
    with the epochs it completed. Open trials count as bad ones (constant liar), so that n at once spread out.

    startup: ended trials before the model is used. candidates: draws of which the model's best is suggested.
    """

    name: ClassVar[str] = "tpe"
    maximize: bool
    startup: int = 10
    candidates: int = 24

    def __post_init__(self) -> None:
        for what, value in (("startup", self.startup), ("candidates", self.candidates)):
            if type(value) is not int or value < 1:  # settings come from JSON and the command line
                raise InvalidSettings(f"method 'tpe': {what} is {value!r}, expected a whole number above 0")

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` configurations: random draws during start-up, then those that the model expects most of."""
        history = self._history(trials)
        known = tried(space, trials)
        model = None if self._why_random(history) else self._study(space, trials, int(rng.integers(2**31)))
        suggestions: list[Suggestion] = []
        for ahead in range(n):
            suggestion = None
            if model is not None:
                suggestion = self._ask(model, space, history, known)
            if suggestion is None:
                suggestion = self._draw(space, history, known, ahead, rng)
            known.setdefault(suggestion.configuration, 0)
            suggestions.append(suggestion)
        return suggestions

    def _history(self, trials: Sequence[Trial]) -> _History:
        """Split the trials as Optuna does: the best tenth (rounded up, at most 25) of those that ended are good."""
        sign = -1.0 if self.maximize else 1.0
        valued = sorted((each for each in trials if _has_value(each)), key=lambda each: (sign * (each.value or 0.0), each.number))
        unusable = [each for each in trials if each.outcome in UNUSABLE]
        open_ones = [each for each in trials if each.is_open]
        ended = len(valued) + len(unusable)
        good = min(math.ceil(0.1 * ended), 25)
        return _History(tuple(valued[:good]), (*valued[good:], *unusable, *open_ones), ended, self.startup)

    def _why_random(self, history: _History) -> str | None:
        """Why no model is used yet, in words; None where it is."""
        if history.ended < self.startup:
            return "random start-up draw"
        if len(history.good) < min(math.ceil(0.1 * history.ended), 25):
            return f"random draw, since only {len(history.good)} of {history.ended} trials gave a value to learn from"
        return None

    def _draw(
        self, space: Space, history: _History, known: dict[Configuration, int], ahead: int, rng: np.random.Generator
    ) -> Suggestion:
        drawn, avoided = untried_draw(space, known, rng)
        why = self._why_random(history)
        if why is None:
            why = "random draw, since the model kept proposing tried configurations"
        elif history.ended < self.startup:
            begun = history.ended + sum(each.is_open for each in history.bad) + ahead + 1
            why = f"{why} {min(begun, self.startup)} of {self.startup}"
        return Suggestion(drawn, explain_draw(why, avoided, known.get(drawn)))

    def _ask(self, study: "optuna.Study", space: Space, history: _History, known: dict[Configuration, int]) -> Suggestion | None:
        """The model's next suggestion that was not tried, or None where it keeps repeating."""
        for attempt in range(ASKS):
            asked = study.ask()  # stays open in the study, so that the next one keeps away from it
            values: dict[str, Value] = {}
            for each in space:
                if space.is_active(each, values):
                    values[each.name] = _suggest(asked, each)
            configuration = space.configuration(values)
            if configuration not in known:
                why = explain(space, configuration, history)
                return Suggestion(configuration, f"{why}; a repeat was avoided" if attempt else why)
        return None

    def _study(self, space: Space, trials: Sequence[Trial], seed: int) -> "optuna.Study":
        import optuna

        with warnings.catch_warnings():  # `group` is marked experimental; the contract test holds what is relied on
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=0, n_ei_candidates=self.candidates, multivariate=True, group=True, constant_liar=True, seed=seed
            )
        direction = optuna.study.StudyDirection.MAXIMIZE if self.maximize else optuna.study.StudyDirection.MINIMIZE
        _silence()
        study = optuna.create_study(direction=direction, sampler=sampler, study_name=STUDY)
        study.add_trials([frozen for each in trials if (frozen := _frozen(space, each)) is not None])
        return study


def explain(space: Space, configuration: Configuration, history: _History) -> str:
    """Why the model suggests this, from facts: whether the nearest trial is one it imitates, and what is changed from it.

    Nearness is the mean difference on the unit scale, 1 for a hyperparameter active in one of both only.
    """
    trials = [*history.good, *history.bad]
    nearest = min(trials, key=lambda trial: (_distance(space, configuration, trial), trial.number))
    rank = history.good.index(nearest) + 1 if nearest in history.good else None
    changed = _changes(space, configuration, nearest)
    if rank is None:
        model = history.good[0]
        near = f"its nearest, {_called(nearest)}, is not among the best {len(history.good)} of {history.ended}"
        return f"explores: {near}; the model's best so far is {_called(model)}; {changed}"
    place = "the best" if rank == 1 else f"number {rank}"
    return f"exploits: near {_called(nearest)}, {place} of {history.ended}; {changed}"


def _changes(space: Space, configuration: Configuration, trial: Trial) -> str:
    old = within(space, trial.configuration)
    by_size = sorted(
        (each for each in space if configuration.get(each.name) != old.get(each.name)),
        key=lambda each: -_difference(each, configuration, old),
    )
    if not by_size:
        return f"the same values as trial {trial.number}"
    words = [_change(each, configuration, old) for each in by_size[:NAMED]]
    more = f" and {len(by_size) - NAMED} more" if len(by_size) > NAMED else ""
    return f"changed most from trial {trial.number}: {', '.join(words)}{more}"


def _change(each: Hyperparameter, configuration: Configuration, old: Configuration) -> str:
    if each.name not in configuration:
        return f"without {each.label}"
    new = f"{each.label} {each.show(configuration[each.name])}"
    return f"{new} instead of {each.show(old[each.name])}" if each.name in old else new


def _distance(space: Space, configuration: Configuration, trial: Trial) -> float:
    old = within(space, trial.configuration)
    active = [each for each in space if each.name in configuration or each.name in old]
    return sum(_difference(each, configuration, old) for each in active) / len(active)


def _difference(each: Hyperparameter, first: Configuration, second: Configuration) -> float:
    if each.name not in first or each.name not in second:
        return 1.0
    if isinstance(each.domain, Choice):
        return float(first[each.name] != second[each.name])
    return abs(to_unit(each, first[each.name]) - to_unit(each, second[each.name]))


def _called(trial: Trial) -> str:
    if trial.is_open:
        return f"trial {trial.number} (still open)"
    if not _has_value(trial):
        return f"trial {trial.number} ({trial.outcome})"
    return f"trial {trial.number} ({show(float(f'{trial.value:.4g}'))})"


def to_unit(each: Hyperparameter, value: Value) -> float:
    """Where a number lies in the unit interval of its domain."""
    assert not isinstance(each.domain, Choice)
    return min(max(each.domain.to_unit(float(value)), 0.0), 1.0)


def _has_value(trial: Trial) -> bool:
    """Whether the trial ended with a value that says how good its configuration is."""
    ended = trial.outcome in (Outcome.COMPLETED, Outcome.STOPPED)
    return ended and trial.value is not None and math.isfinite(trial.value)


def _suggest(asked: "optuna.Trial", each: Hyperparameter) -> Value:
    if isinstance(each.domain, Choice):
        return str(asked.suggest_categorical(each.name, each.domain.options))
    return each.domain.from_unit(asked.suggest_float(each.name, 0.0, 1.0))


def _frozen(space: Space, trial: Trial) -> "optuna.trial.FrozenTrial | None":
    """The trial as Optuna knows it, None where it says nothing about its configuration."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.trial import TrialState, create_trial

    if trial.is_open:
        state = TrialState.RUNNING
    elif trial.outcome in UNUSABLE:
        state = TrialState.PRUNED  # without an intermediate value it ranks below every other trial
    elif _has_value(trial):
        state = TrialState.COMPLETE
    else:
        return None
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    for each in space:
        value = _learnt(each, trial)
        if value is None:
            continue
        if isinstance(each.domain, Choice):
            params[each.name], distributions[each.name] = value, CategoricalDistribution(each.domain.options)
        else:
            params[each.name], distributions[each.name] = to_unit(each, value), FloatDistribution(0.0, 1.0)
    return create_trial(
        state=state,
        params=params,
        distributions=distributions,
        value=trial.value if state == TrialState.COMPLETE else None,
    )


def _learnt(each: Hyperparameter, trial: Trial) -> Value | None:
    """The value that the trial's result belongs to: of a stopped one the epochs it completed, not those it asked for."""
    value = trial.configuration.get(each.name)
    if value is not None and each.fidelity and isinstance(each.domain, Integer) and trial.outcome is Outcome.STOPPED:
        return max(each.domain.low, min(int(value), trial.epochs_done))
    return value


@cache
def _silence() -> None:
    """Keep Optuna from announcing each of these short-lived studies on the terminal; the user's own studies still are."""
    logging.getLogger("optuna.storages._in_memory").addFilter(lambda record: STUDY not in record.getMessage())
