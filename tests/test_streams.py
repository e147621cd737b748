"""Event streams that connections share: one look for all, the same bytes to each, a bounded rate, nothing queued."""

import asyncio
import json
import re
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from evenhand.model.session import View
from evenhand.model.trial import LearningCurve, Outcome
from evenhand.settings import Rules
from evenhand.web import streams
from evenhand.web.access import Role
from evenhand.web.session_stream import SessionFeed, StreamCursor
from evenhand.web.state import AppState, held_by, hold
from evenhand.web.streams import Channel, Hub, Pace, Stated, StreamLook, Topic, Watcher
from tests.components import need
from tests.labs import batch, claim, epoch, make_lab, started, toy_study
from tests.waiting import PATIENCE_SECONDS, wait_for, wait_in_loop
from tests.web import listening, toy_site, tuned_study

QUICK = Pace(rest=0.01, load=0, poll=0.05)


class Counter:
    """A source whose state is a number that tests count up."""

    def __init__(self) -> None:
        self.number = 0
        self.looks = 0
        self._told = -1
        self.fails = False

    def look(self, behind: Collection[Any]) -> StreamLook:
        self.looks += 1
        if self.fails:
            raise OSError("the disk is gone")
        news = b"" if self.number == self._told else b"news of %d" % self.number
        self._told = self.number
        return StreamLook(news, dict.fromkeys(behind, b"all up to %d" % self.number), self.number)


class Rig:
    """A hub with one topic on a counter, without a server."""

    def __init__(self, pace: Pace = QUICK) -> None:
        self.source = Counter()
        self.lab = SimpleNamespace(on_change=[])
        self.ending = False
        self.hub = Hub(self.lab, lambda: self.ending)  # type: ignore[arg-type]
        self.topic = Topic("counter", lambda: self.source, pace, 1)

    def join(self) -> tuple[Channel, Watcher]:
        watcher = Watcher(None)
        return self.hub.join(self.topic, watcher), watcher

    def change(self) -> None:
        """Count up, and tell as a verb of the lab would."""
        self.source.number += 1
        for notify in self.lab.on_change:
            notify(1)


async def waits(*watchers: Watcher) -> None:
    """When all of these wait for their next message."""
    await wait_in_loop(lambda: [watcher.waits for watcher in watchers], "all wait", lambda seen: None not in seen)


async def message(channel: Channel, watcher: Watcher) -> bytes:
    async with asyncio.timeout(PATIENCE_SECONDS):
        return await channel.next(watcher)


def run(scene: Callable[[], Any]) -> None:
    asyncio.run(scene())


def test_one_look_serves_all_who_watch_and_they_get_the_same_bytes() -> None:
    async def scene() -> None:
        rig = Rig(Pace(rest=0.01, load=0, poll=2 * PATIENCE_SECONDS))
        joined: list[tuple[Channel, Watcher]] = []

        async def joins() -> bytes:
            joined.append(rig.join())
            return await message(*joined[-1])

        first = await asyncio.gather(*(joins() for _ in range(500)))
        assert len({id(channel) for channel, _ in joined}) == 1
        assert set(first) == {b"all up to 0"}
        assert rig.source.looks == 1
        waiting = [asyncio.create_task(message(*session)) for session in joined]
        await waits(*(watcher for _, watcher in joined))
        rig.change()
        second = await asyncio.gather(*waiting)
        assert second[0] == b"news of 1"
        assert all(message is second[0] for message in second), "the same bytes, not equal ones"
        assert rig.source.looks == 2

    run(scene)


def test_who_reads_slowly_gets_the_newest_state_once_and_holds_up_nobody() -> None:
    async def scene() -> None:
        rig = Rig()
        (channel, quick), (_, slow) = rig.join(), rig.join()
        await asyncio.gather(message(channel, quick), message(channel, slow))
        for number in range(1, 9):  # meanwhile `slow` is still sending its first message
            rig.change()
            assert await message(channel, quick) == b"news of %d" % number
        assert slow.waits is None
        assert await message(channel, slow) == b"all up to 8"
        nothing = asyncio.create_task(message(channel, slow))
        await asyncio.sleep(0.2)
        assert not nothing.done(), "what it missed is not told again"
        rig.change()
        assert await nothing == b"news of 9"

    run(scene)


