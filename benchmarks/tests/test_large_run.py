"""The benchmark of large runs: the dashboard gets the same trials, and a visit measures what is there."""

import sqlite3
from pathlib import Path

import optuna
import pytest
from playwright.sync_api import Browser

from benchmarks import large_run, made_runs
from benchmarks.sides import dashboard_storage
from evenhand.lab.lab import Lab
from evenhand.model.trial import Outcome

TRIALS = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("large")
    large_run.prepare(made, TRIALS, None)
    return made


@pytest.mark.slow
def test_the_dashboard_gets_the_same_trials(folder: Path) -> None:
    storage = f"sqlite:///{folder / 'optuna.sqlite'}"
    optuna.create_study(storage=storage, study_name=dashboard_storage.STUDY, direction="maximize")
    with sqlite3.connect(folder / "lab.sqlite") as source, sqlite3.connect(folder / "optuna.sqlite") as target:
        assert dashboard_storage.write(source, target) == TRIALS
    theirs = optuna.load_study(storage=storage, study_name=dashboard_storage.STUDY).trials
    lab = Lab.connect(f"sqlite:///{folder / 'lab.sqlite'}")
    ours = lab.sessions.get(1).trials
    curves = [lab.curve(1, trial.number).measurements for trial in ours]
    lab.close()
    assert [trial.params for trial in theirs] == [dict(trial.configuration) for trial in ours]
    assert [trial.number + 1 for trial in theirs] == [trial.number for trial in ours]
    assert [trial.state.name for trial in theirs] == [dashboard_storage.STATES[str(trial.outcome)] for trial in ours]
    valued = {Outcome.COMPLETED, Outcome.STOPPED}
    assert [trial.value for trial in theirs] == [trial.value if trial.outcome in valued else None for trial in ours]
    reports = [{measurement.epoch: measurement.value for measurement in curve} for curve in curves]
    assert [trial.intermediate_values for trial in theirs] == reports
    assert made_runs.EPOCHS == 20


@pytest.mark.slow
def test_a_visit_measures_what_is_there(folder: Path, browser: Browser) -> None:
    by_name = {case.name: case for case in large_run.cases(TRIALS, 1)}
    with large_run.served("ours", folder, None) as server:
        explore = large_run.visit(browser, by_name["explore"], server)
    assert explore.problem == ""
    assert explore.first_paint is not None
    assert explore.complete is not None
    assert explore.brush_median is not None
    assert explore.brush_95 is not None
    assert 0 < explore.brush_median <= explore.brush_95
    assert explore.scroll_frames is None
    assert explore.server_mib > 0
    assert large_run.words(explore).startswith("explore: first paint ")
