"""The two protocols that `Lab` and `Client` both keep, so that whoever tunes or trains need not know which of them it has.

Over HTTP the token says which agent asks, and of which session it is: `Client` passes no `agent_id` on, and takes 0 for its own
session. Each raises what the rules ask for (`Refused`, `NotAllowed`, `NotFound`, `InvalidConfiguration`, `StaleAttempt`), and
`Client` also `Unreachable`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from evenhand.model.configuration import Configuration
from evenhand.model.environment import Environment
from evenhand.model.job import Assignment, Order
from evenhand.model.sent_code import SentCode
from evenhand.model.session import Session, View
from evenhand.model.trial import LearningCurve, Measurement, Outcome, Stopper, Trial


class TunerVerbs(Protocol):
    """What a tuner needs of the laboratory."""

    def start(self, session_id: int) -> Session:
        """Start the session's clock; a clock that runs goes on as it is."""

    def view(self, session_id: int) -> View:
        """All that the session's tuner may see."""

    def wait(self, session_id: int, seconds: float, measured: bool = False) -> View:
        """What `view` gives, when the session has changed in a way that its tuner may act on, or after a time.

        What changed since the last wait counts, too, so that nothing is missed between two. measured: also by measurements.
        """

    def curve(self, session_id: int, number: int, after: tuple[int, int] = (0, -1)) -> LearningCurve:
        """What a trial measured after the cursor (attempt, index); a newer attempt is given from its start."""

    def submit(
        self,
        session_id: int,
        configuration: Configuration | Mapping[str, Any],
        *,
        reasons: Mapping[str, str] | None = None,
        explanation: str = "",
        resumes: int | None = None,
        revision: int | None = None,
        key: str | None = None,
    ) -> Trial:
        """Queue a trial of `configuration`; the same `key` twice is one trial."""

    def stop(self, session_id: int, number: int, by: Stopper = Stopper.TUNER, *, why: str | None = None) -> Trial:
        """Ask a trial to stop, as its tuner or by its stopping rule."""

    def choose(
        self,
        session_id: int,
        *,
        number: int | None = None,
        configuration: Configuration | None = None,
        key: str | None = None,
    ) -> Session:
        """End the session with its final configuration."""


class AgentVerbs(Protocol):
    """What an agent needs of the laboratory."""

    def hello(self, agent_id: int, *, slots: int, machine: str, name: str = "", environment: Environment | None = None) -> None:
        """Say what the agent is, and what its trainings' numbers hang on."""

    def refusals(self, agent_id: int) -> tuple[str, ...]:
        """Why studies whose trainings wait take no claim of the agent."""

    def claim(
        self, agent_id: int, *, refused: Sequence[str] = (), session_id: int | None = None, seconds: float = 0.0
    ) -> Assignment | None:
        """The next training for this agent, waited for so long; None where nothing waits."""

    def measure(
        self, job_id: int, attempt: int, batch: Sequence[Measurement], agent_id: int | None = None, *, is_held: bool = False
    ) -> Order:
        """Store what a training measured and renew its lease; what it shall do. is_held: whether it stands still, as told."""

    def finish(
        self,
        job_id: int,
        attempt: int,
        outcome: Outcome,
        why: str | None = None,
        batch: Sequence[Measurement] = (),
        agent_id: int | None = None,
    ) -> None:
        """End a training, with the last of what it measured."""

    def release(self, job_id: int, attempt: int, why: str, counts: bool = True, agent_id: int | None = None) -> None:
        """Give a training back unfinished."""

    def code(self, agent_id: int, task_version: str) -> SentCode | None:
        """Which files are the code of a task that agents get from the laboratory; None where they have it by its name."""

    def content(self, agent_id: int, checksum: str) -> bytes:
        """The content of one of these files."""

    def goodbye(self, agent_id: int) -> None:
        """Say that the agent ends in order."""
