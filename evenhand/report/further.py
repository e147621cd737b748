"""The parts of a report beyond the paper's: what reviewers ask, search behaviour, sensitivity, disclosure, provenance."""

from evenhand.analysis import behaviour, power, stats, study
from evenhand.analysis.cohort import counted
from evenhand.protocol import derive_seed
from evenhand.report import figures
from evenhand.report.blocks import NARROW, Item, Section, cases, interval, number, p_value, score, table
from evenhand.report.frame import Frame, p_words, threshold_words

# What reviewers ask


def reviewers(frame: Frame) -> Section:
    finals = frame.people.finals()
    items = [_location(frame, finals), _effects(frame, finals), *_survival(frame), _mixed(frame), _power(frame)]
    return Section("reviewers", "What reviewers ask", "Participants are the cases; evaluation seeds never are.", tuple(items))


def _location(frame: Frame, finals: dict[str, list[float]]) -> Item:
    overall = stats.kruskal(finals)
    rows = [("all groups", str(overall.n), overall.name, number(overall.statistic), p_value(overall.p), "–")]
    for test in ("brunner-munzel", "mann-whitney"):
        for each in stats.pairwise(finals, test):
            name = f"{each.first} and {each.second}"
            rows.append(
                (name, f"{each.n[0]}, {each.n[1]}", test.title(), number(each.statistic), p_value(each.p), p_value(each.adjusted))
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


def _effects(frame: Frame, finals: dict[str, list[float]]) -> Item:
    rows = []
    names = list(finals)
    for index, first in enumerate(names):
        for second in names[index + 1 :]:
            delta = stats.cliffs_delta(finals[second], finals[first], frame.seed)
            means = stats.mean_difference(finals[second], finals[first], frame.seed)
            shown = f"{delta.value:.2f} ({delta.words})" if delta.value is not None else delta.why or "–"
            sure = interval(delta.interval.low, delta.interval.high, lambda value: f"{value:.2f}")
            apart = interval(means.interval.low, means.interval.high, frame.score)
            rows.append((f"{second} less {first}", f"{delta.n[0]}, {delta.n[1]}", shown, sure, frame.score(means.value), apart))
    columns = ("groups", "n", "Cliff's delta", "95 % interval", "difference of means", "95 % interval")
    how = "bias-corrected and accelerated bootstrap over participants; the seed is derived from the study's"
    return Item(
        "effects",
        "Effect sizes",
        cases(sum(map(len, finals.values())), "participant"),
        how,
        table=table(columns, rows, range(2, 6)),
    )


def _survival(frame: Frame) -> list[Item]:
    items = []
    for threshold in frame.study.plan.thresholds:
        needed = {
            group: [study.tries_to(each.session, threshold) for each in frame.people.of(group)] for group in frame.people.groups
        }
        sides = {group: ([at for at, _ in pairs], [did for _, did in pairs]) for group, pairs in needed.items() if pairs}
        curves = [stats.kaplan_meier(group, tries, reached) for group, (tries, reached) in sides.items()]
        test = stats.log_rank(sides)
        rows = [
            (each.name, str(each.n), str(each.reached), number(each.median), interval(each.low, each.high)) for each in curves
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
        drawn = any(each.steps for each in curves)
        items.append(
            Item(
                key=f"survival-{threshold:g}".replace(".", "-"),
                title=f"Tries to {threshold_words(frame, threshold)}, with those who never reached it",
                n=cases(sum(each.n for each in curves), "participant"),
                how=f"{curves[0].how if curves else ''}; {test.how}",
                spec=figures.survival(curves) if drawn else None,
                table=table(("group", "n", "reached it", "median tries", "95 % interval"), rows, [1, 2, 3]),
                why="" if drawn else "not drawn: nobody tried",
                alt="; ".join(f"{each.name}: median {number(each.median)}" for each in curves),
            )
        )
    return items


def _mixed(frame: Frame) -> Item:
    rows = list(study.pooled_values(frame.people))
    found = stats.mixed(*([row[index] for row in rows] for index in range(4)))  # type: ignore[arg-type]
    told = [
        (each.name, number(each.estimate), number(each.error), interval(each.low, each.high), p_value(each.p))
        for each in found.terms
    ]
    if found.between is not None:
        told.append(("variance between participants", number(found.between), "–", "–", "–"))
    if found.within is not None:
        told.append(("variance within", number(found.within), "–", "–", "–"))
    columns = ("term", "estimate", "standard error", "95 % interval", "p")
    words = "; ".join(found.warnings)
    return Item(
        "mixed",
        "All trials, with participants as random effects",
        f"{cases(found.n, 'trial')} of {found.participants} people",
        found.how + (f". The fit warned: {words}" if words and not found.why else ""),
        table=table(columns, told, range(1, 5)),
        why=found.why or "",
    )


def _power(frame: Frame) -> Item:
    found = power.power_curve(frame.study.plan, seed=derive_seed(frame.study.seed, "power"))
    rows = [(str(at.n), score(at.power, True), score(at.error, True), score(at.closed, True)) for at in found.points]
    reach = "; ".join(f"power of {each.power:.0%} with {each.words} participants" for each in found.reaches)
    return Item(
        key="power",
        title=f"Power of the planned test ({found.test.title()}, effect {found.expected:g}, level {found.alpha:g})",
        n=f"{found.simulations} simulations a size; {reach}",
        how=found.how,
        spec=figures.power(found) if found.points else None,
        table=table(("participants", "power", "Monte Carlo error", "closed form"), rows, range(4)),
        why=found.why or "",
        alt=reach,
    )


# Search behaviour


def search(frame: Frame) -> Section:
    groups = {group: [behaviour.behaviour(each.session) for each in frame.people.of(group)] for group in frame.people.groups}
    rows = []
    for found in behaviour.compare(groups):
        told = [
            "–" if each.mean is None else f"{number(each.mean)} ± {number(each.deviation)} (n{NARROW}={NARROW}{each.count})"
            for each in found.groups.values()
        ]
        rows.append((found.label, *told, p_value(found.test.p)))
    columns = ("measure", *groups, "p (Kruskal-Wallis)")
    sessions = [each.session for each in frame.people.members]
    first = Item(
        "search",
        "How they searched",
        cases(len(sessions), "participant"),
        "mean ± SD over participants; p is not adjusted for the number of measures; " + _how(groups),
        table=table(columns, rows, [len(columns) - 1]),
    )
    return Section("search", "Search behaviour", "The paper's section 3.2, made measurable.", (first, *_likeness(frame)))


def _how(groups: dict[str, list[behaviour.Behaviour]]) -> str:
    return next((each.how for members in groups.values() for each in members), "")


def _likeness(frame: Frame) -> list[Item]:
    members = frame.people.members
    if not members:
        return []
    most = max(len(counted(each.session)) for each in members)
    maximize, seed = frame.people.maximize, derive_seed(frame.study.seed, "random tuners")
    tasks = {each.session.task.id: each.session.task for each in members}
    random = {
        key: behaviour.random_search(task.space, most, derive_seed(frame.study.seed, "random search"))
        for key, task in tasks.items()
    }
    pools = {key: behaviour.random_pool(frame.archive.sessions, key) for key in tasks}
    bests = {key: behaviour.random_bests(pool, maximize, most, seed) for key, pool in pools.items() if pool and most}
    rows, how = [], ""
    for each in members:
        key = each.session.task.id
        found = behaviour.likeness(behaviour.behaviour(each.session), random[key])
        against = behaviour.against_random(each.session, bests[key], seed) if key in bests else None
        how = max(how, found.how + (f"; {against.how}" if against else ""), key=len)
        best = number(against.percentile) if against else "–"
        rows.append((each.pseudonym, each.group or "–", str(found.n), number(found.step), number(found.changed), best))
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


def sensitivities(frame: Frame) -> Section:
    found = frame.moved
    rows = []
    for row in found.rows:
        if not row.moves and not row.flips:
            continue
        flips = "–" if row.flips is None else "yes" if row.flips else "no"
        n = str(row.n[0]) if row.n[0] == row.n[1] else f"{row.n[0]}, {row.n[1]}"
        rows.append((row.headline, row.choice, row.planned_as, row.alternative, number(row.planned), number(row.under), n, flips))
    columns = ("headline", "choice", "as planned", "instead", "number as planned", "number instead", "n", "conclusion changes")
    skipped = "; ".join(f"{choice} ({why})" for choice, why in found.skipped)
    same = len(found.rows) - len(rows)
    how = f"{found.how}. {same} further rows, whose number stays the same, are not shown" + (
        f". Did not arise: {skipped}" if skipped else ""
    )
    item = Item(
        "sensitivity",
        "Each headline under each other choice",
        cases(found.n, "participant"),
        how,
        table=table(columns, rows, [4, 5, 6]),
        why="" if rows else "no headline can be computed, or none moves under any other choice",
    )
    return Section("sensitivity", "Sensitivity to what is ambiguous", items=(item,))


def disclosure(frame: Frame) -> Section:
    rows = []
    for each in study.disclosure(frame.archive, frame.people):
        settings = ", ".join(f"{name} {value}" for name, value in each.settings) or "no choice"
        minutes = "–" if each.seconds is None else number(round(each.seconds / 60, 1))
        final = frame.score(each.final) + (f" ± {frame.score(each.sd)}" if each.sd is not None else "")
        chosen = settings + (" (chosen automatically)" if each.automatic else "")
        effort = (str(each.trials), str(each.epochs), minutes)
        rows.append((each.tuner, each.group or each.kind, *effort, frame.score(each.best), final, str(each.seeds), chosen))
    columns = ("tuner", "group", "trials", "epochs", "minutes", "best validation", "test", "seeds", "final settings")
    how = "as the paper's recommendations ask: final settings and effort of everyone; test: mean ± SD over seeds"
    if together := study.joint(frame.archive):
        names = ", ".join(each.tuner for each in together)
        how += f"; left out, since a person and a method worked on it together: {names}"
    item = Item(
        "disclosure",
        "Final settings and effort",
        cases(len(rows), "tuner"),
        how,
        table=table(columns, rows, range(2, 8)),
        why="" if rows else "nobody is in the statistics, and no method has chosen",
    )
    return Section("disclosure", "Disclosure", items=(item,))


def provenance(frame: Frame) -> Section:
    versions = [
        (str(each.version), each.hash or "–", "yes" if each.published_at is not None else "no", each.note or "–")
        for each in frame.archive.versions
    ]
    first = Item(
        "versions", "Versions of the study", cases(len(versions), "version"), "hash of the file, texts, data and packages",
        table=table(("version", "hash", "published", "note"), versions),
    )  # fmt: skip
    tasks = [
        (each.spec.name.rpartition("/")[2], each.version, ", ".join(f"{k} {v}" for k, v in each.statistics.items()))
        for each in frame.archive.tasks
    ]
    second = Item(
        "tasks",
        "Tasks",
        cases(len(tasks), "task"),
        "hash of source, settings and data",
        table=table(("task", "version", "data"), tasks),
    )
    packages = [(name, version) for name, version in frame.study.packages.items()]
    third = Item(
        "packages",
        "Packages",
        cases(len(packages), "package"),
        "when the version was declared",
        table=table(("package", "version"), packages),
        why="" if packages else "no package was recorded with this version",
    )
    return Section("provenance", "Where the numbers come from", items=(first, second, third))
