"""The rules of equal terms: what a budget allows, when the clock ends, which seed serves which purpose.

Pure functions of facts: the same facts give the same answer before and after a restart. Times are seconds since the epoch.
"""

import hashlib
import math
from bisect import bisect_right
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial, reduce
from typing import Literal, NamedTuple, Protocol

from evenhand.errors import InvalidSettings
from evenhand.model import direction, numbers
from evenhand.model.cost import Cost
from evenhand.model.direction import is_better, value_of
from evenhand.model.domain import Integer, Value, is_same, show
from evenhand.model.evaluation import Evaluation, EvaluationPlan
from evenhand.model.participant import Participant
from evenhand.model.session import LABORATORY, Session, State
from evenhand.model.space import Space
from evenhand.model.study import Arm, Budget, Mode, Questionnaire, Study, Until
from evenhand.model.trial import COUNTED_OUTCOMES, Hold, Outcome, Trial
from evenhand.model.trial_history import CountedTrials, fold, unsettled
from evenhand.model.words import budget_words, plural, training_words
from evenhand.settings import AGENT_SILENCE_SECONDS, Rules

Interval = tuple[float, float]


class ParticipantStep(StrEnum):
    """The pages of a participant's way, in order; the value is the page's address."""

    TERMS = "terms"
    BACKGROUND = "background"
    DETAILS = "details"
    PRACTICE = "practice"
    TUNE = "tune"
    FINAL = "final"
    AFTER = "after"
    THANKS = "thanks"
    WITHDRAWN = "withdrawn"


class Phase(StrEnum):
    """Where a study stands. DRAFT: not published, and nobody tried it out. PILOT: not published, but tried out."""

    DRAFT = "draft"
    PILOT = "pilot"
    LIVE = "live"
    CLOSED = "closed"
    ARCHIVE = "archive"


# A session that has ended takes nothing more; one that goes on can be paused and given time.
ENDED_STATES = frozenset({State.CHOSEN, State.EVALUATED, State.WITHDRAWN})
GOING_ON_STATES = frozenset({State.TUNING, State.CHOOSING, State.PAUSED})
PAUSABLE_STATES = GOING_ON_STATES - {State.PAUSED}
COST_USED = "all training that the run may cost was used"  # why a trial was stopped at its budget's cost
SHARE_USED = "it had used as much of the time as one trial may"  # why a trial was stopped at its study's `trial_share`
MOST_TRIALS = 10**9  # of one session, beyond any
PRACTICE_BUDGET = Budget(trials=3)  # enough to see how the pages work


