"""Replay: train a stored trial again, and say whether every stored measurement comes out the same, bit for bit."""

from dataclasses import dataclass, replace

from evenhand import tasks
from evenhand.errors import NotFound, Refused, TaskMissing
from evenhand.lab import Lab
from evenhand.records import Measurement, Outcome, Session, Trial
from evenhand.tasks import Stopped, Task
from evenhand.tasks.threads import one_thread

COMPARED = ("step", "epoch", "loss", "value", "extra")


@dataclass(frozen=True)
class Difference:
    """The first thing that differs. what: a field of a measurement, "measurement" where one is missing, or "outcome"."""

    index: int | None
    what: str
    stored: object
    replayed: object

    def __str__(self) -> str:
        where = "" if self.index is None else f"measurement {self.index}: "
        return f"{where}{self.what} was {self.stored!r}, and is {self.replayed!r} now"


@dataclass(frozen=True)
class Replay:
    """The result of a replay. compared: stored measurements that matched, up to the first difference."""

    session_id: int
    number: int
    compared: int
    difference: Difference | None

    @property
    def matches(self) -> bool:
        """Whether everything came out the same."""
        return self.difference is None

    def __str__(self) -> str:
        what = f"trial {self.number} of session {self.session_id}"
        if self.difference is None:
            return f"{what}: all {self.compared} stored measurements match, bit for bit"
        return f"{what}: does not match after {self.compared} measurements; {self.difference}"


def replay(lab: Lab, session_id: int, number: int, *, task: Task | None = None) -> Replay:
    """Train trial `number` of a session again, on one thread, and compare step, epoch, loss and metrics of each measurement.

    A trial that was stopped is trained as far as it went. Of batch losses those are compared that were kept.
    task: the task itself, where it was defined in a notebook and so cannot be loaded by its name.

    Raises:
        NotFound: there is no such trial. Refused: it has not ended, or `failed` without having been trained.
        TaskMissing: the task is not here, or is here in another version.
    """
    session = lab.session(session_id)
    trial = session.trial(number)
    if trial is None:
        raise NotFound(f"session {session_id} has no trial {number}; it has {len(session.trials)}")
    if trial.outcome is None or trial.outcome is Outcome.FAILED:
        state = "is still open" if trial.outcome is None else "failed without having been trained"
        raise Refused(f"trial {number} of session {session_id} {state}; only a trial that was trained can be replayed")
    stored = lab.curve(session_id, number).measurements
    measured, outcome = _train(_same_version(session, task), session, trial, stored[-1].index if stored else -1)
    return _compare(trial, stored, measured, outcome)


def _same_version(session: Session, task: Task | None) -> Task:
    found = task or tasks.load(session.task.spec)
    if found.version != session.task.version:
        raise TaskMissing(
            f"task {session.task.spec.name!r}: its source, settings or data changed since the trial "
            f"(version {session.task.version[:12]} then, {found.version[:12]} now); restore that version to replay it"
        )
    return found


def _train(task: Task, session: Session, trial: Trial, last: int) -> tuple[dict[int, Measurement], Outcome]:
    """Every measurement by its index, and the outcome; a stopped trial ends after the measurement `last`.

    One that went on from another's epochs is trained from the start, and measured from where it went on.
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
        outcome, _ = tasks.run_trial(task, trial.configuration, seed=session.tuning_seed, evaluation=False, report=report)
    return measured, outcome


def _compare(trial: Trial, stored: tuple[Measurement, ...], measured: dict[int, Measurement], outcome: Outcome) -> Replay:
    def result(compared: int, difference: Difference | None) -> Replay:
        return Replay(trial.session_id, trial.number, compared, difference)

    for count, each in enumerate(stored):
        again = measured.get(each.index)
        if again is None:
            return result(count, Difference(each.index, "measurement", "there", "missing"))
        for what in COMPARED:
            before, after = getattr(each, what), getattr(again, what)
            if before != after:
                return result(count, Difference(each.index, what, before, after))
    if outcome is not trial.outcome and trial.outcome is not Outcome.STOPPED:
        return result(len(stored), Difference(None, "outcome", str(trial.outcome), str(outcome)))
    beyond = max(measured, default=-1) - (stored[-1].index if stored else -1)
    if beyond > 0:
        return result(len(stored), Difference(None, "number of measurements", "the end", f"{beyond} more"))
    return result(len(stored), None)
