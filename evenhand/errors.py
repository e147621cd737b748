"""Every error Evenhand raises on purpose: each says which thing, what value, what was expected, and what to do.

`web/app` is the one place that turns them into HTTP statuses; `client` turns the statuses back into them.
"""

import errno
from collections.abc import Iterable
from dataclasses import dataclass

LONGEST_VALUE = 300  # characters of a value that an error shows
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)  # what a system says where a disk, or one's share of it, is full


def repr_of(value: object) -> str:
    """A value as an error shows it: as Python writes it, shortened. Its own code may fail to write it, and is not let through."""
    try:
        text = repr(value)
    except Exception:
        return f"a {type(value).__name__}, which cannot be written down"
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


class EvenhandError(Exception):
    """Base of all deliberate errors; its text is meant to be read by the person who caused it."""


@dataclass(frozen=True)
class Problem:
    """One wrong field.

    Attributes:
        name: the field.
        given: what was given, as text.
        expected: what is expected there, in words.
    """

    name: str
    given: str
    expected: str

    def __str__(self) -> str:
        return f"{self.name}: got {self.given}, expected {self.expected}"


class InvalidConfiguration(EvenhandError):
    """Raw values that are no configuration of the space.

    Args:
        problems: every wrong field at once; kept as `problems`.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(str(problem) for problem in self.problems))


class InvalidSpace(EvenhandError):
    """A space that contradicts itself: a default outside its domain, a condition on an unknown name, ..."""


class InvalidSettings(EvenhandError):
    """Settings of a task, a budget, a study or a method that cannot be used."""


class NotFound(EvenhandError):
    """A session, trial, task or other thing that does not exist here."""


class Refused(EvenhandError):
    """A verb that the rules forbid now: budget spent, session closed, a trial running already, ..."""


class StaleAttempt(EvenhandError):
    """A write by an agent whose lease on the job is over: the job belongs to a later attempt, or has ended."""


class NotAllowed(EvenhandError):
    """The caller is not, or no longer, allowed to do this."""


class DataError(EvenhandError):
    """A data set that is missing, damaged, or not laid out as expected."""


class MissingHere(EvenhandError):
    """What a training needs and this machine lacks: no fault of its configuration, and another machine may have it."""


class TaskMissing(MissingHere):
    """A task that cannot be found here, or is here in another version."""


class LaneMissing(MissingHere):
    """A training lane that is not on this machine."""


class PackageMissing(MissingHere):
    """A package that is needed for this and is not installed here; the text says the command that installs it."""


class PluginBroken(MissingHere):
    """A plug-in, or somebody's own file, that cannot be used: its import fails, its name is taken, or it is something else."""


class MethodFailed(EvenhandError):
    """A method's own code raised (the text holds its traceback), or it suggested what can be no trial, now or later."""


class Unreachable(EvenhandError):
    """The server does not answer."""


class DatabaseLost(EvenhandError):
    """The database is damaged, emptied, replaced or gone, so that nothing can be recorded until it is restored."""


class DiskFull(EvenhandError):
    """Something could not be recorded, since the disk has no room; what was recorded before is as it was."""

    def __init__(
        self,
        words: str = (
            "this could not be recorded: the disk of the laboratory is full. Nothing that was recorded before is lost; keep this "
            "page open, tell the researcher, and send it again once there is room"
        ),
    ) -> None:
        super().__init__(words)


class CodeRefused(MissingHere):
    """Code that a laboratory sends and that does not run here: its owner has not allowed it, or it is not what may be sent."""


class Dismissed(EvenhandError):
    """The session that an agent joined is served no more: its process has ended, in order."""
