"""The sklearn task: scikit-learn's models on its small data sets, in the manner of the 2020 black-box optimization challenge.

Models, hyperparameters and ranges are those of Bayesmark, the challenge's software (Turner et al., "Bayesian Optimization is
Superior to Random Search for Machine Learning Hyperparameter Tuning", 2021); docs/tasks.md says what differs.
"""

import hashlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import Any, Literal

import numpy as np

from evenhand.errors import InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Domain, Float, Integer
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.rules import derive_seed
from evenhand.model.space import Space
from evenhand.tasks import levels, versions
from evenhand.tasks.base import Direction, Task
from evenhand.tasks.metrics import Score
from evenhand.tasks.run import Diverged, Run
from evenhand.tasks.splits import Splits, unsalted

NAME = "sklearn"
REVISION = 1  # raised when its numbers change; tests/golden holds it to that
SPLIT_SEED = 2020  # fixed: a task's splits belong to its version
Kind = Literal["classification", "regression"]
DATA: Mapping[str, tuple[str, Kind]] = {  # name: scikit-learn's loader, what is predicted
    "digits": ("load_digits", "classification"),
    "breast_cancer": ("load_breast_cancer", "classification"),
    "wine": ("load_wine", "classification"),
    "iris": ("load_iris", "classification"),
    "diabetes": ("load_diabetes", "regression"),
}
METRICS: Mapping[Kind, Mapping[str, Direction]] = {  # the first is the default
    "classification": {"accuracy": "maximize", "log_loss": "minimize"},
    "regression": {"mse": "minimize", "mae": "minimize"},
}
MAX_EPOCHS = 81
EPSILON = float(np.finfo(np.float64).eps)  # the least probability that log loss believes, as in scikit-learn


@dataclass(frozen=True)
class Model:
    """A model for one kind of data. place: MODULE:CLASS. fixed: arguments that are not tuned."""

    place: str
    hyperparameters: tuple[Hyperparameter, ...]
    fixed: Mapping[str, Any]


def _log(low: float, high: float) -> Float:
    return Float(low, high, log=True)


def _one(name: str, domain: Domain, label: str, text: str) -> Hyperparameter:
    return Hyperparameter(name, domain, None, label, text)


YES_NO = Choice(("true", "false"), ("Yes", "No"))
NEIGHBOURS = (
    _one("n_neighbors", Integer(1, 25), "Neighbours", "How many of the nearest examples vote."),
    _one("p", Integer(1, 4), "Power", "How distances add up over features: 1 city blocks, 2 straight lines."),
)
VECTORS = (
    _one("C", _log(1, 1e3), "C", "How much an example on the wrong side costs. More fits the training data closer."),
    _one("gamma", _log(1e-4, 1e-3), "Gamma", "How near examples have to be to count as similar: larger is nearer."),
    _one("tol", _log(1e-5, 1e-1), "Tolerance", "How small a step ends the fitting."),
)
TREES = (
    _one("max_depth", Integer(1, 15), "Largest depth", "How many questions lead to an answer at most."),
    _one("max_features", Float(0.01, 0.99), "Features tried", "The share of the features that each split may choose from."),
    _one("min_samples_split", Float(0.01, 0.99), "Least to split", "The share of all examples that a node needs to be split."),
    _one("min_samples_leaf", Float(0.01, 0.49), "Least in a leaf", "The share of all examples that each leaf keeps at least."),
    _one("min_weight_fraction_leaf", Float(0.01, 0.49), "Least weight in a leaf", "The share of the weight that a leaf keeps."),
    _one("min_impurity_decrease", Float(0.0, 0.5), "Least gain", "How much purer a split has to make the nodes."),
)
BOOSTING = (
    _one("n_estimators", Integer(10, 100), "Trees", "How many small trees are added up at most."),
    _one("learning_rate", _log(1e-4, 10), "Learning rate", "How much each tree counts."),
)
LOGISTIC = (
    _one("C", _log(1e-2, 1e2), "C", "How much an error costs beside large weights. More fits the training data closer."),
    _one("intercept_scaling", _log(1e-2, 1e2), "Intercept scaling", "How freely the intercept moves: larger is freer."),
)
NETWORK = (
    _one("hidden_layer_sizes", Integer(50, 200), "Neurons", "How many neurons the hidden layer has."),
    _one("alpha", _log(1e-5, 10), "Weight decay", "How strongly weights are pulled towards zero, against overfitting."),
    _one("batch_size", Integer(10, 250), "Batch size", "How many examples make one step; at most all there are."),
    _one("learning_rate_init", _log(1e-5, 1e-1), "Learning rate", "The size of the first steps."),
)
ADAM = (
    *NETWORK,
    _one("beta_1", Float(0.5, 0.99), "Beta1", "How long the average of gradients remembers: nearer to 1 is longer."),
    _one("beta_2", Float(0.9, 1 - 1e-6), "Beta2", "How long the average of squared gradients remembers: nearer to 1 is longer."),
    _one("epsilon", _log(1e-9, 1e-6), "Epsilon", "A small number added to the divisor of each step."),
)
SGD = (
    *NETWORK,
    _one("power_t", Float(0.1, 0.9), "Power of the fall", "How fast steps shrink over time: larger is faster."),
    _one("momentum", Float(0.001, 0.999), "Momentum", "The part of the last step that is added to the next one."),
)
EPOCHS = Hyperparameter(
    "epochs", Integer(1, MAX_EPOCHS), None, "Epochs", "How many times the network sees every training example.", fidelity=True
)


