"""A scikit-learn estimator and a user's own data as a task: its space, its fixed splits, one fit a trial.

The estimators of the sklearn task have a default space: the one of the 2020 black-box optimization challenge, but for trees,
forests, support vectors and the iterations of networks, whose ranges there leave out scikit-learn's own settings. For other
estimators, and for pipelines, the space is the user's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from evenhand.errors import InvalidSettings
from evenhand.space import Configuration, Float, Hyperparameter, Integer, Space, Value, digest
from evenhand.tasks import classic
from evenhand.tasks.base import Task, source_digest
from evenhand.tasks.run import Run
from evenhand.tasks.splits import Splits

SOURCES = ("estimators", "classic", "run", "running", "splits")  # what a trial's numbers hang on
WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "none": None}  # options that stand for what is no text
SEED = "random_state"
TREE = (
    Hyperparameter("max_depth", Integer(1, 32, log=True), None, "Largest depth", "How many questions lead to an answer at most."),
    Hyperparameter(
        "min_samples_split", Integer(2, 32, log=True), None, "Least to split", "Examples that a node needs to be split."
    ),
    Hyperparameter(
        "min_samples_leaf", Integer(1, 16, log=True), None, "Least in a leaf", "Examples that each leaf keeps at least."
    ),
    Hyperparameter("max_features", Float(0.05, 1.0), None, "Features tried", "The share that each split may choose from."),
)
TREES = Hyperparameter("n_estimators", Integer(10, 300, log=True), None, "Trees", "How many trees vote.")
VECTORS = (
    Hyperparameter("C", Float(1e-2, 1e3, log=True), None, "C", "How much an example on the wrong side costs."),
    Hyperparameter("gamma", Float(1e-5, 10, log=True), None, "Gamma", "How near examples have to be to count as similar."),
)
ROUNDS = Hyperparameter("max_iter", Integer(10, 500, log=True), None, "Iterations", "Passes over the training examples at most.")
OWN: Mapping[str, tuple[Hyperparameter, ...]] = {  # in place of the challenge's, by the estimator's class
    **{f"DecisionTree{kind}": TREE for kind in ("Classifier", "Regressor")},
    **{f"RandomForest{kind}": (TREES, *TREE) for kind in ("Classifier", "Regressor")},
    **dict.fromkeys(("SVC", "SVR"), VECTORS),
}


@dataclass(frozen=True)
class Data:
    """Examples X (array, sparse matrix or data frame, one row an example) and targets y (N,), in splits of row numbers."""

    x: Any
    y: Any
    splits: Splits

    @classmethod
    def drawn(cls, x: Any, y: Any, seed: int) -> "Data":
        """60 % for training, 20 % each for validation and test, by the seed; InvalidSettings where X and y do not fit."""
        x = x.tocsr() if hasattr(x, "tocsr") else x if hasattr(x, "iloc") else np.asarray(x)
        y = np.asarray(y)
        if x.shape[0] != len(y):
            raise InvalidSettings(f"X has {x.shape[0]} examples and y {len(y)}, expected as many of both")
        return cls(x, y, Splits.drawn(np.arange(len(y)), y, seed=seed))

    def at(self, rows: Any) -> Any:
        """X of some rows."""
        return self.x.iloc[rows] if hasattr(self.x, "iloc") else self.x[rows]


def task_of(estimator: Any, data: Data, *, space: Space | None = None, scoring: str | None = None) -> Task:
    """Tuning `estimator` on `data` as a task. Its numbers depend on the run's seed only.

    space: hyperparameters named as `estimator.get_params()` has them; None for the default of a known estimator, its own
    settings as defaults. The options true, false and none of a choice stand for True, False and None. scoring: a scorer's name
    of scikit-learn, larger being better; None for accuracy of a classifier and r2 of a regressor.

    Raises:
        InvalidSettings: no estimator, no default space, names that the estimator does not have, or no such scorer.
    """
    if isinstance(estimator, type) or not (hasattr(estimator, "fit") and hasattr(estimator, "get_params")):
        given = f"the class {estimator.__name__}" if isinstance(estimator, type) else f"a {type(estimator).__name__}"
        raise InvalidSettings(f"got {given}, expected an estimator of scikit-learn, such as RandomForestClassifier()")
    space = default_space(estimator) if space is None else space
    known = estimator.get_params()
    if unknown := [name for name in space.names if name not in known]:
        raise InvalidSettings(
            f"space: {type(estimator).__name__} has no parameter {', '.join(map(repr, unknown))}; expected some of "
            f"{', '.join(sorted(known))}"
        )
    scoring = scoring or _scoring_of(estimator)
    facts = {
        "source": source_digest(SOURCES),
        "estimator": [type(estimator).__module__, estimator.__repr__(N_CHAR_MAX=10**9)],
        "library": import_module("sklearn").__version__,
        "data": import_module("joblib").hash((data.x, data.y)),
        "splits": import_module("joblib").hash(data.splits),
        "scoring": scoring,
    }
    return Task(
        name=f"sklearn estimator:{type(estimator).__name__}",
        version=digest({**facts, "space": space.digest}),
        space=space,
        metric=scoring,
        direction="maximize",
        max_epochs=1,
        train=partial(_train, estimator, data, scoring),
        data=lambda: data.splits,
        score=partial(_score, data, _scorer(scoring)),
        statistics=_statistics(data),
    )


def default_space(estimator: Any) -> Space:
    """The default space of an estimator that the sklearn task knows; defaults are the estimator's own settings.

    Raises:
        InvalidSettings: it is not known; the text says which are, and how to give a space.
    """
    now = estimator.get_params()
    for model in (each for kinds in classic.MODELS.values() for each in kinds.values()):
        module, _, name = model.place.partition(":")
        same = type(estimator).__name__ == name and type(estimator).__module__.startswith(module)
        if same and (not name.startswith("MLP") or now["solver"] == model.fixed["solver"]):
            wanted = OWN.get(name, tuple(ROUNDS if each.fidelity else each for each in model.hyperparameters))
            return Space([_with_default(each, now) for each in wanted if _matters(each, now)])
    known = sorted({model.place.partition(":")[2] for kinds in classic.MODELS.values() for model in kinds.values()})
    raise InvalidSettings(
        f"{type(estimator).__name__}: there is no default space for it, only for {', '.join(known)}; give one, as in "
        'space=Space([Hyperparameter("alpha", Float(1e-4, 1, log=True))])'
    )


def _matters(each: Hyperparameter, now: Mapping[str, Any]) -> bool:
    return each.name in now and (each.name != "intercept_scaling" or now.get("solver") == "liblinear")


def _with_default(each: Hyperparameter, now: Mapping[str, Any]) -> Hyperparameter:
    value = now[each.name]
    try:
        return replace(each, default=each.domain.accept(str(value).lower() if isinstance(value, bool) else value))
    except (ValueError, TypeError, OverflowError):
        return each


def _scoring_of(estimator: Any) -> str:
    base = import_module("sklearn.base")
    if base.is_classifier(estimator):
        return "accuracy"
    if base.is_regressor(estimator):
        return "r2"
    raise InvalidSettings(
        f'{type(estimator).__name__} is neither a classifier nor a regressor; name a scorer, as in scoring="accuracy"'
    )


def _scorer(name: str) -> Any:
    metrics = import_module("sklearn.metrics")
    try:
        return metrics.get_scorer(name)
    except ValueError:
        raise InvalidSettings(f"scoring: got {name!r}, expected one of {', '.join(metrics.get_scorer_names())}") from None


def _statistics(data: Data) -> dict[str, int]:
    counts = {split: len(data.splits.load(split)[1]) for split in ("train", "validation", "test")}
    return {"features": int(data.x.shape[1]), **{f"{split} examples": count for split, count in counts.items()}}


def fitted(estimator: Any, configuration: Mapping[str, Value], x: Any, y: Any, seed: int) -> Any:
    """A copy of `estimator` with a configuration, fitted on X and y. Each `random_state` that is not set gets the seed."""
    made = import_module("sklearn.base").clone(estimator)
    unset = [name for name, value in made.get_params().items() if name.rpartition("__")[2] == SEED and value is None]
    made.set_params(**{name: plain(value) for name, value in configuration.items()})
    made.set_params(**{name: seed for name in unset if name in made.get_params() and made.get_params()[name] is None})
    with classic.quiet():
        return made.fit(x, y)


def plain(value: Value) -> Any:
    """A value as an estimator takes it: the options true, false and none as True, False and None."""
    return WORDS.get(value.lower(), value) if isinstance(value, str) else value


def _train(estimator: Any, data: Data, scoring: str, configuration: Configuration, run: Run) -> None:
    rows, y = run.train
    made = fitted(estimator, configuration, data.at(rows), y, run.seed)
    run.report(step=1, epoch=1, **{scoring: run.score(lambda scored: (made, scored))})


def _score(data: Data, scorer: Any, targets: Any, predictions: tuple[Any, Any]) -> float:
    """scikit-learn's scorers want the fitted estimator itself, so that is what is handed over, with the row numbers."""
    made, rows = predictions
    return float(scorer(made, data.at(rows), targets))
