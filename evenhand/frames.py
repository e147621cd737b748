"""A stored session for analysis in Python: its trials as a table, its best trial, its space. pandas is loaded only for tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from evenhand import protocol, records
from evenhand.errors import InvalidSettings
from evenhand.lab import Lab
from evenhand.records import Trial
from evenhand.space import Choice, Float, Space

if TYPE_CHECKING:
    from pandas import DataFrame

FACTS: Mapping[str, str] = {  # the columns of a trial's facts, and what pandas keeps them as
    "value": "float64",
    "outcome": "object",
    "why": "object",
    "proposer": "object",
    "epochs": "Int64",
    "seconds": "float64",
    "explanation": "object",
    "resumes": "Int64",
}


@dataclass(frozen=True, repr=False)
class Session:
    """A session that a laboratory stores, as it was when it was read. record: all that is known of it."""

    record: records.Session

    @property
    def trials(self) -> "DataFrame":
        """One row a trial; see `dataframe`."""
        return dataframe(self.record)

    @property
    def best(self) -> Trial | None:
        """The trial with the best value on validation; None where no trial has one."""
        return protocol.best_trial(self.record)

    @property
    def space(self) -> Space:
        """The task's space."""
        return self.record.space

    def __repr__(self) -> str:
        each = self.record
        return f"Session {each.id}: {each.tuner} on {each.task.spec.plain_name}, {len(each.trials)} trials"


def session(session_id: int, db: str | None = None) -> Session:
    """The session with this number, as it is now. db: SQLAlchemy URL (default: the user's data directory).

    Test scores are not in it: looking at them is logged, so the pages and `evenhand study report` show them.

    Raises:
        NotFound: there is no such session.
    """
    lab = Lab.connect(db)
    try:
        return Session(lab.session(session_id))
    finally:
        lab.close()


def dataframe(session: records.Session) -> "DataFrame":
    """The session's trials as a table of pandas, one row a trial, indexed by its number.

    Columns: every hyperparameter by its name (missing where it was inactive), then `value` (the metric on validation), `outcome`
    ("open" for a trial that has not ended), `why`, `proposer`, `epochs` (completed, those before a resumption included),
    `seconds` (of training; missing while it is open), `explanation`, `resumes` (a trial's number), and further metrics. A column
    that would take a hyperparameter's name has an underscore behind its own.

    Raises:
        InvalidSettings: pandas is not installed.
    """
    try:
        pandas = import_module("pandas")
    except ImportError:
        raise InvalidSettings(
            "a table of trials needs pandas, which is not installed; pip install 'evenhand[notebook]'"
        ) from None
    names = session.space.names
    further = sorted({name for trial in session.trials for name in trial.extra})
    columns = {name: _dtype(session.space, name) for name in names}
    for fact in (*FACTS, *further):
        columns[_free(fact, columns)] = FACTS.get(fact, "float64")
    rows = [
        [
            *(trial.configuration.get(name) for name in names),
            *_facts(trial).values(),
            *(trial.extra.get(name) for name in further),
        ]
        for trial in session.trials
    ]
    index = pandas.Index([trial.number for trial in session.trials], name="number", dtype="int64")
    found: DataFrame = pandas.DataFrame(rows, index=index, columns=list(columns), dtype="object").astype(columns)
    return found


def _facts(trial: Trial) -> Mapping[str, Any]:
    """The values of `FACTS`, in their order."""
    ended = trial.finished_at is not None
    values = (
        trial.value,
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


def _free(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name
