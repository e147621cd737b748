"""What pages show of explanations: worked out in the background, one history at a time, and kept by the newest event."""

import logging
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace

from evenhand.errors import EvenhandError
from evenhand.explain import EXPLANATIONS, Card, History
from evenhand.model.recent import Recent
from evenhand.runners.explaining import CardProcess

log = logging.getLogger(__name__)

MOST_KEPT = 24  # histories
REST_SECONDS, REST_LOAD = 8.0, 4.0  # between two times: so long, and so many times as long as the last one took


@dataclass(frozen=True)
class Worked:
    """How far the explanations of a history are.

    Attributes:
        stamp: of what they are of.
        cards: that are there, in order.
        of: how many there will be.
        trials: ended ones that they are of.
        works: whether they are being worked out now; where `cards` are complete, anew.
        problem: why they could not be; "" where they could.
        seconds: that it took.
        ended_at: when it ended, by the clock that never goes back.
    """

    stamp: str
    cards: tuple[Card, ...] = ()
    of: int = 0
    trials: int = 0
    works: bool = False
    problem: str = ""
    seconds: float = 0.0
    ended_at: float = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether all cards are there."""
        return len(self.cards) == self.of and not self.problem


class Understandings:
    """The explanations of an app's pages. One history is worked out at a time, since each takes a core."""

    def __init__(self) -> None:
        self._kept: Recent[Hashable, Worked] = Recent(MOST_KEPT)
        self._at_work: set[Hashable] = set()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._process: CardProcess | None = None
        self._is_ending = False

    def of(self, key: Hashable, stamp: str, read: Callable[[], History]) -> Worked:
        """What there is now; where that is nothing, or older than the stamp, it begins to be worked out.

        Args:
            key: of the history, and of who may see what of it.
            stamp: other where the history is.
            read: reads the history, in the background.

        Returns:
            What there is, at once.
        """
        with self._lock:
            known = self._kept.get(key)
            rests = known is not None and time.monotonic() < known.ended_at + REST_SECONDS + REST_LOAD * known.seconds
            if key not in self._at_work and not self._is_ending and (known is None or (known.stamp != stamp and not rests)):
                self._at_work.add(key)
                known = replace(known or Worked(stamp, of=len(EXPLANATIONS)), works=True, problem="")
                self._kept[key] = known
                threading.Thread(target=self._work, args=(key, stamp, read), name="explaining", daemon=True).start()
            assert known is not None
            return known

    def stop(self) -> None:
        """End what is being worked out."""
        self._is_ending = True
        if self._process is not None:
            self._process.stop()

    def _work(self, key: Hashable, stamp: str, read: Callable[[], History]) -> None:
        problem = ""
        try:
            with self._turn:
                if not self._is_ending:
                    self._work_out(key, stamp, read())
        except EvenhandError as error:
            problem = str(error)
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            log.exception("explanations of %s failed", key)
        finally:
            with self._lock:
                self._at_work.discard(key)
                known = self._kept.get(key) or Worked(stamp)
                lacks = "" if known.is_complete else "the process that works them out ended before it was done"
                self._kept[key] = replace(known, stamp=stamp, works=False, problem=problem or lacks, ended_at=time.monotonic())

    def _work_out(self, key: Hashable, stamp: str, history: History) -> None:
        begun = time.monotonic()
        before = self._kept.get(key)
        shows_old = before is not None and before.is_complete and bool(before.cards)
        made = Worked(stamp, of=len(EXPLANATIONS), trials=len(history.trials), works=True)
        self._process = CardProcess(history)
        if self._is_ending:
            return
        for card in self._process.cards():
            made = replace(made, cards=(*made.cards, card), seconds=time.monotonic() - begun)
            if not shows_old or made.is_complete:  # until the new ones are all there, the old ones stay
                self._kept[key] = made
        self._process = None
