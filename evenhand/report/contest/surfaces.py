"""Points in the plane, and the decision surfaces behind them, as SVG: one panel a split, side by side (paper 003, Figs. 2, 5).

Colours are the pages', so that they follow a light or dark surrounding; classes differ in the shape of their points, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

import numpy as np

from evenhand.analysis.surface import Shown, Surface
from evenhand.model.words import NARROW_SPACE
from evenhand.report.blocks import plain
from evenhand.report.vega import CAUTION, GROUP_COLOURS, INK, LINE, METHOD, PERSON, QUIET

CLASS_COLOURS = (METHOD, PERSON, GROUP_COLOURS[4], GROUP_COLOURS[3], "#8794a6", GROUP_COLOURS[5])
# The strokes of a point of each class, from its middle: a dot, a cross, a plus, a bar, an upright bar, a corner.
MARK_PATHS = ("h.01", "m-1.3-1.3l2.6 2.6m0-2.6l-2.6 2.6", "m-1.7 0h3.4m-1.7-1.7v3.4", "m-1.7 0h3.4", "m0-1.7v3.4", "v1.7h1.7")
DOT_PIXELS, STROKE_PIXELS = 3.0, 1.1
PANEL_WIDTH, PANEL_GAP, PANEL_TOP, PANEL_FOOT = 156, 10, 24, 22  # of a panel, between panels, above and below them
REGION_OPACITY = 0.22  # how much of its colour a region has


@dataclass(frozen=True)
class PanelFrame:
    """From places in the plane to places in a panel, which starts at `left`."""

    low: tuple[float, float]
    size: tuple[float, float]
    left: float

    @property
    def height(self) -> float:
        """Of the panel: one unit is as long upwards as across, unless it would be very flat or very tall."""
        return min(2.2 * PANEL_WIDTH, max(0.3 * PANEL_WIDTH, PANEL_WIDTH * self.size[1] / self.size[0]))

    def x(self, value: float) -> float:
        """Across."""
        return self.left + PANEL_WIDTH * (value - self.low[0]) / self.size[0]

    def y(self, value: float) -> float:
        """Down."""
        return PANEL_TOP + self.height * (1 - (value - self.low[1]) / self.size[1])


def drawing(
    surface: Surface, classes: Sequence[str], *, regions: bool = True, errors: Mapping[str, float] | None = None, mark: str = ""
) -> str:
    """One panel a split: its points, with `regions` over the classes that the model names, and `mark` above them all.

    classes: names by number. errors: of each split in percent, for the heads of the panels, which else say how many points these
    are.
    """
    frames = _frames(surface)
    above = 20 if mark else 0
    height = above + PANEL_TOP + frames[0].height + PANEL_FOOT
    width = len(surface.shown) * (PANEL_WIDTH + PANEL_GAP) - PANEL_GAP
    parts = [_text(mark, width, 13, CAUTION, 'font-weight="600" text-anchor="end"')] if mark else []
    panels = zip(frames, surface.shown.items(), strict=True)
    body = [part for frame, (name, shown) in panels for part in _panel(surface, frame, name, shown, regions, errors)]
    parts.append(f'<g transform="translate(0 {above})">{"".join(body)}{_legend(classes, frames[0].height)}</g>')
    size = f'width="{width:g}" height="{height:.4g}" viewBox="0 0 {width:g} {height:.4g}" font-family="system-ui, sans-serif"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def _frames(surface: Surface) -> list[PanelFrame]:
    half = [(axis[1] - axis[0]) / 2 for axis in (surface.x, surface.y)]
    low = (float(surface.x[0] - half[0]), float(surface.y[0] - half[1]))
    size = (float(surface.x[-1] + half[0]) - low[0], float(surface.y[-1] + half[1]) - low[1])
    return [PanelFrame(low, size, at * (PANEL_WIDTH + PANEL_GAP)) for at in range(len(surface.shown))]


def _panel(
    surface: Surface, frame: PanelFrame, name: str, shown: Shown, regions: bool, errors: Mapping[str, float] | None
) -> list[str]:
    said = f"{errors[name]:.1f}{NARROW_SPACE}%" if errors else f"{len(shown.points)} points"
    parts = [
        _text(name, frame.left, PANEL_TOP - 7, INK, 'font-weight="600"'),
        _text(said, frame.left + PANEL_WIDTH, PANEL_TOP - 7, QUIET, 'text-anchor="end"'),
    ]
    if regions:
        parts += [
            f'<path d="{path}" fill="{CLASS_COLOURS[number % len(CLASS_COLOURS)]}" fill-opacity="{REGION_OPACITY}" '
            'shape-rendering="crispEdges"/>'
            for number, path in _regions(surface, frame).items()
        ]
    parts += [
        f'<path d="{path}" fill="none" stroke="{CLASS_COLOURS[number % len(CLASS_COLOURS)]}" stroke-linecap="round" '
        f'stroke-width="{DOT_PIXELS if number % len(MARK_PATHS) == 0 else STROKE_PIXELS}"/>'
        for number, path in _points(shown, frame).items()
    ]
    edge = f'x="{frame.left:g}" y="{PANEL_TOP}" width="{PANEL_WIDTH}" height="{frame.height:.4g}"'
    return [*parts, f'<rect {edge} fill="none" stroke="{LINE}"/>']


def _regions(surface: Surface, frame: PanelFrame) -> Mapping[int, str]:
    """One path for each class: a rectangle for each run of cells in a row that name it."""
    paths: dict[int, list[str]] = {}
    wide, tall = PANEL_WIDTH / len(surface.x), frame.height / len(surface.y)
    for row, cells in enumerate(surface.classes):
        top, at = PANEL_TOP + frame.height - (row + 1) * tall, 0
        for name, run in groupby(cells.tolist()):
            count = len(list(run))
            box = f"M{frame.left + at * wide:.5g} {top:.5g}h{count * wide:.5g}v{tall:.4g}h-{count * wide:.5g}z"
            paths.setdefault(int(name), []).append(box)
            at += count
    return {name: "".join(boxes) for name, boxes in sorted(paths.items())}


def _points(shown: Shown, frame: PanelFrame) -> Mapping[int, str]:
    paths = {}
    for name in np.unique(shown.classes).tolist():
        places = shown.points[shown.classes == name]
        paths[int(name)] = "".join(
            f"M{frame.x(x):.4g} {frame.y(y):.4g}{MARK_PATHS[name % len(MARK_PATHS)]}" for x, y in places.tolist()
        )
    return paths


def _legend(classes: Sequence[str], height: float) -> str:
    parts, left, y = [], 4.0, PANEL_TOP + height + 16
    for number, name in enumerate(classes[: len(CLASS_COLOURS)]):
        width = DOT_PIXELS if number % len(MARK_PATHS) == 0 else STROKE_PIXELS
        parts.append(
            f'<path d="M{left:.4g} {y - 4:.4g}{MARK_PATHS[number % len(MARK_PATHS)]}" fill="none" '
            f'stroke="{CLASS_COLOURS[number]}" stroke-linecap="round" stroke-width="{width + 0.5:g}"/>'
        )
        words = f"class {name}"
        parts.append(_text(words, left + 7, y, QUIET))
        left += 7 + 6.6 * len(words) + 14
    return "".join(parts)


def _text(words: str, x: float, y: float, colour: str, rest: str = "") -> str:
    return f'<text x="{x:.4g}" y="{y:.4g}" fill="{colour}" font-size="12" {rest}>{escape(plain(words))}</text>'
