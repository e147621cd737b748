"""How sure a session's result is: what its seeds, its rows, and the picking of the best of many leave open.

Rows: a share of right answers over m independent rows has the binomial standard error sqrt(p (1 - p) / m). p is the mean on test
with two right and two wrong answers added, so that it is never 0 (Agresti and Coull, The American Statistician 52, 1998).

Picking: the best of n values is too good on the average, since luck helped it to be the best (Cawley and Talbot, JMLR 11, 2010).
n equally good trials, scored apart with a noise of standard deviation s, have their best e(n) s beyond what they are worth, e(n)
being the expected largest of n standard normal numbers (David and Nagaraja, Order Statistics, 2003). Trials that differ in worth,
or err on the same rows, have less of it, so e(n) s is the most that luck explains on the average.
"""

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy import special

from evenhand.analysis.summaries import deviation, mean
from evenhand.model import rules
from evenhand.model.direction import best_first, sign_of
from evenhand.model.evaluation import SeedScore
from evenhand.model.session import Session
from evenhand.model.trial import Trial

LIKELY = 1.959964  # standard errors on either side of what is likely: 95 %
TAIL = 0.975
COUNTED_METRICS = ("accuracy", "val_accuracy", "validation_accuracy", "test_accuracy", "error_rate")  # shares of rows
FURTHEST = 9.0  # standard deviations, beyond which no normal number lies that matters
STEPS = 20_001


@dataclass(frozen=True)
class Picked:
    """What picking the best of several explains of the gap between validation and test.

    Attributes:
        count: from how many values it was picked: of trials, or, where a trial's value is its best epoch's, of all their epochs.
        gap: how much better the winner was on validation than on test; negative where it was worse.
        luck: by how much the best of equally good trials would be too good on the average: the most that luck explains.
        most: the largest gap that luck explains with the noise of both numbers, in 97.5 of 100 sessions.
        least: the same for a negative gap.
    """

    count: int
    gap: float
    luck: float
    most: float
    least: float

    @property
    def is_luck(self) -> bool:
        """Whether the gap lies within what luck explains."""
        return self.least <= self.gap <= self.most


@dataclass(frozen=True)
class RunnerUp:
    """The best trial of another configuration, and how far it is behind.

    Attributes:
        trial: the trial.
        behind: by how much its value is worse; negative where the choice was not the best trial.
        noise: a difference that two seeds of one configuration exceed in 5 of 100 cases; None where seeds say nothing.
    """

    trial: Trial
    behind: float
    noise: float | None

    @property
    def differs(self) -> bool | None:
        """Whether it is further behind than the seeds' noise; None where that is not known."""
        return None if self.noise is None else self.behind > self.noise


@dataclass(frozen=True)
class Certainty:
    """How sure a session's result is; what cannot be said is None.

    Attributes:
        winner: the chosen trial, or the best so far; None where no trial has a value, or none was chosen.
        count: how many trials have a value.
        validation_rows: rows that each trial was scored on.
        test_rows: rows that the choice was scored on.
        counted: whether the metric is a share of rows.
        seeds: seeds that have a score on test.
        test: their mean.
        spread: their standard deviation; None of fewer than two.
        row_error: the standard error of the mean that the number of test rows leaves.
        interval: where the mean is likely to lie (95 %), for other seeds and, where `row_error` is known, other rows.
        picked: what the gap between validation and test is explained by.
        runner_up: the next configuration.
    """

    winner: Trial | None
    count: int
    validation_rows: int | None
    test_rows: int | None
    counted: bool
    seeds: int = 0
    test: float | None = None
    spread: float | None = None
    row_error: float | None = None
    interval: tuple[float, float] | None = None
    picked: Picked | None = None
    runner_up: RunnerUp | None = None


