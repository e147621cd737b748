"""The table of a run's trials: thousands of rows, of which a page has those in sight. What it shows stands in the address."""

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from evenhand.analysis.trial_table import (
    BEFORE,
    BEST,
    MOST_CHOSEN,
    MOST_PINNED,
    NEWEST_FIRST,
    SET_PREFIX,
    STANDARD_COLUMNS,
    TableFields,
    TrialWish,
    cell_words,
    differences,
    filter_of,
    reference_number,
    sort_of,
    table_fields,
)
from evenhand.model import choices
from evenhand.model.run_head import RunHead
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import last_line, shortened
from evenhand.web.access import lab_of
from evenhand.web.pages import render
from evenhand.web.runs.own import own_head

router = APIRouter()

WINDOW_ROWS = 60  # that the page begins with, and that one later look brings at most
MOST_WHY_CHARACTERS = 200
MOST_TICKED = 20  # trials that are compared at once


@router.get("/sessions/{session_id}/run/table")
def table_part(request: Request, session_id: int) -> Response:
    """The table as another address asks for it, for a page that stays."""
    head = own_head(request, session_id)
    return render(request, "runs/_run_table.html", **table_context(request, head))


@router.get("/sessions/{session_id}/run/rows")
def rows_part(
    request: Request,
    session_id: int,
    offset: Annotated[int, Query(ge=0)] = 0,
    count: Annotated[int, Query(ge=1, le=WINDOW_ROWS)] = WINDOW_ROWS,
) -> Response:
    """Some rows of the table, for a page that scrolls; how many there are in all is in a header."""
    head = own_head(request, session_id)
    context = table_context(request, head, offset, count)
    response = render(request, "runs/_trial_rows.html", **context, rows=context["window"])
    response.headers["x-evenhand-rows"] = str(context["total"])
    return response


@router.get("/sessions/{session_id}/run/pinned")
def pinned_part(request: Request, session_id: int) -> Response:
    """The rows that stay on top."""
    head = own_head(request, session_id)
    context = table_context(request, head, 0, 1)
    return render(request, "runs/_trial_rows.html", **context, rows=context["pinned"])


def table_context(request: Request, head: RunHead, offset: int = 0, count: int = WINDOW_ROWS) -> dict[str, Any]:
    """What the table shows: some of its rows, as the address asks for them."""
    lab, session = lab_of(request), head.session
    fields, wish = table_fields(session), wish_of(request)
    wanted, problem = filter_of(fields, wish.typed)
    sort, descending = sort_of(fields, wish)
    order = lab.trials.order(session.id, wanted, sort, descending, fields.by_name)
    numbers = order[offset : offset + count]
    best = None if head.best is None else head.best.number
    references = {number: reference_number(wish, number, best) for number in (*numbers, *wish.pins)}
    wanted_numbers = {*references, *(reference for reference in references.values() if reference)}
    trials = lab.trials.some(session, wanted_numbers)

    def row(number: int) -> dict[str, Any]:
        return _row(session, trials[number], references[number], trials)

    return {
        "head": head,
        "session": session,
        "fields": fields,
        "wish": wish,
        "columns": _columns(fields, wish),
        "filter_problem": problem,
        "total": len(order),
        "window": [row(number) for number in numbers if number in trials],
        "pinned": [row(number) for number in wish.pins if number in trials],
        "window_rows": WINDOW_ROWS,
        "offset": offset,
        "address": partial(_address, wish),
        "query": urlencode(_query_of(wish)),
        "best_number": best,
        "chosen_number": None if head.chosen is None else head.chosen.number,
        "most_ticked": MOST_TICKED,
        "set_prefix": SET_PREFIX,
        "fields_standard": list(STANDARD_COLUMNS),
        "cell_words": partial(cell_words, session),
        "moment_now": lab.clock(),
    }


def _row(session: Session, trial: Trial, reference: int | None, trials: dict[int, Trial]) -> dict[str, Any]:
    against = None if reference is None else trials.get(reference)
    misses = choices.misses(session, trial) if trial.violation > 0 else ()
    return {
        "trial": trial,
        "by": session.kind if trial.proposer == session.tuner else "participant",
        "changes": differences(session, trial, against),
        "is_reference": against is trial,
        "misses": misses,
        "why": _why(trial, misses),
    }


def _why(trial: Trial, misses: Sequence[str]) -> str:
    """Why a trial ended as it did, or was proposed, in a line; of a traceback its last one, which says what was wrong."""
    ended = last_line(trial.why, MOST_WHY_CHARACTERS) if trial.why else ""
    return "; ".join(misses) or ended or shortened(trial.explanation or "; ".join(trial.reasons.values()), MOST_WHY_CHARACTERS)


def _columns(fields: TableFields, wish: TrialWish) -> dict[str, str]:
    """The headings of the columns that are shown, by key, in order."""
    return {key: fields.titles[key] for key in wish.columns if key in fields.titles}


# What was asked for


def wish_of(request: Request) -> TrialWish:
    """What the address asks for; what it asks that there is not is left out, since links outlive what they name."""
    query = request.query_params
    against = query.get("against", BEFORE)
    numbers = [number for text in query.getlist("pin") if (number := whole_number(text)) is not None]
    return TrialWish(
        typed=query.get("q", "").strip(),
        sort=query.get("sort", NEWEST_FIRST),
        columns=tuple(dict.fromkeys(query.getlist("column")))[:MOST_CHOSEN] or STANDARD_COLUMNS,
        against=against if against in (BEFORE, BEST) or whole_number(against) else BEFORE,
        pins=tuple(dict.fromkeys(numbers))[:MOST_PINNED],
    )


def _query_of(wish: TrialWish, **other: Any) -> list[tuple[str, str]]:
    """The query that asks for a table, without what need not be said."""
    parts = {"q": wish.typed, "sort": wish.sort, "against": wish.against, **other}
    pins: Sequence[int] = parts.pop("pins", wish.pins)
    standard = {"q": "", "sort": NEWEST_FIRST, "against": BEFORE}
    pairs = [(name, str(value)) for name, value in parts.items() if value not in (standard.get(name), None)]
    pairs += [("pin", str(number)) for number in pins]
    if wish.columns != STANDARD_COLUMNS:
        pairs += [("column", column) for column in wish.columns]
    return pairs


def _address(wish: TrialWish, pin: int | None = None, **other: Any) -> str:
    """The address of a table that differs in something from this one. pin: a trial that is pinned there, or is not any more."""
    if pin is not None:
        other["pins"] = tuple(number for number in wish.pins if number != pin) if pin in wish.pins else (*wish.pins, pin)
    pairs = _query_of(wish, **other)
    return f"?{urlencode(pairs)}" if pairs else "?"