def derive_seed(root: int, *purpose: str | int) -> int:
    """A seed in [0, 2**31) for one purpose, independent of those for others: SHA-256 of the root and the purpose's words.

    `derive_seed(7, "evaluation", 3)` and `derive_seed(7, "tuning")` share nothing but their root.
    """
    text = "\x1f".join(str(part) for part in (root, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def trained_in(sessions: Iterable[Session], evaluations: Mapping[int, Evaluation]) -> list[str]:
    """The keys of the environments that trials and evaluations were trained in, in order."""
    keys = {trial.environment for session in sessions for trial in session.trials}
    keys |= {score.environment for evaluation in evaluations.values() for score in evaluation.scores}
    return sorted(key for key in keys if key is not None)


def union_length(intervals: Iterable[Interval]) -> float:
    """The length covered by the intervals, overlaps counted once."""
    return sum(end - start for start, end in merged(intervals))


def credit(session: Session, now: float) -> float:
    """Seconds given back to the session until `now`: waiting for an agent, outages, pauses, what dead attempts lost, extensions.

    An exploratory session's time without its process is an outage.

    Waiting is the time in which a job was queued and none was running: |Q u R u O| - |R u O|. An outage, a pause or a hold O
    counts whole, since nobody could act in it; a hold lasts a moment longer than its pause, until its agent hears of the end. A
    trial runs from the claim of its last attempt, so what earlier, dead attempts trained is waiting.
    """
    outages = [
        (extension.start, extension.start + extension.seconds) for extension in session.extensions if extension.start is not None
    ]
    left_at = session.last_seen or session.opened_at
    outages += [(left_at, now)] if is_interrupted(session, now) and left_at < now else []
    outages += [(pause.start, pause.end if pause.end is not None else now) for pause in session.pauses]
    given = sum(extension.seconds for extension in session.extensions if extension.start is None)
    waits, later = fold(session.trials, "waits", Waits, Waits.add)
    holds = (*waits.holds, *(hold for trial in later for hold in trial.holds))
    outages += [(hold.start, min(now, hold.end if hold.end is not None else now)) for hold in holds if hold.start < now]
    waited = waits.without(outages) + _waited([*waits.rest, *later], outages, now)
    return waited + union_length(outages) + given


class Timed(Protocol):
    """A trial, as far as the clock is concerned: see `Trial`."""

    @property
    def submitted_at(self) -> float: ...
    @property
    def claimed_at(self) -> float | None: ...
    @property
    def finished_at(self) -> float | None: ...
    @property
    def outcome(self) -> Outcome | None: ...
    @property
    def holds(self) -> tuple[Hold, ...]: ...


class TrialTimes(NamedTuple):
    """The times of a trial of which nothing else was read."""

    submitted_at: float
    claimed_at: float | None
    finished_at: float | None
    outcome: Outcome | None
    holds: tuple[Hold, ...] = ()


def _waited(trials: Iterable[Timed], outages: Sequence[Interval], now: float) -> float:
    """|Q u R u O| - |R u O| of `credit`: the time in which one was queued and none was running, outages left out."""
    queued, running = _intervals(trials, now)
    return union_length([*queued, *running, *outages]) - union_length([*running, *outages])


def _intervals(trials: Iterable[Timed], now: float) -> tuple[list[Interval], list[Interval]]:
    """When trials were there to be trained, and when they were trained."""
    queued, running = [], []
    for trial in trials:
        end = trial.finished_at if trial.finished_at is not None else now
        queued.append((trial.submitted_at, end))
        if trial.claimed_at is not None and trial.outcome is not Outcome.FAILED:
            running.append((trial.claimed_at, end))
    return queued, running


@dataclass(frozen=True)
class Waits:
    """When trials that have ended waited and none was running: `count` disjoint intervals in order, and their lengths summed up.

    rest: the last trials, beside which the next one may have been waiting or running. All before ended before these were
    submitted, so that nothing after changes when they waited. The lists are shared with what `add` gave before and after.
    holds: in which any of the trials stood still.
    """

    count: int = 0
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0])
    rest: tuple[Timed, ...] = ()
    rest_ends: float = float("-inf")
    holds: tuple[Hold, ...] = ()

    def add(self, trial: Timed) -> "Waits":
        """With one more that has ended; trials come in the order in which they were submitted."""
        ends, holds = max(self.rest_ends, trial.finished_at or 0.0), self.holds + trial.holds
        if trial.submitted_at < self.rest_ends:
            return replace(self, rest=(*self.rest, trial), rest_ends=ends, holds=holds)
        waits = _uncovered(*_intervals(self.rest, self.rest_ends))
        for start, end in waits:
            self.starts.append(start)
            self.ends.append(end)
            self.sums.append(self.sums[-1] + end - start)
        return replace(self, count=self.count + len(waits), rest=(trial,), rest_ends=ends, holds=holds)

    def beside(self, trials: Sequence[Timed]) -> "Waits":
        """With some that have ended, before which one is still open: nothing can be added to what this gives."""
        holds = (hold for trial in trials for hold in trial.holds)
        return replace(self, rest=(*self.rest, *trials), holds=(*self.holds, *holds))

    def without(self, outages: Sequence[Interval]) -> float:
        """The summed length, without what lies in an outage."""
        return self.sums[self.count] - sum(self._until(end) - self._until(start) for start, end in merged(outages))

    def _until(self, at: float) -> float:
        """The summed length before a time."""
        number = bisect_right(self.starts, at, 0, self.count)
        return self.sums[number] - (max(0.0, self.ends[number - 1] - at) if number else 0.0)


def merged(intervals: Iterable[Interval]) -> list[Interval]:
    """The same time as disjoint intervals, in order."""
    spans: list[Interval] = []
    for start, end in sorted(intervals):
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], end)
        else:
            spans.append((start, end))
    return spans


