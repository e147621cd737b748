"""The rules of equal terms: what a budget allows, when the clock ends, which seed serves which purpose.

Pure functions of facts: the same facts give the same answer before and after a restart. Times are seconds since the epoch.
"""

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal, NamedTuple

from evenhand.declaration import Arm, Budget, Mode, Questionnaire, Study
from evenhand.errors import InvalidSettings
from evenhand.records import COUNTED, Outcome, Participant, Session, State, Trial
from evenhand.settings import Rules
from evenhand.trials import fold, unsettled

Interval = tuple[float, float]


class Step(StrEnum):
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


def derive_seed(root: int, *purpose: str | int) -> int:
    """A seed in [0, 2**31) for one purpose, independent of those for others: SHA-256 of the root and the purpose's words.

    `derive_seed(7, "evaluation", 3)` and `derive_seed(7, "tuning")` share nothing but their root.
    """
    text = "\x1f".join(str(part) for part in (root, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1


def union_length(intervals: Iterable[Interval]) -> float:
    """The length covered by the intervals, overlaps counted once."""
    return sum(end - start for start, end in _merged(intervals))


def credit(session: Session, now: float) -> float:
    """Seconds given back to the session until `now`: waiting for an agent, outages, pauses, what dead attempts lost, extensions.

    Waiting is the time in which a job was queued and none was running: |Q u R u O| - |R u O|. An outage or a pause O counts
    whole, since nobody could act in it. A trial runs from the claim of its last attempt, so what earlier, dead attempts trained
    is waiting.
    """
    outages = [(each.start, each.start + each.seconds) for each in session.extensions if each.start is not None]
    outages += [(each.start, each.end if each.end is not None else now) for each in session.pauses]
    given = sum(each.seconds for each in session.extensions if each.start is None)
    waits, later = fold(session.trials, "waits", _Waits, _Waits.add)
    waited = waits.without(outages) + _waited([*waits.rest, *later], outages, now)
    return waited + union_length(outages) + given


def _waited(trials: Iterable[Trial], outages: Sequence[Interval], now: float) -> float:
    """|Q u R u O| - |R u O| of `credit`: the time in which one was queued and none was running, outages left out."""
    queued, running = _intervals(trials, now)
    return union_length([*queued, *running, *outages]) - union_length([*running, *outages])


def _intervals(trials: Iterable[Trial], now: float) -> tuple[list[Interval], list[Interval]]:
    """When trials were there to be trained, and when they were trained."""
    queued, running = [], []
    for trial in trials:
        end = trial.finished_at if trial.finished_at is not None else now
        queued.append((trial.submitted_at, end))
        if trial.claimed_at is not None and trial.outcome is not Outcome.FAILED:
            running.append((trial.claimed_at, end))
    return queued, running


@dataclass(frozen=True)
class _Waits:
    """When trials that have ended waited and none was running: `count` disjoint intervals in order, and their lengths summed up.

    rest: the last trials, beside which the next one may have been waiting or running. All before ended before these were
    submitted, so that nothing after changes when they waited. The lists are shared with what `add` gave before and after.
    """

    count: int = 0
    starts: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0])
    rest: tuple[Trial, ...] = ()
    rest_ends: float = float("-inf")

    def add(self, trial: Trial) -> "_Waits":
        """With one more that has ended; trials come in the order in which they were submitted."""
        ends = max(self.rest_ends, trial.finished_at or 0.0)
        if trial.submitted_at < self.rest_ends:
            return replace(self, rest=(*self.rest, trial), rest_ends=ends)
        found = _uncovered(*_intervals(self.rest, self.rest_ends))
        for start, end in found:
            self.starts.append(start)
            self.ends.append(end)
            self.sums.append(self.sums[-1] + end - start)
        return replace(self, count=self.count + len(found), rest=(trial,), rest_ends=ends)

    def without(self, outages: Sequence[Interval]) -> float:
        """The summed length, without what lies in an outage."""
        return self.sums[self.count] - sum(self._until(end) - self._until(start) for start, end in _merged(outages))

    def _until(self, at: float) -> float:
        """The summed length before a time."""
        number = bisect_right(self.starts, at, 0, self.count)
        return self.sums[number] - (max(0.0, self.ends[number - 1] - at) if number else 0.0)


def _merged(intervals: Iterable[Interval]) -> list[Interval]:
    """The same time as disjoint intervals, in order."""
    found: list[Interval] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found


def _uncovered(queued: Iterable[Interval], running: Iterable[Interval]) -> list[Interval]:
    """What of the first intervals lies in none of the second, disjoint and in order."""
    covers, found = _merged(running), []
    for start, end in _merged(queued):
        for low, high in covers:
            if high > start and low < end:
                if low > start:
                    found.append((start, low))
                start = max(start, high)
        if start < end:
            found.append((start, end))
    return found


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
    return trial.is_open or (trial.outcome in COUNTED and trial.claimed_at is not None)


class _Tally(NamedTuple):
    """What trials that have ended used up, and the best of them: the earliest of those with the highest and the lowest value."""

    trials: int = 0
    epochs: int = 0
    highest: Trial | None = None
    lowest: Trial | None = None

    def add(self, trial: Trial) -> "_Tally":
        """One more."""
        trials, epochs, highest, lowest = self
        if _counts(trial):
            trials, epochs = trials + 1, epochs + trial.epochs_begun
        if trial.value is not None and trial.outcome is not Outcome.INVALID:
            highest = trial if highest is None or trial.value > (highest.value or 0.0) else highest
            lowest = trial if lowest is None or trial.value < (lowest.value or 0.0) else lowest
        return _Tally(trials, epochs, highest, lowest)


