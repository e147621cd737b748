"""A participant's way: terms, details, practice, tune, final choice, thanks. The server says which page is next."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Form, Request, Response
from fastapi.responses import JSONResponse

from evenhand.errors import InvalidConfiguration, NotAllowed, Refused
from evenhand.lab.base import hash_token
from evenhand.lab.lab import Lab
from evenhand.model import rules, signals
from evenhand.model.configuration import Configuration
from evenhand.model.participant import Participant
from evenhand.model.rules import STEP_OF_STATE, ParticipantStep, next_questionnaire
from evenhand.model.session import State, View
from evenhand.model.study import Budget, Questionnaire, Study
from evenhand.model.task import TaskRecord
from evenhand.model.trial import LearningCurve, Trial
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import metric_name, minutes
from evenhand.tasks.builtin import practice
from evenhand.web import run_panel, space_form
from evenhand.web import tune_page as tune_page_parts
from evenhand.web.access import Role, how_to_get_in, identity, lab_of
from evenhand.web.entry import go
from evenhand.web.pages import render
from evenhand.web.seats import PLACE, home
from evenhand.web.session_stream import session_events
from evenhand.web.space_form import Typed
from evenhand.web.state import held_by

router = APIRouter(prefix=PLACE)

ELSEWHERE_MESSAGE = "this session is open in another window, so nothing was sent; what you typed is kept"
STEP_NAMES: Mapping[ParticipantStep, str] = {
    ParticipantStep.TERMS: "Terms",
    ParticipantStep.BACKGROUND: "About you",
    ParticipantStep.DETAILS: "Details",
    ParticipantStep.PRACTICE: "Practice",
    ParticipantStep.TUNE: "Tune",
    ParticipantStep.FINAL: "Finish",
    ParticipantStep.AFTER: "Questions",
}


@dataclass(frozen=True)
class ParticipantPlace:
    """Where a participant is."""

    lab: Lab
    participant: Participant
    study: Study
    task: TaskRecord
    step: ParticipantStep
    window: str

    @property
    def questionnaire(self) -> Questionnaire | None:
        """The questionnaire to fill in at this step, if it asks questions."""
        if self.step is ParticipantStep.BACKGROUND:
            return next_questionnaire(self.study, self.participant, "before")
        return next_questionnaire(self.study, self.participant, "after") if self.step is ParticipantStep.AFTER else None

    @property
    def home(self) -> str:
        """What the addresses of all their pages begin with."""
        return home(self.study.id)

    @property
    def address(self) -> str:
        """The page of this step."""
        return f"{self.home}/questions/{self.questionnaire.name}" if self.questionnaire else f"{self.home}/{self.step}"

    @property
    def practises(self) -> bool:
        """Whether the pages show the practice session."""
        return self.step is ParticipantStep.PRACTICE

    @property
    def budget(self) -> Budget:
        """What the participant may spend: their condition's own budget, or the study's."""
        return rules.budget_of(self.study, self.participant.condition)

    @property
    def reasons(self) -> dict[str, str]:
        """The reasons by their stored values, in the words of the participant's condition and language."""
        offered = self.study.reasons_of(self.participant.condition)
        return {option.value: option.label.said(self.participant.language) for option in offered}

    @property
    def reason_words(self) -> dict[str, str]:
        """What a reason that a trial keeps, in the study's own words, is in the participant's."""
        mine = self.reasons
        return {option.label.markdown: mine[option.value] for option in self.study.reasons if option.value in mine}

    @property
    def session_id(self) -> int:
        """The session that the pages show, the practice one before the clock starts; Refused before it is opened."""
        session_id = self.participant.practice_id if self.practises else self.participant.session_id
        if session_id is None:
            raise Refused("the session has not started; read the details and start tuning first")
        return session_id

    def view(self) -> View:
        """All that the participant may see of the session."""
        return self.lab.view(self.session_id)


