"""The verbs: every change of state, and what a tuner may see. Pages, methods and agents all call these.

A verb checks the rules of `protocol` within the transaction that writes, and returns after its commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from sqlalchemy import Connection

from evenhand import protocol
from evenhand.conduct import Conduct
from evenhand.core import Token, hash_token, refuse_archive
from evenhand.cotuning import CoTuning, trial_of
from evenhand.declaration import Arm, Budget, Mode, Study
from evenhand.enrolment import Enrolment
from evenhand.errors import NotAllowed, Refused
from evenhand.keeping import Keeping
from evenhand.leases import Leases
from evenhand.ledger import Ledger
from evenhand.protocol import Step
from evenhand.records import (
    Choice,
    Curve,
    Evaluation,
    Event,
    Extension,
    Measurement,
    Outcome,
    Participant,
    Session,
    State,
    Stopper,
    TaskRecord,
    Trial,
    View,
    Waiting,
)
from evenhand.settings import Rules, default_database
from evenhand.space import Configuration
from evenhand.store import Store, jobs, journal, people, sessions, studies
from evenhand.trials import with_open

__all__ = ["Curve", "Lab", "Standing", "Token", "View", "Waiting"]


class Standing(NamedTuple):
    """Where a participant is in a study."""

    participant: Participant
    study: Study
    task: TaskRecord
    step: Step


class Lab(Leases, Enrolment, Conduct, CoTuning, Ledger, Keeping):
    """The laboratory on one database. Threads may share it."""

    @classmethod
    def connect(cls, url: str | None = None, rules: Rules | None = None) -> "Lab":
        """The lab on the database at `url` (default: `settings.default_database()`), its tables brought up to date."""
        return cls(Store(url or default_database()), rules)

    @property
    def key(self) -> str:
        """A short name for the database, for files beside it that are about this one only."""
        return hash_token(self._store.url)[:12]

    def close(self) -> None:
        """Close the database's connections."""
        self._store.close()

    # A participant's sessions

    def read_details(self, participant_id: int) -> Participant:
        """Record that the details were read, and open the session; its clock does not run yet."""
        with self._change() as tx:
            participant = people.get(tx, participant_id)
            if participant.session_id is None:
                study = studies.study(tx, participant.study_id, participant.version)
                arm = study.arm(participant.condition) or Arm("")
                self._open(tx, study, self._session_of(tx, study, participant, arm), "server")
            return self._note(tx, participant, "read details", read_details_at=self.clock())

    def _session_of(self, tx: Connection, study: Study, participant: Participant, arm: Arm) -> Session:
        return Session(
            id=0,
            study_id=study.id,
            task=studies.task(tx, arm.task_id or study.task_id),
            kind="participant",
            tuner=participant.pseudonym,
            budget=arm.budget or study.budget,
            tuning_seed=protocol.derive_seed(study.seed, "tuning"),
            opened_at=self.clock(),
            participant_id=participant.id,
            mode=participant.mode,
            version=study.version,
            condition=participant.condition,
        )

    def open_practice(self, participant_id: int, task: TaskRecord, budget: Budget) -> Session:
        """A participant's practice session, on a task that tells nothing of the study's; opened and started once."""
        with self._change() as tx:
            participant = people.get(tx, participant_id)
            if participant.withdrawn_at is not None:
                raise Refused(f"{participant.pseudonym} has withdrawn")
            if participant.practice_id is not None:
                return sessions.get(tx, participant.practice_id)
            study = studies.study(tx, participant.study_id, participant.version)
            practice = replace(
                self._session_of(tx, study, participant, Arm("")),
                task=studies.task(tx, studies.add_task(tx, task)),
                budget=budget,
                practice=True,
            )
            opened = self._open(tx, study, practice, "server")
            sessions.update_facts(tx, opened.id, started_at=self.clock(), last_seen=self.clock())
            journal.record(tx, self.clock(), "practised", opened.id)
            people.update_facts(tx, participant_id, practised_at=self.clock())
            return sessions.get(tx, opened.id)

    def begin(self, participant_id: int) -> Session:
        """Start the clock of a participant's session, which is opened first where it is not yet."""
        participant = self.participant(participant_id)
        if participant.session_id is None:
            participant = self.read_details(participant_id)
        assert participant.session_id is not None
        if participant.practice_id is not None:
            for trial in self.session(participant.practice_id).trials:
                self.stop(participant.practice_id, trial.number)
        return self.start(participant.session_id)

    def step(self, participant_id: int) -> Step:
        """Which page the participant sees next."""
        return self.standing(participant_id).step

    def standing(self, participant_id: int) -> Standing:
        """Who a participant is, in which study, on which task, and which page comes next."""
        with self._store.read() as tx:
            participant = people.get(tx, participant_id)
            study = studies.study(tx, participant.study_id, participant.version)
            session = None if participant.session_id is None else sessions.get(tx, participant.session_id)
            step = protocol.next_step(study, participant, session, self.clock())
            if step is Step.PRACTICE and participant.practice_id is not None:
                task = sessions.get(tx, participant.practice_id).task
            elif session is not None:
                task = session.task
            else:
                arm = study.arm(participant.condition)
                task = studies.task(tx, arm.task_id if arm and arm.task_id else study.task_id)
        return Standing(participant, study, task, step)

    # Sessions

    def open(
        self,
        study_id: int,
        *,
        tuner: str,
        method: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
        driver: str = "server",
        mode: Mode | None = None,
    ) -> Session:
        """A method's session under the study's budget (or another one); its clock does not run yet.

        method: its name, seed and settings. driver: which process plays it: "server", or another that plays it itself.
        mode: whose records it stands beside; the default is live once the study is published.
        """
        with self._change() as tx:
            study = studies.study(tx, study_id)
            session = Session(
                id=0,
                study_id=study.id,
                task=studies.task(tx, study.task_id),
                kind="method",
                tuner=tuner,
                budget=budget or study.budget,
                tuning_seed=protocol.derive_seed(study.seed, "tuning"),
                opened_at=self.clock(),
                method=method or {},
                mode=mode or ("pilot" if study.published_at is None else "live"),
                version=study.version,
            )
            return self._open(tx, study, session, driver)

    def _open(self, tx: Connection, study: Study, session: Session, driver: str) -> Session:
        refuse_archive(study)
        session_id = sessions.add(tx, session, driver)
        journal.record(tx, session.opened_at, "opened", session_id, mode=session.mode, practice=session.practice)
        return sessions.get(tx, session_id)

    def start(self, session_id: int) -> Session:
        """Start the session's clock; a clock that runs goes on as it is."""
        with self._change(session_id) as tx:
            session = sessions.get(tx, session_id)
            if session.started_at is None:
                sessions.update_facts(tx, session_id, started_at=self.clock(), last_seen=self.clock())
                journal.record(tx, self.clock(), "started", session_id)
            return sessions.get(tx, session_id)

    def session(self, session_id: int) -> Session:
        """The whole record of a session, for the researcher; a tuner gets `view`."""
        with self._store.read() as tx:
            return sessions.get(tx, session_id)

    def sessions(self, study_id: int) -> list[Session]:
        """All sessions of a study, for the researcher."""
        with self._store.read() as tx:
            return sessions.of_study(tx, study_id)

    def running_sessions(self) -> list[Session]:
        """Sessions of all studies whose clock was started and that have no choice yet, for the researcher."""
        with self._store.read() as tx:
            return sessions.running(tx)

    def to_play(self, driver: str = "server") -> list[int]:
        """Ids of the methods' sessions that have no choice yet and that this driver has to play on."""
        with self._store.read() as tx:
            return sessions.driven_by(tx, driver)

    def drive(self, session_id: int, driver: str = "server") -> None:
        """Give a method's session to the driver that plays it from now on."""
        with self._change(session_id) as tx:
            sessions.update_facts(tx, session_id, driver=driver)

    def seen(self, session_id: int) -> None:
        """Note that the session's tuner is there."""
        self._store.together(lambda tx: sessions.update_facts(tx, session_id, last_seen=self.clock()))

    def view(self, session_id: int) -> View:
        """All that the session's tuner may see: the one place that decides it."""
        with self._store.read() as tx:
            session = _hide(sessions.get(tx, session_id))
            now = self.clock()
            return View(
                session=session,
                state=protocol.state_of(session, now),
                now=now,
                seconds_left=protocol.seconds_left(session, now),
                trials_left=protocol.trials_left(session),
                epochs_left=protocol.epochs_left(session),
                refusal=protocol.why_not_submit(session, 1, now),
                best=protocol.best_trial(session),
                choose_by=protocol.must_choose_by(session, now, self.rules),
                waiting=self._waiting(tx, session, now),
            )

    def newest_event(self, session_id: int) -> int:
        """The id of the session's newest event, but for a trial's start: another one than before says that a tuner may act."""
        with self._store.read() as tx:
            return journal.newest(tx, session_id)

    def curve(self, session_id: int, number: int, after: tuple[int, int] = (0, -1)) -> Curve:
        """What a trial measured after the cursor (attempt, index); a newer attempt is given from its start."""
        with self._store.read() as tx:
            session = sessions.get(tx, session_id)
            return self._curve(tx, session, trial_of(session, number), after)

    def news(self, session: Session, trial: Trial, after: tuple[int, int]) -> Curve:
        """What `curve` gives, for a trial of a session that was read just now."""
        with self._store.read() as tx:
            return self._curve(tx, session, trial, after)

    def newest(self, session: Session, trial: Trial) -> Curve:
        """Of what `news` would give, the last batch and the last epoch only."""
        with self._store.read() as tx:
            return _as_shown(session, trial, jobs.newest(tx, trial.id, trial.attempt))

    def _curve(self, tx: Connection, session: Session, trial: Trial, after: tuple[int, int]) -> Curve:
        start = after[1] if after[0] == trial.attempt else -1
        return _as_shown(session, trial, jobs.of_trials_attempt(tx, trial.id, trial.attempt, start))

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
    ) -> Trial:
        """Queue a trial of `configuration`. The same `key` twice is one trial; Refused, with why, where the rules forbid it.

        configuration: a raw one is checked against the space that is in force; InvalidConfiguration where it does not fit.
        resumes: the number of the trial whose training it goes on with; only further epochs cost anything. revision: of the
        session's space, under which it was made (default: the one now): one of before is refused, so that its tuner thinks again.
        """
        with self._change(session_id) as tx:
            session, now = sessions.get(tx, session_id, logged=True), self.clock()
            if key is not None and (number := sessions.number_by_key(tx, session_id, key)) is not None:
                return trial_of(_hide(session), number)
            if session.taken_over_by is not None:
                raise Refused(f"{session.taken_over_by} has taken over; the method goes on when it is handed back")
            if revision is not None and revision != session.revision:
                raise Refused("the space was reshaped meanwhile; suggest again within it")
            if not isinstance(configuration, Configuration):
                configuration = session.current_space.configuration(configuration)
            reasons = {name: reason for name, reason in (reasons or {}).items() if name in configuration}
            trial = Trial(0, session_id, 0, configuration, session.tuner, now, 0, reasons, explanation, resumes=resumes)
            return self._queue(tx, session, trial, key)

    def stop(
        self, session_id: int, number: int, by: Stopper = Stopper.TUNER, who: str | None = None, why: str | None = None
    ) -> Trial:
        """Ask a trial to stop; `why` is kept with it. One that waits ends at once; one that has ended stays as it is.

        Raises NotAllowed where `who` looked at an evaluation of the same task and so may not intervene.
        """
        with self._change(session_id) as tx:
            session = sessions.get(tx, session_id)
            self._check_may_intervene(tx, [session], who)
            self._stop(tx, trial_of(session, number), by, why)
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
        with self._change(session_id) as tx:
            session, now = sessions.get(tx, session_id), self.clock()
            if session.choice is not None and key is not None and sessions.choice_key(tx, session_id) == key:
                return session
            state = protocol.state_of(session, now)
            if state not in (State.TUNING, State.CHOOSING):
                raise Refused(f"the session is {state}; a final choice needs one that is tuning and has none yet")
            trial = None if number is None else trial_of(session, number)
            if trial is not None:
                _check_choosable(trial)
                configuration = trial.configuration
            elif configuration is None and protocol.best_trial(session) is not None:
                raise Refused("name the trial, or give the configuration, that is the final choice")
            self._choose(tx, session, Choice(now, configuration, trial.id if trial else None), key)
            return sessions.get(tx, session_id)

    def _choose(self, tx: Connection, session: Session, choice: Choice, key: str | None = None) -> None:
        sessions.choose(tx, session.id, choice, key)
        for trial in session.trials:
            self._stop(tx, trial, Stopper.TUNER)
        study = studies.study(tx, session.study_id, session.version)
        if choice.configuration is not None and session.task.has_test and not session.practice:
            for index in range(study.evaluation_seeds):
                jobs.add(tx, session.id, protocol.derive_seed(study.seed, "evaluation", index), choice.at, index=index)
        journal.record(tx, choice.at, "chose", session.id, choice.trial_id, automatic=choice.automatic)

    # Evaluation

    def reveal(self, session_id: int, who: str) -> None:
        """Log that `who` looks at the session's evaluation; from then on they cannot intervene in open sessions of its task."""
        with self._change(session_id) as tx:
            if sessions.get(tx, session_id).choice is None:
                raise Refused("the session has no final choice yet, so there is nothing to evaluate")
            journal.look(tx, session_id, who, self.clock())
            journal.record(tx, self.clock(), "looked", session_id, who=who)

    def looks(self, session_id: int) -> list[tuple[str, float]]:
        """Who looked at the session's evaluation, and when."""
        with self._store.read() as tx:
            return journal.looks(tx, session_id)

    def evaluation(self, session_id: int, who: str) -> Evaluation:
        """The chosen configuration's test scores, for somebody whose look is logged (see `reveal`)."""
        with self._store.read() as tx:
            if all(looker != who for looker, _ in journal.looks(tx, session_id)):
                raise NotAllowed(f"{who} has not asked to see this evaluation; each look at one is logged first")
            session = sessions.get(tx, session_id)
            return Evaluation(session_id, session.task.metric, jobs.evaluation_scores(tx, session_id))

    # Time

    def sweep(self, session_id: int | None = None) -> None:
        """Do what time asks for: end lost attempts, stop trials at the deadline, choose for tuners who let theirs pass.

        session_id: for this session only, as a process does that is not the server: while the server is down, the others' clocks
        stand still, which the server credits when it is back.
        """
        self._swept_at = self.clock()
        with self._store.read() as tx:
            late, lost = sessions.past_limit(tx, self._swept_at), jobs.expired(tx, self._swept_at)
        if session_id is not None:
            late = [session for session in late if session.id == session_id]
            lost = [job for job in lost if job.session_id == session_id]
        for found in lost:
            with self._change(found.session_id) as tx:
                job, now = jobs.get(tx, found.id), self.clock()
                if job and job.finished_at is None and job.leased_until is not None and job.leased_until < now:
                    self._fail_attempt(tx, job, "its agent was not heard of any more")
        for session in late:
            if protocol.state_of(session, self.clock()) is State.CHOOSING:
                self._end_time(session)

    def _end_time(self, session: Session) -> None:
        now = self.clock()
        by = protocol.must_choose_by(session, now, self.rules)
        choosing = by is not None and now >= by
        if not choosing and not any(trial.is_open and trial.stop_by is None for trial in session.trials):
            return
        with self._change(session.id) as tx:
            session = sessions.get(tx, session.id)
            if protocol.state_of(session, now) is not State.CHOOSING:
                return
            for trial in session.trials:
                if trial.stop_by is None:
                    self._stop(tx, trial, Stopper.DEADLINE)
            if choosing:
                best = protocol.best_trial(session)
                choice = Choice(now, best.configuration, best.id, True) if best else Choice(now, None, None, True)
                self._choose(tx, session, choice)

    def recover(self, down_since: float | None = None) -> None:
        """What a starting server does first: renew live leases, and credit the outage to the sessions it serves."""
        with self._change() as tx:
            now = self.clock()
            jobs.renew_all(tx, now + self.rules.lease)
            if down_since is not None and now > down_since:
                for session_id in sessions.open_ids(tx, "server"):
                    sessions.extend(tx, session_id, Extension(now - down_since, "the server was down", down_since))
                    journal.record(tx, now, "outage", session_id, seconds=now - down_since)

    def events(
        self,
        session_id: int | None = None,
        after: int = 0,
        limit: int = 1000,
        *,
        participant_id: int | None = None,
        study_id: int | None = None,
        before: int | None = None,
    ) -> list[Event]:
        """The append-only log, in order, from after an event's id; with `before`, what came before it, the newest first."""
        with self._store.read() as tx:
            return journal.events(tx, after, limit, session_id, participant_id, study_id, before)


def _as_shown(session: Session, trial: Trial, found: Sequence[Measurement]) -> Curve:
    """Measurements as the session's tuner may see them: an open trial's without validation, where that is not shown live."""
    if trial.is_open and not session.live_validation:
        found = [replace(each, value=None, extra={}) for each in found]
    return Curve(trial.number, trial.attempt, tuple(found))


def _check_choosable(trial: Trial) -> None:
    if trial.is_open:
        raise Refused(f"trial {trial.number} is still training; stop it first, or wait for its end")
    if trial.outcome is Outcome.INVALID:
        raise Refused(f"trial {trial.number} could not be trained, so it cannot be the final choice; choose another one")


def _hide(session: Session) -> Session:
    """Without the validation of open trials, where the study shows it only after training."""
    if session.live_validation:
        return session
    return replace(session, trials=with_open(session.trials, lambda trial: replace(trial, value=None)))
