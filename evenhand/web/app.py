"""The web app: routers, the error table, security headers, and what runs beside the pages (sweep, watch, heartbeat, methods)."""

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from anyio import to_thread
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from evenhand import errors
from evenhand.errors import EvenhandError, InvalidConfiguration, InvalidSettings, Problem
from evenhand.exchange.backup import Keeper
from evenhand.lab.lab import Lab
from evenhand.lab.served import HEARTBEAT_FILE, beat, last_alive
from evenhand.settings import HERE, PublicAddress
from evenhand.studies.alerts import Watch
from evenhand.web import access, api, entry, method_pages
from evenhand.web.bodies import BodyRefused
from evenhand.web.classroom import board, seats
from evenhand.web.door import Door, path_of
from evenhand.web.pages import render
from evenhand.web.participant import flow, questions
from evenhand.web.researcher import (
    explore,
    exports,
    invitations,
    looks,
    monitor,
    people,
    reports,
    start_method,
    study,
    understand_study,
    versions,
)
from evenhand.web.runs import by_hand, run, run_curves, start, start_data, take_away, trial, trial_table, understand, why
from evenhand.web.runs import compare as compared_runs
from evenhand.web.runs import page as runs
from evenhand.web.state import AppState, held_by, hold
from evenhand.web.workbench import page

log = logging.getLogger(__name__)

STATIC_FOLDER = Path(__file__).parent / "static"
ANSWERING_THREADS = 12  # at once: more of them would only take turns at the interpreter's lock, and hold up the event loop
SWITCH_SECONDS = 0.0005  # for which a thread keeps that lock where others want it: answers are short, and the event loop waits
SWEEP_SECONDS = 0.5
WATCH_SECONDS = 15.0
BACKUP_LOOK_SECONDS = 60.0  # between two looks whether a backup is due, and before the first: a server that starts answers first
HEARTBEAT_SECONDS = 2.0
SEEN_SECONDS = 30.0  # after which it is written that browsers were seen
SOUNDNESS_SECONDS = 1.0  # between two looks whether the database is still there

STATUS_CODES: dict[type[EvenhandError], int] = {
    errors.InvalidConfiguration: 422,
    errors.InvalidSpace: 400,
    errors.InvalidSettings: 400,
    errors.DataError: 400,
    errors.NotAllowed: 403,
    errors.NotFound: 404,
    errors.Refused: 409,
    errors.MissingHere: 409,
    errors.StaleAttempt: 410,
    errors.Dismissed: 410,
    errors.Unreachable: 502,
    errors.DatabaseLost: 503,
    errors.DiskFull: 503,
}


def create_app(
    lab: Lab, *, data_dir: Path, hosts: Sequence[str] = (), session_id: int | None = None, public: PublicAddress = HERE
) -> FastAPI:
    """The app on a lab.

    data_dir: where the heartbeat is kept. hosts: names, beside localhost and addresses in digits, under which browsers may ask
    for this server. session_id: it is there for this session alone, as long as that is tuned: what else a laboratory does
    (methods, alerts, backups, a heartbeat) is left to the server of that one. public: where browsers find it behind a proxy.
    """
    first = public.prefix.split("/")[1] if public.prefix else None
    if first in {path.split("/")[1] for _, path in access.PERMISSIONS}:
        raise InvalidSettings(f"public URL {public.url!r}: /{first} is an address of Evenhand's own; expected another path")
    app = FastAPI(
        title="Evenhand",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan if session_id is None else partial(_beside, session_id),
        dependencies=[Depends(access.guard)],
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},  # asked at each request, else
    )
    hold(app, AppState(lab, data_dir, public))
    # The router asks them in order: those that are called all the time come first.
    for module in (
        api,
        flow,
        questions,
        entry,
        runs,
        compared_runs,
        take_away,
        run,
        run_curves,
        trial_table,
        trial,
        understand,
        why,
        method_pages,
        start,
        start_data,
        by_hand,
        board,
        seats,
        study,
        explore,
        understand_study,
        page,
        monitor,
        invitations,
        versions,
        looks,
        reports,
        start_method,
        exports,
        people,
    ):
        app.include_router(module.router)
    app.mount("/static", StaticFiles(directory=STATIC_FOLDER))
    app.add_exception_handler(access.HeadIsEnough, _nothing_more)
    app.add_exception_handler(EvenhandError, _on_error)
    app.add_exception_handler(RequestValidationError, _on_error)
    app.add_exception_handler(BodyRefused, _on_error)
    app.add_exception_handler(HTTPException, _on_error)
    app.add_exception_handler(Exception, _on_error)
    app.add_middleware(Door, hosts=frozenset(hosts), public=public)
    return app


