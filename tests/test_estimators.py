"""scikit-learn's estimators in three lines: spaces, splits, seeds, scorers, pipelines, and the fitted choice."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.datasets import load_diabetes, load_iris, load_wine
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, fbeta_score, make_scorer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import evenhand
from evenhand import Choice, Float, Hyperparameter, Integer, Space
from evenhand.errors import InvalidSettings, Refused
from evenhand.model.rules import derive_seed
from evenhand.model.trial import Measurement, Outcome
from evenhand.tasks.builtin import estimators
from evenhand.tasks.builtin.estimator_data import EstimatorData
from evenhand.tasks.builtin.estimator_frames import ColumnLeftOut
from evenhand.tasks.run import Stopped
from evenhand.tasks.running import run_trial
from tests.components import need

X, Y = load_wine(return_X_y=True)


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


@pytest.mark.slow
def test_three_lines_tune_an_estimator(db: str) -> None:
    result = evenhand.tune_estimator(KNeighborsClassifier(), X, Y, method="tpe", trials=6, db=db, progress=False)
    assert result.session.task.metric == "accuracy"
    assert set(result.session.space.names) == {"n_neighbors", "p"}
    assert result.session.space["n_neighbors"].default == 5
    splits = EstimatorData.drawn(X, Y, derive_seed(0, "split"), classes=True).splits
    (train, y), (validation, targets), (test, held) = (splits.load(split) for split in ("train", "validation", "test"))
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_pipelines_words_and_scorers(db: str) -> None:
    need("pandas")
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


@pytest.mark.slow
def test_numbers_and_sparse_examples(db: str) -> None:
    x, y = load_diabetes(return_X_y=True)
    space = Space([Hyperparameter("alpha", Float(1e-3, 10, log=True))])
    result = evenhand.tune_estimator(Ridge(), sparse.csr_matrix(x), y, space, trials=3, db=db, progress=False)
    assert result.session.task.metric == "r2"
    assert result.evaluation is not None
    assert result.evaluation.mean is not None
    assert 0.2 < result.evaluation.mean < 0.7


def test_an_exception_of_the_fit_makes_the_trial_invalid(db: str) -> None:
    space = Space([Hyperparameter("n_neighbors", Integer(-5, 0))])
    result = evenhand.tune_estimator(KNeighborsClassifier(), X, Y, space, trials=2, db=db, progress=False)
    assert {trial.outcome for trial in result.trials} == {Outcome.INVALID}
    assert "InvalidParameterError" in (result.trials[0].why or "")
    with pytest.raises(Refused, match=r"no trial has a value.*n_neighbors"):
        result.best_estimator()


@pytest.mark.parametrize(
    ("estimator", "settings", "message"),
    [
        (GradientBoostingClassifier(), {}, "no default space for it, only for AdaBoostClassifier.*give one"),
        (RandomForestClassifier, {}, "the class RandomForestClassifier, expected an estimator"),
        (3, {}, "got a int, expected an estimator"),
        (Ridge(), {"space": Space([Hyperparameter("alfa", Float(0, 1))])}, "no parameter 'alfa'; expected some of alpha"),
        (Ridge(), {"scoring": "best"}, "got 'best', expected one of accuracy"),
        (Ridge(), {"scoring": ["r2", "best"]}, "got 'best', expected one of accuracy"),
        (Ridge(), {"scoring": []}, "expected a scorer, or several with distinct names"),
        (Ridge(), {"scoring": ["r2", "r2"]}, "expected a scorer, or several with distinct names"),
        (Ridge(), {"scoring": 3}, "scoring: got 3, expected a scorer's name"),
        (Ridge(), {"scoring": accuracy_score}, r"accuracy_score is a metric.*make_scorer\(accuracy_score\)"),
        (Ridge(), {"scoring": {"loss": "r2"}}, "'loss' is what a report calls something else"),
        (Ridge(), {"keep_columns": ["x"]}, "keep_columns=.*all columns are kept"),
        (Ridge(), {"space": {"alfa": [1, 2]}}, "no parameter 'alfa'; expected some of alpha"),
        (KNeighborsClassifier(), {"y": np.where(Y == 1, np.nan, Y)}, "71 of 178 targets are missing"),
        (KNeighborsClassifier(), {"y": 0 * Y}, "one class only, 0"),
        (KNeighborsClassifier(), {"cv": 1000}, "cv=1000: expected from 2 to 142 folds"),
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


def scorer_of(weight: float) -> Any:
    def weighed(made: Any, x: Any, y: Any) -> float:
        return weight * float(made.score(x, y))

    return weighed


def test_the_version_tells_data_estimators_and_spaces_apart() -> None:
    x, y = load_iris(return_X_y=True)
    data = EstimatorData.drawn(x, y, 1)
    first = estimators.task_of(KNeighborsClassifier(), data).version
    assert first == estimators.task_of(KNeighborsClassifier(), EstimatorData.drawn(x.copy(), y, 1)).version
    others = (
        estimators.task_of(KNeighborsClassifier(weights="distance"), data),
        estimators.task_of(KNeighborsClassifier(), EstimatorData.drawn(x, y, 2)),
        estimators.task_of(KNeighborsClassifier(), EstimatorData.drawn(x + 1, y, 1)),
        estimators.task_of(KNeighborsClassifier(), data, scoring="f1_macro"),
    )
    folds = [EstimatorData.drawn(x, y, 1, cv=cv) for cv in (3, 4, KFold(3))]
    groups = EstimatorData.drawn(x, y, 1, cv=3, groups=np.arange(len(y)))
    further = [estimators.task_of(KNeighborsClassifier(), split) for split in (*folds, groups)]
    scored = [estimators.task_of(KNeighborsClassifier(), data, scoring=scorer_of(weight)) for weight in (1.0, 2.0)]
    assert len({first, *(task.version for task in (*others, *further, *scored))}) == 11


@pytest.mark.slow
def test_folds_are_the_same_for_all_trials_and_their_mean_is_the_value(db: str) -> None:
    cv = StratifiedKFold(3, shuffle=True, random_state=5)
    space = {"n_neighbors": [1, 5, 15]}
    result = evenhand.tune_estimator(
        KNeighborsClassifier(), X, Y, space, cv=cv, scoring=["accuracy", "f1_macro"], trials=3, db=db, progress=False
    )
    assert [metric.name for metric in result.session.task.further] == ["f1_macro"]
    folds = result.data.folds
    for trial in result.trials:
        made = KNeighborsClassifier(**dict(trial.configuration))
        scores = [made.fit(X[train], Y[train]).score(X[held], Y[held]) for train, held in folds]
        assert trial.value == pytest.approx(np.mean(scores))
        assert [trial.extra[f"fold {number}"] for number in (1, 2, 3)] == pytest.approx(scores)
        assert 0 < trial.extra["f1_macro"] <= 1
        assert trial.epochs_done == 3
    assert [column for column in result.dataframe().columns if column.startswith("fold")] == ["fold 1", "fold 2", "fold 3"]
    assert result.best is not None
    assert result.best_score_ == result.best.value
    assert result.best_params_ == dict(result.configuration or {})
    test, held = result.data.splits.load("test")
    assert not {*test} & {*np.concatenate([np.concatenate(fold) for fold in folds])}
    learnt = np.setdiff1d(np.arange(len(Y)), test)
    mine = KNeighborsClassifier(**result.best_params_).fit(X[learnt], Y[learnt])
    assert np.array_equal(result.best_estimator_.predict_proba(X), mine.predict_proba(X))
    assert result.best_estimator_ is result.best_estimator_
    assert np.array_equal(pickle.loads(pickle.dumps(result)).best_estimator_.predict(X), mine.predict(X))
    assert result.evaluation is not None
    assert result.evaluation.mean == pytest.approx(mine.score(X[test], held))


def test_the_mean_of_few_folds_is_corrected_for_how_easy_they_were() -> None:
    """The first fold is much easier than the others, so that its plain score would beat the mean of every trial that went on."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (400, 2))
    y = (x[:, 0] > 0).astype(int)
    y[100:] ^= rng.random(300) < 0.3
    pairs = [(np.setdiff1d(np.arange(400), rows), rows) for rows in np.split(np.arange(400), 4)]
    data = EstimatorData.drawn(x, y, 1, classes=True, cv=pairs)
    task = estimators.task_of(KNeighborsClassifier(25), data, space={"n_neighbors": [3, 25, 150]}, correct=True)
    assert task.version != estimators.task_of(KNeighborsClassifier(25), data, space={"n_neighbors": [3, 25, 150]}).version
    curves: dict[int, list[Measurement]] = {3: [], 25: [], 150: []}
    for neighbours, curve in curves.items():
        run_trial(task, {"n_neighbors": neighbours}, seed=1, evaluation=False, report=curve.append)
        raw = list(curve[-1].extra.values())
        assert [measurement.epoch for measurement in curve] == [1, 2, 3, 4]
        assert curve[-1].value == pytest.approx(np.mean(raw)), "corrections are nothing in the sum"
        assert [len(measurement.extra) for measurement in curve] == [1, 2, 3, 4]
    plain = [measurement.value for measurement in curves[25]]
    assert plain == pytest.approx([plain[-1]] * 4), "its own settings are as good on each fold as on all"
    first, last = curves[3][0], curves[25][-1]
    assert first.value is not None
    assert last.value is not None
    assert first.value < last.value < first.extra["fold 1"]


