"""The trials of a run as its page shows them: what stands on top, the order of the table, a window of it, curves.

Each asks the database for what is shown, and for no more, so that a page of 50,000 trials opens as that of 50 does.
"""

import threading
from array import array
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sqlalchemy import Connection

from evenhand.errors import NotFound
from evenhand.lab.base import Core
from evenhand.model import rules
from evenhand.model.filters import Filter
from evenhand.model.run_head import Gain, RunHead
from evenhand.model.session import Session
from evenhand.model.trial import LearningCurve, Trial
from evenhand.model.trial_fields import CurvePoint, TrialField
from evenhand.store import jobs, sessions, trial_rows
from evenhand.store.cache import Newest

WHOLE_TRIALS = 2000  # up to which a run is read whole
MOST_AT_ONCE = 500  # trials that are named in one query
MOST_ORDERS = 16  # of tables that are kept, of all runs together
MOST_KNOWN_RUNS = 200  # of which it is kept what was counted and what was best when

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class _Settled:
    """What was found of a run's trials up to the number `until`, all of which have ended, so that one more costs one more.

    steps: how often people had stepped in. gains: what was best when. epochs: that those which count have begun. waits: when they
    waited.
    """

    steps: int
    until: int = 0
    gains: tuple[Gain, ...] = ()
    epochs: int = 0
    waits: rules.Waits = field(default_factory=rules.Waits)


@dataclass(frozen=True)
class _Later:
    """The same of ended trials after the first open one, with their times."""

    gains: tuple[Gain, ...]
    epochs: int
    times: tuple[rules.TrialTimes, ...]


@dataclass(frozen=True)
class _Tally:
    """What is counted of a run's trials at a stamp: each of them changes with an event.

    best_number: of the best that has ended. epochs: begun by ended trials that count, where the budget asks. bests, waits: see
    `rules.EndedCounts`.
    """

    stamp: str
    trials: int
    newest_number: int
    outcomes: Mapping[str, int]
    used: int
    is_joint: bool
    gains: tuple[Gain, ...]
    best_number: int | None
    epochs: int | None
    bests: Sequence[float | None]
    waits: rules.Waits | None


