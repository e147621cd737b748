"""Optuna's distributions as a Space, and back. Optuna's spaces are what its trials asked for, so conditions are inferred.

A hyperparameter that some trials, the failed ones aside, did not have gets a condition only where one other, and no second
one, explains in all of them whether it was there. Otherwise a choice `has_NAME` (yes or no) is added on which it depends: so
each configuration is complete, and nothing is said that the study does not say.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from evenhand.errors import InvalidConfiguration, InvalidSettings, InvalidSpace
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Domain, Float, Integer, Value, frozen, identity, plain
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.open_space import HAS_PREFIX, YES_NO, with_flags
from evenhand.model.space import Space
from evenhand.model.words import free_name

LEAST_TRIALS = 3  # trials that must have shown each side of a condition, and each option of what it depends on
MOST_VALUES = 100  # values of a whole number on which something may depend


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
    domains = {name: _domain(name, distributions, notes) for name, distributions in kinds.items()}
    unfailed = [trial for trial in trials if trial.state != TrialState.FAIL]
    seen = [values_of(domains, trial) for trial in unfailed or trials]  # one that failed may have begun only
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


def domain_of(name: str, distribution: BaseDistribution) -> Domain:
    """The domain of one distribution.

    Raises:
        InvalidSpace: no space holds such numbers.
    """
    return _domain(name, [distribution], [])


def _domain(name: str, distributions: Sequence[BaseDistribution], notes: list[str]) -> Domain:
    """One domain that holds all distributions of a name."""
    choices = [kind for kind in distributions if isinstance(kind, CategoricalDistribution)]
    if choices:
        if len(choices) < len(distributions):
            raise InvalidSettings(f"{name}: a choice in some trials and a number in others, expected one of both")
        return _choice(name, choices, notes)
    ranges: list[Any] = list(distributions)
    low, high, log = min(kind.low for kind in ranges), max(kind.high for kind in ranges), all(kind.log for kind in ranges)
    is_whole = all(isinstance(kind, IntDistribution) for kind in distributions)
    steps = {kind.step if is_whole else getattr(kind, "step", None) for kind in ranges}
    on_one_grid = len(steps) == 1 and len({kind.low for kind in ranges}) == 1
    if not on_one_grid and not steps <= {None, 1}:
        notes.append(f"{name}: its steps differ between trials and are not kept; every number of its range is allowed here")
    if is_whole:
        return Integer(int(low), int(high), log, ranges[0].step if on_one_grid and not log else 1)
    return Float(float(low), float(high), log, step=ranges[0].step if on_one_grid and not log else None)


def _choice(name: str, distributions: Sequence[CategoricalDistribution], notes: list[str]) -> Choice:
    """One choice of all options; of their labels where one is nothing that an option can be."""
    try:
        options = {identity(frozen(choice)): frozen(choice) for kind in distributions for choice in kind.choices}
        return Choice(tuple(options.values()))
    except (TypeError, ValueError, InvalidSpace):
        labels = dict.fromkeys(label for kind in distributions for label in labels_of(kind))
        notes.append(f"{name}: its choices are not all values that can be stored; they became the labels {', '.join(labels)}")
        return Choice(tuple(labels))


def labels_of(distribution: CategoricalDistribution) -> tuple[str, ...]:
    """The choices as text: themselves, or as Python writes them where that would be blank or would make two alike."""
    plain = tuple(str(choice) for choice in distribution.choices)
    if len(set(plain)) == len(plain) and all(label.strip() for label in plain):
        return plain
    exact = tuple(repr(choice) for choice in distribution.choices)
    if len(set(exact)) == len(exact):
        return exact
    return tuple(f"{label} ({place})" for place, label in enumerate(exact, 1))


def values_of(domains: Mapping[str, Domain], trial: FrozenTrial) -> dict[str, Value]:
    """The trial's values by name, those of choices as the options of their domain."""
    values: dict[str, Value] = {}
    for name, value in trial.params.items():
        distribution, domain = trial.distributions[name], domains.get(name)
        if isinstance(distribution, CategoricalDistribution) and isinstance(domain, Choice):
            values[name] = _option(domain, distribution, value)
        else:
            values[name] = value
    return values


def _option(domain: Choice, distribution: CategoricalDistribution, value: Any) -> Value:
    if tuple(distribution.choices) == domain.texts:  # as `distribution_of` wrote it, or all text
        return domain.of_text(value)
    if domain.holds(number := plain(value)):
        return domain.options[domain.index(number)]
    return labels_of(distribution)[int(distribution.to_internal_repr(value))]


def configuration_of(space: Space, trial: FrozenTrial) -> Configuration | None:
    """The trial's configuration; None where it has none in this space, as one that ended before it had all values."""
    values = values_of({hyperparameter.name: hyperparameter.domain for hyperparameter in space}, trial)
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


def distribution_of(hyperparameter: Hyperparameter) -> BaseDistribution:
    """What Optuna has for a domain. It has no log scale with an exact zero, so that one becomes linear from 0."""
    domain = hyperparameter.domain
    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.options if _is_as_optuna_has(domain) else domain.texts)
    if isinstance(domain, Integer):
        return IntDistribution(domain.low, domain.high, log=domain.log, step=domain.step)
    if domain.or_zero and domain.low > 0:
        return FloatDistribution(0.0, domain.high)
    return FloatDistribution(domain.low, domain.high, log=domain.log, step=domain.step)


def param_of(hyperparameter: Hyperparameter, value: Value) -> Any:
    """A value as a parameter of Optuna's, of the distribution that `distribution_of` makes."""
    domain = hyperparameter.domain
    return domain.texts[domain.index(value)] if isinstance(domain, Choice) and not _is_as_optuna_has(domain) else value


def _is_as_optuna_has(domain: Choice) -> bool:
    """Whether its storages keep these options: they write tuples as lists, and take True and 1 for one option."""
    return len(set(domain.options)) == len(domain.options) and not any(isinstance(option, tuple) for option in domain.options)
