"""Who runs the laboratory, and every way in: the links that wait, the browsers that are signed in, the agents' tokens."""

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from evenhand.errors import InvalidSettings, Refused
from evenhand.lab.lab import Lab
from evenhand.model.person import ROLES, Person
from evenhand.settings import sign_in_times
from evenhand.web.access import caller_of, identity, lab_of, sign_out
from evenhand.web.entry import go
from evenhand.web.flash import said, say
from evenhand.web.pages import render
from evenhand.web.state import base_address

router = APIRouter()


@router.get("/people")
def people_page(request: Request) -> Response:
    """For an owner everybody; for others themselves, and what they made."""
    return _page(request)


def _page(
    request: Request, *, link: str = "", link_for: Person | None = None, problem: str = "", typed: Mapping[str, str] | None = None
) -> Response:
    """link: a new one that is shown by this answer only. problem: why what was typed could not be done."""
    lab, caller = lab_of(request), caller_of(request)
    people, agents = lab.people.everybody(), lab.people.agents()
    if not caller.is_owner:
        people = [person for person in people if person.id == caller.id]
        agents = [agent for agent in agents if agent.made_by == caller.who]
    return render(
        request,
        "researcher/people.html",
        people=[person for person in people if person.removed_at is None],
        removed=[person for person in people if person.removed_at is not None],
        names={person.id: person.name for person in people},
        ways=lab.people.ways_in(None if caller.is_owner else caller.id),
        agents=agents,
        here=lab.people.handle_of(identity(request).token),
        roles=ROLES,
        times=sign_in_times(),
        now=lab.clock(),
        link=link,
        link_for=link_for,
        problem=problem,
        typed={"name": "", "role": "researcher", **(typed or {})},
        said=said(request),
        status=409 if problem else 200,
    )


@router.post("/people")
def add(request: Request, name: Annotated[str, Form()] = "", role: Annotated[str, Form()] = "researcher") -> Response:
    """Somebody new, and the link by which they sign in, which is shown by this answer only."""
    lab, caller = lab_of(request), caller_of(request)
    try:
        person = lab.people.add(name, role, by=caller)  # type: ignore[arg-type]  # any other role is refused there
    except (InvalidSettings, Refused) as error:
        return _page(request, problem=str(error), typed={"name": name, "role": role})
    return _link(request, lab, person)


@router.post("/people/{person_id}/link")
def make_link(request: Request, person_id: int) -> Response:
    """Another link for somebody, as for a second browser."""
    lab = lab_of(request)
    return _link(request, lab, lab.people.get(person_id))


def _link(request: Request, lab: Lab, person: Person) -> Response:
    token = lab.people.link(person.id, by=caller_of(request))
    return _page(request, link=f"{base_address(request)}/signin/{token}", link_for=person)


@router.post("/people/{person_id}/name")
def rename(request: Request, person_id: int, name: Annotated[str, Form()] = "") -> Response:
    """Another name, in the record, too."""
    try:
        person = lab_of(request).people.rename(person_id, name, by=caller_of(request))
    except (InvalidSettings, Refused) as error:
        return _page(request, problem=str(error))
    return say(request, "/people", f"{person.name} is the name from now on, for what was done before, too.")


@router.post("/people/{person_id}/role")
def set_role(request: Request, person_id: int, role: Annotated[str, Form()] = "") -> Response:
    """Make somebody an owner, or a researcher again."""
    try:
        person = lab_of(request).people.set_role(person_id, role, by=caller_of(request))  # type: ignore[arg-type]  # as above
    except Refused as error:
        return _page(request, problem=str(error))
    return say(request, "/people", f"{person.name} is {'an owner' if person.is_owner else 'a researcher'} now.")


@router.post("/people/{person_id}/remove")
def remove(request: Request, person_id: int) -> Response:
    """Let somebody in no more; their name stays in the record."""
    caller = caller_of(request)
    try:
        person = lab_of(request).people.remove(person_id, by=caller)
    except Refused as error:
        return _page(request, problem=str(error))
    if person.id == caller.id:
        return go("/")
    return say(request, "/people", f"{person.name} is removed, and signed out everywhere. What they did keeps their name.")


@router.post("/people/{person_id}/signout")
def sign_out_everywhere(request: Request, person_id: int) -> Response:
    """End all of somebody's sign-ins, and make their links invalid."""
    lab, caller = lab_of(request), caller_of(request)
    lab.people.sign_out_everywhere(person_id, by=caller)
    if person_id == caller.id:
        response = go("/")
        sign_out(request, response)
        return response
    return say(request, "/people", f"{lab.people.get(person_id).name} is signed out everywhere.")


@router.post("/signins/{handle}/revoke")
def revoke(request: Request, handle: str) -> Response:
    """End one sign-in, or make one link invalid."""
    lab = lab_of(request)
    way = lab.people.revoke(handle, by=caller_of(request))
    name = lab.people.get(way.person_id).name
    return say(
        request, "/people", f"The link for {name} is invalid now." if way.is_link else f"{name} is signed out of {way.browser}."
    )


@router.post("/agents/{agent_id}/revoke")
def revoke_agent(request: Request, agent_id: int) -> Response:
    """Let an agent in no more."""
    agent = lab_of(request).people.revoke_agent(agent_id, by=caller_of(request))
    return say(request, "/people", f"Agent {agent.name} is let in no more; what it trains goes back to the queue.")