def _uncovered(queued: Iterable[Interval], running: Iterable[Interval]) -> list[Interval]:
    """What of the first intervals lies in none of the second, disjoint and in order."""
    covers, gaps = merged(running), []
    for start, end in merged(queued):
        for low, high in covers:
            if high > start and low < end:
                if low > start:
                    gaps.append((start, low))
                start = max(start, high)
        if start < end:
            gaps.append((start, end))
    return gaps


def deadline(session: Session, now: float) -> float | None:
    """When the session's time is up, or None where its budget has no time limit or its clock has not started."""
    if session.started_at is None or session.budget.seconds is None:
        return None
    return session.started_at + session.budget.seconds + credit(session, now)


def seconds_left(session: Session, now: float) -> float | None:
    """Seconds until the deadline (0 when past); the whole limit before the clock starts; None without a time limit.

    A chosen session's clock stands still at its choice.
    """
    if session.budget.seconds is None:
        return None
    now = session.choice.at if session.choice else now
    end = deadline(session, now)
    return session.budget.seconds if end is None else max(0.0, end - now)


def trials_used(session: Session) -> int:
    """Trials that count: all but the `failed` ones, whose cost is the infrastructure's, and those never begun."""
    tally, later = _tally(session)
    return tally.trials + sum(_counts(trial) for trial in later)


def epochs_used(session: Session) -> int:
    """Epochs begun by trials that count, and those that an open trial may still need."""
    tally, later = _tally(session)
    counted = (trial for trial in later if _counts(trial))
    return tally.epochs + sum(trial.epochs_to_do if trial.is_open else trial.epochs_begun for trial in counted)


def _counts(trial: Trial) -> bool:
    return trial.is_open or (trial.outcome in COUNTED_OUTCOMES and trial.claimed_at is not None)


class _Tally(NamedTuple):
    """What trials that have ended used up, and the best of them: the earliest of those with the highest and the lowest value."""

    trials: int = 0
    epochs: int = 0
    highest: Trial | None = None
    lowest: Trial | None = None
    seconds: float = 0.0

    def add(self, trial: Trial) -> "_Tally":
        """One more."""
        trials, epochs, highest, lowest, seconds = self
        if _counts(trial):
            trials, epochs, seconds = trials + 1, epochs + trial.epochs_begun, seconds + trial.seconds(trial.finished_at or 0.0)
        if (value := value_of(trial)) is not None:
            highest = trial if highest is None or is_better(value, highest.value or 0.0, maximize=True) else highest
            lowest = trial if lowest is None or is_better(value, lowest.value or 0.0, maximize=False) else lowest
        return _Tally(trials, epochs, highest, lowest, seconds)


@dataclass(frozen=True, slots=True)
class EndedCounts:
    """What the trials of a session that have ended come to, counted without reading them.

    Attributes:
        trials: how many of them count in a budget.
        epochs: that those which count have begun; None where the budget does not ask.
        seconds: that those which count have trained; None where the budget does not ask.
        best: the one that `best_trial` gives of them.
        bests: after the last ones that count, the best value until then, as many as the budget's `until` can ask for.
        waits: when they waited; None where the budget does not ask.
    """

    trials: int
    epochs: int | None
    seconds: float | None
    best: Trial | None
    bests: Sequence[float | None]
    waits: Waits | None


def with_counts(session: Session, counts: EndedCounts, still_open: Iterable[Trial]) -> Session:
    """A session of which the rules that ask for a budget, its clock and the best trial hold, without its ended trials.

    still_open: its trials that are open, which are all that it then has.
    """
    maximize, values = session.maximize, list(counts.bests)
    ends = {"highest" if maximize else "lowest": counts.best}
    counted: dict[Hashable, object] = {
        "tally": _Tally(trials=counts.trials, epochs=counts.epochs or 0, seconds=counts.seconds or 0.0, **ends),
        "bests": _Bests(maximize, len(values), values),
    }
    if counts.waits is not None:
        counted["waits"] = counts.waits
    return replace(session, trials=CountedTrials(counted, still_open))


def _tally(session: Session) -> tuple[_Tally, Sequence[Trial]]:
    """Of the trials that have ended for good, and the trials after these."""
    return fold(session.trials, "tally", _Tally, _Tally.add)


