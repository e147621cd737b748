"""Sessions: methods' are opened, all are read, watched, paused and given time, whoever tunes in them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from evenhand.errors import NotFound, Refused
from evenhand.lab.base import Core, check_may_intervene, refuse_archive, refuse_open
from evenhand.lab.processes import has_ended, in_words, this_process
from evenhand.lab.shown import curve_after, curve_as_shown
from evenhand.lab.stopping import notices
from evenhand.lab.writes import choose, fail_attempt, open_session, stop, trial_of
from evenhand.methods.stopping import recorded
from evenhand.model import choices, rules
from evenhand.model.aims import OBJECTIVE_KEY, REQUIRE_KEY
from evenhand.model.archive import Event
from evenhand.model.choice_rule import CHOOSE_KEY
from evenhand.model.person import UNNAMED
from evenhand.model.session import LABORATORY, PERSON_DRIVER, Extension, FinalChoice, Intervention, Purpose, Session, space_after
from evenhand.model.study import Budget, Mode
from evenhand.model.trial import LearningCurve, Outcome, Stopper, Trial
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import shortened
from evenhand.store import events as event_rows
from evenhand.store import jobs, run_notes, sessions, studies
from evenhand.store.studies import budget_to_json

MOST_SHOWN_LETTERS = 40  # of what is no name
MODEL_WRITTEN = "model written"  # an event
DECLARED_REASON = "declared when it was started"  # of what was changed of a space before the clock ran


class Sessions:
    """The sessions of a laboratory, for the researcher, and for programs that watch or play them."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def open(
        self,
        study_id: int,
        *,
        tuner: str,
        method: Mapping[str, Any] | None = None,
        budget: Budget | None = None,
        driver: str = "server",
        mode: Mode | None = None,
        name: str | None = None,
        person: str | None = None,
        changes: Mapping[str, Mapping[str, Any] | None] | None = None,
        purpose: Purpose = "study",
    ) -> Session:
        """A method's session under the study's budget (or another one); its clock does not run yet.

        method: its name, seed and settings, and `stopping`: a rule as `methods.stopping.rule` takes it, which raises where there
        is none such. driver: which process plays it: "server", or another that plays it itself.
        mode: whose records it stands beside; the default is live once the study is published. purpose: what this process tunes
        and trains itself (driver "python") is exploratory in any case; such a session may have a name of its own.
        person: who declares it. With the driver "person" it is they who tune, and `tuner` is their `Person.who`. changes: what
        they declare of an exploratory session's space before its clock starts, as `interventions.reshape` takes it.
        """
        exploratory = driver == sessions.PYTHON_DRIVER or purpose == "exploratory"
        if not exploratory and (changes or driver == PERSON_DRIVER):
            raise Refused("a study's session has its task's space, and a participant or a method tunes in it")
        if aims := sorted({OBJECTIVE_KEY, REQUIRE_KEY, CHOOSE_KEY} & (method or {}).keys() if not exploratory else ()):
            raise Refused(
                f"{' and '.join(aims)} can be declared of exploratory sessions only, since in a study all have the same aim"
            )
        if budget is not None and budget.cost is not None and not exploratory:
            raise Refused("budget: cost is of exploratory sessions only, since in a study all spend the same; leave it out")
        if budget is not None and budget.until is not None and not exploratory:
            raise Refused(
                "budget: until is of exploratory sessions only, since in a study all have the same to spend; leave it out"
            )
        with self._core.change() as tx:
            study = studies.study(tx, study_id)
            task = studies.task(tx, study.task_id)
            if task.space.is_open and not exploratory:
                raise Refused(f"task {task.spec.name!r} has an open space: no session of a study can be of it")
            session = Session(
                id=0,
                study_id=study.id,
                task=task,
                kind="participant" if driver == PERSON_DRIVER else "method",
                tuner=tuner,
                budget=budget or study.budget,
                tuning_seed=rules.derive_seed(study.seed, "tuning"),
                opened_at=self._core.clock(),
                method=_recorded(method or {}, task.maximize),
                mode=mode or ("pilot" if study.published_at is None else "live"),
                version=study.version,
                purpose="exploratory" if exploratory else "study",
                name=name,
                process=_process_of(driver) if exploratory else None,
            )
            declared = () if not changes else (_declared(session, dict(changes), person or UNNAMED),)
            if name is not None and sessions.by_name(tx, name) is not None:
                raise Refused(f"a session named {name!r} is there already; give another name")
            made = open_session(tx, study, session, driver)
            for intervention in declared:
                sessions.intervene(tx, made.id, intervention)
                event_rows.record(tx, intervention.at, intervention.kind, made.id, who=intervention.who)
            return sessions.get(tx, made.id)

    def get(self, session_id: int) -> Session:
        """The whole record of a session, for the researcher; a tuner gets `view`."""
        with self._core.read() as tx:
            return sessions.get(tx, session_id)

    def called(self, name: str) -> Session | None:
        """The session of this name, or of the number that #12 says; None where no session has the name yet.

        NotFound: no session has the number.
        """
        with self._core.read() as tx:
            numbered = name.startswith("#")
            number = whole_number(name[1:]) if numbered else None
            if numbered and number is None:
                shown = shortened(name, MOST_SHOWN_LETTERS)
                raise NotFound(f"{shown!r} is no session's number; expected # and the number, as #12, or a name without #")
            session_id = number if numbered else sessions.by_name(tx, name)
            return None if session_id is None else sessions.get(tx, session_id)

    def note_model(self, session_id: int, checksum: str) -> None:
        """Record that a card of this SHA-256, which has those of all files, was written here with a session's final model."""
        with self._core.change() as tx:
            sessions.get(tx, session_id)
            event_rows.record(tx, self._core.clock(), MODEL_WRITTEN, session_id, checksum=checksum)

    def has_model(self, session_id: int, checksum: str) -> bool:
        """Whether `note_model` recorded it, so that what its card names is as this laboratory wrote it."""
        with self._core.read() as tx:
            written = event_rows.of_kind(tx, session_id, MODEL_WRITTEN)
            return any(event.detail["checksum"] == checksum for event in written)

    def take_up(self, session_id: int, budget: Budget) -> Session:
        """Go on, in this process, with an exploratory session that another one left, under its budget or a larger one.

        What trained when that one ended is given back uncounted, and the time since is credited like an outage. Under a larger
        budget a session that has ended goes on: its choice and its evaluation stay as those of an earlier one.

        Refused: it is a study's, a process tunes it now, or the budget is smaller.
        """
        with self._core.change(session_id) as tx:
            session, now = sessions.get(tx, session_id), self._core.clock()
            _check_free(tx, session, now)
            if why := rules.why_not_extend(session, budget):
                raise Refused(why)
            _give_back(tx, session, now, self._core.rules.attempts)
            since = session.last_seen or session.opened_at
            extended = replace(budget, parallel=1) != replace(session.budget, parallel=1)
            if session.choice is not None and extended:
                since = session.choice.at
                _end_evaluation(tx, session_id, now, "the session was extended")
                sessions.reopen(tx, session, now)
            if (session.choice is None or extended) and session.started_at is not None and now > since:
                sessions.extend(tx, session_id, Extension(now - since, "no process tuned it", since))
            facts = {
                "budget": budget_to_json(budget),
                "process": this_process(),
                "driver": sessions.PYTHON_DRIVER,
                "last_seen": now,
            }
            sessions.update_facts(tx, session_id, **facts)
            event_rows.record(tx, now, "taken up", session_id, budget=budget_to_json(budget))
            notes = run_notes.of(tx, session_id)
            if notes.deleted_at is not None:  # who goes on with it does not want it erased
                run_notes.put(tx, session_id, replace(notes, deleted_at=None))
                event_rows.record(tx, now, "brought back", session_id)
            return sessions.get(tx, session_id)

    def attend(self, session_id: int) -> bool:
        """Note that this process still tunes the session; False where another one has taken it up meanwhile."""
        now = self._core.clock()
        return self._core.together(lambda tx: sessions.attended(tx, session_id, this_process(), now))

    def leave(self, session_id: int) -> None:
        """This process leaves a session that it tunes: what trains is given back uncounted."""
        with self._core.change(session_id) as tx:
            session, now = sessions.get(tx, session_id), self._core.clock()
            if session.process == this_process():
                _give_back(tx, session, now, self._core.rules.attempts)
                sessions.update_facts(tx, session_id, process=None, last_seen=now)
                event_rows.record(tx, now, "left", session_id)

    def end(self, session_id: int, number: int | None = None) -> Session:
        """End an exploratory session whose process is gone, or that the server keeps going, with the trial of this number, or the
        one that its rule chooses.

        A trial that is picked so may be one that misses what is required. Where the session has ended, its choice stays as an
        earlier one, with its evaluation, and the picked one is evaluated when the session is gone on with.

        Refused: it is a study's, has ended and no trial is picked, a process tunes it now, or the trial cannot be chosen.
        """
        with self._core.change(session_id) as tx:
            session, now = sessions.get(tx, session_id), self._core.clock()
            _check_free(tx, session, now, ends=True)
            if session.withdrawn_at is not None or (session.choice is not None and number is None):
                raise Refused(f"session {session_id} has ended already")
            picked = choices.final_trial(session) if number is None else trial_of(session, number)
            if number is not None and picked is not None and (why := choices.why_not_chosen(session, picked)):
                raise Refused(why)
            if session.choice is not None:
                if picked is not None and session.choice.trial_id == picked.id:
                    raise Refused(f"session {session_id} has ended already with trial {number}")
                _end_evaluation(tx, session_id, now, "another trial was picked")
                sessions.reopen(tx, session, now)
            if session.process != LABORATORY:  # else agents train on, and hear of the end when they report
                _give_back(tx, session, now, self._core.rules.attempts)
            choose(tx, session, FinalChoice(now, picked.configuration if picked else None, picked.id if picked else None))
            return sessions.get(tx, session_id)

    def of_study(self, study_id: int) -> list[Session]:
        """All sessions of a study, for the researcher."""
        with self._core.read() as tx:
            return sessions.of_study(tx, study_id)

    def notices(self, session_id: int) -> tuple[str, ...]:
        """What there was to say of a session's stopping rule, in words: that it decides nothing, or raised."""
        with self._core.read() as tx:
            return notices(tx, session_id)

    def running(self) -> tuple[list[Session], dict[int, str]]:
        """Sessions of studies whose clock was started and that have no choice yet, for the researcher; and by its id why
        another one cannot be read: what is stored of it is damaged. Runs of one's own, which may be large, are not read."""
        with self._core.read() as tx:
            return sessions.running(tx)

    def to_play(self, driver: str = "server") -> list[int]:
        """Ids of the methods' sessions that have no choice yet and that this driver has to play on."""
        with self._core.read() as tx:
            return sessions.driven_by(tx, driver)

    def drive(self, session_id: int, driver: str = "server") -> None:
        """Give a method's session to the driver that plays it from now on."""
        with self._core.change(session_id) as tx:
            sessions.update_facts(tx, session_id, driver=driver)

    def seen(self, session_id: int) -> None:
        """Note that the session's tuner is there."""
        self._core.together(lambda tx: sessions.update_facts(tx, session_id, last_seen=self._core.clock()))

    def newest_event(self, session_id: int) -> int:
        """The id of the session's newest event, but for a trial's start: another one than before says that a tuner may act."""
        with self._core.read() as tx:
            return event_rows.newest(tx, session_id)

    def news(self, session: Session, trial: Trial, after: tuple[int, int]) -> LearningCurve:
        """What `curve` gives, for a trial of a session that was read just now."""
        with self._core.read() as tx:
            return curve_after(tx, session, trial, after)

    def newest(self, session: Session, trial: Trial) -> LearningCurve:
        """Of what `news` would give, the last batch and the last epoch only."""
        with self._core.read() as tx:
            return curve_as_shown(session, trial, jobs.newest(tx, trial.id, trial.attempt))

    def pause(self, session_ids: Sequence[int], reason: str, who: str | None = None) -> list[int]:
        """Let sessions stand still: their clocks stop, nothing new is accepted or begins to train, and what trains is held at its
        next report, where its agent knows how to. Those that paused.

        who: checked as in `stop_trial` where sessions were picked one by one; what happens to everyone alike can favour nobody.
        """
        if not reason.strip():
            raise Refused("give the reason of the pause; participants read it")
        with self._core.change() as tx:
            now = self._core.clock()
            candidates = [sessions.get(tx, session_id) for session_id in session_ids]
            check_may_intervene(tx, candidates, who)
            for session in candidates:
                refuse_open(session)
            able = [session.id for session in candidates if rules.state_of(session, now) in rules.PAUSABLE_STATES]
            for session_id in able:
                sessions.pause(tx, session_id, reason.strip(), now)
                event_rows.record(tx, now, "paused", session_id)
        for session_id in able:
            self._core.notify(session_id)
        return able

    def pausers(self, session_id: int) -> dict[float, str]:
        """Who began and ended the session's pauses, by the moment; of pauses from before people had names nothing is known."""
        with self._core.read() as tx:
            noted = [event for kind in ("paused", "went on") for event in event_rows.of_kind(tx, session_id, kind)]
        return {event.at: str(event.detail["who"]) for event in noted if "who" in event.detail}

    def unpause(self, session_ids: Sequence[int]) -> list[int]:
        """Let paused sessions go on, with what was held or waited; the time of the pause is credited. Those that were paused."""
        with self._core.change() as tx:
            now = self._core.clock()
            paused = [session_id for session_id in session_ids if sessions.end_pause(tx, session_id, now)]
            for session_id in paused:
                event_rows.record(tx, now, "went on", session_id)
        for session_id in paused:
            self._core.notify(session_id)
        self._core.tell_agents()
        return paused

    def extend(self, session_ids: Sequence[int], seconds: float, reason: str, who: str | None = None) -> list[int]:
        """Give time, with a reason that is kept, to sessions with a time limit and no choice yet. Those that got it.

        who: as in `pause`.
        """
        if not 0 < seconds <= 86400:
            raise Refused(f"{seconds:g} seconds are no extension; give more than 0 and at most a day")
        if not reason.strip():
            raise Refused("give the reason of the extension; it is kept in the record")
        with self._core.change() as tx:
            now = self._core.clock()
            candidates = [sessions.get(tx, session_id) for session_id in session_ids]
            check_may_intervene(tx, candidates, who)
            able = [
                session.id
                for session in candidates
                if session.budget.seconds is not None and rules.state_of(session, now) in rules.GOING_ON_STATES
            ]
            for session_id in able:
                sessions.extend(tx, session_id, Extension(seconds, reason.strip()))
                event_rows.record(tx, now, "extended", session_id, seconds=seconds)
        for session_id in able:
            self._core.notify(session_id)
        return able

    def stop_trial(self, session_id: int, number: int, who: str) -> Trial:
        """Ask a trial to stop, as a researcher; NotAllowed where `who` looked at an evaluation of the same task."""
        with self._core.change(session_id) as tx:
            session = sessions.get(tx, session_id)
            check_may_intervene(tx, [session], who)
            stop(tx, trial_of(session, number), self._core.clock(), Stopper.RESEARCHER)
            return trial_of(sessions.get(tx, session_id), number)

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
        with self._core.read() as tx:
            return event_rows.events(tx, after, limit, session_id, participant_id, study_id, before)


