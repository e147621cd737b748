"""Bayesian optimization with a Gaussian process, by Optuna's sampler, which needs PyTorch.

Source: a Matérn kernel with one length scale a hyperparameter, and the logarithm of expected improvement (Ament et al., 2023).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evenhand.methods import explanations
from evenhand.methods.base import BaseMethod, Known, Suggestion, by_value, check_counts, first_fresh, fresh_draw
from evenhand.methods.optuna_history import frozen, numbered, study_of, suggested
from evenhand.model import extras
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import START_UP_DRAW, Trial

if TYPE_CHECKING:
    import optuna

ASKS = 5  # suggestions of the model that may be refused before a random draw takes over: each costs a search of its own


@dataclass(frozen=True)
class GP(BaseMethod):
    """Optuna's Gaussian process, built anew from the history at each call.

    It knows no conditions: what is inactive counts with its default (a number without one with the middle of its domain). What
    cannot be chosen (it misses a requirement, was vetoed, diverged or was invalid) counts as the worst value so far, as a model
    needs a number there. Open trials are expected to bring what the model predicts for them.

    startup: trials with a value before the model is used.
    """

    name: ClassVar[str] = "gp"
    one_aim: ClassVar[bool] = True
    startup: int = 10

    def __post_init__(self) -> None:
        check_counts(self.name, startup=self.startup)

    def check(self, space: Space) -> None:
        """Refuse where PyTorch is missing, too."""
        super().check(space)
        extras.check("torch", "method 'gp'")

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` configurations: random draws during start-up, then those with the largest expected improvement."""
        known, ranked = Known(space, trials), by_value(trials, self.maximize)
        if len(ranked) < self.startup:
            done = len(ranked) + sum(trial.is_open for trial in trials)
            places = (min(done + ahead + 1, self.startup) for ahead in range(n))
            return [fresh_draw(space, known, rng, f"random {START_UP_DRAW} {place} of {self.startup}") for place in places]
        study = self._study(space, trials, ranked, int(rng.integers(2**31)))
        return [
            self._ask(study, space, ranked, known)
            or fresh_draw(space, known, rng, "random draw, since the model kept proposing what was tried")
            for _ in range(n)
        ]

    def _ask(self, study: "optuna.Study", space: Space, ranked: Sequence[Trial], known: Known) -> Suggestion | None:
        def propose() -> Configuration:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # of the scarce numerics of a degenerate fit
                asked = study.ask(_distributions(space))
            return suggested(asked, space)

        proposal = first_fresh(known, propose, ASKS)
        if proposal is None:
            return None
        known.add(proposal[0])
        near = explanations.nearest(space, proposal[0], ranked)
        rank = ranked.index(near) + 1
        verb = "exploits" if rank <= max(1, len(ranked) // 10) else "explores"
        place = explanations.place(rank, len(ranked))
        why = f"largest expected improvement; {verb}: nearest is {explanations.called(near)}, {place}"
        return Suggestion(proposal[0], f"{why}; {explanations.changed(space, proposal[0], near)}{proposal[1]}")

    def _study(self, space: Space, trials: Sequence[Trial], ranked: Sequence[Trial], seed: int) -> "optuna.Study":
        import optuna

        with warnings.catch_warnings():  # marked experimental; the contract test holds what is relied on
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.GPSampler(seed=seed, n_startup_trials=1)
        worst = ranked[-1].value
        frozen_trials = (frozen(space, trial, worst=worst, inactive=_instead) for trial in trials)
        return study_of(sampler, self.maximize, numbered(trial for trial in frozen_trials if trial is not None))


def _instead(hyperparameter: Hyperparameter) -> Value:
    """What an inactive hyperparameter counts with."""
    if not hyperparameter.mandatory:
        return hyperparameter.default
    return hyperparameter.domain.options[0] if isinstance(hyperparameter.domain, Choice) else hyperparameter.domain.from_unit(0.5)


def _distributions(space: Space) -> "dict[str, optuna.distributions.BaseDistribution]":
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    return {
        hyperparameter.name: CategoricalDistribution(hyperparameter.domain.texts)
        if isinstance(hyperparameter.domain, Choice) and not hyperparameter.domain.ordered
        else FloatDistribution(0.0, 1.0)
        for hyperparameter in space
    }
