"""How evolutionary methods make a configuration of others: mutation and crossover, in spaces with conditions and choices."""

from collections.abc import Mapping, Sequence

import numpy as np

from evenhand.methods.optuna_history import to_unit
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Value, identity
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space

STEP_DEVIATION = 0.15  # standard deviation of a mutated number, on its own scale of length 1


def mutated(
    space: Space,
    values: Mapping[str, Value],
    rng: np.random.Generator,
    chances: Sequence[float] | None = None,
    step: float = STEP_DEVIATION,
) -> Configuration:
    """`values` with at least one hyperparameter changed.

    A number takes a normal step on its scale, reflected at the ends; a choice another option. What became active is drawn
    uniformly. chances: of each hyperparameter to be changed (default: one change on average).
    """
    wanted = np.full(len(space.hyperparameters), 1 / max(1, len(values))) if chances is None else np.asarray(chances)
    changed = rng.random(len(wanted)) < wanted
    there = [at for at, parameter in enumerate(space) if parameter.name in values]
    if there and not changed[there].any():
        weights = wanted[there] / wanted[there].sum() if wanted[there].sum() > 0 else None
        changed[rng.choice(there, p=weights)] = True
    child: dict[str, Value] = {}
    for at, hyperparameter in enumerate(space):
        if not space.is_active(hyperparameter, child):
            continue
        if hyperparameter.name not in values:
            child[hyperparameter.name] = hyperparameter.domain.from_unit(float(rng.random()))
        else:
            child[hyperparameter.name] = (
                _stepped(hyperparameter, values[hyperparameter.name], rng, step) if changed[at] else values[hyperparameter.name]
            )
    return space.near(child)


def crossed(space: Space, first: Mapping[str, Value], second: Mapping[str, Value], rng: np.random.Generator) -> dict[str, Value]:
    """Each hyperparameter from either of both, with equal chance; what neither has is drawn uniformly."""
    child: dict[str, Value] = {}
    for hyperparameter in space:
        if not space.is_active(hyperparameter, child):
            continue
        both = [parent[hyperparameter.name] for parent in (first, second) if hyperparameter.name in parent]
        child[hyperparameter.name] = (
            both[int(rng.integers(len(both)))] if both else hyperparameter.domain.from_unit(float(rng.random()))
        )
    return child


def acceptable(space: Space, values: Mapping[str, Value]) -> dict[str, Value]:
    """The values that the space still accepts: ranges and choices may have been narrowed since they were tried."""
    accepted: dict[str, Value] = {}
    for hyperparameter in space:
        if hyperparameter.name in values and space.is_active(hyperparameter, accepted):
            try:
                accepted[hyperparameter.name] = hyperparameter.domain.accept(values[hyperparameter.name])
            except (ValueError, TypeError):
                accepted[hyperparameter.name] = _clipped(hyperparameter, values[hyperparameter.name])
    return accepted


def _clipped(hyperparameter: Hyperparameter, value: Value) -> Value:
    if isinstance(hyperparameter.domain, Choice):
        return hyperparameter.domain.options[0] if hyperparameter.mandatory else hyperparameter.default
    return hyperparameter.domain.from_unit(to_unit(hyperparameter, value))


def _stepped(hyperparameter: Hyperparameter, value: Value, rng: np.random.Generator, step: float) -> Value:
    if isinstance(hyperparameter.domain, Choice) and not hyperparameter.domain.ordered:
        others = [option for option in hyperparameter.domain.options if identity(option) != identity(value)]
        return others[int(rng.integers(len(others)))] if others else value
    unit = to_unit(hyperparameter, value)
    for _ in range(8):  # a small step may end at the value it began with, where there are few
        moved = abs((unit + rng.normal(0, step)) % 2.0)
        candidate = hyperparameter.domain.from_unit(2.0 - moved if moved > 1.0 else moved)
        if identity(candidate) != identity(value):
            return candidate
    return value
