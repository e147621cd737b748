"""A study's records as a download: the archive that `evenhand study export` writes, sent while it is made."""

import re
import time
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from evenhand.exchange.export import Export, zipped
from evenhand.model import rules
from evenhand.model.study import Mode
from evenhand.web.access import identity, lab_of
from evenhand.web.researcher.looks import asked_first

router = APIRouter()


@router.get("/studies/{study_id}/export")
def export(
    request: Request,
    study_id: int,
    mode: Mode = "live",
    form: Annotated[str, Query(alias="format")] = "csv",
    evaluations: bool | None = None,
) -> Response:
    """A zip of a mode's records. evaluations: whether test scores are in it; where it is not said, they are if they may be
    looked at now. Where that is a look, it is asked for first."""
    lab = lab_of(request)
    study = lab.studies.get(study_id)
    scores = rules.why_scores_hidden(study, mode) is None if evaluations is None else evaluations
    if scores and (page := asked_first(request, study_id, mode, "export")) is not None:
        return page
    made = Export(lab, study_id, mode, who=identity(request).who, form=form, evaluations=scores, looked=True)
    plain = re.sub(r"[^A-Za-z0-9]+", "-", study.name).strip("-") or "study"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    kind = "-for-spreadsheets" if form == "spreadsheet" else ""
    name = f"{plain}-{mode}{kind}{'' if scores else '-without-evaluations'}-{today}.zip"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(zipped(made.files()), media_type="application/zip", headers=headers)
