"""Durable trials of 15 hyperparameters and 20 measurements that train nothing, over HTTP: a server, a method and an agent.

Each is a process of its own. The method is `evenhand.runners.method_player` with the client that methods on other machines use,
the agent a loop around the client that agents use: a trial's worker process is left out, as nothing is trained.
"""

import argparse
import json
import multiprocessing
import time

import psutil

from benchmarks.served import seconds_of, served
from evenhand.lab.client import Client
from evenhand.model.domain import Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.job import Assignment
from evenhand.model.space import Space
from evenhand.model.study import Budget
from evenhand.model.trial import Measurement, Outcome
from evenhand.runners import method_player
from evenhand.tasks import task

NUMBERS, MEASUREMENTS, LEAST_TRIALS = 15, 20, 8
CLAIM_SECONDS = 0.5  # seconds that the agent waits for a training before it asks again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--scale", type=float, default=1.0, help="the share of the trials")
    options = parser.parse_args()
    trials = max(LEAST_TRIALS, round(options.trials * options.scale))
    numbers = [Hyperparameter(f"x{index}", Float(0.0, 1.0)) for index in range(NUMBERS)]
    space = Space([*numbers, Hyperparameter("epochs", Integer(1, MEASUREMENTS), fidelity=True)])
    made = task(space=space, metric="value", direction="maximize", max_epochs=MEASUREMENTS)(lambda configuration, run: None)
    method = {"name": "random", "seed": 1, "epochs_per_trial": MEASUREMENTS}
    with served(made, method, Budget(trials=trials), driver="benchmark") as server:
        tokens = server.lab.tokens.issue("method", server.session_id), server.lab.agents.add("benchmark", 1)[1]
        player = multiprocessing.get_context("spawn").Process(target=_play, args=(server.url, tokens[0]), daemon=True)
        player.start()
        parties = (server.process, psutil.Process(player.pid), psutil.Process())
        marks = _train(Client(server.url, tokens[1]), trials, parties)
        player.join()
        best = server.lab.view(server.session_id).best
    cpu, wall = ((end - begin) / (trials - 1) for begin, end in zip(*marks, strict=True))
    record = {"trials": trials, "method": "random", "measurements": MEASUREMENTS, "best": best and best.value}
    rule = "a trial, from the beginning of the first to that of the last: the server's, the method's and the agent's process"
    print(json.dumps({**record, "counted": {"cpu": cpu}, "seconds a trial": wall, "rule": rule}))


def _play(url: str, token: str) -> None:
    with Client(url, token) as client:
        method_player.tune(client, 0)


def _train(client: Client, trials: int, parties: tuple[psutil.Process, ...]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The seconds of CPU of all parties and the time, when the first trial began and when the last did."""
    marks = []
    client.hello(slots=1, machine="benchmark")
    for number in range(trials):
        while (assignment := client.claim(seconds=CLAIM_SECONDS)) is None:
            pass
        if number in (0, trials - 1):
            marks.append((sum(map(seconds_of, parties)), time.perf_counter()))
        _measure(client, assignment)
    client.goodbye()
    client.close()
    return marks[0], marks[1]


def _measure(client: Client, assignment: Assignment) -> None:
    worth = float(assignment.configuration["x0"])
    batch = [Measurement(epoch - 1, epoch, epoch, None, worth + epoch, 0.01 * epoch) for epoch in range(1, MEASUREMENTS + 1)]
    job = assignment.job_id, assignment.attempt
    if client.measure(*job, batch[:1]):  # as agents do: the first one at once, and the last ones with the end
        client.finish(*job, Outcome.COMPLETED, None, batch[1:])


if __name__ == "__main__":
    main()
