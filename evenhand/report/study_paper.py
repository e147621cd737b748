"""What the paper shows, item by item: numbers of `analysis.paper_items` in words, drawing and table."""

from collections.abc import Sequence

from evenhand.analysis import experience as experience_measures
from evenhand.analysis import paper_items
from evenhand.analysis.attrition import HOW_COUNTED, Stage
from evenhand.analysis.attrition import flow as attrition_of
from evenhand.analysis.study_items import GroupCurve, Headline
from evenhand.model.words import DASH, cases, interval, number, p_value, score
from evenhand.report import figures, vega
from evenhand.report.blocks import Item, ReportTable, table
from evenhand.report.context import ReportContext, measure_name, p_words, short_mark, threshold_words
from evenhand.report.items import report_item

PAPER_CITATION = "Anand et al., Black Magic in Deep Learning, 2020"


# Who took part, and the set-up: Fig. 1, 2, 3 and Table 1


@report_item("people", whole_study=True)
def flow(frame: ReportContext) -> list[Item]:
    """Fig. 2, and the same way within each condition."""
    attrition = attrition_of(frame.archive, frame.mode)
    drawn = Item(
        key="fig2-flow",
        title="Fig. 2: from joining to the statistics",
        n=cases(attrition.n, "participant"),
        how=HOW_COUNTED,
        svg=figures.flow(attrition, short_mark(frame.mode)),
        table=_stages(attrition.everyone),
        alt="; ".join(f"{stage.count} {stage.name}" for stage in attrition.everyone),
        paper="31 participants; the paper's Fig. 2 shows the same way without counts",
    )
    items = [drawn]
    for name, stages in attrition.arms.items():
        count, shown = stages[0].count, _stages(stages)
        items.append(Item(f"flow-{len(items)}", f"Condition {name}", cases(count, "participant"), HOW_COUNTED, table=shown))
    return items


def _stages(stages: Sequence[Stage]) -> ReportTable:
    rows = [(stage.name, str(stage.count), "; ".join(f"{loss.count} {loss.words}" for loss in stage.lost)) for stage in stages]
    return table(("step", "participants", "lost before it"), rows, [1])


@report_item("people", whole_study=True)
def left_out(frame: ReportContext) -> Item:
    """Who joined and is not in the statistics, and why."""
    rows = [(participant.pseudonym, participant.why) for participant in frame.people.left]
    rules = frame.study.plan.exclusions
    planned = f"{len(rules)} planned rules" if rules else "no rule was planned"
    how = f"everyone who joined but is not in the statistics; {planned}"
    shown = table(("participant", "why"), rows) if rows else None
    none = "" if rows else "nobody was left out"
    return Item("left-out", "Left out of the statistics", cases(len(rows), "participant"), how, table=shown, alt=none)


@report_item("setup")
def random_configurations(frame: ReportContext) -> Item:
    """Fig. 1."""
    sample = paper_items.random_configurations(frame.archive)
    zero = (
        f"; counted as 0: mean {frame.score(sample.mean_at_zero)}, SD {frame.score(sample.sd_at_zero)}" if sample.without else ""
    )
    without = f", of which {sample.without} have no value{zero}" if sample.without else ""
    return Item(
        key="fig1-random",
        title=f"Fig. 1: {frame.accuracy} of random configurations",
        n=cases(sample.n, "configuration") + without,
        how=sample.how + frame.level_words,
        spec=None
        if sample.why
        else figures.histogram(sample, f"validation {frame.accuracy}", frame.share, vega.METHOD, "configurations", frame.levels),
        table=_bins(frame, sample.edges, sample.counts) if not sample.why else None,
        paper="41.8 ± 24.3 % over 320 configurations",
        why=sample.why or "",
        alt="" if sample.why else f"mean {frame.score(sample.mean)}, SD {frame.score(sample.sd)}",
    )


@report_item("setup", whole_study=True)
def spaces(frame: ReportContext) -> Item:
    """Table 1; of each task where conditions have tasks of their own."""
    rows = [
        (task.spec.plain_name, row.label, row.kind, row.default, row.values, row.scale, row.when)
        for task in frame.archive.tasks
        for row in paper_items.space_table(task.space)
    ]
    columns = ("task", "hyperparameter", "kind", "default", "values", "scale", "active for")
    several = len(frame.archive.tasks) > 1
    return Item(
        "table1-hyperparameters",
        "Table 1: the hyperparameters",
        cases(len(rows), "hyperparameter"),
        f"the {'spaces' if several else 'space'} of the study's {'tasks' if several else 'task'}",
        table=table(columns, rows) if several else table(columns[1:], [row[1:] for row in rows]),
    )


