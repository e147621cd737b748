"""What backups ask of the laboratory: all of one moment out, all of another moment in, and who withdrew."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evenhand.lab.base import Core
from evenhand.lab.participants import erase
from evenhand.model.session import Extension
from evenhand.store import dump, events, jobs, participants, sessions
from evenhand.store.dump import TABLE_COLUMNS, TABLE_NAMES, Row, Rows, revisions
from evenhand.store.engine import Store

__all__ = ["TABLE_COLUMNS", "TABLE_NAMES", "Backups", "Erasure", "Row", "Rows", "revisions", "upgraded"]

RESTORED_REASON = "a backup was restored"


@dataclass(frozen=True, order=True)
class Erasure:
    """That a participant withdrew: the study's name, their number there, when they joined and when they withdrew.

    The time of joining tells them from somebody who was given the same number after a restore.
    """

    study: str
    number: int
    joined: float
    at: float


class Backups:
    """All of one moment, out and in."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @contextmanager
    def make(self) -> Iterator[Rows]:
        """The rows of every table by its name, all of one moment; what is written meanwhile is not among them."""
        with self._core.read() as tx:
            yield lambda name: dump.rows(tx, name)

    def activity(self) -> int:
        """A number that grows with everything that is done, except for what trainings measure."""
        with self._core.read() as tx:
            return dump.activity(tx)

    def withdrawals(self) -> list[Erasure]:
        """Everybody who withdrew."""
        with self._core.read() as tx:
            return [Erasure(**row) for row in dump.withdrawals(tx)]

    def restore(self, rows: Rows, made_at: float, erasures: Iterable[Erasure]) -> int:
        """Put a backup's rows in the place of all that there are, in one write; how many people were erased again.

        rows: those of the newest tables. made_at: when the backup was made; sessions that were open then are credited the time
        since. erasures: who withdrew since; to these come those of the database as it is now.
        """
        with self._core.change() as tx:
            known = {*erasures, *(Erasure(**row) for row in dump.withdrawals(tx))}
            dump.replace(tx, rows)
            now, erased = self._core.clock(), 0
            for erasure in sorted(known):
                person = dump.still_there(tx, erasure.study, erasure.number, erasure.joined)
                if person is not None:
                    erase(tx, participants.get(tx, person), erasure.at)
                    erased += 1
            for session_id in sessions.open_ids(tx, "server") if now > made_at else ():
                sessions.extend(tx, session_id, Extension(now - made_at, RESTORED_REASON, made_at))
                events.record(tx, now, "outage", session_id, seconds=now - made_at)
            for job in jobs.unfinished(tx):
                if job.leased_until is not None:
                    jobs.end_attempt(tx, job, now, RESTORED_REASON, counts=False)
                    events.record(
                        tx, now, "attempt ended", job.session_id, job.trial_id, attempt=job.attempt, why=RESTORED_REASON
                    )
            events.record(tx, now, "restored", made_at=made_at, erased=erased)
        return erased


@contextmanager
def upgraded(path: Path, revision: str, names: Iterable[str], rows: Rows) -> Iterator[Rows]:
    """The rows of an older revision's tables as the newest tables hold them; a database at `path` is made for it."""
    store: Store = dump.build(path, revision, names, rows)
    try:
        with store.read() as tx:
            yield lambda name: dump.rows(tx, name)
    finally:
        store.close()