def test_a_rule_that_stops_has_the_folds_so_far() -> None:
    task = estimators.task_of(KNeighborsClassifier(), EstimatorData.drawn(X, Y, 1, classes=True, cv=5))
    measured = []

    def report(measurement: Measurement) -> None:
        measured.append(measurement)
        if measurement.epoch == 2:
            raise Stopped

    outcome, _ = run_trial(task, {"n_neighbors": 5, "p": 2}, seed=1, evaluation=False, report=report)
    assert outcome is Outcome.STOPPED
    assert [*measured[-1].extra] == ["fold 1", "fold 2"]


@pytest.mark.slow
def test_scorers_of_ones_own(db: str) -> None:
    def size(made: Any, x: Any, y: Any) -> float:
        return -float(made.get_params()["n_neighbors"])

    scoring = {"small": size, "f2": make_scorer(fbeta_score, beta=2, average="macro")}
    result = evenhand.tune_estimator(
        KNeighborsClassifier(), X, Y, {"n_neighbors": [1, 9]}, scoring=scoring, trials=2, db=db, progress=False
    )
    assert result.best_params_ == {"n_neighbors": 1}
    assert result.evaluation is not None
    assert (result.evaluation.metric, result.evaluation.mean) == ("small", -1)
    assert all("f2" in trial.extra for trial in result.trials)
    assert [*estimators.scorers_of(Ridge(), make_scorer(fbeta_score, beta=2))] == ["fbeta_score"]