class TrialRows:
    """The trials of runs, a few at a time."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock, self._settling = threading.Lock(), threading.Lock()
        self._orders: OrderedDict[tuple[Any, ...], tuple[str, array[int]]] = OrderedDict()
        self._settled: OrderedDict[tuple[int, float], _Settled] = OrderedDict()
        self._tallies: OrderedDict[tuple[int, float], _Tally] = OrderedDict()

    def bare(self, session_id: int) -> Session:
        """A session without its trials, however many there are."""
        with self._core.read() as tx:
            return sessions.bare(tx, session_id)[0]

    def head(self, session_id: int) -> RunHead:
        """What the top of a run's page says.

        Args:
            session_id: of the run.

        Returns:
            Its head. A run of few trials is whole in it; of another one is counted what the rules of its budget ask for.

        Raises:
            NotFound: there is no such session.
        """
        with self._core.read() as tx:
            bare, newest = sessions.bare(tx, session_id)
            tally = self._tally_of(tx, bare, _stamp(newest))
            is_whole = tally.trials <= WHOLE_TRIALS
            open_numbers = trial_rows.open_numbers(tx, session_id)
            chosen_id = bare.choice.trial_id if bare.choice else None
            chosen_number = None if chosen_id is None else trial_rows.number_of(tx, chosen_id)
            some = sessions.some_trials(
                tx, bare, {*open_numbers, *(number for number in (chosen_number, tally.best_number) if number)}
            )
            best = None if tally.best_number is None else some[tally.best_number]
            open_trials = [some[number] for number in open_numbers]
            return RunHead(
                session=sessions.get(tx, session_id) if is_whole else self._counted(tx, bare, tally, best, open_trials),
                is_whole=is_whole,
                trials=tally.trials,
                newest_number=tally.newest_number,
                used=tally.used,
                outcomes=tally.outcomes,
                gains=tally.gains,
                best=best,
                open_trials=tuple(open_trials),
                chosen=None if chosen_number is None else some[chosen_number],
                is_joint=tally.is_joint,
                stamp=_stamp(newest),
            )

    def _counted(
        self, tx: Connection, session: Session, tally: _Tally, best: Trial | None, open_trials: Sequence[Trial]
    ) -> Session:
        """The session with what its rules ask of its trials."""
        trained = None
        if session.budget.training_seconds is not None:
            now = self._core.clock()
            trained = jobs.training_seconds(tx, session.id, now) - sum(trial.seconds(now) for trial in open_trials)
        used = tally.used - len(open_trials)
        return rules.with_counts(
            session, rules.EndedCounts(used, tally.epochs, trained, best, tally.bests, tally.waits), open_trials
        )

    def _tally_of(self, tx: Connection, session: Session, stamp: str) -> _Tally:
        """What is counted of the trials."""
        key = (session.id, float(session.opened_at))
        with self._lock:
            known = self._tallies.get(key)
        if known is not None and known.stamp == stamp:
            return known
        trials, newest_number = trial_rows.count(tx, session.id)
        outcomes, used = trial_rows.outcomes(tx, session.id)
        with self._settling:  # what is found of a run grows in place
            settled, later = self._settled_of(tx, session, newest_number)
        gains, until = (*settled.gains, *later.gains), session.budget.until
        tally = _Tally(
            stamp=stamp,
            trials=trials,
            newest_number=newest_number,
            outcomes=outcomes,
            used=used,
            is_joint=session.is_joint or trial_rows.has_other_proposers(tx, session),
            gains=gains,
            best_number=_best_number(tx, session, gains),
            epochs=None if session.budget.epochs is None else settled.epochs + later.epochs,
            bests=() if until is None else _newest_bests(tx, session.id, gains, until.trials + 1),
            waits=None if session.budget.seconds is None else settled.waits.beside(later.times),
        )
        self._keep(self._tallies, key, tally, MOST_KNOWN_RUNS)
        return tally

    def _settled_of(self, tx: Connection, session: Session, newest: int) -> tuple[_Settled, _Later]:
        """What was found of the trials before the first open one, which is kept, and of those after it that have ended."""
        key, steps = (session.id, float(session.opened_at)), len(session.interventions)
        with self._lock:
            known = self._settled.get(key)
        if known is None or known.steps != steps or known.until > newest:
            known = _Settled(steps)
        until = max(known.until, min(trial_rows.open_numbers(tx, session.id), default=newest + 1) - 1)
        best = known.gains[-1].value if known.gains else None
        gains = trial_rows.gains(tx, session, known.until, best)
        epochs, later_epochs, waits = 0, 0, known.waits
        times: list[rules.TrialTimes] = []
        if session.budget.epochs is not None:
            epochs, later_epochs = trial_rows.epochs_begun(tx, session, known.until, until)
        if session.budget.seconds is not None:
            for number, ended in trial_rows.ended_times(tx, session.id, known.until):
                if number <= until:
                    waits = waits.add(ended)
                else:
                    times.append(ended)
        settled = _Settled(
            steps=steps,
            until=until,
            gains=(*known.gains, *(gain for gain in gains if gain.number <= until)),
            epochs=known.epochs + epochs,
            waits=waits,
        )
        self._keep(self._settled, key, settled, MOST_KNOWN_RUNS)
        return settled, _Later(tuple(gain for gain in gains if gain.number > until), later_epochs, tuple(times))

    def _keep(self, kept: "OrderedDict[K, V]", key: K, value: V, most: int) -> None:
        """Keep a value, and of what is kept the newest."""
        with self._lock:
            kept[key] = value
            kept.move_to_end(key)
            while len(kept) > most:
                kept.popitem(last=False)

    def order(
        self, session_id: int, wanted: Filter, sort: TrialField, descending: bool, fields: Mapping[str, TrialField]
    ) -> "array[int]":
        """The numbers of a run's trials as a table has them.

        Args:
            session_id: of the run.
            wanted: which trials.
            sort: by what; trials without it come last.
            descending: whether the largest come first.
            fields: what `wanted` can name.

        Returns:
            Their numbers, in order. They are kept until something happens in the run.
        """
        with self._core.read() as tx:
            session, newest = sessions.bare(tx, session_id)
            key, stamp = (session_id, session.opened_at, wanted, sort, descending), _stamp(newest)
            with self._lock:
                known = self._orders.get(key)
                if known is not None and known[0] == stamp:
                    self._orders.move_to_end(key)
                    return known[1]
            numbers = trial_rows.numbers(tx, session, wanted, sort, descending, fields)
        self._keep(self._orders, key, (stamp, numbers), MOST_ORDERS)
        return numbers

    def some(self, session: Session, numbers: Collection[int]) -> dict[int, Trial]:
        """Trials of a session, by number; those that there are not are left out."""
        with self._core.read() as tx:
            return sessions.some_trials(tx, session, numbers)

    def one(self, session: Session, number: int) -> Trial:
        """A trial of a session; NotFound where there is none of this number."""
        trial = self.some(session, [number]).get(number)
        if trial is None:
            raise NotFound(f"session {session.id} has no trial {number}")
        return trial

    def size(self, session_id: int) -> tuple[int, int]:
        """How many trials a run has, and the largest of their numbers."""
        with self._core.read() as tx:
            return trial_rows.count(tx, session_id)

    def values(self, session: Session, every: int) -> list[tuple[int, float]]:
        """Of every so manieth trial that has ended, its number and its value, where it has one that counts."""
        with self._core.read() as tx:
            return trial_rows.values(tx, session, every)

    def curves(self, session_id: int, numbers: Collection[int], most_points: int) -> tuple[list[CurvePoint], bool]:
        """What trials measured on validation at the ends of epochs, and whether all of them have ended.

        most_points: of one trial, about; of longer trainings some epochs between are left out.
        """
        with self._core.read() as tx:
            return trial_rows.curves(tx, session_id, numbers, most_points), trial_rows.ended(tx, session_id, numbers)

    def curve(self, trial: Trial) -> LearningCurve:
        """All that a trial measured in the attempt that counts."""
        with self._core.read() as tx:
            measured = jobs.of_trials_attempt(tx, trial.id, trial.attempt, -1)
            return LearningCurve(trial.number, trial.attempt, tuple(measured))

    def pulse(self, session_id: int) -> tuple[Session, str, list[Trial]]:
        """What tells a page that something of a run is other than before: its facts, its stamp, and its open trials."""
        with self._core.read() as tx:
            session, newest = sessions.bare(tx, session_id)
            going = sessions.some_trials(tx, session, trial_rows.open_numbers(tx, session_id))
            return session, _stamp(newest), sorted(going.values(), key=lambda trial: trial.number)


def _best_number(tx: Connection, session: Session, gains: Sequence[Gain]) -> int | None:
    """The number of the trial that `rules.best_trial` gives of those that have ended; several objectives ask for its equals."""
    if not gains or len(session.aims.objectives) <= 1:
        return gains[-1].number if gains else None
    equals = trial_rows.alike(tx, session, gains[-1].value)
    read = [
        trial
        for first in range(0, len(equals), MOST_AT_ONCE)
        for trial in sessions.some_trials(tx, session, equals[first : first + MOST_AT_ONCE]).values()
    ]
    best = rules.best_trial(replace(session, trials=tuple(read)), ended=True)
    return None if best is None else best.number


def _newest_bests(tx: Connection, session_id: int, gains: Sequence[Gain], most: int) -> list[float | None]:
    """After each of the last ended trials that count, the best value until then; at most so many."""
    numbers = [gain.number for gain in gains]
    places = [bisect_right(numbers, number) for number in trial_rows.newest_counted(tx, session_id, most)]
    return [gains[place - 1].value if place else None for place in places]


def _stamp(newest: Newest) -> str:
    return "-".join(str(part) for part in newest if part is not None)
