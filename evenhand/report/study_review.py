"""The parts of a report beyond the paper's: what reviewers ask, search behaviour, sensitivity, disclosure, provenance."""

import statistics
from collections.abc import Mapping

from evenhand.analysis import behaviour, mixed_model, paper_items, power, sensitivity, stats, summaries
from evenhand.analysis.cohort import counted
from evenhand.analysis.environments import strata, where_trained
from evenhand.analysis.process_signals import process_signals, rule_words
from evenhand.analysis.summaries import Summary
from evenhand.model.environment import Environment
from evenhand.model.rules import derive_seed
from evenhand.model.study import measures
from evenhand.model.words import NARROW_SPACE, cases, interval, number, p_value, score
from evenhand.report import figures
from evenhand.report.blocks import Item, table
from evenhand.report.context import ReportContext, measure_name, p_words, threshold_words
from evenhand.report.items import report_item

# What reviewers ask


@report_item("reviewers")
def location(frame: ReportContext) -> Item:
    """Whether groups differ in location."""
    finals = frame.people.finals()
    overall = stats.kruskal(finals)
    rows = [("all groups", str(overall.n), overall.name, number(overall.statistic), p_value(overall.p), "–")]
    for test in ("brunner-munzel", "mann-whitney"):
        for pair in stats.pairwise(finals, test):
            name = f"{pair.first} and {pair.second}"
            rows.append(
                (name, f"{pair.n[0]}, {pair.n[1]}", test.title(), number(pair.statistic), p_value(pair.p), p_value(pair.adjusted))
            )
    columns = ("groups", "n", "test", "statistic", "p", "p (Holm)")
    how = "tests of location; pairs adjusted by Holm within each test"
    return Item(
        "location",
        "Do groups differ in location?",
        cases(overall.n, "participant"),
        how,
        table=table(columns, rows, range(3, 6)),
        why=overall.why or "",
    )


@report_item("reviewers")
def effects(frame: ReportContext) -> Item:
    """Effect sizes of each pair of groups."""
    finals = frame.people.finals()
    rows = []
    names = list(finals)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            delta = stats.cliffs_delta(finals[second], finals[first], frame.seed)
            means = stats.mean_difference(finals[second], finals[first])
            shown = f"{delta.value:.2f} ({delta.words})" if delta.value is not None else delta.why or "–"
            sure = interval(delta.interval.low, delta.interval.high, lambda value: f"{value:.2f}")
            apart = interval(means.interval.low, means.interval.high, frame.points)
            rows.append((f"{second} less {first}", f"{delta.n[0]}, {delta.n[1]}", shown, sure, frame.points(means.value), apart))
    columns = ("groups", "n", "Cliff's delta", "95 % interval", "difference of means", "95 % interval")
    how = (
        "intervals of Cliff's delta: bias-corrected and accelerated bootstrap over participants, seeded from the study's seed, "
        "and Newcombe's score interval where that has none; of differences of means: Welch's t"
    )
    return Item(
        "effects",
        "Effect sizes",
        cases(sum(map(len, finals.values())), "participant"),
        how,
        table=table(columns, rows, range(2, 6)),
    )


@report_item("reviewers")
def centres(frame: ReportContext) -> Item:
    """Mean and median of each group with their intervals."""
    rows = []
    everyone = [member.final for member in frame.people.evaluated if member.final is not None]
    for group, scores in {**frame.people.finals(), "everyone": everyone}.items():
        mean, median = stats.mean_interval(scores, frame.seed), stats.median_interval(scores)
        shown = (frame.score(summaries.mean(scores)), interval(mean.low, mean.high, frame.score))
        middle = frame.score(statistics.median(scores)) if scores else frame.score(None)
        rows.append((group, str(len(scores)), *shown, middle, interval(median.low, median.high, frame.score)))
    how = (
        "intervals of means: bootstrap-t over participants, seeded from the study's seed; of medians: interpolated order "
        "statistics, of six values or more; both chosen by their simulated coverage (see the documentation on studies)"
    )
    return Item(
        "centres",
        "Means and medians with their intervals",
        cases(len(frame.people.evaluated), "participant"),
        how,
        table=table(("group", "n", "mean", "95 % interval", "median", "95 % interval"), rows, range(1, 6)),
        why="" if frame.people.evaluated else "nobody has a final test score yet",
    )


