"""The sklearn task: every model on every data set it fits, its spaces, splits, repeatability, and the challenge's score."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from sklearn.metrics import log_loss as reference
from sklearn.neural_network import MLPClassifier

from evenhand import tasks
from evenhand.errors import InvalidSettings
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, show
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.tasks import Splits, Task
from evenhand.tasks.builtin import classic
from evenhand.tasks.check import shortened
from evenhand.tasks.threads import one_thread

ROOT = Path(__file__).parent.parent
PAIRS = [(model, data) for model in classic.MODELS for data in classic.DATA]
ROW = re.compile(r"`(\w+)` ([\d.e-]+) to ([\d.e-]+)( log)?")  # a hyperparameter with its range in the docs
NETWORK = {
    "epochs": 4,
    "hidden_layer_sizes": 60,
    "alpha": 0.001,
    "batch_size": 50,
    "learning_rate_init": 0.01,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-8,
}


def loaded(model: str, data: str, **settings: Any) -> Task:
    return tasks.load(TaskSpec("sklearn", {"model": model, "data": data, **settings}))


def ran(
    task: Task, raw: Mapping[str, object], seed: int = 1, evaluation: bool = False
) -> tuple[Outcome, str | None, list[Measurement]]:
    measurements: list[Measurement] = []
    with one_thread():
        outcome, why = tasks.run_trial(task, raw, seed=seed, evaluation=evaluation, report=measurements.append)
    return outcome, why, measurements


def drawn(task: Task, seed: int = 0) -> Configuration:
    return shortened(task, task.space.sample(np.random.default_rng(seed)), 3)


def numbers(measurements: list[Measurement]) -> list[tuple[int, int | None, float | None, float | None]]:
    return [(measurement.step, measurement.epoch, measurement.loss, measurement.value) for measurement in measurements]


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("model", "data"), PAIRS)
def test_every_model_trains_on_every_data_set_without_a_warning(model: str, data: str) -> None:
    task = loaded(model, data)
    assert task.example is not None
    for evaluation in (False, True):
        outcome, why, measurements = ran(task, drawn(task), evaluation=evaluation)
        assert (outcome, why) == (Outcome.COMPLETED, None)
        assert measurements[-1].value is not None
        assert 0 <= measurements[-1].value <= (1 if task.metric == "accuracy" else np.inf)
        epochs = len(measurements) - evaluation  # the last one of an evaluation is the test score
        assert [measurement.epoch for measurement in measurements] == [*range(1, epochs + 1), *[epochs] * evaluation]


@pytest.mark.slow
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("model", classic.MODELS)
def test_every_model_has_probabilities_and_errors(model: str) -> None:
    for task in (loaded(model, "iris", metric="log_loss"), loaded(model, "diabetes", metric="mae")):
        outcome, why, measurements = ran(task, drawn(task))
        assert (outcome, why) == (Outcome.COMPLETED, None)
        assert measurements[-1].value is not None
        assert measurements[-1].value > 0
        assert task.direction == "minimize"


@pytest.mark.slow
@pytest.mark.parametrize("model", classic.MODELS)
def test_a_seed_repeats_bit_for_bit(model: str) -> None:
    for data in ("wine", "diabetes"):
        task = loaded(model, data)
        first, again = (numbers(ran(task, drawn(task), seed=7)[2]) for _ in range(2))
        assert first == again


@pytest.mark.slow
def test_a_seed_repeats_in_another_process_and_another_one_differs() -> None:
    task = loaded("mlp-adam", "iris", metric="log_loss")
    here = numbers(ran(task, NETWORK, seed=7)[2])
    code = (
        "from evenhand import tasks\nfrom evenhand.tasks.threads import one_thread\nfound = []\n"
        "one = tasks.load(tasks.TaskSpec('sklearn', {'model': 'mlp-adam', 'data': 'iris', 'metric': 'log_loss'}))\n"
        f"with one_thread():\n    tasks.run_trial(one, {NETWORK!r}, seed=7, evaluation=False, report=found.append)\n"
        "print([(each.step, each.epoch, each.loss, each.value) for each in found], one.version)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"{here!r} {task.version}"
    assert numbers(ran(task, NETWORK, seed=8)[2]) != here
    forest = loaded("forest", "diabetes")
    assert ran(forest, drawn(forest), seed=1)[2][0].value != ran(forest, drawn(forest), seed=2)[2][0].value


def test_a_network_learns_epoch_by_epoch_and_a_longer_training_begins_as_a_shorter_one() -> None:
    task = loaded("mlp-adam", "digits")
    assert task.space.fidelity is task.space["epochs"]
    assert task.max_epochs == 81
    longer, shorter = ran(task, {**NETWORK, "epochs": 6})[2], ran(task, {**NETWORK, "epochs": 3})[2]
    assert numbers(longer)[:3] == numbers(shorter)
    assert [measurement.epoch for measurement in longer] == [1, 2, 3, 4, 5, 6]
    assert [measurement.step for measurement in longer] == [22 * epoch for epoch in range(1, 7)]  # 1,079 examples, 50 a step
    losses = [measurement.loss for measurement in longer if measurement.loss is not None]
    assert losses == sorted(losses, reverse=True)
    assert longer[-1].value is not None
    assert longer[-1].value > 0.9


def test_epochs_have_orders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds, fit = [], MLPClassifier.partial_fit

    def noted(self: Any, *arguments: Any, **named: Any) -> Any:
        seeds.append(self.random_state)
        return fit(self, *arguments, **named)

    monkeypatch.setattr(MLPClassifier, "partial_fit", noted)
    ran(loaded("mlp-adam", "iris"), NETWORK, seed=3)
    assert len(set(seeds)) == 4


def test_a_network_that_leaves_the_numbers_is_diverged() -> None:
    wild = {"epochs": 20, "hidden_layer_sizes": 200, "alpha": 10, "batch_size": 10, "learning_rate_init": 0.1}
    task = loaded("mlp-sgd", "diabetes")
    outcome, why, _ = ran(task, {**wild, "power_t": 0.1, "momentum": 0.9})
    assert outcome is Outcome.DIVERGED
    assert "in epoch" in str(why)


@pytest.mark.slow
def test_tuning_never_opens_test_data(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    load = Splits.load

    def noted(self: Splits, split: Literal["train", "validation", "test"]) -> Any:
        asked.append(split)
        return load(self, split)

    monkeypatch.setattr(Splits, "load", noted)
    for model in classic.MODELS:
        task = loaded(model, "wine")
        ran(task, drawn(task))
    assert set(asked) == {"train", "validation"}
    ran(task, drawn(task), evaluation=True)
    assert "test" in asked


@pytest.mark.parametrize("data", classic.DATA)
def test_splits_are_whole_disjoint_and_hold_every_class(data: str) -> None:
    splits = classic.splits_of(data)
    parts = [splits.load("train"), splits.load("validation"), splits.load("test")]
    bunch = classic._bunch(data)
    together = np.concatenate([np.column_stack(part) for part in parts])
    assert np.array_equal(_sorted(together), _sorted(np.column_stack((bunch.data, bunch.target))))
    count = len(bunch.target)
    assert [len(y) for _, y in parts] == [count - 2 * round(count * 0.2), round(count * 0.2), round(count * 0.2)]
    if classic.DATA[data][1] == "classification":
        assert all(set(y) == set(bunch.target) for _, y in parts)
    statistics = loaded("knn", data).statistics
    assert statistics["training examples"] == len(parts[0][1])
    assert data not in str(statistics)


def _sorted(rows: Any) -> Any:
    return rows[np.lexsort(rows.T)]


def test_log_loss_is_scikit_learn_s() -> None:
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(4), size=50)
    targets = rng.integers(0, 4, size=50)
    chances[0] = np.eye(4)[(targets[0] + 1) % 4]  # a sure mistake
    assert classic.log_loss(targets, chances) == pytest.approx(reference(targets, chances, labels=range(4)))


def test_spaces_are_those_of_the_docs() -> None:
    section = (ROOT / "docs" / "tasks.md").read_text().split("\n## The sklearn task\n")[1].split("\n## ")[0]
    for model, kinds in classic.MODELS.items():
        for kind, data in (("classification", "iris"), ("regression", "diabetes")):
            special = kind == "regression" and model in ("lasso", "linear")
            rows = [row for row in section.splitlines() if row.startswith("| ") and f"`{model}`" in row.split("|")[1]]
            (row,) = (row for row in rows if ("regression" in row.split("|")[1]) == special)
            documented = {name: (low, high, bool(log)) for name, low, high, log in ROW.findall(row)}
            assert documented
            space = loaded(model, data).space
            assert space.names == tuple(hyperparameter.name for hyperparameter in kinds[kind].hyperparameters)  # type: ignore[index]
            assert all(hyperparameter.help and hyperparameter.label and hyperparameter.mandatory for hyperparameter in space)
            for hyperparameter in space:
                assert f"`{hyperparameter.name}`" in row or model == "mlp-sgd"
                if hyperparameter.name in documented and not isinstance(hyperparameter.domain, Choice):
                    low, high, log = documented[hyperparameter.name]
                    assert (show(hyperparameter.domain.low), show(hyperparameter.domain.high), hyperparameter.domain.log) == (
                        low,
                        high,
                        log,
                    ), hyperparameter.name


def test_the_version_follows_model_data_and_metric() -> None:
    base = loaded("lasso", "iris")
    others = [loaded("linear", "iris"), loaded("lasso", "wine"), loaded("lasso", "iris", metric="log_loss")]
    assert len({base.version, *(task.version for task in others)}) == 4
    assert loaded("lasso", "iris", metric="accuracy").version == base.version
    assert tasks.load(base.spec).version == base.version
    assert tasks.load(TaskSpec("sklearn")).settings == {"model": "forest", "data": "digits", "metric": "accuracy"}


def test_wrong_settings_are_all_listed() -> None:
    with pytest.raises(InvalidSettings) as caught:
        tasks.load(TaskSpec("sklearn", {"model": "resnet", "data": "boston", "size": 32}))
    for words in ("model: got 'resnet', expected one of knn", "data: got 'boston', expected one of digits", "size: unknown"):
        assert words in str(caught.value)
    with pytest.raises(InvalidSettings, match="metric: got 'accuracy', expected one of mse, mae"):
        loaded("knn", "diabetes", metric="accuracy")
    with pytest.raises(InvalidSettings, match="data: got"):
        tasks.load(TaskSpec("sklearn", {"data": ["iris"]}))


def test_the_challenge_s_score() -> None:
    assert classic.challenge_score({"a": [0.0, 0.0], "b": [0.0]}) == 100
    assert classic.challenge_score({"a": [1.0], "b": [7.0]}) == 0
    assert classic.challenge_score({"a": [0.5, 0.3], "b": [0.2]}) == pytest.approx(100 * (1 - (0.4 + 0.2) / 2))
    assert classic.challenge_score({"a": [-5.0]}) == 200
    nothing: list[dict[str, list[float]]] = [{}, {"a": []}]
    for empty in nothing:
        with pytest.raises(InvalidSettings, match="without a repeat"):
            classic.challenge_score(empty)


@pytest.mark.slow
def test_it_is_checked_and_tuned_from_end_to_end(tmp_path: Path) -> None:
    environment = {**os.environ, "EVENHAND_DATA": str(tmp_path), "COLUMNS": "160"}

    def told(*arguments: str) -> str:
        command = [sys.executable, "-m", "evenhand.cli.main", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    checked = told("task", "check", "sklearn", "--data", "iris", "--set", "model=knn", "--configurations", "4")
    assert "4 completed" in checked
    tuned = told("tune", "sklearn", "--data", "wine", "--set", "model=svm", "--method", "tpe", "--trials", "5")
    assert re.search(r"test\s+accuracy [\d.]+\s% ± [\d.]+\s%, 10 seeds", tuned), tuned
