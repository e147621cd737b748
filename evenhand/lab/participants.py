"""The participants' way in and out: invitations, joining, consent, answers, conditions, the window that writes, withdrawal."""

import hashlib
import logging
import secrets
from base64 import b32encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection

from evenhand.errors import InvalidSettings, NotAllowed, NotFound, Refused
from evenhand.lab.base import Core, hash_token, refuse_archive
from evenhand.lab.tuning import Tuning
from evenhand.lab.writes import open_session
from evenhand.model import places, rules
from evenhand.model.configuration import Configuration
from evenhand.model.nicknames import why_not_nickname
from evenhand.model.participant import Batch, Participant
from evenhand.model.places import Occupancy
from evenhand.model.rules import ParticipantStep
from evenhand.model.session import Session
from evenhand.model.signals import Signals
from evenhand.model.study import Arm, Budget, Mode, Study
from evenhand.model.task import TaskRecord
from evenhand.model.trial import Trial
from evenhand.store import events, sessions, studies, tokens
from evenhand.store import participants as participant_rows

log = logging.getLogger(__name__)

WRITER_SILENCE_SECONDS = 15.0  # seconds after which a window that has not been heard of gives way to another
INVALID_INVITATION_REASON = "this invitation is not valid (any more); ask whoever sent it for a new one"


def join_key() -> str:
    """A new random key for a form by which somebody joins."""
    return secrets.token_urlsafe(16)


def resume_code_of(key: str) -> str:
    """The code that whoever joins by the form with this key gets: 26 letters and digits."""
    if len(key) < len(join_key()):
        raise NotAllowed(f"this form's key has {len(key)} letters, expected {len(join_key())}; open the invitation again")
    return b32encode(hashlib.sha256(f"resume {key}".encode()).digest()[:16]).decode().rstrip("=")


def _mark_of_joining(token: str) -> str:
    """The hash under which it is kept who joined by a single-use link."""
    return hash_token(f"joined {token}")


def _spaced(code: str) -> str:
    return "-".join(code[place : place + 5] for place in range(0, len(code), 5))


class ParticipantStanding(NamedTuple):
    """Where a participant is in a study."""

    participant: Participant
    study: Study
    task: TaskRecord
    step: ParticipantStep