def place_of(request: Request, study_id: int) -> ParticipantPlace:
    """Where the participant who calls is; NotAllowed where they take part in another study than the address names."""
    lab = lab_of(request)
    place = ParticipantPlace(lab, *lab.participants.standing(identity(request).subject), _own_window(request))
    if place.study.id != study_id:
        raise NotAllowed(how_to_get_in(Role.PARTICIPANT))
    return place


def _own_window(request: Request) -> str:
    """A browser without scripts counts as one window; with scripts, each tab names itself."""
    return hash_token(f"window {identity(request).token}")[:12]


Here = Annotated[ParticipantPlace, Depends(place_of)]


def steps_of(study: Study) -> dict[ParticipantStep, str]:
    """The steps of a study, with the names that participants read."""
    return {step: STEP_NAMES[step] for step in rules.steps_of(study)}


def page(request: Request, here: ParticipantPlace, name: str, *, status: int = 200, **context: Any) -> Response:
    """One of the participant's pages."""
    common = {"study": here.study, "participant": here.participant, "task": here.task, "step": here.step, "budget": here.budget}
    common |= {"steps": steps_of(here.study), "window": here.window, "practises": here.practises, "language": language(here)}
    common |= {"assistant": here.study.allows_assistant(here.participant.condition)}
    home = common["home"] = f"{held_by(request.app).public.prefix}{here.home}"
    at = "practice" if here.practises else "tune"
    common |= {"pages_at": home, "verbs_at": f"{home}/tune", "tune_at": f"{home}/{at}"}
    common["records_signals"] = here.study.signals and not here.practises
    return render(request, f"participant/{name}.html", status=status, **{**common, **context})


def language(here: ParticipantPlace) -> str:
    """The language that the participant reads the study in."""
    return here.participant.language


@router.get("")
def next_page(here: Here) -> Response:
    """On to the page that is next."""
    return go(here.address)


# Terms, details


@router.get("/terms")
def terms_page(request: Request, here: Here) -> Response:
    """The consent text."""
    return page(request, here, "terms", problem="") if here.step is ParticipantStep.TERMS else go(here.address)


@router.post("/terms")
def consent(request: Request, here: Here, version: Annotated[str, Form()] = "") -> Response:
    """Record the consent to this version of the text; another version is shown again, with a kind word."""
    if here.step is ParticipantStep.TERMS:
        try:
            here.lab.participants.consent(here.participant.id, version)
        except Refused as error:
            return page(request, here, "terms", problem=str(error), status=409)
    return go(here.home)


@router.get("/details")
def details_page(request: Request, here: Here) -> Response:
    """What happens next, what every hyperparameter means, what the data is, and the button that starts the clock."""
    if here.step is not ParticipantStep.DETAILS:
        return go(here.address)
    fields, choosing = space_form.fields(here.task.space), minutes(here.lab.rules.choosing / 60)
    shown_live = here.study.shows_live(here.participant.condition)
    return page(request, here, "details", fields=fields, choosing=choosing, shown_live=shown_live)


@router.post("/practice/start")
def begin_practice(here: Here) -> Response:
    """On to the practice trials, off the clock."""
    if here.step is ParticipantStep.DETAILS and here.study.practice:
        here.lab.participants.read_details(here.participant.id)
    return go(here.home)


@router.get("/practice")
def practice_page(request: Request, here: Here) -> Response:
    """The tune page on another task, without a clock: to learn how the pages work. It opens the practice session."""
    if not here.practises:
        return go(here.address)
    if here.participant.practice_id is None:
        return page(request, here, "practice")
    return _tune_page(request, here)


@router.post("/practice")
def open_practice(here: Here) -> Response:
    """Open the practice session, once."""
    if here.practises and here.participant.practice_id is None:
        here.lab.participants.open_practice(here.participant.id, practice.load({}).record, rules.PRACTICE_BUDGET)
    return go(here.home)


