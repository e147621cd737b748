"""Participants, and the batches of invitations that they come with."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from evenhand.model.domain import Real
from evenhand.model.study import Mode


@dataclass(frozen=True, slots=True)
class Participant:
    """A pseudonymous person: what they consented to, and their answers. Nothing else is known.

    answers: by QUESTIONNAIRE.QUESTION (see `study.Question` for their forms). answered: questionnaires that were sent in.
    condition: the arm that was assigned at consent. excluded: why the researcher left them out of the statistics. nickname: in a
    class only. practice_id: the practice session.
    """

    id: int
    study_id: int
    pseudonym: str
    created_at: Real
    mode: Mode = "live"
    batch_id: int | None = None
    version: int = 1
    condition: str | None = None
    language: str = "en"
    nickname: str | None = None
    consent_version: str | None = None
    consented_at: Real | None = None
    read_details_at: Real | None = None
    practised_at: Real | None = None
    withdrawn_at: Real | None = None
    excluded: str | None = None
    session_id: int | None = None
    practice_id: int | None = None
    answered: tuple[str, ...] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)

    def number(self, question: str) -> float | None:
        """The answer to QUESTIONNAIRE.QUESTION where it is a number."""
        answer = self.answers.get(question)
        return float(answer) if isinstance(answer, int | float) and not isinstance(answer, bool) else None

    @property
    def has_begun(self) -> bool:
        """Whether they did anything after joining."""
        moments = (self.consented_at, self.read_details_at, self.practised_at, self.withdrawn_at)
        sessions = (self.practice_id, self.session_id)
        return bool(self.answered) or any(fact is not None for fact in (*moments, *sessions))

    @property
    def months(self) -> float | None:
        """Months of experience with deep learning, by the paper's background form."""
        return self.number("background.months")


@dataclass(frozen=True, slots=True)
class Batch:
    """Invitations of one kind. single: as many links as `cap`, each for one person; open: one link for at most `cap` people.

    joined: participants who came through it. links: how many were made, of which `unused` are left.
    """

    id: int
    study_id: int
    label: str
    mode: Mode
    kind: Literal["single", "open"]
    cap: int | None
    enabled: bool
    created_at: Real
    expires_at: Real | None = None
    joined: int = 0
    links: int = 0
    unused: int = 0

    def why_closed(self, now: float) -> str | None:
        """Why nobody can join by it now, in words for who opens the link; None where they can."""
        if not self.enabled:
            return "this invitation is switched off; ask whoever sent it"
        if self.expires_at is not None and now >= self.expires_at:
            return "this invitation has expired; ask whoever sent it for a new one"
        if self.kind == "open" and self.cap is not None and self.joined >= self.cap:
            return f"all {self.cap} places of this invitation are taken; ask whoever sent it"
        return None
