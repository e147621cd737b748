"""Calibrating a task: a search that finds ranges, goes on after a kill, and records draws that it never saw."""

import itertools
import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evenhand import tasks
from evenhand.cli import main
from evenhand.errors import DataError, InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space, reshaped
from evenhand.tasks import Run, Splits, calibration
from evenhand.tasks.calibration import Draw, Wanted
from evenhand.tasks.check import chance_of

SPACE = Space(
    [
        Hyperparameter("epochs", Integer(1, 64, log=True), fidelity=True),
        Hyperparameter("rate", Float(1e-9, 1e3, log=True), 0.01),
        Hyperparameter("decay", Float(1e-9, 1.0, log=True, or_zero=True), 0.0),
    ]
)
LEARNING = (1e-3, 1.0)  # rates with which something is learnt
PER_EPOCH = 0.2  # of what is left to learn
WANTED = Wanted(mean=0.5, sd=0.3, sd_within=0.06)
trained: list[Configuration] = []


def _data() -> Splits:
    return Splits.drawn(np.zeros((1000, 1)), np.arange(1000) % 10, seed=1)


@tasks.task(space=SPACE, metric="accuracy", max_epochs=64, data=_data)
def made_up(configuration: Configuration, run: Run) -> None:
    """Learns with rates of a narrow range and without much decay, the more the longer."""
    trained.append(configuration)
    learns = LEARNING[0] <= configuration.number("rate") <= LEARNING[1] and configuration.number("decay") < 0.1
    for epoch in range(1, int(configuration["epochs"]) + 1):
        run.report(epoch=epoch, accuracy=0.1 + (0.9 * (1 - (1 - PER_EPOCH) ** epoch) if learns else 0.0))


@tasks.task(space=SPACE, metric="mse", max_epochs=64, data=_data)
def without_chance(configuration: Configuration, run: Run) -> None:
    """A task whose metric has no chance level."""
    run.report(epoch=1, mse=1.0)


def told(draw: Draw) -> Mapping[str, object]:
    """What of a draw hangs on the seed alone."""
    return {"configuration": draw.configuration, "value": draw.value, "step": draw.step, "number": draw.number}


def test_a_search_finds_ranges_of_which_draws_are_as_wanted(tmp_path: Path) -> None:
    search = calibration.calibrate(made_up, WANTED, state=tmp_path / "draws.jsonl", steps=20)
    assert search.steps[0].ranges == {}
    assert search.steps[0].spread.misses(WANTED)
    assert search.found
    assert search.best is search.steps[-1]
    assert search.best.spread.misses(WANTED) == []
    assert search.best.spread.draws == calibration.MOST_DRAWS
    assert "rate" in search.best.ranges
    assert search.ceiling is not None
    assert search.ceiling.value == max(draw.value or 0 for draw in search.draws)
    narrowed = reshaped(SPACE, search.best.ranges)
    assert narrowed.defaults() == SPACE.defaults()
    assert all(narrowed.configuration(draw.configuration) for draw in search.best.draws)


def test_a_step_that_cannot_be_right_any_more_is_given_up(tmp_path: Path) -> None:
    search = calibration.calibrate(made_up, WANTED, state=tmp_path / "draws.jsonl", steps=1)
    assert not search.found
    assert calibration.LEAST_DRAWS <= search.steps[0].spread.draws < calibration.MOST_DRAWS


def test_a_search_that_was_killed_goes_on_and_trains_nothing_twice(tmp_path: Path) -> None:
    whole = calibration.calibrate(made_up, WANTED, state=tmp_path / "whole.jsonl", steps=3)
    state, calls = tmp_path / "broken.jsonl", itertools.count()

    def kill(what: str, done: int, total: int) -> None:
        if next(calls) == 40:
            raise KeyboardInterrupt

    trained.clear()
    with pytest.raises(KeyboardInterrupt):
        calibration.calibrate(made_up, WANTED, state=state, steps=3, progress=kill)
    with state.open("a") as file:
        file.write('{"step": 1, "num')  # what a kill leaves of a line
    again = calibration.calibrate(made_up, WANTED, state=state, steps=3)
    assert [told(draw) for draw in again.draws] == [told(draw) for draw in whole.draws]
    assert [step.ranges for step in again.steps] == [step.ranges for step in whole.steps]
    assert [dict(configuration) for configuration in trained] == [draw.configuration for draw in whole.draws]
    assert len(state.read_text().splitlines()) == 1 + len(whole.draws)


