"""CPU milliseconds of an epoch of MLP-M1's network (2-64-32-16-2, Adam) on 100,000 points, in each lane that is here.

    python -m benchmarks.epoch_cost [--rounds 5] [--count 100000]

Lanes take turns, on one thread; the first epoch of each, which loads what it needs, is not counted.
"""

import argparse
import os
import platform
import statistics
import time

import numpy as np

from evenhand import lanes
from evenhand.lanes.base import Data, Layout, Plan
from evenhand.worker import machine_kind

BATCHES = (16, 64, 512)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=100_000)
    given = parser.parse_args()
    points = np.random.default_rng(0).normal(size=(given.count, 2))
    data = Data(points, (np.abs(points).sum(1) * 3 % 2).astype(np.int32))
    layout = Layout(2, 2, (64, 32, 16), ("relu",) * 3, "linear")
    here = [name for name in lanes.LANES if lanes.why_not(name) is None]
    print(f"{machine_kind()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}")
    for batch in BATCHES:
        plan = Plan("cross_entropy", "adam", 0.001, batch)
        trainings = {name: lanes.begin(name, layout, plan, 1, data, "fp32") for name in here}
        spent: dict[str, list[float]] = {name: [] for name in here}
        for number in range(1, given.rounds + 2):
            for name, training in trainings.items():
                begun = time.process_time()
                for _ in training.epoch(number):
                    pass
                spent[name].append(1000 * (time.process_time() - begun))
        told = (
            f"{name} {statistics.median(each[1:]):.1f} ({min(each[1:]):.1f} to {max(each[1:]):.1f})"
            for name, each in spent.items()
        )
        print(f"batch {batch}: {', '.join(told)} ms")


if __name__ == "__main__":
    main()
