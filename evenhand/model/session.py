"""Sessions: one tuner's run on one task, what happened in it, and what its tuner may see."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from evenhand.model.aims import Aims, Judge, aims_of
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Real
from evenhand.model.hyperparameter import Prior
from evenhand.model.space import Space, reshaped, with_priors
from evenhand.model.study import Budget, EvaluationMode, Mode, ValueRule
from evenhand.model.task import TaskRecord
from evenhand.model.trial import Trial

Purpose = Literal["study", "exploratory"]
COMPARE = "compare"  # the driver of sessions that a comparison plays in its processes
PERSON_DRIVER = "person"  # of exploratory sessions that somebody tunes by hand on a page; agents train them
SERVED_DRIVERS = ("server", PERSON_DRIVER)  # of sessions that stand still while the server is down
LABORATORY = "laboratory"  # the process of an exploratory session that the server keeps going: it outlasts each server


class State(StrEnum):
    """Where a session stands (derived by `rules.state_of`)."""

    WAITING = "waiting"
    TUNING = "tuning"
    PAUSED = "paused"
    CHOOSING = "choosing"
    CHOSEN = "chosen"
    EVALUATED = "evaluated"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Extension:
    """Time given to a session beyond its budget; `start` is set where it is an interval (an outage of the server)."""

    seconds: Real
    reason: str
    start: Real | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A time in which a session stood still by the researcher's word; `end` is None while it lasts."""

    start: Real
    end: Real | None
    reason: str


@dataclass(frozen=True, slots=True)
class Intervention:
    """What a person did in a method's session, or believes of it.

    kind: "added" a trial; "reshaped" the space (detail: by hyperparameter, see `space.reshaped`); "believes" (detail: by
    hyperparameter, a `space.Prior`, or null to take it back); "stopped" a trial; "took over", so that the method waits;
    "handed back"; "ended" the session; "rated" a trial (detail: rating, a number), "vetoed" it, so that it is never chosen, or
    "allowed" it again.
    trial: its number, where it is about one.
    """

    at: Real
    who: str
    kind: Literal["added", "reshaped", "believes", "stopped", "took over", "handed back", "ended", "rated", "vetoed", "allowed"]
    trial: int | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FinalChoice:
    """What ended a session: the final configuration, or None where no trial had a value (`no choice`).

    trial_id: the past trial it is of, or None where it was submitted as final without training. automatic: chosen by the
    rules, ten minutes after the deadline.
    """

    at: Real
    configuration: Configuration | None
    trial_id: int | None
    automatic: bool = False


@dataclass(frozen=True, slots=True)
class EarlierChoice:
    """A choice that ended a session before it was extended, and when that was. Its evaluation stays, too."""

    choice: FinalChoice
    reopened_at: Real


@dataclass(frozen=True, slots=True)
class Evaluated:
    """How far a session's evaluation is: seeds planned and ended. No score is in it."""

    planned: int = 0
    done: int = 0


class _Remembering:
    """What a record with slots inherits from where it keeps what it derives: `cached_property` needs a dictionary."""

    __slots__ = ("__dict__",)


