"""In Python: what is believed beforehand, stopping rules, and a session's trials as a table."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import evenhand
from evenhand import Choice, Condition, Configuration, Float, Hyperparameter, Integer, Prior, Run, Space
from evenhand.errors import InvalidSettings, InvalidSpace, NotFound
from evenhand.lab import Lab
from evenhand.records import Stopper

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


def test_what_is_believed_is_recorded_before_the_clock_starts_and_used(db: str) -> None:
    priors = {"x": Prior(0.5, "high")}
    result = evenhand.tune(
        hill, LINE, direction="maximize", method="pibo", priors=priors, trials=3, db=db, progress=False, evaluate=False
    )
    (believed,) = result.session.interventions
    assert (believed.kind, believed.who) == ("believes", "evenhand.tune")
    assert believed.detail["x"]["value"] == 0.5
    assert result.session.started_at is not None
    assert believed.at <= result.session.started_at
    assert not result.session.is_joint
    assert result.trials[0].configuration["x"] == 0.5
    assert "from your prior" in result.trials[0].explanation


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ({"y": Prior(0.5)}, "there is no hyperparameter 'y'; expected one of x"),
        ({"x": Prior(5.0)}, "5.0 is not a number from -1 to 1"),
        ({"x": Prior(0.5, "sure")}, "confidence 'sure', expected low, medium or high"),  # type: ignore[arg-type]
        ({"x": 0.5}, "expected a Prior"),
    ],
)
def test_a_wrong_prior_is_answered_before_anything_is_stored(db: str, priors: dict[str, Prior], message: str) -> None:
    with pytest.raises(InvalidSpace, match=message):
        evenhand.tune(hill, LINE, direction="maximize", method="pibo", priors=priors, trials=3, db=db, progress=False)
    assert not Path(db.removeprefix("sqlite:///")).exists()


def test_a_stopping_rule_passes_through(db: str) -> None:
    space = Space([*LINE, Hyperparameter("epochs", Integer(1, 8), fidelity=True)])

    def slow(configuration: Configuration, run: Run) -> None:
        for epoch in range(1, 9):
            run.report(epoch=epoch, value=hill(configuration))
            time.sleep(0.1)  # what was measured is looked at five times a second

    settings: dict[str, Any] = {"stopping": "median", "epochs_per_trial": 8, "trials": 12}
    result = evenhand.tune(slow, space, direction="maximize", db=db, progress=False, evaluate=False, **settings)
    assert result.session.method["stopping"] == "median"
    ended = [trial for trial in result.trials if trial.stop_by is Stopper.RULE]
    assert ended
    assert all("median" in (trial.why or "") for trial in ended)
    with pytest.raises(InvalidSettings, match="average"):
        evenhand.tune(slow, space, direction="maximize", trials=2, stopping="average", db=db, progress=False)


def test_trials_as_a_table(db: str) -> None:
    pandas = pytest.importorskip("pandas")
    result = evenhand.tune(
        mixed, MIXED, metric="score", direction="maximize", method="sobol", trials=16, db=db, progress=False, evaluate=False
    )
    table = result.dataframe()
    own = ["value_", "outcome", "why", "proposer", "epochs_", "seconds", "explanation", "resumes"]
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
    assert repr(stored) == f"Session {result.session_id}: sobol on test_frames.py:mixed, 16 trials"


def test_a_session_that_is_not_there(db: str) -> None:
    Lab.connect(db).close()
    with pytest.raises(NotFound):
        evenhand.session(7, db)


def test_without_pandas_the_error_says_what_to_install(db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = evenhand.tune(hill, LINE, direction="maximize", trials=1, db=db, progress=False, evaluate=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InvalidSettings, match=r"pip install 'evenhand\[notebook\]'"):
        result.dataframe()


def test_pandas_is_not_loaded_before_a_table_is_asked_for() -> None:
    code = "import sys, evenhand; evenhand.tune, evenhand.session; sys.exit('pandas' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
