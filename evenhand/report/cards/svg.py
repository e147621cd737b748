"""A card's picture as SVG without any library: for pages, whose style sheet colours it by class, and for notebooks."""

import html
from collections.abc import Callable

from evenhand.analysis.ticks import round_numbers
from evenhand.model.words import percent, rounded, shortened
from evenhand.report.cards.pictures import Curves, Mark, Panel, Picture

WIDTH, ROW, TOP, BOTTOM, RIGHT = 400, 22, 8, 40, 18  # pixels
LABEL_CHARACTERS = 22
LETTER = 7.6  # pixels of a letter of a label, about
TICKS = 4
PANEL_WIDTH, PANEL_HEIGHT, PANEL_LEFT, PANEL_TOP, PANEL_BOTTOM = 200, 132, 44, 20, 22  # pixels of one panel, and beside its plot
PANEL_LETTERS = 11  # characters of a label below a panel


def svg(picture: Picture | Curves) -> str:
    """The picture.

    Args:
        picture: what is drawn.

    Returns:
        One element; its parts have classes (mark, main, second, quiet, band, chance) and the surroundings' colour.
    """
    if isinstance(picture, Curves):
        return _curves(picture)
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


def _curves(curves: Curves) -> str:
    """Panels in two columns, all on one scale of values."""
    low, high = curves.ends
    room = (high - low) * 0.04 or max(abs(high) * 0.04, 1e-9)
    rows = (len(curves.panels) + 1) // 2
    height = rows * PANEL_HEIGHT + ROW
    parts = [f'<text x="4" y="13" font-size="12">{html.escape(curves.axis)}</text>']
    for place, panel in enumerate(curves.panels):
        left, top = (place % 2) * PANEL_WIDTH, ROW + (place // 2) * PANEL_HEIGHT
        inner = _panel(panel, low - room, high + room, curves.percent)
        parts.append(f'<g transform="translate({left},{top})">{inner}</g>')
    return (
        f'<svg class="card-drawing" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(curves.alt)}" font-size="11" fill="currentColor">{"".join(parts)}</svg>'
    )


def _panel(panel: Panel, low: float, high: float, is_percent: bool) -> str:
    """One panel: single configurations thin, the band of the trees, the mean; options are points with their bands."""
    floor, right = PANEL_HEIGHT - PANEL_BOTTOM, PANEL_WIDTH - 8
    xs = [PANEL_LEFT + (right - PANEL_LEFT) * place for place in panel.places]

    def up(value: float) -> float:
        return floor - (floor - PANEL_TOP) * (value - low) / (high - low)

    def path(values: tuple[float, ...]) -> str:
        return "M" + "L".join(f"{x:.1f},{up(value):.1f}" for x, value in zip(xs, values, strict=True))

    parts = [f'<text x="{PANEL_LEFT}" y="12" font-weight="600">{html.escape(shortened(panel.name, LABEL_CHARACTERS))}</text>']
    for tick in round_numbers(low, high, 2):
        y = up(tick)
        shown = percent(tick, 0 if high - low > 0.06 else 1) if is_percent else rounded(tick)
        parts.append(f'<path d="M{PANEL_LEFT},{y:.1f}H{right}" stroke="currentColor" stroke-opacity=".15"/>')
        parts.append(f'<text x="{PANEL_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{html.escape(shown)}</text>')
    if not panel.is_stepped:
        parts += [f'<path d="{path(row)}" fill="none" stroke="currentColor" stroke-opacity=".16"/>' for row in panel.single]
        parts.append(f'<path class="band" d="{_band(xs, panel, up)}" fill="currentColor" fill-opacity=".14"/>')
        parts.append(f'<path class="main" d="{path(panel.mean)}" fill="none" stroke="currentColor" stroke-width="2"/>')
    else:
        for x, mean, least, most in zip(xs, panel.mean, panel.low, panel.high, strict=True):
            parts.append(
                f'<g class="main"><path d="M{x:.1f},{up(least):.1f}V{up(most):.1f}" stroke="currentColor" stroke-width="2"/>'
            )
            parts.append(f'<circle cx="{x:.1f}" cy="{up(mean):.1f}" r="3.5" fill="currentColor"/></g>')
    ends = ((0, "start"), (-1, "end")) if len(xs) > 3 or not panel.is_stepped else tuple((at, "middle") for at in range(len(xs)))
    for at, anchor in ends:
        label = html.escape(shortened(panel.labels[at], PANEL_LETTERS))
        parts.append(f'<text x="{xs[at]:.1f}" y="{floor + 14}" text-anchor="{anchor}">{label}</text>')
    return "".join(parts)


def _band(xs: list[float], panel: Panel, up: Callable[[float], float]) -> str:
    """The outline of the band: along its upper edge and back along the lower one."""
    upper = [f"{x:.1f},{up(value):.1f}" for x, value in zip(xs, panel.high, strict=True)]
    lower = [f"{x:.1f},{up(value):.1f}" for x, value in zip(xs, panel.low, strict=True)]
    return f"M{'L'.join([*upper, *reversed(lower)])}Z"
