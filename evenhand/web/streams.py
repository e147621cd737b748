"""Event streams that connections share: whoever watches the same thing in the same role is sent the same bytes, made once.

A `Channel` reads its `StreamSource` for all its connections, at a bounded rate. Nothing is queued: a connection that reads
slowly, or comes back, is told what it lacks from where it is, and the newest state, however much it missed.
"""

import asyncio
import json
import logging
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from fastapi import Response
from fastapi.responses import PlainTextResponse
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.concurrency import run_in_threadpool

from evenhand.lab.lab import Lab

log = logging.getLogger(__name__)

ALIVE_SECONDS = 10.0  # seconds between two signs of life
TICK_SECONDS = 1.0  # seconds between two looks whether the server is ending
MOST_MESSAGES_PER_SECOND = 4000  # a second, of all channels together: beyond that each rests longer
SLICE_CONNECTIONS = 100  # connections that are told before other work has its turn
MOST_FILE_DESCRIPTORS = 65536  # that a server asks for
RESERVED_FILE_DESCRIPTORS = 256  # file descriptors that streams leave to pages, agents and the database
LOOKER_THREADS = ThreadPoolExecutor(2, thread_name_prefix="look")  # their own, so that pages do not wait for hundreds of looks


@dataclass(frozen=True)
class Pace:
    """How often a channel looks, in seconds. rest: between two looks, at the least. poll: after which it looks in any case.

    load: it rests this many times as long as a look took, too, so that many channels cannot starve the trainings.
    """

    rest: float
    load: float
    poll: float


@dataclass(frozen=True)
class StreamLook:
    """What a look found: bytes to send, b"" for nothing. news: to those who had all that there was at the look before.

    whole: to the others, by the place that each was at. place: where everybody is who was sent either.
    """

    news: bytes
    whole: Mapping[Hashable, bytes]
    place: Hashable


class StreamSource(Protocol):
    """What a channel reads. It remembers what it told at its last look, and may be asked in any thread, one at a time."""

    def look(self, behind: Collection[Any]) -> StreamLook:
        """What is new since the last look. behind: places of connections that do not have all that there was at that."""


class Stated:
    """A source that is one event, whenever it changed. news: what is sent of a state to whoever has the one before (or None)."""

    def __init__(self, name: str, state: Callable[[], Any], news: Callable[[Any, Any], Any] = lambda before, now: now) -> None:
        self._name, self._state, self._news = name, state, news
        self._told: Any = None

    def look(self, behind: Collection[Any]) -> StreamLook:
        """The state, where it is another one."""
        now, before = self._state(), self._told
        self._told = now
        news = b"" if before is None or now == before else self._event(before, now)
        whole = self._event(None, now) if behind else b""
        return StreamLook(news, dict.fromkeys(behind, whole), None)

    def _event(self, before: Any, now: Any) -> bytes:
        return event(self._name, self._news(before, now))


def event(name: str, content: Any, place: object = None) -> bytes:
    """A server-sent event with JSON; its id says where the client is that has it."""
    data = json.dumps(content, separators=(",", ":"))
    return format_sse_event(event=name, data_str=data, id=None if place is None else str(place))


SIGN_OF_LIFE = event("alive", {})


@dataclass(frozen=True)
class Topic:
    """What is watched. key: the same for all who get the same bytes. session_id: whose changes it is told of; None: all."""

    key: Hashable
    source: Callable[[], StreamSource]
    pace: Pace
    session_id: int | None = None


class Hub:
    """The open channels of an app."""

    def __init__(self, lab: Lab, is_ending: Callable[[], bool]) -> None:
        self.is_ending = is_ending
        self.watchers = 0
        self._lab = lab
        self._loop: asyncio.AbstractEventLoop | None = None
        self._channels: dict[Hashable, Channel] = {}
        self._told: dict[int | None, tuple[Channel, ...]] = {}  # by session

    def join(self, topic: Topic, watcher: "Watcher") -> "Channel":
        """The channel of a topic, opened where there is none, with one more watcher."""
        channel = self._channels.get(topic.key)
        if channel is None:
            if not self._told:
                self._loop = asyncio.get_running_loop()
                self._lab.on_change.append(self._on_change)
            channel = self._channels[topic.key] = Channel(self, topic)
            self._told[topic.session_id] = (*self._told.get(topic.session_id, ()), channel)
        channel.add(watcher)
        return channel

    def forget(self, channel: "Channel") -> None:
        """A channel has ended."""
        of = channel.topic.session_id
        del self._channels[channel.topic.key]
        self._told[of] = tuple(other for other in self._told[of] if other is not channel)
        if not self._told[of]:
            del self._told[of]
        if not self._told:
            self._lab.on_change.remove(self._on_change)

    def _on_change(self, session_id: int) -> None:
        """In the thread that changed the session."""
        for channel in (*self._told.get(session_id, ()), *self._told.get(None, ())):
            if self._loop is not None and not channel.changed.is_set():
                with suppress(RuntimeError):  # the loop is closed: the server is ending
                    self._loop.call_soon_threadsafe(channel.changed.set)


class Watcher:
    """One connection. version: of what it was sent last, -1 before; waits: for the next message, None while it is being sent."""

    def __init__(self, place: Hashable) -> None:
        self.place = place
        self.version = -1
        self.waits: asyncio.Future[bytes] | None = None

    def give(self, message: bytes) -> None:
        """Let it send; b"" ends it."""
        if self.waits is not None and not self.waits.done():
            self.waits.set_result(message)
        self.waits = None