@router.post("/tune/start")
def begin(here: Here) -> Response:
    """Start the clock; one that runs goes on."""
    if here.step in (ParticipantStep.DETAILS, ParticipantStep.PRACTICE):
        here.lab.participants.read_details(here.participant.id)
        here.lab.participants.begin(here.participant.id)
    return go(here.home)


# Tune


@router.get("/tune")
def tune_page(request: Request, here: Here) -> Response:
    """The form, the running trial, the history. The query `from` names the trial whose values the form starts with."""
    if here.step is not ParticipantStep.TUNE:
        return go(here.address)
    return _tune_page(request, here)


def _tune_page(request: Request, here: ParticipantPlace) -> Response:
    with here.lab.at_once():
        view = here.view()
        return _tune(request, here, view, source=tune_page_parts.source_of(request, view))


def _tune(
    request: Request,
    here: ParticipantPlace,
    view: View,
    *,
    source: Trial | None = None,
    typed: Typed | None = None,
    problems: Mapping[str, str] | None = None,
    message: str = "",
    status: int = 200,
) -> Response:
    context = tune_page_parts.tune_context(
        request, here.lab, view, here.task.space, here.step, source=source, typed=typed, problems=problems
    )
    return page(
        request,
        here,
        "tune",
        status=status,
        reasons=here.reasons,
        reason_words=here.reason_words,
        message=message,
        writes=message != ELSEWHERE_MESSAGE,
        **context,
    )


@router.post("/tune/submit")
async def submit(request: Request, here: Here) -> Response:
    """Start a trial with what was typed, or go on to confirm it as the final choice. Wrong fields come back with what to type.

    A script's request is answered in JSON, any other with a page.
    """
    form = dict(await request.form())
    return await asyncio.to_thread(_submit, request, here, form)


def _submit(request: Request, here: ParticipantPlace, form: Mapping[str, Any]) -> Response:
    if here.step not in (ParticipantStep.TUNE, ParticipantStep.PRACTICE):
        return _onwards(request, here.address)
    typed = space_form.read(here.task.space, form)
    if not _may_write(here, form):
        return _again(request, here, typed, {}, ELSEWHERE_MESSAGE, 409)
    try:
        configuration = space_form.configuration(here.task.space, typed)
        if form.get("final") == "yes" and here.step is ParticipantStep.TUNE:
            return _onwards(request, f"{here.home}/final?{urlencode(tune_page_parts.named(here.task.space, configuration))}")
        reasons, key = space_form.reasons(typed, here.study.reasons), tune_page_parts.key_of(form)
        if here.study.reasons_required and not here.practises and (missing := _missing_reasons(here, configuration, reasons)):
            return _again(request, here, typed, missing, "", 422)
        trial = here.lab.participants.submit(here.session_id, configuration, reasons, key, _signals(here, form))
    except InvalidConfiguration as error:
        return _again(request, here, typed, space_form.problems(here.task.space, error), "", 422)
    except Refused as error:
        return _again(request, here, typed, {}, str(error), 409)
    if tune_page_parts.wants_json(request):
        return JSONResponse({"number": trial.number, "key": tune_page_parts.new_key()})
    return go(f"{here.address}#run")


def _signals(here: ParticipantPlace, form: Mapping[str, Any]) -> signals.Signals | None:
    """How the form was filled in, where the study records that: never of practice, never without the participant's script."""
    if not here.study.signals or here.practises:
        return None
    return signals.read(str(form.get("signals", "")), [hyperparameter.name for hyperparameter in here.task.space])


def _missing_reasons(here: ParticipantPlace, chosen: Configuration, given: Mapping[str, str]) -> dict[str, str]:
    trials = here.view().session.trials
    before = trials[-1].configuration if trials else None
    return space_form.missing_reasons(here.task.space, chosen, given, before)


def _may_write(here: ParticipantPlace, form: Mapping[str, Any]) -> bool:
    """Whether the window that sent a form is the one that writes; where it is, it stays so."""
    return here.lab.participants.hold(here.participant.id, _window(here, form))


