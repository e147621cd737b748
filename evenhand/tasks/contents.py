"""Checksums of data as a program holds it: equal for equal contents, in each process."""

from importlib import import_module
from typing import Any

import numpy as np

from evenhand.model.digest import digest
from evenhand.tasks.splits import Splits


def checksum(part: Any) -> Any:
    """What stands for the content of an array, a data frame or a column.

    Args:
        part: of a data frame its names, types and values count; objects count as their texts.

    Returns:
        A text, or for a data frame a list of them, one a column.
    """
    made: Any = import_module("joblib").hash  # here, since it takes a while to import
    if hasattr(part, "columns"):
        return [
            made([str(name), str(part.dtypes.iloc[place]), _plain_array(part.iloc[:, place].to_numpy())])
            for place, name in enumerate(part.columns)
        ]
    return made(_plain_array(part.to_numpy()) if hasattr(part, "iloc") else _plain_array(part))


def of_test(splits: Splits) -> str:
    """What stands for the test data of splits that are there without being opened; "" where they are not, or there is none."""
    part = splits.test
    if not isinstance(part, tuple):
        return ""
    return digest([checksum(rows) for rows in part])


def _plain_array(array: Any) -> Any:
    """Objects as text, since how they are pickled depends on which of them are one and the same."""
    return np.array([str(value) for value in array.ravel()]) if getattr(array, "dtype", None) == np.dtype(object) else array