def test_the_file_of_another_search_and_a_file_of_something_else_are_refused(tmp_path: Path) -> None:
    state = tmp_path / "draws.jsonl"
    calibration.calibrate(made_up, WANTED, state=state, steps=1)
    with pytest.raises(InvalidSettings, match="another task version, seed or wish"):
        calibration.calibrate(made_up, WANTED, state=state, steps=1, seed=1)
    with pytest.raises(InvalidSettings, match="another task version, seed or wish"):
        calibration.record(made_up, draws=3, state=state, seed=0)
    for content in (b"a,b\n1,2\n", b"notes", b'{"draws of": {}}\n{"step": 1}\n', b"\xff\xfe\n"):
        state.write_bytes(content)
        with pytest.raises(DataError, match=r"draws\.jsonl: is no file of draws"):
            calibration.calibrate(made_up, WANTED, state=state, steps=1)
        assert state.read_bytes() == content


@pytest.mark.parametrize(("name", "value"), [("seconds", 0.0), ("mean_within", 0.0), ("sd_within", -1.0), ("mean", math.nan)])
def test_a_wish_that_nothing_can_meet_is_refused_before_training(name: str, value: float) -> None:
    with pytest.raises(InvalidSettings, match=f"{name} is {value}, expected a number"):
        calibration.Wanted(**{name: value})


def test_a_configuration_without_a_value_counts_as_chance(tmp_path: Path) -> None:
    sampler = calibration.Sampler(made_up, tmp_path / "draws.jsonl", "test", 0, lambda what, done, total: None)
    draws = [calibration.Draw(0, number, {}, "completed", value, 1.0, 1.0) for number, value in enumerate((None, 0.9))]
    assert sampler.spread(draws).values == (sampler.chance, 0.9)


def test_a_task_without_chance_level_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="its metric is mse, expected accuracy"):
        calibration.calibrate(without_chance, WANTED, state=tmp_path / "draws.jsonl")
    assert not (tmp_path / "draws.jsonl").exists()


def test_a_record_holds_draws_that_no_search_with_its_seed_saw(tmp_path: Path) -> None:
    search = calibration.calibrate(made_up, WANTED, state=tmp_path / "search.jsonl", steps=1)
    spread, chance = calibration.record(made_up, draws=30, state=tmp_path / "record.jsonl", seed=0)
    draws = [calibration.Draw(**json.loads(line)) for line in (tmp_path / "record.jsonl").read_text().splitlines()[1:]]
    assert chance == chance_of(made_up)[0]
    assert spread.draws == len(draws) == 30
    values = [chance if draw.value is None else draw.value for draw in draws]
    assert spread.values == tuple(values)
    assert spread.mean == pytest.approx(np.mean(values))
    assert spread.sd == pytest.approx(np.std(values, ddof=1))
    assert spread.at_chance == pytest.approx(np.mean([value <= chance for value in values]))
    seen = [draw.configuration for draw in search.draws]
    assert not [draw for draw in draws if draw.configuration in seen]


def test_the_command_prints_numbers_then_the_histogram_and_goes_on(tmp_path: Path) -> None:
    state, record = tmp_path / "draws.jsonl", tmp_path / "record.json"
    arguments = ["task", "calibrate", f"{__file__}:made_up", "--record", str(record), "--draws", "20", "--state", str(state)]
    first, again = (CliRunner().invoke(main.app, arguments) for _ in range(2))
    assert first.exit_code == again.exit_code == 0, first.output
    kept = json.loads(record.read_text())
    assert kept["draws"] == len(kept["values"]) == 20
    assert {"mean", "sd", "at_chance", "best", "ranges", "command", "version", "seed"} <= kept.keys()
    lines = again.stdout.splitlines()
    first_line = next(at for at, line in enumerate(lines) if line.startswith("20 random configurations: "))
    assert f"mean {kept['mean']:.1%}, SD {kept['sd']:.1%}" in lines[first_line]
    assert [line.split(" to ")[0].strip() for line in lines[first_line + 1 : first_line + 11]] == [
        f"{tenth}0%" if tenth else "0%" for tenth in range(10)
    ]
    assert len(state.read_text().splitlines()) == 21
    searched = CliRunner().invoke(
        main.app, ["task", "calibrate", f"{__file__}:made_up", "--steps", "1", "--state", str(tmp_path / "search.jsonl")]
    )
    assert searched.exit_code == 0, searched.output
    assert "Ceiling: " in searched.stdout
    assert "Not found. The nearest ranges:" in searched.stdout