@report_item("reviewers")
def survival(frame: ReportContext) -> list[Item]:
    """Tries to each threshold of the plan, with those who never reached it."""
    items = []
    for threshold in frame.study.plan.thresholds:
        needed = {
            group: [paper_items.tries_to(member.session, threshold) for member in frame.people.of(group)]
            for group in frame.people.groups
        }
        sides = {group: ([at for at, _ in pairs], [did for _, did in pairs]) for group, pairs in needed.items() if pairs}
        curves = [stats.kaplan_meier(group, tries, reached) for group, (tries, reached) in sides.items()]
        test = stats.log_rank(sides)
        rows = [
            (curve.name, str(curve.n), str(curve.reached), number(curve.median), interval(curve.low, curve.high))
            for curve in curves
        ]
        rows.append(
            (
                "log-rank",
                str(test.n),
                "–",
                number(test.statistic),
                f"p {p_words(test.p)}" if test.p is not None else test.why or "–",
            )
        )
        drawn = any(curve.steps for curve in curves)
        items.append(
            Item(
                key=f"survival-{threshold:g}".replace(".", "-"),
                title=f"Tries to {threshold_words(frame, threshold)}, with those who never reached it",
                n=cases(sum(curve.n for curve in curves), "participant"),
                how=f"{curves[0].how if curves else ''}; {test.how}",
                spec=figures.survival(curves) if drawn else None,
                table=table(("group", "n", "reached it", "median tries", "95 % interval"), rows, [1, 2, 3]),
                why="" if drawn else "not drawn: nobody tried",
                alt="; ".join(f"{curve.name}: median {number(curve.median)}" for curve in curves),
            )
        )
    return items


@report_item("reviewers")
def mixed(frame: ReportContext) -> Item:
    """All trials, with participants as random effects."""
    rows = list(paper_items.pooled_values(frame.people))
    values, tries, groups, people = ([row[index] for row in rows] for index in range(4))
    fit = mixed_model.mixed(values, tries, groups, people, order=frame.people.groups)  # type: ignore[arg-type]
    return mixed_item("mixed", "All trials, with participants as random effects", fit)


def mixed_item(key: str, title: str, fit: mixed_model.Mixed) -> Item:
    """A mixed model as an item: its terms and variances.

    Args:
        key: of the item.
        title: of the item.
        fit: the model.

    Returns:
        The item.
    """
    terms = [
        (term.name, number(term.estimate), number(term.error), interval(term.low, term.high), p_value(term.p))
        for term in fit.terms
    ]
    if fit.between is not None:
        terms.append(("variance between participants", number(fit.between), "–", "–", "–"))
    if fit.within is not None:
        terms.append(("variance within", number(fit.within), "–", "–", "–"))
    heads = ("term", "estimate", "standard error", "95 % interval", "p")
    words = "; ".join(fit.warnings)
    return Item(
        key,
        title,
        f"{cases(fit.n, 'trial')} of {fit.participants} people",
        fit.how + (f". To be said of the fit: {words}" if words else ""),
        table=table(heads, terms, range(1, 5)),
        why=fit.why or "",
    )


@report_item("reviewers", whole_study=True)
def planned_power(frame: ReportContext) -> Item:
    """The power of the planned test."""
    curve = power.power_curve(frame.study.plan, seed=derive_seed(frame.study.seed, "power"))
    rows = [(str(at.n), score(at.power, True), score(at.error, True), score(at.closed, True)) for at in curve.points]
    reach = "; ".join(f"power of {target.power:.0%} with {target.words} participants" for target in curve.reaches)
    return Item(
        key="power",
        title=f"Power of the planned test ({curve.test.title()}, effect {curve.expected:g}, level {curve.alpha:g})",
        n=f"{curve.simulations} simulations a size; {reach}",
        how=curve.how,
        spec=figures.power(curve) if curve.points else None,
        table=table(("participants", "power", "Monte Carlo error", "closed form"), rows, range(4)),
        why=curve.why or "",
        alt=reach,
    )


