"""A comparison of contestants becomes a report: every number is computed by `analysis`, put into words and tables here."""

from collections.abc import Sequence
from dataclasses import dataclass

from evenhand.analysis import anytime, ranks
from evenhand.analysis.anytime import FRACTIONS, UNITS, Comparison, Curve, Gap, Kind, Race
from evenhand.analysis.ranks import Difference, Ranking
from evenhand.analysis.scores import Unit, is_share, unit_of
from evenhand.analysis.stats import LEVEL
from evenhand.declaration import Mode
from evenhand.report import contestants, figures, standings
from evenhand.report.blocks import NARROW, Item, Report, Section, Table, cases, interval, number, p_value, score, table
from evenhand.report.frame import p_words
from evenhand.report.sheet import OUTCOMES, Setup, budget_words, sheet

PLURALS: dict[Kind, str] = {"method": "methods", "person": "people", "bot": "bots", "joint": "joint sessions"}
RANKS = (
    "Who is ahead at the end of the budget, by the best validation value. Small differences of ranks mean little: look at the "
    "intervals, and at the critical difference."
)
SURE = f"{100 * LEVEL:g}{NARROW}%"
SHARES = {0.25: "1/4", 0.5: "1/2", 1.0: "the end"}
CLOSE = 3  # contestants that the headline names at most


@dataclass(frozen=True)
class Scene:
    """What all items share."""

    race: Race
    setup: Setup
    ranking: Ranking
    difference: Difference

    @property
    def order(self) -> tuple[str, ...]:
        """Contestants, the best first; those without a rank come last, by name."""
        ranked = [each.contestant for each in self.ranking.standings]
        return (*ranked, *(name for name in self.race.contestants if name not in ranked))


