"""A stored session for analysis in Python: its trials as a table, its best trial, its space. pandas is loaded only for tables."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evenhand.errors import NotFound
from evenhand.experiments.best import BestTrial, best_of
from evenhand.lab.lab import Lab
from evenhand.model import rules, state_words
from evenhand.model.domain import Choice, Float
from evenhand.model.extras import require
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from evenhand.model.words import free_name

if TYPE_CHECKING:
    from pandas import DataFrame

FACTS: Mapping[str, str] = {  # the columns of a trial's facts, and what pandas keeps them as
    "value": "float64",
    "value_epoch": "Int64",
    "outcome": "object",
    "why": "object",
    "proposer": "object",
    "epochs": "Int64",
    "seconds": "float64",
    "explanation": "object",
    "resumes": "Int64",
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
    names = session.space.names
    further = sorted({name for trial in session.trials for name in trial.extra})
    columns = {name: _dtype(session.space, name) for name in names}
    for fact in (*FACTS, *further):
        columns[free_name(fact, columns)] = FACTS.get(fact, "float64")
    rows = [
        [
            *(trial.configuration.get(name) for name in names),
            *_facts(trial).values(),
            *(trial.extra.get(name) for name in further),
        ]
        for trial in session.trials
    ]
    index = pandas.Index([trial.number for trial in session.trials], name="number", dtype="int64")
    table: DataFrame = pandas.DataFrame(rows, index=index, columns=list(columns), dtype="object").astype(columns)
    return table


def _facts(trial: Trial) -> Mapping[str, Any]:
    """The values of `FACTS`, in their order."""
    ended = trial.finished_at is not None
    values = (
        trial.value,
        trial.value_epoch,
        str(trial.outcome or "open"),
        trial.why,
        trial.proposer,
        trial.epochs_done,
        trial.seconds(trial.finished_at or 0.0) if ended else None,
        trial.explanation,
        trial.resumes,
    )
    return dict(zip(FACTS, values, strict=True))


def _dtype(space: Space, name: str) -> str:
    domain = space[name].domain
    return "object" if isinstance(domain, Choice) else "float64" if isinstance(domain, Float) else "Int64"
