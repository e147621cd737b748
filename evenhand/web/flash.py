"""What an action came to, in words, for the page that the browser is sent to after it."""

import secrets

from fastapi import Request
from fastapi.responses import RedirectResponse

from evenhand.web.entry import go
from evenhand.web.state import held_by


def say(request: Request, address: str, words: str) -> RedirectResponse:
    """Send the browser on to a page that shows `words`; its address has a random key only, so that no link can bring its own."""
    key = secrets.token_hex(8)
    held_by(request.app).said[key] = words
    return go(f"{address}{'&' if '?' in address else '?'}said={key}")


def said(request: Request) -> str:
    """What the last action came to; "" where the page was opened without one."""
    return held_by(request.app).said.get(request.query_params.get("said", ""), "")
