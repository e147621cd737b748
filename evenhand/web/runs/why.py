"""Why a trial was tried: the parts of its method's score as bars. The page is of its own; the trial's takes the card from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from evenhand.explain.why import why
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from evenhand.runners.method_player import asked_for
from evenhand.web.access import lab_of
from evenhand.web.pages import render
from evenhand.web.runs.own import own_run

router = APIRouter()

KINDS = ("good", "unknown", "belief")
BAR_WIDTH = 320.0  # of the whole drawing, in its own units
LEAST_SPAN = 1e-6  # of a score's parts: less is all nothing


@dataclass(frozen=True)
class Bar:
    """A part of a bar. x, width: in the units of `BAR_WIDTH`."""

    kind: str
    x: float
    width: float
    amount: float


@dataclass(frozen=True)
class WhyRow:
    """A hyperparameter with its value, the sum of its parts and their bars."""

    label: str
    value: str
    total: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class WhyRows:
    """All rows. zero: where 0 is, in the units of `BAR_WIDTH`. kinds: those that are there."""

    rows: tuple[WhyRow, ...]
    zero: float
    kinds: tuple[str, ...]


@router.get("/sessions/{session_id}/trials/{number}/why")
def why_page(request: Request, session_id: int, number: int) -> Response:
    """Why this trial, from what its proposer knew then."""
    own_run(request, session_id)
    lab = lab_of(request)
    session = lab.sessions.get(session_id)
    trial = lab.trials.one(session, number)
    card = why(session, trial, asked_for(session, trial))
    return render(
        request,
        "runs/why.html",
        session=session,
        trial=trial,
        card=card,
        drawn=rows_of(session.space, trial, card.data) if "parts" in card.data else None,
        bar_width=BAR_WIDTH,
        here="Runs",
    )


def rows_of(space: Space, trial: Trial, data: Mapping[str, Any]) -> WhyRows:
    """The parts of a score as rows, what matters most first, and what only comes together last.

    Args:
        space: the trial's.
        trial: the one that they are of.
        data: a card's, see `explain.why`.

    Returns:
        The rows, with all bars on one scale.
    """
    named = [(part["hyperparameter"], part) for part in data["parts"]]
    named.sort(key=lambda pair: -sum(abs(pair[1][kind]) for kind in KINDS))
    parts = [(space[name].label, space[name].show(trial.configuration[name]), part) for name, part in named]
    together = data["together"]
    if any(abs(together[kind]) > LEAST_SPAN for kind in KINDS):
        parts.append(("these values together", "", together))
    least = min((_side(part, -1) for _, _, part in parts), default=0.0)
    most = max((_side(part, 1) for _, _, part in parts), default=0.0)
    span = max(most - least, LEAST_SPAN)
    scale, zero = BAR_WIDTH / span, -least / span * BAR_WIDTH
    rows = tuple(
        WhyRow(label, value, sum(part[kind] for kind in KINDS), _bars(part, zero, scale)) for label, value, part in parts
    )
    kinds = tuple(kind for kind in KINDS if any(abs(part[kind]) > LEAST_SPAN for _, _, part in parts))
    return WhyRows(rows, zero, kinds)


def _side(part: Mapping[str, float], sign: int) -> float:
    """How far its bars reach to one side of 0: what speaks for it to the right, what speaks against it to the left."""
    return sum(part[kind] for kind in KINDS if part[kind] * sign > 0)


def _bars(part: Mapping[str, float], zero: float, scale: float) -> tuple[Bar, ...]:
    bars: list[Bar] = []
    right = left = zero
    for kind in KINDS:
        width = abs(part[kind]) * scale
        if part[kind] > 0:
            bars.append(Bar(kind, right, width, part[kind]))
            right += width
        elif part[kind] < 0:
            left -= width
            bars.append(Bar(kind, left, width, part[kind]))
    return tuple(bars)
