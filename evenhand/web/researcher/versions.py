"""The page of a study's versions: what differs from the one before, and the way to publish the newest."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from evenhand.lab.lab import Lab
from evenhand.model.study import Study
from evenhand.model.task import TaskRecord
from evenhand.studies import checklist
from evenhand.studies.versions import history, is_amendment, why_not_publish
from evenhand.tasks import accounts
from evenhand.tasks.accounts import DataAccount
from evenhand.web.access import lab_of
from evenhand.web.flash import said, say
from evenhand.web.pages import render
from evenhand.web.researcher.study import bar

router = APIRouter()


@router.get("/studies/{study_id}/versions")
def versions_page(request: Request, study_id: int) -> Response:
    """Every version, the newest first, and the way to publish the newest."""
    return _page(request, study_id, "", (), "", "")


def _page(request: Request, study_id: int, note: str, read: Sequence[str], like: str, problem: str) -> Response:
    lab = lab_of(request)
    versions = lab.studies.versions(study_id)
    study = lab.studies.get(study_id)
    draft = versions[-1] if versions[-1].published_at is None and not study.archived else None
    facts = checklist.facts_of(lab, study_id, like) if draft else None
    return render(
        request,
        "researcher/versions.html",
        listed=history(lab, versions),
        draft=draft,
        amends=draft is not None and is_amendment(draft) and study.published_at is not None,
        checks=checklist.checklist(facts) if facts else (),
        choosable=checklist.choosable(facts.agents) if facts and facts.study.machines == "alike" else {},
        note=note,
        read=read,
        like=like,
        problem=problem,
        accounts=_accounts(lab, versions[-1]),
        said=said(request),
        status=409 if problem else 200,
        **bar(lab, study),
    )


def _accounts(lab: Lab, study: Study) -> list[tuple[TaskRecord, DataAccount]]:
    """The tasks of a version of a study, and what their data was taken for, where that was printed on this machine."""
    ids = dict.fromkeys([study.task_id, *(arm.task_id for arm in study.arms if arm.task_id is not None)])
    tasks = [lab.studies.task(task_id) for task_id in ids]
    read = [(task, accounts.noted(task.version)) for task in tasks]
    return [(task, account) for task, account in read if account is not None]


@router.post("/studies/{study_id}/publish")
def publish(
    request: Request,
    study_id: int,
    version: Annotated[int, Form()],
    note: Annotated[str, Form()] = "",
    read: Annotated[Sequence[str], Form()] = (),
    like: Annotated[str, Form()] = "",
) -> Response:
    """Publish the version that was shown, if the checklist lets it and every warning was read. like: the agent to pin it to."""
    lab = lab_of(request)
    why = why_not_publish(lab, study_id, version, note, read, like)
    if why:
        return _page(request, study_id, note, read, like, why)
    study = lab.studies.publish(study_id, note.strip(), like)
    return say(request, f"/studies/{study_id}", f"Version {study.version} is live: everybody who joins from now on gets it.")


@router.post("/studies/{study_id}/signins")
def revoke_signins(request: Request, study_id: int) -> Response:
    """Make every sign-in link that nobody used invalid; whoever is signed in stays so."""
    lab_of(request).people.revoke_links()
    return say(
        request, f"/studies/{study_id}/versions", "All unused sign-in links are invalid now; `evenhand signin` makes another."
    )
