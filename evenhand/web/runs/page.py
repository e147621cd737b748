"""The page that a practitioner keeps open: every run in one place, live; and what is written beside one."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query, Request, Response

from evenhand.analysis.run_list import (
    COLUMNS,
    SORTS,
    STANDARD_COLUMNS,
    Grouping,
    Listing,
    Shelf,
    Wish,
    listing,
    value_words,
)
from evenhand.analysis.run_rows import RUN_STATES, RunRow
from evenhand.errors import InvalidSettings, Refused
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.run_notes import KEPT_DAYS
from evenhand.model.words import plural
from evenhand.web.access import Role, lab_of, signed_in, stays_signed_in
from evenhand.web.entry import go, onwards
from evenhand.web.flash import said, say
from evenhand.web.pages import render
from evenhand.web.seats import studies_joined
from evenhand.web.state import held_by
from evenhand.web.streams import Pace, Stated, Topic, stream

router = APIRouter()

WINDOW_ROWS = 100  # that the page begins with, and that one later look brings at most
MOST_SHOWN_STUDIES = 4
MOST_COLUMNS = 24
RUNS_PACE = Pace(1.0, load=4, poll=5.0)  # it looks untold, too: a process that dies says nothing
SPARK_WIDTH, SPARK_HEIGHT = 110.0, 26.0

Act = Literal["archive", "put back", "delete", "restore", "tag", "compare"]


@router.get("/")
def start(request: Request, offset: Annotated[int, Query(ge=0)] = 0) -> Response:
    """All runs for whoever runs the laboratory, the next step for a participant (of several studies a choice), else a welcome."""
    if (caller := signed_in(request, Role.RESEARCHER)) is not None:
        request.state.identity = caller
        return _runs(request, offset)
    if joined := studies_joined(request):
        return onwards(request, joined)
    return render(request, "welcome.html", code="", problem="")


def _runs(request: Request, offset: int) -> Response:
    """All runs, as the address asks for them."""
    lab, wish = lab_of(request), _wish(request)
    rows, damaged = lab.runs.read()
    shown = listing(rows, wish)
    offset = max(0, min(offset, len(shown.entries)))
    studies = lab.studies.declared()
    return render(
        request,
        "runs/runs.html",
        shown=shown,
        **_window(shown, offset, WINDOW_ROWS),
        columns_there=COLUMNS,
        sorts=SORTS,
        states=RUN_STATES,
        address=partial(_address, wish),
        live=urlencode(_query_of(wish)),
        studies=[_study_entry(lab, study) for study in studies[:MOST_SHOWN_STUDIES]],
        studies_beyond=len(studies) - MOST_SHOWN_STUDIES,
        said=said(request),
        damaged=sorted(damaged),
        kept_days=KEPT_DAYS,
        here="Runs",
    )


def _study_entry(lab: Lab, study: Any) -> dict[str, Any]:
    people = lab.participants.of_study(study.id)
    live = sum(person.mode == "live" for person in people)
    return {"study": study, "people": live, "phase": rules.phase_of(study, any(person.mode == "pilot" for person in people))}


@router.get("/runs/rows")
def rows_page(
    request: Request, offset: Annotated[int, Query(ge=0)] = 0, count: Annotated[int, Query(ge=1, le=WINDOW_ROWS)] = WINDOW_ROWS
) -> Response:
    """Some rows of the list, for a page that scrolls; how many there are in all is in a header."""
    shown = listing(lab_of(request).runs.all(), _wish(request))
    response = render(request, "runs/_rows.html", shown=shown, **_window(shown, offset, count))
    response.headers["x-evenhand-rows"] = str(len(shown.entries))
    return response


def _window(shown: Listing, offset: int, count: int) -> dict[str, Any]:
    return {
        "entries": shown.entries[offset : offset + count],
        "offset": offset,
        "spark": spark_lines,
        "value_words": value_words,
        "window_rows": WINDOW_ROWS,
    }


@router.get("/runs/events")
async def runs_events(request: Request) -> Response:
    """Which runs have changed, whenever some have."""
    lab = lab_of(request)
    topic = Topic(("runs",), partial(Stated, "state", partial(_digests, lab), _changed), RUNS_PACE)
    return stream(held_by(request.app).hub, topic, may_go_on=stays_signed_in(request))


def _digests(lab: Lab) -> dict[str, str]:
    """Of each run what stands for all that its row shows, but for its clock; which columns a page has is the page's."""
    return {str(row.session_id): _digest(row) for row in lab.runs.all()}


def _digest(row: RunRow) -> str:
    shown = [row.name, row.state, row.trials, row.planned, row.best, row.best_number, row.notes.tags, row.notes.note,
            row.notes.archived_at, row.notes.deleted_at]  # fmt: skip
    return hashlib.sha256(json.dumps(shown, default=str).encode()).hexdigest()[:12]


def _changed(before: Mapping[str, str] | None, now: Mapping[str, str]) -> dict[str, Any]:
    """Ids of runs that are other than before, and how many there are."""
    known = before or {}
    gone = [int(session_id) for session_id in known if session_id not in now]
    other = [int(session_id) for session_id, digest in now.items() if known.get(session_id) != digest]
    return {"changed": [] if before is None else [*other, *gone], "count": len(now)}


# Doing something with runs