def test_a_newcomer_gets_all_there_is_and_the_others_nothing_anew() -> None:
    async def scene() -> None:
        rig = Rig()
        channel, old = rig.join()
        await message(channel, old)
        first = asyncio.create_task(message(channel, old))
        same, new = rig.join()
        assert same is channel
        assert await message(channel, new) == b"all up to 0"
        assert not first.done()
        both = [first, asyncio.create_task(message(channel, new))]
        await waits(old, new)
        rig.change()
        assert await asyncio.gather(*both) == [b"news of 1", b"news of 1"]

    run(scene)


def test_under_load_each_connection_gets_at_most_its_share_of_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MOST_MESSAGES_PER_SECOND", 40)

    async def scene() -> None:
        rig, begun = Rig(), time.monotonic()
        joined = [rig.join() for _ in range(10)]  # 40 a second for ten: four for each
        got: list[float] = []

        async def reads(channel: Channel, watcher: Watcher, times: list[float]) -> None:
            while await channel.next(watcher):
                times.append(time.monotonic() - begun)

        def changed() -> list[float]:
            rig.change()
            return got

        tasks = [asyncio.create_task(reads(*session, got if number == 0 else [])) for number, session in enumerate(joined)]
        await wait_in_loop(changed, "six messages", lambda got: len(got) >= 6)
        for task in tasks:
            task.cancel()
        late = [at - number / 4 for number, at in enumerate(got)]  # none comes before its turn, however busy the machine is
        assert min(late) > -0.01

    run(scene)


def test_who_hears_nothing_gets_a_sign_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = streams.ALIVE_SECONDS
    monkeypatch.setattr(streams, "ALIVE_SECONDS", 0.2)

    async def scene() -> None:
        rig = Rig()
        channel, watcher = rig.join()
        await message(channel, watcher)
        begun = time.monotonic()
        assert await message(channel, watcher) == b"event: alive\ndata: {}\n\n"
        assert time.monotonic() - begun < usual
        rig.change()
        assert await message(channel, watcher) == b"news of 1"

    run(scene)


def test_a_server_that_ends_ends_its_streams_soon() -> None:
    async def scene() -> None:
        rig = Rig(Pace(rest=0.01, load=0, poll=2 * PATIENCE_SECONDS))  # so that it does not end by looking
        channel, watcher = rig.join()
        await message(channel, watcher)
        last = asyncio.create_task(message(channel, watcher))
        await waits(watcher)
        rig.ending = True
        assert await last == b""

    run(scene)


def test_after_the_last_has_gone_nothing_is_left_and_the_next_begins_anew() -> None:
    async def scene() -> None:
        rig = Rig()
        (channel, one), (_, other) = rig.join(), rig.join()
        await asyncio.gather(message(channel, one), message(channel, other))
        assert len(rig.lab.on_change) == 1
        channel.remove(one)
        await asyncio.sleep(0.1)
        assert rig.hub.watchers == 1
        assert rig.lab.on_change
        channel.remove(other)
        await wait_in_loop(lambda: (rig.hub.watchers, rig.lab.on_change), "nothing is left", lambda left: left == (0, []))
        looks = rig.source.looks
        await asyncio.sleep(0.2)
        assert rig.source.looks == looks, "nobody watches, so nobody looks"
        again, third = rig.join()
        assert again is not channel
        assert await message(again, third) == b"all up to 0"

    run(scene)


