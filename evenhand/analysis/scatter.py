"""Each trial's value against each hyperparameter, on the hyperparameter's own scale: numbers for the explore page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.model import state_words
from evenhand.model.domain import Choice, Float, Integer, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.session import Session
from evenhand.model.trial import Trial

Scale = Literal["linear", "log", "category"]


@dataclass(frozen=True)
class TrialPoint:
    """One trial: its position, its value (None where it has none), and what its label says.

    status: one word for where it stands, by which its symbol goes. words: the same for people: of one that was stopped, by whom.
    """

    x: Value
    value: float | None
    number: int
    status: str
    words: str
    label: str


@dataclass(frozen=True)
class ScatterPanel:
    """The points of one hyperparameter, of those trials in which it was active.

    ticks: the labels of a choice's options in order, empty for numbers. default: where its default lies, if it has one.
    """

    name: str
    label: str
    scale: Scale
    ticks: tuple[str, ...]
    points: tuple[TrialPoint, ...]
    default: Value | None


def panels(session: Session) -> tuple[ScatterPanel, ...]:
    """A panel for each hyperparameter that any trial tried with more than one value."""
    panels = [_panel(session, hyperparameter) for hyperparameter in session.space]
    return tuple(panel for panel in panels if len({point.x for point in panel.points}) > 1)


def _panel(session: Session, hyperparameter: Hyperparameter) -> ScatterPanel:
    domain, name = hyperparameter.domain, hyperparameter.name
    active = [trial for trial in session.trials if name in trial.configuration]
    if isinstance(domain, Choice):
        points = tuple(_point(hyperparameter, trial, hyperparameter.show(trial.configuration[name])) for trial in active)
        default = None if hyperparameter.mandatory else hyperparameter.show(hyperparameter.default)
        return ScatterPanel(name, hyperparameter.label, "category", domain.labels, points, default)
    zero = _zero(domain, [trial.configuration.number(name) for trial in active])
    points = tuple(_point(hyperparameter, trial, trial.configuration.number(name) or zero) for trial in active)
    start = None if hyperparameter.mandatory else float(hyperparameter.default) or zero
    return ScatterPanel(name, hyperparameter.label, "log" if domain.log else "linear", (), points, start)


def _zero(domain: Float | Integer, values: Sequence[float]) -> float:
    """Where 0 is drawn: on a logarithmic scale, which has none, one decade below the smallest value."""
    return min((value for value in values if value > 0), default=float(domain.low)) / 10 if domain.log else 0.0


def _point(hyperparameter: Hyperparameter, trial: Trial, x: Value) -> TrialPoint:
    return TrialPoint(
        x=x,
        value=trial.value,
        number=trial.number,
        status=state_words.status_of(trial),
        words=state_words.outcome_words(trial),
        label=hyperparameter.show(trial.configuration[hyperparameter.name]),
    )