def trials_left(session: Session) -> int | None:
    """Trials the budget still allows, or None where it does not count trials."""
    return None if session.budget.trials is None else max(0, session.budget.trials - trials_used(session))


def epochs_left(session: Session) -> int | None:
    """Epochs the budget still allows, or None where it does not count epochs."""
    return None if session.budget.epochs is None else max(0, session.budget.epochs - epochs_used(session))


def training_used(session: Session, now: float) -> float:
    """Seconds of training by trials that count, open ones until now: what they cost is told by it."""
    tally, later = _tally(session)
    return tally.seconds + sum(trial.seconds(now) for trial in later if _counts(trial))


def training_left(session: Session, now: float) -> float | None:
    """Seconds of training the budget still allows, or None where it does not count them."""
    most = session.budget.training_seconds
    return None if most is None else max(0.0, most - training_used(session, now))


def epochs_for_one(session: Session) -> int | None:
    """Epochs that the next trial may use, or None where the budget does not count epochs.

    Those that are left, or the study's share of all where that is less, but never fewer than the shortest training takes.
    """
    left, all_epochs, share = epochs_left(session), session.budget.epochs, session.trial_share
    if left is None or all_epochs is None or share is None:
        return left
    fidelity = session.current_space.fidelity
    shortest = fidelity.domain.low if fidelity is not None and isinstance(fidelity.domain, Integer) else session.task.max_epochs
    return min(left, max(shortest, int(share * all_epochs)))


def seconds_for_one(session: Session) -> float | None:
    """Seconds that one trial may train, or None where nothing limits them."""
    if session.budget.seconds is None or session.trial_share is None or session.trial_share >= 1:
        return None
    return session.trial_share * session.budget.seconds


def why_stop(session: Session, trial: Trial, now: float) -> str | None:
    """Why a trial that trains has used up what it may, in words; None where it has not.

    That is all seconds that one trial may, once it has done an epoch, so that it has a value to keep; or, with the others, all
    training that the run may cost.
    """
    if not trial.is_open or trial.stop_by is not None:
        return None
    most = seconds_for_one(session)
    if most is not None and trial.epochs_done > trial.epochs_before and trial.seconds(now) >= most:
        return SHARE_USED
    return COST_USED if trial.claimed_at is not None and training_left(session, now) == 0 else None


@dataclass(frozen=True)
class _Bests:
    """After each of the first `count` ended trials that count, the best value until then; None before the first.

    The list is shared with what `add` gave before and after.
    """

    maximize: bool
    count: int = 0
    values: list[float | None] = field(default_factory=list)

    def add(self, trial: Trial) -> "_Bests":
        """With one more."""
        if trial.is_open or not _counts(trial):
            return self
        self.values.append(direction.best_of([*self.newest(1), value_of(trial)], self.maximize))
        return replace(self, count=self.count + 1)

    def newest(self, count: int) -> list[float | None]:
        """The last ones, at most so many."""
        return self.values[max(0, self.count - count) : self.count]


def trials_without_gain(session: Session) -> int:
    """Of ended trials, how many came last without making the best value better by what the budget's `until` asks for.

    At most `until.trials`. Trials are taken in the order of their numbers. 0 where the budget has no `until`.
    """
    until, maximize = session.budget.until, session.maximize
    if until is None:
        return 0
    settled, later = fold(session.trials, "bests", partial(_Bests, maximize), _Bests.add)
    known = settled.newest(until.trials + 1)
    bests = reduce(_Bests.add, later, _Bests(maximize, len(known), known)).newest(until.trials + 1)
    since = 0
    while since < min(until.trials, len(bests)):
        before = bests[-since - 2] if since + 2 <= len(bests) else None
        if _is_gain(before, bests[-1], until.gain, maximize):
            break
        since += 1
    return since


def _is_gain(before: float | None, now: float | None, gain: float, maximize: bool) -> bool:
    """Whether the best value got better by `gain`, or at all where that is 0; the first value there is always does."""
    if before is None or now is None:
        return now is not None
    better_by = abs(now - before)
    return is_better(now, before, maximize) and (better_by >= gain or math.isclose(better_by, gain))  # 0.802 - 0.801 < 0.001


