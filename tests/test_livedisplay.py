"""The live display: its numbers, then one output that a shell of IPython replaces, then a real notebook with a kernel."""

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import evenhand
from evenhand import Configuration, Float, Hyperparameter, Integer, Run, Space, livedisplay
from evenhand.records import Outcome, Session
from tests import archives

LINE = Space([Hyperparameter("x", Float(-1, 1))])
SLOW = Space([*LINE, Hyperparameter("epochs", Integer(3, 3), fidelity=True)])
CELL = """
import evenhand
from evenhand import Float, Hyperparameter, Space

space = Space([Hyperparameter("x", Float(-1, 1))])
result = evenhand.tune(lambda c: 1 - c["x"] ** 2, space, direction="maximize", trials=6, evaluate=False)
"""


def slow(configuration: Configuration, run: Run) -> None:
    for epoch in (1, 2, 3):
        run.report(epoch=epoch, value=configuration.number("x"))
        time.sleep(0.5)


def session(values: list[float | None]) -> Session:
    return archives.archive([archives.Person(values=values)]).sessions[0]


def test_the_best_so_far_counts_only_trials_that_ended_with_a_value() -> None:
    found = session([None, 0.5, 0.25, None, 0.75])
    assert livedisplay.best_so_far(found) == [(2, 0.5), (3, 0.5), (4, 0.5), (5, 0.75)]
    down = replace(found, task=replace(found.task, direction="minimize"))
    assert livedisplay.best_so_far(down) == [(2, 0.5), (3, 0.25), (4, 0.25), (5, 0.25)]
    assert livedisplay.best_so_far(session([])) == []


def test_the_curve_rises_from_the_first_value_to_the_best() -> None:
    found = session([0.5, 0.25, 0.75])
    drawn = livedisplay.curve(found, livedisplay.best_so_far(found))
    ys = [float(y) for y in re.findall(r"[,V]([\d.]+)", re.search(r'd="([^"]+)"', drawn)[1])]  # type: ignore[index]
    assert ys == [112.0, 112.0, 8.0]
    assert "from 50.0\u202f% (trial 1) to 75.0\u202f% (trial 3)" in drawn
    flat = session([0.5, 0.5])
    assert "NaN" not in livedisplay.curve(flat, livedisplay.best_so_far(flat))


def test_the_page_says_how_it_stands_and_escapes_what_others_wrote() -> None:
    found = session([0.5, 0.75, None])
    broken = replace(found.trials[2], outcome=Outcome.INVALID, why="Traceback\nValueError: <b>no</b>")
    found = replace(found, trials=(*found.trials[:2], broken), choice=None)
    told = livedisplay.page(found, 10.0)
    assert "trial 3 of 20, best accuracy 75.0\u202f% (trial 2)" in told
    assert "1 without a result, the last: ValueError: &lt;b&gt;no&lt;/b&gt;" in told
    rows = re.findall(r"<tr><td>(\d+)</td><td>([^<]+)</td>", told)
    assert rows == [("2", "75.0\u202f%"), ("1", "50.0\u202f%")]


def test_a_terminal_keeps_its_progress_bar(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not livedisplay.in_notebook()
    db = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    evenhand.tune(lambda c: c["x"], LINE, direction="maximize", trials=1, db=db, evaluate=False)
    assert "1 trials" in capsys.readouterr().err


def test_in_ipython_one_output_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shells = pytest.importorskip("IPython.core.interactiveshell")
    shell = shells.InteractiveShell.instance()
    published: list[dict[str, Any]] = []
    monkeypatch.setattr(shell.display_pub, "publish", lambda data, **rest: published.append({"data": data, **rest}))
    monkeypatch.setattr(livedisplay, "EVERY", 0.0)
    try:
        assert livedisplay.in_notebook()
        db = f"sqlite:///{tmp_path / 'lab.sqlite'}"
        evenhand.tune(lambda c: c["x"], LINE, direction="maximize", trials=4, db=db, evaluate=False)
        count = len(published)
        evenhand.tune(slow, SLOW, direction="maximize", trials=1, db=db, evaluate=False)
    finally:
        shells.InteractiveShell.clear_instance()
    later, published = published[count:], published[:count]
    assert any("training: epoch 1 of 3" in each["data"]["text/html"] for each in later), "it moves while a trial trains"
    assert len({each["transient"]["display_id"] for each in published}) == 1
    assert [bool(each.get("update")) for each in published] == [False, *[True] * (len(published) - 1)]
    assert len(published) >= 5
    assert "trial 4 of 4" in published[-1]["data"]["text/html"]
    assert "<svg" in published[-1]["data"]["text/html"]


def test_in_a_notebook_one_output_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ipykernel")
    nbclient, formats = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    notebook = formats.v4.new_notebook(cells=[formats.v4.new_code_cell(CELL), formats.v4.new_code_cell("print(result)")])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (shown,) = notebook.cells[0].outputs
    assert shown.output_type == "display_data"
    assert "trial 6 of 6" in shown.data["text/html"]
    assert "Result of session 1: random, 6 trials (6 completed)" in notebook.cells[1].outputs[0].text
