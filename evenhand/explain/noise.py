"""Is it noise: how far the value of one configuration spreads over seeds, and what of the best is more than that.

The spread is measured where a configuration was trained several times with other numbers to show for it, or evaluated over seeds;
else it is estimated from near neighbours, which differ by their seeds and by what little their values differ in, so that it is
rather too large (difference-based estimates of the variance: Gasser, Sroka and Jennen-Steinmetz, Biometrika 73, 1986).

Which trials cannot be told from the best: Gupta's subset (Technometrics 7, 1965) contains the configuration that is truly the
best of those tried in 95 of 100 histories. The best of many is too good on the average; it is shrunk by Tweedie's formula with
the distribution of true values that fits all of them best (Efron, JASA 106, 2011), which takes most of the luck away, not all.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from scipy import special, stats

from evenhand.analysis.certainty import largest_of
from evenhand.explain.card import Card, NextStep, nothing_said
from evenhand.explain.encoding import distances
from evenhand.explain.history import Codes, History
from evenhand.model.direction import sign_of, value_of
from evenhand.model.trial import Trial
from evenhand.model.words import amount, amounts, plural, show_score

KEY, TITLE = "noise", "Is it noise?"
HOW = (
    "The spread is the standard deviation of a configuration's value over trainings with other seeds, pooled over "
    "configurations. Not to be told from the best: Gupta's subset at 95 % (1965). "
    "The corrected best: Tweedie's formula (Efron 2011). In simulated histories it took two thirds of the luck away, and its "
    "interval held the true value in 9 of 10."
)
LEVEL = 0.95
LEAST_MEASURED = 2  # degrees of freedom of a measured spread
LEAST_ESTIMATED = 20  # trials with a value, below which neighbours say nothing
MOST_ESTIMATED = 600  # trials whose neighbours are looked at: the newest
NEIGHBOURS = 5  # that say whether a trial lies in a good region
MEDIAN_SQUARE = 0.4549364  # the median of the square of a standard normal number
LEAST_CORRECTED = 10  # configurations, below which only the most that luck explains is said
RERUN_TRIALS, RERUN_SEEDS = 5, 3
MOST_LISTED = 50  # trials that the numbers list
MOST_OTHERS = 10  # of those that can be told from the best
GRID = 241  # true values that are thought possible
MOST_FITTED = 1000  # best configurations that say how true values are distributed
FITS = 200  # steps in which their distribution is fitted
UNSEEN = 2.0  # configurations' worth of doubt that the distribution is as it was fitted
FURTHEST = 8.0  # spreads below the best, beyond which a trial says nothing of it

Source = Literal["measured", "evaluated", "estimated"]


@dataclass(frozen=True)
class Spread:
    """The standard deviation of one configuration's value over seeds.

    Attributes:
        value: of a single training.
        source: measured on validation, evaluated on test data, or estimated from neighbours.
        freedom: degrees of freedom; None of an estimate.
        low: of its 95 % interval.
        high: likewise.
        configurations: how many it is of.
        trainings: how many it is of.
    """

    value: float
    source: Source
    freedom: int | None
    low: float
    high: float
    configurations: int
    trainings: int


@dataclass(frozen=True)
class Tried:
    """A configuration that has values: their mean, turned so that larger is better, and how many trainings that is of."""

    trials: tuple[Trial, ...]
    worth: float

    @property
    def count(self) -> int:
        """Trainings."""
        return len(self.trials)


@dataclass(frozen=True)
class Corrected:
    """What the best configuration is worth: the value that it showed, shrunk, and where its true value is likely (95 %)."""

    value: float
    low: float
    high: float


# The spread


def spread(history: History) -> Spread | None:
    """How far a configuration's value spreads over seeds; None where nothing says it."""
    measured, evaluated = _measured(history), _evaluated(history)
    for known in (measured, evaluated):
        if known is not None and (known.freedom or 0) >= LEAST_MEASURED:
            return known
    return _estimated(history) or measured or evaluated


def _pooled(samples: Sequence[Sequence[float]], source: Source) -> Spread | None:
    """The pooled standard deviation of samples; None where they are too few, or all alike, as with a seed that never changes."""
    freedom = sum(len(sample) - 1 for sample in samples)
    squares = math.fsum(float(np.sum((np.array(sample) - np.mean(sample)) ** 2)) for sample in samples)
    if freedom < 1 or not squares > 0 or not math.isfinite(squares):
        return None
    low, high = (math.sqrt(squares / float(stats.chi2.ppf(tail, freedom))) for tail in (0.975, 0.025))
    return Spread(math.sqrt(squares / freedom), source, freedom, low, high, len(samples), sum(map(len, samples)))