@report_item("setup", whole_study=True, exact=True)
def experience(frame: ReportContext) -> Item:
    """Fig. 3."""
    known = paper_items.experience(frame.people)
    sizes = "; ".join(f"{group} {count}" for group, count in known.sizes) + (f"; in none {known.others}" if known.others else "")
    return Item(
        key="fig3-experience",
        title="Fig. 3: experience of the participants",
        n=f"{cases(known.n, 'participant')}; {sizes}",
        how=known.how,
        spec=None if known.histogram.why else figures.experience(known, frame.label(frame.people.experience)),
        table=table(("from", "to", "participants"), _counts(known.histogram.edges, known.histogram.counts), [0, 1, 2]),
        why=known.histogram.why or "",
        paper="8 novices, 12 medium, 11 experts; whether nine months are medium or expert it leaves open",
        alt=sizes,
    )


def _bins(frame: ReportContext, edges: Sequence[float], counts: Sequence[int]) -> ReportTable:
    rows = [(frame.score(low), frame.score(high), str(count)) for low, high, count in zip(edges, edges[1:], counts, strict=False)]
    return table(("from", "to", "configurations"), rows, [0, 1, 2])


def _counts(edges: Sequence[float], counts: Sequence[int]) -> list[tuple[str, str, str]]:
    return [(number(low), number(high), str(count)) for low, high, count in zip(edges, edges[1:], counts, strict=False)]


# Fig. 4, 5, Table 2 and the text's numbers


@report_item("accuracy", exact=True)
def scatter(frame: ReportContext) -> Item:
    """Fig. 4."""
    people = frame.people
    plot = paper_items.scatter(people, frame.seed)
    rho = plot.correlation
    points = [(point.pseudonym, point.group or "–", number(point.experience), frame.score(point.final)) for point in plot.points]
    x, y = frame.label(people.experience), f"test {frame.accuracy}"
    sure = interval(rho.interval.low, rho.interval.high, lambda value: f"{value:.2f}")
    return Item(
        key="fig4-experience",
        title=f"Fig. 4: final test {frame.accuracy} against experience",
        n=cases(plot.n, "participant"),
        how=f"{plot.how}. {rho.how}; interval: {rho.interval.how or rho.interval.why}{frame.level_words}",
        spec=figures.scatter(plot, people.groups, x, y, frame.share, frame.levels) if plot.points else None,
        table=table(("participant", "group", x, y), points, [2, 3]),
        paper="Spearman's rho 0.60, p < 0.001",
        why=rho.why or "",
        alt="" if rho.rho is None else f"Spearman's rho {rho.rho:.2f}, 95 % interval {sure}, p {p_words(rho.p)}",
    )


@report_item("accuracy", exact=True)
def measures(frame: ReportContext) -> list[Item]:
    """Fig. 4's correlation by each measure of experience, where the study asks for several."""
    compared = experience_measures.compared(frame.archive, frame.people, frame.seed)
    if not compared:
        return []
    rows = []
    for row in compared:
        rho, difference = row.correlation, row.difference
        sure = interval(rho.interval.low, rho.interval.high, _rho)
        name = measure_name(row.measure)
        own = (name, str(rho.n), _rho(rho.rho), sure, p_value(rho.p)) if rho.rho is not None else (name, str(rho.n), *3 * (DASH,))
        if difference is None:
            rows.append((*own, *6 * (DASH,)))
            continue
        apart = (str(difference.n), _rho(difference.rhos[0] if difference.rhos else None), _rho(difference.difference))
        bounds = interval(difference.interval.low, difference.interval.high, _rho)
        rows.append((*own, *apart, bounds, p_value(difference.p), p_value(row.adjusted)))
    first = measure_name(compared[0].measure)
    columns = (
        "measure", "n", "rho", "95 % interval", "p", "n of both", f"rho of {first}", "difference", "95 % interval",
        "p", "p (Holm)",
    )  # fmt: skip
    whys = dict.fromkeys(row.difference.why for row in compared if row.difference is not None and row.difference.why)
    how = next(row.difference.how for row in compared if row.difference is not None)
    return [
        Item(
            "measures",
            f"Measures of experience and the final test {frame.accuracy}",
            cases(len(frame.people.evaluated), "participant"),
            f"Spearman's rho of each measure with the final score; options of one choice count by their order. "
            f"Difference: {first} less this measure. {how[:1].upper()}{how[1:]}",
            table=table(columns, rows, range(1, len(columns))),
            why="; ".join(whys),
            paper="months of experience alone; section 4.1 asks whether another measure correlates better",
        )
    ]


