"""Studies of several labs as one report: numbers of `analysis.pooling` in words, forest plots and tables."""

from collections.abc import Mapping

from evenhand.analysis import pooling
from evenhand.analysis.attrition import Milestone, flow
from evenhand.analysis.cohort import cohort
from evenhand.analysis.pooling import PooledEffect
from evenhand.model.archive import Archive
from evenhand.model.study import Mode
from evenhand.model.words import DASH, NARROW_SPACE, cases, interval, is_share, number, percent, plural, points
from evenhand.report import figures
from evenhand.report.blocks import Item, Report, ReportSection, table
from evenhand.report.context import MODE_MARKS, p_words, short_mark
from evenhand.report.vega import INK, METHOD, PERSON, QUIET, Spec, alt, axis, chart, spec

ASIDE_PIXELS = 24  # room beyond names, which are wider in some typefaces than in the one that they were measured with
ROW_PIXELS = 30  # height of a study's row in a forest plot


def build(studies: Mapping[str, Archive], mode: Mode, paper: bool = True) -> Report:
    """The whole report. InvalidSettings where the studies are not the same experiment, with all that differs.

    Args:
        studies: the archives by the names that they are shown by.
        mode: whose records they hold.
        paper: whether the paper's printed values are one more study.

    Returns:
        The report, its headline first.
    """
    pooling.check(studies)
    effects = pooling.pooled(studies, mode, paper)
    first = next(iter(studies.values())).study
    sections = (
        ReportSection("studies", "What was pooled", items=(_studies(studies, mode),)),
        ReportSection("effects", "Effects over all studies", _intro(paper), tuple(_item(effect) for effect in effects)),
    )
    return Report(
        title=f"{first.title}: {plural(len(studies), 'study', 'studies')} pooled",
        mode=mode,
        mark=MODE_MARKS[mode],
        lead=tuple(_lead(effect) for effect in effects[:1]),
        facts=(("studies", ", ".join(studies)), ("printed values of the paper", "one more study" if paper else "left out")),
        sections=figures.marked_sections(short_mark(mode), sections),
    )


def _intro(paper: bool) -> str:
    words = "Participants are never put together: each study gives an estimate, and these are weighed."
    printed = " The paper's values are those that it prints; its task, budget and people were others than here."
    return words + (printed if paper else "")


def _studies(studies: Mapping[str, Archive], mode: Mode) -> Item:
    rows = []
    for name, archive in studies.items():
        attrition = flow(archive, mode)
        people = cohort(archive, mode)
        sizes = ", ".join(f"{group} {len(people.of(group))}" for group in people.groups)
        versions = ", ".join(str(version.version) for version in archive.versions)
        counts = (str(attrition.n), str(attrition.count(Milestone.INCLUDED)), str(len(people.evaluated)))
        rows.append((name, archive.study.name, versions, archive.study.hash[:12] or DASH, *counts, sizes))
    columns = ("archive", "study", "versions", "hash", "joined", "in the statistics", "with a test score", "groups")
    how = (
        "declarations agree in task version, space, budget, conditions, reasons, groups, questionnaires and evaluation, and "
        "nobody is in two archives; else nothing is pooled"
    )
    return Item("studies", "Studies", cases(len(rows), "study", "studies"), how, table=table(columns, rows, range(4, 7)))


def _lead(effect: PooledEffect) -> str:
    made = effect.pooled
    if made.why is not None:
        return f"{_capital(effect.name)}: {made.why}."
    i2 = f"I² {percent(made.i2)}"
    return (
        f"{_capital(effect.name)}: {_shown(effect, made.estimate)} over {plural(made.k, 'study', 'studies')} "
        f"(95 % interval {interval(made.low, made.high, lambda value: _shown(effect, value))}, p {p_words(made.p)}; {i2})."
    )


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _shown(effect: PooledEffect, value: float | None) -> str:
    """A value of the pooled scale as people read it."""
    if value is None:
        return DASH
    read = effect.shown(value)
    return f"{read:.2f}" if effect.scale == "rho" else points(read, is_share(effect.metric))


