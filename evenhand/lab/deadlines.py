"""What time asks for: lost attempts, deadlines, choices that were not made, and outages."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, StatementError

from evenhand.lab.base import Core
from evenhand.lab.writes import choose, fail_attempt, stop
from evenhand.model import choices, rules
from evenhand.model.session import SERVED_DRIVERS, Extension, FinalChoice, Session, State
from evenhand.model.trial import Stopper
from evenhand.model.trial_history import unsettled
from evenhand.store import events, jobs, sessions

log = logging.getLogger(__name__)


@contextmanager
def _alone(session_id: int) -> Iterator[None]:
    """What is done for one session; where what is stored of it is damaged, the others are not held up."""
    words = "session %d cannot be read; what its time asks for is not done"
    try:
        yield
    except sessions.UNREADABLE:
        log.exception(words, session_id)
    except StatementError as error:  # what was read of it is nothing that can be written
        if isinstance(error, DBAPIError):
            raise
        log.exception(words, session_id)


class Deadlines:
    """What nobody asks for but the clock."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._swept_at = 0.0

    def sweep(self, session_id: int | None = None) -> None:
        """Do what time asks for: end lost attempts, stop trials that have used what one may and those at the deadline, choose for
        tuners who let theirs pass.

        session_id: for this session only, as a process does that is not the server: while the server is down, the others' clocks
        stand still, which the server credits when it is back.
        """
        self._swept_at = self._core.clock()
        with self._core.read() as tx:
            late, lost = sessions.past_limit(tx, self._swept_at), jobs.expired(tx, self._swept_at)
            limited = jobs.with_limited_trials(tx)
        if session_id is not None:
            limited = [limited_id for limited_id in limited if limited_id == session_id]
            late = [session for session in late if session.id == session_id]
            lost = [job for job in lost if job.session_id == session_id]
        for lost_job in lost:
            with _alone(lost_job.session_id):
                self._end_lost(lost_job)
        for limited_id in limited:
            with _alone(limited_id):
                self._end_long(limited_id)
        for session in late:
            with _alone(session.id):
                if rules.state_of(session, self._core.clock()) is State.CHOOSING:
                    self._end_time(session)

    def sweep_now_and_then(self, session_id: int | None) -> None:
        """`sweep`, where it was done neither just now nor a moment ago."""
        if self._core.clock() - self._swept_at >= min(0.5, self._core.rules.lease / 2):
            self.sweep(session_id)

    def _end_lost(self, lost: jobs.Lost) -> None:
        with self._core.change(lost.session_id) as tx:
            job, now = jobs.get(tx, lost.job_id), self._core.clock()
            if job and job.finished_at is None and job.leased_until is not None and job.leased_until < now:
                fail_attempt(tx, job, now, "its agent was not heard of any more", attempts=self._core.rules.attempts)

    def _end_long(self, session_id: int) -> None:
        """Stop the session's trials that have used what one trial may of the time, or all that the run may cost."""
        with self._core.read() as tx:
            session = sessions.get(tx, session_id)
        if not any(rules.why_stop(session, trial, self._core.clock()) for trial in unsettled(session.trials)):
            return
        with self._core.change(session_id) as tx:
            session, now = sessions.get(tx, session_id), self._core.clock()
            for trial in unsettled(session.trials):
                if (why := rules.why_stop(session, trial, now)) is not None:
                    stop(tx, trial, now, Stopper.RULE, why)

    def _end_time(self, session: Session) -> None:
        now = self._core.clock()
        by = rules.must_choose_by(session, now, self._core.rules)
        choosing = by is not None and now >= by
        if not choosing and not any(trial.is_open and trial.stop_by is None for trial in session.trials):
            return
        with self._core.change(session.id) as tx:
            session = sessions.get(tx, session.id)
            if rules.state_of(session, now) is not State.CHOOSING:
                return
            for trial in session.trials:
                if trial.stop_by is None:
                    stop(tx, trial, self._core.clock(), Stopper.DEADLINE)
            if choosing:
                best = choices.final_trial(session)
                choice = FinalChoice(now, best.configuration, best.id, True) if best else FinalChoice(now, None, None, True)
                choose(tx, session, choice)

    def recover(self, down_since: float | None = None) -> None:
        """What a starting server does first: renew live leases, and credit the outage to the sessions it serves."""
        self._core.store.note_start()
        with self._core.change() as tx:
            now = self._core.clock()
            jobs.renew_all(tx, now + self._core.rules.lease)
            if down_since is not None and now > down_since:
                for session_id in sessions.open_ids(tx, SERVED_DRIVERS):
                    sessions.extend(tx, session_id, Extension(now - down_since, "the server was down", down_since))
                    events.record(tx, now, "outage", session_id, seconds=now - down_since)
