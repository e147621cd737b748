"""Stopping rules see each epoch of a trial in order, within the write that stores it: how quickly it trains changes nothing.

What a rule is given is what is stored, so a restart changes nothing either. A session without a rule costs one look into a
dictionary.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection

from evenhand.errors import InvalidSettings, PluginBroken
from evenhand.lab.base import Core
from evenhand.methods.stopping import Curve, StoppingRule, Values, first_stop, rule
from evenhand.model.direction import value_of
from evenhand.model.job import MeasurementBatch
from evenhand.model.recent import Recent
from evenhand.model.session import Session
from evenhand.model.trial import Measurement, Outcome, Stopper
from evenhand.model.trial_history import unsettled
from evenhand.store import events, jobs, sessions

MOST_REMEMBERED_SESSIONS = 10_000  # of which it is remembered whether they have a rule
MOST_SESSIONS_WITH_CURVES = 100  # sessions whose ended trials' values are kept in memory
NOTICE_EVENT = "stopping noticed"  # the kind of event that says something of a session's rule, in words


class _Rule(NamedTuple):
    """A session's rule. text: as it is recorded."""

    text: str
    made: StoppingRule


class Judged(NamedTuple):
    """What the rule makes of a report: what of it is to be stored, the job then, and whether the rule has ended its trial."""

    report: MeasurementBatch
    job: jobs.Job
    is_over: bool = False


class StoppingRules:
    """Ends trials by their sessions' stopping rules. Threads may share it."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._rules: Recent[int, _Rule | None] = Recent(MOST_REMEMBERED_SESSIONS)
        # By session; then by trial, and when it ended.
        self._curves: Recent[int, dict[tuple[int, float | None], Curve]] = Recent(MOST_SESSIONS_WITH_CURVES)

    def note(self, tx: Connection, session: Session) -> _Rule | None:
        """The rule of a session of which a training begins or goes on; where it cannot be used, that is said once."""
        text, made, why = session.method.get("stopping"), None, ""
        if text is not None and not session.live_validation:
            why = "the study shows validation after training only, to its tuners and so to their rules"
        elif text is not None:
            try:
                made = _Rule(text, rule(text, maximize=session.maximize))
            except (InvalidSettings, PluginBroken) as error:
                why = str(error)
        if why and session.id not in self._rules:
            self._say(tx, session.id, None, f"stopping rule {text!r} ends no trial: {why}")
        self._rules[session.id] = made
        return made

    def judged(self, tx: Connection, job: jobs.Job, report: MeasurementBatch) -> Judged:
        """Show a session's rule the epochs of a report in order; at the first one at which it ends the trial, that is noted."""
        if job.trial_id is None:
            return Judged(report, job)
        try:
            its = self._rules[job.session_id]
        except KeyError:
            its = self.note(tx, sessions.get(tx, job.session_id, logged=True))
        if its is None:
            return Judged(report, job)
        if job.stop_by is Stopper.RULE:
            return Judged(MeasurementBatch(report.job_id, report.attempt, ()), job, True)
        if job.stop_by is not None or not any(map(_has_value, report.batch)):
            return Judged(report, job)
        return self._asked(tx, its, job, job.trial_id, report)

    def _asked(self, tx: Connection, its: _Rule, job: jobs.Job, trial_id: int, report: MeasurementBatch) -> Judged:
        session, stored = sessions.get(tx, job.session_id, logged=True), jobs.epochs(tx, job.id, job.attempt)
        trial = next(trial for trial in unsettled(session.trials) if trial.id == trial_id)
        new = [measurement for measurement in report.batch if not stored or measurement.index > stored[-1].index]
        last = trial.epochs_planned if session.task.knows_epochs else None
        verdict = first_stop(its.text, its.made, trial, _values(stored), new, self._others(tx, session), last)
        if verdict.fault is not None:
            self._say(tx, session.id, trial_id, f"an epoch of trial {trial.number} decided nothing: {verdict.fault}")
        if verdict.at is None:
            return Judged(report, job)
        jobs.ask_to_stop(tx, job, Stopper.RULE, verdict.why)
        events.record(tx, self._core.clock(), "stop asked", session.id, trial_id, by=Stopper.RULE)
        until = new[verdict.at].index
        kept = [measurement for measurement in report.batch if measurement.index <= until]
        ended = replace(job, stop_by=Stopper.RULE, stop_why=verdict.why)
        return Judged(MeasurementBatch(report.job_id, report.attempt, kept), ended, True)

    def note_end(self, tx: Connection, job: jobs.Job, outcome: Outcome) -> None:
        """A training ended, and all that it measured is stored.

        Where a session's first one that completed gave its rule nothing to decide by, that is said.
        """
        if job.trial_id is None or outcome is not Outcome.COMPLETED or self._rules.get(job.session_id) is None:
            return
        session = sessions.get(tx, job.session_id, logged=True)
        trial = next(trial for trial in unsettled(session.trials) if trial.id == job.trial_id)
        short = session.space.fidelity is not None and trial.epochs_to_do <= 1
        if short or any(trial.outcome is Outcome.COMPLETED for trial in session.trials):
            return
        if len(jobs.epochs(tx, job.id, job.attempt)) <= 1:
            self._say(
                tx,
                session.id,
                trial.id,
                f"stopping rule {session.method['stopping']!r} can end no trial early, since trial {trial.number} reported "
                f"its end alone: call run.report(epoch=..., {session.task.metric}=...) after every epoch, in a function of "
                "(configuration, run)",
            )

    def _say(self, tx: Connection, session_id: int, trial_id: int | None, words: str) -> None:
        """Keep words about a session's rule, once of each trial."""
        if all(event.trial_id != trial_id for event in events.of_kind(tx, session_id, NOTICE_EVENT)):
            events.record(tx, self._core.clock(), NOTICE_EVENT, session_id, trial_id, said=words)

    def _others(self, tx: Connection, session: Session) -> tuple[Curve, ...]:
        """What the trials that completed or were stopped measured, in order; each is read once."""
        ended = [trial for trial in session.trials if not trial.is_open and value_of(trial) is not None]
        known = self._curves.get(session.id, {})
        missing = [trial for trial in ended if (trial.id, trial.finished_at) not in known]
        if missing:
            read = jobs.epochs_of_trials(tx, [trial.id for trial in missing])
            known = {**known, **{(trial.id, trial.finished_at): Curve(_values(read.get(trial.id, ()))) for trial in missing}}
            self._curves[session.id] = known
        return tuple(curve for trial in ended if (curve := known[trial.id, trial.finished_at]))


def notices(tx: Connection, session_id: int) -> tuple[str, ...]:
    """What there was to say of a session's rule, in order."""
    return tuple(str(event.detail["said"]) for event in events.of_kind(tx, session_id, NOTICE_EVENT))


def _has_value(measurement: Measurement) -> bool:
    return measurement.epoch is not None and measurement.value is not None


def _values(measurements: Iterable[Measurement]) -> Values:
    return {one.epoch: one.value for one in measurements if one.epoch is not None and one.value is not None}
