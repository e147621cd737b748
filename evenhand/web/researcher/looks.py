"""No GET is a look: who asks for test scores at which they have not looked gets a page that says what a look costs, and asks."""

from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request, Response

from evenhand.model import rules
from evenhand.model.study import Mode
from evenhand.web.access import identity, lab_of
from evenhand.web.entry import go
from evenhand.web.flash import said
from evenhand.web.pages import render
from evenhand.web.researcher import look_costs
from evenhand.web.researcher.study import bar

router = APIRouter()

Then = Literal["report", "report.pdf", "report.zip", "export"]  # what is asked for: the last part of its address
CONFLICT_STATUS = 409  # HTTP: what a program gets in place of a file, so that it keeps no page under the file's name


def asked_first(request: Request, study_id: int, mode: Mode, then: Then) -> Response | None:
    """The page that asks, in place of records with test scores; None where `who` has looked at them all, or may not."""
    lab, who = lab_of(request), identity(request).who
    study = lab.studies.get(study_id)
    if rules.why_scores_hidden(study, mode) is not None or not (unseen := lab.evaluations.unseen(study_id, mode, who)):
        return None
    sessions = [session for session in lab.sessions.of_study(study_id) if session.id in unseen]
    return render(
        request,
        "researcher/look.html",
        status=200 if then == "report" else CONFLICT_STATUS,
        sessions=sessions,
        costs=look_costs.words(lab, study, sessions, who),
        then=then,
        asked={name: request.query_params[name] for name in ("by", "format") if name in request.query_params},
        mode=mode,
        said=said(request),
        **bar(lab, study),
    )


@router.post("/studies/{study_id}/look")
def look(
    request: Request,
    study_id: int,
    then: Annotated[Then, Form()],
    mode: Annotated[Mode, Form()] = "live",
    by: Annotated[str, Form()] = "",
    form: Annotated[str, Form(alias="format")] = "",
) -> Response:
    """Log the look at all test scores of a study's records of a mode, and go on to what was asked for."""
    lab_of(request).evaluations.reveal_all(study_id, mode, identity(request).who)
    asked = {"mode": mode, "by": by, "format": form}
    return go(f"/studies/{study_id}/{then}?{urlencode({name: value for name, value in asked.items() if value})}")
