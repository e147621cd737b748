"""Rows of numbers that only ever grow: what is found of trials that have ended, without a walk over all of them again."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Matrix = np.ndarray[Any, np.dtype[np.float64]]
FIRST_ROWS = 16  # that there is room for at first; the room doubles when it is full


@dataclass(frozen=True)
class Rows:
    """The first `count` rows of an array that has room for more. Rows that are added later change nothing of these."""

    room: Matrix
    count: int = 0

    @classmethod
    def none(cls, columns: int) -> "Rows":
        """No rows yet, of so many columns."""
        return cls(np.empty((FIRST_ROWS, columns)))

    def add(self, row: Sequence[float]) -> "Rows":
        """With one more, in the same array while it has room: only what holds the newest rows may add to them."""
        room = self.room
        if self.count == len(room):
            room = np.concatenate([room, np.empty_like(room)])
        room[self.count] = row
        return Rows(room, self.count + 1)

    @property
    def matrix(self) -> Matrix:
        """They, (count, columns)."""
        return self.room[: self.count]
