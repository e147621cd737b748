"""Replay: train a stored trial again, and say whether every stored measurement comes out the same, bit for bit."""

from dataclasses import dataclass, replace

from evenhand import tasks
from evenhand.errors import NotFound, Refused, TaskMissing
from evenhand.lab.lab import Lab
from evenhand.model.environment import Environment
from evenhand.model.session import Session
from evenhand.model.trial import Measurement, Outcome, Trial
from evenhand.tasks import Stopped, Task, machine, versions
from evenhand.tasks.threads import one_thread

COMPARED_FIELDS = ("step", "epoch", "loss", "value", "extra")


@dataclass(frozen=True)
class Mismatch:
    """The first thing that differs.

    Attributes:
        index: of the measurement, from 0; None where it is about the whole.
        what: a field of a measurement, "measurement" where one is missing, or "outcome".
        stored: what it was.
        replayed: what it is now.
    """

    index: int | None
    what: str
    stored: object
    replayed: object

    def __str__(self) -> str:
        where = "" if self.index is None else f"measurement {self.index}: "
        return f"{where}{self.what} was {self.stored!r}, and is {self.replayed!r} now"


@dataclass(frozen=True)
class Replay:
    """The result of a replay.

    Attributes:
        session_id: the session's number.
        number: the trial's.
        compared: stored measurements that matched, up to the first difference.
        difference: the first one; None where all is the same.
        trained_in: the environment that was recorded with the trial; None of one from before there was such a record.
        replayed_in: this machine's.
    """

    session_id: int
    number: int
    compared: int
    difference: Mismatch | None
    trained_in: Environment | None
    replayed_in: Environment

    @property
    def matches(self) -> bool:
        """Whether everything came out the same; never where nothing was measured, since nothing was compared then."""
        return self.difference is None and self.compared > 0

    def __str__(self) -> str:
        what = f"trial {self.number} of session {self.session_id}"
        if self.difference is None and not self.compared:
            return f"{what}: no match, since it has no stored measurement to compare; it ended in the same way again"
        if self.difference is None:
            return f"{what}: all {self.compared} stored measurements match, bit for bit"
        return f"{what}: does not match after {self.compared} measurements; {self.difference}. {self.causes}"

    @property
    def causes(self) -> str:
        """Which recorded facts differ between where the trial was trained and this machine, in words."""
        if self.trained_in is None:
            return "Where it was trained was not recorded, so nothing can be said of the cause"
        names = self.trained_in.differing(self.replayed_in, exactly=True)
        if not names:
            return f"Nothing that was recorded of where it was trained differs from this machine ({self.replayed_in.words()})"
        return f"It was trained with {self.trained_in.words(names)}; this machine has {self.replayed_in.words(names)}"


def replay(lab: Lab, session_id: int, number: int, *, task: Task | None = None) -> Replay:
    """Train a stored trial again, on one thread, and compare step, epoch, loss and metrics of each measurement.

    A trial that was stopped is trained as far as it went. Of batch losses those are compared that were kept.

    Args:
        lab: where it is stored.
        session_id: the session's number.
        number: the trial's.
        task: the task itself, where it was defined in a notebook and so cannot be loaded by its name.

    Returns:
        Whether all matched, and what did not.

    Raises:
        NotFound: there is no such trial.
        Refused: it has not ended, or `failed` without having been trained.
        TaskMissing: the task is not here, or is here in another version.
    """
    session = lab.sessions.get(session_id)
    trial = session.trial(number)
    if trial is None:
        raise NotFound(f"session {session_id} has no trial {number}; it has {len(session.trials)}")
    if trial.outcome is None or trial.outcome is Outcome.FAILED:
        state = "is still open" if trial.outcome is None else "failed without having been trained"
        raise Refused(f"trial {number} of session {session_id} {state}; only a trial that was trained can be replayed")
    stored = lab.curve(session_id, number).measurements
    measured, outcome = _train(_same_version(session, task), session, trial, stored[-1].index if stored else -1)
    compared, difference = _compare(trial, stored, measured, outcome)
    trained_in = None if trial.environment is None else lab.agents.environment(trial.environment)
    return Replay(session_id, number, compared, difference, trained_in, machine.here())


def _same_version(session: Session, task: Task | None) -> Task:
    current_task = task or tasks.load(session.task.spec)
    if why := versions.difference(session.task.version, current_task.version):
        raise TaskMissing(f"task {session.task.spec.name!r} cannot be replayed: {why}")
    return current_task


def _train(task: Task, session: Session, trial: Trial, last: int) -> tuple[dict[int, Measurement], Outcome]:
    """Train it as it was trained.

    One that went on from another's epochs is trained from the start, and measured from where it went on.

    Args:
        task: in the version of then.
        session: whose trial.
        trial: what is trained again.
        last: the index of the measurement after which a stopped trial ends.

    Returns:
        Every measurement by its index, and the outcome.
    """
    measured: dict[int, Measurement] = {}
    reached = skipped = 0

    def report(measurement: Measurement) -> None:
        nonlocal reached, skipped
        if reached < trial.epochs_before:
            reached, skipped = measurement.epoch or reached, skipped + 1
            return
        measurement = replace(measurement, index=measurement.index - skipped)
        if trial.outcome is Outcome.STOPPED and measurement.index > last:
            raise Stopped
        measured[measurement.index] = measurement

    with one_thread():
        outcome, _ = tasks.run_trial(
            task, trial.configuration, seed=session.tuning_seed, evaluation=False, report=report, number=trial.number
        )
    return measured, outcome


def _compare(
    trial: Trial, stored: tuple[Measurement, ...], measured: dict[int, Measurement], outcome: Outcome
) -> tuple[int, Mismatch | None]:
    """How many stored measurements match, and the first thing that differs."""
    for count, measurement in enumerate(stored):
        again = measured.get(measurement.index)
        if again is None:
            return count, Mismatch(measurement.index, "measurement", "there", "missing")
        for what in COMPARED_FIELDS:
            before, after = getattr(measurement, what), getattr(again, what)
            if before != after:
                return count, Mismatch(measurement.index, what, before, after)
    if outcome is not trial.outcome and trial.outcome is not Outcome.STOPPED:
        return len(stored), Mismatch(None, "outcome", str(trial.outcome), str(outcome))
    beyond = max(measured, default=-1) - (stored[-1].index if stored else -1)
    if beyond > 0:
        return len(stored), Mismatch(None, "number of measurements", "the end", f"{beyond} more")
    return len(stored), None
