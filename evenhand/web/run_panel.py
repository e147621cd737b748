"""What the tune page shows of a session: the clock, the running trial, the history. Computed from `lab.view`, in words.

The page's script and its template take the same words, so that a page without scripts says the same after a reload.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evenhand.analysis import summaries
from evenhand.analysis.summaries import ValueChange
from evenhand.model import rules
from evenhand.model.digest import digest
from evenhand.model.direction import sign_of, value_of
from evenhand.model.domain import Value
from evenhand.model.session import Session, State, View
from evenhand.model.state_words import (
    back_words,
    epoch_words,
    epochs_words,
    hold_words,
    outcome_words,
    status_of,
    value_epoch_words,
)
from evenhand.model.trial import UNUSABLE_OUTCOMES, LearningCurve, Measurement, Outcome, Trial
from evenhand.model.trial_history import unsettled
from evenhand.model.typed_numbers import whole_number
from evenhand.model.words import clock, is_share, last_line, loss, plural, show_score
from evenhand.web.session_stream import shown_trial

SHOWN_TRIALS = 50  # rows of the history until all are asked for
WARNING_MINUTES = (1, 5, 10)  # minutes before the deadline from which on a warning stands
LAST_LINE_CHARACTERS = 400  # characters of a reason that fit the panel; the whole stands in the history


@dataclass(frozen=True)
class Clock:
    """What of the budget is left. seconds: of the clock in the header, None where it counts no time; ticking: whether it runs."""

    big: str
    small: str
    seconds: float | None
    ticking: bool
    share: float


@dataclass(frozen=True)
class RunPanel:
    """The trial that is shown as running, or ran last. status: the word of its badge's style.

    per_epoch: steps of an epoch, None where not known. step: of the last measurement. number: 0 where there is no trial yet.
    """

    number: int
    attempt: int
    status: str
    title: str
    badge: str
    line: str
    note: str
    open: bool
    stopping: bool
    step: int
    total: int
    epochs: int
    per_epoch: int | None
    batch_loss: str
    epoch_loss: str
    value: str
    best: str
    best_label: str
    best_number: int
    best_value: float | None


@dataclass(frozen=True)
class HistoryRow:
    """One finished trial of the history. share: how much of its bar is filled, None where the metric has no bounds."""

    trial: Trial
    value: str
    share: float | None
    changes: tuple[ValueChange, ...]
    same: str
    outcome: str
    note: str
    used: str
    best: bool
    choosable: bool


@dataclass(frozen=True)
class History:
    """The rows that are shown, of `count`. since: what the changes are told against."""

    rows: tuple[HistoryRow, ...]
    count: int
    order: str
    since: str
    numbers: tuple[int, ...]


# The clock


def clock_of(view: View) -> Clock:
    """The header's clock."""
    budget, left = view.session.budget, view.seconds_left
    if view.state is State.CHOOSING:
        rest = max(0.0, (view.choose_by or view.now) - view.now)
        return Clock(clock(rest), "left to choose", rest, True, 1.0)
    parts = []
    if view.trials_left is not None:
        parts.append((view.trials_left, budget.trials, "trials"))
    if view.epochs_left is not None:
        parts.append((view.epochs_left, budget.epochs, "epochs"))
    counts = [f"{rest} of {limit} {unit} left" for rest, limit, unit in parts]
    if left is not None and budget.seconds is not None:
        waits = view.state is State.TUNING and not ticks(view)
        held = any(trial.is_held for trial in unsettled(view.session.trials))
        waiting = "paused: waiting for an agent" if waits and not held else "waiting is not counted"
        if view.state is State.PAUSED:
            waiting = "paused" if view.session.purpose == "exploratory" else "paused by the researcher"
        small = " · ".join([f"left of {clock(budget.seconds)}", *counts, waiting])
        return Clock(clock(left), small, left, ticks(view), 1 - min(1.0, left / budget.seconds))
    rest, limit, unit = parts[0]
    share = 1 - rest / limit if limit else 1.0
    return Clock(f"{rest} {unit}", " · ".join([f"left of {limit}", *counts[1:]]), None, False, share)


def notice_of(view: View) -> str:
    """What has to be known now, beside the clock: a pause, time that was given, the last minutes; nothing most of the time."""
    session, left = view.session, view.seconds_left
    if view.state is State.PAUSED:
        held = " ".join(hold_words(trial) for trial in unsettled(session.trials) if trial.is_open)
        by = "" if session.purpose == "exploratory" else " by the researcher"
        words = f"Paused{by}: {session.pauses[-1].reason}. Your clock stands still; what you typed stays."
        return f"{words} {held}".rstrip()
    given = [extension for extension in session.extensions if extension.start is None]
    more = [f"{plural(round(extension.seconds / 60), 'more minute')} given: {extension.reason}" for extension in given]
    ending = ""
    if view.state is State.TUNING and left is not None:
        minutes = next((minutes for minutes in WARNING_MINUTES if left <= 60 * minutes), None)
        ending = f"Less than {plural(minutes, 'minute')} left. Then you choose among your trials." if minutes else ""
    return " ".join([*([ending] if ending else []), *(f"{words}." for words in more)])


