"""What a request brings, before any page reads it: no longer than agreed, in time, and text that every codec can write."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from contextlib import suppress

from starlette.concurrency import run_in_threadpool
from starlette.types import Message, Receive, Scope

from evenhand.model.whole_text import whole_json, whole_text

KILO, MEGA = 1000, 1000 * 1000
FORM_BYTES = 64 * KILO
ANSWERS_BYTES = 4 * MEGA  # of a questionnaire, which may ask for many texts of 20,000 letters, each of up to nine bytes in a form
AGENT_BYTES = 8 * MEGA
DROPPED_BYTES = (
    64 * MEGA
)  # of data that somebody drops on the page that starts runs; it is passed on as it comes, never held here
DROPPED_PATH = "/start/data"
DROPPED_SECONDS = 600.0  # within which such data has to be here
PASSED_BYTES = 64 * MEGA  # of a body that is refused: what is longer is cut off
BODY_SECONDS = 60.0  # seconds within which a body has to be here
LONG_BYTES = 100 * KILO  # of a body from which on it takes a while to mend
# JSON that may hold half a character or a zero: escaped, as bytes that are no UTF-8 and yet read, or in UTF-16 or UTF-32.
_SUSPECT_PATTERN = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)|\xed[\xa0-\xbf]|\0|\xff\xfe|\xfe\xff")
_ANSWERS_PATH = re.compile(r"/p/(?:[0-9]+/)?questions/")
_WHOLE = "\N{REPLACEMENT CHARACTER}".encode()
_CHARSET_PATTERN = re.compile(rb";\s*charset\s*=\s*(\"[^\"]*\"|[^;]*)", re.IGNORECASE)


class BodyRefused(Exception):
    """A body is not taken: HTTP status, and in words why and what to do."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def limit_bytes(path: str) -> int:
    """How long a body may be that is sent to this path."""
    if path.startswith("/api/"):
        return AGENT_BYTES
    if path == DROPPED_PATH:
        return DROPPED_BYTES
    return ANSWERS_BYTES if _ANSWERS_PATH.match(path) else FORM_BYTES


def comes(headers: Mapping[bytes, bytes]) -> bool:
    """Whether a body comes with a request of these headers, be it said to have a length or not."""
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"


async def read(headers: Mapping[bytes, bytes], receive: Receive, path: str) -> bytes | None:
    """All of the body; None where its sender has gone. BodyRefused where it is too long or too slow."""
    limit = limit_bytes(path)
    check_length(headers, path)
    parts, length = [], 0
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return None
                parts.append(message.get("body", b""))
                length += len(parts[-1])
                if length > limit:
                    raise _too_long(path, limit, None)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        words = f"this request did not arrive within {BODY_SECONDS:.0f} s; send it again, over a better line or in smaller parts"
        raise BodyRefused(408, words) from None


def check_length(headers: Mapping[bytes, bytes], path: str) -> None:
    """BodyRefused where a body is said to be longer than what is taken at this path."""
    limit, said = limit_bytes(path), headers.get(b"content-length", b"0")
    if not said.isdigit() or len(said) > 18 or int(said) > limit:
        raise _too_long(path, limit, int(said) if said.isdigit() and len(said) <= 18 else None)


def passing(receive: Receive, path: str) -> Receive:
    """What gives a body part by part as it comes, for whoever keeps it on disk; BodyRefused once it is too long or too slow."""
    limit, until, length = limit_bytes(path), time.monotonic() + DROPPED_SECONDS, 0

    async def next_message() -> Message:
        nonlocal length
        try:
            async with asyncio.timeout(max(until - time.monotonic(), 0)):
                message = await receive()
        except TimeoutError:
            raise BodyRefused(
                408, f"this did not arrive within {DROPPED_SECONDS:.0f} s; send it again, over a better line"
            ) from None
        length += len(message.get("body", b""))
        if length > limit:
            raise _too_long(path, limit, None)
        return message

    return next_message


def _too_long(path: str, limit: int, length: int | None) -> BodyRefused:
    size = f"{limit // MEGA} MB" if limit >= MEGA else f"{limit // KILO} kB"
    has = f"more than {size}, the most" if length is None else f"{length:,} bytes, and {size} ({limit:,} bytes) is the most"
    what_to_do = "send fewer measurements at once" if path.startswith("/api/") else "shorten its texts"
    if path == DROPPED_PATH:
        what_to_do = "drop fewer rows or pictures, or put the data on this machine and start with `evenhand task new`"
    return BodyRefused(413, f"this request has {has} that is taken here; {what_to_do}, and send it again")


async def let_pass(receive: Receive) -> None:
    """Take in what is left of a body that was refused: a browser shows the answer only when it could send all of it."""
    length = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(BODY_SECONDS):
            while length < PASSED_BYTES:
                message = await receive()
                length += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return


async def mended(scope: Scope, body: bytes) -> tuple[Scope, bytes]:
    """The request with whole text in its path, query, form or JSON, whatever codec it claims. A long body delays no other."""
    scope = {**scope, "path": whole_text(scope["path"]), "query_string": _no_zero(scope["query_string"])}
    if not body:
        return scope, body
    kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"").lower()
    if kind.startswith((b"application/x-www-form-urlencoded", b"multipart/form-data")):
        # Forms are UTF-8; a form that names another codec could smuggle in what UTF-8 has no bytes for.
        scope["headers"] = [
            (name, _CHARSET_PATTERN.sub(b"", value) if name == b"content-type" else value) for name, value in scope["headers"]
        ]
        encoded = kind.startswith(b"application/")
        return scope, _no_zero(body) if encoded else body.replace(b"\0", _WHOLE)
    return scope, await run_in_threadpool(_whole_json, body) if len(body) > LONG_BYTES else _whole_json(body)


def _no_zero(encoded: bytes) -> bytes:
    """A form's or a query's encoded text, with U+FFFD for each zero."""
    return encoded.replace(b"%00", b"%EF%BF%BD").replace(b"\0", b"%EF%BF%BD")


def _whole_json(body: bytes) -> bytes:
    """JSON whose texts are whole; what is no text stays, and is refused by whoever reads it."""
    if not _SUSPECT_PATTERN.search(body):
        return body
    try:
        return whole_json(body.decode(json.detect_encoding(body), "surrogatepass")).encode()
    except UnicodeDecodeError:
        return body


def replayed(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read, and after it what comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message