def build(comparison: Comparison, setup: Setup) -> Report:
    """The whole report. InvalidSettings where the entries cannot be compared, see `anytime.race`."""
    race = anytime.race(comparison)
    scene = Scene(race, setup, ranks.ranking(race, setup.seed), ranks.difference(race))
    mode, mark = _mark(race)
    sections = (
        *_notes(scene),
        _courses(scene),
        _gaps(scene),
        Section("ranks", "Ranks", RANKS, _ranks(scene, "")),
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
    others = [each.entry for each in race.courses if each.entry.kind != "method"]
    bots = sorted({each.contestant for each in others if each.kind == "bot" or each.session.mode == "simulated"})
    if bots:
        return "simulated", f"Simulated participants among the contestants: {', '.join(bots)}; theirs is no human data"
    pilots = sorted({each.contestant for each in others if each.session.mode == "pilot"})
    if pilots:
        return "pilot", f"Pilot sessions among the contestants: {', '.join(pilots)}; they are no part of a study"
    return "live", ""


# The headline


def _lead(scene: Scene) -> tuple[str, ...]:
    ranking, found = scene.ranking, scene.difference
    if ranking.why is not None:
        first = f"No average rank: {ranking.why.removeprefix('not computable: ')}."
    else:
        best = ranking.standings[0]
        first = (
            f"{best.contestant} has the best average rank: {best.rank:.2f} of {len(ranking.standings)} "
            f"({SURE} interval {best.low:.2f} to {best.high:.2f}), over {ranking.pairs} pairs of task and seed on "
            f"{ranking.tasks} {'task' if ranking.tasks == 1 else 'tasks'}."
        )
    return tuple(words for words in (first, _differ(found), _beaten(scene), *_labels(scene)) if words)


def _differ(found: Difference) -> str:
    if found.friedman.p is None:
        return ""
    differ = found.friedman.p < found.alpha
    return (
        f"Over tasks, contestants {'differ' if differ else 'do not differ more than chance would have it'} "
        f"(Friedman, p {p_words(found.friedman.p)})."
    )


def _beaten(scene: Scene) -> str:
    """From whom the best one differs by the pairwise test, in words."""
    if not scene.ranking.standings or not scene.difference.pairs:
        return ""
    best, alpha = scene.ranking.standings[0].contestant, scene.difference.alpha
    names = [
        each.second if each.first == best else each.first
        for each in scene.difference.pairs
        if best in (each.first, each.second) and each.adjusted is not None and each.adjusted < alpha
    ]
    ordered = [name for name in scene.order if name in names]
    told = ", ".join(ordered[:CLOSE]) + (f" and {len(ordered) - CLOSE} more" if len(ordered) > CLOSE else "")
    if not ordered:
        return f"By the pairwise test (Wilcoxon, Holm) it cannot be told apart from any other at the level {alpha:g}."
    return f"By the pairwise test (Wilcoxon, Holm, level {alpha:g}) it differs from {told}."


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
    counts = [(kinds.count(kind), kind) for kind in PLURALS if kind in kinds]
    budgets = list(dict.fromkeys(budget_words(each) for each in race.budgets.values()))
    seeds = {len(race.of(task, name)) for task in race.tasks for name in race.contestants} - {0}
    return (
        ("contestants", ", ".join(f"{count} {kind if count == 1 else PLURALS[kind]}" for count, kind in counts)),
        ("tasks", str(len(race.tasks))),
        ("budget", "; ".join(budgets) if len(budgets) <= CLOSE else f"{len(budgets)} different ones, see the disclosure sheet"),
        ("seeds a task", str(min(seeds)) if len(seeds) == 1 else f"{min(seeds)} to {max(seeds)}"),
        ("sessions", str(len(race.courses))),
        ("trials", str(sum(each.trials for each in anytime.efforts(race)))),
    )


def _notes(scene: Scene) -> tuple[Section, ...]:
    if not scene.race.notes:
        return ()
    rows = [(note,) for note in scene.race.notes]
    how = "found when sessions were put on the same terms"
    item = Item(
        "notes", "Left out, cut or assumed", cases(len(rows), "note"), how, table=table(("note",), rows), folded=len(rows) > 10
    )
    return (Section("notes", "What to beware of", items=(item,)),)


# Anytime curves and gaps


def _courses(scene: Scene) -> Section:
    race = scene.race
    own = _clock(race)
    items = [_overall(scene, unit) for unit in (own, *(each for each in UNITS if each != own))]
    mean = anytime.overall(race, scene.setup.seed, own)
    if len(mean) > contestants.BANDS:
        x, scale = _axis(race, own)
        items.insert(
            1,
            Item(
                "course-each",
                "Each contestant's course against all others",
                cases(len(race.tasks), "task"),
                f"the curves above, one by one, with their {SURE} intervals; grey: the others",
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
    return Section("course", "How fast they get there", intro, tuple(items))


def _clock(race: Race) -> Unit:
    """What the budgets count, where all count the same; else trials."""
    units = {unit_of(each) for each in race.budgets.values()}
    return units.pop() if len(units) == 1 else "trials"


def _axis(race: Race, unit: Unit) -> tuple[str, float]:
    """What the axis over all tasks says, and what a share of the budget is multiplied by."""
    caps = {anytime.cap(race, task, unit) for task in race.tasks}
    if len(caps) == 1:
        return unit, next(iter(caps))
    return f"{unit}, in percent of {_whole(race, unit)}", 100.0


def _whole(race: Race, unit: Unit) -> str:
    counted = all(getattr(each, unit) is not None for each in race.budgets.values())
    return "each task's budget" if counted else "the most that any session spent on the task"


def _overall(scene: Scene, unit: Unit) -> Item:
    race = scene.race
    found = anytime.overall(race, scene.setup.seed, unit)
    x, scale = _axis(race, unit)
    left = [name for name in race.contestants if name not in race.everywhere]
    drawn = bool(found) and any(each.points for each in found)
    bands = "; bands: those intervals" if len(found) <= contestants.BANDS else ""
    how = (
        f"mean over tasks of the median over seeds of each, at shares of {_whole(race, unit)}; {SURE} intervals: "
        f"percentiles of a bootstrap over tasks{bands}"
    )
    how += f"; regret below {contestants.FLOOR:g} is drawn there" if contestants.logarithmic(found) else ""
    how += f"; not on every task, and so not in it: {', '.join(left)}" if left else ""
    return Item(
        key=f"course-{unit}",
        title=f"Regret against {unit}" + (" (training and thinking)" if unit == "seconds" else ""),
        n=cases(len(race.tasks), "task"),
        how=how,
        spec=contestants.lines(found, race.contestants, x, scale, contestants.logarithmic(found)) if drawn else None,
        table=_curve_table(scene, found, scale) if drawn else None,
        why="" if drawn else "not drawn: no contestant ran on every task, or nothing was spent",
        alt=_ends(found) if drawn else "",
    )


def _curve_table(scene: Scene, found: Sequence[Curve], scale: float) -> Table:
    """Regret at a quarter, a half and the whole of the cost."""
    rows = []
    for each in _sorted(scene, found):
        for share in FRACTIONS:
            at = next((at for at in each.points if at.cost >= share - anytime.FLOAT_SLACK), each.points[-1])
            told = (_regret(at.regret), interval(at.low, at.high, _regret))
            rows.append((each.contestant, number(at.cost * scale), *told))
    return table(("contestant", "cost", "mean regret", f"{SURE} interval"), rows, [1, 2, 3])


def _sorted(scene: Scene, found: Sequence[Curve]) -> list[Curve]:
    return sorted((each for each in found if each.points), key=lambda each: scene.order.index(each.contestant))


def _ends(found: Sequence[Curve]) -> str:
    ends = sorted((each.points[-1].regret, each.contestant) for each in found if each.points)
    return "At the end: " + "; ".join(f"{name} {_regret(regret)}" for regret, name in ends)


def _by_task(scene: Scene) -> Item:
    race, unit = scene.race, _clock(scene.race)
    found = anytime.curves(race, unit)
    rows = []
    for each in found:
        if each.points:
            end = each.points[-1]
            quartiles = interval(end.low, end.high, _regret)
            rows.append((str(each.task), each.contestant, str(each.n), number(end.cost), _regret(end.regret), quartiles))
    drawn = any(each.points for each in found)
    return Item(
        key="course-tasks",
        title=f"Regret against {unit}, task by task",
        n=f"{cases(len(race.tasks), 'task')}; {cases(len(race.courses), 'session')}",
        how="median over seeds; the numbers are those at the end, with quartiles over seeds",
        spec=contestants.by_task(found, race.contestants, unit) if drawn else None,
        table=table(("task", "contestant", "seeds", unit, "median regret", "quartiles"), rows, range(2, 6)) if drawn else None,
        why="" if drawn else "not drawn: nobody began a trial",
        alt="The best at the end: " + "; ".join(_winners(scene, found)) if drawn else "",
    )


def _winners(scene: Scene, found: Sequence[Curve]) -> list[str]:
    told = []
    for task in scene.race.tasks:
        ends = [(each.points[-1].regret, each.contestant) for each in found if each.task == task and each.points]
        least = min((end for end, _ in ends), default=0.0)
        names = [name for end, name in ends if end == least]
        told.append(f"{task}: {', '.join(names) if len(names) <= CLOSE else f'{len(names)} contestants alike'}")
    return told


def _gaps(scene: Scene) -> Section:
    race = scene.race
    found = {(each.task, each.contestant, each.share): each for each in anytime.gaps(race)}
    pairs = dict.fromkeys((task, name) for task in race.tasks for name in scene.order if (task, name, FRACTIONS[-1]) in found)
    rows = []
    for task, name in pairs:
        share = is_share(race.records[task].metric)
        mine = [found[task, name, each] for each in FRACTIONS]
        end = mine[-1]
        told = (
            *(score(each.gap, share) for each in mine),
            *(_regret(each.regret) for each in mine),
            interval(end.low, end.high, _regret),
        )
        rows.append((task, name, str(end.n), *told, str(end.without) if end.without else "–"))
    shares = [SHARES[each] for each in FRACTIONS]
    columns = ("task", "contestant", "seeds", *(f"gap at {each}" for each in shares), *(f"regret at {each}" for each in shares))
    how = (
        "gap: how far the best value so far is from the best known one, in the metric's own unit, over the seeds that had a "
        "value; gap and regret: medians over seeds; quartiles: of regret at the end; shares are of the task's budget, in what "
        f"its clock counts ({', '.join(dict.fromkeys(unit_of(each) for each in race.budgets.values()))})"
    )
    item = Item(
        "gaps", "Gap to the best known value", cases(len(race.courses), "session"), how,
        table=table((*columns, "quartiles", "seeds without value"), rows, range(2, 11)), folded=len(rows) > 40,
    )  # fmt: skip
    intro = "At a quarter, a half and the end of the budget."
    return Section("gaps", "How close they come", intro, (_summary(scene, list(found.values())), item))


def _summary(scene: Scene, found: Sequence[Gap]) -> Item:
    """One row a contestant: the mean over tasks of its median regret at each share of the budget."""
    race, rows = scene.race, []
    for name in scene.order:
        mine = [each for each in found if each.contestant == name]
        tasks = {each.task for each in mine}
        if mine:
            means = (_regret(_mean([each.regret for each in mine if each.share == share])) for share in FRACTIONS)
            rows.append((name, str(len(tasks)), *means))
    columns = ("contestant", "tasks", *(f"regret at {SHARES[share]}" for share in FRACTIONS))
    few = (
        "" if len(race.everywhere) == len(race.contestants) else "; where contestants ran on different tasks, rows do not compare"
    )
    how = f"mean over tasks of the median regret over seeds{few}"
    return Item(
        "gaps-all", "Regret over all tasks", cases(len(race.tasks), "task"), how, table=table(columns, rows, range(1, 5))
    )  # fmt: skip


def _regret(value: float | None) -> str:
    """A regret as people read it: three decimals; what would be told as 0 and is none, as less than the smallest of them."""
    if value is None:
        return "–"
    return "< 0.001" if 0 < value < 0.0005 else f"{value:.3f}"


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


# Ranks


def _ranks(scene: Scene, before: str) -> tuple[Item, ...]:
    """Ranks, wins, the critical difference and the pairwise test. before: what keys begin with, where there are two of each."""
    return (_average(scene, before), _critical(scene, before), _duels(scene, before), _pairs(scene, before))


def _methods_alone(scene: Scene) -> tuple[Section, ...]:
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
    return (Section("ranks-methods", "Ranks of the methods alone", intro, _ranks(other, "methods-")),)


def _average(scene: Scene, before: str) -> Item:
    found = scene.ranking
    left = "; ".join(f"{name} {why}" for name, why in found.left)
    rows = [
        (each.contestant, f"{each.rank:.2f}", f"{each.low:.2f} to {each.high:.2f}", str(each.firsts)) for each in found.standings
    ]
    return Item(
        key=f"{before}average-ranks",
        title="Average ranks",
        n=f"{cases(found.pairs, 'pair')} of task and seed",
        how=found.how + (f". Not ranked: {left}" if left else ""),
        spec=None if found.why else standings.ranks(found, scene.race.contestants),
        table=None if found.why else table(("contestant", "average rank", f"{SURE} interval", "firsts"), rows, [1, 2, 3]),
        why=found.why or "",
        alt="" if found.why else "; ".join(f"{each.contestant} {each.rank:.2f}" for each in found.standings),
    )


def _critical(scene: Scene, before: str) -> Item:
    found = scene.difference
    drawn = found.critical is not None
    groups = ["no two are alike"] if drawn and not found.cliques else [", ".join(each) for each in found.cliques]
    rows = [(name, f"{rank:.2f}") for name, rank in found.ranks]
    tests = [
        f"{each.name}: {number(each.statistic) if each.statistic is not None else 'infinite'}, p {p_words(each.p)}"
        if each.p is not None
        else f"{each.name}: {each.why}"
        for each in (found.friedman, found.iman)
    ]
    few = "; with few tasks the test sees large differences only" if found.tasks < 10 else ""
    return Item(
        key=f"{before}critical-difference",
        title="Critical difference",
        n=cases(found.tasks, "task"),
        how=f"{found.how}{few}. {'; '.join(tests)}. After Demsar (2006)",
        spec=standings.critical(found, scene.race.contestants) if drawn else None,
        table=table(("contestant", "average rank over tasks"), rows, [1]) if drawn else None,
        why=found.why or "",
        alt=f"Critical difference {found.critical:.2f}. Groups that do not differ: {'; '.join(groups)}" if found.critical else "",
    )


def _duels(scene: Scene, before: str) -> Item:
    found = scene.ranking
    names = [each.contestant for each in found.standings]
    known = {(each.first, each.second): f"{each.wins}/{each.ties}/{each.losses}" for each in found.duels}
    rows = [(f"{at} {one}", *(known.get((one, two), "–") for two in names)) for at, one in enumerate(names, 1)]
    return Item(
        f"{before}duels",
        "Wins, ties and losses",
        f"{cases(found.pairs, 'pair')} of task and seed",
        "how often the contestant of the row ended with a better, an equal and a worse value than that of the column; columns "
        "are numbered as the rows are",
        table=table(("contestant", *map(str, range(1, len(names) + 1))), rows, range(1, len(names) + 1)) if names else None,
        why=found.why or "",
    )


def _pairs(scene: Scene, before: str) -> Item:
    found = scene.difference
    rows = []
    for each in found.pairs:
        differ = "–" if each.adjusted is None else "yes" if each.adjusted < found.alpha else "no"
        rows.append((f"{each.first} and {each.second}", number(each.statistic), p_value(each.p), p_value(each.adjusted), differ))
    how = found.pairs[0].how if found.pairs else ""
    few = "; below 6 tasks p cannot reach 0.05" if found.tasks < 6 else ""
    shown = table(("contestants", "W", "p", "p (Holm)", f"differ at {found.alpha:g}"), rows, [1, 2, 3])
    return Item(
        f"{before}pairs",
        "Pair by pair",
        cases(found.tasks, "task"),
        f"{how}{few}. Unlike the critical difference it does not depend on who else takes part (Benavoli et al., 2016)",
        table=shown,
        why="" if rows else "not computable: fewer than two contestants ran on every task",
        folded=len(rows) > 15,
    )


# Test scores and cost


def _tests(scene: Scene) -> Section:
    race = scene.race
    found = sorted(anytime.tested(race), key=lambda each: (each.task, scene.order.index(each.contestant)))
    rows = []
    for each in found:
        share = is_share(each.metric)
        told = (str(len(each.sessions)), str(each.n), str(each.missing) if each.missing else "–")
        rows.append((each.task, each.contestant, score(each.mean, share), score(each.sd, share), *told))
    drawn = any(each.mean is not None for each in found)
    columns = ("task", "contestant", "mean", "SD", "sessions", "scores", "without score")
    item = Item(
        key="tests",
        title="Test scores",
        n=cases(sum(each.n for each in found), "score"),
        how="mean and standard deviation over all scores (sessions times seeds of their evaluation); small marks above: the mean "
        "of each session; rows in the order of ranks, not of scores; sessions of a larger budget are left out",
        spec=standings.tests(found, race.contestants, scene.order) if drawn else None,
        table=table(columns, rows, range(2, 7)) if drawn else None,
        why="" if drawn else "no session was evaluated on test data",
        alt="Mean ± SD of each contestant on each task; see the numbers" if drawn else "",
    )
    return Section("tests", "Test scores", "Of what each session chose, on data that no tuner saw.", (item,))


def _cost(scene: Scene) -> Section:
    rows = []
    found = {each.contestant: each for each in anytime.efforts(scene.race)}
    for name in scene.order:
        each = found[name]
        spent = (str(each.trials), str(each.epochs), number(each.training), number(each.clock))
        rows.append((name, str(each.sessions), *spent, *(str(each.outcomes.get(outcome, 0)) for outcome in OUTCOMES)))
    columns = ("contestant", "sessions", "trials", "epochs", "training, s", "clock, s", *OUTCOMES)
    how = (
        "sums over all sessions; the clock counts thinking and training; failed trials are the infrastructure's fault and cost "
        "nothing, all others cost what they used"
    )
    item = Item(
        "cost", "Cost and outcomes", cases(len(scene.race.courses), "session"), how,
        table=table(columns, rows, range(1, len(columns))),
    )  # fmt: skip
    return Section("cost", "What it cost", items=(item,))