def has_stalled(session: Session) -> bool:
    """Whether the budget's `until` has come."""
    return session.budget.until is not None and trials_without_gain(session) >= session.budget.until.trials


def stall_words(session: Session) -> str:
    """How near the budget's `until` is: 7 of 20 trials without a gain of 0.001; nothing where there is none."""
    until = session.budget.until
    if until is None:
        return ""
    gain = f" of {show(until.gain)}" if until.gain else ""
    return f"{trials_without_gain(session)} of {plural(until.trials, 'trial')} without a gain{gain}"


def how_ended(session: Session) -> str:
    """Which cap of its budget ended a session, in words, as far as its facts say; nothing where none did."""
    budget = session.budget
    if session.choice is None:
        return ""
    if has_stalled(session):
        return _stalled_words(session)
    if trials_left(session) == 0:
        return "its one trial was used" if budget.trials == 1 else f"all {budget.trials:,} trials were used"
    if epochs_left(session) == 0:
        return "its one epoch was used" if budget.epochs == 1 else f"all {budget.epochs:,} epochs were used"
    if training_left(session, session.choice.at) == 0:
        return f"all {training_words(budget)} were used"
    return "its time was up" if seconds_left(session, session.choice.at) == 0 else ""


def _stalled_words(session: Session) -> str:
    """What a session's `until` has found."""
    until = session.budget.until
    assert until is not None
    what = f"better by {show(until.gain)}" if until.gain else "better"
    last = "last trial" if until.trials == 1 else f"last {until.trials} trials"
    return f"its best value got no {what} in the {last}"


def why_not_submit(session: Session, epochs: int, now: float) -> str | None:
    """Why the rules refuse one more trial of `epochs` epochs now, in words for its tuner; None where they allow it."""
    state = state_of(session, now)
    if state is State.WAITING:
        return "the session's clock has not started; start tuning first"
    if state is State.PAUSED:
        return f"the session is paused ({session.pauses[-1].reason}); its clock stands still until it goes on"
    if state is not State.TUNING:
        return f"the session is {state}; it takes no more trials"
    if trials_left(session) == 0:
        if session.practice:
            return "that was the practice; start the real session when you are ready"
        return f"all {session.budget.trials} trials of the budget are used; choose a final configuration"
    if has_stalled(session):
        return f"{_stalled_words(session)}; choose a final configuration"
    if training_left(session, now) == 0:
        return f"all {training_words(session.budget)} of the budget are used; choose a final configuration"
    left = epochs_left(session)
    if left is not None and epochs > left:
        return f"this needs {epochs} epochs and {left} of {session.budget.epochs} are left; ask for fewer"
    most = epochs_for_one(session)
    if most is not None and epochs > most:
        return f"this needs {epochs} epochs, and one trial may use {most} of the {session.budget.epochs}; ask for fewer"
    unfinished = [trial for trial in unsettled(session.trials) if trial.is_open]
    if len(unfinished) >= session.budget.parallel:
        trains = any(trial.claimed_at is not None for trial in unfinished)
        return f"a trial is still {'training' if trains else 'waiting for an agent'}; stop it or wait for its end"
    return None


def why_not_resume(session: Session, number: int, configuration: Mapping[str, object]) -> str | None:
    """Why a trial of `configuration` cannot go on from trial `number`, in words; None where it can."""
    parent, fidelity = session.trial(number), session.space.fidelity
    if not session.resumable:
        return "trainings of this study always begin anew; its declaration does not make them resumable"
    if fidelity is None:
        return "this task has no hyperparameter for epochs, so no training can go on for longer"
    if parent is None or parent.is_open or not parent.epochs_done:
        return f"trial {number} has not ended with a completed epoch, so nothing can go on from it"
    rest = [
        {name: value for name, value in settings.items() if name != fidelity.name}
        for settings in (parent.configuration, configuration)
    ]
    if rest[0] != rest[1]:
        return f"this is not the configuration of trial {number}; only {fidelity.label} may differ where a training goes on"
    epochs = session.task.epochs_of(configuration)
    if epochs <= parent.epochs_done:
        return f"trial {number} has {parent.epochs_done} epochs already; ask for more than these"
    return None


