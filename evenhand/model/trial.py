"""Trials: one training of one configuration, how it ended, and what it measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from evenhand.model import notebook_html
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Real, show
from evenhand.model.signals import Signals


class Outcome(StrEnum):
    """How a training ended. Never encoded in a metric.

    Attributes:
        COMPLETED: it trained to its end.
        STOPPED: somebody asked for it, see `Stopper`; it keeps its value.
        DIVERGED: a number was not finite any more.
        INVALID: it cannot be built, needs more memory than there is, or the task's own code raised.
        FAILED: the infrastructure's fault, after three attempts; it costs nothing.
    """

    COMPLETED = "completed"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    INVALID = "invalid"
    FAILED = "failed"


COUNTED_OUTCOMES = frozenset(Outcome) - {Outcome.FAILED}  # `failed` is the infrastructure's fault and costs nothing
START_UP_DRAW = "start-up draw"  # in the explanation of what a method draws before it uses what it has seen
UNUSABLE_OUTCOMES = frozenset({Outcome.DIVERGED, Outcome.INVALID})  # the configuration's fault: it can never be the final choice
VALUELESS_OUTCOMES = UNUSABLE_OUTCOMES | {Outcome.FAILED}  # what was measured before counts in no best


class Stopper(StrEnum):
    """Who asked a training to stop.

    Attributes:
        TUNER: the person or method whose session it is.
        RULE: a stopping rule.
        DEADLINE: the end of the session's time.
        RESEARCHER: somebody with the researcher's right.
        WITHDRAWAL: the participant, who left the study.
    """

    TUNER = "tuner"
    RULE = "stopping rule"
    DEADLINE = "deadline"
    RESEARCHER = "researcher"
    WITHDRAWAL = "withdrawal"


@dataclass(frozen=True, slots=True)
class Measurement:
    """One report of a running training.

    Attributes:
        index: its number within the attempt, from 0.
        step: optimizer steps done.
        epoch: completed epochs; None after a single batch.
        loss: of the batch, or the mean over the epoch; None where none was reported.
        value: the first metric on validation data at the end of an epoch, else None.
        seconds: since the training's start.
        extra: further metrics by name.
    """

    index: int
    step: int
    epoch: int | None
    loss: Real | None
    value: Real | None
    seconds: Real
    extra: Mapping[str, Real] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Hold:
    """A time in which a training stood still, since its session was paused.

    Attributes:
        start: when it began, in seconds since 1970.
        end: when it ended; None while it lasts.
    """

    start: Real
    end: Real | None = None

    def seconds(self, now: float) -> float:
        """How long it lasted until `now`, in seconds since 1970."""
        return max(0.0, (now if self.end is None else min(self.end, now)) - self.start)


@dataclass(frozen=True, slots=True)
class Trial:
    """One training of one configuration with the tuning seed, scored on validation data.

    Attributes:
        id: its number in the database.
        session_id: the number of its session.
        number: its number in the session, from 1.
        configuration: what was trained.
        proposer: who proposed it: a participant, a method, or somebody who helped.
        submitted_at: when, in seconds since 1970 (UTC).
        epochs_planned: epochs that it was submitted for, those that it goes on from included.
        reasons: the tuner's reason for each value, by name.
        explanation: the method's reason for the whole.
        claimed_at: when an agent took the attempt that counts, in seconds since 1970; None while it waits.
        attempt: the number of that attempt, from 1.
        finished_at: when it ended, in seconds since 1970; None while it is open.
        outcome: how it ended; None while it is open.
        why: the outcome's reason in words, or the traceback of the task's own code.
        stop_by: who asked it to stop.
        value: the first metric on validation data at its last completed epoch, or where the study says so at the best one of
            those that it trained itself; None before the first.
        value_epoch: the epoch that the value is of; None without one.
        epochs_done: completed epochs, those that it goes on from included.
        epochs_begun: epochs that it completed itself, and the one that it ended in: what it cost.
        extra: further metrics by name, at the epoch that the value is of.
        resumes: the number of the trial whose training it goes on with.
        epochs_before: epochs that were done there.
        revision: of the session's space, under which it was made.
        environment: the key of the one that the attempt was trained in (`lab.agents.environment` gives it); None where none
            was recorded.
        violation: by how much it misses what its session requires, as shares of the bounds added up; 0 where it keeps all.
        veto: which person said that it must not be chosen, and why; empty where nobody did.
        signals: how its form was filled in, where the study records that; None where nothing was recorded.
        holds: when the attempt that counts stood still, in order.
    """

    id: int
    session_id: int
    number: int
    configuration: Configuration
    proposer: str
    submitted_at: Real
    epochs_planned: int
    reasons: Mapping[str, str] = field(default_factory=dict)
    explanation: str = ""
    claimed_at: Real | None = None
    attempt: int = 0
    finished_at: Real | None = None
    outcome: Outcome | None = None
    why: str | None = None
    stop_by: Stopper | None = None
    value: Real | None = None
    value_epoch: int | None = None
    epochs_done: int = 0
    epochs_begun: int = 0
    extra: Mapping[str, Real] = field(default_factory=dict)
    resumes: int | None = None
    epochs_before: int = 0
    revision: int = 0
    environment: str | None = None
    violation: Real = 0.0
    veto: str = ""
    signals: Signals | None = None
    holds: tuple[Hold, ...] = ()

    @property
    def is_feasible(self) -> bool:
        """Whether it keeps what is required of it, and nobody vetoed it."""
        return not self.violation > 0 and not self.veto

    @property
    def is_start_up(self) -> bool:
        """Whether its method said that it drew it before it used what it had seen."""
        return START_UP_DRAW in self.explanation

    @property
    def epochs_to_do(self) -> int:
        """Epochs that it was submitted for, without those that it goes on from."""
        return self.epochs_planned - self.epochs_before

    @property
    def is_open(self) -> bool:
        """Whether it is queued or training."""
        return self.outcome is None

    @property
    def is_held(self) -> bool:
        """Whether its training stands still now."""
        return self.is_open and bool(self.holds) and self.holds[-1].end is None

    def _repr_html_(self) -> str:
        """As a notebook shows it: how it ended, and its configuration."""
        ended = "" if self.finished_at is None else f", {self.seconds(self.finished_at):.3g} s"
        value = "no value" if self.value is None else f"value {show(self.value)}"
        how = f"{self.outcome or 'open'}, {value}, {self.epochs_done} of {self.epochs_planned} epochs{ended}, by {self.proposer}"
        rows = [(name, show(given), self.reasons.get(name, "")) for name, given in self.configuration.items()]
        columns = ("hyperparameter", "value", "reason") if self.reasons else ("hyperparameter", "value")
        return notebook_html.view(
            notebook_html.title(f"Trial {self.number}", how),
            notebook_html.table(columns, [row[: len(columns)] for row in rows], (1,)),
            notebook_html.said(self.why or ""),
            notebook_html.said(self.explanation, quiet=True),
        )

    def seconds(self, now: float) -> float:
        """How long it has trained, or did in all, without the times in which it stood still.

        Args:
            now: the time, in seconds since 1970.

        Returns:
            Seconds; 0 while it waits for an agent.
        """
        if self.claimed_at is None:
            return 0.0
        until = self.finished_at if self.finished_at is not None else now
        return until - self.claimed_at - sum(hold.seconds(until) for hold in self.holds)


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Measurements of a trial's current attempt, after the cursor that was asked for."""

    number: int
    attempt: int
    measurements: tuple[Measurement, ...]
