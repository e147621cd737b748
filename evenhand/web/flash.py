"""What an action came to, in words, for the page that the browser is sent to after it."""

import secrets
from collections import OrderedDict

from fastapi import Request
from fastapi.responses import RedirectResponse

from evenhand.web.entry import go

KEPT = 200  # the newest are remembered, for a reload or two


def say(request: Request, address: str, words: str) -> RedirectResponse:
    """Send the browser on to a page that shows `words`; its address has a random key only, so that no link can bring its own."""
    kept = _kept(request)
    key = secrets.token_hex(8)
    kept[key] = words
    while len(kept) > KEPT:
        kept.popitem(last=False)
    return go(f"{address}{'&' if '?' in address else '?'}said={key}")


def said(request: Request) -> str:
    """What the last action came to; "" where the page was opened without one."""
    return _kept(request).get(request.query_params.get("said", ""), "")


def _kept(request: Request) -> OrderedDict[str, str]:
    state = request.app.state
    if not hasattr(state, "said"):
        state.said = OrderedDict()
    kept: OrderedDict[str, str] = state.said
    return kept
