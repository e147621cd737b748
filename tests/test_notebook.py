"""The live display: its numbers, then one output that a shell of IPython replaces, then a real notebook with a kernel."""

import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import evenhand
from evenhand import Configuration, Float, Hyperparameter, Integer, Run, Space
from evenhand.experiments import notebook as notebook_display
from evenhand.model.session import Session
from evenhand.model.trial import Outcome
from tests import archives
from tests.components import need
from tests.waiting import wait_for

LINE = Space([Hyperparameter("x", Float(-1, 1))])
SLOW = Space([*LINE, Hyperparameter("epochs", Integer(3, 3), fidelity=True)])
CELL = """
import evenhand
from evenhand import Float, Hyperparameter, Space
from tests.components import need
from tests.components import need

space = Space([Hyperparameter("x", Float(-1, 1))])
result = evenhand.tune(lambda c: 1 - c["x"] ** 2, space, direction="maximize", trials=6, evaluate=False)
"""


def session(values: list[float | None]) -> Session:
    return archives.archive([archives.Person(values=values)]).sessions[0]


def test_the_best_so_far_counts_only_trials_that_ended_with_a_value() -> None:
    tuned = session([None, 0.5, 0.25, None, 0.75])
    assert notebook_display.steps_of(tuned) == [(2, 0.5), (3, 0.5), (4, 0.5), (5, 0.75)]
    down = replace(tuned, task=replace(tuned.task, direction="minimize"))
    assert notebook_display.steps_of(down) == [(2, 0.5), (3, 0.25), (4, 0.25), (5, 0.25)]
    assert notebook_display.steps_of(session([])) == []


def test_the_curve_rises_from_the_first_value_to_the_best() -> None:
    tuned = session([0.5, 0.25, 0.75])
    drawn = notebook_display.curve(tuned, notebook_display.steps_of(tuned))
    ys = [float(y) for y in re.findall(r"[,V]([\d.]+)", re.search(r'd="([^"]+)"', drawn)[1])]  # type: ignore[index]
    assert ys == [112.0, 112.0, 8.0]
    assert "from 50.0\u202f% (trial 1) to 75.0\u202f% (trial 3)" in drawn
    flat = session([0.5, 0.5])
    assert "NaN" not in notebook_display.curve(flat, notebook_display.steps_of(flat))


def test_the_page_says_how_it_stands_and_escapes_what_others_wrote() -> None:
    tuned = session([0.5, 0.75, None])
    broken = replace(tuned.trials[2], outcome=Outcome.INVALID, why="Traceback\nValueError: <b>no</b>")
    tuned = replace(tuned, trials=(*tuned.trials[:2], broken), choice=None)
    page = notebook_display.page(tuned, 10.0)
    assert "trial 3 of 20, best accuracy 75.0\u202f% (trial 2)" in page
    assert "1 without a result, the last: ValueError: &lt;b&gt;no&lt;/b&gt;" in page
    rows = re.findall(r"<tr><td>(\d+)</td><td>([^<]+)</td>", page)
    assert rows == [("2", "75.0\u202f%"), ("1", "50.0\u202f%")]


@pytest.mark.slow
def test_in_ipython_one_output_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("notebook")
    from IPython.core import interactiveshell as shells

    shell = shells.InteractiveShell.instance()
    published: list[dict[str, Any]] = []
    monkeypatch.setattr(shell.display_pub, "publish", lambda data, **rest: published.append({"data": data, **rest}))
    monkeypatch.setattr(notebook_display, "UPDATE_SECONDS", 0.0)

    def moving() -> bool:
        return any("training: epoch 2 of 3" in message["data"]["text/html"] for message in published)

    def watched(configuration: Configuration, run: Run) -> None:
        for epoch in (1, 2, 3):
            run.report(epoch=epoch, value=configuration.number("x"))
            wait_for(moving, "it moves while a trial trains")

    try:
        assert notebook_display.in_notebook()
        db = f"sqlite:///{tmp_path / 'lab.sqlite'}"
        evenhand.tune(lambda c: c["x"], LINE, direction="maximize", trials=4, db=db, evaluate=False)
        count = len(published)
        evenhand.tune(watched, SLOW, direction="maximize", trials=1, db=db, evaluate=False)
    finally:
        shells.InteractiveShell.clear_instance()
    assert moving()
    del published[count:]
    assert len({message["transient"]["display_id"] for message in published}) == 1
    assert [bool(message.get("update")) for message in published] == [False, *[True] * (len(published) - 1)]
    assert len(published) >= 5
    assert "trial 4 of 4" in published[-1]["data"]["text/html"]
    assert "<svg" in published[-1]["data"]["text/html"]


@pytest.mark.slow
def test_in_a_notebook_one_output_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need("notebook")
    nbclient, formats = (import_module(name) for name in ("nbclient", "nbformat"))
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    notebook = formats.v4.new_notebook(cells=[formats.v4.new_code_cell(CELL), formats.v4.new_code_cell("print(result)")])
    nbclient.NotebookClient(notebook, timeout=None, kernel_name="python3").execute()
    (shown,) = notebook.cells[0].outputs
    assert shown.output_type == "display_data"
    assert "trial 6 of 6" in shown.data["text/html"]
    assert "<p>On validation trial " in shown.data["text/html"]
    assert "Result of session 1: random, 6 trials (6 completed)" in notebook.cells[1].outputs[0].text