def test_a_source_that_fails_ends_its_connections_and_only_them(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        rig = Rig()
        channel, watcher = rig.join()
        await message(channel, watcher)
        rig.source.fails = True
        rig.change()
        assert await message(channel, watcher) == b""
        rig.source.fails = False
        again, other = rig.join()
        assert again is not channel
        assert await message(again, other) == b"all up to 1"

    run(scene)
    assert "the event stream of counter failed" in caplog.text


def test_a_state_is_told_where_it_changed_and_newcomers_get_the_whole() -> None:
    state = {"rows": [1]}
    source = Stated("board", lambda: dict(state), lambda before, now: now if before is None else {"changed": now["rows"]})
    first = source.look({None})
    assert (first.news, first.whole[None]) == (b"", b'event: board\ndata: {"rows":[1]}\n\n')
    assert source.look(()).news == b""
    state["rows"] = [1, 2]
    second = source.look({None})
    assert second.news == b'event: board\ndata: {"changed":[1,2]}\n\n'
    assert second.whole[None] == b'event: board\ndata: {"rows":[1,2]}\n\n'


# Sessions


def state(view: View, latest: LearningCurve | None) -> dict[str, Any]:
    return {
        "trials": len(view.session.trials),
        "newest": [measurement.index for measurement in latest.measurements] if latest else [],
    }


def told(message: bytes) -> list[tuple[str, dict[str, Any], str]]:
    """Each event's name, content and id."""
    messages = re.findall(r"event: (\w+)\ndata: (.*)\nid: (.*)\n\n", message.decode())
    return [(name, json.loads(data), place) for name, data, place in messages]


def test_one_look_brings_everybody_up_to_date_from_where_each_is(tmp_path: Path) -> None:
    lab, _ = make_lab(f"sqlite:///{tmp_path / 'lab.sqlite'}", Rules(lease=60))
    session = started(lab, toy_study(lab))
    agent, _ = lab.agents.add("one", 1)
    configuration = session.space.configuration({"epochs": 3})
    for _ in range(2):
        lab.submit(session.id, configuration)
        job = claim(lab, agent)
        lab.measure(job.job_id, job.attempt, [*(batch(index) for index in range(9)), epoch(9, 1, 0.5)])
        if _ == 0:
            lab.finish(job.job_id, job.attempt, Outcome.COMPLETED)
    feed = SessionFeed(lab, session.id, state)
    fresh, middle, up_to_date, ended, lost = (
        StreamCursor(),
        StreamCursor(2, 1, 5),
        StreamCursor(2, 1, 9),
        StreamCursor(1, 1, 7),
        StreamCursor(2, 1, 500),
    )
    look = feed.look({fresh, middle, up_to_date, ended, lost})
    assert look.place == StreamCursor(2, 1, 9)
    indices = {
        session: [
            (content["number"], content["reset"], [row[0] for row in content["measurements"]])
            for name, content, _ in told(sent)[:-1]
        ]
        for session, sent in look.whole.items()
    }
    assert indices == {
        fresh: [(2, True, list(range(10)))],
        middle: [(2, False, [6, 7, 8, 9])],
        up_to_date: [],
        ended: [(1, False, [8, 9]), (2, True, list(range(10)))],
        lost: [],
    }
    assert {sent[sent.rindex(b"event: state") :] for sent in look.whole.values()} == {
        b'event: state\ndata: {"trials":2,"newest":[8,9]}\nid: 2.1.9\n\n'
    }
    assert feed.look(()).news == b""
    lab.measure(job.job_id, job.attempt, [batch(10), batch(11)])
    (points, now) = told(feed.look(()).news)
    assert ([row[0] for row in points[1]["measurements"]], points[2]) == ([10, 11], "2.1.11")
    assert now[1] == {"trials": 2, "newest": [9, 11]}
    lab.close()


@pytest.mark.slow
def test_what_is_shared_is_the_same_for_two_sign_ins_and_holds_no_token(tmp_path: Path) -> None:
    with toy_site(tmp_path) as site:
        _, session, agent = tuned_study(site)
        site.lab.submit(session.id, session.space.configuration({"epochs": 3}))
        claim(site.lab, agent)
        callers = [site.caller(Role.RESEARCHER) for _ in range(2)]
        assert callers[0].identity.csrf_token != callers[1].identity.csrf_token
        first, second = [caller.first_state(f"/sessions/{session.id}/events") for caller in callers]
        assert "trials" in first
        assert first["trials"] == second["trials"]
        for caller in callers:
            assert caller.identity.csrf_token not in json.dumps([first, second])
        anybody = site.caller()
        assert anybody.get(f"/sessions/{session.id}/events").status_code == 403


# Over a real server


@contextmanager
def serving(app: FastAPI) -> Iterator[int]:
    """The app on a port of this machine."""
    lab: Any = SimpleNamespace(on_change=[])
    state = hold(app, AppState(lab, Path()))
    with listening(app) as address:
        try:
            yield int(address.rpartition(":")[2])
        finally:
            state.ending = True


class Heavy:
    """A source with half a megabyte of news at each look."""

    def __init__(self) -> None:
        self.number = 0

    def look(self, behind: Collection[Any]) -> StreamLook:
        self.number += 1
        news = b"event: state\ndata: %d %s\n\n" % (self.number, b"." * 500_000)
        return StreamLook(news, dict.fromkeys(behind, news), None)


def test_a_client_that_does_not_read_is_not_sent_what_is_out_of_date() -> None:
    app, source = FastAPI(), Heavy()

    @app.get("/events")
    async def events(request: Request) -> Response:
        return streams.stream(held_by(request.app).hub, Topic("heavy", lambda: source, Pace(rest=0.002, load=0, poll=0.002)))

    with serving(app) as port, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        client.connect(("127.0.0.1", port))
        client.settimeout(PATIENCE_SECONDS)
        client.sendall(b"GET /events HTTP/1.1\r\nhost: here\r\n\r\n")
        stalled_at = wait_for(lambda: source.number, "others' news go on", lambda number: number >= 200)
        got, held = list[int](), b""
        while not got or got[-1] < stalled_at:
            *states, held = (held + client.recv(1 << 20)).split(b"event: state\n")
            got += [int(state.split(b" ")[1]) for state in states if state.startswith(b"data: ")]
    assert len(got) < 60, f"of {stalled_at} states it got {len(got)}: they were queued"
    assert got == sorted(set(got))


def test_more_pages_than_fit_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "most_watchers", lambda: 2)
    app = FastAPI()

    @app.get("/events")
    async def events(request: Request) -> Response:
        return streams.stream(held_by(request.app).hub, Topic("one", lambda: Stated("state", lambda: 1), QUICK))

    patient = {"trust_env": False, "timeout": PATIENCE_SECONDS}
    with serving(app) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", **patient) as http:  # type: ignore[arg-type]
        with http.stream("GET", "/events") as first, http.stream("GET", "/events") as second:
            lines = [stream.iter_lines() for stream in (first, second)]  # held: dropping one ends its connection
            assert [next(line) for line in lines] == ["event: state"] * 2
            third = http.get("/events")
            assert (third.status_code, third.headers["retry-after"]) == (503, "10")
        wait_for(lambda: _status(http), "a page that was closed leaves its place", lambda status: status != 503)
        assert _status(http) == 200


def _status(http: httpx.Client) -> int:
    with http.stream("GET", "/events") as answer:
        return answer.status_code


def test_a_server_asks_for_more_files_than_it_was_given() -> None:
    resource = need("file-limits")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = min(soft, 512)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
        assert streams.files() == low
        assert streams.most_watchers() == low - streams.RESERVED_FILE_DESCRIPTORS
        raised = streams.files(raised=True)
        assert raised == min(
            hard if hard != resource.RLIM_INFINITY else streams.MOST_FILE_DESCRIPTORS, streams.MOST_FILE_DESCRIPTORS
        )
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