def state_of(session: Session, now: float) -> State:
    """Where the session stands, derived from its facts."""
    if session.withdrawn_at is not None:
        return State.WITHDRAWN
    if session.choice is not None:
        evaluations = session.evaluated
        done = session.choice.configuration is None or evaluations.done >= evaluations.planned
        return State.EVALUATED if done and evaluations.planned else State.CHOSEN
    if session.started_at is None:
        return State.WAITING
    if session.is_paused:
        return State.PAUSED
    end = deadline(session, now)
    return State.CHOOSING if end is not None and now >= end else State.TUNING


def is_interrupted(session: Session, now: float) -> bool:
    """Whether the process that tuned an exploratory session is gone, and left it without a choice: it waits to be gone on with.

    A process that dies is missed once nothing was heard of it for longer than agents may be silent.
    """
    ended = session.choice is not None or session.withdrawn_at is not None
    return session.purpose == "exploratory" and not ended and is_unattended(session, now)


def is_unattended(session: Session, now: float) -> bool:
    """Whether no process is known to tune, or evaluate, an exploratory session."""
    if session.process == LABORATORY:
        return session.choice is not None and session.evaluated.done >= session.evaluated.planned
    return session.process is None or now - (session.last_seen or session.opened_at) > AGENT_SILENCE_SECONDS


def why_not_extend(session: Session, budget: Budget) -> str | None:
    """Why an exploratory session cannot go on under this budget, in words; None where it is the session's, or a larger one."""
    for name in ("trials", "epochs", "seconds", "training_seconds"):
        now, wanted = getattr(session.budget, name), getattr(budget, name)
        if now == wanted or (now is not None and wanted is not None and wanted > now):
            continue
        expected = "no cap on" if now is None else f"at least {now:g}"
        return (
            f"session {session.id} has a budget of {budget_words(session.budget)}, and a session's budget can only grow; "
            f"got {budget_words(budget)}, expected {expected} {name}, or another name to start anew"
        )
    before, asked = session.budget.until, budget.until
    if asked is not None and (before is None or asked.gain > before.gain or asked.trials < before.trials):
        least = (
            "no `until`" if before is None else f"until a gain of at most {show(before.gain)} in at least {before.trials} trials"
        )
        return (
            f"session {session.id} has a budget of {budget_words(session.budget)}, and a session's budget can only grow; "
            f"got {budget_words(budget)}, expected {least}, or another name to start anew"
        )
    grown = replace(budget, parallel=1) != replace(session.budget, parallel=1)
    if grown and session.choice is not None and has_stalled(replace(session, budget=budget)):
        assert asked is not None
        return (
            f"session {session.id} has ended, and would at once again: {_stalled_words(replace(session, budget=budget))}; "
            f"give a longer `until`, such as {str(replace(asked, trials=2 * asked.trials))!r}, or leave it out"
        )
    return None


def must_choose_by(session: Session, now: float, rules: Rules) -> float | None:
    """When the best trial is chosen for a tuner who let the deadline pass, or None where there is no deadline."""
    end = deadline(session, now)
    return None if end is None else end + rules.choosing


def best_trial(session: Session, *, ended: bool = False) -> Trial | None:
    """The trial with the best value on validation; None where no trial has a value.

    Of equals the one that is best by the further objectives, in their order, then the earliest: so it is on the front.

    One that diverged or turned out `invalid` after an epoch is passed over: it cannot be the final choice.

    ended: only of the trials that have ended. That is what is shown as the best so far, since it never falls: the value of one
    that trains is its last epoch's, and that may be worse than the one before.
    """
    tally, later = _tally(session)
    if ended:
        later = [trial for trial in later if not trial.is_open]
    first = tally.highest if session.maximize else tally.lowest
    best = direction.best_trial(later if first is None else [first, *later], session.maximize)
    further = session.aims.objectives[1:]
    if best is None or not further:
        return best
    alike = (trial for trial in session.trials if value_of(trial) == best.value and not (ended and trial.is_open))
    return min(
        (best, *alike), key=lambda trial: (*(direction.cost_of(trial.extra.get(aim.name), aim) for aim in further), trial.number)
    )


