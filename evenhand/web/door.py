"""What every request passes first, before any page: names of hosts, headers of safety, HEAD."""

import ipaddress
import socket
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache

from fastapi.responses import PlainTextResponse
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evenhand.web.access import IS_HEAD

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# Referrer: with `no-referrer` browsers send `Origin: null` with our own forms; `same-origin` tells other sites as little.
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Door:
    """Every request passes here first: the Host header is one of ours, and every answer carries the security headers.

    HEAD is answered as GET is, without the body.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        self._app = app
        self._hosts = {"localhost", socket.gethostname().lower(), *(host.lower() for host in hosts)}
        self._answers_to = lru_cache(maxsize=64)(self._is_ours)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        is_head = scope["method"] == "HEAD"
        if is_head:
            scope = {**scope, "method": "GET", IS_HEAD: True}

        async def send_with_headers(message: Message) -> None:
            if is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    if name not in headers:
                        headers[name] = value
                if scope["path"].startswith("/static/"):
                    headers["cache-control"] = "no-cache"
            await send(message)

        host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
        if self._answers_to(host):
            await self._app(scope, receive, send_with_headers)
        else:
            text = f"This server does not answer to the name {host!r}. Start it with --host NAME to allow another name.\n"
            await PlainTextResponse(text, 421)(scope, receive, send_with_headers)

    def _is_ours(self, host: str) -> bool:
        """Names must be known, against DNS rebinding; an address in digits cannot be rebound."""
        name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        with suppress(ValueError):
            return bool(ipaddress.ip_address(name))
        return name.lower() in self._hosts
