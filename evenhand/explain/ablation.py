"""Ablation: which changes lead from the default configuration to the best one, by the surrogate; and what matters near the best.

Sources: Fawcett and Hoos, "Analysing differences between algorithm configurations through ablation" (2016); Biedenkapp et al.,
"CAVE" (2018), for local importance.
"""

import numpy as np

from evenhand.explain.card import Card, nothing_said
from evenhand.explain.history import Codes, History
from evenhand.explain.places import codes_at, grid_of
from evenhand.explain.surrogate import Surrogate, surrogate_of
from evenhand.methods.encoding import Encoding
from evenhand.model.direction import best_trial, sign_of
from evenhand.model.space import Space

KEY, TITLE = "ablation", "Which changes led from the default to the best?"
HOW = (
    "Starting from the default, the change that a forest of the trials expects most of is made first, then the next (Fawcett and "
    "Hoos 2016); near the best, each share is of the variance along one hyperparameter (Biedenkapp et al. 2018)."
)


def default_point(space: Space) -> Codes | None:
    """Where the default configuration lies in the unit cube; None where a hyperparameter has no default."""
    if any(one.mandatory for one in space):
        return None
    return np.array(Encoding(space).point(space.defaults()))


def ablation(history: History, surrogate: Surrogate | None = None) -> Card:
    """The card: the path from the default to the best. surrogate: of the history, where it is at hand."""
    grown = surrogate or surrogate_of(history)
    quality, space, sign = grown.quality, history.space, sign_of(history.maximize)
    start, best = default_point(space), best_trial((history.trials[row] for row in grown.table.rows), history.maximize)
    if not quality.is_enough or best is None:
        return nothing_said(KEY, TITLE, f"Nothing can be said: {quality.words}.", quality.n, HOW, quality=quality.data)
    goal = np.array(Encoding(space).point(best.configuration))
    near = _near(grown, space, goal)
    if start is None:
        why = "There is no default to start from: give each hyperparameter a default, and the path to the best can be told."
        return nothing_said(KEY, TITLE, why, quality.n, HOW, quality=quality.data, near=near)
    at, left, steps = start, [one for one in range(len(goal)) if start[one] != goal[one]], []
    expected = first = float(grown.predicted(codes_at(space, at[None]))[0])
    while left:
        moved = np.repeat(at[None], len(left), 0)
        moved[np.arange(len(left)), left] = goal[left]
        expectations = grown.predicted(codes_at(space, moved))
        chosen = int(expectations.argmax())
        steps.append(
            {
                "hyperparameter": space.names[left[chosen]],
                "expected": sign * float(expectations[chosen]),
                "gain": float(expectations[chosen]) - expected,
            }
        )
        at, expected = moved[chosen], float(expectations[chosen])
        left.pop(chosen)
    changed = f"{len(steps)} value{'s' * (len(steps) != 1)}"
    finding = (
        f"From the default to the best configuration {changed} change; the model expects {sign * first:.4g} there and "
        f"{sign * expected:.4g} here."
    )
    data = {"metric": history.metric, "quality": quality.data, "start": sign * first, "steps": steps, "near": near}
    return Card(KEY, TITLE, finding, f"Of the model, {quality.words}.", quality.n, HOW, data, trials=(best.id,))


def _near(grown: Surrogate, space: Space, goal: Codes) -> list[dict[str, object]]:
    """The share of each hyperparameter that is active at the best, among the variances along one of them."""
    active = ~np.isnan(codes_at(space, goal[None])[0])
    variances = {}
    for at in np.flatnonzero(active):
        units = grid_of(space.hyperparameters[at])[1]
        moved = np.repeat(goal[None], len(units), 0)
        moved[:, at] = units
        variances[space.names[at]] = float(grown.predicted(codes_at(space, moved)).var())
    whole = sum(variances.values())
    return [{"hyperparameter": name, "share": one / whole if whole else 0.0} for name, one in variances.items()]
