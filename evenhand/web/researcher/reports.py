"""A study's report in the researcher's pages: the page itself, the PDF, and every figure and table by itself."""

import io
import re
import time
import zipfile
from collections.abc import Callable, Sequence

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from evenhand.analysis.cohort import groupings
from evenhand.model.study import MODES, Mode, Study
from evenhand.report import document, page
from evenhand.report import study as study_report
from evenhand.report.blocks import Report
from evenhand.web.access import identity, lab_of
from evenhand.web.researcher.looks import asked_first
from evenhand.web.shelf import Made
from evenhand.web.state import held_by

router = APIRouter()

ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the same records give the same bytes


@router.get("/studies/{study_id}/report")
def report_page(request: Request, study_id: int, mode: Mode = "live", by: str = "") -> Response:
    """The report; refused while live participants' scores are still hidden. Where it is a look, that is asked for first."""
    if (asked := asked_first(request, study_id, mode, "report")) is not None:
        return asked
    study, made, today = _made(request, study_id, mode, by)
    lab = lab_of(request)
    modes = {person.mode for person in lab.participants.of_study(study_id)} - ({"live"} if study.closed_at is None else set())
    others = [other_mode for other_mode in MODES if other_mode in modes and other_mode != mode]
    links = _links(held_by(request.app).public.prefix, study, mode, by, others)
    return HTMLResponse(page.html(made.report, today, links), headers={"content-security-policy": page.policy()})


@router.get("/studies/{study_id}/report.pdf")
def report_pdf(request: Request, study_id: int, mode: Mode = "live", by: str = "") -> Response:
    """The report as a document."""
    document.check()
    if (asked := asked_first(request, study_id, mode, "report.pdf")) is not None:
        return asked
    study, made, today = _made(request, study_id, mode, by)
    return _download(request, made, _name(study, mode, today, "pdf"), lambda: document.pdf(made.report, today))


@router.get("/studies/{study_id}/report.zip")
def report_files(request: Request, study_id: int, mode: Mode = "live", by: str = "") -> Response:
    """Each figure as SVG and PNG, each table as CSV."""
    if (asked := asked_first(request, study_id, mode, "report.zip")) is not None:
        return asked
    study, made, today = _made(request, study_id, mode, by)
    return _download(request, made, _name(study, mode, today, "zip"), lambda: _packed(made.report))


def _made(request: Request, study_id: int, mode: Mode, by: str) -> tuple[Study, Made, str]:
    """The report of the records as they are now: made before, or made now."""
    page.check()
    archive = lab_of(request).studies.archive(study_id, mode, identity(request).who, looked=True)
    shelf = held_by(request.app).shelf
    made = shelf.report((study_id, mode, by), archive, lambda: study_report.build(archive, mode, regroup=by or None))
    return archive.study, made, time.strftime("%Y-%m-%d", time.gmtime())


def _links(root: str, study: Study, mode: Mode, by: str, modes: Sequence[Mode]) -> tuple[page.PageLink, ...]:
    """Ways on from the page: back, other files, other modes, other groups."""
    front = f"{root}/studies/{study.id}"
    here = f"{front}/report"
    query = f"?mode={mode}" + (f"&by={by}" if by else "")
    others = [page.PageLink(f"{here}?mode={other_mode}", f"{other_mode} records") for other_mode in modes]
    groups = [page.PageLink(f"{here}?mode={mode}", "group as planned")] if by else []
    groups += [
        page.PageLink(f"{here}?mode={mode}&by={name}", f"group by {name}")
        for name in groupings(study)
        if name not in (by, study.grouping.by)
    ]
    files = [page.PageLink(f"{here}.pdf{query}", "PDF"), page.PageLink(f"{here}.zip{query}", "every figure and table")]
    return (page.PageLink(f"{front}?mode={mode}", "Back to the study"), *files, *groups, *others)


def _name(study: Study, mode: Mode, today: str, kind: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "-", study.name).strip("-") or "study"
    return f"{plain}-{mode}-{today}.{kind}"


def _download(request: Request, made: Made, name: str, make: Callable[[], bytes]) -> Response:
    content = held_by(request.app).shelf.document(made, name, make)
    kind = {"pdf": "application/pdf", "zip": "application/zip"}[name.rpartition(".")[2]]
    return Response(content, media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


def _packed(report: Report) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in page.contents(report).items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
