"""Drawings of a comparison: how contestants look, and their anytime curves. `standings` draws their ranks and scores.

Nothing is computed here but positions. Methods are blue, people orange, bots grey; beyond that, contestants are told apart by
shade, by dash and by a label at the end of their line, never by colour alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evenhand.analysis.anytime import Curve, Kind
from evenhand.report.canvas import DASHES, INK, LINE, METHODS, QUIET, SHADES, SHAPES, Spec, axis, spec, values

COLOURS: Mapping[Kind, Sequence[str]] = {
    "method": METHODS,
    "person": (SHADES[1], SHADES[2], SHADES[0]),
    "bot": (QUIET,),
    "joint": (SHADES[3],),
}
BANDS = 4  # contestants, above which bands would hide each other
BEHIND = 15  # points of a line that is drawn behind others
LINES = 295  # width of the plot whose lines are labelled at their end
PANEL, LOW = 176, 104  # width and height of one of several small plots
LABEL = 14.0  # pixels that a line of labels needs
ASIDE = 18  # pixels of room beyond names that stand beside a plot
FLOOR = 1e-4  # regret below which a logarithmic axis tells nothing apart


@dataclass(frozen=True)
class Style:
    """How a contestant looks in every drawing."""

    colour: str
    dash: tuple[int, ...]
    shape: str


def styles(contestants: Mapping[str, Kind]) -> dict[str, Style]:
    """A style for each contestant, by its kind and its place among those of its kind; the first sixteen methods all differ."""
    found = {}
    seen: dict[Kind, int] = {}
    for name, kind in contestants.items():
        place = seen.get(kind, 0)
        seen[kind] = place + 1
        shades = COLOURS[kind]
        turn = place // len(shades)
        found[name] = Style(shades[place % len(shades)], tuple(DASHES[turn % len(DASHES)]), SHAPES[turn % len(SHAPES)])
    return found


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions as near as can be (least squares) to those wanted, in the same order, with at least `gap` between any two.

    Neighbours that are too close are pooled, and a pool is centred on what its members want.
    """
    order = sorted(range(len(wanted)), key=lambda at: (wanted[at], at))
    pools: list[tuple[float, int]] = []  # mean of what its members want, less their places; how many they are
    for place, at in enumerate(order):
        mean, size = wanted[at] - gap * place, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    placed = [mean for mean, size in pools for _ in range(size)]
    found = [0.0] * len(wanted)
    for place, at in enumerate(order):
        found[at] = placed[place] + gap * place
    return found


def colour(looks: Mapping[str, Style]) -> Spec:
    """The contestants' colours, by the field `name`; without a legend."""
    scale = {"domain": list(looks), "range": [each.colour for each in looks.values()]}
    return {"field": "name", "type": "nominal", "scale": scale, "sort": list(looks), "legend": None}


def panels(
    layers: Sequence[Spec], rows: Sequence[Mapping[str, Any]], field: str, order: Sequence[str], apart: str = "", tall: int = LOW
) -> Spec:
    """Small plots of the same layers, two beside each other, one for each value of a field. apart: an axis of their own."""
    made = spec([])
    inner = {"layer": list(layers), "width": PANEL, "height": tall}
    header = {"title": None, "labelFontSize": 12, "labelFontWeight": 600, "labelAnchor": "start", "labelLimit": PANEL - 12}
    facet = {"field": field, "type": "nominal", "sort": list(order), "header": header}
    resolve = {"resolve": {"scale": {apart: "independent"}, "axis": {apart: "independent"}}} if apart else {}
    rest = {key: each for key, each in made.items() if key not in ("layer", "width", "height")}
    return {**rest, "data": values(rows), "facet": facet, "columns": 2, "spacing": 22, "spec": inner, **resolve}


def padding(left: int = 5, right: int = 5) -> Spec:
    """Room around a drawing: names beside a plot are wider in some typefaces than in the one that they were measured with."""
    return {"left": left, "right": right, "top": 5, "bottom": 5}


# Anytime curves


