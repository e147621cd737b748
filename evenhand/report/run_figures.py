"""Drawings of one run: its trials with the best so far, and the curves of some of its trials."""

from collections.abc import Mapping, Sequence

from evenhand.analysis.run_course import Course
from evenhand.model.words import rounded
from evenhand.report.vega import DASH_PATTERNS, METHOD, METHOD_COLOURS, QUIET, Spec, alt, axis, chart, named, spec, whole

CURVE_COLOURS = (*METHOD_COLOURS, QUIET)


def course(drawn: Course, metric: str, share: bool) -> Spec:
    """Every trial's value as a point, and the best so far as a staircase."""
    points = [
        {"x": point.number, "y": point.value, "said": f"trial {point.number}: {_said(point.value, share)}"}
        for point in drawn.points
    ]
    bests = [
        {"x": point.number, "y": point.value, "said": f"best after trial {point.number}: {_said(point.value, share)}"}
        for point in drawn.bests
    ]
    x = alt.X("x:Q", axis=axis("trial", **whole([drawn.trials])))
    y = alt.Y("y:Q", axis=axis(metric, share), scale=alt.Scale(zero=False, nice=True))
    said = alt.Description("said:N")
    dots = chart(points).mark_point(filled=True, size=24, opacity=0.55, color=QUIET).encode(x=x, y=y, description=said)
    line = chart(bests).mark_line(interpolate="step-after", size=2, color=METHOD).encode(x=x, y=y)
    return spec([dots, line])


def curves(curves_there: Mapping[int, Sequence[tuple[int, float]]], metric: str, share: bool) -> Spec:
    """The value after each epoch of some trials."""
    names = [f"trial {number}" for number in curves_there]
    rows = [
        {
            "group": f"trial {number}",
            "x": epoch,
            "y": value,
            "said": f"trial {number}, epoch {epoch}: {_said(value, share)}",
        }
        for number, points in curves_there.items()
        for epoch, value in points
    ]
    looks = [CURVE_COLOURS[at % len(CURVE_COLOURS)] for at in range(len(names))]
    dashes = [DASH_PATTERNS[at % len(DASH_PATTERNS)] for at in range(len(names))]
    layer = (
        chart(rows)
        .mark_line(size=2, point=True)
        .encode(
            x=alt.X("x:Q", axis=axis("epoch", **whole([row["x"] for row in rows]))),
            y=alt.Y("y:Q", axis=axis(metric, share), scale=alt.Scale(zero=False, nice=True)),
            color=alt.Color(**named("group", names, looks)),
            strokeDash=alt.StrokeDash(**named("group", names, dashes)),
            description=alt.Description("said:N"),
        )
    )
    return spec([layer])


def _said(value: float, share: bool) -> str:
    return f"{100 * value:.1f} %" if share else rounded(value)