# Search behaviour


@report_item("search")
def search(frame: ReportContext) -> Item:
    """How people searched, in numbers."""
    groups = {group: [behaviour.behaviour(member.session) for member in frame.people.of(group)] for group in frame.people.groups}
    rows = []
    for measure in behaviour.compare(groups):
        cells = [
            "–"
            if summary.mean is None
            else f"{number(summary.mean)} ± {number(summary.deviation)} (n{NARROW_SPACE}={NARROW_SPACE}{summary.count})"
            for summary in measure.groups.values()
        ]
        rows.append((measure.label, *cells, p_value(measure.test.p)))
    columns = ("measure", *groups, "p (Kruskal-Wallis)")
    sessions = [member.session for member in frame.people.members]
    return Item(
        "search",
        "How they searched",
        cases(len(sessions), "participant"),
        "mean ± SD over participants; p is not adjusted for the number of measures; " + _how(groups),
        table=table(columns, rows, [len(columns) - 1]),
    )


def _how(groups: dict[str, list[behaviour.Behaviour]]) -> str:
    return next((member.how for members in groups.values() for member in members), "")


@report_item("search")
def likeness(frame: ReportContext) -> list[Item]:
    """How like random search people searched, where anybody is in the statistics."""
    members = frame.people.members
    if not members:
        return []
    most = max(len(counted(participant.session)) for participant in members)
    maximize, seed = frame.people.maximize, derive_seed(frame.study.seed, "random tuners")
    tasks = {participant.session.task.id: participant.session.task for participant in members}
    random = {
        key: behaviour.random_search(task.space, most, derive_seed(frame.study.seed, "random search"))
        for key, task in tasks.items()
    }
    pools = {key: behaviour.random_pool(frame.archive.sessions, key) for key in tasks}
    bests = {key: behaviour.random_bests(pool, maximize, most, seed) for key, pool in pools.items() if pool and most}
    rows, how = [], ""
    for member in members:
        key = member.session.task.id
        similarity = behaviour.likeness(behaviour.behaviour(member.session), random[key])
        against = behaviour.against_random(member.session, bests[key], seed) if key in bests else None
        how = max(how, similarity.how + (f"; {against.how}" if against else ""), key=len)
        best = number(against.percentile) if against else "–"
        rows.append(
            (member.pseudonym, member.group or "–", str(similarity.n), number(similarity.step), number(similarity.changed), best)
        )
    columns = ("participant", "group", "trials", "step, percentile", "changes, percentile", "best value, percentile")
    shown = table(columns, rows, range(2, 6))
    return [
        Item(
            "likeness",
            "Likeness to random search",
            cases(len(rows), "participant"),
            f"{how}. Near 50: as random search",
            table=shown,
        )
    ]


# Sensitivity, disclosure, provenance


@report_item("sensitivity", exact=True)
def sensitivities(frame: ReportContext) -> Item:
    """Each headline that moves under another choice."""
    moved = frame.moved
    rows = []
    for row in moved.rows:
        if not row.moves and not row.flips:
            continue
        flips = "–" if row.flips is None else "yes" if row.flips else "no"
        n = str(row.n[0]) if row.n[0] == row.n[1] else f"{row.n[0]}, {row.n[1]}"
        rows.append((row.headline, row.choice, row.planned_as, row.alternative, number(row.planned), number(row.under), n, flips))
    columns = ("headline", "choice", "as planned", "instead", "number as planned", "number instead", "n", "conclusion changes")
    skipped = "; ".join(f"{choice} ({why})" for choice, why in moved.skipped)
    same = len(moved.rows) - len(rows)
    how = f"{moved.how}. {same} further rows, whose number stays the same, are not shown" + (
        f". Did not arise: {skipped}" if skipped else ""
    )
    return Item(
        "sensitivity",
        "Each headline under each other choice",
        cases(moved.n, "participant"),
        how,
        table=table(columns, rows, [4, 5, 6]),
        why="" if rows else "no headline can be computed, or none moves under any other choice",
    )


