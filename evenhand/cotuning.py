"""Working together: what a person does in a running method's session. Each intervention is kept with who, when and why.

Such a session is `joint`, and stays out of tables that set people against methods.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from evenhand import protocol, wire
from evenhand.core import Core
from evenhand.errors import InvalidSpace, NotFound, Refused
from evenhand.records import Intervention, Outcome, Session, State, Stopper, Trial, space_after
from evenhand.space import Configuration, Prior
from evenhand.store import jobs, journal, sessions

SEEN = 1.0  # seconds for which it is not written again that a session's tuner is there
OVER = (State.CHOSEN, State.EVALUATED, State.WITHDRAWN)


class CoTuning(Core):
    """What a person may do in a method's session. `who` is refused where they looked at an evaluation of the same task."""

    def add_trial(
        self, session_id: int, configuration: Configuration, *, who: str, reason: str = "", key: str | None = None
    ) -> Trial:
        """Queue a trial of the person's; it counts in the budget, and the method learns from it."""
        with self._change(session_id) as tx:
            session, now = self._joined(tx, session_id, who), self.clock()
            if key is not None and (number := sessions.number_by_key(tx, session_id, key)) is not None:
                return trial_of(session, number)
            trial = self._queue(tx, session, Trial(0, session_id, 0, configuration, who, now, 0, explanation=reason), key)
            self._intervene(tx, session, Intervention(now, who, "added", trial.number, reason=reason))
            return trial

    def reshape(self, session_id: int, changes: Mapping[str, Mapping[str, Any] | None], *, who: str, reason: str = "") -> Session:
        """Narrow or widen ranges and choices, or freeze a value, for the trials to come: see `space.reshaped`.

        Each hyperparameter's newest change counts; None gives it its whole domain back. Nothing leaves the task's own domain.
        """
        with self._change(session_id) as tx:
            session = self._joined(tx, session_id, who)
            intervention = Intervention(self.clock(), who, "reshaped", None, dict(changes), reason)
            if not changes:
                raise Refused("name at least one hyperparameter to narrow, widen or freeze")
            space_after(session.task.space, (*session.interventions, intervention))  # or InvalidSpace, which says what is wrong
            self._intervene(tx, session, intervention)
            return sessions.get(tx, session_id)

    def believe(self, session_id: int, priors: Mapping[str, Prior | None], *, who: str, reason: str = "") -> Session:
        """Tell the method what is believed of its hyperparameters; None takes a belief back. Not every method uses priors.

        Before the clock has started it declares the session, as its settings do, and is no intervention in an open one: so
        anybody may.
        """
        with self._change(session_id) as tx:
            waits = sessions.get(tx, session_id).started_at is None
            session = self._joined(tx, session_id, None if waits else who)
            for name in priors:
                if name not in session.space:
                    raise InvalidSpace(
                        f"hyperparameter {name!r}: there is none; expected one of {', '.join(session.space.names)}"
                    )
            for name, prior in priors.items():
                if prior is not None:
                    replace(session.space[name], prior=prior)  # checks it against the domain
            detail = {name: None if prior is None else wire.to_json(prior) for name, prior in priors.items()}
            self._intervene(tx, session, Intervention(self.clock(), who, "believes", None, detail, reason))
            return sessions.get(tx, session_id)

    def stop_trial(self, session_id: int, number: int, *, who: str, reason: str = "") -> Trial:
        """Ask one of a method's trials to stop; what it has reached counts."""
        with self._change(session_id) as tx:
            session = self._joined(tx, session_id, who)
            trial = trial_of(session, number)
            if trial.is_open:
                self._stop(tx, trial, Stopper.RESEARCHER, reason or None)
                self._intervene(tx, session, Intervention(self.clock(), who, "stopped", number, reason=reason))
            return trial_of(sessions.get(tx, session_id), number)

    def take_over(self, session_id: int, *, who: str, reason: str = "") -> Session:
        """Propose in the method's stead until it is handed back; the clock goes on."""
        return self._hand(session_id, "took over", who, reason)

    def hand_back(self, session_id: int, *, who: str, reason: str = "") -> Session:
        """Let the method propose again."""
        return self._hand(session_id, "handed back", who, reason)

    def _hand(self, session_id: int, kind: Any, who: str, reason: str) -> Session:
        with self._change(session_id) as tx:
            session = self._joined(tx, session_id, who)
            if (session.taken_over_by is not None) != (kind == "took over"):
                self._intervene(tx, session, Intervention(self.clock(), who, kind, reason=reason))
            return sessions.get(tx, session_id)

    def _joined(self, tx: Connection, session_id: int, who: str | None) -> Session:
        """The session, where a person may intervene in it."""
        session = sessions.get(tx, session_id)
        self._check_may_intervene(tx, [session], who)
        if session.kind != "method":
            raise Refused(f"session {session_id} is {session.tuner}'s; only a method's session can be worked on together")
        if (state := protocol.state_of(session, self.clock())) in OVER:
            raise Refused(f"session {session_id} is {state}; nothing in it changes any more")
        return session

    def _intervene(self, tx: Connection, session: Session, intervention: Intervention) -> None:
        sessions.intervene(tx, session.id, intervention)
        trial = (
            None
            if intervention.trial is None
            else next((each.id for each in session.trials if each.number == intervention.trial), None)
        )
        journal.record(tx, intervention.at, intervention.kind, session.id, trial)

    def _queue(self, tx: Connection, session: Session, trial: Trial, key: str | None) -> Trial:
        """Store a trial and its job, or Refused where the rules forbid it."""
        number, before, now = len(session.trials) + 1, 0, trial.submitted_at
        if trial.resumes is not None:
            if why := protocol.why_not_resume(session, trial.resumes, trial.configuration):
                raise Refused(why)
            before = trial_of(session, trial.resumes).epochs_done
        epochs = session.task.epochs_of(trial.configuration)
        if why := protocol.why_not_submit(session, epochs - before, now):
            raise Refused(why)
        trial = replace(trial, number=number, epochs_planned=epochs, epochs_before=before, revision=session.revision)
        trial = replace(trial, epochs_done=before, id=sessions.add_trial(tx, trial, key))
        jobs.add(tx, session.id, session.tuning_seed, now, trial_id=trial.id)
        journal.record(tx, now, "submitted", session.id, trial.id)
        if session.last_seen is None or now - session.last_seen >= SEEN:
            sessions.update_facts(tx, session.id, last_seen=now)
        return trial

    def _stop(self, tx: Connection, trial: Trial, by: Stopper, why: str | None = None) -> None:
        if not trial.is_open:
            return
        job = jobs.of_trial(tx, trial.id)
        jobs.ask_to_stop(tx, job.id, by, why)
        if job.leased_until is None:
            jobs.finish(tx, job.id, self.clock(), Outcome.STOPPED, None)
        journal.record(tx, self.clock(), "stop asked", trial.session_id, trial.id, by=by)


def trial_of(session: Session, number: int) -> Trial:
    """The trial with this number; NotFound where there is none."""
    trial = session.trial(number)
    if trial is None:
        raise NotFound(f"session {session.id} has no trial {number}; it has {len(session.trials)}")
    return trial
