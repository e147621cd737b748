"""What one holds of a run can do: tables, curves, charts, files, and what a paper needs."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

import evenhand
from evenhand import Choice, Configuration, Float, Result, Run, Space
from evenhand.errors import InvalidSettings, NotFound, PackageMissing
from evenhand.experiments import run_handle
from evenhand.model import extras
from tests.components import need

SPACE = Space({"x": Float(0, 1), "mixed": Choice((None, True, 3, "a", (1, 2))), "flag": [True, False]})


def rising(configuration: Configuration, run: Run) -> None:
    for epoch in range(1, 4):
        run.report(epoch=epoch, accuracy=configuration.number("x") * (1 - 0.5**epoch), speed=float(epoch))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    db = f"sqlite:///{tmp_path_factory.mktemp('handle') / 'lab.sqlite'}"
    return evenhand.tune(
        rising, SPACE, metric="accuracy", direction="maximize", trials=6, db=db, progress=False, name="rising", evaluate=False
    )


@pytest.fixture
def without_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_handle, "is_here", lambda module: False)


def test_a_table_without_pandas_is_a_list_of_dictionaries(result: Result, without_pandas: None) -> None:
    rows: Any = result.table()
    assert [row["number"] for row in rows] == [1, 2, 3, 4, 5, 6]
    for row, trial in zip(rows, result.trials, strict=True):
        assert row["x"] == trial.configuration["x"]
        assert row["mixed"] == trial.configuration["mixed"]
        assert (row["value"], row["outcome"], row["speed"]) == (trial.value, "completed", 3.0)


def test_curves_are_what_trials_reported(result: Result, without_pandas: None) -> None:
    rows: Any = result.curves([2])
    assert [(row["trial"], row["epoch"], row["speed"]) for row in rows] == [(2, 1, 1.0), (2, 2, 2.0), (2, 3, 3.0)]
    assert rows[-1]["accuracy"] == result.trials[1].value
    stored: Any = evenhand.session("rising", result.db).curves()
    assert len(stored) == 18
    with pytest.raises(NotFound, match="has no trial 9"):
        result.curves([9])


@pytest.mark.slow
def test_tables_and_curves_are_pandas_where_that_is_installed(result: Result) -> None:
    need("pandas")
    assert list(result.table().columns) == list(result.dataframe().columns)  # type: ignore[union-attr]
    assert result.curves().groupby("trial")["accuracy"].max().max() == result.best.value  # type: ignore[union-attr]


@pytest.mark.slow
def test_charts_are_altairs(result: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    need("report")
    course, curves = result.plot(), result.plot("curves")
    assert len(course.to_dict()["layer"]) == 2
    assert curves.to_dict()["layer"]
    with pytest.raises(InvalidSettings, match="plot: got 'history', expected 'course' or 'curves'"):
        result.plot("history")  # type: ignore[arg-type]
    monkeypatch.setattr(extras, "is_here", lambda module: False)
    with pytest.raises(PackageMissing, match=r"a chart needs altair, .* pip install 'evenhand\[report\]'"):
        result.plot()


def test_trials_are_exported_for_other_programs(result: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result.export(tmp_path / "trials.csv")
    with (tmp_path / "trials.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["number"]) for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [float(row["x"]) for row in rows] == [trial.configuration["x"] for trial in result.trials]  # every digit
    assert [float(row["value"]) for row in rows] == [trial.value for trial in result.trials]
    assert {row["flag"] for row in rows} <= {"true", "false"}
    mixed = {None: "", True: "true", 3: "3", "a": "a", (1, 2): "[1, 2]"}
    assert [row["mixed"] for row in rows] == [mixed[trial.configuration["mixed"]] for trial in result.trials]
    with pytest.raises(InvalidSettings, match=r"expected a file that ends in \.csv or \.parquet"):
        result.export(tmp_path / "trials.xlsx")
    with pytest.raises(InvalidSettings, match="cannot be written"):
        result.export(tmp_path / "nowhere" / "trials.csv")
    monkeypatch.setattr(extras, "is_here", lambda module: False)
    with pytest.raises(PackageMissing, match=r"a table in Parquet needs pyarrow, .* pip install 'evenhand\[report\]'"):
        result.export(tmp_path / "trials.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trials.csv"]


@pytest.mark.slow
def test_parquet_has_the_same_numbers(result: Result, tmp_path: Path) -> None:
    need("report")
    import pyarrow.parquet as parquet

    result.export(tmp_path / "trials.parquet")
    columns = parquet.read_table(tmp_path / "trials.parquet").to_pydict()
    assert columns["number"] == [1, 2, 3, 4, 5, 6]
    assert columns["x"] == [trial.configuration["x"] for trial in result.trials]
    assert columns["flag"] == [trial.configuration["flag"] for trial in result.trials]
    assert columns["value_epoch"] == [3] * 6


@pytest.mark.slow
def test_a_report_is_one_file_that_needs_nothing_else(result: Result, tmp_path: Path) -> None:
    need("report")
    result.report(tmp_path / "run.html")
    text = (tmp_path / "run.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 2
    assert "src=" not in text
    assert 'href="http' not in text
    assert " style=" not in text  # a policy admits its style and script by their hashes
    for title in ("What came out", "How it went", "What it cost, and who proposed", "For a paper"):
        assert f">{title}</h2>" in text
    with pytest.raises(InvalidSettings, match=r"expected a file that ends in \.html or \.pdf"):
        result.report(tmp_path / "run.doc")


def test_what_a_paper_needs_is_a_call(result: Result) -> None:
    text = result.methods_text()
    assert text.paragraph.startswith("We tuned 3 hyperparameters of test_run_handle.py:rising with random search")
    assert json.loads(text.json())["arguments"]["trials"] == 6
    row = result.latex_row()
    assert r"\toprule" in row
    assert r"test\_run\_handle.py:rising & random & 6 & " in row
    assert "(validation)" in row
    assert evenhand.session("rising", result.db).latex_row(2).splitlines()[-3].endswith(r"\,\% & 1 \\")


def test_another_trial_can_be_saved_and_runs_compared(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path / "second.json", trial=2)
    saved = json.loads((tmp_path / "second.json").read_text(encoding="utf-8"))
    assert saved["x"] == result.trials[1].configuration["x"]
    with pytest.raises(NotFound, match="has no trial 70"):
        result.save(tmp_path / "no.json", trial=70)
    other = evenhand.tune(
        rising, SPACE, metric="accuracy", direction="maximize", trials=3, seed=1, db=result.db, progress=False, evaluate=False
    )
    compared = result.compare(other)
    assert [column.trials for column in compared.columns] == [6, 3]
    assert compared.columns[0].best_at_common == max(trial.value or 0.0 for trial in result.trials[:3])
    assert compared.warnings[0].startswith("Unequal effort in trials: rising 6 trials, #")
