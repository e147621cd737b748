"""Contestants on equal budgets: the best value so far against its cost, and how far that is from the best known value.

A session's cost is counted as its budget counts it (see `protocol`): trials begun, epochs begun, and seconds of the session's
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

from evenhand import protocol
from evenhand.analysis import scores
from evenhand.analysis.cohort import best_so_far, counted, seed_values
from evenhand.analysis.scores import Unit
from evenhand.analysis.stats import LEVEL
from evenhand.declaration import Budget
from evenhand.errors import InvalidSettings
from evenhand.protocol import derive_seed
from evenhand.records import Evaluation, Outcome, Session, TaskRecord, Trial

Kind = Literal["method", "person", "bot", "joint"]
KINDS: tuple[Kind, ...] = ("method", "person", "bot", "joint")
UNITS: tuple[Unit, ...] = ("trials", "epochs", "seconds")
FRACTIONS = (0.25, 0.5, 1.0)  # of the budget, at which gaps are told
TOP = 1.0  # regret is clipped here: a start below the reference says little of how a search goes on
STEPS = 60  # points of a curve, where its cost is not a small number of trials
RESAMPLES = 2000  # of an interval along a curve
FLOAT_SLACK = 1e-9  # a share of the budget, times the budget, may miss a whole number by this much

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
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
    """Entries as they were handed in. scales: by task. top: where regret is clipped."""

    entries: tuple[Entry, ...]
    scales: Mapping[str, Scale] = field(default_factory=dict)
    top: float = TOP


@dataclass(frozen=True)
class Point:
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
class Course:
    """An entry's counted trials within the common budget, in the order in which they ended. cut: how many lie beyond it."""

    entry: Entry
    points: tuple[Point, ...]
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
    or assumed, in words.
    """

    tasks: tuple[str, ...]
    records: Mapping[str, TaskRecord]
    contestants: Mapping[str, Kind]
    courses: tuple[Course, ...]
    scales: Mapping[str, Scale]
    budgets: Mapping[str, Budget]
    top: float
    notes: tuple[str, ...]

    def of(self, task: str, contestant: str) -> tuple[Course, ...]:
        """A contestant's courses on a task, by seed."""
        return tuple(each for each in self.courses if (each.entry.task, each.entry.contestant) == (task, contestant))

    def sign(self, task: str) -> float:
        """1 where larger values of the task's metric are better, else -1."""
        return 1.0 if self.records[task].maximize else -1.0

    @property
    def everywhere(self) -> tuple[str, ...]:
        """The contestants with a course on every task, by name: only they can be compared over all tasks."""
        there = {(each.entry.task, each.entry.contestant) for each in self.courses}
        return tuple(name for name in self.contestants if all((task, name) in there for task in self.tasks))

    def only(self, contestants: Iterable[str]) -> "Race":
        """The same race with some of its contestants; scales and budgets stay."""
        kept = set(contestants)
        courses = tuple(each for each in self.courses if each.entry.contestant in kept)
        tasks = {each.entry.task for each in courses}
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
    ordered = sorted(admitted, key=lambda each: (each.task, each.contestant, each.seed))
    tasks = tuple(dict.fromkeys(each.task for each in ordered))
    courses: list[Course] = []
    budgets: dict[str, Budget] = {}
    scales: dict[str, Scale] = {}
    for task in tasks:
        entries = [each for each in ordered if each.task == task]
        budgets[task] = _common_budget(task, entries)
        here = [_course(each, budgets[task]) for each in entries]
        notes += _cut_notes(task, here, budgets[task])
        scales[task], told = _scale(task, here, comparison.scales.get(task, Scale()))
        notes += told
        courses += here
    kinds = {each.contestant: each.kind for each in ordered}
    contestants = {name: kinds[name] for name in sorted(kinds, key=lambda name: (KINDS.index(kinds[name]), name))}
    records = {each.task: each.session.task for each in ordered}
    return Race(tasks, records, contestants, tuple(courses), scales, budgets, comparison.top, tuple(notes))


def _admitted(entries: Sequence[Entry]) -> tuple[list[Entry], list[str]]:
    kept = [each for each in entries if each.session.withdrawn_at is None and not each.session.practice]
    notes = [f"{len(entries) - len(kept)} withdrawn or practice sessions are left out"] if len(kept) < len(entries) else []
    kinds = {each.kind for each in kept}
    if "joint" in kinds and len(kinds) > 1:
        joint = sorted({each.contestant for each in kept if each.kind == "joint"})
        notes.append(f"joint sessions are not compared with those of one tuner alone; left out: {', '.join(joint)}")
        kept = [each for each in kept if each.kind != "joint"]
    running = [each for each in kept if not _ended(each.session)]
    notes += [f"{each.contestant}, seed {each.seed} on {each.task}: its session has not ended; left out" for each in running]
    return [each for each in kept if _ended(each.session)], sorted(notes)