def _ridge(least_tolerance: float) -> tuple[Hyperparameter, ...]:
    return (
        _one("alpha", _log(1e-2, 1e2), "Alpha", "How strongly weights are pulled towards zero, against overfitting."),
        _one("fit_intercept", YES_NO, "Intercept", "Whether a constant is added."),
        _one("max_iter", Integer(10, 5000, log=True), "Most iterations", "How often the fitting goes round at most."),
        _one("tol", _log(least_tolerance, 1e-1), "Tolerance", "How small a step ends the fitting."),
    )


LASSO = (*_ridge(1e-5), _one("positive", YES_NO, "Positive", "Whether weights have to be positive."))
TREE_FIXED = {"max_leaf_nodes": None}
FOREST_FIXED = {"n_estimators": 10, "max_leaf_nodes": None}
SGD_FIXED = {"solver": "sgd", "learning_rate": "invscaling", "nesterovs_momentum": True}
L1, L2 = ({"solver": "liblinear", "l1_ratio": ratio} for ratio in (1.0, 0.0))
MODELS: Mapping[str, Mapping[Kind, Model]] = {
    "knn": {
        "classification": Model("sklearn.neighbors:KNeighborsClassifier", NEIGHBOURS, {}),
        "regression": Model("sklearn.neighbors:KNeighborsRegressor", NEIGHBOURS, {}),
    },
    "svm": {
        "classification": Model("sklearn.svm:SVC", VECTORS, {"kernel": "rbf"}),
        "regression": Model("sklearn.svm:SVR", VECTORS, {"kernel": "rbf"}),
    },
    "tree": {
        "classification": Model("sklearn.tree:DecisionTreeClassifier", TREES, TREE_FIXED),
        "regression": Model("sklearn.tree:DecisionTreeRegressor", TREES, TREE_FIXED),
    },
    "forest": {
        "classification": Model("sklearn.ensemble:RandomForestClassifier", TREES, FOREST_FIXED),
        "regression": Model("sklearn.ensemble:RandomForestRegressor", TREES, FOREST_FIXED),
    },
    "mlp-adam": {
        "classification": Model("sklearn.neural_network:MLPClassifier", (EPOCHS, *ADAM), {"solver": "adam"}),
        "regression": Model("sklearn.neural_network:MLPRegressor", (EPOCHS, *ADAM), {"solver": "adam"}),
    },
    "mlp-sgd": {
        "classification": Model("sklearn.neural_network:MLPClassifier", (EPOCHS, *SGD), SGD_FIXED),
        "regression": Model("sklearn.neural_network:MLPRegressor", (EPOCHS, *SGD), {**SGD_FIXED, "activation": "tanh"}),
    },
    "ada": {
        "classification": Model("sklearn.ensemble:AdaBoostClassifier", BOOSTING, {}),
        "regression": Model("sklearn.ensemble:AdaBoostRegressor", BOOSTING, {}),
    },
    "lasso": {
        "classification": Model("sklearn.linear_model:LogisticRegression", LOGISTIC, L1),
        "regression": Model("sklearn.linear_model:Lasso", LASSO, {}),
    },
    "linear": {
        "classification": Model("sklearn.linear_model:LogisticRegression", LOGISTIC, L2),
        "regression": Model("sklearn.linear_model:Ridge", _ridge(1e-4), {"solver": "auto"}),
    },
}


