"""Drawings of a comparison: how contestants look, and their anytime curves. `standings` draws their ranks and scores.

Nothing is computed here but positions. Methods are blue, people orange, bots grey; beyond that, contestants are told apart by
shade, by dash and by a label at the end of their line, never by colour alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.optimize import isotonic_regression

from evenhand.analysis.anytime import Kind, RegretCurve
from evenhand.report.vega import (
    DASH_PATTERNS,
    GROUP_COLOURS,
    INK,
    LINE,
    METHOD_COLOURS,
    POINT_SHAPES,
    QUIET,
    Spec,
    alt,
    axis,
    chart,
    dressed,
    named,
    spec,
)

KIND_COLOURS: Mapping[Kind, Sequence[str]] = {
    "method": METHOD_COLOURS,
    "person": (GROUP_COLOURS[1], GROUP_COLOURS[2], GROUP_COLOURS[0]),
    "bot": (QUIET,),
    "joint": (GROUP_COLOURS[3],),
}
MOST_BANDS = 4  # contestants, above which bands would hide each other
BEHIND_POINTS = 15  # points of a line that is drawn behind others
LINES_PIXELS = 295  # width of the plot whose lines are labelled at their end
PANEL_WIDTH, PANEL_HEIGHT = 176, 104  # width and height of one of several small plots
LABEL_PIXELS = 14.0  # pixels that a line of labels needs
ASIDE_PIXELS = 18  # pixels of room beyond names that stand beside a plot
REGRET_FLOOR = 1e-4  # regret below which a logarithmic axis tells nothing apart


@dataclass(frozen=True)
class Style:
    """How a contestant looks in every drawing."""

    colour: str
    dash: tuple[int, ...]
    shape: str


def styles(contestants: Mapping[str, Kind]) -> dict[str, Style]:
    """A style for each contestant, by its kind and its place among those of its kind; the first sixteen methods all differ."""
    looks = {}
    seen: dict[Kind, int] = {}
    for name, kind in contestants.items():
        place = seen.get(kind, 0)
        seen[kind] = place + 1
        shades = KIND_COLOURS[kind]
        turn = place // len(shades)
        looks[name] = Style(
            shades[place % len(shades)], tuple(DASH_PATTERNS[turn % len(DASH_PATTERNS)]), POINT_SHAPES[turn % len(POINT_SHAPES)]
        )
    return looks


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Positions as near as can be (least squares) to those wanted, in the same order, with at least `gap` between any two.

    Less their places they must not fall, which is an isotonic regression.
    """
    order = sorted(range(len(wanted)), key=lambda at: (wanted[at], at))
    places = gap * np.arange(len(wanted))
    placed = isotonic_regression(np.array([wanted[at] for at in order]) - places).x + places if order else places
    positions = [0.0] * len(wanted)
    for place, at in enumerate(order):
        positions[at] = float(placed[place])
    return positions


def colour(looks: Mapping[str, Style], legend: "alt.Legend | None" = None) -> "alt.Color":
    """The contestants' colours, by the field `name`; without a legend unless one is given."""
    return alt.Color(**named("name", list(looks), [style.colour for style in looks.values()], legend=legend))


def panels(
    layers: "Sequence[alt.Chart]",
    rows: Sequence[Mapping[str, Any]],
    field: str,
    order: Sequence[str],
    apart: str = "",
    tall: int = PANEL_HEIGHT,
) -> Spec:
    """Small plots of the same layers, two beside each other, one for each value of a field. apart: an axis of their own."""
    header = alt.Header(title=None, labelFontSize=12, labelFontWeight=600, labelAnchor="start", labelLimit=PANEL_WIDTH - 12)
    inner = alt.layer(*layers, data=chart(rows).data).properties(width=PANEL_WIDTH, height=tall)
    made = inner.facet(facet=alt.Facet(f"{field}:N", sort=list(order), header=header), columns=2, spacing=22)
    own: dict[str, Any] = {apart: "independent"} if apart else {}
    return dressed(made.resolve_scale(**own).resolve_axis(**own) if apart else made)


def padding(left: int = 5, right: int = 5) -> dict[str, int]:
    """Room around a drawing: names beside a plot are wider in some typefaces than in the one that they were measured with."""
    return {"left": left, "right": right, "top": 5, "bottom": 5}


