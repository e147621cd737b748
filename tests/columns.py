"""A run's columns as they are sent, read back: see evenhand/web/researcher/explore.py."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray


def unpacked(content: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The head and the arrays by name of a chunk; each array must begin where the page's script may read it."""
    start = 4 + int.from_bytes(content[:4], "little")
    head = json.loads(content[4:start])
    arrays = {}
    for name, kind in head["arrays"]:
        array = np.frombuffer(content, f"<{kind}", head["trials"], start)
        assert start % array.itemsize == 0, name
        arrays[name] = array
        start += array.nbytes
    assert start == len(content)
    return head, arrays
