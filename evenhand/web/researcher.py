"""The researcher's pages: the studies, one of them, a session, its evaluation."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from evenhand.analysis import scatter, scores
from evenhand.declaration import MODES, Mode, Study
from evenhand.errors import InvalidSettings, Refused
from evenhand.lab import Curve, Lab, View
from evenhand.records import Session, Stopper, Trial
from evenhand.tuners import METHODS
from evenhand.watch import Alert
from evenhand.web import live, overview
from evenhand.web.access import identity, lab_of
from evenhand.web.entry import go
from evenhand.web.flash import said
from evenhand.web.overview import Overview
from evenhand.web.pages import environment, render, shared
from evenhand.web.players import HELD
from evenhand.web.scores import dots
from evenhand.web.streams import Pace, Stated, Topic, stream

router = APIRouter()

SHOWN_EVERY = 1.0  # seconds between two states of a page's stream, at least, where nothing happened
STUDY_PACE = Pace(SHOWN_EVERY, load=4, poll=5.0)  # it looks without being told, too: agents and people come and go silently

# Plotly writes style elements and attributes; it gets them on its own page only. It needs no eval without WebGL.
EXPLORE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

environment.globals.update(
    outcome_words=overview.outcome_words, changes=scores.changes, reference=scores.reference, budget_words=overview.budget_words
)


@router.get("/studies")
def studies_page(request: Request) -> Response:
    """Every study, with where it stands."""
    lab = lab_of(request)
    return render(request, "researcher/studies.html", listed=[_listed(lab, study) for study in lab.studies()])


def _listed(lab: Lab, study: Study) -> dict[str, Any]:
    people = lab.participants(study.id)
    counts = {mode: sum(person.mode == mode for person in people) for mode in MODES}
    return {"study": study, "counts": counts, "phase": overview.phase(study, counts["pilot"] > 0)}


@router.get("/studies/{study_id}")
def study_page(request: Request, study_id: int, mode: Mode | None = None) -> Response:
    """Who is ahead, and whether everyone is all right: in one mode, since modes are never mixed."""
    lab = lab_of(request)
    shown = overview.overview(lab, study_id, mode)
    seeds = {name: _next_seed(shown, name) for name in METHODS}
    return render(
        request,
        "researcher/study.html",
        shown=shown,
        methods=seeds,
        curves=overview.curves(shown),
        problems=request.app.state.players.problems,
        alerts=alerts(request, study_id),
        looked=lab.has_looked(shown.task.id, identity(request).who),
        said=said(request),
        **bar(lab, shown.study, shown.phase),
    )


def bar(lab: Lab, study: Study, phase: str = "") -> dict[str, Any]:
    """What every page of a study shows at its top. phase: where it stands, if that is known."""
    if not phase:
        phase = overview.phase(study, any(person.mode == "pilot" for person in lab.participants(study.id)))
    return {"study": study, "studies": lab.studies(), "phase": phase, "phases": overview.PHASES}


def alerts(request: Request, study_id: int) -> list[Alert]:
    """What needs the researcher's attention now, as the watch beside the server found it: of this study, or of the whole lab."""
    found: Sequence[Alert] = getattr(request.app.state, "alerts", ())
    return [each for each in found if each.study_id in (None, study_id)]


def _next_seed(shown: Overview, name: str) -> int:
    """The smallest seed that no session of this method has."""
    methods = [row.session.method for row in shown.rows if row.session]
    taken = {method.get("seed") for method in methods if method.get("name") == name}
    return next(seed for seed in range(len(taken) + 1) if seed not in taken)


@router.get("/studies/{study_id}/events")
async def study_events(request: Request, study_id: int, mode: Mode | None = None) -> Response:
    """The study page's state whenever it changed, the newest only."""
    lab = lab_of(request)
    await run_in_threadpool(lab.study, study_id)
    source = partial(Stated, "state", partial(_study_state, request, study_id, mode), _news)
    return stream(request, lab, Topic(("study", study_id, mode), source, STUDY_PACE))


def _news(sent: Mapping[str, Any] | None, state: Mapping[str, Any]) -> dict[str, Any]:
    """A state without the rows that were sent as they are: null stands for each of them."""
    held = dict((sent or {}).get("rows", ()))
    return {**state, "rows": [[key, None if held.get(key) == html else html] for key, html in state["rows"]]}


