"""A card's picture as SVG without any library: for pages, whose style sheet colours it by class, and for notebooks."""

import html

from evenhand.analysis.ticks import round_numbers
from evenhand.model.words import percent, rounded, shortened
from evenhand.report.cards.pictures import Mark, Picture

WIDTH, ROW, TOP, BOTTOM, RIGHT = 400, 22, 8, 40, 18  # pixels
LABEL_CHARACTERS = 22
LETTER = 7.6  # pixels of a letter of a label, about
TICKS = 4


def svg(picture: Picture) -> str:
    """The picture.

    Args:
        picture: what is drawn.

    Returns:
        One element; its parts have classes (mark, main, second, quiet, band, chance) and the surroundings' colour.
    """
    labels = [shortened(mark.label, LABEL_CHARACTERS) for mark in picture.marks]
    left = 14 + LETTER * max(map(len, labels), default=0)
    low, high = picture.ends
    room = (high - low) * 0.04 or max(abs(high) * 0.04, 1e-9)
    low, high = low - room, high + room
    height = TOP + ROW * len(labels) + BOTTOM

    def across(value: float) -> float:
        return left + (WIDTH - left - RIGHT) * (value - low) / (high - low)

    floor = height - BOTTOM
    parts = []
    if picture.band is not None:
        first, last = map(across, picture.band)
        width = max(last - first, 1.0)
        parts.append(
            f'<rect class="band" x="{first:.1f}" y="{TOP}" width="{width:.1f}" height="{floor - TOP}" fill="currentColor" '
            f'fill-opacity=".09"><title>{html.escape(picture.band_words)}</title></rect>'
        )
    for tick in round_numbers(low, high, TICKS):
        x = across(tick)
        parts.append(f'<path d="M{x:.1f},{TOP}V{floor}" stroke="currentColor" stroke-opacity=".15"/>')
        shown = percent(tick, 0 if high - low > 0.06 else 1) if picture.percent else rounded(tick)
        parts.append(f'<text x="{x:.1f}" y="{floor + 15}" text-anchor="middle">{html.escape(shown)}</text>')
    parts.append(f'<path d="M{left:.1f},{floor}H{WIDTH - RIGHT}" stroke="currentColor" stroke-opacity=".5"/>')
    middle = (left + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle:.1f}" y="{height - 6}" text-anchor="middle">{html.escape(picture.axis)}</text>')
    for at, (mark, label) in enumerate(zip(picture.marks, labels, strict=True)):
        y = TOP + ROW * (at + 0.5)
        parts.append(f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{html.escape(label)}</text>')
        parts.append(_mark(mark, y, across(mark.value), *(None if end is None else across(end) for end in _ends(mark))))
    return (
        f'<svg class="card-drawing" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(picture.alt)}" font-size="13" fill="currentColor">{"".join(parts)}</svg>'
    )


def _ends(mark: Mark) -> tuple[float | None, float | None, float | None, float | None]:
    return mark.low, mark.high, mark.chance_low, mark.chance_high


def _mark(
    mark: Mark, y: float, x: float, low: float | None, high: float | None, chance_low: float | None, chance_high: float | None
) -> str:
    """A row: its band of chance, its interval, its point. What cannot be told from chance is hollow."""
    parts = [f"<title>{html.escape(mark.said or mark.label)}</title>"]
    if chance_low is not None and chance_high is not None:
        width = max(chance_high - chance_low, 1.0)
        parts.append(
            f'<rect class="chance" x="{chance_low:.1f}" y="{y - 7:.1f}" width="{width:.1f}" height="14" fill="currentColor" '
            'fill-opacity=".14"/>'
        )
    if low is not None and high is not None:
        parts.append(f'<path d="M{low:.1f},{y:.1f}H{high:.1f}" stroke="currentColor" stroke-width="2"/>')
    fill = "none" if mark.look == "quiet" else "currentColor"
    shape = (
        f'<path d="M{x - 5:.1f},{y:.1f}L{x:.1f},{y - 5:.1f}L{x + 5:.1f},{y:.1f}L{x:.1f},{y + 5:.1f}Z"'
        if mark.look == "second"
        else f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"'
    )
    parts.append(f'{shape} fill="{fill}" stroke="currentColor" stroke-width="1.5"/>')
    return f'<g class="mark {mark.look}{" accent" if mark.look == "main" else ""}">{"".join(parts)}</g>'
