"""The data of a task: disjoint splits, each opened only when it is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from evenhand.errors import InvalidSettings

Part = tuple[Any, Any]  # examples X and targets y of one split, as the training function wants them


@dataclass(frozen=True)
class Splits:
    """Disjoint data: each part is (X, y), or a function that returns it and is called only when the part is needed."""

    train: Part | Callable[[], Part]
    validation: Part | Callable[[], Part]
    test: Part | Callable[[], Part] | None = None

    def load(self, split: Literal["train", "validation", "test"]) -> Part:
        """(X, y) of one split. Test data is asked for in evaluations only, and not opened before."""
        part = getattr(self, split)
        if part is None:
            raise InvalidSettings("the task has no test split; give Splits(train, validation, test) to evaluate it")
        found: Part = part() if callable(part) else part
        return found

    @classmethod
    def drawn(cls, x: Any, y: Any, *, validation: float = 0.2, test: float = 0.2, seed: int = 0) -> "Splits":
        """Arrays `x` and `y` shuffled by `seed` and cut; `validation` and `test` are shares of all examples."""
        count = len(y)
        order = np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")
        first, second = round(count * test), round(count * test) + round(count * validation)
        if not 0 < first < second < count:
            raise InvalidSettings(f"shares {validation} and {test} of {count} examples leave a split empty")
        cut = {"test": order[:first], "validation": order[first:second], "train": order[second:]}
        x, y = np.asarray(x), np.asarray(y)
        return cls(**{name: (x[indices], y[indices]) for name, indices in cut.items()})
