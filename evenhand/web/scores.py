"""A revealed evaluation as the session's page draws it: one dot a seed, on one axis."""

from dataclasses import dataclass

from evenhand.analysis.scores import Summary, show_score
from evenhand.records import Evaluation

WIDTH, MARGIN, MIDDLE = 400.0, 16.0, 29.0  # of the drawing, in its own units
RADIUS = 4.5
STEPS = (1.0, 2.0, 5.0)


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
    """The positions, in order, each moved up or down until it is clear of those before it."""
    placed: list[tuple[float, float]] = []
    for x in positions:
        for level in range(len(positions) + 1):
            y = MIDDLE + (1 if level % 2 else -1) * ((level + 1) // 2) * RADIUS * 1.2
            if all((x - other) ** 2 + (y - height) ** 2 >= (2 * RADIUS) ** 2 * 0.8 for other, height in placed):
                break
        placed.append((x, round(y, 1)))
    return tuple(placed)


def _ticks(first: float, last: float) -> list[float]:
    """About four round numbers between the ends."""
    rough = (last - first) / 4
    power = 10.0 ** _magnitude(rough)
    step = next((each * power for each in STEPS if each * power >= rough), 10 * power)
    start = int(first / step)
    return [count * step for count in range(start, start + 12) if first <= count * step <= last]


def _magnitude(value: float) -> int:
    return int(f"{value:e}".partition("e")[2])
