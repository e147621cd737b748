"""What every verb stands on: the store, the rules, the clock, who listens to changes, and tokens.

`Lab` is the whole laboratory; it is put together from the agents' verbs (`leases`), the participants' way in (`enrolment`) and
the researcher's verbs (`conduct`, `cotuning`), which all build on `Core`.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, TypeVar

from sqlalchemy import Connection

from evenhand.declaration import Study
from evenhand.errors import NotAllowed, Refused
from evenhand.records import Participant, Session
from evenhand.settings import Rules, rules_from_environment
from evenhand.store import Store, journal, people, sessions

TRUSTED = 1.0  # seconds for which a program's token is not looked up again: some ask many times a second
MOST_TRUSTED = 10_000
Listener = TypeVar("Listener")
Token = Literal["signin", "researcher", "participant", "agent", "invite", "method", "class"]


class Core:
    """A laboratory's database, rules and clock. Threads may share it."""

    def __init__(self, store: Store, rules: Rules | None = None, clock: Callable[[], float] = time.time) -> None:
        self.rules = rules or rules_from_environment()
        self.clock = clock
        self.on_change: list[Callable[[int], None]] = []
        self.on_withdrawal: list[Callable[[], None]] = []
        self.on_waiting: list[Callable[[], None]] = []  # told when a training may have come to wait for an agent
        self._store = store
        self._trusted: dict[str, tuple[Token, int, float]] = {}  # programs' tokens: kind, subject and until when

    @contextmanager
    def _change(self, session_id: int | None = None) -> Iterator[Connection]:
        with self._store.write() as tx:
            yield tx
        if session_id is not None:
            self._notify(session_id)
            self._tell_agents()

    def _notify(self, session_id: int) -> None:
        for listener in list(self.on_change):
            listener(session_id)

    def _tell_agents(self) -> None:
        for listener in list(self.on_waiting):
            listener()

    def _check_may_intervene(self, tx: Connection, found: Sequence[Session], who: str | None) -> None:
        if who is not None and any(journal.looked_at_task(tx, task_id, who) for task_id in {each.task.id for each in found}):
            raise NotAllowed(
                f"{who} has looked at a test score of this task, and so cannot intervene in its open sessions any more"
            )

    def _erase(self, tx: Connection, participant: Participant, now: float) -> None:
        """Delete all that a participant did and said; the rows that keep the count stay."""
        for session_id in (participant.session_id, participant.practice_id):
            if session_id is not None:
                sessions.erase(tx, session_id)
                sessions.update_facts(tx, session_id, withdrawn_at=now)
        people.erase(tx, participant.id)
        people.update_facts(tx, participant.id, withdrawn_at=now)
        journal.record(tx, now, "withdrawn", participant.session_id, participant=participant.id)

    def at_once(self) -> AbstractContextManager[None]:
        """Within it, all that this thread reads is of one moment, and costs one transaction."""
        return self._store.at_once()

    # Tokens

    def issue_token(self, kind: Token, subject: int = 0, seconds: float | None = None) -> str:
        """A random 128-bit token for `subject`, stored hashed; it ends after `seconds` if given."""
        token = secrets.token_urlsafe(16)
        with self._change() as tx:
            expires_at = None if seconds is None else self.clock() + seconds
            journal.add_token(tx, kind, hash_token(token), subject, self.clock(), expires_at)
        return token

    def check_token(self, kind: Token, token: str) -> int | None:
        """The subject of a valid token, None for any other text."""
        now = self.clock()
        with self._store.read() as tx:
            subject = journal.token_subject(tx, kind, hash_token(token), now)
        if subject is not None and kind in ("agent", "method"):
            if len(self._trusted) >= MOST_TRUSTED:
                self._trusted.clear()
            self._trusted[token] = kind, subject, now + TRUSTED
        return subject

    def recall_token(self, kind: Token, token: str) -> int | None:
        """What `check_token` said of a program's token a moment ago; None where it has to be looked up.

        One that this process revokes is forgotten at once, one that another process does within `TRUSTED` seconds.
        """
        known, subject, until = self._trusted.get(token, (kind, 0, 0.0))
        return subject if known == kind and until - TRUSTED <= self.clock() < until else None

    def spend_token(self, kind: Token, token: str) -> bool:
        """Use up a single-use token; False where it was not valid any more."""
        with self._change() as tx:
            return journal.spend_token(tx, kind, hash_token(token), self.clock())

    def revoke_token(self, kind: Token, token: str) -> None:
        """Make a token invalid."""
        with self._change() as tx:
            journal.revoke_token(tx, kind, hash_token(token))
        self._trusted.clear()

    def count_tokens(self, kind: Token) -> int:
        """How many tokens of a kind are valid: issued, neither used up nor expired."""
        with self._store.read() as tx:
            return journal.count_tokens(tx, kind, self.clock())

    def revoke_tokens(self, kind: Token, subject: int = 0) -> None:
        """Make every token of a kind for one subject invalid."""
        with self._change() as tx:
            journal.revoke_tokens(tx, kind, subject)
        self._trusted.clear()


@contextmanager
def told(listeners: list[Listener], listener: Listener) -> Iterator[None]:
    """Within it, `listener` is among the listeners."""
    listeners.append(listener)
    try:
        yield
    finally:
        listeners.remove(listener)


def refuse_archive(study: Study) -> None:
    """Refuse what would change a study that was read from an export."""
    if study.archived:
        raise Refused(f"study {study.name!r} is an archive: nobody can take part, and nothing in it changes any more")


def hash_token(token: str) -> str:
    """How a token is stored: SHA-256. A random 128-bit token needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
