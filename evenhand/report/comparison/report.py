"""A comparison of contestants becomes a report: every number is computed by `analysis`, put into words and tables here."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.analysis import anytime, ranks, recommendations
from evenhand.analysis.anytime import BUDGET_FRACTIONS, UNITS, Comparison, Gap, Kind, Race, RegretCurve, Setup
from evenhand.analysis.ranks import AverageRank, CriticalDifference, Ranking
from evenhand.analysis.stats import INTERVAL_LEVEL
from evenhand.analysis.summaries import Unit, mean, unit_of
from evenhand.model.study import Mode
from evenhand.model.words import (
    DASH,
    NARROW_SPACE,
    budget_words,
    cases,
    interval,
    is_share,
    last_line,
    number,
    p_value,
    plural,
    points,
    score,
)
from evenhand.report import figures
from evenhand.report.blocks import Item, Report, ReportSection, ReportTable, table
from evenhand.report.comparison import contestants, standings
from evenhand.report.context import p_words
from evenhand.report.disclosure import OUTCOME_ORDER, sheet

KIND_PLURALS: dict[Kind, str] = {"method": "methods", "person": "people", "bot": "bots", "joint": "joint sessions"}
RANKS_NOTE = (
    "Who is ahead at the end of the budget, by the best validation value. Small differences of ranks mean little: look at the "
    "intervals, and at the critical difference."
)
SURE_PERCENT = f"{100 * INTERVAL_LEVEL:g}{NARROW_SPACE}%"
SHARE_WORDS = {0.25: "1/4", 0.5: "1/2", 1.0: "the end"}
MOST_CLOSE_CONTESTANTS = 3  # contestants that the headline names at most


@dataclass(frozen=True)
class Scene:
    """What all items share."""

    race: Race
    setup: Setup
    ranking: Ranking
    difference: CriticalDifference

    @property
    def order(self) -> tuple[str, ...]:
        """Contestants, the best first; those without a rank come last, by name."""
        ranked = [standing.contestant for standing in self.ranking.standings]
        return (*ranked, *(name for name in self.race.contestants if name not in ranked))


def build(comparison: Comparison, setup: Setup) -> Report:
    """The whole report. InvalidSettings where the entries cannot be compared, see `anytime.race`."""
    race = anytime.race(comparison)
    scene = Scene(race, setup, ranks.ranking(race, setup.seed), ranks.difference(race))
    mode, mark = _mark(race)
    sections = (
        *_notes(scene),
        _checklist(scene),
        _courses(scene),
        _gaps(scene),
        ReportSection("ranks", "Ranks", RANKS_NOTE, _ranks(scene, "")),
        *_methods_alone(scene),
        _tests(scene),
        _cost(scene),
        sheet(race, setup),
    )
    return Report(
        title=setup.title,
        mode=mode,
        mark=mark,
        lead=_lead(scene),
        facts=_facts(scene),
        sections=figures.marked_sections(mark.partition(":")[0], sections),
    )


def _mark(race: Race) -> tuple[Mode, str]:
    """What is said on the page of tuners who were no live participants. Methods are what they are in every mode."""
    others = [course.entry for course in race.courses if course.entry.kind != "method"]
    bots = sorted({entry.contestant for entry in others if entry.kind == "bot" or entry.session.mode == "simulated"})
    if bots:
        return "simulated", f"Simulated participants among the contestants: {', '.join(bots)}; theirs is no human data"
    pilots = sorted({entry.contestant for entry in others if entry.session.mode == "pilot"})
    if pilots:
        return "pilot", f"Pilot sessions among the contestants: {', '.join(pilots)}; they are no part of a study"
    return "live", ""


# The headline


def _lead(scene: Scene) -> tuple[str, ...]:
    ranking, difference = scene.ranking, scene.difference
    if without := _without_values(scene.race):
        return (without, *_labels(scene))
    if ranking.why is not None:
        first = f"No average rank: {ranking.why.removeprefix('not computable: ')}."
    else:
        best, leaders = ranking.standings[0], _leaders(ranking)
        has = (
            f"{best.contestant} has the best average rank"
            if len(leaders) == 1
            else f"{_named(leaders)} share the best average rank"
        )
        first = (
            f"{has}: {best.rank:.2f} of {len(ranking.standings)} "
            f"({_sure_rank(best)}), over {plural(ranking.pairs, 'pair')} of task and seed on {plural(ranking.tasks, 'task')}."
        )
    return tuple(
        words
        for words in (first, _differ(difference), _beaten(scene), *_less_effort(scene), *_start_ups(scene), *_labels(scene))
        if words
    )


def _sure_rank(standing: AverageRank) -> str:
    if standing.low is None or standing.high is None:
        return "no interval from a single pair"
    return f"{SURE_PERCENT} interval {standing.low:.2f} to {standing.high:.2f}"


def _less_effort(scene: Scene) -> list[str]:
    """A warning where somebody had less effort than another, since whoever is a baseline was then not given the same chance."""
    less = recommendations.less_effort(scene.race)
    if not less:
        return []
    more = f"; and {len(less) - MOST_CLOSE_CONTESTANTS} more, see the checklist" if len(less) > MOST_CLOSE_CONTESTANTS else ""
    return [f"Unequal effort: {'; '.join(one.words for one in less[:MOST_CLOSE_CONTESTANTS])}{more}."]


def _checklist(scene: Scene) -> ReportSection:
    """The paper's recommendations, each passed, not passed or unknown, with the fact."""
    lines = recommendations.checklist(scene.race, scene.setup, scene.ranking, scene.difference)
    rows = [(line.name, line.verdict, line.fact) for line in lines]
    less = [(one.task, one.contestant, one.unit, number(round(one.spent, 1)), number(round(one.most, 1)), one.other)
            for one in recommendations.less_effort(scene.race)]  # fmt: skip
    passed = sum(line.verdict == "passed" for line in lines)
    items = [
        Item(
            "recommendations",
            "The paper's recommendations",
            f"{cases(len(lines), 'recommendation')}, {passed} passed",
            "Anand et al. (2020), 4.3, held against what was recorded; effort is per session, and equal from "
            f"{recommendations.EQUAL_SHARE:.0%} of the most on",
            table=table(("recommendation", "verdict", "fact"), rows),
        )
    ]
    if less:
        columns = ("task", "contestant", "unit", "a session", "most", "of")
        how = "means over sessions, whole; seconds are of the session's clock, thinking and training"
        shown = table(columns, less, (3, 4))
        items.append(
            Item("less-effort", "Less effort than another", cases(len(less), "case"), how, table=shown, folded=len(less) > 10)
        )
    return ReportSection("checklist", "A reviewer's checklist", items=tuple(items))


