"""The researcher's pages: the studies, one of them, a session, its evaluation."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.concurrency import run_in_threadpool

from evenhand.analysis import summaries
from evenhand.analysis.certainty import certainty_of
from evenhand.errors import NotFound, Refused
from evenhand.lab.lab import Lab
from evenhand.model import choices, rules, state_words
from evenhand.model.aims import names_beside
from evenhand.model.evaluation import Evaluation
from evenhand.model.job import place_of
from evenhand.model.session import EarlierChoice, Session, View
from evenhand.model.study import MODES, Mode, Study
from evenhand.model.trial import LearningCurve, Trial
from evenhand.model.words import is_share, metric_name
from evenhand.report.certainty import paragraph
from evenhand.studies.alerts import NO_AGENT, UNSERVED, Alert
from evenhand.tasks import programs
from evenhand.tasks.programs import output
from evenhand.web import session_stream
from evenhand.web.access import identity, lab_of, stays_signed_in
from evenhand.web.entry import go
from evenhand.web.flash import said, say
from evenhand.web.pages import environment, render, shared
from evenhand.web.researcher import front_drawing, look_costs, overview
from evenhand.web.researcher.scores import dots
from evenhand.web.space_form import MOST_TYPED_CHARACTERS
from evenhand.web.state import held_by
from evenhand.web.streams import Pace, Stated, Topic, stream

router = APIRouter()

SHOWN_EVERY_SECONDS = 1.0  # seconds between two states of a page's stream, at least, where nothing happened
MOST_SHOWN_TAILS = 50  # trials, the newest, of whose programs the last lines are shown
STUDY_PACE = Pace(SHOWN_EVERY_SECONDS, load=4, poll=5.0)  # it looks untold, too: agents and people come and go silently

environment.globals.update(
    changes=summaries.changes,
    reference=summaries.reference,
)


@router.get("/studies")
def studies_page(request: Request) -> Response:
    """Every study, with where it stands."""
    lab = lab_of(request)
    return render(request, "researcher/studies.html", here="Studies", listed=[_listed(lab, study) for study in lab.studies.all()])


def _listed(lab: Lab, study: Study) -> dict[str, Any]:
    people = lab.participants.of_study(study.id)
    counts = {mode: sum(person.mode == mode for person in people) for mode in MODES}
    return {"study": study, "counts": counts, "phase": rules.phase_of(study, counts["pilot"] > 0)}


@router.get("/studies/{study_id}")
def study_page(request: Request, study_id: int, mode: Mode | None = None) -> Response:
    """Who is ahead, and whether everyone is all right: in one mode, since modes are never mixed."""
    lab = lab_of(request)
    shown = overview.overview(lab, study_id, mode)
    return render(
        request,
        "researcher/study.html",
        shown=shown,
        curves=overview.curves(shown),
        problems=held_by(request.app).players.problems,
        alerts=alerts(request, study_id),
        looked=lab.evaluations.has_looked(shown.task.id, identity(request).who),
        said=said(request),
        **bar(lab, shown.study, shown.phase),
    )


def bar(lab: Lab, study: Study, phase: str = "") -> dict[str, Any]:
    """What every page of a study shows at its top. phase: where it stands, if that is known."""
    if not phase:
        phase = rules.phase_of(study, any(person.mode == "pilot" for person in lab.participants.of_study(study.id)))
    return {"study": study, "studies": lab.studies.all(), "phase": phase, "phases": state_words.PHASES}


def alerts(request: Request, study_id: int) -> list[Alert]:
    """What needs the researcher's attention now, as the watch beside the server found it: of this study, or of the whole lab.

    That no agent is connected is left out where it is told of the sessions that it keeps waiting.
    """
    theirs = [alert for alert in held_by(request.app).alerts if alert.study_id in (None, study_id)]
    is_told = any(alert.kind == UNSERVED for alert in theirs)
    return [alert for alert in theirs if not (is_told and alert.kind == NO_AGENT)]


@router.get("/studies/{study_id}/events")
async def study_events(request: Request, study_id: int, mode: Mode | None = None) -> Response:
    """The study page's state whenever it changed, the newest only."""
    lab = lab_of(request)
    await run_in_threadpool(lab.studies.get, study_id)
    source = partial(Stated, "state", partial(_study_state, request, study_id, mode), _news)
    topic = Topic(("study", study_id, mode), source, STUDY_PACE)
    return stream(held_by(request.app).hub, topic, may_go_on=stays_signed_in(request))


def _news(sent: Mapping[str, Any] | None, state: Mapping[str, Any]) -> dict[str, Any]:
    """A state without the rows that were sent as they are: null stands for each of them."""
    held = dict((sent or {}).get("rows", ()))
    return {**state, "rows": [[key, None if held.get(key) == html else html] for key, html in state["rows"]]}


