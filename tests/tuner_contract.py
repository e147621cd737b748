"""What tests of methods share: the contract's own space and histories, and Evenhand's methods with what they need."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from evenhand.methods import Method, Suggestion, method
from evenhand.model.configuration import Configuration
from evenhand.model.rules import derive_seed
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from evenhand.testing.methods import SMALL_SPACE, SPACE, accuracy, ended, history

__all__ = ["LISTED", "SMALL_SPACE", "SPACE", "accuracy", "ended", "history", "made", "play", "suggest"]

LISTED: list[dict[str, Any]] = [dict(SPACE.sample(np.random.default_rng(seed))) for seed in range(100)]
LISTED += [{"width": width, "kind": kind} for width in (1, 2, 3) for kind in ("a", "b")]
SETTINGS: dict[str, dict[str, Any]] = {"manual": {"configurations": LISTED}}  # of methods that need some


def made(name: str, maximize: bool = True) -> Method:
    """A method of this name, with what it needs."""
    return method(name, maximize=maximize, **SETTINGS.get(name, {}))


def suggest(method: Method, space: Space, trials: Sequence[Trial], n: int = 1, seed: int = 1) -> list[Suggestion]:
    """What the method suggests, with a stream of its own as `method_player` derives it."""
    return list(method.suggest(space, trials, n, np.random.default_rng(derive_seed(seed, len(trials)))))


def play(method: Method, space: Space, count: int, seed: int, score: Callable[[Configuration], float] = accuracy) -> list[Trial]:
    """A whole session on a function, one trial after the other, until the method has no more to try."""
    trials: list[Trial] = []
    while len(trials) < count:
        suggestions = suggest(method, space, trials, seed=seed)
        if not suggestions:
            break
        (suggestion,) = suggestions
        trials.append(ended(len(trials) + 1, suggestion.configuration, score(suggestion.configuration)))
    return trials
