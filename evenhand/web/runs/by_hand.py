"""Tuning by hand: the tune page of an exploratory run, for the person of the laboratory whose run it is.

It has the parts of the participants' page, and none of a study's: no consent, code or questionnaire. A study's session is never
opened by these addresses.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import JSONResponse

from evenhand.errors import InvalidConfiguration, NotAllowed, Refused
from evenhand.lab.lab import Lab
from evenhand.model.configuration import Configuration
from evenhand.model.rules import STEP_OF_STATE, ParticipantStep
from evenhand.model.session import Session, State, View
from evenhand.model.space import Space
from evenhand.model.study import REASONS
from evenhand.model.trial import LearningCurve, Trial
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import metric_name
from evenhand.web import run_panel, space_form, tune_page
from evenhand.web.access import caller_of, lab_of, stays_signed_in
from evenhand.web.entry import go
from evenhand.web.flash import said
from evenhand.web.pages import render
from evenhand.web.session_stream import session_events
from evenhand.web.space_form import Typed
from evenhand.web.state import held_by

router = APIRouter(prefix="/sessions/{run_id}/tune")

REASON_LABELS = {option.value: option.label.markdown for option in REASONS}


@dataclass(frozen=True)
class RunByHand:
    """A run, and the laboratory that it is in. who: whose it is, who calls."""

    lab: Lab
    session: Session
    who: str

    @property
    def address(self) -> str:
        """Its tune page."""
        return f"/sessions/{self.session.id}/tune"

    @property
    def space(self) -> Space:
        """Of the next trial."""
        return self.session.current_space

    def view(self) -> View:
        """All that its tuner may see."""
        return self.lab.view(self.session.id)


def run_of(request: Request, run_id: int) -> RunByHand:
    """The run that an address names; refused unless it is one that whoever calls tunes by hand."""
    lab, who = lab_of(request), caller_of(request).who
    session = lab.sessions.get(run_id)
    if session.purpose != "exploratory":
        raise Refused(f"session {run_id} belongs to a study, whose sessions are tuned on its own pages only")
    if session.kind != "participant":
        raise Refused(f"session {run_id} is tuned by {session.tuner}; its own page has what can be done with it")
    if session.tuner != who:
        raise NotAllowed(f"session {run_id} is tuned by {lab.people.shown(session.tuner)}; you can watch it on its own page")
    return RunByHand(lab, session, who)


Here = Annotated[RunByHand, Depends(run_of)]


@router.get("")
def hand_page(request: Request, here: Here) -> Response:
    """The form, the running trial, the history; at the deadline the choice, and after it the run's own page."""
    view = here.view()
    if view.state is State.CHOOSING:
        return go(f"{here.address}/final")
    if _step(view) is not ParticipantStep.TUNE:
        return go(f"/sessions/{here.session.id}")
    return _page(request, here, view, source=tune_page.source_of(request, view))


def _page(
    request: Request,
    here: RunByHand,
    view: View,
    *,
    source: Trial | None = None,
    typed: Typed | None = None,
    problems: Mapping[str, str] | None = None,
    message: str = "",
    status: int = 200,
) -> Response:
    context = tune_page.tune_context(
        request, here.lab, view, here.space, _step(view), source=source, typed=typed, problems=problems
    )
    return render(
        request,
        "runs/tune.html",
        status=status,
        message=message,
        reasons=REASON_LABELS,
        reason_words={},
        assistant=None,
        records_signals=False,
        writes=None,
        window="",
        said=said(request),
        **_places(request, here),
        **context,
    )


def _places(request: Request, here: RunByHand) -> dict[str, Any]:
    """What all parts of these pages ask for."""
    at = f"{held_by(request.app).public.prefix}{here.address}"
    common = {"session": here.session, "practises": False, "here": "Runs", "step": ParticipantStep.TUNE}
    return {**common, "pages_at": at, "verbs_at": at, "tune_at": at}


def _step(view: View) -> ParticipantStep:
    """Which of the pages is next; `THANKS` once the run has ended."""
    return STEP_OF_STATE.get(view.state, ParticipantStep.THANKS)


@router.post("/submit")
async def submit(request: Request, here: Here) -> Response:
    """Start a trial with what was typed, or go on to confirm it as the final choice. Wrong fields come back with what to type."""
    return await asyncio.to_thread(_submit, request, here, dict(await request.form()))


def _submit(request: Request, here: RunByHand, form: Mapping[str, Any]) -> Response:
    typed = space_form.read(here.space, form)
    try:
        configuration = space_form.configuration(here.space, typed)
        if form.get("final") == "yes":
            return _onwards(request, f"{here.address}/final?{urlencode(tune_page.named(here.space, configuration))}")
        reasons = space_form.reasons(typed, REASONS)
        trial = here.lab.submit(here.session.id, configuration, reasons=reasons, key=tune_page.key_of(form))
    except InvalidConfiguration as error:
        return _again(request, here, typed, space_form.problems(here.space, error), "", 422)
    except Refused as error:
        return _again(request, here, typed, {}, str(error), 409)
    if tune_page.wants_json(request):
        return JSONResponse({"number": trial.number, "key": tune_page.new_key()})
    return go(f"{here.address}#run")


