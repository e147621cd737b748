"""Who may call what: one table of every route, the identities behind cookies and bearer tokens, and CSRF protection.

A route that the table does not name is refused to everyone.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from fastapi import Request, Response
from starlette.concurrency import run_in_threadpool

from evenhand.errors import NotAllowed
from evenhand.lab.base import act_as
from evenhand.lab.lab import Lab
from evenhand.model.person import Person
from evenhand.web.state import held_by

DAY_SECONDS = 86400.0
SAFE_METHODS = frozenset({"GET"})  # the methods that change nothing; the door makes HEAD a GET
IS_HEAD = "evenhand.head"  # key of a request's scope: it is served as GET, but HEAD was asked


class Role(StrEnum):
    """Who calls. Each but `public` and `owner` is also the kind of the token that proves it; an owner is a researcher, too."""

    PUBLIC = "public"
    PARTICIPANT = "participant"
    RESEARCHER = "researcher"
    OWNER = "owner"
    AGENT = "agent"
    METHOD = "method"
    JOIN = "join"


COOKIE_NAMES: Mapping[Role, str] = {
    Role.PARTICIPANT: "evenhand_participant",
    Role.RESEARCHER: "evenhand_researcher",
    Role.OWNER: "evenhand_researcher",
}
PEOPLE = frozenset({Role.RESEARCHER, Role.OWNER})  # roles of those who run the laboratory
MOST_COOKIES = 4  # of one name that are looked at
PARTICIPANT_SECONDS = 180 * DAY_SECONDS  # for which a participant's browser is known

PERMISSIONS: dict[tuple[str, str], Role] = {
    ("GET", "/"): Role.PUBLIC,
    ("GET", "/static"): Role.PUBLIC,
    ("GET", "/signin/{token}"): Role.PUBLIC,
    ("POST", "/signin/{token}"): Role.PUBLIC,
    ("GET", "/join/{token}"): Role.PUBLIC,
    ("POST", "/join/{token}"): Role.PUBLIC,
    ("GET", "/p/{study_id}/join/{token}"): Role.PUBLIC,
    ("POST", "/p/{study_id}/join/{token}"): Role.PUBLIC,
    ("GET", "/class"): Role.PUBLIC,
    ("GET", "/class/{code}"): Role.PUBLIC,
    ("POST", "/class/{code}"): Role.PUBLIC,
    ("GET", "/p/{study_id}/class/{code}"): Role.PUBLIC,
    ("POST", "/p/{study_id}/class/{code}"): Role.PUBLIC,
    ("POST", "/p/{study_id}/class/{code}/back"): Role.PUBLIC,
    ("POST", "/p/{study_id}/class/{code}/renew"): Role.PUBLIC,
    ("GET", "/class/{code}/board"): Role.PUBLIC,
    ("GET", "/class/{code}/events"): Role.PUBLIC,
    ("GET", "/resume"): Role.PUBLIC,
    ("POST", "/resume"): Role.PUBLIC,
    ("GET", "/p"): Role.PUBLIC,
    ("GET", "/p/{old}"): Role.PUBLIC,
    ("POST", "/p/{old}"): Role.PUBLIC,
    # The researcher's pages
    ("POST", "/signout"): Role.RESEARCHER,
    ("GET", "/people"): Role.RESEARCHER,
    ("POST", "/people"): Role.OWNER,
    ("POST", "/people/{person_id}/link"): Role.RESEARCHER,
    ("POST", "/people/{person_id}/name"): Role.RESEARCHER,
    ("POST", "/people/{person_id}/signout"): Role.RESEARCHER,
    ("POST", "/people/{person_id}/role"): Role.OWNER,
    ("POST", "/people/{person_id}/remove"): Role.OWNER,
    ("POST", "/signins/{handle}/revoke"): Role.RESEARCHER,
    ("POST", "/agents/{agent_id}/revoke"): Role.RESEARCHER,
    ("GET", "/runs/rows"): Role.RESEARCHER,
    ("GET", "/runs/events"): Role.RESEARCHER,
    ("POST", "/runs/act"): Role.RESEARCHER,
    ("GET", "/compare"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/understand"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/understand/cards"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/understand/rerun"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/understand"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/understand/cards"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/notes"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/notes"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/take-away"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/take-away/report"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/take-away/file"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/take-away/{part}"): Role.RESEARCHER,
    ("GET", "/methods"): Role.RESEARCHER,
    ("GET", "/methods/{method}"): Role.RESEARCHER,
    ("GET", "/methods/{method}/demonstration"): Role.RESEARCHER,
    ("GET", "/start"): Role.RESEARCHER,
    ("POST", "/start"): Role.RESEARCHER,
    ("POST", "/start/data"): Role.RESEARCHER,
    ("GET", "/start/data/{data_id}"): Role.RESEARCHER,
    ("POST", "/start/data/{data_id}"): Role.RESEARCHER,
    ("GET", "/sessions/{run_id}/tune"): Role.RESEARCHER,
    ("POST", "/sessions/{run_id}/tune/submit"): Role.RESEARCHER,
    ("POST", "/sessions/{run_id}/tune/stop"): Role.RESEARCHER,
    ("GET", "/sessions/{run_id}/tune/trials"): Role.RESEARCHER,
    ("GET", "/sessions/{run_id}/tune/trials/{number}/curve"): Role.RESEARCHER,
    ("GET", "/sessions/{run_id}/tune/events"): Role.RESEARCHER,
    ("GET", "/sessions/{run_id}/tune/final"): Role.RESEARCHER,
    ("POST", "/sessions/{run_id}/tune/final"): Role.RESEARCHER,
    ("GET", "/studies"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/events"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/methods"): Role.RESEARCHER,
    ("POST", "/studies/{study_id}/methods"): Role.RESEARCHER,
    ("POST", "/studies/{study_id}/act"): Role.RESEARCHER,
    ("POST", "/studies/{study_id}/close"): Role.RESEARCHER,
    ("POST", "/studies/{study_id}/reopen"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/invitations"): Role.RESEARCHER,
    ("POST", "/studies/{study_id}/invitations"): Role.RESEARCHER,
    ("GET", "/studies/{class_id}/seats"): Role.RESEARCHER,
    ("POST", "/studies/{class_id}/seats"): Role.RESEARCHER,
    ("POST", "/batches/{batch_id}/switch"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/versions"): Role.RESEARCHER,
    ("POST", "/studies/{study_id}/publish"): Role.RESEARCHER,
    ("POST", "/studies/{study_id}/signins"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/report"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/report.pdf"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/report.zip"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/export"): Role.RESEARCHER,
    ("POST", "/studies/{study_id}/look"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/log"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/log.csv"): Role.RESEARCHER,
    ("GET", "/studies/{study_id}/log.jsonl"): Role.RESEARCHER,
    ("GET", "/participants/{participant_id}"): Role.RESEARCHER,
    ("POST", "/participants/{participant_id}/exclude"): Role.RESEARCHER,
    ("POST", "/participants/{participant_id}/include"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/run/head"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/run/result"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/run/table"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/run/work"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/run/trial"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/run/limits"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/run/beliefs"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/run/turn"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/run/rows"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/run/pinned"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/run/progress"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/run/curves"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/run/events"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/trials/{number}"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/trials/{number}/files/{name}"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/trials/{number}/why"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/curves"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/events"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/trials/{number}/curve"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/trials/{number}/output"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/trials/{number}/stop"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/trials/{number}/stop"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/reveal"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/evaluate"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/end"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/end"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/remove"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/say"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/workbench"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/workbench/events"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/workbench/trial"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/workbench/limits"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/workbench/beliefs"): Role.RESEARCHER,
    ("POST", "/sessions/{session_id}/workbench/turn"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/explore"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/columns"): Role.RESEARCHER,
    ("GET", "/sessions/{session_id}/columns/{place}"): Role.RESEARCHER,
    # The participant's pages
    ("GET", "/p/{study_id}"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/terms"): Role.PARTICIPANT,
    ("POST", "/p/{study_id}/terms"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/questions/{name}"): Role.PARTICIPANT,
    ("POST", "/p/{study_id}/questions/{name}"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/details"): Role.PARTICIPANT,
    ("POST", "/p/{study_id}/practice/start"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/practice"): Role.PARTICIPANT,
    ("POST", "/p/{study_id}/practice"): Role.PARTICIPANT,
    ("POST", "/p/{study_id}/continue"): Role.PARTICIPANT,
    ("POST", "/p/{study_id}/tune/start"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/tune"): Role.PARTICIPANT,
    ("POST", "/p/{study_id}/tune/submit"): Role.PARTICIPANT,
    ("POST", "/p/{study_id}/tune/stop"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/trials"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/trials/{number}/curve"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/events"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/final"): Role.PARTICIPANT,
    ("POST", "/p/{study_id}/final"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/thanks"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/withdraw"): Role.PARTICIPANT,
    ("POST", "/p/{study_id}/withdraw"): Role.PARTICIPANT,
    ("GET", "/p/{study_id}/withdrawn"): Role.PARTICIPANT,
    # Agents and methods
    ("POST", "/api/agent/hello"): Role.AGENT,
    ("POST", "/api/agent/goodbye"): Role.AGENT,
    ("POST", "/api/agent/refusals"): Role.AGENT,
    ("POST", "/api/agent/join"): Role.JOIN,
    ("POST", "/api/agent/code"): Role.AGENT,
    ("POST", "/api/agent/content"): Role.AGENT,
    ("POST", "/api/agent/claim"): Role.AGENT,
    ("POST", "/api/agent/measure"): Role.AGENT,
    ("POST", "/api/agent/jobs/{job_id}/finish"): Role.AGENT,
    ("POST", "/api/agent/jobs/{job_id}/release"): Role.AGENT,
    ("POST", "/api/session/view"): Role.METHOD,
    ("POST", "/api/session/wait"): Role.METHOD,
    ("POST", "/api/session/curve"): Role.METHOD,
    ("POST", "/api/session/start"): Role.METHOD,
    ("POST", "/api/session/submit"): Role.METHOD,
    ("POST", "/api/session/stop"): Role.METHOD,
    ("POST", "/api/session/choose"): Role.METHOD,
}

# GETs that make a whole report or archive, or last: HEAD learns there that it may come in, and nothing runs.
NOT_RUN_BY_HEAD = frozenset(
    path for method, path in PERMISSIONS if method == "GET" and path.endswith(("/events", "/report", ".pdf", ".zip", "/export"))
)


class HeadIsEnough(Exception):
    """HEAD asked for what would be made or sent for long; who may come in has heard enough."""


@dataclass(frozen=True)
class Identity:
    """Somebody whose token was checked. subject: id of the participant, agent, person or (for a method) session.

    person: who it is, of those who run the laboratory.
    """

    role: Role
    subject: int = 0
    token: str = ""
    person: Person | None = None

    @property
    def who(self) -> str:
        """How looks, interventions and trials name them: the same after each sign-in."""
        return self.person.who if self.person else f"{self.role} {self.subject}"

    @property
    def csrf_token(self) -> str:
        """What a form of this identity's pages has to send back; it says nothing about the cookie's token."""
        return hmac.new(self.token.encode(), b"csrf", hashlib.sha256).hexdigest() if self.token else ""


NOBODY = Identity(Role.PUBLIC)


def lab_of(request: Request) -> Lab:
    """The lab that this app serves."""
    return held_by(request.app).lab


def identity(request: Request) -> Identity:
    """Who calls, as `guard` found it for this route's role."""
    caller: Identity = getattr(request.state, "identity", NOBODY)
    return caller


