"""Tokens: stored hashed, valid until they expire, are used up or are revoked."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, bindparam, delete, func, insert, or_, select, update

from evenhand.store import tables
from evenhand.store.events import ACTING

_token = tables.token.c


def add(
    tx: Connection, kind: str, hashed: str, subject: int, now: float, expires_at: float | None, browser: str | None = None
) -> None:
    """Store a token's hash, and which person made it."""
    row: Mapping[str, Any] = {"hash": hashed, "kind": kind, "subject": subject, "created_at": now, "expires_at": expires_at}
    tx.execute(insert(tables.token).values(made_by=ACTING.get(), browser=browser, **row))


def subject(tx: Connection, kind: str, hashed: str, now: float) -> int | None:
    """What a valid token stands for."""
    return tx.execute(_SUBJECT, {"of": kind, "is": hashed, "at": now}).scalar()


def count(tx: Connection, kind: str, now: float) -> int:
    """How many tokens of a kind are valid."""
    return tx.execute(select(func.count()).where(_valid(kind, None, now))).scalar_one()


def spend(tx: Connection, kind: str, hashed: str, now: float) -> bool:
    """Use up a token; False where it was not valid."""
    return tx.execute(update(tables.token).where(_valid(kind, hashed, now)).values(spent_at=now)).rowcount == 1


def revoke_all(tx: Connection, kind: str, subject: int) -> None:
    """Delete every token of a kind for one subject."""
    tx.execute(delete(tables.token).where(_token.kind == kind, _token.subject == subject))


def revoke(tx: Connection, kind: str, hashed: str) -> None:
    """Delete one token."""
    tx.execute(delete(tables.token).where(_token.kind == kind, _token.hash == hashed))


def _valid(kind: Any, hashed: Any, now: Any) -> Any:
    unexpired = or_(_token.expires_at.is_(None), _token.expires_at > now)
    one = [] if hashed is None else [_token.hash == hashed]
    return and_(_token.kind == kind, *one, _token.spent_at.is_(None), unexpired)


_SUBJECT = select(_token.subject).where(_valid(bindparam("of"), bindparam("is"), bindparam("at")))
