"""Trials of an objective that takes no time: Ray Tune with its defaults, a function, on a Ray that runs already."""

import argparse
import json
import tempfile
import time

import ray
from ray import tune

LEAST_TRIALS = 4


def objective(config: dict[str, float]) -> dict[str, float]:
    """The trial's value."""
    return {"value": config["x"] ** 2}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--theirs", type=int, default=20, help="trials")
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the trials")
    options = parser.parse_args()
    trials = max(LEAST_TRIALS, round(options.theirs * options.scale))
    ray.init(log_to_driver=False, include_dashboard=False)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        begun = time.perf_counter()
        tuner = tune.Tuner(
            objective,
            param_space={"x": tune.uniform(-1, 1)},
            tune_config=tune.TuneConfig(metric="value", mode="min", num_samples=trials),
            run_config=tune.RunConfig(storage_path=folder, verbose=0),
        )
        results = tuner.fit()
        wall = (time.perf_counter() - begun) / trials
        record = {"trials": len(results), "best": results.get_best_result().metrics["value"]}
        assert not results.errors
    ray.shutdown()
    rule = "the call that tunes, by its trials; imports and the start of Ray are left out"
    print(json.dumps({**record, "counted": {"wall": wall}, "rule": rule}))


if __name__ == "__main__":
    main()
