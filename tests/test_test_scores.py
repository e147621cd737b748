"""How a choice is scored on test: no verb of Run gives test data or a number made from it, in either mode, whatever trains."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

import evenhand
from evenhand import Configuration, Float, Integer, Run, Space, Splits
from evenhand.errors import InvalidSettings
from evenhand.lab.lab import Lab
from evenhand.model.direction import best_of
from evenhand.model.evaluation import EvaluationPlan
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.rules import derive_seed
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome, Trial
from evenhand.tasks import Task, run_together, run_trial, task
from evenhand.tasks import load as load_task
from evenhand.tasks.builtin import as_tuned_scores
from evenhand.tasks.running import TrainingRequest
from evenhand.tasks.splits import Part
from tests.components import need
from tests.labs import claim

Mode = Literal["as tuned", "retrain"]
MODES: tuple[Mode, ...] = ("as tuned", "retrain")
ONE = {"rate": Float(0.1, 0.5)}
FEATURES = 20


@pytest.fixture
def db(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'lab.sqlite'}"


def tuned(train: Task, db: str, mode: Mode, **settings: Any) -> evenhand.Result:
    result = evenhand.tune(train, db=db, progress=False, **({"trials": 3} | settings), evaluate=mode)
    assert result.evaluation is not None
    assert result.evaluation.mode == mode
    return result


def scores_of(result: evenhand.Result) -> list[float]:
    assert result.evaluation is not None
    assert [(score.outcome, score.why) for score in result.evaluation.scores] == [(Outcome.COMPLETED, None)] * 10
    return [score.value for score in result.evaluation.scores if score.value is not None]


# Coin flips: whatever a function keeps by what it sees, its test score is that of a guess


def coins(examples: int = 60) -> Splits:
    """Labels that nothing in the features tells."""
    rng = np.random.default_rng(0)
    return Splits.drawn(rng.normal(size=(5 * examples, FEATURES)), rng.integers(0, 2, 5 * examples), validation=0.2, test=0.2)


@dataclass
class Guesser:
    """Weights that are drawn anew each epoch."""

    weights: NDArray[np.float64] = field(default_factory=lambda: np.zeros(FEATURES))

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.int64]:
        return (x @ self.weights > 0).astype(np.int64)


def keeps_the_best_epoch(configuration: Configuration, run: Run) -> None:
    rng, model = np.random.default_rng(run.seed), Guesser()
    best, weights = -1.0, model.weights
    for epoch in range(1, 101):
        model.weights = rng.normal(size=FEATURES)
        accuracy = run.score(model.predict)
        if accuracy > best:
            best, weights = accuracy, model.weights
        run.report(epoch=epoch, accuracy=accuracy)
    model.weights = weights


def returns_the_best(configuration: Configuration, run: Run) -> float:
    rng, model = np.random.default_rng(run.seed), Guesser()
    drawn = [rng.normal(size=FEATURES) for _ in range(100)]

    def accuracy(weights: NDArray[np.float64]) -> float:
        model.weights = weights
        return run.score(model.predict)

    return accuracy(max(drawn, key=accuracy))


def reports_only_what_is_better(configuration: Configuration, run: Run) -> None:
    rng, best = np.random.default_rng(run.seed), -1.0
    for _ in range(100):
        model = Guesser(rng.normal(size=FEATURES))
        if (accuracy := run.score(model.predict)) > best:
            best, kept = accuracy, model
            run.report(accuracy=best)
    run.score(kept.predict)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("train", [keeps_the_best_epoch, returns_the_best, reports_only_what_is_better])
def test_keeping_the_best_epoch_of_coin_flips_scores_as_guesses_do(train: Callable[..., Any], mode: Mode, db: str) -> None:
    """Ten models that know nothing of the labels: each right answer is a coin's."""
    examples = 60
    flips = task(space=ONE, metric="accuracy", max_epochs=100, data=coins)(train)
    result = tuned(flips, db, mode, trials=2)
    assert result.best is not None
    right = round(sum(scores_of(result)) * examples)
    low, high = binom.interval(0.99, 10 * examples, 0.5)
    assert low <= right <= high
    kept = best_of([max(values) for values in seen_of(flips, result.best.configuration)], maximize=True)
    assert kept is not None
    # What it would have had of a test set that it chooses by: the best of 100 guesses is above this in 99 draws of 100.
    assert kept * examples > binom.ppf(0.95, examples, 0.5)