def caller_of(request: Request) -> Person:
    """Who of those who run the laboratory calls; of routes that are theirs."""
    person = identity(request).person
    assert person is not None
    return person


def signed_in(request: Request, role: Role) -> Identity | None:
    """The identity of `role` that the request's cookie or bearer token proves; None where it proves none."""
    return _person(request, role) if role in PEOPLE else _proved(request, role, lab_of(request).tokens.check)


def _recalled(request: Request, role: Role) -> Identity | None:
    """What `signed_in` found a moment ago of a program, without a look at the database."""
    return None if role in PEOPLE else _proved(request, role, lab_of(request).tokens.recall)


def _person(request: Request, role: Role) -> Identity | None:
    """Who is signed in by the first valid token of the request, where they have the role."""
    for token in _presented(request, role):
        person = lab_of(request).people.signed_in(token)
        if person is not None and (role is Role.RESEARCHER or person.is_owner):
            return Identity(role, person.id, token, person)
    return None


def _proved(request: Request, role: Role, subject_of: Callable[[Any, str], int | None]) -> Identity | None:
    """The identity of `role` that the first valid token of the request proves."""
    for token in _presented(request, role):
        if (subject := subject_of(_kind(role), token)) is not None:
            return Identity(role, subject, token)
    return None


def stays_signed_in(request: Request) -> Callable[[], Awaitable[bool]]:
    """Whether the sign-in that a request came with is still valid, for a stream that outlasts the request.

    One that this process revokes is refused at once, one that another process does within a second.
    """
    people, token = lab_of(request).people, identity(request).token

    async def stays() -> bool:
        return people.recalled(token) or await run_in_threadpool(people.stays_signed_in, token)

    return stays


