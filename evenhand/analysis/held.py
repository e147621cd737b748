"""What became of what people believed: whether the trials after a belief bear it out. Pure functions of a session's record."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.stats import spearmanr

from evenhand.records import COUNTED, Outcome, Session, Trial
from evenhand.space import Choice, Hyperparameter, Prior, Value, keeps_to

FEW = 6  # trials with a value below which nothing is said
TASK = "the task"  # who is named for what the task's own file says
EACH = 2  # of them on either side, at the least, before their medians are compared

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
    found = [Belief(each.name, each.prior, TASK, session.opened_at) for each in session.space if each.prior is not None]
    for each in session.interventions:
        if each.kind != "believes":
            continue
        for name, said in each.detail.items():
            found = [_ended(belief, name, each.at, said is None) for belief in found]
            if said is not None:
                found.append(Belief(name, Prior(**said), each.who, each.at, each.reason))
    return tuple(found)


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
    return tuple(_became(session, each) for each in beliefs(session))


def _became(session: Session, belief: Belief) -> Became:
    hyperparameter = session.space[belief.name]
    while_held = [each for each in session.trials if _is_while(each, belief) and belief.name in each.configuration]
    ended = [each for each in while_held if each.outcome in COUNTED]
    valued = [each for each in ended if each.value is not None and each.outcome is not Outcome.INVALID]
    best = _best(session, valued)
    trend = _trend(hyperparameter, valued, session.maximize)
    if belief.prior.value is None:
        number = None if best is None else best.number
        why = _why_not_told(belief.prior, len(valued))
        return Became(belief, None, None, number, None, 0, 0, trend, len(valued), "undecided", why)
    keeps = {each.number: _keeps(hyperparameter, each, belief.prior) for each in while_held}
    inside = _side(session, [each for each in ended if keeps[each.number]])
    outside = _side(session, [each for each in ended if not keeps[each.number]])
    own = [each for each in while_held if each.proposer == session.tuner]
    late = own[len(own) - math.ceil(len(own) / 3) :]
    late_outside = sum(not keeps[each.number] for each in late)
    best_inside = None if best is None else keeps[best.number]
    verdict, why = _verdict(session, inside, outside, best_inside, len(late), late_outside)
    number = None if best is None else best.number
    return Became(belief, inside, outside, number, best_inside, len(late), late_outside, trend, len(valued), verdict, why)


def _is_while(trial: Trial, belief: Belief) -> bool:
    return belief.at <= trial.submitted_at and (belief.until is None or trial.submitted_at < belief.until)


def _keeps(hyperparameter: Hyperparameter, trial: Trial, prior: Prior) -> bool:
    return bool(keeps_to(hyperparameter.domain, trial.configuration[hyperparameter.name], prior))


def _sign(session: Session) -> float:
    return 1.0 if session.maximize else -1.0


def _best(session: Session, valued: Sequence[Trial]) -> Trial | None:
    return max(valued, key=lambda each: (_sign(session) * (each.value or 0.0), -each.number), default=None)


def _side(session: Session, ended: Sequence[Trial]) -> Side:
    values = [each.value for each in ended if each.value is not None and each.outcome is not Outcome.INVALID]
    best = max(values, key=lambda value: _sign(session) * value, default=None)
    return Side(len(ended), len(values), best, statistics.median(values) if values else None)


def _verdict(
    session: Session, inside: Side, outside: Side, best_inside: bool | None, late: int, late_outside: int
) -> tuple[Verdict, str]:
    valued = inside.valued + outside.valued
    if valued < FEW:
        return "undecided", f"{valued} of at least {FEW} trials with a score so far"
    if not inside.trials:
        return "undecided", "no trial lies within it, so it was never tried"
    if best_inside:
        if min(inside.valued, outside.valued) < EACH:
            side = "within it" if inside.valued < outside.valued else "outside of it"
            return "undecided", f"fewer than {EACH} trials with a score lie {side}, so there is nothing to compare"
        assert inside.median is not None
        assert outside.median is not None
        if _sign(session) * (inside.median - outside.median) > 0:
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
    units = [_unit(hyperparameter, each.configuration[hyperparameter.name]) for each in valued]
    scores = [each.value for each in valued if each.value is not None]
    if len(set(units)) < 2 or len(set(scores)) < 2:
        return None
    rho = float(spearmanr(units, scores).statistic)
    return rho if maximize else -rho


def _unit(hyperparameter: Hyperparameter, value: Value) -> float:
    domain = hyperparameter.domain
    return domain.to_unit(str(value)) if isinstance(domain, Choice) else domain.to_unit(float(value))


def _why_not_told(prior: Prior, valued: int) -> str:
    """Why trials do not decide a belief that names no likely value."""
    if prior.better is not None and valued < FEW:
        return f"{valued} of at least {FEW} trials with a score so far"
    what = "which direction is better" if prior.better is not None else "how much one hyperparameter matters"
    return f"trials that were chosen to score well do not tell {what}, apart from all else that changed with it"
