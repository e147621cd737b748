"""Histories of trials, made for tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from evenhand.explain import History
from evenhand.model.domain import Float
from evenhand.model.space import Space
from evenhand.model.trial import Outcome, Trial


def ended(number: int, space: Space, values: Mapping[str, Any], value: float | None, **facts: Any) -> Trial:
    """A trial that has ended, completed where nothing else is said."""
    given = {"session_id": 1, "proposer": "random", "outcome": Outcome.COMPLETED, "epochs_done": 1, **facts}
    return Trial(
        id=1000 * given["session_id"] + number,
        number=number,
        configuration=space.configuration(values),
        submitted_at=float(number),
        finished_at=number + 1.0,
        epochs_planned=given["epochs_done"],
        value=value,
        **given,
    )


def drawn(count: int, noise: float, seed: int = 0, slope: float = 0.0, dimensions: int = 3) -> History:
    """Trials drawn uniformly between 0.1 and 0.9 on each of some axes: a slope along the first, and noise."""
    space = Space({f"x{at}": Float(0.1, 0.9) for at in range(dimensions)})
    rng = np.random.default_rng(seed)
    rows = rng.uniform(0.1, 0.9, (count, dimensions))
    values = 0.5 + slope * (rows[:, 0] - 0.5) + noise * rng.normal(size=count)
    return of_rows(space, rows, values.tolist())


def of_rows(space: Space, rows: Any, values: Sequence[float | None], **facts: Any) -> History:
    """Trials of rows of numbers, one for each hyperparameter of the space."""
    trials = [
        ended(number, space, dict(zip(space.names, map(float, row), strict=True)), value, **facts)
        for number, (row, value) in enumerate(zip(rows, values, strict=True), 1)
    ]
    return History.of(space, "score", True, trials)
