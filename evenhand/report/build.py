"""A study's archive becomes a report: every number is computed by `analysis`, put into words and tables here."""

from collections.abc import Sequence

from evenhand.analysis import sensitivity, study
from evenhand.analysis.cohort import cohort, counted, flow
from evenhand.analysis.items import Curve, Flow, Reasons, Stage
from evenhand.analysis.scores import is_share
from evenhand.declaration import Grouping, Mode, Study
from evenhand.errors import InvalidSettings
from evenhand.protocol import derive_seed
from evenhand.records import Archive, TaskRecord
from evenhand.report import canvas, figures, further
from evenhand.report.blocks import Item, Report, Section, Table, cases, interval, number, p_value, score, table
from evenhand.report.frame import Frame, p_words, threshold_words

MARKS = {"live": "", "pilot": "Pilot: not part of the study", "simulated": "Simulated participants: no human data"}
PAPER = "Anand et al., Black Magic in Deep Learning, 2020"


def build(archive: Archive, mode: Mode, *, regroup: str | None = None) -> Report:
    """The whole report of a study's records of one mode. regroup: another question to group participants by."""
    grouping = _grouping(archive.study, regroup) if regroup else None
    people = cohort(archive, mode, grouping=grouping)
    seed = derive_seed(archive.study.seed, "bootstrap")
    frame = Frame(archive.of_mode(mode), mode, people, is_share(people.metric), seed, sensitivity.sensitivity(archive, mode))
    attrition = flow(archive, mode)
    return Report(
        title=archive.study.title,
        mode=mode,
        mark=MARKS[mode],
        lead=_lead(frame),
        facts=_facts(frame, attrition),
        sections=figures.marked_sections(
            _short(mode),
            (
                _people(frame, attrition),
                _setup(frame),
                _accuracy(frame),
                _efficiency(frame),
                _strategies(frame),
                further.reviewers(frame),
                further.search(frame),
                further.sensitivities(frame),
                further.disclosure(frame),
                further.provenance(frame),
            ),
        ),
    )


def _short(mode: Mode) -> str:
    """What a figure says of itself: nothing in a live study."""
    return MARKS[mode].partition(":")[0]


def groupings(study: Study) -> tuple[str, ...]:
    """The questions that participants can be grouped by, as QUESTIONNAIRE.QUESTION: one choice of a few, or a Likert scale."""
    return tuple(
        f"{each.name}.{question.name}"
        for each in study.questionnaires
        for question in each.questions
        if question.kind in ("single", "likert")
    )


def _grouping(study: Study, by: str) -> Grouping:
    """The study's own groups, or each option of another question."""
    if by == study.grouping.by:
        return study.grouping
    known = groupings(study)
    if by not in known:
        raise InvalidSettings(
            f"cannot group by {by!r}: expected a question with options, of {', '.join(known) or 'which there is none'}"
        )
    return Grouping(by)


def _lead(frame: Frame) -> tuple[str, ...]:
    found = study.scatter(frame.people, frame.seed).correlation
    if found.rho is None:
        return (f"Whether experience and the final {frame.accuracy} go together is {found.why}.",)
    sure = interval(found.interval.low, found.interval.high, lambda value: f"{value:.2f}")
    bounds = f"95 % interval {sure}, " if found.interval.low is not None else ""
    first = (
        f"Experience and final test {frame.accuracy}: Spearman's rho {found.rho:.2f} ({bounds}p {p_words(found.p)}, "
        f"{cases(found.n, 'participant')})."
    )
    below = found.p is not None and found.p < frame.study.plan.alpha
    second = f"At the planned level of {frame.study.plan.alpha:g} this is {'' if below else 'not '}significant."
    flips = sorted({row.choice for row in frame.moved.rows if row.flips})
    third = f"A conclusion changes with: {', '.join(flips)} (see the sensitivity table)." if flips else ""
    return tuple(words for words in (first, second, third) if words)


def _facts(frame: Frame, attrition: Flow) -> tuple[tuple[str, str], ...]:
    trials = sum(len(counted(each.session)) for each in frame.people.members)
    arms = ", ".join(arm.name for arm in frame.study.arms)
    names = " and ".join(map(_task_name, frame.archive.tasks))
    return (
        ("participants", f"{len(frame.people.members)} in the statistics of {attrition.n} who joined"),
        ("configurations tried", str(trials)),
        (
            "task",
            f"{names}, {frame.accuracy}, {'larger' if frame.people.maximize else 'smaller'} is better",
        ),
        ("budget", _budget(frame)),
        (
            "evaluation",
            f"{frame.study.evaluation_seeds} seeds on test data that no tuner saw, retrained on training and validation",
        ),
        *((("conditions", arms),) if arms else ()),
        *((("hypothesis", frame.study.plan.hypothesis),) if frame.study.plan.hypothesis else ()),
    )