@report_item("sensitivity", exact=True)
def by_measures(frame: ReportContext) -> list[Item]:
    """Figures 4 to 9 and Table 2 by each measure of experience, where the study asks for several."""
    if not measures(frame.study):
        return []
    made = sensitivity.by_measures(frame.archive, frame.mode)
    names = [measure_name(measure) for measure in made.measures]
    rows = [
        (place, headline, *(_measured(figure, (at, column) in made.flips) for column, figure in enumerate(figures)))
        for at, (place, headline, figures) in enumerate(made.rows)
    ]
    groups = "; ".join(f"{name}: {words}" for name, words in zip(names, made.groups, strict=True) if words)
    how = (
        f"each number of the paper's figures computed again with another measure of experience. Groups by {groups}. Those of "
        "other measures are as large as the study's own, as nearly as equal answers allow, or the options where there are as "
        "many. "
        f"(!): significance at {frame.study.plan.alpha:g} is another one than by {names[0]}; no p is adjusted"
    )
    n = cases(len(frame.people.members), "participant")
    shown = table(("of", "number", *names), rows, range(2, 2 + len(names)))
    title = "Figures 4 to 9 and Table 2 by each measure of experience"
    return [Item("measures-figures", title, n, how, table=shown, folded=True)]


def _measured(figure: sensitivity.Figure, flips: bool) -> str:
    shown = p_value(figure.value) if figure.is_p else number(figure.value)
    return f"{shown}{' (!)' if flips else ''} (n{NARROW_SPACE}={NARROW_SPACE}{figure.n})"


@report_item("sensitivity")
def signals(frame: ReportContext) -> list[Item]:
    """Who is flagged by process signals, where the study records them."""
    if not frame.study.signals:
        return []
    people = process_signals(frame.archive, {member.pseudonym for member in frame.people.members})
    rows = [
        (
            row.pseudonym,
            f"{row.recorded} of {row.trials}",
            str(row.pastes),
            str(row.away),
            number(row.away_minutes),
            "yes" if row.flagged else "no",
        )
        for row in people
    ]
    flagged = sum(row.flagged for row in people)
    how = f"flagged: who {rule_words(frame.study.plan.flags)}. {flagged} of {len(people)} are; the sensitivity table leaves them "
    how += "out once; trials from a browser without scripts have no signals, and flag nobody"
    columns = ("participant", "trials with signals", "pastes", "page left, times", "page left, minutes", "flagged")
    shown = table(columns, rows, (2, 3, 4))
    n = cases(len(people), "participant")
    return [
        Item("process-signals", "Process signals", n, how, table=shown, why="" if rows else "nobody is in the statistics yet")
    ]


@report_item("disclosure")
def disclosure(frame: ReportContext) -> Item:
    """Final settings and effort of everyone."""
    rows = []
    for row in paper_items.disclosure(frame.archive, frame.people):
        settings = ", ".join(f"{name} {value}" for name, value in row.settings) or "no choice"
        minutes = "–" if row.seconds is None else number(round(row.seconds / 60, 1))
        final = frame.score(row.final) + (f" ± {frame.score(row.sd)}" if row.sd is not None else "")
        chosen = settings + (" (chosen automatically)" if row.automatic else "")
        effort = (str(row.trials), str(row.epochs), minutes)
        rows.append((row.tuner, row.group or row.kind, *effort, frame.score(row.best), final, str(row.seeds), chosen))
    columns = ("tuner", "group", "trials", "epochs", "minutes", "best validation", "test", "seeds", "final settings")
    how = "as the paper's recommendations ask: final settings and effort of everyone; test: mean ± SD over seeds"
    if together := paper_items.joint(frame.archive):
        names = ", ".join(session.tuner for session in together)
        how += f"; left out, since a person and a method worked on it together: {names}"
    return Item(
        "disclosure",
        "Final settings and effort",
        cases(len(rows), "tuner"),
        how,
        table=table(columns, rows, range(2, 8)),
        why="" if rows else "nobody is in the statistics, and no method has chosen",
    )


