"""Durable trials that train nothing, of 15 hyperparameters and 20 measurements: `evenhand.tune` of a function, in process."""

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
    parser.add_argument("--numbers", type=int, default=NUMBERS, help="hyperparameters")
    parser.add_argument("--measurements", type=int, default=MEASUREMENTS, help="0: the function returns its value")
    parser.add_argument("--deciles", choices=("yes", "no"), default="no", help="whether the first tenth is held against the last")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the trials")
    options = parser.parse_args()
    trials = max(2 * PARTS, round(options.trials * options.scale))
    marks: list[tuple[float, float]] = []

    def objective(configuration: Configuration, run: Run) -> float | None:
        marks.append((time.process_time(), time.perf_counter()))
        for epoch in range(1, options.measurements + 1):
            run.report(epoch=epoch, value=configuration.number("x0") + epoch)
        return None if options.measurements else configuration.number("x0")

    hyperparameters = [Hyperparameter(f"x{index}", Float(0.0, 1.0)) for index in range(options.numbers)]
    if options.measurements:
        hyperparameters.append(Hyperparameter("epochs", Integer(1, options.measurements), fidelity=True))
    with tempfile.TemporaryDirectory() as folder:
        result = evenhand.tune(
            objective,
            Space(hyperparameters),
            method=options.method,
            trials=trials,
            epochs_per_trial=options.measurements or None,
            direction="maximize",
            db=f"sqlite:///{Path(folder, 'lab.sqlite')}",
            progress=False,
            evaluate=False,
        )
    steps = [{"cpu": end[0] - begin[0], "wall": end[1] - begin[1]} for begin, end in pairwise(marks)]
    record = {
        "trials": len(result.trials),
        "method": options.method,
        "measurements": options.measurements,
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
