"""The workbench: where a person works with a running method. What it tries is seen live; what it may try is changed in forms.

Each form is one verb of `lab.interventions`, sent once; the method goes on from there without a restart.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from starlette.concurrency import run_in_threadpool

from evenhand.analysis import belief_outcomes
from evenhand.errors import InvalidConfiguration, InvalidSpace, Refused
from evenhand.lab.base import refuse_open
from evenhand.lab.lab import Lab
from evenhand.methods.beliefs import words as prior_words
from evenhand.model.person import UNNAMED
from evenhand.model.session import Intervention, Session
from evenhand.model.trial import Trial
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import is_share, metric_name
from evenhand.web import session_stream, space_form
from evenhand.web.access import identity, lab_of, stays_signed_in
from evenhand.web.flash import said, say
from evenhand.web.pages import render
from evenhand.web.researcher.study import PageParts, changed_parts, session_context
from evenhand.web.runs import run as run_page
from evenhand.web.state import held_by
from evenhand.web.workbench import forms as workbench_forms
from evenhand.web.workbench.shown import Entered, forms_context, source_of, turn_context, within

router = APIRouter()

SHOWN_TRIALS = 50  # rows of the table; the session's page has them all
RUN = "run"  # in a form's field `on`: it stands on the run's own page
UNSAID_REASON = "no reason given"  # for what cannot do without one
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
    await run_in_threadpool(_checked, lab, session_id)
    describe = partial(PageParts, request, session_id, PART_TEMPLATES, _context)
    viewer = ("workbench", identity(request).who)
    return session_stream.session_events(
        request, lab, session_id, describe, viewer, news=changed_parts, may_go_on=stays_signed_in(request)
    )


def _context(request: Request, session_id: int) -> dict[str, Any]:
    context = session_context(request, session_id)
    session: Session = context["session"]
    _check(session)
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
        "on": "",
    }


def _checked(lab: Lab, session_id: int) -> Session:
    session = lab.sessions.get(session_id)
    _check(session)
    return session


def _check(session: Session) -> None:
    if session.kind != "method":
        raise Refused(f"session {session.id} is {session.tuner}'s; only a method's session can be worked on together")
    refuse_open(session)


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


def _came_back(request: Request, session_id: int, entered: Entered, status: int, on: str) -> Response:
    """The page that a form stands on, with what was typed and what is wrong. on: see `turn`."""
    return (
        run_page.show(request, session_id, entered, status=status) if on == RUN else _page(request, session_id, entered, status)
    )


def _texts(session: Session, trial: Trial) -> str:
    return json.dumps(within(session.current_space, trial)[0].values)


def happened(session: Session, pausers: Mapping[float, str]) -> tuple[Happened, ...]:
    """Everything that people did in the session, the newest first. pausers: who began and ended pauses, by the moment."""
    lines = [_line(session, intervention) for intervention in session.interventions]
    for pause in session.pauses:
        who, reason = pausers.get(pause.start, UNNAMED), pause.reason if pause.reason != UNSAID_REASON else ""
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
    return await _posted(request, session_id, _add_trial)


def _add_trial(request: Request, lab: Lab, session: Session, form: Any) -> Response:
    typed, reason, on = space_form.read(session.current_space, dict(form)), _reason(form), _on(form)
    entered = Entered("trial", typed=typed, reason=reason)
    key = str(form.get("key", ""))[:64] or None
    try:
        configuration = space_form.configuration(session.current_space, typed)
        trial = lab.interventions.add(session.id, configuration, who=identity(request).who, reason=reason, key=key)
    except InvalidConfiguration as error:
        problems = space_form.problems(session.current_space, error)
        return _came_back(request, session.id, replace(entered, problems=problems), 422, on)
    except Refused as error:
        return _came_back(request, session.id, replace(entered, message=str(error)), 409, on)
    return _done(request, session, f"Trial {trial.number} is queued.", "trial", on)


@router.post("/sessions/{session_id}/workbench/limits")
async def limit(request: Request, session_id: int) -> Response:
    """Narrow, widen or freeze what the method may try from now on."""
    return await _posted(request, session_id, _limit)


def _limit(request: Request, lab: Lab, session: Session, form: Any) -> Response:
    asked, reason, on = workbench_forms.asked_of(form), _reason(form), _on(form)
    changes, problems = workbench_forms.changes(session, asked)
    entered = Entered("limits", asked=asked, problems=problems, reason=reason)
    if problems:
        return _came_back(request, session.id, entered, 422, on)
    if not changes:
        return _came_back(request, session.id, replace(entered, message="nothing differs from what is in force"), 409, on)
    try:
        lab.interventions.reshape(session.id, changes, who=identity(request).who, reason=reason)
    except (Refused, InvalidSpace) as error:
        return _came_back(request, session.id, replace(entered, message=str(error)), 409, on)
    summary = "; ".join(workbench_forms.change_words(session.space, changes))
    return _done(request, session, f"From the next trial on: {summary}.", "limits", on)


@router.post("/sessions/{session_id}/workbench/beliefs")
async def believe(request: Request, session_id: int) -> Response:
    """Tell the method what is believed, or take a belief back (the field `back` names its hyperparameter)."""
    return await _posted(request, session_id, _believe)


def _believe(request: Request, lab: Lab, session: Session, form: Any) -> Response:
    asked, reason, on = workbench_forms.asked_of(form), _reason(form), _on(form)
    back = str(form.get("back", ""))
    priors, problems = ({back: None}, {}) if back else workbench_forms.priors(session, asked)
    entered = Entered("beliefs", asked=None if back else asked, problems=problems, reason=reason)
    if problems:
        return _came_back(request, session.id, entered, 422, on)
    if not priors:
        return _came_back(request, session.id, replace(entered, message="nothing differs from what was said before"), 409, on)
    try:
        lab.interventions.believe(session.id, priors, who=identity(request).who, reason=reason)
    except (Refused, InvalidSpace) as error:
        return _came_back(request, session.id, replace(entered, message=str(error)), 409, on)
    names = ", ".join(session.space[name].label for name in priors)
    return _done(request, session, f"{'Taken back' if back else 'Kept what you believe'}: {names}.", "beliefs", on)


@router.post("/sessions/{session_id}/workbench/turn")
def turn(
    request: Request,
    session_id: int,
    what: Annotated[str, Form()],
    reason: Annotated[str, Form()] = "",
    on: Annotated[str, Form()] = "",
) -> Response:
    """Start what was held, pause, go on, take over, hand back, or stop a trial (`stop NUMBER`).

    on: the page that the form stands on, which is to be seen again: `RUN` for the run's own, else the workbench.
    """
    lab, who, reason = lab_of(request), identity(request).who, reason.strip()[: space_form.MOST_TYPED_CHARACTERS]
    session = _checked(lab, session_id)
    number = what.removeprefix("stop ")
    verbs: Mapping[str, tuple[Callable[[], object], str]] = {
        "start": (lambda: held_by(request.app).players.begin(session_id), f"{session.tuner} starts."),
        "pause": (lambda: lab.sessions.pause([session_id], reason or UNSAID_REASON, who), "Paused; its clock stands still."),
        "go on": (lambda: lab.sessions.unpause([session_id]), "It goes on."),
        "take over": (
            lambda: lab.interventions.take_over(session_id, who=who, reason=reason),
            f"You propose now; {session.tuner} waits.",
        ),
        "hand back": (
            lambda: lab.interventions.hand_back(session_id, who=who, reason=reason),
            f"{session.tuner} proposes again.",
        ),
    }
    if what.startswith("stop ") and (stopped := whole_number(number)) is not None:
        verbs = {
            what: (
                lambda: lab.interventions.stop_trial(session_id, stopped, who=who, reason=reason),
                f"Trial {number} stops.",
            )
        }
    if what not in verbs:
        raise Refused(f"{what!r} is nothing that can be done here; expected {', '.join(verbs)} or stop NUMBER")
    verb, words = verbs[what]
    try:
        if not verb():  # `pause` and `unpause` tell whom they could not move
            raise Refused(f"the session is {lab.view(session_id).state}, so it cannot {what}")
    except Refused as error:
        return _came_back(request, session_id, Entered("turn", message=str(error), reason=reason), 409, on)
    return _done(request, session, words, "", on)


async def _posted(request: Request, session_id: int, answer: Callable[[Request, Lab, Session, Any], Response]) -> Response:
    form = await request.form()

    def work() -> Response:
        lab = lab_of(request)
        return answer(request, lab, _checked(lab, session_id), form)

    return await asyncio.to_thread(work)


def _reason(form: Any) -> str:
    return str(form.get("reason", "")).strip()[: space_form.MOST_TYPED_CHARACTERS]


def _on(form: Any) -> str:
    return str(form.get("on", ""))


def _done(request: Request, session: Session, words: str, part: str, on: str) -> Response:
    """Back to the page. A method of this server's that a limit had stopped tries again."""
    players = held_by(request.app).players
    if session.id in players.problems:
        players.play(session.id)
    if on == RUN and run_page.is_asked_for_part(request):
        return run_page.work(request, session.id, Entered(part), words=words)
    address = f"/sessions/{session.id}" if on == RUN else f"/sessions/{session.id}/workbench"
    response = say(request, f"{address}?do={part}" if part else address, words)
    response.headers["location"] += "#main"  # else a browser keeps the form's own place, below what is said
    return response
