"""Optuna's TPE sampler over a session's trials, of which those that have ended are walked over once: the same numbers, sooner.

Optuna's own looks at every trial again for each suggestion, in Python, and that takes more of its time than its model does.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.sampler import _split_trials, default_gamma
from optuna.trial import FrozenTrial, TrialState

from evenhand.methods.optuna_history import frozen, numbered, params_of, study_of
from evenhand.methods.parzen import ParzenEstimator
from evenhand.methods.rows import Matrix, Rows
from evenhand.methods.why import Why, WhyPart
from evenhand.model.configuration import Configuration
from evenhand.model.direction import sign_of
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from evenhand.model.trial_history import fold

KNOWN_RELEASE = "5.0."  # Optuna's, whose sampler `Sampler` was written for; of another release its own is taken as it is
MOST_GOOD_TRIALS = 25  # that Optuna's model imitates


def study(
    space: Space, trials: Sequence[Trial], maximize: bool, beside: Sequence[tuple[str, str]], candidates: int, seed: int
) -> optuna.Study:
    """A study with these trials as its history, whose `ask` is answered by TPE. See `methods.tpe.TPE` for the settings."""
    names = tuple(name for name, _ in beside)

    def add(settled: Settled, trial: Trial) -> Settled:
        frozen_trial = frozen(space, trial, beside=names)
        return settled if frozen_trial is None else settled.add(frozen_trial, maximize)

    settled, unsettled = fold(trials, ("tpe", space, maximize, names), partial(Settled.none, space), add)
    frozen_trials = (frozen(space, trial, beside=names) for trial in unsettled)
    later = numbered((trial for trial in frozen_trials if trial is not None), settled.count)
    return study_of(_sampler(settled, later, maximize, beside, candidates, seed), maximize, [*settled.first(), *later], beside)


def _sampler(
    settled: "Settled",
    later: Sequence[FrozenTrial],
    maximize: bool,
    beside: Sequence[tuple[str, str]],
    candidates: int,
    seed: int,
) -> TPESampler:
    settings: dict[str, Any] = {"n_startup_trials": 0, "n_ei_candidates": candidates, "multivariate": True, "group": True}
    settings |= {"constant_liar": True, "seed": seed}
    with warnings.catch_warnings():  # `group` is marked experimental; the contract test holds what is relied on
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        if beside or not optuna.__version__.startswith(KNOWN_RELEASE):
            return TPESampler(**settings)
        sampler = Sampler(**settings)
    sampler.settled = settled
    sampler.kinds = study_of(sampler, maximize, [*settled.kinds.values(), *later])
    return sampler


def why(space: Space, trials: Sequence[Trial], configuration: Configuration, maximize: bool) -> Why | None:
    """The score of a configuration in parts; None of another release of Optuna, whose own sampler is taken as it is.

    The score is log l(x) - log g(x), summed over the groups: l is the density of the good trials and g of the others (Bergstra et
    al., 2011, eq. 5). A hyperparameter's own parts are those of its marginal densities, each against the uniform one.
    """
    model = study(space, trials, maximize, (), 1, 0)
    if not isinstance(sampler := model.sampler, Sampler):
        return None
    point = params_of(space, configuration)
    own: dict[str, WhyPart] = {}
    joint = [0.0, 0.0]  # of the good trials and of the others
    for group in sampler.groups():
        if not group.keys() <= point.keys():
            continue  # of what is not active in this configuration
        sample = {name: np.array([float(domain.to_internal_repr(point[name]))]) for name, domain in group.items()}
        densities = sampler.densities(model, None, group)
        for at, density in enumerate(densities):
            joint[at] += float(density.log_pdf(sample)[0])
        marginals = [density.log_marginals(sample) for density in densities]
        for name, domain in group.items():
            uniform = -math.log(len(domain.choices)) if isinstance(domain, CategoricalDistribution) else 0.0
            good, others = (float(marginal[name][0]) - uniform for marginal in marginals)
            own[name] = WhyPart(name, good, -others)
            joint = [joint[0] - uniform, joint[1] - uniform]
    parts = tuple(own.get(name, WhyPart(name, 0.0, 0.0)) for name in space.names if name in configuration)
    return Why(
        "logarithm of how much denser good trials lie there than the others",
        joint[0] - joint[1],
        parts,
        good=joint[0] - sum(part.good for part in parts),
        unknown=-joint[1] - sum(part.unknown for part in parts),
        belief=0.0,
        good_words="good trials lie there",
        unknown_words="few of the others lie there",
    )


@dataclass(frozen=True)
class Settled:
    """What the sampler looks for in trials that have ended, found in the first `count` of them.

    names: of the hyperparameters. rows: a column for each of them, with the trial's parameter as Optuna's models take it, nan
    where it has none. trials: a list that only ever grows. best, least_bad: which may be among the good ones whatever comes
    later, of those with a value and of those that cannot be chosen. kinds: the first trial with each set of parameters.
    """

    names: tuple[str, ...]
    rows: Rows
    trials: list[FrozenTrial] = field(default_factory=list)
    best: Sequence[FrozenTrial] = ()
    least_bad: Sequence[FrozenTrial] = ()
    kinds: Mapping[frozenset[str], FrozenTrial] = field(default_factory=dict)

    @classmethod
    def none(cls, space: Space) -> "Settled":
        """No trial yet."""
        return cls(tuple(space.names), Rows.none(len(space.names)))

    @property
    def count(self) -> int:
        """Of the trials."""
        return self.rows.count

    def first(self) -> list[FrozenTrial]:
        """The trials."""
        return self.trials[: self.count]

    def candidates(self) -> list[FrozenTrial]:
        """The trials that may be among the good ones, in their order."""
        return sorted([*self.best, *self.least_bad], key=lambda trial: trial.number)

    def add(self, trial: FrozenTrial, maximize: bool) -> "Settled":
        """With one trial more."""
        self.trials.extend(numbered([trial], self.count))
        row = [_internal(trial, name) for name in self.names]
        best, least_bad = self.best, self.least_bad
        if trial.state is TrialState.COMPLETE:
            best = sorted([*best, trial], key=partial(_value, maximize))[:MOST_GOOD_TRIALS]
        else:
            least_bad = sorted([*least_bad, trial], key=_misses_by)[:MOST_GOOD_TRIALS]
        kind = frozenset(trial.params)
        kinds = self.kinds if kind in self.kinds else {**self.kinds, kind: trial}
        return Settled(self.names, self.rows.add(row), self.trials, best, least_bad, kinds)


def _internal(trial: FrozenTrial, name: str) -> float:
    return float(trial.distributions[name].to_internal_repr(trial.params[name])) if name in trial.params else math.nan


def _value(maximize: bool, trial: FrozenTrial) -> float:
    """A complete trial's first value, as something to be minimized."""
    return float(-sign_of(maximize) * trial.values[0])


