"""A run's page: how it goes and what is best on top, curves, the table of its trials, what it came to; live.

It is at the address of a session. Sessions of studies have their own page there, of which nothing here is a part.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from evenhand.analysis import summaries
from evenhand.analysis.run_rows import run_state
from evenhand.analysis.summaries import ValueChange
from evenhand.analysis.trial_table import differences
from evenhand.lab.lab import Lab
from evenhand.model import rules
from evenhand.model.run_head import RunHead
from evenhand.model.session import Session, State
from evenhand.model.state_words import hold_words
from evenhand.model.trial import Trial
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import clock, is_share, metric_name
from evenhand.web.access import identity, lab_of, stays_signed_in
from evenhand.web.flash import said
from evenhand.web.pages import render
from evenhand.web.researcher import overview
from evenhand.web.researcher.study import result_context, session_page
from evenhand.web.runs.facts import facts_of
from evenhand.web.runs.own import own_head, own_run, takes_trials
from evenhand.web.runs.trial_table import table_context
from evenhand.web.state import held_by
from evenhand.web.streams import Pace, Stated, Topic, stream
from evenhand.web.workbench import verbs
from evenhand.web.workbench.shown import Entered, forms_context, source_of, turn_context

router = APIRouter()

TOLD_WAIT_SECONDS = 5.0  # after which it is worth a line of its own that a trial waits: else charts would move at each trial
RUN_PACE = Pace(0.3, load=4, poll=1.0)  # it looks untold, too: a process of its own tunes, and says nothing when it dies


@dataclass(frozen=True)
class RunTop:
    """What the top of the page says beside what is stored. left, spent: of the budget, in words; empty where it is not known.

    best_changes: what of the best trial's configuration is not at its default. training: the trial that is told of, of those
    that are open. notes: of what is held or goes on.
    """

    state: str
    badge: str
    left: str
    seconds_left: float | None
    ticking: bool
    spent: str
    spent_words: str
    ended: str
    best_changes: tuple[ValueChange, ...]
    training: Trial | None
    notes: tuple[str, ...]


# The page


@router.get("/sessions/{session_id}")
def run_page(request: Request, session_id: int, whole: bool = False) -> Response:
    """How a session goes: a run's own page, or a session's of a study.

    whole: what a run came to is in the page at once, however long reading all of its trials takes.
    """
    if lab_of(request).trials.bare(session_id).purpose != "exploratory":
        return session_page(request, session_id)
    return show(request, session_id, Entered(), whole=whole)


def show(request: Request, session_id: int, entered: Entered, *, whole: bool = False, status: int = 200) -> Response:
    """The page, with a form of it that came back. whole: see `run_page`."""
    lab = lab_of(request)
    pulse = _pulse(lab, session_id)  # before the rest is read: what happens meanwhile is then told by the stream
    head = lab.trials.head(session_id)
    task = head.session.task
    shows_result = head.is_whole or whole or not _asks_for_all(head.session)
    came_to = _result_context(request, head.session) if shows_result else {}
    return render(
        request,
        "runs/run.html",
        status=status,
        metric=metric_name(task.metric),
        share=is_share(task.metric),
        shows_result=shows_result,
        pulse=pulse,
        said=said(request),
        here="Runs",
        **{**head_context(request, head), **table_context(request, head), **work_context(request, head, entered), **came_to},
    )


@router.get("/sessions/{session_id}/run/work")
def work_part(request: Request, session_id: int) -> Response:
    """The forms of who works with the method; nothing where nobody could."""
    own_run(request, session_id)
    return work(request, session_id, Entered())


def work(request: Request, session_id: int, entered: Entered, *, words: str = "", status: int = 200) -> Response:
    """The forms, one of which came back. words: what it came to."""
    head = own_head(request, session_id)
    context = {**head_context(request, head), **work_context(request, head, entered)}
    return render(request, "runs/_run_work.html", status=status, **{**context, "work_said": words})


@router.post("/sessions/{session_id}/run/trial")
async def add_trial(request: Request, session_id: int) -> Response:
    """Queue a trial of the person's own."""
    return await _answered(request, session_id, verbs.add_trial)


@router.post("/sessions/{session_id}/run/limits")
async def limit(request: Request, session_id: int) -> Response:
    """Narrow, widen or freeze what the method may try from now on."""
    return await _answered(request, session_id, verbs.limit)


@router.post("/sessions/{session_id}/run/beliefs")
async def believe(request: Request, session_id: int) -> Response:
    """Tell the method what is believed."""
    return await _answered(request, session_id, verbs.believe)


@router.post("/sessions/{session_id}/run/turn")
async def turn(request: Request, session_id: int) -> Response:
    """Pause, go on, take over, hand back, or stop a trial (`stop NUMBER`): the field `what`."""
    return await _answered(request, session_id, verbs.turn)


async def _answered(request: Request, session_id: int, verb: verbs.Verb) -> Response:
    """What a form came to: to a script that sent it the forms alone, so that the page stays; else the page."""
    await run_in_threadpool(own_run, request, session_id)

    def answer(came: verbs.Came) -> Response:
        if "hx-request" in request.headers:
            entered = Entered(came.part) if came.words else came.entered
            return work(request, session_id, entered, words=came.words, status=came.status)
        if came.words:
            return verbs.back_to(request, f"/sessions/{session_id}", came)
        return show(request, session_id, came.entered, status=came.status)

    return await verbs.sent(request, session_id, verb, answer)


