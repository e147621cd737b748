"""The people who run the laboratory: who they are, what they may, how they get in, and how they are kept out again.

There is an owner as soon as there is anybody, and at least one from then on. `by` is who asks; None is a command on the
laboratory's own machine, which may do everything, since whoever has the database has all that is in it.
"""

import secrets
from collections.abc import Mapping
from dataclasses import replace

from sqlalchemy import Connection

from evenhand.errors import NotAllowed, NotFound, Refused
from evenhand.lab.base import Core, hash_token
from evenhand.lab.tokens import TRUSTED_SECONDS, Tokens
from evenhand.model.person import (
    HIGHEST_ID,
    LOWEST_ID,
    ROLES,
    AgentAccess,
    Person,
    PersonRole,
    SignIn,
    plain_name,
    same_name,
    with_names,
)
from evenhand.model.recent import Recent
from evenhand.settings import sign_in_times
from evenhand.store import events, people, tokens
from evenhand.store.people import AGENT, HANDLE_CHARACTERS, LINK, SIGNED_IN

MOST_REMEMBERED_BROWSERS = 1000
MOST_BROWSER_CHARACTERS = 100
NEW_OWNER = "Owner"  # the name of the first owner, where this machine does not know its user's


class People:
    """The people of a laboratory and their ways in."""

    def __init__(self, core: Core, tokens: Tokens) -> None:
        self._core = core
        self._tokens = tokens
        self._names: tuple[float, Mapping[str, str]] | None = None  # until when they are believed, and by `Person.who`
        self._held: Recent[str, float] = Recent(MOST_REMEMBERED_BROWSERS)  # by token: until when it is believed to be valid
        self._seen: Recent[str, float] = Recent(MOST_REMEMBERED_BROWSERS)  # by token's hash: when, since that was written

    # Who there is

    def get(self, person_id: int) -> Person:
        """A person, also one who was removed; NotFound where there is none of this id."""
        with self._core.read() as tx:
            return people.get(tx, person_id)

    def everybody(self) -> list[Person]:
        """All there ever were, in order of coming; those who were removed, too."""
        with self._core.read() as tx:
            return people.everybody(tx)

    def present(self) -> list[Person]:
        """All who may get in."""
        return [person for person in self.everybody() if person.removed_at is None]

    def named(self, name: str) -> Person:
        """Who of those present has this name; NotFound where nobody has."""
        person = self._of_name(name)
        if person is None:
            names = ", ".join(person.name for person in self.present()) or "nobody yet"
            raise NotFound(f"nobody here is named {name[:100]!r}; there are: {names}")
        return person

    def who(self, name: str) -> str | None:
        """How the record names whoever of those present has this name; None where nobody has."""
        person = self._of_name(name)
        return None if person is None else person.who

    def _of_name(self, name: str) -> Person | None:
        wanted = same_name(name.strip())
        return next((person for person in self.present() if same_name(person.name) == wanted), None)

    def shown(self, text: str) -> str:
        """A text of the record with people's names in it, those of who was removed, too, in the place of their ids."""
        return with_names(text, lambda who: self._all_names().get(who))

    def _all_names(self) -> Mapping[str, str]:
        now = self._core.clock()
        if self._names is None or not self._names[0] - TRUSTED_SECONDS <= now < self._names[0]:
            self._names = now + TRUSTED_SECONDS, {person.who: person.name for person in self.everybody()}
        return self._names[1]

    # Coming and going

    def first_owner(self, name: str = "") -> Person:
        """The owner who came first; where nobody is there yet, they are made, and called so."""
        with self._core.change() as tx:
            owner = self._first_owner(tx, name)
        self._forget()
        return owner

    def _first_owner(self, tx: Connection, name: str = "") -> Person:
        owner = next((person for person in people.everybody(tx) if person.is_owner and person.removed_at is None), None)
        if owner is None:
            owner = self._add(tx, name or NEW_OWNER, "owner")
            people.claim_unnamed(tx, owner.id)
        return owner

    def add(self, name: str, role: PersonRole = "researcher", *, by: Person | None = None) -> Person:
        """Somebody new, who gets in by a `link`. Refused where one of those present has that name."""
        with self._core.change() as tx:
            self._check_owner(tx, by)
            if role != "owner":
                self._first_owner(tx)
            person = self._add(tx, plain_name(name), role)
        self._forget()
        return person

    def _add(self, tx: Connection, name: str, role: PersonRole) -> Person:
        self._check_free(tx, name)
        taken = {person.id for person in people.everybody(tx)}
        fresh = (LOWEST_ID + secrets.randbelow(HIGHEST_ID - LOWEST_ID + 1) for _ in iter(int, 1))
        person = Person(next(number for number in fresh if number not in taken), name, _role(role), self._core.clock())
        people.add(tx, person)
        events.record(tx, person.created_at, "person added", person=person.id, role=role)
        return person

    def rename(self, person_id: int, name: str, *, by: Person | None = None) -> Person:
        """Give somebody another name: in the record, too, which names them by their id."""
        with self._core.change() as tx:
            person = self._theirs(tx, person_id, by)
            wanted = plain_name(name)
            self._check_free(tx, wanted, but=person_id)
            people.update_facts(tx, person_id, name=wanted)
            events.record(tx, self._core.clock(), "person renamed", person=person_id)
        self._forget()
        return replace(person, name=wanted)

    def set_role(self, person_id: int, role: PersonRole, *, by: Person | None = None) -> Person:
        """Make somebody an owner, or a researcher again. Refused for the only owner."""
        with self._core.change() as tx:
            self._check_owner(tx, by)
            person = _present(tx, person_id)
            if person.role != _role(role):
                _keep_an_owner(tx, person)
                people.update_facts(tx, person_id, role=role)
                events.record(tx, self._core.clock(), "role changed", person=person_id, role=role)
            return replace(person, role=role)

    def remove(self, person_id: int, *, by: Person | None = None) -> Person:
        """Let somebody in no more: their links and sign-ins end at once, their name stays. Refused for the only owner."""
        with self._core.change() as tx:
            self._check_owner(tx, by)
            person, now = _present(tx, person_id), self._core.clock()
            _keep_an_owner(tx, person)
            people.update_facts(tx, person_id, removed_at=now)
            people.revoke_all(tx, person_id)
            events.record(tx, now, "person removed", person=person_id)
        self._forget()
        return replace(person, removed_at=now)

    # Ways in

    def link(self, person_id: int, seconds: float | None = None, *, by: Person | None = None) -> str:
        """The token of a new link by which somebody signs in, once, within a time (default: as `settings.sign_in_times` says)."""
        token, now = secrets.token_urlsafe(16), self._core.clock()
        lasts = sign_in_times().link if seconds is None else seconds
        with self._core.change() as tx:
            self._theirs(tx, person_id, by)
            tokens.add(tx, LINK, hash_token(token), person_id, now, now + lasts)
            events.record(tx, now, "sign-in link made", person=person_id)
        return token

    def invited(self, link: str) -> Person | None:
        """Whom a link is for; None where it is not valid."""
        with self._core.read() as tx:
            return people.of_token(tx, LINK, hash_token(link), self._core.clock())

    def sign_in(self, link: str, browser: str) -> tuple[str, float] | None:
        """Use a link up: the token of a browser that is signed in from now on, and its seconds; None where it is not valid."""
        token, now, lasts = secrets.token_urlsafe(16), self._core.clock(), sign_in_times().browser
        with self._core.change() as tx:
            person = people.of_token(tx, LINK, hash_token(link), now)
            if person is None or not tokens.spend(tx, LINK, hash_token(link), now):
                return None
            tokens.add(tx, SIGNED_IN, hash_token(token), person.id, now, now + lasts, browser[:MOST_BROWSER_CHARACTERS])
            events.record(tx, now, "signed in", person=person.id, who=person.who)
        return token, lasts

    def signed_in(self, token: str) -> Person | None:
        """Who is signed in by this token, which is looked up each time; None where it is not valid."""
        now, hashed = self._core.clock(), hash_token(token)
        with self._core.read() as tx:
            person = people.of_token(tx, SIGNED_IN, hashed, now)
        if person is not None:
            self._seen[hashed] = now
        return person

    def stays_signed_in(self, token: str) -> bool:
        """Whether a token is still valid; from then on it is `recalled` for a second."""
        now = self._core.clock()
        is_valid = self.signed_in(token) is not None
        if is_valid:
            self._held[token] = now + TRUSTED_SECONDS
        return is_valid

    def recalled(self, token: str) -> bool:
        """Whether `stays_signed_in` said so a moment ago, and nothing was revoked in this process since."""
        until = self._held.get(token, 0.0)
        return until - TRUSTED_SECONDS <= self._core.clock() < until

    def note_seen(self) -> None:
        """Write down when browsers were last seen: now and then, so that no page waits for it."""
        # Looked up one by one: another thread may push one out meanwhile.
        seen = {hashed: at for hashed in self._seen if (at := self._seen.get(hashed)) is not None}
        if seen:
            with self._core.change() as tx:
                for hashed, at in seen.items():
                    people.note_seen(tx, hashed, at)
            for hashed, at in seen.items():
                if self._seen.get(hashed) == at:
                    self._seen.pop(hashed, None)

    def ways_in(self, person_id: int | None = None) -> list[SignIn]:
        """Links that wait and browsers that are signed in, of one person or of all, the newest first."""
        with self._core.read() as tx:
            listed = people.ways_in(tx, self._core.clock())
        unwritten = {hashed[:HANDLE_CHARACTERS]: at for hashed in self._seen if (at := self._seen.get(hashed)) is not None}
        return [
            replace(way, last_seen=unwritten.get(way.handle, way.last_seen))
            for way in listed
            if person_id in (None, way.person_id)
        ]

    def handle_of(self, token: str) -> str:
        """What names a browser's own sign-in in a list."""
        return hash_token(token)[:HANDLE_CHARACTERS]

    def sign_out(self, token: str) -> None:
        """End the sign-in of a browser."""
        with self._core.change() as tx:
            person = people.of_token(tx, SIGNED_IN, hash_token(token), self._core.clock())
            if person is not None:
                tokens.revoke(tx, SIGNED_IN, hash_token(token))
                events.record(tx, self._core.clock(), "signed out", person=person.id)
        self._forget()

    def sign_out_everywhere(self, person_id: int, *, by: Person | None = None) -> None:
        """End every sign-in of a person, and make their links invalid."""
        with self._core.change() as tx:
            self._theirs(tx, person_id, by)
            people.revoke_all(tx, person_id)
            events.record(tx, self._core.clock(), "signed out everywhere", person=person_id)
        self._forget()

    def revoke(self, handle: str, *, by: Person | None = None) -> SignIn:
        """End one sign-in, or make one link invalid; NotFound where `by` sees none of this handle."""
        with self._core.change() as tx:
            now = self._core.clock()
            way = next((way for way in people.ways_in(tx, now) if way.handle == handle), None)
            if way is None or (by is not None and by.id != way.person_id and not _now(tx, by).is_owner):
                raise NotFound(f"no link or sign-in has the id {handle[:40]!r}; it was used up, has ended, or never was")
            people.revoke(tx, handle)
            events.record(tx, now, "link revoked" if way.is_link else "sign-in revoked", person=way.person_id)
        self._forget()
        return way

    def revoke_links(self) -> None:
        """Make every link invalid that nobody used yet."""
        with self._core.change() as tx:
            people.revoke_links(tx)
            events.record(tx, self._core.clock(), "links revoked")

    # Agents

    def agents(self) -> list[AgentAccess]:
        """Agents of other machines that may get in, the newest first."""
        with self._core.read() as tx:
            return people.agents(tx, self._core.clock())

    def revoke_agent(self, agent_id: int, *, by: Person | None = None) -> AgentAccess:
        """Let an agent in no more; what it trains goes back to the queue when its lease ends."""
        with self._core.change() as tx:
            now = self._core.clock()
            agent = next((agent for agent in people.agents(tx, now) if agent.agent_id == agent_id), None)
            if agent is None:
                raise NotFound(f"agent {agent_id} has no token; it was revoked, has ended, or never was")
            if by is not None and by.who != agent.made_by:
                self._check_owner(tx, by)
            tokens.revoke_all(tx, AGENT, agent_id)
            events.record(tx, now, "agent revoked", agent=agent_id)
        self._tokens.forget()
        return agent

    # What may be done, and by whom

    def _forget(self) -> None:
        self._names = None
        self._held.clear()

    def _check_owner(self, tx: Connection, by: Person | None) -> None:
        if by is not None and not _now(tx, by).is_owner:
            raise NotAllowed(f"this is an owner's to do, and {by.name} is a {_now(tx, by).role}; ask an owner")

    def _theirs(self, tx: Connection, person_id: int, by: Person | None) -> Person:
        """Somebody present, where it is `by` themselves, or an owner asks."""
        if by is None or by.id != person_id:
            self._check_owner(tx, by)
        return _present(tx, person_id)

    def _check_free(self, tx: Connection, name: str, but: int | None = None) -> None:
        for person in people.everybody(tx):
            if person.removed_at is None and person.id != but and same_name(person.name) == same_name(name):
                raise Refused(f"somebody here is named {person.name!r} already; give a name that tells them apart")


def _role(role: PersonRole) -> PersonRole:
    if role not in ROLES:
        raise Refused(f"role {str(role)[:40]!r}: expected one of {', '.join(ROLES)}")
    return role


def _now(tx: Connection, person: Person) -> Person:
    """A person as they are now; NotAllowed where they were removed meanwhile."""
    current = people.get(tx, person.id)
    if current.removed_at is not None:
        raise NotAllowed(f"{current.name} was removed from this laboratory")
    return current


def _present(tx: Connection, person_id: int) -> Person:
    person = people.get(tx, person_id)
    if person.removed_at is not None:
        raise NotFound(f"{person.name} was removed from this laboratory; add them anew")
    return person


def _keep_an_owner(tx: Connection, leaving: Person) -> None:
    """Refused where somebody is the only owner. Writes come one after the other, so two owners cannot both leave at once."""
    if leaving.is_owner and people.count_owners(tx) == 1:
        raise Refused(f"{leaving.name} is the only owner; make somebody else an owner first")