# Anytime curves


def logarithmic(curves: Sequence[RegretCurve]) -> bool:
    """Whether a logarithmic axis tells more: the best ends below a tenth of the worst's start, and most end above FLOOR."""
    ends = [curve.points[-1].regret for curve in curves if curve.points]
    starts = [curve.points[0].regret for curve in curves if curve.points]
    return bool(ends) and min(ends) < max(starts) / 10 and 2 * sum(end > REGRET_FLOOR for end in ends) > len(ends)


def lines(curves: Sequence[RegretCurve], contestants: Mapping[str, Kind], x: str, scale: float = 1.0, log: bool = False) -> Spec:
    """A line for each contestant with its name at the end, and bands where they are few.

    scale: what a cost is multiplied by (the budget, where costs are shares of it). x: the axis in words.
    """
    drawn = [curve for curve in curves if curve.points]
    looks = styles(contestants)
    rows, bands = _rows(drawn, scale, log)
    low, high = _limits(drawn, log)
    tall = max(230, int(LABEL_PIXELS * len(drawn)) + 20)
    y = _regret(low, high, log)
    across = alt.X("x:Q", axis=axis(x, grid=False, tickCount=6), scale=alt.Scale(nice=False))
    tags = _tags(drawn, low, high, tall, log)
    line = chart(rows).mark_line(size=2, interpolate="step-after")
    lead = chart(tags).mark_rule(size=1.5)
    name = chart(tags).mark_text(align="left", baseline="middle", fontSize=11, limit=130, color=INK)
    layers = [_band(chart(bands), across, y, looks)] if len(drawn) <= MOST_BANDS else []
    layers += [
        line.encode(x=across, y=y("y"), color=colour(looks), strokeDash=_dash(looks), description=alt.Description("said:N")),
        lead.encode(
            x=alt.value(LINES_PIXELS + 1),
            x2=alt.value(LINES_PIXELS + 16),
            y=y("y"),
            y2=alt.Y2("at"),
            color=colour(looks),
            strokeDash=_dash(looks),
        ),
        name.encode(x=alt.value(LINES_PIXELS + 20), y=y("at"), text=alt.Text("name:N")),
    ]
    return spec(layers, width=LINES_PIXELS, height=tall, padding=padding(right=ASIDE_PIXELS))


def each_alone(
    curves: Sequence[RegretCurve], contestants: Mapping[str, Kind], x: str, scale: float = 1.0, log: bool = False
) -> Spec:
    """A panel for each contestant: its own line with its band, all others grey behind it."""
    drawn = [curve for curve in curves if curve.points]
    looks = styles(contestants)
    rows, bands = _rows(drawn, scale, log)
    y = _regret(*_limits(drawn, log), log, "regret")
    across = alt.X("x:Q", axis=axis(x, grid=False, tickCount=4), scale=alt.Scale(nice=False))
    others = [{"x": row["x"], "y": row["y"], "other": row["name"]} for curve in drawn for row in _thinned(curve, scale, log)]
    behind = chart(others).mark_line(size=1, color=LINE, interpolate="step-after")
    own = alt.Chart().mark_line(size=2, interpolate="step-after")
    layers = [
        behind.encode(x=across, y=y("y"), detail=alt.Detail("other:N")),
        _band(alt.Chart(), across, y, looks),
        own.encode(x=across, y=y("y"), color=colour(looks), description=alt.Description("said:N")),
    ]
    both = {(row["name"], row["x"]): row for row in bands}
    data = [{**row, **both[row["name"], row["x"]]} for row in rows]
    return panels(layers, data, "name", [curve.contestant for curve in drawn])


def by_task(curves: Sequence[RegretCurve], contestants: Mapping[str, Kind], x: str) -> Spec:
    """A panel for each task with a line for each contestant; told apart by shade and dash, which the legend shows."""
    drawn = [curve for curve in curves if curve.points]
    looks = styles({name: kind for name, kind in contestants.items() if any(curve.contestant == name for curve in drawn)})
    rows = [{**row, "task": curve.task} for curve in drawn for row in _rows([curve], 1.0, False)[0]]
    y = _regret(*_limits(drawn, False), False, "regret")
    legend = alt.Legend(columns=3, symbolType="stroke", symbolSize=300, columnPadding=12, labelLimit=120)
    line = alt.Chart().mark_line(size=1.5, interpolate="step-after")
    layer = line.encode(
        x=alt.X("x:Q", axis=axis(x, grid=False, tickCount=4), scale=alt.Scale(nice=False)),
        y=y("y"),
        color=colour(looks, legend),
        strokeDash=_dash(looks, legend),
        description=alt.Description("said:N"),
    )
    return panels([layer], rows, "task", sorted({str(curve.task) for curve in drawn}), apart="x")


