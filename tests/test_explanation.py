"""Explanations by every door but the pages: a table, a file, a run, the command line; and pictures of their numbers."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evenhand
from evenhand.errors import InvalidSettings
from evenhand.explain import EXPLANATIONS, Card, History
from evenhand.explain.explained import explained
from evenhand.model.domain import Choice, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.trial import Outcome, Trial
from evenhand.report import figures as reports
from evenhand.report import page
from evenhand.report.cards import figures
from evenhand.report.cards.pictures import MOST_MARKS, Curves, Picture, picture, table
from evenhand.report.cards.report import cards_report
from evenhand.report.cards.svg import svg
from tests.components import need
from tests.histories import drawn
from tests.test_explain_people import evaluated, shared


def rows(count: int = 40) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "rate": float(f"{10 ** rng.uniform(-4, -1):.4g}"),
            "optimizer": str(rng.choice(["adam", "sgd"])),
            "accuracy": float(f"{rng.normal(0.8, 0.01):.4f}"),
        }
        for _ in range(count)
    ]


def command(*arguments: str, expect: int = 0) -> str:
    done = subprocess.run([sys.executable, "-m", "evenhand.cli.main", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stderr if expect else done.stdout


# Pictures and tables


def card(key: str, history: Any) -> Card:
    return next(explained(history, [key]))


def shown(key: str, history: Any) -> Picture:
    drawing = picture(card(key, history))
    assert isinstance(drawing, Picture)
    return drawing


def modelled(count: int = 40) -> History:
    """A history in which the rate and the optimizer matter, and with defaults."""
    rng = np.random.default_rng(1)
    space = Space(
        [
            Hyperparameter("rate", Float(1e-4, 1e-1, log=True), default=1e-4),
            Hyperparameter("optimizer", Choice(("adam", "sgd", "<b>")), default="sgd"),
            Hyperparameter("units", Integer(1, 64), default=8),
        ]
    )
    trials = []
    for number in range(1, count + 1):
        values = space.sample(rng)
        value = 0.9 - 0.1 * abs(math.log10(float(values["rate"])) + 2) - 0.1 * (values["optimizer"] == "sgd")
        trials.append(
            Trial(number, 1, number, values, "random", float(number), 1, value=value, outcome=Outcome.COMPLETED, finished_at=99.0)
        )
    return History.of(space, "accuracy", True, trials)


def test_the_picture_of_effects_has_a_panel_for_each_hyperparameter_with_the_cards_curves() -> None:
    history = modelled()
    numbers, drawing = card("effects", history).data, picture(card("effects", history))
    assert isinstance(drawing, Curves)
    assert [panel.name for panel in drawing.panels] == ["rate", "optimizer", "units"]
    assert [list(panel.mean) for panel in drawing.panels] == [entry["mean"] for entry in numbers["hyperparameters"]]
    rate, optimizer, units = drawing.panels
    assert (rate.is_stepped, optimizer.is_stepped) == (False, True)
    assert optimizer.labels == ("adam", "sgd", "<b>")
    assert max(rate.mean) - min(rate.mean) > 2 * (max(units.mean) - min(units.mean))
    assert (drawing.axis, drawing.percent) == ("expected accuracy", True)
    text = svg(drawing)
    assert text.count('class="band"') == 2
    assert text.count("<circle") == 3
    assert "style=" not in text
    assert "<b>" not in text
    spec = figures.figure(drawing)
    points = [row["mean"] for row in spec["data"]["values"]]
    assert sorted(points) == sorted(value for panel in drawing.panels for value in panel.mean)
    assert reports.svg(spec).startswith("<svg")


def test_the_picture_of_ablation_goes_from_the_default_to_the_best() -> None:
    history = modelled()
    numbers, drawing = card("ablation", history).data, shown("ablation", history)
    assert [mark.value for mark in drawing.marks] == [numbers["start"], *(step["expected"] for step in numbers["steps"])]
    for before, mark in zip(drawing.marks, drawing.marks[1:], strict=False):
        assert (mark.low, mark.high) == (min(before.value, mark.value), max(before.value, mark.value))


def test_the_pictures_of_a_models_ranking_name_nothing() -> None:
    history = modelled()
    worth = shown("tunability", history)
    assert [mark.value for mark in worth.marks] == sorted((mark.value for mark in worth.marks), reverse=True)
    apart = shown("among-best", history)
    assert [mark.label for mark in apart.marks] == list(history.space.names)
    assert {mark.look for mark in (*worth.marks, *apart.marks)} <= {"second", "quiet"}


def test_the_picture_of_noise_has_the_cards_numbers() -> None:
    history = drawn(100, 0.02)
    numbers, drawing = card("noise", history).data, shown("noise", history)
    first, corrected = drawing.marks[:2]
    assert (first.label, first.value) == (f"trial {numbers['best']['trial']}", numbers["best"]["value"])
    assert (corrected.value, corrected.low, corrected.high) == tuple(numbers["corrected"].values())
    assert first.high is not None
    assert first.high - first.value == pytest.approx(1.96 * numbers["spread"]["value"])
    assert sum(mark.look != "quiet" for mark in drawing.marks) == MOST_MARKS + 1 <= numbers["count"] + 1
    assert drawing.ends[0] < min(mark.value for mark in drawing.marks)


def test_the_pictures_of_people_and_of_test_scores_have_their_cards_numbers() -> None:
    shares = card("who", shared(better=0.2)).data["proposers"]
    marks = shown("who", shared(better=0.2)).marks
    assert [(mark.label, mark.value, mark.chance_low) for mark in marks] == [
        (entry["proposer"], entry["share"], entry["low"]) for entry in shares
    ]
    history = evaluated(0.0, others=2)
    pairs = [mark.value for mark in shown("overfitting", history).marks]
    assert pairs == [
        number for entry in card("overfitting", history).data["trials"] for number in (entry["validation"], entry["test"])
    ]


def test_what_cannot_be_told_from_nothing_is_hollow_in_the_picture_of_importance() -> None:
    entries = [
        {"hyperparameter": "rate", "importance": 0.6, "low": 0.4, "high": 0.8, "matters": True},
        {"hyperparameter": "seed", "importance": 0.05, "low": 0.0, "high": 0.1, "matters": False},
    ]
    drawing = picture(Card("importance", "What mattered?", "rate.", "", 50, "", {"hyperparameters": entries}))
    assert isinstance(drawing, Picture)
    assert [(mark.label, mark.value, mark.low, mark.high, mark.look) for mark in drawing.marks] == [
        ("rate", 0.6, 0.4, 0.8, "main"),
        ("seed", 0.05, 0.0, 0.1, "quiet"),
    ]
    assert "rate" in drawing.alt
    assert "seed" not in drawing.alt


def test_drawings_hold_every_row_and_no_script_or_style() -> None:
    drawing = shown("noise", drawn(100, 0.02))
    text = svg(drawing)
    assert text.count('class="mark') == len(drawing.marks)
    assert "style=" not in text
    assert "<script" not in text
    spec = figures.figure(drawing)
    values = [row["value"] for layer in spec["layer"] for row in layer["data"]["values"] if "value" in row]
    assert values == [mark.value for mark in drawing.marks]


def test_names_that_are_markup_stay_text() -> None:
    history = shared()
    trials = [replace(trial, proposer=trial.proposer.replace("ada", "<b onload=x>")) for trial in history.trials]
    text = svg(shown("who", replace(history, trials=tuple(trials))))
    assert "<b onload" not in text
    assert "&lt;b onload=x&gt;" in text


def test_a_card_without_a_drawer_shows_its_table() -> None:
    plain = Card(
        "mine", "Mine?", "Yes.", "", 3, "counted", {"entries": [{"name": "a", "share": 0.25}, {"name": "b", "share": None}]}
    )
    assert picture(plain) is None
    numbers = table(plain)
    assert numbers is not None
    assert (numbers.columns, numbers.rows, numbers.numbers) == (("name", "share"), (("a", "0.25"), ("b", "–")), frozenset({1}))
    single = table(Card("one", "One?", "Yes.", "", 3, "counted", {"share": 0.5}))
    assert single is not None
    assert single.rows == (("share", "0.5"),)


def test_a_report_says_what_has_no_answer_last() -> None:
    built = cards_report("All", [], list(explained(drawn(60, 0.02))))
    assert [section.key for section in built.sections][-1] in ("overfitting", "who")
    [noise] = [section for section in built.sections if section.key == "noise"]
    assert "Estimated, not measured" in noise.intro
    html = page.html(built, "2026-01-01")
    assert "<svg" in html
    assert "No test score of these trials has been looked at" in html


# Doors


def test_a_table_of_a_program_is_explained_without_a_laboratory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    pandas = need("pandas")
    of_rows, of_frame = evenhand.explain(rows(), "accuracy"), evenhand.explain(pandas.DataFrame(rows()), "accuracy")
    assert of_rows.data == of_frame.data
    assert [one.key for one in of_rows] == list(EXPLANATIONS)
    assert (of_rows.trials, of_rows.metric, of_rows.maximize) == (40, "accuracy", True)
    assert not list(tmp_path.iterdir())
    json.dumps(of_rows.data, allow_nan=False)


def test_what_was_declared_is_taken_as_the_space() -> None:
    space = {"rate": evenhand.Float(1e-5, 1, log=True), "optimizer": ["adam", "sgd", "rmsprop"]}
    checks = evenhand.explain(rows(), "accuracy", only=["checks"], space=space)["checks"].data["checks"]
    assert [check["options"] for check in checks if check.get("options")] == [["rmsprop"]]


def test_smaller_is_better_where_it_is_said_or_the_name_says_it() -> None:
    assert not evenhand.explain([{"x": at, "loss": at} for at in range(1, 12)], only=["noise"]).maximize
    one = evenhand.explain([{"x": at, "y": at} for at in range(1, 12)], "y", maximize=False, only=["noise"])
    assert one["noise"].data["best"]["value"] == 1
    assert evenhand.explain([{"x": at, "y": at} for at in range(1, 12)], "y", only=["noise"]).maximize


def test_what_cannot_be_explained_says_what_was_expected() -> None:
    with pytest.raises(InvalidSettings, match="expected a table of pandas"):
        evenhand.explain(3)  # type: ignore[arg-type]  # a wrong one, as people give it
    with pytest.raises(InvalidSettings, match="has no metric 'acc'"):
        evenhand.explain(rows(), "acc")
    with pytest.raises(InvalidSettings, match="explanation 'nose'"):
        evenhand.explain(rows(), "accuracy", only=["nose"])
    with pytest.raises(KeyError, match="expected one of noise"):
        evenhand.explain(rows(), "accuracy", only=["noise"])["who"]


def test_a_notebook_shows_each_finding_without_a_script() -> None:
    explanation = evenhand.explain(rows(), "accuracy", only=["noise", "who"])
    html = explanation._repr_html_()
    assert "Is it noise?" in html
    assert "<svg" in html
    assert "<script" not in html
    assert len(html) < 40_000
    assert explanation.figure.to_dict()["vconcat"][0]["title"] == "Is it noise?"


def test_a_run_is_explained_by_its_handle(tmp_path: Path) -> None:
    db = f"sqlite:///{tmp_path / 'lab.sqlite'}"
    space = {"x": evenhand.Float(0, 1), "y": evenhand.Float(0, 1)}
    result = evenhand.tune(lambda values: values["x"] + 0.01 * values["y"], space, trials=25, db=db, direction="maximize")
    explanation = result.explain()
    assert explanation.trials == 25
    assert explanation["noise"].says
    assert not explanation["overfitting"].says
    again = evenhand.session(result.session_id, db).explain(["noise"])
    assert again["noise"].data == explanation["noise"].data
    text = command("explain", str(result.session_id), "--db", db)
    assert "Is it noise?" in text
    assert "there is no file" in command("explain", str(result.session_id), "--minimize", "--db", db, expect=1)


def test_the_command_explains_a_csv_and_writes_reports(tmp_path: Path) -> None:
    source = tmp_path / "trials.csv"
    source.write_text(
        "rate,optimizer,accuracy\n" + "".join(f"{row['rate']},{row['optimizer']},{row['accuracy']}\n" for row in rows())
    )
    out = tmp_path / "report.html"
    numbers = json.loads(command("explain", str(source), "--target", "accuracy", "--json", "--out", str(out)))
    assert numbers["trials"] == 40
    assert numbers["cards"] == evenhand.explain(source, "accuracy").data
    assert "Is it noise?" in out.read_text()
    command("explain", str(source), "--only", "noise", "--out", str(tmp_path / "report.pdf"))
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert "expected some of" in command("explain", str(source), "--only", "nose", expect=1)
    assert "--minimize" in command("explain", "nowhere", "--minimize", expect=1)


def test_a_storage_of_optuna_is_explained(tmp_path: Path) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = f"sqlite:///{tmp_path / 'optuna.sqlite'}"
    for name in ("first", "second"):
        study = optuna.create_study(storage=url, study_name=name, sampler=optuna.samplers.RandomSampler(0))
        study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=12)
    assert "--study: first, second" in command("explain", url, expect=1)
    assert json.loads(command("explain", url, "--study", "first", "--json", "--only", "noise"))["maximize"] is False