def _measured(history: History) -> Spread | None:
    """Of configurations that were trained several times, where that gave other numbers.

    A session trains with one seed, so that a repeated configuration mostly has the same number to the last bit there; such a
    session counts once.
    """
    groups: dict[Any, list[tuple[int, float]]] = defaultdict(list)
    for trial, value in _trainings(history):
        groups[trial.configuration, trial.epochs_done].append((trial.session_id, value))
    varying = {
        session
        for rows in groups.values()
        for session in {session for session, _ in rows}
        if len({value for own, value in rows if own == session}) > 1
    }
    samples = []
    for rows in groups.values():
        values = [value for session, value in rows if session in varying]
        values += dict([row for row in rows if row[0] not in varying]).values()
        if len(values) > 1:
            samples.append(values)
    return _pooled(samples, "measured")


def _trainings(history: History) -> list[tuple[Trial, float]]:
    """The trials that have a value, and then what repeated them with other seeds."""
    own = [(trial, float(value)) for trial, value in zip(history.trials, history.values, strict=True) if math.isfinite(value)]
    again = [(trial, value) for trial in history.repeats if (value := value_of(trial)) is not None]
    return [*own, *again]


def _evaluated(history: History) -> Spread | None:
    """Of choices that were evaluated over seeds, at whose scores was looked."""
    return _pooled([values for values in history.tests.values() if len(values) > 1], "evaluated")


def _estimated(history: History) -> Spread | None:
    """From pairs of nearest neighbours in good regions: half the squared difference is the variance, and what they differ in.

    Which region is good is said by a trial's neighbours, not by its own value, whose luck would count twice.
    """
    kept = history.only(history.valued.tolist())
    kept = replace(kept, trials=_distinct(kept.trials)[-MOST_ESTIMATED:])
    count = len(kept.trials)
    if count < LEAST_ESTIMATED or not kept.space.names:
        return None
    apart = distances(kept.space, kept.codes, kept.codes).sum(0)
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(apart, axis=1, kind="stable")
    values = kept.better
    around = np.mean(values[order[:, 1 : NEIGHBOURS + 1]], axis=1)  # without the nearest, which is what it is compared with
    good = np.flatnonzero(around >= np.median(around))
    pairs = {(min(at, int(order[at, 0])), max(at, int(order[at, 0]))) for at in good.tolist()}
    halves = np.array([(values[first] - values[second]) ** 2 / 2 for first, second in sorted(pairs)])
    middle = float(np.median(halves))
    if not middle > 0 or not math.isfinite(middle):
        return None
    # The median's own interval, by order statistics: it holds whatever the distribution is (Conover 1999).
    ordered, margin = np.sort(halves), 1.96 * math.sqrt(len(halves)) / 2
    ends = [int(len(halves) / 2 - margin), math.ceil(len(halves) / 2 + margin)]
    low, high = (math.sqrt(float(ordered[min(max(end, 0), len(halves) - 1)]) / MEDIAN_SQUARE) for end in ends)
    return Spread(math.sqrt(middle / MEDIAN_SQUARE), "estimated", None, low, high, len(pairs), 2 * len(pairs))


def _distinct(trials: Sequence[Trial]) -> tuple[Trial, ...]:
    """The first trial of each configuration: a repeated one is no neighbour."""
    return tuple({(trial.configuration, trial.epochs_done): trial for trial in reversed(trials)}.values())[::-1]


# What it says of the best


def tried(history: History) -> list[Tried]:
    """The configurations that have values, the best first; of equals the earlier one. What repeats a number counts once."""
    own = {(trial.configuration, trial.epochs_done) for trial in history.trials}
    groups: dict[Any, dict[tuple[int, float], Trial]] = {}
    for trial, value in _trainings(history):
        if (key := (trial.configuration, trial.epochs_done)) in own:
            groups.setdefault(key, {}).setdefault((trial.session_id, sign_of(history.maximize) * value), trial)
    made = [Tried(tuple(rows.values()), float(np.mean([value for _, value in rows]))) for rows in groups.values()]
    return sorted(made, key=lambda one: (-one.worth, one.trials[0].submitted_at, one.trials[0].id))


