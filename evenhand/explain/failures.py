"""Where trials fail: a shallow tree's worst corner, as a rule in words, and whether chance alone would have found it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from evenhand.explain.encoding import columns as filled
from evenhand.explain.history import Codes, History
from evenhand.model.domain import Choice, Float, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import COUNTED_OUTCOMES, UNUSABLE_OUTCOMES, Trial

DEPTH = 2
LEAST_FAILED, LEAST_SOUND = 3, 3
LEAST_INSIDE = 3  # trials in a corner
PERMUTATIONS = 200
MOST_TRIALS = 1000  # that a tree is grown of: the newest
LEVEL = 0.05
LEAST_PRECISION = 0.5


@dataclass(frozen=True)
class Corner:
    """Where trials fail.

    Attributes:
        words: the rule.
        inside: trials to which it applies.
        failed: how many of them failed.
        elsewhere: the other trials.
        failed_elsewhere: how many of these failed.
        low: of the 95 % interval of the share of those inside that fail (Wilson).
        high: likewise.
        p: how often a rule this good is found where failures are dealt out at random.
        trials: that failed inside.
        changes: what leaves the corner out, where one hyperparameter's range does it; None else.
    """

    words: str
    inside: int
    failed: int
    elsewhere: int
    failed_elsewhere: int
    low: float
    high: float
    p: float
    trials: tuple[Trial, ...]
    changes: Mapping[str, Mapping[str, Any]] | None

    @property
    def precision(self) -> float:
        """The share of trials inside that failed."""
        return self.failed / self.inside

    @property
    def count(self) -> int:
        """Trials, wherever."""
        return self.inside + self.elsewhere

    @property
    def failed_in_all(self) -> int:
        """Trials that failed, wherever."""
        return self.failed + self.failed_elsewhere

    @property
    def is_told(self) -> bool:
        """Whether it is more than chance finds, and most of what lies there fails."""
        return self.p <= LEVEL and self.precision >= LEAST_PRECISION

    @property
    def data(self) -> dict[str, Any]:
        """Its numbers, as JSON holds them."""
        return {
            "rule": self.words,
            "inside": self.inside,
            "failed": self.failed,
            "elsewhere": self.elsewhere,
            "failed_elsewhere": self.failed_elsewhere,
            "precision": self.precision,
            "low": self.low,
            "high": self.high,
            "p": self.p,
            "told": self.is_told,
        }


@dataclass(frozen=True)
class _Column:
    """What a tree may split on: a number's place, or whether a choice is one option. option: its place; None of a number."""

    hyperparameter: Hyperparameter
    values: Codes
    option: int | None = None


@dataclass(frozen=True)
class _Split:
    """One step of a rule. left: whether it goes on where the column is at most the threshold."""

    column: _Column
    threshold: float
    left: bool

    def holds(self) -> Any:
        """Of which trials it holds."""
        return self.column.values <= self.threshold if self.left else self.column.values > self.threshold


def failing_corner(history: History, seed: int = 0) -> Corner | None:
    """The corner in which trials fail most tellingly; None where too few failed, or too few did not.

    Args:
        history: failed are those that diverged or were invalid.
        seed: of the permutations.

    Returns:
        The corner, whether or not it is more than chance finds.
    """
    counted = history.only([trial.outcome in COUNTED_OUTCOMES for trial in history.trials])
    trials = counted.trials[-MOST_TRIALS:]
    failed = np.array([trial.outcome in UNUSABLE_OUTCOMES for trial in trials], bool)
    if failed.sum() < LEAST_FAILED or (~failed).sum() < LEAST_SOUND:
        return None
    columns = _columns(history.space, counted.codes[-MOST_TRIALS:])
    rule = _rule(columns, failed)
    if not rule:
        return None
    inside = np.logical_and.reduce([split.holds() for split in rule])
    score = _telling(inside, failed)
    rng = np.random.default_rng(seed)
    beaten = sum(_best_score(columns, rng.permutation(failed)) >= score for _ in range(PERMUTATIONS))
    hits, count = int((inside & failed).sum()), int(inside.sum())
    ends = stats.binomtest(hits, count).proportion_ci(0.95, "wilson")
    return Corner(
        words=_words(rule),
        inside=count,
        failed=hits,
        elsewhere=len(trials) - count,
        failed_elsewhere=int(failed.sum()) - hits,
        low=float(ends.low),
        high=float(ends.high),
        p=(beaten + 1) / (PERMUTATIONS + 1),
        trials=tuple(trial for trial, hit in zip(trials, (inside & failed).tolist(), strict=True) if hit),
        changes=_changes(rule),
    )


