"""Conditions and tasks side by side: numbers of `analysis.conditions` in words and tables."""

from collections.abc import Mapping

from evenhand.analysis import conditions as analysis
from evenhand.analysis import paper_items
from evenhand.analysis.power import power_curve
from evenhand.analysis.study_items import Cohort
from evenhand.model.rules import derive_seed
from evenhand.model.study import AnalysisPlan
from evenhand.model.words import DASH, NARROW_SPACE, cases, interval, number, p_value, percent
from evenhand.report.blocks import Item, table
from evenhand.report.context import ReportContext, p_words
from evenhand.report.items import report_item
from evenhand.report.study_review import mixed_item

POWER_SIZES = (20, 40, 60, 80, 100, 150, 200)  # participants in both conditions


def _people(frame: ReportContext) -> Mapping[str, Cohort]:
    return {task: _context(frame, task).people for task in frame.tasks}


def _context(frame: ReportContext, task: str) -> ReportContext:
    return frame.by_task.get(task, frame)


def _names(frame: ReportContext) -> list[str]:
    return [arm.name for arm in frame.study.arms]


@report_item("conditions", whole_study=True)
def conditions(frame: ReportContext) -> list[Item]:
    """Final scores of each condition on each task, where the study has conditions."""
    if not frame.study.arms:
        return []
    rows = []
    for row in analysis.scores(_people(frame), _names(frame), frame.seed):
        its = _context(frame, row.task)
        sure = interval(row.interval.low, row.interval.high, its.score)
        rows.append((row.task, row.condition, str(row.n), its.score(row.mean), its.score(row.sd), sure))
    n = sum(int(row[2]) for row in rows)
    return [
        Item(
            "conditions",
            "Final scores by task and condition",
            cases(n, "participant"),
            "one value a participant, the mean over seeds; intervals of means: bootstrap-t over participants",
            table=table(("task", "condition", "n", "mean", "SD", "95 % interval"), rows, range(2, 6)),
            why="" if rows else "nobody has a final test score yet",
        )
    ]


@report_item("conditions", whole_study=True, exact=True)
def contrasts(frame: ReportContext) -> list[Item]:
    """The contrasts between conditions, where there are any, and what experience and groups make of them."""
    if len(frame.study.arms) < 2:
        return []
    plan = frame.study.plan
    plain, adjusted = [], []
    for made in analysis.comparisons(_people(frame), plan, _names(frame), frame.seed):
        its, term = _context(frame, made.task), made.by_experience
        head = (made.task, f"{made.contrast.first} less {made.contrast.second}")
        sizes = f"{made.difference.n[0]}, {made.difference.n[1]}"
        bounds = made.difference.interval
        delta = f"{made.delta.value:.2f} ({made.delta.words})" if made.delta.value is not None else DASH
        difference = (its.points(made.difference.value), interval(bounds.low, bounds.high, its.points))
        plain.append((*head, sizes, *difference, delta, made.test.name, p_value(made.test.p), p_value(made.p)))
        equal = (its.points(term.estimate), interval(term.low, term.high, its.points), p_value(term.p)) if term else (DASH,) * 3
        adjusted.append((*head, *equal, p_value(made.interaction.p)))
    planned = "as planned" if plan.contrasts else "the plan names none, so all pairs are compared, as an exploration"
    adjustment = "Holm's over all rows" if plan.multiplicity == "holm" else "none, as planned"
    how = f"contrasts {planned}; differences are of means; adjustment of p: {adjustment}; intervals of differences: Welch's t"
    task_of = {arm.name: arm.task_id or frame.study.task_id for arm in frame.study.arms}
    if unlike := [f"{one.first} and {one.second}" for one in plan.contrasts if task_of[one.first] != task_of[one.second]]:
        how += f". On different tasks, so that their scores do not compare: {', '.join(unlike)}"
    why = "" if plain else "no task has scores of two conditions"
    columns = ("task", "conditions", "n", "difference", "95 % interval", "Cliff's delta", "test", "p", "p (adjusted)")
    shown = table(columns, plain, (3, 4, 7, 8))
    more = ("task", "conditions", "difference at equal experience", "95 % interval", "p", "p (condition × group)")
    more_how = (
        f"at equal experience: {analysis.ADJUSTED_WORDS}, from {analysis.LEAST_ADJUSTED_PARTICIPANTS} participants on; "
        f"by group: {analysis.INTERACTION_WORDS}; none of these p is adjusted"
    )
    n = cases(len(plain), "contrast")
    return [
        Item("contrasts", "Conditions compared", n, how, table=shown, why=why),
        Item(
            "contrasts-adjusted",
            "Conditions at equal experience, and by group",
            n,
            more_how,
            table=table(more, adjusted, (2, 3, 4, 5)),
            why=why,
        ),
    ]


