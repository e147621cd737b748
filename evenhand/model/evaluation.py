"""Evaluations: a chosen configuration scored on test data, seed by seed."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from evenhand.model.domain import Real
from evenhand.model.study import EvaluationMode
from evenhand.model.trial import Outcome


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """How a chosen configuration is trained for its test score.

    values: what the chosen trial reached on validation, epoch by epoch, where it trained to its end: in `retrain`, where no
    example is left to be scored on, the function decides by these what it decided by them in the trial, and goes no further.
    until: the epoch within whose report the training ends; None where its function ends it.
    """

    mode: EvaluationMode = "retrain"
    values: tuple[Real | None, ...] = ()
    until: int | None = None


RETRAINED = EvaluationPlan()  # for as long as its function has it, with nothing known of a trial


@dataclass(frozen=True, slots=True)
class SeedScore:
    """One seed of an evaluation: the test metric, or the outcome that left it without one. environment: as of a `Trial`.

    extra: the further metrics that its training reported, by name.
    """

    index: int
    seed: int
    outcome: Outcome | None
    value: Real | None
    why: str | None = None
    environment: str | None = None
    extra: Mapping[str, Real] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A chosen configuration scored on test, seed by seed. Mean and standard deviation are computed in `analysis`.

    earlier: the scores of the choices that the session was extended after (`Session.earlier_choices`), in their order.
    """

    session_id: int
    metric: str
    scores: tuple[SeedScore, ...]
    earlier: tuple[tuple[SeedScore, ...], ...] = ()
    mode: EvaluationMode = "retrain"