def _again(request: Request, here: RunByHand, typed: Typed, problems: Mapping[str, str], message: str, status: int) -> Response:
    if tune_page.wants_json(request):
        return JSONResponse({"problems": problems, "message": message}, status)
    return _page(request, here, here.view(), typed=typed, problems=problems, message=message, status=status)


def _onwards(request: Request, address: str) -> Response:
    return JSONResponse({"go": address}) if tune_page.wants_json(request) else go(address)


@router.post("/stop")
def stop(request: Request, here: Here, number: Annotated[int, Form()]) -> Response:
    """Stop a trial early; what it measured stands."""
    here.lab.stop(here.session.id, number)
    return _onwards(request, here.address)


@router.get("/trials")
def trials(request: Request, here: Here) -> Response:
    """The history alone. order: best, new. since: before, best, defaults or a trial's number. all: yes for every row."""
    context = tune_page.history_context(request, here.view())
    return render(request, "participant/_history.html", reason_words={}, **_places(request, here), **context)


@router.get("/trials/{number}/curve")
def curve(here: Here, number: int, attempt: int = 0, after: int = -1) -> Response:
    """What a trial measured after the index `after` of `attempt`: lists of [index, step, epoch or null, loss, value]."""
    learning_curve = here.lab.curve(here.session.id, number, (attempt, after))
    points = tune_page.points_of(learning_curve)
    return JSONResponse({"number": number, "attempt": learning_curve.attempt, "points": points})


@router.get("/events")
async def events(request: Request, here: Here) -> Response:
    """The running trial and the run's state, live."""

    def describe(view: View, latest: LearningCurve | None) -> dict[str, Any]:
        return run_panel.as_json(view, latest, _step(view))

    return session_events(
        request, here.lab, here.session.id, lambda: describe, ("by hand", here.who), may_go_on=stays_signed_in(request)
    )


# The choice


@router.get("/final")
def final_page(request: Request, here: Here) -> Response:
    """Asks whether a trial (query `trial`) or a configuration (its values in the query) shall be the choice; with neither, which
    trial it shall be."""
    query, view = request.query_params, here.view()
    if _step(view) is ParticipantStep.THANKS:
        return go(f"/sessions/{here.session.id}")
    typed = space_form.read(here.space, dict(query))
    trial = tune_page.numbered(view, query.get("trial", ""))
    chosen: Configuration | None = trial.configuration if trial else None
    if trial is None and typed.values:
        try:
            chosen = space_form.configuration(here.space, typed)
        except InvalidConfiguration as error:
            return _again(request, here, typed, space_form.problems(here.space, error), "", 422)
    return _final(request, here, view, trial, chosen)


def _final(
    request: Request,
    here: RunByHand,
    view: View,
    trial: Trial | None,
    chosen: Configuration | None,
    problem: str = "",
    status: int = 200,
) -> Response:
    study = here.lab.studies.get(here.session.study_id, here.session.version)
    return render(
        request,
        "runs/choose.html",
        status=status,
        view=view,
        now=_step(view),
        trial=trial,
        chosen=chosen,
        named=tune_page.named(here.space, chosen) if chosen and not trial else {},
        problem=problem,
        clock=run_panel.clock_of(view),
        choices=tune_page.choosable(view),
        open_trial=tune_page.open_trial(view),
        late=view.state is State.CHOOSING,
        metric=metric_name(here.session.task.metric),
        key=tune_page.new_key(),
        task=here.session.task,
        space=here.space,
        window="",
        study=study,
        **_places(request, here),
    )


@router.post("/final")
async def choose(request: Request, here: Here) -> Response:
    """End the run with the confirmed choice: a trial's number, or the values of a configuration."""
    return await asyncio.to_thread(_choose, request, here, dict(await request.form()))


def _choose(request: Request, here: RunByHand, form: Mapping[str, Any]) -> Response:
    typed, number, key = space_form.read(here.space, form), whole_number(str(form.get("trial", ""))), tune_page.key_of(form)
    try:
        if number is not None:
            here.lab.choose(here.session.id, number=number, key=key)
        elif typed.values:
            here.lab.choose(here.session.id, configuration=space_form.configuration(here.space, typed), key=key)
        else:
            here.lab.choose(here.session.id, key=key)
    except (Refused, InvalidConfiguration) as error:
        return _final(request, here, here.view(), None, None, str(error), 409)
    return go(f"/sessions/{here.session.id}")
