"""Optuna's storage in a database: SQLite, PostgreSQL or MySQL, its tables read in bulk.

Optuna itself makes an object of each trial with all that it reported: of 50,000 trials with 20 reports each in 54 seconds of a
processor and 3.3 GB of memory, where this takes 7 and 0.3 (docs/opening.md). The tables are those of Optuna 3 to 5.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from optuna.trial import TrialState

from evenhand.errors import InvalidSettings
from evenhand.exchange.formats.base import ForeignRun, Losses, Point, Source, Wanted
from evenhand.exchange.formats.optuna_study import OptunaStudy, OptunaTrial, distribution_of, run_of, seconds_of
from evenhand.lab.places import ForeignDatabase, Within

NAME = "optuna-database"
WORDS = "a storage of Optuna's in SQLite, PostgreSQL or MySQL"
TABLES = frozenset(("studies", "study_directions", "trials", "trial_params", "trial_values", "version_info"))
# What stands for a number that a database does not hold.
SPECIAL = {"INF_POS": math.inf, "INF_NEG": -math.inf, "NAN": math.nan}
UTC_SINCE = 5  # the version of Optuna from which on times are of UTC; before they were of the zone of who wrote them


def holds(source: Source) -> bool:
    """Whether it is such a storage."""
    return source.is_database and source.database.tables >= TABLES


def names(source: Source) -> list[str]:
    """The studies in it."""
    return [name for _, name in _studies(source.database)]


def read(source: Source, name: str, wanted: Wanted) -> ForeignRun:
    """One of its studies."""
    database = source.database
    _check_tables(source)
    study_id = next(id_ for id_, known in _studies(database) if known == name)
    mine, losses = {"study_id": study_id}, Losses()
    directions = [
        str(way).lower() for (way,) in database.rows("study_directions", ["direction"], where=mine, order=["objective"])
    ]
    study = OptunaStudy(
        name,
        directions,
        _attributes(database.rows("study_user_attributes", ["key", "value_json"], where=mine)),
        _attributes(database.rows("study_system_attributes", ["key", "value_json"], where=mine)),
    )
    trials = _trials(database, study_id, _are_utc(database, losses))
    study.trials = list(trials.values())
    numbers = {trial_id: trial.number + 1 for trial_id, trial in trials.items() if trial.state.is_finished()}
    study.curves = lambda: _curves(database, study_id, numbers)
    return run_of(study, NAME, wanted, losses)


def _check_tables(source: Source) -> None:
    if "value_type" not in source.database.columns("trial_values"):
        raise InvalidSettings(
            f"{source.text}: its tables are of a version of Optuna before 3.0; bring them up to date first, on a copy: "
            "optuna storage upgrade --storage URL"
        )


def _studies(database: ForeignDatabase) -> list[Sequence[Any]]:
    return list(database.rows("studies", ["study_id", "study_name"], order=["study_id"]))


def _attributes(rows: Iterator[Sequence[Any]]) -> dict[str, Any]:
    return {key: json.loads(text) for key, text in rows}


def _are_utc(database: ForeignDatabase, losses: Losses) -> bool:
    """Whether times are of UTC; where they are not it is noted whose they are taken for."""
    version = next((str(row[0]) for row in database.rows("version_info", ["library_version"])), "")
    major = version.partition(".")[0]
    if major.isdecimal() and int(major) >= UTC_SINCE:
        return True
    losses.note(f"Optuna {version} wrote times without their zone; they are taken to be of this machine's")
    return False


def _trials(database: ForeignDatabase, study_id: int, utc: bool) -> dict[int, OptunaTrial]:
    """The trials by their id in the storage, in order, without what they reported."""
    columns = ["trial_id", "number", "state", "datetime_start", "datetime_complete"]
    trials = {
        trial_id: OptunaTrial(
            place if number is None else number,
            TrialState[state],
            started=seconds_of(start, utc),
            ended=seconds_of(end, utc),
        )
        for place, (trial_id, number, state, start, end) in enumerate(
            database.rows("trials", columns, where={"study_id": study_id}, order=["trial_id"])
        )
    }
    within = Within("trial_id", "trials", {"study_id": study_id})
    columns = ["trial_id", "param_name", "param_value", "distribution_json"]
    for trial_id, name, code, text in database.rows("trial_params", columns, within=within, order=["param_id"]):
        trial = trials[trial_id]
        trial.codes[name], trial.distributions[name] = code, distribution_of(text)
    columns = ["trial_id", "value", "value_type"]
    for trial_id, value, kind in database.rows("trial_values", columns, within=within, order=["trial_id", "objective"]):
        trials[trial_id].values = [*(trials[trial_id].values or ()), SPECIAL.get(kind, value)]
    for table in ("trial_user_attributes", "trial_system_attributes"):
        for trial_id, key, text in database.rows(table, ["trial_id", "key", "value_json"], within=within):
            trial = trials[trial_id]
            (trial.user_attrs if table == "trial_user_attributes" else trial.system_attrs)[key] = json.loads(text)
    return trials


def _curves(database: ForeignDatabase, study_id: int, numbers: Mapping[int, int]) -> Iterator[tuple[int, Sequence[Point]]]:
    """What each of these trials reported. numbers: by their ids in the storage."""
    columns = ["trial_id", "step", "intermediate_value", "intermediate_value_type"]
    within = Within("trial_id", "trials", {"study_id": study_id})
    last = -1  # no trial has this id
    points: list[Point] = []
    for trial_id, step, value, kind in database.rows(
        "trial_intermediate_values", columns, within=within, order=["trial_id", "step"]
    ):
        if trial_id != last:
            if last in numbers:
                yield numbers[last], points
            last, points = trial_id, []
        points.append(Point(step, SPECIAL.get(kind, value)))
    if last in numbers:
        yield numbers[last], points
