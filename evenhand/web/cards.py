"""Cards as pages show them: of a run, and of a closed study."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from evenhand.explain import Card, NextStep
from evenhand.report.cards import svg
from evenhand.report.cards.pictures import CardTable, lines, picture, table, trial_numbers
from evenhand.web.understanding import Worked


@dataclass(frozen=True)
class Action:
    """What one could do about a finding, as the page shows it.

    Attributes:
        words: what the button says, or the sentence where nothing here can do it.
        address: where its form is sent; "" where nothing here can do it.
        fields: that the form holds: name and value.
        how: how it is done elsewhere, where it has no address.
    """

    words: str
    address: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    how: str = ""


@dataclass(frozen=True)
class Shown:
    """A card as the page shows it."""

    card: Card
    drawing: Markup
    lines: tuple[tuple[str, str], ...]
    table: CardTable | None
    actions: tuple[Action, ...]
    trials: tuple[int, ...]


def cards_context(worked: Worked, act: Callable[[NextStep], Action]) -> dict[str, Any]:
    """What the part of the cards shows. act: what a step is on this page."""
    return {
        "worked": worked,
        "shown": [_shown(card, act) for card in worked.cards],
    }


def _shown(card: Card, act: Callable[[NextStep], Action]) -> Shown:
    drawing = picture(card)
    drawn = "" if drawing is None else svg.svg(drawing)  # which escapes what others wrote
    numbers = table(card) if card.says else None
    return Shown(card, Markup(drawn), lines(card), numbers, tuple(map(act, card.next)), trial_numbers(card))
