"""What the trials of a closed study say, task by task, whoever proposed them. While a study collects, nothing of it is shown."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from evenhand.errors import NotFound, Refused
from evenhand.explain import History, NextStep
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.study import Mode, Study
from evenhand.model.words import metric_name
from evenhand.web.access import identity, lab_of
from evenhand.web.cards import Action, cards_context
from evenhand.web.flash import said
from evenhand.web.pages import render
from evenhand.web.researcher.study import bar
from evenhand.web.state import held_by

router = APIRouter()

ELSEWHERE = "For the next study: this one has ended, and nothing is added to it."


@router.get("/studies/{study_id}/understand")
def understand_page(request: Request, study_id: int, task: Annotated[int, Query()] = 0, mode: Mode = "live") -> Response:
    """The page of one task of a study that has closed."""
    context = _context(request, study_id, task, mode)
    return render(
        request, "researcher/understand.html", said=said(request), **{**bar(lab_of(request), context["study"]), **context}
    )


@router.get("/studies/{study_id}/understand/cards")
def cards_part(request: Request, study_id: int, task: Annotated[int, Query()] = 0, mode: Mode = "live") -> Response:
    """The cards that are there now."""
    return render(request, "runs/_cards.html", **_context(request, study_id, task, mode))


def _context(request: Request, study_id: int, task: int, mode: Mode) -> dict[str, Any]:
    lab, who = lab_of(request), identity(request).who
    study = lab.studies.get(study_id)
    check_closed(study)
    sessions = _sessions(lab, study_id, mode)
    tasks = {session.task.id: session.task for session in sessions}
    if not tasks:
        raise NotFound(f"study {study.name!r} has no session of {mode} records, so there is nothing to be understood")
    chosen = tasks.get(task) if task else next(iter(tasks.values()))
    if chosen is None:
        raise NotFound(f"study {study.name!r} has no sessions on task {task}; expected one of {', '.join(map(str, tasks))}")
    of_task = [session for session in sessions if session.task.id == chosen.id]
    seen = {session.id for session in of_task} - lab.evaluations.unseen(study_id, mode, who)
    stamp = f"{sum(len(session.trials) for session in of_task)} {sorted(seen)} {[session.withdrawn_at for session in of_task]}"
    key = ("study", study_id, mode, chosen.id, stamp)  # nothing is shown that was of somebody who withdrew since
    worked = held_by(request.app).understandings.of(key, stamp, reader(lab, study, mode, chosen.id, who, seen))
    return {
        "study": study,
        "tasks": list(tasks.values()),
        "task": chosen,
        "mode": mode,
        "metric": metric_name(chosen.metric),
        "trials": sum(len(session.trials) for session in of_task),
        "sessions": len(of_task),
        "trial_root": "",  # they are of many sessions
        "is_over": True,
        **cards_context(worked, _elsewhere),
    }


def check_closed(study: Study) -> None:
    """Refused until a study has closed, as its test scores are: whoever saw findings could steer what is still collected."""
    if study.closed_at is None and not study.archived:
        raise Refused(f"study {study.name!r} has not closed, and what its trials say stays hidden until then; close it first")


def _sessions(lab: Lab, study_id: int, mode: Mode) -> list[Session]:
    """Those that count: of the mode, no practice, not withdrawn."""
    return [
        session
        for session in lab.sessions.of_study(study_id)
        if session.mode == mode and not session.practice and session.withdrawn_at is None
    ]


def reader(lab: Lab, study: Study, mode: Mode, task_id: int, who: str, seen: set[int]) -> Callable[[], History]:
    """Reads the trials of all sessions on a task. seen: sessions at whose test scores `who` has looked."""

    def read() -> History:
        check_closed(lab.studies.get(study.id))
        sessions = [session for session in _sessions(lab, study.id, mode) if session.task.id == task_id]
        first = sessions[0].task
        trials = [replace(trial, proposer=lab.people.shown(trial.proposer)) for session in sessions for trial in session.trials]
        tests = {}
        for session in sessions:
            chosen = session.chosen_trial
            if session.id in seen and chosen is not None and any(name == who for name, _ in lab.evaluations.looks(session.id)):
                scores = lab.evaluations.get(session.id, who).scores
                tests[chosen.id] = tuple(score.value for score in scores if score.value is not None)
        made = History.of(first.space, first.metric, first.maximize, trials)
        rows, test_rows = first.rows("validation"), first.rows("test")
        return replace(made, tests=tests, validation_rows=rows, test_rows=test_rows)

    return read


def _elsewhere(step: NextStep) -> Action:
    return Action(step.words, how=ELSEWHERE)
