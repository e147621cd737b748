"""The tree-structured Parzen estimator, by Optuna's sampler.

Source: Bergstra et al., "Algorithms for hyper-parameter optimization" (2011); in the multivariate form of Falkner et al. (2018).
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from evenhand.records import Trial
from evenhand.space import Configuration, Space
from evenhand.tuners import explaining, frozen
from evenhand.tuners.base import UNUSABLE, Known, Method, Suggestion, by_value, check_counts, first_fresh, fresh_draw
from evenhand.tuners.frozen import study_of, suggested

if TYPE_CHECKING:
    import optuna

ASKS = 20  # suggestions of the model that may be refused before a random draw takes over


@dataclass(frozen=True)
class _History:
    """What the model learns from. good: the trials it imitates, best first; bad: those it keeps away from.

    ended: good and bad ones that have ended. startup: random draws that come before the model is used. trials: all there are.
    """

    good: tuple[Trial, ...]
    bad: tuple[Trial, ...]
    ended: int
    startup: int
    trials: Sequence[Trial]


@dataclass(frozen=True)
class TPE(Method):
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
    startup: int = 10
    candidates: int = 24

    def __post_init__(self) -> None:
        check_counts(self.name, startup=self.startup, candidates=self.candidates)

    def suggest(self, space: Space, trials: Sequence[Trial], n: int, rng: np.random.Generator) -> list[Suggestion]:
        """`n` configurations: random draws during start-up, then those that the model expects most of."""
        history = self._history(trials)
        known = Known(space, trials)
        model = None if self._why_random(history) else self._study(space, trials, int(rng.integers(2**31)))
        suggestions: list[Suggestion] = []
        for ahead in range(n):
            suggestion = None if model is None else self._ask(model, space, history, known)
            suggestions.append(suggestion or fresh_draw(space, known, rng, self._why_drawn(history, ahead)))
        return suggestions

    def _history(self, trials: Sequence[Trial]) -> _History:
        """Split the trials as Optuna does: the best tenth (rounded up, at most 25) of those that ended are good."""
        valued = by_value(trials, self.maximize)
        unusable = [each for each in trials if each.outcome in UNUSABLE]
        open_ones = [each for each in trials if each.is_open]
        ended = len(valued) + len(unusable)
        good = min(math.ceil(0.1 * ended), 25)
        return _History(tuple(valued[:good]), (*valued[good:], *unusable, *open_ones), ended, self.startup, trials)

    def _why_random(self, history: _History) -> str | None:
        """Why no model is used yet, in words; None where it is."""
        if history.ended < self.startup:
            return "random start-up draw"
        if len(history.good) < min(math.ceil(0.1 * history.ended), 25):
            return f"random draw, since only {len(history.good)} of {history.ended} trials gave a value to learn from"
        return None

    def _why_drawn(self, history: _History, ahead: int) -> str:
        why = self._why_random(history)
        if why is None:
            return "random draw, since the model kept proposing what was tried"
        if history.ended >= self.startup:
            return why
        begun = history.ended + sum(each.is_open for each in history.bad) + ahead + 1
        return f"{why} {min(begun, self.startup)} of {self.startup}"

    def _ask(self, study: "optuna.Study", space: Space, history: _History, known: Known) -> Suggestion | None:
        """The model's next suggestion that nothing speaks against, or None where it keeps repeating."""

        def propose() -> Configuration:
            return suggested(study.ask(), space)  # it stays open in the study, so that the next one keeps away from it

        found = first_fresh(known, propose, ASKS)
        if found is None:
            return None
        known.add(found[0])
        return Suggestion(found[0], explain(space, found[0], history) + found[1])

    def _study(self, space: Space, trials: Sequence[Trial], seed: int) -> "optuna.Study":
        import optuna

        with warnings.catch_warnings():  # `group` is marked experimental; the contract test holds what is relied on
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            sampler = optuna.samplers.TPESampler(
                n_startup_trials=0, n_ei_candidates=self.candidates, multivariate=True, group=True, constant_liar=True, seed=seed
            )
        return study_of(sampler, self.maximize, frozen.history(space, trials))


def explain(space: Space, configuration: Configuration, history: _History) -> str:
    """Why the model suggests this, from facts: whether the nearest trial is one it imitates, and what is changed from it."""
    near = explaining.nearest(space, configuration, [*history.good, *history.bad], history.trials)
    changed = explaining.changed(space, configuration, near)
    if near in history.good:
        place = explaining.place(history.good.index(near) + 1, history.ended)
        return f"exploits: near {explaining.called(near)}, {place}; {changed}"
    far = f"its nearest, {explaining.called(near)}, is not among the best {len(history.good)} of {history.ended}"
    return f"explores: {far}; the model's best so far is {explaining.called(history.good[0])}; {changed}"