def _rows(curves: Sequence[RegretCurve], scale: float, log: bool) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    lines, bands = [], []
    for curve in curves:
        for at in curve.points:
            x, name = at.cost * scale, curve.contestant
            sure = f" ({at.low:.3g} to {at.high:.3g})" if curve.n > 1 else ""
            said = f"{name}, after {x:.4g}: regret {at.regret:.3g}{sure}"
            lines.append({"name": name, "x": x, "y": _above(at.regret, log), "said": said})
            bands.append({"name": name, "x": x, "low": _above(at.low, log), "high": _above(at.high, log)})
    return lines, bands


def _thinned(curve: RegretCurve, scale: float, log: bool) -> list[dict[str, Any]]:
    """Some of a curve's points, its last among them: enough for a line behind others, of which each panel has all."""
    step = max(1, len(curve.points) // BEHIND_POINTS)
    points = curve.points[::-1][::step][::-1]
    return _rows([replace(curve, points=points)], scale, log)[0]


def _above(value: float, log: bool) -> float:
    return max(value, REGRET_FLOOR) if log else value


def _limits(curves: Sequence[RegretCurve], log: bool) -> tuple[float, float]:
    """What the axis of regret must hold; a logarithmic one holds the lines, and the bands as far as they go with them."""
    tops = [at.regret for curve in curves for at in curve.points]
    highest = max(tops, default=1.0) or 1.0
    return (max(REGRET_FLOOR, min(tops) / 1.5), highest * 1.1) if log else (0.0, highest * 1.05)


def _regret(low: float, high: float, log: bool, title: str = "normalised regret (0: best known)") -> "Callable[[str], alt.Y]":
    """The axis of regret, for a field that lies on it."""
    scale = alt.Scale(type="log" if log else "linear", domain=[low, high], nice=False, clamp=True)
    ticks = {"values": _decades(low, high), "format": "~g"} if log else {"tickCount": 4}
    return lambda field: alt.Y(f"{field}:Q", axis=axis(title, **ticks), scale=scale)


def _decades(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: powers of ten, and where they are few, twice and five times those."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high < 50 * low else (1,)
    return [value for power in powers for factor in factors if low <= (value := float(f"{factor}e{power}")) <= high]


def _tags(curves: Sequence[RegretCurve], low: float, high: float, tall: int, log: bool) -> list[dict[str, Any]]:
    """Where each line's name stands, so that no two overlap: `at` is in the axis's own unit."""

    def pixel(value: float) -> float:
        share = math.log(_above(value, log) / low) / math.log(high / low) if log else (value - low) / (high - low)
        return tall * (1 - share)

    def back(y: float) -> float:
        share = 1 - y / tall
        return low * (high / low) ** share if log else low + share * (high - low)

    ends = [curve.points[-1].regret for curve in curves]
    placed = spread([pixel(end) for end in ends], LABEL_PIXELS)
    down = min(0.0, tall - max(placed, default=0.0))
    up = max(0.0, -(min(placed, default=0.0) + down))
    return [
        {"name": curve.contestant, "y": _above(end, log), "at": back(y + down + up)}
        for curve, end, y in zip(curves, ends, placed, strict=True)
    ]


def _band(layer: "alt.Chart", x: "alt.X", y: "Callable[[str], alt.Y]", looks: Mapping[str, Style]) -> "alt.Chart":
    area: alt.Chart = layer.mark_area(opacity=0.16, interpolate="step-after", clip=True)
    return area.encode(x=x, y=y("low"), y2=alt.Y2("high"), color=colour(looks))


def _dash(looks: Mapping[str, Style], legend: "alt.Legend | None" = None) -> "alt.StrokeDash":
    return alt.StrokeDash(**named("name", list(looks), [list(style.dash) for style in looks.values()], legend=legend))