def evaluation_plan(session: Session, values: Mapping[int, float]) -> EvaluationPlan:
    """How a session's choice is trained for its test score.

    Where a trial's value is its best epoch's, to that epoch of the chosen one: schedules go by the configuration, which stays as
    it is. Else one that retrains trains for as many epochs as the chosen trial: for those of its configuration, also where the
    trial was stopped before; where only its function knows how many, for those that the trial had.

    values: of the chosen trial by epoch, those that it went on from included.
    """
    mode, chosen, until = session.evaluation_mode, session.chosen_trial, None
    if chosen is None:
        return EvaluationPlan(mode)
    ended = chosen.outcome is Outcome.COMPLETED
    if session.value_rule == "best":
        until = chosen.value_epoch
    elif mode == "retrain" and not ended and not session.task.knows_epochs:
        until = chosen.epochs_done
    known = mode == "retrain" and (ended or session.value_rule == "best")
    return EvaluationPlan(mode, tuple(values.get(epoch) for epoch in range(1, chosen.epochs_done + 1)) if known else (), until)


def next_step(study: Study, participant: Participant, session: Session | None, now: float) -> ParticipantStep:
    """Which page a participant of this version of a study sees next: the first step whose fact is missing."""
    if participant.withdrawn_at is not None:
        return ParticipantStep.WITHDRAWN
    if study.consent.markdown.strip() and participant.consented_at is None:
        return ParticipantStep.TERMS
    if next_questionnaire(study, participant, "before"):
        return ParticipantStep.BACKGROUND
    if session is None or session.started_at is None:
        return ParticipantStep.PRACTICE if study.practice and participant.read_details_at is not None else ParticipantStep.DETAILS
    last = ParticipantStep.AFTER if next_questionnaire(study, participant, "after") else ParticipantStep.THANKS
    return STEP_OF_STATE.get(state_of(session, now), last)


# The page of somebody whose clock has started, where the session alone tells it.
STEP_OF_STATE: Mapping[State, ParticipantStep] = {
    State.TUNING: ParticipantStep.TUNE,
    State.PAUSED: ParticipantStep.TUNE,
    State.CHOOSING: ParticipantStep.FINAL,
    State.WITHDRAWN: ParticipantStep.WITHDRAWN,
}


def steps_of(study: Study) -> tuple[ParticipantStep, ...]:
    """The steps of a study on the way to its thanks, in order: those without a text or a question are left out."""
    there = {
        ParticipantStep.TERMS: bool(study.consent.markdown.strip()),
        ParticipantStep.BACKGROUND: bool(study.before),
        ParticipantStep.PRACTICE: study.practice,
        ParticipantStep.AFTER: bool(study.after),
    }
    return tuple(
        step
        for step in ParticipantStep
        if step not in (ParticipantStep.THANKS, ParticipantStep.WITHDRAWN) and there.get(step, True)
    )


def budget_of(study: Study, condition: str | None) -> Budget:
    """What a participant under a condition may spend: the condition's own budget, or the study's."""
    arm = study.arm(condition)
    return arm.budget if arm and arm.budget else study.budget


def without_reason(
    space: Space, chosen: Mapping[str, Value], given: Collection[str], before: Mapping[str, Value] | None
) -> tuple[str, ...]:
    """The hyperparameters that need a reason and have none: those that differ from the trial before, or from the defaults.

    given: those that have a reason. before: of the trial before; None where there is none.
    """
    held = before if before is not None else space.defaults()
    return tuple(
        name for name, value in chosen.items() if not (name in held and is_same(held[name], value)) and name not in given
    )


def modes_to_invite(study: Study) -> tuple[Mode, ...]:
    """The modes that people can be invited to, the usual one first; simulated participants are never invited by hand."""
    return ("pilot",) if study.published_at is None else ("live", "pilot")


def last_seen(participant: Participant, session: Session | None) -> float | None:
    """When a participant last did something that is known; None for whoever withdrew."""
    if participant.withdrawn_at is not None:
        return None
    steps = (participant.created_at, participant.consented_at, participant.read_details_at, participant.practised_at)
    return max(at for at in (*steps, session.last_seen if session else None) if at is not None)


