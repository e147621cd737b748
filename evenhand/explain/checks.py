"""Health checks of a history: the best at an edge, a corner of failures, still improving or flat, what was done twice or never.

Each check is one sentence with how sure it is, and most have a next step. What chance would bring about in one of twenty healthy
histories is no finding: each test's level is shared among the hyperparameters that it asks.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

from evenhand.explain import noise
from evenhand.explain.card import Card, NextStep, nothing_said
from evenhand.explain.failures import failing_corner
from evenhand.explain.history import History
from evenhand.model.direction import best_first, best_so_far, sign_of
from evenhand.model.domain import Choice, Float, Value, show
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.trial import COUNTED_OUTCOMES, Trial
from evenhand.model.words import amount, is_share, percent, plural, rounded, show_score, span

KEY, TITLE = "checks", "Is the search healthy?"
HOW = (
    "Edge: among the best tenth (5 at the least) more trials in the outer tenth of a range than among the others, by Fisher's "
    "exact test, its 5 % shared among all edges. Corner of failures: a tree of depth 2, by 200 permutations. Gain of ten more "
    "trials: that of the last ten in a random order; its interval by an exponential tail of the best values' spacings."
)
LEVEL = 0.05
EDGE = 0.1  # of a scale, on either end
BEST_SHARE, LEAST_BEST = 0.1, 5
LEAST_TRIALS = 10  # with a value, below which neither edges nor gains are told
MORE = 10  # further trials, whose gain is expected
TAIL = 5  # best values that say how the next ones are spaced
CHEAPER = 1.5  # times, from which a saving is told
STATE_WORDS: Mapping[str, str] = {
    "flat": f"It is flat: {MORE} more trials would bring less than the spread over seeds,",
    "improving": f"It still improves: {MORE} more trials would better the best by",
    "slow": f"It improves slowly: {MORE} more trials would better the best by",
}
LEAST_GAP = 0.2  # of a scale, that was never tried

__all__ = ["Check", "checks"]


@dataclass(frozen=True)
class Check:
    """One finding about a history's health.

    Attributes:
        key: what was checked.
        finding: in a sentence.
        sure: how sure that is.
        is_well: whether nothing has to be done about it.
        trials: that it speaks of.
        next: what to do about it.
        data: its numbers, as JSON holds them.
    """

    key: str
    finding: str
    sure: str = ""
    is_well: bool = False
    trials: tuple[Trial, ...] = ()
    next: tuple[NextStep, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)


def checks(history: History) -> Card:
    """Is the search healthy: all checks that have something to say, the urgent ones first."""
    n = len(history.trials)
    if not n:
        return nothing_said(KEY, TITLE, "No trial has ended yet, so there is nothing to be checked.", n, HOW, checks=[])
    findings = [check for make in CHECKS for check in make(history)]
    urgent = [check for check in findings if not check.is_well]
    ordered = [*urgent, *(check for check in findings if check.is_well)]
    if not ordered and n < LEAST_TRIALS:
        why = f"{plural(n, 'trial')}: too few to be checked. From {LEAST_TRIALS} with a value on, edges and gains are told."
        return nothing_said(KEY, TITLE, why, n, HOW, checks=[])
    more = f" {plural(len(urgent) - 1, 'more finding')} below." if len(urgent) > 1 else ""
    return Card(
        KEY,
        TITLE,
        f"{urgent[0].finding}{more}" if urgent else "Nothing is wrong with the search, as far as it can be told.",
        urgent[0].sure if urgent else "Each check is told only where it is more than chance finds.",
        n,
        HOW,
        {"metric": history.metric, "checks": [_data(check) for check in ordered]},
        trials=tuple(dict.fromkeys(trial.id for check in ordered for trial in check.trials))[: noise.MOST_LISTED],
        next=tuple(step for check in ordered for step in check.next),
    )


def _data(check: Check) -> dict[str, Any]:
    return {
        "key": check.key,
        "finding": check.finding,
        "sure": check.sure,
        "well": check.is_well,
        "trials": [trial.number for trial in check.trials[: noise.MOST_LISTED]],
        "next": [step.words for step in check.next],
        **check.data,
    }


# The best at an edge of its range


def _edges(history: History) -> list[Check]:
    """Ends of ranges at which the best trials lie more often than the others do."""
    valued = history.only(history.valued.tolist())
    count = len(valued.trials)
    if count < LEAST_TRIALS:
        return []
    top = np.zeros(count, bool)
    top[np.argsort(-valued.better, kind="stable")[: max(LEAST_BEST, round(BEST_SHARE * count))]] = True
    asked = list(enumerate(history.space))
    ends = sum(len(_sides(hyperparameter)) for hyperparameter in history.space)
    findings = []
    for place, hyperparameter in asked:
        column = valued.codes[:, place]
        there = np.isfinite(column)
        for side in _sides(hyperparameter):
            near = (column <= EDGE) if side == "low" else (column >= 1 - EDGE)
            if not near[top & there].any() or not _best_is_near(near, valued):
                continue
            table = [
                [int((near & top & there).sum()), int((~near & top & there).sum())],
                [int((near & ~top & there).sum()), int((~near & ~top & there).sum())],
            ]
            p = float(stats.fisher_exact(np.array(table), alternative="greater").pvalue)
            if p <= LEVEL / ends:
                findings.append(_edge(history, hyperparameter, side, table, p))
    return findings


def _sides(hyperparameter: Hyperparameter) -> tuple[str, ...]:
    """The ends of a range beyond which there may be something: not 0, nor 1 of shares, nor those of how long to train."""
    domain = hyperparameter.domain
    if isinstance(domain, Choice) or hyperparameter.fidelity or not domain.high > domain.low:
        return ()
    low = () if domain.low == 0 or (isinstance(domain, Float) and domain.or_zero) else ("low",)
    return (*low, *(() if domain.low >= 0 and domain.high == 1 else ("high",)))


def _best_is_near(near: Any, valued: History) -> bool:
    return bool(near[int(np.argmax(valued.better))])


def _edge(history: History, hyperparameter: Hyperparameter, side: str, table: list[list[int]], p: float) -> Check:
    domain = hyperparameter.domain
    assert not isinstance(domain, Choice)
    end, above = (domain.low, "below") if side == "low" else (domain.high, "above")
    (best_near, best_far), (other_near, other_far) = table
    best, log = best_first(history.trials, history.maximize)[0], domain.log
    factor = (domain.high / domain.low) ** 0.5 if log else None
    wider = (domain.low / factor if side == "low" else domain.high * factor) if factor else _linear(domain, side)
    change = {side: round(wider) if isinstance(end, int) else float(f"{wider:.3g}")}
    return Check(
        "edge",
        f"The best trials lie at the {'lower' if side == 'low' else 'upper'} end of {hyperparameter.label}: "
        f"{best_near} of {best_near + best_far} in its last tenth, near {show(end)}. Values {above} it may be better.",
        f"of the other trials {other_near} of {other_near + other_far} lie there (p {rounded(p)}, shared among all edges)",
        trials=(best,),
        next=(NextStep(f"Widen {hyperparameter.label} to {show(change[side])}", "widen", changes={hyperparameter.name: change}),),
        data={"hyperparameter": hyperparameter.name, "side": side, "end": end, "table": table, "p": p},
    )


def _linear(domain: Any, side: str) -> float:
    room = (domain.high - domain.low) / 2
    return float(domain.low - room if side == "low" else domain.high + room)


# Failures in a corner


def _failures(history: History) -> list[Check]:
    """Where trials fail, by a rule that holds there and hardly elsewhere."""
    corner = failing_corner(history)
    if corner is None:
        return []
    failed, inside = corner.failed, corner.inside
    elsewhere = f"elsewhere {corner.failed_elsewhere} of {plural(corner.elsewhere, 'trial')}"
    newest = "the newest " if corner.count < len(history.trials) else ""
    if not corner.is_told:
        return [
            Check(
                "failures",
                f"{corner.failed_in_all} of {newest}{plural(corner.count, 'trial')} failed, in no corner of their own.",
                f"where {corner.words}, {percent(corner.precision, 0)} did; chance finds such a rule with p {rounded(corner.p)}",
                is_well=True,
                trials=corner.trials,
                data=corner.data,
            )
        ]
    return [
        Check(
            "failures",
            f"Trials fail where {corner.words}: {failed} of {inside} there, {elsewhere}.",
            f"right in {percent(corner.precision, 0)} of {inside} (95 % {percent(corner.low, 0)} to {percent(corner.high, 0)}); "
            f"by chance alone a rule this good is found with p {rounded(corner.p)}",
            trials=corner.trials,
            next=() if corner.changes is None else (NextStep(f"Leave out {corner.words}", "narrow", changes=corner.changes),),
            data=corner.data,
        )
    ]


# Still improving, or flat


@dataclass(frozen=True)
class Expected:
    """What more trials would better the best by: on the average, and at the most in 97.5 of 100 cases.

    chance: that they do at all. of: from how many of the newest trials that is read. rises: whether these are better than those
    before them.
    """

    mean: float
    high: float
    chance: float
    of: int
    rises: bool


def expected_gain(better: Sequence[float], more: int = MORE) -> Expected | None:
    """The gain of more trials like these; where the newer half is better than the older one, like those of the newer half.

    The mean is what the last so many brought in all orders of these, less for how gains become rarer: it assumes little of how
    values are distributed. The interval takes the best values' spacings for those of an exponential tail, which is rather too
    wide where values have an end.

    Args:
        better: the values in order, turned so that larger is better.
        more: how many further trials.

    Returns:
        The gain over the best so far; None of too few.
    """
    values = np.asarray(better, float)
    if len(values) < LEAST_TRIALS:
        return None
    older, newer = values[: len(values) // 2], values[len(values) // 2 :]
    rises = len(newer) >= 2 * more and stats.mannwhitneyu(newer, older, alternative="greater").pvalue < LEVEL
    alike = np.sort(newer if rises else values)[::-1]
    behind = float(values.max() - alike[0])
    count = len(alike)
    # Of all orders, those in which the best j are among the last, and the next best is not.
    away = min(more, count - 1)
    chances = [math.comb(count - j - 1, away - j) / math.comb(count, away) for j in range(1, away + 1)]
    brought = sum(chance * max(0.0, float(alike[0] - alike[j]) - behind) for j, chance in enumerate(chances, 1))
    mean = brought * math.log((count + away) / count) / math.log(count / (count - away))
    chance = more / (count + more)
    scale = float(np.mean(alike[:TAIL] - alike[TAIL]))
    quantile = max(0.0, 1 - 0.025 / chance)  # of gains, where there is one: (1 + x / (k s))^-k is the chance of more than x
    high = TAIL * scale * ((1 - quantile) ** (-1 / TAIL) - 1) if quantile > 0 else 0.0
    return Expected(mean, max(mean, high - behind), chance, count, rises)


def _course(history: History) -> list[Check]:
    """Whether more trials are worth it."""
    valued = history.only(history.valued.tolist())
    values, metric = valued.better.tolist(), history.metric
    expected = expected_gain(values)
    if expected is None:
        return []
    bests = best_so_far(values, True)
    last = max(at for at in range(len(bests)) if at == 0 or bests[at] != bests[at - 1])
    room = _room(valued)
    mean, high = min(expected.mean, room), min(expected.high, room)
    spread = noise.spread(history)
    is_flat = spread is not None and high < spread.value
    rises = expected.rises or (spread is not None and mean >= spread.value)
    state = "flat" if is_flat else "improving" if rises else "slow"
    gain = f"{amount(mean, metric)} on average (95 %: at most {amount(high, metric)})"
    since = len(bests) - last - 1
    return [
        Check(
            "course",
            f"{STATE_WORDS[state]} {gain}; the best was {history.called(valued.trials[last])}, {plural(since, 'trial')} ago.",
            f"for trials like the newest {expected.of}; a gain at all has a chance of {percent(expected.chance, 0)}",
            is_well=state != "improving",
            trials=(valued.trials[last],),
            next=() if state == "flat" else (NextStep(f"Add {MORE} trials", "add", trials=(MORE,)),),
            data={
                "state": state,
                "mean": mean,
                "low": 0.0,
                "high": high,
                "chance": expected.chance,
                "more": MORE,
                "last_best": valued.trials[last].number,
                "since": since,
            },
        )
    ]


def _room(valued: History) -> float:
    """By how much the best can be better at all: a share has an end."""
    values = valued.values
    if not (is_share(valued.metric) and bool(((values >= 0) & (values <= 1)).all())):
        return math.inf
    return float(1 - values.max()) if valued.maximize else float(values.min())


# What was done twice, or not at all


def _duplicates(history: History) -> list[Check]:
    """Configurations that were trained again to the same number."""
    groups: dict[Any, list[Trial]] = {}
    for trial in history.trials:
        if trial.outcome in COUNTED_OUTCOMES:
            groups.setdefault((trial.configuration, trial.epochs_planned, trial.value), []).append(trial)
    again = [trials for trials in groups.values() if len(trials) > 1]
    wasted = sum(len(trials) - 1 for trials in again)
    if not wasted:
        return []
    first = again[0]
    named = " and ".join(history.called(trial) for trial in first[:2])
    return [
        Check(
            "duplicates",
            f"{wasted} of {plural(len(history.trials), 'trial')} repeated a configuration to the same value, such as "
            f"{named}: that cost training, and said nothing new.",
            trials=tuple(trial for trials in again for trial in trials),
            data={"repeated": wasted, "configurations": len(again)},
        )
    ]


def _unexplored(history: History) -> list[Check]:
    """Options that were never tried, and stretches of a scale in which no trial lies though chance would have put some there."""
    best = best_first(history.trials, history.maximize)[:1]
    findings = []
    for place, hyperparameter in enumerate(history.space):
        column = history.codes[:, place]
        column = column[np.isfinite(column)]
        domain = hyperparameter.domain
        if len(column) < LEAST_TRIALS or hyperparameter.fidelity:
            continue
        if isinstance(domain, Choice):
            seen = {domain.index(value) for value in _given(history, hyperparameter) if domain.holds(value)}
            left = [option for at, option in enumerate(domain.options) if at not in seen]
            findings += [_never_tried(hyperparameter, left, best, len(column))] if left else []
            continue
        at = np.sort(np.concatenate(([0.0], column, [1.0])))
        widths = np.diff(at)
        widest = int(np.argmax(widths))
        width = float(widths[widest])
        chance = min(1.0, (len(column) + 1) * (1 - width) ** len(column))
        if width >= LEAST_GAP and chance <= LEVEL / len(history.space.names):
            ends = (float(at[widest]), float(at[widest] + width / 2), float(at[widest + 1]))
            findings.append(_gap(hyperparameter, [domain.from_unit(end) for end in ends], width, best, len(column)))
    return findings


def _given(history: History, hyperparameter: Hyperparameter) -> list[Value]:
    name = hyperparameter.name
    return [trial.configuration[name] for trial in history.trials if name in trial.configuration]


def _never_tried(hyperparameter: Hyperparameter, options: Sequence[Value], best: Sequence[Trial], tried: int) -> Check:
    labels = [hyperparameter.show(option) for option in options]
    named = " and ".join(labels) if len(labels) < 3 else f"{labels[0]} and {len(labels) - 1} more options"
    return Check(
        "unexplored",
        f"{hyperparameter.label} {named} {'was' if len(labels) == 1 else 'were'} never tried in {plural(tried, 'trial')}.",
        is_well=True,
        next=_try(hyperparameter, options[0], best),
        data={"hyperparameter": hyperparameter.name, "options": labels},
    )


def _gap(hyperparameter: Hyperparameter, ends: Sequence[Value], width: float, best: Sequence[Trial], tried: int) -> Check:
    low, middle, high = ends
    return Check(
        "unexplored",
        f"No trial of {tried} has {hyperparameter.label} between {show(low)} and {show(high)}, {percent(width, 0)} of its scale.",
        is_well=True,
        next=_try(hyperparameter, middle, best),
        data={"hyperparameter": hyperparameter.name, "low": low, "high": high, "width": width},
    )


def _try(hyperparameter: Hyperparameter, value: Value, best: Sequence[Trial]) -> tuple[NextStep, ...]:
    """The best configuration with another value, where nothing depends on that: else it would not be complete."""
    if not best or hyperparameter.name not in best[0].configuration:
        return ()
    words = f"Try the best with {hyperparameter.label} {hyperparameter.show(value)}"
    return (NextStep(words, "try", values={**best[0].configuration, hyperparameter.name: value}),)


# Cost against gain


def _cheaper(history: History) -> list[Check]:
    """A cheaper configuration among those that cannot be told from the best."""
    known, configurations = noise.spread(history), noise.tried(history)
    if known is None or len(configurations) < 2:
        return []
    best, *others = noise.not_distinguishable(configurations, known)
    unit, cost_of = _cost(history)
    if cost_of is None:
        return []
    own = cost_of(best.trials[0])
    cheapest = min(others, key=lambda one: cost_of(one.trials[0]), default=None)
    if cheapest is None or not 0 < cost_of(cheapest.trials[0]) * CHEAPER <= own:
        return []
    cost, sign = cost_of(cheapest.trials[0]), sign_of(history.maximize)
    trial = cheapest.trials[0]
    shown = (span(cost), span(own)) if unit == "seconds" else (plural(int(cost), "epoch"), plural(int(own), "epoch"))
    worth = show_score(sign * cheapest.worth, history.metric)
    return [
        Check(
            "cheaper",
            f"{history.called(trial, first=True)} ({worth}) cost {shown[0]} instead of {shown[1]}, and cannot be told from the "
            "best.",
            "by the spread over seeds, as under “Is it noise?”",
            trials=(trial,),
            next=(NextStep(f"Take {history.called(trial)} as the starting point", "try", values=dict(trial.configuration)),),
            data={"trial": trial.number, "cost": cost, "best_cost": own, "unit": unit, "value": sign * cheapest.worth},
        )
    ]


def _cost(history: History) -> tuple[str, Callable[[Trial], float] | None]:
    """What trials cost: seconds of training where they are known, else epochs where these differ."""
    if all(trial.finished_at is not None and trial.seconds(trial.finished_at) > 0 for trial in history.trials):
        return "seconds", lambda trial: trial.seconds(trial.finished_at or 0.0)
    if len({trial.epochs_done for trial in history.trials}) > 1:
        return "epochs", lambda trial: float(trial.epochs_done)
    return "", None


CHECKS: Sequence[Callable[[History], list[Check]]] = (_edges, _failures, _course, _cheaper, _duplicates, _unexplored)
