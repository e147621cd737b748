"""A scikit-learn estimator and a user's own data as a task: its space, its fixed splits or folds, one fit a fold.

With folds a trial trains and is scored on each in turn, and reports them as epochs: fold k is epoch k, and the value after it
the mean so far. So a stopping rule can end a trial after few folds. Folds differ in how hard they are, and a mean of two easy
ones would win over one of all five. Where a rule may stop, the means before the last therefore have taken off, of each fold, how
much better the estimator with its own settings does there than on all of them. Over all folds these differences add up to
nothing, so the last value is the plain mean.
"""

import inspect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np

from evenhand.errors import InvalidSettings, repr_of
from evenhand.model.choice_rule import training_metric
from evenhand.model.configuration import Configuration
from evenhand.model.digest import digest
from evenhand.model.task import Metric
from evenhand.tasks import versions
from evenhand.tasks.base import Task
from evenhand.tasks.builtin import classic, estimator_frames
from evenhand.tasks.builtin.estimator_data import EstimatorData, at, held_out
from evenhand.tasks.builtin.estimator_spaces import EstimatorSpace, space_of, text_of
from evenhand.tasks.contents import checksum
from evenhand.tasks.run import Run

NAME = "sklearn estimator"
REVISION = 2  # raised when its numbers change; tests/golden holds it to that
SEED_SETTING = "random_state"
KEPT_WORDS = ("step", "epoch", "loss")  # what a report calls something else
STOPS_EARLY = (  # names of LightGBM and XGBoost
    "early_stopping_round",
    "early_stopping_rounds",
    "early_stopping",
    "n_iter_no_change",
)
WATCHED_SHARE = 0.1  # of the training examples, that early stopping looks at
Scorer = Any  # (fitted estimator, X, y) -> number, larger being better


@dataclass(frozen=True)
class EstimatorWork:
    """An estimator, how its data is prepared, and what it is scored by: by name, the first one being the metric.

    correct: whether values before the last fold are corrected for how hard the folds were. training: whether what is
    learnt from is scored, too.
    """

    estimator: Any
    data: EstimatorData
    space: EstimatorSpace
    scorers: Mapping[str, Scorer]
    preparation: Any | None = None
    correct: bool = False
    training: bool = False
    eases: dict[int, tuple[float, ...]] = field(default_factory=dict)  # by seed, of each fold; worked out at the first trial

    @property
    def metric(self) -> str:
        """The first scorer's name."""
        return next(iter(self.scorers))

    def fitted(self, configuration: Mapping[str, Any], rows: Any, y: Any, seed: int) -> Any:
        """The estimator with a configuration, behind its preparation, fitted on examples by their row numbers."""
        parameters = self.space.of(configuration)
        groups = None if self.data.groups is None else self.data.groups[rows]
        return fitted(self.estimator, parameters, self.data.at(rows), y, seed, preparation=self.preparation, groups=groups)

    def scores(self, configuration: Mapping[str, Any], fold: int, seed: int) -> dict[str, float]:
        """What a configuration reaches on a fold, by the name of the scorer."""
        rows, held = self.data.folds[fold]
        made = self.fitted(configuration, rows, self.data.y[rows], seed)
        x, y = self.data.at(held), self.data.y[held]
        scores = {name: float(scorer(made, x, y)) for name, scorer in self.scorers.items()}
        if self.training:
            learnt = self.scorers[self.metric](made, self.data.at(rows), self.data.y[rows])
            scores[training_metric(self.metric)] = float(learnt)
        return scores

    def ease(self, seed: int) -> Sequence[float]:
        """Of each fold how much better than on all of them the estimator with its own settings does; zeros where it fails."""
        count = len(self.data.folds)
        if not self.correct or count == 1:
            return (0.0,) * count
        if seed not in self.eases:  # two threads may work it out at once, to the same numbers
            self.eases[seed] = self._measured(seed)
        return self.eases[seed]

    def _measured(self, seed: int) -> tuple[float, ...]:
        count = len(self.data.folds)
        try:
            plain = [self.scores({}, fold, seed)[self.metric] for fold in range(count)]
        except Exception:  # whatever the estimator raises: its own settings are nobody's trial
            return (0.0,) * count
        if not all(map(math.isfinite, plain)):
            return (0.0,) * count
        return tuple(float(score - np.mean(plain)) for score in plain)


