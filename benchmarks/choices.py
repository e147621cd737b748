"""The rules of the final choice beside plain best: on the data set #10, whose dev split misleads, and on twelve small sets.

    python -m benchmarks.choices [--seeds 8] [--trials 40] [--out benchmarks/records]

A decision tree is tuned by random search in sessions of `evenhand.tune`, once a set and seed; each rule then chooses from the
very same trials. The choice is fitted on all that is not for test, and scored there. Of a small set 200 examples at most, half of
it at most, are cut into five folds, and the others are for test. Of #10 train has 400 points and dev 200, scored in five parts.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
from sklearn import datasets
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.tree import DecisionTreeClassifier

import evenhand
from evenhand.model.choice_rule import choice_rule, chosen_by
from evenhand.model.configuration import Configuration
from evenhand.model.trial import Trial
from evenhand.tasks import machine
from evenhand.tasks.builtin import shapes

RULES = ("best", "lower bound", "gap", "simplest:leaves")
SPACE = {
    "max_depth": range(1, 16),
    "min_samples_leaf": evenhand.Integer(1, 30, log=True),
    "max_features": evenhand.Float(0.2, 1.0),
}
LEARNT, PARTS = 200, 5
MISLEADING = "#10"
Drawn = tuple[Any, Any]


@dataclass(frozen=True)
class Split:
    """parts: (to learn from, to score on), each X and y. whole: all that is not for test. test: the rest."""

    parts: tuple[tuple[Drawn, Drawn], ...]
    whole: Drawn
    test: Drawn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--out", type=Path, help="a folder for the record")
    asked = parser.parse_args()
    began, accuracies = time.time(), {}
    for name in (MISLEADING, *SETS):
        accuracies[name] = measured(name, asked.seeds, asked.trials)
        print(line(name, accuracies[name]), flush=True)
    print(line("twelve sets", {rule: [one for name in SETS for one in accuracies[name][rule]] for rule in RULES}))
    if asked.out is not None:
        record = {
            "what": "test accuracy of the trial that each rule chose from the same trials, by set, rule and seed",
            "asked": {"seeds": asked.seeds, "trials": asked.trials},
            "accuracy": accuracies,
            "seconds": round(time.time() - began),
            "machine": f"{machine.model()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end",
            "versions": {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "python": platform.python_version()},
        }
        path = asked.out / f"{time.strftime('%Y-%m-%d')}-choices.json"
        path.write_text(json.dumps(record, indent=1) + os.linesep)
        print(path)


def measured(name: str, seeds: int, trials: int) -> dict[str, list[float]]:
    """The test accuracy of each rule's choice, seed by seed."""
    scores: dict[str, list[float]] = {rule: [] for rule in RULES}
    for seed in range(1, seeds + 1):
        split = split_of(name, seed)
        with tempfile.TemporaryDirectory() as folder:
            result = evenhand.tune(
                partial(trained, split),
                SPACE,
                objectives=["accuracy:max"],
                trials=trials,
                seed=seed,
                evaluate=False,
                progress=False,
                db=f"sqlite:///{folder}/lab.sqlite",
            )
        for rule, trial in choices(result.trials).items():
            scores[rule].append(fitted(trial.configuration, split.whole).score(*split.test))
    return scores


def choices(trials: Sequence[Trial]) -> dict[str, Trial]:
    """What each rule chooses of these trials."""
    made = {rule: chosen_by(choice_rule(rule), trials, "accuracy", maximize=True) for rule in RULES}
    return {rule: chosen.trial for rule, chosen in made.items() if chosen is not None}


def trained(split: Split, configuration: Configuration) -> dict[str, float]:
    """A tree a part: its accuracy on each, and their means; on what they learnt from, too, and how many leaves they have."""
    trees = [fitted(configuration, learnt) for learnt, _ in split.parts]
    on_parts = [tree.score(*held) for tree, (_, held) in zip(trees, split.parts, strict=True)]
    on_learnt = [tree.score(*learnt) for tree, (learnt, _) in zip(trees, split.parts, strict=True)]
    return {
        "accuracy": statistics.fmean(on_parts),
        "train_accuracy": statistics.fmean(on_learnt),
        "leaves": statistics.fmean(tree.get_n_leaves() for tree in trees),
        **{f"fold {number}": score for number, score in enumerate(on_parts, 1)},
    }


