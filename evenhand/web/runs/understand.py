"""What a run's trials say: findings as cards, each with how sure it is, its picture, and what one could do about it.

They are worked out in the background, and the page shows each as it is there. A study's sessions have no such page.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response

from evenhand.analysis.run_rows import RunRow
from evenhand.errors import Refused
from evenhand.explain import History, NextStep
from evenhand.explain.noise import RERUN_SEEDS
from evenhand.lab.lab import Lab
from evenhand.model.configuration import Configuration
from evenhand.model.session import LABORATORY, PERSON_DRIVER, Session
from evenhand.model.study import Budget
from evenhand.model.words import metric_name
from evenhand.report import run_records
from evenhand.report.cards.histories import history_of
from evenhand.studies.own_runs import study_of_runs
from evenhand.web.access import caller_of, identity, lab_of
from evenhand.web.cards import Action, cards_context
from evenhand.web.entry import go
from evenhand.web.pages import render
from evenhand.web.runs.own import own_head, own_run, takes_trials
from evenhand.web.space_form import VALUE_FIELD
from evenhand.web.state import held_by
from evenhand.web.understanding import Worked
from evenhand.web.workbench import forms

router = APIRouter()

MOST_RERUN = 10  # trials at a time


@router.get("/sessions/{session_id}/understand")
def understand_page(request: Request, session_id: int) -> Response:
    """The page: what is there at once, and the rest as it comes."""
    return render(request, "runs/understand.html", here="Runs", **_context(request, session_id))


@router.get("/sessions/{session_id}/understand/cards")
def cards_part(request: Request, session_id: int) -> Response:
    """The cards that are there now."""
    return render(request, "runs/_cards.html", **_context(request, session_id))


def _context(request: Request, session_id: int) -> dict[str, Any]:
    head, lab, who = own_head(request, session_id), lab_of(request), identity(request).who
    session = head.session
    looked = any(name == who for name, _ in lab.evaluations.looks(session_id))
    stamp = f"{lab.trials.pulse(session_id)[1]} {session.choice is not None} {session.evaluated.done if looked else ''}"
    worked = Worked(stamp)
    if head.trials:
        again = reruns(lab, session_id)
        stamp += f" {[(row.session_id, row.trials, row.best) for row in again]}"
        understandings = held_by(request.app).understandings
        worked = understandings.of(
            ("run", session_id, looked),
            stamp,
            reader(lab, session_id, who if looked else None, [row.session_id for row in again]),
        )
    return {
        "session": session,
        "study": lab.studies.get(session.study_id, session.version),
        "trials": head.trials,
        "metric": metric_name(session.task.metric),
        "trial_root": f"{held_by(request.app).public.prefix}/sessions/{session_id}/trials",
        "is_over": session.choice is not None or session.withdrawn_at is not None,
        **cards_context(worked, lambda step: action(lab, session, step)),
    }


def reader(lab: Lab, session_id: int, who: str | None, again: Sequence[int] = ()) -> Callable[[], History]:
    """Reads a run's history.

    who: whose logged look shows its test score; None: it is not shown. again: the runs that repeat its trials.
    """

    def read() -> History:
        records = run_records.read(lab, lab.sessions.get(session_id), () if who is None else (who,))
        made = history_of(records.session, records.evaluation, run_records.names_in(lab, records))
        repeats = [trial for other in again for trial in lab.sessions.get(other).trials if not trial.is_open]
        return replace(made, repeats=tuple(repeats))

    return read


# What one could do


def action(lab: Lab, session: Session, step: NextStep) -> Action:
    """What a step is on a run's page: a form where the run takes it, else how it is done elsewhere."""
    takes = takes_trials(session, lab.clock())
    address = f"/sessions/{session.id}/workbench"
    if takes and step.kind == "try":
        return Action(step.words, f"{address}/trial", _trial_fields(session, step))
    if takes and step.kind in ("narrow", "freeze"):
        return Action(step.words, f"{address}/limits", tuple(_limit_fields(session, step.changes)))
    if step.kind == "rerun" and session.process == LABORATORY and not session.space.is_open:
        fields = tuple(("trial", str(number)) for number in step.trials)
        return Action(step.words, f"/sessions/{session.id}/understand/rerun", fields)
    return Action(step.words, how=ELSEWHERE[step.kind])


