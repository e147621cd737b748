"""The ten-seed evaluation of one configuration: a session whose choice is given at once, scored as `evenhand tune` does."""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

from evenhand import tasks
from evenhand.declaration import Budget, Study, Text
from evenhand.inline import Trainer
from evenhand.lab import Lab
from evenhand.records import TaskSpec


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    task = tasks.load(TaskSpec("mlp", {"scale": given.scale, "least_epochs": 1}))
    layers = {"layers": 3, "units_1": 64, "units_2": 32, "units_3": 16}
    how = {"epochs": given.epochs, "batch_size": given.batch, "loss": "cross_entropy", "optimizer": "adam", "output": "linear"}
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.connect(f"sqlite:///{Path(folder, 'lab.sqlite')}")
        record = lab.add_task(task.record)
        text, budget = Text(""), Budget(trials=1)
        study = Study("seeds", "seeds", record.id, budget, 0, text, text, text, evaluation_seeds=10)
        session = lab.start(lab.open(lab.add_study(study).id, tuner="person", driver="benchmark", budget=budget).id)
        lab.choose(session.id, configuration=record.space.configuration({**how, **layers, "learning_rate": 0.001}))
        trainer = Trainer(lab, task, session.id)
        while trainer.train_next():
            pass
        trainer.close()
        lab.reveal(session.id, "benchmark")
        found = [each.value for each in lab.evaluation(session.id, "benchmark").scores if each.value is not None]
        lab.close()
    print(json.dumps({"seeds": len(found), "accuracy": statistics.mean(found)}))


if __name__ == "__main__":
    main()