def _task_name(task: TaskRecord) -> str:
    """The task's name; of a file, without the folders that it lies in on somebody's machine."""
    return task.spec.name.rpartition("/")[2]


def _budget(frame: Frame) -> str:
    budget = frame.study.budget
    seconds = budget.seconds
    parts = [f"{seconds / 60:g} minutes" if seconds % 60 == 0 else f"{seconds:g} seconds"] if seconds is not None else []
    parts += [f"{budget.trials} trials"] if budget.trials is not None else []
    parts += [f"{budget.epochs} epochs"] if budget.epochs is not None else []
    return " and ".join(parts)


# Who took part, and the set-up: Fig. 1, 2, 3 and Table 1


def _people(frame: Frame, attrition: Flow) -> Section:
    drawn = Item(
        key="fig2-flow",
        title="Fig. 2: from joining to the statistics",
        n=cases(attrition.n, "participant"),
        how=attrition.how,
        svg=figures.flow(attrition, _short(frame.mode)),
        table=_stages(attrition.stages),
        alt="; ".join(f"{stage.count} {stage.name}" for stage in attrition.stages),
        paper="31 participants; the paper's Fig. 2 shows the same way without counts",
    )
    items = [drawn]
    for name, stages in attrition.conditions.items():
        count, shown = stages[0].count, _stages(stages)
        items.append(Item(f"flow-{len(items)}", f"Condition {name}", cases(count, "participant"), attrition.how, table=shown))
    items.append(_left_out(frame))
    return Section("people", "Who took part", items=tuple(items))


def _stages(stages: Sequence[Stage]) -> Table:
    rows = [(each.name, str(each.count), "; ".join(f"{count} {why}" for why, count in each.lost)) for each in stages]
    return table(("step", "participants", "lost before it"), rows, [1])


def _left_out(frame: Frame) -> Item:
    rows = [(each.pseudonym, each.why) for each in frame.people.left]
    rules = frame.study.plan.exclusions
    planned = f"{len(rules)} planned rules" if rules else "no rule was planned"
    how = f"everyone who joined but is not in the statistics; {planned}"
    shown = table(("participant", "why"), rows) if rows else None
    none = "" if rows else "nobody was left out"
    return Item("left-out", "Left out of the statistics", cases(len(rows), "participant"), how, table=shown, alt=none)


