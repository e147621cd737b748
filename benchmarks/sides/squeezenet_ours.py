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
from evenhand.declaration import Budget, Study, Text
from evenhand.lab import Lab
from evenhand.records import Session, TaskSpec
from evenhand.worker import run_agent

LOOK = 0.05  # seconds between two looks whether all has ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=0, help="of the evaluation of one configuration; 0: trainings instead")
    parser.add_argument("--rates", default="3e-4", help="learning rates, each a training, with commas between")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1: the least that runs")
    given = parser.parse_args()
    rates = [float(rate) for rate in given.rates.split(",")]
    if given.scale < 1:  # a smoke test
        given.epochs, rates, given.seeds = 1, rates[:1], min(given.seeds, 2)
    settings = {"data": "digits", "size": given.size, "augment": True, "last_relu": False}
    task = tasks.load(TaskSpec("black-magic", settings))
    common = {"epochs": given.epochs, "batch_size": given.batch, "loss": "cross_entropy", "optimizer": "adam"}
    chosen = [task.space.configuration({**common, "learning_rate": rate}) for rate in rates]
    with tempfile.TemporaryDirectory() as folder:
        lab = Lab.connect(f"sqlite:///{Path(folder, 'lab.sqlite')}")
        text, budget = Text(""), Budget(trials=len(chosen), parallel=len(chosen))
        study = Study("images", "images", lab.add_task(task.record).id, budget, 0, text, text, text, evaluation_seeds=given.seeds)
        session = lab.start(lab.open(lab.add_study(study).id, tuner="benchmark", driver="benchmark", budget=budget).id)
        if given.seeds:
            lab.choose(session.id, configuration=chosen[0])
        else:
            for each in chosen:
                lab.submit(session.id, each)
        trained(lab, lambda: done(lab.session(session.id), given.seeds))
        if given.seeds:
            lab.reveal(session.id, "benchmark")
            found = [each.value for each in lab.evaluation(session.id, "benchmark").scores]
        else:
            found = [each.value for each in lab.session(session.id).trials]
        lab.close()
    values = [each for each in found if each is not None]
    counts = dict(task.statistics)
    images = counts["training images"] + (counts["validation images"] if given.seeds else 0)
    told = {"trainings": len(values), "images": len(values) * given.epochs * images, "accuracy": statistics.mean(values)}
    print(json.dumps({**told, "precision": task.settings["precision"]}))


def done(session: Session, seeds: int) -> bool:
    """Whether nothing is left to train."""
    return session.evaluated.done == seeds if seeds else all(not trial.is_open for trial in session.trials)


def trained(lab: Lab, ended: Callable[[], bool]) -> None:
    """Let an agent train until `ended`."""
    stop = threading.Event()
    slots = os.cpu_count() or 1
    agent_id, _ = lab.add_agent("benchmark", slots)
    agent = threading.Thread(target=run_agent, args=(lab, agent_id), kwargs={"slots": slots, "stop": stop})
    agent.start()
    while agent.is_alive() and not ended():
        time.sleep(LOOK)
    stop.set()
    agent.join()


if __name__ == "__main__":
    main()
