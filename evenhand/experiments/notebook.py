"""The live display of a session for notebooks, updated in place; and a run as the cell of a notebook shows it."""

import html
import math
import sys
import time
from collections.abc import Sequence
from typing import Any

from evenhand.analysis.run_course import Course, CoursePoint, course_of
from evenhand.analysis.summaries import drawn
from evenhand.analysis.ticks import round_numbers
from evenhand.model import notebook_html, rules
from evenhand.model.direction import best_first
from evenhand.model.session import Session
from evenhand.model.state_words import epoch_words
from evenhand.model.trial import VALUELESS_OUTCOMES, Trial
from evenhand.model.words import last_line, show_score

SHOWN_TRIALS = 5  # trials in the table
MOST_POINTS = 300  # of the curve
WIDTH_PIXELS, HEIGHT_PIXELS = 460, 180  # of the curve with its axes
LEFT_PIXELS, RIGHT_PIXELS, TOP_PIXELS, BOTTOM_PIXELS = 64, 14, 12, 36  # around it
TICKS = 4  # about so many on each axis
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


def page(session: Session, now: float, words: str = "", facts: Sequence[tuple[str, str]] = ()) -> str:
    """The session as HTML: a line of numbers, the curve, a table of the best trials, and a paragraph where there is one.

    Args:
        session: what is drawn.
        now: the time, in seconds since 1970.
        words: a paragraph below it.
        facts: what is said in a line each below the first one.

    Returns:
        One output of a cell.
    """
    course = course_of(session, MOST_POINTS)
    return notebook_html.view(
        notebook_html.title(session.tuner, progress_words(session, now)),
        *(notebook_html.said(f"{name}: {value}") for name, value in facts),
        curve(session, course) if len(course.points) > 1 else "",
        _table(session) if course.points else "",
        notebook_html.said(words),
    )


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


def curve(session: Session, course: Course) -> str:
    """How a session went as SVG: each trial's value, the best so far as a staircase, the best one marked, and axes.

    Args:
        session: whose metric it is.
        course: its values, of which there is at least one.

    Returns:
        The drawing, and what it shows in words.
    """
    metric = session.task.metric
    first, best = course.bests[0], course.bests[-1]
    begin, end = show_score(first.value, metric), show_score(best.value, metric)
    text = f"best {metric} so far: from {begin} (trial {first.number}) to {end} (trial {_found_at(course)})"
    frame = _Frame(course)
    stairs = [frame.at(point) for point in course.bests]
    path = f"M{stairs[0][0]:.1f},{stairs[0][1]:.1f}" + "".join(f"H{x:.1f}V{y:.1f}" for x, y in stairs[1:])
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2" opacity=".45"/>' for x, y in map(frame.at, course.points))
    x, y = frame.at(CoursePoint(_found_at(course), best.value))
    return (
        f'<svg width="{WIDTH_PIXELS}" height="{HEIGHT_PIXELS}" viewBox="0 0 {WIDTH_PIXELS} {HEIGHT_PIXELS}" role="img" '
        f'aria-label="{html.escape(text)}" font-size="11" fill="currentColor">{frame.axes(metric)}{dots}'
        f'<g class="accent"><path d="{path}" fill="none" stroke="currentColor" stroke-width="2"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="currentColor"/></g></svg>{notebook_html.said(text, quiet=True)}'
    )


def _found_at(course: Course) -> int:
    """The number of the trial that first had the best value."""
    best = course.bests[-1].value
    return next(point.number for point in course.bests if point.value == best)


class _Frame:
    """Where a course lies in its drawing."""

    def __init__(self, course: Course) -> None:
        values = [drawn(point.value) for point in course.points]
        low, high = min(values), max(values)
        room = (high - low) * 0.05 or max(abs(high) * 0.05, 1e-9)
        self._low, self._high = low - room, high + room
        self._trials = max(course.trials, 2)

    def at(self, point: CoursePoint) -> tuple[float, float]:
        """A value's place, in pixels."""
        return self._across(point.number), self._up(drawn(point.value))

    def _across(self, number: float) -> float:
        return LEFT_PIXELS + (WIDTH_PIXELS - LEFT_PIXELS - RIGHT_PIXELS) * (number - 1) / (self._trials - 1)

    def _up(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return HEIGHT_PIXELS - BOTTOM_PIXELS - (HEIGHT_PIXELS - TOP_PIXELS - BOTTOM_PIXELS) * share

    def axes(self, metric: str) -> str:
        """Lines, ticks and names: of the metric on the left, of the trials below."""
        bottom, right = HEIGHT_PIXELS - BOTTOM_PIXELS, WIDTH_PIXELS - RIGHT_PIXELS
        parts = [f'<path d="M{LEFT_PIXELS},{TOP_PIXELS}V{bottom}H{right}" fill="none" stroke="currentColor" opacity=".5"/>']
        for value in round_numbers(self._low, self._high, TICKS):
            y = self._up(value)
            parts.append(f'<path d="M{LEFT_PIXELS},{y:.1f}H{right}" stroke="currentColor" opacity=".15"/>')
            shown = html.escape(show_score(value, metric))
            parts.append(f'<text x="{LEFT_PIXELS - 6}" y="{y + 4:.1f}" text-anchor="end">{shown}</text>')
        numbers = sorted({round(number) for number in round_numbers(1, self._trials, TICKS)} | {1})
        for number in numbers:
            x = self._across(number)
            parts.append(f'<text x="{x:.1f}" y="{bottom + 14}" text-anchor="middle">{number}</text>')
        parts.append(f'<text x="{(LEFT_PIXELS + right) / 2}" y="{HEIGHT_PIXELS - 6}" text-anchor="middle">trial</text>')
        middle = (TOP_PIXELS + bottom) / 2
        name = html.escape(metric)
        parts.append(f'<text transform="translate(11,{middle}) rotate(-90)" text-anchor="middle">{name}</text>')
        return "".join(parts)


def _table(session: Session) -> str:
    metric, space = session.task.metric, session.space
    best = best_first(session.trials, session.maximize)[:SHOWN_TRIALS]
    names = ("trial", metric, *(hyperparameter.label for hyperparameter in space))
    return notebook_html.table(names, [_cells(session, trial) for trial in best], (0, 1), best=0)


def _cells(session: Session, trial: Trial) -> list[str]:
    values = (
        hyperparameter.show(trial.configuration[hyperparameter.name]) if hyperparameter.name in trial.configuration else ""
        for hyperparameter in session.space
    )
    return [str(trial.number), show_score(trial.value, session.task.metric), *values]