def _study_state(request: Request, study_id: int, mode: Mode | None) -> dict[str, Any]:
    shown = overview.overview(lab_of(request), study_id, mode)
    names = ("flow", "lead", "agents", "chart_none", "attrition", "modes", "alerts")
    current_alerts = alerts(request, study_id)
    parts = {name: shared(request, f"researcher/_{name}.html", shown=shown, alerts=current_alerts) for name in names}
    problems = held_by(request.app).players.problems
    rows = [[row.key, shared(request, "researcher/_row.html", shown=shown, row=row, problems=problems)] for row in shown.rows]
    clocks = {row.key: [row.left, row.seconds_left, row.ticking] for row in shown.rows}
    return {"parts": parts, "rows": rows, "clocks": clocks, "curves": overview.curves(shown)}


# One session


def session_page(request: Request, session_id: int) -> Response:
    """How one session of a study goes: its trials, and after the choice its evaluation."""
    context = session_context(request, session_id)
    task = context["session"].task
    words, share = metric_name(task.metric), is_share(task.metric)
    return render(request, "researcher/session.html", metric=words, share=share, **context)


def session_context(request: Request, session_id: int) -> dict[str, Any]:
    """What the parts of a session's pages show."""
    lab = lab_of(request)
    session = lab.sessions.get(session_id)
    waits = any(trial.is_open and trial.claimed_at is None for trial in session.trials)
    shown = result_context(request, session)
    return {
        **shown,
        "waiting": lab.view(session_id).waiting if waits else None,
        "environments_by_key": {
            key: lab.agents.environment(key) for trial in session.trials if (key := trial.environment) is not None
        },
        "outputs": _outputs(session),
        "looked": session.choice is None and lab.evaluations.is_locked(session, identity(request).who),
        "misses": {trial.number: choices.misses(session, trial) for trial in session.trials if trial.violation > 0},
        "ended": rules.how_ended(session),
        "interrupted": rules.is_interrupted(session, lab.clock()) and not shown["study"].archived,
        "notices": lab.sessions.notices(session_id) if "stopping" in session.method else (),
        "problem": held_by(request.app).players.problems.get(session_id),
    }


def result_context(request: Request, session: Session) -> dict[str, Any]:
    """What a session came to: its choice, the test score for whoever looked, how sure it is, its front."""
    lab, who = lab_of(request), identity(request).who
    study = lab.studies.get(session.study_id, session.version)
    person = None if session.participant_id is None else lab.participants.get(session.participant_id)
    looks = lab.evaluations.looks(session.id)
    seen = lab.evaluations.get(session.id, who) if session.choice and any(looker == who for looker, _ in looks) else None
    summary = summaries.summarize(seen) if seen else None
    further = summaries.further_summaries(seen, names_beside(session.aims, session.task.metric)) if seen else {}
    chosen = session.chosen_trial
    return {
        "session": session,
        "study": study,
        "row": overview.row(session, person, study, lab.clock()),
        "spent": summaries.clock(session, session.choice.at) if session.choice else None,
        "chosen": chosen.number if chosen else None,
        "chosen_value": chosen.value if chosen else None,
        "looks": looks,
        "seen_before": lab.evaluations.seen_before(session.id) if session.purpose == "exploratory" else None,
        "withheld_by": lab.evaluations.withheld_by(session.id),
        "look_costs": look_costs.of_session(lab, session, who) if session.choice and not seen else (),
        "evaluation": seen,
        "summary": summary,
        "further": further,
        "objectives": choices.objectives_of(session),
        "front_rows": front_drawing.rows(session) if len(session.aims.objectives) > 1 else (),
        "fronts": front_drawing.drawings(session, further | ({session.task.metric: summary} if summary else {})),
        "pickable": choices.is_pickable(session, lab.clock()) and not study.archived,
        "rule_words": choices.rule_words(session),
        "no_choice": choices.no_choice_words(session),
        "dots": dots(seen, summary) if seen and summary else None,
        "certainty": paragraph(session, certainty_of(session, seen.scores if seen else ())) if _is_own(session) else "",
        "now": lab.clock(),
        "earlier": _earlier(session, seen),
    }


def _is_own(session: Session) -> bool:
    """Whether it is somebody's own tuning that has ended, whose page says how sure the result is."""
    return session.purpose == "exploratory" and session.choice is not None


def _outputs(session: Session) -> dict[int, str]:
    """The last lines that the programs of the newest trials printed, by the trial's number, where they lie on this machine."""
    if session.task.spec.name != programs.NAME:
        return {}
    tails = {
        trial.number: output.tail_of(place_of(session, trial.number, trial.attempt))
        for trial in session.trials[-MOST_SHOWN_TAILS:]
    }
    return {number: tail for number, tail in tails.items() if tail}