def ticks(view: View) -> bool:
    """Whether the session's clock runs now: it stands still while a trial waits and none trains, and while one is held."""
    opened = [trial for trial in unsettled(view.session.trials) if trial.is_open]
    trains = any(trial.claimed_at is not None for trial in opened) and not any(trial.is_held for trial in opened)
    return view.state is State.TUNING and (not opened or trains)


# The running trial


def panel_of(view: View, curve: LearningCurve | None) -> RunPanel:
    """The newest trial. curve: what it measured; None where there is no trial yet."""
    session, trial = view.session, shown_trial(view.session)
    best = rules.best_trial(session, ended=True)
    best_value = show_score(best.value if best else None, session.task.metric)
    best_label = f"best so far · trial {best.number}" if best else "best so far"
    if trial is None or curve is None:
        return RunPanel(
            0, 0, "none", "Nothing trained yet", "", "", "Fill in the form and start: what happens then appears here.",
            False, False, 0, 1, 1, None, "–", "–", "–", best_value, best_label, 0, None,
        )  # fmt: skip
    last = curve.measurements[-1] if curve.measurements else None
    batch = next((measurement for measurement in reversed(curve.measurements) if measurement.epoch is None), None)
    epoch = next((measurement for measurement in reversed(curve.measurements) if measurement.epoch is not None), None)
    per_epoch = steps_of_epoch(session, trial, epoch)
    return RunPanel(
        number=trial.number,
        attempt=trial.attempt,
        status=status_of(trial),
        title=f"Trial {trial.number}",
        badge=outcome_words(trial),
        line=line_of(view, trial, last, per_epoch),
        note=note_of(view, trial, last),
        open=trial.is_open,
        stopping=trial.stop_by is not None,
        step=last.step if last else 0,
        total=max((per_epoch or 0) * trial.epochs_planned, last.step if last else 1, 1),
        epochs=trial.epochs_planned,
        per_epoch=per_epoch,
        batch_loss=loss(batch.loss if batch else None),
        epoch_loss=loss(epoch.loss if epoch else None),
        value=show_score(trial.value, session.task.metric),
        best=best_value,
        best_label=best_label,
        best_number=best.number if best else 0,
        best_value=best.value if best else None,
    )


def steps_of_epoch(session: Session, trial: Trial, epoch: Measurement | None) -> int | None:
    """Steps of one epoch: measured where one has ended, else from the data's size and the batch size where both are known."""
    if epoch is not None and epoch.epoch:
        return epoch.step // epoch.epoch
    images, batch = session.task.statistics.get("training images"), trial.configuration.get("batch_size")
    if isinstance(images, int) and isinstance(batch, int):
        return math.ceil(images / batch)
    return None


def line_of(view: View, trial: Trial, last: Measurement | None, per_epoch: int | None) -> str:
    """`epoch 4 of 10 · batch 112 of 203 · about 0:48 left`, or how long it took."""
    if not trial.is_open:
        took = f"{clock(trial.seconds(view.now))} used" if trial.claimed_at is not None else "never begun"
        return f"{epochs_words(view.session.task, trial)}{value_epoch_words(view.session, trial)} · {took}"
    if trial.claimed_at is None:
        return plural(trial.epochs_planned, "epoch") if view.session.task.knows_epochs else ""
    parts = [epoch_words(view.session.task, trial)]
    if last is not None and per_epoch:
        parts.append(f"batch {min(max(last.step - trial.epochs_done * per_epoch, 0), per_epoch)} of {per_epoch}")
        if last.step and last.seconds > 0 and view.session.task.knows_epochs:
            rest = (trial.epochs_planned * per_epoch - last.step) * last.seconds / last.step
            parts.append(f"about {clock(math.ceil(rest))} left")
    elif last is not None:
        parts.append(f"step {last.step}")
    return " · ".join(parts)


def note_of(view: View, trial: Trial, last: Measurement | None) -> str:
    """What a person should know about how the trial stands; nothing where the numbers say it all."""
    if trial.is_open:
        if trial.stop_by is not None:
            return "It stops after the batch that is training now."
        if view.state is State.PAUSED:
            return hold_words(trial)
        if trial.is_held:
            return back_words(trial)
        if trial.claimed_at is None:
            return waiting_words(view, was_lost=last is not None)
        return "Starting: data and network are made ready." if last is None else ""
    why = (trial.why or "").strip()
    if trial.outcome is Outcome.DIVERGED:
        return f"The training ended by itself: {why or 'its loss grew beyond all numbers'}."
    if trial.outcome is Outcome.INVALID:
        return f"This configuration could not be trained: {last_line(why, LAST_LINE_CHARACTERS) or 'no reason was given'}"
    if trial.outcome is Outcome.FAILED:
        return "It failed for a technical reason. That is not your fault and costs nothing; you can start it again."
    if trial.outcome is Outcome.STOPPED and trial.value is None:
        return "It was stopped before the end of its first epoch, so it has no validation score."
    return ""