def logarithmic(curves: Sequence[Curve]) -> bool:
    """Whether a logarithmic axis tells more: the best ends below a tenth of the worst's start, and most end above FLOOR."""
    ends = [each.points[-1].regret for each in curves if each.points]
    starts = [each.points[0].regret for each in curves if each.points]
    return bool(ends) and min(ends) < max(starts) / 10 and 2 * sum(end > FLOOR for end in ends) > len(ends)


def lines(curves: Sequence[Curve], contestants: Mapping[str, Kind], x: str, scale: float = 1.0, log: bool = False) -> Spec:
    """A line for each contestant with its name at the end, and bands where they are few.

    scale: what a cost is multiplied by (the budget, where costs are shares of it). x: the axis in words.
    """
    drawn = [each for each in curves if each.points]
    looks = styles(contestants)
    rows, bands = _rows(drawn, scale, log)
    low, high = _limits(drawn, log)
    tall = max(230, int(LABEL * len(drawn)) + 20)
    y = _regret(low, high, log)
    across = {"field": "x", "type": "quantitative", "axis": axis(x, grid=False, tickCount=6), "scale": {"nice": False}}
    tags = _tags(drawn, low, high, tall, log)
    layers: list[Spec] = []
    if len(drawn) <= BANDS:
        layers.append(_band(bands, across, y, looks))
    layers += [
        {
            "data": values(rows),
            "mark": {"type": "line", "size": 2, "interpolate": "step-after"},
            "encoding": {
                "x": across,
                "y": y,
                "color": colour(looks),
                "strokeDash": _dash(looks),
                "description": {"field": "said"},
            },
        },
        {
            "data": values(tags),
            "mark": {"type": "rule", "size": 1.5},
            "encoding": {
                "x": {"value": LINES + 1},
                "x2": {"value": LINES + 16},
                "y": y,
                "y2": {"field": "at"},
                "color": colour(looks),
                "strokeDash": _dash(looks),
            },
        },
        {
            "data": values(tags),
            "mark": {"type": "text", "align": "left", "baseline": "middle", "fontSize": 11, "limit": 130, "color": INK},
            "encoding": {"x": {"value": LINES + 20}, "y": {**y, "field": "at"}, "text": {"field": "name"}},
        },
    ]
    return spec(layers, width=LINES, height=tall, padding=padding(right=ASIDE))


def each_alone(curves: Sequence[Curve], contestants: Mapping[str, Kind], x: str, scale: float = 1.0, log: bool = False) -> Spec:
    """A panel for each contestant: its own line with its band, all others grey behind it."""
    drawn = [each for each in curves if each.points]
    looks = styles(contestants)
    rows, bands = _rows(drawn, scale, log)
    y = _regret(*_limits(drawn, log), log, "regret")
    across = {"field": "x", "type": "quantitative", "axis": axis(x, grid=False, tickCount=4), "scale": {"nice": False}}
    others = [{"x": row["x"], "y": row["y"], "other": row["name"]} for each in drawn for row in _thinned(each, scale, log)]
    layers: list[Spec] = [
        {
            "data": values(others),
            "mark": {"type": "line", "size": 1, "color": LINE, "interpolate": "step-after"},
            "encoding": {"x": across, "y": y, "detail": {"field": "other"}},
        },
        _band(bands, across, y, looks, own=False),
        {
            "mark": {"type": "line", "size": 2, "interpolate": "step-after"},
            "encoding": {"x": across, "y": y, "color": colour(looks), "description": {"field": "said"}},
        },
    ]
    both = {(row["name"], row["x"]): row for row in bands}
    data = [{**row, **both[row["name"], row["x"]]} for row in rows]
    return panels(layers, data, "name", [each.contestant for each in drawn])


def by_task(curves: Sequence[Curve], contestants: Mapping[str, Kind], x: str) -> Spec:
    """A panel for each task with a line for each contestant; told apart by shade and dash, which the legend shows."""
    drawn = [each for each in curves if each.points]
    looks = styles({name: kind for name, kind in contestants.items() if any(each.contestant == name for each in drawn)})
    rows = [{**row, "task": each.task} for each in drawn for row in _rows([each], 1.0, False)[0]]
    y = _regret(*_limits(drawn, False), False, "regret")
    across = {"field": "x", "type": "quantitative", "axis": axis(x, grid=False, tickCount=4), "scale": {"nice": False}}
    legend = {"columns": 3, "symbolType": "stroke", "symbolSize": 300, "columnPadding": 12, "labelLimit": 120}
    encoding = {
        "x": across,
        "y": y,
        "color": {**colour(looks), "legend": legend},
        "strokeDash": {**_dash(looks), "legend": legend},
        "description": {"field": "said"},
    }
    layer: Spec = {"mark": {"type": "line", "size": 1.5, "interpolate": "step-after"}, "encoding": encoding}
    return panels([layer], rows, "task", sorted({str(each.task) for each in drawn}), apart="x")


