"""Bayesian optimization guided by what people believe.

Source: Hvarfner et al., "πBO: augmenting acquisition functions with user beliefs for Bayesian optimization" (2022): expected
improvement times the prior's density to the power β/n, so that the prior fades as trials come in.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from evenhand.errors import InvalidSettings
from evenhand.methods import beliefs, explanations
from evenhand.methods.base import (
    BaseMethod,
    Known,
    Suggestion,
    by_value,
    check_counts,
    fits,
    fresh_draw,
    has_value,
    is_bad,
    modelled,
    within,
)
from evenhand.methods.encoding import Encoding, Matrix
from evenhand.methods.optuna_history import is_learnt, learnt
from evenhand.model.configuration import Configuration
from evenhand.model.direction import sign_of
from evenhand.model.space import Space
from evenhand.model.trial import START_UP_DRAW, Trial

POOL_POINTS = 700  # points drawn uniformly, and as many from the prior, of which the acquisition's best are improved
LEADER_POINTS, NEIGHBOURS, ROUNDS = 5, 40, 3  # points that are improved; neighbours of each in a round; rounds
STEP_SIZES = (0.02, 0.06, 0.15)  # of a neighbour, on the unit scale; one is drawn for each
LEARNT_TRIALS = 300  # that the model learns from: the best half and the newest half of them, as its cost grows with their cube
LOOKED_AT_POINTS = 60  # of the acquisition's best points, those looked at for one that nothing speaks against


@dataclass(frozen=True)
class PiBO(BaseMethod):
    """A Gaussian process (scikit-learn) over the configurations, expected improvement, and the prior's fading weight.

    Without any belief it is plain Bayesian optimization. What diverged or was invalid counts as the worst value so far. Open
    trials, and suggestions of the same call, count with what the model predicts for them.

    beta: how long the prior counts: its power is beta / n in the n-th trial after the start-up (πBO's β, as in SMAC). startup:
    trials before the model is used: the believed configuration itself, then uniform draws and draws from the prior take turns.
    """

    name: ClassVar[str] = "pibo"
    one_aim: ClassVar[bool] = True
    uses_priors: ClassVar[bool] = True
    beta: float = 3.0
    startup: int = 3

    def __post_init__(self) -> None:
        check_counts(self.name, startup=self.startup)
        if not isinstance(self.beta, int | float) or isinstance(self.beta, bool) or not 0 <= self.beta < math.inf:
            raise InvalidSettings(f"method 'pibo': beta is {self.beta!r}, expected a number from 0")

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` configurations: draws during start-up, then those that the weighted acquisition likes best."""
        known = Known(space, trials)
        trials = [trial for trial in trials if fits(space, trial)]
        ranked = by_value(trials, self.maximize)
        ended = len(ranked) + sum(map(is_bad, trials))
        if ended < self.startup or len(ranked) < 2:
            begun = ended + sum(trial.is_open for trial in trials)
            return [self._first(space, known, begun + ahead, rng) for ahead in range(n)]
        model = Surrogate.of(space, trials, self.maximize)
        suggestions: list[Suggestion] = []
        for _ in range(n):
            suggestions.append(self._next(space, model, ranked, ended, known, rng))
            model = model.believing(suggestions[-1].configuration)
        return suggestions

    def _first(self, space: Space, known: Known, place: int, rng: np.random.Generator) -> Suggestion:
        count = f"{START_UP_DRAW} {min(place + 1, self.startup)} of {self.startup}"
        if beliefs.believed(space) and place % 2 == 0:
            for drawn in _likely(space, rng) if place == 0 else beliefs.draws(space, 20, rng):
                configuration = space.at(drawn)
                if known.why_not(configuration) is None:
                    known.add(configuration)
                    return Suggestion(configuration, f"{count}, from your prior: {beliefs.told(space)}")
        return fresh_draw(space, known, rng, f"random {count}")

    def _next(
        self, space: Space, model: "Surrogate", ranked: Sequence[Trial], ended: int, known: Known, rng: np.random.Generator
    ) -> Suggestion:
        power = self.beta / max(1, ended - self.startup + 1)
        points = candidates(space, ranked, rng)
        expected, prior = model.log_improvement(points), beliefs.log_density(space, points)
        for _ in range(ROUNDS):
            leaders = points[np.argsort(-(expected + power * prior), kind="stable")[:LEADER_POINTS]]
            more = neighbours(space, leaders, rng)
            points = np.vstack([points, more])
            expected = np.concatenate([expected, model.log_improvement(more)])
            prior = np.concatenate([prior, beliefs.log_density(space, more)])
        score = expected + power * prior
        for at in np.argsort(-score, kind="stable")[:LOOKED_AT_POINTS]:
            configuration = space.at(points[at])
            if known.why_not(configuration) is None:
                known.add(configuration)
                return Suggestion(configuration, self._explained(space, configuration, ranked, power))
        return fresh_draw(space, known, rng, "random draw, since the model kept proposing what was tried")

    def _explained(self, space: Space, configuration: Configuration, ranked: Sequence[Trial], power: float) -> str:
        near = explanations.nearest(space, configuration, ranked)
        rank = ranked.index(near) + 1
        verb = "exploits" if rank <= max(1, len(ranked) // 10) else "explores"
        reason = f"{verb}: nearest is {explanations.called(near)}, {explanations.place(rank, len(ranked))}"
        reason = f"{reason}; {explanations.changed(space, configuration, near)}"
        kept, against = _sides(space, configuration)
        if kept:
            reason += f"; keeps to your belief about {', '.join(kept)}"
        if against:
            reason += f"; goes against your belief about {', '.join(against)}, as the trials do"
        return reason + (f"; the prior counts to the power {power:.2g}" if beliefs.believed(space) else "")


def _sides(space: Space, configuration: Configuration) -> tuple[list[str], list[str]]:
    kept: list[str] = []
    against: list[str] = []
    for hyperparameter in beliefs.believed(space):
        agrees = (
            beliefs.agrees(hyperparameter, configuration[hyperparameter.name]) if hyperparameter.name in configuration else None
        )
        if agrees is not None:
            (kept if agrees else against).append(hyperparameter.label)
    return kept, against


def _likely(space: Space, rng: np.random.Generator) -> Matrix:
    """The believed configuration, then draws from the prior; what nothing is believed of is drawn."""
    drawn = beliefs.draws(space, 20, rng)
    for at, hyperparameter in enumerate(space):
        if hyperparameter.prior is not None and hyperparameter.prior.value is not None:
            drawn[0, at] = Encoding(space).point({hyperparameter.name: hyperparameter.prior.value})[at]
    return drawn


def candidates(space: Space, ranked: Sequence[Trial], rng: np.random.Generator) -> Matrix:
    """Points to choose among: uniform ones, draws from the prior, and neighbours of the best trials."""
    encoding = Encoding(space)
    best = np.array([encoding.point(within(space, trial.configuration)) for trial in ranked[:LEADER_POINTS]])
    uniform = rng.random((POOL_POINTS, len(space.hyperparameters)))
    prior = [beliefs.draws(space, POOL_POINTS, rng)] if beliefs.believed(space) else []
    return np.vstack([uniform, *prior, neighbours(space, best, rng)])


def neighbours(space: Space, points: Matrix, rng: np.random.Generator) -> Matrix:
    """`NEIGHBOURS` points around each: about two coordinates changed, or as many more as matter, by a step of one of three sizes.

    An option without an order is drawn anew.
    """
    repeated = np.repeat(points, NEIGHBOURS, axis=0)
    weights = np.array(beliefs.weights(space))
    chance = np.minimum(1.0, 2.0 * weights / weights.sum())
    changed = rng.random(repeated.shape) < chance
    changed[np.arange(len(repeated)), rng.integers(repeated.shape[1], size=len(repeated))] = True
    steps = rng.normal(0, 1, repeated.shape) * rng.choice(STEP_SIZES, (len(repeated), 1))
    moved = repeated + np.where(changed, steps, 0.0)
    moved = np.abs(moved)
    moved = np.where(moved > 1, np.clip(2 - moved, 0, 1), moved)
    for at, hyperparameter in enumerate(space):
        cells = getattr(hyperparameter.domain, "options", None)
        if cells is not None:
            # a step of a fiftieth leaves a choice where it is: a changed one is drawn anew, or moves by a place
            anew = rng.random(len(moved))
            if hyperparameter.domain.ordered:  # type: ignore[union-attr]
                anew = np.clip(repeated[:, at] + rng.choice([-1, 1], len(moved)) / len(cells), 0, 1 - 1e-9)
            moved[:, at] = np.where(changed[:, at], anew, repeated[:, at])
    return moved


@dataclass(frozen=True)
class Surrogate:
    """A Gaussian process over features; values are minimized, normalised to mean 0 and variance 1."""

    space: Space
    stretch: tuple[float, ...]
    features: Matrix
    values: Matrix
    process: Any

    @classmethod
    def of(cls, space: Space, trials: Sequence[Trial], maximize: bool) -> "Surrogate":
        """The model of what the trials tell; open ones count with what it predicts for them."""
        encoding, stretch = Encoding(space), tuple(beliefs.weights(space))
        ended = [trial for trial in trials if has_value(trial) or is_bad(trial)]
        if len(ended) > LEARNT_TRIALS:
            newest = {trial.id for trial in ended[-LEARNT_TRIALS // 2 :]}
            best = {trial.id for trial in by_value(ended, maximize)[: LEARNT_TRIALS // 2]}
            ended = [trial for trial in ended if trial.id in newest | best]
        points = np.array([encoding.point(_learnt(space, trial)) for trial in ended])
        values = _normalised([trial.value if has_value(trial) else None for trial in ended], maximize)
        features = encoding.features(points, stretch)
        model = cls(space, stretch, features, values, _fitted(features, values))
        for trial in trials:
            if trial.is_open:
                model = model.believing(within(space, trial.configuration))
        return model

    def believing(self, configuration: Configuration) -> "Surrogate":
        """The model with its own prediction for a configuration taken for true, so that the next one goes elsewhere."""
        encoding = Encoding(self.space)
        feature = encoding.features(np.array([encoding.point(configuration)]), self.stretch)
        value = self.process.predict(feature)
        features, values = np.vstack([self.features, feature]), np.concatenate([self.values, value])
        return Surrogate(self.space, self.stretch, features, values, _conditioned(self.process, features, values))

    def log_improvement(self, points: Matrix) -> Matrix:
        """The logarithm of the expected improvement on the best value so far, (n,)."""
        mean, deviation = self.process.predict(Encoding(self.space).features(points, self.stretch), return_std=True)
        deviation = np.maximum(deviation, 1e-9)
        improvement: Matrix = np.log(deviation) + log_h((self.values.min() - mean) / deviation)
        return improvement


def log_h(z: Matrix) -> Matrix:
    """log(φ(z) + z Φ(z)), without loss where it is small (Ament et al., 2023, eq. 9)."""
    from scipy.special import erfcx

    z = np.asarray(z, dtype=float)
    usual = np.maximum(z, -1.0)
    plain = np.log(np.exp(-(usual**2) / 2) / math.sqrt(2 * math.pi) + usual * _phi(usual))
    low = np.clip(z, -1e5, -1.0)
    tail = -np.log(math.sqrt(2 * math.pi)) - low**2 / 2 + np.log1p(low * math.sqrt(math.pi / 2) * erfcx(-low / math.sqrt(2)))
    far = -(low**2) / 2 - 2 * np.log(-low) - np.log(math.sqrt(2 * math.pi))
    logarithm: Matrix = np.where(z > -1.0, plain, np.where(z > -1e3, tail, far))
    return logarithm


def _phi(z: Matrix) -> Matrix:
    from scipy.special import ndtr

    probability: Matrix = ndtr(z)
    return probability


def _learnt(space: Space, trial: Trial) -> dict[str, Any]:
    """A trial's values as far as the space has them; of a stopped one the epochs that it completed."""
    return {hyperparameter.name: learnt(hyperparameter, trial) for hyperparameter in space if is_learnt(hyperparameter, trial)}


def _normalised(values: Sequence[float | None], maximize: bool) -> Matrix:
    """Values to be minimized, with mean 0 and variance 1; the worst one where there is none.

    Far outliers on the bad side are drawn in to three interquartile ranges from the median: how bad they are does not matter, and
    they would flatten all differences among the good ones.
    """
    sign = -sign_of(maximize)
    there = np.array([sign * modelled(value) for value in values if value is not None])
    low, middle, high = np.quantile(there, [0.25, 0.5, 0.75])
    top = middle + 3 * max(high - low, 1e-12)
    costs = np.array([there.max() if value is None else sign * modelled(value) for value in values])
    costs = np.minimum(costs, max(top, there.min()))
    spread = costs.std()
    normal: Matrix = (costs - costs.mean()) / spread if spread > 0 else costs - costs.mean()
    return normal


def _fitted(features: Matrix, values: Matrix) -> Any:
    from scipy.optimize import minimize
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    def few_steps(objective: Any, start: Any, bounds: Any) -> tuple[Any, float]:
        optimum = minimize(objective, start, method="L-BFGS-B", jac=True, bounds=bounds, options={"maxiter": 25})
        return optimum.x, optimum.fun

    columns = features.shape[1]
    kernel = ConstantKernel(1.0, (0.05, 20.0)) * Matern([0.5] * columns, [(0.05, 5.0)] * columns, nu=2.5)
    kernel = kernel + WhiteKernel(1e-2, (1e-6, 0.3))
    process = GaussianProcessRegressor(kernel, optimizer=few_steps)
    with warnings.catch_warnings():  # a length scale at its bound is an answer, too
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(features, values)
    return process


def _conditioned(process: Any, features: Matrix, values: Matrix) -> Any:
    from sklearn.gaussian_process import GaussianProcessRegressor

    return GaussianProcessRegressor(process.kernel_, optimizer=None).fit(features, values)
