"""What methods say of a configuration: which trial it is near, what is changed from it, how trials are called."""

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from evenhand.methods.base import has_value, is_infeasible, within
from evenhand.methods.rows import Rows
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Value, apart
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from evenhand.model.trial_history import fold
from evenhand.model.words import rounded

NAMED_HYPERPARAMETERS = 2  # hyperparameters that an explanation names


def nearest(space: Space, configuration: Configuration, among: Sequence[Trial], trials: Sequence[Trial] | None = None) -> Trial:
    """The trial of `among` that lies nearest, the earliest of equals. trials: the session's, to read once what has ended.

    Nearness is the mean difference over what is active in either, 1 for a hyperparameter active in one of both only.
    """
    among_them = sorted(among, key=lambda trial: trial.number) if trials is None else trials
    settled, later = fold(among_them, ("rows", space), partial(Rows.none, 1 + len(space.names)), partial(_with_row, space))
    more = [_numbered_row(space, trial) for trial in later]
    rows = np.vstack([settled.matrix, more]) if more else settled.matrix
    by_number = {trial.number: trial for trial in among}
    numbers = np.sort(np.fromiter(by_number, np.int64, len(by_number)))
    others = rows[np.searchsorted(rows[:, 0], numbers), 1:]
    first = np.array(_row(space, configuration))
    gap = np.abs(others - first)
    plain = np.array(
        [isinstance(hyperparameter.domain, Choice) and not hyperparameter.domain.ordered for hyperparameter in space]
    )
    gap = np.where(plain, gap > 0, gap)
    inactive, one = np.isnan(others) & np.isnan(first), np.isnan(others) ^ np.isnan(first)
    gap = np.where(one, 1.0, np.where(inactive, 0.0, gap))
    place = int(np.argmin(gap.sum(1) / np.maximum(1, (~inactive).sum(1))))
    return by_number[int(numbers[place])]


def _row(space: Space, configuration: Configuration) -> list[float]:
    """Where each number lies on the unit scale, and each option's number; nan where it is inactive."""
    return [
        _place(hyperparameter, configuration[hyperparameter.name]) if hyperparameter.name in configuration else math.nan
        for hyperparameter in space
    ]


def _place(hyperparameter: Hyperparameter, value: Value) -> float:
    domain = hyperparameter.domain
    return float(domain.index(value)) if isinstance(domain, Choice) and not domain.ordered else domain.to_unit(value)


def _with_row(space: Space, rows: Rows, trial: Trial) -> Rows:
    return rows.add(_numbered_row(space, trial))


def _numbered_row(space: Space, trial: Trial) -> list[float]:
    return [trial.number, *_row(space, within(space, trial.configuration))]


def place(rank: int, count: int) -> str:
    """A rank (from 1) among the trials that ended: "the best of 18"."""
    return f"the best of {count}" if rank == 1 else f"number {rank} of {count}"


def called(trial: Trial) -> str:
    """A trial with what is known of it: trial 12 (0.646)."""
    if trial.is_open:
        return f"trial {trial.number} (still open)"
    if trial.value is None or not has_value(trial):
        why = "vetoed" if trial.veto else "misses what is required" if is_infeasible(trial) else trial.outcome
        return f"trial {trial.number} ({why})"
    return f"trial {trial.number} ({rounded(trial.value)})"


def changed(space: Space, configuration: Configuration, trial: Trial) -> str:
    """What is changed most from a trial, in words."""
    old = within(space, trial.configuration)
    by_size = sorted(
        (hyperparameter for hyperparameter in space if configuration.get(hyperparameter.name) != old.get(hyperparameter.name)),
        key=lambda hyperparameter: -_difference(hyperparameter, configuration, old),
    )
    if not by_size:
        return f"the same values as trial {trial.number}"
    words = [_change(hyperparameter, configuration, old) for hyperparameter in by_size[:NAMED_HYPERPARAMETERS]]
    more = f" and {len(by_size) - NAMED_HYPERPARAMETERS} more" if len(by_size) > NAMED_HYPERPARAMETERS else ""
    return f"changed most from trial {trial.number}: {', '.join(words)}{more}"


def _change(hyperparameter: Hyperparameter, configuration: Configuration, old: Configuration) -> str:
    if hyperparameter.name not in configuration:
        return f"without {hyperparameter.label}"
    new = f"{hyperparameter.label} {hyperparameter.show(configuration[hyperparameter.name])}"
    return f"{new} instead of {hyperparameter.show(old[hyperparameter.name])}" if hyperparameter.name in old else new


def _difference(hyperparameter: Hyperparameter, first: Configuration, second: Configuration) -> float:
    if hyperparameter.name not in first or hyperparameter.name not in second:
        return 1.0
    return apart(hyperparameter.domain, first[hyperparameter.name], second[hyperparameter.name])
