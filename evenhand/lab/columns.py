"""The columns of a run: its trials in chunks that are read one at a time, each with a name for what is in it."""

import hashlib
from dataclasses import dataclass

from evenhand.analysis import run_columns
from evenhand.errors import NotFound
from evenhand.lab.base import Core
from evenhand.model.session import Session
from evenhand.store import sessions, trial_chunks
from evenhand.store.trial_chunks import ChunkFacts

STAMP_DIGITS = 16  # of the hexadecimal name of what is in a chunk


@dataclass(frozen=True)
class ChunkStamp:
    """What stands for the numbers of a chunk without them.

    Attributes:
        place: which chunk it is, from 0.
        trials: how many trials are in it.
        has_ended: whether all of them have ended.
        stamp: a name of what is in it: another one as soon as that changes, where `has_ended`.
    """

    place: int
    trials: int
    has_ended: bool
    stamp: str


@dataclass(frozen=True)
class RunColumns:
    """What is known of a run before its chunks are read.

    Attributes:
        session: without its trials.
        chunks: what it has, in order.
        chosen: the number of the chosen trial.
    """

    session: Session
    chunks: tuple[ChunkStamp, ...]
    chosen: int | None

    @property
    def trials(self) -> int:
        """How many there are."""
        return sum(chunk.trials for chunk in self.chunks)


class Columns:
    """Runs as columns. Nothing here reads more trials than one chunk has."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def of(self, session_id: int) -> RunColumns:
        """A run without its trials."""
        with self._core.read() as tx:
            session = sessions.bare(tx, session_id)[0]
            chunks = tuple(_stamp(session, facts) for facts in trial_chunks.of_session(tx, session_id))
            chosen = None if session.choice is None else session.choice.trial_id
            return RunColumns(session, chunks, None if chosen is None else sessions.number_of(tx, chosen))

    def stamp(self, session_id: int, place: int) -> tuple[Session, ChunkStamp]:
        """A run without its trials, and what stands for one of its chunks.

        NotFound: the run has no such chunk.
        """
        with self._core.read() as tx:
            session = sessions.bare(tx, session_id)[0]
            facts = trial_chunks.of_session(tx, session_id, place)
            if not facts:
                first, last = trial_chunks.numbers_of(place)
                raise NotFound(f"session {session_id} has none of the trials {first} to {last}")
            return session, _stamp(session, facts[0])

    def numbers(self, session: Session, place: int) -> run_columns.Chunk:
        """The numbers of a chunk. session: as `stamp` gave it."""
        with self._core.read() as tx:
            trials = sessions.trials_between(tx, session, *trial_chunks.numbers_of(place))
        return run_columns.chunk(session, trials)


def _stamp(session: Session, facts: ChunkFacts) -> ChunkStamp:
    said = [(entry.kind, entry.trial, entry.at) for entry in session.interventions if entry.trial is not None]
    space = session.space.digest if session.space.is_open else session.task.version
    parts = (run_columns.FORMAT, session.id, session.opened_at, space, said, facts)
    stamp = hashlib.sha256(repr(parts).encode()).hexdigest()[:STAMP_DIGITS]
    return ChunkStamp(facts.place, facts.trials, facts.has_ended, stamp)