def _start_ups(scene: Scene) -> list[str]:
    """Of methods that drew most of their trials before they used a model: that they did, since their rank says little of it."""
    remarks = []
    for name in scene.order:
        share = anytime.start_up(scene.race, name)
        if share.drawn and 2 * share.drawn >= share.trials:
            rest = "it never came to its own suggestions" if share.drawn == share.trials else "its rank says little of the rest"
            remarks.append(f"{name} was still in its start-up: {share.drawn} of {plural(share.trials, 'trial')}; {rest}.")
    return remarks


def _without_values(race: Race) -> str:
    """That no run has a value, and why; nothing where one has."""
    if any(course.final is not None for course in race.courses):
        return ""
    trials = [trial for course in race.courses for trial in course.entry.session.trials]
    counts = Counter((trial.outcome, last_line(trial.why or "")) for trial in trials if trial.outcome is not None)
    if not counts:
        return "No run has a value: no trial has ended."
    (outcome, _), _ = counts.most_common(1)[0]
    reasons = {why: count for (its, why), count in counts.items() if its is outcome and why}
    why = f" ({max(reasons, key=lambda reason: reasons[reason])})" if reasons else ""
    count = sum(trial.outcome is outcome for trial in trials)
    return f"No run has a value: {count} of {plural(len(trials), 'trial')} {'was' if count == 1 else 'were'} {outcome}{why}."


