"""The people who run a laboratory: each has a name, a role, and an id under which the record keeps what they did."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from evenhand.errors import InvalidSettings
from evenhand.model.domain import Real
from evenhand.model.words import storable

PersonRole = Literal["owner", "researcher"]
ROLES: tuple[PersonRole, ...] = ("owner", "researcher")
UNNAMED = "researcher"  # who, in records from before people had names: nobody knows which of them it was
TUNE_WHO = "evenhand.tune"  # who looks at the test score that `evenhand.tune` prints
LOWEST_ID, HIGHEST_ID = 100_000_000, 999_999_999
MOST_NAME_CHARACTERS = 80
WHO_PATTERN = re.compile(r"\bperson (\d{9})\b")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who runs the laboratory. id: random, so that it means nobody else in another laboratory or after a restore.

    removed_at: when they were removed; their name stays for what they did before.
    """

    id: int
    name: str
    role: PersonRole
    created_at: Real
    removed_at: Real | None = None

    @property
    def who(self) -> str:
        """How looks, interventions, trials and events name them: it stays when they are renamed or removed."""
        return f"person {self.id}"

    @property
    def is_owner(self) -> bool:
        """Whether they may change who else gets in."""
        return self.role == "owner"


@dataclass(frozen=True, slots=True)
class SignIn:
    """A way in: a link that nobody used yet, or a browser that is signed in. handle: what names it in a list.

    made_by: who made it, as `Person.who`; empty: a command on the laboratory's machine, or not known.
    """

    handle: str
    person_id: int
    is_link: bool
    created_at: Real
    expires_at: Real | None
    last_seen: Real | None
    browser: str
    made_by: str


@dataclass(frozen=True, slots=True)
class AgentAccess:
    """An agent that may get in by a token. created_at: when the token was made; made_by: as in `SignIn`."""

    agent_id: int
    name: str
    created_at: Real
    last_seen: Real | None
    made_by: str


def plain_name(text: str) -> str:
    """A name as it is kept: InvalidSettings where it is empty, too long, or would read as somebody else in the record."""
    name = " ".join(storable(text).split())
    if not name or len(name) > MOST_NAME_CHARACTERS:
        raise InvalidSettings(f"name {text[:100]!r}: expected 1 to {MOST_NAME_CHARACTERS} characters")
    if same_name(name) == UNNAMED or WHO_PATTERN.fullmatch(same_name(name)):
        raise InvalidSettings(f"name {name!r}: the record calls people so whose name it does not know; give another one")
    return name


def same_name(name: str) -> str:
    """What two names have in common that people would take for the same."""
    return unicodedata.normalize("NFKC", name).casefold()


def is_person(who: str) -> bool:
    """Whether a record's name of somebody is a person's of those who run the laboratory."""
    return WHO_PATTERN.fullmatch(who) is not None


def with_names(text: str, name_of: Callable[[str], str | None]) -> str:
    """A text with people's names in the place of `person 123456789`, where `name_of` knows that one."""
    return WHO_PATTERN.sub(lambda who: name_of(who[0]) or who[0], text)
