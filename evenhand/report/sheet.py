"""The disclosure sheet of a comparison: all that a paper should state of every contestant, as tables.

Source of what is asked: Anand et al. (2020), "Black Magic in Deep Learning", 4.3: share the final settings; tune and report
baselines with equal effort. Dodge et al. (2019), "Show Your Work": budgets and search spaces, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evenhand.analysis.anytime import Course, Entry, Race, effort
from evenhand.analysis.cohort import seed_values
from evenhand.analysis.items import SpaceRow
from evenhand.analysis.scores import is_share, summary
from evenhand.analysis.study import space_table
from evenhand.declaration import Budget
from evenhand.records import Trial
from evenhand.report.blocks import Item, Section, cases, number, score, table
from evenhand.space import show

UNKNOWN = "not recorded"
OUTCOMES = ("completed", "stopped", "diverged", "invalid", "failed")


@dataclass(frozen=True)
class Setup:
    """What no session's record holds. command: what ran the comparison. machine: processor, memory, accelerator, in words.

    study_hash: of the study whose sessions these are. packages: version by name, Evenhand's own among them. seed: of every
    bootstrap. labels: what must be said of a task's data in every output (generated data), by task.
    """

    title: str = "Comparison"
    command: str = ""
    machine: str = ""
    study_hash: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    seed: int = 0
    labels: Mapping[str, str] = field(default_factory=dict)


def sheet(race: Race, setup: Setup) -> Section:
    """The sheet: contestants, tasks, spaces, effort, every chosen configuration, and where it ran."""
    items = (_contestants(race), _tasks(race, setup), _spaces(race), _effort(race), _chosen(race), _setup(setup))
    intro = "Everything that is needed to judge the comparison, and to repeat it; also to be had as LaTeX."
    return Section("disclosure", "Disclosure sheet", intro, items)


def budget_words(budget: Budget) -> str:
    """A budget as people read it: 60 trials and 30 minutes, 4 at once."""
    parts = [f"{budget.trials} trials"] if budget.trials is not None else []
    parts += [f"{budget.epochs} epochs"] if budget.epochs is not None else []
    if budget.seconds is not None:
        parts.append(f"{budget.seconds / 60:g} minutes" if budget.seconds % 60 == 0 else f"{budget.seconds:g} seconds")
    return " and ".join(parts) + (f", {budget.parallel} at once" if budget.parallel > 1 else "")


def _contestants(race: Race) -> Item:
    rows = []
    for name, kind in race.contestants.items():
        entries = [each.entry for each in race.courses if each.entry.contestant == name]
        seeds = sorted({each.seed for each in entries})
        rows.append((name, kind, _settings(entries), str(len(entries)), _ranges(seeds)))
    columns = ("contestant", "kind", "settings", "sessions", "seeds")
    how = "the settings of the tuner itself, as it was made; seeds pair the sessions of different contestants"
    return Item("contestants", "Contestants", cases(len(rows), "contestant"), how, table=table(columns, rows, [3]))


def _settings(entries: Sequence[Entry]) -> str:
    """A contestant's settings in words; where they differ between sessions, with the tasks that they are of."""
    tasks: dict[str, list[str]] = {}
    for each in entries:
        given = each.settings or {key: value for key, value in each.session.method.items() if key != "name"}
        words = ", ".join(f"{key} {value}" for key, value in sorted(given.items()))
        tasks.setdefault(words or ("–" if each.kind == "person" else "as built in"), []).append(each.task)
    if len(tasks) == 1:
        return next(iter(tasks))
    return "; ".join(f"{words} (on {', '.join(dict.fromkeys(names))})" for words, names in tasks.items())


