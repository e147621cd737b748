"""Trials of a session in chunks of a fixed number of them: what is in each, without reading a trial."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from evenhand.store import tables

CHUNK_TRIALS = 5000  # by their numbers: the first chunk has 1 to 5,000
MOST_CHUNKS = 2**31 // CHUNK_TRIALS  # as many as there are numbers for trials


@dataclass(frozen=True, slots=True)
class ChunkFacts:
    """What is in a chunk, and what tells its trials from others that had the same numbers, as before a backup was restored.

    place: which chunk it is, from 0. ended_at: when the last of its trials ended.
    """

    place: int
    trials: int
    ended: int
    ended_at: float | None
    last_trial_id: int

    @property
    def has_ended(self) -> bool:
        """Whether nothing in it is measured any more."""
        return self.ended == self.trials


def numbers_of(place: int) -> tuple[int, int]:
    """The first and the last number that a trial of a chunk can have."""
    return place * CHUNK_TRIALS + 1, (place + 1) * CHUNK_TRIALS


def of_session(tx: Connection, session_id: int, place: int | None = None) -> list[ChunkFacts]:
    """The chunks of a session in order, or of them the one at a place, where it has any trial."""
    if place is not None and not 0 <= place < MOST_CHUNKS:
        return []
    trial, job = tables.trial.c, tables.job.c
    chunk = (trial.number - 1) // CHUNK_TRIALS
    query = (
        select(chunk, func.count(trial.id), func.count(job.finished_at), func.max(job.finished_at), func.max(trial.id))
        .select_from(tables.trial.join(tables.job, job.trial_id == trial.id))
        .where(trial.session_id == session_id)
        .group_by(chunk)
        .order_by(chunk)
    )
    if place is not None:
        query = query.where(trial.number.between(*numbers_of(place)))
    return [ChunkFacts(*row) for row in tx.execute(query)]
