"""Whose trials brought the gain: what each proposer's trials added to the best so far, and what chance would have them add.

Chance is the same trials in the same order, their proposers dealt out at random: whoever proposes more, or as good trials as the
others at the same times, brings gain by that alone.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand.explain.card import Card, nothing_said
from evenhand.explain.history import History
from evenhand.model.direction import sign_of
from evenhand.model.words import amount, percent, plural, show_score

KEY, TITLE = "who", "Whose trials brought the gain?"
HOW = (
    "A trial's gain is how much it bettered the best so far, after the first trial with a value. The band is what each would "
    "have brought with the proposers dealt out at random among the same trials (5,000 times, 95 %)."
)
DEALS = 5000
SEED = 0


@dataclass(frozen=True)
class Brought:
    """What one proposer's trials brought.

    Attributes:
        proposer: as records name them.
        trials: that ended.
        valued: with a value.
        gain: that they brought, in the metric.
        share: of the whole gain.
        low: of the share that chance would have them bring (95 %).
        high: likewise.
        best: their best value; None without one.
        median: of their values.
        bettered: how many of them bettered the best so far.
    """

    proposer: str
    trials: int
    valued: int
    gain: float
    share: float
    low: float
    high: float
    best: float | None
    median: float | None
    bettered: int

    @property
    def is_told(self) -> bool:
        """Whether it is beyond what chance would have them bring."""
        return not self.low <= self.share <= self.high


def brought(history: History) -> list[Brought]:
    """What each proposer brought, most first; nothing without a gain."""
    counts = Counter(trial.proposer for trial in history.trials)
    names = list(counts)
    valued = history.only(history.valued.tolist())
    better = valued.better
    if len(better) < 2:
        return []
    owners = np.array([names.index(trial.proposer) for trial in valued.trials])
    bests = np.maximum.accumulate(better)
    gains = np.diff(bests)
    whole = float(gains.sum())
    if not whole > 0:
        return []
    dealt = _dealt(owners[1:], gains, len(names)) / whole
    sign = sign_of(history.maximize)
    shares = []
    for at, name in enumerate(names):
        own = better[owners == at]
        gain = float(gains[owners[1:] == at].sum())
        low, high = (float(np.quantile(dealt[:, at], tail)) for tail in (0.025, 0.975))
        shares.append(
            Brought(
                proposer=name,
                trials=counts[name],
                valued=len(own),
                gain=gain,
                share=gain / whole,
                low=low,
                high=high,
                best=sign * float(own.max()) if len(own) else None,
                median=sign * float(np.median(own)) if len(own) else None,
                bettered=int((gains[owners[1:] == at] > 0).sum()),
            )
        )
    return sorted(shares, key=lambda one: -one.gain)


def _dealt(owners: Any, gains: Any, count: int) -> Any:
    """The gain of each proposer where they are dealt out at random, (deals, proposers)."""
    rng = np.random.default_rng(SEED)
    at = np.flatnonzero(gains)
    sums = np.zeros((DEALS, count))
    for deal in range(DEALS):
        drawn = rng.choice(owners, len(at), replace=False)
        sums[deal] = np.bincount(drawn, weights=gains[at], minlength=count)
    return sums


def who(history: History) -> Card:
    """Whose trials brought the gain."""
    n = int(history.valued.sum())
    proposers = list(dict.fromkeys(trial.proposer for trial in history.trials))
    if len(proposers) < 2:
        why = f"Only {proposers[0]} has proposed trials that ended." if proposers else "No trial has ended yet."
        return nothing_said(KEY, TITLE, why, n, HOW, proposers=proposers)
    shares = brought(history)
    if not shares:
        why = "No trial bettered the first one with a value, so nobody brought a gain."
        return nothing_said(KEY, TITLE, why, n, HOW, proposers=proposers)
    first, whole = shares[0], sum(one.gain for one in shares)
    beyond = [one for one in shares if one.is_told]
    said = (
        f"{first.proposer} brought {percent(first.share, 0)} of the gain of {amount(whole, history.metric)}, with "
        f"{first.trials} of {plural(len(history.trials), 'trial')}."
    )
    verdict = (
        "That cannot be told from chance: with the proposers dealt out at random among the same trials it would be "
        f"{percent(first.low, 0)} to {percent(first.high, 0)}."
        if not beyond
        else " ".join(
            f"{one.proposer} brought {'more' if one.share > one.high else 'less'} than chance would have it "
            f"({percent(one.low, 0)} to {percent(one.high, 0)})."
            for one in beyond
        )
    )
    return Card(
        KEY,
        TITLE,
        f"{said} {verdict}",
        "The band knows who proposed how many, not who came first: the first trials have most to gain.",
        n,
        HOW,
        {
            "metric": history.metric,
            "gain": whole,
            "proposers": [
                {
                    "proposer": one.proposer,
                    "trials": one.trials,
                    "valued": one.valued,
                    "gain": one.gain,
                    "share": one.share,
                    "low": one.low,
                    "high": one.high,
                    "told": one.is_told,
                    "best": one.best,
                    "median": one.median,
                    "bettered": one.bettered,
                    "best_words": show_score(one.best, history.metric),
                }
                for one in shares
            ],
        },
        trials=(),
    )
