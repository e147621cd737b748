"""Drawings of the items' numbers: Altair's charts, and SVG and PNG from them. Nothing is computed here but positions.

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

from evenhand.analysis.attrition import Attrition
from evenhand.analysis.power import PowerCurve
from evenhand.analysis.stats import Survival
from evenhand.analysis.study_items import Boxes, ByTry, Experience, Histogram, ParticipantPoint, Reasons, Scatter, Starts, Tries
from evenhand.model.extras import require
from evenhand.model.task import Level
from evenhand.report.blocks import Item, ReportSection, plain
from evenhand.report.vega import (
    CAUTION,
    COLOUR_NAMES,
    DASH_PATTERNS,
    GROUP_COLOURS,
    INK,
    NO_GROUP,
    PERSON,
    PLOT_WIDTH,
    POINT_SHAPES,
    QUIET,
    REASON_COLOURS,
    Spec,
    alt,
    axis,
    chart,
    named,
    spec,
    whole,
)

DRAWING_PURPOSE = "a drawing"
FLOW_WIDTH, BOX_WIDTH, BOX_HEIGHT = 460, 290, 42  # of the flow diagram: its width, its boxes' width and height
LEVEL_DASHES = [6, 2, 1, 2]
LOSS_CHARACTERS = 42  # characters of a line beside an arrow
CLIP_PATTERN = re.compile(r'(?<=id="clip)\d+(?=")|(?<=url\(#clip)\d+(?=\))')  # the number in a clip's id, and where it is used


def _colours(groups: Sequence[str], **rest: Any) -> "alt.Color":
    return alt.Color(
        **named("group", groups, [GROUP_COLOURS[index % len(GROUP_COLOURS)] for index in range(len(groups))], **rest)
    )


def _shapes(groups: Sequence[str]) -> "alt.Shape":
    return alt.Shape(**named("group", groups, [POINT_SHAPES[index % len(POINT_SHAPES)] for index in range(len(groups))]))


def _levels(levels: Sequence[Level], y: str) -> "list[alt.Chart]":
    """A fine line across for each level that an accuracy is read against, with its name; y: the axis' title."""
    if not levels:
        return []
    rows = [{"y": level.value, "name": level.name, "said": f"{level.name}: {_said(level.value, True)}"} for level in levels]
    at, description = alt.Y("y:Q", axis=axis(y, True), scale=_spread()), alt.Description("said:N")
    lines = chart(rows).mark_rule(color=QUIET, strokeDash=LEVEL_DASHES)
    names = chart(rows).mark_text(color=QUIET, align="right", baseline="bottom", dx=-2, dy=-1, aria=False)
    across = alt.value("width")
    return [lines.encode(y=at, description=description), names.encode(x=across, y=at, text=alt.Text("name:N"))]


def histogram(bins: Histogram, title: str, share: bool, colour: str, unit: str, levels: Sequence[Level] = ()) -> Spec:
    """Fig. 1 and Fig. 3: bars of counts, and fine upright lines for levels."""
    rows = [
        {"low": low, "high": high, "count": count, "said": f"{low:.4g} to {high:.4g}: {count}"}
        for low, high, count in zip(bins.edges, bins.edges[1:], bins.counts, strict=False)
    ]
    bars = chart(rows).mark_bar(color=colour, binSpacing=1)
    layers = [
        bars.encode(
            x=alt.X("low:Q", bin=alt.BinParams(binned=True), axis=axis(title, share)),
            x2=alt.X2("high"),
            y=alt.Y("count:Q", axis=axis(unit, **whole(bins.counts))),
            description=alt.Description("said:N"),
        )
    ]
    if bins.mean is not None:
        mean = chart([{"mean": bins.mean, "said": f"mean {bins.mean:.4g}"}]).mark_rule(color=INK, strokeDash=[4, 3], size=1.5)
        layers.append(mean.encode(x=alt.X("mean:Q"), description=alt.Description("said:N")))
    for level in levels:
        at = chart([{"at": level.value, "name": level.name, "said": f"{level.name}: {_said(level.value, True)}"}])
        beside: dict[str, Any] = {"align": "left", "dx": 3} if level.value <= 0.5 else {"align": "right", "dx": -3}
        line = at.mark_rule(color=QUIET, strokeDash=LEVEL_DASHES)
        name = at.mark_text(color=QUIET, baseline="top", aria=False, **beside)
        layers.append(line.encode(x=alt.X("at:Q"), description=alt.Description("said:N")))
        layers.append(name.encode(x=alt.X("at:Q"), y=alt.value(0), text=alt.Text("name:N")))
    return spec(layers)


