"""A session as server-sent events: what it measures, and how it stands, to a page that stays open.

Two events: `points`, what the shown trial measured after the client's cursor, and `state`, what the page computes of the view.
The cursor (trial, attempt, index) is each event's id, so that a client that comes back gets exactly what it lacks.
"""

import math
import re
import time
from collections.abc import Awaitable, Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fastapi import Request, Response

from evenhand.lab.lab import Lab
from evenhand.model.session import Session, View
from evenhand.model.trial import LearningCurve, Measurement, Trial
from evenhand.model.trial_history import unsettled
from evenhand.web.state import held_by
from evenhand.web.streams import Pace, StreamLook, Topic, event, stream

Content = Mapping[str, Any]
Describe = Callable[[View, LearningCurve | None], Content]

SESSION_PACE = Pace(rest=0.1, load=2, poll=1.0)  # it looks without being told, too: other processes write the same database
RESTATE_SECONDS = 5.0  # seconds after which the state is sent although only its clock has moved


@dataclass(frozen=True)
class StreamCursor:
    """What a client has: the measurements of a trial's attempt up to an index. hidden: they came without validation."""

    number: int = 0
    attempt: int = 0
    index: int = -1
    hidden: bool = False

    def __str__(self) -> str:
        return f"{self.number}.{self.attempt}.{self.index}{'h' if self.hidden else ''}"


def parse_cursor(text: str) -> StreamCursor:
    """The cursor in an event's id; the start for any other text."""
    match = re.fullmatch(r"(\d{1,9})\.(\d{1,9})\.(-1|\d{1,9})(h?)", text)
    return StreamCursor(int(match[1]), int(match[2]), int(match[3]), bool(match[4])) if match else StreamCursor()


def whole(before: Content, now: Content) -> Content:
    """What is sent of a state to whoever has the one before: all of it."""
    return now


def session_events(
    request: Request,
    lab: Lab,
    session_id: int,
    describe: Callable[[], Describe],
    viewer: Hashable,
    *,
    news: Callable[[Content, Content], Content] = whole,
    present: Callable[[], object] | None = None,
    may_go_on: Callable[[], Awaitable[bool]] | None = None,
    beside: Callable[[], object] = lambda: None,
) -> Response:
    """The session's events, as the response to a request that may carry a cursor (header Last-Event-ID, or query `after`).

    describe: makes what gives the `state` event's content, from the view and the shown trial's newest batch and epoch; it is
    asked in a thread. viewer: the same for all whom it tells the same. news: what of a content is sent to whoever has the one
    before; nothing where it is empty. present: called now and then while the stream is open. may_go_on: asked before each
    message. beside: a fact that is no part of the view; a new one is told at once.
    """
    after = request.headers.get("last-event-id") or request.query_params.get("after", "")
    topic = Topic((session_id, viewer), lambda: SessionFeed(lab, session_id, describe(), beside, news), SESSION_PACE, session_id)
    return stream(held_by(request.app).hub, topic, place=parse_cursor(after), present=present, may_go_on=may_go_on)


