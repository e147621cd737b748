"""A study's versions: what each declares differently from the one before, and what speaks against publishing the newest."""

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evenhand.lab.lab import Lab
from evenhand.model import codec
from evenhand.model.study import Study
from evenhand.model.task import TaskRecord
from evenhand.studies import checklist

# What happens to a version, or is shown beside it.
ASIDE_FIELDS = frozenset(
    {"id", "version", "hash", "published_at", "note", "environment", "created_at", "closed_at", "archived", "task_id"}
)
LONG_CHARACTERS = 60  # characters from which a text is shown line by line
CONTEXT_LINES = 2  # unchanged lines around changed ones


@dataclass(frozen=True)
class VersionDifference:
    """One field that differs; None where it was not there. lines: of a long text, each as sign (+, -, @, space) and text."""

    path: str
    before: str | None
    after: str | None
    lines: tuple[tuple[str, str], ...] = ()


def history(lab: Lab, versions: Sequence[Study]) -> list[tuple[Study, tuple[VersionDifference, ...]]]:
    """Each version with what it declares differently from the one before it, the newest first."""
    pairs = zip([None, *versions[:-1]], versions, strict=True)
    return [(version, differences(lab, before, version)) for before, version in pairs][::-1]


def is_amendment(version: Study) -> bool:
    """Whether a version changes an earlier one, so that its note must say what and why."""
    return version.version > 1


def why_not_publish(lab: Lab, study_id: int, version: int, note: str, read: Collection[str], like: str = "") -> str:
    """Why a version is not to be published, in words; "" where nothing speaks against it.

    read: the checks whose warnings were read. like: the agent to whose environment it is to be pinned, where agents differ.
    """
    newest = lab.studies.versions(study_id)[-1]
    if newest.published_at is not None:
        return f"version {newest.version}, the newest, is published already; add the next one first"
    if newest.version != version:
        return f"version {version} is not the one to publish any more; look at version {newest.version} first"
    checks = checklist.checklist(checklist.facts_of(lab, study_id, like))
    blocking = [check.name for check in checks if check.blocks]
    if blocking:
        return f"not published: {', '.join(blocking)} first"
    unread = [check.name for check in checks if check.warns and check.name not in read]
    if unread:
        return f"not published: say that you have read what is said of {', '.join(unread)}"
    if is_amendment(newest) and not note.strip():
        return "not published: say in the note what was changed, and why"
    return ""


def differences(lab: Lab, before: Study | None, after: Study) -> tuple[VersionDifference, ...]:
    """What a version declares differently from the one before it, field by field; nothing for the first."""
    if before is None:
        return ()
    old, new = _fields(before, lab.studies.task(before.task_id)), _fields(after, lab.studies.task(after.task_id))
    paths = [*old, *(path for path in new if path not in old)]
    return tuple(_difference(path, old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path))


def _fields(study: Study, task: TaskRecord) -> dict[str, str]:
    declared = {name: value for name, value in codec.to_json(study).items() if name not in ASIDE_FIELDS}
    leaves = flat(
        "", {**declared, "task": {"name": task.spec.name, "version": task.version, "settings": dict(task.spec.settings)}}
    )
    return {path.replace(".markdown", ""): text for path, text in leaves.items()}


def flat(path: str, value: Any) -> dict[str, str]:
    """Nested JSON as one text for each leaf, by its path; list items go by their name or value where all have one."""
    if isinstance(value, Mapping):
        pairs = [(str(key), part) for key, part in value.items()]
    elif isinstance(value, list | tuple) and value:
        pairs = list(zip(_names(value), value, strict=True))
    else:
        return (
            {}
            if value in (None, [], ())
            else {path: {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)}
        )
    leaves: dict[str, str] = {}
    for name, item in pairs:
        leaves |= flat(f"{path}.{name}" if path else name, item)
    return leaves


def _names(items: Sequence[Any]) -> list[str]:
    for key in ("name", "value"):
        names = [str(item[key]) for item in items if isinstance(item, Mapping) and item.get(key)]
        if len(set(names)) == len(items):
            return names
    return [str(number) for number in range(1, len(items) + 1)]


def _difference(path: str, before: str | None, after: str | None) -> VersionDifference:
    old, new = before or "", after or ""
    if not any(len(text) > LONG_CHARACTERS or "\n" in text for text in (old, new)):
        return VersionDifference(path, before, after)
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=CONTEXT_LINES))[2:]
    return VersionDifference(path, before, after, tuple((line[0], line[1:] if line[0] != "@" else "") for line in lines))