def _setup(frame: Frame) -> Section:
    found = study.random_configurations(frame.archive)
    zero = f"; counted as 0: mean {frame.score(found.mean_at_zero)}, SD {frame.score(found.sd_at_zero)}" if found.without else ""
    without = f", of which {found.without} have no value{zero}" if found.without else ""
    first = Item(
        key="fig1-random",
        title=f"Fig. 1: {frame.accuracy} of random configurations",
        n=cases(found.n, "configuration") + without,
        how=found.how,
        spec=None
        if found.why
        else figures.histogram(found, f"validation {frame.accuracy}", frame.share, canvas.METHOD, "configurations"),
        table=_bins(frame, found.edges, found.counts) if not found.why else None,
        paper="41.8 ± 24.3 % over 320 configurations",
        why=found.why or "",
        alt="" if found.why else f"mean {frame.score(found.mean)}, SD {frame.score(found.sd)}",
    )
    words = f" mean {frame.score(found.mean)}, SD {frame.score(found.sd)}." if found.mean is not None else ""
    second = _spaces(frame)
    known = study.experience(frame.people)
    sizes = "; ".join(f"{group} {count}" for group, count in known.sizes) + (f"; in none {known.others}" if known.others else "")
    third = Item(
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
    return Section("setup", "The set-up", f"Random configurations: {words.strip()}" if words else "", (first, second, third))


def _spaces(frame: Frame) -> Item:
    """Table 1; of each task where conditions have tasks of their own."""
    rows = [
        (_task_name(task), each.label, each.kind, each.default, each.values, each.scale, each.when)
        for task in frame.archive.tasks
        for each in study.space_table(task.space)
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


def _bins(frame: Frame, edges: Sequence[float], counts: Sequence[int]) -> Table:
    rows = [(frame.score(low), frame.score(high), str(count)) for low, high, count in zip(edges, edges[1:], counts, strict=False)]
    return table(("from", "to", "configurations"), rows, [0, 1, 2])


def _counts(edges: Sequence[float], counts: Sequence[int]) -> list[tuple[str, str, str]]:
    return [(number(low), number(high), str(count)) for low, high, count in zip(edges, edges[1:], counts, strict=False)]


# Fig. 4, 5, Table 2 and the text's numbers


def _accuracy(frame: Frame) -> Section:
    people = frame.people
    found = study.scatter(people, frame.seed)
    rho = found.correlation
    points = [(each.pseudonym, each.group or "–", number(each.experience), frame.score(each.final)) for each in found.points]
    x = frame.label(people.experience)
    sure = interval(rho.interval.low, rho.interval.high, lambda value: f"{value:.2f}")
    fourth = Item(
        key="fig4-experience",
        title=f"Fig. 4: final test {frame.accuracy} against experience",
        n=cases(found.n, "participant"),
        how=f"{found.how}. {rho.how}; interval: {rho.interval.how or rho.interval.why}",
        spec=figures.scatter(found, people.groups, x, f"test {frame.accuracy}", frame.share) if found.points else None,
        table=table(("participant", "group", x, f"test {frame.accuracy}"), points, [2, 3]),
        paper="Spearman's rho 0.60, p < 0.001",
        why=rho.why or "",
        alt="" if rho.rho is None else f"Spearman's rho {rho.rho:.2f}, 95 % interval {sure}, p {p_words(rho.p)}",
    )
    grouped = study.boxes(people)
    rows = [
        (
            each.group,
            str(each.n),
            *(frame.score(value) for value in (each.mean, each.sd, each.median, each.first, each.third, each.low, each.high)),
        )
        for each in grouped.boxes
    ]
    columns = ("group", "n", "mean", "SD", "median", "1st quartile", "3rd quartile", "lower whisker", "upper whisker")
    fifth = Item(
        key="fig5-groups",
        title=f"Fig. 5: final test {frame.accuracy} by group",
        n=cases(grouped.n, "participant"),
        how=grouped.how,
        spec=figures.boxes(grouped, f"test {frame.accuracy}", frame.share) if grouped.n else None,
        table=table(columns, rows, range(1, 9)),
        why="" if grouped.n else "not computable: nobody has a final test score yet",
        alt="; ".join(f"{each.group}: median {frame.score(each.median)}" for each in grouped.boxes if each.n),
    )
    return Section("accuracy", "Experience and accuracy", items=(fourth, fifth, _levene(frame), _headlines(frame)))


def _levene(frame: Frame) -> Item:
    found = study.levene(frame.people)
    rows = []
    for mean, median in zip(found.mean, found.median, strict=True):
        groups = f"{mean.first} and {mean.second}"
        told = [part for each in (mean, median) for part in (number(each.statistic), p_value(each.p), p_value(each.adjusted))]
        rows.append((groups, f"{mean.n[0]}, {mean.n[1]}", *told))
    columns = ("groups", "n", "W (mean)", "p", "p (Holm)", "W (median)", "p", "p (Holm)")
    why = "; ".join(sorted({each.why for each in found.mean if each.why}))
    paper = "8.40, p 0.01 (novice, medium); 14.338, p 0.001 (novice, expert); 5.52, p 0.029 (medium, expert); centre not named"
    return Item(
        "table2-levene", "Table 2: pairwise Levene tests (of spread)", cases(found.n, "participant"), found.how,
        table=table(columns, rows, range(1, 8)), paper=paper, why=why,
    )  # fmt: skip


def _headlines(frame: Frame) -> Item:
    rows = []
    for each in study.headlines(frame.people, frame.study.reasons):
        shown = (
            score(each.value, each.unit == "share" and (frame.share or "reason" in each.name))
            if each.unit
            else number(each.value)
        )
        spread = f" (SD {frame.score(each.sd)})" if each.sd is not None else ""
        rows.append((each.name, shown + spread if each.why is None else each.why, str(each.n), each.how, each.paper or "–"))
    columns = ("number", "here", "n", "how", "paper")
    return Item(
        "text-numbers",
        "Numbers of the text",
        cases(len(rows), "number"),
        f"as {PAPER} states them",
        table=table(columns, rows, [2]),
    )


# Fig. 6 and 7


def _efficiency(frame: Frame) -> Section:
    items = []
    for threshold in frame.study.plan.thresholds:
        found = study.tries(frame.people, threshold)
        rows = [
            (each.group, str(each.n), str(len(each.tries)), str(each.never), number(each.mean), number(each.median))
            for each in found.violins
        ]
        reached = any(each.tries for each in found.violins)
        columns = ("group", "n", "reached it", "never", "mean tries", "median tries")
        items.append(
            Item(
                key=f"fig6-tries-{threshold:g}".replace(".", "-"),
                title=f"Fig. 6: tries to reach {threshold_words(frame, threshold)}",
                n=cases(found.n, "participant"),
                how=found.how,
                spec=figures.violins(found) if reached else None,
                table=table(columns, rows, range(1, 6)),
                why="" if reached else "not drawn: nobody reached it",
                alt="; ".join(f"{each.group}: mean {number(each.mean)}, never {each.never}" for each in found.violins),
            )
        )
    by_try = study.by_try(frame.people)
    rows = []
    for kind, curves in (("trial itself", by_try.current), ("best so far", by_try.best)):
        for curve in curves:
            rows += [
                (kind, curve.group, str(at.number), str(at.n), frame.score(at.mean), frame.score(at.error)) for at in curve.points
            ]
    drawn = any(curve.points for curve in by_try.best)
    columns = ("of", "group", "try", "n", "mean", "standard error")
    items.append(
        Item(
            key="fig7-by-try",
            title=f"Fig. 7: validation {frame.accuracy} by try",
            n=cases(by_try.n, "participant"),
            how=by_try.how + "; lines and filled marks: best so far, open marks: the trial itself",
            spec=figures.by_try(by_try, f"validation {frame.accuracy}", frame.share) if drawn else None,
            table=table(columns, rows, range(2, 6)),
            why="" if drawn else "not drawn: no trial has a value",
            alt="; ".join(_course(frame, curve) for curve in by_try.best if curve.points),
        )
    )
    return Section("efficiency", "Experience and efficiency", items=tuple(items))


def _course(frame: Frame, curve: Curve) -> str:
    """A group's best so far at its first and last try, in words."""
    first, last = curve.points[0], curve.points[-1]
    words = f"{curve.group}: best so far {frame.score(first.mean)} at try {first.number} (n = {first.n})"
    return words if first is last else f"{words}, {frame.score(last.mean)} at try {last.number} (n = {last.n})"


# Fig. 8, Table 3, Fig. 9


def _strategies(frame: Frame) -> Section:
    items = []
    if frame.people.members:
        found = study.starts(frame.people)
        rows = [(each.group, str(each.n), str(len(each.defaults)), ", ".join(each.defaults)) for each in found.starts]
        items.append(
            Item(
                key="fig8-defaults",
                title="Fig. 8: who starts from all defaults",
                n=cases(found.n, "participant"),
                how=found.how,
                spec=figures.starts(found) if found.n else None,
                table=table(("group", "n", "began from defaults", "who"), rows, [1, 2]),
                paper="most of the medium and expert participants, few novices",
                alt="; ".join(f"{each.group}: {len(each.defaults)} of {each.n}" for each in found.starts),
            )
        )
    offered = study.reasons(frame.people, frame.study.reasons, frame.seed)
    listed = [(str(index), words) for index, (_, words) in enumerate(offered.offered, 1)]
    items.append(
        Item(
            "table3-reasons",
            "Table 3: the reasons offered",
            cases(len(listed), "reason"),
            "as declared",
            table=table(("", "reason"), listed),
        )
    )
    items.append(_reasons(frame, offered))
    return Section("strategies", "Differences in strategy", items=tuple(items))


def _reasons(frame: Frame, offered: Reasons) -> Item:
    rows = []
    for each in offered.groups:
        shares = dict(each.shares)
        for value, count in each.pooled if each.shares else ():
            rows.append((each.group, dict(offered.offered)[value], str(count), score(shares.get(value), True)))
        rows.append((each.group, "no reason given", str(each.without), "–"))
    rho = offered.guessing
    guess = (
        f"Guessing and experience: {rho.why}"
        if rho.rho is None
        else f"Guessing and experience: Spearman's rho {rho.rho:.2f}, p {p_words(rho.p)}"
    )
    drawn = any(each.shares for each in offered.groups)
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
