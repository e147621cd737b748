"""Which way of a metric is better, and what is best by it: of values, and of trials."""

import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal

from evenhand.model.task import Metric
from evenhand.model.trial import VALUELESS_OUTCOMES, Outcome, Trial

# Words within the names of metrics that everybody means in one way.
LARGER_IS_BETTER = frozenset(
    (
        "acc",
        "accuracy",
        "auc",
        "auroc",
        "bleu",
        "dice",
        "f1",
        "iou",
        "kappa",
        "map",
        "mcc",
        "ndcg",
        "precision",
        "r2",
        "recall",
        "reward",
    )
)
SMALLER_IS_BETTER = frozenset(
    (
        "cer", "cost", "crossentropy", "deviance", "err", "error", "logloss", "loss", "mae", "mape", "mse", "msle", "nll",
        "perplexity", "regret", "rmse", "rmsle", "wer",
    )
)  # fmt: skip
NEGATED = frozenset(("neg", "negative"))  # before the name of an error, as scikit-learn has it


def known_direction(name: str) -> Literal["maximize", "minimize"] | None:
    """Which way is better of a metric with a well-known name; None where its name does not say it, or says both."""
    parts = set(re.split(r"[^a-z0-9]+", name.lower()))
    larger, smaller = bool(parts & LARGER_IS_BETTER), bool(parts & SMALLER_IS_BETTER)
    if larger == smaller:
        return None
    return "maximize" if larger or parts & NEGATED else "minimize"


def sign_of(maximize: bool) -> float:
    """1 where larger values are better, else -1: times it, a larger value is better."""
    return 1.0 if maximize else -1.0


def words_of(maximize: bool) -> str:
    """The direction as people read it."""
    return f"{'larger' if maximize else 'smaller'} is better"


# Of values


def is_better(value: float, than: float, maximize: bool) -> bool:
    """Whether a value is better than another one; equals are not."""
    return value > than if maximize else value < than


def cost_of(value: float | None, metric: Metric) -> float:
    """A metric's value as something of which less is better; of none, worse than any."""
    return math.inf if value is None else -sign_of(metric.direction == "maximize") * value


def reaches(value: float, goal: float, maximize: bool) -> bool:
    """Whether a value is as good as a goal, or better."""
    return not is_better(goal, value, maximize)


def best_of(values: Iterable[float | None], maximize: bool) -> float | None:
    """The best of the values that are there; None of none."""
    there = [value for value in values if value is not None]
    return (max if maximize else min)(there, default=None)


def worst_of(values: Iterable[float | None], maximize: bool) -> float | None:
    """The worst of the values that are there; None of none."""
    return best_of(values, not maximize)


def best_so_far(values: Sequence[float | None], maximize: bool) -> list[float | None]:
    """After each try, the best value so far; None before the first."""
    best: float | None = None
    bests = []
    for value in values:
        if value is not None and (best is None or is_better(value, best, maximize)):
            best = value
        bests.append(best)
    return bests


# Of trials


def value_of(trial: Trial) -> float | None:
    """The value that counts in every best: none of a trial that cannot be chosen.

    That is one that diverged or was invalid, misses what its session requires, or was vetoed.
    """
    return None if trial.outcome in VALUELESS_OUTCOMES or not trial.is_feasible else recorded_value(trial)


def recorded_value(trial: Trial) -> float | None:
    """A trial's value, also where it diverged after the epoch that it is of; none of an invalid one."""
    if trial.value is None or not math.isfinite(trial.value) or trial.outcome is Outcome.INVALID:
        return None
    return trial.value


def best_first(trials: Iterable[Trial], maximize: bool) -> list[Trial]:
    """The trials whose value counts, the best first; of equals the earlier one."""
    sign = sign_of(maximize)
    valued = [(-sign * value, trial.number, trial) for trial in trials if (value := value_of(trial)) is not None]
    return [trial for _, _, trial in sorted(valued, key=lambda item: item[:2])]


def best_trial(trials: Iterable[Trial], maximize: bool) -> Trial | None:
    """The trial with the best value that counts, the earliest of equals; None where no trial has one."""
    return next(iter(best_first(trials, maximize)), None)
