"""`pibo` with a misleading belief, and with a good one, on tables on which nothing of it was chosen.

    python -m benchmarks.misleading run --out misleading.jsonl [--seeds 3] [--trials 60]
    python -m benchmarks.misleading report --out misleading.jsonl --record benchmarks/records

The tables are the three of NAS-Bench-201, which no other benchmark here uses, and those of `benchmarks.made_tables`. A pair is a
table and a seed. In each `pibo` tunes without a belief, with a misleading one (a configuration drawn from the table's worst 1 %)
and with a good one (for each hyperparameter the median, or commonest option, of its best 1 %); and again with the same beliefs
while none is ever set aside, as it was before. `random` tunes beside. All of a pair see the same trainings. Regret is 0 at the
table's best mean and 1 at its median; *seen* is that of the values a method saw, *worth* that of the best configuration's mean
over the table's trainings. `run` may be interrupted and goes on where it stood; `report` is of the pairs that are there.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import made_tables
from benchmarks.methods import believed, bests, lines
from evenhand.tasks import machine
from evenhand.tasks.builtin import tables

PUBLISHED = ("nasbench201-cifar10", "nasbench201-cifar100", "nasbench201-imagenet")
CONFIDENCES = ("medium", "high")
NEVER = 1e6  # a tolerance that no belief exceeds
MOST_COST, MOST_WORSE_SHARE = 0.05, 0.25  # the goals: of the mean cost of a misleading belief, and of pairs worse than random
RESAMPLES = 10_000
PACKAGES = ("evenhand", "scikit-learn", "numpy", "scipy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "report"))
    parser.add_argument("--out", type=Path, default=Path("misleading.jsonl"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=60)
    parser.add_argument("--record", type=Path, help="a folder for the record")
    asked = parser.parse_args()
    if asked.what == "run":
        run(asked.out, asked.seeds, asked.trials)
    else:
        report(asked.out, asked.record)


def table_of(name: str) -> tables.BenchmarkTable:
    return tables.table_of(name) if name in PUBLISHED else made_tables.table_of(name)


def run(out: Path, seeds: int, trials: int) -> None:
    """A line of JSON a pair, the first seed of every table before the second."""
    done = {(row["table"], row["seed"]) for row in lines(out)}
    for seed, name in product(range(seeds), (*PUBLISHED, *made_tables.TABLES)):
        if (name, seed) not in done:
            began = time.process_time()
            row = {"table": name, "seed": seed, "trials": trials, "regret": pair(table_of(name), seed, trials)}
            with out.open("a") as file:
                file.write(json.dumps({**row, "cpu": round(time.process_time() - began, 1)}) + "\n")
            print(f"{name}, seed {seed}", flush=True)


def pair(table: tables.BenchmarkTable, seed: int, trials: int) -> dict[str, Any]:
    """By how it was tuned: the best regret after each trial, seen and worth."""
    regret = {
        "random": bests(table, table.space, seed, trials, "random"),
        "plain": bests(table, table.space, seed, trials),
    }
    for confidence, kind in product(CONFIDENCES, ("bad", "good")):
        space = believed(table, kind, confidence, seed)
        regret[f"{kind} {confidence}"] = bests(table, space, seed, trials)
        regret[f"{kind} {confidence}, kept"] = bests(table, space, seed, trials, tolerance=NEVER)
    return regret


def report(out: Path, folder: Path | None) -> None:
    """Print what came of it, and with a folder write the record."""
    rows = lines(out)
    if not rows:
        raise SystemExit(f"{out}: holds no pair yet; run the benchmark first")
    summaries = {
        by: {how: summary(rows, by, how) for how in sorted(rows[0]["regret"]) if how not in ("plain", "random")}
        for by in ("worth", "seen")
    }
    for by, of_all in summaries.items():
        for how, of in of_all.items():
            print(f"{by:<6} {how:<18} {json.dumps(of)}")
    if folder is not None:
        date = time.strftime("%Y-%m-%d")
        record = {
            "what": "pibo with a misleading (bad) and a good belief, and with the same ones always kept, beside none and random",
            "commands": [line.strip() for line in (__doc__ or "").splitlines() if line.startswith("    python")],
            "date": date,
            "machine": f"{machine.model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
            "versions": {"Python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
            "tables": sorted({row["table"] for row in rows}),
            "pairs": len(rows),
            "trials": rows[0]["trials"],
            "cpu_seconds": round(sum(row["cpu"] for row in rows)),
            "goals": {"mean cost of a misleading belief": MOST_COST, "share of pairs worse than random": MOST_WORSE_SHARE},
            **summaries,
            "last": [{**row, "regret": {how: ends(of) for how, of in row["regret"].items()}} for row in rows],
        }
        (folder / f"{date}-pibo-misleading.json").write_text(json.dumps(record, indent=1) + "\n")


def ends(of: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {by: values[-1] for by, values in of.items()}


def summary(rows: Sequence[Mapping[str, Any]], by: str, how: str) -> dict[str, Any]:
    """Of one way of tuning, over the pairs: what it costs beside plain, and how often it is worse than random."""
    regrets = {name: np.array([row["regret"][name][by] for row in rows]) for name in (how, "plain", "random")}
    cost = regrets[how][:, -1] - regrets["plain"][:, -1]
    worse = {name: int((regrets[name][:, -1] > regrets["random"][:, -1]).sum()) for name in (how, "plain")}
    ways = zip(regrets[how], regrets["plain"], strict=True)
    needed = [next((at for at, value in enumerate(mine, 1) if value <= plain[-1]), len(mine) + 1) for mine, plain in ways]
    low, high = interval(cost)
    return {
        "cost_mean": round(float(cost.mean()), 4),
        "cost_interval": [round(low, 4), round(high, 4)],
        "cost_largest": round(float(cost.max()), 4),
        "worse_than_random": worse[how],
        "plain_worse_than_random": worse["plain"],
        "pairs": len(rows),
        "trials_to_plain_end_median": float(np.median(needed)),
        "regret_at_15": round(float(regrets[how][:, min(14, regrets[how].shape[1] - 1)].mean()), 4),
    }


def interval(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    """The 95 % interval of a mean, by a percentile bootstrap over the pairs."""
    drawn = np.random.default_rng(0).choice(values, (RESAMPLES, len(values))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


if __name__ == "__main__":
    main()
