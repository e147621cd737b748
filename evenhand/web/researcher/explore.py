"""The explore page: a run's trials across all hyperparameters at once, as columns that the page draws itself."""

import json
import struct
from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from evenhand.analysis import run_columns
from evenhand.lab.columns import ChunkStamp, RunColumns
from evenhand.model.session import Session
from evenhand.model.words import is_share
from evenhand.web.access import lab_of
from evenhand.web.pages import render
from evenhand.web.state import held_by

router = APIRouter()

ARRAY_BYTES = 8  # of the widest number: the arrays begin at a multiple of it
KEPT_FOREVER = "private, max-age=31536000, immutable"
ASKED_AGAIN = "private, no-cache"


@router.get("/sessions/{session_id}/explore")
def explore_page(request: Request, session_id: int) -> Response:
    """All hyperparameters at once, and each trial's value against each of them."""
    lab = lab_of(request)
    columns = lab.columns.of(session_id)
    session = columns.session
    shown: dict[str, Any] = {
        "session": session,
        "study": lab.studies.get(session.study_id),
        "columns": columns,
        "trials": columns.trials,
    }
    return render(request, "researcher/explore.html", **shown, events=_events_of(request, session))


def _events_of(request: Request, session: Session) -> str:
    """Where a page is told what changes in a run of one's own that goes on; "" of any other session."""
    has_ended = session.choice is not None or session.withdrawn_at is not None
    root = held_by(request.app).public.prefix
    return "" if has_ended or session.purpose != "exploratory" else f"{root}/sessions/{session.id}/run/events"


@router.get("/sessions/{session_id}/columns")
def columns_head(request: Request, session_id: int) -> Response:
    """What is known of a run before its chunks are read: its axes, and each chunk's stamp, which its address asks for."""
    return JSONResponse(_head(lab_of(request).columns.of(session_id)))


def _head(columns: RunColumns) -> dict[str, Any]:
    session = columns.session
    return {
        "metric": session.task.metric,
        "percent": is_share(session.task.metric),
        "maximize": session.maximize,
        "kind": session.kind,
        "chosen": columns.chosen,
        "axes": [asdict(axis) for axis in run_columns.axes(session)],
        "chunks": [asdict(chunk) for chunk in columns.chunks],
    }


@router.get("/sessions/{session_id}/columns/{place}")
def columns_chunk(request: Request, session_id: int, place: int, stamp: str = "") -> Response:
    """The numbers of one chunk of trials, in binary: see `packed`.

    Where all of its trials have ended they never change, so that a browser keeps what it got under their stamp and asks no more.
    Of a study nothing is kept in a browser: a participant may withdraw.
    """
    lab = lab_of(request)
    with lab.at_once():
        session, now = lab.columns.stamp(session_id, place)
        headers = _caching(now, stamp) if session.purpose == "exploratory" else {}
        if "etag" in headers and request.headers.get("if-none-match") == headers["etag"]:
            return Response(status_code=304, headers=headers)
        numbers = lab.columns.numbers(session, place)
    return Response(packed(numbers), media_type="application/octet-stream", headers=headers)


def _caching(now: ChunkStamp, asked: str) -> dict[str, str]:
    """How long a browser may keep a chunk. asked: the stamp in its address."""
    if not now.has_ended:
        return {}
    return {"etag": f'"{now.stamp}"', "cache-control": KEPT_FOREVER if asked == now.stamp else ASKED_AGAIN}


def packed(numbers: run_columns.Chunk) -> bytes:
    """A chunk in bytes: the length of its head (4, little-endian), the head as JSON, spaces up to a multiple of 8, the arrays.

    Binary, since it is exact, has a number that is none (NaN), and is drawn from where it lies, without being read.
    """
    head, arrays = run_columns.layout(numbers)
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-(len(text) + 4) % ARRAY_BYTES)
    little = (array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes() for array in arrays)
    return struct.pack("<I", len(text)) + text + b"".join(little)
