"""How far trials lie apart in their space: on each domain's own scale, conditions known."""

import numpy as np

from evenhand.explain.history import Codes, History
from evenhand.model.domain import Choice


def distances(history: History) -> Codes:
    """How far each two trials lie apart, (trials, trials): the root of the mean square over the hyperparameters.

    Numbers are apart by the share of their scale; two options by 1, of an ordered choice by their share of the order; one that is
    active in one of both only counts 1.
    """
    count = len(history.trials)
    total = np.zeros((count, count))
    for place, hyperparameter in enumerate(history.space):
        column = history.codes[:, place]
        domain = hyperparameter.domain
        away = np.isnan(column)
        filled = np.where(away, 0.0, column)
        apart = np.abs(filled[:, None] - filled)
        if isinstance(domain, Choice) and not domain.ordered:
            apart = np.minimum(np.ceil(apart), 1.0)
        total += np.where(away[:, None] & away, 0.0, np.where(away[:, None] | away, 1.0, apart**2))
    return np.sqrt(total / max(1, len(history.space.names)))
