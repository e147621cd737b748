"""A dictionary with a bound."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, MutableMapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(MutableMapping[K, V]):
    """A dictionary of at most `most` things: where one more comes, the one that was longest neither set nor got goes.

    For what can be looked up or worked out again. Threads may share it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._things: OrderedDict[K, V] = OrderedDict()
        self._lock = threading.Lock()

    def __getitem__(self, key: K) -> V:
        with self._lock:
            self._things.move_to_end(key)
            return self._things[key]

    def __setitem__(self, key: K, value: V) -> None:
        with self._lock:
            self._things[key] = value
            self._things.move_to_end(key)
            if len(self._things) > self._most:
                self._things.popitem(last=False)

    def __delitem__(self, key: K) -> None:
        with self._lock:
            del self._things[key]

    def __iter__(self) -> Iterator[K]:
        with self._lock:
            return iter(list(self._things))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._things.clear()

    def __len__(self) -> int:
        return len(self._things)
