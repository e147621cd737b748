"""Overfitting of validation: what the best on validation is on test data, and whether luck in picking explains the difference.

It reads test scores at which somebody has looked, and no others: where there is none it says so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from evenhand.analysis.certainty import Picked, is_counted, luck, share_error
from evenhand.analysis.stats import spearman, student_interval
from evenhand.analysis.summaries import deviation, mean
from evenhand.explain import noise
from evenhand.explain.card import Card, nothing_said
from evenhand.explain.history import History
from evenhand.model.direction import best_first, sign_of, value_of
from evenhand.model.trial import Trial
from evenhand.model.words import amount, cases, is_share, p_value, plural, show_score

KEY, TITLE = "overfitting", "Does validation mislead?"
HOW = (
    "The mean over test seeds with Student's interval, beside the value on validation. The best of n equally good trials is "
    "too good by the expected largest of n normal numbers times the noise of one (Cawley and Talbot 2010), at most."
)
LEAST_RANKED = 4  # evaluated trials, from which their order on validation and on test is compared


@dataclass(frozen=True)
class Scored:
    """A trial whose test scores may be seen.

    Attributes:
        trial: the trial.
        value: on validation.
        rank: by it, among all trials with a value; equals have the better one.
        test: the mean over seeds.
        seeds: how many.
        low: of the mean's 95 % interval; None of one seed.
        high: likewise.
    """

    trial: Trial
    value: float
    rank: int
    test: float
    seeds: int
    low: float | None
    high: float | None


def scored(history: History) -> list[Scored]:
    """The trials whose test scores may be seen, the best on validation first."""
    ordered = best_first(history.trials, history.maximize)
    values = [value_of(trial) for trial in ordered]
    made = []
    for trial in ordered:
        seeds = history.tests.get(trial.id, ())
        test, value = mean(seeds), value_of(trial)
        if test is not None and value is not None:
            ends = student_interval(seeds)
            low, high = (None if end is None else _within(end, test, history.metric) for end in (ends.low, ends.high))
            made.append(Scored(trial, value, values.index(value) + 1, test, len(seeds), low, high))
    return made


def _within(end: float, test: float, metric: str) -> float:
    """An end of an interval: of a share within 0 and 1."""
    return min(max(end, 0.0), 1.0) if is_share(metric) and 0 <= test <= 1 else end


def overfitting(history: History) -> Card:
    """Does validation mislead: the best's place on validation against its test, over seeds."""
    ranked = scored(history)
    n = int(history.valued.sum())
    if not ranked:
        why = (
            "No test score of these trials has been looked at, so none is shown here. Once somebody has looked at the choice's "
            "score, where it is shown (the look is logged), this card says whether validation was too good."
        )
        return nothing_said(KEY, TITLE, why, n, HOW, trials=[])
    best, metric = ranked[0], history.metric
    picked = _picked(history, best, n)
    gap = sign_of(history.maximize) * (best.value - best.test)
    data = {
        "metric": metric,
        "maximize": history.maximize,
        "gap": gap,
        "explained": None if picked is None else {"luck": picked.luck, "most": picked.most, "least": picked.least},
        "is_luck": None if picked is None else picked.is_luck,
        "trials": [_data(history, one) for one in ranked],
        "rank_correlation": _correlation(ranked),
    }
    return Card(
        KEY,
        TITLE,
        f"{_compared(history, best, n, gap)} {_explained(picked, metric)}{_overtaken(ranked, history)}",
        _sure(best, ranked, metric),
        n,
        HOW,
        data,
        trials=tuple(one.trial.id for one in ranked),
    )


def _data(history: History, one: Scored) -> dict[str, Any]:
    return {
        "called": history.called(one.trial),
        "trial": one.trial.number,
        "id": one.trial.id,
        "validation": one.value,
        "rank": one.rank,
        "test": one.test,
        "seeds": one.seeds,
        "low": one.low,
        "high": one.high,
    }


def _picked(history: History, best: Scored, count: int) -> Picked | None:
    """What picking explains of the gap; None where nothing says how noisy one value is."""
    seeds = history.tests[best.trial.id]
    over_seeds = deviation(seeds)
    shares = 0 <= best.test <= 1 and 0 <= best.value <= 1 and is_counted(history.metric)
    if shares and history.validation_rows and history.test_rows:
        of_rows, of_test = (share_error(best.test, rows) for rows in (history.validation_rows, history.test_rows))
    else:
        known = noise.spread(replace(history, tests={}))
        if over_seeds is None and known is None:
            return None
        of_rows, of_test = 0.0, 0.0
        over_seeds = known.value if known is not None else over_seeds
    one = math.hypot(of_rows, over_seeds or 0.0)
    gap = sign_of(history.maximize) * (best.value - best.test)
    return luck(gap, count, one, math.hypot(of_test, (over_seeds or 0.0) / math.sqrt(len(seeds))))


def _correlation(ranked: Sequence[Scored]) -> dict[str, float | None] | None:
    if len(ranked) < LEAST_RANKED:
        return None
    order = spearman([one.value for one in ranked], [one.test for one in ranked], None)
    return None if order.rho is None else {"rho": order.rho, "p": order.p, "n": order.n}


def _compared(history: History, best: Scored, n: int, gap: float) -> str:
    metric, called = history.metric, history.called(best.trial, first=True)
    place = "the best" if best.rank == 1 else f"number {best.rank}"
    way = "as good there" if gap == 0 else f"{amount(abs(gap), metric)} {'worse' if gap > 0 else 'better'} there"
    return (
        f"{called} is {place} of {n} on validation ({show_score(best.value, metric)}); on test it reached "
        f"{show_score(best.test, metric)} over {plural(best.seeds, 'seed')}, {way}."
    )


def _explained(picked: Picked | None, metric: str) -> str:
    if picked is None:
        return "Whether that is more than luck cannot be said: one seed, and nothing that says how far seeds spread."
    if picked.is_luck:
        return f"That is no more than luck: picking one of {picked.count} explains up to {amount(picked.most, metric)}."
    if picked.gap > 0:
        return (
            f"That is more than picking one of {picked.count} explains ({amount(picked.most, metric)} at most): the two sets "
            "differ, or validation was learnt from."
        )
    return "Luck does not make it better there: the two sets differ, or the models for test learnt from more data."


def _overtaken(ranked: Sequence[Scored], history: History) -> str:
    """What is said of another evaluated trial that is better on test."""
    sign = sign_of(history.maximize)
    other = max(ranked, key=lambda one: sign * one.test)
    if other is ranked[0]:
        return "" if len(ranked) == 1 else f" It is the best of the {len(ranked)} that were evaluated on test, too."
    return f" On test {history.called(other.trial)} is better ({show_score(other.test, history.metric)})."


def _sure(best: Scored, ranked: Sequence[Scored], metric: str) -> str:
    ends = (
        "one seed, so no interval"
        if best.low is None or best.high is None
        else f"95 % {show_score(best.low, metric)} to {show_score(best.high, metric)} over seeds"
    )
    order = _correlation(ranked)
    by_order = "" if order is None else f"; the order on validation and on test: rho {order['rho']:.2f}, p {p_value(order['p'])}"
    return f"{ends}{by_order}; {cases(len(ranked), 'evaluated trial')}"