def experience(experiences: Experience, title: str) -> Spec:
    """Fig. 3."""
    return histogram(experiences.histogram, title, False, PERSON, "participants")


def scatter(plot: Scatter, groups: Sequence[str], x: str, y: str, share: bool, levels: Sequence[Level] = ()) -> Spec:
    """Fig. 4: a point a participant."""
    rows = [
        {"x": point.experience, "y": point.final, "group": point.group or NO_GROUP, "said": _point(point, share)}
        for point in plot.points
    ]
    shown = (*groups, NO_GROUP) if any(point.group is None for point in plot.points) else tuple(groups)
    points = chart(rows).mark_point(filled=True, size=80, opacity=0.85)
    layer = points.encode(
        x=alt.X("x:Q", axis=axis(x)),
        y=alt.Y("y:Q", axis=axis(y, share), scale=_spread()),
        color=_colours(shown),
        shape=_shapes(shown),
        description=alt.Description("said:N"),
    )
    return spec([*_levels(levels, y), layer])


def _spread() -> "alt.Scale":
    """A scale that need not begin at zero."""
    return alt.Scale(zero=False, nice=True)


def _point(point: ParticipantPoint, share: bool) -> str:
    return f"{point.pseudonym}: {point.experience:g}, {_said(point.final, share)}"


def _said(value: float | None, share: bool) -> str:
    if value is None:
        return "none"
    return f"{100 * value:.1f} %" if share else f"{value:.4g}"


def boxes(grouped: Boxes, y: str, share: bool, levels: Sequence[Level] = ()) -> Spec:
    """Fig. 5: a box a group, every participant as a point beside it."""
    groups = [box.group for box in grouped.boxes]
    rows = [
        {
            "group": box.group, "low": box.low, "first": box.first,
            "median": box.median, "third": box.third, "high": box.high,
            "said": f"{box.group}: median {_said(box.median, share)}, quartiles {_said(box.first, share)} and "
            f"{_said(box.third, share)}, n = {box.n}",
        }
        for box in grouped.boxes
        if box.n
    ]  # fmt: skip
    points = [
        {"group": box.group, "y": value, "said": f"{box.group}: {_said(value, share)}"}
        for box in grouped.boxes
        for value in box.values
    ]
    x = alt.X("group:N", sort=groups, axis=axis("", labelAngle=0))
    description = alt.Description("said:N")

    def at(field: str) -> "alt.Y":
        return alt.Y(f"{field}:Q", axis=axis(y, share), scale=_spread())

    whiskers = chart(rows).mark_rule(color=QUIET)
    halves = chart(rows).mark_bar(size=46, opacity=0.55)
    medians = chart(rows).mark_tick(size=46, thickness=2, color=INK)
    people = chart(points).mark_point(filled=True, size=34, color=INK, opacity=0.7, xOffset=34)
    layers = [
        *_levels(levels, y),
        whiskers.encode(x=x, y=at("low"), y2=alt.Y2("high")),
        halves.encode(x=x, y=at("first"), y2=alt.Y2("third"), color=_colours(groups, legend=None), description=description),
        medians.encode(x=x, y=at("median")),
        people.encode(x=x, y=at("y"), description=description),
    ]
    return spec(layers, width=min(PLOT_WIDTH, 140 * max(len(groups), 1)))


