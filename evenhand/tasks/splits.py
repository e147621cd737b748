"""The data of a task: disjoint splits, each opened only when it is needed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from evenhand.errors import InvalidSettings

Part = tuple[Any, Any]  # examples X and targets y of one split, as the training function wants them


@dataclass(frozen=True)
class Splits:
    """Disjoint data of a task. Each part is (X, y), or a function that returns it and is called only when the part is needed.

    Attributes:
        train: what is learnt from.
        validation: what trials are scored on.
        test: what final choices are scored on; None where there is none.
    """

    train: Part | Callable[[], Part]
    validation: Part | Callable[[], Part]
    test: Part | Callable[[], Part] | None = None

    def load(self, split: Literal["train", "validation", "test"]) -> Part:
        """One split. Test data is asked for in evaluations only, and not opened before.

        Args:
            split: which one.

        Returns:
            Its examples and targets.

        Raises:
            InvalidSettings: it is test data, and there is none.
        """
        part = getattr(self, split)
        if part is None:
            raise InvalidSettings("the task has no test split; give Splits(train, validation, test) to evaluate it")
        data: Part = part() if callable(part) else part
        return data

    @property
    def counts(self) -> dict[str, int]:
        """Rows of validation and test, as statistics call them, of parts that are there without being opened."""
        parts = {"validation rows": self.validation, "test rows": self.test}
        return {words: len(part[1]) for words, part in parts.items() if isinstance(part, tuple) and hasattr(part[1], "__len__")}

    @property
    def without_test(self) -> "Splits":
        """Train and validation alone, as a training function may have them."""
        return Splits(self.train, self.validation, _withheld)

    @classmethod
    def drawn(cls, x: Any, y: Any, *, validation: float = 0.2, test: float = 0.2, seed: int = 0) -> "Splits":
        """Arrays, shuffled and cut.

        Args:
            x: examples, (N, ...).
            y: targets, (N,).
            validation: the share of all examples that is for validation, between 0 and 1.
            test: the share that is for test.
            seed: decides who comes where.

        Returns:
            Three splits that share no example.

        Raises:
            InvalidSettings: the shares leave a split empty.
        """
        count = len(y)
        order = np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable")
        first, second = round(count * test), round(count * test) + round(count * validation)
        if not 0 < first < second < count:
            raise InvalidSettings(f"shares {validation} and {test} of {count} examples leave a split empty")
        cut = {"test": order[:first], "validation": order[first:second], "train": order[second:]}
        x, y = np.asarray(x), np.asarray(y)
        return cls(**{name: (x[indices], y[indices]) for name, indices in cut.items()})


def _withheld() -> Part:
    raise InvalidSettings("test data is not for the training function: its choice is scored on it once, after it has returned")
