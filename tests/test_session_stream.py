"""Server-sent events of a session, over a real server: the cursor, what arrives and when, and what is left behind."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from evenhand.lab.lab import Lab
from evenhand.model.session import View
from evenhand.model.trial import LearningCurve, Outcome
from evenhand.settings import Rules
from evenhand.store.engine import Store
from evenhand.web import session_stream
from evenhand.web.session_stream import StreamCursor, parse_cursor
from evenhand.web.state import AppState, hold
from tests.labs import batch, claim, epoch, started, toy_study
from tests.waiting import PATIENCE_SECONDS, wait_for
from tests.web import listening

LATENCY = 0.25  # seconds from the worker's word to the event, where nothing else takes the processor


@dataclass
class Event:
    name: str
    id: str
    content: dict[str, Any]
    at: float


class Stream:
    """A client that reads a session's events in a thread of its own."""

    def __init__(self, url: str, **query: str) -> None:
        self.events: list[Event] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, args=(url, query), daemon=True)
        self._thread.start()

    def _read(self, url: str, query: dict[str, str]) -> None:
        with (
            suppress(httpx.TransportError),  # the server has ended
            httpx.Client(timeout=PATIENCE_SECONDS, trust_env=False) as client,
            client.stream("GET", url, params=query) as answer,
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                if self._stop.is_set():
                    return
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif fields:
                    event = Event(fields["event"], fields.get("id", ""), json.loads(fields["data"]), time.monotonic())
                    self.events.append(event)
                    fields = {}

    def close(self) -> None:
        self._stop.set()

    def named(self, name: str) -> list[Event]:
        return [event for event in self.events if event.name == name]

    def rows(self) -> list[list[Any]]:
        return [row for event in self.named("points") for row in event.content["measurements"]]

    def until(self, true: Any) -> None:
        wait_for(lambda: self.events, "the stream says more", lambda events: true())


@dataclass
class Served:
    """A lab with one session that trains, and the address of its events."""

    lab: Lab
    agent_id: int
    session_id: int
    url: str

    def submit(self, epochs: int = 3) -> tuple[int, int]:
        """A new trial that is claimed: job and attempt."""
        configuration = self.lab.studies.task_of(1).space.configuration({"epochs": epochs})
        self.lab.submit(self.session_id, configuration)
        assignment = claim(self.lab, self.agent_id)
        return assignment.job_id, assignment.attempt


def describe(view: View, curve: LearningCurve | None) -> dict[str, Any]:
    newest = [(measurement.index, measurement.epoch) for measurement in curve.measurements] if curve else []
    return {"state": view.state, "trials": len(view.session.trials), "newest": newest}


@pytest.fixture(params=[True, False], ids=["live validation", "validation at the end"])
def shown(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(Store(f"sqlite:///{tmp_path / 'lab.sqlite'}"), Rules(lease=60, curve_points=2000))
    yield made
    made.close()


@pytest.fixture
def served(lab: Lab, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Served]:
    shows = request.getfixturevalue("shown") if "shown" in request.fixturenames else True
    session = started(lab, toy_study(lab, live_validation=shows))
    app = FastAPI()
    state = hold(app, AppState(lab, tmp_path))

    @app.get("/events")
    def events(request: Request) -> Response:
        return session_stream.session_events(
            request, lab, session.id, lambda: describe, "test", present=lambda: lab.sessions.seen(session.id)
        )

    agent_id, _ = lab.agents.add("here", 1)
    with listening(app) as address:
        yield Served(lab, agent_id, session.id, f"{address}/events")
        state.ending = True


def test_the_id_of_an_event_is_a_cursor() -> None:
    for cursor in (StreamCursor(), StreamCursor(3, 2, 117), StreamCursor(3, 2, 117, True)):
        assert parse_cursor(str(cursor)) == cursor
    for text in ("", "1.2", "1.2.x", "1.2.-2", "1.2.3 or 1=1", "9" * 5000):
        assert parse_cursor(text) == StreamCursor()


def test_what_a_training_measures_arrives_once_and_in_order(served: Served) -> None:
    stream = Stream(served.url)
    stream.until(lambda: stream.named("state"))
    assert stream.events[0].content == {"state": "tuning", "trials": 0, "newest": []}
    job, attempt = served.submit()
    measured = [batch(index) for index in range(9)] + [epoch(9, 1, 0.5), batch(10), epoch(11, 2, 0.6)]
    for measurement in measured:
        served.lab.measure(job, attempt, [measurement])
    served.lab.finish(job, attempt, Outcome.COMPLETED)
    stream.until(lambda: len(stream.rows()) == len(measured))
    assert [row[0] for row in stream.rows()] == list(range(12))
    assert stream.rows()[11] == [11, 20, 2, 1.0, 0.6, 2.0]
    points = [event.content for event in stream.named("points")]
    # It begins anew where the attempt is another one: a look before the claim tells of the trial without one.
    attempts = [content["attempt"] for content in points]
    assert [content["reset"] for content in points] == [True, *(one != other for one, other in pairwise(attempts))]
    assert attempts[-1] == attempt
    stream.until(lambda: stream.named("state")[-1].content["newest"] == [[10, None], [11, 2]])
    stream.close()


def test_a_client_that_comes_back_gets_what_it_lacks(served: Served) -> None:
    job, attempt = served.submit()
    served.lab.measure(job, attempt, [batch(index) for index in range(20)])
    first = Stream(served.url)
    first.until(lambda: len(first.rows()) == 20)
    first.close()
    cursor = first.events[-1].id
    served.lab.measure(job, attempt, [batch(index) for index in range(20, 30)])
    second = Stream(served.url, after=cursor)
    second.until(lambda: second.rows())
    assert [row[0] for row in second.rows()] == list(range(20, 30))
    assert not second.named("points")[0].content["reset"]
    second.close()

    header = httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS, headers={"last-event-id": second.named("points")[-1].id})
    with header.stream("GET", served.url, params={"after": cursor}) as answer:  # the header is newer than the query
        name = next(answer.iter_lines())
    assert name == "event: state"


def test_the_tail_of_a_trial_that_has_ended_comes_before_the_next_trial(served: Served) -> None:
    job, attempt = served.submit()
    served.lab.measure(job, attempt, [batch(index) for index in range(5)])
    served.lab.finish(job, attempt, Outcome.STOPPED)
    job, attempt = served.submit()
    served.lab.measure(job, attempt, [batch(0)])
    stream = Stream(served.url, after="1.1.2")
    stream.until(lambda: len(stream.named("points")) == 2)
    tail, fresh = (event.content for event in stream.named("points"))
    assert (tail["number"], tail["reset"], [row[0] for row in tail["measurements"]]) == (1, False, [3, 4])
    assert (fresh["number"], fresh["reset"], [row[0] for row in fresh["measurements"]]) == (2, True, [0])
    stream.close()


def test_a_new_attempt_starts_the_trial_over(served: Served) -> None:
    job, attempt = served.submit()
    served.lab.measure(job, attempt, [batch(index) for index in range(5)])
    stream = Stream(served.url)
    stream.until(lambda: len(stream.rows()) == 5)
    served.lab.release(job, attempt, "its machine went away")
    again = claim(served.lab, served.agent_id)
    served.lab.measure(again.job_id, again.attempt, [batch(0, loss=3.5), batch(1, loss=float("inf"))])
    stream.until(lambda: stream.rows()[-1][0] == 1 and stream.named("points")[-1].content["attempt"] == 2)
    over = [event.content for event in stream.named("points") if event.content["attempt"] == 2]
    assert over[0]["reset"]
    assert [row[3] for content in over for row in content["measurements"]] == [3.5, None]  # JSON has no infinity
    stream.close()


def test_validation_that_is_shown_at_the_end_is_not_in_the_stream_before(served: Served, shown: bool) -> None:
    stream = Stream(served.url)
    job, attempt = served.submit()
    served.lab.measure(job, attempt, [batch(0), epoch(1, 1, 0.5)])
    stream.until(lambda: len(stream.rows()) == 2)
    assert stream.rows()[1][4] == (0.5 if shown else None)
    served.lab.finish(job, attempt, Outcome.COMPLETED)
    stream.until(lambda: stream.rows()[-1][4] == 0.5)
    if not shown:
        assert stream.named("points")[-1].content["reset"]
    stream.close()


def test_what_is_measured_arrives_at_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        session_stream, "SESSION_PACE", replace(session_stream.SESSION_PACE, poll=2 * PATIENCE_SECONDS)
    )  # so that being told is what brings it
    stream = Stream(served.url)
    job, attempt = served.submit()
    stream.until(lambda: stream.named("points"))
    said: dict[int, float] = {}
    for index in range(15):
        time.sleep(0.15)
        said[index] = time.monotonic()
        served.lab.measure(job, attempt, [batch(index)])
    stream.until(lambda: len(stream.rows()) == 15)
    heard = {row[0]: event.at for event in stream.named("points") for row in event.content["measurements"]}
    assert min(heard[index] - said[index] for index in said) < LATENCY
    stream.close()


