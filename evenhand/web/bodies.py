"""What a request brings, before any page reads it: no longer than agreed, in time, and text that every codec can write."""

import asyncio
import json
import re
from typing import Any

from starlette.types import Message, Receive, Scope

KILO, MEGA = 1000, 1000 * 1000
FORM_BYTES = 64 * KILO
ANSWERS_BYTES = MEGA  # of a questionnaire, which may ask for several texts of 20,000 letters
AGENT_BYTES = 8 * MEGA
BODY_SECONDS = 60.0  # seconds within which a body has to be here
NO_TEXT_PATTERN = re.compile("[\ud800-\udfff\0]")  # half a character, and what ends a text in many programs
# JSON that may hold such: escaped, as bytes that are no UTF-8 and yet read, or in UTF-16 or UTF-32.
_SUSPECT_PATTERN = re.compile(rb"\\u(?:[dD][89a-fA-F]|0000)|\xed[\xa0-\xbf]|\0|\xff\xfe|\xfe\xff")
_CHARSET_PATTERN = re.compile(rb";\s*charset\s*=\s*(\"[^\"]*\"|[^;]*)", re.IGNORECASE)


class BodyRefused(Exception):
    """A body is not taken: HTTP status, and in words why and what to do."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def valid(text: str) -> str:
    """The text with U+FFFD for what no codec can write and no database takes."""
    return NO_TEXT_PATTERN.sub("\N{REPLACEMENT CHARACTER}", text)


def limit_bytes(path: str) -> int:
    """How long a body may be that is sent to this path."""
    if path.startswith("/api/"):
        return AGENT_BYTES
    return ANSWERS_BYTES if path.startswith("/p/questions/") else FORM_BYTES


def brings_body(scope: Scope) -> bool:
    """Whether a body comes with the request, be it said to have a length or not."""
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in scope["headers"])


async def read(scope: Scope, receive: Receive, path: str) -> bytes | None:
    """All of the body; None where its sender has gone. BodyRefused where it is too long or too slow."""
    limit = limit_bytes(path)
    said = dict(scope["headers"]).get(b"content-length", b"0")
    if not said.isdigit() or len(said) > 18 or int(said) > limit:
        raise _too_long(path, limit)
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
                    raise _too_long(path, limit)
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        words = f"this request did not arrive within {BODY_SECONDS:.0f} s; send it again, over a better line or in smaller parts"
        raise BodyRefused(408, words) from None


def _too_long(path: str, limit: int) -> BodyRefused:
    size = f"{limit // MEGA} MB" if limit >= MEGA else f"{limit // KILO} kB"
    what_to_do = "send fewer measurements at once" if path.startswith("/api/") else "shorten its texts"
    return BodyRefused(413, f"this request is longer than {size}, the most that is taken here; {what_to_do}, and send it again")


def mended(scope: Scope, body: bytes) -> tuple[Scope, bytes]:
    """The request with valid text in its path, query, form or JSON, whatever codec it claims."""
    kind = dict(scope["headers"]).get(b"content-type", b"").lower()
    path, query = valid(scope["path"]), _no_zero(scope["query_string"])
    # Forms are UTF-8; a form that names another codec could smuggle in what UTF-8 has no bytes for.
    headers = [(name, _CHARSET_PATTERN.sub(b"", value) if name == b"content-type" else value) for name, value in scope["headers"]]
    if kind.startswith(b"application/x-www-form-urlencoded"):
        body = _no_zero(body)
    elif kind.startswith(b"multipart/form-data"):
        body = body.replace(b"\0", b"?")
    elif _SUSPECT_PATTERN.search(body):
        body = _valid_json(body)
    return {**scope, "path": path, "query_string": query, "headers": headers}, body


def _no_zero(encoded: bytes) -> bytes:
    """A form's or a query's encoded text, with U+FFFD for each zero."""
    return encoded.replace(b"%00", b"%EF%BF%BD").replace(b"\0", b"%EF%BF%BD")


def _valid_json(body: bytes) -> bytes:
    """JSON whose texts are valid; what is no JSON stays, and is refused by whoever reads it."""
    try:
        return json.dumps(_valid_values(json.loads(body))).encode()
    except (ValueError, RecursionError):
        return body


def _valid_values(content: Any) -> Any:
    if isinstance(content, str):
        return valid(content)
    if isinstance(content, list):
        return [_valid_values(item) for item in content]
    if isinstance(content, dict):
        return {valid(key): _valid_values(value) for key, value in content.items()}
    return content


def replayed(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read, and after it what comes."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message
