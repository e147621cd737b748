"""How people search (the paper's section 3.2, made measurable): how far they step, how much they change at a time, where from.

Numbers of one session, of groups, and against simulated random tuners. Tries are those of `cohort.counted`: a
trial that the infrastructure failed is no choice of its tuner; one without a value (diverged, stopped early) is, and counts.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenhand.analysis import stats
from evenhand.analysis import summaries as summary_numbers
from evenhand.analysis.cohort import counted
from evenhand.model.direction import best_of, best_trial, sign_of, value_of
from evenhand.model.domain import Value, apart
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.trial import Trial

Origin = Literal["best", "last", "best and last", "earlier", "far"]
ORIGINS: tuple[Origin, ...] = ("best", "last", "best and last", "earlier", "far")
FAR_SHARE = 0.5  # a trial that changes more than this part of its hyperparameters, compared with any trial, is far from all
SIMULATIONS = 500
MEASURES: Mapping[str, str] = {
    "step": "mean step from trial to trial, 0 to 1 of the unit cube",
    "changed": "mean number of hyperparameters changed from trial to trial",
    "exploit": "share of trials that start from the best so far",
    "explore": "share of trials far from all before",
    "repeats": "share of trials that repeat an earlier configuration",
    "optional_only": "share of trials that change optional hyperparameters only",
}


@dataclass(frozen=True)
class TrialStep:
    """From one trial to the next (`number`): how far, how many hyperparameters changed, and what it seems to start from.

    step: see `step`. changed: see `summaries.changes`. origin: see `origin`. repeat: the configuration was tried before.
    optional_only: something optional changed and nothing mandatory did.
    """

    number: int
    step: float | None
    changed: int
    origin: Origin
    repeat: bool
    optional_only: bool


@dataclass(frozen=True)
class Behaviour:
    """The search of one session: `n` trials, and over the moves between them means and shares (0 to 1).

    exploit: share that starts from the best so far, whether or not that is the last trial. explore: share far from all before.
    All but n and moves are None where there are fewer than two trials (`why`).
    """

    session_id: int
    tuner: str
    kind: Literal["participant", "method"]
    n: int
    moves: tuple[TrialStep, ...]
    step: float | None
    changed: float | None
    exploit: float | None
    explore: float | None
    repeats: float | None
    optional_only: float | None
    origins: Mapping[Origin, float]
    how: str
    why: str | None = None


@dataclass(frozen=True)
class Compared:
    """A measure of `MEASURES` by group: participants, mean and deviation of each, and Kruskal-Wallis between them."""

    measure: str
    label: str
    groups: Mapping[str, summary_numbers.Summary]
    test: stats.Test
    n: int
    how: str


@dataclass(frozen=True)
class RandomSearch:
    """Simulated random tuners of a space. steps, changed: of every simulation (rows), of every move (columns), in order."""

    steps: np.ndarray
    changed: np.ndarray
    seed: int


@dataclass(frozen=True)
class Likeness:
    """Where a session's means lie among random tuners with as many trials: percentiles, 0 (below all) to 100 (above all).

    Near 50, the measure is like random search's. random_step, random_changed: means of the random tuners.
    """

    session_id: int
    tuner: str
    n: int
    simulations: int
    step: float | None
    changed: float | None
    random_step: float | None
    random_changed: float | None
    how: str
    why: str | None = None


@dataclass(frozen=True)
class Draw:
    """The best value of random tuners after so many tries: median and the middle 95 %; None where that tuner had no value yet."""

    tries: int
    median: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class AgainstRandom:
    """A session's best validation value, and its percentile among random tuners after as many tries (100: better than all)."""

    session_id: int
    tuner: str
    n: int
    best: float | None
    percentile: float | None
    how: str
    why: str | None = None


def step(space: Space, before: Mapping[str, Value], after: Mapping[str, Value]) -> float | None:
    """How far two configurations lie apart, from 0 to 1: the root mean square over the hyperparameters active in both.

    Differences are as `space.apart` takes them. None: no hyperparameter is shared.
    """
    shared = [hyperparameter for hyperparameter in space if hyperparameter.name in before and hyperparameter.name in after]
    if not shared:
        return None
    return math.sqrt(
        math.fsum(
            apart(space[hyperparameter.name].domain, before[hyperparameter.name], after[hyperparameter.name]) ** 2
            for hyperparameter in shared
        )
        / len(shared)
    )


