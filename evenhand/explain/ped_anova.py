"""Among the best: along which hyperparameters the best trials lie elsewhere than all do.

Source: Watanabe et al., "PED-ANOVA: efficiently quantifying hyperparameter importance in arbitrary subspaces" (2023).
"""

import math

import numpy as np

from evenhand.explain.card import Card, nothing_said
from evenhand.explain.encoding import table_of, unordered
from evenhand.explain.history import Codes, History
from evenhand.explain.surrogate import LEAST_TRIALS, Quality, Surrogate

KEY, TITLE = "among-best", "Where do the best trials lie?"
HOW = (
    "Pearson divergence between the density of the best tenth and that of all trials, along each hyperparameter where it is "
    "active (PED-ANOVA, Watanabe et al. 2023). It describes where trials lie; it is no test."
)
BEST_SHARE, LEAST_BEST = 0.1, 3
GRID = 50  # places on a scale at which densities are compared


def among_best(history: History, surrogate: Surrogate | None = None) -> Card:
    """The card: divergence along each hyperparameter. surrogate: of the history, where it is at hand."""
    table = table_of(history) if surrogate is None else surrogate.table
    n = len(table.better)
    if n < LEAST_TRIALS or not np.ptp(table.better):
        return nothing_said(KEY, TITLE, f"Nothing can be said: {Quality(n).words}.", n, HOW)
    count = max(LEAST_BEST, math.ceil(BEST_SHARE * n))
    best = np.zeros(n, dtype=bool)
    best[np.argsort(-table.better, kind="stable")[:count]] = True
    rows = []
    for name, codes, is_unordered in zip(history.space.names, table.codes.T, unordered(history.space), strict=True):
        active = ~np.isnan(codes)
        chosen = codes[active & best]
        rows.append({"hyperparameter": name, "divergence": _divergence(chosen, codes[active], is_unordered), "best": len(chosen)})
    finding = f"How far the best {count} of {n} trials lie from where all do, along each hyperparameter."
    data = {"hyperparameters": rows, "best": count}
    ids = tuple(history.trials[row].id for row in table.rows[best])
    return Card(
        KEY, TITLE, finding, "Methods gather around good trials, so this is no proof of an effect.", n, HOW, data, trials=ids
    )


def _divergence(chosen: Codes, everyone: Codes, is_unordered: bool) -> float:
    """Pearson's divergence of two densities; 0 where too few are active."""
    if len(chosen) < LEAST_BEST:
        return 0.0
    if is_unordered:
        options = np.unique(everyone)
        first, second = (np.array([np.sum(side == option) + 1.0 for option in options]) for side in (chosen, everyone))
    else:
        places = (np.arange(GRID) + 0.5) / GRID
        first, second = (_density(side, places) for side in (chosen, everyone))
    first, second = first / first.sum(), second / second.sum()
    return float(np.sum((first / second - 1) ** 2 * second))


def _density(codes: Codes, places: Codes) -> Codes:
    """Gaussian kernels of Scott's width, with one uniform trial more."""
    width = max(1 / GRID, float(codes.std()) * len(codes) ** -0.2)
    density: Codes = 1 / GRID + np.exp(-0.5 * ((places[:, None] - codes[None]) / width) ** 2).sum(1)
    return density
