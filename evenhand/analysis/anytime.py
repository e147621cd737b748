"""Contestants on equal budgets: the best value so far against its cost, and how far that is from the best known value.

A session's cost is counted as its budget counts it (see `model.rules`): trials begun, epochs begun, and seconds of the session's
clock, which runs while its tuner thinks and while a trial trains. Regret puts values of different tasks on one scale: 0 is
the best known value, 1 the reference (a table's median, or the median first value), larger is worse.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evenhand.analysis import summaries
from evenhand.analysis.cohort import counted, seed_values
from evenhand.analysis.stats import INTERVAL_LEVEL
from evenhand.analysis.summaries import Unit
from evenhand.errors import InvalidSettings
from evenhand.model import rules
from evenhand.model.direction import best_of, best_so_far, is_better, reaches, sign_of, value_of
from evenhand.model.environment import Environment
from evenhand.model.evaluation import Evaluation
from evenhand.model.rules import derive_seed
from evenhand.model.session import Session
from evenhand.model.study import Budget
from evenhand.model.task import TaskRecord

Kind = Literal["method", "person", "bot", "joint"]
KINDS: tuple[Kind, ...] = ("method", "person", "bot", "joint")
UNITS: tuple[Unit, ...] = ("trials", "epochs", "seconds")
BUDGET_FRACTIONS = (0.25, 0.5, 1.0)  # of the budget, at which gaps are told
TOP_REGRET = 1.0  # regret is clipped here: a start below the reference says little of how a search goes on
CURVE_POINTS = 60  # points of a curve, where its cost is not a small number of trials
CURVE_RESAMPLES = 2000  # of an interval along a curve
FLOAT_SLACK = 1e-9  # a share of the budget, times the budget, may miss a whole number by this much

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class SessionEntry:
    """One session that enters a comparison.

    seed: which repetition it is; contestants with the same seed on a task are compared with each other, pair by pair.
    settings: the tuner's own settings, in words or numbers.
    """

    task: str
    contestant: str
    kind: Kind
    seed: int
    session: Session
    evaluation: Evaluation | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Scale:
    """What regret 0 and regret 1 are on a task, in the metric's unit; None: taken from the entries (see `race`)."""

    best: float | None = None
    reference: float | None = None


@dataclass(frozen=True)
class Comparison:
    """Entries as they were handed in. scales: by task. top: where regret is clipped. environments: trained in, by key."""

    entries: tuple[SessionEntry, ...]
    scales: Mapping[str, Scale] = field(default_factory=dict)
    top: float = TOP_REGRET
    environments: Mapping[str, Environment] = field(default_factory=dict)


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


@dataclass(frozen=True)
class CostPoint:
    """After a counted trial ended: what the session had spent, the trial's value, and the best so far (None: no value yet)."""

    number: int
    trials: float
    epochs: float
    seconds: float
    value: float | None
    best: float | None

    def cost(self, unit: Unit) -> float:
        """What had been spent, in one of the three units."""
        return self.trials if unit == "trials" else self.epochs if unit == "epochs" else self.seconds


@dataclass(frozen=True)
class Trajectory:
    """An entry's counted trials within the common budget, in the order in which they ended. cut: how many lie beyond it."""

    entry: SessionEntry
    points: tuple[CostPoint, ...]
    cut: int = 0

    @property
    def final(self) -> float | None:
        """The best value at the end."""
        return self.points[-1].best if self.points else None


