"""Start a method beside a study's people: which ones can run here, what each does, and its settings in a form."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from evenhand.errors import InvalidSettings, Refused
from evenhand.lab.lab import Lab
from evenhand.methods import METHODS
from evenhand.model.study import MODES, Mode, Study
from evenhand.studies.method_sessions import LARGEST_SEED, next_seed, open_session
from evenhand.web import method_offers
from evenhand.web.access import lab_of
from evenhand.web.came_back import CameBack
from evenhand.web.entry import go
from evenhand.web.flash import said
from evenhand.web.method_offers import Offer
from evenhand.web.method_threads import HELD_DRIVER
from evenhand.web.pages import render
from evenhand.web.researcher.study import bar
from evenhand.web.state import held_by

router = APIRouter()

MOST_LETTERS = 200  # of what is typed into a field


@dataclass(frozen=True)
class Entered(CameBack):
    """The form, with the method that was picked (its part), and what was typed, by setting."""

    typed: Mapping[str, str] = field(default_factory=dict)
    hold: bool = False


@router.get("/studies/{study_id}/methods")
def methods_page(request: Request, study_id: int, mode: Annotated[Mode | None, Query()] = None) -> Response:
    """The methods that can run here, the recommended one first."""
    study = lab_of(request).studies.get(study_id)
    return _page(request, study, mode or ("pilot" if study.published_at is None else "live"), Entered())


@router.post("/studies/{study_id}/methods")
async def start_method(request: Request, study_id: int) -> Response:
    """Open a method's session under the study's budget, beside the records of a mode, and play it.

    hold: "yes" where it waits on its workbench, so that what is believed can be said before it starts.
    """
    form = {name: str(value)[:MOST_LETTERS] for name, value in (await request.form()).items()}
    return await run_in_threadpool(_start, request, study_id, form)


def _start(request: Request, study_id: int, form: Mapping[str, str]) -> Response:
    lab, name, mode = lab_of(request), form.get("method", ""), _mode(form.get("mode", "live"))
    if name not in METHODS:
        raise InvalidSettings(f"method {name!r}: there is none; expected one of {METHODS.known}")
    typed = method_offers.settings_typed(name, form)
    typed.setdefault("seed", form.get("seed", "0"))
    settings, problems = method_offers.read_settings(name, typed)
    seed = 0
    try:
        seed = method_offers.read_seed(typed["seed"])
    except InvalidSettings as error:
        problems["seed"] = str(error)
    driver = HELD_DRIVER if form.get("hold") == "yes" else "server"
    entered = Entered(name, problems, typed=typed, hold=driver == HELD_DRIVER)
    study = lab.studies.get(study_id)
    if problems:
        return _page(request, study, mode, entered, 422)
    try:
        task = lab.studies.task(study.task_id)
        if why := method_offers.why_not(task, name, settings, resumes=study.resumable):
            raise InvalidSettings(why)
        session = open_session(lab, study_id, name, seed, mode, driver, settings)
    except (InvalidSettings, Refused) as error:
        return _page(request, study, mode, replace(entered, message=str(error)), 409)
    if driver == HELD_DRIVER:
        return go(f"/sessions/{session.id}/workbench?do=beliefs")
    held_by(request.app).players.play(session.id)
    return go(f"/studies/{study_id}?mode={mode}")


def _mode(given: str) -> Mode:
    for mode in MODES:
        if mode == given:
            return mode
    raise InvalidSettings(f"mode {given!r}: expected one of {', '.join(MODES)}")


def _page(request: Request, study: Study, mode: Mode, entered: Entered, status: int = 200) -> Response:
    lab = lab_of(request)
    offers, others = offered(lab, study, entered)
    return render(
        request,
        "researcher/start_method.html",
        status=status,
        offers=offers,
        others=others,
        entered=entered,
        picked=entered.part or (offers[0].name if offers else ""),
        mode=mode,
        largest_seed=LARGEST_SEED,
        said=said(request),
        **bar(lab, study),
    )


def offered(lab: Lab, study: Study, entered: Entered) -> tuple[list[Offer], dict[str, str]]:
    """The methods that can run in a study here, the recommended one first; and by their names why the others cannot."""
    sessions = lab.sessions.of_study(study.id)
    return method_offers.offered(
        lab.studies.task(study.task_id),
        study.budget.trials,
        method_offers.Typed(entered.part, entered.typed, entered.problems),
        resumes=study.resumable,
        seeds={name: next_seed(sessions, name) for name in METHODS},
    )
