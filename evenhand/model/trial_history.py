"""A session's trials in order, and what is derived from them: as quickly after ten thousand of them as after ten.

A trial that has ended does not change any more, so what was found of the first trials holds while the session goes on, and they
are never copied.
"""

import threading
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Any, TypeVar, cast, overload

from evenhand.model.trial import Trial

T = TypeVar("T")


class _Past:
    """Trials that have ended, in order, and what `fold` made of the first so many of them. All views of a session share it."""

    def __init__(self, trials: Iterable[Trial]) -> None:
        self.trials = list(trials)
        self.folded: dict[Hashable, tuple[int, Any]] = {}
        self.lock = threading.Lock()


class Trials(Sequence[Trial]):
    """A session's trials in order, of which the first `settled` have ended. It never changes."""

    __slots__ = ("_later", "_past", "settled")

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._go_on(_Past(()), 0, list(trials))

    def _go_on(self, past: _Past, settled: int, later: list[Trial]) -> None:
        ended = next((at for at, trial in enumerate(later) if trial.is_open), len(later))
        with past.lock:
            there = past.trials[settled : settled + ended]  # another reader may have come first
            if [trial.id for trial in there] != [trial.id for trial in later[: len(there)]]:
                past = _Past(past.trials[:settled])
                there = []
            past.trials.extend(later[len(there) : ended])
        self._past, self.settled, self._later = past, settled + ended, tuple(later[ended:])

    def then(self, later: Iterable[Trial]) -> "Trials":
        """Those that are settled, and then these, as they were read: what has ended by these is settled for every view."""
        made = Trials.__new__(Trials)
        made._go_on(self._past, self.settled, list(later))
        return made

    @property
    def unsettled(self) -> Sequence[Trial]:
        """The trials from the first open one on."""
        return self._later

    def __len__(self) -> int:
        return self.settled + len(self._later)

    @overload
    def __getitem__(self, at: int) -> Trial: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Trial, ...]: ...
    def __getitem__(self, at: int | slice) -> Trial | tuple[Trial, ...]:
        if isinstance(at, slice):
            return tuple(self[index] for index in range(*at.indices(len(self))))
        place = at + len(self) if at < 0 else at
        if not 0 <= place < len(self):
            raise IndexError(f"trial at {at} of {len(self)}")
        return self._past.trials[place] if place < self.settled else self._later[place - self.settled]

    def __iter__(self) -> Iterator[Trial]:
        return chain(islice(self._past.trials, self.settled), self._later)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Trials) and other._past is self._past and other.settled == self.settled:
            return other._later == self._later
        return isinstance(other, Trials | tuple) and tuple(self) == tuple(other)

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[type["Trials"], tuple[tuple[Trial, ...]]]:
        return Trials, (tuple(self),)

    def folded(self, key: Hashable, start: Callable[[], T], add: Callable[[T, Trial], T]) -> T | None:
        """See `fold`; None where later trials were folded already, since this is an older view of the session."""
        with self._past.lock:
            count, value = self._past.folded.get(key) or (0, start())
            if count > self.settled:
                return None
            for at in range(count, self.settled):
                value = add(value, self._past.trials[at])
            self._past.folded[key] = self.settled, value
            return cast(T, value)


class CountedTrials(Trials):
    """Of a session's trials those that are open, and what `fold` makes of the others, which were counted and not read.

    counted: by the key of a fold; a rule that asks for another one cannot be asked here (LookupError).
    """

    __slots__ = ("_counted",)

    def __init__(self, counted: Mapping[Hashable, Any], still_open: Iterable[Trial]) -> None:
        super().__init__(())
        self._counted, self._later = counted, tuple(still_open)

    def then(self, later: Iterable[Trial]) -> "CountedTrials":
        """The same ones, but for the open ones."""
        return CountedTrials(self._counted, later)

    def folded(self, key: Hashable, start: Callable[[], T], add: Callable[[T, Trial], T]) -> T:
        """What was counted under a key."""
        if key not in self._counted:
            raise LookupError(f"{key!r} was not counted of this session, and its trials were not read")
        return cast(T, self._counted[key])


def fold(
    trials: Sequence[Trial], key: Hashable, start: Callable[[], T], add: Callable[[T, Trial], T]
) -> tuple[T, Sequence[Trial]]:
    """What `add` makes of `start` and the trials that are settled, one after the other; and the trials after these.

    Each is added once, however often this is asked under the same key. Of trials that were not read from a store nothing is
    known to be settled. Where `add` changes a value in place, it may hold later trials too when it is looked at.
    """
    value = trials.folded(key, start, add) if isinstance(trials, Trials) else None
    return (start(), trials) if value is None else (value, unsettled(trials))


def unsettled(trials: Sequence[Trial]) -> Sequence[Trial]:
    """The trials from the first one on that may still change: all open ones are among them."""
    return trials.unsettled if isinstance(trials, Trials) else trials


def with_open(trials: Sequence[Trial], change: Callable[[Trial], Trial]) -> Trials:
    """These trials, those that are open changed by `change`, which may not end them."""
    before = trials if isinstance(trials, Trials) else Trials(trials)
    return before.then(change(trial) if trial.is_open else trial for trial in before.unsettled)