def seen_of(which: Task, configuration: Configuration) -> list[list[float]]:
    measured: list[Measurement] = []
    run_trial(which, configuration, seed=1, evaluation=False, report=measured.append)
    return [[row.value for row in measured if row.value is not None]]


# What a function can get hold of


X = np.arange(40.0)
# A model that says 1 is right in half of validation, in a quarter of what it learns from, and never on test.
TRAIN: Part = (X[:20], np.array([1, 0, 0, 0] * 5))
VALIDATION: Part = (X[20:30], np.array([1, 0] * 5))
ON_TEST = 0.8


def marked() -> Splits:
    return Splits(TRAIN, VALIDATION, lambda: (X[30:], np.array([1] * 8 + [0] * 2)))


@pytest.mark.parametrize("mode", MODES)
def test_an_evaluation_gives_its_function_no_number_made_from_test_data(mode: Mode) -> None:
    heard: list[object] = []
    scored: list[float] = []
    rows: list[int] = []

    def predict(x: Any) -> Any:
        rows.append(len(x))
        return np.ones(len(x))

    def train(configuration: Configuration, run: Run) -> None:
        heard.append(len(run.train[1]))
        assert run.task.data is not None
        with pytest.raises(InvalidSettings, match="test data is not for the training function"):
            run.task.data().load("test")
        for epoch in (1, 2, 3):
            scored.extend([run.score(predict), run.score(predict)])
            heard.extend([*scored, run.value, *(value for value in vars(run).values() if isinstance(value, float))])
            run.report(epoch=epoch, accuracy=scored[-1], f1=0.5)

    which = task(space=ONE, metric="accuracy", max_epochs=3, data=marked)(train)
    for plan in (EvaluationPlan(mode), EvaluationPlan(mode, (0.1, 0.2, 0.3)), EvaluationPlan(mode, until=2)):
        for seen in (heard, scored, rows):
            seen.clear()
        measured: list[Measurement] = []
        ended = run_trial(which, {"rate": 0.2}, seed=1, evaluation=True, report=measured.append, plan=plan)
        assert ended == (Outcome.COMPLETED, None)
        assert [row.value for row in measured] == [None] * (len(measured) - 1) + [ON_TEST]
        assert heard[0] == (20 if mode == "as tuned" else 30)
        assert ON_TEST not in heard
        assert set(rows[:-1]) <= {10}  # validation
        assert rows[-1:] == [10]
        scores = plan.values if plan.values and mode == "retrain" else (0.5,) * (plan.until or 3)
        assert tuple(scored) == tuple(score for score in scores for _ in "12")


def test_the_model_that_is_left_behind_counts_and_is_asked_once_after_the_function_has_returned() -> None:
    events: list[str] = []
    model = {"answer": 0}

    def predict(x: Any) -> Any:
        events.append("asked")
        return np.full(len(x), model["answer"])

    def train(configuration: Configuration, run: Run) -> None:
        run.report(epoch=1, accuracy=run.score(predict))
        model["answer"] = 1
        events.append("returned")

    def data() -> Splits:
        def test() -> Part:
            events.append("opened")
            return np.arange(4), np.ones(4)

        return Splits(TRAIN, VALIDATION, test)

    which = task(space=ONE, metric="accuracy", max_epochs=1, data=data)(train)
    measured: list[Measurement] = []
    run_trial(which, {"rate": 0.2}, seed=1, evaluation=True, report=measured.append, plan=EvaluationPlan("as tuned"))
    assert events == ["asked", "returned", "opened", "asked"]
    assert measured[-1].value == 1.0


