"""What the top of a run's page says, read without the run's trials: there may be tens of thousands."""

from collections.abc import Mapping
from dataclasses import dataclass

from evenhand.model.session import Session
from evenhand.model.trial import Trial


@dataclass(frozen=True, slots=True)
class Gain:
    """A trial that was better than all before it.

    Attributes:
        number: of the trial.
        value: what it was scored on validation.
    """

    number: int
    value: float


@dataclass(frozen=True, slots=True)
class RunHead:
    """A session and what is shown of it first.

    Attributes:
        session: all of it where `is_whole`, else with the trials that are open, and what its rules ask of the others.
        is_whole: whether its trials are in it.
        trials: how many there are.
        newest_number: the largest number of a trial; 0 without one.
        used: how many of them count in the budget.
        outcomes: how many trials ended how; those that have not under "open".
        gains: each new best of the trials that have ended, in the order of their numbers.
        best: the best of the trials that have ended.
        open_trials: those that wait or train.
        chosen: the trial that was chosen.
        is_joint: whether a person and a method worked on it together.
        stamp: changes whenever something of it but measurements does.
    """

    session: Session
    is_whole: bool
    trials: int
    newest_number: int
    used: int
    outcomes: Mapping[str, int]
    gains: tuple[Gain, ...]
    best: Trial | None
    open_trials: tuple[Trial, ...]
    chosen: Trial | None
    is_joint: bool
    stamp: str
