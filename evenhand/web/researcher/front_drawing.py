"""The front of a session with several objectives as its page draws it: one drawing for each objective beside the first."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand.analysis.summaries import Summary, drawn
from evenhand.analysis.ticks import round_numbers
from evenhand.model import choices
from evenhand.model.aims import values_of
from evenhand.model.direction import recorded_value
from evenhand.model.session import Session
from evenhand.model.task import Metric
from evenhand.model.trial import VALUELESS_OUTCOMES, Trial
from evenhand.model.words import show_score

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560.0, 280.0, 64.0, 16.0, 12.0, 40.0  # of a drawing, in its own units
Tick = tuple[float, str]


@dataclass(frozen=True)
class FrontPoint:
    """A trial in a drawing. place: "front", "behind" it, or "missing" what is required. words: what it is, for its label."""

    number: int
    x: float
    y: float
    place: str
    chosen: bool
    words: str


@dataclass(frozen=True)
class FrontDrawing:
    """across, up: the objectives. line: the points of the front from left to right. noise: the seeds' spread around the choice,
    as left, right, top and bottom edges; None where it is not known, or not to be seen."""

    across: Metric
    up: Metric
    points: tuple[FrontPoint, ...]
    line: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    noise: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class FrontRow:
    """A trial of the front in the table. chosen: whether it is the session's choice."""

    number: int
    values: tuple[str, ...]
    chosen: bool


def rows(session: Session) -> tuple[FrontRow, ...]:
    """The front's trials, the best by the first objective first."""
    metric, names = session.task.metric, [objective.name for objective in choices.objectives_of(session)]
    chosen = session.chosen_trial
    return tuple(
        FrontRow(
            trial.number,
            tuple(show_score(values_of(trial, metric).get(name), name) for name in names),
            chosen is not None and chosen.number == trial.number,
        )
        for trial in choices.front(session)
    )


def drawings(session: Session, spreads: Mapping[str, Summary]) -> tuple[FrontDrawing, ...]:
    """What is drawn of a session. spreads: over the evaluation's seeds, of each objective that they have."""
    first, *others = choices.objectives_of(session)
    made = (_drawing(session, other, first, spreads) for other in others)
    return tuple(drawing for drawing in made if drawing is not None)


def _drawing(session: Session, across: Metric, up: Metric, spreads: Mapping[str, Summary]) -> FrontDrawing | None:
    metric, on_front = session.task.metric, {trial.number for trial in choices.front(session)}
    shown: list[tuple[Trial, float, float]] = []
    for trial in session.trials:
        measured = values_of(trial, metric)
        ended = not trial.is_open and trial.outcome not in VALUELESS_OUTCOMES and recorded_value(trial) is not None
        if ended and across.name in measured and up.name in measured:
            shown.append((trial, drawn(measured[across.name]), drawn(measured[up.name])))
    if not shown:
        return None
    chosen = session.chosen_trial
    around = [spreads[name].deviation or 0.0 if name in spreads else 0.0 for name in (across.name, up.name)]
    x_axis = _Axis.over([x for _, x, _ in shown], around[0], LEFT, WIDTH - RIGHT)
    y_axis = _Axis.over([y for _, _, y in shown], around[1], HEIGHT - BOTTOM, TOP)
    points, noise = [], None
    for trial, x, y in shown:
        is_chosen = chosen is not None and chosen.number == trial.number
        place = "missing" if not trial.is_feasible else "front" if trial.number in on_front else "behind"
        words = f"trial {trial.number}: {choices.objectives_words(session, trial)}{', vetoed' if trial.veto else ''}"
        points.append(FrontPoint(trial.number, x_axis.at(x), y_axis.at(y), place, is_chosen, words))
        if is_chosen and any(around):
            noise = (x_axis.at(x - around[0]), x_axis.at(x + around[0]), y_axis.at(y + around[1]), y_axis.at(y - around[1]))
    line = sorted((point.x, point.y) for point in points if point.place == "front")
    return FrontDrawing(
        across,
        up,
        tuple(points),
        " ".join(f"{x},{y}" for x, y in line) if len(choices.objectives_of(session)) == 2 else "",
        x_axis.ticks(across.name),
        y_axis.ticks(up.name),
        noise,
    )


@dataclass(frozen=True)
class _Axis:
    """Numbers from `low` to `high`, in a drawing from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def over(cls, values: Sequence[float], around: float, start: float, end: float) -> "_Axis":
        low, high = min(values) - around, max(values) + around
        room = max((high / 2 - low / 2) * 0.1, 0.005 * max(abs(low), abs(high), 1e-9))
        return cls(low - room, high + room, start, end)

    def at(self, value: float) -> float:
        share = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # halves, since a difference may be no number
        return round(self.start + (self.end - self.start) * share, 1)

    def ticks(self, name: str) -> tuple[Tick, ...]:
        numbers = round_numbers(self.low, self.high) if math.isfinite(self.high - self.low) else [self.low, self.high]
        return tuple((self.at(number), show_score(number, name)) for number in numbers)