@dataclass(frozen=True)
class Race:
    """A comparison that was made fair: the entries that may be compared, over a common budget, on resolved scales.

    tasks: in the order of their names. records: what the lab knows of each. contestants: by name, methods before people before
    bots. courses: by task, contestant and seed. scales: both values set where any trial has one. notes: what was left out, cut
    or assumed, in words. environments: those that something was trained in, by key.
    """

    tasks: tuple[str, ...]
    records: Mapping[str, TaskRecord]
    contestants: Mapping[str, Kind]
    courses: tuple[Trajectory, ...]
    scales: Mapping[str, Scale]
    budgets: Mapping[str, Budget]
    top: float
    notes: tuple[str, ...]
    environments: Mapping[str, Environment]

    def of(self, task: str, contestant: str) -> tuple[Trajectory, ...]:
        """A contestant's courses on a task, by seed."""
        return tuple(
            trajectory
            for trajectory in self.courses
            if (trajectory.entry.task, trajectory.entry.contestant) == (task, contestant)
        )

    def sign(self, task: str) -> float:
        """1 where larger values of the task's metric are better, else -1."""
        return sign_of(self.records[task].maximize)

    @property
    def everywhere(self) -> tuple[str, ...]:
        """The contestants with a course on every task, by name: only they can be compared over all tasks."""
        there = {(trajectory.entry.task, trajectory.entry.contestant) for trajectory in self.courses}
        return tuple(name for name in self.contestants if all((task, name) in there for task in self.tasks))

    def only(self, contestants: Iterable[str]) -> "Race":
        """The same race with some of its contestants; scales and budgets stay."""
        kept = set(contestants)
        courses = tuple(trajectory for trajectory in self.courses if trajectory.entry.contestant in kept)
        tasks = {trajectory.entry.task for trajectory in courses}
        return replace(
            self,
            tasks=tuple(task for task in self.tasks if task in tasks),
            contestants={name: kind for name, kind in self.contestants.items() if name in kept},
            courses=courses,
        )


# From entries to a race


def race(comparison: Comparison) -> Race:
    """The entries that may be compared, cut to the common budget of their task, with the scales of regret.

    Left out, with a note: practice and withdrawn sessions, those that have not ended, and joint sessions beside any other kind.
    Where a scale's `best` is None it is the best value seen on the task; where `reference` is None it is the median, over
    entries, of the first value that each saw. InvalidSettings where entries contradict each other: the same task, contestant
    and seed twice; a contestant of two kinds; on one task different versions, metrics, kinds of budget or parallel trials.
    """
    if not comparison.entries:
        raise InvalidSettings("comparison: there are no entries; expected at least one session")
    if comparison.top <= 0:
        raise InvalidSettings(f"comparison: top is {comparison.top:g}, expected a regret above 0")
    admitted, notes = _admitted(comparison.entries)
    if not admitted:
        raise InvalidSettings(f"comparison: no entry may be compared; {'; '.join(notes)}")
    _check_each_once(admitted)
    ordered = sorted(admitted, key=lambda entry: (entry.task, entry.contestant, entry.seed))
    tasks = tuple(dict.fromkeys(entry.task for entry in ordered))
    courses: list[Trajectory] = []
    budgets: dict[str, Budget] = {}
    scales: dict[str, Scale] = {}
    for task in tasks:
        entries = [entry for entry in ordered if entry.task == task]
        budgets[task] = _common_budget(task, entries)
        here = [_course(entry, budgets[task]) for entry in entries]
        notes += _cut_notes(task, here, budgets[task])
        scales[task], remarks = _scale(task, here, comparison.scales.get(task, Scale()))
        notes += remarks
        courses += here
    kinds = {entry.contestant: entry.kind for entry in ordered}
    contestants = {name: kinds[name] for name in sorted(kinds, key=lambda name: (KINDS.index(kinds[name]), name))}
    records = {entry.task: entry.session.task for entry in ordered}
    top, environments_by_key = comparison.top, comparison.environments
    return Race(tasks, records, contestants, tuple(courses), scales, budgets, top, tuple(notes), environments_by_key)


