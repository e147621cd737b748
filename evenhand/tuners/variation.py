"""How evolutionary methods make a configuration of others: mutation and crossover, in spaces with conditions and choices."""

from collections.abc import Mapping, Sequence

import numpy as np

from evenhand.space import Choice, Configuration, Hyperparameter, Space, Value
from evenhand.tuners.frozen import to_unit

STEP = 0.15  # standard deviation of a mutated number, on its own scale of length 1


def mutated(
    space: Space,
    values: Mapping[str, Value],
    rng: np.random.Generator,
    chances: Sequence[float] | None = None,
    step: float = STEP,
) -> Configuration:
    """`values` with at least one hyperparameter changed.

    A number takes a normal step on its scale, reflected at the ends; a choice another option. What became active is drawn
    uniformly. chances: of each hyperparameter to be changed (default: one change on average).
    """
    wanted = np.full(len(space.hyperparameters), 1 / max(1, len(values))) if chances is None else np.asarray(chances)
    changed = rng.random(len(wanted)) < wanted
    there = [at for at, each in enumerate(space) if each.name in values]
    if there and not changed[there].any():
        weights = wanted[there] / wanted[there].sum() if wanted[there].sum() > 0 else None
        changed[rng.choice(there, p=weights)] = True
    found: dict[str, Value] = {}
    for at, each in enumerate(space):
        if not space.is_active(each, found):
            continue
        if each.name not in values:
            found[each.name] = each.domain.from_unit(float(rng.random()))
        else:
            found[each.name] = _stepped(each, values[each.name], rng, step) if changed[at] else values[each.name]
    return space.configuration(found)


def crossed(space: Space, first: Mapping[str, Value], second: Mapping[str, Value], rng: np.random.Generator) -> dict[str, Value]:
    """Each hyperparameter from either of both, with equal chance; what neither has is drawn uniformly."""
    found: dict[str, Value] = {}
    for each in space:
        if not space.is_active(each, found):
            continue
        both = [parent[each.name] for parent in (first, second) if each.name in parent]
        found[each.name] = both[int(rng.integers(len(both)))] if both else each.domain.from_unit(float(rng.random()))
    return found


def acceptable(space: Space, values: Mapping[str, Value]) -> dict[str, Value]:
    """The values that the space still accepts: ranges and choices may have been narrowed since they were tried."""
    found: dict[str, Value] = {}
    for each in space:
        if each.name in values and space.is_active(each, found):
            try:
                found[each.name] = each.domain.accept(values[each.name])
            except (ValueError, TypeError):
                found[each.name] = _clipped(each, values[each.name])
    return found


def _clipped(each: Hyperparameter, value: Value) -> Value:
    if isinstance(each.domain, Choice):
        return each.domain.options[0] if each.default is None else each.default
    return each.domain.from_unit(to_unit(each, value))


def _stepped(each: Hyperparameter, value: Value, rng: np.random.Generator, step: float) -> Value:
    if isinstance(each.domain, Choice) and not each.domain.ordered:
        others = [option for option in each.domain.options if option != value]
        return others[int(rng.integers(len(others)))] if others else value
    unit = to_unit(each, value)
    for _ in range(8):  # a small step may end at the value it began with, where there are few
        moved = abs((unit + rng.normal(0, step)) % 2.0)
        found = each.domain.from_unit(2.0 - moved if moved > 1.0 else moved)
        if found != value:
            return found
    return value
