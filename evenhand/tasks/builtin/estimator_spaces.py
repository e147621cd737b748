"""What is tuned of an estimator: its default space, or the space of one's own, of RandomizedSearchCV or of GridSearchCV.

Where the default ranges come from:

- the estimators of the sklearn task: the 2020 black-box optimization challenge's (Bayesmark, Turner et al. 2021), but for trees
  and forests, which are around auto-sklearn's (Feurer et al., "Efficient and Robust Automated Machine Learning", 2015), and for
  the iterations of networks, since the challenge's leave out scikit-learn's own settings;
- SVC and SVR: C 2^-5 to 2^15, gamma 2^-15 to 2^3 (Hsu, Chang, Lin, "A Practical Guide to Support Vector Classification", 2003);
- HistGradientBoosting: auto-sklearn's, and in place of its fixed 512 iterations 16 to 512;
- LightGBM and XGBoost: FLAML's (Wang et al., "FLAML: A Fast and Lightweight AutoML Library", 2021, appendix), but trees and
  leaves up to 1,024, where FLAML allows 32,768, and for XGBoost the depth in place of the leaves.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

import numpy as np

from evenhand.errors import InvalidSettings, InvalidSpace, repr_of
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Domain, Float, Integer, Value, frozen, identity
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.short_domain import domain_of
from evenhand.model.space import Space
from evenhand.tasks.builtin import classic

WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "none": None}  # options that stand for what is no text
TAIL = 0.001  # of a distribution without bounds: what lies beyond on either side is left out
WIDE = 1000  # positive numbers that span so much are spaced by magnitude
KINDS = ("Classifier", "Regressor")


def _one(name: str, domain: Domain, label: str, text: str) -> Hyperparameter:
    return Hyperparameter(name, domain, None, label, text)


def _log(low: float, high: float, *, or_zero: bool = False) -> Float:
    return Float(low, high, log=True, or_zero=or_zero)


TREE = (
    _one("max_depth", Integer(1, 32, log=True), "Largest depth", "How many questions lead to an answer at most."),
    _one("min_samples_split", Integer(2, 32, log=True), "Least to split", "Examples that a node needs to be split."),
    _one("min_samples_leaf", Integer(1, 16, log=True), "Least in a leaf", "Examples that each leaf keeps at least."),
    _one("max_features", Float(0.05, 1.0), "Features tried", "The share that each split may choose from."),
)
TREES = _one("n_estimators", Integer(10, 300, log=True), "Trees", "How many trees vote.")
VECTORS = (
    _one("C", _log(2**-5, 2**15), "C", "How much an example on the wrong side costs."),
    _one("gamma", _log(2**-15, 2**3), "Gamma", "How near examples have to be to count as similar."),
)
ROUNDS = _one("max_iter", Integer(10, 500, log=True), "Iterations", "Passes over the training examples at most.")
HISTOGRAMS = (
    _one("learning_rate", _log(0.01, 1), "Learning rate", "How much each tree counts."),
    _one("max_iter", Integer(16, 512, log=True), "Trees", "How many trees are added up at most."),
    _one("max_leaf_nodes", Integer(3, 2047, log=True), "Most leaves", "How many leaves a tree has at most."),
    _one("min_samples_leaf", Integer(1, 200, log=True), "Least in a leaf", "Examples that each leaf keeps at least."),
    _one("l2_regularization", _log(1e-10, 1, or_zero=True), "L2", "How strongly leaves are pulled towards zero."),
)
BOOSTED = (
    _one("n_estimators", Integer(4, 1024, log=True), "Trees", "How many trees are added up at most."),
    _one("learning_rate", _log(2**-10, 1), "Learning rate", "How much each tree counts."),
)
PENALTIES = (
    _one("colsample_bytree", Float(0.01, 1), "Features a tree", "The share of the features that a tree may use."),
    _one("reg_alpha", _log(2**-10, 2**10, or_zero=True), "L1", "How strongly leaves are pulled to exactly zero."),
    _one("reg_lambda", _log(2**-10, 2**10, or_zero=True), "L2", "How strongly leaves are pulled towards zero."),
)
LIGHTGBM = (
    *BOOSTED,
    _one("num_leaves", Integer(4, 1024, log=True), "Most leaves", "How many leaves a tree has at most."),
    _one("min_child_samples", Integer(2, 128, log=True), "Least in a leaf", "Examples that each leaf keeps at least."),
    *PENALTIES,
)
XGBOOST = (
    *BOOSTED,
    _one("max_depth", Integer(1, 15), "Largest depth", "How many questions lead to an answer at most."),
    _one("min_child_weight", _log(0.001, 128), "Least weight in a leaf", "The weight that each leaf keeps at least."),
    _one("subsample", Float(0.1, 1), "Examples a tree", "The share of the examples that a tree learns from."),
    _one("colsample_bylevel", Float(0.01, 1), "Features a level", "The share of a tree's features that a level may use."),
    *PENALTIES,
)
OWN_SPACES: Mapping[tuple[str, str], tuple[Hyperparameter, ...]] = {  # by package and class, which need not be installed
    **{("sklearn", f"DecisionTree{kind}"): TREE for kind in KINDS},
    **{("sklearn", f"RandomForest{kind}"): (TREES, *TREE) for kind in KINDS},
    **{("sklearn", f"HistGradientBoosting{kind}"): HISTOGRAMS for kind in KINDS},
    **{("sklearn", name): VECTORS for name in ("SVC", "SVR")},
    **{("lightgbm", f"LGBM{kind}"): LIGHTGBM for kind in KINDS},
    **{("xgboost", f"XGB{kind}"): XGBOOST for kind in KINDS},
}


@dataclass(frozen=True)
class EstimatorSpace:
    """A space, and what its values mean to the estimator.

    space: what is tuned. parameters: by hyperparameter the estimator's parameter, where it has another name; None for the choice
    between grids, which is none. objects: by hyperparameter and option (its `domain.identity`) what is no option itself, as an
    estimator or a list.
    """

    space: Space
    parameters: Mapping[str, str | None] = field(default_factory=dict)
    objects: Mapping[str, Mapping[object, Any]] = field(default_factory=dict)

    def of(self, configuration: Mapping[str, Value]) -> dict[str, Any]:
        """The estimator's parameters, as `set_params` takes them."""
        named = ((self.parameters.get(name, name), name, value) for name, value in configuration.items())
        return {parameter: self._meant(name, value) for parameter, name, value in named if parameter is not None}

    def _meant(self, name: str, value: Value) -> Any:
        objects = self.objects.get(name, {})
        if objects and identity(value) in objects:
            return import_module("sklearn.base").clone(objects[identity(value)], safe=False)
        return plain(value)

    def check(self, estimator: Any) -> None:
        """InvalidSettings where the estimator lacks a parameter; the text names those that it has."""
        known = estimator.get_params()
        wanted = [self.parameters.get(name, name) for name in self.space.names]
        offered = {  # what an estimator that is an option brings along
            f"{self.parameters.get(name, name)}__{inner}"
            for name, options in self.objects.items()
            for option in options.values()
            if hasattr(option, "get_params") and not isinstance(option, type)
            for inner in option.get_params()
        }
        if unknown := [
            name for name in wanted if name and name not in known and name not in offered and not takes(estimator, name)
        ]:
            raise InvalidSettings(
                f"space: {type(estimator).__name__} has no parameter {', '.join(map(repr, unknown))}; expected some of "
                f"{', '.join(sorted(known))}"
            )


