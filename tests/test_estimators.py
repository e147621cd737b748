"""scikit-learn's estimators in three lines: spaces, splits, seeds, scorers, pipelines, and the fitted choice."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.ensemble import AdaBoostRegressor, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import evenhand
from evenhand import Choice, Float, Hyperparameter, Integer, Space
from evenhand.errors import InvalidSettings, Refused
from evenhand.protocol import derive_seed
from evenhand.records import Outcome
from evenhand.tasks import estimators

X, Y = load_wine(return_X_y=True)


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


def test_three_lines_tune_an_estimator(db: str) -> None:
    result = evenhand.tune_estimator(KNeighborsClassifier(), X, Y, method="tpe", trials=6, db=db, progress=False)
    assert result.session.task.metric == "accuracy"
    assert set(result.session.space.names) == {"n_neighbors", "p"}
    assert result.session.space["n_neighbors"].default == 5
    splits = estimators.Data.drawn(X, Y, derive_seed(0, "split")).splits
    (train, y), (validation, targets), (test, held) = (splits.load(each) for each in ("train", "validation", "test"))
    assert sorted([*train, *validation, *test]) == list(range(len(Y)))
    for trial in result.trials:
        again = KNeighborsClassifier(**dict(trial.configuration)).fit(X[train], y)
        assert trial.value == pytest.approx(again.score(X[validation], targets))
    best = result.best_estimator()
    both = np.concatenate([train, validation])
    mine = KNeighborsClassifier(**dict(result.configuration or {})).fit(X[both], Y[both])
    assert np.array_equal(best.predict(X), mine.predict(X))
    assert result.evaluation is not None
    assert result.evaluation.mean == pytest.approx(best.score(X[test], held))


def test_random_state_is_the_trials_seed_unless_it_is_set(db: str) -> None:
    forest = RandomForestClassifier(n_estimators=5)
    result = evenhand.tune_estimator(forest, X, Y, trials=2, db=db, progress=False, evaluate=False)
    assert forest.random_state is None
    assert not hasattr(forest, "estimators_")
    assert result.best_estimator().random_state == result.session.tuning_seed
    kept = estimators.fitted(RandomForestClassifier(n_estimators=5, random_state=3), {}, X, Y, 9)
    assert kept.random_state == 3
    piped = estimators.fitted(make_pipeline(StandardScaler(), SGDClassifier()), {}, X, Y, 9)
    assert piped.get_params()["sgdclassifier__random_state"] == 9


def test_pipelines_words_and_scorers(db: str) -> None:
    pytest.importorskip("pandas")
    frame = load_wine(as_frame=True).data
    space = Space(
        [
            Hyperparameter("standardscaler__with_mean", Choice(("true", "false"))),
            Hyperparameter("logisticregression__C", Float(1e-2, 1e2, log=True)),
            Hyperparameter("logisticregression__class_weight", Choice(("none", "balanced"))),
        ]
    )
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    result = evenhand.tune_estimator(
        pipeline, frame, Y, space, scoring="neg_log_loss", trials=4, db=db, progress=False, evaluate=False
    )
    assert all(trial.outcome is Outcome.COMPLETED for trial in result.trials)
    assert (result.session.task.metric, result.session.task.direction) == ("neg_log_loss", "maximize")
    assert all(trial.value is not None and trial.value < 0 for trial in result.trials)
    best, chosen = result.best_estimator(), result.configuration
    assert chosen is not None
    assert best.get_params()["standardscaler__with_mean"] is (chosen["standardscaler__with_mean"] == "true")
    assert best.get_params()["logisticregression__class_weight"] in (None, "balanced")
    assert list(best.feature_names_in_) == list(frame.columns)


def test_numbers_and_sparse_examples(db: str) -> None:
    x, y = load_diabetes(return_X_y=True)
    space = Space([Hyperparameter("alpha", Float(1e-3, 10, log=True))])
    result = evenhand.tune_estimator(Ridge(), sparse.csr_matrix(x), y, space, trials=3, db=db, progress=False)
    assert result.session.task.metric == "r2"
    assert result.evaluation is not None
    assert result.evaluation.mean is not None
    assert 0.2 < result.evaluation.mean < 0.7
    assert estimators.default_space(AdaBoostRegressor()).names == ("n_estimators", "learning_rate")


def test_an_exception_of_the_fit_makes_the_trial_invalid(db: str) -> None:
    space = Space([Hyperparameter("n_neighbors", Integer(-5, 0))])
    result = evenhand.tune_estimator(KNeighborsClassifier(), X, Y, space, trials=2, db=db, progress=False)
    assert {trial.outcome for trial in result.trials} == {Outcome.INVALID}
    assert "InvalidParameterError" in (result.trials[0].why or "")
    with pytest.raises(Refused, match=r"no trial has a value.*n_neighbors"):
        result.best_estimator()


def test_default_spaces_follow_the_estimators_settings() -> None:
    adam, sgd = (estimators.default_space(MLPClassifier(solver=solver)) for solver in ("adam", "sgd"))
    assert "beta_1" in adam.names
    assert "momentum" in sgd.names
    assert "max_iter" in adam.names
    assert adam.fidelity is None
    forest = estimators.default_space(RandomForestClassifier())
    assert forest.names == ("n_estimators", "max_depth", "min_samples_split", "min_samples_leaf", "max_features")
    assert forest.defaults() == {"n_estimators": 100, "min_samples_split": 2, "min_samples_leaf": 1}, "the others have none there"
    assert estimators.default_space(LogisticRegression()).names == ("C",)
    assert estimators.default_space(LogisticRegression(solver="liblinear")).names == ("C", "intercept_scaling")
    assert estimators.default_space(Ridge(fit_intercept=False))["fit_intercept"].default == "false"


@pytest.mark.parametrize(
    ("estimator", "settings", "message"),
    [
        (GradientBoostingClassifier(), {}, "no default space for it, only for AdaBoostClassifier.*give one"),
        (RandomForestClassifier, {}, "the class RandomForestClassifier, expected an estimator"),
        (3, {}, "got a int, expected an estimator"),
        (Ridge(), {"space": Space([Hyperparameter("alfa", Float(0, 1))])}, "no parameter 'alfa'; expected some of alpha"),
        (Ridge(), {"scoring": "best"}, "got 'best', expected one of accuracy"),
        (KMeans(), {"space": Space([Hyperparameter("n_clusters", Integer(2, 9))])}, "neither a classifier nor a regressor"),
        (MLPClassifier(solver="lbfgs"), {}, "no default space"),
        (Ridge(), {"y": Y[:-1]}, "X has 178 examples and y 177"),
    ],
)
def test_what_cannot_be_used_is_said_before_anything_is_stored(
    db: str, estimator: Any, settings: dict[str, Any], message: str
) -> None:
    arguments = {"y": Y, **settings}
    with pytest.raises(InvalidSettings, match=message):
        evenhand.tune_estimator(estimator, X, arguments.pop("y"), trials=2, db=db, progress=False, **arguments)
    assert not Path(db.removeprefix("sqlite:///")).exists()


def test_the_version_tells_data_estimators_and_spaces_apart() -> None:
    x, y = load_iris(return_X_y=True)
    data = estimators.Data.drawn(x, y, 1)
    first = estimators.task_of(KNeighborsClassifier(), data).version
    assert first == estimators.task_of(KNeighborsClassifier(), estimators.Data.drawn(x.copy(), y, 1)).version
    others = (
        estimators.task_of(KNeighborsClassifier(weights="distance"), data),
        estimators.task_of(KNeighborsClassifier(), estimators.Data.drawn(x, y, 2)),
        estimators.task_of(KNeighborsClassifier(), estimators.Data.drawn(x + 1, y, 1)),
        estimators.task_of(KNeighborsClassifier(), data, scoring="f1_macro"),
    )
    assert len({first, *(each.version for each in others)}) == 5


def test_a_forests_default_space_finds_what_is_as_good_as_its_own_settings(db: str) -> None:
    forest = RandomForestClassifier(n_estimators=20)
    result = evenhand.tune_estimator(forest, X, Y, method="tpe", trials=8, seed=1, db=db, progress=False, evaluate=False)
    splits = result.data.splits
    (train, y), (validation, targets) = splits.load("train"), splits.load("validation")
    as_it_comes = estimators.fitted(forest, {}, X[train], y, result.session.tuning_seed).score(X[validation], targets)
    assert result.best is not None
    assert result.best.value is not None
    assert result.best.value >= as_it_comes - 0.03