@dataclass(frozen=True)
class SklearnSettings:
    """What belongs to a version of the task and is never tuned. metric: None for the data's default, accuracy or mse."""

    model: str = "forest"
    data: str = "digits"
    metric: str | None = None

    @property
    def kind(self) -> Kind:
        """Whether classes or numbers are predicted."""
        return DATA[self.data][1]

    @property
    def measured(self) -> str:
        """The metric, by name."""
        return self.metric or next(iter(METRICS[self.kind]))

    @property
    def chosen(self) -> Model:
        """The model for this kind of data."""
        return MODELS[self.model][self.kind]


def settings_from(raw: Mapping[str, Any]) -> SklearnSettings:
    """The settings that `raw` holds; those left out have their defaults. InvalidSettings lists all that are wrong."""
    kind = DATA.get(str(raw.get("data", SklearnSettings.data)), ("", None))[1]
    metrics = [*METRICS[kind]] if kind else [name for directions in METRICS.values() for name in directions]
    known: dict[str, Sequence[Any]] = {"model": [*MODELS], "data": [*DATA], "metric": [*metrics, None]}
    wrong = [f"{name}: unknown, expected one of {', '.join(known)}" for name in raw if name not in known]
    wrong += [
        f"{name}: got {raw[name]!r}, expected one of {', '.join(value for value in values if value)}"
        for name, values in known.items()
        if name in raw and raw[name] not in values
    ]
    if wrong:
        raise InvalidSettings(f"settings of {NAME}: {'; '.join(wrong)}")
    return SklearnSettings(**raw)


def load(raw: Mapping[str, Any]) -> Task:
    """The task with these settings: `model`, `data` and `metric`."""
    settings = settings_from(raw)
    full = {"model": settings.model, "data": settings.data, "metric": settings.measured}
    space = Space(settings.chosen.hyperparameters)
    return Task(
        name=NAME,
        version=versions.of_built_in(NAME, REVISION, full, space.digest, _checksum(settings.data)),
        space=space,
        metric=settings.measured,
        direction=METRICS[settings.kind][settings.measured],
        max_epochs=MAX_EPOCHS if space.fidelity else 1,
        train=partial(_train, settings),
        data=partial(splits_of, settings.data),
        test_data=_checksum(settings.data),
        score=SCORES.get(settings.measured),
        settings=full,
        statistics=_statistics(settings),
        example={hyperparameter.name: hyperparameter.domain.from_unit(0.5) for hyperparameter in space},
    )


@cache
def splits_of(data: str) -> Splits:
    """60 % for training, 20 % each for validation and test, drawn once for all with a fixed seed; features as they come."""
    bunch = _bunch(data)
    return unsalted(bunch.data, bunch.target, SPLIT_SEED)


@cache
def _bunch(data: str) -> Any:
    return getattr(import_module("sklearn.datasets"), DATA[data][0])()


@cache
def _checksum(data: str) -> str:
    bunch = _bunch(data)
    arrays = (np.ascontiguousarray(array, dtype=np.float64).tobytes() for array in (bunch.data, bunch.target))
    return hashlib.sha256(b"".join(arrays)).hexdigest()


@cache
def _levels(data: str) -> dict[str, float]:
    return levels.levels(splits_of(data).load, scaled=True)


def _statistics(settings: SklearnSettings) -> dict[str, int | float]:
    bunch, splits = _bunch(settings.data), splits_of(settings.data)
    words = {"training": splits.train, "validation": splits.validation, "test": splits.test}
    counts = {f"{word} examples": len(part[1]) for word, part in words.items() if isinstance(part, tuple)}
    classes = {"classes": len(np.unique(bunch.target))} if settings.kind == "classification" else {}
    read_against = _levels(settings.data) if settings.measured == "accuracy" else {}
    return {**classes, "features": int(bunch.data.shape[1]), **counts, **read_against}