def waiting_words(view: View, was_lost: bool) -> str:
    """Why a trial waits, and for about how long. was_lost: whether it had measured something before it came to wait again."""
    waiting, uncounted = view.waiting, "This time is not counted."
    if was_lost:  # not where it was only given back, since its agent had to load something first
        uncounted = "Its training was lost with its agent and begins anew; neither that nor this time is counted."
    if waiting is None:
        return f"Waiting for an agent. {uncounted}"
    if waiting.expected_seconds is None and not waiting.slots:
        return f"Waiting: {waiting.why}. {uncounted}"
    place = "you are next" if waiting.position == 1 else f"you are number {waiting.position} in the queue"
    about = f", in about {clock(waiting.expected_seconds)}" if waiting.expected_seconds else ""
    return f"Waiting for an agent: {waiting.why}; {place}{about}. {uncounted}"


# The history


def history_of(view: View, order: str, since: str, everything: bool) -> History:
    """The finished trials. order: `best` first or `new` first. since: changes against the trial `before`, the `best`, the
    `defaults`, or a trial's number."""
    session = view.session
    ended = [trial for trial in session.trials if not trial.is_open]
    ordered = sorted(ended, key=lambda trial: _rank(session, trial)) if order == "best" else ended[::-1]
    shown = ordered if everything else ordered[:SHOWN_TRIALS]
    best = rules.best_trial(session, ended=True)
    rows = tuple(_row(view, trial, since, best) for trial in shown)
    return History(rows, len(ended), order, since, tuple(sorted(trial.number for trial in shown)))


def _rank(session: Session, trial: Trial) -> tuple[bool, float, int]:
    value = value_of(trial)
    return value is None, -sign_of(session.maximize) * (value or 0.0), -trial.number


def _row(view: View, trial: Trial, since: str, best: Trial | None) -> HistoryRow:
    session = view.session
    reference, compared = _reference(view, trial, since, best)
    same = {"before": "the same values as the trial before"}.get(since, "the same values")
    if reference is None:
        same = f"{'first trial, ' if since == 'before' else ''}all optional values at their defaults"
    return HistoryRow(
        trial=trial,
        value=show_score(trial.value, session.task.metric),
        share=trial.value if is_share(session.task.metric) else None,
        changes=_changes(session, reference, trial) if compared else (),
        same=same if compared else "this is the reference",
        outcome=outcome_words(trial),
        note=note_of(view, trial, None)
        if trial.outcome in (Outcome.DIVERGED, Outcome.FAILED)
        else last_line(trial.why, LAST_LINE_CHARACTERS),
        used=clock(trial.seconds(view.now)),
        best=best is not None and trial.number == best.number,
        choosable=trial.outcome not in UNUSABLE_OUTCOMES,
    )


def _changes(session: Session, reference: Mapping[str, Value] | None, trial: Trial) -> tuple[ValueChange, ...]:
    """Against the defaults, mandatory values are no change: everybody has to name them."""
    changes = summaries.changes(session.space, reference, trial.configuration)
    return changes if reference is not None else tuple(change for change in changes if not session.space[change.name].mandatory)


def _reference(view: View, trial: Trial, since: str, best: Trial | None) -> tuple[Mapping[str, Value] | None, bool]:
    """What a trial's changes are told against, and whether it is another trial than this one."""
    if since == "before":
        return summaries.reference(view.session, trial), True
    if since == "defaults":
        return None, True
    number = whole_number(since)
    other = best if since == "best" else view.session.trial(number) if number is not None else None
    if other is None:
        return None, True
    return other.configuration, other.number != trial.number


# The whole


def as_json(view: View, curve: LearningCurve | None, step: rules.ParticipantStep, writes: bool = True) -> dict[str, Any]:
    """What the page's script takes: the step, the clock, the panel, why no trial can start, and the history's version."""
    ended: Sequence[Any] = [(trial.number, trial.value, trial.outcome) for trial in view.session.trials if not trial.is_open]
    return {
        "step": str(step),
        "clock": asdict(clock_of(view)),
        "run": asdict(panel_of(view, curve)),
        "refusal": view.refusal,
        "notice": notice_of(view),
        "writes": writes,
        "history": digest([bool(view.session.trials), *ended])[:12],
    }
