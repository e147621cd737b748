"""The participants' way in and out: invitations, joining, consent, answers, conditions, the window that writes, withdrawal."""

import secrets
from base64 import b32encode
from collections.abc import Callable, Mapping
from typing import Any, Literal

from sqlalchemy import Connection

from evenhand import protocol
from evenhand.core import Core, hash_token, refuse_archive
from evenhand.declaration import Mode, Study
from evenhand.errors import InvalidSettings, NotAllowed, NotFound, Refused
from evenhand.records import Batch, Participant
from evenhand.store import journal, people, sessions, studies

WRITER_SILENCE = 15.0  # seconds after which a window that has not been heard of gives way to another
NOT_VALID = "this invitation is not valid (any more); ask whoever sent it for a new one"


class Enrolment(Core):
    """What a participant asks of the laboratory beside tuning, and the researcher's invitations."""

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
        now = self.clock()
        row = {"study_id": study_id, "label": label, "mode": mode, "kind": kind, "cap": cap, "enabled": True}
        tokens = [token or secrets.token_urlsafe(16)]
        if kind == "single":
            tokens = [secrets.token_urlsafe(16) for _ in range(cap or 0)]
        with self._change() as tx:
            refuse_archive(study := studies.study(tx, study_id))
            if mode == "live" and study.published_at is None:
                raise Refused("the study is not published yet; publish it, or invite for a pilot")
            batch_id = people.add_batch(tx, {**row, "created_at": now, "expires_at": expires_at})
            for token in tokens:
                journal.add_token(tx, "invite", hash_token(token), batch_id, now, expires_at)
            journal.record(tx, now, "invited", study=study_id, batch=batch_id, mode=mode, links=len(tokens))
            return people.batch(tx, batch_id), tokens

    def batches(self, study_id: int) -> list[Batch]:
        """A study's batches of invitations, the newest first."""
        with self._store.read() as tx:
            return people.batches(tx, study_id)

    def switch_batch(self, batch_id: int, enabled: bool) -> Batch:
        """Switch a batch's links on or off; whoever joined by them goes on."""
        with self._change() as tx:
            people.switch_batch(tx, batch_id, enabled)
            journal.record(tx, self.clock(), "switched invitations", batch=batch_id, enabled=enabled)
            return people.batch(tx, batch_id)

    def invited(self, token: str) -> Batch:
        """The batch that an invitation's token is of; NotAllowed, with why, where nobody can join by it."""
        with self._store.read() as tx:
            return self._invited(tx, token)

    def _invited(self, tx: Connection, token: str) -> Batch:
        batch_id = journal.token_subject(tx, "invite", hash_token(token), self.clock())
        if batch_id is None:
            raise NotAllowed(NOT_VALID)
        batch = people.batch(tx, batch_id)
        study = studies.study(tx, batch.study_id)
        closed = "this study has ended; thank you for your interest" if study.closed_at or study.archived else None
        if why := closed or batch.why_closed(self.clock()):
            raise NotAllowed(why)
        return batch

    def accept(self, token: str, nickname: str | None = None, language: str | None = None) -> tuple[Participant, str]:
        """Join by an invitation: a new participant, and the resume code. A single-use link is spent by it, an open one counts."""
        with self._change() as tx:
            batch = self._invited(tx, token)
            if batch.kind == "single" and not journal.spend_token(tx, "invite", hash_token(token), self.clock()):
                raise NotAllowed(NOT_VALID)
            return self._join(tx, batch.study_id, batch.mode, batch.id, nickname, language)

    def join(self, study_id: int, mode: Mode = "live", nickname: str | None = None) -> tuple[Participant, str]:
        """A new participant without an invitation, and the resume code, which is stored hashed and never shown again."""
        with self._change() as tx:
            return self._join(tx, study_id, mode, None, nickname, None)

    def _join(
        self, tx: Connection, study_id: int, mode: Mode, batch_id: int | None, nickname: str | None, language: str | None
    ) -> tuple[Participant, str]:
        # A try-out is of the newest version, published or not; everyone else gets what was published.
        study = studies.versions(tx, study_id)[-1] if mode == "pilot" else studies.study(tx, study_id)
        refuse_archive(study)
        code = b32encode(secrets.token_bytes(16)).decode().rstrip("=")
        row = {
            "study_id": study_id,
            "resume_hash": hash_token(code),
            "created_at": self.clock(),
            "mode": mode,
            "batch_id": batch_id,
            "version": study.version,
            "language": language if language in study.languages else study.languages[0],
            "nickname": nickname,
        }
        participant_id = people.add(tx, row)
        journal.record(tx, self.clock(), "joined", participant=participant_id, mode=mode, batch=batch_id, version=study.version)
        if not study.consent.markdown.strip():
            self._assign(tx, study, people.get(tx, participant_id))
        return people.get(tx, participant_id), "-".join(code[i : i + 5] for i in range(0, len(code), 5))

    def resume(self, code: str) -> Participant:
        """The participant whose resume code this is; spaces, dashes and case do not matter."""
        plain = "".join(letter for letter in code.upper() if letter.isalnum())
        with self._store.read() as tx:
            found = people.by_resume_hash(tx, hash_token(plain))
        if found is None:
            raise NotFound("no participant has this resume code; check each letter, it has 26 letters and digits")
        return found

    # Participants

    def participant(self, participant_id: int) -> Participant:
        """One participant; NotFound where there is none."""
        with self._store.read() as tx:
            return people.get(tx, participant_id)

    def participants(self, study_id: int) -> list[Participant]:
        """Everyone who joined a study, in order of joining."""
        with self._store.read() as tx:
            return people.of_study(tx, study_id)

    def consent(self, participant_id: int, version: str) -> Participant:
        """Record that a participant agreed to the consent text of this version, and assign a condition.

        Refused where the text is another one now.
        """
        with self._change() as tx:
            participant = people.get(tx, participant_id)
            study = studies.study(tx, participant.study_id, participant.version)
            if version != study.consent.version:
                raise Refused("the terms were changed since this page was opened; please read them again")
            self._assign(tx, study, participant)
            return self._note(tx, participant, "consented", consent_version=version, consented_at=self.clock())

    def _assign(self, tx: Connection, study: Study, participant: Participant) -> None:
        if participant.condition is not None:
            return
        counts = people.assigned(tx, study.id, participant.mode)
        if condition := protocol.assign(study.arms, counts, study.seed, participant.id):
            people.update_facts(tx, participant.id, condition=condition)
            journal.record(tx, self.clock(), "assigned", participant=participant.id, condition=condition)

    def answer(self, participant_id: int, questionnaire: str, answers: Mapping[str, Any]) -> Participant:
        """Record a questionnaire's answers, by QUESTION or QUESTIONNAIRE.QUESTION; checked before (`questionnaires.read`)."""
        prefix = f"{questionnaire}."
        named = {name if name.startswith(prefix) else prefix + name: value for name, value in answers.items()}
        with self._change() as tx:
            participant = people.get(tx, participant_id)
            people.answer(tx, participant_id, questionnaire, named, self.clock())
            return self._note(tx, participant, "answered", {"questionnaire": questionnaire})

    def set_language(self, participant_id: int, language: str) -> Participant:
        """Let a participant read the study in another of its languages."""
        with self._change() as tx:
            participant = people.get(tx, participant_id)
            if language not in (known := studies.study(tx, participant.study_id, participant.version).languages):
                raise Refused(f"this study has no language {language!r}; it has {', '.join(known)}")
            return self._note(tx, participant, "chose language", {"language": language}, language=language)

    def _note(
        self, tx: Connection, participant: Participant, kind: str, detail: Mapping[str, Any] | None = None, **facts: Any
    ) -> Participant:
        if participant.withdrawn_at is not None:
            raise Refused(f"{participant.pseudonym} has withdrawn")
        if facts:
            people.update_facts(tx, participant.id, **facts)
        journal.record(tx, self.clock(), kind, participant=participant.id, **(detail or {}))
        return people.get(tx, participant.id)

    # One window writes

    def hold(self, participant_id: int, window: str, take: bool = False) -> bool:
        """Whether this window may write for the participant.

        It may where it is the one that did last, where that one was not heard of for some seconds, or where it is told to `take`
        over. A window that may counts as heard of.
        """
        return self._hold(participant_id, window, take, lambda tx: None)

    def present(self, participant_id: int, session_id: int, window: str) -> None:
        """Note that a participant's page is open in this window: `hold`, and the session's tuner is there."""
        self._hold(participant_id, window, False, lambda tx: sessions.update_facts(tx, session_id, last_seen=self.clock()))

    def _hold(self, participant_id: int, window: str, take: bool, also: Callable[[Connection], None]) -> bool:
        def write(tx: Connection) -> tuple[bool, Participant | None]:
            also(tx)
            holder, at = people.writer(tx, participant_id)
            now = self.clock()
            if holder not in (None, window) and not take and at is not None and now - at < WRITER_SILENCE:
                return False, None
            people.update_facts(tx, participant_id, writer=window, writer_at=now)
            if holder in (None, window):
                return True, None
            journal.record(tx, now, "took over", participant=participant_id)
            return True, people.get(tx, participant_id)

        holds, taken = self._store.together(write)
        for session_id in (taken.session_id, taken.practice_id) if taken else ():
            if session_id is not None:
                self._notify(session_id)
        return holds

    def holds(self, participant_id: int, window: str) -> bool:
        """Whether no other window writes for the participant."""
        with self._store.read() as tx:
            return people.writer(tx, participant_id)[0] in (None, window)

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
        with self._change() as tx:
            participant = people.get(tx, participant_id)
            people.exclude(tx, participant_id, excluded, reason.strip(), self.clock())
            kind = "excluded" if excluded else "included"
            journal.record(tx, self.clock(), kind, participant.session_id, participant=participant_id)
            return people.get(tx, participant_id)

    def withdraw(self, participant_id: int) -> Participant:
        """Stop and erase all that a participant did and said; the pseudonym stays, so that the count is true."""
        with self._change() as tx:
            participant, now = people.get(tx, participant_id), self.clock()
            if participant.withdrawn_at is not None:
                return participant
            self._erase(tx, participant, now)
            gone = people.get(tx, participant_id)
        for listener in list(self.on_withdrawal):
            listener()
        for session_id in (participant.session_id, participant.practice_id):
            if session_id is not None:
                self._notify(session_id)
        return gone