def _misses_by(trial: FrozenTrial) -> float:
    return sum(trial.constraints.values())


class Sampler(TPESampler):
    """Optuna's for one objective, with what it looks for in the settled trials already found.

    The split into good and bad trials, their densities and the choice among candidates are Optuna's.
    """

    settled: Settled
    kinds: optuna.Study  # in place of the whole history where the groups of parameters are sought

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters of the groups that are active together."""
        return super().infer_relative_search_space(self.kinds, trial)

    def _sample(self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]) -> dict[str, Any]:
        """The best of the candidates that the good trials' density gives, as Optuna's method of this name finds it."""
        densities = self.densities(study, trial.number, search_space)
        drawn = densities[0].sample(self._rng.rng, self._n_ei_candidates)
        best = self._compare(drawn, self._compute_acquisition_func(drawn, *densities))
        return {name: distribution.to_external_repr(best[name]) for name, distribution in search_space.items()}

    def densities(
        self, study: optuna.Study, number: int | None, search_space: dict[str, BaseDistribution]
    ) -> tuple[ParzenEstimator, ParzenEstimator]:
        """Of the good trials and of the others. number: of a trial that is left out, since it is the one that is asked for."""
        later = [other for other in study.get_trials(deepcopy=False)[self.settled.count :] if other.number != number]
        ended = self.settled.count + sum(other.state is not TrialState.RUNNING for other in later)
        good, _ = _split_trials(study, [*self.settled.candidates(), *later], default_gamma(ended))
        numbers = {other.number for other in good}
        is_good = np.zeros(self.settled.count, dtype=bool)
        is_good[[number for number in numbers if number < self.settled.count]] = True
        densities = []
        for rows, others in (
            (self.settled.rows.matrix[is_good], [other for other in later if other.number in numbers]),
            (self.settled.rows.matrix[~is_good], [other for other in later if other.number not in numbers]),
        ):
            observed = self._get_internal_repr(others, search_space, study)
            for name, column in self._columns(rows, search_space).items():
                observed[name] = np.concatenate([column, observed[name]])
            densities.append(ParzenEstimator(observed, search_space, self._parzen_estimator_parameters))
        return densities[0], densities[1]

    def groups(self) -> list[dict[str, BaseDistribution]]:
        """The parameters that are modelled together, a dictionary a group."""
        assert self._group_decomposed_search_space is not None
        group = self._group_decomposed_search_space.calculate(self.kinds, True)
        spaces = (
            [(name, domain) for name, domain in sorted(part.items()) if not domain.single()] for part in group.search_spaces
        )
        return [dict(part) for part in spaces if part]

    def _columns(self, rows: Matrix, names: Iterable[str]) -> dict[str, Matrix]:
        """The parameters of those rows that have all of these names."""
        at = [self.settled.names.index(name) for name in names]
        whole = rows[:, at]
        whole = whole[~np.isnan(whole).any(axis=1)]
        return {name: whole[:, column] for column, name in enumerate(names)}
