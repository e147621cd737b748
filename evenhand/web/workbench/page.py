"""The workbench: where a person works with a running method. What it tries is seen live; what it may try is changed in forms.

Each form is one verb of `lab.interventions`, sent once; the method goes on from there without a restart.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from evenhand.analysis import belief_outcomes
from evenhand.methods.beliefs import words as prior_words
from evenhand.model.person import UNNAMED
from evenhand.model.session import Intervention, Session
from evenhand.model.trial import Trial
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import is_share, metric_name
from evenhand.web import session_stream
from evenhand.web.access import identity, lab_of, stays_signed_in
from evenhand.web.flash import said
from evenhand.web.pages import render
from evenhand.web.researcher.study import PageParts, changed_parts, session_context
from evenhand.web.workbench import forms as workbench_forms
from evenhand.web.workbench import verbs
from evenhand.web.workbench.shown import Entered, forms_context, source_of, turn_context, within

router = APIRouter()

SHOWN_TRIALS = 50  # rows of the table; the session's page has them all
PART_TEMPLATES: Mapping[str, str] = {
    "status": "researcher/_session_status.html",
    "turn": "workbench/_turn.html",
    "moves": "workbench/_moves.html",
    "joint": "workbench/_joint.html",
    "bar": "workbench/_bar.html",
    "add-note": "workbench/_add_note.html",
    "beliefs-held": "workbench/_held.html",
    "trials": "researcher/_session_trials.html",
    "interventions": "workbench/_interventions.html",
}


@dataclass(frozen=True)
class Happened:
    """A line of the history: when, who, what it was in words, and why."""

    at: float
    who: str
    words: str
    details: tuple[str, ...]
    reason: str


# The page


@router.get("/sessions/{session_id}/workbench")
def workbench_page(request: Request, session_id: int) -> Response:
    """The page. The query `from` names the trial whose values the form for a trial starts with."""
    return _page(request, session_id, Entered())


@router.get("/sessions/{session_id}/workbench/events")
async def workbench_events(request: Request, session_id: int) -> Response:
    """What the shown trial measures, and the parts of the page that changed; never a form."""
    lab = lab_of(request)
    await run_in_threadpool(verbs.checked, lab, session_id)
    describe = partial(PageParts, request, session_id, PART_TEMPLATES, _context)
    viewer = ("workbench", identity(request).who)
    return session_stream.session_events(
        request, lab, session_id, describe, viewer, news=changed_parts, may_go_on=stays_signed_in(request)
    )


def _context(request: Request, session_id: int) -> dict[str, Any]:
    context = session_context(request, session_id)
    session: Session = context["session"]
    verbs.check(session)
    view = lab_of(request).view(session_id)
    open_trials = [trial for trial in session.trials if trial.is_open]
    return {
        **context,
        **turn_context(lab_of(request), session, view.state, view.refusal, open_trials),
        "became": belief_outcomes.became(session),
        "happened": happened(session, lab_of(request).sessions.pausers(session_id)),
        "values": {trial.number: _texts(session, trial) for trial in session.trials[-SHOWN_TRIALS:]},
        "works": True,
        "shown_trials": SHOWN_TRIALS,
        "verbs_at": "workbench",
    }


def _page(request: Request, session_id: int, entered: Entered, status: int = 200) -> Response:
    context = _context(request, session_id)
    session: Session = context["session"]
    number = whole_number(request.query_params.get("from", ""))
    named = None if number is None else session.trial(number)
    shown = forms_context(request, session, entered, source_of(session, named, session.trials[-1] if session.trials else None))
    metric = session.task.metric
    return render(
        request,
        "workbench/workbench.html",
        status=status,
        metric=metric_name(metric),
        share=is_share(metric),
        said=said(request),
        **{**context, **shown, "part": shown["part"] or "trial"},
    )


def _texts(session: Session, trial: Trial) -> str:
    return json.dumps(within(session.current_space, trial)[0].values)


def happened(session: Session, pausers: Mapping[float, str]) -> tuple[Happened, ...]:
    """Everything that people did in the session, the newest first. pausers: who began and ended pauses, by the moment."""
    lines = [_line(session, intervention) for intervention in session.interventions]
    for pause in session.pauses:
        who, reason = pausers.get(pause.start, UNNAMED), pause.reason if pause.reason != verbs.UNSAID_REASON else ""
        lines.append(Happened(pause.start, who, "paused it", (), reason))
        if pause.end is not None:
            lines.append(Happened(pause.end, pausers.get(pause.end, UNNAMED), "let it go on", (), ""))
    return tuple(sorted(lines, key=lambda line: line.at, reverse=True))


def _line(session: Session, intervention: Intervention) -> Happened:
    words = {
        "added": f"added trial {intervention.trial}",
        "reshaped": "limited what it may try",
        "believes": "said what they believe",
        "stopped": f"stopped trial {intervention.trial}",
        "took over": "took over",
        "handed back": "handed back",
        "ended": "ended the session",
        "rated": f"rated trial {intervention.trial} {intervention.detail.get('rating', 0):g}",
        "vetoed": f"vetoed trial {intervention.trial}",
        "allowed": f"took the veto of trial {intervention.trial} back",
    }
    details: list[str] = []
    if intervention.kind == "reshaped":
        details = workbench_forms.change_words(session.space, intervention.detail)
    elif intervention.kind == "believes":
        for name, prior in intervention.detail.items():
            known = session.space[name]
            belief = "taken back" if prior is None else prior_words(known, workbench_forms.prior_of(prior))
            details.append(f"{known.label}: {belief}")
    return Happened(intervention.at, intervention.who, words[intervention.kind], tuple(details), intervention.reason)


# The verbs


@router.post("/sessions/{session_id}/workbench/trial")
async def add_trial(request: Request, session_id: int) -> Response:
    """Queue a trial of the person's own."""
    return await _answered(request, session_id, verbs.add_trial)


@router.post("/sessions/{session_id}/workbench/limits")
async def limit(request: Request, session_id: int) -> Response:
    """Narrow, widen or freeze what the method may try from now on."""
    return await _answered(request, session_id, verbs.limit)


@router.post("/sessions/{session_id}/workbench/beliefs")
async def believe(request: Request, session_id: int) -> Response:
    """Tell the method what is believed, or take a belief back (the field `back` names its hyperparameter)."""
    return await _answered(request, session_id, verbs.believe)


@router.post("/sessions/{session_id}/workbench/turn")
async def turn(request: Request, session_id: int) -> Response:
    """Start what was held, pause, go on, take over, hand back, or stop a trial (`stop NUMBER`): the field `what`."""
    return await _answered(request, session_id, verbs.turn)


async def _answered(request: Request, session_id: int, verb: verbs.Verb) -> Response:
    def answer(came: verbs.Came) -> Response:
        if not came.words:
            return _page(request, session_id, came.entered, came.status)
        return verbs.back_to(request, f"/sessions/{session_id}/workbench", came)

    return await verbs.sent(request, session_id, verb, answer)
