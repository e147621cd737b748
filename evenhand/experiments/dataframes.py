"""A stored session for analysis in Python: its trials as a table, its best trial, its space. pandas is loaded only for tables."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evenhand.analysis.trial_table import CellKind, columns_of, rows_of
from evenhand.errors import NotFound
from evenhand.experiments.best import BestTrial, best_of
from evenhand.lab.lab import Lab
from evenhand.model import rules, state_words
from evenhand.model.domain import Choice
from evenhand.model.extras import require
from evenhand.model.session import Session
from evenhand.model.space import Space

if TYPE_CHECKING:
    from pandas import DataFrame

DTYPES: Mapping[CellKind, str] = {  # what pandas keeps a column as
    "number": "float64",
    "integer": "Int64",
    "truth": "object",
    "text": "object",
    "value": "object",
}


@dataclass(frozen=True, repr=False)
class StoredSession:
    """A session that a laboratory stores, as it was when it was read.

    Attributes:
        record: all that is known of it.
    """

    record: Session

    @property
    def trials(self) -> "DataFrame":
        """One row a trial; see `dataframe`."""
        return dataframe(self.record)

    @property
    def best(self) -> BestTrial | None:
        """The trial with the best value on validation, and its folder; None where no trial has a value."""
        return best_of(self.record)

    @property
    def space(self) -> Space:
        """The task's space."""
        return self.record.space

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
            return StoredSession(lab.sessions.get(session_id))
        known = lab.sessions.called(session_id)
        if known is None:
            raise NotFound(f"no session is named {session_id!r}")
        return StoredSession(known)
    finally:
        lab.close()


def dataframe(session: Session) -> "DataFrame":
    """A session's trials as a table of pandas.

    Columns: every hyperparameter by its name (missing where it was inactive), then `value` (the metric on validation),
    `value_epoch` (the epoch that it is of), `outcome` ("open" for a trial that has not ended), `why`, `proposer`, `epochs`
    (completed, those before a resumption included), `seconds` (of training; missing while it is open), `explanation`, `resumes`
    (a trial's number), and further metrics. A column that would take a hyperparameter's name has an underscore behind its own.

    Args:
        session: whose trials.

    Returns:
        One row a trial, indexed by its number.

    Raises:
        PackageMissing: pandas is not installed.
    """
    pandas = require("pandas", "a table of trials")
    columns = {
        column.name: "object" if _is_choice(session.space, column.name) else DTYPES[column.kind] for column in columns_of(session)
    }
    rows = list(rows_of(session))
    index = pandas.Index([trial.number for trial in session.trials], name="number", dtype="int64")
    table: DataFrame = pandas.DataFrame(rows, index=index, columns=list(columns), dtype="object").astype(columns)
    return table


def _is_choice(space: Space, name: str) -> bool:
    """Options stay what they are, whatever their type."""
    return name in space and isinstance(space[name].domain, Choice)