@report_item("provenance", whole_study=True)
def versions(frame: ReportContext) -> Item:
    """The versions of the study."""
    rows = [
        (str(version.version), version.hash or "–", "yes" if version.published_at is not None else "no", version.note or "–")
        for version in frame.archive.versions
    ]
    return Item(
        "versions", "Versions of the study", cases(len(rows), "version"), "hash of the file, texts, data and packages",
        table=table(("version", "hash", "published", "note"), rows),
    )  # fmt: skip


@report_item("provenance", whole_study=True)
def tasks(frame: ReportContext) -> Item:
    """The tasks, their versions and data."""
    rows = [
        (task.spec.plain_name, task.version, ", ".join(f"{k} {v}" for k, v in task.statistics.items()))
        for task in frame.archive.tasks
    ]
    return Item(
        "tasks",
        "Tasks",
        cases(len(rows), "task"),
        "hash of revision or source, settings, space and data",
        table=table(("task", "version", "data"), rows),
    )


@report_item("provenance", whole_study=True)
def packages(frame: ReportContext) -> Item:
    """The packages that the study's version recorded."""
    rows = [(name, version) for name, version in frame.study.packages.items()]
    return Item(
        "packages",
        "Packages",
        cases(len(rows), "package"),
        "when the version was declared",
        table=table(("package", "version"), rows),
        why="" if rows else "no package was recorded with this version",
    )


def environment_words(environments: Mapping[str, Environment], key: str | None) -> str:
    """An environment in words."""
    return "not recorded" if key is None else environments[key].words()


@report_item("provenance", whole_study=True)
def trained_in(frame: ReportContext) -> Item:
    """Versions and machines that trained."""
    environments = where_trained(frame.archive.sessions, frame.archive.evaluations)
    rows = [
        (environment_words(frame.archive.environments, environment.key), str(environment.trials), str(environment.seeds))
        for environment in environments
    ]
    trials, seeds = (
        sum(environment.trials for environment in environments),
        sum(environment.seeds for environment in environments),
    )
    pinned = frame.study.environment
    if pinned is not None:
        how = f"as each agent said when it claimed the training; this version was pinned to {pinned.words()}"
    elif frame.study.machines == "any":
        how = "as each agent said when it claimed the training; the study declares itself for any machine"
    else:
        how = "as each agent said when it claimed the training; this version was pinned to nothing"
    return Item(
        "trained-in",
        "Versions and machines that trained",
        f"{cases(trials, 'trial')}, {cases(seeds, 'evaluation training')}",
        how,
        table=table(("trained with", "trials", "evaluation trainings"), rows, (1, 2)),
        why="" if rows else "nothing was trained",
    )


@report_item("provenance")
def by_environment(frame: ReportContext) -> list[Item]:
    """Where the study takes any machine, or several kinds trained for it after all: what came out on each."""
    environments = strata(frame.people, frame.archive.evaluations)
    if frame.study.machines != "any" and len(environments) < 2:
        return []
    rows = [
        (
            environment_words(frame.archive.environments, environment.key),
            str(environment.trials),
            *_told(frame, environment.validation),
            str(environment.seeds),
            *_told(frame, environment.test),
        )
        for environment in environments
    ]
    columns = ("trained with", "trials", "best validation", "participants", "evaluation trainings", "test", "participants")
    how = (
        "mean ± SD over participants: of the best validation of their trials there, and of the mean test score of their seeds "
        "there; who tunes where is not assigned, so a difference is no proof that machines differ"
    )
    n = cases(len(frame.people.members), "participant")
    why = "" if rows else "nobody in the statistics has trained"
    return [Item("strata", "Scores by versions and machine", n, how, table=table(columns, rows, range(1, 7)), why=why)]


def _told(frame: ReportContext, summary: Summary) -> tuple[str, str]:
    """A mean with its deviation, and of how many."""
    spread = "" if summary.deviation is None else f" ± {frame.score(summary.deviation)}"
    return f"{frame.score(summary.mean)}{spread}", str(summary.count)
