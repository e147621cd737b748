"""Sixteen small trainings of a perceptron with different learning rates by Optuna: two processes on one study in SQLite."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import optuna
from optuna.trial import TrialState

from benchmarks.sides.eager import RATES, Training, points

PROCESSES = 2
NAME = "trials"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--given", required=True)
    parser.add_argument("--scale", help="not needed: the points that are given are a share already")
    parser.add_argument("--storage", help="of one of the processes: the study that it works on")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if options.storage is not None:
        _work(options)
        return
    with tempfile.TemporaryDirectory() as folder:
        storage = f"sqlite:///{Path(folder, 'study.sqlite')}"
        study = optuna.create_study(storage=storage, study_name=NAME, direction="maximize")
        command = [sys.executable, *sys.argv, "--storage", storage]
        for process in [subprocess.Popen(command) for _ in range(PROCESSES)]:
            assert process.wait() == 0
        ended = study.get_trials(states=(TrialState.COMPLETE,))
        print(json.dumps({"trials": len(ended), "best accuracy": study.best_value}))


def _work(options: argparse.Namespace) -> None:
    train_x, train_y, dev_x, dev_y = points(options.given)

    def objective(trial: optuna.Trial) -> float:
        rate = RATES[trial.number]  # enqueued ones are now and then taken by both processes; nothing is paid for suggesting
        trial.set_user_attr("learning_rate", rate)
        training = Training(rate, options.batch)
        accuracy = 0.0
        for epoch in range(1, options.epochs + 1):
            training.epoch(train_x, train_y)
            accuracy = training.accuracy(dev_x, dev_y)
            trial.report(accuracy, epoch)
        return accuracy

    optuna.load_study(study_name=NAME, storage=options.storage).optimize(objective, n_trials=len(RATES) // PROCESSES)


if __name__ == "__main__":
    main()
