"""Taking a run's result away: its configuration in every format, its files, its report, and what a paper needs."""

import time
from collections.abc import Callable, Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse, HTMLResponse

from evenhand.errors import InvalidSettings, NotFound, PackageMissing, Refused
from evenhand.exchange import take_away
from evenhand.exchange.trial_files import MOST_FILES, file_called, files_of
from evenhand.lab.lab import Lab
from evenhand.model.choices import role_of, taken_trial
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.model.typed_numbers import whole_number
from evenhand.report import page, run_records
from evenhand.report import run as run_report
from evenhand.report.latex_row import latex_row
from evenhand.report.methods_text import methods_text
from evenhand.report.run_records import RunRecords
from evenhand.web.access import identity, lab_of
from evenhand.web.pages import render
from evenhand.web.state import held_by

router = APIRouter()

METHODS_MEDIA: Mapping[str, str] = {
    "latex": "application/x-tex",
    "methods.txt": "text/plain",
    "methods.json": "application/json",
    "methods.tex": "application/x-tex",
    "methods.bib": "application/x-bibtex",
}


@router.get("/sessions/{session_id}/take-away")
def take_away_page(request: Request, session_id: int, trial: str = "") -> Response:
    """All that can be taken away of a run, of the chosen trial, the best, or the one that is named."""
    lab = lab_of(request)
    records = _records(request, lab, session_id)
    session, taken, problem = records.session, None, ""
    try:
        taken = taken_trial(session, _number(trial))
    except Refused as error:
        problem = str(error)
    files = () if taken is None else files_of(session, taken)
    return render(
        request,
        "runs/take_away.html",
        session=session,
        trial=taken,
        problem=problem,
        role="" if taken is None else role_of(session, taken),
        test=records.test,
        hides_test=records.evaluation is None and session.evaluated.planned > 0,
        texts=() if taken is None else take_away.texts(session, taken, records.test),
        row="" if taken is None else latex_row(records, taken),
        methods=methods_text(records),
        files=files,
        most_files=MOST_FILES,
        why_no_report=_why_no_report(),
        here="Runs",
    )


@router.get("/sessions/{session_id}/take-away/report")
def run_report_page(request: Request, session_id: int) -> Response:
    """The run's report: one file of HTML that needs nothing else."""
    page.check()
    lab = lab_of(request)
    records = _records(request, lab, session_id)
    session = records.session
    report = run_report.build(records, run_report.drawn_curves(lab, session), run_records.names_in(lab, records))
    back = page.PageLink(
        f"{held_by(request.app).public.prefix}/sessions/{session_id}/take-away", "Back to what can be taken away"
    )
    is_file = request.query_params.get("download") == "yes"
    text = page.html(report, time.strftime("%Y-%m-%d", time.gmtime()), () if is_file else (back,))
    headers = {"content-security-policy": page.policy()}
    if is_file:
        headers |= _as_file(take_away.run_file_name(session, "-report.html"))
    return HTMLResponse(text, headers=headers)


@router.get("/sessions/{session_id}/take-away/file")
def trial_file(request: Request, session_id: int, name: str = "", trial: str = "") -> Response:
    """One file that a trial left on this machine."""
    session = _own(lab_of(request), session_id)
    file = file_called(session, taken_trial(session, _number(trial)), name)
    return FileResponse(file.path, media_type="application/octet-stream", filename=file.path.name)


@router.get("/sessions/{session_id}/take-away/{part}")
def take_away_part(request: Request, session_id: int, part: str, trial: str = "") -> Response:
    """A configuration in one format, or what a paper needs, as a file."""
    records = _records(request, lab_of(request), session_id)
    session = records.session
    if part in METHODS_MEDIA:
        content, name = _for_paper(records, part, lambda: taken_trial(session, _number(trial)))
        return Response(content, media_type=METHODS_MEDIA[part], headers=_as_file(name))
    if part not in take_away.FACTS:
        known = ", ".join((*take_away.FACTS, *METHODS_MEDIA))
        raise NotFound(f"session {session_id}: nothing called {part!r} can be taken away; expected one of {known}")
    taken = taken_trial(session, _number(trial))
    text = next((text for text in take_away.texts(session, taken, records.test) if text.form == part), None)
    if text is None:
        raise InvalidSettings(f"trial {taken.number}: {part} cannot hold one of its values; take another format, such as json")
    return Response(text.content, media_type=text.facts.media_type, headers=_as_file(text.name))


def _for_paper(records: RunRecords, part: str, trial: Callable[[], Trial]) -> tuple[str, str]:
    """A file for a paper, and its name."""
    if part == "latex":
        return f"{latex_row(records, trial())}\n", take_away.run_file_name(records.session, "-row.tex")
    methods = methods_text(records)
    contents: dict[str, Callable[[], str]] = {
        "methods.txt": lambda: f"{methods}\n",
        "methods.json": lambda: f"{methods.json()}\n",
        "methods.tex": methods.latex,
        "methods.bib": lambda: f"{methods.bibtex}\n",
    }
    return contents[part](), take_away.run_file_name(records.session, f"-{part}")


def _records(request: Request, lab: Lab, session_id: int) -> RunRecords:
    """What is known of a run; its test score only where whoever asks has looked at it."""
    return run_records.read(lab, _own(lab, session_id), (identity(request).who,))


def _own(lab: Lab, session_id: int) -> Session:
    """An exploratory session; Refused where it is a study's, whose records leave by its report and its export."""
    session = lab.sessions.get(session_id)
    if session.purpose != "exploratory":
        raise Refused(f"session {session_id} belongs to a study: its results are taken away by the study's report and its export")
    return session


def _number(typed: str) -> int | None:
    """The trial that the address names; None where it names none."""
    if not typed.strip():
        return None
    number = whole_number(typed.strip())
    if number is None:
        raise InvalidSettings(f"trial {typed!r}: expected a trial's number, such as 12")
    return number


def _why_no_report() -> str:
    try:
        page.check()
    except PackageMissing as error:
        return str(error)
    return ""


def _as_file(name: str) -> dict[str, Any]:
    return {"content-disposition": f'attachment; filename="{name}"'}
