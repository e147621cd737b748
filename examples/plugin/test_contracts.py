"""The plug-in keeps the contracts of Evenhand, and its method and its task are found by their names."""

from pathlib import Path
from typing import Any

import pytest
from evenhand_waves.method import Nearby
from evenhand_waves.task import train

import evenhand
from evenhand.testing import check_method, check_task


def test_the_method_keeps_the_contract() -> None:
    check_method(Nearby)


def test_the_task_keeps_the_contract_and_is_found_by_its_name() -> None:
    assert check_task("waves") == ()
    assert evenhand.load_task(evenhand.TaskSpec("waves")).version == train.version


def test_the_method_is_found_by_its_name(tmp_path: Path) -> None:
    result = evenhand.tune(train, method="nearby", draws=2, trials=2, db=f"sqlite:///{tmp_path / 'lab.sqlite'}")
    assert [trial.proposer for trial in result.trials] == ["nearby", "nearby"]


@pytest.mark.parametrize("draws", [0, -1, 2.5, "two", True])
def test_wrong_settings_are_named(draws: Any) -> None:
    with pytest.raises(evenhand.InvalidSettings, match=f"draws is {draws!r}, expected a whole number above 0"):
        Nearby(maximize=True, draws=draws)
