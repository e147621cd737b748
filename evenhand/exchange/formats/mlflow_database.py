"""MLflow's tracking store in a database: SQLite, PostgreSQL or MySQL."""

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from evenhand.exchange.formats.base import ForeignRun, Source, Wanted
from evenhand.exchange.formats.mlflow_runs import Logged, MlflowRun, run_of
from evenhand.lab.places import ForeignDatabase, Within

NAME = "mlflow-database"
WORDS = "a tracking store of MLflow's in SQLite, PostgreSQL or MySQL"
TABLES = frozenset(("experiments", "runs", "metrics", "params", "tags", "latest_metrics"))
ENDLESS = 1.7976931348623157e308  # which MLflow stores for what is infinite
ACTIVE = "active"  # what is not deleted


def holds(source: Source) -> bool:
    """Whether it is such a store."""
    return source.is_database and source.database.tables >= TABLES


def names(source: Source) -> list[str]:
    """The experiments in it that have a run."""
    return [name for id_, name in _experiments(source.database) if _runs(source.database, id_)]


def read(source: Source, name: str, wanted: Wanted) -> ForeignRun:
    """One of its experiments."""
    database = source.database
    experiment_id = next(id_ for id_, known in _experiments(database) if known == name)
    runs = _runs(database, experiment_id)
    within = Within("run_uuid", "runs", {"experiment_id": experiment_id, "lifecycle_stage": ACTIVE})
    for run_id, key, text in database.rows("params", ["run_uuid", "key", "value"], within=within, order=["run_uuid", "key"]):
        runs[run_id].parameters[key] = text
    for run_id, key, text in database.rows("tags", ["run_uuid", "key", "value"], within=within, order=["run_uuid", "key"]):
        runs[run_id].tags[key] = text
    columns = ["run_uuid", "key", "value", "is_nan"]
    for run_id, key, value, is_nan in database.rows("latest_metrics", columns, within=within, order=["run_uuid", "key"]):
        runs[run_id].last[key] = _number(value, is_nan)
    return run_of(source.shown, name, NAME, list(runs.values()), lambda: _logged(database, within), wanted)


def _experiments(database: ForeignDatabase) -> list[Sequence[Any]]:
    rows = database.rows("experiments", ["experiment_id", "name"], where={"lifecycle_stage": ACTIVE}, order=["experiment_id"])
    return list(rows)


def _runs(database: ForeignDatabase, experiment_id: object) -> dict[str, MlflowRun]:
    columns = ["run_uuid", "name", "status", "start_time", "end_time"]
    where = {"experiment_id": experiment_id, "lifecycle_stage": ACTIVE}
    rows = database.rows("runs", columns, where=where, order=["start_time", "run_uuid"])
    return {row[0]: MlflowRun(row[0], row[1] or "", row[2], row[3], row[4]) for row in rows}


def _logged(database: ForeignDatabase, within: Within) -> Iterator[tuple[str, Sequence[Logged]]]:
    columns = ["run_uuid", "step", "timestamp", "key", "value", "is_nan"]
    rows = database.rows("metrics", columns, within=within, order=["run_uuid"])
    for run_id, some in groupby(rows, key=lambda row: str(row[0])):
        yield run_id, [Logged(row[1], row[2], row[3], _number(row[4], row[5])) for row in some]


def _number(value: float, is_nan: bool) -> float:
    if is_nan:
        return math.nan
    return math.copysign(math.inf, value) if abs(value) >= ENDLESS else value
