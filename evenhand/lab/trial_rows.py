"""The trials of a run as its page shows them: what stands on top, the order of the table, a window of it, curves.

Each asks the database for what is shown, and for no more, so that a page of 50,000 trials opens as that of 50 does.
"""

import threading
from array import array
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
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

WHOLE_TRIALS = 2000  # up to which a run is read whole: then every rule of a budget can be asked
MOST_ORDERS = 16  # of tables that are kept, of all runs together
MOST_KNOWN_RUNS = 200  # of which it is kept what was counted and what was best when

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True)
class _KnownGains:
    """What was best when, of the trials up to `settled`, all of which have ended. steps: how often people had stepped in."""

    steps: int
    settled: int
    gains: tuple[Gain, ...]


@dataclass(frozen=True)
class _Tally:
    """What is counted of a run's trials at a stamp: each of them changes with an event."""

    stamp: str
    trials: int
    newest_number: int
    outcomes: Mapping[str, int]
    used: int
    is_joint: bool


class TrialRows:
    """The trials of runs, a few at a time."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._lock = threading.Lock()
        self._orders: OrderedDict[tuple[Any, ...], tuple[str, array[int]]] = OrderedDict()
        self._gains: OrderedDict[tuple[int, float], _KnownGains] = OrderedDict()
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
            Its head. A run of few trials is whole in it, and so is one whose budget or aims ask for all of them.

        Raises:
            NotFound: there is no such session.
        """
        with self._core.read() as tx:
            bare, newest = sessions.bare(tx, session_id)
            tally = self._tally_of(tx, bare, _stamp(newest))
            is_whole = tally.trials <= WHOLE_TRIALS or _asks_for_all(bare)
            session = sessions.get(tx, session_id) if is_whole else bare
            open_numbers = trial_rows.open_numbers(tx, session_id)
            gains = self._gains_of(tx, bare, open_numbers, tally.newest_number)
            chosen_id = bare.choice.trial_id if bare.choice else None
            chosen_number = None if chosen_id is None else trial_rows.number_of(tx, chosen_id)
            asked = {*open_numbers, *([gains[-1].number] if gains else []), *([chosen_number] if chosen_number else [])}
            some = sessions.some_trials(tx, bare, asked)
            best = rules.best_trial(session, ended=True) if is_whole else some[gains[-1].number] if gains else None
            return RunHead(
                session=session,
                is_whole=is_whole,
                trials=tally.trials,
                newest_number=tally.newest_number,
                used=tally.used,
                outcomes=tally.outcomes,
                gains=gains,
                best=best,
                open_trials=tuple(some[number] for number in open_numbers),
                chosen=None if chosen_number is None else some[chosen_number],
                is_joint=tally.is_joint,
                stamp=_stamp(newest),
            )

    def _gains_of(self, tx: Connection, session: Session, open_numbers: Sequence[int], newest: int) -> tuple[Gain, ...]:
        """What was best when. What was found of trials that have ended is kept, so that one more costs one more."""
        key, steps = (session.id, float(session.opened_at)), len(session.interventions)
        with self._lock:
            known = self._gains.get(key)
        if known is None or known.steps != steps or known.settled > newest:
            known = _KnownGains(steps, 0, ())
        best = known.gains[-1].value if known.gains else None
        gains = (*known.gains, *trial_rows.gains(tx, session, known.settled, best))
        settled = max(known.settled, min(open_numbers, default=newest + 1) - 1)
        kept = _KnownGains(steps, settled, tuple(gain for gain in gains if gain.number <= settled))
        self._keep(self._gains, key, kept, MOST_KNOWN_RUNS)
        return gains

    def _tally_of(self, tx: Connection, session: Session, stamp: str) -> _Tally:
        """What is counted of the trials."""
        key = (session.id, float(session.opened_at))
        with self._lock:
            known = self._tallies.get(key)
        if known is not None and known.stamp == stamp:
            return known
        trials, newest_number = trial_rows.count(tx, session.id)
        outcomes, used = trial_rows.outcomes(tx, session.id)
        is_joint = session.is_joint or trial_rows.has_other_proposers(tx, session)
        tally = _Tally(stamp, trials, newest_number, outcomes, used, is_joint)
        self._keep(self._tallies, key, tally, MOST_KNOWN_RUNS)
        return tally

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


def _asks_for_all(session: Session) -> bool:
    """Whether what a run's top says follows from all of its trials: its clock, its epochs, a gain, or several objectives."""
    budget = session.budget
    capped = budget.seconds is not None or budget.epochs is not None or budget.until is not None
    return capped or len(session.aims.objectives) > 1


def _stamp(newest: Newest) -> str:
    return "-".join(str(part) for part in newest if part is not None)
