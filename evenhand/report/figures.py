"""Drawings of the items' numbers: Vega-Lite specifications, and SVG and PNG from them. Nothing is computed here but positions.

Colours are those of the pages: people in shades of orange, methods blue. In a page they become custom properties, so that a
drawing follows its light or dark surroundings; in a file of its own they stay as they are.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from html import escape
from textwrap import wrap
from typing import Any

from evenhand.analysis.items import Boxes, ByTry, Experience, Flow, Histogram, Point, Reasons, Scatter, Starts, Tries
from evenhand.analysis.power import PowerCurve
from evenhand.analysis.stats import Survival
from evenhand.errors import InvalidSettings
from evenhand.report.blocks import Item, Section, plain
from evenhand.report.canvas import (
    CAUTION,
    DASHES,
    INK,
    NAMES,
    NONE,
    PERSON,
    QUIET,
    REASONS,
    SHADES,
    SHAPES,
    WIDTH,
    Spec,
)
from evenhand.report.canvas import axis as _axis
from evenhand.report.canvas import spec as _spec
from evenhand.report.canvas import values as _values
from evenhand.report.canvas import whole as _whole

FLOW, BOX, TALL = 460, 290, 42  # of the flow diagram: its width, its boxes' width and height
LOSS = 42  # characters of a line beside an arrow


def _colours(groups: Sequence[str], field: str = "group") -> Spec:
    return {
        "field": field,
        "type": "nominal",
        "scale": {"domain": list(groups), "range": [SHADES[index % len(SHADES)] for index in range(len(groups))]},
        "sort": list(groups),
    }


def _shapes(groups: Sequence[str]) -> Spec:
    shapes = [SHAPES[index % len(SHAPES)] for index in range(len(groups))]
    return {"field": "group", "type": "nominal", "scale": {"domain": list(groups), "range": shapes}, "sort": list(groups)}


def histogram(found: Histogram, title: str, share: bool, colour: str, unit: str) -> Spec:
    """Fig. 1 and Fig. 3: bars of counts."""
    rows = [
        {"low": low, "high": high, "count": count, "said": f"{low:.4g} to {high:.4g}: {count}"}
        for low, high, count in zip(found.edges, found.edges[1:], found.counts, strict=False)
    ]
    bars: Spec = {
        "data": _values(rows),
        "mark": {"type": "bar", "color": colour, "binSpacing": 1},
        "encoding": {
            "x": {"field": "low", "type": "quantitative", "bin": {"binned": True}, "axis": _axis(title, share)},
            "x2": {"field": "high"},
            "y": {"field": "count", "type": "quantitative", "axis": _axis(unit, **_whole(found.counts))},
            "description": {"field": "said"},
        },
    }
    layers = [bars]
    if found.mean is not None:
        mean = {"type": "rule", "color": INK, "strokeDash": [4, 3], "size": 1.5}
        said = f"mean {found.mean:.4g}"
        encoding = {"x": {"field": "mean", "type": "quantitative"}, "description": {"field": "said"}}
        layers.append({"data": _values([{"mean": found.mean, "said": said}]), "mark": mean, "encoding": encoding})
    return _spec(layers)


def experience(found: Experience, title: str) -> Spec:
    """Fig. 3."""
    return histogram(found.histogram, title, False, PERSON, "participants")


def scatter(found: Scatter, groups: Sequence[str], x: str, y: str, share: bool) -> Spec:
    """Fig. 4: a point a participant."""
    rows = [
        {"x": point.experience, "y": point.final, "group": point.group or NONE, "said": _point(point, share)}
        for point in found.points
    ]
    named = (*groups, NONE) if any(point.group is None for point in found.points) else tuple(groups)
    mark = {"type": "point", "filled": True, "size": 80, "opacity": 0.85}
    encoding = {
        "x": {"field": "x", "type": "quantitative", "axis": _axis(x)},
        "y": {"field": "y", "type": "quantitative", "axis": _axis(y, share), "scale": {"zero": False, "nice": True}},
        "color": _colours(named),
        "shape": _shapes(named),
        "description": {"field": "said"},
    }
    return _spec([{"data": _values(rows), "mark": mark, "encoding": encoding}])


def _point(point: Point, share: bool) -> str:
    return f"{point.pseudonym}: {point.experience:g}, {_said(point.final, share)}"


def _said(value: float | None, share: bool) -> str:
    if value is None:
        return "none"
    return f"{100 * value:.1f} %" if share else f"{value:.4g}"


def boxes(found: Boxes, y: str, share: bool) -> Spec:
    """Fig. 5: a box a group, every participant as a point beside it."""
    groups = [each.group for each in found.boxes]
    rows = [
        {
            "group": each.group, "low": each.low, "first": each.first,
            "median": each.median, "third": each.third, "high": each.high,
            "said": f"{each.group}: median {_said(each.median, share)}, quartiles {_said(each.first, share)} and "
            f"{_said(each.third, share)}, n = {each.n}",
        }
        for each in found.boxes
        if each.n
    ]  # fmt: skip
    points = [
        {"group": each.group, "y": value, "said": f"{each.group}: {_said(value, share)}"}
        for each in found.boxes
        for value in each.values
    ]
    x = {"field": "group", "type": "nominal", "sort": groups, "axis": _axis("", labelAngle=0)}
    colour = {**_colours(groups), "legend": None}

    def at(field: str) -> Spec:
        return {"field": field, "type": "quantitative", "axis": _axis(y, share), "scale": {"zero": False, "nice": True}}

    data = _values(rows)
    layers: list[Spec] = [
        {"data": data, "mark": {"type": "rule", "color": QUIET}, "encoding": {"x": x, "y": at("low"), "y2": {"field": "high"}}},
        {
            "data": data,
            "mark": {"type": "bar", "size": 46, "opacity": 0.55},
            "encoding": {"x": x, "y": at("first"), "y2": {"field": "third"}, "color": colour, "description": {"field": "said"}},
        },
        {
            "data": data,
            "mark": {"type": "tick", "size": 46, "thickness": 2, "color": INK},
            "encoding": {"x": x, "y": at("median")},
        },
        {
            "data": _values(points),
            "mark": {"type": "point", "filled": True, "size": 34, "color": INK, "opacity": 0.7, "xOffset": 34},
            "encoding": {"x": x, "y": at("y"), "description": {"field": "said"}},
        },
    ]
    return _spec(layers, width=min(WIDTH, 140 * max(len(groups), 1)))


def violins(found: Tries) -> Spec:
    """Fig. 6: the density of tries by group, mirrored; each participant a point; the mean a line."""
    groups = [each.group for each in found.violins]
    most = max((max(each.density, default=0.0) for each in found.violins), default=0.0) or 1.0
    area, points, means = [], [], []
    for index, each in enumerate(found.violins):
        for at, value in zip(each.grid, each.density, strict=True):
            wide = 0.42 * value / most
            area.append({"group": each.group, "y": at, "left": index - wide, "right": index + wide})
        points += [
            {
                "group": each.group,
                "x": index,
                "y": number,
                "said": f"{each.group}: {each.tries.count(number)} after {number} tries",
            }
            for number in sorted(set(each.tries))
        ]
        if each.mean is not None:
            said = f"{each.group}: mean {each.mean:.3g}"
            means.append({"left": index - 0.3, "right": index + 0.3, "y": each.mean, "said": said})
    labels = f"{json.dumps(groups)}[datum.value] || ''"
    x: Spec = {
        "field": "left",
        "type": "quantitative",
        "scale": {"domain": [-0.6, len(groups) - 0.4]},
        "axis": _axis("", values=list(range(len(groups))), labelExpr=labels, grid=False, ticks=False),
    }
    y = {
        "field": "y",
        "type": "quantitative",
        "axis": _axis("tries to the threshold", **_whole([row["y"] for row in area + points])),
        "scale": {"zero": True},
    }
    colour = {**_colours(groups), "legend": None}
    layers: list[Spec] = [
        {
            "data": _values(area),
            "mark": {"type": "area", "opacity": 0.5, "orient": "horizontal"},
            "encoding": {"x": x, "x2": {"field": "right"}, "y": y, "color": colour, "detail": {"field": "group"}},
        },
        {
            "data": _values(points),
            "mark": {"type": "point", "filled": True, "size": 30, "color": INK, "opacity": 0.6},
            "encoding": {"x": {**x, "field": "x"}, "y": y, "description": {"field": "said"}},
        },
        {
            "data": _values(means),
            "mark": {"type": "rule", "color": INK, "size": 2},
            "encoding": {"x": x, "x2": {"field": "right"}, "y": y, "description": {"field": "said"}},
        },
    ]
    return _spec(layers, width=min(WIDTH, 140 * max(len(groups), 1)))


def by_try(found: ByTry, y: str, share: bool) -> Spec:
    """Fig. 7: the mean of the best so far by try as lines with a band of one standard error; of the trial itself as points."""
    groups = [each.group for each in found.best]
    bands, lines, points = [], [], []
    for each in found.best:
        for at in each.points:
            said = f"{each.group}, try {at.number}: best so far {_said(at.mean, share)} ± {_said(at.error, share)}, n = {at.n}"
            row = {"group": each.group, "x": at.number, "y": at.mean, "said": said}
            lines.append(row)
            if at.error is not None:
                bands.append({**row, "low": at.mean - at.error, "high": at.mean + at.error})
    for each in found.current:
        for at in each.points:
            said = (
                f"{each.group}, try {at.number}: the trial itself {_said(at.mean, share)} ± {_said(at.error, share)}, n = {at.n}"
            )
            points.append({"group": each.group, "x": at.number, "y": at.mean, "said": said})
    x = {
        "field": "x",
        "type": "quantitative",
        "axis": _axis("try", **_whole([row["x"] for row in lines + points])),
        "scale": {"zero": False, "nice": False},
    }
    at_y = {"type": "quantitative", "axis": _axis(y, share), "scale": {"zero": False, "nice": True}}
    colour = _colours(groups)
    layers: list[Spec] = [
        {
            "data": _values(bands),
            "mark": {"type": "area", "opacity": 0.2},
            "encoding": {"x": x, "y": {**at_y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
        },
        {
            "data": _values(lines),
            "mark": {"type": "line", "size": 2},
            "encoding": {"x": x, "y": {**at_y, "field": "y"}, "color": colour},
        },
        {
            "data": _values(lines),
            "mark": {"type": "point", "filled": True, "size": 45},
            "encoding": {
                "x": x, "y": {**at_y, "field": "y"}, "color": colour, "shape": _shapes(groups), "description": {"field": "said"},
            },
        },
        {
            "data": _values(points),
            "mark": {"type": "point", "filled": False, "size": 30, "opacity": 0.7},
            "encoding": {
                "x": x, "y": {**at_y, "field": "y"}, "color": colour, "shape": _shapes(groups), "description": {"field": "said"},
            },
        },
    ]  # fmt: skip
    return _spec(layers)


def starts(found: Starts) -> Spec:
    """Fig. 8: stacked bars, those who began from defaults filled."""
    groups = [each.group for each in found.starts]
    rows = []
    for each in found.starts:
        for kind, names in (("all defaults", each.defaults), ("other values", each.others)):
            rows.append({"group": each.group, "kind": kind, "count": len(names), "said": f"{each.group}, {kind}: {len(names)}"})
    encoding = {
        "y": {"field": "group", "type": "nominal", "sort": groups, "axis": _axis("")},
        "x": {
            "field": "count",
            "type": "quantitative",
            "axis": _axis("participants", **_whole([each.n for each in found.starts])),
        },
        "color": {
            "field": "kind",
            "type": "nominal",
            "scale": {"domain": ["all defaults", "other values"], "range": [PERSON, REASONS[1]]},
        },
        "order": {"field": "kind"},
        "description": {"field": "said"},
    }
    return _spec(
        [{"data": _values(rows), "mark": {"type": "bar", "size": 26}, "encoding": encoding}], height=46 * max(len(groups), 1)
    )


def reasons(found: Reasons) -> Spec:
    """Fig. 9: each group's mean shares of the reasons, stacked to one."""
    groups, names = [each.group for each in found.groups], dict(found.offered)
    order = {value: index for index, value in enumerate(names)}
    rows = [
        {
            "group": each.group,
            "reason": names[value],
            "share": share,
            "order": order[value],
            "said": f"{each.group}: {names[value]} {share:.0%}",
        }
        for each in found.groups
        for value, share in each.shares
    ]
    labels = list(names.values())
    colours = [REASONS[index % len(REASONS)] for index in range(len(labels))]
    encoding = {
        "y": {"field": "group", "type": "nominal", "sort": groups, "axis": _axis("")},
        "x": {"field": "share", "type": "quantitative", "axis": _axis("share of values with a reason", True), "stack": "zero"},
        "color": {"field": "reason", "type": "nominal", "scale": {"domain": labels, "range": colours}, "legend": {"columns": 1}},
        "order": {"field": "order", "type": "quantitative"},
        "description": {"field": "said"},
    }
    return _spec(
        [{"data": _values(rows), "mark": {"type": "bar", "size": 26}, "encoding": encoding}], height=46 * max(len(groups), 1)
    )