def _tally(session: Session) -> tuple[_Tally, Sequence[Trial]]:
    """Of the trials that have ended for good, and the trials after these."""
    return fold(session.trials, "tally", _Tally, _Tally.add)


def trials_left(session: Session) -> int | None:
    """Trials the budget still allows, or None where it does not count trials."""
    return None if session.budget.trials is None else max(0, session.budget.trials - trials_used(session))


def epochs_left(session: Session) -> int | None:
    """Epochs the budget still allows, or None where it does not count epochs."""
    return None if session.budget.epochs is None else max(0, session.budget.epochs - epochs_used(session))


def why_not_submit(session: Session, epochs: int, now: float) -> str | None:
    """Why the rules refuse one more trial of `epochs` epochs now, in words for its tuner; None where they allow it."""
    state = state_of(session, now)
    if state is State.WAITING:
        return "the session's clock has not started; start tuning first"
    if state is State.PAUSED:
        return f"the session is paused ({session.pauses[-1].reason}); its clock stands still until it goes on"
    if state is not State.TUNING:
        return f"the session is {state}; it takes no more trials"
    if trials_left(session) == 0 and session.practice:
        return "that was the practice; start the real session when you are ready"
    if trials_left(session) == 0:
        return f"all {session.budget.trials} trials of the budget are used; choose a final configuration"
    left = epochs_left(session)
    if left is not None and epochs > left:
        return f"this needs {epochs} epochs and {left} of {session.budget.epochs} are left; ask for fewer"
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
        {name: value for name, value in each.items() if name != fidelity.name} for each in (parent.configuration, configuration)
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
    if session.pauses and session.pauses[-1].end is None:
        return State.PAUSED
    end = deadline(session, now)
    return State.CHOOSING if end is not None and now >= end else State.TUNING


def must_choose_by(session: Session, now: float, rules: Rules) -> float | None:
    """When the best trial is chosen for a tuner who let the deadline pass, or None where there is no deadline."""
    end = deadline(session, now)
    return None if end is None else end + rules.choosing


def best_trial(session: Session) -> Trial | None:
    """The trial with the best value on validation, the earliest of equals; None where no trial has a value.

    One that turned out `invalid` after an epoch is passed over: it cannot be the final choice.
    """
    tally, later = _tally(session)
    first = tally.highest if session.maximize else tally.lowest
    valued = [trial for trial in later if trial.value is not None and trial.outcome is not Outcome.INVALID]
    sign = 1.0 if session.maximize else -1.0
    known = [] if first is None else [first]
    return max([*known, *valued], key=lambda trial: (sign * (trial.value or 0.0), -trial.number), default=None)


def next_step(study: Study, participant: Participant, session: Session | None, now: float) -> Step:
    """Which page a participant of this version of a study sees next: the first step whose fact is missing."""
    if participant.withdrawn_at is not None:
        return Step.WITHDRAWN
    if study.consent.markdown.strip() and participant.consented_at is None:
        return Step.TERMS
    if next_questionnaire(study, participant, "before"):
        return Step.BACKGROUND
    if session is None or session.started_at is None:
        return Step.PRACTICE if study.practice and participant.read_details_at is not None else Step.DETAILS
    last = Step.AFTER if next_questionnaire(study, participant, "after") else Step.THANKS
    return WHERE.get(state_of(session, now), last)


# The page of somebody whose clock has started, where the session alone tells it.
WHERE: Mapping[State, Step] = {
    State.TUNING: Step.TUNE,
    State.PAUSED: Step.TUNE,
    State.CHOOSING: Step.FINAL,
    State.WITHDRAWN: Step.WITHDRAWN,
}


def next_questionnaire(study: Study, participant: Participant, at: Literal["before", "after"]) -> Questionnaire | None:
    """The first questionnaire before or after tuning that the participant has not sent in."""
    asked = study.before if at == "before" else study.after
    return next((each for each in asked if each.name not in participant.answered), None)


def why_scores_hidden(study: Study, mode: Mode) -> str | None:
    """Why test scores of a study's records of a mode are hidden now: live ones are, until it is closed. None: they are not."""
    if mode != "live" or study.closed_at is not None or study.archived:
        return None
    return (
        f"study {study.name!r} is still collecting, and test scores stay hidden until it is closed; close it first, "
        "or ask for the records of the pilot"
    )


def assign(arms: Sequence[Arm], counts: Mapping[str, int], seed: int, number: int) -> str | None:
    """The condition for the next participant: the one with the fewest assigned for its share; equals are drawn by the seed.

    counts: participants already assigned, by condition. number: the participant's, so that the draw can be repeated.
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


def parse_budget(seconds: float | None, trials: int | None, epochs: int | None, parallel: int = 1) -> Budget:
    """A budget with at least one positive cap; InvalidSettings otherwise."""
    given = {"seconds": seconds, "trials": trials, "epochs": epochs}
    for name, value in given.items():
        if value is not None and value <= 0:
            raise InvalidSettings(f"budget: {name} is {value}, expected a number above 0")
    if all(value is None for value in given.values()):
        raise InvalidSettings("budget: no cap given; expected a time, a number of trials or a number of epochs")
    if parallel < 1:
        raise InvalidSettings(f"budget: {parallel} trials at once, expected at least 1")
    return Budget(seconds=seconds, trials=trials, epochs=epochs, parallel=parallel)