class Participants:
    """What a participant asks of the laboratory beside tuning, and the researcher's invitations."""

    def __init__(self, core: Core, tuning: Tuning) -> None:
        self._core = core
        self._tuning = tuning

    # Invitations

    def invite(
        self,
        study_id: int,
        label: str,
        *,
        kind: Literal["single", "open"] = "open",
        cap: int | None = None,
        mode: Mode = "live",
        expires_at: float | None = None,
        token: str | None = None,
    ) -> tuple[Batch, list[str]]:
        """A batch of invitations, and the tokens of its links, which are stored hashed and never shown again.

        token: of an open link, where it is to be another than a random one (the short code of a class).
        kind: `single` makes `cap` links for one person each; `open` makes one link for at most `cap` people (None: any number).
        """
        if kind == "single" and cap is None:
            raise InvalidSettings("invitations: no number of single-use links given; expected a number above 0")
        if cap is not None and not 0 < cap <= 10_000:
            raise InvalidSettings(f"invitations: {cap} asked for, expected 1 to 10000")
        now = self._core.clock()
        row = {"study_id": study_id, "label": label, "mode": mode, "kind": kind, "cap": cap, "enabled": True}
        links = [token or secrets.token_urlsafe(16)]
        if kind == "single":
            links = [secrets.token_urlsafe(16) for _ in range(cap or 0)]
        with self._core.change() as tx:
            refuse_archive(study := studies.study(tx, study_id))
            if mode == "live" and study.published_at is None:
                raise Refused("the study is not published yet; publish it, or invite for a pilot")
            batch_id = participant_rows.add_batch(tx, {**row, "created_at": now, "expires_at": expires_at})
            for token in links:
                tokens.add(tx, "invite", hash_token(token), batch_id, now, expires_at)
            events.record(tx, now, "invited", study=study_id, batch=batch_id, mode=mode, links=len(links))
            return participant_rows.batch(tx, batch_id), links

    def batches(self, study_id: int) -> list[Batch]:
        """A study's batches of invitations, the newest first."""
        with self._core.read() as tx:
            return participant_rows.batches(tx, study_id)

    def switch_batch(self, batch_id: int, enabled: bool) -> Batch:
        """Switch a batch's links on or off; whoever joined by them goes on."""
        with self._core.change() as tx:
            participant_rows.switch_batch(tx, batch_id, enabled)
            events.record(tx, self._core.clock(), "switched invitations", batch=batch_id, enabled=enabled)
            return participant_rows.batch(tx, batch_id)

    def invited(self, token: str) -> Batch:
        """The batch that an invitation's token is of; NotAllowed, with why, where nobody can join by it."""
        with self._core.read() as tx:
            return self._invited(tx, token)

    def _invited(self, tx: Connection, token: str) -> Batch:
        batch_id = tokens.subject(tx, "invite", hash_token(token), self._core.clock())
        joined = self._joined_by(tx, token) if batch_id is None else None
        if joined is not None:
            batch_id = joined.batch_id
        if batch_id is None:
            raise NotAllowed(INVALID_INVITATION_REASON)
        batch = participant_rows.batch(tx, batch_id)
        study = studies.study(tx, batch.study_id)
        closed = "this study has ended; thank you for your interest" if study.closed_at or study.archived else None
        if why := closed or batch.why_closed(self._core.clock()):
            raise NotAllowed(why)
        if joined is None and batch.mode == "live" and (why := self._occupancy(tx, study).why_full):
            raise NotAllowed(why)
        return batch

    def occupancy(self, study_id: int) -> Occupancy:
        """How many live participants finished or are under way, of those that the study looks for."""
        with self._core.read() as tx:
            return self._occupancy(tx, studies.study(tx, study_id))

    def _occupancy(self, tx: Connection, study: Study) -> Occupancy:
        return places.occupancy(participant_rows.places(tx, study.id, "live"), study.plan.target, self._core.clock())

    def joined_with(self, key: str) -> tuple[Participant, str] | None:
        """Who joined by the form with this key, and the resume code; None where nobody did."""
        with self._core.read() as tx:
            return self._joined_with(tx, key)

    def _joined_with(self, tx: Connection, key: str) -> tuple[Participant, str] | None:
        code = resume_code_of(key)
        participant = participant_rows.by_resume_hash(tx, hash_token(code))
        return None if participant is None else (participant, _spaced(code))

    def _joined_by(self, tx: Connection, token: str) -> Participant | None:
        """Who joined by a single-use link, as long as they did nothing since: they may have lost the answer, and come again."""
        participant_id = tokens.subject(tx, "joined", _mark_of_joining(token), self._core.clock())
        participant = None if participant_id is None else participant_rows.get(tx, participant_id)
        return None if participant is None or participant.has_begun else participant

    def accept(
        self, token: str, nickname: str | None = None, language: str | None = None, key: str = ""
    ) -> tuple[Participant, str]:
        """Join by an invitation: a new participant, and the resume code. A single-use link is spent by it, an open one counts.

        Sent again because its answer was lost, it joins nobody else and spends nothing more. A form is known by its key and shows
        the same code; a single-use link brings back who joined by it until they do something, with a new code for the lost one.

        key: of the form, from `join_key`. The resume code follows from it.
        """
        with self._core.change() as tx:
            if key and (joined := self._joined_with(tx, key)) is not None:
                return joined
            batch, now = self._invited(tx, token), self._core.clock()
            if (waiting := self._joined_by(tx, token)) is not None:
                code = resume_code_of(key or join_key())
                participant_rows.update_facts(tx, waiting.id, resume_hash=hash_token(code))
                return waiting, _spaced(code)
            if batch.kind == "single" and not tokens.spend(tx, "invite", hash_token(token), now):
                raise NotAllowed(INVALID_INVITATION_REASON)
            participant, code = self._join(tx, batch.study_id, batch.mode, batch.id, nickname, language, key)
            if batch.kind == "single":
                tokens.add(tx, "joined", _mark_of_joining(token), participant.id, now, None)
            return participant, code

    def join(self, study_id: int, mode: Mode = "live", nickname: str | None = None) -> tuple[Participant, str]:
        """A new participant without an invitation, and the resume code, which is stored hashed and never shown again."""
        with self._core.change() as tx:
            return self._join(tx, study_id, mode, None, nickname, None, "")

    def _join(
        self,
        tx: Connection,
        study_id: int,
        mode: Mode,
        batch_id: int | None,
        nickname: str | None,
        language: str | None,
        key: str,
    ) -> tuple[Participant, str]:
        # A try-out is of the newest version, published or not; everyone else gets what was published.
        study = studies.versions(tx, study_id)[-1] if mode == "pilot" else studies.study(tx, study_id)
        refuse_archive(study)
        if nickname is not None and (why := why_not_nickname(nickname, self._nicknames(tx, study_id))):
            raise Refused(why)
        code = resume_code_of(key or join_key())
        row = {
            "study_id": study_id,
            "resume_hash": hash_token(code),
            "created_at": self._core.clock(),
            "mode": mode,
            "batch_id": batch_id,
            "version": study.version,
            "language": language if language in study.languages else study.languages[0],
            "nickname": nickname,
        }
        participant_id = participant_rows.add(tx, row)
        events.record(
            tx, self._core.clock(), "joined", participant=participant_id, mode=mode, batch=batch_id, version=study.version
        )
        if not study.consent.markdown.strip():
            self._assign(tx, study, participant_rows.get(tx, participant_id))
        return participant_rows.get(tx, participant_id), _spaced(code)

    def _nicknames(self, tx: Connection, study_id: int) -> list[str]:
        return [person.nickname for person in participant_rows.of_study(tx, study_id) if person.nickname]

    def resume(self, code: str) -> Participant:
        """The participant whose resume code this is; spaces, dashes and case do not matter."""
        plain = "".join(letter for letter in code.upper() if letter.isalnum())
        with self._core.read() as tx:
            participant = participant_rows.by_resume_hash(tx, hash_token(plain))
        if participant is None:
            raise NotFound("no participant has this resume code; check each letter, it has 26 letters and digits")
        return participant

    # Participants

    def get(self, participant_id: int) -> Participant:
        """One participant; NotFound where there is none."""
        with self._core.read() as tx:
            return participant_rows.get(tx, participant_id)

    def of_study(self, study_id: int) -> list[Participant]:
        """Everyone who joined a study, in order of joining."""
        with self._core.read() as tx:
            return participant_rows.of_study(tx, study_id)

    def consent(self, participant_id: int, version: str) -> Participant:
        """Record that a participant agreed to the consent text of this version, and assign a condition.

        Refused where the text is another one now.
        """
        with self._core.change() as tx:
            participant = participant_rows.get(tx, participant_id)
            study = studies.study(tx, participant.study_id, participant.version)
            if version != study.consent.version:
                raise Refused("the terms were changed since this page was opened; please read them again")
            self._assign(tx, study, participant)
            return self._note(tx, participant, "consented", consent_version=version, consented_at=self._core.clock())

    def _assign(self, tx: Connection, study: Study, participant: Participant) -> None:
        if participant.condition is not None:
            return
        counts = places.in_conditions(participant_rows.places(tx, study.id, participant.mode), self._core.clock())
        if condition := rules.assign(study.arms, counts, study.seed, participant.id):
            participant_rows.update_facts(tx, participant.id, condition=condition)
            events.record(tx, self._core.clock(), "assigned", participant=participant.id, condition=condition)

    def answer(self, participant_id: int, questionnaire: str, answers: Mapping[str, Any]) -> Participant:
        """Record a questionnaire's answers, by QUESTION or QUESTIONNAIRE.QUESTION; checked before (`questionnaires.read`)."""
        prefix = f"{questionnaire}."
        named = {name if name.startswith(prefix) else prefix + name: value for name, value in answers.items()}
        with self._core.change() as tx:
            participant = participant_rows.get(tx, participant_id)
            participant_rows.answer(tx, participant_id, questionnaire, named, self._core.clock())
            return self._note(tx, participant, "answered", {"questionnaire": questionnaire})

    def set_language(self, participant_id: int, language: str) -> Participant:
        """Let a participant read the study in another of its languages."""
        with self._core.change() as tx:
            participant = participant_rows.get(tx, participant_id)
            if language not in (known := studies.study(tx, participant.study_id, participant.version).languages):
                raise Refused(f"this study has no language {language!r}; it has {', '.join(known)}")
            return self._note(tx, participant, "chose language", {"language": language}, language=language)

    def _note(
        self, tx: Connection, participant: Participant, kind: str, detail: Mapping[str, Any] | None = None, **facts: Any
    ) -> Participant:
        if participant.withdrawn_at is not None:
            raise Refused(f"{participant.pseudonym} has withdrawn")
        if facts:
            participant_rows.update_facts(tx, participant.id, **facts)
        events.record(tx, self._core.clock(), kind, participant=participant.id, **(detail or {}))
        return participant_rows.get(tx, participant.id)

    # The way to the session

    def read_details(self, participant_id: int) -> Participant:
        """Record that the details were read, and open the session; its clock does not run yet."""
        with self._core.change() as tx:
            participant = participant_rows.get(tx, participant_id)
            if participant.session_id is None:
                study = studies.study(tx, participant.study_id, participant.version)
                arm = study.arm(participant.condition) or Arm("")
                open_session(tx, study, self._session_of(tx, study, participant, arm), "server")
            return self._note(tx, participant, "read details", read_details_at=self._core.clock())

    def _session_of(self, tx: Connection, study: Study, participant: Participant, arm: Arm) -> Session:
        return Session(
            id=0,
            study_id=study.id,
            task=studies.task(tx, arm.task_id or study.task_id),
            kind="participant",
            tuner=participant.pseudonym,
            budget=rules.budget_of(study, participant.condition),
            tuning_seed=rules.derive_seed(study.seed, "tuning"),
            opened_at=self._core.clock(),
            participant_id=participant.id,
            mode=participant.mode,
            version=study.version,
            condition=participant.condition,
        )

    def open_practice(self, participant_id: int, task: TaskRecord, budget: Budget) -> Session:
        """A participant's practice session, on a task that tells nothing of the study's; opened and started once."""
        with self._core.change() as tx:
            participant = participant_rows.get(tx, participant_id)
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
            opened = open_session(tx, study, practice, "server")
            sessions.update_facts(tx, opened.id, started_at=self._core.clock(), last_seen=self._core.clock())
            events.record(tx, self._core.clock(), "practised", opened.id)
            participant_rows.update_facts(tx, participant_id, practised_at=self._core.clock())
            return sessions.get(tx, opened.id)

    def begin(self, participant_id: int) -> Session:
        """Start the clock of a participant's session, which is opened first where it is not yet."""
        participant = self.get(participant_id)
        if participant.session_id is None:
            participant = self.read_details(participant_id)
        assert participant.session_id is not None
        if participant.practice_id is not None:
            with self._core.read() as tx:
                practised = sessions.get(tx, participant.practice_id).trials
            for trial in practised:
                self._tuning.stop(participant.practice_id, trial.number)
        return self._tuning.start(participant.session_id)

    def submit(
        self,
        session_id: int,
        configuration: Configuration,
        reasons: Mapping[str, str],
        key: str | None,
        signals: Signals | None = None,
    ) -> Trial:
        """Queue a participant's trial, with how its form was filled in where the study records that; else as `Tuning.submit`."""
        return self._tuning.submit(session_id, configuration, reasons=reasons, key=key, signals=signals)

    def step(self, participant_id: int) -> ParticipantStep:
        """Which page the participant sees next."""
        return self.standing(participant_id).step

    def standing(self, participant_id: int) -> ParticipantStanding:
        """Who a participant is, in which study, on which task, and which page comes next."""
        with self._core.read() as tx:
            participant = participant_rows.get(tx, participant_id)
            study = studies.study(tx, participant.study_id, participant.version)
            session = None if participant.session_id is None else sessions.get(tx, participant.session_id)
            step = rules.next_step(study, participant, session, self._core.clock())
            if step is ParticipantStep.PRACTICE and participant.practice_id is not None:
                task = sessions.get(tx, participant.practice_id).task
            elif session is not None:
                task = session.task
            else:
                arm = study.arm(participant.condition)
                task = studies.task(tx, arm.task_id if arm and arm.task_id else study.task_id)
        return ParticipantStanding(participant, study, task, step)

    # One window writes

    def hold(self, participant_id: int, window: str, take: bool = False) -> bool:
        """Whether this window may write for the participant.

        It may where it is the one that did last, where that one was not heard of for some seconds, or where it is told to `take`
        over. A window that may counts as heard of.
        """
        return self._hold(participant_id, window, take, lambda tx: None)

    def present(self, participant_id: int, session_id: int, window: str) -> None:
        """Note that a participant's page is open in this window: `hold`, and the session's tuner is there."""
        self._hold(participant_id, window, False, lambda tx: sessions.update_facts(tx, session_id, last_seen=self._core.clock()))

    def _hold(self, participant_id: int, window: str, take: bool, also: Callable[[Connection], None]) -> bool:
        def write(tx: Connection) -> tuple[bool, Participant | None]:
            also(tx)
            holder, at = participant_rows.writer(tx, participant_id)
            now = self._core.clock()
            if holder not in (None, window) and not take and at is not None and now - at < WRITER_SILENCE_SECONDS:
                return False, None
            participant_rows.update_facts(tx, participant_id, writer=window, writer_at=now)
            if holder in (None, window):
                return True, None
            events.record(tx, now, "took over", participant=participant_id)
            return True, participant_rows.get(tx, participant_id)

        holds, taken = self._core.together(write)
        for session_id in own_session_ids(taken) if taken else ():
            self._core.notify(session_id)
        return holds

    def holds(self, participant_id: int, window: str) -> bool:
        """Whether no other window writes for the participant."""
        with self._core.read() as tx:
            return participant_rows.writer(tx, participant_id)[0] in (None, window)

    # Out of the study, or out of its statistics

    def exclude(self, participant_id: int, reason: str) -> Participant:
        """Leave a participant out of the statistics; the reason is reported with the count."""
        return self._exclude(participant_id, True, reason)

    def include(self, participant_id: int, reason: str) -> Participant:
        """Take an excluded participant in again."""
        return self._exclude(participant_id, False, reason)

    def _exclude(self, participant_id: int, excluded: bool, reason: str) -> Participant:
        if not reason.strip():
            raise Refused("give the reason; it is reported with the number of people left out")
        with self._core.change() as tx:
            participant = participant_rows.get(tx, participant_id)
            participant_rows.exclude(tx, participant_id, excluded, reason.strip(), self._core.clock())
            kind = "excluded" if excluded else "included"
            events.record(tx, self._core.clock(), kind, participant.session_id, participant=participant_id)
            return participant_rows.get(tx, participant_id)

    def withdraw(self, participant_id: int) -> Participant:
        """Stop and erase all that a participant did and said; the pseudonym stays, so that the count is true."""
        with self._core.change() as tx:
            participant, now = participant_rows.get(tx, participant_id), self._core.clock()
            if participant.withdrawn_at is not None:
                return participant
            erase(tx, participant.id, own_session_ids(participant), now)
            gone = participant_rows.get(tx, participant_id)
        for listener in list(self._core.on_withdrawal):
            listener()
        for session_id in own_session_ids(participant):
            log.info("session %d is erased: participant %d withdrew", session_id, participant_id)
            self._core.notify(session_id)
        return gone


def own_session_ids(participant: Participant) -> list[int]:
    """Of the participant's session and of the one for practice, those that there are."""
    return [session_id for session_id in (participant.session_id, participant.practice_id) if session_id is not None]


def erase(tx: Connection, participant_id: int, session_ids: Sequence[int], now: float) -> None:
    """Delete all that a participant did and said; the rows that keep the count stay. session_ids: all of theirs."""
    for session_id in session_ids:
        sessions.erase(tx, session_id)
        sessions.update_facts(tx, session_id, withdrawn_at=now)
    participant_rows.erase(tx, participant_id)
    participant_rows.update_facts(tx, participant_id, withdrawn_at=now)
    for erased in session_ids or (None,):
        events.record(tx, now, "withdrawn", erased, participant=participant_id)
