"""Which of a list are taken. A module of its own, since a peer's environment has none of our packages."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def every(those: Sequence[T], count: int) -> list[T]:
    """`count` of them, or all where there are no more, at equal distances: of an ordered list, every part is there."""
    count = min(count, len(those))
    return [those[int((at + 0.5) * len(those) / count)] for at in range(count)]
