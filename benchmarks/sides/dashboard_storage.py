"""Writes a made run, from our SQLite file, as an Optuna storage in SQLite: the same trials, values and reports, row by row.

Run by the Python that optuna-dashboard is installed for: it needs Optuna and nothing of ours. Optuna makes the tables; the rows
are written by SQL, since its own way takes hours for a million reports. What diverged or was invalid has failed, what was stopped
is pruned; epochs are steps.
"""

import argparse
import json
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json

STUDY = "large run"
STATES = {"completed": "COMPLETE", "stopped": "PRUNED", "diverged": "FAIL", "invalid": "FAIL"}
ROWS_AT_ONCE = 50_000


def distribution(domain: Mapping[str, Any]) -> str:
    """A hyperparameter's domain, as our tasks record it, in Optuna's JSON."""
    if domain["type"] == "choice":
        return distribution_to_json(CategoricalDistribution(domain["options"]))
    kind = FloatDistribution if domain["type"] == "float" else IntDistribution
    return distribution_to_json(kind(domain["low"], domain["high"], log=domain["log"]))


def parameters(space: Mapping[str, Any], trials: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str, float, str]]:
    """Rows of parameters: a choice is stored as its place."""
    domains = {entry["name"]: entry["domain"] for entry in space["hyperparameters"]}
    written = {name: distribution(domain) for name, domain in domains.items()}
    places = {
        name: {json.dumps(option): place for place, option in enumerate(domain["options"])}
        for name, domain in domains.items()
        if domain["type"] == "choice"
    }
    for trial_id, configuration in trials:
        for name, value in json.loads(configuration).items():
            yield trial_id, name, places[name][json.dumps(value)] if name in places else value, written[name]


def moment(seconds: float) -> str:
    """A time as Optuna stores it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def write(source: sqlite3.Connection, target: sqlite3.Connection) -> int:
    """Write all trials of the only session; how many."""
    space = json.loads(source.execute("SELECT space FROM task").fetchone()[0])
    rows = source.execute(
        "SELECT trial.id, number, outcome, claimed_at, job.finished_at FROM trial JOIN job ON job.trial_id = trial.id "
        "ORDER BY number"
    ).fetchall()
    target.executemany(
        "INSERT INTO trials (trial_id, number, study_id, state, datetime_start, datetime_complete) VALUES (?, ?, 1, ?, ?, ?)",
        ((row[0], row[1] - 1, STATES[row[2]], moment(row[3]), moment(row[4])) for row in rows),
    )
    trials = source.execute("SELECT id, configuration FROM trial")
    target.executemany(
        "INSERT INTO trial_params (trial_id, param_name, param_value, distribution_json) VALUES (?, ?, ?, ?)",
        parameters(space, trials),
    )
    reports = source.execute(
        "SELECT trial_id, epoch, value FROM measurement JOIN job ON job.id = job_id ORDER BY trial_id, epoch"
    )
    while batch := reports.fetchmany(ROWS_AT_ONCE):
        target.executemany(
            "INSERT INTO trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type) "
            "VALUES (?, ?, ?, 'FINITE')",
            batch,
        )
    ended = source.execute(
        "SELECT trial_id, value FROM measurement JOIN job ON job.id = job_id "
        "WHERE outcome IN ('completed', 'stopped') "
        "AND epoch = (SELECT max(epoch) FROM measurement last WHERE last.job_id = job.id)"
    )
    target.executemany("INSERT INTO trial_values (trial_id, objective, value, value_type) VALUES (?, 0, ?, 'FINITE')", ended)
    target.commit()
    return len(rows)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ours", help="the SQLite file of our laboratory, with one session")
    parser.add_argument("storage", help="the SQLite file to write")
    wishes = parser.parse_args()
    optuna.create_study(storage=f"sqlite:///{wishes.storage}", study_name=STUDY, direction="maximize")
    with sqlite3.connect(wishes.ours) as source, sqlite3.connect(wishes.storage) as target:
        count = write(source, target)
    study = optuna.load_study(storage=f"sqlite:///{wishes.storage}", study_name=STUDY)
    assert len(study.get_trials(deepcopy=False)) == count
    print(json.dumps({"trials": count, "best": study.best_value, "number": study.best_trial.number}))


if __name__ == "__main__":
    main()
