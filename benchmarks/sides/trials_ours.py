"""Sixteen small trainings of a perceptron with different learning rates: one `evenhand.tune`, in this process."""

import argparse
import json
import os
import tempfile
from pathlib import Path

import evenhand
from evenhand import tasks
from evenhand.model.task import TaskSpec

RATES = [10 ** (-4 + 2 * index / 15) for index in range(16)]  # 0.0001 to 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--given", help="not needed: the task generates its own points")
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    task = tasks.load(TaskSpec("mlp", {"scale": options.scale, "least_epochs": 1}))
    layers = {"layers": 3, "units_1": 64, "units_2": 32, "units_3": 16}
    how = {
        "epochs": options.epochs,
        "batch_size": options.batch,
        "loss": "cross_entropy",
        "optimizer": "adam",
        "output": "linear",
    }
    with tempfile.TemporaryDirectory() as folder:
        result = evenhand.tune(
            task,
            method="manual",
            configurations=[{**how, **layers, "learning_rate": rate} for rate in RATES],
            trials=len(RATES),
            parallel=os.cpu_count() or 1,
            evaluate=False,
            progress=False,
            db=f"sqlite:///{Path(folder, 'lab.sqlite')}",
        )
    assert result.best is not None
    print(json.dumps({"trials": len(result.trials), "best accuracy": result.best.value}))


if __name__ == "__main__":
    main()