def _ended(session: Session) -> bool:
    """Whether nothing more can come: something was chosen, or the trials or epochs are used up and none trains."""
    if session.choice is not None:
        return True
    idle = not any(trial.is_open for trial in session.trials)
    return idle and 0 in (protocol.trials_left(session), protocol.epochs_left(session))


def _check_each_once(entries: Sequence[Entry]) -> None:
    times = Counter((each.task, each.contestant, each.seed) for each in entries)
    task, contestant, seed = min(times, key=lambda key: (-times[key], key))
    if times[task, contestant, seed] > 1:
        raise InvalidSettings(
            f"comparison: {contestant!r} entered seed {seed} on task {task!r} {times[task, contestant, seed]} times; expected "
            "one session for each task, contestant and seed"
        )
    kinds: dict[str, Kind] = {}
    for each in entries:
        if kinds.setdefault(each.contestant, each.kind) != each.kind:
            raise InvalidSettings(
                f"comparison: contestant {each.contestant!r} is a {kinds[each.contestant]} and a {each.kind}; give them two names"
            )


def _common_budget(task: str, entries: Sequence[Entry]) -> Budget:
    """The smallest cap of each kind; InvalidSettings where entries were made under different rules."""
    facts: dict[str, set[Any]] = {
        "version of the task": {each.session.task.version for each in entries},
        "metric": {f"{each.session.task.metric} ({each.session.task.direction})" for each in entries},
        "kind of budget": {_caps(each.session.budget) for each in entries},
        "number of trials at once": {each.session.budget.parallel for each in entries},
    }
    for name, values in facts.items():
        if len(values) > 1:
            found = ", ".join(sorted(map(str, values)))
            raise InvalidSettings(f"comparison: task {task!r} has entries that differ in the {name}: {found}; compare them apart")
    budgets = [each.session.budget for each in entries]
    seconds, trials, epochs = (
        min([cap for each in budgets if (cap := getattr(each, unit)) is not None], default=None)
        for unit in ("seconds", "trials", "epochs")
    )
    return Budget(seconds, trials, epochs, budgets[0].parallel)


def _caps(budget: Budget) -> str:
    return " and ".join(unit for unit in UNITS if getattr(budget, unit) is not None)


def _course(entry: Entry, budget: Budget) -> Course:
    """The entry's points; those beyond the common budget are cut where its own budget is larger."""
    session = entry.session
    ended = sorted(counted(session), key=lambda trial: (trial.finished_at or 0.0, trial.number))
    values = [_value(trial) for trial in ended]
    points = []
    spent = dict.fromkeys(UNITS, 0.0)
    for trial, value, best in zip(ended, values, best_so_far(values, session.maximize), strict=True):
        at = trial.finished_at or 0.0
        for unit in UNITS:  # an open trial counts with all its epochs, and with fewer once it was stopped: cost never falls
            spent[unit] = max(spent[unit], scores.used(session, at, unit))
        points.append(Point(trial.number, spent["trials"], spent["epochs"], spent["seconds"], value, best))
    larger = [unit for unit in UNITS if (cap := getattr(budget, unit)) is not None and getattr(session.budget, unit) > cap]
    kept = tuple(each for each in points if all(each.cost(unit) <= getattr(budget, unit) for unit in larger))
    return Course(entry, kept, len(points) - len(kept))


def _value(trial: Trial) -> float | None:
    """The value that counts: none of a trial that turned out `invalid` after an epoch, which cannot be chosen in the end."""
    if trial.value is None or not math.isfinite(trial.value) or trial.outcome is Outcome.INVALID:
        return None
    return trial.value


def _cut_notes(task: str, courses: Sequence[Course], budget: Budget) -> list[str]:
    names = sorted({each.entry.contestant for each in courses if each.cut})
    if not names:
        return []
    caps = " and ".join(f"{getattr(budget, unit):g} {unit}" for unit in UNITS if getattr(budget, unit) is not None)
    return [f"{task}: budgets differ, so all are compared over {caps}; later trials of {', '.join(names)} are left out"]


def _scale(task: str, courses: Sequence[Course], given: Scale) -> tuple[Scale, list[str]]:
    maximize = courses[0].entry.session.maximize
    sign = 1.0 if maximize else -1.0
    bests = [each.final for each in courses if each.final is not None]
    firsts = [next(point.value for point in each.points if point.value is not None) for each in courses if each.final is not None]
    seen = max(bests, key=lambda value: sign * value, default=None)
    best = seen if given.best is None else given.best
    notes = []
    if best is not None and seen is not None and sign * seen > sign * best:
        notes.append(f"{task}: {seen:.6g} is better than the best known value of {best:.6g}, and takes its place")
        best = seen
    reference = given.reference if given.reference is not None else (median(firsts) if firsts else None)
    if best is None:
        notes.append(f"{task}: no trial has a value; regret is the top for all")
    elif reference is not None and sign * (best - reference) <= 0:
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
    return max((each.points[-1].cost(unit) for each in race.courses if each.entry.task == task and each.points), default=0.0)


