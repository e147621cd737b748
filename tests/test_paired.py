"""The runner of paired benchmarks: both sides of a case do the same work, and the record says what was measured. Not how fast."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import paired

pytest.importorskip("torch", reason="PyTorch is not installed")


def test_a_case_runs_both_sides_and_writes_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["paired", "ten-seeds-512", "--rounds", "1", "--scale", "0.01", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", given)
    paired.main()
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    assert path.name == f"{record['date']}-ten-seeds-512.json"
    (ours,), (theirs,) = record["runs"]["ours"], record["runs"]["theirs"]
    assert ours["found"]["seeds"] == theirs["found"]["seeds"] == 10
    assert ours["found"]["accuracy"] == pytest.approx(theirs["found"]["accuracy"], abs=0.25)
    assert record["ratio"]["cpu"]["median"] == pytest.approx(theirs["cpu"] / ours["cpu"])
    assert record["command"] == "python -m benchmarks.paired ten-seeds-512 --rounds 1 --scale 0.01"
    assert {"Python", "evenhand", "torch"} <= set(record["versions"])


def test_ratios_are_of_rounds_and_the_interval_of_their_order() -> None:
    ours = [paired.Run(cpu, wall, {}) for cpu, wall in ((1, 1), (2, 1), (1, 1), (1, 1), (1, 2), (1, 1))]
    theirs = [paired.Run(cpu, 3, {}) for cpu in (10, 10, 12, 8, 9, 20)]
    ratio = paired._ratio(ours, theirs, "cpu")
    assert (ratio["median"], ratio["low"], ratio["high"]) == (9.5, 5, 20)
    assert ratio["level"] == pytest.approx(1 - 2 / 64)
    record = {
        "case": "name",
        "what": "what",
        "peer": "peer",
        "goal": 9,
        "machine": "here",
        "versions": {},
        "runs": {"ours": [vars(each) for each in ours], "theirs": [vars(each) for each in theirs]},
        "ratio": {"cpu": ratio, "wall": paired._ratio(ours, theirs, "wall")},
    }
    assert paired.told(record).splitlines()[-1] == (
        "| name | 1.00 | 10.00 | 9.5 (5.0 to 20.0) | 1.00 | 3.00 | 3.0 (1.5 to 3.0) | 9: missed |"
    )


def test_a_side_that_fails_is_said_to_have_failed() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        paired.ran(("seeds_ours.py", "--batch", "none"), 1)
