"""The running server: the app under uvicorn, and the agents of this machine beside it."""

import asyncio
import socket

import uvicorn
from fastapi import FastAPI

from evenhand import settings
from evenhand.lab import Lab
from evenhand.supervisor import Supervisor
from evenhand.web.app import create_app
from evenhand.web.streams import files

GRACE_SECONDS = 2  # how long open event streams may delay the end


class Server:
    """One lab, served at one address, with `slots` trainings at once on this machine (0: agents come from elsewhere)."""

    def __init__(self, lab: Lab, host: str, port: int, slots: int) -> None:
        data_dir = settings.data_dir()
        app = create_app(lab, data_dir=data_dir, local_slots=slots, hosts=[host])
        config = uvicorn.Config(
            app, host=host, port=port, log_level="warning", access_log=False, timeout_graceful_shutdown=GRACE_SECONDS
        )
        address = f"[{host}]" if ":" in host else host
        local = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(address, address)
        self._supervisor = Supervisor(f"http://{local}:{port}", lab, slots, data_dir) if slots else None
        self._server = _Server(config, app, self._supervisor)

    def run(self) -> None:
        """Serve until the process is told to end (Ctrl-C, SIGTERM); then end this machine's agents in order."""
        files(raised=True)  # each open page takes one
        if self._supervisor:
            self._supervisor.start()
        self._server.run()


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
        self._app.state.ending = True
        await super().shutdown(sockets)
