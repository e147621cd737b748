"""A study's versions: what each declares, what differs from the one before, and going live behind the checklist."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from evenhand import golive, wire
from evenhand.declaration import Study
from evenhand.lab import Lab
from evenhand.records import TaskRecord
from evenhand.web.access import lab_of
from evenhand.web.flash import said, say
from evenhand.web.pages import render
from evenhand.web.researcher import bar

router = APIRouter()

# What happens to a version, or is shown beside it.
ASIDE = frozenset({"id", "version", "hash", "published_at", "note", "created_at", "closed_at", "archived", "task_id"})
LONG = 60  # characters from which a text is shown line by line
CONTEXT = 2  # unchanged lines around changed ones


@dataclass(frozen=True)
class Difference:
    """One field that differs; None where it was not there. lines: of a long text, each as sign (+, -, @, space) and text."""

    path: str
    before: str | None
    after: str | None
    lines: tuple[tuple[str, str], ...] = ()


@router.get("/studies/{study_id}/versions")
def versions_page(request: Request, study_id: int) -> Response:
    """Every version, the newest first, and the way to publish the newest."""
    return _page(request, study_id, "", (), "")


def _page(request: Request, study_id: int, note: str, read: Sequence[str], problem: str) -> Response:
    lab = lab_of(request)
    versions = lab.versions(study_id)
    study = lab.study(study_id)
    draft = versions[-1] if versions[-1].published_at is None else None
    return render(
        request,
        "researcher/versions.html",
        listed=[(each, differences(lab, before, each)) for before, each in _pairs(versions)],
        draft=draft,
        amends=draft is not None and draft.version > 1 and study.published_at is not None,
        checks=golive.checklist(golive.facts_of(lab, study_id)) if draft and not study.archived else (),
        note=note,
        read=read,
        problem=problem,
        said=said(request),
        status=409 if problem else 200,
        **bar(lab, study),
    )


def _pairs(versions: Sequence[Study]) -> list[tuple[Study | None, Study]]:
    """Each version after the one before it, the newest first."""
    return list(zip([None, *versions[:-1]], versions, strict=True))[::-1]


@router.post("/studies/{study_id}/publish")
def publish(
    request: Request,
    study_id: int,
    version: Annotated[int, Form()],
    note: Annotated[str, Form()] = "",
    read: Annotated[Sequence[str], Form()] = (),
) -> Response:
    """Publish the version that was shown, if the checklist lets it and every warning was read."""
    lab = lab_of(request)
    why = _why_not(lab, study_id, version, note, read)
    if why:
        return _page(request, study_id, note, read, why)
    study = lab.publish(study_id, note.strip())
    return say(request, f"/studies/{study_id}", f"Version {study.version} is live: everybody who joins from now on gets it.")


def _why_not(lab: Lab, study_id: int, version: int, note: str, read: Sequence[str]) -> str:
    newest = lab.versions(study_id)[-1]
    if newest.version != version or newest.published_at is not None:
        return f"version {version} is not the one to publish any more; look at version {newest.version} first"
    checks = golive.checklist(golive.facts_of(lab, study_id))
    blocking = [each.name for each in checks if each.blocks]
    if blocking:
        return f"not published: {', '.join(blocking)} first"
    unread = [each.name for each in checks if each.warns and each.name not in read]
    if unread:
        return f"not published: say that you have read what is said of {', '.join(unread)}"
    if version > 1 and not note.strip():
        return "not published: say in the note what was changed, and why"
    return ""


@router.post("/studies/{study_id}/signins")
def revoke_signins(request: Request, study_id: int) -> Response:
    """Make every sign-in link that nobody used invalid; whoever is signed in stays so."""
    lab_of(request).revoke_tokens("signin")
    return say(
        request, f"/studies/{study_id}/versions", "All unused sign-in links are invalid now; `evenhand signin` makes another."
    )


def differences(lab: Lab, before: Study | None, after: Study) -> tuple[Difference, ...]:
    """What a version declares differently from the one before it, field by field; nothing for the first."""
    if before is None:
        return ()
    old, new = _fields(before, lab.task(before.task_id)), _fields(after, lab.task(after.task_id))
    paths = [*old, *(path for path in new if path not in old)]
    return tuple(_difference(path, old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path))


def _fields(study: Study, task: TaskRecord) -> dict[str, str]:
    declared = {name: value for name, value in wire.to_json(study).items() if name not in ASIDE}
    found = flat(
        "", {**declared, "task": {"name": task.spec.name, "version": task.version, "settings": dict(task.spec.settings)}}
    )
    return {path.replace(".markdown", ""): text for path, text in found.items()}


def flat(path: str, value: Any) -> dict[str, str]:
    """Nested JSON as one text for each leaf, by its path; list items go by their name or value where all have one."""
    if isinstance(value, Mapping):
        pairs = [(str(key), each) for key, each in value.items()]
    elif isinstance(value, list) and value:
        pairs = list(zip(_names(value), value, strict=True))
    else:
        return (
            {}
            if value is None or value == []
            else {path: {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)}
        )
    found: dict[str, str] = {}
    for name, each in pairs:
        found |= flat(f"{path}.{name}" if path else name, each)
    return found


def _names(items: Sequence[Any]) -> list[str]:
    for key in ("name", "value"):
        names = [str(each[key]) for each in items if isinstance(each, Mapping) and each.get(key)]
        if len(set(names)) == len(items):
            return names
    return [str(number) for number in range(1, len(items) + 1)]


def _difference(path: str, before: str | None, after: str | None) -> Difference:
    old, new = before or "", after or ""
    if not any(len(text) > LONG or "\n" in text for text in (old, new)):
        return Difference(path, before, after)
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=CONTEXT))[2:]
    return Difference(path, before, after, tuple((line[0], line[1:] if line[0] != "@" else "") for line in lines))
