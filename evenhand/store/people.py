"""The people who run the laboratory, and their ways in: links that wait, and browsers that are signed in."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, and_, delete, func, insert, or_, select, update

from evenhand.errors import NotFound
from evenhand.model.person import AgentAccess, Person, SignIn
from evenhand.store import tables

LINK, SIGNED_IN, AGENT = "signin", "researcher", "agent"  # kinds of tokens
HANDLE_CHARACTERS = 12  # of a token's hash: enough to tell tokens apart, and nothing to get in by
_person, _token = tables.person.c, tables.token.c


def add(tx: Connection, person: Person) -> None:
    """Store a new person."""
    row = {"id": person.id, "name": person.name, "role": person.role, "created_at": person.created_at}
    tx.execute(insert(tables.person).values(row))


def update_facts(tx: Connection, person_id: int, **facts: Any) -> None:
    """Change a person's name or role, or note when they were removed."""
    tx.execute(update(tables.person).where(_person.id == person_id).values(**facts))


def everybody(tx: Connection) -> list[Person]:
    """All there ever were, in order of coming."""
    return [Person(**row) for row in tx.execute(select(tables.person).order_by(_person.created_at, _person.id)).mappings()]


def get(tx: Connection, person_id: int) -> Person:
    """A person; NotFound where there is none of this id."""
    row = tx.execute(select(tables.person).where(_person.id == person_id)).mappings().first()
    if row is None:
        raise NotFound(f"person {person_id} does not exist")
    return Person(**row)


def count_owners(tx: Connection) -> int:
    """How many owners there are."""
    owners = select(func.count()).where(_person.role == "owner", _person.removed_at.is_(None))
    return tx.execute(owners).scalar_one()


def of_token(tx: Connection, kind: str, hashed: str, now: float) -> Person | None:
    """Whose valid token it is; None where it is not valid, or they were removed."""
    joined = tables.person.join(tables.token, _token.subject == _person.id)
    query = select(tables.person).select_from(joined)
    row = tx.execute(query.where(_valid(now), _token.kind == kind, _token.hash == hashed)).mappings().first()
    return None if row is None else Person(**row)


def ways_in(tx: Connection, now: float) -> list[SignIn]:
    """Every link that waits and every browser that is signed in, the newest first."""
    joined = tables.token.join(tables.person, _token.subject == _person.id)
    query = select(tables.token).select_from(joined).where(_valid(now), _token.kind.in_((LINK, SIGNED_IN)))
    return [_sign_in(row) for row in tx.execute(query.order_by(_token.created_at.desc(), _token.hash)).mappings()]


def _sign_in(row: Mapping[str, Any] | Any) -> SignIn:
    return SignIn(
        handle=row["hash"][:HANDLE_CHARACTERS],
        person_id=row["subject"],
        is_link=row["kind"] == LINK,
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        last_seen=row["last_seen"],
        browser=row["browser"] or "",
        made_by=row["made_by"] or "",
    )


def claim_unnamed(tx: Connection, person_id: int) -> None:
    """Make the ways in from before people had names this person's."""
    unnamed = and_(_token.kind.in_((LINK, SIGNED_IN)), _token.subject == 0)
    tx.execute(update(tables.token).where(unnamed).values(subject=person_id))


def revoke(tx: Connection, handle: str) -> None:
    """Delete one link or sign-in."""
    tx.execute(delete(tables.token).where(_token.kind.in_((LINK, SIGNED_IN)), _starts_with(handle)))


def revoke_all(tx: Connection, person_id: int) -> None:
    """Delete every link and sign-in of a person."""
    tx.execute(delete(tables.token).where(_token.kind.in_((LINK, SIGNED_IN)), _token.subject == person_id))


def revoke_links(tx: Connection) -> None:
    """Delete every link that waits, whosever it is."""
    tx.execute(delete(tables.token).where(_token.kind == LINK))


def note_seen(tx: Connection, hashed: str, at: float) -> None:
    """Note when a browser that is signed in was last seen."""
    tx.execute(update(tables.token).where(_token.kind == SIGNED_IN, _token.hash == hashed).values(last_seen=at))


def agents(tx: Connection, now: float) -> list[AgentAccess]:
    """Every agent of another machine that may get in, the newest first."""
    joined = tables.token.join(tables.agent, _token.subject == tables.agent.c.id)
    agent = tables.agent.c
    query = (
        select(agent.id, agent.name, agent.last_seen, _token.created_at, _token.made_by)
        .select_from(joined)
        .where(_token.kind == AGENT, or_(_token.expires_at.is_(None), _token.expires_at > now), agent.local.is_(False))
        .order_by(_token.created_at.desc(), agent.id.desc())
    )
    return [AgentAccess(row.id, row.name, row.created_at, row.last_seen, row.made_by or "") for row in tx.execute(query)]


def _valid(now: float) -> Any:
    unexpired = or_(_token.expires_at.is_(None), _token.expires_at > now)
    return and_(_token.spent_at.is_(None), unexpired, _person.removed_at.is_(None))


def _starts_with(handle: str) -> Any:
    return func.substr(_token.hash, 1, HANDLE_CHARACTERS) == handle
