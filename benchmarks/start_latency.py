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
from evenhand import tasks, tuners
from evenhand.client import Client
from evenhand.declaration import Budget
from evenhand.records import TaskSpec
from evenhand.worker import machine_kind

SETTLED = 8.0  # seconds until the agent has loaded what trainings need
EPOCHS, BATCH = 10, 256


def waits(trials: int) -> list[float]:
    """Seconds, one for each trial."""
    found: list[float] = []
    rng = np.random.default_rng(0)
    task = tasks.load(TaskSpec("mlp", {"scale": 0.01}))
    with (
        served(task, {"name": "random"}, Budget(trials=trials), slots=2, driver="benchmark") as server,
        Client(server.url, server.lab.issue_token("method", server.session_id)) as client,
    ):
        session = client.start()
        time.sleep(SETTLED)
        for number in range(1, trials + 1):
            time.sleep(rng.uniform(0.3, 1.5))
            (drawn,) = tuners.method("random", maximize=True).suggest(session.space, (), 1, rng)
            asked = session.space.configuration({**drawn.configuration, "epochs": EPOCHS, "batch_size": BATCH})
            client.submit(0, asked)
            while (trial := client.view().session.trials[number - 1]).is_open:
                time.sleep(0.05)
            if trial.claimed_at is not None:
                found.append(trial.claimed_at - trial.submitted_at)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=25)
    found = sorted(waits(parser.parse_args().trials))
    told = [f"{name} {1000 * value:.0f}" for name, value in (("median", statistics.median(found)), ("most", found[-1]))]
    print(f"{machine_kind()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}")
    print(f"{len(found)} trials claimed after ms: {', '.join(told)}")


if __name__ == "__main__":
    main()
