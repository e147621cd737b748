"""Durable trials that train nothing, of 15 hyperparameters and 20 reports: Optuna with its SQLite storage, in process."""

import argparse
import json
import statistics
import tempfile
import time
from itertools import pairwise
from pathlib import Path

import optuna

NUMBERS, MEASUREMENTS, LEAST_TRIALS = 15, 20, 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=300)
    parser.add_argument("--sampler", choices=("tpe", "random"), default="tpe", help="with its defaults")
    parser.add_argument("--numbers", type=int, default=NUMBERS, help="hyperparameters")
    parser.add_argument("--measurements", type=int, default=MEASUREMENTS, help="reports")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the trials")
    options = parser.parse_args()
    trials = max(LEAST_TRIALS, round(options.trials * options.scale))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    marks: list[tuple[float, float]] = []

    def objective(trial: optuna.Trial) -> float:
        marks.append((time.process_time(), time.perf_counter()))
        values = [trial.suggest_float(f"x{index}", 0.0, 1.0) for index in range(options.numbers)]
        for step in range(1, options.measurements + 1):
            trial.report(values[0] + step, step)
        return float(values[0] + options.measurements)

    with tempfile.TemporaryDirectory() as folder:
        sampler = optuna.samplers.TPESampler() if options.sampler == "tpe" else optuna.samplers.RandomSampler()
        storage = f"sqlite:///{Path(folder, 'study.sqlite')}"
        study = optuna.create_study(storage=storage, sampler=sampler, direction="maximize")
        study.optimize(objective, n_trials=trials)
        best = study.best_value
    steps = [(end[0] - begin[0], end[1] - begin[1]) for begin, end in pairwise(marks)]
    counted = {kind: statistics.fmean(step[at] for step in steps) for at, kind in enumerate(("cpu", "wall"))}
    record = {"trials": trials, "sampler": options.sampler, "measurements": options.measurements, "best": best}
    print(json.dumps({**record, "counted": counted, "rule": "a trial, from the beginning of one to that of the next; the mean"}))


if __name__ == "__main__":
    main()