def survival(curves: Sequence[Survival]) -> Spec:
    """Kaplan-Meier: the share that has not reached the threshold yet, by try."""
    groups = [each.name for each in curves]
    rows = []
    for each in curves:
        rows.append({"group": each.name, "x": 0.0, "y": 1.0, "said": f"{each.name}: all"})
        rows += [
            {"group": each.name, "x": at.at, "y": at.share, "said": f"{each.name}, try {at.at:g}: {at.share:.0%}"}
            for at in each.steps
        ]
    dashes = [DASHES[index % len(DASHES)] for index in range(len(groups))]
    encoding = {
        "x": {"field": "x", "type": "quantitative", "axis": _axis("tries", **_whole([row["x"] for row in rows]))},
        "y": {"field": "y", "type": "quantitative", "axis": _axis("not reached yet", True), "scale": {"domain": [0, 1]}},
        "color": _colours(groups),
        "strokeDash": {"field": "group", "type": "nominal", "scale": {"domain": groups, "range": dashes}, "sort": groups},
        "description": {"field": "said"},
    }
    return _spec(
        [{"data": _values(rows), "mark": {"type": "line", "interpolate": "step-after", "size": 2}, "encoding": encoding}]
    )


def power(found: PowerCurve) -> Spec:
    """Power of the planned test by the number of participants."""
    rows = [{"x": at.n, "y": at.power, "said": f"{at.n} participants: {at.power:.0%}"} for at in found.points]
    x = {"field": "x", "type": "quantitative", "axis": _axis("participants", tickCount=6), "scale": {"zero": False}}
    y = {"field": "y", "type": "quantitative", "axis": _axis("power", True), "scale": {"domain": [0, 1]}}
    layers: list[Spec] = [
        {"data": _values([{"y": 0.8}]), "mark": {"type": "rule", "color": QUIET, "strokeDash": [4, 3]}, "encoding": {"y": y}},
        {"data": _values(rows), "mark": {"type": "line", "color": PERSON, "size": 2}, "encoding": {"x": x, "y": y}},
        {
            "data": _values(rows),
            "mark": {"type": "point", "filled": True, "color": PERSON, "size": 36},
            "encoding": {"x": x, "y": y, "description": {"field": "said"}},
        },
    ]
    return _spec(layers, height=200)


