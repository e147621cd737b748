"""Jobs: what an agent is given to train, and what it gives back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from evenhand.model.digest import digest
from evenhand.model.domain import Real
from evenhand.model.environment import Environment, StatedEnvironment, why_refused
from evenhand.model.evaluation import RETRAINED, EvaluationPlan
from evenhand.model.session import Session
from evenhand.model.study import ValueRule
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement


class Order(IntEnum):
    """What a laboratory answers a training's report; false where the training is to end."""

    STOP = 0
    GO_ON = 1
    HOLD = 2  # stand still at the next report, and keep the lease


class MeasurementBatch(NamedTuple):
    """What one training measured since its last report; it may be nothing, and still keeps the lease.

    is_held: whether the training stands still.
    """

    job_id: int
    attempt: int
    batch: Sequence[Measurement]
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class Assignment:
    """A claimed job, as its agent sees it: one training, and the attempt number that every write about it carries.

    plan: of an evaluation. epochs_before: those that an earlier training has done, from which it goes on. keep: whether it may be
    gone on with itself. value_rule: of the study.
    max_seconds, max_memory: the task's limits. number: the trial's; 0 for an evaluation. place: what the trial's folder is called
    on the machine that trains it; see `place_of`.
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
    max_seconds: Real | None = None
    max_memory: int | None = None
    number: int = 0
    place: str = ""
    plan: EvaluationPlan = RETRAINED
    value_rule: ValueRule = "last"


def place_of(session: Session, number: int, attempt: int) -> str:
    """What the folder of a trial's attempt is called among those of all trials, also of other databases with this data folder."""
    return f"{_folder_of(session.id, session.opened_at)}/trial-{number}-{attempt}"


@lru_cache(maxsize=64, typed=True)  # 1 and 1.0 are written otherwise
def _folder_of(session_id: int, opened_at: float) -> str:
    """Cached, since each claim asks for it."""
    return f"session-{session_id}-{digest([session_id, opened_at])[:8]}"


def kept_place_of(place: str) -> str:
    """What the folder is called in which the attempts of a trial keep things under names, of the folder of one of them."""
    return f"{place.rpartition('-')[0]}-kept"


@dataclass(frozen=True, slots=True)
class AgentRecord:
    """A process that trains: its name, its slots, when it was last heard of, and how many jobs it holds.

    machine: what a person calls its machine. environment: what its trainings' numbers hang on; None where it did not say.
    """

    id: int
    name: str
    slots: int
    last_seen: Real | None
    busy: int
    local: bool = False
    machine: str = ""
    environment: Environment | None = None

    @property
    def said(self) -> StatedEnvironment:
        """Its name and its environment."""
        return StatedEnvironment(self.name, self.environment)


def pinned_away(pinned: Environment | None, agents: Iterable[AgentRecord]) -> dict[int, str]:
    """Why a study that is pinned to this takes no claim of some of the agents, by their ids; None: it is pinned to nothing."""
    if pinned is None:
        return {}
    return {agent.id: why for agent in agents if (why := why_refused(pinned, agent.said))}
