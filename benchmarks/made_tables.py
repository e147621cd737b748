"""Tables of small trainings: models of scikit-learn on its own data sets, every configuration of a grid trained on two splits.

Made in about ten seconds a table and kept nowhere: the same scikit-learn makes the same tables. No setting of a method was chosen
on them. A table's name is its model's and its data's.
"""

import hashlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from evenhand.tasks.builtin import tables

LEARNT, HELD, SPLITS = 120, 200, 2  # examples that a model learns from, those it is scored on at most, trainings of each
TABLES = ("svm-digits", "tree-breast_cancer", "sgd-hastie", "kernel_ridge-friedman1", "neighbours-wine")
Grid = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Model:
    """What is trained. grid: the options of each hyperparameter; estimator: what they make."""

    grid: Grid
    estimator: Callable[..., Any]


@cache
def table_of(name: str) -> tables.BenchmarkTable:
    """The table of a model on a data set, made anew once a process."""
    model_name, data = name.split("-")
    model, (load, is_regression) = MODELS[model_name], DATA[data]
    x, y = load()
    splits = [
        train_test_split(x, y, train_size=min(LEARNT, len(y) // 2), stratify=None if is_regression else y, random_state=seed)
        for seed in range(SPLITS)
    ]
    column, direction = ("mse", "minimize") if is_regression else ("accuracy", "maximize")
    rows = {}
    for places in product(*(range(len(options)) for options in model.grid.values())):
        settings = {name: options[at] for (name, options), at in zip(model.grid.items(), places, strict=True)}
        rows["".join(map(str, places))] = {
            column: [_score(model.estimator(**settings), split, is_regression) for split in splits]
        }
    family = tables.Family("made", "", (name,), column, column, direction, 1, ())  # type: ignore[arg-type]
    return tables.built(name, family, model.grid, rows, hashlib.sha256(repr(rows).encode()).hexdigest())


def _score(estimator: Any, split: Sequence[Any], is_regression: bool) -> float:
    train_x, held_x, train_y, held_y = split
    held_x, held_y = held_x[:HELD], held_y[:HELD]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        predicted = estimator.fit(train_x, train_y).predict(held_x)
    return float(np.mean((predicted - held_y) ** 2) if is_regression else np.mean(predicted == held_y))


def _powers(low: float, high: float, count: int) -> tuple[float, ...]:
    return tuple(float(f"{value:.3g}") for value in np.geomspace(low, high, count))


SCALERS = {"none": lambda: "passthrough", "standard": StandardScaler, "range": MinMaxScaler}


def _scaled(estimator: Callable[..., Any], scaler: str, **settings: Any) -> Any:
    return make_pipeline(SCALERS[scaler](), estimator(**settings))


MODELS: Mapping[str, Model] = {
    "svm": Model(
        {
            "scaler": tuple(SCALERS),
            "kernel": ("rbf", "sigmoid", "poly"),
            "C": _powers(1e-3, 1e3, 7),
            "gamma": _powers(1e-4, 10, 6),
            "coef0": (0.0, 1.0),
        },
        partial(_scaled, SVC, max_iter=500),
    ),
    "tree": Model(
        {
            "criterion": ("gini", "entropy"),
            "max_depth": (1, 2, 3, 5, 8, 12),
            "min_samples_leaf": (1, 3, 8, 20, 40),
            "max_features": (0.1, 0.3, 0.6, 1.0),
            "ccp_alpha": _powers(1e-4, 0.1, 4),
        },
        partial(DecisionTreeClassifier, random_state=0),
    ),
    "sgd": Model(
        {
            "loss": ("hinge", "log_loss", "perceptron"),
            "penalty": ("l2", "l1", "elasticnet"),
            "schedule": ("constant", "invscaling"),
            "rate": _powers(1e-5, 10, 7),
            "alpha": _powers(1e-6, 1, 6),
        },
        lambda schedule, rate, **settings: make_pipeline(
            StandardScaler(),
            SGDClassifier(learning_rate=schedule, eta0=rate, max_iter=10, random_state=0, **settings),
        ),
    ),
    "kernel_ridge": Model(
        {
            "kernel": ("rbf", "laplacian", "polynomial"),
            "scaler": tuple(SCALERS),
            "alpha": _powers(1e-5, 10, 7),
            "gamma": _powers(1e-4, 10, 7),
            "degree": (2, 3),
        },
        partial(_scaled, KernelRidge),
    ),
    "neighbours": Model(
        {
            "scaler": tuple(SCALERS),
            "n_neighbors": (1, 2, 3, 5, 8, 13, 21, 34, 55, 75),
            "weights": ("uniform", "distance"),
            "metric": ("euclidean", "manhattan", "chebyshev", "cosine", "canberra", "braycurtis"),
        },
        partial(_scaled, KNeighborsClassifier, algorithm="brute"),
    ),
}


def _stored(load: Callable[..., Any]) -> Any:
    return load(return_X_y=True)


def _generated(make: Callable[..., Any], **settings: Any) -> Any:
    return make(n_samples=LEARNT + HELD, random_state=0, **settings)


DATA: Mapping[str, tuple[Callable[[], Any], bool]] = {  # how it is loaded, and whether a number is predicted
    "breast_cancer": (partial(_stored, datasets.load_breast_cancer), False),
    "digits": (partial(_stored, datasets.load_digits), False),
    "wine": (partial(_stored, datasets.load_wine), False),
    "hastie": (partial(_generated, datasets.make_hastie_10_2), False),
    "friedman1": (partial(_generated, datasets.make_friedman1, noise=1.0), True),
}
