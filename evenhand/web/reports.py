"""A study's report in the researcher's pages: the page itself, the PDF, and every figure and table by itself."""

import io
import re
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from evenhand.declaration import MODES, Mode, Study
from evenhand.records import Archive
from evenhand.report import build, document, page
from evenhand.report.blocks import Report
from evenhand.web.access import identity, lab_of

router = APIRouter()

KEPT = 6  # reports that are remembered
ZIP_DATE = (1980, 1, 1, 0, 0, 0)  # the same records give the same bytes


@dataclass
class Made:
    """A report, the records that it is of, and its documents by name and date."""

    archive: Archive
    report: Report
    documents: dict[tuple[str, str], bytes] = field(default_factory=dict)


@dataclass
class Shelf:
    """The reports made last, by study, mode and grouping; one is made at a time, since each takes seconds of a core."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    made: OrderedDict[tuple[int, str, str], Made] = field(default_factory=OrderedDict)


@router.get("/studies/{study_id}/report")
def report_page(request: Request, study_id: int, mode: Mode = "live", by: str = "") -> Response:
    """The report; refused while live participants' scores are still hidden. Each call is a look, which is logged."""
    study, made, today = _made(request, study_id, mode, by)
    lab = lab_of(request)
    modes = {person.mode for person in lab.participants(study_id)} - ({"live"} if study.closed_at is None else set())
    links = _links(study, mode, by, [each for each in MODES if each in modes and each != mode])
    return HTMLResponse(page.html(made.report, today, links), headers={"content-security-policy": page.policy()})


@router.get("/studies/{study_id}/report.pdf")
def report_pdf(request: Request, study_id: int, mode: Mode = "live", by: str = "") -> Response:
    """The report as a document."""
    study, made, today = _made(request, study_id, mode, by)
    return _download(request, made, _name(study, mode, today, "pdf"), lambda: document.pdf(made.report, today))


@router.get("/studies/{study_id}/report.zip")
def report_files(request: Request, study_id: int, mode: Mode = "live", by: str = "") -> Response:
    """Each figure as SVG and PNG, each table as CSV."""
    study, made, today = _made(request, study_id, mode, by)
    return _download(request, made, _name(study, mode, today, "zip"), lambda: _packed(made.report))


def _made(request: Request, study_id: int, mode: Mode, by: str) -> tuple[Study, Made, str]:
    """The report of the records as they are now: made before, or made now."""
    archive = lab_of(request).archive(study_id, mode, identity(request).who)
    shelf, key = _shelf(request), (study_id, mode, by)
    with shelf.lock:
        known = shelf.made.get(key)
        if known is None or known.archive != archive:
            known = Made(archive, build.build(archive, mode, regroup=by or None))
            shelf.made[key] = known
        shelf.made.move_to_end(key)
        while len(shelf.made) > KEPT:
            shelf.made.popitem(last=False)
    return archive.study, known, time.strftime("%Y-%m-%d", time.gmtime())


def _shelf(request: Request) -> Shelf:
    state = request.app.state
    if not hasattr(state, "reports"):
        state.reports = Shelf()
    shelf: Shelf = state.reports
    return shelf


def _links(study: Study, mode: Mode, by: str, modes: Sequence[Mode]) -> tuple[page.Link, ...]:
    """Ways on from the page: back, other files, other modes, other groups."""
    here = f"/studies/{study.id}/report"
    query = f"?mode={mode}" + (f"&by={by}" if by else "")
    others = [page.Link(f"{here}?mode={each}", f"{each} records") for each in modes]
    groups = [page.Link(f"{here}?mode={mode}", "group as planned")] if by else []
    groups += [
        page.Link(f"{here}?mode={mode}&by={name}", f"group by {name}")
        for name in build.groupings(study)
        if name not in (by, study.grouping.by)
    ]
    files = [page.Link(f"{here}.pdf{query}", "PDF"), page.Link(f"{here}.zip{query}", "every figure and table")]
    return (page.Link(f"/studies/{study.id}?mode={mode}", "Back to the study"), *files, *groups, *others)


def _name(study: Study, mode: Mode, today: str, kind: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "-", study.name).strip("-") or "study"
    return f"{plain}-{mode}-{today}.{kind}"


def _download(request: Request, made: Made, name: str, make: Callable[[], bytes]) -> Response:
    key = (name.rpartition(".")[2], name)
    with _shelf(request).lock:
        if key not in made.documents:
            made.documents[key] = make()
    kind = {"pdf": "application/pdf", "zip": "application/zip"}[key[0]]
    return Response(made.documents[key], media_type=kind, headers={"content-disposition": f'attachment; filename="{name}"'})


def _packed(report: Report) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in page.contents(report).items():
            archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()