def violins(tries: Tries) -> Spec:
    """Fig. 6: the density of tries by group, mirrored; each participant a point; the mean a line."""
    groups = [shape.group for shape in tries.violins]
    most = max((max(shape.density, default=0.0) for shape in tries.violins), default=0.0) or 1.0
    area, points, means = [], [], []
    for index, violin in enumerate(tries.violins):
        for at, value in zip(violin.grid, violin.density, strict=True):
            wide = 0.42 * value / most
            area.append({"group": violin.group, "y": at, "left": index - wide, "right": index + wide})
        points += [
            {
                "group": violin.group,
                "x": index,
                "y": number,
                "said": f"{violin.group}: {violin.tries.count(number)} after {number} tries",
            }
            for number in sorted(set(violin.tries))
        ]
        if violin.mean is not None:
            said = f"{violin.group}: mean {violin.mean:.3g}"
            means.append({"left": index - 0.3, "right": index + 0.3, "y": violin.mean, "said": said})
    labels = f"{json.dumps(groups)}[datum.value] || ''"
    ticks = whole([row["y"] for row in area + points])

    def across(field: str) -> "alt.X":
        places = axis("", values=list(range(len(groups))), labelExpr=labels, grid=False, ticks=False)
        return alt.X(f"{field}:Q", scale=alt.Scale(domain=[-0.6, len(groups) - 0.4]), axis=places)

    y = alt.Y("y:Q", axis=axis("tries to the threshold", **ticks), scale=alt.Scale(zero=True))
    right, description = alt.X2("right"), alt.Description("said:N")
    densities = chart(area).mark_area(opacity=0.5, orient="horizontal")
    people = chart(points).mark_point(filled=True, size=30, color=INK, opacity=0.6)
    lines = chart(means).mark_rule(color=INK, size=2)
    layers = [
        densities.encode(x=across("left"), x2=right, y=y, color=_colours(groups, legend=None), detail=alt.Detail("group:N")),
        people.encode(x=across("x"), y=y, description=description),
        lines.encode(x=across("left"), x2=right, y=y, description=description),
    ]
    return spec(layers, width=min(PLOT_WIDTH, 140 * max(len(groups), 1)))


def by_try(progress: ByTry, y: str, share: bool, levels: Sequence[Level] = ()) -> Spec:
    """Fig. 7: the mean of the best so far by try as lines with a band of one standard error; of the trial itself as points."""
    groups = [line.group for line in progress.best]
    bands, lines, points = [], [], []
    for curve in progress.best:
        for at in curve.points:
            said = f"{curve.group}, try {at.number}: best so far {_said(at.mean, share)} ± {_said(at.error, share)}, n = {at.n}"
            row = {"group": curve.group, "x": at.number, "y": at.mean, "said": said}
            lines.append(row)
            if at.error is not None:
                bands.append({**row, "low": at.mean - at.error, "high": at.mean + at.error})
    for curve in progress.current:
        for at in curve.points:
            said = (
                f"{curve.group}, try {at.number}: the trial itself {_said(at.mean, share)} ± {_said(at.error, share)}, n = {at.n}"
            )
            points.append({"group": curve.group, "x": at.number, "y": at.mean, "said": said})
    ticks = whole([row["x"] for row in lines + points])
    x = alt.X("x:Q", axis=axis("try", **ticks), scale=alt.Scale(zero=False, nice=False))

    def height(field: str) -> "alt.Y":
        return alt.Y(f"{field}:Q", axis=axis(y, share), scale=_spread())

    looks = {"color": _colours(groups), "shape": _shapes(groups), "description": alt.Description("said:N")}
    layers = [
        *_levels(levels, y),
        chart(bands).mark_area(opacity=0.2).encode(x=x, y=height("low"), y2=alt.Y2("high"), color=looks["color"]),
        chart(lines).mark_line(size=2).encode(x=x, y=height("y"), color=looks["color"]),
        chart(lines).mark_point(filled=True, size=45).encode(x=x, y=height("y"), **looks),
        chart(points).mark_point(filled=False, size=30, opacity=0.7).encode(x=x, y=height("y"), **looks),
    ]
    return spec(layers)


def starts(beginnings: Starts) -> Spec:
    """Fig. 8: stacked bars, those who began from defaults filled."""
    groups = [bar.group for bar in beginnings.starts]
    rows = []
    for start in beginnings.starts:
        for kind, names in (("all defaults", start.defaults), ("other values", start.others)):
            rows.append({"group": start.group, "kind": kind, "count": len(names), "said": f"{start.group}, {kind}: {len(names)}"})
    scale = alt.Scale(domain=["all defaults", "other values"], range=[PERSON, REASON_COLOURS[1]])
    bars = chart(rows).mark_bar(size=26)
    layer = bars.encode(
        y=alt.Y("group:N", sort=groups, axis=axis("")),
        x=alt.X("count:Q", axis=axis("participants", **whole([bar.n for bar in beginnings.starts]))),
        color=alt.Color("kind:N", scale=scale),
        order=alt.Order("kind:N"),
        description=alt.Description("said:N"),
    )
    return spec([layer], height=46 * max(len(groups), 1))


