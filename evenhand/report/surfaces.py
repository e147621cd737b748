"""Points in the plane, and the decision surfaces behind them, as SVG: one panel a split, side by side (paper 003, Figs. 2, 5).

Colours are the pages', so that they follow a light or dark surrounding; classes differ in the shape of their points, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

import numpy as np

from evenhand.analysis.surface import Shown, Surface
from evenhand.report.blocks import NARROW, plain
from evenhand.report.canvas import CAUTION, INK, LINE, METHOD, PERSON, QUIET, SHADES

CLASSES = (METHOD, PERSON, SHADES[4], SHADES[3], "#8794a6", SHADES[5])
# The strokes of a point of each class, from its middle: a dot, a cross, a plus, a bar, an upright bar, a corner.
MARKS = ("h.01", "m-1.3-1.3l2.6 2.6m0-2.6l-2.6 2.6", "m-1.7 0h3.4m-1.7-1.7v3.4", "m-1.7 0h3.4", "m0-1.7v3.4", "v1.7h1.7")
DOT, STROKE = 3.0, 1.1
WIDTH, GAP, TOP, FOOT = 156, 10, 24, 22  # of a panel, between panels, above and below them
SHARE = 0.22  # how much of its colour a region has


@dataclass(frozen=True)
class Frame:
    """From places in the plane to places in a panel, which starts at `left`."""

    low: tuple[float, float]
    size: tuple[float, float]
    left: float

    @property
    def height(self) -> float:
        """Of the panel: one unit is as long upwards as across, unless it would be very flat or very tall."""
        return min(2.2 * WIDTH, max(0.3 * WIDTH, WIDTH * self.size[1] / self.size[0]))

    def x(self, value: float) -> float:
        """Across."""
        return self.left + WIDTH * (value - self.low[0]) / self.size[0]

    def y(self, value: float) -> float:
        """Down."""
        return TOP + self.height * (1 - (value - self.low[1]) / self.size[1])


def drawing(
    found: Surface, classes: Sequence[str], *, regions: bool = True, errors: Mapping[str, float] | None = None, mark: str = ""
) -> str:
    """One panel a split: its points, with `regions` over the classes that the model names, and `mark` above them all.

    classes: names by number. errors: of each split in percent, for the heads of the panels, which else say how many points these
    are.
    """
    frames = _frames(found)
    above = 20 if mark else 0
    height = above + TOP + frames[0].height + FOOT
    width = len(found.shown) * (WIDTH + GAP) - GAP
    parts = [_text(mark, width, 13, CAUTION, 'font-weight="600" text-anchor="end"')] if mark else []
    panels = zip(frames, found.shown.items(), strict=True)
    body = [part for frame, (name, shown) in panels for part in _panel(found, frame, name, shown, regions, errors)]
    parts.append(f'<g transform="translate(0 {above})">{"".join(body)}{_legend(classes, frames[0].height)}</g>')
    size = f'width="{width:g}" height="{height:.4g}" viewBox="0 0 {width:g} {height:.4g}" font-family="system-ui, sans-serif"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def _frames(found: Surface) -> list[Frame]:
    half = [(axis[1] - axis[0]) / 2 for axis in (found.x, found.y)]
    low = (float(found.x[0] - half[0]), float(found.y[0] - half[1]))
    size = (float(found.x[-1] + half[0]) - low[0], float(found.y[-1] + half[1]) - low[1])
    return [Frame(low, size, at * (WIDTH + GAP)) for at in range(len(found.shown))]


def _panel(found: Surface, frame: Frame, name: str, shown: Shown, regions: bool, errors: Mapping[str, float] | None) -> list[str]:
    said = f"{errors[name]:.1f}{NARROW}%" if errors else f"{len(shown.points)} points"
    parts = [
        _text(name, frame.left, TOP - 7, INK, 'font-weight="600"'),
        _text(said, frame.left + WIDTH, TOP - 7, QUIET, 'text-anchor="end"'),
    ]
    if regions:
        parts += [
            f'<path d="{path}" fill="{CLASSES[number % len(CLASSES)]}" fill-opacity="{SHARE}" shape-rendering="crispEdges"/>'
            for number, path in _regions(found, frame).items()
        ]
    parts += [
        f'<path d="{path}" fill="none" stroke="{CLASSES[number % len(CLASSES)]}" stroke-linecap="round" '
        f'stroke-width="{DOT if number % len(MARKS) == 0 else STROKE}"/>'
        for number, path in _points(shown, frame).items()
    ]
    edge = f'x="{frame.left:g}" y="{TOP}" width="{WIDTH}" height="{frame.height:.4g}"'
    return [*parts, f'<rect {edge} fill="none" stroke="{LINE}"/>']


def _regions(found: Surface, frame: Frame) -> Mapping[int, str]:
    """One path for each class: a rectangle for each run of cells in a row that name it."""
    paths: dict[int, list[str]] = {}
    wide, tall = WIDTH / len(found.x), frame.height / len(found.y)
    for row, cells in enumerate(found.classes):
        top, at = TOP + frame.height - (row + 1) * tall, 0
        for name, run in groupby(cells.tolist()):
            count = len(list(run))
            box = f"M{frame.left + at * wide:.5g} {top:.5g}h{count * wide:.5g}v{tall:.4g}h-{count * wide:.5g}z"
            paths.setdefault(int(name), []).append(box)
            at += count
    return {name: "".join(boxes) for name, boxes in sorted(paths.items())}


def _points(shown: Shown, frame: Frame) -> Mapping[int, str]:
    paths = {}
    for name in np.unique(shown.classes).tolist():
        places = shown.points[shown.classes == name]
        paths[int(name)] = "".join(f"M{frame.x(x):.4g} {frame.y(y):.4g}{MARKS[name % len(MARKS)]}" for x, y in places.tolist())
    return paths


def _legend(classes: Sequence[str], height: float) -> str:
    parts, left, y = [], 4.0, TOP + height + 16
    for number, name in enumerate(classes[: len(CLASSES)]):
        width = DOT if number % len(MARKS) == 0 else STROKE
        parts.append(
            f'<path d="M{left:.4g} {y - 4:.4g}{MARKS[number % len(MARKS)]}" fill="none" stroke="{CLASSES[number]}" '
            f'stroke-linecap="round" stroke-width="{width + 0.5:g}"/>'
        )
        words = f"class {name}"
        parts.append(_text(words, left + 7, y, QUIET))
        left += 7 + 6.6 * len(words) + 14
    return "".join(parts)


def _text(words: str, x: float, y: float, colour: str, rest: str = "") -> str:
    return f'<text x="{x:.4g}" y="{y:.4g}" fill="{colour}" font-size="12" {rest}>{escape(plain(words))}</text>'
