"""Tuners: the methods that choose the next configuration. docs/methods.md describes each."""

from dataclasses import fields
from typing import Any

from evenhand.errors import InvalidSettings
from evenhand.tuners.base import Method, Suggestion
from evenhand.tuners.simple import Random
from evenhand.tuners.tpe import TPE

__all__ = ["METHODS", "Method", "Suggestion", "method"]

METHODS: dict[str, type[Random] | type[TPE]] = {each.name: each for each in (Random, TPE)}


def method(name: str, *, maximize: bool, **settings: Any) -> Method:
    """The method called `name` with its settings; InvalidSettings where there is none, or a setting that it does not know."""
    if name not in METHODS:
        raise InvalidSettings(f"method {name!r}: there is none; expected one of {', '.join(METHODS)}")
    kind = METHODS[name]
    known = [each.name for each in fields(kind) if each.name != "maximize"]
    for unknown in sorted(settings.keys() - known):
        expected = f"one of {', '.join(known)}" if known else "no settings"
        raise InvalidSettings(f"method {name!r}: setting {unknown!r} is unknown; expected {expected}")
    return kind(maximize=maximize, **settings)
