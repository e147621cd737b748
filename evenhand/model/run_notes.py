"""What people write beside an exploratory session: tags, a note, its baseline, and whether it is put away."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from evenhand.errors import InvalidSettings
from evenhand.model.domain import Real

LONGEST_NAME = 100  # characters
LONGEST_TAG = 60  # characters
LONGEST_NOTE = 20_000  # characters
MOST_TAGS = 30
KEPT_DAYS = 30  # for which a deleted run can be brought back


@dataclass(frozen=True, slots=True)
class RunNotes:
    """Of one session. note: Markdown. archived_at, deleted_at: since when it is out of the list, or will be erased; else None.

    baseline: the number of the session that its gain is told over; None where none was declared.
    """

    tags: tuple[str, ...] = ()
    note: str = ""
    archived_at: Real | None = None
    deleted_at: Real | None = None
    baseline: int | None = None


def read_tags(typed: Iterable[str]) -> tuple[str, ...]:
    """Tags as people type them, each once, in order.

    Raises:
        InvalidSettings: there are too many, or one is too long.
    """
    tags = tuple(dict.fromkeys(tag for text in typed if (tag := " ".join(unicodedata.normalize("NFC", text).split()))))
    if len(tags) > MOST_TAGS:
        raise InvalidSettings(f"tags: {len(tags)}, expected at most {MOST_TAGS}")
    for tag in tags:
        if len(tag) > LONGEST_TAG:
            raise InvalidSettings(f"tag {tag[:LONGEST_TAG]}…: {len(tag)} characters, expected at most {LONGEST_TAG}")
    return tags


def read_note(typed: str) -> str:
    """A note as it was typed, without blanks around it; InvalidSettings where it is too long."""
    note = typed.strip()
    if len(note) > LONGEST_NOTE:
        raise InvalidSettings(f"note: {len(note)} characters, expected at most {LONGEST_NOTE}")
    return note


def read_name(typed: str) -> str | None:
    """A run's name as it was typed in a form; None where nothing was. InvalidSettings where it cannot be one."""
    name = " ".join(typed.split())
    check_name(name or None)
    return name or None


def check_name(name: object) -> None:
    """Nothing, or InvalidSettings where this can be no session's name.

    Args:
        name: what was given; None for none.

    Raises:
        InvalidSettings: it is no text, or empty, or too long, or would be taken for a session's number.
    """
    if name is None:
        return
    if isinstance(name, str) and name.isdecimal():
        raise InvalidSettings(f"name is {name!r}, a number: expected a name with a letter, or '#{name}' for session {name}")
    if not isinstance(name, str) or name != name.strip() or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidSettings(
            f"name is {name!r}, expected a text of 1 to {LONGEST_NAME} characters, such as 'first', or a session's number, "
            "such as '#12'"
        )