def takes(estimator: Any, name: str) -> bool:
    """Whether an estimator takes a parameter that it does not name, as LightGBM's do."""
    try:
        import_module("sklearn.base").clone(estimator).set_params(**{name: None})
    except (ValueError, TypeError, AttributeError):
        return False
    return True


def plain(value: Value) -> Any:
    """A value as an estimator takes it: the options true, false and none as True, False and None."""
    return WORDS.get(value.lower(), value) if isinstance(value, str) else value


def space_of(estimator: Any, given: Any) -> EstimatorSpace:
    """What is tuned: None for the default; a space; domains by name; lists and distributions by name, or a list of such.

    Raises:
        InvalidSettings: there is no default, or the estimator lacks a parameter. InvalidSpace: what is given is no space.
    """
    if given is None:
        made = EstimatorSpace(default_space(estimator))
    elif isinstance(given, Space):
        made = EstimatorSpace(given)
    elif isinstance(given, Mapping):
        made = _of_grid(given)
    elif isinstance(given, list | tuple) and given and all(isinstance(part, Hyperparameter) for part in given):
        made = EstimatorSpace(Space(given))
    elif isinstance(given, list | tuple) and given and all(isinstance(part, Mapping) for part in given):
        made = _of_grid(given[0]) if len(given) == 1 else _of_grids(given, estimator.get_params())
    else:
        raise InvalidSpace(
            f"space: got {repr_of(given)}, expected a Space, or as for RandomizedSearchCV and GridSearchCV lists or "
            'distributions by the names of get_params(), as in {"C": [0.1, 1, 10]}, or a list of such'
        )
    made.check(estimator)
    return made


