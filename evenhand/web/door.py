"""What every request passes first, before any page: names of hosts, proxies, bodies, headers of safety, HEAD."""

import ipaddress
import socket
from collections.abc import Collection
from contextlib import suppress
from functools import lru_cache

from fastapi import Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evenhand.settings import HERE, PublicAddress, without_own_port
from evenhand.web import bodies
from evenhand.web.access import IS_HEAD
from evenhand.web.pages import render

TOO_LONG = 413  # HTTP status
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


FORWARDED_HEADERS = (b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-for")  # by which a proxy shows itself


def path_of(scope: Scope) -> str:
    """The path within the laboratory, without what lies before it behind a proxy."""
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


async def _refuse(error: bodies.BodyRefused, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a body that is not taken: programs at once, people with a page."""
    response, headers = _refusal(error, scope), Headers(scope=scope)
    response.headers["connection"] = "close"
    await send({"type": "http.response.start", "status": error.status, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    if isinstance(response, HTMLResponse) and error.status == TOO_LONG and "expect" not in headers:
        await bodies.let_pass(receive)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _refusal(error: bodies.BodyRefused, scope: Scope) -> Response:
    request, words = Request(scope), str(error)
    if path_of(scope).startswith("/api/") or "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"error": "BodyRefused", "message": words, "problems": []}, error.status)
    if "hx-request" in request.headers:
        return PlainTextResponse(words, error.status)
    return render(request, "error.html", status=error.status, code=error.status, message=words, name="BodyRefused")


class Door:
    """Every request passes here first: the Host header is one of ours, and every answer carries the security headers.

    HEAD is answered as GET is, without the body.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], public: PublicAddress = HERE) -> None:
        self._app = app
        self._public = public
        self._hosts = {"localhost", socket.gethostname().lower(), *(host.lower() for host in hosts)}
        self._answers_to = lru_cache(maxsize=64)(self._is_ours)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        is_head = scope["method"] == "HEAD"
        if is_head:
            scope = {**scope, "method": "GET", IS_HEAD: True}

        headers = dict(scope["headers"])
        scope = self._as_browsers_ask(scope, headers)
        is_static = path_of(scope).startswith("/static/")  # before a mount changes what is the root

        async def send_with_headers(message: Message) -> None:
            if is_head and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            if message["type"] == "http.response.start":
                answered = MutableHeaders(scope=message)
                if (location := answered.get("location", "")).startswith("/") and not location.startswith("//"):
                    answered["location"] = self._public.prefix + location
                for name, value in SECURITY_HEADERS.items():
                    if name not in answered:
                        answered[name] = value
                if is_static:
                    answered["cache-control"] = "no-cache"
            await send(message)

        host = headers.get(b"host", b"").decode("latin-1")
        if not ((self._public.url and host == self._public.host) or self._answers_to(host)):
            text = (
                f"This server does not answer to the name {host!r}. Start it with --host NAME to allow another name, "
                "or with --public-url behind a proxy.\n"
            )
            await PlainTextResponse(text, 421)(scope, receive, send_with_headers)
            return
        if path_of(scope) == bodies.DROPPED_PATH and scope["method"] == "POST":
            await self._let_pass(scope, headers, receive, send_with_headers)
            return
        body = b""
        try:
            if brings_body := bodies.comes(headers):
                read = await bodies.read(headers, receive, path_of(scope))
                if read is None:
                    return
                body = read
        except bodies.BodyRefused as error:
            await _refuse(error, scope, receive, send_with_headers)
            return
        scope, body = await bodies.mended(scope, body)
        await self._app(scope, bodies.replayed(body, receive) if brings_body else receive, send_with_headers)

    async def _let_pass(self, scope: Scope, headers: dict[bytes, bytes], receive: Receive, send: Send) -> None:
        """A request whose body may be large: it is not held here, and whoever may not send it is refused before it is read."""
        try:
            bodies.check_length(headers, path_of(scope))
        except bodies.BodyRefused as error:
            await _refuse(error, scope, receive, send)
            return
        scope, _ = await bodies.mended(scope, b"")
        await self._app(scope, bodies.passing(receive, path_of(scope)), send)

    def _as_browsers_ask(self, scope: Scope, headers: dict[bytes, bytes]) -> Scope:
        """The request with the scheme, host and path that the browser asked the proxy for, whatever the proxy made of them.

        headers: the request's, of which the host is brought up to date.
        """
        public = self._public
        if not public.url:
            return scope
        peer = (scope.get("client") or ("",))[0]
        forwarded = public.is_proxy(peer) and any(name in headers for name in FORWARDED_HEADERS)
        forwarded_host = headers.get(b"x-forwarded-host", public.host.encode()).decode("latin-1").rpartition(",")[2].strip()
        hosts = [headers.get(b"host", b"").decode("latin-1"), *([forwarded_host] if forwarded else [])]
        path = scope["path"]
        # A proxy has taken the prefix off, or a program of this machine asks.
        if not f"{path}/".startswith(f"{public.prefix}/"):
            path = public.prefix + path
        scope = {**scope, "path": path, "root_path": public.prefix}
        if public.host in (without_own_port(host, public.scheme) for host in hosts):
            headers[b"host"] = public.host.encode()
            others = [(name, value) for name, value in scope["headers"] if name != b"host"]
            scope = {**scope, "scheme": public.scheme, "headers": [(b"host", headers[b"host"]), *others]}
        return scope

    def _is_ours(self, host: str) -> bool:
        """Names must be known, against DNS rebinding; an address in digits cannot be rebound."""
        name = host.rpartition("]")[0].lstrip("[") if host.startswith("[") else host.partition(":")[0]
        with suppress(ValueError):
            return bool(ipaddress.ip_address(name))
        return name.lower() in self._hosts
