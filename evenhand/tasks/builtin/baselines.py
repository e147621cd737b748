"""Baselines without deep learning (nearest neighbours, random forest), and the Bayes error rate estimated as the paper does.

"On Automating Hyperparameter Optimization for Deep Learning Applications", section 4: KNN and RNF as baselines, and as the
estimate of the Bayes error rate the lower error of the two, fitted and scored on one split, for each split independently. That
estimate is optimistic, as both remember points that they are scored on: it may lie below the true rate, which
`shapes.bayes_error` knows for generated data. The paper prints no settings of either; those here are `BaselineSettings`.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evenhand.errors import InvalidSettings
from evenhand.model.rules import derive_seed
from evenhand.tasks.builtin.mixtures import Labels, Numbers
from evenhand.tasks.builtin.points import Errors, PointSet, Predict
from evenhand.tasks.builtin.shapes import SPLITS, Split

REVISION = 1  # raised when their numbers change; tests/golden holds them to that


@dataclass(frozen=True)
class BaselineSettings:
    """How both are fitted. neighbours: that vote. trees, leaf: of the forest, and the fewest points a leaf of it may hold.

    fitted, scored: the most points of a split that one is fitted to or scored on; larger splits are subsampled by the seed.
    """

    neighbours: int = 25
    trees: int = 50
    leaf: int = 25
    fitted: int = 50_000
    scored: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        low = {name: value for name, value in asdict(self).items() if name != "seed" and value < 1}
        if low:
            raise InvalidSettings(
                "settings of baselines: " + "; ".join(f"{name}: got {low[name]}, expected 1 or more" for name in low)
            )


@dataclass(frozen=True)
class Baseline:
    """A baseline fitted to the training split: its errors on the three splits in percent, and how they came about.

    points: how many points of each split counted; fitted: how many of the training split it learnt from.
    """

    name: str
    errors: Errors
    fitted: int
    points: dict[Split, int]
    how: str
    label: str


@dataclass(frozen=True)
class ClosedLoop:
    """The Bayes error rate estimated in a closed loop, in percent. by: which of the two had the lower error on each split."""

    errors: Errors
    by: dict[Split, str]
    points: dict[Split, int]
    how: str
    label: str


def baselines(data: PointSet, settings: BaselineSettings | None = None) -> tuple[Baseline, Baseline]:
    """Nearest neighbours ("KNN") and random forest ("RNF") fitted to train and scored on all three splits, eval included."""
    chosen = settings or BaselineSettings()
    points, labels = _part(data, "train", chosen.fitted, chosen.seed)
    scored = {split: _part(data, split, chosen.scored, chosen.seed) for split in SPLITS}
    results = []
    for name, model in _models(chosen, len(labels)).items():
        model.fit(points, labels)
        results.append(
            Baseline(
                name=name,
                errors=Errors(**{split: _error(model, *part) for split, part in scored.items()}),
                fitted=len(labels),
                points={split: len(part[1]) for split, part in scored.items()},
                how=f"{_words(name, chosen)}, fitted to {len(labels)} training points",
                label=data.label,
            )
        )
    return results[0], results[1]


def closed_loop(data: PointSet, settings: BaselineSettings | None = None) -> ClosedLoop:
    """The paper's estimate of the Bayes error rate: the lower error of KNN and RNF, each fitted to and scored on one split."""
    chosen = settings or BaselineSettings()
    rates, by, counts = {}, {}, {}
    for split in SPLITS:
        points, labels = _part(data, split, chosen.scored, chosen.seed)
        models = _models(chosen, len(labels))
        errors = {name: _error(model.fit(points, labels), points, labels) for name, model in models.items()}
        by[split] = min(errors, key=lambda name: errors[name])
        rates[split], counts[split] = errors[by[split]], len(labels)
    how = f"lower of {' and '.join(_words(name, chosen) for name in ('KNN', 'RNF'))}, fitted to and scored on the same points"
    return ClosedLoop(Errors(**rates), by, counts, how, data.label)


def predictor(data: PointSet, name: str, settings: BaselineSettings | None = None) -> Predict:
    """The baseline "KNN" or "RNF" fitted to the training split, as a function of points, for its decision surface."""
    chosen = settings or BaselineSettings()
    points, labels = _part(data, "train", chosen.fitted, chosen.seed)
    models = _models(chosen, len(labels))
    if name not in models:
        raise InvalidSettings(f"baseline {name!r}: unknown, expected one of {', '.join(models)}")
    predict: Predict = models[name].fit(points, labels).predict
    return predict


def _models(settings: BaselineSettings, count: int) -> dict[str, Any]:
    from sklearn.ensemble import RandomForestClassifier  # here, since scikit-learn takes a second to load
    from sklearn.neighbors import KNeighborsClassifier

    return {
        "KNN": KNeighborsClassifier(min(settings.neighbours, count)),
        "RNF": RandomForestClassifier(
            settings.trees, min_samples_leaf=settings.leaf, random_state=derive_seed(settings.seed, "forest") % 2**32
        ),
    }


def _words(name: str, settings: BaselineSettings) -> str:
    if name == "KNN":
        return f"{settings.neighbours} nearest neighbours"
    return f"random forest of {settings.trees} trees with at least {settings.leaf} points a leaf"


def _part(data: PointSet, split: Split, most: int, seed: int) -> tuple[Numbers, Labels]:
    """At most `most` points of a split, drawn by the seed."""
    points, labels = data.part(split)
    if len(labels) <= most:
        return points, labels
    words = np.random.PCG64(derive_seed(seed, "subsample", split)).random_raw(len(labels))
    chosen = np.sort(np.argsort(words, kind="stable")[:most])
    return points[chosen], labels[chosen]


def _error(model: Any, points: Numbers, labels: Labels) -> float:
    return 100 * float(np.mean(model.predict(points) != labels))