def _study_state(request: Request, study_id: int, mode: Mode | None) -> dict[str, Any]:
    shown = overview.overview(lab_of(request), study_id, mode)
    names = ("flow", "lead", "agents", "chart_none", "attrition", "modes", "alerts")
    found = alerts(request, study_id)
    parts = {name: shared(request, f"researcher/_{name}.html", shown=shown, alerts=found) for name in names}
    problems = request.app.state.players.problems
    rows = [[row.key, shared(request, "researcher/_row.html", shown=shown, row=row, problems=problems)] for row in shown.rows]
    clocks = {row.key: [row.left, row.seconds_left, row.ticking] for row in shown.rows}
    return {"parts": parts, "rows": rows, "clocks": clocks, "curves": overview.curves(shown)}


@router.post("/studies/{study_id}/methods")
def start_method(
    request: Request,
    study_id: int,
    method: Annotated[str, Form()],
    seed: Annotated[int, Form()] = 0,
    mode: Annotated[Mode, Form()] = "live",
    hold: Annotated[str, Form()] = "",
) -> Response:
    """Open a method's session under the study's budget, beside the records of a mode, and play it.

    hold: "yes" where it waits on its workbench, so that what is believed can be said before it starts.
    """
    lab = lab_of(request)
    if method not in METHODS:
        raise InvalidSettings(f"method {method!r}: there is none; expected one of {', '.join(METHODS)}")
    if not 0 <= seed < 2**31:
        raise InvalidSettings(f"seed {seed}: expected a whole number from 0 to {2**31 - 1}")
    if mode == "live" and lab.study(study_id).published_at is None:
        raise Refused("the study is not published yet; start the method in its pilot")
    names = {session.tuner for session in lab.sessions(study_id) if session.mode == mode}
    tuner = next(name for name in _names(method, len(names)) if name not in names)
    driver = HELD if hold == "yes" else "server"
    session = lab.open(study_id, tuner=tuner, method={"name": method, "seed": seed}, driver=driver, mode=mode)
    if driver == HELD:
        return go(f"/sessions/{session.id}/workbench?do=beliefs")
    request.app.state.players.play(session.id)
    return go(f"/studies/{study_id}?mode={mode}")


def _names(method: str, taken: int) -> list[str]:
    """What a method's session may be called: tpe, tpe 2, tpe 3, ..."""
    return [method, *(f"{method} {number}" for number in range(2, taken + 3))]


# One session


@router.get("/sessions/{session_id}")
def session_page(request: Request, session_id: int) -> Response:
    """How one session goes: its trials, and after the choice its evaluation."""
    context = session_context(request, session_id)
    task = context["session"].task
    words, share = task.metric.replace("_", " "), scores.is_share(task.metric)
    return render(request, "researcher/session.html", metric=words, share=share, **context)


def session_context(request: Request, session_id: int) -> dict[str, Any]:
    """What the parts of a session's pages show."""
    lab, who = lab_of(request), identity(request).who
    session = lab.session(session_id)
    study = lab.study(session.study_id, session.version)
    person = None if session.participant_id is None else lab.participant(session.participant_id)
    row = overview.row(session, person, study, lab.clock())
    looks = lab.looks(session_id)
    seen = lab.evaluation(session_id, who) if any(looker == who for looker, _ in looks) else None
    summary = scores.summarize(seen) if seen else None
    chosen = next((each for each in session.trials if session.choice and each.id == session.choice.trial_id), None)
    waits = any(each.is_open and each.claimed_at is None for each in session.trials)
    return {
        "session": session,
        "study": study,
        "row": row,
        "waiting": lab.view(session_id).waiting if waits else None,
        "spent": scores.clock(session, session.choice.at) if session.choice else None,
        "chosen": chosen.number if chosen else None,
        "chosen_value": chosen.value if chosen else None,
        "looks": looks,
        "looked": session.choice is None and lab.has_looked(session.task.id, who),
        "evaluation": seen,
        "summary": summary,
        "dots": dots(seen, summary) if seen and summary else None,
        "now": lab.clock(),
        "problem": request.app.state.players.problems.get(session_id),
    }


@router.get("/sessions/{session_id}/events")
async def session_events(request: Request, session_id: int) -> Response:
    """What the shown trial measures, and the parts of the page that changed."""
    lab = lab_of(request)
    await run_in_threadpool(lab.session, session_id)
    describe = partial(Parts, request, session_id)
    return live.session_events(request, lab, session_id, describe, ("page", identity(request).who), news=changed_parts)


