"""A live display of a session for notebooks: the best value so far as a curve, and the best trials, updated in place."""

import html
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from evenhand.model import rules
from evenhand.model.direction import best_first, best_so_far, value_of
from evenhand.model.session import Session
from evenhand.model.state_words import epoch_words
from evenhand.model.trial import VALUELESS_OUTCOMES, Trial
from evenhand.model.words import last_line, show_score

SHOWN_TRIALS = 5  # trials in the table
WIDTH_PIXELS, HEIGHT_PIXELS, EDGE_PIXELS = 360, 120, 8  # of the curve, in pixels
UPDATE_SECONDS = 0.5  # seconds between two updates at most


def in_notebook() -> bool:
    """Whether IPython runs here, and in anything but a terminal."""
    if "IPython" not in sys.modules:
        return False
    shell = sys.modules["IPython"].get_ipython()
    return shell is not None and not any(base.__name__ == "TerminalInteractiveShell" for base in type(shell).__mro__)


class Display:
    """One output of a notebook's cell, which `show` replaces."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown_at = -math.inf

    def show(self, session: Session, now: float, *, last: bool = False, words: str = "") -> None:
        """Draw the session as it is; most calls within half a second of the one before do nothing.

        Args:
            session: what is drawn.
            now: the time, in seconds since 1970.
            last: whether it is drawn for sure, because nothing comes after it.
            words: a paragraph below it.
        """
        if not last and time.monotonic() - self._shown_at < UPDATE_SECONDS:
            return
        self._shown_at = time.monotonic()
        from IPython.display import HTML, display

        drawn = HTML(page(session, now, words))
        if self._handle is None:
            self._handle = display(drawn, display_id=True)
        else:
            self._handle.update(drawn)


def page(session: Session, now: float, words: str = "") -> str:
    """The session as HTML: a line of numbers, the curve, a table of the best trials, and a paragraph where there is one."""
    parts = [f"<div><b>{html.escape(session.tuner)}</b> &middot; {html.escape(progress_words(session, now))}</div>"]
    steps = steps_of(session)
    if len(steps) > 1:
        parts.append(curve(session, steps))
    if steps:
        parts.append(_table(session))
    if words:
        parts.append(f"<p>{html.escape(words)}</p>")
    return f'<div class="evenhand-session">{"".join(parts)}</div>'


def progress_words(session: Session, now: float) -> str:
    """How far the session is, in words."""
    budget, metric, best = session.budget, session.task.metric, rules.best_trial(session)
    said = [f"trial {len(session.trials)}" + (f" of {budget.trials}" if budget.trials is not None else "")]
    if budget.epochs is not None:
        said.append(f"{rules.epochs_used(session)} of {budget.epochs} epochs")
    if (left := rules.seconds_left(session, now)) is not None and session.choice is None:
        said.append(f"{left:.0f} s left")
    if budget.until is not None and session.choice is None:
        said.append(rules.stall_words(session))
    said.append("no value yet" if best is None else f"best {metric} {show_score(best.value, metric)} (trial {best.number})")
    running = next((trial for trial in session.trials if trial.is_open and trial.claimed_at is not None), None)
    if running is not None:
        said.append(f"training: {epoch_words(session.task, running)}")
    wrong = [trial for trial in session.trials if trial.outcome in VALUELESS_OUTCOMES]
    if wrong:
        said.append(f"{len(wrong)} without a result, the last: {last_line(wrong[-1].why, 80) or wrong[-1].outcome}")
    if session.choice is not None and session.evaluated.planned:
        said.append(f"test score: {session.evaluated.done} of {session.evaluated.planned} seeds")
    return ", ".join(said)


def steps_of(session: Session) -> list[tuple[int, float]]:
    """After each ended trial from the first with a value on: (its number, the best value so far)."""
    ended = [trial for trial in session.trials if not trial.is_open]
    bests = best_so_far([value_of(trial) for trial in ended], session.maximize)
    return [(trial.number, best) for trial, best in zip(ended, bests, strict=True) if best is not None]


def curve(session: Session, steps: Sequence[tuple[int, float]]) -> str:
    """The best value so far as an SVG staircase over trials, better ones further up, its two ends labelled."""
    metric, values = session.task.metric, [value for _, value in steps]
    first, last = steps[0][0], steps[-1][0]
    worst, best = values[0], values[-1]
    points, span = [], best / 2 - worst / 2  # halves, since the difference of two numbers may be none
    for number, value in steps:
        across = EDGE_PIXELS + (WIDTH_PIXELS - 2 * EDGE_PIXELS) * (number - first) / max(1, last - first)
        up = (value / 2 - worst / 2) / span if span else 0.5
        points.append((across, HEIGHT_PIXELS - EDGE_PIXELS - (HEIGHT_PIXELS - 2 * EDGE_PIXELS) * up))
    path = f"M{points[0][0]:.1f},{points[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in points[1:])
    text = f"best {metric} so far: from {show_score(worst, metric)} (trial {first}) to {show_score(best, metric)} (trial {last})"
    return (
        f'<svg width="{WIDTH_PIXELS}" height="{HEIGHT_PIXELS}" role="img" aria-label="{html.escape(text)}">'
        f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="2"/></svg><div>{html.escape(text)}</div>'
    )


def _table(session: Session) -> str:
    metric, space = session.task.metric, session.space
    best = best_first(session.trials, session.maximize)[:SHOWN_TRIALS]
    names = ("trial", metric, *(hyperparameter.label for hyperparameter in space))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in _cells(session, trial))}</tr>" for trial in best)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _cells(session: Session, trial: Trial) -> list[str]:
    values = (
        hyperparameter.show(trial.configuration[hyperparameter.name]) if hyperparameter.name in trial.configuration else ""
        for hyperparameter in session.space
    )
    return [str(trial.number), show_score(trial.value, session.task.metric), *values]
