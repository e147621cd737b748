"""Both sides of SqueezeNet's benchmarks train the same number of images, in the least that they run. Not how fast."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.components import need

need("torch")

ROOT = Path(__file__).parents[2]


def ran(side: str, folder: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "benchmarks" / "sides" / side), *arguments, "--size", "24", "--scale", "0.01"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "EVENHAND_DATA": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    record: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return record


@pytest.mark.slow
def test_both_sides_do_the_same_work(tmp_path: Path) -> None:
    ours, theirs = (ran(f"squeezenet_{side}.py", tmp_path, "--epochs", "2", "--seeds", "10") for side in ("ours", "eager"))
    for record in (ours, theirs):
        assert (record["trainings"], record["images"]) == (2, 2 * 1498)
        assert 0.05 < record["accuracy"] < 0.9
    assert ours["precision"] == "fp32"  # 24 px are too few for bf16 to be quicker


@pytest.mark.slow
def test_trainings_are_a_session_of_the_agent(tmp_path: Path) -> None:
    ours = ran("squeezenet_ours.py", tmp_path, "--epochs", "5", "--rates", "1e-3,1e-4")
    assert (ours["trainings"], ours["images"]) == (1, 1199)
