"""Writes `ray/nets` beside this file with Ray Tune itself; README.md says with which version, and what was left away."""

from pathlib import Path
from typing import Any

import ray
from ray import tune


def train(config: dict[str, Any]) -> None:
    """Three reports; one kind fails, and a large rate makes the loss nan."""
    for epoch in range(1, 4):
        if config["net"]["kind"] == "bad" and epoch == 2:
            raise ValueError("too large")
        loss = 1 / epoch if config["lr"] < 0.02 else float("nan")
        tune.report({"accuracy": 0.5 + 0.1 * epoch * (1 - config["lr"]), "loss": loss})


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False)
    net = {"kind": tune.choice(["mlp", "bad", "cnn"]), "units": tune.randint(1, 64)}
    tune.Tuner(
        train,
        param_space={"lr": tune.loguniform(1e-4, 1), "net": net},
        tune_config=tune.TuneConfig(num_samples=6, metric="accuracy", mode="max"),
        run_config=tune.RunConfig(name="nets", storage_path=str(Path(__file__).parent / "ray"), verbose=0),
    ).fit()
