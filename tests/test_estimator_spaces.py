"""What is tuned of an estimator: default spaces, those of scikit-learn's searches, and values with their own types."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn.ensemble import (
    AdaBoostRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.feature_selection import SelectKBest, f_classif, mutual_info_classif
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.svm import SVC, SVR

from evenhand import Choice, Float, Hyperparameter, Integer, Space
from evenhand.errors import InvalidSettings, InvalidSpace
from evenhand.tasks.builtin.estimator_spaces import default_space, space_of
from tests.components import need

FOREST = RandomForestClassifier()
SCALED = make_pipeline(StandardScaler(), SVC())


def draws(space: Space, count: int = 60) -> list[Any]:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(count)]


def class_of(module: str, name: str, **parameters: Any) -> type:
    """A class as one of another library, which need not be installed."""

    def get_params(self: Any, deep: bool = True) -> dict[str, Any]:
        return dict(parameters)

    return type(name, (), {"__module__": module, "get_params": get_params})


def test_default_spaces_follow_the_estimators_settings() -> None:
    adam, sgd = (default_space(MLPClassifier(solver=solver)) for solver in ("adam", "sgd"))
    assert "beta_1" in adam.names
    assert "momentum" in sgd.names
    assert "max_iter" in adam.names
    assert adam.fidelity is None
    forest = default_space(FOREST)
    assert forest.names == ("n_estimators", "max_depth", "min_samples_split", "min_samples_leaf", "max_features")
    assert forest.defaults() == {"n_estimators": 100, "min_samples_split": 2, "min_samples_leaf": 1}, "the others have none there"
    assert default_space(LogisticRegression()).names == ("C",)
    assert default_space(LogisticRegression(solver="liblinear")).names == ("C", "intercept_scaling")
    assert default_space(Ridge(fit_intercept=False))["fit_intercept"].default == "false"
    assert default_space(AdaBoostRegressor()).names == ("n_estimators", "learning_rate")


@pytest.mark.parametrize("estimator", [HistGradientBoostingClassifier(), HistGradientBoostingRegressor()])
def test_histogram_boosting_has_a_default_space_with_its_own_settings(estimator: Any) -> None:
    space = default_space(estimator)
    defaults = {name: estimator.get_params()[name] for name in space.names}
    assert space.defaults() == defaults
    assert {"learning_rate", "max_iter", "max_leaf_nodes", "min_samples_leaf", "l2_regularization"} == {*space.names}


def test_support_vectors_have_the_ranges_of_the_practical_guide() -> None:
    for estimator in (SVC(), SVR()):
        assert default_space(estimator)["C"].domain == Float(2**-5, 2**15, log=True)


def test_lightgbm_and_xgboost_are_known_without_being_imported() -> None:
    light = class_of("lightgbm.sklearn", "LGBMRegressor", n_estimators=100, num_leaves=31, reg_alpha=0.0, learning_rate=0.1)
    assert default_space(light()).defaults() == {"n_estimators": 100, "learning_rate": 0.1, "num_leaves": 31, "reg_alpha": 0}
    extreme = class_of("xgboost.sklearn", "XGBClassifier", n_estimators=None, max_depth=None, subsample=None)
    assert default_space(extreme()).names == ("n_estimators", "max_depth", "subsample")
    with pytest.raises(InvalidSettings, match="no default space"):
        default_space(class_of("mine", "LGBMRegressor", n_estimators=3)())


def test_lightgbms_own_estimator_has_a_default_space() -> None:
    light = need("lightgbm").LGBMClassifier()
    assert default_space(light).defaults()["num_leaves"] == 31
    space_of(light, {"bagging_freq": [1, 5]})  # taken, although get_params() does not name it


def test_a_pipelines_last_step_is_tuned_by_default() -> None:
    assert default_space(SCALED).names == ("svc__C", "svc__gamma")
    assert default_space(SCALED)["svc__C"].default == 1
    inner = Pipeline([("first", StandardScaler()), ("rest", SCALED)])
    assert default_space(inner).names == ("rest__svc__C", "rest__svc__gamma")
    with pytest.raises(
        InvalidSettings, match=r"Pipeline, which ends in GradientBoostingClassifier: .*gradientboostingclassifier__"
    ):
        default_space(make_pipeline(StandardScaler(), GradientBoostingClassifier()))
    with pytest.raises(InvalidSettings, match="ends in 'passthrough'"):
        default_space(Pipeline([("nothing", "passthrough")]))


def test_values_reach_the_estimator_with_their_own_types() -> None:
    made = space_of(
        FOREST,
        Space([Hyperparameter("max_features", Choice((0.8, "sqrt", None))), Hyperparameter("bootstrap", Choice((True, False)))]),
    )
    features = {str(made.of(configuration)["max_features"]) for configuration in draws(made.space)}
    assert features == {"0.8", "sqrt", "None"}
    for configuration in draws(made.space):
        parameters = made.of(configuration)
        assert type(parameters["bootstrap"]) is bool
        assert type(parameters["max_features"]) in (float, str, type(None))
        FOREST.set_params(**parameters)
    layers = space_of(MLPClassifier(), {"hidden_layer_sizes": [(10,), (5, 5)]})
    assert {layers.of(configuration)["hidden_layer_sizes"] for configuration in draws(layers.space)} == {(10,), (5, 5)}
    lists = space_of(SCALED, {"svc__class_weight": [[1, 2], [True, 2]]})
    weights = {repr(lists.of(configuration)["svc__class_weight"]) for configuration in draws(lists.space)}
    assert weights == {"[1, 2]", "[True, 2]"}
    words = space_of(FOREST, Space([Hyperparameter("bootstrap", Choice(("true", "False")))]))
    assert {words.of(configuration)["bootstrap"] for configuration in draws(words.space)} == {True, False}


def test_a_randomized_searchs_space_is_taken_as_it_is() -> None:
    distributions = {
        "C": stats.loguniform(1e-2, 1e2),
        "gamma": stats.expon(scale=0.1),
        "degree": stats.randint(2, 5),
        "coef0": stats.norm(0, 1),
        "kernel": ["rbf", "poly"],
        "class_weight": ["balanced", None],
        "shrinking": [True, False],
        "tol": np.logspace(-4, -2, 3),
    }
    space = space_of(SVC(), distributions).space
    assert space["C"].domain == Float(1e-2, 1e2, log=True)
    assert space["degree"].domain == Integer(2, 4)
    assert space["gamma"].domain == Float(0.0001001, 0.6908, log=True)
    assert space["coef0"].domain == Float(-3.09, 3.09)
    assert space["tol"].domain == Choice((1e-4, 1e-3, 1e-2), ordered=True)
    for configuration in draws(space):
        SVC(**space_of(SVC(), distributions).of(configuration))


def test_options_that_are_objects_are_named_and_reach_the_estimator() -> None:
    pipeline = Pipeline([("scale", StandardScaler()), ("select", SelectKBest()), ("model", SVC())])
    grid = {
        "scale": [StandardScaler(), MinMaxScaler(), "passthrough"],
        "select__score_func": [f_classif, mutual_info_classif],
        "model": [SVC(), LogisticRegression()],
        "model__class_weight": [{0: 1, 1: 2}, None],
        "model__max_iter": [100, 200],
    }
    made = space_of(pipeline, grid)
    assert made.space["scale"].domain == Choice(("StandardScaler()", "MinMaxScaler()", "passthrough"))
    for configuration in draws(made.space):
        parameters = made.of(configuration)
        assert parameters["select__score_func"] in (f_classif, mutual_info_classif)
        assert parameters["scale"] == "passthrough" or isinstance(parameters["scale"], StandardScaler | MinMaxScaler)
        assert parameters["scale"] not in grid["scale"][:2], "a copy: the option itself is never fitted"
        pipeline.set_params(**parameters)
    with pytest.raises(InvalidSpace, match="two options read alike"):
        space_of(SCALED, {"svc": [SVC(), SVC()]})


def test_several_grids_are_a_choice_with_conditions() -> None:
    grids = [
        {"kernel": ["linear"], "C": [1, 10, 100], "shrinking": [True]},
        {"kernel": ["rbf"], "C": stats.loguniform(1, 100), "gamma": [0.1, 0.01], "shrinking": [True]},
        {},
    ]
    made = space_of(SVC(), grids)
    seen = set()
    for configuration in draws(made.space):
        parameters = made.of(configuration)
        SVC(**parameters)
        seen.add((configuration["grid"], parameters.get("kernel"), tuple(sorted(parameters))))
    assert seen == {
        ("grid 1", "linear", ("C", "kernel", "shrinking")),
        ("grid 2", "rbf", ("C", "gamma", "kernel", "shrinking")),
        ("grid 3", None, ()),
    }
    assert made.space["grid"].show("grid 3") == "grid 3: its own settings"
    assert space_of(SVC(), [{"C": [1, 2]}]).space.names == ("C",), "one grid needs no choice"


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"alfa": [1, 2]}, "SVC has no parameter 'alfa'; expected some of C, "),
        ({"svc__C": [1, 2]}, "SVC has no parameter 'svc__C'"),
        ([{"C": [1]}, {"alfa": [1]}], "SVC has no parameter 'alfa'"),
        (Space({"alfa": [1, 2]}), "SVC has no parameter 'alfa'"),
    ],
)
def test_unknown_names_are_refused_and_the_known_ones_named(space: Any, message: str) -> None:
    with pytest.raises(InvalidSettings, match=message):
        space_of(SVC(), space)


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("C", "got 'C', expected a Space"),
        ([], "expected a Space"),
        (3, "got 3, expected a Space"),
        ({}, "expected at least one"),
        ({"kernel": "rbf"}, "got 'rbf' as its domain"),
        ({"C": 1.0}, "got 1.0 as its domain"),
        ({"C": []}, "expected at least one option"),
        ({"C": [1, 1]}, "expected at least one option"),
    ],
)
def test_what_is_no_space_is_refused(space: Any, message: str) -> None:
    with pytest.raises(InvalidSpace, match=message):
        space_of(SVC(), space)
