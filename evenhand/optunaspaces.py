"""Optuna's distributions as a Space, and back. Optuna's spaces are what its trials asked for, so conditions are inferred.

A hyperparameter that some trials, the failed ones aside, did not have gets a condition only where one other, and no second
one, explains in all of them whether it was there. Otherwise a choice `has_NAME` (yes or no) is added on which it depends: so
each configuration is complete, and nothing is said that the study does not say.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from evenhand.errors import InvalidConfiguration, InvalidSettings
from evenhand.space import Choice, Condition, Configuration, Domain, Float, Hyperparameter, Integer, Space, Value

ALIKE = 3  # trials that must have shown each side of a condition, and each option of what it depends on
MOST = 100  # values of a whole number on which something may depend
HAS = "has_"
YES_NO = Choice(("yes", "no"))


def space_of(trials: Sequence[FrozenTrial]) -> tuple[Space, list[str]]:
    """The space of trials that have ended, and what of their distributions it cannot say.

    Raises:
        InvalidSettings: no trial has a hyperparameter.
    """
    notes: list[str] = []
    kinds: dict[str, list[BaseDistribution]] = {}
    for trial in trials:
        for name, distribution in trial.distributions.items():
            kinds.setdefault(name, []).append(distribution)
    if not kinds:
        raise InvalidSettings("no trial that has ended has a hyperparameter, so there is no space; expected at least one")
    domains = {name: _domain(name, found, notes) for name, found in kinds.items()}
    deciding = [each for each in trials if each.state != TrialState.FAIL] or list(trials)  # one that failed may have begun only
    seen = [values_of(domains, each) for each in deciding]
    conditions: dict[str, Condition | None] = {}
    added: dict[str, Hyperparameter] = {}
    for name in domains:
        if all(name in values for values in seen):
            conditions[name] = None
            continue
        found = [each for parent in domains if (each := _explained(name, parent, domains[parent], seen)) is not None]
        if len(found) == 1:
            conditions[name] = found[0]
            notes.append(f"{name}: taken to apply only where {found[0].on} is {', '.join(map(str, found[0].values))}")
        else:
            flag = _free(HAS + name, domains)
            text = (
                f"Whether the trial had a value of {name}. It was added by the import: the study does not say on what it depends."
            )
            added[name] = Hyperparameter(flag, YES_NO, label=f"Has {name}", help=text)
            conditions[name] = Condition(flag, ("yes",))
            notes.append(f"{name}: some trials had none, and nothing explains when; {flag} says which")
    return Space(_ordered(domains, conditions, added)), notes


def _domain(name: str, found: Sequence[BaseDistribution], notes: list[str]) -> Domain:
    """One domain that holds all distributions of a name."""
    if any(isinstance(each, CategoricalDistribution) for each in found):
        labels: dict[str, None] = {}
        for each in found:
            labels |= dict.fromkeys(labels_of(each) if isinstance(each, CategoricalDistribution) else ())
        if not all(isinstance(each, CategoricalDistribution) for each in found):
            raise InvalidSettings(f"{name}: a choice in some trials and a number in others, expected one of both")
        if any(not isinstance(choice, str) for each in found for choice in getattr(each, "choices", ())):
            notes.append(f"{name}: its choices are not all text; they became the labels {', '.join(labels)}")
        return Choice(tuple(labels))
    ranges: list[Any] = list(found)
    if any(each.step not in (None, 1) or (isinstance(each, FloatDistribution) and each.step) for each in ranges):
        notes.append(f"{name}: its step is not kept; every number of its range is allowed here")
    low, high, log = min(each.low for each in ranges), max(each.high for each in ranges), all(each.log for each in ranges)
    if all(isinstance(each, IntDistribution) for each in found):
        return Integer(int(low), int(high), log)
    return Float(float(low), float(high), log)


def labels_of(distribution: CategoricalDistribution) -> tuple[str, ...]:
    """The choices as text: themselves, or as Python writes them where that would be blank or would make two alike."""
    plain = tuple(str(each) for each in distribution.choices)
    if len(set(plain)) == len(plain) and all(each.strip() for each in plain):
        return plain
    exact = tuple(repr(each) for each in distribution.choices)
    if len(set(exact)) == len(exact):
        return exact
    return tuple(f"{label} ({place})" for place, label in enumerate(exact, 1))


def values_of(names: Iterable[str], trial: FrozenTrial) -> dict[str, Value]:
    """The trial's values by name, those of choices as labels."""
    found: dict[str, Value] = {}
    for name in names:
        if name not in trial.params:
            continue
        value, distribution = trial.params[name], trial.distributions[name]
        if isinstance(distribution, CategoricalDistribution):
            value = labels_of(distribution)[int(distribution.to_internal_repr(value))]
        found[name] = value
    return found


def configuration_of(space: Space, trial: FrozenTrial) -> Configuration | None:
    """The trial's configuration; None where it has none in this space, as one that ended before it had all values."""
    values = values_of(trial.params, trial)
    for each in space:
        if each.name not in trial.params and _is_flag(space, each):
            depending = [other.name for other in space if other.condition and other.condition.on == each.name]
            values[each.name] = "yes" if any(name in values for name in depending) else "no"
    if any(each.name not in values for each in space if space.is_active(each, values)):
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
    if parent == name or alone or min(len(there), len(away)) < ALIKE or set(there) & set(away):
        return None
    if isinstance(domain, Choice):
        both = [*there, *away]
        enough = all(both.count(option) >= ALIKE for option in set(both))
        return Condition(parent, tuple(each for each in domain.options if each in there)) if enough else None
    if not isinstance(domain, Integer) or domain.high - domain.low >= MOST:
        return None
    numbers, others = [int(each) for each in there], [int(each) for each in away]
    if min(numbers) > max(others):
        return Condition(parent, tuple(range(min(numbers), domain.high + 1)))
    if max(numbers) < min(others):
        return Condition(parent, tuple(range(domain.low, max(numbers) + 1)))
    return None


def _ordered(
    domains: Mapping[str, Domain], conditions: Mapping[str, Condition | None], added: Mapping[str, Hyperparameter]
) -> list[Hyperparameter]:
    """The hyperparameters in the trials' order, but each after the one that it depends on."""
    found: dict[str, Hyperparameter] = {}

    def place(name: str) -> None:
        if name in found:
            return
        condition = conditions[name]
        if name in added:
            found[added[name].name] = added[name]
        elif condition is not None:
            place(condition.on)
        found[name] = Hyperparameter(name, domains[name], condition=condition)

    for name in domains:
        place(name)
    return list(found.values())


def _free(name: str, taken: Iterable[str]) -> str:
    while name in taken:
        name += "_"
    return name


def distribution_of(hyperparameter: Hyperparameter) -> BaseDistribution:
    """What Optuna has for a domain. It has no log scale with an exact zero, so that one becomes linear from 0."""
    domain = hyperparameter.domain
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options)
    if isinstance(domain, Integer):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    return FloatDistribution(0.0 if domain.or_zero else domain.low, domain.high, log=domain.log and not domain.or_zero)


def without_flags(space: Space, configuration: Configuration) -> dict[str, Value]:
    """A configuration without the choices that an import added."""
    return {name: value for name, value in configuration.items() if not _is_flag(space, space[name])}


def _is_flag(space: Space, each: Hyperparameter) -> bool:
    """Whether an import added it, to say whether another hyperparameter was there."""
    named = [other for other in space if each.name.rstrip("_") == HAS + other.name]
    return each.domain == YES_NO and any(other.condition == Condition(each.name, ("yes",)) for other in named)