def task_of(estimator: Any, data: EstimatorData, **settings: Any) -> Task:
    """Tuning `estimator` on `data` as a task; settings: as of `work_of`. Its numbers depend on the run's seed only."""
    return task_of_work(work_of(estimator, data, **settings))


def work_of(
    estimator: Any,
    data: EstimatorData,
    *,
    space: Any = None,
    scoring: Any = None,
    prepare: bool = True,
    keep_columns: Sequence[str] = (),
    correct: bool = False,
    training: bool = False,
) -> EstimatorWork:
    """What is tuned on what.

    space: see `estimator_spaces.space_of`. scoring: a scorer's name, a scorer, or several as a list or by name; None for accuracy
    of a classifier and r2 of a regressor. prepare: whether the columns of a data frame become numbers, but for a pipeline.
    keep_columns: those that are no ids. correct: whether a rule may stop trials between folds; see the module. training: whether
    the metric is reported of the training examples, too.

    Raises:
        InvalidSettings: no estimator, no default space, names that the estimator does not have, or no such scorer.
        InvalidSpace: what is given as a space is none.
    """
    check_estimator(estimator)
    return EstimatorWork(
        estimator,
        data,
        space_of(estimator, space),
        scorers_of(estimator, scoring),
        estimator_frames.preparation_of(kinds_of(estimator, data.x, prepare, keep_columns)),
        correct,
        training,
    )


def check_estimator(estimator: Any) -> None:
    """InvalidSettings where it is no estimator."""
    if isinstance(estimator, type) or not (hasattr(estimator, "fit") and hasattr(estimator, "get_params")):
        given = f"the class {estimator.__name__}" if isinstance(estimator, type) else f"a {type(estimator).__name__}"
        raise InvalidSettings(f"got {given}, expected an estimator of scikit-learn, such as RandomForestClassifier()")


def kinds_of(estimator: Any, x: Any, prepare: bool, keep_columns: Sequence[str]) -> Mapping[Any, estimator_frames.Kind]:
    """What the columns hold that are prepared for the estimator; nothing where X goes to it as it is."""
    if not prepare or not hasattr(x, "columns") or hasattr(estimator, "steps"):
        if keep_columns:
            raise InvalidSettings(
                f"keep_columns={keep_columns!r}: all columns are kept where X is no data frame, the estimator is a pipeline, or "
                "prepare=False"
            )
        return {}
    return estimator_frames.kinds_of(x, keep_columns)


def task_of_work(work: EstimatorWork) -> Task:
    """The task of it."""
    data, space, estimator = work.data, work.space.space, work.estimator
    settings = {
        "estimator": [type(estimator).__module__, text_of(estimator)],
        "scoring": {name: _identity(scorer) for name, scorer in work.scorers.items()},
        "preparation": None if work.preparation is None else text_of(work.preparation),
        "corrected": work.correct,
        **({"training scored": True} if work.training else {}),
    }
    rows = (data.splits.train, data.splits.validation, data.splits.test)
    checksums = [checksum(part) for part in (data.x, data.y, rows, data.folds, data.groups)]
    count = len(data.folds)
    return Task(
        name=f"{NAME}:{type(estimator).__name__}",
        version=versions.of_built_in(NAME, REVISION, settings, space.digest, checksums),
        space=space,
        metric=work.metric,
        direction="maximize",
        max_epochs=count,
        train=partial(_train, work),
        data=lambda: data.splits,
        test_data=digest([*checksums[:2], checksum(data.splits.test)]),
        score=partial(_score, data, work.scorers[work.metric]),
        statistics=_statistics(data),
        further=tuple(Metric(name, "maximize") for name in work.scorers if name != work.metric),
    )