def _admitted(entries: Sequence[SessionEntry]) -> tuple[list[SessionEntry], list[str]]:
    kept = [entry for entry in entries if entry.session.withdrawn_at is None and not entry.session.practice]
    notes = [f"{len(entries) - len(kept)} withdrawn or practice sessions are left out"] if len(kept) < len(entries) else []
    kinds = {entry.kind for entry in kept}
    if "joint" in kinds and len(kinds) > 1:
        joint = sorted({entry.contestant for entry in kept if entry.kind == "joint"})
        notes.append(f"joint sessions are not compared with those of one tuner alone; left out: {', '.join(joint)}")
        kept = [entry for entry in kept if entry.kind != "joint"]
    running = [entry for entry in kept if not _ended(entry.session)]
    notes += [f"{entry.contestant}, seed {entry.seed} on {entry.task}: its session has not ended; left out" for entry in running]
    return [entry for entry in kept if _ended(entry.session)], sorted(notes)


def _ended(session: Session) -> bool:
    """Whether nothing more can come: something was chosen, or the trials or epochs are used up and none trains."""
    if session.choice is not None:
        return True
    idle = not any(trial.is_open for trial in session.trials)
    return idle and 0 in (rules.trials_left(session), rules.epochs_left(session))


def _check_each_once(entries: Sequence[SessionEntry]) -> None:
    times = Counter((session_entry.task, session_entry.contestant, session_entry.seed) for session_entry in entries)
    task, contestant, seed = min(times, key=lambda key: (-times[key], key))
    if times[task, contestant, seed] > 1:
        raise InvalidSettings(
            f"comparison: {contestant!r} entered seed {seed} on task {task!r} {times[task, contestant, seed]} times; expected "
            "one session for each task, contestant and seed"
        )
    kinds: dict[str, Kind] = {}
    for entry in entries:
        if kinds.setdefault(entry.contestant, entry.kind) != entry.kind:
            raise InvalidSettings(
                f"comparison: contestant {entry.contestant!r} is a {kinds[entry.contestant]} and a {entry.kind}; "
                "give them two names"
            )


def _common_budget(task: str, entries: Sequence[SessionEntry]) -> Budget:
    """The smallest cap of each kind; InvalidSettings where entries were made under different rules."""
    facts: dict[str, set[Any]] = {
        "version of the task": {entry.session.task.version for entry in entries},
        "metric": {f"{entry.session.task.metric} ({entry.session.task.direction})" for entry in entries},
        "kind of budget": {_caps(entry.session.budget) for entry in entries},
        "number of trials at once": {entry.session.budget.parallel for entry in entries},
    }
    for name, values in facts.items():
        if len(values) > 1:
            variants = ", ".join(sorted(map(str, values)))
            raise InvalidSettings(
                f"comparison: task {task!r} has entries that differ in the {name}: {variants}; compare them apart"
            )
    budgets = [entry.session.budget for entry in entries]
    seconds, trials, epochs = (
        min([cap for budget in budgets if (cap := getattr(budget, unit)) is not None], default=None)
        for unit in ("seconds", "trials", "epochs")
    )
    return Budget(seconds, trials, epochs, budgets[0].parallel)


def _caps(budget: Budget) -> str:
    return " and ".join(unit for unit in UNITS if getattr(budget, unit) is not None)


def _course(entry: SessionEntry, budget: Budget) -> Trajectory:
    """The entry's points; those beyond the common budget are cut where its own budget is larger."""
    session = entry.session
    ended = sorted(counted(session), key=lambda trial: (trial.finished_at or 0.0, trial.number))
    values = [value_of(trial) for trial in ended]
    points = []
    spent = dict.fromkeys(UNITS, 0.0)
    for trial, value, best in zip(ended, values, best_so_far(values, session.maximize), strict=True):
        at = trial.finished_at or 0.0
        for unit in UNITS:  # an open trial counts with all its epochs, and with fewer once it was stopped: cost never falls
            spent[unit] = max(spent[unit], summaries.used(session, at, unit))
        points.append(CostPoint(trial.number, spent["trials"], spent["epochs"], spent["seconds"], value, best))
    larger = [unit for unit in UNITS if (cap := getattr(budget, unit)) is not None and getattr(session.budget, unit) > cap]
    kept = tuple(point for point in points if all(point.cost(unit) <= getattr(budget, unit) for unit in larger))
    return Trajectory(entry, kept, len(points) - len(kept))


