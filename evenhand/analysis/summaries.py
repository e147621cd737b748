"""Scores: means over seeds, the best value so far on the budget's clock, and what changed from trial to trial."""

import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evenhand.model import rules
from evenhand.model.configuration import Configuration
from evenhand.model.direction import is_better, value_of
from evenhand.model.domain import Value, is_same
from evenhand.model.evaluation import Evaluation
from evenhand.model.session import Extension, Session
from evenhand.model.space import Space
from evenhand.model.study import Budget
from evenhand.model.trial import Trial

LARGEST_DRAWN_NUMBER = sys.float_info.max / 1000  # room for percent, for margins, and for an axis from one end to the other
SMALLEST_DRAWN_NUMBER = 1e-290  # below which the steps of an axis are no numbers
Unit = Literal["seconds", "trials", "epochs"]


@dataclass(frozen=True)
class ValueChange:
    """One hyperparameter that differs; the values as people read them. before: None where it had none; after: likewise."""

    name: str
    label: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class Summary:
    """Of the scores that exist: how many, their mean, and their standard deviation (ddof 1; None for fewer than two)."""

    count: int
    mean: float | None
    deviation: float | None


@dataclass(frozen=True)
class Best:
    """An improvement: what the session had spent when it came, the value, and the trial's number."""

    used: float
    value: float
    number: int


def changes(space: Space, before: Mapping[str, Value] | None, after: Mapping[str, Value]) -> tuple[ValueChange, ...]:
    """What differs from `before` (None: from the defaults), in the space's order.

    A hyperparameter that came with a condition (momentum with SGD) is named only where it is not at its default; one that
    left with it is not named, since the condition's own change says so.
    """
    differences = []
    for hyperparameter in space:
        if hyperparameter.name not in after:
            continue
        known = space.defaults() if before is None else before
        new, is_known = after[hyperparameter.name], hyperparameter.name in known
        old = known[hyperparameter.name] if is_known else hyperparameter.default
        if (is_known or (before is not None and not hyperparameter.mandatory)) and is_same(old, new):
            continue
        differences.append(
            ValueChange(
                hyperparameter.name,
                hyperparameter.label,
                hyperparameter.show(old) if is_known else None,
                hyperparameter.show(new),
            )
        )
    return tuple(differences)


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean, of numbers of any size; None of nothing."""
    scale = scale_of(values)
    return scale * (math.fsum(value / scale for value in values) / len(values)) if values else None


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation (divided by n - 1), of numbers of any size; None of fewer than two values.

    One that is larger than every number is the largest number.
    """
    if len(values) < 2:
        return None
    if min(values) == max(values):
        return 0.0  # whose mean in floating point may be another number
    scale = scale_of(values)
    scaled = [value / scale for value in values]
    middle = math.fsum(scaled) / len(scaled)
    spread = math.sqrt(math.fsum((value - middle) ** 2 for value in scaled) / (len(scaled) - 1))
    return bounded(scale * spread)


def bounded(value: float) -> float:
    """A number that is beyond the largest one as that."""
    return max(-sys.float_info.max, min(value, sys.float_info.max))


def scale_of(values: Sequence[float]) -> float:
    """1 for ordinary numbers; else a power of two, by which they can be divided exactly, so that sums of squares are numbers."""
    largest = max(map(abs, values), default=0.0)
    return 1.0 if largest == 0 or 1e-140 < largest < 1e140 else 2.0 ** (math.frexp(largest)[1] - 1)


def drawn(value: float) -> float:
    """A number as a chart draws it: nearer to 0 where it is so large that its distance to another one might be no number, and 0
    where it is so small that an axis has no steps.
    """
    if not math.isfinite(value):
        return value
    return 0.0 if abs(value) < SMALLEST_DRAWN_NUMBER else max(-LARGEST_DRAWN_NUMBER, min(value, LARGEST_DRAWN_NUMBER))


def summary(values: Iterable[float | None]) -> Summary:
    """Count, mean and standard deviation of the values that are there."""
    there = [value for value in values if value is not None]
    return Summary(len(there), mean(there), deviation(there))


def summarize(evaluation: Evaluation) -> Summary:
    """Of an evaluation's seeds that have a score."""
    return summary(score.value for score in evaluation.scores)


def further_summaries(evaluation: Evaluation, names: Iterable[str]) -> dict[str, Summary]:
    """Of each of these metrics that an evaluation's trainings reported beside the first."""
    made = {name: summary(score.extra.get(name) for score in evaluation.scores if score.value is not None) for name in names}
    return {name: of_metric for name, of_metric in made.items() if of_metric.count}


def unit_of(budget: Budget) -> Unit:
    """What the budget's clock counts: time where that is capped, else trials, else epochs."""
    if budget.seconds is not None:
        return "seconds"
    return "trials" if budget.trials is not None else "epochs"


def cap(budget: Budget, unit: Unit) -> float:
    """The budget's cap in its unit; 0 where that is not capped."""
    return float({"seconds": budget.seconds, "trials": budget.trials, "epochs": budget.epochs}[unit] or 0)


def used(session: Session, at: float, unit: Unit) -> float:
    """What the session had spent at a moment; seconds are those of its own clock, see `clock`."""
    if unit == "seconds":
        return clock(session, at)
    past = replace(session, trials=_until(session.trials, at))
    return float(rules.trials_used(past) if unit == "trials" else rules.epochs_used(past))


def clock(session: Session, at: float) -> float:
    """Seconds on the session's clock at a moment: since its start, without waiting for agents, outages and pauses."""
    if session.started_at is None or at <= session.started_at:
        return 0.0
    outages = tuple(
        _clip(extension, at) for extension in session.extensions if extension.start is not None and extension.start < at
    )
    pauses = tuple(replace(pause, end=min(at, pause.end or at)) for pause in session.pauses if pause.start < at)
    past = replace(session, trials=_until(session.trials, at), extensions=outages, pauses=pauses)
    return max(0.0, at - session.started_at - rules.credit(past, at))


def _clip(outage: Extension, at: float) -> Extension:
    assert outage.start is not None
    return replace(outage, seconds=min(outage.seconds, at - outage.start))


def _until(trials: Iterable[Trial], at: float) -> tuple[Trial, ...]:
    """The trials as they were at a moment, as far as the clock is concerned."""
    past = []
    for trial in trials:
        if trial.submitted_at > at:
            continue
        if trial.claimed_at is not None and trial.claimed_at > at:
            trial = replace(trial, claimed_at=None)
        if trial.finished_at is not None and trial.finished_at > at:
            trial = replace(trial, finished_at=None, outcome=None)
        past.append(trial)
    return tuple(past)


def best_so_far(session: Session, unit: Unit) -> tuple[Best, ...]:
    """Each improvement of the best validation value, when its trial ended, in order; one that trains may still fall behind."""
    steps: list[Best] = []
    for trial in sorted(session.trials, key=lambda trial: (trial.finished_at or math.inf, trial.number)):
        at, value = trial.finished_at, value_of(trial)
        if value is None or at is None:
            continue
        if not steps or is_better(value, steps[-1].value, session.maximize):
            steps.append(Best(used(session, at, unit), value, trial.number))
    return tuple(steps)


def reference(session: Session, trial: Trial) -> Configuration | None:
    """The configuration that a trial's changes are told against: the one of the trial before it."""
    before = session.trial(trial.number - 1)
    return before.configuration if before else None
