"""The workbench: where a person works with a running method. What it tries is seen live; what it may try is changed in forms.

Each form is one verb of `lab.interventions`, sent once; the method goes on from there without a restart.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from starlette.concurrency import run_in_threadpool

from evenhand import methods
from evenhand.analysis import belief_outcomes
from evenhand.errors import InvalidConfiguration, InvalidSpace, Refused
from evenhand.lab.base import refuse_open
from evenhand.lab.lab import Lab
from evenhand.methods.beliefs import words as prior_words
from evenhand.model import rules
from evenhand.model.domain import Choice, is_same, nearest
from evenhand.model.person import UNNAMED
from evenhand.model.rules import ENDED_STATES
from evenhand.model.session import Intervention, Session, State
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import is_share, metric_name
from evenhand.web import session_stream, space_form
from evenhand.web.access import identity, lab_of, stays_signed_in
from evenhand.web.came_back import CameBack
from evenhand.web.flash import said, say
from evenhand.web.method_threads import HELD_DRIVER
from evenhand.web.pages import environment, render
from evenhand.web.researcher.study import PageParts, changed_parts, session_context
from evenhand.web.space_form import Typed
from evenhand.web.state import held_by
from evenhand.web.workbench import forms as workbench_forms
from evenhand.web.workbench.forms import Asked

router = APIRouter()

SHOWN_TRIALS = 50  # rows of the table; the session's page has them all
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

environment.globals.update(prior_words=prior_words, change_words=workbench_forms.change_words)


@dataclass(frozen=True)
class Entered(CameBack):
    """One of the workbench's forms, with what was typed into it."""

    typed: Typed | None = None
    asked: Asked | None = None
    reason: str = ""


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
    _check(await run_in_threadpool(lab.sessions.get, session_id))
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
    return {
        "uses_priors": methods.uses_priors(str(session.method.get("name", ""))),
        **context,
        "state": view.state,
        "refusal": view.refusal,
        "over": view.state in ENDED_STATES,
        "held": view.state is State.WAITING and session_id in lab_of(request).sessions.to_play(HELD_DRIVER),
        "open_trials": [trial for trial in session.trials if trial.is_open],
        "became": belief_outcomes.became(session),
        "happened": happened(session, lab_of(request).sessions.pausers(session_id)),
        "values": {trial.number: _texts(session, trial) for trial in session.trials[-SHOWN_TRIALS:]},
        "works": True,
        "shown_trials": SHOWN_TRIALS,
    }


def _check(session: Session) -> None:
    if session.kind != "method":
        raise Refused(f"session {session.id} is {session.tuner}'s; only a method's session can be worked on together")
    refuse_open(session)


def _page(request: Request, session_id: int, entered: Entered, status: int = 200) -> Response:
    context = _context(request, session_id)
    session: Session = context["session"]
    source = _source(session, request.query_params.get("from", ""))
    typed, moved = entered.typed, 0
    if typed is None and source is not None:
        typed, moved = _within(session.current_space, source)
    shown = _possible(space_form.fields(session.current_space, typed, entered.problems if entered.part == "trial" else None))
    chosen = {name: entered for name in ("limits", "beliefs") if entered.part == name}
    limits, beliefs = chosen.get("limits", Entered()), chosen.get("beliefs", Entered())
    metric = session.task.metric
    return render(
        request,
        "workbench/workbench.html",
        status=status,
        metric=metric_name(metric),
        share=is_share(metric),
        entered=entered,
        fields=shown,
        rest=space_form.hidden_line(session.current_space, shown),
        source=source.number if source and entered.typed is None else None,
        moved=moved,
        key=secrets.token_urlsafe(12),
        limits=workbench_forms.limits(session, limits.asked, limits.problems),
        sayings=workbench_forms.sayings(session, beliefs.asked, beliefs.problems),
        part=entered.part or request.query_params.get("do", "trial"),
        said=said(request),
        **context,
    )


def _source(session: Session, wanted: str) -> Trial | None:
    """The trial that a form starts from: the one that is named, else the best, else the newest."""
    named = session.trial(asked) if (asked := whole_number(wanted)) is not None else None
    newest = session.trials[-1] if session.trials else None
    return named or rules.best_trial(session) or newest


def _within(space: Space, trial: Trial) -> tuple[Typed, int]:
    """A trial's values as texts, those outside of what is in force moved to the nearest that is in it; and how many were."""
    texts, moved = {}, 0
    for name, value in trial.configuration.items():
        domain = space[name].domain
        inside = nearest(domain, value)
        is_inside = is_same(inside, value)
        moved += not is_inside
        is_asked = isinstance(domain, Choice) and len(domain.options) > 1 and not is_inside  # no option is nearest to it
        texts[name] = "" if is_asked else space[name].text(inside)
    return Typed(texts), moved


def _texts(session: Session, trial: Trial) -> str:
    return json.dumps(_within(session.current_space, trial)[0].values)


