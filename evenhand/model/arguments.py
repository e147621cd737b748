"""How people write what has a name and settings in one line: `KEY=VALUE`, and lists of these at commas."""

import json
from collections.abc import Iterable
from typing import Any

from evenhand.errors import InvalidSettings


def key_values(where: str, pairs: Iterable[str], example: str) -> dict[str, Any]:
    """What `KEY=VALUE` pairs say.

    Args:
        where: the option that they were given by.
        pairs: as typed.
        example: a pair that would do.

    Returns:
        The values by their keys, read as JSON where they are JSON, else as text.

    Raises:
        InvalidSettings: one of them is no pair.
    """
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise InvalidSettings(f"{where} {pair!r}: expected KEY=VALUE, such as {example}")
        try:
            given[key] = json.loads(value)
        except ValueError:
            given[key] = value
    return given


def at_commas(text: str) -> list[str]:
    """The parts of a text between commas, but for those in brackets or quotes, as in configurations=[{"x": 1}]; none is empty."""
    parts, depth, quoted = [""], 0, False
    for letter in text:
        quoted ^= letter == '"'
        depth += 0 if quoted else (letter in "[{") - (letter in "]}")
        if letter == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return [part for part in parts if part]
