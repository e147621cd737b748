"""Sixteen small trainings of a perceptron with different learning rates by Ray Tune: a trainable class whose actors are reused.

Written as Ray's guides write it: `reset_config` for `reuse_actors=True`, the data by `tune.with_parameters`, one CPU a trial.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune

from benchmarks.sides.eager import RATES, Training, points

NAME = "model.pth"


class Trainable(tune.Trainable):  # type: ignore[misc]  # Ray is in no environment that types are checked in
    """One epoch a step."""

    def setup(self, config: dict[str, Any], data: tuple[torch.Tensor, ...] = ()) -> None:
        """Of a new actor."""
        self._data = data
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Of an actor that is used again."""
        self._training = Training(new_config["learning_rate"], new_config["batch"])
        return True

    def step(self) -> dict[str, float]:
        """An epoch and its score."""
        train_x, train_y, dev_x, dev_y = self._data
        self._training.epoch(train_x, train_y)
        return {"accuracy": self._training.accuracy(dev_x, dev_y)}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """As the guides have it; Ray saves a trial when it ends."""
        self._training.save(Path(checkpoint_dir, NAME))

    def load_checkpoint(self, checkpoint_dir: str) -> None:
        """The trial as it was saved."""
        self._training.load(Path(checkpoint_dir, NAME))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--given", required=True)
    parser.add_argument("--scale", help="not needed: the points that are given are a share already")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        tuner = tune.Tuner(
            tune.with_parameters(Trainable, data=points(options.given)),
            param_space={"learning_rate": tune.grid_search(RATES), "batch": options.batch},
            tune_config=tune.TuneConfig(metric="accuracy", mode="max", reuse_actors=True),
            run_config=tune.RunConfig(storage_path=folder, stop={"training_iteration": options.epochs}, verbose=0),
        )
        results = tuner.fit()
        record = {"trials": len(results), "best accuracy": results.get_best_result().metrics["accuracy"]}
        assert not results.errors
        ray.shutdown()
    print(json.dumps(record))


if __name__ == "__main__":
    main()
