"""What methods say of a configuration: which trial it is near, what is changed from it, how trials are called."""

from collections.abc import Sequence

from evenhand.records import Trial
from evenhand.space import Configuration, Hyperparameter, Space, apart, show
from evenhand.tuners.base import has_value, within

NAMED = 2  # hyperparameters that an explanation names


def nearest(space: Space, configuration: Configuration, trials: Sequence[Trial]) -> Trial:
    """The trial that lies nearest, the earliest of equals.

    Nearness is the mean difference on the unit scale, 1 for a hyperparameter active in one of both only.
    """
    return min(trials, key=lambda trial: (distance(space, configuration, within(space, trial.configuration)), trial.number))


def distance(space: Space, first: Configuration, second: Configuration) -> float:
    """The mean difference over what is active in either."""
    active = [each for each in space if each.name in first or each.name in second]
    return sum(_difference(each, first, second) for each in active) / len(active) if active else 0.0


def place(rank: int, count: int) -> str:
    """A rank (from 1) among the trials that ended: "the best of 18"."""
    return f"the best of {count}" if rank == 1 else f"number {rank} of {count}"


def called(trial: Trial) -> str:
    """A trial with what is known of it: trial 12 (0.646)."""
    if trial.is_open:
        return f"trial {trial.number} (still open)"
    if not has_value(trial):
        return f"trial {trial.number} ({trial.outcome})"
    return f"trial {trial.number} ({show(float(f'{trial.value:.4g}'))})"


def changed(space: Space, configuration: Configuration, trial: Trial) -> str:
    """What is changed most from a trial, in words."""
    old = within(space, trial.configuration)
    by_size = sorted(
        (each for each in space if configuration.get(each.name) != old.get(each.name)),
        key=lambda each: -_difference(each, configuration, old),
    )
    if not by_size:
        return f"the same values as trial {trial.number}"
    words = [_change(each, configuration, old) for each in by_size[:NAMED]]
    more = f" and {len(by_size) - NAMED} more" if len(by_size) > NAMED else ""
    return f"changed most from trial {trial.number}: {', '.join(words)}{more}"


def _change(each: Hyperparameter, configuration: Configuration, old: Configuration) -> str:
    if each.name not in configuration:
        return f"without {each.label}"
    new = f"{each.label} {each.show(configuration[each.name])}"
    return f"{new} instead of {each.show(old[each.name])}" if each.name in old else new


def _difference(each: Hyperparameter, first: Configuration, second: Configuration) -> float:
    if each.name not in first or each.name not in second:
        return 1.0
    return apart(each.domain, first[each.name], second[each.name])