@lru_cache(maxsize=256)
def subset_width(count: int, freedom: int | None) -> float:
    """By how many spreads the best of so many equally good configurations is beyond any one of them in at most 95 of 100 cases.

    Gupta's constant, for a spread that is known, or estimated with so many degrees of freedom.
    """
    if count < 2:
        return 0.0
    at, weight = np.polynomial.hermite_e.hermegauss(81)
    weight = weight / weight.sum()
    shares = (np.arange(64) + 0.5) / 64
    scales = np.ones(1) if freedom is None else np.sqrt(stats.chi2.ppf(shares, freedom) / freedom)

    def chance(width: float) -> float:
        below = special.log_ndtr(at[:, None] + width * scales[None, :])
        return float(np.mean(weight @ np.exp((count - 1) * below)))

    low, high = 0.0, 4.0
    while chance(high) < LEVEL:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (low, middle) if chance(middle) >= LEVEL else (middle, high)
    return high


def not_distinguishable(configurations: Sequence[Tried], known: Spread) -> list[Tried]:
    """Those that may be the best one, itself among them. configurations: as of `tried`."""
    width = subset_width(len(configurations), known.freedom) * known.value
    best = configurations[0]
    return [
        one
        for one in configurations
        if one is best or best.worth - one.worth <= width * math.sqrt((1 / one.count + 1 / best.count) / 2)
    ]


def corrected(configurations: Sequence[Tried], known: Spread) -> Corrected | None:
    """The best configuration's value without the luck that made it the best; None of too few configurations."""
    best = configurations[0]
    near = [one for one in configurations[:MOST_FITTED] if best.worth - one.worth <= FURTHEST * known.value]
    if len(configurations) < LEAST_CORRECTED:
        return None
    seen = np.array([one.worth for one in near])
    errors = known.value / np.sqrt([one.count for one in near])
    grid = np.linspace(seen.min() - 3 * known.value, seen.max() + known.value, GRID)
    likely = np.exp(-(((seen[:, None] - grid) / errors[:, None]) ** 2) / 2) / errors[:, None]
    prior = np.full(GRID, 1 / GRID)
    for _ in range(FITS):
        posterior = likely * prior
        posterior /= posterior.sum(axis=1, keepdims=True)
        prior = posterior.mean(axis=0)
    smooth = _smoothed(prior, known.value / 2 / float(grid[1] - grid[0]))
    own = likely[0] * (len(near) * smooth + UNSEEN / GRID)
    own /= own.sum()
    reached = np.cumsum(own)
    low, high = (float(grid[min(int(np.searchsorted(reached, tail)), GRID - 1)]) for tail in (0.025, 0.975))
    return Corrected(float(own @ grid), low, high)


def _smoothed(prior: Codes, width: float) -> Codes:
    """A distribution over the grid without the gaps that fitting leaves: too sure of single values it would be otherwise."""
    at = np.arange(-len(prior) + 1, len(prior))
    kernel = np.exp(-((at / max(width, 1e-9)) ** 2) / 2)
    return np.convolve(prior, kernel / kernel.sum())[len(prior) - 1 : 2 * len(prior) - 1]


# The card


