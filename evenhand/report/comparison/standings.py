"""Drawings of a comparison: average ranks, the critical-difference diagram, and test scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evenhand.analysis.anytime import Kind, Tested
from evenhand.analysis.ranks import CriticalDifference, Ranking
from evenhand.model.words import interval, is_share, metric_name, shortened
from evenhand.report.comparison.contestants import ASIDE_PIXELS, colour, padding, panels, styles
from evenhand.report.vega import INK, METHOD, PERSON, QUIET, Spec, alt, axis, chart, spec

NAME_COLOURS: Mapping[Kind, str] = {"method": METHOD, "person": PERSON, "bot": QUIET, "joint": INK}
SCALE_PIXELS = 230  # width of the scale of ranks in the critical-difference diagram
LEVEL_PIXELS, ROW_PIXELS = 9, 17  # pixels between two bars, and between two rows of names
LONGEST_NAME_LETTERS = 17  # letters of a name beside the scale
BAR_ROOM_PIXELS = 3  # pixels by which a bar goes on beyond the ranks that it joins


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


def diagram(difference: CriticalDifference) -> Diagram:
    """The layout of Demsar's (2006) Fig. 1: the better half is named at the left, the worse at the right, extremes on top, so
    that no two lines cross; bars that overlap lie on different levels.
    """
    count = len(difference.ranks)
    half = (count + 1) // 2
    labels = [
        Label(name, rank, at if at < half else count - 1 - at, at < half) for at, (name, rank) in enumerate(difference.ranks)
    ]
    ranks = dict(difference.ranks)
    ends: list[float] = []  # where each level is free again
    bars = []
    for clique in difference.cliques:
        low, high = ranks[clique[0]], ranks[clique[-1]]
        level = next((at for at, end in enumerate(ends) if end < low), len(ends))
        ends[level : level + 1] = [high]
        bars.append(Bar(low, high, level))
    return Diagram(count, tuple(labels), tuple(bars), len(ends), half)


def critical(difference: CriticalDifference, contestants: Mapping[str, Kind]) -> Spec:
    """The critical-difference diagram: ranks on a scale, bars over groups that do not differ, the critical difference on top."""
    made = diagram(difference)
    first = 14 + LEVEL_PIXELS * made.levels
    deep = first + ROW_PIXELS * made.rows
    ticks = axis("", orient="top", grid=False, values=_ticks(made.count), format="d", domainColor=QUIET, tickColor=QUIET)
    across, down = alt.Scale(domain=[1, made.count], nice=False, zero=False), alt.Scale(domain=[deep, 0], nice=False, zero=False)

    def x(field: str = "rank") -> "alt.X":
        return alt.X(f"{field}:Q", scale=across, axis=ticks)

    def y(field: str = "y") -> "alt.Y":
        return alt.Y(f"{field}:Q", axis=None, scale=down)

    rows = [
        {"rank": label.rank, "top": 0, "y": first + ROW_PIXELS * label.row, "left": label.left,
         "colour": NAME_COLOURS[contestants[label.name]], "shown": " ".join([name, rank] if label.left else [rank, name])}
        for label in made.labels
        for name, rank in [(shortened(label.name, LONGEST_NAME_LETTERS), f"{label.rank:.2f}")]
    ]  # fmt: skip
    bars = [{"rank": bar.low, "to": bar.high, "y": 9 + LEVEL_PIXELS * bar.level} for bar in made.bars]
    joined = chart(bars).mark_rule(color=INK, size=4, strokeCap="round", xOffset=-BAR_ROOM_PIXELS, x2Offset=BAR_ROOM_PIXELS)
    layers = [
        chart(rows).mark_rule(color=QUIET).encode(x=x(), y=y("top"), y2=alt.Y2("y")),
        *_names([row for row in rows if row["left"]], -8, "right", x(), y()),
        *_names([row for row in rows if not row["left"]], SCALE_PIXELS + 8, "left", x(), y()),
        joined.encode(x=x(), x2=alt.X2("to"), y=y()),
        *_ruler(difference, x),
    ]
    return spec(layers, width=SCALE_PIXELS, height=deep, padding=padding(ASIDE_PIXELS, ASIDE_PIXELS))


def _ticks(count: int) -> list[int]:
    return list(range(1, count + 1, 1 if count <= 9 else 2))


def _names(
    rows: Sequence[Mapping[str, object]], edge: int, align: Literal["left", "right"], x: "alt.X", y: "alt.Y"
) -> "list[alt.Chart]":
    """Names at one side of the scale, and the lines that lead to them."""
    beside = edge + (-4 if align == "right" else 4)
    name = chart(rows).mark_text(align=align, baseline="middle", fontSize=12)
    tinted = alt.Color("colour:N", scale=None, legend=None)
    return [
        chart(rows).mark_rule(color=QUIET).encode(x=x, x2=alt.value(edge), y=y),
        name.encode(x=alt.value(beside), y=y, text=alt.Text("shown:N"), color=tinted),
    ]


def _ruler(difference: CriticalDifference, x: "Callable[[str], alt.X]") -> "list[alt.Chart]":
    """The critical difference as a length on the scale, where it fits on it, with its number."""
    if difference.critical is None:
        return []
    count = len(difference.ranks)
    fits = difference.critical <= count - 1
    words = f"critical difference {difference.critical:.2f}" + ("" if fits else ": longer than the scale")
    text = chart([{"rank": 1, "words": words}]).mark_text(align="left", baseline="bottom", fontSize=12)
    said = text.encode(x=x("rank"), y=alt.value(-34), text=alt.Text("words:N"))
    across = chart([{"rank": 1, "to": 1 + difference.critical}]).mark_rule(color=INK, size=1.5)
    line = across.encode(x=x("rank"), x2=alt.X2("to"), y=alt.value(-28))
    ends = [across.encode(x=x(end), y=alt.value(-32), y2=alt.value(-24)) for end in ("rank", "to")]
    return [said, line, *ends] if fits else [said]


# Ranks and scores


def ranks(ranking: Ranking, contestants: Mapping[str, Kind]) -> Spec:
    """Average ranks as points with their intervals, the best on top."""
    looks = styles(contestants)
    order = [standing.contestant for standing in ranking.standings]
    rows = [
        {
            "name": standing.contestant, "x": standing.rank, "low": standing.low, "high": standing.high,
            "said": f"{standing.contestant}: {standing.rank:.2f} ({interval(standing.low, standing.high, '{:.2f}'.format)})",
        }
        for standing in ranking.standings
    ]  # fmt: skip
    bounded = [row for row in rows if row["low"] is not None]
    ticks = axis("average rank (1: always the best)", values=_ticks(len(order)), format="d")
    scale = alt.Scale(domain=[0.8, len(order) + 0.2], nice=False, zero=False)
    y = alt.Y("name:N", sort=order, axis=axis("", labelLimit=150, labelColor=INK, grid=True))

    def x(field: str) -> "alt.X":
        return alt.X(f"{field}:Q", axis=ticks, scale=scale)

    points = chart(rows).mark_point(filled=True, size=70, opacity=1)
    layers = [
        chart(bounded).mark_rule(size=2).encode(x=x("low"), x2=alt.X2("high"), y=y, color=colour(looks)),
        points.encode(x=x("x"), y=y, color=colour(looks), description=alt.Description("said:N")),
    ]
    return spec(layers, width=320, padding=padding(left=ASIDE_PIXELS), height=22 * max(len(order), 1))


def tests(results: Sequence[Tested], contestants: Mapping[str, Kind], order: Sequence[str]) -> Spec:
    """Test scores: a panel for each task, a row for each contestant: the mean as a point with a bar of one standard deviation,
    the mean of each session as a small mark. order: of the rows.
    """
    there = [result for result in results if result.mean is not None]
    looks = styles(contestants)
    rows = []
    for tested in there:
        assert tested.mean is not None
        reach, panel = tested.sd or 0.0, f"{tested.task} ({metric_name(tested.metric)})"
        said = f"{tested.contestant} on {tested.task}: {tested.mean:.4g} ± {reach:.2g}, n = {tested.n}"
        row = {"panel": panel, "name": tested.contestant, "said": said}
        rows.append({**row, "mean": tested.mean, "low": tested.mean - reach, "high": tested.mean + reach})
        rows += [{**row, "session": mean} for mean in tested.sessions] if len(tested.sessions) > 1 else []
    names = [name for name in order if any(result.contestant == name for result in there)]
    share = all(is_share(result.metric) for result in there)

    ticks = axis("test score", grid=True, tickCount=4, format="%" if share else alt.Undefined)
    y = alt.Y("name:N", sort=names, axis=axis("", labelLimit=110, labelColor=INK, ticks=False))

    def at(field: str) -> "alt.X":
        return alt.X(f"{field}:Q", axis=ticks, scale=alt.Scale(zero=False))

    sessions = alt.Chart().mark_point(filled=True, shape="circle", size=12, color=QUIET, opacity=0.8, yOffset=-5)
    means = alt.Chart().mark_point(filled=True, size=60, opacity=1)
    layers = [
        sessions.encode(x=at("session"), y=y),
        alt.Chart().mark_rule(size=2).encode(x=at("low"), x2=alt.X2("high"), y=y, color=colour(looks)),
        means.encode(x=at("mean"), y=y, color=colour(looks), description=alt.Description("said:N")),
    ]
    panes = sorted({row["panel"] for row in rows}, key=str)
    return panels(layers, rows, "panel", [str(pane) for pane in panes], apart="x", tall=18 * max(len(names), 1))