def _item(effect: PooledEffect) -> Item:
    made = effect.pooled
    rows = []
    for one, weight in zip(effect.studies, made.weights, strict=True):
        sure = interval(*one.ends, lambda value: _shown(effect, value))
        name = f"{one.study} *" if one.printed else one.study
        rows.append((name, str(one.n), _shown(effect, one.estimate), sure, percent(weight) if made.k > 1 else DASH))
    if made.why is None:
        sure = interval(made.low, made.high, lambda value: _shown(effect, value))
        total = str(sum(one.n for one in effect.studies))
        rows.append(("all studies (random effects)", total, _shown(effect, made.estimate), sure, percent(1.0)))
    printed = "; *: printed in the paper, not computed from records" if any(one.printed for one in effect.studies) else ""
    scale = "pooled as Fisher's z with variance 1.06 / (n − 3)" if effect.scale == "rho" else "variance of Welch's t"
    left = f". Without an estimate: {'; '.join(f'{name} ({why})' for name, why in effect.left)}" if effect.left else ""
    few = "; with so few studies the variance between them is hardly known" if 1 < made.k < 5 else ""
    return Item(
        effect.key,
        _capital(effect.name),
        f"{cases(made.k, 'study', 'studies')}; {_heterogeneity(effect)}"
        if made.why is None
        else cases(made.k, "study", "studies"),
        f"{made.how}; {scale}{few}{printed}{left}",
        spec=forest(effect) if effect.studies else None,
        table=table(("study", "participants", "estimate", "95 % interval", "weight"), rows, range(1, 5)),
        why=made.why or "",
        alt="Estimates: " + "; ".join(f"{row[0]} {row[2]} ({row[3]})" for row in rows),
    )


def _heterogeneity(effect: PooledEffect) -> str:
    """Q, I² and tau² with its interval; tau² is of the pooled scale."""
    made = effect.pooled
    unit = " (of Fisher's z)" if effect.scale == "rho" else ""
    bounds = interval(made.tau2_low, made.tau2_high)
    return (
        f"p {p_words(made.p)}; heterogeneity: Q{NARROW_SPACE}={NARROW_SPACE}{number(made.q)} with {made.df} degrees of freedom, "
        f"p {p_words(made.q_p)}; I² {percent(made.i2)}; tau²{unit} {number(made.tau2)} (95 % interval {bounds})"
    )


def forest(effect: PooledEffect) -> Spec:
    """A row for each study: its estimate as a square as large as its weight, with its interval; the mean of all as a diamond."""
    made = effect.pooled
    rows = [
        _row(effect, one.study, one.estimate, *one.ends, weight, "printed" if one.printed else "study")
        for one, weight in zip(effect.studies, made.weights, strict=True)
    ]
    if made.why is None and made.estimate is not None and made.low is not None and made.high is not None:
        rows.append(_row(effect, "all studies", made.estimate, made.low, made.high, 1.0, "mean"))
    order = [row["name"] for row in rows]
    share = effect.scale != "rho" and is_share(effect.metric)
    title = "Spearman's rho" if effect.scale == "rho" else "difference of means"
    y = alt.Y("name:N", sort=order, axis=axis("", labelLimit=170, labelColor=INK, ticks=False))
    looks = {"study": METHOD, "printed": QUIET, "mean": PERSON}
    colour = alt.Color("kind:N", scale=alt.Scale(domain=list(looks), range=list(looks.values())), legend=None)
    shapes = alt.Scale(domain=list(looks), range=["square", "square", "diamond"])

    def x(field: str) -> "alt.X":
        return alt.X(f"{field}:Q", axis=axis(title, share), scale=alt.Scale(zero=False))

    size = alt.Size("size:Q", scale=None)
    marks = chart(rows).mark_point(filled=True, opacity=1)
    layers = [
        chart([{"zero": 0.0}]).mark_rule(color=QUIET, strokeDash=[3, 3]).encode(x=x("zero")),
        chart(rows).mark_rule(size=2).encode(x=x("low"), x2=alt.X2("high"), y=y, color=colour),
        marks.encode(
            x=x("at"),
            y=y,
            color=colour,
            size=size,
            shape=alt.Shape("kind:N", scale=shapes, legend=None),
            description=alt.Description("said:N"),
        ),
    ]
    room = {"left": ASIDE_PIXELS, "right": 5, "top": 5, "bottom": 5}
    return spec(layers, width=300, height=ROW_PIXELS * max(len(rows), 1), padding=room)


def _row(effect: PooledEffect, name: str, at: float, low: float, high: float, weight: float, kind: str) -> dict[str, object]:
    said = f"{name}: {_shown(effect, at)} ({interval(low, high, lambda value: _shown(effect, value))})"
    ends = {"at": effect.shown(at), "low": effect.shown(low), "high": effect.shown(high)}
    return {"name": name, **ends, "size": 40 + 160 * weight, "kind": kind, "said": said}