def _leaders(ranking: Ranking) -> list[str]:
    """Those with the best average rank: at a tie several, of whom none is the best one."""
    return [standing.contestant for standing in ranking.standings if math.isclose(standing.rank, ranking.standings[0].rank)]


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_CLOSE_CONTESTANTS} more" if len(names) > MOST_CLOSE_CONTESTANTS else ""
    return ", ".join(names[:MOST_CLOSE_CONTESTANTS]) + more if more else " and ".join([", ".join(names[:-1]), names[-1]])


def _differ(difference: CriticalDifference) -> str:
    if difference.friedman.p is None:
        return ""
    differ = difference.friedman.p < difference.alpha
    return (
        f"Over tasks, contestants {'differ' if differ else 'do not differ more than chance would have it'} "
        f"(Friedman, p {p_words(difference.friedman.p)})."
    )


def _beaten(scene: Scene) -> str:
    """From whom the best one differs by the pairwise test, in words."""
    if len(_leaders(scene.ranking)) != 1 or not scene.difference.pairs:
        return ""
    best, alpha = scene.ranking.standings[0].contestant, scene.difference.alpha
    names = [
        pair.second if pair.first == best else pair.first
        for pair in scene.difference.pairs
        if best in (pair.first, pair.second) and pair.adjusted is not None and pair.adjusted < alpha
    ]
    ordered = [name for name in scene.order if name in names]
    beaten = ", ".join(ordered[:MOST_CLOSE_CONTESTANTS]) + (
        f" and {len(ordered) - MOST_CLOSE_CONTESTANTS} more" if len(ordered) > MOST_CLOSE_CONTESTANTS else ""
    )
    if not ordered:
        return f"By the pairwise test (Wilcoxon, Holm) it cannot be told apart from any other at the level {alpha:g}."
    return f"By the pairwise test (Wilcoxon, Holm, level {alpha:g}) it differs from {beaten}."


def _labels(scene: Scene) -> list[str]:
    """What must be said of the tasks' data."""
    labels: dict[str, list[str]] = {}
    for task in scene.race.tasks:
        if scene.setup.labels.get(task):
            labels.setdefault(scene.setup.labels[task], []).append(task)
    return [f"{words}: {', '.join(tasks)}." for words, tasks in labels.items()]


