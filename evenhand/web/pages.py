"""Rendering: one Jinja environment for all pages, with the formats that people read."""

import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from evenhand.analysis.scores import show_score
from evenhand.space import show
from evenhand.web.access import identity

TEMPLATES = Path(__file__).parent / "templates"
DASH = "–"
LANGUAGES: Mapping[str, str] = {
    "cs": "Čeština",
    "da": "Dansk",
    "de": "Deutsch",
    "el": "Ελληνικά",
    "en": "English",
    "es": "Español",
    "fi": "Suomi",
    "fr": "Français",
    "it": "Italiano",
    "ja": "日本語",
    "ko": "한국어",
    "nl": "Nederlands",
    "no": "Norsk",
    "pl": "Polski",
    "pt": "Português",
    "ru": "Русский",
    "sv": "Svenska",
    "tr": "Türkçe",
    "uk": "Українська",
    "zh": "中文",
}

_markdown = MarkdownIt("commonmark", {"html": False}).enable("table")  # html off: study texts are text, never markup


def clock(seconds: float | None) -> str:
    """A duration as 1:23:41 or 2:10; a dash for None."""
    if seconds is None:
        return DASH
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as 64.6 %; a dash for None."""
    return DASH if share is None else f"{100 * share:.{digits}f}\u202f%"


def number(value: float | int | str | None) -> str:
    """A number as people type it (0.001, 1e-5); a dash for None."""
    return DASH if value is None else show(value)


def loss(value: float | None) -> str:
    """A loss with three decimals, so that its width does not jump; a dash for None."""
    return DASH if value is None else f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"


def ago(at: float | None, now: float | None = None) -> str:
    """How long ago a moment was, in words: now, 4 min ago, 2 h ago, 3 days ago; "not yet" for None."""
    if at is None:
        return "not yet"
    seconds = (time.time() if now is None else now) - at
    if seconds < 60:
        return "now"
    if seconds < 3600:
        return f"{int(seconds / 60)} min ago"
    days = int(seconds / 86400)
    return f"{int(seconds / 3600)} h ago" if days < 1 else f"{days} day{'s' * (days > 1)} ago"


def moment(at: float | None) -> str:
    """A moment as 2026-11-21 05:03 UTC; a dash for None."""
    return DASH if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def plural(count: int, one: str, many: str = "") -> str:
    """1 trial, 2 trials."""
    return f"{count:,} {one if count == 1 else many or one + 's'}".replace(",", "\u202f")


def markdown(text: str) -> Markup:
    """A study's text as HTML; HTML within it stays text."""
    return Markup(_markdown.render(text))


def inline(text: str) -> Markup:
    """A line of a study's text, as in a label, as HTML without a paragraph of its own."""
    return Markup(_markdown.renderInline(text))


def ticked(text: str) -> Markup:
    """Plain text whose `commands` become code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        auto_reload=False,  # else each page asks the disk about each of its templates
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        clock=clock, percent=percent, number=number, loss=loss, ago=ago, moment=moment, plural=plural, markdown=markdown,
        inline=inline, score=show_score, ticked=ticked,
    )  # fmt: skip
    return made


environment = _environment()


def fragment(request: Request, template: str, **context: Any) -> str:
    """A template's text, with `request` and `csrf_token` (of the identity that this route was called by) at hand."""
    return environment.get_template(template).render(request=request, csrf_token=identity(request).csrf_token, **context)


def shared(request: Request, template: str, **context: Any) -> str:
    """A template's text for everybody who watches the same page: without anybody's token, which each page's script puts in."""
    return environment.get_template(template).render(request=request, csrf_token="", **context)


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A page, or a fragment of one, as a response."""
    return HTMLResponse(fragment(request, template, **context), status)
