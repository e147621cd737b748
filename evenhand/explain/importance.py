"""What mattered: which hyperparameters' effects can be told from nothing, and what share of the variance each has.

Whether one matters is decided by a test of a Gaussian process with its effect against one without (`gaussian`), among
all hyperparameters by Bonferroni's correction. Values without an effect are simulated at the very configurations that were tried,
so that what a method's choices confound is part of the answer. How much it matters is its functional-ANOVA share (`shares`) of
the functions that the trials leave possible; the interval holds 95 % of these.

Sources: Hutter et al., "An efficient approach for assessing hyperparameter importance" (2014); Oakley and O'Hagan, "Probabilistic
sensitivity analysis of complex models" (2004); Liu, Lin and Ghosh, "Semiparametric regression of multidimensional genetic pathway
data" (2007), for testing a kernel's effect.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from evenhand.explain import gaussian, shares
from evenhand.explain.card import Card, nothing_said
from evenhand.explain.encoding import Table, distances, drawn, unordered
from evenhand.explain.history import Codes, History
from evenhand.explain.surrogate import LEAST_TRIALS, Surrogate, seed_of, surrogate_of
from evenhand.model.space import Space

KEY, TITLE = "importance", "What mattered?"
HOW = (
    "Functional-ANOVA shares under the uniform distribution of the active space, of the functions that a Gaussian process leaves "
    "possible; an effect is named where a likelihood-ratio test, corrected for the number of hyperparameters, tells it "
    "from nothing. Its source: Oakley and O'Hagan (2004)."
)
FALSE_SHARE = 0.025  # of histories in which the test may name any without effect; benchmarks.honesty measures it against 5 %
NULLS = 1000  # simulated histories without an effect
MOST_MODELLED = 400  # trials that a Gaussian process sees; of more, as many at random
PLACES = 1024  # configurations that stand for the active space
WALKED, FUNCTIONS = 12, 25  # processes, and functions of each, that the trials leave possible
TAIL = 0.025  # outside of the interval, on either side
LEAST_FOR_INTERVALS = 100  # trials with a value, below which no interval is shown: coverage is measured from there on
UNEVEN = 0.01  # how unlikely the spread of evenly drawn trials must be, for a history to count as somebody's choice
SMALL_SHARE = 0.02  # of the variance: less is told with a decimal
COUNTED_OFF = 0.005  # a share by which counting over PLACES may be off; what is less is not told from 0
TAMED, CLIPPED = 3.0, 5.0  # robust standard deviations that a value may be away, for the test and for shares


@dataclass(frozen=True)
class Importance:
    """What is known of one hyperparameter.

    chance: how likely values without its effect look as much like one. matters: whether it is told from nothing. share: the
    median of its possible shares; low, high: their interval; None where none is shown. total: the same with its interactions with
    one other.
    """

    name: str
    chance: float
    matters: bool
    share: float
    total: float
    low: float | None
    high: float | None

    @property
    def data(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "hyperparameter": self.name,
            "importance": self.share,
            "total": self.total,
            "low": self.low,
            "high": self.high,
            "matters": self.matters,
            "chance": self.chance,
        }


@dataclass(frozen=True)
class Importances:
    """Of all hyperparameters in the space's order. pairs: the median share of each interaction, by names. even: evenly drawn."""

    rows: tuple[Importance, ...]
    pairs: tuple[tuple[str, str, float], ...]
    even: bool
    n: int


def chances(space: Space, table: Table) -> Codes:
    """For each hyperparameter how likely values without its effect speak as much for one, (d,); 1 where it never varied."""
    rng = np.random.default_rng(seed_of(table))
    codes, better = _thinned(table, rng)
    apart, values = distances(space, codes, codes), gaussian.standardised(better, TAMED)
    varied = apart.reshape(len(apart), -1).max(1) > 0
    chance_of_each = np.ones(len(apart))
    normal = rng.normal(size=(len(values), NULLS))
    full = gaussian.fitted(apart, values, varied)
    for at in np.flatnonzero(varied):
        others = varied.copy()
        others[at] = False
        chance_of_each[at] = gaussian.chance_of_nothing(
            apart, values, int(at), gaussian.fitted(apart, values, others, start=full), normal
        )
    return chance_of_each


def possible_shares(space: Space, table: Table) -> tuple[Codes, Codes, dict[tuple[int, int], Codes]]:
    """Shares of functions that the trials leave possible: (d, functions), which may be none at all (d,), and those of pairs."""
    rng = np.random.default_rng([seed_of(table), 1])
    codes, better = _thinned(table, rng)
    values = gaussian.standardised(better, CLIPPED)
    apart = distances(space, codes, codes)
    best = gaussian.fitted(apart, values, np.ones(len(apart), dtype=bool), alone=True)
    _, places = drawn(space, PLACES, 0)
    bases = shares.bases_of(space, places)
    cross, inner = distances(space, codes, places), distances(space, places, places)
    functions = np.hstack(
        [
            gaussian.drawn_effects(apart, values, cross, inner, process, FUNCTIONS, rng)
            for process in gaussian.likely_processes(apart, values, best, WALKED, rng)
        ]
    )
    nothing = np.array([_may_be_nothing(basis.T @ (functions - functions.mean(0))) for basis in bases.of])
    return bases.shares(functions), nothing, bases.pair_shares(functions)