def _columns(space: Space, codes: Codes) -> list[_Column]:
    columns = []
    for place, hyperparameter in enumerate(space):
        values = codes[:, place]
        domain = hyperparameter.domain
        if isinstance(domain, Choice) and not domain.ordered:
            columns += [_Column(hyperparameter, (values == at).astype(float), at) for at in range(len(domain.options))]
        else:
            columns.append(_Column(hyperparameter, filled(values)))
    return columns


def _rule(columns: Sequence[_Column], failed: Any) -> list[_Split]:
    """The way from a tree's root to its most telling corner."""
    return max(_corners(columns, failed), key=lambda corner: corner[0], default=(0.0, []))[1]


def _best_score(columns: Sequence[_Column], failed: Any) -> float:
    return max((score for score, _ in _corners(columns, failed)), default=0.0)


def _corners(columns: Sequence[_Column], failed: Any) -> list[tuple[float, list[_Split]]]:
    """The corners of a shallow tree with their scores; of a rule of two steps only where the second adds to the first."""
    from sklearn.tree import DecisionTreeClassifier

    table = np.column_stack([column.values for column in columns])
    grown = DecisionTreeClassifier(max_depth=DEPTH, min_samples_leaf=LEAST_INSIDE, random_state=0).fit(table, failed).tree_
    corners: list[tuple[float, list[_Split]]] = []

    def walk(node: int, rule: list[_Split]) -> None:
        if rule:
            inside = np.logical_and.reduce([split.holds() for split in rule])
            corners.append((_telling(inside, failed), rule))
        if grown.children_left[node] < 0:
            return
        column, threshold = columns[int(grown.feature[node])], float(grown.threshold[node])
        walk(int(grown.children_left[node]), [*rule, _Split(column, threshold, True)])
        walk(int(grown.children_right[node]), [*rule, _Split(column, threshold, False)])

    walk(0, [])
    return corners


def _telling(inside: Any, failed: Any) -> float:
    """How much a corner says of failures: by how much chance falls short of that many, as a logarithm (hypergeometric)."""
    hits, count = int((inside & failed).sum()), int(inside.sum())
    if not count or hits / count <= failed.mean():
        return 0.0
    return -float(stats.hypergeom.logsf(hits - 1, len(failed), int(failed.sum()), count))


# In words


def _words(rule: Sequence[_Split]) -> str:
    merged: dict[tuple[str, int | None], list[_Split]] = {}
    for split in rule:
        merged.setdefault((split.column.hyperparameter.name, split.column.option), []).append(split)
    return " and ".join(_part(splits) for splits in merged.values())


def _part(splits: Sequence[_Split]) -> str:
    """What a rule asks of one hyperparameter."""
    column = splits[0].column
    hyperparameter, domain = column.hyperparameter, column.hyperparameter.domain
    if column.option is not None:
        assert isinstance(domain, Choice)
        return f"{hyperparameter.label} is {'not ' if splits[0].left else ''}{domain.labels[column.option]}"
    low = max((split.threshold for split in splits if not split.left), default=-math.inf)
    high = min((split.threshold for split in splits if split.left), default=math.inf)
    if high < 0:
        return f"{hyperparameter.label} is inactive"
    has_low = low >= 0
    if has_low and high < math.inf:
        return f"{hyperparameter.label} is between {_edge(column, low)} and {_edge(column, high)}"
    if has_low:
        return f"{hyperparameter.label} is above {_edge(column, low)}"
    if high < math.inf:
        inactive = " or inactive" if low == -math.inf and bool((column.values < 0).any()) else ""
        return f"{hyperparameter.label} is at most {_edge(column, high)}{inactive}"
    return f"{hyperparameter.label} is active"


def _edge(column: _Column, threshold: float) -> str:
    return column.hyperparameter.show(_value(column, threshold))


def _value(column: _Column, threshold: float) -> Value:
    """The largest value tried on the left of a threshold: above it is what lies on the right."""
    left = column.values[(column.values <= threshold) & (column.values >= 0)]
    at = float(left.max()) if len(left) else threshold
    value = column.hyperparameter.domain.from_unit(at)
    return float(f"{value:.3g}") if isinstance(column.hyperparameter.domain, Float) else value


def _changes(rule: Sequence[_Split]) -> Mapping[str, Mapping[str, Any]] | None:
    """What leaves a corner out that is one end of one range, or one option."""
    if len(rule) != 1:
        return None
    split = rule[0]
    column, domain = split.column, split.column.hyperparameter.domain
    name = column.hyperparameter.name
    if isinstance(domain, Choice):
        if column.option is None or split.left or len(domain.options) < 2:
            return None
        return {name: {"options": [option for at, option in enumerate(domain.options) if at != column.option]}}
    if split.threshold < 0:
        return None
    if not split.left:
        return {name: {"high": _value(column, split.threshold)}}
    right = column.values[column.values > split.threshold]
    value = domain.from_unit(float(right.min()))
    return {name: {"low": float(f"{value:.3g}") if isinstance(domain, Float) else value}}
