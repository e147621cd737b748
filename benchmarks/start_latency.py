"""How long a trial that is submitted over HTTP waits for an idle agent: from when it is stored to its claim.

    python -m benchmarks.start_latency [--trials 25]

A real server with its own agent (two slots); trainings of the mlp task of a few milliseconds, submitted at random times 0.3 to
1.5 s after the one before has ended, so that the agent has nothing to do. Both times are the server's.
"""

import argparse
import os
import platform
import statistics
import time

import numpy as np

from benchmarks.served import served
from evenhand import methods, tasks
from evenhand.lab.client import Client
from evenhand.model.study import Budget
from evenhand.model.task import TaskSpec
from evenhand.tasks import machine

SETTLED_SECONDS = 8.0  # seconds until the agent has loaded what trainings need
EPOCHS, BATCH = 10, 256


def waits(trials: int) -> list[float]:
    """Seconds, one for each trial."""
    seconds: list[float] = []
    rng = np.random.default_rng(0)
    task = tasks.load(TaskSpec("mlp", {"scale": 0.01}))
    with (
        served(task, {"name": "random"}, Budget(trials=trials), slots=2, driver="benchmark") as server,
        Client(server.url, server.lab.tokens.issue("method", server.session_id)) as client,
    ):
        session = client.start()
        time.sleep(SETTLED_SECONDS)
        for number in range(1, trials + 1):
            time.sleep(rng.uniform(0.3, 1.5))
            (drawn,) = methods.method("random", maximize=True).suggest(session.space, (), 1, rng)
            asked = session.space.configuration({**drawn.configuration, "epochs": EPOCHS, "batch_size": BATCH})
            client.submit(0, asked)
            while (trial := client.view().session.trials[number - 1]).is_open:
                time.sleep(0.05)
            if trial.claimed_at is not None:
                seconds.append(trial.claimed_at - trial.submitted_at)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=25)
    seconds = sorted(waits(parser.parse_args().trials))
    figures = [f"{name} {1000 * value:.0f}" for name, value in (("median", statistics.median(seconds)), ("most", seconds[-1]))]
    print(f"{machine.model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}")
    print(f"{len(seconds)} trials claimed after ms: {', '.join(figures)}")


if __name__ == "__main__":
    main()
