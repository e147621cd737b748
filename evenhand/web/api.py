"""The door for agents and methods: the lab's verbs as JSON over HTTP, with a bearer token. `evenhand.client` is the other end."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import field
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic.dataclasses import dataclass
from starlette.concurrency import run_in_threadpool

from evenhand import wire
from evenhand.core import told
from evenhand.errors import NotAllowed, StaleAttempt
from evenhand.records import Assignment, Outcome, Report, Stopper
from evenhand.web.access import identity, lab_of

LONGEST_WAIT = 5.0  # seconds that who waits is answered after, at the latest: less than clients wait for an answer
OTHERS = 1.0  # seconds between two looks for what other processes did, of which nobody tells

router = APIRouter()


@dataclass
class Hello:
    """What an agent says of itself."""

    slots: int
    machine: str = ""
    name: str = ""


@dataclass
class Claim:
    """refused: task versions that the agent cannot train. session_id: of this session only. seconds: to wait for a training."""

    refused: Sequence[str] = ()
    session_id: int | None = None
    seconds: float = 0.0


@dataclass
class Reports:
    """What several trainings of one agent measured: for each its job, its attempt, and rows as `wire.row_of` writes them."""

    reports: list[tuple[int, int, list[Any]]]


@dataclass
class End:
    """How a training ended, and the last of what it measured, in rows as `wire.row_of` writes them."""

    attempt: int
    outcome: Outcome
    why: str | None = None
    rows: list[Any] = field(default_factory=list)


@dataclass
class Release:
    """Why a training is given back."""

    attempt: int
    why: str
    counts: bool = True


@dataclass
class OfSession:
    """session_id: 0 for the token's own."""

    session_id: int = 0


@dataclass
class Look(OfSession):
    """What the tuner has read before; see `wire.view_to_json`."""

    settled: int = 0
    last: int = 0
    task: str = ""


@dataclass
class Wait(Look):
    """For what after which event, and for how long. measured: whether measurements count, too."""

    event: int = 0
    seconds: float = 0.0
    measured: bool = False


@dataclass
class Cursor(OfSession):
    """Which trial, and after which measurement of it."""

    number: int = 0
    attempt: int = 0
    index: int = -1


@dataclass
class Submission(OfSession):
    """A configuration, raw; the key makes it one trial however often it is sent."""

    configuration: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    explanation: str = ""
    resumes: int | None = None
    revision: int | None = None
    key: str | None = None


@dataclass
class Stop(OfSession):
    """Which trial; rule: whether a stopping rule asks, and why it does."""

    number: int = 0
    rule: bool = False
    why: str | None = None


@dataclass
class Final(OfSession):
    """The final choice: a trial's number, or a configuration."""

    number: int | None = None
    configuration: dict[str, Any] | None = None
    key: str | None = None


@router.post("/api/agent/hello")
def hello(request: Request, body: Hello) -> JSONResponse:
    """An agent says what it is."""
    lab_of(request).hello(identity(request).subject, slots=body.slots, machine=body.machine, name=body.name)
    return JSONResponse({})


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
    with told(lab.on_waiting, waiting.wake):
        found = await run_in_threadpool(find)
        while found is None and await waiting.woken() and not await request.is_disconnected():
            found = await run_in_threadpool(find)
    return JSONResponse({"assignment": wire.to_json(found)})


@router.post("/api/agent/measure")
def measure(request: Request, body: Reports) -> JSONResponse:
    """Store measurements, renew the leases, and say of each training whether it shall go on, or why its lease is over."""
    reports = [Report(job_id, attempt, [wire.measurement_of(row) for row in rows]) for job_id, attempt, rows in body.reports]
    answers = lab_of(request).measure_all(reports, identity(request).subject)
    return JSONResponse({"answers": [str(each) if isinstance(each, StaleAttempt) else each for each in answers]})


