"""A revealed evaluation as the session's page draws it: one dot a seed, on one axis."""

import math
from dataclasses import dataclass

from evenhand.analysis.summaries import Summary, scale_of
from evenhand.analysis.ticks import round_numbers
from evenhand.model.evaluation import Evaluation
from evenhand.model.words import show_score

DRAWING_WIDTH, DRAWING_MARGIN, DRAWING_MIDDLE = 400.0, 16.0, 29.0  # of the drawing, in its own units
DOT_RADIUS = 4.5
DOT_LEVEL = 4.8  # between stacked dots: ten equal scores still fit, half hidden


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
    unit = scale_of(values)  # so that the difference of any two is a number
    low, high, mean = values[0] / unit, values[-1] / unit, summary.mean / unit
    around = (summary.deviation or 0.0) / unit
    first, last = min(low, mean - around), max(high, mean + around)
    room = max((last - first) * 0.1, 0.005 * max(abs(last), 1e-9))
    first, last = first - room, last + room

    def place(value: float) -> float:
        return round(DRAWING_MARGIN + (DRAWING_WIDTH - 2 * DRAWING_MARGIN) * (value - first) / (last - first), 1)

    spread = None
    if summary.deviation is not None:
        left, right = place(mean - around), place(mean + around)
        spread = (left, round(right - left, 1))
    ticks = tuple(
        (place(at), show_score(at * unit, evaluation.metric)) for at in round_numbers(first, last) if math.isfinite(at * unit)
    )
    return Dots(values[0], values[-1], place(mean), spread, _stacked([place(value / unit) for value in values]), ticks)


def _stacked(positions: list[float]) -> tuple[tuple[float, float], ...]:
    """The positions, in order, each moved up or down until its centre is outside the dots before it."""
    placed: list[tuple[float, float]] = []
    for x in positions:
        levels = (DRAWING_MIDDLE + (-1) ** level * ((level + 1) // 2) * DOT_LEVEL for level in range(2 * len(positions)))
        free = (y for y in levels if all(math.dist((x, y), other) > DOT_RADIUS for other in placed))
        placed.append((x, round(next(free, DRAWING_MIDDLE), 1)))
    return tuple(placed)
