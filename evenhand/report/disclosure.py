"""The disclosure sheet of a comparison: all that a paper should state of every contestant, as tables.

Source of what is asked: Anand et al. (2020), "Black Magic in Deep Learning", 4.3: share the final settings; tune and report
baselines with equal effort. Dodge et al. (2019), "Show Your Work": budgets and search spaces, too.
"""

from collections.abc import Sequence

from evenhand.analysis.anytime import Race, SessionEntry, Setup, Trajectory, effort
from evenhand.analysis.cohort import seed_values
from evenhand.analysis.environments import where_trained
from evenhand.analysis.paper_items import space_table
from evenhand.analysis.study_items import SpaceRow
from evenhand.analysis.summaries import summary
from evenhand.model.direction import words_of
from evenhand.model.domain import show
from evenhand.model.trial import Trial
from evenhand.model.words import budget_words, cases, is_share, metric_name, number, score
from evenhand.report.blocks import Item, ReportSection, table

UNKNOWN_WORDS = "not recorded"
OUTCOME_ORDER = ("completed", "stopped", "diverged", "invalid", "failed")


def sheet(race: Race, setup: Setup) -> ReportSection:
    """The sheet: contestants, tasks, spaces, effort, every chosen configuration, and where it ran."""
    items = (_contestants(race), _tasks(race, setup), _spaces(race), _effort(race), _chosen(race), _setup(setup), _trained(race))
    intro = "Everything that is needed to judge the comparison, and to repeat it; also to be had as LaTeX."
    return ReportSection("disclosure", "Disclosure sheet", intro, items)


def _contestants(race: Race) -> Item:
    rows = []
    for name, kind in race.contestants.items():
        entries = [course.entry for course in race.courses if course.entry.contestant == name]
        seeds = sorted({entry.seed for entry in entries})
        rows.append((name, kind, _settings(entries), str(len(entries)), _ranges(seeds)))
    columns = ("contestant", "kind", "settings", "sessions", "seeds")
    how = "the settings of the tuner itself, as it was made; seeds pair the sessions of different contestants"
    return Item("contestants", "Contestants", cases(len(rows), "contestant"), how, table=table(columns, rows, [3]))


def _settings(entries: Sequence[SessionEntry]) -> str:
    """A contestant's settings in words; where they differ between sessions, with the tasks that they are of."""
    tasks: dict[str, list[str]] = {}
    for entry in entries:
        given = entry.settings or {key: value for key, value in entry.session.method.items() if key != "name"}
        words = ", ".join(f"{key} {value}" for key, value in sorted(given.items()))
        tasks.setdefault(words or ("–" if entry.kind == "person" else "as built in"), []).append(entry.task)
    if len(tasks) == 1:
        return next(iter(tasks))
    return "; ".join(f"{words} (on {', '.join(dict.fromkeys(names))})" for words, names in tasks.items())


def _ranges(numbers: Sequence[int]) -> str:
    """Whole numbers in ascending order with runs of three or more told by their ends: 0 to 19, 42."""
    runs: list[list[int]] = []
    for value in numbers:
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _tasks(race: Race, setup: Setup) -> Item:
    rows = []
    for task in race.tasks:
        record, scale = race.records[task], race.scales[task]
        share = is_share(record.metric)
        better = words_of(record.maximize)
        data = ", ".join(f"{name} {value}" for name, value in record.statistics.items())
        data = "; ".join(part for part in (setup.labels.get(task, ""), data) if part) or "–"
        settings = ", ".join(f"{name} {value}" for name, value in sorted(record.spec.settings.items())) or "–"
        rows.append(
            (
                task,
                record.version,
                settings,
                data,
                f"{metric_name(record.metric)}, {better}",
                budget_words(race.budgets[task]),
                score(scale.best, share),
                score(scale.reference, share),
            )
        )
    columns = ("task", "version (hash)", "settings", "data", "metric", "budget", "regret 0", "regret 1")
    how = (
        "the version is a hash of the task's revision or source, settings, space and data; regret 0 is the best known value, "
        "regret 1 the reference"
    )
    return Item("tasks", "Tasks and budgets", cases(len(rows), "task"), how, table=table(columns, rows, [6, 7]))


def _spaces(race: Race) -> Item:
    """Each different space once, by a number; `how` says which tasks have it."""
    spaces: dict[tuple[SpaceRow, ...], list[str]] = {}
    for task in race.tasks:
        spaces.setdefault(space_table(race.records[task].space), []).append(task)
    rows = [
        (str(at), row.label, row.kind, row.default, row.values, row.scale, row.when)
        for at, space in enumerate(spaces, 1)
        for row in space
    ]
    of = "; ".join(f"space {at}: {', '.join(names)}" for at, names in enumerate(spaces.values(), 1))
    columns = ("space", "hyperparameter", "kind", "default", "values", "scale", "active for")
    how = f"what every contestant could set; {of}"
    shown = table(columns, rows, [0])
    return Item("spaces", "Search spaces", cases(len(spaces), "space"), how, table=shown, folded=len(rows) > 40)


