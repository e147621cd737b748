"""The laboratory: a thin face over services that share one core. Pages, methods and agents all call these.

Every change of state is a verb of a service. A verb checks the rules of `model/rules` within the transaction that writes, and
returns after its commit. The verbs of tuners and agents are on `Lab` itself, as on `Client` (see `verbs`).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from evenhand.lab.backups import Backups
from evenhand.lab.base import Core, hash_token
from evenhand.lab.columns import Columns
from evenhand.lab.crews import Crews
from evenhand.lab.deadlines import Deadlines
from evenhand.lab.evaluations import Evaluations
from evenhand.lab.interventions import Interventions
from evenhand.lab.jobs import Agents
from evenhand.lab.open_spaces import OpenSpaces
from evenhand.lab.participants import Participants
from evenhand.lab.people import People
from evenhand.lab.places import Fault
from evenhand.lab.runs import Runs
from evenhand.lab.seats import Seats
from evenhand.lab.sessions import Sessions
from evenhand.lab.stopping import StoppingRules
from evenhand.lab.studies import Studies
from evenhand.lab.tokens import Tokens
from evenhand.lab.transfer import Transfer
from evenhand.lab.trial_rows import TrialRows
from evenhand.lab.tuning import Tuning
from evenhand.model.configuration import Configuration
from evenhand.model.environment import Environment
from evenhand.model.job import Assignment, Order
from evenhand.model.sent_code import SentCode
from evenhand.model.session import Session, View
from evenhand.model.trial import LearningCurve, Measurement, Outcome, Stopper, Trial
from evenhand.settings import Rules, default_database
from evenhand.store.engine import Store


def key_of(url: str) -> str:
    """A short name for the database at a URL, for files beside it that are about this one only."""
    text = url.encode(errors="backslashreplace").decode()  # a command line may bring bytes that are no text
    return hash_token(text)[:12]


class Lab:
    """The laboratory on one database. Threads may share it.

    tokens, people, studies, participants, seats, sessions, columns, runs, trials, open_spaces, evaluations, interventions, crews,
    agents, transfer, backups: its services, by noun.
    """

    def __init__(self, store: Store, rules: Rules | None = None, clock: Callable[[], float] = time.time) -> None:
        self.core = Core(store, rules, clock)
        self._deadlines = Deadlines(self.core)
        self.tokens = Tokens(self.core)
        self.people = People(self.core, self.tokens)
        self.crews = Crews(self.core, self.tokens)
        self.agents = Agents(self.core, self.tokens, self._deadlines, StoppingRules(self.core), self.crews)
        self._tuning = Tuning(self.core, self.agents)
        self.studies = Studies(self.core)
        self.participants = Participants(self.core, self._tuning)
        self.seats = Seats(self.core, self.participants)
        self.sessions = Sessions(self.core)
        self.columns = Columns(self.core)
        self.runs = Runs(self.core)
        self.trials = TrialRows(self.core)
        self.open_spaces = OpenSpaces(self.core, self.studies, self.sessions)
        self.evaluations = Evaluations(self.core)
        self.interventions = Interventions(self.core)
        self.transfer = Transfer(self.core)
        self.backups = Backups(self.core)

    @classmethod
    def connect(cls, url: str | None = None, rules: Rules | None = None) -> "Lab":
        """The lab on the database at `url` (default: `settings.default_database()`), its tables brought up to date."""
        return cls(Store(url or default_database()), rules)

    @property
    def key(self) -> str:
        """A short name for the database, for files beside it that are about this one only."""
        return key_of(self.core.store.url)

    @property
    def rules(self) -> Rules:
        """How long things may take, and how often they are tried."""
        return self.core.rules

    @property
    def clock(self) -> Callable[[], float]:
        """What says the time, in seconds since the epoch."""
        return self.core.clock

    @property
    def on_change(self) -> list[Callable[[int], None]]:
        """Who is told, in the thread that did it, that a session changed: its id."""
        return self.core.on_change

    @property
    def on_withdrawal(self) -> list[Callable[[], None]]:
        """Who is told that somebody withdrew."""
        return self.core.on_withdrawal

    @property
    def on_waiting(self) -> list[Callable[[], None]]:
        """Who is told that a training may have come to wait for an agent."""
        return self.core.on_waiting

    def at_once(self) -> AbstractContextManager[None]:
        """Within it, all that this thread reads is of one moment, and costs one transaction."""
        return self.core.at_once()

    def fault(self) -> Fault | None:
        """What is wrong with the database's file; None where nothing is. See `Store.fault`."""
        return self.core.store.fault()

    def close(self) -> None:
        """Close the database's connections."""
        self.core.store.close()

    # Time

    def sweep(self, session_id: int | None = None) -> None:
        """Do what time asks for: see `Deadlines.sweep`."""
        self._deadlines.sweep(session_id)
        if session_id is None:
            self.runs.erase_due()

    def recover(self, down_since: float | None = None) -> None:
        """What a starting server does first: see `Deadlines.recover`."""
        self._deadlines.recover(down_since)

    # The tuner's verbs: see `Tuning`

    def start(self, session_id: int) -> Session:
        """Start the session's clock; a clock that runs goes on as it is."""
        return self._tuning.start(session_id)

    def view(self, session_id: int) -> View:
        """All that the session's tuner may see."""
        return self._tuning.view(session_id)

    def wait(self, session_id: int, seconds: float, measured: bool = False) -> View:
        """What `view` gives, when the session has changed since this thread last looked at it, or after a time."""
        return self._tuning.wait(session_id, seconds, measured)

    def curve(self, session_id: int, number: int, after: tuple[int, int] = (0, -1)) -> LearningCurve:
        """What a trial measured after the cursor (attempt, index); a newer attempt is given from its start."""
        return self._tuning.curve(session_id, number, after)

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
        return self._tuning.submit(
            session_id,
            configuration,
            reasons=reasons,
            explanation=explanation,
            resumes=resumes,
            revision=revision,
            key=key,
        )

    def stop(self, session_id: int, number: int, by: Stopper = Stopper.TUNER, *, why: str | None = None) -> Trial:
        """Ask a trial to stop, as its tuner or by its stopping rule."""
        return self._tuning.stop(session_id, number, by, why=why)

    def choose(
        self,
        session_id: int,
        *,
        number: int | None = None,
        configuration: Configuration | None = None,
        key: str | None = None,
    ) -> Session:
        """End the session with its final configuration."""
        return self._tuning.choose(session_id, number=number, configuration=configuration, key=key)

    # The agent's verbs: see `Agents`

    def hello(self, agent_id: int, *, slots: int, machine: str, name: str = "", environment: Environment | None = None) -> None:
        """Say what the agent is, and what its trainings' numbers hang on."""
        self.agents.hello(agent_id, slots=slots, machine=machine, name=name, environment=environment)

    def refusals(self, agent_id: int) -> tuple[str, ...]:
        """Why studies whose trainings wait take no claim of the agent."""
        return self.agents.refusals(agent_id)

    def claim(
        self, agent_id: int, *, refused: Sequence[str] = (), session_id: int | None = None, seconds: float = 0.0
    ) -> Assignment | None:
        """The next training for this agent, leased to it as a new attempt; None where nothing waits."""
        return self.agents.claim(agent_id, refused=refused, session_id=session_id, seconds=seconds)

    def measure(
        self, job_id: int, attempt: int, batch: Sequence[Measurement], agent_id: int | None = None, *, is_held: bool = False
    ) -> Order:
        """Store what a training measured and renew its lease; what it shall do. is_held: whether it stands still, as told."""
        return self.agents.measure(job_id, attempt, batch, agent_id, is_held=is_held)

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
        self.agents.finish(job_id, attempt, outcome, why, batch, agent_id)

    def release(self, job_id: int, attempt: int, why: str, counts: bool = True, agent_id: int | None = None) -> None:
        """Give a training back unfinished."""
        self.agents.release(job_id, attempt, why, counts, agent_id)

    def code(self, agent_id: int, task_version: str) -> SentCode | None:
        """Which files are the code of a task that agents get from here; None where they have it by its name."""
        return self.crews.code(task_version)

    def content(self, agent_id: int, checksum: str) -> bytes:
        """The content of one of these files."""
        return self.crews.content(checksum)

    def goodbye(self, agent_id: int) -> None:
        """Say that the agent ends in order."""
        self.agents.goodbye(agent_id)
