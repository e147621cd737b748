"""Sentences about a whole run, under the top of its page: its gain over a baseline, what it cost, what was seen before."""

from dataclasses import dataclass

from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.model.words import clock


@dataclass(frozen=True)
class RunFacts:
    """What there is to say of a run, a sentence each; "" where there is nothing.

    baseline_id: the number of the baseline's session; None where none is declared.
    """

    gain: str
    baseline_id: int | None
    cost: str
    seen_before: str


def facts_of(lab: Lab, session: Session, who: str) -> RunFacts:
    """The sentences, for somebody. session: without its trials, too, so that a page of thousands reads none of them for this."""
    gain, seen = lab.runs.gain(session.id, who), lab.evaluations.seen_before(session.id)
    return RunFacts(
        gain="" if gain is None else gain.words,
        baseline_id=None if gain is None else gain.baseline_id,
        cost=_cost(lab, session),
        seen_before="" if seen is None else seen.words,
    )


def _cost(lab: Lab, session: Session) -> str:
    """What its training has cost: in time where nothing was declared, then with the rates."""
    cost = session.budget.cost
    seconds = lab.runs.training_seconds(session.id)
    if not seconds:
        return ""
    most = "" if cost is None or cost.most_seconds is None else f" of {clock(cost.most_seconds)}"
    price = "" if cost is None else cost.words(seconds)
    said = f"{clock(seconds)}{most} of training"
    return f"{said}: {price}, at {cost.rate_words}." if cost is not None and price else f"{said}."


def trial_cost(session: Session, trial: Trial, now: float) -> str:
    """What a trial has cost at the run's rates, as people say it; "" where none were declared, or it has not trained."""
    cost = session.budget.cost
    if cost is None or trial.claimed_at is None:
        return ""
    return cost.words(trial.seconds(now))