def _window(here: ParticipantPlace, form: Mapping[str, Any]) -> str:
    return str(form.get("window", ""))[:64] or here.window


@router.post("/continue")
def continue_here(request: Request, here: Here, window: Annotated[str, Form()] = "") -> Response:
    """Let this window write from now on; the one that did so far is told."""
    here.lab.participants.hold(here.participant.id, window[:64] or here.window, take=True)
    return JSONResponse({"writes": True}) if tune_page_parts.wants_json(request) else go(here.home)


def _onwards(request: Request, address: str) -> Response:
    return JSONResponse({"go": address}) if tune_page_parts.wants_json(request) else go(address)


def _again(
    request: Request, here: ParticipantPlace, typed: Typed, problems: Mapping[str, str], message: str, status: int
) -> Response:
    if tune_page_parts.wants_json(request):
        return JSONResponse({"problems": problems, "message": message}, status)
    return _tune(request, here, here.view(), typed=typed, problems=problems, message=message, status=status)


@router.post("/tune/stop")
def stop(request: Request, here: Here, number: Annotated[int, Form()], window: Annotated[str, Form()] = "") -> Response:
    """Stop a trial early; what it measured stands."""
    if here.step in (ParticipantStep.TUNE, ParticipantStep.FINAL, ParticipantStep.PRACTICE):
        if not _may_write(here, {"window": window}):
            trials = here.view().session.trials
            typed = space_form.typed_from(here.task.space, trials[-1].configuration) if trials else Typed()
            return _again(request, here, typed, {}, ELSEWHERE_MESSAGE, 409)
        here.lab.stop(here.session_id, number)
    return _onwards(request, here.address)


@router.get("/trials")
def trials(request: Request, here: Here) -> Response:
    """The history alone. order: best, new. since: before, best, defaults or a trial's number. all: yes for every row."""
    context = tune_page_parts.history_context(request, here.view())
    return page(request, here, "_history", reason_words=here.reason_words, **context)


@router.get("/trials/{number}/curve")
def curve(here: Here, number: int, attempt: int = 0, after: int = -1) -> Response:
    """What a trial measured after the index `after` of `attempt`: lists of [index, step, epoch or null, loss, value]."""
    learning_curve = here.lab.curve(here.session_id, number, (attempt, after))
    points = tune_page_parts.points_of(learning_curve)
    return JSONResponse({"number": number, "attempt": learning_curve.attempt, "points": points})


@router.get("/events")
async def events(request: Request, here: Here) -> Response:
    """The running trial and the session's state, live."""

    lab, person, window = here.lab, here.participant.id, request.query_params.get("window", "")[:64] or here.window

    writes, tunes = here.lab.participants.holds(person, window), here.step in (ParticipantStep.TUNE, ParticipantStep.FINAL)

    def beside() -> bool:
        nonlocal writes
        writes = lab.participants.holds(person, window)
        return writes

    def describe(view: View, latest: LearningCurve | None) -> dict[str, Any]:
        step = STEP_OF_STATE.get(view.state) if tunes else None  # else it takes another read of everything
        return run_panel.as_json(view, latest, step or lab.participants.step(person), writes)

    def present() -> None:
        lab.participants.present(person, session_id, window)

    session_id = here.session_id
    viewer = ("participant", person, window, tunes)
    return session_events(request, lab, session_id, lambda: describe, viewer, present=present, beside=beside)


# The final choice


@router.get("/final")
def final_page(request: Request, here: Here) -> Response:
    """Asks whether a trial (query `trial`) or a configuration (its values in the query) shall be the final choice; with
    neither, which trial it shall be."""
    if here.step not in (ParticipantStep.TUNE, ParticipantStep.FINAL):
        return go(here.address)
    query = request.query_params
    typed = space_form.read(here.task.space, dict(query))
    view = here.view()
    trial = tune_page_parts.numbered(view, query.get("trial", ""))
    chosen: Configuration | None = trial.configuration if trial else None
    if trial is None and typed.values:
        try:
            chosen = space_form.configuration(here.task.space, typed)
        except InvalidConfiguration as error:
            return _again(request, here, typed, space_form.problems(here.task.space, error), "", 422)
    return _final(request, here, view, trial, chosen, "")


