"""Numbers that are given as arguments: NumPy's and PyTorch's are taken as Python's own, and what is none is refused in words."""

import math

from evenhand.errors import InvalidSettings
from evenhand.model.domain import LEAST_INTEGER, MOST_INTEGER, plain


def whole(what: str, given: object, least: int = 1) -> int:
    """A whole number from `least` on.

    Args:
        what: it is, for an error.
        given: a number; 3.0 is a whole one, text and True are none.
        least: the smallest that is taken.

    Raises:
        InvalidSettings: it is none.
    """
    if type(given) is int and least <= given <= MOST_INTEGER:  # as most are: each report comes here
        return given
    number = plain(given)
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= MOST_INTEGER:
        most = " to 2^63 - 1" if isinstance(number, int) and number > MOST_INTEGER else ""
        expected = "a whole number from -2^63 to 2^63 - 1" if least == LEAST_INTEGER else f"a whole number from {least}{most}"
        raise InvalidSettings(f"{what} is {given!r}, expected {expected}")
    return int(number)


def seed_of(given: object) -> int:
    """A seed: any whole number of 64 bits; InvalidSettings otherwise."""
    return whole("seed", given, LEAST_INTEGER)


def above_zero(what: str, given: object) -> float:
    """A finite number above 0.

    Args:
        what: it is, for an error.
        given: a number.

    Raises:
        InvalidSettings: it is none.
    """
    number = plain(given)
    if isinstance(number, bool) or not isinstance(number, int | float) or not number > 0 or not math.isfinite(number):
        raise InvalidSettings(f"{what} is {given!r}, expected a finite number above 0")
    return number