def _cut_notes(task: str, courses: Sequence[Trajectory], budget: Budget) -> list[str]:
    names = sorted({trajectory.entry.contestant for trajectory in courses if trajectory.cut})
    if not names:
        return []
    caps = " and ".join(f"{getattr(budget, unit):g} {unit}" for unit in UNITS if getattr(budget, unit) is not None)
    return [f"{task}: budgets differ, so all are compared over {caps}; later trials of {', '.join(names)} are left out"]


def _scale(task: str, courses: Sequence[Trajectory], given: Scale) -> tuple[Scale, list[str]]:
    maximize = courses[0].entry.session.maximize
    bests = [trajectory.final for trajectory in courses if trajectory.final is not None]
    firsts = [
        next(point.value for point in trajectory.points if point.value is not None)
        for trajectory in courses
        if trajectory.final is not None
    ]
    seen = best_of(bests, maximize)
    best = seen if given.best is None else given.best
    notes = []
    if best is not None and seen is not None and is_better(seen, best, maximize):
        notes.append(f"{task}: {seen:.6g} is better than the best known value of {best:.6g}, and takes its place")
        best = seen
    reference = given.reference if given.reference is not None else (median(firsts) if firsts else None)
    if best is None:
        notes.append(f"{task}: no trial has a value; regret is the top for all")
    elif reference is not None and reaches(reference, best, maximize):
        notes.append(f"{task}: the reference is no worse than the best known value; regret is 0 at the best, else the top")
    return Scale(best, reference), notes


# Regret


def regret(race: Race, task: str, value: float | None) -> float:
    """(best - value) / (best - reference), with the sign of the task's direction, from 0 to the race's top; no value: the top.

    Source: the normalised regret of HPO benchmarks, e.g. Eggensperger et al. (2021), "HPOBench", with a reference other than the
    worst value, so that one bad corner of a space does not make all searches look alike.
    """
    scale = race.scales[task]
    if value is None or not math.isfinite(value) or scale.best is None or scale.reference is None:
        return race.top
    sign = race.sign(task)
    whole, away = sign * (scale.best - scale.reference), sign * (scale.best - value)
    if whole <= 0:
        return 0.0 if away <= 0 else race.top
    return min(race.top, max(0.0, away / whole))


def cap(race: Race, task: str, unit: Unit) -> float:
    """The task's budget in a unit; where its budget does not count that, the most that any session spent."""
    limit = getattr(race.budgets[task], unit)
    if limit is not None:
        return float(limit)
    return max(
        (trajectory.points[-1].cost(unit) for trajectory in race.courses if trajectory.entry.task == task and trajectory.points),
        default=0.0,
    )


def best_at(course: Trajectory, unit: Unit, cost: float, whole: float) -> float | None:
    """The best value that was known at this cost; from the whole budget on, what was known at the end.

    A trial that the deadline stopped ends moments after it, and counts.
    """
    if cost >= whole:
        return course.final
    known = bisect_right(course.points, cost + FLOAT_SLACK, key=lambda point: point.cost(unit))
    return course.points[known - 1].best if known else None


def regrets(race: Race, task: str, contestant: str, unit: Unit, costs: Sequence[float]) -> Numbers:
    """Regret of a contestant on a task: a row for each seed, a column for each cost."""
    whole = cap(race, task, unit)
    rows = [
        [regret(race, task, best_at(trajectory, unit, cost, whole)) for cost in costs] for trajectory in race.of(task, contestant)
    ]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(costs))


# Curves


@dataclass(frozen=True)
class At:
    """Regret at a cost. Of one task: median and quartiles over seeds; of all: mean over tasks, and its interval."""

    cost: float
    regret: float
    low: float
    high: float