def fitted(configuration: Mapping[str, Any], learnt: Drawn) -> Any:
    """The tree of a configuration."""
    return DecisionTreeClassifier(**configuration, random_state=0).fit(*learnt)


def line(name: str, scores: Mapping[str, Sequence[float]]) -> str:
    """A set in one line: the mean accuracy of plain best, and what each rule adds, with the standard error of the mean."""
    plain = scores[RULES[0]]
    parts = [f"{name:<14} best {100 * statistics.fmean(plain):5.1f} %"]
    for rule in RULES[1:]:
        added = [100 * (one - other) for one, other in zip(scores[rule], plain, strict=True)]
        error = statistics.stdev(added) / len(added) ** 0.5 if len(added) > 1 else 0.0
        parts.append(f"{rule} {statistics.fmean(added):+5.2f} ± {error:.2f}")
    return "   ".join(parts)


# The sets


def split_of(name: str, seed: int) -> Split:
    """A set's splits, drawn by a seed."""
    if name == MISLEADING:
        return _misleading(seed)
    x, y = SETS[name](seed)
    count = min(LEARNT, len(x) // 2)
    x, test_x, y, test_y = train_test_split(x, y, train_size=count, stratify=y, random_state=seed)
    folds = StratifiedKFold(PARTS, shuffle=True, random_state=seed).split(x, y)
    return Split(tuple(((x[rows], y[rows]), (x[held], y[held])) for rows, held in folds), (x, y), (test_x, test_y))


def _misleading(seed: int) -> Split:
    rng = np.random.default_rng(seed)
    points = {split: shapes.points("10", split, 0.05) for split in ("train", "dev", "eval")}
    rows = {split: rng.permutation(len(points[split][0])) for split in points}
    (x, y), (dev_x, dev_y) = points["train"], points["dev"]
    some, few = rows["train"][: 2 * LEARNT], rows["dev"][:LEARNT]
    learnt, held = (x[some], y[some]), (dev_x[few], dev_y[few])
    parts = tuple((learnt, (held[0][at::PARTS], held[1][at::PARTS])) for at in range(PARTS))
    whole = np.concatenate([learnt[0], held[0]]), np.concatenate([learnt[1], held[1]])
    return Split(parts, whole, points["eval"])


def _stored(load: Callable[..., Any], _seed: int) -> Drawn:
    x, y = load(return_X_y=True)
    return x, y if len(set(y)) <= 10 else (y > np.median(y)).astype(int)  # of a number whether it is above the median


def _generated(make: Callable[..., Any], seed: int, **settings: Any) -> Drawn:
    drawn: Drawn = make(n_samples=2000, random_state=seed, **settings)
    return drawn


SETS: Mapping[str, Callable[[int], Drawn]] = {
    "iris": partial(_stored, datasets.load_iris),
    "wine": partial(_stored, datasets.load_wine),
    "breast cancer": partial(_stored, datasets.load_breast_cancer),
    "digits": partial(_stored, datasets.load_digits),
    "diabetes": partial(_stored, datasets.load_diabetes),
    "moons": partial(_generated, datasets.make_moons, noise=0.3),
    "circles": partial(_generated, datasets.make_circles, noise=0.2, factor=0.5),
    "quantiles": partial(_generated, datasets.make_gaussian_quantiles, n_features=4, n_classes=3),
    "blobs": partial(_generated, datasets.make_blobs, centers=4, cluster_std=3.0),
    "plain": partial(_generated, datasets.make_classification, n_features=10, n_informative=5),
    "noisy": partial(_generated, datasets.make_classification, n_features=20, n_informative=4, flip_y=0.3),
    "hastie": partial(_generated, datasets.make_hastie_10_2),
}


if __name__ == "__main__":
    main()