def noise(history: History) -> Card:
    """Is it noise: the spread over seeds, what cannot be told from the best, and the best's value without its luck."""
    configurations = tried(history)
    n = int(history.valued.sum())
    if not configurations:
        return nothing_said(KEY, TITLE, "No trial has a value yet, so there is nothing to be told from noise.", n, HOW)
    known, sign = spread(history), sign_of(history.maximize)
    best, again = configurations[0], _again(configurations)
    if known is None:
        called = history.called(best.trials[0], first=True)
        few = f"{plural(n, 'trial')} with a value are" if n > 1 else "one trial with a value is"
        why = (
            f"{called} has the best value, {show_score(sign * best.worth, history.metric)}, but how far one "
            f"configuration's value spreads over seeds is not known: none was trained with several seeds, and {few} too few, or "
            f"too much alike, to estimate it from neighbours (at least {LEAST_ESTIMATED}). {again.words}."
        )
        return replace(nothing_said(KEY, TITLE, why, n, HOW, spread=None, best=_shown(history, best)), next=(again,))
    alike, shrunk = not_distinguishable(configurations, known), corrected(configurations, known)
    within = set(map(id, alike))
    luck = largest_of(len(configurations))[0] * known.value
    data = {
        "metric": history.metric,
        "maximize": history.maximize,
        "spread": {
            "value": known.value,
            "low": known.low,
            "high": known.high,
            "source": known.source,
            "freedom": known.freedom,
            "configurations": known.configurations,
            "trainings": known.trainings,
        },
        "best": _shown(history, best),
        "corrected": None if shrunk is None else _corrected_data(shrunk, sign),
        "luck": luck,
        "configurations": len(configurations),
        "count": len(alike),
        "set": [_shown(history, one) for one in alike[:MOST_LISTED]],
        "others": [_shown(history, one) for one in configurations if id(one) not in within][:MOST_OTHERS],
    }
    return Card(
        KEY,
        TITLE,
        _finding(history, configurations, alike, shrunk, known),
        _sure(history, known),
        n,
        HOW,
        data,
        trials=tuple(one.trials[0].id for one in alike[:MOST_LISTED]),
        next=(again,) if len(alike) > 1 or known.source == "estimated" else (),
    )


def _again(configurations: Sequence[Tried]) -> NextStep:
    top = [one.trials[0].number for one in configurations[:RERUN_TRIALS]]
    which = "the best trial" if len(top) == 1 else f"the top {len(top)}"
    return NextStep(f"Run {which} with {RERUN_SEEDS} more seeds", "rerun", trials=tuple(top))


def _shown(history: History, one: Tried) -> dict[str, Any]:
    first, value = one.trials[0], sign_of(history.maximize) * one.worth
    return {"trial": first.number, "id": first.id, "called": history.called(first), "value": value, "trainings": one.count}


def _corrected_data(shrunk: Corrected, sign: float) -> dict[str, float]:
    low, high = sorted((sign * shrunk.low, sign * shrunk.high))
    return {"value": sign * shrunk.value, "low": low, "high": high}


def _finding(
    history: History, configurations: Sequence[Tried], alike: Sequence[Tried], shrunk: Corrected | None, known: Spread
) -> str:
    best, sign, metric = configurations[0], sign_of(history.maximize), history.metric
    named = f"{history.called(best.trials[0])} ({show_score(sign * best.worth, metric)})"
    rather = known.source == "estimated"  # the spread is rather too large then, so that fewer are alike and less was luck
    if len(configurations) == 1:
        first = f"Only one configuration has a value: {named}."
    elif len(alike) == 1:
        first = f"The best, {named}, is better than every other configuration by more than the spread over seeds."
    elif len(alike) == len(configurations):
        of = plural(len(alike), "configuration")
        first = f"None of the {of} can be told from the best, {named}: the differences may all be noise."
    else:
        others = plural(len(alike) - 1, "other configuration")
        first = (
            f"{'Up to ' if rather else ''}{others} cannot be told from the best, {named}; {len(configurations) - len(alike)} can."
        )
    if shrunk is None or len(configurations) == 1:
        return first
    low, high = sorted((sign * shrunk.low, sign * shrunk.high))
    worth = f"{'rather more' if history.maximize else 'rather less'} than" if rather else "about"
    ends = f"{show_score(low, metric)} to {show_score(high, metric)} is likely"
    return f"{first} Without the luck of being picked it is worth {worth} {show_score(sign * shrunk.value, metric)} ({ends})."


def _sure(history: History, known: Spread) -> str:
    size = amount(known.value, history.metric)
    ends = f"95 % {amounts(known.low, known.high, history.metric)}"
    if known.source == "measured":
        of = f"{plural(known.trainings, 'training')} of {plural(known.configurations, 'configuration')}"
        return f"Measured: one configuration spreads by {size} over seeds ({ends}; {of})."
    if known.source == "evaluated":
        of = f"{plural(known.trainings, 'seed')} of {plural(known.configurations, 'evaluated choice')}"
        said = f"Measured on test data: one configuration spreads by {size} over seeds ({ends}; {of})"
        return f"{said}; validation may spread more."
    return (
        f"Estimated, not measured: near neighbours differ as if one configuration spread by {size} over seeds ({ends}). What the "
        "hyperparameters do between neighbours is in that, so the true spread is rather smaller, and more can be told apart."
    )
