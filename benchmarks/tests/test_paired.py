"""The runner of paired benchmarks: both sides of a case do the same work, and the record says what was measured. Not how fast.

Of our sides each script runs once, with very little to do; of the peers' those whose environments were made on this machine.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks import counting, given, paired, peers
from benchmarks.cases import CASES, Case, Side
from benchmarks.sides import extrapolation
from benchmarks.sides.sampling import every
from tests.components import need

need("torch")

# A child that nobody waits for, and a daemon that outlives it: half a second of CPU each.
BUSY = "import time\nwhile time.process_time() < 0.5: pass\n"
LEFT_ALONE = f"""
import signal, subprocess, sys, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", {BUSY!r}])
daemon = subprocess.Popen([sys.executable, "-c", {BUSY + "time.sleep(60)"!r}], start_new_session=True)
time.sleep(2.5)
print(daemon.pid)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return given.made(tmp_path_factory.mktemp("given"), 0.01)


@pytest.mark.slow
def test_a_case_runs_both_sides_and_writes_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["paired", "ten-seeds-512", "--rounds", "1", "--scale", "0.01", "--out", str(tmp_path)]
    monkeypatch.setattr("sys.argv", arguments)
    paired.main()
    (path,) = tmp_path.iterdir()
    record = json.loads(path.read_text())
    assert path.name == f"{record['date']}-ten-seeds-512.json"
    (ours,), (theirs,) = record["runs"]["ours"], record["runs"]["theirs"]
    assert ours["found"]["seeds"] == theirs["found"]["seeds"] == 10
    assert ours["found"]["accuracy"] == pytest.approx(theirs["found"]["accuracy"], abs=0.25)
    assert record["ratio"]["cpu"]["median"] == pytest.approx(theirs["cpu"] / ours["cpu"])
    assert record["command"] == "python -m benchmarks.paired ten-seeds-512 --rounds 1 --scale 0.01"
    assert {"Python", "evenhand", "torch"} <= set(record["versions"]["ours"])
    assert set(record["versions"]["theirs"]) == {"Python", "torch", "numpy"}


@pytest.mark.slow
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
        "at_most": False,
        "unit": "seconds",
        "machine": "here",
        "versions": {},
        "runs": {"ours": [vars(run) for run in ours], "theirs": [vars(run) for run in theirs]},
        "ratio": {"cpu": ratio, "wall": paired._ratio(ours, theirs, "wall")},
    }
    assert paired.told(record).splitlines()[-1] == "| name | 1 | 10 | 9.5 (5 to 20) | 1 | 3 | 3 (1.5 to 3) | 9: missed |"
    upper = {**record, "ratio": {"cpu": ratio}, "at_most": True, "goal": 9.5}
    assert paired.told(upper).splitlines()[-1] == "| name | 1 | 10 | 9.5 (5 to 20) |  |  |  | at most 9.5: reached |"


@pytest.mark.slow
def test_a_side_that_fails_is_said_to_have_failed_and_why() -> None:
    with pytest.raises(subprocess.CalledProcessError) as error:
        paired.ran(Side("seeds_ours.py", {"batch": "none"}), 1)
    assert "invalid int value: 'none'" in error.value.stderr


# What is counted


@pytest.mark.slow
@pytest.mark.parametrize("looking", [False, True])
def test_processes_that_nobody_waits_for_are_counted_and_ended(looking: bool) -> None:
    counted = counting.run([sys.executable, "-c", LEFT_ALONE], os.environ, looking=looking)
    assert 0.65 < counted.cpu < 5  # looking misses what a process does between the last look and its end
    assert counted.wall > 2.5
    assert counted.how == "looking" or not looking
    daemon = int(counted.printed)
    assert not psutil.pid_exists(daemon) or psutil.Process(daemon).status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
def test_a_side_may_say_what_is_counted_in_the_place_of_the_whole_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "side.py").write_text("""print('noise\\n{"counted": {"cpu": 2.5}, "beside": {"cpu": 2.75}, "trials": 7}')""")
    monkeypatch.setattr(paired, "SIDES", tmp_path)
    run = paired.ran(Side("side.py"), 1)
    assert (run.cpu, run.wall, run.found["trials"]) == (2.5, None, 7)
    assert 0 < run.found["whole run"]["cpu"] < run.found["whole run"]["wall"] * (os.cpu_count() or 1)
    monkeypatch.setitem(CASES, "alone", Case("itself", "ours itself", 1.2, Side("side.py"), None, at_most=True))
    record = paired.measured("alone", 2, 1)
    assert (record["ratio"]["cpu"]["median"], set(record["ratio"])) == (1.1, {"cpu"})
    assert "at most 1.2: reached" in paired.told(record)


