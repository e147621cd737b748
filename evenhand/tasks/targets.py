"""Whether targets are classes or numbers: the one rule for tables, arrays and splits."""

from numbers import Real
from typing import Any

import numpy as np

MOST_CLASSES = 20  # whole numbers of at most so many values are classes


def are_classes(y: Any) -> bool:
    """Whether targets y, an array, are classes: truth values, texts that repeat, or whole numbers of few values."""
    if y.ndim != 1 or y.dtype.kind not in "biuUSOf":
        return False
    y = as_numbers(y)
    if y.dtype.kind in "iuf":
        return bool((y == np.round(y)).all()) and len(np.unique(y)) <= MOST_CLASSES
    try:
        return y.dtype.kind == "b" or 2 * len(set(y.tolist())) <= len(y)
    except TypeError:  # objects without a hash
        return False


def as_numbers(y: Any) -> Any:
    """The array y, objects that are numbers as floats."""
    is_of_numbers = y.dtype.kind == "O" and all(isinstance(value, Real) and not isinstance(value, bool) for value in y.tolist())
    return y.astype(float) if is_of_numbers else y
