"""What all drawings share: the pages' colours and type, axes, and data, as parts of Altair's charts.

In a page colours become custom properties of the names in `NAMES`, which its style sheet sets for light and dark surroundings.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from evenhand.analysis.summaries import drawn
from evenhand.model.extras import require

if TYPE_CHECKING:
    import altair as alt

INK, QUIET, LINE, METHOD, PERSON, CAUTION = "#1d2531", "#5f6b7b", "#e3e6eb", "#1971c3", "#c94a0b", "#8f5f01"
GROUP_COLOURS = ("#f2a65b", "#e0701b", "#8f3203", "#5b4b8a", "#2f7d5b", "#7a7a3a")  # groups, from the least experience
DASH_PATTERNS = ([1, 0], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4], [1, 2])
METHOD_COLOURS = (METHOD, "#0c3c7c", "#62aeee", "#0e92a3")  # methods beside each other
POINT_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
NO_GROUP = "in no group"
REASON_COLOURS = ("#c94a0c", "#8794a6", "#3b6ea5", "#6aa06e", "#8d6b9f", "#a98b3c")
COLOUR_NAMES = {INK: "ink", QUIET: "quiet", LINE: "line", METHOD: "method", PERSON: "person", CAUTION: "caution"}
COLOUR_NAMES |= {shade: f"group-{index}" for index, shade in enumerate(GROUP_COLOURS)}
COLOUR_NAMES |= {shade: f"reason-{index}" for index, shade in enumerate(REASON_COLOURS)}
COLOUR_NAMES |= {shade: f"method-{index}" for index, shade in enumerate(METHOD_COLOURS) if shade != METHOD}
PLOT_WIDTH, PLOT_HEIGHT = 400, 230  # of the plot; with its axis a drawing stays readable on a phone

Spec = dict[str, Any]


class _Altair:
    """Altair, imported when the first chart is made: it takes half a second, and is in the extra `report`."""

    def __getattr__(self, name: str) -> Any:
        return getattr(require("altair", "a drawing"), name)


if not TYPE_CHECKING:
    alt = _Altair()


def spec(layers: "Sequence[alt.Chart]", width: int = PLOT_WIDTH, height: int = PLOT_HEIGHT, **rest: Any) -> Spec:
    """Layers as one drawing, in the pages' type and colours, as a Vega-Lite specification."""
    return dressed(alt.layer(*layers).properties(width=width, height=height, **rest))


def dressed(chart: "alt.LayerChart | alt.FacetChart") -> Spec:
    """A chart in the pages' type and colours, as a Vega-Lite specification."""
    look = {
        "labelColor": QUIET, "titleColor": INK, "tickColor": LINE, "domainColor": LINE, "gridColor": LINE, "titleFontWeight": 500,
        "labelFontSize": 12, "titleFontSize": 12, "titlePadding": 8,
    }  # fmt: skip
    made = chart.configure(
        font="system-ui, sans-serif",
        view=alt.ViewConfig(stroke=None),
        axis=alt.AxisConfig(**look),
        legend=alt.LegendConfig(
            labelColor=INK,
            titleColor=INK,
            labelFontSize=12,
            symbolSize=90,
            symbolOpacity=1,
            columnPadding=24,
            labelLimit=PLOT_WIDTH,
            orient="top",
            title=None,
        ),
        header=alt.HeaderConfig(labelColor=INK, titleColor=INK),
        text=alt.MarkConfig(color=INK, fontSize=12),
    )
    specification: Spec = made.to_dict()
    return {
        **_inlined(specification, specification.pop("datasets", {})),
        "background": None,
    }  # that of the page, which the schema has no word for


def _inlined(part: Any, datasets: Mapping[str, Any]) -> Any:
    """A specification whose layers hold their data themselves, where Altair has put it beside them."""
    if isinstance(part, dict):
        name = str(part["name"]) if part.keys() == {"name"} else ""
        return {"values": datasets[name]} if name in datasets else {key: _inlined(value, datasets) for key, value in part.items()}
    return [_inlined(item, datasets) for item in part] if isinstance(part, list) else part


def chart(rows: Sequence[Mapping[str, Any]]) -> "alt.Chart":
    """A layer with rows as its data."""
    return alt.Chart(alt.InlineData(values=[{name: _drawn(value) for name, value in row.items()} for row in rows]))


def _drawn(value: Any) -> Any:
    return drawn(value) if isinstance(value, float) else value


def axis(title: str, share: bool = False, **rest: Any) -> "alt.Axis":
    """An axis with a title; shares are told in percent."""
    return alt.Axis(title=title, **({"format": ".0%"} if share else {}), **rest)


def whole(values: Sequence[Any]) -> dict[str, Any]:
    """Ticks of an axis that counts: whole numbers from 0, about eight of them, in steps of 1, 2 or 5 times a power of ten."""
    most = max(values, default=0)
    step = next(
        power * factor for power in (10**digits for digits in range(9)) for factor in (1, 2, 5) if power * factor * 8 >= most
    )
    return {"values": list(range(0, int(most) + 1, step)), "format": "d"}


def named(field: str, domain: Sequence[str], looks: Sequence[Any], **rest: Any) -> dict[str, Any]:
    """A channel that tells names apart: how each of the domain looks, in its order."""
    scale = alt.Scale(domain=list(domain), range=list(looks))
    return {"field": field, "type": "nominal", "scale": scale, "sort": list(domain), **rest}
