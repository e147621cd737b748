"""Settings of a task, checked against a table: every wrong one is named at once."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from evenhand.errors import InvalidSettings

Checks = Mapping[str, tuple[Callable[[Any], bool], str]]  # setting: (whether a value is right, what is expected in words)


def checked(name: str, raw: Mapping[str, Any], checks: Checks) -> dict[str, Any]:
    """`raw` as it is where all its values are right; InvalidSettings lists every unknown setting and every wrong value."""
    wrong = [f"{setting}: unknown, expected one of {', '.join(checks)}" for setting in raw if setting not in checks]
    wrong += [
        f"{setting}: got {raw[setting]!r}, expected {expected}"
        for setting, (accepts, expected) in checks.items()
        if setting in raw and not accepts(raw[setting])
    ]
    if wrong:
        raise InvalidSettings(f"settings of {name}: {'; '.join(wrong)}")
    return dict(raw)


def whole(low: int, high: int) -> tuple[Callable[[Any], bool], str]:
    """A check for whole numbers from `low` to `high`."""
    return lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high, f"a whole number from {low} to {high}"


def number(low: float, high: float) -> tuple[Callable[[Any], bool], str]:
    """A check for finite numbers from `low` to `high`."""

    def accepts(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high

    return accepts, f"a number from {low:g} to {high:g}"


def text(what: str, *, or_none: bool = False) -> tuple[Callable[[Any], bool], str]:
    """A check for texts that are not empty; `what` says what they mean."""
    return lambda v: (isinstance(v, str) and bool(v)) or (or_none and v is None), f"{what}{', or null' if or_none else ''}"
