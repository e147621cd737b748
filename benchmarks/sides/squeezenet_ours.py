"""SqueezeNet as a user of Evenhand has it trained: sessions in a lab, and an agent with a one-thread worker for each core.

The black-magic task's settings are its defaults but for the image size, mirroring, and the last ReLU, with which these trainings
would stay at chance.
"""

import argparse
import json
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from evenhand import tasks
from evenhand.lab.lab import Lab
from evenhand.model.session import Session
from evenhand.model.study import Budget, Study, Text
from evenhand.model.task import TaskSpec
from evenhand.runners.agent import run_agent

LOOK_SECONDS = 0.05  # seconds between two looks whether all has ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=0, help="of the evaluation of one configuration; 0: trainings instead")
    parser.add_argument("--rates", default="3e-4", help="learning rates, each a training, with commas between")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1: the least that runs")
    options = parser.parse_args()
    rates = [float(rate) for rate in options.rates.split(",")]
    if options.scale < 1:  # a smoke test
        options.epochs, rates, options.seeds = 1, rates[:1], min(options.seeds, 2)
    settings = {"data": "digits", "size": options.size, "augment": True, "last_relu": False}
    task = tasks.load(TaskSpec("black-magic", settings))
    common = {"epochs": options.epochs, "batch_size": options.batch, "loss": "cross_entropy", "optimizer": "adam"}
    chosen = [task.space.configuration({**common, "learning_rate": rate}) for rate in rates]
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.connect(f"sqlite:///{Path(folder, 'lab.sqlite')}")
        text, budget = Text(""), Budget(trials=len(chosen), parallel=len(chosen))
        study = Study(
            "images", "images", lab.studies.add_task(task.record).id, budget, 0, text, text, text, evaluation_seeds=options.seeds
        )
        session = lab.start(lab.sessions.open(lab.studies.add(study).id, tuner="benchmark", driver="benchmark", budget=budget).id)
        if options.seeds:
            lab.choose(session.id, configuration=chosen[0])
        else:
            for configuration in chosen:
                lab.submit(session.id, configuration)
        trained(lab, lambda: done(lab.sessions.get(session.id), options.seeds))
        if options.seeds:
            lab.evaluations.reveal(session.id, "benchmark")
            recorded = [score.value for score in lab.evaluations.get(session.id, "benchmark").scores]
        else:
            recorded = [trial.value for trial in lab.sessions.get(session.id).trials]
        lab.close()
    values = [value for value in recorded if value is not None]
    counts = dict(task.statistics)
    images = counts["training images"] + (counts["validation images"] if options.seeds else 0)
    record = {"trainings": len(values), "images": len(values) * options.epochs * images, "accuracy": statistics.mean(values)}
    print(json.dumps({**record, "precision": task.settings["precision"]}))


def done(session: Session, seeds: int) -> bool:
    """Whether nothing is left to train."""
    return session.evaluated.done == seeds if seeds else all(not trial.is_open for trial in session.trials)


def trained(lab: Lab, ended: Callable[[], bool]) -> None:
    """Let an agent train until `ended`."""
    stop = threading.Event()
    slots = os.cpu_count() or 1
    agent_id, _ = lab.agents.add("benchmark", slots)
    agent = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs={"slots": slots, "stop": stop})
    agent.start()
    while agent.is_alive() and not ended():
        time.sleep(LOOK_SECONDS)
    stop.set()
    agent.join()


if __name__ == "__main__":
    main()