class Channel:
    """One topic with all who watch it; it lives as long as somebody does."""

    def __init__(self, hub: Hub, topic: Topic) -> None:
        self.topic = topic
        self.changed = asyncio.Event()
        self._hub, self._source = hub, topic.source()
        self._watchers: set[Watcher] = set()
        self._version = 0
        self._spoke = time.monotonic()
        self._reader: asyncio.Task[None] | None = asyncio.create_task(self._read())

    def add(self, watcher: Watcher) -> None:
        """Another one watches."""
        self._watchers.add(watcher)
        self._hub.watchers += 1

    def remove(self, watcher: Watcher) -> None:
        """One does not watch any more; after the last, the channel ends."""
        self._watchers.discard(watcher)
        self._hub.watchers -= 1
        if not self._watchers:
            self.changed.set()

    async def next(self, watcher: Watcher) -> bytes:
        """The next message to a watcher; b"" where the channel has ended."""
        if self._reader is None:
            return b""
        waits: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        watcher.waits = waits
        if watcher.version != self._version:
            self.changed.set()
        return await waits

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._watchers and not self._hub.is_ending():
                self.changed.clear()
                begun = time.monotonic()
                behind = {
                    watcher.place for watcher in self._watchers if watcher.waits is not None and watcher.version != self._version
                }
                look, took = await loop.run_in_executor(LOOKER_THREADS, self._timed, behind)
                await self._tell(look)
                await self._rest(begun, took)
        except Exception:
            log.exception("the event stream of %s failed; its pages connect again", self.topic.key)
        finally:
            self._reader = None
            self._hub.forget(self)
            for watcher in self._watchers:
                watcher.give(b"")

    def _timed(self, behind: Collection[Any]) -> tuple[StreamLook, float]:
        begun = time.monotonic()
        return self._source.look(behind), time.monotonic() - begun

    async def _tell(self, look: StreamLook) -> None:
        before, now = self._version, time.monotonic()
        self._version += bool(look.news)
        silent = not look.news and now - self._spoke >= ALIVE_SECONDS
        if look.news or silent:
            self._spoke = now
        for number, watcher in enumerate(list(self._watchers), 1):
            if watcher.waits is not None:
                message = look.news if watcher.version == before else look.whole.get(watcher.place)
                if message is not None:
                    watcher.version, watcher.place = self._version, look.place
                if message or silent:
                    watcher.give(message or SIGN_OF_LIFE)
            if number % SLICE_CONNECTIONS == 0:
                await asyncio.sleep(0)

    async def _rest(self, begun: float, took: float) -> None:
        now = time.monotonic()
        turn = begun + self._hub.watchers / MOST_MESSAGES_PER_SECOND
        await asyncio.sleep(max(self.topic.pace.rest, self.topic.pace.load * took, turn - now))
        due = now + self.topic.pace.poll
        while self._watchers and not self._hub.is_ending() and (left := due - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, TICK_SECONDS)):  # cheaper than wait_for, which makes a task
                    await self.changed.wait()
                    return


# The response


def stream(
    hub: Hub,
    topic: Topic,
    *,
    place: Hashable = None,
    present: Callable[[], object] | None = None,
    may_go_on: Callable[[], Awaitable[bool]] | None = None,
) -> Response:
    """The events of a topic, from a place on. present: called now and then, in a thread, while the connection is open.

    Whether the caller may watch it is the route's to check, before. may_go_on: asked before each message; where it says no, the
    stream ends instead. Refused with 503 where no more connections fit.
    """
    if hub.watchers >= most_watchers():
        return PlainTextResponse("too many pages are open; this one tries again by itself\n", 503, {"retry-after": "10"})
    return EventSourceResponse(_messages(hub, topic, place, present, may_go_on))


async def _messages(
    hub: Hub, topic: Topic, place: Hashable, present: Callable[[], object] | None, may_go_on: Callable[[], Awaitable[bool]] | None
) -> AsyncIterator[bytes]:
    if present is not None:
        await run_in_threadpool(present)
    watcher = Watcher(place)
    channel = hub.join(topic, watcher)
    presence = asyncio.create_task(_keep(present)) if present is not None else None
    try:
        while message := await channel.next(watcher):
            if may_go_on is not None and not await may_go_on():
                break
            yield message
    finally:
        channel.remove(watcher)
        if presence is not None:
            presence.cancel()


async def _keep(present: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(ALIVE_SECONDS)
        try:
            await run_in_threadpool(present)
        except Exception:
            log.exception("that a page is open was not noted; it is tried again in %s s", ALIVE_SECONDS)


def most_watchers() -> int:
    """How many connections may watch at once, by the files that this process may open."""
    limit = files()
    return sys.maxsize if limit is None else max(limit - RESERVED_FILE_DESCRIPTORS, limit // 2)


def files(raised: bool = False) -> int | None:
    """How many files, connections among them, this process may open at once; None where the system does not say.

    raised: as many as the system lets it have; many systems give a process 1,024 until it asks.
    """
    try:
        import resource
    except ImportError:  # Windows
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if raised and soft != hard:
        wanted = MOST_FILE_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_FILE_DESCRIPTORS)
        if soft < wanted:
            with suppress(ValueError, OSError):  # some systems allow less than they say
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
                soft = wanted
    return None if soft == resource.RLIM_INFINITY else soft