@router.post("/api/agent/jobs/{job_id}/finish")
def finish(request: Request, job_id: int, body: End) -> JSONResponse:
    """End a training."""
    measured = [wire.measurement_of(row) for row in body.rows]
    lab_of(request).finish(job_id, body.attempt, body.outcome, body.why, measured, identity(request).subject)
    return JSONResponse({})


@router.post("/api/agent/jobs/{job_id}/release")
def release(request: Request, job_id: int, body: Release) -> JSONResponse:
    """Give a training back."""
    lab_of(request).release(job_id, body.attempt, body.why, body.counts, identity(request).subject)
    return JSONResponse({})


@router.post("/api/session/view")
def view(request: Request, body: Look) -> JSONResponse:
    """All that the session's tuner may see, without what was read before."""
    found = lab_of(request).view(_session(request, body))
    return JSONResponse(wire.view_to_json(found, body.settled, body.last, body.task))


@router.post("/api/session/wait")
async def wait(request: Request, body: Wait) -> JSONResponse:
    """What `view` gives, with the session's newest event: when there is one after that which the tuner knows, or in time."""
    lab, session_id = lab_of(request), _session(request, body)
    waiting = _Wait(request, body.seconds)

    def wake(changed_id: int) -> None:
        if changed_id == session_id:
            waiting.wake()

    def look(due: bool) -> dict[str, Any] | None:
        with lab.at_once():
            newest = lab.newest_event(session_id)
            if newest == body.event and not due:
                return None
            found = lab.view(session_id)
        return {"event": newest, "view": wire.view_to_json(found, body.settled, body.last, body.task)}

    with told(lab.on_change, wake):
        answer = await run_in_threadpool(look, False)
        while answer is None:
            woken = await waiting.woken(OTHERS)
            answer = await run_in_threadpool(look, waiting.is_over or (body.measured and woken))
    return JSONResponse(answer)


@router.post("/api/session/curve")
def curve(request: Request, body: Cursor) -> JSONResponse:
    """What a trial measured."""
    found = lab_of(request).curve(_session(request, body), body.number, (body.attempt, body.index))
    rows = [wire.row_of(each) for each in found.measurements]
    return JSONResponse({"number": found.number, "attempt": found.attempt, "measurements": rows})


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
    return JSONResponse(wire.to_json(trial))


@router.post("/api/session/stop")
def stop(request: Request, body: Stop) -> JSONResponse:
    """Ask a trial to stop."""
    session_id = _session(request, body)
    by = Stopper.RULE if body.rule else Stopper.TUNER
    lab_of(request).stop(session_id, body.number, by, why=body.why)
    trial = lab_of(request).view(session_id).session.trial(body.number)
    return JSONResponse(wire.to_json(trial))


@router.post("/api/session/choose")
def choose(request: Request, body: Final) -> JSONResponse:
    """End the session with its final configuration."""
    lab, session_id = lab_of(request), _session(request, body)
    space = lab.view(session_id).session.current_space
    configuration = None if body.configuration is None else space.configuration(body.configuration)
    lab.choose(session_id, number=body.number, configuration=configuration, key=body.key)
    return _tuners_session(request, session_id)


def _tuners_session(request: Request, session_id: int) -> JSONResponse:
    """The session as its tuner may see it."""
    return JSONResponse(wire.to_json(lab_of(request).view(session_id).session))


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
        self._until = self._loop.time() + min(seconds, LONGEST_WAIT)
        self._event = asyncio.Event()

    def wake(self, *_: object) -> None:
        """In any thread: something happened."""
        with suppress(RuntimeError):  # the loop is closed: the server is ending
            self._loop.call_soon_threadsafe(self._event.set)

    @property
    def is_over(self) -> bool:
        """Whether it is time to answer as it is."""
        return self._loop.time() >= self._until or bool(self._request.app.state.ending)

    async def woken(self, at_most: float = LONGEST_WAIT) -> bool:
        """Wait until something happened since the last time; False where only time went by, at most so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(0.0 if self.is_over else min(self._until - self._loop.time(), at_most)):
                await self._event.wait()
        happened = self._event.is_set()
        self._event.clear()
        return happened
