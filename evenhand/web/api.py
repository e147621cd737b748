"""The door for agents and methods: the lab's verbs as JSON over HTTP, with a bearer token.

`evenhand.lab.client` is the other end.
"""

import asyncio
import base64
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import field
from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import Field
from pydantic.dataclasses import dataclass
from starlette.concurrency import run_in_threadpool

from evenhand.errors import InvalidSettings, NotAllowed, StaleAttempt
from evenhand.lab.base import listening
from evenhand.model import codec
from evenhand.model.domain import MOST_INTEGER
from evenhand.model.environment import Environment
from evenhand.model.job import Assignment, MeasurementBatch, Order
from evenhand.model.trial import Measurement, Outcome, Stopper
from evenhand.web.access import identity, lab_of
from evenhand.web.state import held_by

LONGEST_WAIT_SECONDS = 5.0  # seconds that who waits is answered after, at the latest: less than clients wait for an answer
OTHERS_LOOK_SECONDS = 1.0  # seconds between two looks for what other processes did, of which nobody tells

MOST_REPORTED_MEASUREMENTS = 50_000  # of one training in one post
MOST_REPORTS = 1000  # trainings in one post
MOST_EXTRAS = 100  # further metrics of one measurement
LONGEST_NAME, LONGEST_WORDS = 200, 100_000  # letters
MOST_SECONDS = 366 * 86_400.0  # of one training: a year
MOST_SLOTS = 10_000
MOST_COUNT = 2**31 - 1  # the largest integer of every database's columns
Name = Annotated[str, Field(max_length=LONGEST_NAME)]
Words = Annotated[str, Field(max_length=LONGEST_WORDS)]
Whole = Annotated[int, Field(ge=-MOST_INTEGER, le=MOST_INTEGER)]

router = APIRouter()


@dataclass
class Hello:
    """What an agent says of itself. environment: as `codec` writes one; an older agent says none."""

    slots: Annotated[int, Field(ge=0, le=MOST_SLOTS)]
    machine: Name = ""
    name: Name = ""
    environment: dict[str, Any] | None = None


@dataclass
class Claim:
    """refused: task versions that the agent cannot train. session_id: of this session only. seconds: to wait for a training."""

    refused: Sequence[str] = ()
    session_id: Whole | None = None
    seconds: float = 0.0


@dataclass
class CodeRequest:
    """Of which task version."""

    task_version: str


@dataclass
class ContentRequest:
    """Of which file, by its checksum."""

    checksum: str


@dataclass
class Reports:
    """What several trainings of one agent measured: for each its job, its attempt, and rows as `codec.row_of` writes them.

    held: the jobs among them whose trainings stand still; an older agent holds none.
    """

    reports: Annotated[list[tuple[Whole, Whole, list[Any]]], Field(max_length=MOST_REPORTS)]
    held: Annotated[list[Whole], Field(max_length=MOST_REPORTS)] = field(default_factory=list)


@dataclass
class End:
    """How a training ended, and the last of what it measured, in rows as `codec.row_of` writes them."""

    attempt: Whole
    outcome: Outcome
    why: Words | None = None
    rows: list[Any] = field(default_factory=list)


@dataclass
class Release:
    """Why a training is given back."""

    attempt: Whole
    why: Words
    counts: bool = True


@dataclass
class OfSession:
    """session_id: 0 for the token's own."""

    session_id: Whole = 0


@dataclass
class ViewRequest(OfSession):
    """What the tuner has read before; see `codec.view_to_json`."""

    settled: Whole = 0
    last: Whole = 0
    task: str = ""


@dataclass
class WaitRequest(ViewRequest):
    """For what after which event, and for how long. measured: whether measurements count, too."""

    event: Whole = 0
    seconds: float = 0.0
    measured: bool = False


@dataclass
class CurveRequest(OfSession):
    """Which trial, and after which measurement of it."""

    number: Whole = 0
    attempt: Whole = 0
    index: Whole = -1


@dataclass
class Submission(OfSession):
    """A configuration, raw; the key makes it one trial however often it is sent."""

    configuration: dict[str, Any] = field(default_factory=dict)
    reasons: dict[Name, Words] = field(default_factory=dict)
    explanation: Words = ""
    resumes: Whole | None = None
    revision: Whole | None = None
    key: Name | None = None


@dataclass
class Stop(OfSession):
    """Which trial; rule: whether a stopping rule asks, and why it does."""

    number: Whole = 0
    rule: bool = False
    why: Words | None = None


@dataclass
class ChoiceRequest(OfSession):
    """The final choice: a trial's number, or a configuration."""

    number: Whole | None = None
    configuration: dict[str, Any] | None = None
    key: Name | None = None


@router.post("/api/agent/hello")
def hello(request: Request, body: Hello) -> JSONResponse:
    """An agent says what it is."""
    environment = None if body.environment is None else codec.from_json(Environment, body.environment)
    agent_id = identity(request).subject
    lab_of(request).hello(agent_id, slots=body.slots, machine=body.machine, name=body.name, environment=environment)
    return JSONResponse({})