def certainty_of(session: Session, scores: Sequence[SeedScore]) -> Certainty:
    """How sure the result of a session is.

    Args:
        session: as it stands.
        scores: of its choice on test, one a seed; none where there are none, or they are not to be seen.

    Returns:
        The numbers.
    """
    valued = best_first(session.trials, session.maximize)
    winner = session.chosen_trial if session.choice is not None else rules.best_trial(session)
    rows, test_rows = session.task.rows("validation"), session.task.rows("test")
    values = [score.value for score in scores if score.value is not None]
    test, spread = mean(values), deviation(values)
    counted = is_counted(session.task.metric) and _are_shares([*values, *(trial.value for trial in valued)])
    row_error = share_error(test, test_rows) if counted and test is not None and test_rows else None
    errors = [row_error or 0.0, 0.0 if spread is None else spread / math.sqrt(len(values))]
    interval = None
    if test is not None and (row_error is not None or spread is not None):
        margin = LIKELY * math.hypot(*errors)
        low, high = (0.0, 1.0) if counted else (-sys.float_info.max, sys.float_info.max)
        interval = max(low, test - margin), min(high, test + margin)
    picked = None
    if counted and rows and test is not None and row_error is not None and winner is not None and winner.value is not None:
        noise = math.hypot(share_error(test, rows), spread or 0.0)
        by_epoch = session.value_rule == "best"
        count = sum(max(1, trial.epochs_done) for trial in valued) if by_epoch else len(valued)
        picked = luck(sign_of(session.maximize) * (winner.value - test), count, noise, math.hypot(*errors))
    return Certainty(
        winner=winner,
        count=len(valued),
        validation_rows=rows,
        test_rows=test_rows,
        counted=counted,
        seeds=len(values),
        test=test,
        spread=spread,
        row_error=row_error,
        interval=interval,
        picked=picked,
        runner_up=_runner_up(session, winner, valued, spread, len(values)),
    )


def _are_shares(values: Iterable[float | None]) -> bool:
    return all(value is None or 0 <= value <= 1 for value in values)


def is_counted(metric: str) -> bool:
    """Whether a metric of this name is a share of rows, so that their number says how sure it is."""
    return metric.lower().replace("-", "_").replace(" ", "_") in COUNTED_METRICS


def share_error(share: float, rows: int) -> float:
    """The standard error of a share over independent rows, never 0; see the module."""
    near = (share * rows + 2) / (rows + 4)
    return math.sqrt(near * (1 - near) / rows)


def luck(gap: float, count: int, noise: float, test_error: float) -> Picked:
    """What picking explains of a gap.

    Args:
        gap: how much better the winner was on validation than on test.
        count: values that it was picked from.
        noise: the standard deviation of one trial's value on validation.
        test_error: the standard error of the mean on test.

    Returns:
        The gap, and what luck explains.
    """
    expected, spread = largest_of(count)
    upper = expected * noise + LIKELY * math.hypot(spread * noise, test_error)
    return Picked(count, gap, expected * noise, upper, -LIKELY * math.hypot(noise, test_error))


@cache
def largest_of(count: int) -> tuple[float, float]:
    """The expected largest of so many standard normal numbers, and its standard deviation."""
    at = np.linspace(-FURTHEST, FURTHEST, STEPS)
    density = count * np.exp(-(at**2) / 2) / math.sqrt(2 * math.pi) * np.exp((count - 1) * special.log_ndtr(at))
    step = at[1] - at[0]
    expected = float(np.sum(at * density) * step)
    return expected, math.sqrt(float(np.sum((at - expected) ** 2 * density) * step))


def _runner_up(
    session: Session, winner: Trial | None, valued: Sequence[Trial], spread: float | None, seeds: int
) -> RunnerUp | None:
    if winner is None or winner.value is None:
        return None
    other = next((trial for trial in valued if trial.configuration != winner.configuration), None)
    if other is None or other.value is None:
        return None
    noise = None if spread is None else _number(float(special.stdtrit(seeds - 1, TAIL)) * math.sqrt(2) * spread)
    return RunnerUp(other, _number(sign_of(session.maximize) * (winner.value - other.value)), noise)


def _number(value: float) -> float:
    """The largest number in place of one that is larger than every number."""
    return max(-sys.float_info.max, min(value, sys.float_info.max))
