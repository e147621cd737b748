"""Optuna's TPE over a session's trials, of which those that have ended are walked over once: the same numbers, sooner.

Optuna's own sampler looks at every trial again for each suggestion, in Python, and its study stores each parameter; both take
more of its time than its model does.
"""

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import Any

import numpy as np
import optuna
from numpy.random.bit_generator import ISeedSequence
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import TPESampler
from optuna.samplers._tpe.sampler import _split_trials, default_gamma
from optuna.search_space.group_decomposed import _SearchSpaceGroup
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

KNOWN_RELEASE = "5.0."  # Optuna's, that `Model` was written for; of another release its own is taken as it is
MOST_GOOD_TRIALS = 25  # that Optuna's model imitates


def model(
    space: Space, trials: Sequence[Trial], maximize: bool, beside: Sequence[tuple[str, str]], candidates: int, seed: int
) -> "Model | optuna.Study":
    """What answers `ask` by TPE with these trials as its history; Optuna's own study where `Model` does not do.

    See `methods.tpe.TPE` for the settings.
    """
    names = tuple(name for name, _ in beside)

    def add(settled: Settled, trial: Trial) -> Settled:
        frozen_trial = frozen(space, trial, beside=names)
        return settled if frozen_trial is None else settled.add(frozen_trial, maximize)

    settled, unsettled = fold(trials, ("tpe", space, maximize, names), partial(Settled.none, space), add)
    frozen_trials = (frozen(space, trial, beside=names) for trial in unsettled)
    later = numbered((trial for trial in frozen_trials if trial is not None), settled.count)
    if not beside and optuna.__version__.startswith(KNOWN_RELEASE):
        return Model(settled, later, maximize, candidates, seed)
    sampler = _sampler(n_ei_candidates=candidates, seed=seed)
    return study_of(sampler, maximize, [*settled.first(), *later], beside)


def _sampler(**settings: Any) -> TPESampler:
    with warnings.catch_warnings():  # `group` is marked experimental; the contract test holds what is relied on
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return TPESampler(n_startup_trials=0, multivariate=True, group=True, constant_liar=True, **settings)


class _NoEntropy(ISeedSequence):
    """What a stream begins with that is given its seed at once: else it asks the system for chance, which takes longer."""

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """Zeros."""
        return np.zeros(n_words, dtype)


_NO_ENTROPY = _NoEntropy()


def _stream(seed: int) -> np.random.RandomState:
    """Optuna's stream of draws, for Optuna's numbers."""
    stream = np.random.RandomState(np.random.MT19937(_NO_ENTROPY))  # type: ignore[arg-type]  # the stubs name one class only
    stream.seed(seed)
    return stream


@cache
def _empty_study(maximize: bool) -> optuna.Study:
    """Where `Model` finds Optuna's direction and settings: making a study takes longer than a suggestion."""
    return study_of(_sampler(), maximize, [])


def why(space: Space, trials: Sequence[Trial], configuration: Configuration, maximize: bool) -> Why | None:
    """The score of a configuration in parts; None of another release of Optuna, whose own sampler is taken as it is.

    The score is log l(x) - log g(x), summed over the groups: l is the density of the good trials and g of the others (Bergstra et
    al., 2011, eq. 5). A hyperparameter's own parts are those of its marginal densities, each against the uniform one.
    """
    asked = model(space, trials, maximize, (), 1, 0)
    if not isinstance(asked, Model):
        return None
    point = params_of(space, configuration)
    own: dict[str, WhyPart] = {}
    joint = [0.0, 0.0]  # of the good trials and of the others
    for group in asked.groups:
        if not group.keys() <= point.keys():
            continue  # of what is not active in this configuration
        sample = {name: np.array([float(domain.to_internal_repr(point[name]))]) for name, domain in group.items()}
        densities = asked.densities(group)
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


