"""A live display of a session for notebooks: the best value so far as a curve, and the best trials, updated in place."""

import html
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from evenhand import protocol
from evenhand.analysis.scores import show_score
from evenhand.records import Outcome, Session, Trial

WITHOUT = (Outcome.INVALID, Outcome.DIVERGED, Outcome.FAILED)
SHOWN = 5  # trials in the table
WIDTH, HEIGHT, EDGE = 360, 120, 8  # of the curve, in pixels
EVERY = 0.5  # seconds between two updates at most


def in_notebook() -> bool:
    """Whether IPython runs here, and in anything but a terminal."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and not any(each.__name__ == "TerminalInteractiveShell" for each in type(shell).__mro__)


class Display:
    """One output of a notebook's cell, which `show` replaces."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown_at = -math.inf

    def show(self, session: Session, now: float, *, last: bool = False) -> None:
        """Draw the session as it is; most calls within half a second of the one before do nothing. now: for times."""
        if not last and time.monotonic() - self._shown_at < EVERY:
            return
        self._shown_at = time.monotonic()
        from IPython.display import HTML, display

        drawn = HTML(page(session, now))
        if self._handle is None:
            self._handle = display(drawn, display_id=True)
        else:
            self._handle.update(drawn)


def page(session: Session, now: float) -> str:
    """The session as HTML: a line of numbers, the curve, and a table of the best trials."""
    parts = [f"<div><b>{html.escape(session.tuner)}</b> &middot; {html.escape(told(session, now))}</div>"]
    steps = best_so_far(session)
    if len(steps) > 1:
        parts.append(curve(session, steps))
    if steps:
        parts.append(_table(session))
    return f'<div class="evenhand-session">{"".join(parts)}</div>'


def told(session: Session, now: float) -> str:
    """How far the session is, in words."""
    budget, metric, best = session.budget, session.task.metric, protocol.best_trial(session)
    said = [f"trial {len(session.trials)}" + (f" of {budget.trials}" if budget.trials is not None else "")]
    if budget.epochs is not None:
        said.append(f"{protocol.epochs_used(session)} of {budget.epochs} epochs")
    if (left := protocol.seconds_left(session, now)) is not None and session.choice is None:
        said.append(f"{left:.0f} s left")
    said.append("no value yet" if best is None else f"best {metric} {show_score(best.value, metric)} (trial {best.number})")
    running = next((trial for trial in session.trials if trial.is_open and trial.claimed_at is not None), None)
    if running is not None:
        said.append(f"training: epoch {running.epochs_done} of {running.epochs_planned}")
    wrong = [trial for trial in session.trials if trial.outcome in WITHOUT]
    if wrong:
        said.append(f"{len(wrong)} without a result, the last: {(wrong[-1].why or str(wrong[-1].outcome)).splitlines()[-1][:80]}")
    if session.choice is not None and session.evaluated.planned:
        said.append(f"test score: {session.evaluated.done} of {session.evaluated.planned} seeds")
    return ", ".join(said)


def best_so_far(session: Session) -> list[tuple[int, float]]:
    """After each ended trial from the first with a value on: (its number, the best value so far)."""
    found: list[tuple[int, float]] = []
    better = max if session.maximize else min
    for trial in session.trials:
        if trial.is_open:
            continue
        counts = trial.value is not None and trial.outcome is not Outcome.INVALID
        if counts and trial.value is not None:
            found.append((trial.number, better(found[-1][1], trial.value) if found else trial.value))
        elif found:
            found.append((trial.number, found[-1][1]))
    return found


def curve(session: Session, steps: Sequence[tuple[int, float]]) -> str:
    """The best value so far as an SVG staircase over trials, better ones further up, its two ends labelled."""
    metric, values = session.task.metric, [value for _, value in steps]
    first, last = steps[0][0], steps[-1][0]
    worst, best = values[0], values[-1]
    points = []
    for number, value in steps:
        across = EDGE + (WIDTH - 2 * EDGE) * (number - first) / max(1, last - first)
        up = 0.5 if best == worst else (value - worst) / (best - worst)
        points.append((across, HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * up))
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in points[1:])
    text = f"best {metric} so far: from {show_score(worst, metric)} (trial {first}) to {show_score(best, metric)} (trial {last})"
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{html.escape(text)}">'
        f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="2"/></svg><div>{html.escape(text)}</div>'
    )


def _table(session: Session) -> str:
    metric, space = session.task.metric, session.space
    sign = -1 if session.maximize else 1
    valued = [trial for trial in session.trials if trial.value is not None and trial.outcome is not Outcome.INVALID]
    best = sorted(valued, key=lambda trial: (sign * (trial.value or 0.0), trial.number))[:SHOWN]
    names = ("trial", metric, *(each.label for each in space))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(each)}</td>' for each in _cells(session, trial))}</tr>" for trial in best)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(session: Session, trial: Trial) -> list[str]:
    values = (each.show(trial.configuration[each.name]) if each.name in trial.configuration else "" for each in session.space)
    return [str(trial.number), show_score(trial.value, session.task.metric), *values]
