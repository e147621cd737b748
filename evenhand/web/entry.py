"""The ways in: the researcher's sign-in link, a participant's invitation and resume code."""

import re
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from evenhand.errors import NotAllowed, NotFound
from evenhand.lab.participants import join_key
from evenhand.model.participant import Batch, Participant
from evenhand.model.study import Study
from evenhand.settings import sign_in_times
from evenhand.web.access import Role, keep_in_cookie, lab_of, sign_out
from evenhand.web.browsers import browser_words
from evenhand.web.pages import LANGUAGE_NAMES, render
from evenhand.web.seats import OLD_PLACE, PLACE, TRIED, home, keeps_cookies, seat, seated, studies_joined, with_cookie_check

router = APIRouter()


def go(address: str) -> RedirectResponse:
    """Send the browser on with a GET, as after every form that changed something."""
    return RedirectResponse(address, 303)


def onwards(request: Request, joined: list[Study]) -> Response:
    """On to the study that this browser takes part in; where it is several, a page to pick from."""
    if len(joined) == 1:
        return go(home(joined[0].id))
    return render(request, "pick_study.html", studies=[(study, home(study.id)) for study in joined], code="", problem="")


SIGN_IN_PAGES = re.compile(r"/(sessions|studies)/[0-9]{1,9}")  # that a link to sign in may lead to


def _page(to: str) -> str:
    """The page that a link to sign in leads to, where it is one that it may; else ""."""
    return to if SIGN_IN_PAGES.fullmatch(to) else ""


@router.get("/signin/{token}")
def sign_in_page(request: Request, token: str, to: str = "") -> Response:
    """A button: nothing changes by opening a link, so that a link preview spends no token. to: the page that it leads to."""
    person, times = lab_of(request).people.invited(token), sign_in_times()
    return render(request, "signin.html", token=token, person=person, times=times, to=_page(to), status=200 if person else 403)


@router.post("/signin/{token}")
def sign_in_researcher(request: Request, token: str, to: str = "") -> Response:
    """Use the link up and sign its person in."""
    made = lab_of(request).people.sign_in(token, browser_words(request.headers.get("user-agent", "")))
    if made is None:
        return render(request, "signin.html", token=token, person=None, times=sign_in_times(), status=403)
    response = go(_page(to) or "/")
    keep_in_cookie(request, response, Role.RESEARCHER, *made)
    return response


@router.post("/signout")
def sign_out_researcher(request: Request) -> Response:
    """End somebody's sign-in on this browser."""
    response = go("/")
    sign_out(request, response)
    return response


def _invited_to(request: Request, token: str) -> tuple[Study, Batch]:
    lab = lab_of(request)
    batch = lab.participants.invited(token)
    return lab.studies.versions(batch.study_id)[-1] if batch.mode == "pilot" else lab.studies.get(batch.study_id), batch


def _invitation(request: Request, token: str, study: Study, batch: Batch, participant: Participant | None) -> Response:
    languages = [(language, LANGUAGE_NAMES.get(language, language)) for language in study.languages]
    common: dict[str, Any] = {"study": study, "batch": batch, "token": token, "languages": languages, "key": join_key()}
    return render(request, "join.html", **common, participant=participant)


def _welcome(request: Request, participant: Participant, code: str) -> Response:
    """The resume code, on a browser that is signed in from now on."""
    study = lab_of(request).studies.get(participant.study_id)
    return seat(request, render(request, "joined.html", study=study, participant=participant, code=code), participant)


def _closed(request: Request, why: str) -> Response:
    """An invitation by which nobody can join now: in words, for whoever opened it."""
    return render(request, "closed.html", why=why, status=403)


def on_to_door(request: Request, study_id: int, door: str) -> Response:
    """Send whoever was invited on to the page to join by, with a cookie to bring back.

    door: the page's address within the study, where the cookie that says who takes part already is sent, too.
    """
    return with_cookie_check(request, go(f"{home(study_id)}{door}?{TRIED}"))


def before_door(request: Request, study_id: int, invitation: str) -> Response | None:
    """What comes before the page to join by: None, where it was asked for within its study by a browser that keeps cookies.

    invitation: the address that leads to that page.
    """
    if keeps_cookies(request) and request.path_params["study_id"] == str(study_id):
        return None
    if TRIED not in request.url.query:
        return go(invitation)
    return render(request, "no_cookies.html", again=invitation, status=403)


@router.get("/join/{token}")
def invitation(request: Request, token: str) -> Response:
    """On to the page to join by. Opening it spends nothing."""
    try:
        study, _ = _invited_to(request, token)
    except NotAllowed as error:
        return _closed(request, str(error))
    return on_to_door(request, study.id, f"/join/{token}")


@router.get(PLACE + "/join/{token}")
def join_page(request: Request, token: str) -> Response:
    """What the study is, and a button to take part. Opening it spends nothing."""
    try:
        study, batch = _invited_to(request, token)
    except NotAllowed as error:
        return _closed(request, str(error))
    if (other := before_door(request, study.id, f"/join/{token}")) is not None:
        return other
    return _invitation(request, token, study, batch, seated(request, study.id))


@router.post("/join/{token}")
@router.post(PLACE + "/join/{token}")
def join(
    request: Request,
    token: str,
    anew: Annotated[str, Form()] = "",
    language: Annotated[str, Form()] = "",
    key: Annotated[str, Form()] = "",
) -> Response:
    """Make a participant, and show the resume code. Whoever takes part already goes on, unless it is somebody else.

    A form that is sent again, since its answer was lost, shows the same participant's code again.
    """
    lab = lab_of(request)
    try:
        if key and (joined := lab.participants.joined_with(key)) is not None:
            return _welcome(request, *joined)
        study, _ = _invited_to(request, token)
        if not anew and seated(request, study.id):
            return go(home(study.id))
        return _welcome(request, *lab.participants.accept(token, language=language, key=key))
    except NotAllowed as error:
        return _closed(request, str(error))


@router.get("/resume")
def resume_page(request: Request) -> Response:
    """A field for the resume code."""
    return render(request, "resume.html", code="", problem="")


@router.post("/resume")
def resume(request: Request, code: Annotated[str, Form()] = "") -> Response:
    """Back to where the participant was, on any browser."""
    try:
        participant = lab_of(request).participants.resume(code)
    except NotFound as error:
        return render(request, "resume.html", code=code, problem=str(error), status=404)
    return seat(request, go(home(participant.study_id)), participant)


@router.get("/p")
@router.get(OLD_PLACE)
@router.post(OLD_PLACE)
def old_link(request: Request, old: str = "") -> Response:
    """From where a participant's page lay to where it lies now; the browser sends a form there again.

    One that is of several studies goes on with the one that was joined last; /p itself lets the person pick.
    """
    joined = studies_joined(request)
    if not joined:
        return go("/resume")
    if not old:
        return onwards(request, joined)
    address = f"{home(joined[0].id)}/{old}" + (f"?{request.url.query}" if request.url.query else "")
    return RedirectResponse(address, 303 if request.method == "GET" else 307)