@report_item("conditions")
def wordings(frame: ReportContext) -> list[Item]:
    """Contradicted reasons by condition, where conditions word the reasons differently."""
    if not any(arm.reasons for arm in frame.study.arms):
        return []
    made = paper_items.wordings(frame.people, frame.study.reasons, _names(frame))
    rows = [
        (
            row.condition,
            frame.study.reasons_of(row.condition) != frame.study.reasons,
            row.n,
            row.given,
            row.contradicted,
            row.mean,
        )
        for row in made.conditions
    ]
    cells = [
        (name, "own" if own else "the study's", *map(str, (n, given, against)), percent(mean))
        for name, own, n, given, against, mean in rows
    ]
    words = f"p {p_words(made.test.p)} ({made.test.name})" if made.test.p is not None else made.test.why or ""
    columns = ("condition", "wording", "participants", "values with a reason", "contradicted", "mean share")
    return [
        Item(
            "reason-wordings",
            "Contradicted reasons by their wording",
            f"{cases(sum(row.n for row in made.conditions), 'participant')}; {words}",
            made.how,
            table=table(columns, cells, range(2, 6)),
            paper="22 % of the novices' values were given past experience as their reason",
        )
    ]


@report_item("conditions", whole_study=True)
def contrast_power(frame: ReportContext) -> list[Item]:
    """The power of each planned contrast."""
    if not frame.study.plan.contrasts:
        return []
    rows = []
    for one in frame.study.plan.contrasts:
        plan = AnalysisPlan(test=one.test, alpha=frame.study.plan.alpha, expected=one.expected)
        seed = derive_seed(frame.study.seed, "power")
        curve = power_curve(plan, POWER_SIZES, seed, proportions=(1, 1))
        sizes = [percent(point.power) for point in curve.points] or [DASH] * len(POWER_SIZES)
        rows.append((f"{one.first} and {one.second}", one.test.title(), number(one.expected), *sizes))
    how = "simulated, before any adjustment of p; participants are those of both conditions together, half in each, on one task"
    columns = ("conditions", "test", "Cliff's delta", *(f"n{NARROW_SPACE}={NARROW_SPACE}{size}" for size in POWER_SIZES))
    shown = table(columns, rows, range(2, len(columns)))
    return [Item("contrast-power", "Power of the planned contrasts", cases(len(rows), "contrast"), how, table=shown)]


@report_item("conditions", whole_study=True)
def across_tasks(frame: ReportContext) -> list[Item]:
    """One mixed model across tasks, where there are several."""
    if not frame.by_task:
        return []
    return [mixed_item("across-tasks", "All tasks in one mixed model", analysis.across(_people(frame), _names(frame)))]


@report_item("conditions", whole_study=True)
def assistants(frame: ReportContext) -> list[Item]:
    """Who declared to have used an assistant, where conditions say whether one may be used."""
    if not frame.study.is_about_assistants:
        return []
    cohorts = [context.people for context in frame.by_task.values()] or [frame.people]
    members = {member.pseudonym: member for cohort in cohorts for member in cohort.members}
    declared = analysis.assistant_use(frame.archive, members)
    rows = []
    for name in _names(frame):
        its = [use for use in declared if use.condition == name]
        asked, used = [use for use in its if use.used is not None], [use for use in its if use.used]
        share = percent(len(used) / len(asked)) if asked else DASH
        allowed = "allowed" if frame.study.allows_assistant(name) else "not allowed"
        rows.append((name, allowed, str(len(its)), str(len(asked)), str(len(used)), share))
    against = [use for use in declared if use.used and not use.allowed]
    how = "as participants declared after the session; nothing was observed"
    if against:
        names = ", ".join(use.pseudonym for use in against)
        how += f". Used against the condition's rule by {names}, who stay in every other table"
    users = [
        (use.pseudonym, use.condition or DASH, "yes" if use.allowed else "no", use.which or DASH) for use in declared if use.used
    ]
    n = cases(len(declared), "participant")
    return [
        Item(
            "assistants",
            "Use of an assistant, by condition",
            n,
            how,
            table=table(("condition", "an assistant", "n", "asked", "used one", "share"), rows, range(2, 6)),
            why="" if declared else "nobody is in the statistics yet",
        ),
        Item(
            "assistant-use",
            "Declared use of an assistant",
            cases(len(users), "participant"),
            "each participant who said yes, in their own words",
            table=table(("participant", "condition", "allowed", "which, and what for"), users),
            why="" if users else "nobody declared any",
        ),
    ]