def _presented(request: Request, role: Role) -> list[str]:
    """The tokens that come with a request: of cookies there may be several of one name, each of another path."""
    if role in COOKIE_NAMES:
        pairs = (part.strip().partition("=") for header in request.headers.getlist("cookie") for part in header.split(";"))
        return list(dict.fromkeys(value for name, _, value in pairs if name == COOKIE_NAMES[role] and value))[:MOST_COOKIES]
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return [token.strip()] if scheme.lower() == "bearer" else []


def _kind(role: Role) -> Any:
    return role.value


async def guard(request: Request) -> None:
    """Every route's first dependency: refuse who may not call it, and a form that did not come from our own page."""
    template = getattr(request.scope.get("route"), "path_format", "")
    method = request.method
    role = PERMISSIONS.get((method, template))
    if role is None:
        raise NotAllowed(f"{method} {template} is not in the table of permissions, so nobody may call it")
    if method not in SAFE_METHODS:
        check_origin(request)
    if role is not Role.PUBLIC:
        await _check_identity(request, role)
    if IS_HEAD in request.scope and template in NOT_RUN_BY_HEAD:
        raise HeadIsEnough


async def _check_identity(request: Request, role: Role) -> None:
    """NotAllowed where the caller is none of this role; else the request holds who it is."""
    caller = _recalled(request, role) or await run_in_threadpool(signed_in, request, role)
    if caller is None:
        raise NotAllowed(how_to_get_in(role))
    request.state.identity = caller
    if request.method not in SAFE_METHODS:
        if role in COOKIE_NAMES:
            await _check_csrf(request, caller)
        act_as(caller.person)