def reasons(answers: Reasons) -> Spec:
    """Fig. 9: each group's mean shares of the reasons, stacked to one."""
    groups, names = [group.group for group in answers.groups], dict(answers.offered)
    order = {value: index for index, value in enumerate(names)}
    rows = [
        {
            "group": group.group,
            "reason": names[value],
            "share": share,
            "order": order[value],
            "said": f"{group.group}: {names[value]} {share:.0%}",
        }
        for group in answers.groups
        for value, share in group.shares
    ]
    labels = list(names.values())
    scale = alt.Scale(domain=labels, range=[REASON_COLOURS[index % len(REASON_COLOURS)] for index in range(len(labels))])
    bars = chart(rows).mark_bar(size=26)
    layer = bars.encode(
        y=alt.Y("group:N", sort=groups, axis=axis("")),
        x=alt.X("share:Q", axis=axis("share of values with a reason", True), stack="zero"),
        color=alt.Color("reason:N", scale=scale, legend=alt.Legend(columns=1)),
        order=alt.Order("order:Q"),
        description=alt.Description("said:N"),
    )
    return spec([layer], height=46 * max(len(groups), 1))


def survival(curves: Sequence[Survival]) -> Spec:
    """Kaplan-Meier: the share that has not reached the threshold yet, by try."""
    groups = [line.name for line in curves]
    rows = []
    for curve in curves:
        rows.append({"group": curve.name, "x": 0.0, "y": 1.0, "said": f"{curve.name}: all"})
        rows += [
            {"group": curve.name, "x": at.at, "y": at.share, "said": f"{curve.name}, try {at.at:g}: {at.share:.0%}"}
            for at in curve.steps
        ]
    layer = (
        chart(rows)
        .mark_line(interpolate="step-after", size=2)
        .encode(
            x=alt.X("x:Q", axis=axis("tries", **whole([row["x"] for row in rows]))),
            y=alt.Y("y:Q", axis=axis("not reached yet", True), scale=alt.Scale(domain=[0, 1])),
            color=_colours(groups),
            strokeDash=alt.StrokeDash(
                **named("group", groups, [DASH_PATTERNS[index % len(DASH_PATTERNS)] for index in range(len(groups))])
            ),
            description=alt.Description("said:N"),
        )
    )
    return spec([layer])


def power(curve: PowerCurve) -> Spec:
    """Power of the planned test by the number of participants."""
    rows = [{"x": at.n, "y": at.power, "said": f"{at.n} participants: {at.power:.0%}"} for at in curve.points]
    x = alt.X("x:Q", axis=axis("participants", tickCount=6), scale=alt.Scale(zero=False))
    y = alt.Y("y:Q", axis=axis("power", True), scale=alt.Scale(domain=[0, 1]))
    points = chart(rows).mark_point(filled=True, color=PERSON, size=36)
    layers = [
        chart([{"y": 0.8}]).mark_rule(color=QUIET, strokeDash=[4, 3]).encode(y=y),
        chart(rows).mark_line(color=PERSON, size=2).encode(x=x, y=y),
        points.encode(x=x, y=y, description=alt.Description("said:N")),
    ]
    return spec(layers, height=200)


def marked(drawing: Spec, words: str) -> Spec:
    """A drawing that says of itself that its records are not a live study's."""
    return {
        **drawing,
        "title": {"text": words, "color": CAUTION, "fontSize": 12, "fontWeight": 600, "anchor": "end", "offset": 8},
    }


def marked_sections(words: str, sections: Sequence[ReportSection]) -> tuple[ReportSection, ...]:
    """Sections whose drawings say whose records they are of; without words, as they are."""
    return tuple(replace(section, items=tuple(_marked_item(item, words) for item in section.items)) for section in sections)


def _marked_item(item: Item, words: str) -> Item:
    return replace(item, spec=marked(dict(item.spec), words)) if item.spec is not None and words else item


