"""Trials of an objective that takes no time: `evenhand.tune` of a plain function, as a user calls it."""

import argparse
import json
import tempfile
import time
from pathlib import Path

import evenhand
from evenhand import Configuration, Float, Hyperparameter, Space

LEAST_TRIALS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", type=int, default=200, help="trials")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the trials")
    options = parser.parse_args()
    trials = max(LEAST_TRIALS, round(options.ours * options.scale))

    def objective(configuration: Configuration) -> float:
        return configuration.number("x") ** 2

    with tempfile.TemporaryDirectory() as folder:
        database = f"sqlite:///{Path(folder, 'lab.sqlite')}"
        begun = time.perf_counter()
        space = Space([Hyperparameter("x", Float(-1.0, 1.0))])
        result = evenhand.tune(objective, space, direction="minimize", trials=trials, progress=False, db=database)
        wall = (time.perf_counter() - begun) / trials
    rule = "the call that tunes, by its trials; imports are left out"
    print(
        json.dumps(
            {"trials": len(result.trials), "best": result.best and result.best.value, "counted": {"wall": wall}, "rule": rule}
        )
    )


if __name__ == "__main__":
    main()
