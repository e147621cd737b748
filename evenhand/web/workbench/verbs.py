"""What the forms of who works with a method do: each is one verb of `lab.interventions`, sent once.

Which page a form stands on is known to its route.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import Request, Response

from evenhand.errors import InvalidConfiguration, InvalidSpace, Refused
from evenhand.lab.base import refuse_open
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.typed_numbers import whole_number
from evenhand.web import space_form
from evenhand.web.access import identity, lab_of
from evenhand.web.flash import say
from evenhand.web.state import held_by
from evenhand.web.workbench import forms
from evenhand.web.workbench.shown import Entered

UNSAID_REASON = "no reason given"  # for what cannot do without one


@dataclass(frozen=True)
class Came:
    """What a form came to.

    words: what was done; "" where it comes back. part: which form it was; "" for whose turn it is. entered: the form that comes
    back. status: of the answer that brings it.
    """

    words: str = ""
    part: str = ""
    entered: Entered = field(default_factory=Entered)
    status: int = 200


Verb = Callable[[Request, Lab, Session, Any], Came]


def checked(lab: Lab, session_id: int) -> Session:
    """A session that a person can work on together with its method; Refused where it is none."""
    session = lab.sessions.get(session_id)
    check(session)
    return session


def check(session: Session) -> None:
    """Refused: nobody can work on a session together with a method."""
    if session.kind != "method":
        raise Refused(f"session {session.id} is {session.tuner}'s; only a method's session can be worked on together")
    refuse_open(session)


async def sent(request: Request, session_id: int, verb: Verb, answer: Callable[[Came], Response]) -> Response:
    """Do what a form asks for, beside the event loop, and answer. A method of this server's that a limit stopped tries again."""
    form = await request.form()

    def work() -> Response:
        lab, players = lab_of(request), held_by(request.app).players
        came = verb(request, lab, checked(lab, session_id), form)
        if came.words and session_id in players.problems:
            players.play(session_id)
        return answer(came)

    return await asyncio.to_thread(work)


def back_to(request: Request, address: str, came: Came) -> Response:
    """Back to the page at an address, which says what was done."""
    response = say(request, f"{address}?do={came.part}" if came.part else address, came.words)
    response.headers["location"] += "#main"  # else a browser keeps the form's own place, below what is said
    return response


def add_trial(request: Request, lab: Lab, session: Session, form: Any) -> Came:
    """Queue a trial of the person's own."""
    typed, reason = space_form.read(session.current_space, dict(form)), _reason(form)
    entered = Entered("trial", typed=typed, reason=reason)
    key = str(form.get("key", ""))[:64] or None
    try:
        configuration = space_form.configuration(session.current_space, typed)
        trial = lab.interventions.add(session.id, configuration, who=identity(request).who, reason=reason, key=key)
    except InvalidConfiguration as error:
        return Came(entered=replace(entered, problems=space_form.problems(session.current_space, error)), status=422)
    except Refused as error:
        return Came(entered=replace(entered, message=str(error)), status=409)
    return Came(f"Trial {trial.number} is queued.", "trial")


def limit(request: Request, lab: Lab, session: Session, form: Any) -> Came:
    """Narrow, widen or freeze what the method may try from now on."""
    asked, reason = forms.asked_of(form), _reason(form)
    changes, problems = forms.changes(session, asked)
    entered = Entered("limits", asked=asked, problems=problems, reason=reason)
    if problems:
        return Came(entered=entered, status=422)
    if not changes:
        return Came(entered=replace(entered, message="nothing differs from what is in force"), status=409)
    try:
        lab.interventions.reshape(session.id, changes, who=identity(request).who, reason=reason)
    except (Refused, InvalidSpace) as error:
        return Came(entered=replace(entered, message=str(error)), status=409)
    return Came(f"From the next trial on: {'; '.join(forms.change_words(session.space, changes))}.", "limits")


def believe(request: Request, lab: Lab, session: Session, form: Any) -> Came:
    """Tell the method what is believed, or take a belief back (the field `back` names its hyperparameter)."""
    asked, reason, back = forms.asked_of(form), _reason(form), str(form.get("back", ""))
    priors, problems = ({back: None}, {}) if back else forms.priors(session, asked)
    entered = Entered("beliefs", asked=None if back else asked, problems=problems, reason=reason)
    if problems:
        return Came(entered=entered, status=422)
    if not priors:
        return Came(entered=replace(entered, message="nothing differs from what was said before"), status=409)
    try:
        lab.interventions.believe(session.id, priors, who=identity(request).who, reason=reason)
    except (Refused, InvalidSpace) as error:
        return Came(entered=replace(entered, message=str(error)), status=409)
    names = ", ".join(session.space[name].label for name in priors)
    return Came(f"{'Taken back' if back else 'Kept what you believe'}: {names}.", "beliefs")


def turn(request: Request, lab: Lab, session: Session, form: Any) -> Came:
    """Start what was held, pause, go on, take over, hand back, or stop a trial (`stop NUMBER`): the field `what`."""
    what, reason, who, session_id = str(form.get("what", "")), _reason(form), identity(request).who, session.id
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
        return Came(entered=Entered("turn", message=str(error), reason=reason), status=409)
    return Came(words)


def _reason(form: Any) -> str:
    return str(form.get("reason", "")).strip()[: space_form.MOST_TYPED_CHARACTERS]