def _facts(scene: Scene) -> tuple[tuple[str, str], ...]:
    race = scene.race
    kinds = list(race.contestants.values())
    counts = [(kinds.count(kind), kind) for kind in KIND_PLURALS if kind in kinds]
    budgets = list(dict.fromkeys(budget_words(budget) for budget in race.budgets.values()))
    seeds = {len(race.of(task, name)) for task in race.tasks for name in race.contestants} - {0}
    return (
        ("contestants", ", ".join(plural(count, kind, KIND_PLURALS[kind]) for count, kind in counts)),
        ("tasks", str(len(race.tasks))),
        (
            "budget",
            "; ".join(budgets)
            if len(budgets) <= MOST_CLOSE_CONTESTANTS
            else f"{len(budgets)} different ones, see the disclosure sheet",
        ),
        ("seeds a task", str(min(seeds)) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"),
        ("sessions", str(len(race.courses))),
        ("trials", str(sum(effort.trials for effort in anytime.efforts(race)))),
    )


def _notes(scene: Scene) -> tuple[ReportSection, ...]:
    if not scene.race.notes:
        return ()
    rows = [(note,) for note in scene.race.notes]
    how = "found when sessions were put on the same terms"
    item = Item(
        "notes", "Left out, cut or assumed", cases(len(rows), "note"), how, table=table(("note",), rows), folded=len(rows) > 10
    )
    return (ReportSection("notes", "What to beware of", items=(item,)),)


# Anytime curves and gaps


def _courses(scene: Scene) -> ReportSection:
    race = scene.race
    own = _clock(race)
    items = [_overall(scene, unit) for unit in (own, *(other for other in UNITS if other != own))]
    mean = anytime.overall(race, scene.setup.seed, own)
    if len(mean) > contestants.MOST_BANDS:
        x, scale = _axis(race, own)
        items.insert(
            1,
            Item(
                "course-each",
                "Each contestant's course against all others",
                cases(len(race.tasks), "task"),
                f"the curves above, one by one, with their {SURE_PERCENT} intervals; grey: the others",
                spec=contestants.each_alone(mean, race.contestants, x, scale, contestants.logarithmic(mean)),
                table=_curve_table(scene, mean, scale),
                alt=_ends(mean),
            ),
        )
    items.append(_by_task(scene))
    intro = (
        "Normalised regret of the best validation value so far: 0 is the best known value of a task, 1 its reference; clipped at "
        f"{race.top:g}. Trials without a value cost what they used."
    )
    return ReportSection("course", "How fast they get there", intro, tuple(items))


def _clock(race: Race) -> Unit:
    """What the budgets count, where all count the same; else trials."""
    units = {unit_of(budget) for budget in race.budgets.values()}
    return units.pop() if len(units) == 1 else "trials"


def _axis(race: Race, unit: Unit) -> tuple[str, float]:
    """What the axis over all tasks says, and what a share of the budget is multiplied by."""
    caps = {anytime.cap(race, task, unit) for task in race.tasks}
    if len(caps) == 1:
        return unit, next(iter(caps))
    return f"{unit}, in percent of {_whole(race, unit)}", 100.0


def _whole(race: Race, unit: Unit) -> str:
    counted = all(getattr(budget, unit) is not None for budget in race.budgets.values())
    return "each task's budget" if counted else "the most that any session spent on the task"


def _overall(scene: Scene, unit: Unit) -> Item:
    race = scene.race
    curves = anytime.overall(race, scene.setup.seed, unit)
    x, scale = _axis(race, unit)
    left = [name for name in race.contestants if name not in race.everywhere]
    drawn = bool(curves) and any(curve.points for curve in curves)
    bands = "; bands: those intervals" if len(curves) <= contestants.MOST_BANDS else ""
    how = (
        f"mean over tasks of the median over seeds of each, at shares of {_whole(race, unit)}; {SURE_PERCENT} intervals: "
        f"percentiles of a bootstrap over tasks{bands}"
    )
    how += f"; regret below {contestants.REGRET_FLOOR:g} is drawn there" if contestants.logarithmic(curves) else ""
    how += f"; not on every task, and so not in it: {', '.join(left)}" if left else ""
    return Item(
        key=f"course-{unit}",
        title=f"Regret against {unit}" + (" (training and thinking)" if unit == "seconds" else ""),
        n=cases(len(race.tasks), "task"),
        how=how,
        spec=contestants.lines(curves, race.contestants, x, scale, contestants.logarithmic(curves)) if drawn else None,
        table=_curve_table(scene, curves, scale) if drawn else None,
        why="" if drawn else "not drawn: no contestant ran on every task, or nothing was spent",
        alt=_ends(curves) if drawn else "",
    )


def _curve_table(scene: Scene, curves: Sequence[RegretCurve], scale: float) -> ReportTable:
    """Regret at a quarter, a half and the whole of the cost."""
    rows = []
    for curve in _sorted(scene, curves):
        for share in BUDGET_FRACTIONS:
            at = next((at for at in curve.points if at.cost >= share - anytime.FLOAT_SLACK), curve.points[-1])
            regrets = (_regret(at.regret), _spread(at.low, at.high, curve.n))
            rows.append((curve.contestant, number(at.cost * scale), *regrets))
    return table(("contestant", "cost", "mean regret", f"{SURE_PERCENT} interval"), rows, [1, 2, 3])


def _sorted(scene: Scene, curves: Sequence[RegretCurve]) -> list[RegretCurve]:
    return sorted((curve for curve in curves if curve.points), key=lambda curve: scene.order.index(curve.contestant))


def _ends(curves: Sequence[RegretCurve]) -> str:
    ends = sorted((curve.points[-1].regret, curve.contestant) for curve in curves if curve.points)
    return "At the end: " + "; ".join(f"{name} {_regret(regret)}" for regret, name in ends)


def _by_task(scene: Scene) -> Item:
    race, unit = scene.race, _clock(scene.race)
    curves = anytime.curves(race, unit)
    rows = []
    for curve in curves:
        if curve.points:
            end = curve.points[-1]
            quartiles = _spread(end.low, end.high, curve.n)
            rows.append((str(curve.task), curve.contestant, str(curve.n), number(end.cost), _regret(end.regret), quartiles))
    drawn = any(line.points for line in curves)
    return Item(
        key="course-tasks",
        title=f"Regret against {unit}, task by task",
        n=f"{cases(len(race.tasks), 'task')}; {cases(len(race.courses), 'session')}",
        how="median over seeds; the numbers are those at the end, with quartiles over seeds",
        spec=contestants.by_task(curves, race.contestants, unit) if drawn else None,
        table=table(("task", "contestant", "seeds", unit, "median regret", "quartiles"), rows, range(2, 6)) if drawn else None,
        why="" if drawn else "not drawn: nobody began a trial",
        alt="The best at the end: " + "; ".join(_winners(scene, curves)) if drawn else "",
    )


def _winners(scene: Scene, curves: Sequence[RegretCurve]) -> list[str]:
    winners = []
    for task in scene.race.tasks:
        if not any(run.final is not None for run in scene.race.courses if run.entry.task == task):
            winners.append(f"{task}: no run has a value")
            continue
        ends = [(curve.points[-1].regret, curve.contestant) for curve in curves if curve.task == task and curve.points]
        least = min((end for end, _ in ends), default=0.0)
        names = [name for end, name in ends if end == least]
        alike = f"{', '.join(names)} alike" if len(names) <= MOST_CLOSE_CONTESTANTS else f"{len(names)} contestants alike"
        winners.append(f"{task}: {names[0] if len(names) == 1 else alike}")
    return winners


def _gaps(scene: Scene) -> ReportSection:
    race = scene.race
    gaps = {(gap.task, gap.contestant, gap.share): gap for gap in anytime.gaps(race)}
    pairs = dict.fromkeys(
        (task, name) for task in race.tasks for name in scene.order if (task, name, BUDGET_FRACTIONS[-1]) in gaps
    )
    rows = []
    for task, name in pairs:
        share = is_share(race.records[task].metric)
        mine = [gaps[task, name, fraction] for fraction in BUDGET_FRACTIONS]
        end = mine[-1]
        cells = (
            *(points(gap.gap, share) for gap in mine),
            *(_regret(gap.regret) for gap in mine),
            _spread(end.low, end.high, end.n),
        )
        rows.append((task, name, str(end.n), *cells, str(end.without) if end.without else "–"))
    shares = [SHARE_WORDS[fraction] for fraction in BUDGET_FRACTIONS]
    columns = (
        "task",
        "contestant",
        "seeds",
        *(f"gap at {moment}" for moment in shares),
        *(f"regret at {moment}" for moment in shares),
    )
    how = (
        "gap: how far the best value so far is from the best known one, in the metric's own unit, over the seeds that had a "
        "value; gap and regret: medians over seeds; quartiles: of regret at the end; shares are of the task's budget, in what "
        f"its clock counts ({', '.join(dict.fromkeys(unit_of(budget) for budget in race.budgets.values()))})"
    )
    item = Item(
        "gaps", "Gap to the best known value", cases(len(race.courses), "session"), how,
        table=table((*columns, "quartiles", "seeds without value"), rows, range(2, 11)), folded=len(rows) > 40,
    )  # fmt: skip
    intro = "At a quarter, a half and the end of the budget."
    return ReportSection("gaps", "How close they come", intro, (_summary(scene, list(gaps.values())), item))


def _summary(scene: Scene, gaps: Sequence[Gap]) -> Item:
    """One row a contestant: the mean over tasks of its median regret at each share of the budget."""
    race, rows = scene.race, []
    for name in scene.order:
        mine = [gap for gap in gaps if gap.contestant == name]
        tasks = {gap.task for gap in mine}
        if mine:
            means = (_regret(mean([gap.regret for gap in mine if gap.share == share])) for share in BUDGET_FRACTIONS)
            rows.append((name, str(len(tasks)), *means))
    columns = ("contestant", "tasks", *(f"regret at {SHARE_WORDS[share]}" for share in BUDGET_FRACTIONS))
    few = (
        "" if len(race.everywhere) == len(race.contestants) else "; where contestants ran on different tasks, rows do not compare"
    )
    how = f"mean over tasks of the median regret over seeds{few}"
    return Item(
        "gaps-all", "Regret over all tasks", cases(len(race.tasks), "task"), how, table=table(columns, rows, range(1, 5))
    )  # fmt: skip


def _spread(low: float, high: float, count: int) -> str:
    """An interval or quartiles of regret over `count` seeds or tasks; a dash for a single one, which has none."""
    return interval(low, high, _regret) if count > 1 else DASH


def _regret(value: float | None) -> str:
    """A regret as people read it: three decimals; what would be told as 0 and is none, as less than the smallest of them."""
    if value is None:
        return "–"
    return "< 0.001" if 0 < value < 0.0005 else f"{value:.3f}"


# Ranks


def _ranks(scene: Scene, before: str) -> tuple[Item, ...]:
    """Ranks, wins, the critical difference and the pairwise test. before: what keys begin with, where there are two of each."""
    return (_average(scene, before), _critical(scene, before), _duels(scene, before), _pairs(scene, before))


def _methods_alone(scene: Scene) -> tuple[ReportSection, ...]:
    """The methods by themselves, where the others leave fewer pairs of task and seed, or fewer tasks, to compare."""
    race = scene.race
    methods = [name for name, kind in race.contestants.items() if kind == "method"]
    if len(methods) < 2 or len(methods) == len(race.contestants):
        return ()
    alone = race.only(methods)
    ranking = ranks.ranking(alone, scene.setup.seed)
    if ranking.pairs <= scene.ranking.pairs and len(scene.ranking.standings) > len(methods):
        return ()
    other = Scene(alone, scene.setup, ranking, ranks.difference(alone))
    intro = "People and bots took part in fewer sessions; these are the methods' ranks over all of their own."
    return (ReportSection("ranks-methods", "Ranks of the methods alone", intro, _ranks(other, "methods-")),)


def _average(scene: Scene, before: str) -> Item:
    ranking = scene.ranking
    left = "; ".join(f"{name} {why}" for name, why in ranking.left)
    rows = [
        (
            standing.contestant,
            f"{standing.rank:.2f}",
            interval(standing.low, standing.high, "{:.2f}".format),
            str(standing.firsts),
        )
        for standing in ranking.standings
    ]
    return Item(
        key=f"{before}average-ranks",
        title="Average ranks",
        n=f"{cases(ranking.pairs, 'pair')} of task and seed",
        how=ranking.how + (f". Not ranked: {left}" if left else ""),
        spec=None if ranking.why else standings.ranks(ranking, scene.race.contestants),
        table=None
        if ranking.why
        else table(("contestant", "average rank", f"{SURE_PERCENT} interval", "firsts"), rows, [1, 2, 3]),
        why=ranking.why or "",
        alt="" if ranking.why else "; ".join(f"{standing.contestant} {standing.rank:.2f}" for standing in ranking.standings),
    )


def _critical(scene: Scene, before: str) -> Item:
    difference = scene.difference
    drawn = difference.critical is not None
    groups = ["no two are alike"] if drawn and not difference.cliques else [", ".join(clique) for clique in difference.cliques]
    rows = [(name, f"{rank:.2f}") for name, rank in difference.ranks]
    tests = [
        f"{test.name}: {number(test.statistic) if test.statistic is not None else 'infinite'}, p {p_words(test.p)}"
        if test.p is not None
        else f"{test.name}: {test.why}"
        for test in (difference.friedman, difference.iman)
    ]
    few = "; with few tasks the test sees large differences only" if difference.tasks < 10 else ""
    return Item(
        key=f"{before}critical-difference",
        title="Critical difference",
        n=cases(difference.tasks, "task"),
        how=f"{difference.how}{few}. {'; '.join(tests)}. After Demsar (2006)",
        spec=standings.critical(difference, scene.race.contestants) if drawn else None,
        table=table(("contestant", "average rank over tasks"), rows, [1]) if drawn else None,
        why=difference.why or "",
        alt=f"Critical difference {difference.critical:.2f}. Groups that do not differ: {'; '.join(groups)}"
        if difference.critical
        else "",
    )


def _duels(scene: Scene, before: str) -> Item:
    ranking = scene.ranking
    names = [standing.contestant for standing in ranking.standings]
    known = {(duel.first, duel.second): f"{duel.wins}/{duel.ties}/{duel.losses}" for duel in ranking.duels}
    rows = [(f"{at} {one}", *(known.get((one, two), "–") for two in names)) for at, one in enumerate(names, 1)]
    return Item(
        f"{before}duels",
        "Wins, ties and losses",
        f"{cases(ranking.pairs, 'pair')} of task and seed",
        "how often the contestant of the row ended with a better, an equal and a worse value than that of the column; columns "
        "are numbered as the rows are",
        table=table(("contestant", *map(str, range(1, len(names) + 1))), rows, range(1, len(names) + 1)) if names else None,
        why=ranking.why or "",
    )


def _pairs(scene: Scene, before: str) -> Item:
    difference = scene.difference
    rows = []
    for pair in difference.pairs:
        differ = "–" if pair.adjusted is None else "yes" if pair.adjusted < difference.alpha else "no"
        rows.append((f"{pair.first} and {pair.second}", number(pair.statistic), p_value(pair.p), p_value(pair.adjusted), differ))
    how = difference.pairs[0].how if difference.pairs else ""
    few = "; below 6 tasks p cannot reach 0.05" if difference.tasks < 6 else ""
    shown = table(("contestants", "W", "p", "p (Holm)", f"differ at {difference.alpha:g}"), rows, [1, 2, 3])
    return Item(
        f"{before}pairs",
        "Pair by pair",
        cases(difference.tasks, "task"),
        f"{how}{few}. Unlike the critical difference it does not depend on who else takes part (Benavoli et al., 2016)",
        table=shown,
        why="" if rows else "not computable: fewer than two contestants ran on every task",
        folded=len(rows) > 15,
    )


# Test scores and cost


def _tests(scene: Scene) -> ReportSection:
    race = scene.race
    results = sorted(anytime.tested(race), key=lambda result: (result.task, scene.order.index(result.contestant)))
    rows = []
    for tested in results:
        share = is_share(tested.metric)
        counts = (str(len(tested.sessions)), str(tested.n), str(tested.missing) if tested.missing else "–")
        rows.append((tested.task, tested.contestant, score(tested.mean, share), score(tested.sd, share), *counts))
    drawn = any(result.mean is not None for result in results)
    columns = ("task", "contestant", "mean", "SD", "sessions", "scores", "without score")
    item = Item(
        key="tests",
        title="Test scores",
        n=cases(sum(result.n for result in results), "score"),
        how="mean and standard deviation over all scores (sessions times seeds of their evaluation); small marks above: the mean "
        "of each session; rows in the order of ranks, not of scores; sessions of a larger budget are left out",
        spec=standings.tests(results, race.contestants, scene.order) if drawn else None,
        table=table(columns, rows, range(2, 7)) if drawn else None,
        why="" if drawn else "no session was evaluated on test data",
        alt="Mean ± SD of each contestant on each task; see the numbers" if drawn else "",
    )
    return ReportSection("tests", "Test scores", "Of what each session chose, on data that no tuner saw.", (item,))


def _cost(scene: Scene) -> ReportSection:
    rows = []
    efforts = {total.contestant: total for total in anytime.efforts(scene.race)}
    for name in scene.order:
        effort = efforts[name]
        spent = (str(effort.trials), str(effort.epochs), number(effort.training), number(effort.clock))
        rows.append((name, str(effort.sessions), *spent, *(str(effort.outcomes.get(outcome, 0)) for outcome in OUTCOME_ORDER)))
    columns = ("contestant", "sessions", "trials", "epochs", "training, s", "clock, s", *OUTCOME_ORDER)
    how = (
        "sums over all sessions; the clock counts thinking and training; failed trials are the infrastructure's fault and cost "
        "nothing, all others cost what they used"
    )
    item = Item(
        "cost", "Cost and outcomes", cases(len(scene.race.courses), "session"), how,
        table=table(columns, rows, range(1, len(columns))),
    )  # fmt: skip
    return ReportSection("cost", "What it cost", items=(item,))
