"""Scores: means over seeds, the best value so far on the budget's clock, and what changed from trial to trial."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evenhand import protocol
from evenhand.declaration import Budget
from evenhand.records import Evaluation, Extension, Session, Trial
from evenhand.space import Configuration, Space, Value, show

Unit = Literal["seconds", "trials", "epochs"]
SHARES = ("accuracy", "precision", "recall", "f1", "auc")  # metrics in [0, 1] that people read in percent


@dataclass(frozen=True)
class Change:
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


def changes(space: Space, before: Mapping[str, Value] | None, after: Mapping[str, Value]) -> tuple[Change, ...]:
    """What differs from `before` (None: from the defaults), in the space's order.

    A hyperparameter that came with a condition (momentum with SGD) is named only where it is not at its default; one that
    left with it is not named, since the condition's own change says so.
    """
    found = []
    for each in space:
        if each.name not in after:
            continue
        old = each.default if before is None else before.get(each.name)
        new = after[each.name]
        appeared = before is not None and each.name not in before
        if (appeared and new == each.default) or (not appeared and new == old):
            continue
        found.append(Change(each.name, each.label, None if old is None else each.show(old), each.show(new)))
    return tuple(found)


def mean(values: Sequence[float]) -> float | None:
    """The arithmetic mean; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation (divided by n - 1); None of fewer than two values."""
    if len(values) < 2:
        return None
    middle = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((value - middle) ** 2 for value in values) / (len(values) - 1))


def summary(values: Iterable[float | None]) -> Summary:
    """Count, mean and standard deviation of the values that are there."""
    there = [value for value in values if value is not None]
    return Summary(len(there), mean(there), deviation(there))


def summarize(evaluation: Evaluation) -> Summary:
    """Of an evaluation's seeds that have a score."""
    return summary(score.value for score in evaluation.scores)


def unit_of(budget: Budget) -> Unit:
    """What the budget's clock counts: time where that is capped, else trials, else epochs."""
    if budget.seconds is not None:
        return "seconds"
    return "trials" if budget.trials is not None else "epochs"


def used(session: Session, at: float, unit: Unit) -> float:
    """What the session had spent at a moment; seconds are those of its own clock, see `clock`."""
    if unit == "seconds":
        return clock(session, at)
    past = replace(session, trials=_until(session.trials, at))
    return float(protocol.trials_used(past) if unit == "trials" else protocol.epochs_used(past))


def clock(session: Session, at: float) -> float:
    """Seconds on the session's clock at a moment: since its start, without waiting for agents, outages and pauses."""
    if session.started_at is None or at <= session.started_at:
        return 0.0
    outages = tuple(_clip(each, at) for each in session.extensions if each.start is not None and each.start < at)
    pauses = tuple(replace(each, end=min(at, each.end or at)) for each in session.pauses if each.start < at)
    past = replace(session, trials=_until(session.trials, at), extensions=outages, pauses=pauses)
    return max(0.0, at - session.started_at - protocol.credit(past, at))


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


def best_so_far(session: Session, unit: Unit, now: float | None = None) -> tuple[Best, ...]:
    """Each improvement of the best validation value, when its trial ended, in order.

    With `now`, a trial that still trains and is ahead already comes last, as it stands.
    """
    sign = 1.0 if session.maximize else -1.0
    steps: list[Best] = []
    for trial in sorted(session.trials, key=lambda each: (each.finished_at or math.inf, each.number)):
        at = trial.finished_at or now
        if trial.value is None or at is None:
            continue
        if not steps or sign * trial.value > sign * steps[-1].value:
            steps.append(Best(used(session, at, unit), trial.value, trial.number))
    return tuple(steps)


def is_share(metric: str) -> bool:
    """Whether the metric lies in [0, 1] and is read in percent."""
    return metric.lower().replace("-", "_").split("_")[-1] in SHARES


def show_score(value: float | None, metric: str, digits: int = 1) -> str:
    """A score as people read it: 64.6 % for an accuracy, four significant digits for anything else, a dash for none."""
    if value is None:
        return "–"
    return f"{100 * value:.{digits}f}\u202f%" if is_share(metric) else show(float(f"{value:.4g}"))


def reference(session: Session, trial: Trial) -> Configuration | None:
    """The configuration that a trial's changes are told against: the one of the trial before it."""
    before = session.trial(trial.number - 1)
    return before.configuration if before else None
