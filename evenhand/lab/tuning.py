"""The tuner's verbs: the same for a person's page and a method. What a tuner may see is decided in `view`, and nowhere else."""

from collections.abc import Mapping
from typing import Any

from evenhand.errors import Refused
from evenhand.lab.base import Core, names_in
from evenhand.lab.jobs import Agents
from evenhand.lab.shown import curve_after, session_as_shown
from evenhand.lab.writes import choose, queue, stop, trial_of
from evenhand.model import choices, rules
from evenhand.model.configuration import Configuration
from evenhand.model.session import FinalChoice, Session, State, View
from evenhand.model.signals import Signals
from evenhand.model.trial import LearningCurve, Stopper, Trial
from evenhand.store import events, sessions


class Tuning:
    """What a tuner asks of the laboratory; see `verbs.TunerVerbs`."""

    def __init__(self, core: Core, agents: Agents) -> None:
        self._core = core
        self._agents = agents

    def start(self, session_id: int) -> Session:
        """Start the session's clock; a clock that runs goes on as it is."""
        with self._core.change(session_id) as tx:
            session = sessions.get(tx, session_id)
            if session.withdrawn_at is not None:
                raise Refused(f"session {session_id} is not there any more: it was withdrawn from, or removed before it started")
            if session.started_at is None:
                sessions.update_facts(tx, session_id, started_at=self._core.clock(), last_seen=self._core.clock())
                events.record(tx, self._core.clock(), "started", session_id)
            return sessions.get(tx, session_id)

    def view(self, session_id: int) -> View:
        """All that the session's tuner may see: the one place that decides it."""
        if not self._core.store.is_joined:  # else what is seen is older than now
            self._core.changes.looked(session_id)
        with self._core.read() as tx:
            session = session_as_shown(sessions.get(tx, session_id))
            now = self._core.clock()
            return View(
                session=session,
                state=rules.state_of(session, now),
                now=now,
                seconds_left=rules.seconds_left(session, now),
                trials_left=rules.trials_left(session),
                epochs_left=rules.epochs_left(session),
                refusal=rules.why_not_submit(session, 1, now),
                best=rules.best_trial(session),
                choose_by=rules.must_choose_by(session, now, self._core.rules),
                waiting=self._agents.waiting(tx, session, now),
            )

    def wait(self, session_id: int, seconds: float, measured: bool = False) -> View:
        """What `view` gives, when the session has changed since this thread last looked at it, or after a time.

        A trial's start and measurements, which a tuner does not act on, count only where `measured` says so. What another process
        changes is seen after the time.
        """
        self._core.changes.wait(session_id, seconds, measured)
        return self.view(session_id)

    def curve(self, session_id: int, number: int, after: tuple[int, int] = (0, -1)) -> LearningCurve:
        """What a trial measured after the cursor (attempt, index); a newer attempt is given from its start."""
        with self._core.read() as tx:
            session = sessions.get(tx, session_id)
            return curve_after(tx, session, trial_of(session, number), after)

    def submit(
        self,
        session_id: int,
        configuration: Configuration | Mapping[str, Any],
        *,
        reasons: Mapping[str, str] | None = None,
        explanation: str = "",
        resumes: int | None = None,
        revision: int | None = None,
        key: str | None = None,
        signals: Signals | None = None,
    ) -> Trial:
        """Queue a trial of `configuration`. The same `key` twice is one trial; Refused, with why, where the rules forbid it.

        configuration: a raw one is checked against the space that is in force; InvalidConfiguration where it does not fit.
        resumes: the number of the trial whose training it goes on with; only further epochs cost anything. revision: of the
        session's space, under which it was made (default: the one now): one of before is refused, so that its tuner thinks again.
        signals: how a participant filled in its form.
        """
        with self._core.change(session_id, acts=False) as tx:
            session, now = sessions.get(tx, session_id, logged=True), self._core.clock()
            if key is not None and (number := sessions.number_by_key(tx, session_id, key)) is not None:
                return trial_of(session_as_shown(session), number)
            if session.taken_over_by is not None:
                raise Refused(f"{names_in(tx, session.taken_over_by)} has taken over; the method goes on when it is handed back")
            if revision is not None and revision != session.revision:
                raise Refused("the space was reshaped meanwhile; suggest again within it")
            if not isinstance(configuration, Configuration):
                configuration = session.current_space.configuration(configuration)
            reasons = {name: reason for name, reason in (reasons or {}).items() if name in configuration}
            trial = Trial(
                0, session_id, 0, configuration, session.tuner, now, 0, reasons, explanation, resumes=resumes, signals=signals
            )
            taker = self._agents.taker_of(tx, session, now)
            queued = queue(tx, session, trial, key, taker)
        if taker is not None:
            self._agents.hand(session, queued, taker)
        return queued.trial

    def stop(self, session_id: int, number: int, by: Stopper = Stopper.TUNER, *, why: str | None = None) -> Trial:
        """Ask a trial to stop; `why` is kept with it. One that waits ends at once; one that has ended stays as it is."""
        with self._core.change(session_id) as tx:
            stop(tx, trial_of(sessions.get(tx, session_id), number), self._core.clock(), by, why)
            return trial_of(sessions.get(tx, session_id), number)

    def choose(
        self,
        session_id: int,
        *,
        number: int | None = None,
        configuration: Configuration | None = None,
        key: str | None = None,
    ) -> Session:
        """End the session with its final configuration: a past trial's, or one that was not trained first.

        With neither, the session ends with `no choice`, which is allowed only where no trial has a value. A training that still
        runs is stopped. The evaluation is queued, seed by seed.
        """
        with self._core.change(session_id) as tx:
            session, now = sessions.get(tx, session_id), self._core.clock()
            if session.choice is not None and key is not None and sessions.choice_key(tx, session_id) == key:
                return session
            state = rules.state_of(session, now)
            if state not in (State.TUNING, State.CHOOSING):
                raise Refused(f"the session is {state}; a final choice needs one that is tuning and has none yet")
            trial = None if number is None else trial_of(session, number)
            if trial is not None:
                _check_choosable(session, trial)
                configuration = trial.configuration
            elif configuration is None and rules.best_trial(session) is not None:
                raise Refused("name the trial, or give the configuration, that is the final choice")
            choose(tx, session, FinalChoice(now, configuration, trial.id if trial else None), key)
            return sessions.get(tx, session_id)


def _check_choosable(session: Session, trial: Trial) -> None:
    if why := choices.why_not_chosen(session, trial):
        raise Refused(why)
    if missed := choices.misses(session, trial):
        raise Refused(
            f"trial {trial.number} cannot be the final choice: {'; '.join(missed)}; choose another one, or this one by hand: "
            f"evenhand end {session.id} --trial {trial.number}"
        )