def log_loss(targets: Any, chances: Any) -> float:
    """The mean of -ln p in nats, p the probability (N, classes) of each right class (N,), at least 2.2e-16."""
    right = np.asarray(chances)[np.arange(len(targets)), np.asarray(targets)]
    return float(-np.log(np.clip(right, EPSILON, 1)).mean())


SCORES: Mapping[str, Score] = {"log_loss": log_loss}


def estimator_of(settings: SklearnSettings, configuration: Mapping[str, Any], seed: int) -> Any:
    """scikit-learn's estimator for a configuration, not yet fitted, its random numbers drawn from `seed`."""
    module, _, name = settings.chosen.place.partition(":")
    made = getattr(import_module(module), name)
    values = {key: _plain(value) for key, value in configuration.items() if key != EPOCHS.name}
    estimator = made(**settings.chosen.fixed, **values)
    if "random_state" in estimator.get_params():
        estimator.set_params(random_state=seed)
    if settings.kind == "classification" and settings.model in ("lasso", "linear"):
        return import_module("sklearn.multiclass").OneVsRestClassifier(estimator)  # liblinear knows two classes only
    if settings.model == "svm" and settings.measured == "log_loss":
        return import_module("sklearn.calibration").CalibratedClassifierCV(estimator, ensemble=False)
    return estimator


def _plain(value: Any) -> Any:
    return value == "true" if value in YES_NO.options else value


def _train(settings: SklearnSettings, configuration: Configuration, run: Run) -> None:
    """Fit on the training data and report the metric: once, or for a network after every epoch."""
    estimator = run.restore() or estimator_of(settings, configuration, run.seed)
    predict = partial(_predicted, estimator, settings.measured == "log_loss")
    with quiet():
        if EPOCHS.name in configuration:
            run.keep(lambda: estimator)
            _by_epochs(estimator, int(configuration[EPOCHS.name]), settings, run, predict)
        else:
            estimator.fit(*run.train)
            run.report(step=1, epoch=1, **{settings.measured: run.score(predict)})


def _predicted(estimator: Any, chances: bool, x: Any) -> Any:
    return estimator.predict_proba(x) if chances else estimator.predict(x)


def _by_epochs(network: Any, epochs: int, settings: SklearnSettings, run: Run, predict: Callable[[Any], Any]) -> None:
    x, y = run.train
    classes = {"classes": np.unique(y)} if settings.kind == "classification" else {}
    network.set_params(batch_size=min(network.batch_size, len(y)))
    steps = -(-len(y) // network.batch_size)
    for epoch in range(run.completed_epochs + 1, epochs + 1):
        network.set_params(random_state=derive_seed(run.seed, "epoch", epoch))  # else every epoch has the first one's order
        try:
            network.partial_fit(x, y, **classes)
        except ValueError as error:
            if "non-finite" not in str(error):
                raise
            raise Diverged(f"the weights became infinite or not a number in epoch {epoch}") from None
        run.report(step=epoch * steps, epoch=epoch, loss=network.loss_, **{settings.measured: run.score(predict)})


@contextmanager
def quiet() -> Iterator[None]:
    """Within it scikit-learn does not warn of fits that end unfinished, nor NumPy of overflows: configurations may be bad."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(), np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def challenge_score(regrets: Mapping[str, Sequence[float]]) -> float:
    """The score of the 2020 black-box optimization challenge: 100 (1 - mean), 100 where every repeat found each task's optimum.

    regrets: for each task, of every repeat, the normalised regret (`tables.normalised_regret`) of the best value seen. Each is
    clipped to [-1, 1]; then the mean over repeats and over tasks is taken. So 0 is what one random configuration reaches half of
    the time, or worse. Source: Bayesmark, experiment_analysis.py, "Final score `100 x (1-loss)` for leaderboard".

    Raises:
        InvalidSettings: no task, or a task without a repeat.
    """
    empty = [task for task, repeats in regrets.items() if not len(repeats)]
    if empty or not regrets:
        raise InvalidSettings(f"challenge score: {', '.join(empty) or 'no task'} without a repeat, expected at least one of each")
    return float(100 * (1 - np.mean([np.clip(repeats, -1, 1).mean() for repeats in regrets.values()])))
