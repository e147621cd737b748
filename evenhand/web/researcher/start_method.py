"""Start a method beside a study's people: which ones can run here, what each does, and its settings in a form."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from evenhand.errors import EvenhandError, InvalidSettings, Refused
from evenhand.lab.lab import Lab
from evenhand.methods import METHODS
from evenhand.methods.words import Setting, form_settings, words_of
from evenhand.model.study import MODES, Mode, Study
from evenhand.model.task import TaskRecord
from evenhand.model.typed_numbers import plainly, why_ambiguous
from evenhand.runners.method_player import read_method
from evenhand.studies.method_sessions import LARGEST_SEED, next_seed, open_session
from evenhand.web.access import lab_of
from evenhand.web.came_back import CameBack
from evenhand.web.entry import go
from evenhand.web.flash import said
from evenhand.web.method_threads import HELD_DRIVER
from evenhand.web.pages import render
from evenhand.web.researcher.study import bar
from evenhand.web.state import held_by

router = APIRouter()

MOST_LETTERS = 200  # of what is typed into a field
FEW_TRIALS = 10  # up to which tpe would only draw by chance
RECOMMENDED, RECOMMENDED_FOR_FEW = "tpe", "sobol"


@dataclass(frozen=True)
class Field:
    """A setting, with what stands in its field and what is wrong with that."""

    setting: Setting
    text: str
    problem: str = ""


@dataclass(frozen=True)
class Offer:
    """A method that can run here. seed: what stands in its field. why_first: why it is recommended; empty for the others."""

    name: str
    words: str
    seed: str
    fields: tuple[Field, ...]
    why_first: str = ""
    seed_problem: str = ""


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
    typed = {key.partition(".")[2]: text for key, text in form.items() if key.startswith(f"{name}.")}
    typed.setdefault("seed", form.get("seed", "0"))
    settings, problems = _read(name, typed)
    driver = HELD_DRIVER if form.get("hold") == "yes" else "server"
    entered = Entered(name, problems, typed=typed, hold=driver == HELD_DRIVER)
    study = lab.studies.get(study_id)
    if problems:
        return _page(request, study, mode, entered, 422)
    try:
        seed = settings.pop("seed")
        if why := why_not(study, lab.studies.task(study.task_id), name, settings):
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
    """The methods that can run here, the recommended one first; and by their names why the others cannot."""
    task, sessions = lab.studies.task(study.task_id), lab.sessions.of_study(study.id)
    offers, others = [], {}
    first, why_first = recommended(study)
    for name in METHODS:
        if why := why_not(study, task, name, {}):
            others[name] = why
            continue
        typed, problems = (entered.typed, entered.problems) if entered.part == name else ({}, {})
        fields = tuple(
            Field(setting, typed.get(setting.name, str(setting.default)), problems.get(setting.name, ""))
            for setting in form_settings(name)
        )
        seed = typed.get("seed", str(next_seed(sessions, name)))
        why = why_first if name == first else ""
        offers.append(Offer(name, words_of(name), seed, fields, why, problems.get("seed", "")))
    return sorted(offers, key=lambda offer: not offer.why_first), others


def recommended(study: Study) -> tuple[str, str]:
    """Which method is recommended under a study's budget, and why."""
    trials = study.budget.trials
    if trials is not None and trials <= FEW_TRIALS:
        return RECOMMENDED_FOR_FEW, f"with {trials} trials a model would hardly come beyond its random start-up"
    return RECOMMENDED, "it suits every kind of space and most budgets"


def why_not(study: Study, task: TaskRecord, name: str, settings: Mapping[str, Any]) -> str:
    """Why a method cannot run with these settings in a study on this machine, in words; nothing where it can."""
    try:
        described = read_method(task, {"name": name, **settings})
    except EvenhandError as error:
        return str(error)
    if getattr(described.method, "resumes", False) and not study.resumable:
        return f"method {name!r} lets trainings go on, and in this study they always begin anew"
    return ""


def _read(name: str, typed: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """What was typed, as settings that are not their defaults, with the seed; and by setting what is wrong."""
    values: dict[str, Any] = {}
    problems: dict[str, str] = {}
    for setting in (Setting("seed", 0, ""), *form_settings(name)):
        text = typed.get(setting.name, str(setting.default))
        try:
            value = _value(setting, text)
        except InvalidSettings as error:
            problems[setting.name] = str(error)
            continue
        if setting.name == "seed" or value != setting.default:
            values[setting.name] = value
    seed = values.get("seed", 0)
    if not 0 <= seed <= LARGEST_SEED:
        problems["seed"] = f"got {seed}, expected a whole number from 0 to {LARGEST_SEED}"
    return values, problems


def _value(setting: Setting, text: str) -> int | float | str:
    """What a field's text says; InvalidSettings where it is none such."""
    plain = plainly(text)
    if isinstance(setting.default, str):
        return plain
    is_whole = isinstance(setting.default, int)
    if why := why_ambiguous(plain, whole=is_whole):
        raise InvalidSettings(why)
    value = _whole(plain) if is_whole else _number(plain)
    if value is None:
        kind = "a whole number" if is_whole else "a number"
        raise InvalidSettings(f"got {plain!r}, expected {kind}, such as {setting.default}")
    return value


def _whole(plain: str) -> int | None:
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) <= len(str(LARGEST_SEED)) else None


def _number(plain: str) -> float | None:
    try:
        value = float(plain.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None