@router.post("/api/agent/refusals")
def refusals(request: Request) -> JSONResponse:
    """Why studies whose trainings wait take no claim of the agent."""
    return JSONResponse({"refusals": lab_of(request).refusals(identity(request).subject)})


@router.post("/api/agent/goodbye")
def goodbye(request: Request) -> JSONResponse:
    """An agent ends in order."""
    lab_of(request).goodbye(identity(request).subject)
    return JSONResponse({})


@router.post("/api/agent/claim")
async def claim(request: Request, body: Claim) -> JSONResponse:
    """The next training for the agent, or null where none comes to wait for it in time."""
    lab, agent_id = lab_of(request), identity(request).subject

    def find() -> Assignment | None:
        return lab.claim(agent_id, refused=tuple(body.refused), session_id=body.session_id)

    waiting = _Wait(request, body.seconds)
    with listening(lab.on_waiting, waiting.wake):
        assignment = await run_in_threadpool(find)
        while assignment is None and await waiting.woken() and not await request.is_disconnected():
            assignment = await run_in_threadpool(find)
    return JSONResponse({"assignment": codec.to_json(assignment)})


@router.post("/api/agent/join")
def join(request: Request) -> JSONResponse:
    """Whoever has a served session's token becomes an agent of it."""
    session_id = identity(request).subject
    return JSONResponse({"token": lab_of(request).crews.join(session_id), "session_id": session_id})


@router.post("/api/agent/code")
def code(request: Request, body: CodeRequest) -> JSONResponse:
    """Which files are a task's code, or null where agents have it by its name."""
    return JSONResponse({"code": codec.to_json(lab_of(request).code(identity(request).subject, body.task_version))})


@router.post("/api/agent/content")
def content(request: Request, body: ContentRequest) -> JSONResponse:
    """The content of one of these files."""
    source = lab_of(request).content(identity(request).subject, body.checksum)
    return JSONResponse({"content": base64.b64encode(source).decode()})


@router.post("/api/agent/measure")
def measure(request: Request, body: Reports) -> JSONResponse:
    """Store measurements, renew the leases, and say of each training whether it shall go on, or why its lease is over.

    hold: the jobs whose trainings are to stand still. They are among those that go on, which is all that an older agent reads.
    """
    held = frozenset(body.held)
    reports = [MeasurementBatch(job_id, attempt, _measured(rows), job_id in held) for job_id, attempt, rows in body.reports]
    for report in reports:
        lab_of(request).agents.check(report)
    answers = lab_of(request).agents.measure_all(reports, identity(request).subject)
    said = [str(answer) if isinstance(answer, StaleAttempt) else answer is not Order.STOP for answer in answers]
    to_hold = [report.job_id for report, answer in zip(reports, answers, strict=True) if answer is Order.HOLD]
    return JSONResponse({"answers": said, "hold": to_hold})


def _measured(rows: Sequence[Any]) -> list[Measurement]:
    """The measurements of a report; InvalidSettings where there are too many, or one cannot be."""
    if len(rows) > MOST_REPORTED_MEASUREMENTS:
        raise InvalidSettings(
            f"a report of {len(rows)} measurements; expected at most {MOST_REPORTED_MEASUREMENTS}: send it in several"
        )
    measured = [codec.measurement_of(row) for row in rows]
    for point in measured:
        for name, count in (("index", point.index), ("step", point.step), ("epoch", point.epoch or 0)):
            if not 0 <= count <= MOST_COUNT:
                raise InvalidSettings(f"measurement {name}: {str(count)[:LONGEST_NAME]}, expected 0 to {MOST_COUNT}")
        if not 0 <= point.seconds <= MOST_SECONDS:
            wanted = f"seconds since the training's start, 0 to {MOST_SECONDS:.0f}"
            raise InvalidSettings(f"measurement seconds: {point.seconds}, expected {wanted}")
        if len(point.extra) > MOST_EXTRAS or any(len(name) > LONGEST_NAME for name in point.extra):
            raise InvalidSettings(
                f"measurement extra: {len(point.extra)} metrics, expected at most {MOST_EXTRAS}, "
                f"with names of at most {LONGEST_NAME} letters"
            )
    return measured


@router.post("/api/agent/jobs/{job_id}/finish")
def finish(request: Request, job_id: int, body: End) -> JSONResponse:
    """End a training."""
    measured = _measured(body.rows)
    lab_of(request).agents.check(MeasurementBatch(job_id, body.attempt, measured))
    lab_of(request).finish(job_id, body.attempt, body.outcome, body.why, measured, identity(request).subject)
    return JSONResponse({})