@dataclass(frozen=True)
class RegretCurve:
    """A contestant's regret against cost. task: None for the curve over all tasks. n: its seeds, or its tasks."""

    task: str | None
    contestant: str
    unit: Unit
    n: int
    points: tuple[At, ...]


def curves(race: Race, unit: Unit = "trials") -> tuple[RegretCurve, ...]:
    """For each task and contestant the median regret over seeds at each cost, with quartiles."""
    regret_curves = []
    for task in race.tasks:
        costs = [share * cap(race, task, unit) for share in _shares(race, unit)]
        for contestant in race.contestants:
            rows = regrets(race, task, contestant, unit, costs)
            if not len(rows):
                continue
            low, middle, high = np.quantile(rows, (0.25, 0.5, 0.75), axis=0)
            points = tuple(At(cost, *map(float, quartiles)) for cost, *quartiles in zip(costs, middle, low, high, strict=True))
            regret_curves.append(RegretCurve(task, contestant, unit, len(rows), points))
    return tuple(regret_curves)


def overall(race: Race, seed: int, unit: Unit = "trials") -> tuple[RegretCurve, ...]:
    """For each contestant that ran on every task the mean over tasks of the median regret over seeds, at shares of the budget.

    Cost is a share of each task's budget (0 to 1), since budgets may differ between tasks. Intervals: percentile bootstrap over
    tasks, the same resamples for all contestants and costs; with one task there is nothing to resample, and they are empty.
    """
    shares, names, count = _shares(race, unit), race.everywhere, len(race.tasks)
    if not names:
        return ()
    medians = np.array(
        [
            [
                np.median(regrets(race, task, name, unit, [share * cap(race, task, unit) for share in shares]), axis=0)
                for name in names
            ]
            for task in race.tasks
        ]
    )  # task, contestant, share
    drawn = np.random.default_rng(derive_seed(seed, "curves")).integers(count, size=(CURVE_RESAMPLES, count))
    weights = np.stack([(drawn == task).sum(axis=1) for task in range(count)], axis=1) / count
    means = np.tensordot(weights, medians, axes=1)  # resample, contestant, share
    low, high = np.quantile(means, ((1 - INTERVAL_LEVEL) / 2, (1 + INTERVAL_LEVEL) / 2), axis=0)
    middle = medians.mean(axis=0)
    return tuple(
        RegretCurve(
            None, name, unit, count, tuple(At(*map(float, row)) for row in zip(shares, middle[i], low[i], high[i], strict=True))
        )
        for i, name in enumerate(names)
    )


def _shares(race: Race, unit: Unit) -> list[float]:
    """Shares of the budget at which curves are told: each trial where all tasks have the same few, else equal steps."""
    caps = {cap(race, task, unit) for task in race.tasks}
    count = int(max(caps, default=0.0)) if unit == "trials" and len(caps) == 1 and max(caps) <= 2 * CURVE_POINTS else CURVE_POINTS
    return [step / count for step in range(1, count + 1)] if count else []


# Numbers of a table


@dataclass(frozen=True)
class Gap:
    """How far from the best known value a contestant was at a share of the task's budget, in the budget's own unit.

    gap: median over the seeds that had a value, in the metric's unit, larger is worse; None where none had. regret, low, high:
    median and quartiles over all seeds. without: seeds that had no value yet.
    """

    task: str
    contestant: str
    share: float
    n: int
    without: int
    gap: float | None
    regret: float
    low: float
    high: float


@dataclass(frozen=True)
class Tested:
    """Test scores of what a contestant chose on a task. sessions: the mean over its evaluation's seeds of each session, by seed.

    n: scores in all; missing: seeds of evaluations that have none. mean, sd: over all scores (sessions x seeds).
    """

    task: str
    contestant: str
    metric: str
    sessions: tuple[float, ...]
    n: int
    missing: int
    mean: float | None
    sd: float | None


