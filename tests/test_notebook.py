"""The live display: its numbers, then one output that a shell of IPython replaces, then a real notebook with a kernel."""

import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import evenhand
from evenhand import Choice, Condition, Configuration, Float, Hyperparameter, Integer, Run, Space
from evenhand.analysis.run_course import course_of
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
    def bests(of: Session) -> list[tuple[int, float]]:
        return [(point.number, point.value) for point in course_of(of).bests]

    tuned = session([None, 0.5, 0.25, None, 0.75])
    assert bests(tuned) == [(2, 0.5), (5, 0.75)]
    assert [(point.number, point.value) for point in course_of(tuned).points] == [(2, 0.5), (3, 0.25), (5, 0.75)]
    down = replace(tuned, task=replace(tuned.task, direction="minimize"))
    assert bests(down) == [(2, 0.5), (3, 0.25), (5, 0.25)]  # the last point says how far the run is
    assert course_of(session([])).points == ()
    many = course_of(session([float(number % 97) for number in range(400)]), most=50)
    assert many.is_thinned
    assert len(many.points) <= 50
    assert max(point.value for point in many.points) == 96.0


def test_the_curve_has_axes_and_marks_the_best() -> None:
    tuned = session([0.5, 0.25, 0.75, 0.6])
    drawn = notebook_display.curve(tuned, course_of(tuned))
    ys = [float(y) for y in re.findall(r"[,V]([\d.]+)", re.search(r'<g class="accent"><path d="([^"]+)"', drawn)[1])]  # type: ignore[index]
    assert ys[0] > ys[1]  # the larger value stands further up
    assert ys[1] == ys[2]
    best = re.search(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="4"', drawn)
    assert best is not None
    assert float(best[2]) == ys[1]
    assert "from 50.0\u202f% (trial 1) to 75.0\u202f% (trial 3)" in drawn
    words = re.findall(r"<text[^>]*>([^<]+)</text>", drawn)
    assert words[-2:] == ["trial", "accuracy"]
    assert [word for word in words if word.endswith("%")] == ["40.0\u202f%", "60.0\u202f%"]
    assert [word for word in words if word.isdecimal()] == ["1", "2", "3", "4"]
    flat = session([0.5, 0.5])
    assert "NaN" not in notebook_display.curve(flat, course_of(flat))


def test_the_page_says_how_it_stands_and_escapes_what_others_wrote() -> None:
    tuned = session([0.5, 0.75, None])
    broken = replace(tuned.trials[2], outcome=Outcome.INVALID, why="Traceback\nValueError: <b>no</b>")
    tuned = replace(tuned, trials=(*tuned.trials[:2], broken), choice=None)
    page = notebook_display.page(tuned, 10.0)
    assert "trial 3 of 20, best accuracy 75.0\u202f% (trial 2)" in page
    assert "1 without a result, the last: ValueError: &lt;b&gt;no&lt;/b&gt;" in page
    rows = re.findall(r'<td class="number">(\d+)</td><td class="number">([^<]+)</td>', page)
    assert rows == [("2", "75.0\u202f%"), ("1", "50.0\u202f%")]


@pytest.mark.slow
def test_what_one_holds_shows_itself_with_one_style_and_no_script(tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    space = Space(
        [
            Hyperparameter("kind", Choice(("<i>a</i>", "b")), "b", help="<script>alert(1)</script>"),
            Hyperparameter("x", Float(1e-3, 1, log=True), condition=Condition("kind", ("b",))),
        ]
    )
    result = evenhand.tune(
        lambda c: c.number("x"), space, direction="maximize", trials=4, db=db, progress=False, name="a <b>name</b>"
    )
    trial = result.best
    assert trial is not None
    shown = {
        "result": result._repr_html_(),
        "session": evenhand.session("a <b>name</b>", db)._repr_html_(),
        "trial": trial._repr_html_(),
        "space": space._repr_html_(),
    }
    for text in shown.values():
        assert text.count("<style>") == 1
        assert "<script" not in text
        assert "http" not in text.replace("http://www.w3.org", "")
        assert "<b>name" not in text
        assert "<i>a" not in text
        rules = re.findall(r"([^{}]+)\{", text[text.index("<style>") + 7 : text.index("</style>")])
        assert all(rule.startswith((".evenhand-view", "@media (prefers-color-scheme:dark)")) for rule in rules), rules
        assert all(part.strip().startswith(".evenhand-view") for rule in rules if rule[0] == "." for part in rule.split(","))
        assert "background:#" not in text
    assert "chosen, trial" in shown["result"]
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown["space"]
    assert "0.001 to 1" in shown["space"]
    assert f"Trial {trial.number}" in shown["trial"]
    assert len(shown["session"]) < 20_000


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
