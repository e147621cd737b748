"""The workbench: where a person works with a running method. What it tries is seen live; what it may try is changed in forms.

Each form is one verb of `cotuning`, sent once; the method goes on from there without a restart.
"""

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from starlette.concurrency import run_in_threadpool

from evenhand import protocol
from evenhand.analysis import held, scores
from evenhand.errors import InvalidConfiguration, InvalidSpace, Refused
from evenhand.lab import Lab
from evenhand.records import Intervention, Session, State, Trial
from evenhand.space import Choice, Space, nearest, show
from evenhand.tuners import METHODS
from evenhand.tuners.beliefs import words as prior_words
from evenhand.web import forms, live, steering
from evenhand.web.access import identity, lab_of
from evenhand.web.flash import said, say
from evenhand.web.forms import Typed
from evenhand.web.overview import ENDED
from evenhand.web.pages import environment, render
from evenhand.web.players import HELD
from evenhand.web.researcher import Parts, changed_parts, session_context
from evenhand.web.steering import Asked

router = APIRouter()

SHOWN_TRIALS = 50  # rows of the table; the session's page has them all
UNSAID = "no reason given"  # for what cannot do without one
PARTS: Mapping[str, str] = {
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

environment.globals.update(prior_words=prior_words, change_words=steering.change_words)


@dataclass(frozen=True)
class Entered:
    """A form that came back, so that nothing typed is lost. part: which one. message: what is wrong with the whole of it."""

    part: str = ""
    typed: Typed | None = None
    asked: Asked | None = None
    problems: Mapping[str, str] | None = None
    message: str = ""
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
    _check(await run_in_threadpool(lab.session, session_id))
    describe = partial(Parts, request, session_id, PARTS, _context)
    return live.session_events(request, lab, session_id, describe, ("workbench", identity(request).who), news=changed_parts)


def _context(request: Request, session_id: int) -> dict[str, Any]:
    context = session_context(request, session_id)
    session: Session = context["session"]
    _check(session)
    with suppress(KeyError):
        context["uses_priors"] = METHODS[session.method["name"]].uses_priors
    view = lab_of(request).view(session_id)
    return {
        "uses_priors": False,
        **context,
        "state": view.state,
        "refusal": view.refusal,
        "over": view.state in ENDED,
        "held": view.state is State.WAITING and session_id in lab_of(request).to_play(HELD),
        "open_trials": [each for each in session.trials if each.is_open],
        "became": held.became(session),
        "happened": happened(session),
        "values": {trial.number: _texts(session, trial) for trial in session.trials[-SHOWN_TRIALS:]},
        "works": True,
        "shown_trials": SHOWN_TRIALS,
    }


def _check(session: Session) -> None:
    if session.kind != "method":
        raise Refused(f"session {session.id} is {session.tuner}'s; only a method's session can be worked on together")


def _page(request: Request, session_id: int, entered: Entered, status: int = 200) -> Response:
    context = _context(request, session_id)
    session: Session = context["session"]
    source = _source(session, request.query_params.get("from", ""))
    typed, moved = entered.typed, 0
    if typed is None and source is not None:
        typed, moved = _within(session.current_space, source)
    shown = _possible(forms.fields(session.current_space, typed, entered.problems if entered.part == "trial" else None))
    chosen = {name: entered for name in ("limits", "beliefs") if entered.part == name}
    limits, beliefs = chosen.get("limits", Entered()), chosen.get("beliefs", Entered())
    metric = session.task.metric
    return render(
        request,
        "workbench/workbench.html",
        status=status,
        metric=metric.replace("_", " "),
        share=scores.is_share(metric),
        entered=entered,
        fields=shown,
        rest=forms.hidden_line(session.current_space, shown),
        source=source.number if source and entered.typed is None else None,
        moved=moved,
        key=secrets.token_urlsafe(12),
        limits=steering.limits(session, limits.asked, limits.problems),
        sayings=steering.sayings(session, beliefs.asked, beliefs.problems),
        part=entered.part or request.query_params.get("do", "trial"),
        said=said(request),
        **context,
    )


def _source(session: Session, wanted: str) -> Trial | None:
    """The trial that a form starts from: the one that is named, else the best, else the newest."""
    named = session.trial(int(wanted)) if wanted.isdecimal() and len(wanted) < 9 else None
    newest = session.trials[-1] if session.trials else None
    return named or protocol.best_trial(session) or newest


def _within(space: Space, trial: Trial) -> tuple[Typed, int]:
    """A trial's values as texts, those outside of what is in force moved to the nearest that is in it; and how many were."""
    texts, moved = {}, 0
    for name, value in trial.configuration.items():
        domain = space[name].domain
        inside = nearest(domain, value)
        if isinstance(domain, Choice) and len(domain.options) > 1 and inside != value:
            inside = ""  # no option is nearest to one that is not there: it is asked for
        moved += inside != value
        texts[name] = show(inside)
    return Typed(texts), moved


def _texts(session: Session, trial: Trial) -> str:
    return json.dumps(_within(session.current_space, trial)[0].values)


def _possible(shown: Sequence[forms.Field]) -> tuple[forms.Field, ...]:
    """The fields that can be active under the limits in force."""
    never: set[str] = set()
    for each in shown:
        if each.on and (not each.when or each.on in never):
            never.add(each.hyperparameter.name)
    return tuple(each for each in shown if each.hyperparameter.name not in never)


def happened(session: Session) -> tuple[Happened, ...]:
    """Everything that people did in the session, the newest first; pauses are the researcher's."""
    lines = [_line(session, each) for each in session.interventions]
    for each in session.pauses:
        lines.append(Happened(each.start, "researcher", "paused it", (), each.reason if each.reason != UNSAID else ""))
        if each.end is not None:
            lines.append(Happened(each.end, "researcher", "let it go on", (), ""))
    return tuple(sorted(lines, key=lambda each: each.at, reverse=True))


def _line(session: Session, each: Intervention) -> Happened:
    words = {
        "added": f"added trial {each.trial}",
        "reshaped": "limited what it may try",
        "believes": "said what they believe",
        "stopped": f"stopped trial {each.trial}",
        "took over": "took over",
        "handed back": "handed back",
    }
    details: list[str] = []
    if each.kind == "reshaped":
        details = steering.change_words(session.space, each.detail)
    elif each.kind == "believes":
        for name, prior in each.detail.items():
            known = session.space[name]
            told = "taken back" if prior is None else prior_words(known, steering.prior_of(prior))
            details.append(f"{known.label}: {told}")
    return Happened(each.at, each.who, words[each.kind], tuple(details), each.reason)


# The verbs


@router.post("/sessions/{session_id}/workbench/trial")
async def add_trial(request: Request, session_id: int) -> Response:
    """Queue a trial of the person's own."""
    return await _posted(request, session_id, _add_trial)


def _add_trial(request: Request, lab: Lab, session: Session, form: Any) -> Response:
    typed, reason = forms.read(session.current_space, dict(form)), _reason(form)
    entered = Entered("trial", typed=typed, reason=reason)
    key = str(form.get("key", ""))[:64] or None
    try:
        configuration = forms.configuration(session.current_space, typed)
        trial = lab.add_trial(session.id, configuration, who=identity(request).who, reason=reason, key=key)
    except InvalidConfiguration as error:
        problems = forms.problems(session.current_space, error)
        return _page(request, session.id, replace(entered, problems=problems), 422)
    except Refused as error:
        return _page(request, session.id, replace(entered, message=str(error)), 409)
    return _done(request, session, f"Trial {trial.number} is queued.", "trial")


@router.post("/sessions/{session_id}/workbench/limits")
async def limit(request: Request, session_id: int) -> Response:
    """Narrow, widen or freeze what the method may try from now on."""
    return await _posted(request, session_id, _limit)


def _limit(request: Request, lab: Lab, session: Session, form: Any) -> Response:
    asked, reason = steering.asked_of(form), _reason(form)
    changes, problems = steering.changes(session, asked)
    entered = Entered("limits", asked=asked, problems=problems, reason=reason)
    if problems:
        return _page(request, session.id, entered, 422)
    if not changes:
        return _page(request, session.id, replace(entered, message="nothing differs from what is in force"), 409)
    try:
        lab.reshape(session.id, changes, who=identity(request).who, reason=reason)
    except (Refused, InvalidSpace) as error:
        return _page(request, session.id, replace(entered, message=str(error)), 409)
    told = "; ".join(steering.change_words(session.space, changes))
    return _done(request, session, f"From the next trial on: {told}.", "limits")


@router.post("/sessions/{session_id}/workbench/beliefs")
async def believe(request: Request, session_id: int) -> Response:
    """Tell the method what is believed, or take a belief back (the field `back` names its hyperparameter)."""
    return await _posted(request, session_id, _believe)


def _believe(request: Request, lab: Lab, session: Session, form: Any) -> Response:
    asked, reason, back = steering.asked_of(form), _reason(form), str(form.get("back", ""))
    priors, problems = ({back: None}, {}) if back else steering.priors(session, asked)
    entered = Entered("beliefs", asked=None if back else asked, problems=problems, reason=reason)
    if problems:
        return _page(request, session.id, entered, 422)
    if not priors:
        return _page(request, session.id, replace(entered, message="nothing differs from what was said before"), 409)
    try:
        lab.believe(session.id, priors, who=identity(request).who, reason=reason)
    except (Refused, InvalidSpace) as error:
        return _page(request, session.id, replace(entered, message=str(error)), 409)
    names = ", ".join(session.space[name].label for name in priors)
    return _done(request, session, f"{'Taken back' if back else 'Kept what you believe'}: {names}.", "beliefs")


@router.post("/sessions/{session_id}/workbench/turn")
def turn(request: Request, session_id: int, what: Annotated[str, Form()], reason: Annotated[str, Form()] = "") -> Response:
    """Start what was held, pause, go on, take over, hand back, or stop a trial (`stop NUMBER`)."""
    lab, who, reason = lab_of(request), identity(request).who, reason.strip()[: forms.LONGEST]
    session = _context(request, session_id)["session"]
    number = what.removeprefix("stop ")
    verbs: Mapping[str, tuple[Callable[[], object], str]] = {
        "start": (lambda: request.app.state.players.begin(session_id), f"{session.tuner} starts."),
        "pause": (lambda: lab.pause([session_id], reason or UNSAID, who), "Paused; its clock stands still."),
        "go on": (lambda: lab.unpause([session_id]), "It goes on."),
        "take over": (lambda: lab.take_over(session_id, who=who, reason=reason), f"You propose now; {session.tuner} waits."),
        "hand back": (lambda: lab.hand_back(session_id, who=who, reason=reason), f"{session.tuner} proposes again."),
    }
    if what.startswith("stop ") and number.isdecimal() and len(number) < 9:
        verbs = {what: (lambda: lab.stop_trial(session_id, int(number), who=who, reason=reason), f"Trial {number} stops.")}
    if what not in verbs:
        raise Refused(f"{what!r} is nothing that can be done here; expected {', '.join(verbs)} or stop NUMBER")
    verb, words = verbs[what]
    try:
        if not verb():  # `pause` and `unpause` tell whom they could not move
            raise Refused(f"the session is {lab.view(session_id).state}, so it cannot {what}")
    except Refused as error:
        return _page(request, session_id, Entered("turn", message=str(error), reason=reason), 409)
    return _done(request, session, words, "")


async def _posted(request: Request, session_id: int, answer: Callable[[Request, Lab, Session, Any], Response]) -> Response:
    form = await request.form()

    def work() -> Response:
        return answer(request, lab_of(request), _context(request, session_id)["session"], form)

    return await asyncio.to_thread(work)


def _reason(form: Any) -> str:
    return str(form.get("reason", "")).strip()[: forms.LONGEST]


def _done(request: Request, session: Session, words: str, part: str) -> Response:
    """Back to the page. A method of this server's that a limit had stopped tries again."""
    players = request.app.state.players
    if session.id in players.problems:
        players.play(session.id)
    address = f"/sessions/{session.id}/workbench"
    response = say(request, f"{address}?do={part}" if part else address, words)
    response.headers["location"] += "#main"  # else a browser keeps the form's own place, below what is said
    return response