def _final(
    request: Request,
    here: ParticipantPlace,
    view: View,
    trial: Trial | None,
    chosen: Configuration | None,
    problem: str,
    status: int = 200,
) -> Response:
    return page(
        request,
        here,
        "final",
        status=status,
        view=view,
        trial=trial,
        chosen=chosen,
        named=tune_page_parts.named(here.task.space, chosen) if chosen and not trial else {},
        problem=problem,
        clock=run_panel.clock_of(view),
        choices=tune_page_parts.choosable(view),
        open_trial=tune_page_parts.open_trial(view),
        late=view.state is State.CHOOSING,
        step=ParticipantStep.FINAL,
        now=here.step,
        space=here.task.space,
        metric=metric_name(here.task.metric),
        key=tune_page_parts.new_key(),
        elsewhere=problem == ELSEWHERE_MESSAGE,
    )


def _final_elsewhere(request: Request, here: ParticipantPlace, typed: Typed, number: str) -> Response:
    """The same question again, with what was chosen, for a window that may not write."""
    view = here.view()
    trial = tune_page_parts.numbered(view, number)
    chosen = trial.configuration if trial else None
    if trial is None and typed.values:
        with suppress(InvalidConfiguration):
            chosen = space_form.configuration(here.task.space, typed)
    return _final(request, here, view, trial, chosen, ELSEWHERE_MESSAGE, 409)


@router.post("/final")
async def choose(request: Request, here: Here) -> Response:
    """End the session with the confirmed choice: a trial's number, or the values of a configuration."""
    form = dict(await request.form())
    return await asyncio.to_thread(_choose, request, here, form)


def _choose(request: Request, here: ParticipantPlace, form: Mapping[str, Any]) -> Response:
    if here.step not in (ParticipantStep.TUNE, ParticipantStep.FINAL):
        return go(here.address)
    typed, number = space_form.read(here.task.space, form), str(form.get("trial", ""))
    if not _may_write(here, form):
        return _final_elsewhere(request, here, typed, number)
    key = tune_page_parts.key_of(form)
    try:
        if (chosen_number := whole_number(number)) is not None:
            here.lab.choose(here.session_id, number=chosen_number, key=key)
        elif typed.values:
            here.lab.choose(here.session_id, configuration=space_form.configuration(here.task.space, typed), key=key)
        else:
            here.lab.choose(here.session_id, key=key)
    except (Refused, InvalidConfiguration) as error:
        return _final(request, here, here.view(), None, None, str(error), 409)
    return go(here.home)


@router.get("/thanks")
def thanks_page(request: Request, here: Here) -> Response:
    """The end, without any test score."""
    if here.step is not ParticipantStep.THANKS:
        return go(here.address)
    session = here.view().session
    trial = session.chosen_trial
    return page(request, here, "thanks", session=session, trial=trial)


# Withdrawal


@router.get("/withdraw")
def withdraw_page(request: Request, here: Here) -> Response:
    """Asks whether to withdraw."""
    return page(request, here, "withdraw") if here.step is not ParticipantStep.WITHDRAWN else go(here.address)


@router.post("/withdraw")
def withdraw(here: Here) -> Response:
    """Stop and erase all that the participant did and said."""
    if here.step is not ParticipantStep.WITHDRAWN:
        here.lab.participants.withdraw(here.participant.id)
    return go(f"{here.home}/withdrawn")


@router.get("/withdrawn")
def withdrawn_page(request: Request, here: Here) -> Response:
    """Says that it is done."""
    if here.step is not ParticipantStep.WITHDRAWN:
        return go(here.address)
    return page(request, here, "withdrawn")
