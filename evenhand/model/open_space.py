"""Open spaces: what a program asks for while it runs, as a space that grows with its trials.

Such a trial begins with an empty configuration, each suggestion appends its value, and its end freezes it under the space's
revision of that moment. What no condition explains has a choice `has_NAME` (yes or no) beside it, which says whether a trial
asked for it: that is derived from the trial whenever it is read, since a later revision may know the condition.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Domain, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import Trial

HAS_PREFIX = "has_"
YES_NO = Choice(("yes", "no"))
ASKED = "asked"  # the kind of memos that say how a trial asked for its values: they are of its last attempt


class Memo(NamedTuple):
    """What the program of an open space keeps with a trial, or with its session, in words of its own.

    Attributes:
        kind: what it is.
        name: which of them it is.
        value: of JSON.
    """

    kind: str
    name: str
    value: Any


def is_flag(space: Space, hyperparameter: Hyperparameter) -> bool:
    """Whether it was added to say whether another hyperparameter was there.

    Args:
        space: which both are in.
        hyperparameter: one of it.

    Returns:
        Whether it is such a choice.
    """
    named = [other for other in space if hyperparameter.name.rstrip("_") == HAS_PREFIX + other.name]
    return hyperparameter.domain == YES_NO and any(other.condition == Condition(hyperparameter.name, ("yes",)) for other in named)


def without_flags(space: Space, configuration: Mapping[str, Value]) -> dict[str, Value]:
    """Values without the choices that were added.

    Args:
        space: which they are of.
        configuration: values by name.

    Returns:
        The others, in their order.
    """
    return {name: value for name, value in configuration.items() if name not in space or not is_flag(space, space[name])}


def with_flags(space: Space, values: Mapping[str, Value]) -> dict[str, Value]:
    """Values with the choices that say of which hyperparameters there are some.

    Args:
        space: which they are of.
        values: by name.

    Returns:
        Them, and the choices.
    """
    flagged = dict(values)
    for hyperparameter in space:
        if hyperparameter.name not in values and is_flag(space, hyperparameter):
            depending = [other.name for other in space if other.condition and hyperparameter.name in other.condition.asked]
            flagged[hyperparameter.name] = "yes" if any(name in values for name in depending) else "no"
    return flagged


def as_read(space: Space, trials: Iterable[Trial]) -> list[Trial]:
    """Trials of an open space as the space in force says them; of any other space as they are.

    Args:
        space: the session's.
        trials: as they are stored.

    Returns:
        Those that have ended with the choices that were added, those that have not with what the space knows already.
    """
    if not space.is_open:
        return list(trials)
    return [replace(trial, configuration=_as_read(space, trial)) for trial in trials]


def _as_read(space: Space, trial: Trial) -> Configuration:
    values = trial.configuration if trial.is_open else with_flags(space, trial.configuration)
    return Configuration(
        {name: values[name] for name in space.names if name in values and _holds(space[name].domain, values[name])}
    )


def _holds(domain: Domain, value: Value) -> bool:
    try:
        domain.accept(value)
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def why_narrower(before: Space, after: Space) -> str | None:
    """Why a space does not hold all that another one holds, in words; None where it does. Added choices may go.

    Args:
        before: the space so far.
        after: the space from now on.

    Returns:
        The first thing that it lacks.
    """
    for hyperparameter in before:
        name, domain = hyperparameter.name, hyperparameter.domain
        if name not in after:
            if is_flag(before, hyperparameter):
                continue
            return f"{name!r} is missing"
        if not _is_within(domain, after[name].domain):
            return f"{name!r} was {domain.expected}, and would be {after[name].domain.expected}"
    return None


def _is_within(domain: Domain, wider: Domain) -> bool:
    if isinstance(domain, Choice) or isinstance(wider, Choice):
        return isinstance(domain, Choice) and isinstance(wider, Choice) and all(map(wider.holds, domain.options))
    return wider.low <= domain.low and domain.high <= wider.high
