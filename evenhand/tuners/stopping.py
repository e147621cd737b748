"""Stopping rules: which running trials are not worth their remaining epochs. Any method can be given one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import ClassVar, Protocol

from evenhand.errors import InvalidSettings
from evenhand.records import Trial
from evenhand.space import show
from evenhand.tuners.base import check_counts

Values = Mapping[int, float]  # the validation value after each completed epoch


class Rule(Protocol):
    """Decides of one running trial."""

    def why_stop(self, trial: Trial, values: Values, others: Sequence[Values]) -> str | None:
        """Why the trial is to be stopped now, in words; None where it may go on. others: of trials that have ended."""


@dataclass(frozen=True)
class Median:
    """Stop a trial whose best value so far is worse than the median of the other trials' running averages at the same epoch.

    Source: Golovin et al., "Google Vizier" (2017), section 3.2.1.

    startup: trials that must have come as far before any is stopped. warmup: epochs that every trial may complete.
    """

    name: ClassVar[str] = "median"
    maximize: bool
    startup: int = 5
    warmup: int = 1

    def __post_init__(self) -> None:
        check_counts(self.name, startup=self.startup, warmup=self.warmup)

    def why_stop(self, trial: Trial, values: Values, others: Sequence[Values]) -> str | None:
        """Why the trial is to be stopped now; None where it may go on, also at its last epoch."""
        epoch = max(values, default=0)
        if epoch <= self.warmup or epoch >= trial.epochs_planned:
            return None
        averages = [sum(seen) / len(seen) for each in others if max(each) >= epoch and (seen := _until(each, epoch))]
        if len(averages) < self.startup:
            return None
        best, middle = (max if self.maximize else min)(values.values()), median(averages)
        if best >= middle if self.maximize else best <= middle:
            return None
        return (
            f"after epoch {epoch} its best value, {_short(best)}, was worse than {_short(middle)}, the median of the running "
            f"averages of {len(averages)} trials that came as far"
        )


RULES: Mapping[str, type[Median]] = {Median.name: Median}


def rule(name: str, *, maximize: bool) -> Rule:
    """The stopping rule called `name`; InvalidSettings where there is none."""
    if name not in RULES:
        raise InvalidSettings(f"stopping rule {name!r}: there is none; expected {', '.join(RULES)}")
    return RULES[name](maximize)


def _until(values: Values, epoch: int) -> list[float]:
    return [value for at, value in values.items() if at <= epoch]


def _short(value: float) -> str:
    return show(float(f"{value:.4g}"))