PARTS = {name: f"researcher/_session_{name}.html" for name in ("status", "trials", "evaluation")}


class Parts:
    """The changing parts of session pages: made anew at once where something happened, else now and then.

    templates: by the part's id. context: what they show. All researchers are sent the same ones.
    """

    def __init__(
        self,
        request: Request,
        session_id: int,
        templates: Mapping[str, str] = PARTS,
        context: Callable[[Request, int], Mapping[str, Any]] = session_context,
    ) -> None:
        self._request, self._session_id = request, session_id
        self._lab = lab_of(request)
        self._templates, self._context = templates, context
        self._happened: object = None
        self._rendered_at = float("-inf")
        self._parts: Mapping[str, str] = {}

    def __call__(self, view: View, latest: Curve | None) -> Mapping[str, str]:
        """The HTML of each part."""
        now = time.monotonic()
        trials = tuple((trial.attempt, trial.epochs_done) for trial in view.session.trials)
        happened = (view.state, view.waiting, self._lab.newest_event(self._session_id), trials)
        if happened != self._happened or now - self._rendered_at >= SHOWN_EVERY:
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
    session = lab.session(session_id)
    return JSONResponse({trial.number: _values(lab, session_id, trial) for trial in session.trials if trial.epochs_done})


def _values(lab: Lab, session_id: int, trial: Trial) -> list[tuple[int, float]]:
    found = lab.curve(session_id, trial.number).measurements
    return [(each.epoch, each.value) for each in found if each.epoch is not None and each.value is not None]


@router.get("/sessions/{session_id}/trials/{number}/curve")
def trial_curve(request: Request, session_id: int, number: int, attempt: int = 0, after: int = -1) -> Response:
    """What a trial measured after the index `after` of `attempt`: lists of [index, step, epoch or null, loss, value]."""
    curve = lab_of(request).curve(session_id, number, (attempt, after))
    points = [[each.index, each.step, each.epoch, each.loss, each.value] for each in curve.measurements]
    return JSONResponse({"attempt": curve.attempt, "points": points})


@router.post("/sessions/{session_id}/trials/{number}/stop")
def stop_trial(request: Request, session_id: int, number: int) -> Response:
    """Stop a training for the researcher; refused to whoever looked at a test score of the task.

    In a method's session this is working together, and is kept as that.
    """
    lab, who = lab_of(request), identity(request).who
    if lab.session(session_id).kind == "method":
        lab.stop_trial(session_id, number, who=who)
    else:
        lab.stop(session_id, number, Stopper.RESEARCHER, who)
    return go(f"/sessions/{session_id}")


@router.post("/sessions/{session_id}/reveal")
def reveal(request: Request, session_id: int) -> Response:
    """Log the researcher's look at the evaluation, and show it."""
    lab_of(request).reveal(session_id, identity(request).who)
    return go(f"/sessions/{session_id}#evaluation")


# Explore: drawn by Plotly


@router.get("/static/plotly.min.js")
def plotly_script() -> Response:
    """Plotly's script, from the plotly package that is installed here."""
    script = resources.files("plotly").joinpath("package_data/plotly.min.js").read_bytes()
    return Response(script, media_type="text/javascript")


@router.get("/sessions/{session_id}/explore")
def explore_page(request: Request, session_id: int) -> Response:
    """Each trial's value against each hyperparameter."""
    session = lab_of(request).session(session_id)
    study = lab_of(request).study(session.study_id)
    response = render(request, "researcher/explore.html", session=session, study=study, panels=scatter.panels(session))
    response.headers["content-security-policy"] = EXPLORE_POLICY
    return response


@router.get("/sessions/{session_id}/explore.json")
def explore_numbers(request: Request, session_id: int) -> Response:
    """The numbers that the explore page draws."""
    session = lab_of(request).session(session_id)
    return JSONResponse(_explore(session))


def _explore(session: Session) -> Mapping[str, Any]:
    order = [{"number": trial.number, "value": trial.value, "outcome": overview.outcome_words(trial)} for trial in session.trials]
    return {
        "metric": session.task.metric,
        "percent": scores.is_share(session.task.metric),
        "maximize": session.maximize,
        "kind": session.kind,
        "order": order,
        "panels": [asdict(panel) for panel in scatter.panels(session)],
    }