@dataclass(frozen=True)
class Effort:
    """What a contestant's whole sessions cost, added up. training: seconds of its trials. clock: seconds of its sessions, with
    thinking. outcomes: how many trials ended in each way, the failed ones, which cost nothing, too.
    """

    contestant: str
    kind: Kind
    sessions: int
    trials: int
    epochs: int
    training: float
    clock: float
    outcomes: Mapping[str, int]


@dataclass(frozen=True)
class StartUp:
    """How many of a contestant's counted trials were start-up draws, by what the method said of each."""

    drawn: int
    trials: int


def start_up(race: Race, contestant: str) -> StartUp:
    """The share of a contestant's trials, within the common budget, that came before its method used what it had seen."""
    numbers = [
        (trajectory.entry.session, point.number)
        for trajectory in race.courses
        if trajectory.entry.contestant == contestant
        for point in trajectory.points
    ]
    trials = [trial for session, number in numbers if (trial := session.trial(number)) is not None]
    return StartUp(sum(trial.is_start_up for trial in trials), len(trials))


def gaps(race: Race, fractions: Sequence[float] = BUDGET_FRACTIONS) -> tuple[Gap, ...]:
    """The gap to the best known value at shares of the budget, for each task and contestant."""
    rows = []
    for task in race.tasks:
        unit, best, sign = summaries.unit_of(race.budgets[task]), race.scales[task].best, race.sign(task)
        whole = cap(race, task, unit)
        for contestant in race.contestants:
            courses = race.of(task, contestant)
            for share in fractions if courses else ():
                values = [best_at(trajectory, unit, share * whole, whole) for trajectory in courses]
                away = [sign * (best - value) for value in values if value is not None and best is not None]
                low, middle, high = np.quantile([regret(race, task, value) for value in values], (0.25, 0.5, 0.75))
                gap = float(median(away)) if away else None
                lacking = len(values) - len(away)
                rows.append(Gap(task, contestant, share, len(values), lacking, gap, float(middle), float(low), float(high)))
    return tuple(rows)


def tested(race: Race) -> tuple[Tested, ...]:
    """Test scores by task and contestant; those of sessions that were cut are left out, since they are of a larger budget."""
    rows = []
    for task in race.tasks:
        for contestant in race.contestants:
            kept = [
                trajectory.entry.evaluation
                for trajectory in race.of(task, contestant)
                if not trajectory.cut and trajectory.entry.evaluation
            ]
            if not kept:
                continue
            values = [seed_values(evaluation) for evaluation in kept]
            flat = summaries.summary(value for scores in values for value in scores)
            means = tuple(mean for scores in values if (mean := summaries.mean(scores)) is not None)
            missing = sum(len(evaluation.scores) for evaluation in kept) - flat.count
            rows.append(Tested(task, contestant, kept[0].metric, means, flat.count, missing, flat.mean, flat.deviation))
    return tuple(rows)


def efforts(race: Race) -> tuple[Effort, ...]:
    """What each contestant's sessions cost, whole, whether they were cut or not."""
    return tuple(
        effort(name, kind, [trajectory.entry.session for trajectory in race.courses if trajectory.entry.contestant == name])
        for name, kind in race.contestants.items()
    )


def effort(name: str, kind: Kind, sessions: Sequence[Session]) -> Effort:
    """What some sessions of a contestant cost together."""
    ended = [(session, _end(session)) for session in sessions]
    outcomes = Counter(str(trial.outcome) for session in sessions for trial in session.trials if trial.outcome is not None)
    return Effort(
        name,
        kind,
        len(sessions),
        sum(len(counted(session)) for session in sessions),
        sum(rules.epochs_used(session) for session in sessions),
        math.fsum(trial.seconds(at) for session, at in ended for trial in counted(session)),
        math.fsum(summaries.clock(session, at) for session, at in ended),
        dict(sorted(outcomes.items())),
    )


def _end(session: Session) -> float:
    """When a session stopped costing: at its choice, or at the end of its last trial."""
    last = max((trial.finished_at for trial in session.trials if trial.finished_at is not None), default=0.0)
    return session.choice.at if session.choice is not None else last