def origin(session: Session, trial: Trial, earlier: Sequence[Trial]) -> Origin:
    """What a trial seems to start from: the earlier trial from which fewest hyperparameters changed, ties by the smaller step.

    "best": the best validation value of the trials that had ended when it was submitted; "last": the trial right before it; "best
    and last": where that is one trial; "earlier": any other; further ties go to the best, then the last. "far": even that nearest
    trial differs in more than half of the hyperparameters that are active in this one. Starting from the best is exploiting,
    being far from all is exploring.
    """
    last, best = earlier[-1], _best_before(session, trial, earlier)

    def distance(other: Trial) -> tuple[int, float, bool, bool]:
        changed = len(summary_numbers.changes(session.space, other.configuration, trial.configuration))
        apart = step(session.space, other.configuration, trial.configuration)
        return changed, math.inf if apart is None else apart, other is not best, other is not last

    nearest = min(earlier, key=distance)
    if distance(nearest)[0] > FAR_SHARE * len(trial.configuration):
        return "far"
    if nearest is best:
        return "best and last" if best is last else "best"
    same = best is not None and nearest.configuration == best.configuration
    return "best" if same else "last" if nearest is last else "earlier"


def behaviour(session: Session) -> Behaviour:
    """How a session's tuner moved from trial to trial."""
    trials = counted(session)
    moves = tuple(_move(session, trial, trials[:index]) for index, trial in enumerate(trials) if index)
    how = (
        "successive trials compared on each hyperparameter's own scale; step: root mean square over hyperparameters active in "
        "both, a changed choice counts 1; trials failed by the infrastructure are left out"
    )
    if not moves:
        why = f"not computable: {len(trials)} trials, at least 2 are needed"
        return Behaviour(
            session.id, session.tuner, session.kind, len(trials), (), None, None, None, None, None, None, {}, how, why
        )
    origins = {name: _share(move.origin == name for move in moves) for name in ORIGINS}
    return Behaviour(
        session.id,
        session.tuner,
        session.kind,
        len(trials),
        moves,
        summary_numbers.mean([move.step for move in moves if move.step is not None]),
        summary_numbers.mean([float(move.changed) for move in moves]),
        origins["best"] + origins["best and last"],
        origins["far"],
        _share(move.repeat for move in moves),
        _share(move.optional_only for move in moves),
        origins,
        how,
    )


def compare(groups: Mapping[str, Sequence[Behaviour]]) -> tuple[Compared, ...]:
    """Each measure by group, with one value a participant (the mean over their moves)."""
    comparisons = []
    for measure, label in MEASURES.items():
        values = {name: [getattr(member, measure) for member in members] for name, members in groups.items()}
        there = {name: [value for value in column if value is not None] for name, column in values.items()}
        n = sum(len(column) for column in there.values())
        summaries = {name: summary_numbers.summary(column) for name, column in there.items()}
        how = "one value a participant, the mean over their moves; those with fewer than two trials have none"
        comparisons.append(Compared(measure, label, summaries, stats.kruskal(there), n, how))
    return tuple(comparisons)


def random_search(space: Space, trials: int, seed: int, simulations: int = SIMULATIONS) -> RandomSearch:
    """`simulations` random tuners that each draw `trials` configurations by `Space.sample`, and their moves.

    A tuner's first n trials are those of a random tuner with n trials, so one simulation serves sessions of any length up to it.
    """
    rng = np.random.default_rng(seed)
    moves = max(0, trials - 1)
    steps, changed = np.full((simulations, moves), np.nan), np.zeros((simulations, moves))
    for row in range(simulations if moves else 0):
        before = space.sample(rng)
        for column in range(moves):
            after = space.sample(rng)
            apart = step(space, before, after)
            steps[row, column] = np.nan if apart is None else apart
            changed[row, column] = len(summary_numbers.changes(space, before, after))
            before = after
    return RandomSearch(steps, changed, seed)


def likeness(behaviour: Behaviour, random: RandomSearch) -> Likeness:
    """Percentiles of a session's mean step and mean number of changes among random tuners with as many trials.

    A percentile is the share below it and half the share equal to it.
    """
    simulations, moves = random.steps.shape
    how = f"against {simulations} random tuners with as many trials, drawn uniformly on each scale, seed {random.seed}"
    why = behaviour.why
    if why is None and len(behaviour.moves) > moves:
        why = f"not computable: {behaviour.n} trials, but the random tuners have {moves + 1}"
    if why:
        return Likeness(behaviour.session_id, behaviour.tuner, behaviour.n, simulations, None, None, None, None, how, why)
    steps = _row_means(random.steps[:, : len(behaviour.moves)])
    changed = _row_means(random.changed[:, : len(behaviour.moves)])
    return Likeness(
        behaviour.session_id,
        behaviour.tuner,
        behaviour.n,
        simulations,
        percentile(behaviour.step, steps),
        percentile(behaviour.changed, changed),
        summary_numbers.mean(steps),
        summary_numbers.mean(changed),
        how,
    )


