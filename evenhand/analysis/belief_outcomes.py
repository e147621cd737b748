"""What became of what people believed: whether the trials after a belief bear it out. Pure functions of a session's record."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import spearmanr

from evenhand.model.direction import best_of, best_trial, is_better, sign_of, value_of
from evenhand.model.domain import Choice, Value
from evenhand.model.hyperparameter import Hyperparameter, Prior, keeps_to
from evenhand.model.session import Session
from evenhand.model.trial import COUNTED_OUTCOMES, Trial

FEW_TRIALS = 6  # trials with a value below which nothing is said
TASK_NAME = "the task"  # who is named for what the task's own file says
LEAST_TRIALS_A_SIDE = 2  # of them on either side, at the least, before their medians are compared

Verdict = Literal["helped", "overruled", "undecided"]


@dataclass(frozen=True)
class Belief:
    """What somebody believed of a hyperparameter. until: when it was replaced or taken back; None while it is held.

    ended: how it ended, in words; "" while it is held.
    """

    name: str
    prior: Prior
    who: str
    at: float
    reason: str = ""
    until: float | None = None
    ended: str = ""


@dataclass(frozen=True)
class Side:
    """Trials on one side of a belief: how many ended, how many of them have a value, the best of these and their median."""

    trials: int
    valued: int
    best: float | None
    median: float | None


@dataclass(frozen=True)
class Became:
    """A belief, and what the trials that were proposed while it was held say of it.

    inside, outside: of the believed region (see `space.keeps_to`, on the task's own scale); None where no value is believed
    likely. best: the number of the best of these trials. best_inside: whether it lies within the region. late: how many trials
    the last third of the method's own are; late_outside: how many of them lie outside. trend: Spearman's rank correlation of
    value and score, above 0 where larger values did better, over `valued` trials; None where it cannot be computed. why: the
    verdict's reason, in words.
    """

    belief: Belief
    inside: Side | None
    outside: Side | None
    best: int | None
    best_inside: bool | None
    late: int
    late_outside: int
    trend: float | None
    valued: int
    verdict: Verdict
    why: str


def beliefs(session: Session) -> tuple[Belief, ...]:
    """Every belief that was recorded in a session, in the order in which they were given; the task's own come first."""
    all_beliefs = [
        Belief(hyperparameter.name, hyperparameter.prior, TASK_NAME, session.opened_at)
        for hyperparameter in session.space
        if hyperparameter.prior is not None
    ]
    for intervention in session.interventions:
        if intervention.kind != "believes":
            continue
        for name, said in intervention.detail.items():
            all_beliefs = [_ended(belief, name, intervention.at, said is None) for belief in all_beliefs]
            if said is not None:
                all_beliefs.append(Belief(name, Prior(**said), intervention.who, intervention.at, intervention.reason))
    return tuple(all_beliefs)


def now_believed(session: Session) -> dict[str, Prior]:
    """What is believed now, as it was said; the task's own beliefs where nothing was said since."""
    return {belief.name: belief.prior for belief in beliefs(session) if belief.until is None}


def _ended(belief: Belief, name: str, at: float, taken_back: bool) -> Belief:
    if belief.name != name or belief.until is not None:
        return belief
    ended = "taken back" if taken_back else "replaced"
    return Belief(belief.name, belief.prior, belief.who, belief.at, belief.reason, at, ended)


def became(session: Session) -> tuple[Became, ...]:
    """What became of each belief: `helped` or `overruled` where a likely value was named and the trials decide it.

    helped: the best trial lies inside, and the median inside is better than the one outside. overruled: the best trial lies
    outside, and so do most of the last third of the method's own. Trials that the method chose cannot tell how much a
    hyperparameter matters, so beliefs of importance and of a direction stay undecided; a direction's rank correlation is given.
    """
    return tuple(_became(session, belief) for belief in beliefs(session))


def _became(session: Session, belief: Belief) -> Became:
    hyperparameter = session.space[belief.name]
    while_held = [trial for trial in session.trials if _is_while(trial, belief) and belief.name in trial.configuration]
    ended = [trial for trial in while_held if trial.outcome in COUNTED_OUTCOMES]
    valued = [trial for trial in ended if value_of(trial) is not None]
    best = best_trial(valued, session.maximize)
    trend = _trend(hyperparameter, valued, session.maximize)
    if belief.prior.value is None:
        number = None if best is None else best.number
        why = _why_not_told(belief.prior, len(valued))
        return Became(belief, None, None, number, None, 0, 0, trend, len(valued), "undecided", why)
    keeps = {trial.number: _keeps(hyperparameter, trial, belief.prior) for trial in while_held}
    inside = _side(session, [trial for trial in ended if keeps[trial.number]])
    outside = _side(session, [trial for trial in ended if not keeps[trial.number]])
    own = [trial for trial in while_held if trial.proposer == session.tuner]
    late = own[len(own) - math.ceil(len(own) / 3) :]
    late_outside = sum(not keeps[trial.number] for trial in late)
    best_inside = None if best is None else keeps[best.number]
    verdict, why = _verdict(session, inside, outside, best_inside, len(late), late_outside)
    number = None if best is None else best.number
    return Became(belief, inside, outside, number, best_inside, len(late), late_outside, trend, len(valued), verdict, why)


def _is_while(trial: Trial, belief: Belief) -> bool:
    return belief.at <= trial.submitted_at and (belief.until is None or trial.submitted_at < belief.until)


def _keeps(hyperparameter: Hyperparameter, trial: Trial, prior: Prior) -> bool:
    return bool(keeps_to(hyperparameter.domain, trial.configuration[hyperparameter.name], prior))


def _side(session: Session, ended: Sequence[Trial]) -> Side:
    values = [value for trial in ended if (value := value_of(trial)) is not None]
    return Side(len(ended), len(values), best_of(values, session.maximize), statistics.median(values) if values else None)


def _verdict(
    session: Session, inside: Side, outside: Side, best_inside: bool | None, late: int, late_outside: int
) -> tuple[Verdict, str]:
    valued = inside.valued + outside.valued
    if valued < FEW_TRIALS:
        return "undecided", f"{valued} of at least {FEW_TRIALS} trials with a score so far"
    if not inside.trials:
        return "undecided", "no trial lies within it, so it was never tried"
    if best_inside:
        if min(inside.valued, outside.valued) < LEAST_TRIALS_A_SIDE:
            side = "within it" if inside.valued < outside.valued else "outside of it"
            return "undecided", f"fewer than {LEAST_TRIALS_A_SIDE} trials with a score lie {side}, so there is nothing to compare"
        assert inside.median is not None
        assert outside.median is not None
        if is_better(inside.median, outside.median, session.maximize):
            return "helped", "the best trial lies within it, and the median within it is better than outside"
        return "undecided", "the best trial lies within it, yet the median within it is no better than outside"
    if 2 * late_outside > late:
        return "overruled", "the best trial lies outside of it, and so do most of the method's last trials"
    return "undecided", "the best trial lies outside of it, but the method still tries within it"


def _trend(hyperparameter: Hyperparameter, valued: Sequence[Trial], maximize: bool) -> float | None:
    """None without an order, or where all values or all scores are the same."""
    domain = hyperparameter.domain
    if isinstance(domain, Choice) and not domain.ordered:
        return None
    units = [_unit(hyperparameter, trial.configuration[hyperparameter.name]) for trial in valued]
    scores = [trial.value for trial in valued if trial.value is not None]
    if len(set(units)) < 2 or len(set(scores)) < 2:
        return None
    rho = float(spearmanr(units, scores).statistic)
    return sign_of(maximize) * rho


def _unit(hyperparameter: Hyperparameter, value: Value) -> float:
    return hyperparameter.domain.to_unit(value)


def _why_not_told(prior: Prior, valued: int) -> str:
    """Why trials do not decide a belief that names no likely value."""
    if prior.better is not None and valued < FEW_TRIALS:
        return f"{valued} of at least {FEW_TRIALS} trials with a score so far"
    what = "which direction is better" if prior.better is not None else "how much one hyperparameter matters"
    return f"trials that were chosen to score well do not tell {what}, apart from all else that changed with it"
