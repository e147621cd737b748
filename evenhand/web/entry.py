"""The ways in: the start page, the researcher's sign-in link, a participant's invitation and resume code."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from evenhand.declaration import Study
from evenhand.errors import NotFound
from evenhand.web.access import Role, lab_of, sign_in, sign_out, signed_in
from evenhand.web.pages import render

router = APIRouter()


def go(address: str) -> RedirectResponse:
    """Send the browser on with a GET, as after every form that changed something."""
    return RedirectResponse(address, 303)


@router.get("/")
def start(request: Request) -> Response:
    """The study for a researcher, the next step for a participant, a welcome for anybody else."""
    if signed_in(request, Role.RESEARCHER):
        studies = lab_of(request).studies()
        return go(f"/studies/{studies[0].id}") if studies else render(request, "researcher/no_study.html")
    if signed_in(request, Role.PARTICIPANT):
        return go("/p")
    return render(request, "welcome.html", code="", problem="")


@router.get("/signin/{token}")
def sign_in_page(request: Request, token: str) -> Response:
    """A button: nothing changes by opening a link, so that a link preview spends no token."""
    valid = lab_of(request).check_token("signin", token) is not None
    return render(request, "signin.html", token=token, valid=valid, status=200 if valid else 403)


@router.post("/signin/{token}")
def sign_in_researcher(request: Request, token: str) -> Response:
    """Spend the link's token and sign the researcher in."""
    lab = lab_of(request)
    subject = lab.check_token("signin", token)
    if subject is None or not lab.spend_token("signin", token):
        return render(request, "signin.html", token=token, valid=False, status=403)
    response = go("/")
    sign_in(request, response, Role.RESEARCHER, subject)
    return response


@router.post("/signout")
def sign_out_researcher(request: Request) -> Response:
    """End the researcher's sign-in on this browser."""
    response = go("/")
    sign_out(request, response, Role.RESEARCHER)
    return response


def _invited_to(request: Request, token: str) -> Study:
    return lab_of(request).study(lab_of(request).invited(token).study_id)


@router.get("/join/{token}")
def join_page(request: Request, token: str) -> Response:
    """What the study is, and a button to take part."""
    study = _invited_to(request, token)
    known = signed_in(request, Role.PARTICIPANT)
    participant = lab_of(request).participant(known.subject) if known else None
    return render(request, "join.html", study=study, participant=participant, token=token, code="")


@router.post("/join/{token}")
def join(request: Request, token: str, anew: Annotated[str, Form()] = "") -> Response:
    """Make a participant, and show the resume code, once. Whoever takes part already goes on, unless it is somebody else."""
    study = _invited_to(request, token)
    lab = lab_of(request)
    known = signed_in(request, Role.PARTICIPANT)
    if known and not anew and lab.participant(known.subject).study_id == study.id:
        return go("/p")
    participant, code = lab.accept(token)
    response = render(request, "join.html", study=study, participant=participant, token=token, code=code)
    sign_in(request, response, Role.PARTICIPANT, participant.id)
    return response


@router.get("/resume")
def resume_page(request: Request) -> Response:
    """A field for the resume code."""
    return render(request, "resume.html", code="", problem="")


@router.post("/resume")
def resume(request: Request, code: Annotated[str, Form()] = "") -> Response:
    """Back to where the participant was, on any browser."""
    try:
        participant = lab_of(request).resume(code)
    except NotFound as error:
        return render(request, "resume.html", code=code, problem=str(error), status=404)
    response = go("/p")
    sign_in(request, response, Role.PARTICIPANT, participant.id)
    return response