@dataclass(frozen=True, slots=True)
class Session(_Remembering):
    """One tuner's run on one task under one budget. `tuner` is what pages show: a pseudonym, or a method's name.

    version: the study's, at which it was opened. condition: the participant's arm. practice: off the clock, on another task,
    never evaluated or counted. purpose: from its birth; an exploratory session is of somebody's own model, and enters no table of
    a study. name: of an exploratory one, by which the same command goes on with it. process: which one tunes an exploratory one
    now; None where it left in order, and `LABORATORY` where the server plays it, or somebody tunes it by hand on a page.
    earlier_choices: those that it was extended after, in order.
    """

    id: int
    study_id: int
    task: TaskRecord
    kind: Literal["participant", "method"]
    tuner: str
    budget: Budget
    tuning_seed: int
    opened_at: Real
    started_at: Real | None = None
    withdrawn_at: Real | None = None
    last_seen: Real | None = None
    participant_id: int | None = None
    method: Mapping[str, Any] = field(default_factory=dict)
    mode: Mode = "live"
    version: int = 1
    condition: str | None = None
    practice: bool = False
    purpose: Purpose = "study"
    name: str | None = None
    process: str | None = None
    presets: bool = True
    live_validation: bool = True
    resumable: bool = False
    evaluation_mode: EvaluationMode = "retrain"
    value_rule: ValueRule = "last"
    trial_share: Real | None = None
    pauses: tuple[Pause, ...] = ()
    trials: Sequence[Trial] = ()
    extensions: tuple[Extension, ...] = ()
    choice: FinalChoice | None = None
    earlier_choices: tuple[EarlierChoice, ...] = ()
    evaluated: Evaluated = Evaluated()
    interventions: tuple[Intervention, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.trials, list):  # as msgspec reads a sequence
            object.__setattr__(self, "trials", tuple(self.trials))

    @cached_property
    def aims(self) -> Aims:
        """What is wanted of it beside its task's metric."""
        return aims_of(self.method)

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
        return sum(intervention.kind == "reshaped" for intervention in self.interventions)

    @property
    def is_paused(self) -> bool:
        """Whether a pause of it lasts."""
        return bool(self.pauses) and self.pauses[-1].end is None

    @property
    def taken_over_by(self) -> str | None:
        """Who proposes in the method's stead now; None while the method does."""
        last = next(
            (intervention for intervention in reversed(self.interventions) if intervention.kind in ("took over", "handed back")),
            None,
        )
        return last.who if last is not None and last.kind == "took over" else None

    @property
    def is_joint(self) -> bool:
        """Whether a person and a method worked on it together.

        What was believed before the clock started is prior knowledge, and in an exploratory session what the space was limited to
        by then is its declaration.
        """
        began = self.started_at if self.started_at is not None else float("inf")
        declares = ("believes", "reshaped") if self.purpose == "exploratory" else ("believes",)
        beside = any(intervention.kind not in declares or intervention.at > began for intervention in self.interventions)
        return beside or any(trial.proposer != self.tuner for trial in self.trials)

    @property
    def is_compared(self) -> bool:
        """Whether it may stand in a table of a study: it is nobody's own exploration, and no person and method share it."""
        return self.purpose == "study" and not self.is_joint

    @property
    def is_brought_in(self) -> bool:
        """Whether its trials came from another tool, so that nothing is known here of its method's settings and its seeds."""
        return self.kind == "method" and self.purpose == "exploratory" and not self.method

    @property
    def called(self) -> str:
        """What a program goes on with it by: its name, or its number as #12."""
        return self.name or f"#{self.id}"

    @property
    def chosen_trial(self) -> Trial | None:
        """The trial whose configuration was chosen; None before the choice, and where one without a training was."""
        chosen = None if self.choice is None else self.choice.trial_id
        return None if chosen is None else next((trial for trial in self.trials if trial.id == chosen), None)

    def trial(self, number: int) -> Trial | None:
        """The trial with this number within the session."""
        if 0 < number <= len(self.trials) and self.trials[number - 1].number == number:  # as they are counted
            return self.trials[number - 1]
        return next((trial for trial in self.trials if trial.number == number), None)


def judge_of(metric: str, method: Mapping[str, Any], interventions: Iterable[Intervention]) -> Judge:
    """What says of a session's trials whether they keep what is required, from its method's record and what people said."""
    ratings: dict[int, dict[str, float]] = {}
    vetoes: dict[int, str] = {}
    for intervention in interventions:
        number = intervention.trial or 0
        if intervention.kind == "rated":
            ratings.setdefault(number, {})[intervention.who] = intervention.detail["rating"]
        elif intervention.kind == "vetoed":
            vetoes[number] = f"{intervention.who}: {intervention.reason}"
        elif intervention.kind == "allowed":
            vetoes.pop(number, None)
    return Judge(metric, aims_of(method).require, ratings, vetoes)


def space_after(space: Space, interventions: Iterable[Intervention]) -> Space:
    """A space after what people changed of it and believe of it, in order."""
    changes: dict[str, Mapping[str, Any] | None] = {}
    priors: dict[str, Prior | None] = {}
    for intervention in interventions:
        if intervention.kind == "reshaped":
            changes |= intervention.detail
        elif intervention.kind == "believes":
            priors |= {name: None if prior is None else Prior(**prior) for name, prior in intervention.detail.items()}
    if changes:
        space = reshaped(space, changes)
    return with_priors(space, priors) if priors else space


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a trial waits: its position in the queue (1 is next), the slots there are, and the expected seconds if known."""

    position: int
    slots: int
    expected_seconds: Real | None
    why: str


@dataclass(frozen=True, slots=True)
class View:
    """All that a tuner may see of its session. The test score is not in it.

    refusal: why a submission would be refused now, or None where one is welcome. choose_by: when the best trial is chosen for a
    tuner that lets the deadline pass.
    """

    session: Session
    state: State
    now: Real
    seconds_left: Real | None
    trials_left: int | None
    epochs_left: int | None
    refusal: str | None
    best: Trial | None
    choose_by: Real | None
    waiting: Waiting | None