@pytest.mark.slow
def test_many_measurements_come_in_few_messages(served: Served) -> None:
    stream = Stream(served.url)
    job, attempt = served.submit()
    stream.until(lambda: stream.named("points"))
    begun = time.monotonic()
    for index in range(200):
        served.lab.measure(job, attempt, [batch(index)])
    stream.until(lambda: len(stream.rows()) == 200)
    seconds = time.monotonic() - begun
    assert len([event for event in stream.events if event.at >= begun]) <= 20 * seconds + 2
    stream.close()


def test_another_process_is_seen_too(served: Served, tmp_path: Path) -> None:
    other = Lab.connect(f"sqlite:///{tmp_path / 'lab.sqlite'}", served.lab.rules)
    stream = Stream(served.url)
    job, attempt = served.submit()
    stream.until(lambda: stream.named("points"))
    other.measure(job, attempt, [batch(0)])
    stream.until(lambda: stream.rows())
    stream.close()
    other.close()


@pytest.mark.slow
def test_a_stream_that_ends_leaves_nothing_behind_and_was_the_tuner_s_presence(served: Served) -> None:
    before = served.lab.sessions.get(served.session_id).last_seen
    with httpx.Client(trust_env=False, timeout=PATIENCE_SECONDS) as client, client.stream("GET", served.url) as answer:
        lines = answer.iter_lines()
        assert next(lines).startswith("event: ")
        assert len(served.lab.on_change) == 1
    wait_for(lambda: not served.lab.on_change, "the listener of a client that went away goes")
    after = served.lab.sessions.get(served.session_id).last_seen
    assert before is not None
    assert after is not None
    assert after > before
