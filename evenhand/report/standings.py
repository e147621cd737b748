"""Drawings of a comparison: average ranks, the critical-difference diagram, and test scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evenhand.analysis.anytime import Kind, Tested
from evenhand.analysis.ranks import Difference, Ranking
from evenhand.analysis.scores import is_share
from evenhand.report.canvas import INK, METHOD, PERSON, QUIET, Spec, axis, spec, values
from evenhand.report.contestants import ASIDE, colour, padding, panels, styles

NAMED: Mapping[Kind, str] = {"method": METHOD, "person": PERSON, "bot": QUIET, "joint": INK}
SCALE = 230  # width of the scale of ranks in the critical-difference diagram
LEVEL, ROW = 9, 17  # pixels between two bars, and between two rows of names
LONGEST = 17  # letters of a name beside the scale
ROOM = 3  # pixels by which a bar goes on beyond the ranks that it joins


@dataclass(frozen=True)
class Label:
    """A name in the critical-difference diagram: at the left or right of the scale, in a row from the top."""

    name: str
    rank: float
    row: int
    left: bool


@dataclass(frozen=True)
class Bar:
    """A group that does not differ: from its best to its worst rank, at a level from the top."""

    low: float
    high: float
    level: int


@dataclass(frozen=True)
class Diagram:
    """Where everything of a critical-difference diagram lies. count: contestants, so that ranks go from 1 to it."""

    count: int
    labels: tuple[Label, ...]
    bars: tuple[Bar, ...]
    levels: int
    rows: int


def diagram(found: Difference) -> Diagram:
    """The layout of Demsar's (2006) Fig. 1: the better half is named at the left, the worse at the right, extremes on top, so
    that no two lines cross; bars that overlap lie on different levels.
    """
    count = len(found.ranks)
    half = (count + 1) // 2
    labels = [Label(name, rank, at if at < half else count - 1 - at, at < half) for at, (name, rank) in enumerate(found.ranks)]
    ranks = dict(found.ranks)
    ends: list[float] = []  # where each level is free again
    bars = []
    for clique in found.cliques:
        low, high = ranks[clique[0]], ranks[clique[-1]]
        level = next((at for at, end in enumerate(ends) if end < low), len(ends))
        ends[level : level + 1] = [high]
        bars.append(Bar(low, high, level))
    return Diagram(count, tuple(labels), tuple(bars), len(ends), half)


def critical(found: Difference, contestants: Mapping[str, Kind]) -> Spec:
    """The critical-difference diagram: ranks on a scale, bars over groups that do not differ, the critical difference on top."""
    made = diagram(found)
    first = 14 + LEVEL * made.levels
    deep = first + ROW * made.rows
    ticks = axis("", orient="top", grid=False, values=_ticks(made.count), format="d", domainColor=QUIET, tickColor=QUIET)
    scale = {"domain": [1, made.count], "nice": False, "zero": False}
    x = {"field": "rank", "type": "quantitative", "scale": scale, "axis": ticks}
    y = {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [deep, 0], "nice": False, "zero": False}}
    rows = [
        {"rank": each.rank, "top": 0, "y": first + ROW * each.row, "left": each.left, "colour": NAMED[contestants[each.name]],
         "shown": f"{_short(each.name)} {each.rank:.2f}" if each.left else f"{each.rank:.2f} {_short(each.name)}"}
        for each in made.labels
    ]  # fmt: skip
    bars = [{"rank": each.low, "to": each.high, "y": 9 + LEVEL * each.level} for each in made.bars]
    layers: list[Spec] = [
        {
            "data": values(rows),
            "mark": {"type": "rule", "color": QUIET},
            "encoding": {"x": x, "y": {**y, "field": "top"}, "y2": {"field": "y"}},
        },
        *_names([row for row in rows if row["left"]], -8, "right", x, y),
        *_names([row for row in rows if not row["left"]], SCALE + 8, "left", x, y),
        {
            "data": values(bars),
            "mark": {"type": "rule", "color": INK, "size": 4, "strokeCap": "round", "xOffset": -ROOM, "x2Offset": ROOM},
            "encoding": {"x": x, "x2": {"field": "to"}, "y": y},
        },
        *_ruler(found, x),
    ]
    return spec(layers, width=SCALE, height=deep, padding=padding(ASIDE, ASIDE))


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _ticks(count: int) -> list[int]:
    return list(range(1, count + 1, 1 if count <= 9 else 2))


def _names(rows: Sequence[Mapping[str, object]], edge: int, align: str, x: Spec, y: Spec) -> list[Spec]:
    """Names at one side of the scale, and the lines that lead to them."""
    beside = edge + (-4 if align == "right" else 4)
    text = {"type": "text", "align": align, "baseline": "middle", "fontSize": 12}
    colour = {"field": "colour", "type": "nominal", "scale": None, "legend": None}
    return [
        {
            "data": values(rows),
            "mark": {"type": "rule", "color": QUIET},
            "encoding": {"x": x, "x2": {"value": edge}, "y": y},
        },
        {
            "data": values(rows),
            "mark": text,
            "encoding": {"x": {"value": beside}, "y": y, "text": {"field": "shown"}, "color": colour},
        },
    ]


def _ruler(found: Difference, x: Spec) -> list[Spec]:
    """The critical difference as a length on the scale, where it fits on it, with its number."""
    if found.critical is None:
        return []
    count = len(found.ranks)
    fits = found.critical <= count - 1
    words = f"critical difference {found.critical:.2f}" + ("" if fits else ": longer than the scale")
    text: Spec = {
        "data": values([{"rank": 1, "words": words}]),
        "mark": {"type": "text", "align": "left", "baseline": "bottom", "fontSize": 12},
        "encoding": {"x": x, "y": {"value": -34}, "text": {"field": "words"}},
    }
    data = values([{"rank": 1, "to": 1 + found.critical}])
    across = {"type": "rule", "color": INK, "size": 1.5}
    line: Spec = {"data": data, "mark": across, "encoding": {"x": x, "x2": {"field": "to"}, "y": {"value": -28}}}
    ends: list[Spec] = [
        {"data": data, "mark": across, "encoding": {"x": {**x, "field": each}, "y": {"value": -32}, "y2": {"value": -24}}}
        for each in ("rank", "to")
    ]
    return [text, line, *ends] if fits else [text]


# Ranks and scores


def ranks(found: Ranking, contestants: Mapping[str, Kind]) -> Spec:
    """Average ranks as points with their intervals, the best on top."""
    looks = styles(contestants)
    order = [each.contestant for each in found.standings]
    rows = [
        {
            "name": each.contestant, "x": each.rank, "low": each.low, "high": each.high,
            "said": f"{each.contestant}: {each.rank:.2f} ({each.low:.2f} to {each.high:.2f})",
        }
        for each in found.standings
    ]  # fmt: skip
    x = {
        "field": "x",
        "type": "quantitative",
        "axis": axis("average rank (1: always the best)", values=_ticks(len(order)), format="d"),
        "scale": {"domain": [0.8, len(order) + 0.2], "nice": False, "zero": False},
    }
    y = {"field": "name", "type": "nominal", "sort": order, "axis": axis("", labelLimit=150, labelColor=INK, grid=True)}
    layers: list[Spec] = [
        {
            "data": values(rows),
            "mark": {"type": "rule", "size": 2},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y, "color": colour(looks)},
        },
        {
            "data": values(rows),
            "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1},
            "encoding": {"x": x, "y": y, "color": colour(looks), "description": {"field": "said"}},
        },
    ]
    return spec(layers, width=320, padding=padding(left=ASIDE), height=22 * max(len(order), 1))


def tests(found: Sequence[Tested], contestants: Mapping[str, Kind], order: Sequence[str]) -> Spec:
    """Test scores: a panel for each task, a row for each contestant: the mean as a point with a bar of one standard deviation,
    the mean of each session as a small mark. order: of the rows.
    """
    there = [each for each in found if each.mean is not None]
    looks = styles(contestants)
    rows = []
    for each in there:
        assert each.mean is not None
        reach, panel = each.sd or 0.0, f"{each.task} ({each.metric.replace('_', ' ')})"
        said = f"{each.contestant} on {each.task}: {each.mean:.4g} ± {reach:.2g}, n = {each.n}"
        row = {"panel": panel, "name": each.contestant, "said": said}
        rows.append({**row, "mean": each.mean, "low": each.mean - reach, "high": each.mean + reach})
        rows += [{**row, "session": mean} for mean in each.sessions] if len(each.sessions) > 1 else []
    names = [name for name in order if any(each.contestant == name for each in there)]
    share = all(is_share(each.metric) for each in there)

    def at(field: str) -> Spec:
        told = (
            axis("test score", share, grid=True, tickCount=4)
            if not share
            else axis("test score", grid=True, tickCount=4, format="%")
        )
        return {"field": field, "type": "quantitative", "axis": told, "scale": {"zero": False}}

    y = {"field": "name", "type": "nominal", "sort": names, "axis": axis("", labelLimit=110, labelColor=INK, ticks=False)}
    layers: list[Spec] = [
        {
            "mark": {
                "type": "point",
                "filled": True,
                "shape": "circle",
                "size": 12,
                "color": QUIET,
                "opacity": 0.8,
                "yOffset": -5,
            },
            "encoding": {"x": at("session"), "y": y},
        },
        {
            "mark": {"type": "rule", "size": 2},
            "encoding": {"x": at("low"), "x2": {"field": "high"}, "y": y, "color": colour(looks)},
        },
        {
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1},
            "encoding": {"x": at("mean"), "y": y, "color": colour(looks), "description": {"field": "said"}},
        },
    ]
    panes = sorted({row["panel"] for row in rows}, key=str)
    return panels(layers, rows, "panel", [str(each) for each in panes], apart="x", tall=18 * max(len(names), 1))
