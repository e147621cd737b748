"""A card's picture as a Vega-Lite specification, for reports and for charts of Altair."""

from typing import Any

from evenhand.report.cards.pictures import Curves, Panel, Picture
from evenhand.report.vega import METHOD, PLOT_WIDTH, QUIET, Spec, alt, axis, chart, dressed, named, spec

ROW_HEIGHT = 22  # pixels
LOOKS, COLOURS, SHAPES = ("main", "second", "quiet"), (METHOD, METHOD, QUIET), ("circle", "diamond", "circle")
LABEL_PIXELS = 180


def figure(picture: Picture | Curves) -> Spec:
    """Points with their intervals, bands of chance behind them, a row each; or panels of curves with their bands."""
    if isinstance(picture, Curves):
        return _curves(picture)
    labels = [mark.label for mark in picture.marks]
    low, high = picture.ends
    room = (high - low) * 0.04 or max(abs(high) * 0.04, 1e-9)
    scale = alt.Scale(domain=[low - room, high + room], nice=False, zero=False)
    x_axis = axis(picture.axis, picture.percent)
    y = alt.Y("label:N", sort=labels, title=None, axis=axis("", labelLimit=LABEL_PIXELS))
    layers = []
    if picture.band is not None:
        rows = [{"low": picture.band[0], "high": picture.band[1], "said": picture.band_words}]
        band = chart(rows).mark_rect(color=QUIET, opacity=0.12)
        layers.append(band.encode(x=alt.X("low:Q", scale=scale), x2="high:Q", description=alt.Description("said:N")))
    chance = [
        {"label": mark.label, "low": mark.chance_low, "high": mark.chance_high}
        for mark in picture.marks
        if mark.chance_low is not None
    ]
    if chance:
        behind = chart(chance).mark_bar(color=QUIET, opacity=0.25, height=14)
        layers.append(behind.encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y))
    known = [
        {"label": mark.label, "low": mark.low, "high": mark.high, "look": mark.look}
        for mark in picture.marks
        if mark.low is not None
    ]
    colour = alt.Color(**named("look", LOOKS, COLOURS, legend=None))
    if known:
        layers.append(chart(known).mark_rule(size=2).encode(x=alt.X("low:Q", scale=scale), x2="high:Q", y=y, color=colour))
    points = [
        {"label": mark.label, "value": mark.value, "look": mark.look, "said": mark.said or mark.label} for mark in picture.marks
    ]
    layers.append(
        chart(points)
        .mark_point(filled=True, size=70, opacity=1)
        .encode(
            x=alt.X("value:Q", axis=x_axis, scale=scale),
            y=y,
            color=colour,
            shape=alt.Shape(**named("look", LOOKS, SHAPES, legend=None)),
            description=alt.Description("said:N"),
        )
    )
    return spec(layers, PLOT_WIDTH, ROW_HEIGHT * len(labels))


PANEL_WIDTH, PANEL_HEIGHT, PANEL_COLUMNS = 170, 110, 2  # pixels, and panels beside each other


def _curves(curves: Curves) -> Spec:
    """A panel for each hyperparameter, on one scale of values: the band of the trees, and the mean."""
    rows = [row for panel in curves.panels for row in _panel_rows(panel)]
    base = chart(rows).encode(
        x=alt.X("place:Q", title=None, axis=alt.Axis(labels=False, ticks=False), scale=alt.Scale(domain=[0, 1]))
    )
    scale = alt.Scale(domain=list(curves.ends), nice=True, zero=False)
    y_axis = axis(curves.axis, curves.percent, tickCount=3)
    band = base.mark_area(color=METHOD, opacity=0.18).encode(y=alt.Y("low:Q", axis=y_axis, scale=scale), y2="high:Q")
    line = base.mark_line(color=METHOD, point=True).encode(
        y=alt.Y("mean:Q", axis=y_axis, scale=scale), description=alt.Description("said:N")
    )
    layered = alt.layer(band, line).properties(width=PANEL_WIDTH, height=PANEL_HEIGHT)
    names = [panel.name for panel in curves.panels]
    return dressed(layered.facet(facet=alt.Facet("panel:N", sort=names, title=None), columns=PANEL_COLUMNS))


def _panel_rows(panel: Panel) -> list[dict[str, Any]]:
    return [
        {
            "panel": panel.name,
            "place": place,
            "mean": mean,
            "low": low,
            "high": high,
            "said": f"{panel.name} {label}: {mean:.4g}",
        }
        for place, label, mean, low, high in zip(panel.places, panel.labels, panel.mean, panel.low, panel.high, strict=True)
    ]
