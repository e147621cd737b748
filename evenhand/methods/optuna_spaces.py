"""Optuna's distributions as a Space, and back. Optuna's spaces are what its trials asked for, so conditions are inferred."""

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from evenhand.errors import InvalidSettings, InvalidSpace
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Domain, Float, Integer, Value, frozen, identity, plain
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.inferred_space import configuration_in, inferred_space
from evenhand.model.space import Space


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
    domains = {name: merged_domain(name, distributions, notes) for name, distributions in kinds.items()}
    unfailed = [trial for trial in trials if trial.state != TrialState.FAIL]
    seen = [values_of(domains, trial) for trial in unfailed or trials]  # one that failed may have begun only
    space, more = inferred_space(domains, seen)
    return space, notes + more


def domain_of(name: str, distribution: BaseDistribution) -> Domain:
    """The domain of one distribution.

    Raises:
        InvalidSpace: no space holds such numbers.
    """
    return merged_domain(name, [distribution], [])


def merged_domain(name: str, distributions: Sequence[BaseDistribution], notes: list[str]) -> Domain:
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
        if isinstance(distribution, CategoricalDistribution):
            values[name] = option_of(domain, distribution, value)
        else:
            values[name] = value
    return values


def option_of(domain: Domain | None, distribution: CategoricalDistribution, value: Any) -> Value:
    """A value of a choice of Optuna's as the option of a domain; as it is where the domain is no choice."""
    if not isinstance(domain, Choice):
        return value
    if tuple(distribution.choices) == domain.texts:  # as `distribution_of` wrote it, or all text
        return domain.of_text(value)
    if domain.holds(number := plain(value)):
        return domain.options[domain.index(number)]
    return labels_of(distribution)[int(distribution.to_internal_repr(value))]


def configuration_of(space: Space, trial: FrozenTrial) -> Configuration | None:
    """The trial's configuration; None where it has none in this space, as one that ended before it had all values."""
    return configuration_in(space, values_of({hyperparameter.name: hyperparameter.domain for hyperparameter in space}, trial))


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
