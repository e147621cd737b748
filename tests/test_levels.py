"""Chance and the simple baseline, the levels that an accuracy is read against: by hand, kept once, and where they are told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evenhand import tasks
from evenhand.model.task import BASELINE, CHANCE, Level, TaskRecord, TaskSpec
from evenhand.model.words import levels_words
from evenhand.tasks import levels
from tests.labs import SPACE

TRAIN = (np.array([[0.0, 0.0], [2.0, 0.0], [10.0, 0.0]]), np.array([3, 3, 7]))  # means: (1, 0) and (10, 0)
VALIDATION = (np.array([[5.0, 9.0], [6.0, 0.0], [0.0, 0.0], [9.0, 0.0], [1.0, 1.0]]), np.array([3, 3, 3, 7, 7]))


def loaded(split: str) -> Any:
    return {"train": TRAIN, "validation": VALIDATION}[split]


def test_levels_by_hand() -> None:
    assert levels.chance_of(VALIDATION[1]) == 0.6
    # The middle between the means is 5.5: right are the first, the third and the fourth.
    assert levels.levels(loaded) == {CHANCE: 0.6, BASELINE: 0.6}


def test_scaled_features_count_alike() -> None:
    def load(split: str) -> Any:
        x = {"train": [[0.0, 0], [1, 0], [0, 1000], [1, 1000]], "validation": [[0.9, 300], [0.1, 700]]}[split]
        y = {"train": [0, 1, 0, 1], "validation": [1, 0]}[split]
        return np.array(x), np.array(y)

    assert levels.levels(load, scaled=True) == {CHANCE: 0.5, BASELINE: 1.0}


def test_levels_are_computed_once_and_then_read(tmp_path: Path) -> None:
    calls = []

    def load(split: str) -> Any:
        calls.append(split)
        return loaded(split)

    path = tmp_path / "levels" / "data.json"
    first = levels.kept(path, load)
    assert calls == ["train", "validation"]  # never test
    assert levels.kept(path, load) == first == {CHANCE: 0.6, BASELINE: 0.6}
    assert len(calls) == 2


@pytest.mark.slow
def test_tasks_of_accuracy_say_their_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    for settings in ({"model": "mlp-adam", "data": "digits"}, {"model": "knn", "data": "iris"}):
        chance, baseline = tasks.load(TaskSpec("sklearn", settings)).record.levels
        assert (chance.name, baseline.name) == ("chance", "nearest class mean")
        assert 0 < chance.value < 0.5 < baseline.value < 1
    assert tasks.load(TaskSpec("sklearn", {"model": "knn", "data": "diabetes"})).record.levels == ()


def test_levels_are_of_accuracies_only_and_told_in_words() -> None:
    statistics = {"classes": 10, CHANCE: 0.1037, BASELINE: 0.7823}
    record = TaskRecord(TaskSpec("toy"), "version 1", SPACE, "accuracy", "maximize", 10, statistics=statistics)
    assert record.levels == (Level("chance", 0.1037), Level("nearest class mean", 0.7823))
    assert levels_words(record) == "chance 10.4\u202f%, nearest class mean 78.2\u202f%"
    loss = TaskRecord(TaskSpec("toy"), "version 1", SPACE, "log_loss", "minimize", 10, statistics=statistics)
    assert loss.levels == ()
    assert levels_words(loss) == ""