def _of_grid(grid: Mapping[str, Any]) -> EstimatorSpace:
    objects: dict[str, Mapping[object, Any]] = {}
    return EstimatorSpace(Space({name: _domain(name, given, objects) for name, given in grid.items()}), objects=objects)


def _of_grids(grids: Sequence[Mapping[str, Any]], known: Mapping[str, Any]) -> EstimatorSpace:
    """Several grids: a choice between them, and each parameter under the condition that a grid has it.

    A parameter with other domains in other grids is a hyperparameter for each of them.
    """
    chooser = "grid"
    while chooser in known:
        chooser += "_"
    options = tuple(f"grid {at}" for at in range(1, len(grids) + 1))
    labels = tuple(
        f"{option}: {', '.join(map(_in_words, grid.items())) or 'its own settings'}"
        for option, grid in zip(options, grids, strict=True)
    )
    hyperparameters = [Hyperparameter(chooser, Choice(options, labels), None, "Grid", "Which of the grids the values are of.")]
    parameters: dict[str, str | None] = {chooser: None}
    objects: dict[str, Mapping[object, Any]] = {}
    for parameter in dict.fromkeys(name for grid in grids for name in grid):
        domains: dict[Domain, list[str]] = {}  # and the grids that have each
        inside: dict[Domain, Mapping[object, Any]] = {}
        for option, grid in zip(options, grids, strict=True):
            if parameter in grid:
                options_of: dict[str, Mapping[object, Any]] = {}
                domain = _domain(parameter, grid[parameter], options_of)
                domains.setdefault(domain, []).append(option)
                inside[domain] = {**inside.get(domain, {}), **options_of.get(parameter, {})}
        for at, (domain, having) in enumerate(domains.items()):
            name = parameter if at == 0 else f"{parameter} ({', '.join(having)})"
            condition = None if len(having) == len(options) else Condition(chooser, tuple(having))
            hyperparameters.append(Hyperparameter(name, domain, condition=condition))
            parameters[name] = parameter
            if inside[domain]:
                objects[name] = inside[domain]
    return EstimatorSpace(Space(hyperparameters), parameters, objects)


def _in_words(named: tuple[str, Any]) -> str:
    """A parameter of a grid, with its value where there is but one."""
    name, given = named
    return f"{name} {given[0]}" if isinstance(given, list | tuple) and len(given) == 1 and isinstance(given[0], str) else name


def _domain(name: str, given: Any, objects: dict[str, Mapping[object, Any]]) -> Domain:
    """A domain. What cannot be an option is put into `objects`: of a list a tuple is the option, of other things their text."""
    if hasattr(given, "dist") and hasattr(given, "support") and given.dist.name not in SHORT_DISTRIBUTIONS:
        return _between_tails(name, given)
    if not isinstance(given, list | tuple | np.ndarray):
        return domain_of(name, given)
    options: list[Any] = []
    inside: dict[object, Any] = {}
    for option in given:
        try:
            options.append(frozen(option))
            if isinstance(option, list):
                inside[identity(options[-1])] = option
        except (TypeError, ValueError):
            text = text_of(option)
            if text in inside:
                raise InvalidSpace(f"hyperparameter {name!r}: two options read alike, {text}; leave one out") from None
            inside[text] = option
            options.append(text)
    if inside:
        objects[name] = inside
    return domain_of(name, options)


