"""A run's trials as a table of pandas, which is loaded only for that."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from evenhand.analysis.trial_frame import CellKind, columns_of, rows_of
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