def _recorded(method: Mapping[str, Any], maximize: bool) -> Mapping[str, Any]:
    """What a session records of its method; its stopping rule is one that there is, as a text."""
    rest, stopping = dict(method), method.get("stopping")
    rest.pop("stopping", None)
    return rest if stopping is None else {**rest, "stopping": recorded(stopping, maximize=maximize)}


def _process_of(driver: str) -> str:
    """Which process tunes an exploratory session with this driver."""
    return this_process() if driver == sessions.PYTHON_DRIVER else LABORATORY


def _declared(session: Session, changes: dict[str, Any], person: str) -> Intervention:
    """What a person declares of a session's space at its opening; InvalidSpace where it cannot be so."""
    intervention = Intervention(session.opened_at, person, "reshaped", None, changes, DECLARED_REASON)
    space_after(session.task.space, (intervention,))
    return intervention


def _check_free(tx: Connection, session: Session, now: float, ends: bool = False) -> None:
    """Refused where the session is none that this process may take up, or end, since no other one tunes it.

    ends: it is only to be ended, as one that the server keeps going may be, too.
    """
    refuse_archive(studies.study(tx, session.study_id))
    if session.purpose != "exploratory":
        raise Refused(f"session {session.id} belongs to a study; only those of `evenhand tune` can be gone on with or ended so")
    if session.process == LABORATORY and not ends and not rules.is_unattended(session, now):
        raise Refused(f"session {session.id} is tuned by the laboratory's server; end it on its page, or wait for its end")
    if session.process not in (None, LABORATORY) and not rules.is_unattended(session, now) and not has_ended(session.process):
        whose = "this very process" if session.process == this_process() else in_words(session.process)
        raise Refused(
            f"session {session.id} is being tuned now, by {whose}; wait for its end, or end it there (Ctrl-C), and try again"
        )


def _end_evaluation(tx: Connection, session_id: int, now: float, why: str) -> None:
    """End what of an evaluation is left to do, since its choice becomes an earlier one."""
    for job in jobs.unfinished(tx, session_id):
        jobs.finish(tx, job, now, Outcome.STOPPED, why)


def _give_back(tx: Connection, session: Session, now: float, attempts: int) -> None:
    """Queue again what an ended process was training, uncounted."""
    for job in jobs.unfinished(tx, session.id):
        if job.leased_until is not None:
            fail_attempt(tx, job, now, "its process ended", attempts=attempts, counts=False)