@pytest.mark.slow
def test_a_frame_of_all_kinds_is_prepared_and_ids_are_named(db: str) -> None:
    pandas = need("pandas")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(
        {
            "id": range(120),
            "age": rng.normal(40, 10, 120),
            "city": pandas.Series(["Bern", "Basel", None] * 40),
            "seen": pandas.date_range("2024-01-01", periods=120),
            "note": [" ".join(rng.choice(["good", "bad", "slow", "fast"], 4)) for _ in range(120)],
        }
    )
    frame.loc[frame["age"] > 55, "age"] = None
    y = np.where(frame["note"].str.contains("bad"), "no", "yes")
    with pytest.warns(ColumnLeftOut, match=r"column 'id' has another value in each row.*keep_columns=\['id'\] keeps it"):
        result = evenhand.tune_estimator(
            HistGradientBoostingClassifier(max_iter=5),
            frame,
            y,
            {"learning_rate": [0.1, 0.5]},
            cv=3,
            trials=2,
            db=db,
            progress=False,
        )
    assert result.left_out == ("id",)
    assert all(trial.outcome is Outcome.COMPLETED for trial in result.trials)
    assert set(result.best_params_) == {"learning_rate"}
    new = frame[:7].assign(city="Genf")
    assert isinstance(result.best_estimator_, Pipeline)
    assert {*result.best_estimator_.predict(new.drop(columns="id"))} <= {"yes", "no"}
    assert result.best_score_ > 0.8
    kept = estimators.kinds_of(LogisticRegression(), frame, prepare=True, keep_columns=["id"])
    assert kept["id"] == "numbers"
    assert estimators.kinds_of(LogisticRegression(), frame, prepare=False, keep_columns=[]) == {}


