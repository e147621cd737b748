"""The tree-structured Parzen estimator, by Optuna's sampler.

Source: Bergstra et al., "Algorithms for hyper-parameter optimization" (2011); in the multivariate form of Falkner et al. (2018).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evenhand.methods import explanations
from evenhand.methods.base import (
    BaseMethod,
    Known,
    Suggestion,
    bad_last,
    check_counts,
    first_fresh,
    fresh_draw,
    has_value,
    is_bad,
    within,
)
from evenhand.methods.fronts import in_fronts
from evenhand.methods.optuna_history import suggested
from evenhand.methods.why import Why
from evenhand.model.configuration import Configuration
from evenhand.model.space import Space
from evenhand.model.trial import START_UP_DRAW, UNUSABLE_OUTCOMES, Trial
from evenhand.model.trial_history import unsettled

if TYPE_CHECKING:
    import optuna

    from evenhand.methods.tpe_sampler import Model

ASKS = 20  # suggestions of the model that may be refused before a random draw takes over


@dataclass(frozen=True)
class _History:
    """What the model learns from. good: the trials it imitates, best first; bad: those it keeps away from.

    fronts: with several objectives the front of each trial that has them all, by its number.

    ended: good and bad ones that have ended. startup: random draws that come before the model is used. trials: all there are.
    """

    good: tuple[Trial, ...]
    bad: tuple[Trial, ...]
    ended: int
    startup: int
    trials: Sequence[Trial]
    fronts: Mapping[int, int]


@dataclass(frozen=True)
class TPE(BaseMethod):
    """Optuna's TPE, with the session's trials as its history.

    Numbers go through the unit interval of their domain, so that scales, zeros and rounding stay `space`'s business.
    The model is joint within each group of hyperparameters that are active together (multivariate, grouped): a good
    learning rate depends on the optimizer and the batch size, and without groups a conditional hyperparameter would be
    modelled on its own or not at all. Trials that miss a requirement rank below every value, by how much, and below them
    those that were vetoed, diverged or were invalid. With several objectives good ones are those of the first fronts. Those
    that failed, or stopped before a value, say nothing about their configuration and are left out. A stopped trial counts with
    its value and with the epochs it completed. Open trials count as bad ones (constant liar), so that n at once spread out.

    startup: ended trials before the model is used. candidates: draws of which the model's best is suggested. beside: objectives
    after the first, each as [name, "maximize" or "minimize"].
    """

    name: ClassVar[str] = "tpe"
    startup: int = 10
    candidates: int = 24
    beside: Sequence[tuple[str, str]] = ()

    def __post_init__(self) -> None:
        check_counts(self.name, startup=self.startup, candidates=self.candidates)

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` configurations: random draws during start-up, then those that the model expects most of."""
        history = self._history(trials)
        known = Known(space, trials)
        model = None if self._why_random(history) else self._model(space, trials, int(rng.integers(2**31)))
        suggestions: list[Suggestion] = []
        for ahead in range(n):
            suggestion = None if model is None else self._ask(model, space, history, known)
            suggestions.append(suggestion or fresh_draw(space, known, rng, self._why_drawn(history, ahead)))
        return suggestions

    def why(self, space: Space, trials: Sequence[Trial], configuration: Configuration, rng: np.random.Generator) -> Why | None:
        """The model's score of a configuration in parts; None where it is not used yet, or there are several objectives."""
        if self.beside or self._why_random(self._history(trials)):
            return None
        from evenhand.methods import tpe_sampler

        return tpe_sampler.why(space, trials, within(space, configuration), self.maximize)

    def _history(self, trials: Sequence[Trial]) -> _History:
        """Split the trials as Optuna does: the best tenth (rounded up, at most 25) of those that ended are good."""
        ranked, fronts = bad_last(trials, self.maximize), {}
        if self.beside:
            placed = in_fronts([trial for trial in ranked if has_value(trial)], self.maximize, self.beside)
            fronts = {trial.number: number for trial, number in placed}
            ranked = [trial for trial, _ in placed] + [trial for trial in ranked if is_bad(trial)]
        open_ones = [trial for trial in unsettled(trials) if trial.is_open]
        best = ranked[: min(math.ceil(0.1 * len(ranked)), 25)]
        good = sum(trial.outcome not in UNUSABLE_OUTCOMES for trial in best)  # those that are not come last
        return _History(tuple(ranked[:good]), (*ranked[good:], *open_ones), len(ranked), self.startup, trials, fronts)

    def _why_random(self, history: _History) -> str | None:
        """Why no model is used yet, in words; None where it is."""
        if history.ended < self.startup:
            return f"random {START_UP_DRAW}"
        if len(history.good) < min(math.ceil(0.1 * history.ended), 25):
            return f"random draw, since only {len(history.good)} of {history.ended} trials gave a value to learn from"
        return None

    def _why_drawn(self, history: _History, ahead: int) -> str:
        why = self._why_random(history)
        if why is None:
            return "random draw, since the model kept proposing what was tried"
        if history.ended >= self.startup:
            return why
        begun = history.ended + sum(trial.is_open for trial in history.bad) + ahead + 1
        return f"{why} {min(begun, self.startup)} of {self.startup}"

    def _ask(self, model: "Model | optuna.Study", space: Space, history: _History, known: Known) -> Suggestion | None:
        """The model's next suggestion that nothing speaks against, or None where it keeps repeating."""

        def propose() -> Configuration:
            return suggested(model.ask(), space)  # it stays open in the model, so that the next one keeps away from it

        proposal = first_fresh(known, propose, ASKS)
        if proposal is None:
            return None
        known.add(proposal[0])
        return Suggestion(proposal[0], explain(space, proposal[0], history) + proposal[1])

    def _model(self, space: Space, trials: Sequence[Trial], seed: int) -> "Model | optuna.Study":
        from evenhand.methods import tpe_sampler  # Optuna is imported only where it is used

        return tpe_sampler.model(space, trials, self.maximize, self.beside, self.candidates, seed)


def explain(space: Space, configuration: Configuration, history: _History) -> str:
    """Why the model suggests this, from facts: whether the nearest trial is one it imitates, and what is changed from it."""
    near = explanations.nearest(space, configuration, [*history.good, *history.bad], history.trials)
    changed = explanations.changed(space, configuration, near)
    if near in history.good:
        place = explanations.place(history.good.index(near) + 1, history.ended)
        if near.number in history.fronts:
            place = f"of front {history.fronts[near.number]}"
        return f"exploits: near {explanations.called(near)}, {place}; {changed}"
    far = f"its nearest, {explanations.called(near)}, is not among the best {len(history.good)} of {history.ended}"
    return f"explores: {far}; the model's best so far is {explanations.called(history.good[0])}; {changed}"
