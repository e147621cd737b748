"""`evenhand.tune_estimator`: tune an estimator of scikit-learn on one's own data, in three lines."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any

from evenhand.errors import InvalidSettings, Refused
from evenhand.experiments.final_models import FinalModel, columns_of
from evenhand.experiments.tune import Result, tune
from evenhand.model import numbers
from evenhand.model.choice_rule import BEST, GAP, choice_rule
from evenhand.model.configuration import Configuration
from evenhand.model.rules import derive_seed
from evenhand.model.words import last_line
from evenhand.tasks.builtin import estimators
from evenhand.tasks.builtin.estimator_data import TEST_SHARE, EstimatorData
from evenhand.tasks.builtin.estimator_frames import ColumnLeftOut
from evenhand.tasks.run import joined


@dataclass(frozen=True, repr=False)
class EstimatorResult(Result):
    """What `tune_estimator` gives back: a `Result` that can fit the estimator with its choice.

    Attributes:
        work: the estimator as it was given, its examples in splits and folds, its preparation and its scorers.
        left_out: the columns of X that number its rows and were left out.
    """

    work: estimators.EstimatorWork = field(kw_only=True)
    left_out: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def estimator(self) -> Any:
        """The estimator as it was given."""
        return self.work.estimator

    @property
    def data(self) -> EstimatorData:
        """The examples, in splits and folds of row numbers."""
        return self.work.data

    @property
    def best_params_(self) -> dict[str, Any]:
        """The chosen parameters, as `set_params` takes them."""
        return self.work.space.of(self._chosen())

    @property
    def best_score_(self) -> float:
        """The chosen trial's value on validation: with folds the mean over them.

        Raises:
            Refused: no trial had a value, or the choice is of no trial.
        """
        chosen = self._chosen()
        trial_id = self.session.choice.trial_id if self.session.choice else None
        for trial in self.trials:
            if trial.id == trial_id and trial.value is not None:
                return float(trial.value)
        raise Refused(f"the choice {dict(chosen)} was submitted without a trial, so it has no score on validation")

    @cached_property
    def best_estimator_(self) -> Any:
        """The estimator with the chosen configuration, fitted on training and validation data with the tuning seed.

        Where columns are prepared it is a pipeline that takes data frames of the same columns, and ends in the estimator.

        Raises:
            Refused: no trial had a value, so nothing was chosen.
        """
        configuration = self._chosen()
        (rows, y), (more, targets) = self.data.splits.load("train"), self.data.splits.load("validation")
        return self.work.fitted(configuration, joined(rows, more), joined(y, targets), self.session.tuning_seed)

    def best_estimator(self) -> Any:
        """As `best_estimator_`, fitted anew.

        Returns:
            A copy, fitted on training and validation data together, with the tuning seed.

        Raises:
            Refused: no trial had a value, so nothing was chosen.
        """
        self.__dict__.pop("best_estimator_", None)
        return self.best_estimator_

    def _final_model(self, copies: Path) -> FinalModel:
        self._chosen()
        rows = joined(self.data.splits.load("train")[0], self.data.splits.load("validation")[0])
        x = self.data.at(rows)
        columns = columns_of(x, self.left_out)
        learnt_from = x, self.data.y[rows]
        return FinalModel(self.best_estimator_, {}, learnt_from, self.session.tuning_seed, None, columns)

    def _chosen(self) -> Configuration:
        if self.configuration is None:
            reasons = [trial.why for trial in self.trials if trial.why]
            why = f"; the last one: {last_line(reasons[-1])}" if reasons else ""
            raise Refused(f"no trial has a value, so there is no configuration to fit{why}")
        return self.configuration


def tune_estimator(
    estimator: Any,
    X: Any,
    y: Any,
    space: Any = None,
    *,
    cv: Any = None,
    groups: Any = None,
    test: Any = TEST_SHARE,
    scoring: Any = None,
    prepare: bool = True,
    keep_columns: Sequence[str] = (),
    seed: int = 0,
    **settings: Any,
) -> EstimatorResult:
    """Tune an estimator of scikit-learn on one's own data, and score the choice on test with ten seeds.

    A fifth of the examples is for test, drawn by the seed, and no trial sees it. Of the others a quarter is for validation, or
    they are cut into the folds of `cv`, the same for each trial. Classes have their share in each part. A `random_state` that is
    not set gets the trial's seed. An exception of the fit makes the trial `invalid`.

    Args:
        estimator: what is tuned; it is left as it is.
        X: examples, (N, features): an array, a sparse matrix or a data frame; for a pipeline also N texts.
        y: targets, (N,).
        space: hyperparameters named as `estimator.get_params()` has them, `step__name` in a pipeline: a `Space`, domains by name,
            or what RandomizedSearchCV and GridSearchCV take. May be left out for an estimator that has a default space. The
            options true, false and none of a choice stand for True, False and None.
        cv: a number of folds, a splitter of scikit-learn, or pairs of row numbers of X (to train on, to score on), of which those
            for test are taken out. The mean over the folds is the trial's value.
        groups: (N,) of them; no group is in two parts.
        test: the share of the examples that is for test, or their row numbers. With TimeSeriesSplit a share is the last one.
        scoring: a scorer's name of scikit-learn, a function (fitted estimator, X, y) that returns a number, or several, as a
            list or by name; larger is better, and the first is what is tuned. By default accuracy for a
            classifier, r2 for a regressor.
        prepare: whether words, dates and free text of a data frame are made numbers, where the estimator is no pipeline.
        keep_columns: columns that are learnt from although they have another value in each row, as ids have.
        seed: decides the splits, the method's draws and the trainings.
        settings: as of `evenhand.tune`, such as `method="tpe"` and `trials=20`. With `cv` and `stopping="median"` a trial ends as
            soon as its first folds are worse than the median of others. With `choose="gap"` each fold's training examples are
            scored, too, as `train_accuracy`, say.

    Returns:
        The session, its trials and choice, the test score, and the fitted choice.

    Raises:
        InvalidSettings: what cannot be used, and what was expected instead.
    """
    estimators.check_estimator(estimator)
    classes = import_module("sklearn.base").is_classifier(estimator)
    seed = numbers.seed_of(seed)
    data = EstimatorData.drawn(X, y, derive_seed(seed, "split"), classes=classes, cv=cv, groups=groups, test=test)
    work = estimators.work_of(
        estimator,
        data,
        space=space,
        scoring=scoring,
        prepare=prepare,
        keep_columns=keep_columns,
        correct=settings.get("stopping") is not None,
        training=choice_rule(settings.get("choose", BEST)).kind == GAP,
    )
    kinds = estimators.kinds_of(estimator, data.x, prepare, keep_columns)
    left_out = tuple(str(name) for name, kind in kinds.items() if kind == "id")
    for name in left_out:
        warnings.warn(
            f"X: column {name!r} has another value in each row, as an id has, and is left out; keep_columns=[{name!r}] keeps it",
            ColumnLeftOut,
            stacklevel=2,
        )
    if settings.get("value", "last") != "last":
        raise InvalidSettings(
            f"value is {settings['value']!r}, expected 'last': the epochs of an estimator are its folds, and its value their mean"
        )
    result = tune(estimators.task_of_work(work), seed=seed, **settings)
    values = {of_result.name: getattr(result, of_result.name) for of_result in fields(result)}
    return EstimatorResult(**values, work=work, left_out=left_out)
