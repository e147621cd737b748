"""`evenhand.tune_estimator`: tune an estimator of scikit-learn on one's own data, in three lines."""

from dataclasses import dataclass, field
from typing import Any

from evenhand.errors import Refused
from evenhand.protocol import derive_seed
from evenhand.space import Space
from evenhand.tasks import estimators
from evenhand.tasks.run import joined
from evenhand.tuning import Result, tune


@dataclass(frozen=True, repr=False)
class EstimatorResult(Result):
    """What `tune_estimator` found: a `Result` that can fit the estimator with its choice."""

    estimator: Any = field(kw_only=True)
    data: estimators.Data = field(kw_only=True)

    def best_estimator(self) -> Any:
        """The estimator with the chosen configuration, fitted on training and validation data together, by the tuning seed.

        Raises:
            Refused: no trial had a value, so nothing was chosen.
        """
        if self.configuration is None:
            reasons = [trial.why for trial in self.trials if trial.why]
            why = f"; the last one: {reasons[-1].splitlines()[-1]}" if reasons else ""
            raise Refused(f"no trial has a value, so there is no configuration to fit{why}")
        (rows, y), (more, targets) = self.data.splits.load("train"), self.data.splits.load("validation")
        x = self.data.at(joined(rows, more))
        return estimators.fitted(self.estimator, self.configuration, x, joined(y, targets), self.session.tuning_seed)


def tune_estimator(
    estimator: Any, X: Any, y: Any, space: Space | None = None, *, scoring: str | None = None, seed: int = 0, **settings: Any
) -> EstimatorResult:
    """Tune `estimator`, which is left as it is, on X (N, features) and y (N,), and score the choice on test with ten seeds.

    60 % of the examples are for training, 20 % each for validation and test, drawn by the seed. space: hyperparameters named
    as `estimator.get_params()` has them, `step__name` in a pipeline; may be left out for an estimator that the sklearn task
    knows. The options true, false and none of a choice stand for True, False and None. scoring: a scorer's name of
    scikit-learn (larger is better); by default accuracy for a classifier, r2 for a regressor. A `random_state` that is not set
    gets the trial's seed. An exception of the fit makes the trial `invalid`. settings: as of `evenhand.tune`, such as
    `method="tpe"` and `trials=20`.

    Raises:
        InvalidSettings: what cannot be used, and what was expected instead.
    """
    data = estimators.Data.drawn(X, y, derive_seed(seed, "split"))
    found = tune(estimators.task_of(estimator, data, space=space, scoring=scoring), seed=seed, **settings)
    return EstimatorResult(found.session, found.evaluation, estimator=estimator, data=data)