def check_origin(request: Request) -> None:
    """Refuse a request that a page of another site made; programs send neither header."""
    origin = request.headers.get("origin")
    ours = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if not ours or request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise NotAllowed(f"this form was sent from {origin or 'another site'}; open Evenhand's own page and send it from there")


async def _check_csrf(request: Request, caller: Identity) -> None:
    given: Any = request.headers.get("x-csrf-token")
    form = ("application/x-www-form-urlencoded", "multipart/form-data")
    if given is None and request.headers.get("content-type", "").startswith(form):
        given = (await request.form()).get("csrf_token")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), caller.csrf_token.encode()):
        raise NotAllowed("this form is out of date (you signed in again since it was opened); reload the page and send it again")


def how_to_get_in(role: Role) -> str:
    """What whoever is refused a page of this role has to do."""
    return {
        Role.RESEARCHER: "this page is for researchers: run `evenhand signin` on the lab's machine, or ask an owner, for a link",
        Role.OWNER: "this is for the laboratory's owners: sign in as one, or ask one to do it",
        Role.PARTICIPANT: "this page is for participants of this study: open your invitation, or resume with your code. If you "
        "just did, this browser keeps no cookies of this site: allow them, and do it again",
        Role.AGENT: "this call needs an agent's token as a bearer token; `evenhand agent --help` says how to get one",
        Role.METHOD: "this call needs the session's token as a bearer token",
        Role.JOIN: "this call needs the token that `evenhand tune --serve` prints; it is another one each time",
        Role.PUBLIC: "",
    }[role]


def sign_in(request: Request, response: Response, participant_id: int, path: str) -> None:
    """Let the response's browser be a participant's from now on, on the pages under `path`."""
    token = lab_of(request).tokens.issue("participant", participant_id, PARTICIPANT_SECONDS)
    keep_in_cookie(request, response, Role.PARTICIPANT, token, PARTICIPANT_SECONDS, path)


def keep_in_cookie(request: Request, response: Response, role: Role, token: str, seconds: float, path: str = "") -> None:
    """Put a token of `role` into the response's cookie, which lasts as long as the token. path: as of `set_cookie`."""
    set_cookie(request, response, COOKIE_NAMES[role], token, seconds, path)


def set_cookie(request: Request, response: Response, name: str, value: str, seconds: float | None = None, path: str = "") -> None:
    """Put a cookie into a response, for our pages under `path`. seconds: how long it is kept; None: until the browser ends."""
    response.set_cookie(
        name,
        value,
        max_age=None if seconds is None else int(seconds),
        path=_cookie_path(request, path),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def sign_out(request: Request, response: Response) -> None:
    """End each sign-in of the request's cookies, and drop the cookie of our path."""
    for token in _presented(request, Role.RESEARCHER):
        lab_of(request).people.sign_out(token)
    response.delete_cookie(COOKIE_NAMES[Role.RESEARCHER], path=_cookie_path(request), httponly=True, samesite="lax")


def _cookie_path(request: Request, path: str = "") -> str:
    """Of our pages only, where others lie on the same server."""
    return f"{held_by(request.app).public.prefix}{path}" or "/"
