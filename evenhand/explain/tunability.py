"""Tunability: how much of the gain that tuning can bring is each hyperparameter's, as Shapley values of the surrogate.

The worth of a set of hyperparameters is what the surrogate expects where these may have any of a sample of values, and all others
their defaults: the best of it less the default's (tunability), the default's less the worst (mistunability), or the variance
(sensitivity). Up to EXACT hyperparameters all sets are looked at, of more the ones along random orders and their reverses.

Source: Wever et al., "HyperSHAP: Shapley values and interactions for explaining hyperparameter optimization" (2025).
"""

from collections.abc import Callable, Mapping
from math import factorial

import numpy as np

from evenhand.explain.ablation import default_point
from evenhand.explain.card import Card, nothing_said
from evenhand.explain.encoding import Mask
from evenhand.explain.history import Codes, History
from evenhand.explain.places import codes_at
from evenhand.explain.surrogate import Surrogate, seed_of, surrogate_of

KEY, TITLE = "tunability", "What was worth tuning?"
HOW = (
    "Shapley values of what a forest of the trials expects where some hyperparameters are tuned and all others have their "
    "defaults (Wever et al. 2025)."
)
EXACT = 8
ORDERS = 40  # random ones, of more than EXACT hyperparameters; each is gone through in reverse, too
SAMPLED = 64  # configurations that stand for what may be tried
Worth = Callable[[Codes, float], Codes]  # of expected values (sets, sampled), and of the default's
WORTHS: Mapping[str, Worth] = {
    "tunability": lambda expected, default: np.maximum(expected.max(1) - default, 0),
    "mistunability": lambda expected, default: np.maximum(default - expected.min(1), 0),
    "sensitivity": lambda expected, default: expected.var(1),
}


def shapley(count: int, worth_of: Callable[[Mask], Codes], seed: int) -> Codes:
    """Shapley values of a game, (players, games). worth_of: of sets (sets, players) of True and False, (sets, games)."""
    if count <= EXACT:
        sets = (np.arange(2**count)[:, None] >> np.arange(count)) % 2 == 1
        worths, sizes = worth_of(sets), sets.sum(1)
        weights = np.array([factorial(size) * factorial(count - size - 1) / factorial(count) for size in range(count)])
        values = []
        for player in range(count):
            without = np.flatnonzero(~sets[:, player])
            gains = worths[without + 2**player] - worths[without]
            values.append(weights[sizes[without]] @ gains)
        return np.array(values)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(count) for _ in range(ORDERS)]
    orders += [order[::-1] for order in orders]
    places = np.argsort(np.array(orders), axis=1)
    sets = places[:, None, :] < np.arange(count + 1)[None, :, None]
    worths = worth_of(sets.reshape(-1, count)).reshape(len(orders), count + 1, -1)
    gains = np.diff(worths, axis=1)
    return np.array([gains[np.arange(len(orders)), places[:, player]].mean(0) for player in range(count)])


def tunability(history: History, surrogate: Surrogate | None = None) -> Card:
    """The card: what each hyperparameter's tuning is worth. surrogate: of the history, where it is at hand."""
    grown = surrogate or surrogate_of(history)
    quality, space = grown.quality, history.space
    if not quality.is_enough:
        return nothing_said(KEY, TITLE, f"Nothing can be said: {quality.words}.", quality.n, HOW, quality=quality.data)
    default = default_point(space)
    if default is None:
        why = "There is no default that tuning could be compared with: give each hyperparameter one."
        return nothing_said(KEY, TITLE, why, quality.n, HOW, quality=quality.data)
    seed = seed_of(grown.table)
    sampled = np.random.default_rng(seed).random((SAMPLED, len(default)))
    base = float(grown.predicted(codes_at(space, default[None]))[0])

    def worth_of(sets: Mask) -> Codes:
        points = np.where(sets[:, None, :], sampled[None], default)
        expected = grown.predicted(codes_at(space, points.reshape(-1, len(default)))).reshape(len(sets), SAMPLED)
        return np.column_stack([worth(expected, base) for worth in WORTHS.values()])

    worths = shapley(len(default), worth_of, seed)
    rows = [
        {"hyperparameter": name, **dict(zip(WORTHS, map(float, values), strict=True))}
        for name, values in zip(space.names, worths, strict=True)
    ]
    gain = float(worths[:, 0].sum())
    finding = f"Tuning all hyperparameters is expected to bring {gain:.4g} over the default, which the shares add up to."
    data = {
        "metric": history.metric,
        "quality": quality.data,
        "hyperparameters": rows,
        "gain": gain,
        "exact": len(default) <= EXACT,
    }
    return Card(KEY, TITLE, finding, f"Of the model, {quality.words}.", quality.n, HOW, data)
