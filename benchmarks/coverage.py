"""How often the intervals of a report hold what they are of: simulated coverage at the nominal 95 %.

    python -m benchmarks.coverage [--studies 4000] [--seed 0] [--out benchmarks/records]

For groups of 8, 11 and 31 values (the study's novices, experts and everyone), normal and exponential, the very functions of
`evenhand.analysis.stats` that reports print. Both groups of a difference are of the same distribution. One process, about four
minutes.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from evenhand.analysis import stats
from evenhand.analysis.stats import Interval
from evenhand.tasks import machine

SIZES = (8, 11, 31)
RESAMPLES = 1999  # of a bootstrap; a report takes 9999, so the record is of intervals that vary a little more
BAND = (0.93, 0.97)  # in which coverage is wanted


def main() -> None:
    """Simulate, print and record."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--studies", type=int, default=4000, help="simulated samples of each case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="the folder that the record is written to")
    asked = parser.parse_args()
    covered = simulated(asked.studies, asked.seed)
    for statistic, by_case in covered.items():
        for case, share in by_case.items():
            outside = "" if BAND[0] <= share <= BAND[1] else "  outside the band"
            print(f"{statistic:20} {case:16} {100 * share:5.1f} %{outside}")
    if asked.out is not None:
        record = {
            "what": "simulated coverage of the intervals that reports print, nominally 0.95",
            "command": f"python -m benchmarks.coverage --studies {asked.studies} --seed {asked.seed} --out benchmarks/records",
            "asked": {"studies": asked.studies, "seed": asked.seed, "resamples": RESAMPLES},
            "standard_error": round(math.sqrt(0.95 * 0.05 / asked.studies), 4),
            "coverage": covered,
            "machine": f"{machine.model()}, {os.cpu_count()} cores",
        }
        path = asked.out / f"{time.strftime('%Y-%m-%d', time.gmtime())}-coverage.json"
        path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        print(path)


def simulated(studies: int, seed: int) -> dict[str, dict[str, float]]:
    """Coverage by statistic and case."""
    covered: dict[str, dict[str, float]] = {statistic: {} for statistic in STATISTICS}
    for number, (name, draw) in enumerate(DISTRIBUTIONS.items()):
        for size in SIZES:
            rng = np.random.default_rng([seed, number, size])
            held = dict.fromkeys(STATISTICS, 0)
            for _ in range(studies):
                one, two = draw(rng, size), draw(rng, size)
                for statistic, interval_of in STATISTICS.items():
                    interval = interval_of(one, two, int(rng.integers(2**31)))
                    truth = TRUTHS[statistic][name]
                    ends = (interval.low, interval.high)
                    held[statistic] += ends[0] is not None and ends[1] is not None and ends[0] <= truth <= ends[1]
            for statistic, count in held.items():
                covered[statistic][f"{name}, n = {size}"] = round(count / studies, 4)
    return covered


def _mean(one: Sequence[float], _two: Sequence[float], seed: int) -> Interval:
    return stats.mean_interval(one, seed, RESAMPLES)


def _median(one: Sequence[float], _two: Sequence[float], _seed: int) -> Interval:
    return stats.median_interval(one)


def _difference(one: Sequence[float], two: Sequence[float], _seed: int) -> Interval:
    return stats.mean_difference(one, two).interval


DISTRIBUTIONS: Mapping[str, Callable[[np.random.Generator, int], list[float]]] = {
    "normal": lambda rng, size: rng.normal(size=size).tolist(),
    "exponential": lambda rng, size: rng.exponential(size=size).tolist(),
}
STATISTICS: Mapping[str, Callable[[Sequence[float], Sequence[float], int], Interval]] = {
    "mean": _mean,
    "difference of means": _difference,
    "median": _median,
}
TRUTHS: Mapping[str, Mapping[str, float]] = {
    "mean": {"normal": 0.0, "exponential": 1.0},
    "difference of means": {"normal": 0.0, "exponential": 0.0},
    "median": {"normal": 0.0, "exponential": math.log(2)},
}


if __name__ == "__main__":
    main()
