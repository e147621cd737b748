"""The running server: the app under uvicorn, and the agents of this machine beside it."""

import asyncio
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from evenhand import settings
from evenhand.errors import InvalidSettings
from evenhand.lab import served
from evenhand.lab.lab import Lab
from evenhand.runners.supervisor import Supervisor
from evenhand.tasks import Task
from evenhand.tasks.transport import packed
from evenhand.web.app import create_app
from evenhand.web.state import held_by
from evenhand.web.streams import files

log = logging.getLogger(__name__)

HEADER_SECONDS = 20.0  # within which the headers of a request have to be here
GRACE_SECONDS = 2  # how long open event streams may delay the end
LOOK_SECONDS = 0.02  # between two looks whether something has come about
TELL_SECONDS = 4.0  # for which a server that ends waits until its agents have heard of it
EVERYWHERE = ("0.0.0.0", "::", "")


class Server:
    """One lab, served at one address, with `slots` trainings at once on this machine (0: agents come from elsewhere)."""

    def __init__(
        self,
        lab: Lab,
        host: str,
        port: int,
        slots: int,
        public: settings.PublicAddress = settings.HERE,
        data_dir: Path | None = None,
    ) -> None:
        """data_dir: of a laboratory that is thrown away; no other program of this machine is told where it answers."""
        self._is_announced = data_dir is None
        data_dir = data_dir or settings.data_dir()
        for part in settings.close_to_others(data_dir):
            log.warning("%s could be read by others; now it is its owner's only", part)
        app = create_app(lab, data_dir=data_dir, hosts=[host], public=public)
        config = _config(app, host, port)
        address = f"[{host}]" if ":" in host else host
        local = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(address, address)
        self._lab, self._url = lab, f"http://{local}:{port}"
        self._public_url = public.url or self._url
        self._supervisor = Supervisor(self._url, lab, slots, data_dir) if slots else None
        self._server = _Server(config, app, self._supervisor)

    def _once_it_answers(self, then: Callable[[], None]) -> None:
        while not self._server.started:
            time.sleep(LOOK_SECONDS)
        then()

    def run(self, then: Callable[[], None] | None = None) -> None:
        """Serve until the process is told to end (Ctrl-C, SIGTERM); then end this machine's agents in order.

        then: is called once, on a thread of its own, when the server answers.
        """
        files(raised=True)  # each open page takes one
        if self._supervisor:
            self._supervisor.start()
        if then is not None:
            threading.Thread(target=self._once_it_answers, args=[then], name="once it answers", daemon=True).start()
        if self._is_announced:
            served.note_address(self._lab, self._public_url)
        try:
            self._server.run()
        finally:
            if self._is_announced:
                served.note_address(self._lab, None)


@dataclass(frozen=True)
class SessionServer:
    """Serves one session of `evenhand.tune` to agents that join it, while it is tuned: `tune(..., server=SessionServer(...))`.

    host, port: where it listens; port 0 is any that is free. said: is told in words, once it answers, how agents join.
    """

    host: str
    port: int
    said: Callable[[str], None]

    @contextmanager
    def __call__(self, lab: Lab, task: Task, session_id: int) -> Iterator[None]:
        """Within it agents train the session."""
        app = create_app(lab, data_dir=settings.data_dir(), hosts=[self.host], session_id=session_id)
        config = _config(app, self.host, self.port)
        server = _Server(config, app, None)
        thread = threading.Thread(target=server.run, name="session server", daemon=True)
        token = lab.crews.open(session_id, task.version, packed(task))
        try:
            thread.start()
            while not server.started:
                if not thread.is_alive():
                    raise InvalidSettings(
                        f"cannot listen on {self.host}:{self.port}; is something running there? Another port: --port 0"
                    )
                time.sleep(LOOK_SECONDS)
            self.said(_how_to_join(lab, session_id, self._address(server), token))
            yield
        finally:
            self._end(lab, session_id, server, thread)

    def _address(self, server: uvicorn.Server) -> str:
        port = server.servers[0].sockets[0].getsockname()[1]
        name = _outward_address() if self.host in EVERYWHERE else self.host
        return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"

    def _end(self, lab: Lab, session_id: int, server: uvicorn.Server, thread: threading.Thread) -> None:
        """In order: what trains is given back, agents hear that it is over, and then nobody answers any more."""
        lab.crews.dismiss(session_id)
        lab.sessions.leave(session_id)
        until = time.monotonic() + TELL_SECONDS
        there = {agent.id for agent in lab.agents.all(TELL_SECONDS)}
        while time.monotonic() < until and thread.is_alive() and there & (lab.crews.members(session_id) or frozenset()):
            time.sleep(LOOK_SECONDS)
        server.should_exit = True
        if thread.ident is not None:
            thread.join()
        lab.crews.forget(session_id)


def _how_to_join(lab: Lab, session_id: int, address: str, token: str) -> str:
    return (
        f"Session {session_id} waits for agents; this process trains nothing itself. On each machine that is to train, start\n"
        f"    EVENHAND_JOIN={token} evenhand agent {address}\n"
        "It shows which files it is sent, and asks before it runs them; --yes where nobody is there to answer.\n"
        f"Its page: {address}/sessions/{session_id}, after signing in once: {served.signin_link(lab, address)}"
    )


def _outward_address() -> str:
    """This machine's address as others of its network reach it; its name where that is not known. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address that documents are written with, and nobody has
            return str(probe.getsockname()[0])
        except OSError:
            return socket.gethostname()


def _config(app: FastAPI, host: str, port: int) -> uvicorn.Config:
    """How uvicorn serves it. What proxies forward is read at the door, which knows whom to believe."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        proxy_headers=False,
        http=PunctualProtocol,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


class PunctualProtocol(HttpToolsProtocol):
    """uvicorn's, and a connection that does not send all of its headers in time is closed."""

    _overdue: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is there: its first request is waited for."""
        super().connection_made(transport)
        self._wait_for_headers()

    def on_message_begin(self) -> None:
        """The next request begins."""
        super().on_message_begin()
        self._wait_for_headers()

    def on_headers_complete(self) -> None:
        """The door waits for the rest."""
        self._wait_no_more()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more comes."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _wait_for_headers(self) -> None:
        self._wait_no_more()
        self._overdue = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _wait_no_more(self) -> None:
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None


class _Server(uvicorn.Server):
    """Ends this machine's agent before it stops answering, so that unfinished trainings are given back at once; then streams."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, supervisor: Supervisor | None) -> None:
        super().__init__(config)
        self._app = app
        self._supervisor = supervisor

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """uvicorn's own end, after the agent's."""
        if self._supervisor:
            await asyncio.to_thread(self._supervisor.stop)
        held_by(self._app).ending = True
        await super().shutdown(sockets)
