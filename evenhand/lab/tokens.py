"""Tokens: what proves who asks. They are random, stored hashed, and valid until they expire, are used up or are revoked."""

import secrets
from typing import Literal

from evenhand.lab.base import Core, hash_token
from evenhand.model.recent import Recent
from evenhand.store import tokens

TRUSTED_SECONDS = 1.0  # seconds for which a program's token is not looked up again: some ask many times a second
MOST_TRUSTED_TOKENS = 10_000
Token = Literal["signin", "researcher", "participant", "agent", "invite", "method", "seat", "join"]


class Tokens:
    """The tokens of a laboratory."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._trusted: Recent[str, tuple[Token, int, float]] = Recent(MOST_TRUSTED_TOKENS)  # kind, subject and until when

    def issue(self, kind: Token, subject: int = 0, seconds: float | None = None) -> str:
        """A random 128-bit token for `subject`, stored hashed; it ends after `seconds` if given."""
        token = secrets.token_urlsafe(16)
        with self._core.change() as tx:
            expires_at = None if seconds is None else self._core.clock() + seconds
            tokens.add(tx, kind, hash_token(token), subject, self._core.clock(), expires_at)
        return token

    def check(self, kind: Token, token: str) -> int | None:
        """The subject of a valid token, None for any other text."""
        now = self._core.clock()
        with self._core.read() as tx:
            subject = tokens.subject(tx, kind, hash_token(token), now)
        if subject is not None and kind in ("agent", "method"):
            self._trusted[token] = kind, subject, now + TRUSTED_SECONDS
        return subject

    def recall(self, kind: Token, token: str) -> int | None:
        """What `check` said of a program's token a moment ago; None where it has to be looked up.

        One that this process revokes is forgotten at once, one that another process does within `TRUSTED` seconds.
        """
        known, subject, until = self._trusted.get(token, (kind, 0, 0.0))
        return subject if known == kind and until - TRUSTED_SECONDS <= self._core.clock() < until else None

    def spend(self, kind: Token, token: str) -> bool:
        """Use up a single-use token; False where it was not valid any more."""
        with self._core.change() as tx:
            return tokens.spend(tx, kind, hash_token(token), self._core.clock())

    def count(self, kind: Token) -> int:
        """How many tokens of a kind are valid: issued, neither used up nor expired."""
        with self._core.read() as tx:
            return tokens.count(tx, kind, self._core.clock())

    def revoke(self, kind: Token, token: str) -> None:
        """Make a token invalid."""
        with self._core.change() as tx:
            tokens.revoke(tx, kind, hash_token(token))
        self.forget()

    def revoke_all(self, kind: Token, subject: int = 0) -> None:
        """Make every token of a kind for one subject invalid."""
        with self._core.change() as tx:
            tokens.revoke_all(tx, kind, subject)
        self.forget()

    def forget(self) -> None:
        """Look every token up again: some may have been revoked."""
        self._trusted.clear()