def _ranges(numbers: Sequence[int]) -> str:
    """Whole numbers in ascending order with runs of three or more told by their ends: 0 to 19, 42."""
    runs: list[list[int]] = []
    for each in numbers:
        if runs and each == runs[-1][-1] + 1:
            runs[-1].append(each)
        else:
            runs.append([each])
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _tasks(race: Race, setup: Setup) -> Item:
    rows = []
    for task in race.tasks:
        record, scale = race.records[task], race.scales[task]
        share = is_share(record.metric)
        better = "larger is better" if record.maximize else "smaller is better"
        data = ", ".join(f"{name} {value}" for name, value in record.statistics.items())
        data = "; ".join(part for part in (setup.labels.get(task, ""), data) if part) or "–"
        settings = ", ".join(f"{name} {value}" for name, value in sorted(record.spec.settings.items())) or "–"
        rows.append(
            (
                task,
                record.version,
                settings,
                data,
                f"{record.metric.replace('_', ' ')}, {better}",
                budget_words(race.budgets[task]),
                score(scale.best, share),
                score(scale.reference, share),
            )
        )
    columns = ("task", "version (hash)", "settings", "data", "metric", "budget", "regret 0", "regret 1")
    how = (
        "the version is a hash of the task's source, settings and data; regret 0 is the best known value, regret 1 the reference"
    )
    return Item("tasks", "Tasks and budgets", cases(len(rows), "task"), how, table=table(columns, rows, [6, 7]))


def _spaces(race: Race) -> Item:
    """Each different space once, by a number; `how` says which tasks have it."""
    spaces: dict[tuple[SpaceRow, ...], list[str]] = {}
    for task in race.tasks:
        spaces.setdefault(space_table(race.records[task].space), []).append(task)
    rows = [
        (str(at), each.label, each.kind, each.default, each.values, each.scale, each.when)
        for at, space in enumerate(spaces, 1)
        for each in space
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
            entries = [each.entry for each in race.of(task, name)]
            if not entries:
                continue
            found = effort(name, kind, [each.session for each in entries])
            minutes = number(round(found.clock / 60, 1)) if kind == "person" else "–"
            outcomes = ", ".join(f"{found.outcomes[each]} {each}" for each in OUTCOMES if found.outcomes.get(each))
            spent = (str(found.trials), str(found.epochs), number(found.training), number(found.clock), minutes)
            rows.append((task, name, str(found.sessions), *spent, outcomes))
    columns = ("task", "contestant", "sessions", "trials", "epochs", "training, s", "clock, s", "minutes", "outcomes")
    how = (
        "sums over sessions, whole, whether they were cut to the common budget or not; the clock counts thinking and training, "
        "neither waiting for an agent nor outages; minutes: the clock of people; failed trials are the infrastructure's fault "
        "and cost nothing"
    )
    told = cases(sum(map(int, (row[2] for row in rows))), "session")
    return Item("effort", "Effort", told, how, table=table(columns, rows, range(2, 8)), folded=len(rows) > 40)


def _chosen(race: Race) -> Item:
    rows = [_choice(race, each) for each in race.courses]
    columns = ("task", "contestant", "seed", "tuning seed", "trial", "validation", "test", "final configuration")
    how = (
        "what each session chose in the end; validation: of that trial, with the tuning seed; test: mean ± SD over the seeds of "
        "the evaluation"
    )
    shown = table(columns, rows, range(2, 7))
    return Item("chosen", "Every final configuration", cases(len(rows), "session"), how, table=shown, folded=len(rows) > 20)


def _choice(race: Race, course: Course) -> tuple[str, ...]:
    entry, session = course.entry, course.entry.session
    share = is_share(session.task.metric)
    choice = session.choice
    words, of = "no choice", None
    if choice is not None and choice.configuration is not None:
        space, chosen = session.space, choice.configuration
        words = ", ".join(f"{each.name} {show(chosen[each.name])}" for each in space if each.name in chosen)
        words += " (chosen automatically)" if choice.automatic else ""
        of = next((trial for trial in session.trials if trial.id == choice.trial_id), None)
    elif choice is None:
        words = "not chosen: the budget was used up"
    found = summary(seed_values(entry.evaluation))
    test = score(found.mean, share) + (f" ± {score(found.deviation, share)}" if found.deviation is not None else "")
    test += " (of the whole, larger budget)" if course.cut and found.count else ""
    numbers = (str(entry.seed), str(session.tuning_seed), _number_of(of), score(of.value if of else None, share))
    return (entry.task, entry.contestant, *numbers, test, words)


def _number_of(trial: Trial | None) -> str:
    return "–" if trial is None else str(trial.number)


def _setup(setup: Setup) -> Item:
    rows = [
        ("command", setup.command or UNKNOWN),
        ("machine", setup.machine or UNKNOWN),
        ("study (hash)", setup.study_hash or UNKNOWN),
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
