"""All explanations of a history, one after the other, as each is worked out."""

from collections.abc import Callable, Iterator, Sequence

from evenhand.errors import InvalidSettings
from evenhand.explain import EXPLANATIONS
from evenhand.explain.card import Card
from evenhand.explain.history import History


def wanted(only: Sequence[str] = ()) -> list[str]:
    """The keys that are asked for, in the order of the explanations; all where none is named. InvalidSettings for another."""
    if unknown := [key for key in only if key not in EXPLANATIONS]:
        raise InvalidSettings(f"explanation {unknown[0]!r}: there is none; expected some of {EXPLANATIONS.known}")
    return [key for key in EXPLANATIONS if key in only or not only]


def explained(history: History, only: Sequence[str] = ()) -> Iterator[Card]:
    """The cards of a history, each as it is worked out.

    Args:
        history: what is explained.
        only: keys of the explanations that are asked for; all where none is named.

    Yields:
        A card for each.

    Raises:
        InvalidSettings: there is no explanation of a key.
    """
    for key in wanted(only):
        explanation: Callable[[History], Card] = EXPLANATIONS.get(key)
        yield explanation(history)