def _rho(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"


@report_item("accuracy")
def boxes(frame: ReportContext) -> Item:
    """Fig. 5."""
    grouped = paper_items.boxes(frame.people)
    rows = [
        (
            box.group,
            str(box.n),
            *(frame.score(value) for value in (box.mean, box.sd, box.median, box.first, box.third, box.low, box.high)),
        )
        for box in grouped.boxes
    ]
    columns = ("group", "n", "mean", "SD", "median", "1st quartile", "3rd quartile", "lower whisker", "upper whisker")
    return Item(
        key="fig5-groups",
        title=f"Fig. 5: final test {frame.accuracy} by group",
        n=cases(grouped.n, "participant"),
        how=grouped.how + frame.level_words,
        spec=figures.boxes(grouped, f"test {frame.accuracy}", frame.share, frame.levels) if grouped.n else None,
        table=table(columns, rows, range(1, 9)),
        why="" if grouped.n else "not computable: nobody has a final test score yet",
        alt="; ".join(f"{box.group}: median {frame.score(box.median)}" for box in grouped.boxes if box.n),
    )


@report_item("accuracy")
def levene(frame: ReportContext) -> Item:
    """Table 2."""
    tests = paper_items.levene(frame.people)
    rows = []
    for median, mean in zip(tests.median, tests.mean, strict=True):
        groups = f"{mean.first} and {mean.second}"
        cells = [part for test in (median, mean) for part in (number(test.statistic), p_value(test.p), p_value(test.adjusted))]
        rows.append((groups, f"{mean.n[0]}, {mean.n[1]}", *cells))
    columns = ("groups", "n", "W (median)", "p", "p (Holm)", "W (mean)", "p", "p (Holm)")
    why = "; ".join(sorted({test.why for test in tests.mean if test.why}))
    paper = "8.40, p 0.01 (novice, medium); 14.338, p 0.001 (novice, expert); 5.52, p 0.029 (medium, expert); centre not named"
    return Item(
        "table2-levene", "Table 2: pairwise Levene tests (of spread)", cases(tests.n, "participant"), tests.how,
        table=table(columns, rows, range(1, 8)), paper=paper, why=why,
    )  # fmt: skip


@report_item("accuracy")
def headlines(frame: ReportContext) -> Item:
    """The numbers that the paper's text states."""
    rows = []
    for headline in paper_items.headlines(frame.people, frame.study.reasons):
        shown = _headline(frame, headline)
        spread = f" (SD {frame.score(headline.sd)})" if headline.sd is not None else ""
        rows.append(
            (
                headline.name,
                shown + spread if headline.why is None else headline.why,
                str(headline.n),
                headline.how,
                headline.paper or "–",
            )
        )
    columns = ("number", "here", "n", "how", "paper")
    return Item(
        "text-numbers",
        "Numbers of the text",
        cases(len(rows), "number"),
        f"as {PAPER_CITATION} states them",
        table=table(columns, rows, [2]),
    )


def _headline(frame: ReportContext, headline: Headline) -> str:
    if headline.unit == "points":
        return frame.points(headline.value)
    if headline.unit == "share":
        return score(headline.value, frame.share or "reason" in headline.name)
    return number(headline.value)


# Fig. 6 and 7


@report_item("efficiency")
def tries(frame: ReportContext) -> list[Item]:
    """Fig. 6, one for each threshold of the plan."""
    items = []
    for threshold in frame.study.plan.thresholds:
        attempts = paper_items.tries(frame.people, threshold)
        rows = [
            (violin.group, str(violin.n), str(len(violin.tries)), str(violin.never), number(violin.mean), number(violin.median))
            for violin in attempts.violins
        ]
        reached = any(violin.tries for violin in attempts.violins)
        columns = ("group", "n", "reached it", "never", "mean tries", "median tries")
        items.append(
            Item(
                key=f"fig6-tries-{threshold:g}".replace(".", "-"),
                title=f"Fig. 6: tries to reach {threshold_words(frame, threshold)}",
                n=cases(attempts.n, "participant"),
                how=attempts.how,
                spec=figures.violins(attempts) if reached else None,
                table=table(columns, rows, range(1, 6)),
                why="" if reached else "not drawn: nobody reached it",
                alt="; ".join(f"{violin.group}: mean {number(violin.mean)}, never {violin.never}" for violin in attempts.violins),
            )
        )
    return items


@report_item("efficiency")
def by_try(frame: ReportContext) -> Item:
    """Fig. 7."""
    progress = paper_items.by_try(frame.people)
    rows = []
    for kind, curves in (("trial itself", progress.current), ("best so far", progress.best)):
        for curve in curves:
            rows += [
                (kind, curve.group, str(at.number), str(at.n), frame.score(at.mean), frame.score(at.error)) for at in curve.points
            ]
    drawn = any(curve.points for curve in progress.best)
    columns = ("of", "group", "try", "n", "mean", "standard error")
    return Item(
        key="fig7-by-try",
        title=f"Fig. 7: validation {frame.accuracy} by try",
        n=cases(progress.n, "participant"),
        how=progress.how + "; lines and filled marks: best so far, open marks: the trial itself" + frame.level_words,
        spec=figures.by_try(progress, f"validation {frame.accuracy}", frame.share, frame.levels) if drawn else None,
        table=table(columns, rows, range(2, 6)),
        why="" if drawn else "not drawn: no trial has a value",
        alt="; ".join(_course(frame, curve) for curve in progress.best if curve.points),
    )


def _course(frame: ReportContext, curve: GroupCurve) -> str:
    """A group's best so far at its first and last try, in words."""
    first, last = curve.points[0], curve.points[-1]
    words = f"{curve.group}: best so far {frame.score(first.mean)} at try {first.number} (n = {first.n})"
    return words if first is last else f"{words}, {frame.score(last.mean)} at try {last.number} (n = {last.n})"


# Fig. 8, Table 3, Fig. 9


@report_item("strategies")
def starts(frame: ReportContext) -> Sequence[Item]:
    """Fig. 8, where anybody is in the statistics."""
    if not frame.people.members:
        return ()
    beginnings = paper_items.starts(frame.people)
    rows = [(start.group, str(start.n), str(len(start.defaults)), ", ".join(start.defaults)) for start in beginnings.starts]
    drawn = Item(
        key="fig8-defaults",
        title="Fig. 8: who starts from all defaults",
        n=cases(beginnings.n, "participant"),
        how=beginnings.how,
        spec=figures.starts(beginnings) if beginnings.n else None,
        table=table(("group", "n", "began from defaults", "who"), rows, [1, 2]),
        paper="most of the medium and expert participants, few novices",
        alt="; ".join(f"{start.group}: {len(start.defaults)} of {start.n}" for start in beginnings.starts),
    )
    return (drawn,)


@report_item("strategies", whole_study=True)
def reasons_offered(frame: ReportContext) -> Item:
    """Table 3."""
    listed = [(str(place), reason.label.markdown) for place, reason in enumerate(frame.study.reasons, 1)]
    return Item(
        "table3-reasons",
        "Table 3: the reasons offered",
        cases(len(listed), "reason"),
        "as declared",
        table=table(("option", "reason"), listed),
    )


@report_item("strategies", exact=True)
def reasons(frame: ReportContext) -> Item:
    """Fig. 9."""
    offered = paper_items.reasons(frame.people, frame.study.reasons, frame.seed)
    rows = []
    for group in offered.groups:
        shares = dict(group.shares)
        for value, count in group.pooled if group.shares else ():
            rows.append((group.group, dict(offered.offered)[value], str(count), score(shares.get(value), True)))
        rows.append((group.group, "no reason given", str(group.without), "–"))
    rho = offered.guessing
    guess = (
        f"Guessing and experience: {rho.why}"
        if rho.rho is None
        else f"Guessing and experience: Spearman's rho {rho.rho:.2f}, p {p_words(rho.p)}"
    )
    drawn = any(bar.shares for bar in offered.groups)
    return Item(
        key="fig9-reasons",
        title="Fig. 9: reasons by group",
        n=f"{cases(offered.n, 'value')} with a reason; {guess} ({cases(rho.n, 'participant')})",
        how=offered.how,
        spec=figures.reasons(offered) if drawn else None,
        table=table(("group", "reason", "values", "mean share"), rows, [2, 3]),
        paper="guessing and experience: -0.58, p < 0.001",
        why="" if drawn else "not drawn: nobody gave a reason",
        alt=guess,
    )


@report_item("strategies")
def contradictions(frame: ReportContext) -> list[Item]:
    """Contradicted reasons, and Fig. 9 without them, where anybody gave a reason."""
    shares = paper_items.reasons(frame.people, frame.study.reasons, None).groups
    if not any(group.shares for group in shares):
        return []
    without = paper_items.contradictions(frame.people, frame.study.reasons)
    counts = table(
        ("group", *paper_items.CONTRADICTION_KINDS),
        [(group, *(str(count) for _, count in kinds)) for group, kinds in without.counts],
        range(1, 1 + len(paper_items.CONTRADICTION_KINDS)),
    )
    labels = {option.value: option.label.markdown for option in frame.study.reasons}
    rows = []
    for before, after in zip(shares, without.groups, strict=True):
        kept = dict(after.shares)
        rows += [
            (before.group, labels[value], score(share, True), score(kept.get(value), True)) for value, share in before.shares
        ]
    n = f"{cases(without.n, 'contradicted value')}"
    compared = table(("group", "reason", "mean share", "without contradictions"), rows, [2, 3])
    return [
        Item("contradictions", "Contradicted reasons", n, without.how, table=counts),
        Item("fig9-consistent", "Fig. 9 with and without contradicted reasons", n, without.how, table=compared),
    ]