@router.get("/sessions/{session_id}/trials/{number}/output")
def trial_output(request: Request, session_id: int, number: int) -> Response:
    """All that is kept of what a trial's program printed on this machine, as plain text."""
    session = lab_of(request).sessions.get(session_id)
    trial = session.trial(number)
    printed = output.kept(place_of(session, number, trial.attempt)) if trial else {}
    if not printed:
        raise NotFound(f"trial {number} of session {session_id}: nothing that a program printed is kept on this machine")
    text = "\n".join(f"--- {words} ---\n{text}" for words, text in printed.items())
    return PlainTextResponse(text)


def _earlier(session: Session, seen: Evaluation | None) -> list[tuple[EarlierChoice, int | None, Any]]:
    """Each choice that a session was extended after, with its trial's number and, for who has looked, its test score."""
    scored = seen.earlier if seen else ((),) * len(session.earlier_choices)
    numbers = {trial.id: trial.number for trial in session.trials}
    return [
        (entry, numbers.get(entry.choice.trial_id or 0), summaries.summarize(replace(seen, scores=scores)) if seen else None)
        for entry, scores in zip(session.earlier_choices, scored, strict=True)
    ]


@router.get("/sessions/{session_id}/events")
async def session_events(request: Request, session_id: int) -> Response:
    """What the shown trial measures, and the parts of the page that changed."""
    lab = lab_of(request)
    await run_in_threadpool(lab.sessions.get, session_id)
    describe = partial(PageParts, request, session_id)
    viewer = ("page", identity(request).who)
    return session_stream.session_events(
        request, lab, session_id, describe, viewer, news=changed_parts, may_go_on=stays_signed_in(request)
    )


PART_TEMPLATES = {name: f"researcher/_session_{name}.html" for name in ("status", "front", "trials", "evaluation")}


class PageParts:
    """The changing parts of session pages: made anew at once where something happened, else now and then.

    templates: by the part's id. context: what they show. All researchers are sent the same ones.
    """

    def __init__(
        self,
        request: Request,
        session_id: int,
        templates: Mapping[str, str] = PART_TEMPLATES,
        context: Callable[[Request, int], Mapping[str, Any]] = session_context,
    ) -> None:
        self._request, self._session_id = request, session_id
        self._lab = lab_of(request)
        self._templates, self._context = templates, context
        self._happened: object = None
        self._rendered_at = float("-inf")
        self._parts: Mapping[str, str] = {}

    def __call__(self, view: View, latest: LearningCurve | None) -> Mapping[str, str]:
        """The HTML of each part."""
        now = time.monotonic()
        trials = tuple((trial.attempt, trial.epochs_done) for trial in view.session.trials)
        happened = (view.state, view.waiting, self._lab.sessions.newest_event(self._session_id), trials)
        if happened != self._happened or now - self._rendered_at >= SHOWN_EVERY_SECONDS:
            self._happened, self._rendered_at = happened, now
            context = self._context(self._request, self._session_id)
            self._parts = {name: shared(self._request, template, **context) for name, template in self._templates.items()}
        return self._parts


def changed_parts(before: Mapping[str, Any], now: Mapping[str, Any]) -> Mapping[str, Any]:
    """The parts that are not as they were."""
    return {name: html for name, html in now.items() if html != before.get(name)}


@router.get("/sessions/{session_id}/curves")
def session_curves(request: Request, session_id: int) -> Response:
    """Each trial's validation after each epoch: lists of [epoch, value] by the trial's number."""
    lab = lab_of(request)
    session = lab.sessions.get(session_id)
    return JSONResponse({trial.number: _values(lab, session_id, trial) for trial in session.trials if trial.epochs_done})


def _values(lab: Lab, session_id: int, trial: Trial) -> list[tuple[int, float]]:
    measurements = lab.curve(session_id, trial.number).measurements
    return [
        (measurement.epoch, measurement.value)
        for measurement in measurements
        if measurement.epoch is not None and measurement.value is not None
    ]


@router.get("/sessions/{session_id}/trials/{number}/curve")
def trial_curve(request: Request, session_id: int, number: int, attempt: int = 0, after: int = -1) -> Response:
    """What a trial measured after the index `after` of `attempt`: lists of [index, step, epoch or null, loss, value]."""
    curve = lab_of(request).curve(session_id, number, (attempt, after))
    points = [
        [measurement.index, measurement.step, measurement.epoch, measurement.loss, measurement.value]
        for measurement in curve.measurements
    ]
    return JSONResponse({"attempt": curve.attempt, "points": points})


