"""A session as server-sent events: what it measures, and how it stands, to a page that stays open.

Two events: `points`, what the shown trial measured after the client's cursor, and `state`, what the page computes of the view.
The cursor (trial, attempt, index) is each event's id, so that a client that comes back gets exactly what it lacks.
"""

import asyncio
import json
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.concurrency import run_in_threadpool

from evenhand.lab import Lab
from evenhand.records import Curve, Measurement, Session, Trial, View

Describe = Callable[[View, Curve | None], Mapping[str, Any]]

REST = 0.1  # seconds between two looks at the least: a look sends up to two messages, so 20 a second
LOAD = 2  # the stream rests this many times as long as a look took, so that many streams cannot starve the trainings
POLL = 1.0  # seconds after which the stream looks without being told: other processes write the same database
RESTATE = 5.0  # seconds after which the state is sent although only its clock has moved
ALIVE = 10.0  # seconds between two signs of life
LOOKERS = ThreadPoolExecutor(2, thread_name_prefix="look")  # their own, so that pages do not wait for hundreds of looks


@dataclass(frozen=True)
class Cursor:
    """What a client has: the measurements of a trial's attempt up to an index. hidden: they came without validation."""

    number: int = 0
    attempt: int = 0
    index: int = -1
    hidden: bool = False

    def __str__(self) -> str:
        return f"{self.number}.{self.attempt}.{self.index}{'h' if self.hidden else ''}"


def parse_cursor(text: str) -> Cursor:
    """The cursor in an event's id; the start for any other text."""
    found = re.fullmatch(r"(\d{1,9})\.(\d{1,9})\.(-1|\d{1,9})(h?)", text)
    return Cursor(int(found[1]), int(found[2]), int(found[3]), bool(found[4])) if found else Cursor()


def session_events(
    request: Request,
    lab: Lab,
    session_id: int,
    describe: Describe,
    *,
    present: Callable[[], object] | None = None,
    beside: Callable[[], object] = lambda: None,
) -> EventSourceResponse:
    """The session's events, as the response to a request that may carry a cursor (header Last-Event-ID, or query `after`).

    describe: the `state` event's content, from the view and the shown trial's newest batch and epoch; it runs in a thread.
    present: called now and then while the stream is open. beside: a fact that is no part of the view; a new one is told at once.
    """
    after = request.headers.get("last-event-id") or request.query_params.get("after", "")
    return EventSourceResponse(_stream(request, Feed(lab, session_id, describe, parse_cursor(after), beside), present))


async def _stream(request: Request, feed: "Feed", present: Callable[[], object] | None) -> AsyncIterator[bytes]:
    lab, loop, changed = feed.lab, asyncio.get_running_loop(), asyncio.Event()

    def listener(session_id: int) -> None:
        if session_id == feed.session_id:
            with suppress(RuntimeError):  # the loop is closed: the server is ending
                loop.call_soon_threadsafe(changed.set)

    lab.on_change.append(listener)
    spoke = seen = float("-inf")
    try:
        while not request.app.state.ending:
            changed.clear()
            begun = time.monotonic()
            if present is not None and begun - seen >= ALIVE:
                seen = begun
                await run_in_threadpool(present)
            messages, took = await loop.run_in_executor(LOOKERS, feed.timed_look)
            if not messages and begun - spoke >= ALIVE:
                messages = [format_sse_event(event="alive", data_str="{}")]
            if messages:
                spoke = begun
                yield b"".join(messages)
            await asyncio.sleep(max(REST, LOAD * took))
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):  # cheaper than wait_for, which makes a task
                    await changed.wait()
    finally:
        lab.on_change.remove(listener)


class Feed:
    """What one client has been sent, and what it lacks."""

    def __init__(
        self, lab: Lab, session_id: int, describe: Describe, cursor: Cursor, beside: Callable[[], object] = lambda: None
    ) -> None:
        self.lab = lab
        self.session_id = session_id
        self.cursor = cursor
        self._describe = describe
        self._beside = beside
        self._latest: Curve | None = None
        self._facts: tuple[Any, ...] = ()
        self._stated_at = float("-inf")

    def timed_look(self) -> tuple[list[bytes], float]:
        """What `look` gives, and how many seconds it took."""
        begun = time.monotonic()
        return self.look(), time.monotonic() - begun

    def look(self) -> list[bytes]:
        """The messages that bring the client up to date."""
        with self.lab.at_once():
            return self._look()

    def _look(self) -> list[bytes]:
        view = self.lab.view(self.session_id)
        trial = shown_trial(view.session)
        messages = []
        if trial is not None:
            if 0 < self.cursor.number < trial.number and (ended := view.session.trial(self.cursor.number)):
                messages += self._points(view.session, ended)
            messages += self._points(view.session, trial)
        facts, now = (*_facts(view), self._beside()), time.monotonic()
        if messages or facts != self._facts or now - self._stated_at >= RESTATE:
            self._facts, self._stated_at = facts, now
            messages.append(self._event("state", self._describe(view, self._latest)))
        return messages

    def _points(self, session: Session, trial: Trial) -> list[bytes]:
        """What the client lacks of a trial, and its newest batch and epoch for the state."""
        held, latest = self.cursor, self._latest
        known = latest is not None and (held.number, held.attempt) == (trial.number, latest.attempt)
        curve = self.lab.news(session, trial, (held.attempt, held.index) if known else (0, -1))
        hidden = trial.is_open and not session.live_validation
        if known and held.hidden and not hidden:  # the validation is no secret any more
            curve = self.lab.news(session, trial, (0, -1))
        reset = (held.number, held.attempt, held.hidden) != (trial.number, curve.attempt, hidden)
        lacking = [each for each in curve.measurements if reset or each.index > held.index]
        self._latest = _newest(latest if known and not reset else None, curve)
        last = lacking[-1].index if lacking else -1 if reset else held.index
        self.cursor = Cursor(trial.number, curve.attempt, last, hidden)
        if not lacking and not reset:
            return []
        rows = [_row(each) for each in lacking]
        return [self._event("points", {"number": trial.number, "attempt": curve.attempt, "reset": reset, "measurements": rows})]

    def _event(self, name: str, content: Mapping[str, Any]) -> bytes:
        return format_sse_event(event=name, data_str=json.dumps(content, separators=(",", ":")), id=str(self.cursor))


def shown_trial(session: Session) -> Trial | None:
    """The trial that trains or waits, else the newest."""
    return next((trial for trial in session.trials if trial.is_open), session.trials[-1] if session.trials else None)


def _newest(before: Curve | None, curve: Curve) -> Curve:
    """Of a curve and what came before it: the last batch and the last epoch, in order."""
    found: dict[bool, Measurement] = {}
    for each in (*(before.measurements if before else ()), *curve.measurements):
        found[each.epoch is None] = each
    return replace(curve, measurements=tuple(sorted(found.values(), key=lambda each: each.index)))


def _row(each: Measurement) -> list[float | int | None]:
    return [each.index, each.step, each.epoch, _finite(each.loss), _finite(each.value), round(each.seconds, 3)]


def _finite(value: float | None) -> float | None:
    """JSON has no word for infinity."""
    return value if value is not None and math.isfinite(value) else None


def _facts(view: View) -> tuple[Any, ...]:
    """What must differ for a new state to be worth a message at once: all but the passing of time."""
    waiting = (view.waiting.position, view.waiting.slots, view.waiting.why) if view.waiting else None
    return view.state, view.refusal, waiting, replace(view.session, last_seen=None)