class SessionFeed:
    """The source of a session's events: what everybody was told who watches it, and what others lack."""

    def __init__(
        self,
        lab: Lab,
        session_id: int,
        describe: Describe,
        beside: Callable[[], object] = lambda: None,
        news: Callable[[Content, Content], Content] = whole,
    ) -> None:
        self.lab = lab
        self.session_id = session_id
        self._describe = describe
        self._beside = beside
        self._news = news
        self._place: StreamCursor | None = None
        self._content: Content = {}
        self._latest: LearningCurve | None = None
        self._facts: tuple[Any, ...] = ()
        self._stated_at = float("-inf")

    def look(self, behind: Collection[StreamCursor]) -> StreamLook:
        """What was measured and how the session stands: what is new, and what those behind lack, from each one's cursor."""
        with self.lab.at_once():
            return self._look(behind)

    def _look(self, behind: Collection[StreamCursor]) -> StreamLook:
        view, before = self.lab.view(self.session_id), self._place
        points = self._points(view.session, {*behind, *([] if before is None else [before])})
        facts, now = (*_facts(view), self._beside()), time.monotonic()
        fresh = b"" if before is None else points.get(before, b"")
        if not (behind or fresh or facts != self._facts or now - self._stated_at >= RESTATE_SECONDS):
            return StreamLook(b"", {}, self._place)
        content = self._describe(view, self._latest)
        changed = self._news(self._content, content)
        self._facts, self._stated_at, self._content = facts, now, content
        news = fresh + event("state", changed, self._place) if changed else fresh
        state = event("state", content, self._place) if behind else b""
        return StreamLook(news, {cursor: points.get(cursor, b"") + state for cursor in behind}, self._place)

    def _points(self, session: Session, places: Collection[StreamCursor]) -> dict[StreamCursor, bytes]:
        """What is lacking at each place of the shown trial, and of the one before where that is not complete there."""
        trial = shown_trial(session)
        if trial is None:
            self._place, self._latest = StreamCursor(), None
            return {}
        start = StreamCursor(trial.number, trial.attempt, -1, trial.is_open and not session.live_validation)
        held = [place.index for place in places if replace(place, index=-1) == start]
        low = min(held, default=-1) if len(held) == len(places) else -1
        rows = self.lab.sessions.news(session, trial, (trial.attempt, low)).measurements
        self._note(session, trial, start, rows)
        self._place = replace(start, index=rows[-1].index if rows else low)
        return {place: self._tail(session, trial, place) + self._lacking(start, rows, place) for place in places}

    def _note(self, session: Session, trial: Trial, start: StreamCursor, rows: Sequence[Measurement]) -> None:
        """Keep the newest batch and epoch for the state."""
        if self._latest is None or self._place is None or replace(self._place, index=-1) != start:
            self._latest = self.lab.sessions.newest(session, trial)
        else:
            self._latest = _newest(self._latest, rows)

    def _tail(self, session: Session, shown: Trial, held: StreamCursor) -> bytes:
        """Of a trial before the shown one: what whoever saw its start lacks."""
        trial = session.trial(held.number) if 0 < held.number < shown.number else None
        if trial is None:
            return b""
        start = StreamCursor(trial.number, trial.attempt, -1, trial.is_open and not session.live_validation)
        first = held.index if replace(held, index=-1) == start else -1
        return self._lacking(start, self.lab.sessions.news(session, trial, (trial.attempt, first)).measurements, held)

    def _lacking(self, start: StreamCursor, rows: Sequence[Measurement], held: StreamCursor) -> bytes:
        """What somebody lacks of an attempt's last `rows`; b"" where that is nothing."""
        reset = replace(held, index=-1) != start
        lacking = [_row(row) for row in rows if reset or row.index > held.index]
        if not lacking and not reset:
            return b""
        last = replace(start, index=lacking[-1][0] if lacking else -1)
        content = {"number": start.number, "attempt": start.attempt, "reset": reset, "measurements": lacking}
        return event("points", content, last)


def shown_trial(session: Session) -> Trial | None:
    """The trial that trains or waits, else the newest."""
    return next((trial for trial in unsettled(session.trials) if trial.is_open), session.trials[-1] if session.trials else None)


def _newest(before: LearningCurve, rows: Sequence[Measurement]) -> LearningCurve:
    """Of what came before and what came then: the last batch and the last epoch, in order."""
    latest = {measurement.epoch is None: measurement for measurement in (*before.measurements, *rows)}
    return replace(before, measurements=tuple(sorted(latest.values(), key=lambda measurement: measurement.index)))


def _row(measurement: Measurement) -> list[Any]:
    return [
        measurement.index,
        measurement.step,
        measurement.epoch,
        _finite(measurement.loss),
        _finite(measurement.value),
        round(measurement.seconds, 3),
    ]


def _finite(value: float | None) -> float | None:
    """JSON has no word for infinity."""
    return value if value is not None and math.isfinite(value) else None


def _facts(view: View) -> tuple[Any, ...]:
    """What must differ for a new state to be worth a message at once: all but the passing of time."""
    waiting = (view.waiting.position, view.waiting.slots, view.waiting.why) if view.waiting else None
    return view.state, view.refusal, waiting, replace(view.session, last_seen=None)
