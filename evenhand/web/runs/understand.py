"""What a run's trials say: findings as cards, each with how sure it is, its picture, and what one could do about it.

They are worked out in the background, and the page shows each as it is there. A study's sessions have no such page.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from evenhand.explain import History, NextStep
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.words import metric_name
from evenhand.report import run_records
from evenhand.report.cards.histories import history_of
from evenhand.web.access import identity, lab_of
from evenhand.web.cards import Action, cards_context
from evenhand.web.pages import render
from evenhand.web.runs.own import own_head, takes_trials
from evenhand.web.space_form import VALUE_FIELD
from evenhand.web.state import held_by
from evenhand.web.understanding import Worked
from evenhand.web.workbench import forms

router = APIRouter()


@router.get("/sessions/{session_id}/understand")
def understand_page(request: Request, session_id: int) -> Response:
    """The page: what is there at once, and the rest as it comes."""
    return render(request, "runs/understand.html", here="Runs", **_context(request, session_id))


@router.get("/sessions/{session_id}/understand/cards")
def cards_part(request: Request, session_id: int) -> Response:
    """The cards that are there now."""
    return render(request, "runs/_cards.html", **_context(request, session_id))


def _context(request: Request, session_id: int) -> dict[str, Any]:
    head, lab, who = own_head(request, session_id), lab_of(request), identity(request).who
    session = head.session
    looked = any(name == who for name, _ in lab.evaluations.looks(session_id))
    stamp = f"{lab.trials.pulse(session_id)[1]} {session.choice is not None} {session.evaluated.done if looked else ''}"
    worked = Worked(stamp)
    if head.trials:
        understandings = held_by(request.app).understandings
        worked = understandings.of(("run", session_id, looked), stamp, reader(lab, session_id, who if looked else None))
    return {
        "session": session,
        "study": lab.studies.get(session.study_id, session.version),
        "trials": head.trials,
        "metric": metric_name(session.task.metric),
        "trial_root": f"{held_by(request.app).public.prefix}/sessions/{session_id}/trials",
        "is_over": session.choice is not None or session.withdrawn_at is not None,
        **cards_context(worked, lambda step: action(lab, session, step)),
    }


def reader(lab: Lab, session_id: int, who: str | None) -> Callable[[], History]:
    """Reads a run's history. who: whose logged look shows its test score; None: it is not shown."""

    def read() -> History:
        records = run_records.read(lab, lab.sessions.get(session_id), () if who is None else (who,))
        return history_of(records.session, records.evaluation, run_records.names_in(lab, records))

    return read


# What one could do


def action(lab: Lab, session: Session, step: NextStep) -> Action:
    """What a step is on a run's page: a form where the run takes it, else how it is done elsewhere."""
    takes = takes_trials(session, lab.clock())
    address = f"/sessions/{session.id}/workbench"
    if takes and step.kind == "try":
        return Action(step.words, f"{address}/trial", _trial_fields(session, step))
    if takes and step.kind in ("narrow", "freeze"):
        return Action(step.words, f"{address}/limits", tuple(_limit_fields(session, step.changes)))
    return Action(step.words, how=ELSEWHERE[step.kind])


ELSEWHERE: Mapping[str, str] = {
    "widen": "A run never goes beyond its task's space: declare the wider range where the task is declared, and start a new run.",
    "narrow": "Limits are set while a method tunes the run, or on the form that starts a new one.",
    "freeze": "Limits are set while a method tunes the run, or on the form that starts a new one.",
    "rerun": "Start a run with another seed and train them there: runs of one task with other seeds measure the spread.",
    "add": "Go on with the run's own command and a larger budget, or start a new run.",
    "try": "A trial can be added while a method tunes the run.",
}


def _trial_fields(session: Session, step: NextStep) -> tuple[tuple[str, str], ...]:
    values = [(f"{VALUE_FIELD}{name}", session.space[name].text(value)) for name, value in step.values.items()]
    return (*values, ("reason", step.words), ("key", secrets.token_urlsafe(12)))


def _limit_fields(session: Session, changes: Mapping[str, Mapping[str, Any]]) -> Sequence[tuple[str, str]]:
    asked = forms.asked_for(session, changes)
    return [(name, text) for name, texts in asked.items() for text in texts]
