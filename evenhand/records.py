"""The nouns as frozen records. They hold facts; status, budget spent and best so far are derived in `protocol`.

Times are seconds since the epoch (UTC); durations are seconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal, NamedTuple

from evenhand.declaration import Budget, Mode, Study
from evenhand.space import Configuration, Prior, Space, reshaped, with_priors


class Outcome(StrEnum):
    """How a training ended. Never encoded in a metric."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    INVALID = "invalid"
    FAILED = "failed"


COUNTED = frozenset(Outcome) - {Outcome.FAILED}  # `failed` is the infrastructure's fault and costs nothing


class Stopper(StrEnum):
    """Who asked a training to stop."""

    TUNER = "tuner"
    RULE = "stopping rule"
    DEADLINE = "deadline"
    RESEARCHER = "researcher"
    WITHDRAWAL = "withdrawal"


class State(StrEnum):
    """Where a session stands (derived by `protocol.state_of`)."""

    WAITING = "waiting"
    TUNING = "tuning"
    PAUSED = "paused"
    CHOOSING = "choosing"
    CHOSEN = "chosen"
    EVALUATED = "evaluated"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class TaskSpec:
    """What names a task on any machine: a built-in name or `FILE:ATTRIBUTE`, and its settings (JSON values)."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def plain_name(self) -> str:
        """The name without the folders that a file lies in on one machine."""
        return self.name.replace("\\", "/").rpartition("/")[2]


@dataclass(frozen=True)
class Metric:
    """A metric that a task reports, and which way is better."""

    name: str
    direction: Literal["maximize", "minimize"]


@dataclass(frozen=True)
class TaskRecord:
    """A task as the lab knows it: enough to tune it, without its data or its code.

    version: hash of its source, settings and data; an agent with another version refuses its jobs.
    statistics: what tuners may know about the data, by what it is called there (never the data set's name).
    further: metrics after the first, in order. max_seconds, max_memory: limits of one training, in seconds and bytes.
    """

    spec: TaskSpec
    version: str
    space: Space
    metric: str
    direction: Literal["maximize", "minimize"]
    max_epochs: int
    has_test: bool = True
    statistics: Mapping[str, Any] = field(default_factory=dict)
    id: int = 0
    further: tuple[Metric, ...] = ()
    max_seconds: float | None = None
    max_memory: int | None = None

    @property
    def maximize(self) -> bool:
        """Whether larger values are better."""
        return self.direction == "maximize"

    def epochs_of(self, configuration: Mapping[str, Any]) -> int:
        """Epochs that a training of `configuration` takes at most."""
        fidelity = self.space.fidelity
        return int(configuration[fidelity.name]) if fidelity else self.max_epochs


@dataclass(frozen=True)
class Extension:
    """Time given to a session beyond its budget; `start` is set where it is an interval (an outage of the server)."""

    seconds: float
    reason: str
    start: float | None = None


@dataclass(frozen=True)
class Pause:
    """A time in which a session stood still by the researcher's word; `end` is None while it lasts."""

    start: float
    end: float | None
    reason: str


@dataclass(frozen=True)
class Measurement:
    """One report of a running training.

    index: its number within the attempt, from 0. step: optimizer steps done. epoch: completed epochs, or None for a single
    batch. loss: of the batch, or the mean of the epoch. value: the primary metric on validation, at the end of an epoch.
    seconds: since the training's start. extra: further metrics by name.
    """

    index: int
    step: int
    epoch: int | None
    loss: float | None
    value: float | None
    seconds: float
    extra: Mapping[str, float] = field(default_factory=dict)


class Report(NamedTuple):
    """What one training measured since its last report; it may be nothing, and still keeps the lease."""

    job_id: int
    attempt: int
    batch: Sequence[Measurement]


@dataclass(frozen=True)
class Trial:
    """One training of one configuration with the tuning seed, scored on validation.

    value: the validation metric at its last completed epoch, None before the first. claimed_at, attempt: of the attempt that
    counts. stop_by: who asked it to stop. why: the outcome's reason in words, or the traceback of the task's own code.
    resumes: the number of the trial whose training it goes on with, from `epochs_before` epochs. epochs_done: completed epochs,
    those before included. epochs_begun: epochs that it completed itself, and the one that it ended in: what it cost.
    revision: of the session's space, under which it was made. extra: further metrics by name, at the last completed epoch.
    reasons: the tuner's reason for each value. explanation: the method's reason for the whole.
    """

    id: int
    session_id: int
    number: int
    configuration: Configuration
    proposer: str
    submitted_at: float
    epochs_planned: int
    reasons: Mapping[str, str] = field(default_factory=dict)
    explanation: str = ""
    claimed_at: float | None = None
    attempt: int = 0
    finished_at: float | None = None
    outcome: Outcome | None = None
    why: str | None = None
    stop_by: Stopper | None = None
    value: float | None = None
    epochs_done: int = 0
    epochs_begun: int = 0
    extra: Mapping[str, float] = field(default_factory=dict)
    resumes: int | None = None
    epochs_before: int = 0
    revision: int = 0

    @property
    def epochs_to_do(self) -> int:
        """Epochs that it was submitted for, without those that it goes on from."""
        return self.epochs_planned - self.epochs_before

    @property
    def is_open(self) -> bool:
        """Whether it is queued or training."""
        return self.outcome is None

    def seconds(self, now: float) -> float:
        """Training time so far, or in all; 0 while it waits for an agent."""
        if self.claimed_at is None:
            return 0.0
        return (self.finished_at if self.finished_at is not None else now) - self.claimed_at


@dataclass(frozen=True)
class Intervention:
    """What a person did in a method's session, or believes of it.

    kind: "added" a trial; "reshaped" the space (detail: by hyperparameter, see `space.reshaped`); "believes" (detail: by
    hyperparameter, a `space.Prior`, or null to take it back); "stopped" a trial; "took over", so that the method waits;
    "handed back".
    trial: its number, where it is about one.
    """

    at: float
    who: str
    kind: Literal["added", "reshaped", "believes", "stopped", "took over", "handed back"]
    trial: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Choice:
    """What ended a session: the final configuration, or None where no trial had a value (`no choice`).

    trial_id: the past trial it is of, or None where it was submitted as final without training. automatic: chosen by the
    rules, ten minutes after the deadline.
    """

    at: float
    configuration: Configuration | None
    trial_id: int | None
    automatic: bool = False


@dataclass(frozen=True)
class Evaluated:
    """How far a session's evaluation is: seeds planned and ended. No score is in it."""

    planned: int = 0
    done: int = 0


@dataclass(frozen=True)
class Session:
    """One tuner's run on one task under one budget. `tuner` is what pages show: a pseudonym, or a method's name.

    version: the study's, at which it was opened. condition: the participant's arm. practice: off the clock, on another task,
    never evaluated or counted.
    """

    id: int
    study_id: int
    task: TaskRecord
    kind: Literal["participant", "method"]
    tuner: str
    budget: Budget
    tuning_seed: int
    opened_at: float
    started_at: float | None = None
    withdrawn_at: float | None = None
    last_seen: float | None = None
    participant_id: int | None = None
    method: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = "live"
    version: int = 1
    condition: str | None = None
    practice: bool = False
    presets: bool = True
    live_validation: bool = True
    resumable: bool = False
    pauses: tuple[Pause, ...] = ()
    trials: Sequence[Trial] = ()
    extensions: tuple[Extension, ...] = ()
    choice: Choice | None = None
    evaluated: Evaluated = Evaluated()
    interventions: tuple[Intervention, ...] = ()

    @property
    def maximize(self) -> bool:
        """Whether larger values are better."""
        return self.task.maximize

    @property
    def space(self) -> Space:
        """The task's space, in which all of its trials lie."""
        return self.task.space

    @cached_property
    def current_space(self) -> Space:
        """The space in force for the next trial: the task's, as it was reshaped since, with what is believed of it."""
        return space_after(self.task.space, self.interventions)

    @property
    def revision(self) -> int:
        """How often the space was reshaped."""
        return sum(each.kind == "reshaped" for each in self.interventions)

    @property
    def taken_over_by(self) -> str | None:
        """Who proposes in the method's stead now; None while the method does."""
        last = next((each for each in reversed(self.interventions) if each.kind in ("took over", "handed back")), None)
        return last.who if last is not None and last.kind == "took over" else None

    @property
    def is_joint(self) -> bool:
        """Whether a person and a method worked on it together. What was believed before the clock started is prior knowledge."""
        began = self.started_at if self.started_at is not None else float("inf")
        beside = any(each.kind != "believes" or each.at > began for each in self.interventions)
        return beside or any(trial.proposer != self.tuner for trial in self.trials)

    def trial(self, number: int) -> Trial | None:
        """The trial with this number within the session."""
        if 0 < number <= len(self.trials) and self.trials[number - 1].number == number:  # as they are counted
            return self.trials[number - 1]
        return next((each for each in self.trials if each.number == number), None)


def space_after(space: Space, interventions: Iterable[Intervention]) -> Space:
    """A space after what people changed of it and believe of it, in order."""
    changes: dict[str, Mapping[str, Any] | None] = {}
    priors: dict[str, Prior | None] = {}
    for each in interventions:
        if each.kind == "reshaped":
            changes |= each.detail
        elif each.kind == "believes":
            priors |= {name: None if prior is None else Prior(**prior) for name, prior in each.detail.items()}
    if changes:
        space = reshaped(space, changes)
    return with_priors(space, priors) if priors else space


@dataclass(frozen=True)
class Waiting:
    """Why a trial waits: its position in the queue (1 is next), the slots there are, and the expected seconds if known."""

    position: int
    slots: int
    expected_seconds: float | None
    why: str


@dataclass(frozen=True)
class View:
    """All that a tuner may see of its session. The test score is not in it.

    refusal: why a submission would be refused now, or None where one is welcome. choose_by: when the best trial is chosen for a
    tuner that lets the deadline pass.
    """

    session: Session
    state: State
    now: float
    seconds_left: float | None
    trials_left: int | None
    epochs_left: int | None
    refusal: str | None
    best: Trial | None
    choose_by: float | None
    waiting: Waiting | None


@dataclass(frozen=True)
class Curve:
    """Measurements of a trial's current attempt, after the cursor that was asked for."""

    number: int
    attempt: int
    measurements: tuple[Measurement, ...]


@dataclass(frozen=True)
class Participant:
    """A pseudonymous person: what they consented to, and their answers. Nothing else is known.

    answers: by QUESTIONNAIRE.QUESTION (see `declaration.Question` for their forms). answered: questionnaires that were sent in.
    condition: the arm that was assigned at consent. excluded: why the researcher left them out of the statistics. nickname: in a
    class only. practice_id: the practice session.
    """

    id: int
    study_id: int
    pseudonym: str
    created_at: float
    mode: Mode = "live"
    batch_id: int | None = None
    version: int = 1
    condition: str | None = None
    language: str = "en"
    nickname: str | None = None
    consent_version: str | None = None
    consented_at: float | None = None
    read_details_at: float | None = None
    practised_at: float | None = None
    withdrawn_at: float | None = None
    excluded: str | None = None
    session_id: int | None = None
    practice_id: int | None = None
    answered: tuple[str, ...] = ()
    answers: Mapping[str, Any] = field(default_factory=dict)

    def number(self, question: str) -> float | None:
        """The answer to QUESTIONNAIRE.QUESTION where it is a number."""
        found = self.answers.get(question)
        return float(found) if isinstance(found, int | float) and not isinstance(found, bool) else None

    @property
    def months(self) -> float | None:
        """Months of experience with deep learning, by the paper's background form."""
        return self.number("background.months")


@dataclass(frozen=True)
class Batch:
    """Invitations of one kind. single: as many links as `cap`, each for one person; open: one link for at most `cap` people.

    joined: participants who came through it. links: how many were made, of which `unused` are left.
    """

    id: int
    study_id: int
    label: str
    mode: Mode
    kind: Literal["single", "open"]
    cap: int | None
    enabled: bool
    created_at: float
    expires_at: float | None = None
    joined: int = 0
    links: int = 0
    unused: int = 0

    def why_closed(self, now: float) -> str | None:
        """Why nobody can join by it now, in words for who opens the link; None where they can."""
        if not self.enabled:
            return "this invitation is switched off; ask whoever sent it"
        if self.expires_at is not None and now >= self.expires_at:
            return "this invitation has expired; ask whoever sent it for a new one"
        if self.kind == "open" and self.cap is not None and self.joined >= self.cap:
            return f"all {self.cap} places of this invitation are taken; ask whoever sent it"
        return None


@dataclass(frozen=True)
class Assignment:
    """A claimed job, as its agent sees it: one training, and the attempt number that every write about it carries.

    epochs_before: those that an earlier training has done, from which it goes on. keep: whether it may be gone on with itself.
    max_seconds, max_memory: the task's limits.
    """

    job_id: int
    attempt: int
    kind: Literal["trial", "evaluation"]
    task: TaskSpec
    task_version: str
    configuration: Mapping[str, Any]
    seed: int
    label: str = ""
    epochs_before: int = 0
    keep: bool = False
    max_seconds: float | None = None
    max_memory: int | None = None


@dataclass(frozen=True)
class SeedScore:
    """One seed of an evaluation: the test metric, or the outcome that left it without one."""

    index: int
    seed: int
    outcome: Outcome | None
    value: float | None
    why: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """A chosen configuration scored on test, seed by seed. Mean and standard deviation are computed in `analysis`."""

    session_id: int
    metric: str
    scores: tuple[SeedScore, ...]


@dataclass(frozen=True)
class AgentRecord:
    """A process that trains: its name, its slots, when it was last heard of, and how many jobs it holds."""

    id: int
    name: str
    slots: int
    last_seen: float | None
    busy: int
    local: bool = False
    machine: str = ""


@dataclass(frozen=True)
class Event:
    """One change of state, with ids only."""

    id: int
    at: float
    kind: str
    session_id: int | None
    trial_id: int | None
    detail: Mapping[str, Any]


@dataclass(frozen=True)
class Archive:
    """A study with all that was recorded in it, but for measurements: what analyses and reports are functions of.

    study: at its newest version; versions: all of them. tasks: every task that a session was on. evaluations: by session id.
    """

    study: Study
    versions: tuple[Study, ...]
    tasks: tuple[TaskRecord, ...]
    participants: tuple[Participant, ...]
    sessions: tuple[Session, ...]
    evaluations: Mapping[int, Evaluation] = field(default_factory=dict)

    def of_mode(self, mode: Mode) -> "Archive":
        """The part of one mode. Methods' sessions belong to the mode in which they were opened."""
        return replace(
            self,
            participants=tuple(each for each in self.participants if each.mode == mode),
            sessions=tuple(each for each in self.sessions if each.mode == mode),
        )