def scorers_of(estimator: Any, scoring: Any) -> dict[str, Scorer]:
    """Scorers by name, the first one being the metric.

    Raises:
        InvalidSettings: an unknown name, something that is no scorer, or none at all.
    """
    if scoring is None:
        scoring = _scoring_of(estimator)
    named: list[tuple[str, Any]]
    if isinstance(scoring, Mapping):
        named = [(name, given) for name, given in scoring.items()]
    elif isinstance(scoring, list | tuple | set):
        named = [(_name_of(given), given) for given in (sorted(scoring, key=str) if isinstance(scoring, set) else scoring)]
    else:
        named = [(_name_of(scoring), scoring)]
    names = [name for name, _ in named]
    if not named or len(set(names)) != len(names) or not all(isinstance(name, str) and name for name in names):
        raise InvalidSettings(
            f"scoring: got {repr_of(scoring)}, expected a scorer, or several with distinct names; the first one is the metric"
        )
    if taken := [name for name in names if name in KEPT_WORDS]:
        raise InvalidSettings(
            f"scoring: {taken[0]!r} is what a report calls something else; name it otherwise, as in {{'my_{taken[0]}': ...}}"
        )
    return {name: _scorer(given) for name, given in named}


def _name_of(given: Any) -> str:
    if isinstance(given, str):
        return given
    name = getattr(getattr(given, "_score_func", given), "__name__", type(given).__name__)
    return "score" if name == "<lambda>" else str(name)


def _scorer(given: Any) -> Scorer:
    metrics = import_module("sklearn.metrics")
    if isinstance(given, str):
        try:
            return metrics.get_scorer(given)
        except ValueError:
            raise InvalidSettings(f"scoring: got {given!r}, expected one of {', '.join(metrics.get_scorer_names())}") from None
    if not callable(given) or isinstance(given, type):
        raise InvalidSettings(
            f"scoring: got {repr_of(given)}, expected a scorer's name, or a function (fitted estimator, X, y) -> number"
        )
    if str(getattr(given, "__module__", "")).startswith("sklearn.metrics.") and hasattr(given, "__name__"):
        raise InvalidSettings(
            f"scoring: {given.__name__} is a metric (targets, predictions); make a scorer of it, make_scorer({given.__name__})"
        )
    return given


def _identity(scorer: Scorer) -> str:
    """What tells a scorer from another, in a version: scikit-learn's by how it is made, others by source and closure, too."""
    text = text_of(scorer)
    function: Any = getattr(scorer, "_score_func", scorer)
    is_library = str(getattr(function, "__module__", "")).startswith("sklearn.")
    if is_library or not hasattr(function, "__code__"):
        return text
    closure = [text_of(cell.cell_contents) for cell in function.__closure__ or ()]
    return f"{text} {versions.of_source(function)} {closure}"


def _scoring_of(estimator: Any) -> str:
    base = import_module("sklearn.base")
    if base.is_classifier(estimator):
        return "accuracy"
    if base.is_regressor(estimator):
        return "r2"
    raise InvalidSettings(
        f'{type(estimator).__name__} is neither a classifier nor a regressor; name a scorer, as in scoring="accuracy"'
    )


def _statistics(data: EstimatorData) -> dict[str, int]:
    counts = {split: len(data.splits.load(split)[1]) for split in ("train", "validation", "test")}
    features = {"features": int(data.x.shape[1])} if len(data.x.shape) > 1 else {}
    if len(data.folds) == 1:
        return {**features, **{f"{split} examples": count for split, count in counts.items()}}
    learnt = counts["train"] + counts["validation"]
    scored = len(np.unique(np.concatenate([held for _, held in data.folds])))
    return {
        **features,
        "folds": len(data.folds),
        "train and validation examples": learnt,
        "validation examples": scored,
        "test examples": counts["test"],
    }