def _possible(shown: Sequence[space_form.HyperparameterField]) -> tuple[space_form.HyperparameterField, ...]:
    """The fields that can be active under the limits in force."""
    never: set[str] = set()
    for field in shown:
        condition = field.hyperparameter.condition
        parts = condition.parts if condition else ()
        if any(part.on in never or not (part.values or part.has_bounds) for part in parts):
            never.add(field.hyperparameter.name)
    return tuple(field for field in shown if field.hyperparameter.name not in never)


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
    typed, reason = space_form.read(session.current_space, dict(form)), _reason(form)
    entered = Entered("trial", typed=typed, reason=reason)
    key = str(form.get("key", ""))[:64] or None
    try:
        configuration = space_form.configuration(session.current_space, typed)
        trial = lab.interventions.add(session.id, configuration, who=identity(request).who, reason=reason, key=key)
    except InvalidConfiguration as error:
        problems = space_form.problems(session.current_space, error)
        return _page(request, session.id, replace(entered, problems=problems), 422)
    except Refused as error:
        return _page(request, session.id, replace(entered, message=str(error)), 409)
    return _done(request, session, f"Trial {trial.number} is queued.", "trial")


@router.post("/sessions/{session_id}/workbench/limits")
async def limit(request: Request, session_id: int) -> Response:
    """Narrow, widen or freeze what the method may try from now on."""
    return await _posted(request, session_id, _limit)


def _limit(request: Request, lab: Lab, session: Session, form: Any) -> Response:
    asked, reason = workbench_forms.asked_of(form), _reason(form)
    changes, problems = workbench_forms.changes(session, asked)
    entered = Entered("limits", asked=asked, problems=problems, reason=reason)
    if problems:
        return _page(request, session.id, entered, 422)
    if not changes:
        return _page(request, session.id, replace(entered, message="nothing differs from what is in force"), 409)
    try:
        lab.interventions.reshape(session.id, changes, who=identity(request).who, reason=reason)
    except (Refused, InvalidSpace) as error:
        return _page(request, session.id, replace(entered, message=str(error)), 409)
    summary = "; ".join(workbench_forms.change_words(session.space, changes))
    return _done(request, session, f"From the next trial on: {summary}.", "limits")


@router.post("/sessions/{session_id}/workbench/beliefs")
async def believe(request: Request, session_id: int) -> Response:
    """Tell the method what is believed, or take a belief back (the field `back` names its hyperparameter)."""
    return await _posted(request, session_id, _believe)


def _believe(request: Request, lab: Lab, session: Session, form: Any) -> Response:
    asked, reason, back = workbench_forms.asked_of(form), _reason(form), str(form.get("back", ""))
    priors, problems = ({back: None}, {}) if back else workbench_forms.priors(session, asked)
    entered = Entered("beliefs", asked=None if back else asked, problems=problems, reason=reason)
    if problems:
        return _page(request, session.id, entered, 422)
    if not priors:
        return _page(request, session.id, replace(entered, message="nothing differs from what was said before"), 409)
    try:
        lab.interventions.believe(session.id, priors, who=identity(request).who, reason=reason)
    except (Refused, InvalidSpace) as error:
        return _page(request, session.id, replace(entered, message=str(error)), 409)
    names = ", ".join(session.space[name].label for name in priors)
    return _done(request, session, f"{'Taken back' if back else 'Kept what you believe'}: {names}.", "beliefs")


@router.post("/sessions/{session_id}/workbench/turn")
def turn(
    request: Request,
    session_id: int,
    what: Annotated[str, Form()],
    reason: Annotated[str, Form()] = "",
    back: Annotated[str, Form()] = "",
) -> Response:
    """Start what was held, pause, go on, take over, hand back, or stop a trial (`stop NUMBER`).

    back: "run" where the run's own page asked, and is to be seen again.
    """
    lab, who, reason = lab_of(request), identity(request).who, reason.strip()[: space_form.MOST_TYPED_CHARACTERS]
    session = _context(request, session_id)["session"]
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
        return _page(request, session_id, Entered("turn", message=str(error), reason=reason), 409)
    return say(request, f"/sessions/{session_id}", words) if back == "run" else _done(request, session, words, "")


async def _posted(request: Request, session_id: int, answer: Callable[[Request, Lab, Session, Any], Response]) -> Response:
    form = await request.form()

    def work() -> Response:
        return answer(request, lab_of(request), _context(request, session_id)["session"], form)

    return await asyncio.to_thread(work)


def _reason(form: Any) -> str:
    return str(form.get("reason", "")).strip()[: space_form.MOST_TYPED_CHARACTERS]


def _done(request: Request, session: Session, words: str, part: str) -> Response:
    """Back to the page. A method of this server's that a limit had stopped tries again."""
    players = held_by(request.app).players
    if session.id in players.problems:
        players.play(session.id)
    address = f"/sessions/{session.id}/workbench"
    response = say(request, f"{address}?do={part}" if part else address, words)
    response.headers["location"] += "#main"  # else a browser keeps the form's own place, below what is said
    return response
