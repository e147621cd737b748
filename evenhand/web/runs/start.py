"""Start a run from the browser: pick a task, look over its space, method and budget, and press one button.

A method's run is played by this server and trained by agents, and goes on after a restart; one that is tuned by hand opens its
tune page at once. Both are exploratory, and what was changed of the space is recorded at their birth.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from evenhand.errors import InvalidSettings, InvalidSpace, NotFound, Refused, TaskMissing
from evenhand.lab.lab import Lab
from evenhand.model.session import PERSON_DRIVER, Session
from evenhand.model.task import TaskRecord
from evenhand.model.typed_numbers import whole_number
from evenhand.runners import aside
from evenhand.runners.aside import TaskFacts
from evenhand.studies.own_runs import EVALUATION_SEEDS, study_of_runs
from evenhand.web import method_offers
from evenhand.web.access import caller_of, lab_of
from evenhand.web.entry import go
from evenhand.web.flash import said
from evenhand.web.pages import render
from evenhand.web.runs import start_plan, start_tasks
from evenhand.web.runs.start_plan import Entered, Plan
from evenhand.web.runs.start_tasks import TaskOffer
from evenhand.web.state import base_address, held_by
from evenhand.web.workbench import forms as workbench_forms

router = APIRouter()

MOST_LETTERS = 1000  # of what is typed into a field
MOST_FIELDS = 4000  # of a form, whose space may be large
SHOWN_METHODS = 3  # the others are a click away
BASELINE = "random"  # the method that comes right after the recommended one
MOST_RUN_NAMES = 1000  # that are tried for a run without a name of its own


@router.get("/start")
def start_page(request: Request, task: Annotated[str, Query(max_length=64)] = "") -> Response:
    """The tasks to pick from; with one picked, the form that starts a run of it."""
    lab = lab_of(request)
    if not task:
        return _tasks_page(request)
    offer = start_tasks.offer_of(lab, task)
    if offer is None:
        return _tasks_page(request, "the task that this address names cannot be started here", 404)
    try:
        facts = aside.task_facts(offer.spec)
    except (TaskMissing, InvalidSettings) as error:
        return _tasks_page(request, f"{offer.title}: {error}", 409)
    texts = {**start_plan.USUAL_TEXTS, "value": facts.value_rule, "evaluate": "yes", "name": _free_name(lab, offer)}
    return _form_page(request, offer, facts, Entered(texts=texts))


def _tasks_page(request: Request, problem: str = "", status: int = 200) -> Response:
    offers = start_tasks.offers(lab_of(request))
    groups = [
        (words, [offer for offer in offers if offer.group == group and not offer.why_not])
        for group, words in start_tasks.GROUP_WORDS.items()
    ]
    return render(
        request,
        "runs/start.html",
        status=status,
        groups=[(words, offered) for words, offered in groups if offered],
        refused=[offer for offer in offers if offer.why_not],
        problem=problem,
        said=said(request),
        here="Runs",
    )


def _form_page(request: Request, offer: TaskOffer, facts: TaskFacts, entered: Entered, status: int = 200) -> Response:
    lab, task = lab_of(request), facts.record
    trials = whole_number(entered.texts.get("trials", ""))
    methods, others = method_offers.offered(task, trials, entered.method, resumes=True)
    methods.sort(key=lambda method: (not method.why_first, method.name != BASELINE))
    of_space = {key.removeprefix("space."): words for key, words in entered.problems.items() if key.startswith("space.")}
    agents = lab.agents.all()
    return render(
        request,
        "runs/start_form.html",
        status=status,
        offer=offer,
        task=task,
        rows=workbench_forms.limit_rows(task.space, task.space, entered.asked, of_space),
        offers=methods,
        shown_methods=SHOWN_METHODS,
        others=others,
        picked=entered.method.method or (methods[0].name if methods else ""),
        entered=entered,
        typed=entered.texts,
        problems=entered.problems,
        settings_open=bool(entered.method.problems),
        slots=sum(agent.slots for agent in agents),
        agents=agents,
        address=base_address(request),
        evaluation_seeds=EVALUATION_SEEDS,
        said=said(request),
        here="Runs",
    )


def _free_name(lab: Lab, offer: TaskOffer) -> str:
    """What the next run of a task may be called: the task's name, or the first number after it that no run has."""
    base = offer.title if offer.group == "built in" else start_tasks.base_name(offer.spec)
    names = (base, *(f"{base} {number}" for number in range(2, MOST_RUN_NAMES)))
    return next((name for name in names if lab.sessions.called(name) is None), "")


@router.post("/start")
async def start_run(request: Request) -> Response:
    """Start the run that the form says; where something in it is wrong, it comes back with all that was typed."""
    form = await request.form(max_fields=MOST_FIELDS)
    return await run_in_threadpool(_start, request, form)


def _start(request: Request, form: Any) -> Response:
    lab = lab_of(request)
    texts = {key: text.strip()[:MOST_LETTERS] for key, text in form.items() if isinstance(text, str)}
    offer = start_tasks.offer_of(lab, texts.get("task", ""))
    if offer is None:
        raise NotFound("the task that this form names cannot be started here; pick one on the page Start a run")
    try:
        facts = aside.task_facts(offer.spec)
    except (TaskMissing, InvalidSettings) as error:
        return _tasks_page(request, f"{offer.title}: {error}", 409)
    plan, entered = start_plan.read(facts, texts, workbench_forms.asked_of(form))
    if plan is None:
        return _form_page(request, offer, facts, entered, 422)
    try:
        session = _opened(lab, facts.record, plan, caller_of(request).who)
    except InvalidSpace as error:
        return _form_page(request, offer, facts, replace(entered, problems={"space": str(error)}), 422)
    except (InvalidSettings, Refused) as error:
        return _form_page(request, offer, facts, replace(entered, message=str(error)), 409)
    if plan.tags:
        lab.runs.add_tags([session.id], plan.tags)
    if plan.method is None:
        lab.start(session.id)
        return go(f"/sessions/{session.id}/tune")
    held_by(request.app).players.play(session.id)
    return go(f"/sessions/{session.id}")


def _opened(lab: Lab, task: TaskRecord, plan: Plan, who: str) -> Session:
    """The run's session, in the study that holds all runs of this task version with this seed."""
    study = study_of_runs(lab, task, plan.budget, seed=plan.seed, mode=plan.mode, value_rule=plan.value_rule)
    tuner: Mapping[str, Any] = {"tuner": who, "driver": PERSON_DRIVER}
    if plan.method is not None:
        tuner = {"tuner": str(plan.method["name"]), "method": plan.method, "driver": "server"}
    return lab.sessions.open(
        study.id,
        budget=plan.budget,
        name=plan.name,
        person=who,
        changes=plan.changes,
        purpose="exploratory",
        **tuner,
    )