@router.get("/sessions/{session_id}/trials/{number}/stop")
def ask_to_stop(request: Request, session_id: int, number: int) -> Response:
    """Whether a trial is to be stopped, and what comes of it; a page of its own, since the session's changes while one reads."""
    lab = lab_of(request)
    session = lab.sessions.get(session_id)
    trial = session.trial(number)
    if trial is None:
        raise NotFound(f"session {session_id} has no trial {number}; it has {len(session.trials)}")
    looked = lab.evaluations.is_locked(session, identity(request).who)
    here: dict[str, Any] = {"session": session, "trial": trial, "looked": looked, "said": said(request)}
    return render(request, "researcher/stop.html", **here, **bar(lab, lab.studies.get(session.study_id)))


@router.post("/sessions/{session_id}/trials/{number}/stop")
def stop_trial(request: Request, session_id: int, number: int) -> Response:
    """Stop a training for the researcher; refused to whoever looked at a test score of the task.

    In a method's session this is working together, and is kept as that.
    """
    lab, who = lab_of(request), identity(request).who
    if lab.sessions.get(session_id).kind == "method":
        lab.interventions.stop_trial(session_id, number, who=who)
    else:
        lab.sessions.stop_trial(session_id, number, who)
    return go(f"/sessions/{session_id}")


@router.get("/sessions/{session_id}/end")
def ask_to_end(request: Request, session_id: int) -> Response:
    """Whether a method's session is to be ended, or removed where it never started, and what comes of it."""
    return _ask_to_end(request, session_id)


def _ask_to_end(request: Request, session_id: int, reason: str = "", problem: str = "", status: int = 200) -> Response:
    context = session_context(request, session_id)
    session, lab = context["session"], lab_of(request)
    further: dict[str, Any] = {
        "reason": reason,
        "refused": problem,
        "steered": lab.evaluations.is_locked(session, identity(request).who),
        "best": rules.best_trial(session),
        "said": said(request),
    }
    return render(
        request, "researcher/end.html", status=status, **{**context, **further, **bar(lab, lab.studies.get(session.study_id))}
    )


@router.post("/sessions/{session_id}/end")
def end(
    request: Request,
    session_id: int,
    trial: Annotated[int | None, Form()] = None,
    reason: Annotated[str, Form()] = "",
) -> Response:
    """End a session that cannot go on: an exploratory one whose process is gone (its best trial is chosen, or the one that is
    picked), or a method's of a study, for a reason."""
    lab = lab_of(request)
    if lab.sessions.get(session_id).purpose == "exploratory":
        lab.sessions.end(session_id, trial)
        return go(f"/sessions/{session_id}")
    try:
        lab.interventions.end(session_id, who=identity(request).who, reason=reason[:MOST_TYPED_CHARACTERS])
    except Refused as error:
        return _ask_to_end(request, session_id, reason, str(error), 409)
    return go(f"/sessions/{session_id}")


@router.post("/sessions/{session_id}/remove")
def remove(request: Request, session_id: int) -> Response:
    """Remove a method's session that never started."""
    session = lab_of(request).interventions.remove(session_id, who=identity(request).who)
    return say(request, f"/studies/{session.study_id}?mode={session.mode}", f"{session.tuner}, which never started, is removed.")


@router.post("/sessions/{session_id}/say")
def say_of_trial(
    request: Request,
    session_id: int,
    trial: Annotated[int, Form()],
    what: Annotated[str, Form()],
    rating: Annotated[str, Form()] = "",
    reason: Annotated[str, Form()] = "",
) -> Response:
    """Rate a trial of an exploratory session, veto it, or take a veto back (`what`: "rate", "veto", "allow")."""
    said, who, why = lab_of(request).interventions, identity(request).who, reason.strip()[:MOST_TYPED_CHARACTERS]
    if what == "rate":
        try:
            number = float(rating.replace(",", "."))
        except ValueError:
            raise Refused(f"rating is {rating!r}, expected a number, larger where the trial is better") from None
        said.rate(session_id, trial, number, who=who, reason=why)
    elif what == "veto":
        said.veto(session_id, trial, who=who, reason=why)
    elif what == "allow":
        said.allow(session_id, trial, who=who, reason=why)
    else:
        raise Refused(f"{what!r} is nothing that can be said of a trial; expected rate, veto or allow")
    return go(f"/sessions/{session_id}#trials-title")


@router.post("/sessions/{session_id}/evaluate")
def evaluate(request: Request, session_id: int) -> Response:
    """Have an exploratory choice evaluated that had to wait while a study collected on its test data."""
    lab_of(request).evaluations.queue(session_id)
    return go(f"/sessions/{session_id}#evaluation")


@router.post("/sessions/{session_id}/reveal")
def reveal(request: Request, session_id: int) -> Response:
    """Log the researcher's look at the evaluation, and show it."""
    lab_of(request).evaluations.reveal(session_id, identity(request).who)
    return go(f"/sessions/{session_id}#evaluation")