def test_splits_that_are_drawn_anew_each_time_are_drawn_once_for_an_evaluation() -> None:
    """Else examples that it learnt from would be among those that it is scored on."""
    drawn: list[int] = []
    learnt: list[float] = []
    scored: list[float] = []

    def predict(x: Any) -> Any:
        scored.extend(x)
        return x

    def data() -> Splits:
        drawn.append(len(drawn))
        return Splits.drawn(X, X, seed=drawn[-1])

    def train(configuration: Configuration, run: Run) -> None:
        learnt.extend(run.train[0])
        run.report(mse=run.score(predict))

    which = task(space=ONE, metric="mse", max_epochs=1, data=data)(train)
    run_trial(which, {"rate": 0.2}, seed=1, evaluation=True, report=lambda _: None)
    assert drawn == [0]
    assert sorted({*learnt, *scored}) == list(X)
    assert not {*learnt} & {*scored[-8:]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (lambda run: run.report(accuracy=0.9), r"never called run\.score\(predict\), so nothing of it can be scored on test"),
        (lambda run: run.report(accuracy=run.score(lambda x: np.ones(len(x) if len(x) == 10 else 3))), "shape"),
        (lambda run: run.report(accuracy=run.score(lambda x: [1] * 10 if len(x) == 10 else 1 / 0)), "ZeroDivisionError"),
    ],
)
def test_what_cannot_be_scored_on_test_is_invalid_and_says_why(body: Callable[[Run], None], words: str, db: str) -> None:
    def data() -> Splits:
        return Splits(TRAIN, VALIDATION, (X[:8], np.ones(8)))

    def train(configuration: Configuration, run: Run) -> None:
        body(run)

    which = task(space=ONE, metric="accuracy", max_epochs=1, data=data)(train)
    outcome, why = run_trial(which, {"rate": 0.2}, seed=1, evaluation=True, report=lambda _: None)
    assert outcome is Outcome.INVALID
    assert re.search(words, why or "")
    result = evenhand.tune(which, trials=1, db=db, progress=False)
    assert result.evaluation is not None
    assert result.evaluation.mean is None
    assert re.search(f"test .* 10 seeds, .*{words}", repr(result))  # and not how it was trained


def test_a_test_score_that_is_no_number_is_diverged() -> None:
    def data() -> Splits:
        return Splits(TRAIN, VALIDATION, (X[:8], np.ones(8)))

    def train(configuration: Configuration, run: Run) -> None:
        run.report(mse=run.score(lambda x: np.full(len(x), 0.0 if len(x) == 10 else np.nan)))

    which = task(space=ONE, metric="mse", max_epochs=1, data=data)(train)
    outcome, why = run_trial(which, {"rate": 0.2}, seed=1, evaluation=True, report=lambda _: None)
    assert (outcome, why) == (Outcome.DIVERGED, "mse on test data became not a number at the end of epoch 1")


def test_each_way_of_training_takes_the_one_path() -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.report(accuracy=run.score(lambda x: np.ones(len(x))))

    which = task(space=ONE, metric="accuracy", max_epochs=1, data=marked)(train)
    measured: list[list[Measurement]] = [[], []]
    asked = [TrainingRequest({"rate": 0.2}, seed, True, rows.append) for seed, rows in enumerate(measured)]
    assert run_together(which, asked) == [(Outcome.COMPLETED, None)] * 2
    assert [[row.value for row in rows] for rows in measured] == [[None, ON_TEST]] * 2


# Real signal and early stopping, beside an evaluation of the test's own


SHIFT = 0.35


def signal() -> Splits:
    """Two clouds of points that overlap."""
    rng = np.random.default_rng(3)
    y = rng.integers(0, 2, 2000)
    return Splits.drawn(rng.normal(size=(2000, FEATURES)) + SHIFT * (2 * y[:, None] - 1), y, validation=0.2, test=0.4)


