"""How people read numbers: shares, scores, durations, moments, counts; on pages, in reports, on terminals and in notebooks."""

import math
import re
import time
from collections.abc import Callable, Container, Mapping
from datetime import UTC, datetime

from evenhand.model.domain import show
from evenhand.model.study import Budget, EvaluationMode, Study, Until
from evenhand.model.task import TaskRecord

DASH = "–"  # for what is not there
NARROW_SPACE = "\u202f"  # a narrow space, at which no line breaks
LARGEST_SHARE = 1e6  # from which on a number is no share that is read in percent
COLOURS_PATTERN = re.compile("\x1b\\[[0-9;:]*m")
LONGEST_LINE = 200  # characters of a reason in one line
LONGEST_TEXT = 10_000  # of an exception's text, so that a message as long as the data can be stored and shown
MODE_WORDS: Mapping[EvaluationMode, str] = {
    "retrain": "retrained on training and validation data",
    "as tuned": "trained as in tuning",
}
SHARES = ("accuracy", "precision", "recall", "f1", "auc")  # metrics in [0, 1] that people read in percent


# Metrics


def is_share(metric: str) -> bool:
    """Whether the metric lies in [0, 1] and is read in percent."""
    return metric.lower().replace("-", "_").split("_")[-1] in SHARES


def metric_name(metric: str) -> str:
    """A metric's name in a sentence or on an axis."""
    return metric.replace("_", " ")


def show_score(value: float | None, metric: str, digits: int = 1) -> str:
    """A score as people read it: 64.6 % for an accuracy, four significant digits for anything else, a dash for none."""
    if value is None:
        return DASH
    return percent(value, digits) if is_share(metric) else rounded(value)


def score(value: float | None, share: bool) -> str:
    """A score in a report's tables: 64.6 % for a share, three significant digits for anything else, a dash for none."""
    if value is None:
        return DASH
    return percent(value) if share else number(value)


def levels_words(task: TaskRecord) -> str:
    """What a task's accuracies are read against: chance 10.4 %, nearest class mean 78.2 %; nothing where that is not known."""
    return ", ".join(f"{level.name} {percent(level.value)}" for level in task.levels)


def times_scored(study: Study, task: TaskRecord) -> str:
    """How often a session's choice is trained and scored on test data: once, 10 times; nothing where it is not."""
    if not (study.evaluation_seeds and task.has_test):
        return ""
    return "once" if study.evaluation_seeds == 1 else f"{study.evaluation_seeds} times"


def points(difference: float | None, share: bool) -> str:
    """A difference of two scores in a report: 5.0 points for shares, three significant digits for others, a dash for none."""
    if difference is None:
        return DASH
    if not share or abs(difference) >= LARGEST_SHARE:
        return number(difference)
    return f"{100 * difference:.1f}{NARROW_SPACE}points"


# Numbers


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1] as 64.6 %; a dash for None. What is so large that it can be none is shown as the number that it is."""
    if share is None:
        return DASH
    return f"{100 * share:.{digits}f}{NARROW_SPACE}%" if abs(share) < LARGEST_SHARE else rounded(share)


def typed(value: float | int | str | None) -> str:
    """A value as people type it, without loss (0.001, 1e-5); a dash for None."""
    return DASH if value is None else show(value)


def rounded(value: float) -> str:
    """A number with four significant digits, as people type it."""
    text = f"{value:.4g}"
    return show(float(text)) if math.isfinite(float(text)) else text.replace("e+", "e")  # rounded up beyond the largest number


def number(value: float | None, digits: int = 3) -> str:
    """A number with a few significant digits; a dash for None."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.{digits}g}"


def loss(value: float | None) -> str:
    """A loss with three decimals, so that its width does not jump; a dash for None."""
    return DASH if value is None else f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"


def amount(value: float, metric: str) -> str:
    """A difference, or an error: shares differ by points."""
    points = rounded(float(f"{100 * value:.2g}"))
    return f"{points} percentage point{'' if points == '1' else 's'}" if is_share(metric) else rounded(value)


def amounts(low: float, high: float, metric: str) -> str:
    """From one difference to another: 0.77 to 1.7 percentage points."""
    return f"{amount(low, metric).partition(' ')[0]} to {amount(high, metric)}"


def p_value(value: float | None) -> str:
    """A p-value: two significant digits, or < 0.0001; a dash for None."""
    if value is None:
        return DASH
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def interval(low: float | None, high: float | None, show: Callable[[float], str] = number) -> str:
    """An interval; a dash where there is none."""
    return DASH if low is None or high is None else f"{show(low)} to {show(high)}"


# Counts


def grouped(number: int) -> str:
    """A whole number, its thousands set apart: 12 394."""
    return f"{number:,}".replace(",", NARROW_SPACE)


def plural(number: int, one: str, many: str = "") -> str:
    """1 trial, 2 trials."""
    return f"{grouped(number)} {one if number == 1 else many or one + 's'}"


