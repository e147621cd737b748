"""What can be asked of a run's trials where a database answers: their facts, their values, their hyperparameters."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

TrialFieldKind = Literal["plain", "value", "metric", "hyperparameter"]


@dataclass(frozen=True, slots=True)
class TrialField:
    """One of them.

    Attributes:
        kind: a fact that each trial has, its value, a further metric, or a hyperparameter.
        name: of it, in the trial's record.
    """

    kind: TrialFieldKind
    name: str


class CurvePoint(NamedTuple):
    """What a trial measured at the end of an epoch.

    Attributes:
        number: of the trial.
        epoch: how many were done.
        value: the first metric on validation.
    """

    number: int
    epoch: int
    value: float


def can_ask(name: str) -> bool:
    """Whether a database can be asked for a name within JSON: SQLite's paths have no word for a quotation mark in one."""
    return '"' not in name and "\\" not in name and name.isascii()