def fitted(
    estimator: Any,
    parameters: Mapping[str, Any],
    x: Any,
    y: Any,
    seed: int,
    *,
    preparation: Any | None = None,
    groups: Any = None,
) -> Any:
    """A copy of `estimator` with parameters, fitted on X and y, in a pipeline behind its preparation where there is one.

    Each `random_state` that is not set gets the seed. LightGBM's and XGBoost's that stop early look at a tenth of the examples.
    """
    clone = import_module("sklearn.base").clone
    made = clone(estimator).set_params(**parameters)
    unset = [name for name, value in made.get_params().items() if name.rpartition("__")[2] == SEED_SETTING and value is None]
    made.set_params(**dict.fromkeys(unset, seed))
    if preparation is not None:
        made = import_module("sklearn.pipeline").Pipeline([("prepare", clone(preparation)), ("model", made)])
    with classic.quiet():
        prefix, model = _last(made)
        if not _stops_early(model):
            return made.fit(x, y)
        classes = import_module("sklearn.base").is_classifier(model)
        watched, rows = held_out(y, WATCHED_SHARE, seed, classes=classes, groups=groups)
        learnt, seen = at(x, rows), at(x, watched)
        if prefix and len(made) > 1:
            before = clone(made[:-1]).fit(learnt, y[rows])
            seen = before.transform(seen)
        arguments = {**_to_watch(model, seen, y[watched]), **_silent(model)}
        return made.fit(learnt, y[rows], **{f"{prefix}{name}": given for name, given in arguments.items()})


def _last(made: Any) -> tuple[str, Any]:
    """The last step of a pipeline and what its arguments begin with; what is no pipeline is its own."""
    steps = getattr(made, "steps", None)
    return (f"{steps[-1][0]}__", steps[-1][1]) if isinstance(steps, list) and steps else ("", made)


def _package(model: Any) -> str:
    return type(model).__module__.partition(".")[0]


def _stops_early(model: Any) -> bool:
    parameters = model.get_params() if _package(model) in ("lightgbm", "xgboost") else {}
    return any(parameters.get(name) for name in STOPS_EARLY)


def _to_watch(model: Any, x: Any, y: Any) -> dict[str, Any]:
    """How its fit takes the examples that early stopping looks at: LightGBM has other names for them from 4.7 on."""
    names = inspect.signature(model.fit).parameters
    return {"eval_X": x, "eval_y": y} if {"eval_X", "eval_y"} <= names.keys() else {"eval_set": [(x, y)]}


def _silent(model: Any) -> dict[str, Any]:
    return {"verbose": False} if _package(model) == "xgboost" else {}


def _train(work: EstimatorWork, configuration: Configuration, run: Run) -> None:
    """Fit and score fold after fold; in an evaluation once, on all that is not for test."""
    if run.evaluation:
        rows, y = run.train
        made = work.fitted(configuration, rows, y, run.seed)
        run.report(step=1, epoch=1, **{work.metric: run.score(lambda scored: (made, scored))})
        return
    count = len(work.data.folds)
    ease = work.ease(run.seed)
    scores: list[dict[str, float]] = []
    for number in range(1, count + 1):
        scores.append(work.scores(configuration, number - 1, run.seed))
        means = {name: float(np.mean([of_fold[name] for of_fold in scores])) for name in scores[0]}
        if number < count:
            means[work.metric] -= float(np.mean(ease[:number]))
        run.report(step=number, epoch=number, **means, **_by_fold(work, scores))


def _by_fold(work: EstimatorWork, scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The metric on each fold so far, as further numbers; they sort in order."""
    count = len(work.data.folds)
    if count == 1:
        return {}
    return {f"fold {number:0{len(str(count))}}": of_fold[work.metric] for number, of_fold in enumerate(scores, start=1)}


def _score(data: EstimatorData, scorer: Scorer, targets: Any, predictions: tuple[Any, Any]) -> float:
    """scikit-learn's scorers want the fitted estimator itself, so that is what is handed over, with the row numbers."""
    made, rows = predictions
    return float(scorer(made, data.at(rows), targets))
