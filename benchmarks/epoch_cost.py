"""CPU milliseconds of an epoch of MLP-M1's network (2-64-32-16-2, Adam) on 100,000 points, in each lane that is here.

    python -m benchmarks.epoch_cost [--rounds 5] [--count 100000] [--together 32]

Lanes take turns, on one thread; the first epoch of each, which loads what it needs, is not counted. Where a lane trains several
configurations together, it is timed with that many too, for each of them; about a minute and a half in all.
"""

import argparse
import os
import platform
import statistics
import time

import numpy as np

from evenhand.tasks import engines, machine
from evenhand.tasks.engines import groups
from evenhand.tasks.engines.base import LabelledPoints, Layout, TrainingGroup, TrainingPlan

BATCHES = (16, 64, 512)
LAYOUT = Layout(2, 2, (64, 32, 16), ("relu",) * 3, "linear")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--together", type=int, nargs="*", default=[32])
    options = parser.parse_args()
    points = np.random.default_rng(0).normal(size=(options.count, 2))
    data = LabelledPoints(points, (np.abs(points).sum(1) * 3 % 2).astype(np.int32))
    here = [name for name in engines.LANES if engines.why_not(name) is None]
    sizes = [(name, 1) for name in here]
    sizes += [(name, size) for name in here if engines.group_size(name, 1) > 1 for size in options.together]
    print(f"{machine.model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; Python {platform.python_version()}")
    for batch in BATCHES:
        spent = measured(sizes, TrainingPlan("cross_entropy", "adam", 0.001, batch), data, options.rounds)
        line = (
            f"{name}{f' x {size}' if size > 1 else ''} {statistics.median(ms):.1f} ({min(ms):.1f} to {max(ms):.1f})"
            for (name, size), ms in spent.items()
        )
        print(f"batch {batch}: {', '.join(line)} ms")


def measured(
    sizes: list[tuple[str, int]], plan: TrainingPlan, data: LabelledPoints, rounds: int
) -> dict[tuple[str, int], list[float]]:
    """Milliseconds an epoch and configuration, of each lane by name with so many together, round by round."""
    trained: dict[tuple[str, int], TrainingGroup] = {
        (name, size): engines.begin_group(name, LAYOUT, [plan] * size, range(size), data, "fp32") for name, size in sizes
    }
    spent: dict[tuple[str, int], list[float]] = {size: [] for size in sizes}
    for before in range(rounds + 1):
        for (name, size), group in trained.items():
            begun = time.process_time()
            for _ in groups.advance(group, dict.fromkeys(range(size), before), before + 1):
                pass
            if before:
                spent[name, size].append(1000 * (time.process_time() - begun) / size)
    return spent


if __name__ == "__main__":
    main()
