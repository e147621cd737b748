"""Points of the unit cube as what a model sees: one hyperparameter moved while the others stay, conditions kept."""

import numpy as np

from evenhand.explain.encoding import unordered
from evenhand.explain.history import Codes
from evenhand.methods.encoding import Encoding
from evenhand.model.domain import Value, is_finite, values_of
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space

GRID = 15  # values of a hyperparameter that is looked along, at most


def codes_at(space: Space, points: Codes) -> Codes:
    """The codes at points of the unit cube (m, d), as a history has them: NaN where a condition does not hold."""
    encoding = Encoding(space)
    codes = encoding.snapped(points)
    for at, (one, is_unordered) in enumerate(zip(space, unordered(space), strict=True)):
        if is_unordered:
            count = len(values_of(one.domain))
            codes[:, at] = np.minimum((points[:, at] * count).astype(int), count - 1)
    return np.where(encoding.active(points), codes, np.nan)


def grid_of(hyperparameter: Hyperparameter) -> tuple[list[Value], Codes]:
    """Values along a hyperparameter, at most GRID unless they are options, and where they lie in [0, 1]."""
    domain = hyperparameter.domain
    if is_finite(domain) and (len(values_of(domain)) <= GRID or any(unordered(Space([Hyperparameter("one", domain)])))):
        values = list(values_of(domain))
    else:
        values = list(dict.fromkeys(domain.from_unit(float(unit)) for unit in np.linspace(0, 1, GRID)))
    return values, np.array([domain.to_unit(value) for value in values])
