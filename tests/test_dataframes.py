"""A stored session for analysis in Python: its trials as a table, its best trial, its space."""

import subprocess
import sys
from pathlib import Path

import pytest

import evenhand
from evenhand import Choice, Condition, Configuration, Float, Hyperparameter, Integer, Run, Space
from evenhand.errors import NotFound, PackageMissing
from evenhand.lab.lab import Lab
from tests.components import need

LINE = Space([Hyperparameter("x", Float(-1, 1))])
MIXED = Space(
    [
        Hyperparameter("kind", Choice(("plain", "sharp"))),
        Hyperparameter("value", Float(0, 1)),  # called like one of the table's own columns
        Hyperparameter("depth", Integer(1, 9), condition=Condition("kind", ("sharp",))),
        Hyperparameter("epochs", Integer(1, 3), fidelity=True),
    ]
)


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


def hill(configuration: Configuration) -> float:
    return 1 - configuration.number("x") ** 2


def mixed(configuration: Configuration, run: Run) -> None:
    if configuration["kind"] == "sharp" and configuration["depth"] == 1:
        raise ValueError("too flat")
    for epoch in range(1, int(configuration["epochs"]) + 1):
        run.report(epoch=epoch, score=configuration.number("value") * epoch, f1=0.25)


@pytest.mark.slow
def test_trials_as_a_table(db: str) -> None:
    pandas = need("pandas")
    result = evenhand.tune(
        mixed, MIXED, metric="score", direction="maximize", method="sobol", trials=16, db=db, progress=False, evaluate=False
    )
    table = result.dataframe()
    own = ["value_", "value_epoch", "outcome", "why", "proposer", "epochs_", "seconds", "explanation", "resumes"]
    assert list(table.columns) == ["kind", "value", "depth", "epochs", *own, "f1"]
    assert list(table.index) == list(range(1, 17))
    for trial in result.trials:
        row = table.loc[trial.number]
        assert row["kind"] == trial.configuration["kind"]
        assert row["value"] == trial.configuration["value"]
        assert pandas.isna(row["depth"]) == (trial.configuration["kind"] == "plain")
        assert (row["value_"] == trial.value) or (pandas.isna(row["value_"]) and trial.value is None)
        assert row["outcome"] == trial.outcome
        assert row["epochs_"] == trial.epochs_done
        assert trial.finished_at is not None
        assert trial.claimed_at is not None
        assert row["seconds"] == pytest.approx(trial.finished_at - trial.claimed_at)
        assert (row["explanation"], row["proposer"]) == (trial.explanation, "sobol")
    assert {"completed", "invalid"} == set(table["outcome"])
    assert table.loc[table["outcome"] == "invalid", "why"].str.endswith("ValueError: too flat").all()
    assert table.loc[table["outcome"] == "completed", "f1"].eq(0.25).all()
    assert str(table["depth"].dtype) == "Int64"

    stored = evenhand.session(result.session_id, db)
    pandas.testing.assert_frame_equal(stored.trials, table)
    assert stored.best == result.best
    assert stored.space == MIXED
    assert repr(stored) == f"Session {result.session_id}: sobol on test_dataframes.py:mixed, 16 trials"


def test_a_session_that_is_not_there(db: str) -> None:
    Lab.connect(db).close()
    with pytest.raises(NotFound):
        evenhand.session(7, db)


def test_without_pandas_the_error_says_what_to_install(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = evenhand.tune(hill, LINE, direction="maximize", trials=1, db=db, progress=False, evaluate=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(PackageMissing, match=r"pip install 'evenhand\[notebook\]'"):
        result.dataframe()


@pytest.mark.slow
def test_pandas_is_not_loaded_before_a_table_is_asked_for() -> None:
    code = "import sys, evenhand; evenhand.tune, evenhand.session; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