ELSEWHERE: Mapping[str, str] = {
    "widen": "A run never goes beyond its task's space: declare the wider range where the task is declared, and start a new run.",
    "narrow": "Limits are set while a method tunes the run, or on the form that starts a new one.",
    "freeze": "Limits are set while a method tunes the run, or on the form that starts a new one.",
    "rerun": "Start a run with another seed and train them there: runs of one task with other seeds measure the spread.",
    "add": "Go on with the run's own command and a larger budget, or start a new run.",
    "try": "A trial can be added while a method tunes the run.",
}


def _trial_fields(session: Session, step: NextStep) -> tuple[tuple[str, str], ...]:
    values = [(f"{VALUE_FIELD}{name}", session.space[name].text(value)) for name, value in step.values.items()]
    return (*values, ("reason", step.words), ("key", secrets.token_urlsafe(12)))


def _limit_fields(session: Session, changes: Mapping[str, Mapping[str, Any]]) -> Sequence[tuple[str, str]]:
    asked = forms.asked_for(session, changes)
    return [(name, text) for name, texts in asked.items() for text in texts]


# The same configurations with other seeds


@router.post("/sessions/{session_id}/understand/rerun")
def rerun(request: Request, session_id: int, trial: Annotated[list[int], Form(max_length=MOST_RERUN)]) -> Response:
    """Train some of a run's configurations with further seeds: a run for each seed, found again by its tag."""
    lab, session = lab_of(request), own_run(request, session_id)
    if session.process != LABORATORY or session.space.is_open:
        raise Refused(
            f"{session.called} is trained by a program of its own; {ELSEWHERE['rerun'][:1].lower()}{ELSEWHERE['rerun'][1:]}"
        )
    trials = [lab.trials.one(session, number) for number in dict.fromkeys(trial)]
    who = caller_of(request).who
    opened = [_rerun(lab, session, seed, [one.configuration for one in trials], who) for seed in _next_seeds(lab, session)]
    lab.runs.add_tags(opened, [rerun_tag(session_id)])
    return go(f"/sessions/{session_id}/understand")


def rerun_tag(session_id: int) -> str:
    """What the runs are tagged with that train a run's configurations with other seeds."""
    return f"seeds of {session_id}"


def reruns(lab: Lab, session_id: int) -> list[RunRow]:
    """The runs that train a run's configurations with other seeds."""
    return [row for row in lab.runs.all() if rerun_tag(session_id) in row.notes.tags and row.notes.deleted_at is None]


def _next_seeds(lab: Lab, session: Session) -> list[int]:
    """Seeds that neither the run nor one that repeats it has."""
    studies = [session.study_id, *(row.study_id for row in reruns(lab, session.id))]
    last = max(lab.studies.get(study_id).seed for study_id in studies)
    return [last + more for more in range(1, RERUN_SEEDS + 1)]


def _rerun(lab: Lab, session: Session, seed: int, configurations: Sequence[Configuration], who: str) -> int:
    """Open a run with a seed and queue the configurations; its number."""
    budget = Budget(trials=len(configurations), parallel=len(configurations))
    study = study_of_runs(lab, session.task, budget, seed=seed, mode=None, value_rule=session.value_rule)
    opened = lab.sessions.open(study.id, budget=budget, tuner=who, person=who, driver=PERSON_DRIVER, purpose="exploratory")
    lab.start(opened.id)
    for configuration in configurations:
        lab.submit(opened.id, configuration)
    return opened.id