def flow(attrition: Attrition, mark: str) -> str:
    """Fig. 2 and the attrition as one diagram: a box a step, and beside the arrows who was lost there, and why (SVG)."""
    parts, y = [], 26 if mark else 4
    if mark:
        parts.append(_words(mark, FLOW_WIDTH, 13, CAUTION, 12, 'font-weight="600" text-anchor="end"'))
    for index, stage in enumerate(attrition.everyone):
        if index:
            lost = [line for loss in stage.lost for line in wrap(f"− {loss.count} {loss.words}", LOSS_CHARACTERS)]
            tall = max(30, 15 * len(lost) + 14)
            parts.append(f'<path d="M{BOX_WIDTH // 2} {y}v{tall - 6}" stroke="{QUIET}" fill="none"/>')
            parts.append(f'<path d="M{BOX_WIDTH // 2 - 4} {y + tall - 8}l4 7l4 -7z" fill="{QUIET}"/>')
            parts += [_words(line, BOX_WIDTH // 2 + 16, y + 19 + 15 * at, QUIET, 12) for at, line in enumerate(lost)]
            y += tall
        box = f'<rect x="1" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"'
        shape = f'{box} fill="none" stroke="{PERSON}" stroke-width="1.5"/>'
        count = _words(str(stage.count), 16, y + 27, INK, 17, 'font-weight="600"')
        parts += [shape, count, _words(stage.name, 66, y + 26, INK, 13)]
        y += BOX_HEIGHT
    size = f'width="{FLOW_WIDTH}" height="{y + 4}" viewBox="0 0 {FLOW_WIDTH} {y + 4}" font-family="system-ui, sans-serif"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(parts)}</svg>'


def _words(words: str, x: int, y: int, colour: str, size: int, rest: str = "") -> str:
    return f'<text x="{x}" y="{y}" fill="{colour}" font-size="{size}" {rest}>{escape(plain(words))}</text>'


# From specifications to pictures


def svg(drawing: Mapping[str, Any]) -> str:
    """The drawing as SVG; the same specification gives the same text."""
    return _drawn(json.dumps(_plain(drawing)))


@lru_cache(maxsize=128)
def _drawn(drawing: str) -> str:
    """Kept, since a report's page, document and files share their drawings."""
    drawn: str = require("vl_convert", DRAWING_PURPOSE).vegalite_to_svg(drawing, allowed_base_urls=[])
    drawn = re.sub(r'<(path|line|rect|text)\b([^>]*?) aria-label="([^"]*)"([^>]*?)/>', _with_title, drawn)
    return _numbered(drawn)


def _numbered(drawn: str) -> str:
    """Ids of clips counted from 1: vl-convert counts them on from one drawing of the process to the next."""
    places = {name: str(at) for at, name in enumerate(dict.fromkeys(CLIP_PATTERN.findall(drawn)), 1)}
    return CLIP_PATTERN.sub(lambda match: places[match[0]], drawn)


def _plain(part: Any) -> Any:
    """A specification whose every text can be drawn."""
    if isinstance(part, str):
        return plain(part)
    if isinstance(part, Mapping):
        return {key: _plain(value) for key, value in part.items()}
    return [_plain(item) for item in part] if isinstance(part, list | tuple) else part


def _with_title(match: "re.Match[str]") -> str:
    """A mark's words as a title, which browsers show under the pointer."""
    tag, before, said, after = match.groups()
    return f'<{tag}{before} aria-label="{said}"{after}><title>{said}</title></{tag}>'


def png(drawn: str, scale: float = 2.0) -> bytes:
    """An SVG as PNG on white."""
    white = drawn.replace(">", '><rect width="100%" height="100%" fill="#ffffff"/>', 1)
    return bytes(require("vl_convert", DRAWING_PURPOSE).svg_to_png(white, scale=scale))


def themed(drawn: str, alt: str) -> str:
    """An SVG for a page: colours as custom properties, its size by its surroundings, and a name for those who do not see it.

    Its colours are attributes of their own (`fill`, `stroke`): a page's policy forbids `style`.
    """
    for colour, name in COLOUR_NAMES.items():
        drawn = re.sub(re.escape(colour), f"var(--{name})", drawn, flags=re.IGNORECASE)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{escape(alt, quote=True)}" ', 1)