def importances(space: Space, table: Table) -> Importances:
    """What is known of each hyperparameter; there must be LEAST_TRIALS trials, whose values differ."""
    chance = chances(space, table)
    possible, nothing, pairs = possible_shares(space, table)
    even, n = is_even(space, table.codes), len(table.better)
    low, middle, high = np.quantile(possible, [TAIL, 0.5, 1 - TAIL], axis=1)
    low = np.where(np.logical_or(nothing, chance > 2 * TAIL) | np.less(low, COUNTED_OFF), 0.0, low)
    shown = even and n >= LEAST_FOR_INTERVALS
    rows = tuple(
        Importance(
            name,
            float(chance[at]),
            bool(chance[at] <= FALSE_SHARE / len(chance)),
            float(middle[at]),
            float(np.median(possible[at] + sum(share for pair, share in pairs.items() if at in pair))),
            float(low[at]) if shown else None,
            float(high[at]) if shown else None,
        )
        for at, name in enumerate(space.names)
    )
    names = space.names
    return Importances(
        rows, tuple((names[one], names[two], float(np.median(share))) for (one, two), share in pairs.items()), even, n
    )


def is_even(space: Space, codes: Codes) -> bool:
    """Whether trials lie as draws from the active space do, along each hyperparameter: nobody's choice is seen in them."""
    _, places = drawn(space, PLACES, 0)
    chance = 1.0
    for at, is_unordered in enumerate(unordered(space)):
        mine, drawn_ones = codes[~np.isnan(codes[:, at]), at], places[~np.isnan(places[:, at]), at]
        if len(mine) < 2 or not np.ptp(drawn_ones):
            continue
        if is_unordered:
            options = np.unique(np.concatenate([mine, drawn_ones]))
            counts = np.array([[np.sum(side == option) for option in options] for side in (mine, drawn_ones)])
            chance = min(chance, float(stats.chi2_contingency(counts).pvalue))
        else:
            chance = min(chance, float(stats.ks_2samp(mine, drawn_ones).pvalue))
    return chance > UNEVEN / len(space.names)


def importance(history: History, surrogate: Surrogate | None = None) -> Card:
    """The card: what mattered. surrogate: of the history, where it is at hand."""
    grown = surrogate or surrogate_of(history)
    table, quality = grown.table, grown.quality
    n = quality.n
    if n < LEAST_TRIALS or quality.rank is None:
        return nothing_said(KEY, TITLE, f"Nothing can be said of what mattered: {quality.words}.", n, HOW, quality=quality.data)
    measured = importances(history.space, table)
    named = sorted((one for one in measured.rows if one.matters), key=lambda one: -one.share)
    data = {
        "quality": quality.data,
        "hyperparameters": [one.data for one in measured.rows],
        "pairs": [{"hyperparameters": [one, two], "importance": share} for one, two, share in measured.pairs],
        "even": measured.even,
    }
    if not named:
        why = (
            f"Nothing to see: in these {n} trials no hyperparameter's effect can be told from chance. More trials, or ones that "
            "are spread wider, would change that."
        )
        return nothing_said(KEY, TITLE, why, n, HOW, **data)
    labels = {one.name: one.label for one in history.space}
    mattered = ", ".join(f"{labels[one.name]} ({_share_words(one)})" for one in named)
    rest = len(measured.rows) - len(named)
    others = f" The {rest} other{'s' * (rest != 1)} cannot be told from nothing." if rest else ""
    return Card(KEY, TITLE, f"Mattered: {mattered}.{others}", _sure(measured), n, HOW, data)


def _share_words(one: Importance) -> str:
    digits = 0 if one.share >= SMALL_SHARE else 1
    between = "" if one.low is None or one.high is None else f", {100 * one.low:.{digits}f} to {100 * one.high:.{digits}f} %"
    return f"{100 * one.share:.{digits}f} % of the variance by itself{between}"


def _sure(measured: Importances) -> str:
    if not measured.even:
        return (
            "That these matter allows for how the trials were chosen. The shares have no interval: the trials do not lie as "
            "random draws do, and for such nobody has measured how often one holds the truth."
        )
    if measured.n < LEAST_FOR_INTERVALS:
        return f"Intervals are shown from {LEAST_FOR_INTERVALS} trials on."
    return "An interval is meant to hold the true share in 95 of 100 histories; docs/understanding.md says what was measured."


def _thinned(table: Table, rng: np.random.Generator) -> tuple[Codes, Codes]:
    n = len(table.better)
    if n <= MOST_MODELLED:
        return table.codes, table.better
    rows = np.sort(rng.choice(n, MOST_MODELLED, replace=False))
    return table.codes[rows], table.better[rows]


def _may_be_nothing(effects: Codes) -> bool:
    """Whether no main effect at all is among the likely ones. effects: coefficients of the possible effects, (columns, draws)."""
    if not len(effects):
        return True
    middle = effects.mean(1, keepdims=True)
    spread = np.atleast_2d(np.cov(effects))
    scale = float(np.trace(spread))
    if scale <= 0:
        return not np.any(middle)
    root = np.linalg.cholesky(spread + 1e-9 * scale * np.eye(len(spread)))
    away = (np.linalg.solve(root, effects - middle) ** 2).sum(0)
    return float((np.linalg.solve(root, middle) ** 2).sum()) <= float(np.quantile(away, 1 - TAIL))
