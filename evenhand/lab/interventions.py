"""Working together: what a person does in a running method's session. Each intervention is kept with who, when and why.

Such a session is `joint`, and stays out of tables that set people against methods.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from evenhand.errors import InvalidSpace, Refused
from evenhand.lab.base import Core, check_may_intervene, refuse_archive, refuse_open
from evenhand.lab.writes import choose, queue, stop, trial_of
from evenhand.model import choices, codec, rules
from evenhand.model.aims import rating_of
from evenhand.model.configuration import Configuration
from evenhand.model.hyperparameter import Prior
from evenhand.model.session import FinalChoice, Intervention, Session, space_after
from evenhand.model.trial import Stopper, Trial
from evenhand.model.words import storable
from evenhand.store import events, sessions, studies


class Interventions:
    """What a person may do in a method's session. `who` is refused where they looked at an evaluation of the same task.

    Rating and vetoing are of exploratory sessions only, in which no look locks anything.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    def add(self, session_id: int, configuration: Configuration, *, who: str, reason: str = "", key: str | None = None) -> Trial:
        """Queue a trial of the person's; it counts in the budget, and the method learns from it."""
        with self._core.change(session_id) as tx:
            session, now = self._joined(tx, session_id, who), self._core.clock()
            if key is not None and (number := sessions.number_by_key(tx, session_id, key)) is not None:
                return trial_of(session, number)
            trial = queue(tx, session, Trial(0, session_id, 0, configuration, who, now, 0, explanation=reason), key).trial
            self._intervene(tx, session, Intervention(now, who, "added", trial.number, reason=reason))
            return trial

    def reshape(self, session_id: int, changes: Mapping[str, Mapping[str, Any] | None], *, who: str, reason: str = "") -> Session:
        """Narrow or widen ranges and choices, or freeze a value, for the trials to come: see `space.reshaped`.

        Each hyperparameter's newest change counts; None gives it its whole domain back. Nothing leaves the task's own domain.
        """
        with self._core.change(session_id) as tx:
            session = self._joined(tx, session_id, who)
            refuse_open(session)
            intervention = Intervention(self._core.clock(), who, "reshaped", None, dict(changes), reason)
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
        with self._core.change(session_id) as tx:
            waits = sessions.get(tx, session_id).started_at is None
            session = self._joined(tx, session_id, None if waits else who)
            refuse_open(session)
            for name in priors:
                if name not in session.space:
                    raise InvalidSpace(
                        f"hyperparameter {name!r}: there is none; expected one of {', '.join(session.space.names)}"
                    )
            for name, prior in priors.items():
                if prior is not None:
                    replace(session.space[name], prior=prior)  # checks it against the domain
            detail = {name: None if prior is None else codec.to_json(prior) for name, prior in priors.items()}
            self._intervene(tx, session, Intervention(self._core.clock(), who, "believes", None, detail, reason))
            return sessions.get(tx, session_id)

    def stop_trial(self, session_id: int, number: int, *, who: str, reason: str = "") -> Trial:
        """Ask one of a method's trials to stop; what it has reached counts."""
        with self._core.change(session_id) as tx:
            session = self._joined(tx, session_id, who)
            trial = trial_of(session, number)
            if trial.is_open:
                stop(tx, trial, self._core.clock(), Stopper.RESEARCHER, reason or None)
                self._intervene(tx, session, Intervention(self._core.clock(), who, "stopped", number, reason=reason))
            return trial_of(sessions.get(tx, session_id), number)

    def end(self, session_id: int, *, who: str, reason: str) -> Session:
        """End a method's session that cannot go on, with the best of its trials so far; the reason is kept and shown.

        Refused where the session never started; see `remove`.
        """
        if not reason.strip():
            raise Refused("give the reason why it is ended, such as 'its agent is gone for good'; it is kept and shown")
        with self._core.change(session_id) as tx:
            session, now = self._joined(tx, session_id, who), self._core.clock()
            self._check_study(tx, session)
            if session.started_at is None:
                raise Refused(f"session {session_id} never started, so there is nothing to end; remove it")
            self._intervene(tx, session, Intervention(now, who, "ended", reason=reason.strip()))
            for trial in session.trials:
                stop(tx, trial, now, Stopper.RESEARCHER, reason.strip())
            session = sessions.get(tx, session_id)
            best = choices.final_trial(session)
            choose(tx, session, FinalChoice(now, best.configuration if best else None, best.id if best else None, automatic=True))
            return sessions.get(tx, session_id)

    def remove(self, session_id: int, *, who: str) -> Session:
        """Remove a method's session that never started: it is in no list and no table any more.

        Its row and its log stay, as those of one that was withdrawn, so that its number is no other session's.
        """
        with self._core.change(session_id) as tx:
            session, now = sessions.get(tx, session_id), self._core.clock()
            self._check_study(tx, session)
            if session.kind != "method":
                raise Refused(f"session {session_id} is {session.tuner}'s, who can withdraw; only a method's session is removed")
            if session.started_at is not None or session.withdrawn_at is not None:
                state = rules.state_of(session, now)
                raise Refused(
                    f"session {session_id} is {state}; only one that never started, in which nothing happened, is removed"
                )
            sessions.erase(tx, session_id)
            sessions.update_facts(tx, session_id, withdrawn_at=now)
            events.record(tx, now, "removed", session_id, who=who, tuner=session.tuner)
            return sessions.get(tx, session_id)

    def _check_study(self, tx: Connection, session: Session) -> None:
        """Refused where a session is an archive's, or somebody's own: that one is ended by its own rules."""
        refuse_archive(studies.study(tx, session.study_id))
        if session.purpose == "exploratory":
            raise Refused(f"session {session.id} is of somebody's own tuning; evenhand end {session.id} ends it")

    def rate(self, session_id: int, number: int, rating: object, *, who: str, reason: str = "") -> Session:
        """Rate a trial of an exploratory session: the mean of people's newest ratings is its metric `rating`."""
        detail = {"rating": rating_of(rating)}
        return self._judge(session_id, "rated", number, who, reason, detail)

    def veto(self, session_id: int, number: int, *, who: str, reason: str) -> Session:
        """Say that a trial of an exploratory session must not be chosen; the reason is kept and shown."""
        if not reason.strip():
            raise Refused("give the reason of the veto, such as 'too jumpy'; it is kept and shown")
        return self._judge(session_id, "vetoed", number, who, reason.strip(), {})

    def allow(self, session_id: int, number: int, *, who: str, reason: str = "") -> Session:
        """Take a veto back."""
        return self._judge(session_id, "allowed", number, who, reason, {})

    def _judge(self, session_id: int, kind: Any, number: int, who: str, reason: str, detail: Mapping[str, Any]) -> Session:
        """What a person says of a trial, in a session that has ended, too: a study's trials count by their metric alone."""
        with self._core.change(session_id) as tx:
            session = sessions.get(tx, session_id)
            if session.purpose != "exploratory":
                raise Refused(
                    f"session {session_id} belongs to a study, in which a trial counts by its metric alone, the same for all; "
                    "only trials of `evenhand tune` can be rated or vetoed"
                )
            refuse_archive(studies.study(tx, session.study_id))
            trial, chosen = trial_of(session, number), session.chosen_trial
            if kind == "vetoed" and chosen is not None and chosen.number == number:
                raise Refused(
                    f"trial {number} is the choice of session {session_id}; pick another one first: "
                    f"evenhand end {session_id} --trial NUMBER"
                )
            if (kind == "vetoed" and trial.veto) or (kind == "allowed" and not trial.veto):
                return session
            self._intervene(tx, session, Intervention(self._core.clock(), who, kind, number, detail, reason))
            return sessions.get(tx, session_id)

    def take_over(self, session_id: int, *, who: str, reason: str = "") -> Session:
        """Propose in the method's stead until it is handed back; the clock goes on."""
        return self._hand(session_id, "took over", who, reason)

    def hand_back(self, session_id: int, *, who: str, reason: str = "") -> Session:
        """Let the method propose again."""
        return self._hand(session_id, "handed back", who, reason)

    def _hand(self, session_id: int, kind: Any, who: str, reason: str) -> Session:
        with self._core.change(session_id) as tx:
            session = self._joined(tx, session_id, who)
            refuse_open(session)
            if (session.taken_over_by is not None) != (kind == "took over"):
                self._intervene(tx, session, Intervention(self._core.clock(), who, kind, reason=reason))
            return sessions.get(tx, session_id)

    def _joined(self, tx: Connection, session_id: int, who: str | None) -> Session:
        """The session, where a person may intervene in it."""
        session = sessions.get(tx, session_id)
        check_may_intervene(tx, [session], who)
        if session.kind != "method":
            raise Refused(f"session {session_id} is {session.tuner}'s; only a method's session can be worked on together")
        if (state := rules.state_of(session, self._core.clock())) in rules.ENDED_STATES:
            raise Refused(f"session {session_id} is {state}; nothing in it changes any more")
        return session

    def _intervene(self, tx: Connection, session: Session, intervention: Intervention) -> None:
        intervention = replace(intervention, who=storable(intervention.who), reason=storable(intervention.reason))
        sessions.intervene(tx, session.id, intervention)
        trial = (
            None
            if intervention.trial is None
            else next((trial.id for trial in session.trials if trial.number == intervention.trial), None)
        )
        events.record(tx, intervention.at, intervention.kind, session.id, trial, who=intervention.who)