def work_context(request: Request, head: RunHead, entered: Entered) -> dict[str, Any]:
    """The form to add a trial, limits, beliefs, and whose turn it is; nothing of it where nothing would train a trial."""
    lab, session = lab_of(request), head.session
    if not takes_trials(session, lab.clock()):
        return {}
    number = whole_number(request.query_params.get("from", ""))
    asked = {one for one in (number, head.newest_number) if one}
    some = lab.trials.some(session, asked)
    source = source_of(session, some.get(number or 0), some.get(head.newest_number))
    return {**forms_context(request, session, entered, source), "verbs_at": "run", "work_said": ""}


@router.get("/sessions/{session_id}/run/head")
def head_part(request: Request, session_id: int) -> Response:
    """The top of the page, as it is now."""
    return render(request, "runs/_run_head.html", **head_context(request, own_head(request, session_id)))


@router.get("/sessions/{session_id}/run/result")
def result_part(request: Request, session_id: int) -> Response:
    """What the run came to: choice, test score for whoever looked, how sure it is, the front. It asks for all trials."""
    return render(request, "runs/_run_result.html", **_result_context(request, own_run(request, session_id)))


def _result_context(request: Request, session: Session) -> dict[str, Any]:
    return result_context(request, lab_of(request).sessions.get(session.id) if _asks_for_all(session) else session)


def _asks_for_all(session: Session) -> bool:
    """Whether what a run came to is said of all of its trials: how sure its choice is, or its front."""
    return session.choice is not None or len(session.aims.objectives) > 1


def head_context(request: Request, head: RunHead) -> dict[str, Any]:
    """What the top of the page shows."""
    lab, session = lab_of(request), head.session
    study, now = lab.studies.get(session.study_id, session.version), lab.clock()
    is_over = session.choice is not None or session.withdrawn_at is not None
    state, works = rules.state_of(session, now), takes_trials(session, now) and not study.archived
    turn = turn_context(lab, session, state, rules.why_not_submit(session, 1, now), head.open_trials) if works else {}
    waits = head.is_whole and _waits_long(head.open_trials, now)
    return {
        "head": head,
        "session": session,
        "study": study,
        "top": run_top(head, now),
        "now": now,
        "is_over": is_over,
        "can_work": session.kind == "method" and not session.space.is_open and not study.archived,
        "works": works,
        "looked": False,
        "state": state,
        **turn,
        "waiting": lab.view(session.id).waiting if waits else None,
        "interrupted": rules.is_interrupted(session, now) and not study.archived,
        "notices": lab.sessions.notices(session.id) if "stopping" in session.method else (),
        "problem": held_by(request.app).players.problems.get(session.id),
        "run_notes": lab.runs.notes(session.id),
        "facts": facts_of(lab, session, identity(request).who),
    }


def run_top(head: RunHead, now: float) -> RunTop:
    """What the top of the page says."""
    session = head.session
    state = "erased" if session.withdrawn_at is not None else str(run_state(session, now))
    without_choice = session.choice is not None and session.choice.configuration is None
    seconds_left = rules.seconds_left(session, now) if session.budget.seconds is not None else None
    training = next((trial for trial in head.open_trials if trial.claimed_at is not None), None)
    stands = any(trial.claimed_at is None or trial.is_held for trial in head.open_trials)
    spent, spent_words = _spent(head)
    return RunTop(
        state=state,
        badge="finished without a choice" if without_choice else state,
        left=_left(head, now),
        seconds_left=seconds_left,
        ticking=state == "running" and seconds_left is not None and not stands,
        spent=spent,
        spent_words=spent_words,
        ended=rules.how_ended(session),
        best_changes=() if head.best is None else tuple(differences(session, head.best, None)),
        training=training or next(iter(head.open_trials), None),
        notes=tuple(hold_words(trial) for trial in head.open_trials) if session.is_paused else (),
    )


def _left(head: RunHead, now: float) -> str:
    """What of the budget is left, in words; nothing of one that has ended."""
    session = head.session
    if session.choice is not None or session.withdrawn_at is not None:
        return ""
    return overview.left(session, now)


def _spent(head: RunHead) -> tuple[str, str]:
    """How long a run took that has ended, and what is in that. Of a run of very many trials the waiting is not told apart."""
    session = head.session
    if session.choice is None or session.started_at is None:
        return "", ""
    if head.is_whole:
        return clock(summaries.clock(session, session.choice.at)), "used; waiting is not counted"
    return clock(session.choice.at - session.started_at), "from its start to its choice"


# Live


@router.get("/sessions/{session_id}/run/events")
async def run_events(request: Request, session_id: int) -> Response:
    """That something of the run is other than before: its stamp, its state, and how far its open trials are."""
    lab = lab_of(request)
    await run_in_threadpool(own_run, request, session_id)
    topic = Topic(("run", session_id), partial(Stated, "state", partial(_pulse, lab, session_id)), RUN_PACE, session_id)
    return stream(held_by(request.app).hub, topic, may_go_on=stays_signed_in(request))


def _waits_long(open_trials: Iterable[Trial], now: float) -> bool:
    """Whether a trial waits for an agent for so long that it is told."""
    return any(trial.claimed_at is None and now - trial.submitted_at >= TOLD_WAIT_SECONDS for trial in open_trials)


def _pulse(lab: Lab, session_id: int) -> Mapping[str, Any]:
    session, stamp, going = lab.trials.pulse(session_id)
    shows, now = session.live_validation, lab.clock()
    facts = (stamp, run_state(session, now), session.evaluated.done, session.choice is not None, _waits_long(going, now))
    return {
        "stamp": " ".join(map(str, facts)),
        "open": [[trial.number, trial.attempt, trial.epochs_done, trial.value if shows else None] for trial in going],
        "ended": session.choice is not None or rules.state_of(session, lab.clock()) is State.WITHDRAWN,
    }