def percentile(value: float | None, among: Sequence[float]) -> float | None:
    """100 times the share of `among` below the value and half the share equal to it; None of nothing."""
    if value is None or not len(among):
        return None
    close = [math.isclose(number, value, rel_tol=1e-12, abs_tol=1e-15) for number in among]
    below = sum(number < value and not same for number, same in zip(among, close, strict=True))
    return 100 * (below + sum(close) / 2) / len(among)


def random_bests(
    pool: Sequence[float | None], maximize: bool, tries: int, seed: int, simulations: int = SIMULATIONS
) -> np.ndarray:
    """Best value so far of random tuners (rows) after each try (columns), drawn with replacement from a pool of random trials.

    pool: the value of every trial of the study's random session, None for one without: it costs a try and gives nothing. Entries
    are -inf (maximize) or inf where that tuner has no value yet.
    """
    nothing = -sign_of(maximize) * math.inf
    values = np.array([nothing if value is None else value for value in pool], dtype=float)
    drawn = np.random.default_rng(seed).choice(values, size=(simulations, tries))
    return (np.maximum if maximize else np.minimum).accumulate(drawn, axis=1)


def random_curve(bests: np.ndarray) -> tuple[Draw, ...]:
    """Median and the middle 95 % of `random_bests` after each try."""
    draws = []
    for index in range(bests.shape[1]):
        low, median, high = (
            _finite(quantile) for quantile in np.quantile(bests[:, index], (0.025, 0.5, 0.975), method="inverted_cdf")
        )
        draws.append(Draw(index + 1, median, low, high))
    return tuple(draws)


def against_random(session: Session, bests: np.ndarray, seed: int) -> AgainstRandom:
    """Where the best validation value of a session lies among `random_bests` after as many tries."""
    trials = counted(session)
    n, sign = len(trials), sign_of(session.maximize)
    best = best_of(map(value_of, trials), session.maximize)
    how = f"among {bests.shape[0]} random tuners drawn from the random session's trials, after as many tries, seed {seed}"
    why = None
    if best is None:
        why = "no trial has a value"
    elif n > bests.shape[1]:
        why = f"{n} tries, but the random tuners have {bests.shape[1]}"
    if best is None or why:
        return AgainstRandom(session.id, session.tuner, n, None, None, how, f"not computable: {why}")
    return AgainstRandom(session.id, session.tuner, n, best, percentile(sign * best, list(sign * bests[:, n - 1])), how)


def random_pool(sessions: Iterable[Session], task_id: int) -> tuple[float | None, ...]:
    """Validation values of the ended trials of a study's own random sessions on a task, not of joint ones; empty without any."""
    return tuple(
        value_of(trial)
        for session in sessions
        if session.kind == "method"
        and session.method.get("name") == "random"
        and session.task.id == task_id
        and session.is_compared
        for trial in counted(session)
    )


def _best_before(session: Session, trial: Trial, earlier: Sequence[Trial]) -> Trial | None:
    """The best trial whose value could be known when this one was submitted; the first of equals."""
    known = [
        earlier_trial
        for earlier_trial in earlier
        if earlier_trial.finished_at is not None and earlier_trial.finished_at <= trial.submitted_at
    ]
    return best_trial(known, session.maximize)


def _move(session: Session, trial: Trial, earlier: Sequence[Trial]) -> TrialStep:
    last = earlier[-1]
    changes = summary_numbers.changes(session.space, last.configuration, trial.configuration)
    mandatory = any(session.space[change.name].mandatory for change in changes)
    return TrialStep(
        trial.number,
        step(session.space, last.configuration, trial.configuration),
        len(changes),
        origin(session, trial, earlier),
        any(earlier_trial.configuration == trial.configuration for earlier_trial in earlier),
        bool(changes) and not mandatory,
    )


def _share(flags: Iterable[bool]) -> float:
    values = list(flags)
    return sum(values) / len(values)


def _row_means(rows: np.ndarray) -> list[float]:
    """The mean of each row over the entries that are there; rows without any are left out."""
    there = ~np.isnan(rows)
    counts = there.sum(axis=1)
    sums = np.where(there, rows, 0.0).sum(axis=1)
    return [float(total / count) for total, count in zip(sums, counts, strict=True) if count]


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