SHORT_DISTRIBUTIONS = ("uniform", "loguniform", "reciprocal", "randint")


def _between_tails(name: str, given: Any) -> Domain:
    """The range of any other distribution of SciPy, but for its tails; by magnitude where that spans much."""
    low, high = (float(given.ppf(share)) for share in (TAIL, 1 - TAIL))
    if not np.isfinite(low) or not np.isfinite(high):
        return domain_of(name, given)
    if hasattr(given.dist, "pmf"):
        return Integer(int(low), int(high))
    low, high = float(f"{low:.4g}"), float(f"{high:.4g}")
    return Float(low, high, log=low > 0 and high / low >= WIDE)


def text_of(option: Any) -> str:
    """An object as a text that is the same in each process."""
    if isinstance(option, type) or (callable(option) and hasattr(option, "__qualname__")):
        return f"{option.__module__}.{option.__qualname__}"
    whole = option.__repr__(N_CHAR_MAX=10**9) if hasattr(option, "get_params") and not isinstance(option, type) else repr(option)
    return " ".join(re.sub(r" at 0x[0-9a-fA-F]+", "", whole).split())


def default_space(estimator: Any) -> Space:
    """The default space of an estimator, or of a pipeline that ends in one; its own settings are the defaults.

    The module says where the ranges come from.

    Raises:
        InvalidSettings: it is not known; the text says which are, and how to give a space.
    """
    prefix, model = "", estimator
    while isinstance(steps := getattr(model, "steps", None), list) and steps:
        prefix, model = f"{prefix}{steps[-1][0]}__", steps[-1][1]
    now = model.get_params() if hasattr(model, "get_params") else {}
    wanted = _wanted(model, now)
    if wanted is None:
        whose = f"{type(estimator).__name__}, which ends in {_named(model)}" if prefix else _named(model)
        raise InvalidSettings(
            f"{whose}: there is no default space for it, only for {', '.join(_known())}; give one, as in "
            f'space={{"{prefix}alpha": Float(1e-4, 1, log=True)}}'
        )
    tuned = [_with_default(hyperparameter, now) for hyperparameter in wanted if _matters(hyperparameter, now)]
    return Space([replace(hyperparameter, name=f"{prefix}{hyperparameter.name}") for hyperparameter in tuned])


def _named(model: Any) -> str:
    return repr(model) if isinstance(model, str) or model is None else type(model).__name__


def _known() -> list[str]:
    challenge = {model.place.partition(":")[2] for kinds in classic.MODELS.values() for model in kinds.values()}
    return sorted({*challenge, *(name for _, name in OWN_SPACES)})


def _wanted(model: Any, now: Mapping[str, Any]) -> Sequence[Hyperparameter] | None:
    name, package = type(model).__name__, type(model).__module__.partition(".")[0]
    if (package, name) in OWN_SPACES:
        return OWN_SPACES[package, name]
    for known in (known for kinds in classic.MODELS.values() for known in kinds.values()):
        module, _, known_name = known.place.partition(":")
        same = name == known_name and type(model).__module__.startswith(module)
        if same and (not name.startswith("MLP") or now["solver"] == known.fixed["solver"]):
            return [ROUNDS if hyperparameter.fidelity else hyperparameter for hyperparameter in known.hyperparameters]
    return None


def _matters(hyperparameter: Hyperparameter, now: Mapping[str, Any]) -> bool:
    return hyperparameter.name in now and (hyperparameter.name != "intercept_scaling" or now.get("solver") == "liblinear")


def _with_default(hyperparameter: Hyperparameter, now: Mapping[str, Any]) -> Hyperparameter:
    value = now[hyperparameter.name]
    try:
        return replace(
            hyperparameter, default=hyperparameter.domain.accept(str(value).lower() if isinstance(value, bool) else value)
        )
    except (ValueError, TypeError, OverflowError):
        return hyperparameter