def _rows(curves: Sequence[Curve], scale: float, log: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    lines, bands = [], []
    for each in curves:
        for at in each.points:
            x, name = at.cost * scale, each.contestant
            said = f"{name}, after {x:.4g}: regret {at.regret:.3g} ({at.low:.3g} to {at.high:.3g})"
            lines.append({"name": name, "x": x, "y": _above(at.regret, log), "said": said})
            bands.append({"name": name, "x": x, "low": _above(at.low, log), "high": _above(at.high, log)})
    return lines, bands


def _thinned(curve: Curve, scale: float, log: bool) -> list[dict[str, Any]]:
    """Some of a curve's points, its last among them: enough for a line behind others, of which each panel has all."""
    step = max(1, len(curve.points) // BEHIND)
    points = curve.points[::-1][::step][::-1]
    return _rows([replace(curve, points=points)], scale, log)[0]


def _above(value: float, log: bool) -> float:
    return max(value, FLOOR) if log else value


def _limits(curves: Sequence[Curve], log: bool) -> tuple[float, float]:
    """What the axis of regret must hold; a logarithmic one holds the lines, and the bands as far as they go with them."""
    tops = [at.regret for each in curves for at in each.points]
    highest = max(tops, default=1.0) or 1.0
    return (max(FLOOR, min(tops) / 1.5), highest * 1.1) if log else (0.0, highest * 1.05)


def _regret(low: float, high: float, log: bool, title: str = "normalised regret (0: best known)") -> Spec:
    scale = {"type": "log" if log else "linear", "domain": [low, high], "nice": False, "clamp": True}
    ticks = {"values": _decades(low, high), "format": "~g"} if log else {"tickCount": 4}
    return {"field": "y", "type": "quantitative", "axis": axis(title, **ticks), "scale": scale}


def _decades(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: powers of ten, and where they are few, twice and five times those."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high < 50 * low else (1,)
    return [value for power in powers for factor in factors if low <= (value := float(f"{factor}e{power}")) <= high]


def _tags(curves: Sequence[Curve], low: float, high: float, tall: int, log: bool) -> list[dict[str, Any]]:
    """Where each line's name stands, so that no two overlap: `at` is in the axis's own unit."""

    def pixel(value: float) -> float:
        share = math.log(_above(value, log) / low) / math.log(high / low) if log else (value - low) / (high - low)
        return tall * (1 - share)

    def back(y: float) -> float:
        share = 1 - y / tall
        return low * (high / low) ** share if log else low + share * (high - low)

    ends = [each.points[-1].regret for each in curves]
    placed = spread([pixel(end) for end in ends], LABEL)
    down = min(0.0, tall - max(placed, default=0.0))
    up = max(0.0, -(min(placed, default=0.0) + down))
    return [
        {"name": each.contestant, "y": _above(end, log), "at": back(y + down + up)}
        for each, end, y in zip(curves, ends, placed, strict=True)
    ]


def _band(rows: Sequence[Mapping[str, Any]], x: Spec, y: Spec, looks: Mapping[str, Style], own: bool = True) -> Spec:
    encoding = {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour(looks)}
    mark = {"type": "area", "opacity": 0.16, "interpolate": "step-after", "clip": True}
    return {**({"data": values(rows)} if own else {}), "mark": mark, "encoding": encoding}


def _dash(looks: Mapping[str, Style]) -> Spec:
    scale = {"domain": list(looks), "range": [list(each.dash) for each in looks.values()]}
    return {"field": "name", "type": "nominal", "scale": scale, "sort": list(looks), "legend": None}