@router.post("/runs/act")
def act(
    request: Request,
    what: Annotated[Act, Form()],
    session: Annotated[Sequence[int], Form()] = (),
    tags: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "",
) -> Response:
    """Archive, put back, delete, bring back or tag the ticked runs; then say what it came to."""
    if not session:
        raise Refused("no run is ticked; tick those that are meant")
    service, whole = lab_of(request).runs, list(dict.fromkeys(session))
    if what == "compare":
        return go(f"/compare?{urlencode([('session', session_id) for session_id in whole])}")
    if what == "tag":
        if not tags.strip():
            raise InvalidSettings("tags: nothing typed; expected one tag or several, with commas between them")
        service.add_tags(whole, tags.split(","))
        words = f"Tagged {plural(len(whole), 'run')}."
    elif what in ("archive", "put back"):
        service.archive(whole, archived=what == "archive")
        words = f"{'Archived' if what == 'archive' else 'Put back'} {plural(len(whole), 'run')}."
    elif what == "delete":
        service.delete(whole)
        words = f"Deleted {plural(len(whole), 'run')}. Until they are erased, in {KEPT_DAYS} days, they can be brought back."
    else:
        service.restore(whole)
        words = f"Brought back {plural(len(whole), 'run')}."
    return say(request, f"/?{back}" if back else "/", words)


@router.get("/sessions/{session_id}/notes")
def notes_page(request: Request, session_id: int) -> Response:
    """The form of a run's name, tags and note."""
    lab = lab_of(request)
    session = lab.sessions.get(session_id)
    if session.purpose != "exploratory":
        raise Refused(f"session {session_id} belongs to a study: it has no name, tags or note of its own")
    return _notes_form(request, session, lab.runs.notes(session_id))


@router.post("/sessions/{session_id}/notes")
def write_notes(
    request: Request,
    session_id: int,
    name: Annotated[str, Form()] = "",
    tags: Annotated[str, Form()] = "",
    note: Annotated[str, Form()] = "",
    baseline: Annotated[str, Form()] = "",
) -> Response:
    """Keep what was typed; where it cannot be kept, the form comes back with what was typed and why."""
    lab = lab_of(request)
    session = lab.sessions.get(session_id)
    try:
        baseline_id = lab.runs.named(baseline).id if baseline.strip() else None
        lab.runs.write(session_id, name=name, tags=tags.split(","), note=note)
        if lab.runs.notes(session_id).baseline != baseline_id:
            lab.runs.declare_baseline(session_id, baseline_id)
    except (InvalidSettings, Refused) as error:
        typed = {"name": name, "tags": tags, "note": note, "baseline": baseline}
        return _notes_form(request, session, lab.runs.notes(session_id), typed=typed, problem=str(error), status=400)
    return say(request, "/", f"Kept what you wrote of {lab.sessions.get(session_id).called}.")


def _notes_form(
    request: Request, session: Any, notes: Any, typed: Mapping[str, str] | None = None, problem: str = "", status: int = 200
) -> Response:
    if typed is None:
        baseline = "" if notes.baseline is None else lab_of(request).sessions.get(notes.baseline).called
        typed = {"name": session.name or "", "tags": ", ".join(notes.tags), "note": notes.note, "baseline": baseline}
    return render(request, "runs/notes.html", session=session, typed=typed, problem=problem, status=status, here="Runs")


# What was asked for


def _wish(request: Request) -> Wish:
    """What the address asks for; what it asks that there is not is left out, since links outlive what they name."""
    query = request.query_params
    columns = tuple(dict.fromkeys(query.getlist("column")))[:MOST_COLUMNS] or STANDARD_COLUMNS
    group, shelf = query.get("group", ""), query.get("shelf", "")
    return Wish(
        typed=query.get("q", "").strip(),
        sort=query.get("sort", "-opened"),
        group=group if group in get_args(Grouping) else "",  # type: ignore[arg-type]
        columns=columns,
        shelf=shelf if shelf in get_args(Shelf) else "",  # type: ignore[arg-type]
    )


def _query_of(wish: Wish, **other: Any) -> list[tuple[str, str]]:
    """The query that asks for a list, without what need not be said."""
    parts = {"q": wish.typed, "sort": wish.sort, "group": wish.group, "shelf": wish.shelf, **other}
    standard = {"q": "", "sort": "-opened", "group": "", "shelf": ""}
    pairs = [(name, str(value)) for name, value in parts.items() if value not in (standard.get(name), None)]
    if wish.columns != STANDARD_COLUMNS:
        pairs += [("column", column) for column in wish.columns]
    return pairs


def _address(wish: Wish, **other: Any) -> str:
    """The address of a list that differs in something from this one."""
    pairs = _query_of(wish, **other)
    return f"?{urlencode(pairs)}" if pairs else "?"


# Small curves


def spark_lines(row: RunRow) -> dict[str, Any]:
    """The points of a run's small curve, in pixels: the step line of the best so far, and a dot for each value."""
    values = [value for _, value in (*row.spark.bests, *row.spark.values)]
    if not values:
        return {"line": "", "dots": []}
    low, high = min(values), max(values)

    def at(place: float, value: float) -> tuple[float, float]:
        share = 0.5 if high == low else (value - low) / (high - low)
        return round(2 + place * (SPARK_WIDTH - 4), 1), round(SPARK_HEIGHT - 3 - share * (SPARK_HEIGHT - 6), 1)

    path = ""
    for place, value in row.spark.bests:
        x, y = at(place, value)
        path += f"H{x}V{y}" if path else f"M{x} {y}"
    return {"line": path, "dots": [at(*point) for point in row.spark.values]}
