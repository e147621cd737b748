"""Numbers as people type them: which characters stand for which, and what can be read in two ways."""

import re
import unicodedata

MINUS_SIGN = "\u2212"  # as people paste it from a text; a keyboard has the hyphen
MOST_DIGITS = 9  # of a whole number that every column of every database takes
_AT_THOUSANDS = re.compile(r"([+-]?[1-9][0-9]{0,2})[.,]([0-9]{3})")


def plainly(text: str) -> str:
    """A number's text without what cannot be seen, such as a zero-width space, and with a hyphen for the minus sign."""
    visible = "".join(letter for letter in text if unicodedata.category(letter) != "Cf")
    return visible.strip().replace(MINUS_SIGN, "-")


def why_ambiguous(text: str, whole: bool = False) -> str | None:
    """In words how to write 10,000, which is ten thousand to some and ten to others; None for a text that is clear.

    whole: whether a whole number is asked for. Then 10.000 is no clearer; else it is ten, as it is for every program.
    """
    plain = plainly(text)
    parts = _AT_THOUSANDS.fullmatch(plain)
    if parts is None or ("." in plain and not whole):
        return None
    thousands, fraction = "".join(parts.groups()), parts[1] if whole else ".".join(parts.groups())
    return f"{plain} can be read in two ways: please write {thousands} or {fraction}."


def whole_number(text: str) -> int | None:
    """The number that ASCII digits write, as in an address; None for other text, also for more digits than databases take."""
    plain = text.strip()
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) <= MOST_DIGITS else None
