"""How a run is shown while a terminal waits for it: one live table; plain lines where standard error is no terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from evenhand.analysis.pace import pace_of
from evenhand.analysis.summaries import changes, reference
from evenhand.lab.lab import Lab
from evenhand.lab.served import page_words
from evenhand.model import rules
from evenhand.model.session import Session
from evenhand.model.state_words import epoch_words
from evenhand.model.trial import UNUSABLE_OUTCOMES, Trial
from evenhand.model.words import last_line, plural, show_score, span

RECENT_TRIALS = 6  # rows of the table
REFRESHES_PER_SECOND = 4.0
LINE_SECONDS = 2.0  # between two plain lines at least
QUIET_SECONDS = 60.0  # after which a plain line comes without news
MOST_WHY_CHARACTERS = 80
TENTHS_BELOW_SECONDS = 10.0  # times of trials, which are told to a tenth

Show = Callable[[], None]


@contextmanager
def shown(lab: Lab, session_id: int, console: Console | None = None) -> Iterator[Show]:
    """Show a session on standard error while this lasts.

    Args:
        lab: where the session is.
        session_id: its number.
        console: another one than that of standard error.

    Yields:
        What reads the session anew, and shows it.
    """
    console = console or Console(stderr=True)
    page = page_words(lab, session_id)
    if not console.is_terminal or console.is_dumb_terminal:
        yield from _lines(lab, session_id, console, page)
        return
    newest = lab.sessions.get(session_id)

    def drawn() -> RenderableType:
        return table_of(newest, lab.clock(), page)

    # What a training prints stands above the table; where standard output is a file or a pipe, it goes there.
    live = Live(
        get_renderable=drawn,
        console=console,
        refresh_per_second=REFRESHES_PER_SECOND,
        redirect_stdout=sys.stdout.isatty(),
        vertical_overflow="crop",
    )

    def show() -> None:
        nonlocal newest
        newest = lab.sessions.get(session_id)

    with live:
        try:
            yield show
        finally:
            show()


def _lines(lab: Lab, session_id: int, console: Console, page: str) -> Iterator[Show]:
    """A line at the start, at a new best, after a quiet minute, and at the end."""
    console.print(Text(f"Session {session_id}: {page}"), soft_wrap=True)
    said_at, best_said, line_said = time.monotonic(), None, ""

    def say(session: Session) -> None:
        nonlocal said_at, best_said, line_said
        best = rules.best_trial(session, ended=True)
        said_at, best_said = time.monotonic(), None if best is None else best.number
        line = head_of(session, lab.clock())
        if line != line_said:
            console.print(Text(line), soft_wrap=True)
            line_said = line

    def show() -> None:
        since = time.monotonic() - said_at
        if since < LINE_SECONDS:
            return
        session = lab.sessions.get(session_id)
        best = rules.best_trial(session, ended=True)
        if since > QUIET_SECONDS or (best is not None and best.number != best_said):
            say(session)

    try:
        yield show
    finally:
        say(lab.sessions.get(session_id))


def table_of(session: Session, now: float, page: str) -> RenderableType:
    """A session as the live table shows it.

    Args:
        session: as it was read last.
        now: the time, in seconds since 1970.
        page: where its page is, in words.

    Returns:
        What Rich prints: where it stands, the best with its values, the recent trials, and the page.
    """
    parts: list[RenderableType] = [Text(head_of(session, now), style="bold")]
    best = rules.best_trial(session, ended=True)
    if best is not None:
        parts.append(Text(_values_of(session, best), overflow="ellipsis", no_wrap=True))
    elif (broken := _broken(session)) is not None:
        parts.append(Text(broken, style="yellow", overflow="ellipsis", no_wrap=True))
    if session.trials and session.choice is None:
        parts.append(_recent(session, None if best is None else best.number, now))
    parts.append(Text(page, style="dim"))
    return Group(*parts)


def head_of(session: Session, now: float) -> str:
    """Where a session stands, in one line: trials, the best, the pace, what is left, and the seeds of its evaluation."""
    metric, best = session.task.metric, rules.best_trial(session, ended=True)
    planned = session.budget.trials
    count = plural(len(session.trials), "trial") if planned is None else f"{len(session.trials)} of {plural(planned, 'trial')}"
    value = "no value yet" if best is None else f"best {metric} {show_score(best.value, metric)} (trial {best.number})"
    said = [session.tuner, count, value]
    if session.budget.until is not None and session.choice is None:
        said.append(rules.stall_words(session))
    pace = pace_of(session, now)
    if pace.trials_per_minute is not None:
        said.append(f"{_rate(pace.trials_per_minute)} trials a minute")
    if pace.seconds_left is not None:
        said.append(f"about {span(pace.seconds_left)} left")
    if session.choice is not None and session.evaluated.planned:
        said.append(f"test score: {session.evaluated.done} of {plural(session.evaluated.planned, 'seed')}")
    return " · ".join(said)


def _rate(per_minute: float) -> str:
    return f"{per_minute:.0f}" if per_minute >= 10 else f"{per_minute:.1f}"


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < TENTHS_BELOW_SECONDS else span(seconds)


def _values_of(session: Session, trial: Trial) -> str:
    return ", ".join(
        f"{hyperparameter.label} {hyperparameter.show(trial.configuration[hyperparameter.name])}"
        for hyperparameter in session.space
        if hyperparameter.name in trial.configuration
    )


def _broken(session: Session) -> str | None:
    """Why the newest trial has no value, where none has."""
    last = session.trials[-1] if session.trials else None
    if last is None or last.outcome not in UNUSABLE_OUTCOMES or not last.why:
        return None
    return f"trial {last.number}: {last_line(last.why, MOST_WHY_CHARACTERS)}"


def _recent(session: Session, best: int | None, now: float) -> Table:
    table = Table(box=None, pad_edge=False, expand=False)
    table.add_column("trial", justify="right")
    table.add_column(session.task.metric, justify="right")
    table.add_column("how it is")
    table.add_column("time", justify="right")
    table.add_column("changed", overflow="ellipsis", no_wrap=True, ratio=1)
    for trial in session.trials[-RECENT_TRIALS:]:
        changed = changes(session.space, reference(session, trial), trial.configuration)
        table.add_row(
            Text(str(trial.number)),
            Text(show_score(trial.value, session.task.metric)),
            Text(epoch_words(session.task, trial) if trial.is_open else str(trial.outcome)),
            Text(_time(trial.seconds(now))),
            Text(", ".join(f"{change.label} {change.after}" for change in changed)),
            style="bold" if trial.number == best else None,
        )
    return table
