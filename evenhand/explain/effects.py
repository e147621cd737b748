"""Effects: what the surrogate expects along each hyperparameter, on average and for single configurations.

Sources: Friedman, "Greedy function approximation" (2001); Goldstein et al., "Peeking inside the black box" (2015).
"""

from typing import Any

import numpy as np

from evenhand.explain.card import Card, nothing_said
from evenhand.explain.history import History
from evenhand.explain.places import codes_at, grid_of
from evenhand.explain.surrogate import Surrogate, surrogate_of
from evenhand.model.direction import sign_of

KEY, TITLE = "effects", "What did each hyperparameter do?"
HOW = (
    "Partial dependence of a forest of the trials, under the uniform distribution of the active space (Friedman 2001); the band "
    "holds nine of ten of the forest's trees, each grown from a resample of the trials."
)
PLACES = 128  # configurations that are averaged over
SHOWN = 10  # curves of single configurations
SURFACED = 2  # hyperparameters whose joint effect is shown: those along which the mean changes most
BAND = (0.05, 0.95)


def effects(history: History, surrogate: Surrogate | None = None) -> Card:
    """The card: curves along each hyperparameter. surrogate: of the history, where it is at hand."""
    grown = surrogate or surrogate_of(history)
    quality = grown.quality
    if not quality.is_enough:
        return nothing_said(KEY, TITLE, f"No effects are drawn: {quality.words}.", quality.n, HOW, quality=quality.data)
    space, sign = history.space, sign_of(history.maximize)
    points = np.random.default_rng(0).random((PLACES, len(space.names)))
    curves: list[dict[str, Any]] = []
    for at, one in enumerate(space):
        values, units = grid_of(one)
        moved = np.repeat(points[None], len(units), 0)
        moved[:, :, at] = units[:, None]
        codes = codes_at(space, moved.reshape(-1, len(space.names)))
        active = ~np.isnan(codes[:PLACES, at])
        if not active.any():
            continue
        trees = sign * grown.by_tree(codes).reshape(-1, len(units), PLACES)[:, :, active]
        low, high = np.quantile(trees.mean(2), BAND, axis=0)
        single = trees.mean(0)
        curves.append(
            {
                "hyperparameter": one.name,
                "values": values,
                "at": units.tolist(),
                "mean": single.mean(1).tolist(),
                "low": low.tolist(),
                "high": high.tolist(),
                "single": single[:, :SHOWN].T.tolist(),
            }
        )
    finding = "How the expected value changes along each hyperparameter, on the average over all others."
    data = {
        "metric": history.metric,
        "quality": quality.data,
        "hyperparameters": curves,
        "surface": _surface(grown, history, curves),
    }
    return Card(KEY, TITLE, finding, f"Of the model, {quality.words}.", quality.n, HOW, data)


def _surface(grown: Surrogate, history: History, curves: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The joint effect of the two hyperparameters along which the mean changes most, and how far trees differ; None of one."""
    ranked = sorted(curves, key=lambda curve: -float(np.ptp(curve["mean"])))[:SURFACED]
    if len(ranked) < SURFACED:
        return None
    space, sign = history.space, sign_of(history.maximize)
    first, second = (space.names.index(curve["hyperparameter"]) for curve in ranked)
    points = np.random.default_rng(0).random((PLACES // 4, len(space.names)))
    one, two = (np.array(curve["at"]) for curve in ranked)
    moved = np.repeat(np.repeat(points[None, None], len(one), 0), len(two), 1)
    moved[..., first], moved[..., second] = one[:, None, None], two[None, :, None]
    codes = codes_at(space, moved.reshape(-1, len(space.names)))
    trees = sign * grown.by_tree(codes).reshape(-1, len(one), len(two), len(points)).mean(3)
    return {
        "hyperparameters": [curve["hyperparameter"] for curve in ranked],
        "values": [curve["values"] for curve in ranked],
        "mean": trees.mean(0).tolist(),
        "error": trees.std(0).tolist(),
    }