@router.post("/api/agent/jobs/{job_id}/release")
def release(request: Request, job_id: int, body: Release) -> JSONResponse:
    """Give a training back."""
    lab_of(request).release(job_id, body.attempt, body.why, body.counts, identity(request).subject)
    return JSONResponse({})


@router.post("/api/session/view")
def view(request: Request, body: ViewRequest) -> JSONResponse:
    """All that the session's tuner may see, without what was read before."""
    session_view = lab_of(request).view(_session(request, body))
    return JSONResponse(codec.view_to_json(session_view, body.settled, body.last, body.task))


@router.post("/api/session/wait")
async def wait(request: Request, body: WaitRequest) -> JSONResponse:
    """What `view` gives, with the session's newest event: when there is one after that which the tuner knows, or in time."""
    lab, session_id = lab_of(request), _session(request, body)
    waiting = _Wait(request, body.seconds)

    def wake(changed_id: int) -> None:
        if changed_id == session_id:
            waiting.wake()

    def look(due: bool) -> dict[str, Any] | None:
        with lab.at_once():
            newest = lab.sessions.newest_event(session_id)
            if newest == body.event and not due:
                return None
            session_view = lab.view(session_id)
        return {"event": newest, "view": codec.view_to_json(session_view, body.settled, body.last, body.task)}

    with listening(lab.on_change, wake):
        answer = await run_in_threadpool(look, False)
        while answer is None:
            woken = await waiting.woken(OTHERS_LOOK_SECONDS)
            answer = await run_in_threadpool(look, waiting.is_over or (body.measured and woken))
    return JSONResponse(answer)


@router.post("/api/session/curve")
def curve(request: Request, body: CurveRequest) -> JSONResponse:
    """What a trial measured."""
    learning_curve = lab_of(request).curve(_session(request, body), body.number, (body.attempt, body.index))
    rows = [codec.row_of(measurement) for measurement in learning_curve.measurements]
    return JSONResponse({"number": learning_curve.number, "attempt": learning_curve.attempt, "measurements": rows})


@router.post("/api/session/start")
def start(request: Request, body: OfSession) -> JSONResponse:
    """Start the session's clock."""
    session_id = _session(request, body)
    lab_of(request).start(session_id)
    return _tuners_session(request, session_id)


@router.post("/api/session/submit")
def submit(request: Request, body: Submission) -> JSONResponse:
    """Queue a trial."""
    lab, session_id = lab_of(request), _session(request, body)
    trial = lab.submit(
        session_id,
        body.configuration,
        reasons=body.reasons,
        explanation=body.explanation,
        resumes=body.resumes,
        revision=body.revision,
        key=body.key,
    )
    return JSONResponse(codec.to_json(trial))


@router.post("/api/session/stop")
def stop(request: Request, body: Stop) -> JSONResponse:
    """Ask a trial to stop."""
    session_id = _session(request, body)
    by = Stopper.RULE if body.rule else Stopper.TUNER
    lab_of(request).stop(session_id, body.number, by, why=body.why)
    trial = lab_of(request).view(session_id).session.trial(body.number)
    return JSONResponse(codec.to_json(trial))


@router.post("/api/session/choose")
def choose(request: Request, body: ChoiceRequest) -> JSONResponse:
    """End the session with its final configuration."""
    lab, session_id = lab_of(request), _session(request, body)
    space = lab.view(session_id).session.current_space
    configuration = None if body.configuration is None else space.configuration(body.configuration)
    lab.choose(session_id, number=body.number, configuration=configuration, key=body.key)
    return _tuners_session(request, session_id)


def _tuners_session(request: Request, session_id: int) -> JSONResponse:
    """The session as its tuner may see it."""
    return JSONResponse(codec.to_json(lab_of(request).view(session_id).session))


def _session(request: Request, body: OfSession) -> int:
    """The session that the token is of; NotAllowed where another one is asked for."""
    own = identity(request).subject
    if body.session_id not in (0, own):
        raise NotAllowed(f"this token is of session {own}, and cannot act in session {body.session_id}")
    return own


class _Wait:
    """An answer that waits for something: at most so many seconds, and not beyond the server's end."""

    def __init__(self, request: Request, seconds: float) -> None:
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + min(seconds, LONGEST_WAIT_SECONDS)
        self._event = asyncio.Event()

    def wake(self, *_: object) -> None:
        """In any thread: something happened."""
        with suppress(RuntimeError):  # the loop is closed: the server is ending
            self._loop.call_soon_threadsafe(self._event.set)

    @property
    def is_over(self) -> bool:
        """Whether it is time to answer as it is."""
        return self._loop.time() >= self._until or bool(held_by(self._request.app).ending)

    async def woken(self, at_most: float = LONGEST_WAIT_SECONDS) -> bool:
        """Wait until something happened since the last time; False where only time went by, at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.0 if self.is_over else min(self._until - self._loop.time(), at_most)):
                await self._event.wait()
        happened = self._event.is_set()
        self._event.clear()
        return happened