def best_at(course: Course, unit: Unit, cost: float, whole: float) -> float | None:
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
    rows = [[regret(race, task, best_at(each, unit, cost, whole)) for cost in costs] for each in race.of(task, contestant)]
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
class Curve:
    """A contestant's regret against cost. task: None for the curve over all tasks. n: its seeds, or its tasks."""

    task: str | None
    contestant: str
    unit: Unit
    n: int
    points: tuple[At, ...]


def curves(race: Race, unit: Unit = "trials") -> tuple[Curve, ...]:
    """For each task and contestant the median regret over seeds at each cost, with quartiles."""
    found = []
    for task in race.tasks:
        costs = [share * cap(race, task, unit) for share in _shares(race, unit)]
        for contestant in race.contestants:
            rows = regrets(race, task, contestant, unit, costs)
            if not len(rows):
                continue
            low, middle, high = np.quantile(rows, (0.25, 0.5, 0.75), axis=0)
            points = tuple(At(cost, *map(float, each)) for cost, *each in zip(costs, middle, low, high, strict=True))
            found.append(Curve(task, contestant, unit, len(rows), points))
    return tuple(found)


def overall(race: Race, seed: int, unit: Unit = "trials") -> tuple[Curve, ...]:
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
    drawn = np.random.default_rng(derive_seed(seed, "curves")).integers(count, size=(RESAMPLES, count))
    weights = np.stack([(drawn == task).sum(axis=1) for task in range(count)], axis=1) / count
    means = np.tensordot(weights, medians, axes=1)  # resample, contestant, share
    low, high = np.quantile(means, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    middle = medians.mean(axis=0)
    return tuple(
        Curve(
            None, name, unit, count, tuple(At(*map(float, each)) for each in zip(shares, middle[i], low[i], high[i], strict=True))
        )
        for i, name in enumerate(names)
    )


def _shares(race: Race, unit: Unit) -> list[float]:
    """Shares of the budget at which curves are told: each trial where all tasks have the same few, else equal steps."""
    caps = {cap(race, task, unit) for task in race.tasks}
    count = int(max(caps, default=0.0)) if unit == "trials" and len(caps) == 1 and max(caps) <= 2 * STEPS else STEPS
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


def gaps(race: Race, fractions: Sequence[float] = FRACTIONS) -> tuple[Gap, ...]:
    """The gap to the best known value at shares of the budget, for each task and contestant."""
    found = []
    for task in race.tasks:
        unit, best, sign = scores.unit_of(race.budgets[task]), race.scales[task].best, race.sign(task)
        whole = cap(race, task, unit)
        for contestant in race.contestants:
            courses = race.of(task, contestant)
            for share in fractions if courses else ():
                values = [best_at(each, unit, share * whole, whole) for each in courses]
                away = [sign * (best - value) for value in values if value is not None and best is not None]
                low, middle, high = np.quantile([regret(race, task, value) for value in values], (0.25, 0.5, 0.75))
                gap = float(median(away)) if away else None
                lacking = len(values) - len(away)
                found.append(Gap(task, contestant, share, len(values), lacking, gap, float(middle), float(low), float(high)))
    return tuple(found)


def tested(race: Race) -> tuple[Tested, ...]:
    """Test scores by task and contestant; those of sessions that were cut are left out, since they are of a larger budget."""
    found = []
    for task in race.tasks:
        for contestant in race.contestants:
            kept = [each.entry.evaluation for each in race.of(task, contestant) if not each.cut and each.entry.evaluation]
            if not kept:
                continue
            values = [seed_values(each) for each in kept]
            flat = scores.summary(value for each in values for value in each)
            means = tuple(math.fsum(each) / len(each) for each in values if each)
            missing = sum(len(each.scores) for each in kept) - flat.count
            found.append(Tested(task, contestant, kept[0].metric, means, flat.count, missing, flat.mean, flat.deviation))
    return tuple(found)


def efforts(race: Race) -> tuple[Effort, ...]:
    """What each contestant's sessions cost, whole, whether they were cut or not."""
    return tuple(
        effort(name, kind, [each.entry.session for each in race.courses if each.entry.contestant == name])
        for name, kind in race.contestants.items()
    )


def effort(name: str, kind: Kind, sessions: Sequence[Session]) -> Effort:
    """What some sessions of a contestant cost together."""
    ended = [(each, _end(each)) for each in sessions]
    outcomes = Counter(str(trial.outcome) for each in sessions for trial in each.trials if trial.outcome is not None)
    return Effort(
        name,
        kind,
        len(sessions),
        sum(len(counted(each)) for each in sessions),
        sum(protocol.epochs_used(each) for each in sessions),
        math.fsum(trial.seconds(at) for each, at in ended for trial in counted(each)),
        math.fsum(scores.clock(each, at) for each, at in ended),
        dict(sorted(outcomes.items())),
    )


def _end(session: Session) -> float:
    """When a session stopped costing: at its choice, or at the end of its last trial."""
    last = max((trial.finished_at for trial in session.trials if trial.finished_at is not None), default=0.0)
    return session.choice.at if session.choice is not None else last
