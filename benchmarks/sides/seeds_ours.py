"""The ten-seed evaluation of one configuration: a session whose choice is given at once, scored as `evenhand tune` does."""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from evenhand import tasks
from evenhand.lab.lab import Lab
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskSpec
from evenhand.runners.local_agent import Trainer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=10)
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
        lab = Lab.connect(f"sqlite:///{Path(folder, 'lab.sqlite')}")
        record = lab.studies.add_task(task.record)
        text, budget = Text(""), Budget(trials=1)
        study = Study("seeds", "seeds", record.id, budget, 0, text, text, text, evaluation_seeds=10)
        session = lab.start(lab.sessions.open(lab.studies.add(study).id, tuner="person", driver="benchmark", budget=budget).id)
        lab.choose(session.id, configuration=record.space.configuration({**how, **layers, "learning_rate": 0.001}))
        trainer = Trainer(lab, task, session.id)
        while trainer.train_next():
            pass
        trainer.close()
        lab.evaluations.reveal(session.id, "benchmark")
        accuracies = [score.value for score in lab.evaluations.get(session.id, "benchmark").scores if score.value is not None]
        lab.close()
    print(json.dumps({"seeds": len(accuracies), "accuracy": statistics.mean(accuracies)}))


if __name__ == "__main__":
    main()