@pytest.mark.slow
def test_a_sample_is_extrapolated_by_the_rule() -> None:
    common = {"loss": "mse", "output": "linear", "epochs": 10}
    listed = [
        {**common, "batch_size": 10},
        {**common, "batch_size": 20, "epochs": 20},
        {**common, "batch_size": 100},
        {**common, "batch_size": 100, "loss": "nll"},
        {**common, "batch_size": 300, "loss": "nll"},
    ]
    tried = extrapolation.sample(listed, 1)
    assert [configuration["batch_size"] for configuration in tried] == [20, 100, 300]
    assert [extrapolation.is_valid(configuration) for configuration in tried] == [True, True, False]
    trials = [  # seconds: steps of 2 and 3, batches of 1 and 0.5, the rest 10 and 20
        extrapolation.Trial((5, 5), (10 + 2 * (100 * 2 + 10 * 1), 0), 100, 10, (2, 0), (1, 0)),
        extrapolation.Trial((0, 0), (20 + 2 * (50 * 3 + 4 * 0.5), 0), 50, 4, (3, 0), (0.5, 0)),
        extrapolation.Trial((0, 0), (7, 0)),
    ]
    estimate = extrapolation.extrapolated(listed, tried, trials, {"train": 1001, "dev": 100}, 0)
    valid = [15 + 10 * (101 * 2 + 10), 15 + 20 * (51 * 2 + 5), 15 + 10 * (11 * 3 + 0.5)]
    assert estimate == pytest.approx(5 + sum(valid) + 2 * 7)


@pytest.mark.slow
def test_samples_lie_at_equal_distances() -> None:
    assert every(range(100), 4) == [12, 37, 62, 87]
    assert every([1, 2], 5) == [1, 2]


@pytest.mark.slow
def test_both_sides_are_given_the_same_points_and_configurations(folder: Path) -> None:
    configurations = json.loads((folder / given.CONFIGURATIONS_FILE).read_text())
    assert len(configurations) == 500
    sizes = [configuration["batch_size"] for configuration in configurations]
    assert (sizes, min(sizes) >= 8, max(sizes) <= 512) == (sorted(sizes), True, True)
    invalid = sum(not extrapolation.is_valid(configuration) for configuration in configurations)
    assert 60 < invalid < 190  # of the 12 pairs of loss and output 3 do not go together
    assert configurations == [dict(configuration) for configuration in given.drawn()]


# The sides

SMALL: dict[str, tuple[Side, Callable[[dict[str, Any]], bool]]] = {
    "trials_ours.py": (Side("trials_ours.py", {"batch": 512, "epochs": 1}), lambda record: record["trials"] == 16),
    "trials_optuna.py": (Side("trials_optuna.py", {"batch": 512, "epochs": 1}), lambda record: record["trials"] == 16),
    "trivial_ours.py": (Side("trivial_ours.py", {"ours": 800}), lambda record: record["trials"] == 8),
    "bookkeeping_ours.py": (
        Side("bookkeeping_ours.py", {"trials": 1000, "deciles": "yes"}),
        lambda record: (record["trials"], set(record["beside"])) == (20, {"cpu"}),
    ),
    "bookkeeping_ours.py, returning": (
        CASES["bookkeeping-tpe"].ours,
        lambda record: (record["trials"], record["method"], 0 < record["best"] < 1) == (20, "tpe", True),
    ),
    "bookkeeping_optuna.py": (Side("bookkeeping_optuna.py", {"trials": 800}), lambda record: record["trials"] == 8),
    "bookkeeping_http.py": (
        Side("bookkeeping_http.py", {"trials": 800}),
        lambda record: (record["trials"], record["best"] > 20) == (8, True),
    ),
    "search_ours.py": (
        Side("search_ours.py", {"configurations": 5, "way": "tune"}),
        lambda record: (record["configurations"], record["trials"], record["cores"]) == (5, 5, os.cpu_count()),
    ),
    "search_ours.py, halving": (
        Side("search_ours.py", {"configurations": 6, "way": "server", "halving": "yes"}),
        lambda record: record["configurations"] == 6 < record["trials"] and record["epochs"] < 60,
    ),
    "trivial_ray.py": (Side("trivial_ray.py", {"theirs": 4}, "ray"), lambda record: record["trials"] == 4),
    "trials_ray.py": (Side("trials_ray.py", {"batch": 512, "epochs": 1}, "ray"), lambda record: record["trials"] == 16),
    "search_keras.py": (
        Side("search_keras.py", {"configurations": 8, "sampled": 1}, "keras"),
        lambda record: record["configurations"] == 8 and record["tried"] > record["invalid of them"] == 1,
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_side_does_its_work(name: str, folder: Path) -> None:
    side, is_done = SMALL[name]
    if side.environment is not None:
        need(f"peers {side.environment}")
    takes_given = any(
        case.given and side.script in (case.ours.script, case.theirs and case.theirs.script) for case in CASES.values()
    )
    run = paired.ran(side, 0.01, folder if takes_given else None)
    assert is_done(dict(run.found)), run.found
    assert run.wall is None or run.wall > 0


@pytest.mark.slow
def test_every_case_has_its_scripts_and_environments() -> None:
    elsewhere = {"seeds_ours.py", "seeds_eager.py", "squeezenet_ours.py", "squeezenet_eager.py"}  # tests of their own hold these
    for case in CASES.values():
        for side in (case.ours, case.theirs):
            if side is not None:
                assert (paired.SIDES / side.script).is_file()
                assert side.environment is None or side.environment in peers.ENVIRONMENTS
                assert side.script in {side.script for side, _ in SMALL.values()} | elsewhere
    assert replace(CASES["trials-16"].ours, options={}) == Side("trials_ours.py")
