"""The surrogate: a forest over all trials of a task and metric, with how well it predicts trials that it has not seen."""

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from evenhand.explain.encoding import Table, columns, table_of
from evenhand.explain.history import Codes, History

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor

TREES = 64
LEAF = 2  # trials in a leaf, at least
MOST_LEAVES = 512
LEAST_TRIALS = 10  # below which no forest is grown
LEAST_RANK = 0.3  # rank correlation with trials left out, below which nothing is drawn from the forest


@dataclass(frozen=True)
class Quality:
    """How well the forest predicts trials that its trees have not seen.

    n: trials with a value that it is of. rank: Spearman's correlation of prediction and value. error: root of the mean squared
    error. explained: 1 less the squared error over the values' variance. Each None where it cannot be computed.
    """

    n: int
    rank: float | None = None
    error: float | None = None
    explained: float | None = None

    @property
    def is_enough(self) -> bool:
        """Whether anything may be drawn from it."""
        return self.rank is not None and self.rank >= LEAST_RANK

    @property
    def words(self) -> str:
        """The quality as people read it, or why nothing is drawn and what would change that."""
        if self.n < LEAST_TRIALS:
            return f"{self.n} trials have a value; a model of them needs at least {LEAST_TRIALS}"
        if self.rank is None:
            return "all values are equal, so there is nothing to explain; a metric that tells trials apart would change that"
        rank = f"the rank correlation with trials left out is {self.rank:.2f}, of {self.n} trials"
        return rank if self.is_enough else f"{rank}, below {LEAST_RANK}, so nothing is drawn; more trials would change that"

    @property
    def data(self) -> dict[str, object]:
        """As JSON."""
        return {"n": self.n, "rank": self.rank, "error": self.error, "explained": self.explained, "enough": self.is_enough}


@dataclass(frozen=True)
class Surrogate:
    """A forest of a history. table: what it was grown from. forest: None where none can be."""

    table: Table
    quality: Quality
    forest: "ExtraTreesRegressor | None"

    def predicted(self, codes: Codes) -> Codes:
        """What it expects at configurations (m, d), (m,), larger is better; there must be a forest."""
        assert self.forest is not None
        expected: Codes = self.forest.predict(columns(codes))
        return expected

    def by_tree(self, codes: Codes) -> Codes:
        """What each of its trees expects, (trees, m)."""
        assert self.forest is not None
        seen = columns(codes).astype(np.float32)
        return np.array([tree.predict(seen) for tree in self.forest.estimators_])


def seed_of(table: Table) -> int:
    """A seed that the data gives: equal trials are explained alike."""
    return zlib.crc32(np.nan_to_num(table.codes, nan=-1.0).tobytes() + table.better.tobytes())


def surrogate_of(history: History) -> Surrogate:
    """The surrogate of a history; the same for the same trials."""
    table = table_of(history)
    n = len(table.better)
    if n < LEAST_TRIALS or not np.ptp(table.better):
        return Surrogate(table, Quality(n), None)
    from sklearn.ensemble import ExtraTreesRegressor  # takes long to import

    forest = ExtraTreesRegressor(
        TREES,
        min_samples_leaf=LEAF,
        max_leaf_nodes=MOST_LEAVES,
        bootstrap=True,
        oob_score=True,
        random_state=seed_of(table) % 2**31,
    )
    forest.fit(columns(table.codes), table.better)
    unseen, values = forest.oob_prediction_, table.better
    rank = float(stats.spearmanr(unseen, values).statistic) if np.ptp(unseen) else 0.0
    squared = float(np.mean((unseen - values) ** 2))
    return Surrogate(table, Quality(n, rank, float(np.sqrt(squared)), 1 - squared / float(np.var(values))), forest)