def marked(spec: Spec, words: str) -> Spec:
    """A drawing that says of itself that its records are not a live study's."""
    return {**spec, "title": {"text": words, "color": CAUTION, "fontSize": 12, "fontWeight": 600, "anchor": "end", "offset": 8}}


def marked_sections(words: str, sections: Sequence[Section]) -> tuple[Section, ...]:
    """Sections whose drawings say whose records they are of; without words, as they are."""
    return tuple(replace(each, items=tuple(_marked_item(item, words) for item in each.items)) for each in sections)


def _marked_item(item: Item, words: str) -> Item:
    return replace(item, spec=marked(dict(item.spec), words)) if item.spec is not None and words else item


def flow(found: Flow, mark: str) -> str:
    """Fig. 2 and the attrition as one diagram: a box a step, and beside the arrows who was lost there, and why (SVG)."""
    parts, y = [], 26 if mark else 4
    if mark:
        parts.append(_words(mark, FLOW, 13, CAUTION, 12, 'font-weight="600" text-anchor="end"'))
    for index, stage in enumerate(found.stages):
        if index:
            lost = [line for why, count in stage.lost for line in wrap(f"− {count} {why}", LOSS)]
            tall = max(30, 15 * len(lost) + 14)
            parts.append(f'<path d="M{BOX // 2} {y}v{tall - 6}" stroke="{QUIET}" fill="none"/>')
            parts.append(f'<path d="M{BOX // 2 - 4} {y + tall - 8}l4 7l4 -7z" fill="{QUIET}"/>')
            parts += [_words(line, BOX // 2 + 16, y + 19 + 15 * at, QUIET, 12) for at, line in enumerate(lost)]
            y += tall
        shape = f'<rect x="1" y="{y}" width="{BOX}" height="{TALL}" rx="6" fill="none" stroke="{PERSON}" stroke-width="1.5"/>'
        count = _words(str(stage.count), 16, y + 27, INK, 17, 'font-weight="600"')
        parts += [shape, count, _words(stage.name, 66, y + 26, INK, 13)]
        y += TALL
    size = f'width="{FLOW}" height="{y + 4}" viewBox="0 0 {FLOW} {y + 4}" font-family="system-ui, sans-serif"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def _words(words: str, x: int, y: int, colour: str, size: int, rest: str = "") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" font-size="{size}" {rest}>{escape(plain(words))}</text>'


# From specifications to pictures


def svg(spec: Mapping[str, Any]) -> str:
    """The drawing as SVG; the same specification gives the same text."""
    return _drawn(json.dumps(_plain(spec)))


@lru_cache(maxsize=128)
def _drawn(spec: str) -> str:
    """Kept, since a report's page, document and files share their drawings."""
    try:
        import vl_convert
    except ModuleNotFoundError:
        raise InvalidSettings("figures need vl-convert-python, which is not installed; pip install 'evenhand[report]'") from None
    drawn: str = vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])
    return re.sub(r'<(path|line|rect|text)\b([^>]*?) aria-label="([^"]*)"([^>]*?)/>', _with_title, drawn)


