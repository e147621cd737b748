"""A trial's own page: what was tried, who proposed it and why, how it went, its files, and how to train it again."""

from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import FileResponse

from evenhand.analysis.summaries import ValueChange
from evenhand.analysis.trial_table import differences
from evenhand.lab.lab import Lab
from evenhand.model import choices
from evenhand.model.job import place_of
from evenhand.model.run_head import RunHead
from evenhand.model.session import Session
from evenhand.model.trial import Trial
from evenhand.model.words import is_share, metric_name
from evenhand.tasks.programs import output
from evenhand.web.access import lab_of
from evenhand.web.flash import said
from evenhand.web.pages import render
from evenhand.web.runs.facts import trial_cost
from evenhand.web.runs.own import own_head, own_run, takes_trials
from evenhand.web.runs.trial_files import file_of, folder_of

router = APIRouter()

MOST_TRIALS_FOR_WHY = 2_000  # known to its method, up to which why it was tried is worked out unasked; of more it takes seconds
MOST_FILE_BYTES = 1 << 30  # of one that is sent


@router.get("/sessions/{session_id}/trials/{number}")
def trial_page(request: Request, session_id: int, number: int) -> Response:
    """Everything that is known of a trial of a run."""
    lab, head = lab_of(request), own_head(request, session_id)
    session, trial = head.session, lab.trials.one(head.session, number)
    task, now = session.task, lab.clock()
    return render(
        request,
        "runs/trial.html",
        head=head,
        session=session,
        study=lab.studies.get(session.study_id, session.version),
        trial=trial,
        by=session.kind if trial.proposer == session.tuner else "participant",
        metric=metric_name(task.metric),
        share=is_share(task.metric),
        compared=_compared(lab, head, trial),
        misses=choices.misses(session, trial) if trial.violation > 0 else (),
        environment=None if trial.environment is None else lab.agents.environment(trial.environment),
        printed=output.tail_of(place_of(session, number, trial.attempt)),
        folder=folder_of(session, trial),
        points=_points(lab, session, trial),
        can_work=takes_trials(session, now),
        tells_why=trial.number <= MOST_TRIALS_FOR_WHY,
        cost=trial_cost(session, trial, now),
        now=now,
        said=said(request),
        here="Runs",
    )


def _compared(lab: Lab, head: RunHead, trial: Trial) -> dict[str, tuple[ValueChange, ...]]:
    """What differs from the defaults, from the trial before, and from the best one, by the words for that."""
    session = head.session
    before = lab.trials.some(session, [trial.number - 1]).get(trial.number - 1)
    changes_by_words = {"from the defaults": tuple(differences(session, trial, None))}
    if before is not None:
        changes_by_words[f"from trial {before.number:,}, the one before"] = tuple(differences(session, trial, before))
    if head.best is not None and head.best.number not in (trial.number, trial.number - 1):
        changes_by_words[f"from trial {head.best.number:,}, the best"] = tuple(differences(session, trial, head.best))
    return changes_by_words


def _points(lab: Lab, session: Session, trial: Trial) -> list[list[Any]]:
    """What it measured at the ends of epochs: lists of [epoch, value, loss]."""
    hidden = trial.is_open and not session.live_validation
    return [
        [measurement.epoch, None if hidden else measurement.value, measurement.loss]
        for measurement in lab.trials.curve(trial).measurements
        if measurement.epoch is not None
    ]


@router.get("/sessions/{session_id}/trials/{number}/files/{name:path}")
def trial_file(request: Request, session_id: int, number: int, name: str) -> Response:
    """A file of a trial's folder, to be kept: a browser never shows it as a page of this server."""
    session = own_run(request, session_id)
    trial = lab_of(request).trials.one(session, number)
    path = file_of(session, trial, name, MOST_FILE_BYTES)
    return FileResponse(path, media_type="application/octet-stream", filename=path.name, content_disposition_type="attachment")
