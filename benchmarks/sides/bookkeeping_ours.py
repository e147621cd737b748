"""Durable trials of 15 hyperparameters and 20 measurements that train nothing: `evenhand.tune` of a function, in process."""

import argparse
import json
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import evenhand
from evenhand import Configuration, Float, Hyperparameter, Integer, Run, Space

NUMBERS, MEASUREMENTS, PARTS = 15, 20, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--method", default="random")
    parser.add_argument("--deciles", choices=("yes", "no"), default="no", help="whether the first tenth is held against the last")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the trials")
    options = parser.parse_args()
    trials = max(2 * PARTS, round(options.trials * options.scale))
    marks: list[tuple[float, float]] = []

    def objective(configuration: Configuration, run: Run) -> None:
        marks.append((time.process_time(), time.perf_counter()))
        for epoch in range(1, MEASUREMENTS + 1):
            run.report(epoch=epoch, value=configuration.number("x0") + epoch)

    space = Space(
        [
            *(Hyperparameter(f"x{index}", Float(0.0, 1.0)) for index in range(NUMBERS)),
            Hyperparameter("epochs", Integer(1, MEASUREMENTS), fidelity=True),
        ]
    )
    with tempfile.TemporaryDirectory() as folder:
        result = evenhand.tune(
            objective,
            space,
            method=options.method,
            trials=trials,
            epochs_per_trial=MEASUREMENTS,
            direction="maximize",
            db=f"sqlite:///{Path(folder, 'lab.sqlite')}",
            progress=False,
            evaluate=False,
        )
    steps = [{"cpu": end[0] - begin[0], "wall": end[1] - begin[1]} for begin, end in pairwise(marks)]
    record = {
        "trials": len(result.trials),
        "method": options.method,
        "measurements": MEASUREMENTS,
        "best": result.best and result.best.value,
    }
    if options.deciles == "yes":
        part = len(steps) // PARTS
        first, last = ({"cpu": statistics.fmean(step["cpu"] for step in some)} for some in (steps[:part], steps[-part:]))
        rule = "CPU seconds a trial: ours those of the first tenth, beside them those of the last"
        print(json.dumps({**record, "counted": first, "beside": last, "rule": rule}))
        return
    counted = {kind: statistics.fmean(step[kind] for step in steps) for kind in ("cpu", "wall")}
    print(json.dumps({**record, "counted": counted, "rule": "a trial, from the beginning of one to that of the next; the mean"}))


if __name__ == "__main__":
    main()