class Logistic:
    """Logistic regression by noisy steps, which overfits when it goes on for long."""

    def __init__(self, seed: int, rate: float) -> None:
        self.rng, self.rate, self.weights = np.random.default_rng(seed), rate, np.zeros(FEATURES)

    def epoch(self, x: NDArray[np.float64], y: NDArray[np.int64]) -> None:
        for rows in np.array_split(self.rng.permutation(len(y)), max(1, len(y) // 10)):
            chances = 1 / (1 + np.exp(-x[rows] @ self.weights))
            self.weights = self.weights - self.rate * x[rows].T @ (chances - y[rows]) / len(rows)

    def predict(self, x: NDArray[np.float64]) -> NDArray[np.int64]:
        return (x @ self.weights > 0).astype(np.int64)


PATIENCE = 4
trained_epochs: list[int] = []


def stops_early(configuration: Configuration, run: Run) -> None:
    x, y = run.train
    model, best, weights, since, epoch = Logistic(run.seed, configuration.number("rate")), -1.0, np.zeros(FEATURES), 0, 0
    while since < PATIENCE:
        epoch += 1
        model.epoch(x, y)
        accuracy = run.score(model.predict)
        since += 1
        if accuracy > best:
            best, weights, since = accuracy, model.weights, 0
        run.report(epoch=epoch, accuracy=accuracy)
    trained_epochs.append(epoch)
    model.weights = weights


def outside(seeds: Sequence[int], rate: float, retrains: int | None) -> list[float]:
    """The accuracy on test of models that are trained and chosen here. retrains: for how many epochs; None to stop early."""
    splits = signal()
    (x, y), (held, wanted), (unseen, truth) = (splits.load(name) for name in ("train", "validation", "test"))
    if retrains is not None:
        x, y = np.concatenate([x, held]), np.concatenate([y, wanted])
    accuracies = []
    for seed in seeds:
        model, best, weights, since, epoch = Logistic(seed, rate), -1.0, np.zeros(FEATURES), 0, 0
        while since < PATIENCE if retrains is None else epoch < retrains:
            epoch += 1
            model.epoch(x, y)
            accuracy = float(np.mean(model.predict(held) == wanted))
            since += 1
            if retrains is not None or accuracy > best:
                best, weights, since = accuracy, model.weights, 0
        model.weights = weights
        accuracies.append(float(np.mean(model.predict(unseen) == truth)))
    return accuracies


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_early_stopping_scores_as_an_evaluation_outside_does(mode: Mode, db: str) -> None:
    trained_epochs.clear()
    which = task(space=ONE, metric="accuracy", max_epochs=500, data=signal)(stops_early)
    result = tuned(which, db, mode)
    best = result.best
    assert best is not None
    scores, seeds = scores_of(result), [derive_seed(0, "evaluation", index) for index in range(10)]
    kept = best_epoch(result, db)
    mine = outside(seeds, best.configuration.number("rate"), kept if mode == "retrain" else None)
    noise = math.sqrt(0.25 / 800)  # of one model's accuracy on 800 examples
    assert abs(np.mean(scores) - np.mean(mine)) < noise
    assert 0.85 < np.mean(scores) < 0.99
    if mode == "as tuned":
        assert scores == mine  # it is the very same
    else:
        assert trained_epochs[-10:] == [best.epochs_done] * 10  # it decided as in the chosen trial
        assert scores == mine


def best_epoch(result: evenhand.Result, db: str) -> int:
    assert result.best is not None
    lab = Lab.connect(db)
    curve = lab.curve(result.session_id, result.best.number).measurements
    lab.close()
    values = [row.value for row in curve if row.epoch is not None]
    return 1 + values.index(best_of(values, maximize=True))


@pytest.mark.slow
def test_one_that_would_go_on_is_ended_where_the_chosen_trial_ended(db: str) -> None:
    lengths: list[int] = []

    def by_itself(configuration: Configuration, run: Run) -> None:
        """How long it trains hangs on how much data it gets."""
        epoch = 0
        try:
            for epoch in range(1, len(run.train[1]) + 1):
                run.report(epoch=epoch, accuracy=run.score(lambda x: np.ones(len(x))))
        finally:
            lengths.append(epoch)

    which = task(space=ONE, metric="accuracy", max_epochs=100, data=marked)(by_itself)
    scores_of(tuned(which, db, "retrain", trials=1))
    assert lengths == [20] + [21] * 10  # the report of the epoch after ends it
    lengths.clear()
    scores_of(tuned(which, db, "as tuned", trials=1))
    assert lengths == [20] * 11


@pytest.mark.parametrize("knows", [True, False])
def test_a_stopped_choice_is_retrained_for_its_configuration_or_as_long_as_it_had(knows: bool, db: str) -> None:
    lengths: list[int] = []

    def endless(configuration: Configuration, run: Run) -> None:
        epoch = 0
        try:
            for epoch in range(1, 1 + int(configuration.get("epochs", 1000))):
                run.report(epoch=epoch, accuracy=run.score(lambda x: np.ones(len(x))))
        finally:
            lengths.append(epoch)

    epochs = [Hyperparameter("epochs", Integer(1, 9), default=9, fidelity=True)] if knows else []
    space = Space([*epochs, Hyperparameter("rate", Float(0, 1))])
    which = task(space=space, metric="accuracy", max_epochs=9 if knows else 1, data=marked)(endless)
    settings = {"epochs_per_trial": 9} if knows else {}
    result = tuned(which, db, "retrain", trials=1, stopping="patience:epochs=3", **settings)
    assert [trial.outcome for trial in result.trials] == [Outcome.STOPPED]
    assert scores_of(result) == [ON_TEST] * 10
    assert result.trials[0].epochs_done == 4
    assert lengths[1:] == [9 if knows else 4] * 10


def test_the_default_is_as_tuned_for_ones_own_functions_and_retraining_for_what_is_built_in(db: str) -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.report(accuracy=run.score(lambda x: np.ones(len(x))))

    own = task(space=ONE, metric="accuracy", max_epochs=1, data=marked)(train)
    result = evenhand.tune(own, trials=1, db=db, progress=False)
    assert result.evaluation is not None
    assert result.evaluation.mode == "as tuned"
    assert "10 seeds, trained as in tuning" in repr(result)
    assert load_task("practice").evaluation_mode == "retrain"
    with pytest.raises(InvalidSettings, match='evaluate is \'tuned\', expected "retrain" or "as tuned", True'):
        evenhand.tune(own, trials=1, db=db, progress=False, evaluate="tuned")  # type: ignore[arg-type]


def test_a_trial_that_goes_on_from_another_gives_the_values_of_both(db: str) -> None:
    def train(configuration: Configuration, run: Run) -> None:
        run.keep(lambda: None)
        for epoch in range(run.completed_epochs + 1, int(configuration["epochs"]) + 1):
            run.report(epoch=epoch, accuracy=min(1.0, 0.1 * epoch + 0 * run.score(lambda x: np.ones(len(x)))))

    space = Space([Hyperparameter("epochs", Integer(1, 8), default=8, fidelity=True), Hyperparameter("rate", Float(0, 1))])
    which = task(space=space, metric="accuracy", max_epochs=8, data=marked)(train)
    result = evenhand.tune(which, method="asha", epochs=30, db=db, progress=False, evaluate=False)
    promoted = next(trial for trial in result.trials if trial.resumes is not None)
    assert promoted.epochs_before > 0
    lab = Lab.connect(db)
    study = lab.studies.add(replace(lab.studies.get(result.session.study_id), name="chosen by hand", evaluation_seeds=1))
    opened = lab.start(lab.sessions.open(study.id, tuner="me", driver="test").id)
    agent_id, _ = lab.agents.add("hands", 1)
    parent = result.session.trial(promoted.resumes or 0)
    assert parent is not None
    for trial, resumes in ((parent, None), (promoted, 1)):
        lab.submit(opened.id, trial.configuration, resumes=resumes)
        job = claim(lab, agent_id)
        rows = [Measurement(at, at + 1, epoch, None, 0.1 * epoch, 1.0) for at, epoch in enumerate(new_epochs(trial))]
        lab.finish(job.job_id, job.attempt, Outcome.COMPLETED, None, rows)
    lab.choose(opened.id, number=2)
    plan = claim(lab, agent_id).plan
    lab.close()
    assert plan == EvaluationPlan("retrain", tuple(0.1 * epoch for epoch in range(1, promoted.epochs_done + 1)))


def new_epochs(trial: Trial) -> range:
    """The epochs that a trial trained itself."""
    return range(trial.epochs_before + 1, trial.epochs_done + 1)


# What is built in


@pytest.mark.slow
@pytest.mark.parametrize("lane", ["whole", "stacked"])
def test_the_built_in_networks_as_tuned_are_the_models_of_their_trials(lane: str, db: str) -> None:
    need("torch")
    which = load_task(TaskSpec("mlp", {"scale": 0.01, "lane": lane}))
    result = tuned(which, db, "as tuned", trials=2, epochs_per_trial=10)
    assert result.configuration is not None
    parts = as_tuned_scores.parts_of(which)
    for score in result.evaluation.scores if result.evaluation else ():
        model = as_tuned_scores.model_of(which, result.configuration, score.seed, 10)
        assert score.value is not None
        assert 100 * (1 - score.value) == pytest.approx(as_tuned_scores.errors_of(parts, model).eval)
