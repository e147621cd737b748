"""What explanations read: the ended trials of one task and metric, whoever proposed them, as records and as arrays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from evenhand.model.direction import value_of
from evenhand.model.domain import Choice, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import Trial

Codes = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class History:
    """Ended trials of one space and metric.

    Attributes:
        space: the one that they are read in.
        metric: the name of the value.
        maximize: whether larger values are better.
        trials: in the order in which they were submitted; of several sessions where these share the space.
        tests: by a trial's id what it reached on test data, a value a seed. Only of those at whose scores was looked, so that
            no explanation shows a score by itself.
        validation_rows: rows that each trial was scored on; None where it is not known.
        test_rows: rows of the test data, likewise.
        repeats: further trainings of the trials' configurations, with other seeds, in other sessions: they say how far seeds
            spread, and nothing else reads them.
    """

    space: Space
    metric: str
    maximize: bool
    trials: tuple[Trial, ...]
    tests: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    validation_rows: int | None = None
    test_rows: int | None = None
    repeats: tuple[Trial, ...] = ()

    @classmethod
    def of(cls, space: Space, metric: str, maximize: bool, trials: Iterable[Trial]) -> "History":
        """The history of these trials; those that are still open are left out.

        Args:
            space: the one that they are read in.
            metric: the name of the value.
            maximize: whether larger values are better.
            trials: in any order.

        Returns:
            The history, in the order in which they were submitted.
        """
        ended = [trial for trial in trials if not trial.is_open]
        return cls(space, metric, maximize, tuple(sorted(ended, key=lambda trial: (trial.submitted_at, trial.id))))

    @cached_property
    def codes(self) -> Codes:
        """Where each value lies, (trials, hyperparameters): on the unit scale of its domain, or the number of its option.

        NaN where a hyperparameter is inactive, or where the space no longer has the value.
        """
        return codes_of(self.space, [trial.configuration for trial in self.trials])

    @cached_property
    def values(self) -> Codes:
        """The value of each trial, (trials,); NaN where it has none that counts, as where it diverged."""
        values = [value_of(trial) for trial in self.trials]
        return np.array([np.nan if value is None else value for value in values], dtype=float)

    @cached_property
    def valued(self) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Which trials have a finite value that counts, (trials,)."""
        return np.isfinite(self.values)

    @property
    def better(self) -> Codes:
        """The values, turned so that larger is better, (trials,)."""
        return self.values if self.maximize else -self.values

    @cached_property
    def _is_of_several(self) -> bool:
        return len({trial.session_id for trial in self.trials}) > 1

    def called(self, trial: Trial, first: bool = False) -> str:
        """A trial in a sentence: "trial 12"; of several sessions, where that is not one, "trial 12 of P-01".

        Args:
            trial: one of the history.
            first: whether the sentence begins with it.

        Returns:
            The words.
        """
        return f"{'Trial' if first else 'trial'} {trial.number}{f' of {trial.proposer}' if self._is_of_several else ''}"

    def only(self, keep: Sequence[bool]) -> "History":
        """The same with some of the trials. keep: whether each stays."""
        return replace(self, trials=tuple(trial for trial, kept in zip(self.trials, keep, strict=True) if kept))


def codes_of(space: Space, configurations: Sequence[Mapping[str, Value]]) -> Codes:
    """The codes of configurations, as `History.codes` has them, (configurations, hyperparameters)."""
    rows = [[_code(hyperparameter, configuration) for hyperparameter in space] for configuration in configurations]
    return np.array(rows, dtype=float).reshape(len(configurations), len(space.names))


def _code(hyperparameter: Hyperparameter, configuration: Mapping[str, Value]) -> float:
    value: Value | None = configuration.get(hyperparameter.name)
    domain = hyperparameter.domain
    if hyperparameter.name not in configuration:
        return float("nan")
    if isinstance(domain, Choice):
        if not domain.holds(value):
            return float("nan")
        return domain.to_unit(value) if domain.ordered else float(domain.index(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    return domain.to_unit(value)
