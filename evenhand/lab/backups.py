"""What backups ask of the laboratory: all of one moment out, all of another moment in, and who withdrew."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evenhand.lab.base import Core
from evenhand.lab.participants import erase
from evenhand.model.session import SERVED_DRIVERS, Extension
from evenhand.store import dump, events, jobs, participants, sessions
from evenhand.store.dump import TABLE_COLUMNS, TABLE_NAMES, Note, Replaced, Row, Rows, revisions, unnoted
from evenhand.store.engine import Store
from evenhand.store.odd_cells import OddCell

__all__ = [
    "TABLE_COLUMNS",
    "TABLE_NAMES",
    "BackupTrouble",
    "Backups",
    "Erasure",
    "Note",
    "OddCell",
    "Replaced",
    "Restored",
    "Row",
    "Rows",
    "RowsNoted",
    "revisions",
    "unnoted",
    "upgraded",
]

RowsNoted = Callable[[str, Note], Iterator[Row]]  # the rows of a table, by its name; who is told of its odd cells

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


@dataclass(frozen=True)
class Restored:
    """erased: how many people who withdrew since were erased again. replaced: what became of the rows."""

    erased: int
    replaced: Replaced


@dataclass(frozen=True)
class BackupTrouble:
    """What is wrong with the backups in a folder. failed: whether there is none; else it was made, and holds odd cells.

    study_id: the study that names the folder; None where several do.
    """

    folder: Path
    words: str
    failed: bool
    study_id: int | None


class Backups:
    """All of one moment, out and in."""

    def __init__(self, core: Core) -> None:
        self._core = core

    @contextmanager
    def make(self) -> Iterator[RowsNoted]:
        """The rows of every table by its name, all of one moment; what is written meanwhile is not among them."""
        with self._core.read() as tx:
            yield lambda name, note: dump.rows(tx, name, note)

    def activity(self) -> int:
        """A number that grows with everything that is done, except for what trainings measure."""
        with self._core.read() as tx:
            return dump.activity(tx)

    def withdrawals(self) -> list[Erasure]:
        """Everybody who withdrew."""
        with self._core.read() as tx:
            return [Erasure(**row) for row in dump.withdrawals(tx)]

    def restore(
        self, rows: Rows, odd: Callable[[str], Iterable[OddCell]], made_at: float, erasures: Iterable[Erasure]
    ) -> Restored:
        """Put a backup's rows in the place of all that there are, in one write.

        rows: those of the newest tables. odd: their odd cells, in order. made_at: when the backup was made; sessions that were
        open then are credited the time since. erasures: who withdrew since; to these come those of the database as it is now.
        """
        with self._core.change() as tx:
            known = {*erasures, *(Erasure(**row) for row in dump.withdrawals(tx))}
            replaced = dump.replace(tx, rows, odd)
            now, erased = self._core.clock(), 0
            for erasure in sorted(known):
                person = dump.still_there(tx, erasure.study, erasure.number, erasure.joined)
                if person is not None:
                    erase(tx, person, participants.session_ids(tx, person), erasure.at)
                    erased += 1
            for session_id in sessions.open_ids(tx, SERVED_DRIVERS) if now > made_at else ():
                sessions.extend(tx, session_id, Extension(now - made_at, RESTORED_REASON, made_at))
                events.record(tx, now, "outage", session_id, seconds=now - made_at)
            for job in jobs.leased(tx):
                jobs.end_attempt(tx, job, now, RESTORED_REASON, counts=False)
                events.record(tx, now, "attempt ended", job.session_id, job.trial_id, attempt=job.attempt, why=RESTORED_REASON)
            events.record(tx, now, "restored", made_at=made_at, erased=erased)
        return Restored(erased, replaced)


@contextmanager
def upgraded(path: Path, revision: str, names: Iterable[str], rows: Rows) -> Iterator[Rows]:
    """The rows of an older revision's tables as the newest tables hold them; a database at `path` is made for it."""
    store: Store = dump.build(path, revision, names, rows)
    try:
        with store.read() as tx:
            yield lambda name: dump.rows(tx, name)
    finally:
        store.close()