class Boosted(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """As LightGBM's: it wants examples to stop by."""

    __module__ = "lightgbm.sklearn"

    def __init__(self, early_stopping_round: int | None = None, n_estimators: int = 10) -> None:
        self.early_stopping_round = early_stopping_round
        self.n_estimators = n_estimators

    def fit(self, x: Any, y: Any, eval_set: Any = None) -> "Boosted":
        self.classes_, self.learnt_, self.watched_ = np.unique(y), x, eval_set
        return self

    def predict(self, x: Any) -> Any:
        return np.full(len(x), self.classes_[0])


class NewlyBoosted(Boosted):
    """As LightGBM's from 4.7 on, where the former name warns."""

    __module__ = "lightgbm.sklearn"

    def fit(self, x: Any, y: Any, eval_set: Any = None, *, eval_X: Any = None, eval_y: Any = None) -> "NewlyBoosted":
        assert eval_set is None
        super().fit(x, y, None if eval_X is None else [(eval_X, eval_y)])
        return self


@pytest.mark.parametrize("piped", [False, True])
def test_early_stopping_hands_over_its_examples_by_the_names_that_a_fit_has(piped: bool) -> None:
    def watched(boosted: Any) -> Any:
        made = estimators.fitted(make_pipeline(boosted) if piped else boosted, {}, X, Y, 1)
        return (made[-1] if piped else made).watched_

    ((x, y),), ((newer_x, newer_y),) = watched(Boosted(5)), watched(NewlyBoosted(5))
    assert np.array_equal(x, newer_x)
    assert np.array_equal(y, newer_y)


@pytest.mark.needs("lightgbm")
@pytest.mark.filterwarnings("error")
def test_lightgbms_own_stops_early_and_warns_of_nothing() -> None:
    made = estimators.fitted(need("lightgbm").LGBMClassifier(n_estimators=200, early_stopping_round=2, verbose=-1), {}, X, Y, 1)
    assert 0 < made.best_iteration_ < 200


def test_early_stopping_looks_at_a_tenth_of_the_training_examples() -> None:
    assert estimators.fitted(Boosted(), {}, X, Y, 1).watched_ is None
    made = estimators.fitted(Boosted(5), {}, X, Y, 1)
    ((seen, targets),) = made.watched_
    assert len(made.learnt_) + len(seen) == len(Y)
    assert np.bincount(targets).tolist() == [6, 7, 5]
    assert not {map(tuple, made.learnt_)} & {map(tuple, seen)}
    piped = estimators.fitted(make_pipeline(StandardScaler(), Boosted(5)), {}, X, Y, 1)
    ((scaled, _),) = piped[-1].watched_
    assert np.allclose(scaled, StandardScaler().fit(X[np.isin(X[:, 0], made.learnt_[:, 0])]).transform(seen), atol=0.2)
    groups = np.arange(len(Y)) // 6
    grouped = estimators.fitted(Boosted(5), {}, np.arange(len(Y)).reshape(-1, 1), Y, 1, groups=groups)
    ((seen, _),) = grouped.watched_
    assert not {*groups[seen[:, 0]]} & {*groups[grouped.learnt_[:, 0]]}


@pytest.mark.slow
def test_a_forests_default_space_finds_what_is_as_good_as_its_own_settings(db: str) -> None:
    forest = RandomForestClassifier(n_estimators=20)
    result = evenhand.tune_estimator(forest, X, Y, method="tpe", trials=8, seed=1, db=db, progress=False, evaluate=False)
    splits = result.data.splits
    (train, y), (validation, targets) = splits.load("train"), splits.load("validation")
    as_it_comes = estimators.fitted(forest, {}, X[train], y, result.session.tuning_seed).score(X[validation], targets)
    assert result.best is not None
    assert result.best.value is not None
    assert result.best.value >= as_it_comes - 0.03
