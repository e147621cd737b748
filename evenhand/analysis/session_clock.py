"""A session's clock at many moments: what `summaries.clock` says of one, without looking at every trial for each of them."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from evenhand.model import rules
from evenhand.model.session import Session
from evenhand.model.trial import Outcome

Interval = tuple[float, float]


class SessionClock:
    """Seconds since a session's start, without waiting for agents, outages and pauses, as they are known now.

    Args:
        session: whose clock; open trials and pauses last.
        now: until when what is known of it holds.
    """

    def __init__(self, session: Session, now: float) -> None:
        self._start = session.started_at
        outages = list(_outages(session, now))
        running = [
            (trial.claimed_at, trial.finished_at or now)
            for trial in session.trials
            if trial.claimed_at is not None and trial.outcome is not Outcome.FAILED
        ]
        queued = [(trial.submitted_at, trial.finished_at or now) for trial in session.trials]
        self._outages = _Spans(outages)
        self._at_work = _Spans([*running, *outages])
        self._in_all = _Spans([*queued, *running, *outages])

    def at(self, moment: float) -> float:
        """Seconds on it at a moment; 0 before its start."""
        if self._start is None or moment <= self._start:
            return 0.0
        waited = self._in_all.before(moment) - self._at_work.before(moment)
        return max(0.0, moment - self._start - waited - self._outages.before(moment))


class _Spans:
    """Disjoint spans of time in order, and how long they are up to any moment."""

    def __init__(self, intervals: Iterable[Interval]) -> None:
        spans: Sequence[Interval] = rules.merged(intervals)
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]
        self._sums = [0.0]
        for start, end in spans:
            self._sums.append(self._sums[-1] + end - start)

    def before(self, moment: float) -> float:
        """How much of them lies before a moment."""
        count = bisect_right(self._starts, moment)
        return self._sums[count] - (max(0.0, self._ends[count - 1] - moment) if count else 0.0)


def _outages(session: Session, now: float) -> Iterable[Interval]:
    for extension in session.extensions:
        if extension.start is not None:
            yield extension.start, extension.start + extension.seconds
    for pause in session.pauses:
        yield pause.start, now if pause.end is None else pause.end
    left_at = session.last_seen or session.opened_at
    if rules.is_interrupted(session, now) and left_at < now:
        yield left_at, now
    for trial in session.trials:
        for hold in trial.holds:
            yield hold.start, min(now, math.inf if hold.end is None else hold.end)
