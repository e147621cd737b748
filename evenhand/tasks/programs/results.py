"""What a program says of its training: JSON lines on its standard output, or what a regular expression finds."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from evenhand.errors import EvenhandError
from evenhand.tasks.run import Run

MOST_SHOWN = 200  # letters of a line in a refusal
MOST_NAMES = 10  # of what was told instead of the metric


class UnusableResult(EvenhandError):
    """A result that cannot be taken; the text says which, and what was expected."""


class Results:
    """Reports to a run what lines say, each at once.

    A line that names its epoch is reported as it comes. Of lines without one the last counts, when the program has ended; where
    any line named its epoch, they count for nothing.

    Args:
        run: what is reported to.
        metric: the name of what is tuned.
        pattern: with named groups; None for JSON lines.
        epochs: how many the training has at most, which a result without epochs is the result of.
    """

    def __init__(self, run: Run, metric: str, pattern: re.Pattern[str] | None, epochs: int) -> None:
        self._run = run
        self._metric = metric
        self._pattern = pattern
        self._epochs = epochs
        self._first_epoch: int | None = None
        self._last: dict[str, float] | None = None
        self._names: dict[str, None] = {}  # of all that was told

    def take(self, line: str, is_output: bool) -> None:
        """A line of the standard output, or of the standard error.

        Raises:
            UnusableResult: it has the metric, or an epoch, as something that is no such number.
        """
        if self._pattern is not None:
            for match in self._pattern.finditer(line):
                self._use({name: text for name, text in match.groupdict().items() if text is not None}, line)
        elif is_output and line.lstrip().startswith("{"):
            try:
                said = json.loads(line)
            except (ValueError, RecursionError):
                return
            if isinstance(said, dict):
                self._use(said, line)

    def end(self) -> None:
        """The program has ended: where no line named an epoch, the last one with the metric is the result."""
        if self._last is not None and self._first_epoch is None:
            self._report(self._epochs, self._last)

    def why_none(self) -> str:
        """Why there is no value, of a program that ended well, in words: what was looked for, and what was there."""
        looked = "its standard output was searched for JSON lines, such as " + json.dumps({"epoch": 1, self._metric: 0.5})
        if self._pattern is not None:
            looked = f"its output was searched for {self._pattern.pattern!r}"
        names = ", ".join(list(self._names)[:MOST_NAMES])
        there = f"; what was told is {names}" if names else ""
        return f"the program ended well (exit code 0), and never told {self._metric}: {looked}{there}"

    def _use(self, said: Mapping[str, Any], line: str) -> None:
        self._names |= dict.fromkeys(list(map(str, said))[:MOST_NAMES])
        wanted = {self._metric, "loss", "step", "epoch"}
        converted = {name: _number(name, value, name in wanted, line) for name, value in said.items()}
        numbers = {name: number for name, number in converted.items() if number is not None}
        epoch, step = numbers.pop("epoch", None), numbers.pop("step", None)
        if self._metric not in numbers:
            loss = numbers.get("loss")
            if loss is not None:
                self._run.report(step=None if step is None else _whole("step", step, line), loss=loss)
        elif epoch is not None:
            self._report(self._epoch(epoch, line), numbers, None if step is None else _whole("step", step, line))
        else:
            self._last = numbers
            if not all(map(math.isfinite, numbers.values())):
                self._report(max(self._epochs, self._run.completed_epochs + 1), numbers)  # which ends the training as diverged

    def _epoch(self, said: float, line: str) -> int:
        """Completed epochs; of a program that counts from 0, one more than it says."""
        epoch = _whole("epoch", said, line)
        if self._first_epoch is None:
            if epoch < 0:
                raise UnusableResult(f"epoch {epoch} in the line {_shown(line)!r}; expected a number from 1, or from 0")
            self._first_epoch = epoch
        completed = epoch + (self._first_epoch == 0)
        if completed <= self._run.completed_epochs:
            before = self._run.completed_epochs - (self._first_epoch == 0)
            raise UnusableResult(f"epoch {epoch} in the line {_shown(line)!r} comes after epoch {before}; expected a later one")
        return completed

    def _report(self, epoch: int, numbers: Mapping[str, float], step: int | None = None) -> None:
        further = {name: number for name, number in numbers.items() if name != "loss"}
        self._run.report(step=step, epoch=epoch, loss=numbers.get("loss"), **further)


def _number(name: str, value: Any, is_wanted: bool, line: str) -> float | None:
    """A number, which may be text; None for what is not given, and for further things that are none."""
    if value is None or (not is_wanted and not isinstance(value, int | float)):
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        if not is_wanted:
            return None
        raise UnusableResult(f"{name} is {value!r} in the line {_shown(line)!r}: expected a number") from None


def _whole(name: str, number: float, line: str) -> int:
    if not number.is_integer():
        raise UnusableResult(f"{name} is {number:g} in the line {_shown(line)!r}: expected a whole number")
    return int(number)


def _shown(line: str) -> str:
    return line.strip()[:MOST_SHOWN]
