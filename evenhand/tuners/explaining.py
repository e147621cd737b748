"""What methods say of a configuration: which trial it is near, what is changed from it, how trials are called."""

import math
from collections.abc import Sequence
from functools import partial, reduce

import numpy as np

from evenhand.records import Trial
from evenhand.space import Choice, Configuration, Hyperparameter, Space, Value, apart, show
from evenhand.trials import fold
from evenhand.tuners.base import has_value, within

NAMED = 2  # hyperparameters that an explanation names


def nearest(space: Space, configuration: Configuration, among: Sequence[Trial], trials: Sequence[Trial] | None = None) -> Trial:
    """The trial of `among` that lies nearest, the earliest of equals. trials: the session's, to read once what has ended.

    Nearness is the mean difference over what is active in either, 1 for a hyperparameter active in one of both only.
    """
    add = partial(_with_row, space)
    settled, later = fold(among if trials is None else trials, ("rows", space), dict[int, Row], add)
    rows = {**settled, **reduce(add, later, dict[int, Row]())} if later else settled
    numbers = sorted(trial.number for trial in among)
    first = np.array(_row(space, configuration))
    others = np.array([rows[number] for number in numbers])
    gap = np.abs(others - first)
    plain = np.array([isinstance(each.domain, Choice) and not each.domain.ordered for each in space])
    gap = np.where(plain, gap > 0, gap)
    inactive, one = np.isnan(others) & np.isnan(first), np.isnan(others) ^ np.isnan(first)
    gap = np.where(one, 1.0, np.where(inactive, 0.0, gap))
    place = int(np.argmin(gap.sum(1) / np.maximum(1, (~inactive).sum(1))))
    return next(trial for trial in among if trial.number == numbers[place])


Row = tuple[float, ...]  # a configuration: where each number lies on the unit scale, each option's number; nan where inactive


def _row(space: Space, configuration: Configuration) -> Row:
    return tuple(_place(each, configuration[each.name]) if each.name in configuration else math.nan for each in space)


def _place(each: Hyperparameter, value: Value) -> float:
    if isinstance(each.domain, Choice):
        return each.domain.to_unit(str(value)) if each.domain.ordered else float(each.domain.options.index(str(value)))
    return each.domain.to_unit(float(value))


def _with_row(space: Space, rows: dict[int, Row], trial: Trial) -> dict[int, Row]:
    rows[trial.number] = _row(space, within(space, trial.configuration))
    return rows


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
