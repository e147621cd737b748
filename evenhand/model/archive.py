"""A study's records as one, and the events of its log."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from evenhand.model.domain import Real
from evenhand.model.environment import Environment
from evenhand.model.evaluation import Evaluation
from evenhand.model.participant import Participant
from evenhand.model.session import Session
from evenhand.model.study import Mode, Study
from evenhand.model.task import TaskRecord


@dataclass(frozen=True, slots=True)
class Event:
    """One change of state, with ids only."""

    id: int
    at: Real
    kind: str
    session_id: int | None
    trial_id: int | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PublicRelease:
    """What was done to an archive that anybody may read.

    k: how many people share each combination of coarsened answers, at least; smallest: how many do at least in fact. suppressed:
    people whose answers were left out. coarsened: in words, by QUESTIONNAIRE.QUESTION. texts: free texts left out.
    """

    k: int
    smallest: int
    cells: int
    suppressed: int
    coarsened: Mapping[str, str]
    texts: int
    licence: str


@dataclass(frozen=True, slots=True)
class Archive:
    """A study with all that was recorded in it, but for measurements: what analyses and reports are functions of.

    study: at its newest version; versions: all of them. tasks: every task that a session was on. evaluations: by session id.
    environments: those that trials and evaluations were trained in, by key. public: what was coarsened, where it is an archive
    that anybody may read.
    """

    study: Study
    versions: tuple[Study, ...]
    tasks: tuple[TaskRecord, ...]
    participants: tuple[Participant, ...]
    sessions: tuple[Session, ...]
    evaluations: Mapping[int, Evaluation] = field(default_factory=dict)
    environments: Mapping[str, Environment] = field(default_factory=dict)
    public: PublicRelease | None = None

    def of_task(self, task_id: int) -> "Archive":
        """The part of one task: the sessions on it, and their participants."""
        on_it = tuple(session for session in self.sessions if session.task.id == task_id)
        whose = {session.participant_id for session in on_it}
        return replace(
            self,
            tasks=tuple(task for task in self.tasks if task.id == task_id),
            participants=tuple(participant for participant in self.participants if participant.id in whose),
            sessions=on_it,
        )

    def of_mode(self, mode: Mode) -> "Archive":
        """The part of one mode. Methods' sessions belong to the mode in which they were opened."""
        return replace(
            self,
            participants=tuple(participant for participant in self.participants if participant.mode == mode),
            sessions=tuple(session for session in self.sessions if session.mode == mode),
        )
