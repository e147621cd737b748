"""The seats of a class: one browser has one, and a short code is the way back to it from another."""

import secrets

from sqlalchemy import Connection

from evenhand.errors import NotAllowed, NotFound, Refused
from evenhand.lab.base import Core, hash_token
from evenhand.lab.participants import Participants, join_key, resume_code_of
from evenhand.model.participant import Participant
from evenhand.store import events, studies, tokens
from evenhand.store import participants as participant_rows

CODE_LETTERS = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"  # without those that look alike on a projector
CODE_LENGTH = 6  # letters of a code: 887 million, for a lesson, on the room's network


def short_code() -> str:
    """A new random code that people read from a wall or a slip of paper."""
    return "".join(secrets.choice(CODE_LETTERS) for _ in range(CODE_LENGTH))


def plain_code(text: str) -> str:
    """A code as it is stored: capitals, without spaces and dashes."""
    return "".join(letter for letter in text.upper() if letter.isalnum())


def spaced_code(code: str) -> str:
    """A code as it is shown: in two halves."""
    return f"{code[: CODE_LENGTH // 2]} {code[CODE_LENGTH // 2 :]}"


class Seats:
    """What a class asks of the laboratory beside what every study does.

    A browser proves its seat by a key of its own (`join_key`), which a cookie keeps; the seat's code is stored hashed.
    """

    def __init__(self, core: Core, participants: Participants) -> None:
        self._core = core
        self._participants = participants

    def study_of(self, code: str) -> int:
        """The study that a class's code leads to, also once nobody can join any more: its board and its seats stay.

        Raises:
            NotAllowed: No class has the code.
        """
        with self._core.read() as tx:
            batch_id = tokens.subject(tx, "invite", hash_token(plain_code(code)), self._core.clock())
            study_id = None if batch_id is None else participant_rows.batch(tx, batch_id).study_id
            if study_id is None or not studies.study(tx, study_id).classroom:
                raise NotAllowed("no class has this code; check it with the one on the wall")
            return study_id

    def of_browser(self, study_id: int, browser: str) -> Participant | None:
        """Who took a seat of a class at the browser with this key, withdrawn or not; None where nobody did.

        Raises:
            NotAllowed: The key is too short to be one of ours.
        """
        joined = self._participants.joined_with(browser)
        return joined[0] if joined is not None and joined[0].study_id == study_id else None

    def take(self, token: str, nickname: str, browser: str) -> tuple[Participant, str]:
        """Take a seat at this browser, by the class's code, and the seat's own code, which is never shown again.

        Sent again because its answer was lost, it is the same seat with a new code.

        Raises:
            Refused: The browser has a seat under another name, or the name cannot be told from one that is taken.
        """
        participant, _ = self._participants.accept(token, nickname, key=browser)
        if participant.nickname != nickname:
            raise Refused(f"this browser has a seat already, as {participant.nickname}: one browser, one seat")
        return participant, self.new_code(participant.id)

    def new_code(self, participant_id: int) -> str:
        """A new code of a seat, in place of the one before."""
        with self._core.change() as tx:
            participant = self._seated(tx, participant_id)
            return self._renew(tx, participant)

    def _seated(self, tx: Connection, participant_id: int) -> Participant:
        participant = participant_rows.get(tx, participant_id)
        if participant.nickname is None or participant.withdrawn_at is not None:
            raise Refused(f"{participant.pseudonym} has no seat in a class")
        return participant

    def _renew(self, tx: Connection, participant: Participant) -> str:
        now = self._core.clock()
        tokens.revoke_all(tx, "seat", participant.id)
        code = short_code()
        while tokens.subject(tx, "seat", _hash_of(participant.study_id, code), now) is not None:
            code = short_code()
        tokens.add(tx, "seat", _hash_of(participant.study_id, code), participant.id, now, None)
        events.record(tx, now, "renewed seat code", participant=participant.id)
        return code

    def come_back(self, study_id: int, code: str, browser: str) -> Participant:
        """Whose seat this code is of; from now on it is this browser's, and no more the one's before.

        Raises:
            NotFound: No seat of this class has the code.
            Refused: This browser has another seat.
        """
        with self._core.change() as tx:
            participant_id = tokens.subject(tx, "seat", _hash_of(study_id, plain_code(code)), self._core.clock())
            if participant_id is None:
                raise NotFound("no seat of this class has this code; check each letter, or ask the teacher for a new one")
            participant = self._seated(tx, participant_id)
            resume_hash = hash_token(resume_code_of(browser))
            mine = participant_rows.by_resume_hash(tx, resume_hash)
            if mine is not None and mine.id != participant.id:
                raise Refused(f"this browser has the seat of {mine.nickname or mine.pseudonym}; the teacher can release it")
            participant_rows.update_facts(tx, participant.id, resume_hash=resume_hash)
            events.record(tx, self._core.clock(), "came back to seat", participant=participant.id)
            return participant

    def release(self, participant_id: int) -> str:
        """Take a seat from its browser, which may take another one; the seat stays, and its new code leads back to it."""
        with self._core.change() as tx:
            participant = self._seated(tx, participant_id)
            participant_rows.update_facts(tx, participant.id, resume_hash=hash_token(resume_code_of(join_key())))
            tokens.revoke_all(tx, "participant", participant.id)
            events.record(tx, self._core.clock(), "released seat", participant=participant.id)
            return self._renew(tx, participant)


def _hash_of(study_id: int, code: str) -> str:
    """How a seat's code is stored: two classes may have the same."""
    return hash_token(f"seat {study_id} {code}")