def next_questionnaire(study: Study, participant: Participant, at: Literal["before", "after"]) -> Questionnaire | None:
    """The first questionnaire before or after tuning that the participant has not sent in."""
    asked = study.before if at == "before" else study.after
    return next((questionnaire for questionnaire in asked if questionnaire.name not in participant.answered), None)


def phase_of(study: Study, piloted: bool) -> Phase:
    """Where a study stands. piloted: whether there are pilot participants."""
    if study.archived:
        return Phase.ARCHIVE
    if study.closed_at is not None:
        return Phase.CLOSED
    return Phase.LIVE if study.published_at is not None else Phase.PILOT if piloted else Phase.DRAFT


def is_collecting(study: Study) -> bool:
    """Whether people can take part in a study, and be counted, now."""
    return study.published_at is not None and study.closed_at is None and not study.archived


def why_scores_hidden(study: Study, mode: Mode) -> str | None:
    """Why test scores of a study's records of a mode are hidden now: live ones are, until it is closed. None: they are not."""
    if mode != "live" or study.closed_at is not None or study.archived:
        return None
    return (
        f"study {study.name!r} is still collecting, and test scores stay hidden until it is closed; close it first, "
        "or ask for the records of the pilot"
    )


def assign(arms: Sequence[Arm], counts: Mapping[str, int], seed: int, number: int) -> str | None:
    """The condition for the next participant: the one with the fewest for its share; equals are drawn by the seed.

    counts: participants who completed it or were seen lately, by condition. number: the participant's, so that the draw can be
    repeated.
    """
    if not arms:
        return None
    fewest = min(counts.get(arm.name, 0) / arm.share for arm in arms)
    level = [arm.name for arm in arms if counts.get(arm.name, 0) / arm.share == fewest]
    return level[derive_seed(seed, "assignment", number) % len(level)]


def thin(points: Sequence[tuple[int, float]], cap: int) -> set[int]:
    """Indices of at most `cap` points (index, value) that keep the smallest and largest value of each bucket.

    Buckets are equally wide ranges of the index, so thinning again later keeps an even density. The first and last point stay.
    """
    if len(points) <= cap:
        return {index for index, _ in points}
    first, last = points[0][0], points[-1][0]
    count = max(1, (cap - 2) // 2)
    buckets: dict[int, list[tuple[int, float]]] = {}
    for point in points:
        buckets.setdefault((point[0] - first) * count // (last - first + 1), []).append(point)
    kept = {first, last}
    for bucket in buckets.values():
        kept.add(min(bucket, key=lambda point: point[1])[0])
        kept.add(max(bucket, key=lambda point: point[1])[0])
    return kept


def parse_budget(
    seconds: float | None,
    trials: int | None,
    epochs: int | None,
    parallel: int = 1,
    until: object = None,
    cost: Cost | None = None,
) -> Budget:
    """A budget with at least one positive cap, or an `until` ("0.001 in 20"); InvalidSettings otherwise."""
    caps = (seconds, trials, epochs, until, None if cost is None else cost.most_seconds)
    if all(cap is None for cap in caps):
        raise InvalidSettings("budget: no cap given; expected a time, a number of trials or a number of epochs")
    return Budget(
        seconds=None if seconds is None else numbers.above_zero("budget: seconds", seconds),
        trials=None if trials is None else numbers.whole("budget: trials", trials),
        epochs=None if epochs is None else numbers.whole("budget: epochs", epochs),
        parallel=numbers.whole("budget: parallel", parallel),
        until=None if until is None else parse_until(until),
        cost=cost,
    )


def parse_until(given: object) -> Until:
    """What "0.001 in 20" says: until no better by 0.001 in 20 trials; InvalidSettings for what says no such thing."""
    gain, within, count = str(given).removesuffix("trials").partition(" in ") if isinstance(given, str) else ("", "", "")
    try:
        least, trials = float(gain), float(count)
        if within and 0 <= least < math.inf and 1 <= trials <= MOST_TRIALS and trials.is_integer():
            return Until(least, int(trials))
    except ValueError:
        pass
    raise InvalidSettings(
        f"budget: until is {given!r}, expected 'X in N', such as '0.001 in 20': no better by X, a number from 0, in N trials, a "
        "whole number from 1"
    )
