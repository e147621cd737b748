"""A space of what was tried, where nobody declared one: its conditions are inferred from who had which hyperparameter.

A hyperparameter that some trials did not have gets a condition only where one other, and no second one, explains in all of them
whether it was there. Otherwise a choice `has_NAME` (yes or no) is added on which it depends: so each configuration is complete,
and nothing is said that the trials do not say.
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from evenhand.errors import InvalidConfiguration
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Domain, Integer, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.open_space import HAS_PREFIX, YES_NO, with_flags
from evenhand.model.space import Space
from evenhand.model.words import free_name

LEAST_TRIALS = 3  # trials that must have shown each side of a condition, and each option of what it depends on
MOST_VALUES = 100  # values of a whole number on which something may depend


def inferred_space(domains: Mapping[str, Domain], seen: Sequence[Mapping[str, Value]]) -> tuple[Space, list[str]]:
    """The space of these domains, with a condition where not all trials had a value, and what was taken for granted, in words.

    seen: each trial's values.
    """
    notes: list[str] = []
    conditions: dict[str, Condition | None] = {}
    added: dict[str, Hyperparameter] = {}
    for name in domains:
        if all(name in values for values in seen):
            conditions[name] = None
            continue
        candidates = [
            condition for parent in domains if (condition := _explained(name, parent, domains[parent], seen)) is not None
        ]
        if len(candidates) == 1:
            conditions[name] = candidates[0]
            notes.append(f"{name}: taken to apply only where {candidates[0].on} is {', '.join(map(str, candidates[0].values))}")
        else:
            flag = free_name(HAS_PREFIX + name, domains)
            text = f"Whether the trial had a value of {name}. It was added here: the study does not say on what it depends."
            added[name] = Hyperparameter(flag, YES_NO, label=f"Has {name}", help=text)
            conditions[name] = Condition(flag, ("yes",))
            notes.append(f"{name}: some trials had none, and nothing explains when; {flag} says which")
    return Space(_ordered(domains, conditions, added)), notes


def configuration_in(space: Space, values: Mapping[str, Value]) -> Configuration | None:
    """A trial's values as a configuration of a space; None where it has none there, as one that ended before it had all."""
    values = with_flags(space, values)
    if any(parameter.name not in values for parameter in space if space.is_active(parameter, values)):
        return None  # a default would stand for what the trial did not have
    try:
        return space.configuration(values)
    except InvalidConfiguration:
        return None


def _explained(name: str, parent: str, domain: Domain, seen: Sequence[Mapping[str, Value]]) -> Condition | None:
    """The condition on `parent` that explains in all of `seen` whether `name` was there; None without one, or with too few."""
    there = [values[parent] for values in seen if name in values and parent in values]
    away = [values[parent] for values in seen if name not in values and parent in values]
    alone = any(name in values and parent not in values for values in seen)
    if parent == name or alone or min(len(there), len(away)) < LEAST_TRIALS:
        return None
    if isinstance(domain, Choice):
        counts = Counter(map(domain.index, [*there, *away]))
        held = {domain.index(option) for option in there}
        enough = min(counts.values()) >= LEAST_TRIALS and not held & {domain.index(option) for option in away}
        return Condition(parent, tuple(domain.options[at] for at in sorted(held))) if enough else None
    if not isinstance(domain, Integer) or domain.high - domain.low >= MOST_VALUES:
        return None
    if set(there) & set(away):
        return None
    numbers, others = [int(value) for value in there], [int(value) for value in away]
    if min(numbers) > max(others):
        return Condition(parent, tuple(range(min(numbers), domain.high + 1)))
    if max(numbers) < min(others):
        return Condition(parent, tuple(range(domain.low, max(numbers) + 1)))
    return None


def _ordered(
    domains: Mapping[str, Domain], conditions: Mapping[str, Condition | None], added: Mapping[str, Hyperparameter]
) -> list[Hyperparameter]:
    """The hyperparameters in the trials' order, but each after the one that it depends on."""
    hyperparameters: dict[str, Hyperparameter] = {}

    def place(name: str) -> None:
        if name in hyperparameters:
            return
        condition = conditions[name]
        if name in added:
            hyperparameters[added[name].name] = added[name]
        elif condition is not None:
            place(condition.on)
        hyperparameters[name] = Hyperparameter(name, domains[name], condition=condition)

    for name in domains:
        place(name)
    return list(hyperparameters.values())