def _plain(part: Any) -> Any:
    """A specification whose every text can be drawn."""
    if isinstance(part, str):
        return plain(part)
    if isinstance(part, Mapping):
        return {key: _plain(value) for key, value in part.items()}
    return [_plain(each) for each in part] if isinstance(part, list | tuple) else part


def _with_title(found: "re.Match[str]") -> str:
    """A mark's words as a title, which browsers show under the pointer."""
    tag, before, said, after = found.groups()
    return f'<{tag}{before} aria-label="{said}"{after}><title>{said}</title></{tag}>'


def png(drawn: str, scale: float = 2.0) -> bytes:
    """An SVG as PNG on white."""
    import vl_convert

    white = drawn.replace(">", '><rect width="100%" height="100%" fill="#ffffff"/>', 1)
    return bytes(vl_convert.svg_to_png(white, scale=scale))


def themed(drawn: str, alt: str) -> str:
    """An SVG for a page: colours as custom properties, its size by its surroundings, and a name for those who do not see it."""
    for colour, name in NAMES.items():
        drawn = re.sub(re.escape(colour), f"var(--{name})", drawn, flags=re.IGNORECASE)
    drawn = re.sub(r'(fill|stroke)="(var\([^"]*\))"', r'\1="currentColor" style="\1:\2"', drawn)
    drawn = re.sub(r'style="fill:(var\([^"]*\))"([^>]*?) style="stroke:(var\([^"]*\))"', r'style="fill:\1;stroke:\3"\2', drawn)
    drawn = re.sub(r'style="stroke:(var\([^"]*\))"([^>]*?) style="fill:(var\([^"]*\))"', r'style="stroke:\1;fill:\3"\2', drawn)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(alt, quote=True)}" ', 1)