async def _nothing_more(request: Request, error: Exception) -> Response:
    """To HEAD, where a GET would be a look or would last."""
    return Response()


async def _on_error(request: Request, error: Exception) -> Response:
    """Any error as JSON under /api, as a few words for a script's request, as a page elsewhere."""
    status, name, message = describe(error)
    if status == 500:
        log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    problems = error.problems if isinstance(error, InvalidConfiguration) else ()
    if path_of(request.scope).startswith("/api/") or "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"error": name, "message": message, "problems": [_to_json(problem) for problem in problems]}, status)
    if "hx-request" in request.headers:
        return PlainTextResponse(message, status)
    return render(request, "error.html", status=status, code=status, message=message, name=name)


def describe(error: Exception) -> tuple[int, str, str]:
    """HTTP status, name and words of an error."""
    for kind in type(error).__mro__:
        if kind in STATUS_CODES:
            return STATUS_CODES[kind], type(error).__name__, str(error)
    if isinstance(error, BodyRefused):
        return error.status, "BodyRefused", str(error)
    if isinstance(error, RequestValidationError):
        wrong = "; ".join(f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}" for problem in error.errors())
        return 400, "InvalidRequest", f"this request is not what the address expects: {wrong}"
    if isinstance(error, OSError) and error.errno in errors.FULL_DISK:
        return describe(errors.DiskFull())
    if isinstance(error, HTTPException):
        words = {404: "there is no page at this address", 405: "this address does not take this kind of request"}
        return error.status_code, "HTTPException", words.get(error.status_code, str(error.detail))
    return 500, "InternalError", "something went wrong on the server; its log says what. Nothing that was saved is lost."


def _to_json(problem: Problem) -> dict[str, str]:
    return {"name": problem.name, "given": problem.given, "expected": problem.expected}


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    state = held_by(app)
    lab = state.lab
    to_thread.current_default_thread_limiter().total_tokens = ANSWERING_THREADS
    sys.setswitchinterval(SWITCH_SECONDS)
    heartbeat = state.data_dir / HEARTBEAT_FILE.format(lab.key)
    await run_in_threadpool(lab.recover, last_alive(heartbeat))
    beat(heartbeat, lab.clock())
    state.players.resume()
    watch = Watch(lab, state.data_dir)
    keeper = await run_in_threadpool(Keeper, lab, state.data_dir)

    def look() -> None:
        state.alerts = watch.look()

    def look_at_database() -> None:
        watch.look_at_database()
        state.alerts = watch.alerts

    def keep_backups() -> None:
        keeper.look()
        watch.note_backups(keeper.troubles.values())
        state.alerts = watch.alerts

    tasks = [
        asyncio.create_task(_every(SOUNDNESS_SECONDS, look_at_database)),
        asyncio.create_task(_every(SWEEP_SECONDS, lab.sweep)),
        asyncio.create_task(_every(WATCH_SECONDS, look)),
        asyncio.create_task(_every(BACKUP_LOOK_SECONDS, keep_backups, BACKUP_LOOK_SECONDS)),
        asyncio.create_task(_every(HEARTBEAT_SECONDS, lambda: beat(heartbeat, lab.clock()))),
        asyncio.create_task(_every(SEEN_SECONDS, lab.people.note_seen)),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await run_in_threadpool(state.players.stop)
        state.understandings.stop()
        keeper.close()
        beat(heartbeat, lab.clock())


@asynccontextmanager
async def _beside(session_id: int, app: FastAPI) -> AsyncIterator[None]:
    lab = held_by(app).lab
    sweep = asyncio.create_task(_every(SWEEP_SECONDS, lambda: lab.sweep(session_id)))
    try:
        yield
    finally:
        sweep.cancel()
        await asyncio.gather(sweep, return_exceptions=True)
        held_by(app).understandings.stop()


async def _every(seconds: float, work: Callable[[], None], after: float = 0.0) -> None:
    await asyncio.sleep(after)
    while True:
        try:
            await run_in_threadpool(work)
        except Exception:
            log.exception("background work failed; it is tried again in %s s", seconds)
        await asyncio.sleep(seconds)
