"""What all drawings share: the pages' colours and type, axes, and data, as parts of Vega-Lite specifications.

In a page colours become custom properties of the names in `NAMES`, which its style sheet sets for light and dark surroundings.
"""

from collections.abc import Mapping, Sequence
from typing import Any

INK, QUIET, LINE, METHOD, PERSON, CAUTION = "#1d2531", "#5f6b7b", "#e3e6eb", "#1971c3", "#c94a0b", "#8f5f01"
SHADES = ("#f2a65b", "#e0701b", "#8f3203", "#5b4b8a", "#2f7d5b", "#7a7a3a")  # groups, from the least experience
DASHES = ([1, 0], [7, 3], [2, 3], [9, 3, 2, 3], [4, 4], [1, 2])
METHODS = (METHOD, "#0c3c7c", "#62aeee", "#0e92a3")  # methods beside each other
SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
NONE = "in no group"
REASONS = ("#c94a0c", "#8794a6", "#3b6ea5", "#6aa06e", "#8d6b9f", "#a98b3c")
NAMES = {INK: "ink", QUIET: "quiet", LINE: "line", METHOD: "method", PERSON: "person", CAUTION: "caution"}
NAMES |= {shade: f"group-{index}" for index, shade in enumerate(SHADES)}
NAMES |= {shade: f"reason-{index}" for index, shade in enumerate(REASONS)}
NAMES |= {shade: f"method-{index}" for index, shade in enumerate(METHODS) if shade != METHOD}
WIDTH, HEIGHT = 400, 230  # of the plot; with its axis a drawing stays readable on a phone

Spec = dict[str, Any]


def spec(layers: Sequence[Spec], width: int = WIDTH, height: int = HEIGHT, **rest: Any) -> Spec:
    """Layers as one drawing, in the pages' type and colours."""
    look = {
        "labelColor": QUIET, "titleColor": INK, "tickColor": LINE, "domainColor": LINE, "gridColor": LINE, "titleFontWeight": 500,
        "labelFontSize": 12, "titleFontSize": 12, "titlePadding": 8,
    }  # fmt: skip
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": None,
        "width": width,
        "height": height,
        "layer": list(layers),
        "config": {
            "font": "system-ui, sans-serif",
            "view": {"stroke": None},
            "axis": look,
            "legend": {
                "labelColor": INK,
                "titleColor": INK,
                "labelFontSize": 12,
                "symbolSize": 90,
                "symbolOpacity": 1,
                "columnPadding": 24,
                "labelLimit": WIDTH,
                "orient": "top",
                "title": None,
            },
            "header": {"labelColor": INK, "titleColor": INK},
            "text": {"color": INK, "fontSize": 12},
        },
        **rest,
    }


def axis(title: str, share: bool = False, **rest: Any) -> Spec:
    """An axis with a title; shares are told in percent."""
    return {"title": title, **({"format": ".0%"} if share else {}), **rest}


def whole(values: Sequence[Any]) -> Spec:
    """Ticks of an axis that counts: whole numbers from 0, about eight of them, in steps of 1, 2 or 5 times a power of ten."""
    most = max(values, default=0)
    step = next(power * each for power in (10**digits for digits in range(9)) for each in (1, 2, 5) if power * each * 8 >= most)
    return {"values": list(range(0, int(most) + 1, step)), "format": "d"}


def values(rows: Sequence[Mapping[str, Any]]) -> Spec:
    """Rows as the data of a layer."""
    return {"values": [dict(row) for row in rows]}
