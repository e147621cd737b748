"""The Python of docs/methods.md runs as it is printed, from top to bottom, and does what is said beside it."""

import re
from pathlib import Path
from typing import Any

import pytest

import evenhand
from evenhand import optunastudies
from evenhand.frames import FACTS
from evenhand.lab import Lab

DOCS = Path(__file__).parent.parent / "docs"


def test_the_blocks_of_methods_run_as_they_are_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path / "data"))
    text = (DOCS / "methods.md").read_text().split("\n## In Python\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 7
    names: dict[str, Any] = {}
    first = blocks[0].replace("trials=20", "trials=1, epochs_per_trial=1")  # the one that takes long
    for block in (first, *blocks[1:]):
        exec(compile(block, "docs/methods.md", "exec"), names)
    assert names["found"].trials[0].configuration["x"] == 0.1
    assert list(names["again"].trials.columns) == ["x", *FACTS]
    assert names["result"].best_estimator().n_features_in_ == 13
    assert names["notes"] == ()
    lab = Lab.connect()
    tuners = [session.tuner for study in lab.studies() for session in lab.sessions(study.id)]
    assert sorted(tuners) == ["optuna", "pibo", "random", "random", "tpe", "tpe"]
    lab.close()


def test_the_documented_columns_and_attributes_are_the_real_ones() -> None:
    text = (DOCS / "methods.md").read_text()
    tables = text.split("### Tables and notebooks")[1].split("\n### ")[0]
    assert re.findall(r"`(\w+)`", tables.split("inactive), ")[1].split(" and the further")[0]) == [*FACTS]
    studies = text.split("### Studies of Optuna")[1].split("\n## ")[0]
    row = next(line for line in studies.splitlines() if line.startswith("| user attributes `"))
    assert tuple(re.findall(r"`(\w+)`", row)) == optunastudies.SAID
    assert evenhand.Prior(0.1, "high").confidence == "high"
