"""The numbers of a run's charts, as columns: the best so far, and the curves of a stated selection of its trials."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse

from evenhand.analysis.trial_table import curve_step
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.web.access import lab_of
from evenhand.web.runs.own import own_head, own_run

router = APIRouter()

MOST_CURVES = 256  # of the sample
MOST_AT_ONCE = 300  # curves of one answer
MOST_POINTS = 200  # of one curve, about
MOST_DOTS = 2000  # values beside the best so far
DIGITS = 6  # significant ones of a drawn value
KEPT_SECONDS = 86400  # for which a browser keeps curves of trials that have ended


@router.get("/sessions/{session_id}/run/progress")
def progress(request: Request, session_id: int) -> Response:
    """The best so far and the trials' values: each new best, and every so manieth value, as columns."""
    lab, head = lab_of(request), own_head(request, session_id)
    every = curve_step(head.trials, MOST_DOTS)
    dots = lab.trials.values(head.session, every)
    content = {
        "trials": head.trials,
        "every": every,
        "gains": {
            "numbers": [gain.number for gain in head.gains],
            "values": [_rounded(gain.value) for gain in head.gains],
        },
        "dots": {"numbers": [number for number, _ in dots], "values": [_rounded(value) for _, value in dots]},
        "sample": curve_step(head.trials, MOST_CURVES),
        "best": head.gains[-1].number if head.best is None and head.gains else head.best.number if head.best else None,
        "chosen": None if head.chosen is None else head.chosen.number,
        "newest": head.newest_number,
    }
    return JSONResponse(content)


@router.get("/sessions/{session_id}/run/curves")
def curves(
    request: Request,
    session_id: int,
    first: Annotated[int, Query(ge=1)] = 1,
    last: Annotated[int, Query(ge=0)] = 0,
    every: Annotated[int, Query(ge=1)] = 1,
    number: Annotated[Sequence[int], Query(max_length=MOST_AT_ONCE)] = (),
) -> Response:
    """Curves as columns: of the trials that are named, or of every so manieth one from a first to a last.

    `starts` says where in `epochs` and `values` each curve begins. Those of trials that have ended may be kept by the browser.
    """
    lab, session = lab_of(request), own_run(request, session_id)
    wanted = list(dict.fromkeys(number)) or list(range(first + -first % every, last + 1, every)[:MOST_AT_ONCE])
    content, has_ended = _curves(lab, session, wanted)
    kept = {"cache-control": f"private, max-age={KEPT_SECONDS}"} if has_ended and not number else {}
    return JSONResponse(content, headers=kept)


def _curves(lab: Lab, session: Session, wanted: Sequence[int]) -> tuple[dict[str, Any], bool]:
    points, has_ended = lab.trials.curves(session.id, wanted, MOST_POINTS)
    proposed = {number: trial.proposer for number, trial in lab.trials.some(session, wanted).items()}
    numbers: list[int] = []
    starts: list[int] = []
    for place, point in enumerate(points):
        if not numbers or numbers[-1] != point.number:
            numbers.append(point.number)
            starts.append(place)
    content = {
        "numbers": numbers,
        "starts": starts,
        "own": [int(proposed.get(number) == session.tuner) for number in numbers],
        "epochs": [point.epoch for point in points],
        "values": [_rounded(point.value) for point in points],
    }
    return content, has_ended


def _rounded(value: float) -> float:
    """With as many digits as a drawing shows."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else value