def _effort(race: Race) -> Item:
    rows = []
    for task in race.tasks:
        for name, kind in race.contestants.items():
            entries = [course.entry for course in race.of(task, name)]
            if not entries:
                continue
            total = effort(name, kind, [entry.session for entry in entries])
            minutes = number(round(total.clock / 60, 1)) if kind == "person" else "–"
            outcomes = ", ".join(
                f"{total.outcomes[outcome]} {outcome}" for outcome in OUTCOME_ORDER if total.outcomes.get(outcome)
            )
            spent = (str(total.trials), str(total.epochs), number(total.training), number(total.clock), minutes)
            rows.append((task, name, str(total.sessions), *spent, outcomes))
    columns = ("task", "contestant", "sessions", "trials", "epochs", "training, s", "clock, s", "minutes", "outcomes")
    how = (
        "sums over sessions, whole, whether they were cut to the common budget or not; the clock counts thinking and training, "
        "neither waiting for an agent nor outages; minutes: the clock of people; failed trials are the infrastructure's fault "
        "and cost nothing"
    )
    count = cases(sum(map(int, (row[2] for row in rows))), "session")
    return Item("effort", "Effort", count, how, table=table(columns, rows, range(2, 8)), folded=len(rows) > 40)


def _chosen(race: Race) -> Item:
    rows = [_choice(race, course) for course in race.courses]
    columns = ("task", "contestant", "seed", "tuning seed", "trial", "validation", "test", "final configuration")
    how = (
        "what each session chose in the end; validation: of that trial, with the tuning seed; test: mean ± SD over the seeds of "
        "the evaluation"
    )
    shown = table(columns, rows, range(2, 7))
    return Item("chosen", "Every final configuration", cases(len(rows), "session"), how, table=shown, folded=len(rows) > 20)


def _choice(race: Race, course: Trajectory) -> tuple[str, ...]:
    entry, session = course.entry, course.entry.session
    share = is_share(session.task.metric)
    choice = session.choice
    words, of = "no choice", None
    if choice is not None and choice.configuration is not None:
        space, chosen = session.space, choice.configuration
        words = ", ".join(f"{parameter.name} {show(chosen[parameter.name])}" for parameter in space if parameter.name in chosen)
        words += " (chosen automatically)" if choice.automatic else ""
        of = session.chosen_trial
    elif choice is None:
        words = "not chosen: the budget was used up"
    scores = summary(seed_values(entry.evaluation))
    test = score(scores.mean, share) + (f" ± {score(scores.deviation, share)}" if scores.deviation is not None else "")
    test += " (of the whole, larger budget)" if course.cut and scores.count else ""
    numbers = (str(entry.seed), str(session.tuning_seed), _number_of(of), score(of.value if of else None, share))
    return (entry.task, entry.contestant, *numbers, test, words)


def _number_of(trial: Trial | None) -> str:
    return "–" if trial is None else str(trial.number)


def _setup(setup: Setup) -> Item:
    rows = [
        ("command", setup.command or UNKNOWN_WORDS),
        ("machine", setup.machine or UNKNOWN_WORDS),
        ("study (hash)", setup.study_hash or UNKNOWN_WORDS),
        ("seed of every bootstrap", str(setup.seed)),
        *((f"version of {name}", version) for name, version in sorted(setup.packages.items())),
    ]
    return Item(
        "where",
        "Where and with what it ran",
        cases(len(setup.packages), "package"),
        "as recorded when the comparison was made",
        table=table(("what", "value"), rows),
    )


def _trained(race: Race) -> Item:
    """Trainings of one comparison may be done on several days and machines: how many with what."""
    entries = {course.entry.session.id: course.entry for course in race.courses}
    evaluations = {key: entry.evaluation for key, entry in entries.items() if entry.evaluation is not None}
    environments = where_trained([entry.session for entry in entries.values()], evaluations)
    rows = [
        (
            UNKNOWN_WORDS if environment.key is None else race.environments[environment.key].words(),
            str(environment.trials),
            str(environment.seeds),
        )
        for environment in environments
    ]
    return Item(
        "trained-in",
        "Versions and machines that trained",
        cases(sum(environment.trials for environment in environments), "trial"),
        "as recorded with each training; the same configuration gives the same numbers with one of these only",
        table=table(("trained with", "trials", "evaluation trainings"), rows, (1, 2)),
        why="" if rows else "nothing was trained",
    )
