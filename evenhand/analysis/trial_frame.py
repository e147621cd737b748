"""A run's trials as one table: a row a trial, a column a hyperparameter, a fact, or a further metric.

pandas' tables, CSV and Parquet hold it (`experiments.dataframes`, `exchange.trial_tables`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evenhand.model.domain import Choice, Float
from evenhand.model.session import Session
from evenhand.model.space import Space
from evenhand.model.trial import Trial
from evenhand.model.words import free_name

CellKind = Literal["number", "integer", "truth", "text", "value"]  # value: of a choice with options of several types

FACTS: Mapping[str, CellKind] = {  # the columns of a trial's facts
    "value": "number",
    "value_epoch": "integer",
    "outcome": "text",
    "why": "text",
    "proposer": "text",
    "epochs": "integer",
    "seconds": "number",
    "explanation": "text",
    "resumes": "integer",
}


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column: its name, and what its cells hold where they are not None."""

    name: str
    kind: CellKind


def columns_of(session: Session) -> tuple[TableColumn, ...]:
    """The columns: every hyperparameter by its name, the trial's facts, further metrics.

    A column that would take a hyperparameter's name has an underscore behind its own.
    """
    made = {name: _kind(session.space, name) for name in session.space.names}
    for fact in (*FACTS, *_further(session)):
        made[free_name(fact, made)] = FACTS.get(fact, "number")
    return tuple(TableColumn(name, kind) for name, kind in made.items())


def rows_of(session: Session) -> Iterator[Sequence[Any]]:
    """A row a trial, in order, with a cell a column of `columns_of`; None where there is nothing."""
    names, further = session.space.names, _further(session)
    for trial in session.trials:
        yield [
            *(trial.configuration.get(name) for name in names),
            *_facts(trial),
            *(trial.extra.get(name) for name in further),
        ]


def _further(session: Session) -> list[str]:
    return sorted({name for trial in session.trials for name in trial.extra})


def _facts(trial: Trial) -> tuple[Any, ...]:
    """The values of `FACTS`, in their order."""
    return (
        trial.value,
        trial.value_epoch,
        str(trial.outcome or "open"),
        trial.why,
        trial.proposer,
        trial.epochs_done,
        None if trial.finished_at is None else trial.seconds(trial.finished_at),
        trial.explanation,
        trial.resumes,
    )


def _kind(space: Space, name: str) -> CellKind:
    domain = space[name].domain
    if not isinstance(domain, Choice):
        return "number" if isinstance(domain, Float) else "integer"
    types = {type(option) for option in domain.options if option is not None}
    kinds: dict[frozenset[type], CellKind] = {
        frozenset({str}): "text",
        frozenset({bool}): "truth",
        frozenset({int}): "integer",
        frozenset({float}): "number",
    }
    return kinds.get(frozenset(types), "value")
