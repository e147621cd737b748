"""Rendering: one Jinja environment for all pages, with the formats that people read."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

from evenhand.model import state_words, words
from evenhand.model.event_words import event_words
from evenhand.web.access import identity, lab_of
from evenhand.web.state import held_by

TEMPLATE_FOLDER = Path(__file__).parent / "templates"
LANGUAGE_NAMES: Mapping[str, str] = {
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
        loader=FileSystemLoader(TEMPLATE_FOLDER),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        auto_reload=False,  # else each page asks the disk about each of its templates
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        clock=words.clock, percent=words.percent, number=words.typed, loss=words.loss, ago=words.ago, moment=words.moment,
        exact=words.exact, lasting=words.lasting, plural=words.plural, score=words.show_score, metric=words.metric_name,
        levels=words.levels_words, markdown=markdown, inline=inline, ticked=ticked,
    )  # fmt: skip
    made.globals.update(drawn_levels=lambda task: [[level.name, level.value] for level in task.levels])
    made.globals.update(trial_share_words=words.trial_share_words, times_scored=words.times_scored)
    made.globals.update(budget_words=words.budget_words, outcome_words=state_words.outcome_words)
    made.globals.update(hold_words=state_words.hold_words, back_words=state_words.back_words, event_words=event_words)
    made.globals.update(how_to_go_on=state_words.how_to_go_on, mode_words=words.MODE_WORDS)
    made.globals.update(value_epoch_words=state_words.value_epoch_words)
    made.globals.update(epoch_words=state_words.epoch_words, epochs_words=state_words.epochs_words)
    return made


environment = _environment()


def fragment(request: Request, template: str, **context: Any) -> str:
    """A template's text, with `request`, `root`, `csrf_token` and `me` at hand: of the identity that this route was called by.

    `with_names` puts people's names in the place of their ids in a text of the record.
    """
    caller = identity(request)
    return _filled(request, template, caller.csrf_token, {"me": caller.person, **context})


def shared(request: Request, template: str, **context: Any) -> str:
    """A template's text for all who watch the same page: without `me`, and without a token, which each page's script puts in."""
    return _filled(request, template, "", context)


def _filled(request: Request, template: str, csrf_token: str, context: Mapping[str, Any]) -> str:
    root = held_by(request.app).public.prefix
    common = {"request": request, "csrf_token": csrf_token, "root": root, "with_names": lab_of(request).people.shown}
    return environment.get_template(template).render({**common, **context})


def render(request: Request, template: str, *, status: int = 200, **context: Any) -> HTMLResponse:
    """A page, or a fragment of one, as a response."""
    return HTMLResponse(fragment(request, template, **context), status)