def cases(number: int, one: str, many: str = "") -> str:
    """How many cases there are: n = 31 participants."""
    return f"n = {number} {one if number == 1 else many or one + 's'}"


def shortened(text: str, longest: int) -> str:
    """A text of at most so many characters; a longer one ends in an ellipsis."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


# Why something failed


def storable(text: str) -> str:
    """A text that every file and database takes: what is no character is written as the bytes that it was; without colours."""
    return without_colours(text).encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def without_colours(text: str) -> str:
    """A text without what makes a terminal bold or red, as Keras puts it into exceptions, and loggers into lines."""
    return COLOURS_PATTERN.sub("", text)


def text_of(error: BaseException) -> str:
    """The text of an exception, whose own code may fail to give it, or give what is no text."""
    try:
        return storable(str(error))[:LONGEST_TEXT]
    except BaseException:
        return f"a {type(error).__name__}, whose text cannot be had"


def free_name(name: str, taken: Container[str]) -> str:
    """The name, with as many _ behind it as make it none that is taken."""
    while name in taken:
        name += "_"
    return name


def last_line(why: str | None, longest: int = LONGEST_LINE) -> str:
    """The line of a reason that says most: of a traceback the last one, without the frame around an exception of a group."""
    lines = [line.lstrip(" |+-").rstrip(" …") for line in (why or "").splitlines()]
    return shortened(next((line for line in reversed(lines) if line), ""), longest)


# Durations and moments


def clock(seconds: float | None) -> str:
    """A duration as 1:23:41 or 2:10; a dash for None."""
    if seconds is None:
        return DASH
    whole = max(0, int(seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def lasting(seconds: float) -> str:
    """How long something is good for: 30 days, 24 hours, 90 minutes."""
    for unit, length in (("day", 86400.0), ("hour", 3600.0)):
        if seconds >= 2 * length:
            return f"{round(seconds / length, 1):g} {unit}s"
    return f"{round(seconds / 60, 1):g} minutes"


def span(seconds: float) -> str:
    """About how long something takes: 48 s, 12 min, 2.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def minutes(value: float) -> str:
    """So many minutes: 1 minute, 90 minutes, 1.5 minutes."""
    return plural(int(value), "minute") if value == int(value) else f"{value:g} minutes"


def span_words(seconds: float) -> str:
    """An exact time in minutes, or where these are not whole in seconds: 2 minutes, 90 seconds."""
    return minutes(seconds / 60) if seconds % 60 == 0 else f"{seconds:g} seconds"


def budget_words(budget: Budget) -> str:
    """A budget as people say it: 20 trials and 90 seconds, 60 trials, 4 at once, 9 trials or until no better, no cap."""
    parts = [] if budget.seconds is None else [span_words(budget.seconds)]
    parts += [plural(budget.trials, "trial")] if budget.trials is not None else []
    parts += [plural(budget.epochs, "epoch")] if budget.epochs is not None else []
    parts += [training_words(budget)] if budget.training_seconds is not None else []
    caps = " and ".join(parts) + (" or " if parts and budget.until else "") + (until_words(budget.until) if budget.until else "")
    return (caps or "no cap") + (f", {budget.parallel} at once" if budget.parallel > 1 else "")


def training_words(budget: Budget) -> str:
    """What of training a budget allows, as people say it: 1:30:00 of training (1.80 EUR); nothing where it does not count it."""
    seconds = budget.training_seconds
    if seconds is None or budget.cost is None:
        return ""
    price = budget.cost.words(seconds)
    return f"{clock(seconds)} of training{f' ({price})' if price else ''}"


def trial_share_words(budget: Budget, share: float | None) -> str:
    """What one trial may use of a budget, as people say it: 30 minutes and 25 epochs; nothing where it may use all."""
    if share is None or share >= 1:
        return ""
    parts = [span_words(share * budget.seconds)] if budget.seconds is not None else []
    parts += [plural(max(1, int(share * budget.epochs)), "epoch")] if budget.epochs is not None else []
    return " and ".join(parts)


def until_words(until: Until) -> str:
    """As people say it: until no better by 0.001 in 20 trials."""
    return f"until no better{f' by {typed(until.gain)}' if until.gain else ''} in {plural(until.trials, 'trial')}"


def ago(at: float | None, now: float | None = None) -> str:
    """How long ago a moment was, in words: now, 4 min ago, 2 h ago, 3 days ago; "not yet" for None."""
    if at is None:
        return "not yet"
    seconds = (time.time() if now is None else now) - at
    if seconds < 60:
        return "now"
    if seconds < 3600:
        return f"{int(seconds / 60)} min ago"
    days = int(seconds / 86400)
    return f"{int(seconds / 3600)} h ago" if days < 1 else f"{days} day{'s' * (days > 1)} ago"


def moment(at: float | None) -> str:
    """A moment as 2026-11-21 05:03 UTC; a dash for None."""
    return DASH if at is None else datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


def exact(at: float) -> str:
    """A moment to the second, as 2026-11-21 05:03:07 UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
