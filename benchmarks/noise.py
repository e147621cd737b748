"""What the cards of noise and of health say on simulated histories, of which the truth is known.

    python -m benchmarks.noise [--histories 100] [--record benchmarks/records]

A history is of trials drawn uniformly over some hyperparameters, whose values have a slope, a valley and a cliff, or no effect at
all, and normal noise. Counted are: the estimated spread over the true one, and whether its interval holds that; how far the best
is too good, before and after the correction, and whether the correction's interval holds the true value; whether the subset that
cannot be told from the best holds the truly best one (of equals the first); whether ten more trials bring what their interval
says; and how often an edge or a corner of failures is named where there is none. The seeds are not those with which the cards
were built.
"""

import argparse
import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from evenhand.explain import History
from evenhand.explain.checks import MORE, checks, expected_gain
from evenhand.explain.failures import failing_corner
from evenhand.explain.noise import Spread, corrected, not_distinguishable, spread, tried
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Float
from evenhand.model.space import Space
from evenhand.model.trial import Outcome, Trial

FIRST_SEED = 20_261_130
NOISE = 0.03
DIMENSIONS, COUNTS, KINDS = (2, 8, 15), (30, 100), ("effect", "none")
FAILING = 0.12  # the share of trials that fail, wherever they lie
PACKAGES = ("evenhand", "scikit-learn", "numpy", "scipy")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--histories", type=int, default=100)
    parser.add_argument("--record", type=Path, help="a folder for the record")
    asked = parser.parse_args()
    rows = []
    for dimensions in DIMENSIONS:
        for count in COUNTS:
            for kind in KINDS:
                rows.append(case(dimensions, count, kind, asked.histories))
                print(json.dumps(rows[-1]), flush=True)
    if asked.record is not None:
        made = {
            "what": "the cards of noise and of health on simulated histories, of which the truth is known",
            "commands": [line.strip() for line in (__doc__ or "").splitlines() if line.startswith("    python")],
            "noise": NOISE,
            "histories": asked.histories,
            "seed": FIRST_SEED,
            "cases": rows,
            **surroundings(),
        }
        (asked.record / f"{time.strftime('%Y-%m-%d', time.gmtime())}-noise.json").write_text(json.dumps(made, indent=1) + "\n")


def surroundings() -> Mapping[str, Any]:
    """Where it was run."""
    versions = {name: metadata.version(name) for name in PACKAGES}
    return {"python": platform.python_version(), "machine": platform.machine(), "packages": versions}


def simulated(dimensions: int, count: int, kind: str, seed: int) -> tuple[History, Any]:
    """A history, and the true value of each of its trials."""
    space = Space({f"x{at}": Float(0.1, 0.9) for at in range(dimensions)})
    rng = np.random.default_rng([FIRST_SEED, dimensions, count, KINDS.index(kind), seed])
    rows = rng.uniform(0.1, 0.9, (count, dimensions))
    truth = np.full(count, 0.5)
    if kind == "effect":
        truth = 0.8 - 0.3 * (rows[:, 0] - 0.4) ** 2 - 0.1 * np.abs(rows[:, 1] - 0.6) - 0.3 * (rows[:, -1] > 0.8)
    values = truth + NOISE * rng.normal(size=count)
    trials = tuple(_trial(space, number, row, value) for number, (row, value) in enumerate(zip(rows, values, strict=True), 1))
    return History(space, "score", True, trials), truth


def _trial(space: Space, number: int, row: Any, value: float) -> Trial:
    configuration = Configuration(dict(zip(space.names, map(float, row), strict=True)))
    return Trial(
        number,
        1,
        number,
        configuration,
        "random",
        float(number),
        1,
        value=float(value),
        outcome=Outcome.COMPLETED,
        finished_at=0.0,
    )


def case(dimensions: int, count: int, kind: str, histories: int) -> dict[str, Any]:
    """What the cards say of so many histories of one kind."""
    known = Spread(NOISE, "measured", None, NOISE, NOISE, 1, 2)
    rows: list[dict[str, float]] = []
    for seed in range(histories):
        history, truth = simulated(dimensions, count, kind, seed)
        estimate, configurations = spread(history), tried(history)
        shrunk = corrected(configurations, known)
        assert estimate is not None
        assert shrunk is not None
        best = configurations[0]
        worth = float(truth[best.trials[0].number - 1])
        alike = {one.trials[0].number - 1 for one in not_distinguishable(configurations, known)}
        values = history.values.tolist()
        gain = expected_gain(values[:-MORE])
        assert gain is not None
        rows.append(
            {
                "estimate": estimate.value / NOISE,
                "estimate_holds": estimate.low <= NOISE <= estimate.high,
                "luck": best.worth - worth,
                "luck_left": shrunk.value - worth,
                "corrected_holds": shrunk.low <= worth <= shrunk.high,
                "subset_holds": int(np.argmax(truth)) in alike,
                "gain_holds": max(0.0, max(values[-MORE:]) - max(values[:-MORE])) <= gain.high,
                "false_edge": kind == "none" and _names(checks(history).data["checks"], "edge"),
                "false_corner": _has_false_corner(history, seed),
            }
        )
    means = {name: round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]}
    means["estimate"] = round(float(np.median([row["estimate"] for row in rows])), 3)
    return {"dimensions": dimensions, "trials": count, "kind": kind, **means}


def _names(findings: Sequence[Mapping[str, Any]], key: str) -> bool:
    return any(check["key"] == key for check in findings)


def _has_false_corner(history: History, seed: int) -> bool:
    """Whether a corner is named where failures are dealt out at random."""
    failed = np.random.default_rng([FIRST_SEED, seed]).random(len(history.trials)) < FAILING
    trials = [
        replace(trial, outcome=Outcome.DIVERGED) if fails else trial for trial, fails in zip(history.trials, failed, strict=True)
    ]
    corner = failing_corner(replace(history, trials=tuple(trials)), seed)
    return corner is not None and corner.is_told


if __name__ == "__main__":
    main()
