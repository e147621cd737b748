"""Each trial's value against each hyperparameter, on the hyperparameter's own scale: numbers for the explore page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.records import Session, Trial
from evenhand.space import Choice, Float, Hyperparameter, Integer, Value

Scale = Literal["linear", "log", "category"]


@dataclass(frozen=True)
class Point:
    """One trial: its position, its value (None where it has none), and what its label says."""

    x: Value
    value: float | None
    number: int
    outcome: str
    label: str


@dataclass(frozen=True)
class Panel:
    """The points of one hyperparameter, of those trials in which it was active.

    ticks: the labels of a choice's options in order, empty for numbers. default: where its default lies, if it has one.
    """

    name: str
    label: str
    scale: Scale
    ticks: tuple[str, ...]
    points: tuple[Point, ...]
    default: Value | None


def panels(session: Session) -> tuple[Panel, ...]:
    """A panel for each hyperparameter that any trial tried with more than one value."""
    found = [_panel(session, each) for each in session.space]
    return tuple(panel for panel in found if len({point.x for point in panel.points}) > 1)


def _panel(session: Session, hyperparameter: Hyperparameter) -> Panel:
    domain, name = hyperparameter.domain, hyperparameter.name
    active = [trial for trial in session.trials if name in trial.configuration]
    if isinstance(domain, Choice):
        points = tuple(_point(hyperparameter, trial, hyperparameter.show(trial.configuration[name])) for trial in active)
        default = None if hyperparameter.default is None else hyperparameter.show(hyperparameter.default)
        return Panel(name, hyperparameter.label, "category", domain.labels, points, default)
    zero = _zero(domain, [trial.configuration.number(name) for trial in active])
    points = tuple(_point(hyperparameter, trial, trial.configuration.number(name) or zero) for trial in active)
    start = None if hyperparameter.default is None else float(hyperparameter.default) or zero
    return Panel(name, hyperparameter.label, "log" if domain.log else "linear", (), points, start)


def _zero(domain: Float | Integer, values: Sequence[float]) -> float:
    """Where 0 is drawn: on a logarithmic scale, which has none, one decade below the smallest value."""
    return min((value for value in values if value > 0), default=float(domain.low)) / 10 if domain.log else 0.0


def _point(hyperparameter: Hyperparameter, trial: Trial, x: Value) -> Point:
    outcome = str(trial.outcome) if trial.outcome else "training"
    return Point(x, trial.value, trial.number, outcome, hyperparameter.show(trial.configuration[hyperparameter.name]))
