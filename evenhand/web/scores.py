"""A revealed evaluation as the session's page draws it: one dot a seed, on one axis."""

import math
from dataclasses import dataclass

from evenhand.analysis.scores import Summary, show_score
from evenhand.records import Evaluation

WIDTH, MARGIN, MIDDLE = 400.0, 16.0, 29.0  # of the drawing, in its own units
RADIUS = 4.5
LEVEL = 4.8  # between stacked dots: ten equal scores still fit, half hidden
STEPS = (1.0, 2.0, 2.5, 5.0)


@dataclass(frozen=True)
class Dots:
    """Places in the drawing. ticks: position and label. spread: left edge and width of mean ± standard deviation."""

    low: float
    high: float
    mean: float
    spread: tuple[float, float] | None
    places: tuple[tuple[float, float], ...]
    ticks: tuple[tuple[float, str], ...]


def dots(evaluation: Evaluation, summary: Summary) -> Dots | None:
    """Where each seed's dot goes; dots that would overlap are stacked. None where no seed has a score."""
    values = sorted(score.value for score in evaluation.scores if score.value is not None)
    if not values or summary.mean is None:
        return None
    low, high = values[0], values[-1]
    around = summary.deviation or 0.0
    first, last = min(low, summary.mean - around), max(high, summary.mean + around)
    room = max((last - first) * 0.1, 0.005 * max(abs(last), 1e-9))
    first, last = first - room, last + room

    def place(value: float) -> float:
        return round(MARGIN + (WIDTH - 2 * MARGIN) * (value - first) / (last - first), 1)

    spread = None
    if summary.deviation is not None:
        left, right = place(summary.mean - around), place(summary.mean + around)
        spread = (left, round(right - left, 1))
    ticks = tuple((place(at), show_score(at, evaluation.metric)) for at in _ticks(first, last))
    return Dots(low, high, place(summary.mean), spread, _stacked([place(value) for value in values]), ticks)


def _stacked(positions: list[float]) -> tuple[tuple[float, float], ...]:
    """The positions, in order, each moved up or down until its centre is outside the dots before it."""
    placed: list[tuple[float, float]] = []
    for x in positions:
        levels = (MIDDLE + (-1) ** level * ((level + 1) // 2) * LEVEL for level in range(2 * len(positions)))
        free = (y for y in levels if all(math.dist((x, y), other) > RADIUS for other in placed))
        placed.append((x, round(next(free, MIDDLE), 1)))
    return tuple(placed)


def _ticks(first: float, last: float) -> list[float]:
    """About five round numbers between the ends."""
    rough = (last - first) / 5
    power = 10.0 ** _magnitude(rough)
    step = next((each * power for each in STEPS if each * power >= rough), 10 * power)
    start = int(first / step)
    return [count * step for count in range(start, start + 12) if first <= count * step <= last]


def _magnitude(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])
