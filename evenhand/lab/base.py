"""What every service stands on: the database, the rules, the clock, and who listens to changes.

`Lab` is the whole laboratory: a thin face over services that share one `Core` (tokens, studies, participants, sessions, ...).
Each service knows the core, and those services whose public verbs it calls; so each can be tested alone.
"""

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TypeVar

from sqlalchemy import Connection

from evenhand.errors import NotAllowed, Refused
from evenhand.lab.changes import Changes
from evenhand.model.person import Person, with_names
from evenhand.model.session import Session
from evenhand.model.study import Study
from evenhand.settings import Rules, rules_from_environment
from evenhand.store import events, people
from evenhand.store.engine import Store

T = TypeVar("T")
Listener = TypeVar("Listener")


class Core:
    """A laboratory's database, rules and clock, and its listeners. Threads may share it."""

    def __init__(self, store: Store, rules: Rules | None = None, clock: Callable[[], float] = time.time) -> None:
        self.store = store
        self.rules = rules or rules_from_environment()
        self.clock = clock
        self.on_change: list[Callable[[int], None]] = []
        self.on_withdrawal: list[Callable[[], None]] = []
        self.on_waiting: list[Callable[[], None]] = []  # told when a training may have come to wait for an agent
        self.changes = Changes()

    def read(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state of the database and changes nothing."""
        return self.store.read()

    def at_once(self) -> AbstractContextManager[None]:
        """Within it, all that this thread reads is of one moment, and costs one transaction."""
        return self.store.at_once()

    @contextmanager
    def change(self, session_id: int | None = None, acts: bool = True) -> Iterator[Connection]:
        """A write, committed when this ends; then whoever listens is told that the session changed, and agents that may wait.

        acts: as `notify` has it.
        """
        with self.store.write() as tx:
            yield tx
        if session_id is not None:
            self.notify(session_id, acts)
            self.tell_agents()

    def together(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, done as a write of its own, for writes that come often; nobody is told."""
        return self.store.together(work)

    def notify(self, session_id: int, acts: bool = True) -> None:
        """Tell that a session changed. acts: whether its tuner may act on it: not on a trial's start, nor on what it measures."""
        self.changes.note(session_id, acts)
        for listener in list(self.on_change):
            listener(session_id)

    def tell_agents(self) -> None:
        """Tell that a training may have come to wait for an agent."""
        for listener in list(self.on_waiting):
            listener()


@contextmanager
def listening(listeners: list[Listener], listener: Listener) -> Iterator[None]:
    """Within it, `listener` is among the listeners."""
    listeners.append(listener)
    try:
        yield
    finally:
        listeners.remove(listener)


def act_as(person: Person | None) -> None:
    """From now on, in this thread or request, what is written says that this person asked for it; None: nobody did."""
    events.ACTING.set(None if person is None else person.who)


def names_in(tx: Connection, text: str) -> str:
    """A text with people's names in the place of their ids."""
    names = {person.who: person.name for person in people.everybody(tx)}
    return with_names(text, names.get)


def check_may_intervene(tx: Connection, sessions: Sequence[Session], who: str | None) -> None:
    """NotAllowed where `who` looked at a score on the test data of one of these sessions that is of a study.

    An exploratory session is never locked: its looks are counted and told beside its scores.
    """
    task_ids = {session.task.id for session in sessions if session.purpose == "study"}
    if who is not None and any(events.looked_at_task(tx, task_id, who) for task_id in task_ids):
        raise NotAllowed(
            f"{names_in(tx, who)} has looked at a score on the test data of this task, and so cannot intervene in its open "
            "sessions any more"
        )


def refuse_archive(study: Study) -> None:
    """Refuse what would change a study that was read from an export."""
    if study.archived:
        raise Refused(f"study {study.name!r} is an archive: nobody can take part, and nothing in it changes any more")


def refuse_open(session: Session) -> None:
    """Refuse what somebody would change in a session whose program defines its space while it runs."""
    if session.space.is_open:
        raise Refused(
            f"session {session.id} has an open space: its program asks for each value while it runs, so nobody else submits "
            "trials to it or changes its space; a trial of it can be stopped"
        )


def hash_token(token: str) -> str:
    """How a token is stored: SHA-256. A random 128-bit token needs no salt and no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()
