"""Two to twenty runs, or trials, side by side: what differs between them, their curves, what they reached and what it cost."""

import string
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from evenhand.analysis.run_comparison import (
    MOST_COLUMNS,
    RunColumn,
    RunComparison,
    TrialColumn,
    TrialComparison,
    compare_runs,
    compare_trials,
)
from evenhand.errors import InvalidSettings
from evenhand.lab.lab import Lab
from evenhand.lab.writes import trial_of
from evenhand.model.evaluation import Evaluation
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import is_share
from evenhand.web.access import identity, lab_of
from evenhand.web.pages import render

router = APIRouter()

LETTERS = string.ascii_uppercase[:MOST_COLUMNS]  # what columns are called in charts


@router.get("/compare")
def compare_page(
    request: Request,
    session: Annotated[Sequence[int], Query()] = (),
    trial: Annotated[Sequence[str], Query()] = (),
) -> Response:
    """Runs by their numbers, or trials as SESSION:NUMBER; where they cannot be compared, why, and how to pick others."""
    lab = lab_of(request)
    try:
        shown = _trials(lab, trial) if trial else _runs(lab, session, identity(request).who)
    except InvalidSettings as error:
        return render(request, "runs/compare_none.html", problem=str(error), here="Runs", status=400)
    return render(request, "runs/compare.html", here="Runs", **shown)


def _runs(lab: Lab, session_ids: Sequence[int], who: str) -> dict[str, Any]:
    sessions = [lab.sessions.get(session_id) for session_id in dict.fromkeys(session_ids)]
    compared = compare_runs(sessions, _looked_at(lab, sessions, who))
    rate, unit = _rate(sessions)
    return {
        "what": "runs",
        "compared": compared,
        "columns": _lettered(compared.columns, sessions),
        "levels": _levels(sessions),
        "axes": ["trials", "epochs", "time", unit],
        "lines": [_best_line(column, rate) for column in compared.columns],
        "costs": _costs(compared.columns, sessions),
        "has_test": any(column.test is not None for column in compared.columns),
        **_shares(compared),
    }


def _looked_at(lab: Lab, sessions: Sequence[Session], who: str) -> Mapping[int, Evaluation]:
    """The evaluations of sessions at which somebody has looked, by the session's number."""
    seen = (session.id for session in sessions if any(looker == who for looker, _ in lab.evaluations.looks(session.id)))
    return {session_id: lab.evaluations.get(session_id, who) for session_id in seen}


def _trials(lab: Lab, typed: Sequence[str]) -> dict[str, Any]:
    pairs = [_pair(lab, text) for text in dict.fromkeys(typed)]
    sessions = [session for session, _ in pairs]
    compared = compare_trials(pairs)
    return {
        "what": "trials",
        "compared": compared,
        "columns": _lettered(compared.columns, sessions),
        "levels": _levels(sessions),
        "axes": ["epochs", "time"],
        "lines": [_learning_line(lab, session, trial) for session, trial in pairs],
        "further": list(dict.fromkeys(name for column in compared.columns for name in column.extra)),
        "names_run": len({session.id for session in sessions}) > 1,
        **_shares(compared),
    }


def _pair(lab: Lab, text: str) -> tuple[Session, Trial]:
    """The trial that SESSION:NUMBER names, with its session."""
    parts = [whole_number(part) for part in text.split(":")]
    if len(parts) != 2 or None in parts:
        raise InvalidSettings(f"trial: got {text!r}, expected SESSION:NUMBER, such as 12:3")
    session_id, number = parts
    session = lab.sessions.get(session_id or 0)
    return session, trial_of(session, number or 0)


def _lettered(columns: Sequence[RunColumn | TrialColumn], sessions: Sequence[Session]) -> list[dict[str, Any]]:
    """Each column with its letter and with whose it is: a person's or a method's."""
    pairs = zip(LETTERS, columns, sessions, strict=False)
    return [{"letter": letter, "of": column, "kind": _kind(column, session)} for letter, column, session in pairs]


def _kind(column: RunColumn | TrialColumn, session: Session) -> str:
    """Whose colour a column has: a trial's that of its proposer."""
    if isinstance(column, TrialColumn) and column.proposer != session.tuner:
        return "participant"
    return session.kind


def _best_line(column: RunColumn, rate: float) -> list[list[float]]:
    """Best so far: [trials, epochs, seconds, cost, value] at each new best, and at the end. rate: of a second of training."""
    points = [[step.trials, step.epochs, step.seconds, rate * step.training_seconds, step.value] for step in column.steps]
    if points and points[-1][0] < column.trials:
        points.append([column.trials, column.epochs, column.seconds, rate * column.training_seconds, points[-1][-1]])
    return points


def _rate(sessions: Sequence[Session]) -> tuple[float, str]:
    """What a second of training costs, and in what: in money where all runs declare one price, else in seconds of training."""
    prices = {(cost.price(1.0), cost.currency) if (cost := session.budget.cost) else (None, "") for session in sessions}
    price, currency = next(iter(prices))
    return (1.0, "time of training") if len(prices) > 1 or price is None else (price, f"cost in {currency}")


def _costs(columns: Sequence[RunColumn], sessions: Sequence[Session]) -> list[str]:
    """What each run's training cost at its own rates, in words; nothing where none declares any."""
    words = [
        session.budget.cost.words(column.training_seconds) if session.budget.cost else ""
        for column, session in zip(columns, sessions, strict=True)
    ]
    return words if any(words) else []


def _learning_line(lab: Lab, session: Session, trial: Trial) -> list[list[float]]:
    """Validation after each epoch: [epochs, seconds, value]."""
    return [
        [measurement.epoch, measurement.seconds, measurement.value]
        for measurement in lab.curve(session.id, trial.number).measurements
        if measurement.epoch is not None and measurement.value is not None
    ]


def _levels(sessions: Sequence[Session]) -> list[list[Any]]:
    """Chance and the simple baseline, where all have the same."""
    levels = {session.task.levels for session in sessions}
    return [[level.name, level.value] for level in next(iter(levels))] if len(levels) == 1 else []


def _shares(compared: RunComparison | TrialComparison) -> dict[str, Any]:
    differing = [row for row in compared.rows if row.differs]
    same = [row for row in compared.rows if not row.differs]
    return {"percent": is_share(compared.metric), "differing": differing, "same": same}
