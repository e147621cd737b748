"""A stored session for analysis in Python: its trials as a table, its best trial, its space."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evenhand.errors import NotFound
from evenhand.experiments import dataframes, notebook
from evenhand.experiments.best import BestTrial, best_of
from evenhand.experiments.run_handle import RunHandle
from evenhand.lab.lab import Lab
from evenhand.model import rules, state_words
from evenhand.model.session import Session
from evenhand.model.space import Space

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, repr=False)
class StoredSession(RunHandle):
    """A session that a laboratory stores, as it was when it was read.

    Attributes:
        record: all that is known of it.
        db: SQLAlchemy URL of the laboratory that it is in; None for the default one.
    """

    record: Session
    db: str | None = field(default=None, compare=False)

    @property
    def _run(self) -> Session:
        return self.record

    @property
    def _url(self) -> str | None:
        return self.db

    @property
    def trials(self) -> "DataFrame":
        """One row a trial; see `evenhand.experiments.dataframes.dataframe`."""
        return dataframes.dataframe(self.record)

    @property
    def best(self) -> BestTrial | None:
        """The trial with the best value on validation, and its folder; None where no trial has a value."""
        return best_of(self.record)

    @property
    def space(self) -> Space:
        """The task's space."""
        return self.record.space

    def _repr_html_(self) -> str:
        """As a notebook shows it: how it stands, its curve, and the best trials. No test score is in it."""
        now = time.time()
        goes_on = state_words.how_to_go_on(self.record) if rules.is_interrupted(self.record, now) else ""
        facts = [("session", f"{self.record.called} on {self.record.task.spec.plain_name}")]
        return notebook.page(self.record, now, goes_on, facts)

    def __repr__(self) -> str:
        record = self.record
        line = f"Session {record.id}: {record.tuner} on {record.task.spec.plain_name}, {len(record.trials)} trials"
        interrupted = rules.is_interrupted(record, time.time())
        return f"{line}, {state_words.INTERRUPTED}\n{state_words.how_to_go_on(record)}" if interrupted else line


def session(session_id: int | str, db: str | None = None) -> StoredSession:
    """A stored session, as it is now.

    Test scores are not in it: looking at them is logged, so the pages and `evenhand study report` show them.

    Args:
        session_id: its number, or the name that `evenhand.tune` was given.
        db: SQLAlchemy URL of the database (default: the one in the user's data directory).

    Returns:
        The session, for analysis.

    Raises:
        NotFound: there is no such session.
    """
    lab = Lab.connect(db)
    try:
        if not isinstance(session_id, str):
            return StoredSession(lab.sessions.get(session_id), db)
        known = lab.sessions.called(session_id)
        if known is None:
            raise NotFound(f"no session is named {session_id!r}")
        return StoredSession(known, db)
    finally:
        lab.close()