class Model:
    """Optuna's TPE for one objective, with what its sampler looks for in the settled trials already found.

    The split into good and bad trials and their densities are Optuna's, and so are the order and the numbers of what it draws.
    What it asks of a study and its storage for each parameter is left out, which takes longer than the model does.
    """

    def __init__(self, settled: Settled, later: Sequence[FrozenTrial], maximize: bool, candidates: int, seed: int) -> None:
        """later: trials after the settled ones. candidates: draws of which the best is suggested. seed: of the draws."""
        self._settled, self._later, self._candidates = settled, later, candidates
        self._study = _empty_study(maximize)
        assert isinstance(self._study.sampler, TPESampler)
        self._parameters = self._study.sampler._parzen_estimator_parameters
        self._rng = _stream(seed)
        self._asked: list[Asked] = []

    def ask(self) -> "Asked":
        """One more suggestion. It stays open: the next one keeps away from it."""
        self._asked.append(Asked(self))
        return self._asked[-1]

    @cached_property
    def groups(self) -> list[dict[str, BaseDistribution]]:
        """The parameters that are modelled together, a dictionary a group."""
        decomposed = _SearchSpaceGroup()
        for trial in (*self._settled.kinds.values(), *self._later):
            if trial.state is not TrialState.RUNNING:
                decomposed.add_distributions(trial.distributions)
        spaces = ([(name, part[name]) for name in sorted(part) if not part[name].single()] for part in decomposed.search_spaces)
        return [dict(part) for part in spaces if part]

    def best(self, group: Mapping[str, BaseDistribution], but: "Asked") -> dict[str, Any]:
        """The best of the candidates that the good trials' density gives. but: what is asked for, which is none of the others."""
        good, others = self.densities(group, but)
        drawn = good.sample(self._rng, self._candidates)
        at = int(np.argmax(good.log_pdf(drawn) - others.log_pdf(drawn)))
        return {name: distribution.to_external_repr(drawn[name][at].item()) for name, distribution in group.items()}

    def densities(
        self, group: Mapping[str, BaseDistribution], but: "Asked | None" = None
    ) -> tuple[ParzenEstimator, ParzenEstimator]:
        """Of the good trials and of the others. but: what was asked for and is left out."""
        numbers, matrix = self._good_numbers, self._settled.rows.matrix
        is_good = np.zeros(self._settled.count, dtype=bool)
        is_good[[number for number in numbers if number < self._settled.count]] = True
        imitated = [trial.params for trial in self._later if trial.number in numbers]
        avoided = [trial.params for trial in self._later if trial.number not in numbers]
        avoided += [asked.params for asked in self._asked if asked is not but]
        return self._density(group, matrix[is_good], imitated), self._density(group, matrix[~is_good], avoided)

    @cached_property
    def _good_numbers(self) -> frozenset[int]:
        """Of the good trials. What was asked for is open, and so none of them."""
        ended = self._settled.count + sum(trial.state is not TrialState.RUNNING for trial in self._later)
        good, _ = _split_trials(self._study, [*self._settled.candidates(), *self._later], default_gamma(ended))
        return frozenset(trial.number for trial in good)

    def _density(
        self, group: Mapping[str, BaseDistribution], rows: Matrix, later: Iterable[Mapping[str, Any]]
    ) -> ParzenEstimator:
        """Of those settled trials and later parameters that have all of the group's."""
        whole = rows[:, [self._settled.names.index(name) for name in group]]
        whole = whole[~np.isnan(whole).any(axis=1)]
        more = [
            [distribution.to_internal_repr(params[name]) for name, distribution in group.items()]
            for params in later
            if group.keys() <= params.keys()
        ]
        whole = np.vstack([whole, more]) if more else whole
        observed = {name: whole[:, column] for column, name in enumerate(group)}
        return ParzenEstimator(observed, dict(group), self._parameters)


class Asked:
    """A suggestion that is being made: the parameters that were drawn together so far, and those that were asked for alone."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._has_drawn = False
        self.params: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float) -> float:
        """A number of the range."""
        return float(self._suggest(name, FloatDistribution(low, high)))

    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str:
        """One of the choices."""
        return str(self._suggest(name, CategoricalDistribution(choices)))

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if isinstance(distribution, CategoricalDistribution) and distribution.single():
            return self.params.setdefault(name, distribution.choices[0])
        if not self._has_drawn:
            self._has_drawn = True
            drawn = [self._model.best(group, self) for group in self._model.groups]
            self.params |= {name: value for params in drawn for name, value in params.items()}
        if name not in self.params:  # no trial that ended has it
            self.params |= self._model.best({name: distribution}, self)
        return self.params[name]
