"""The mlp task: the paper's space and printed models, and real short trainings on generated points."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.components import need

need("torch")

import torch

from evenhand import tasks
from evenhand.errors import InvalidConfiguration, InvalidSettings
from evenhand.model.domain import Choice, show
from evenhand.model.rules import derive_seed
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement, Outcome
from evenhand.tasks import Splits, Stopped, Task, engines
from evenhand.tasks.builtin import mlp, points
from evenhand.tasks.builtin.shapes import GENERATED
from evenhand.tasks.engines import general
from evenhand.tasks.engines.base import Layout, initial
from evenhand.tasks.running import TrainingRequest, run_together

GOOD: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 32,
    "loss": "cross_entropy",
    "optimizer": "adam",
    "layers": 2,
    "learning_rate": 0.01,
}
COMPLETED = Outcome.COMPLETED
DOCS = Path(__file__).parent.parent / "docs" / "tasks.md"


def tiny(**settings: Any) -> Task:
    return tasks.load(TaskSpec("mlp", {"data": "10", "scale": 0.02, "least_epochs": 1, **settings}))


def ran(
    task: Task, raw: Mapping[str, object], *, seed: int = 1, evaluation: bool = False
) -> tuple[Outcome, str | None, list[Measurement]]:
    measurements: list[Measurement] = []
    outcome, why = tasks.run_trial(task, raw, seed=seed, evaluation=evaluation, report=measurements.append)
    return outcome, why, measurements


def numbers(measurements: list[Measurement]) -> list[tuple[int, int | None, float | None, float | None]]:
    return [(measurement.step, measurement.epoch, measurement.loss, measurement.value) for measurement in measurements]


def test_the_space_has_the_papers_dimensions() -> None:
    space = tasks.load(TaskSpec("mlp", {"scale": 0.01})).space
    pairs = [name for number in range(1, 7) for name in (f"units_{number}", f"activation_{number}")]
    assert space.names == ("epochs", "batch_size", "loss", "optimizer", "learning_rate", "layers", *pairs, "output")
    assert [hyperparameter.name for hyperparameter in space if hyperparameter.mandatory] == [
        "epochs",
        "batch_size",
        "loss",
        "optimizer",
        "layers",
    ]
    assert (space["epochs"].domain.expected, space["batch_size"].domain.expected) == (
        "a whole number from 10 to 35",
        "a whole number from 8 to 512",
    )
    assert space.fidelity is space["epochs"]
    assert all(hyperparameter.help and hyperparameter.label for hyperparameter in space)
    assert set(space.configuration({**GOOD, "epochs": 10})) == {*GOOD, *pairs[:4], "output"}
    with pytest.raises(InvalidConfiguration, match="units_3"):
        space.configuration({**GOOD, "epochs": 10, "units_3": 8})
    assert tiny(dropout=True).space.names == (*space.names, "dropout")
    assert tiny().space.configuration(tiny().example or {})


@pytest.mark.parametrize(
    ("name", "units", "count", "dropout"),
    [
        ("MLP-M1", (64, 32, 16), 2_834, 0.0),
        ("MLP-M2", (64, 32), 2_338, 0.3),
        ("MLP-A1", (52, 92, 62, 72, 67), 20_361, 0.0),
        ("MLP-A2", (97, 47, 62, 37), 10_280, 0.25),
    ],
)
def test_the_printed_models_are_configurations(name: str, units: tuple[int, ...], count: int, dropout: float) -> None:
    published = mlp.PUBLISHED[name]
    task = tasks.load(TaskSpec("mlp", {"scale": 0.01, "dropout": published.dropout}))
    configuration = task.space.configuration(published.values)
    assert dict(configuration) == dict(published.values)  # nothing is left to a default
    assert tuple(configuration[f"units_{number}"] for number in range(1, len(units) + 1)) == units
    assert configuration.number("dropout") == dropout
    by_hand = name.startswith("MLP-M")
    assert [configuration[name] for name in ("optimizer", "learning_rate", "batch_size", "epochs")] == [
        "adam",
        *((0.0001, 16, 25) if by_hand else (0.001, 512, 10)),
    ]
    layout = Layout(2, 2, units, ("relu",) * len(units), "softmax")
    assert mlp.weights(configuration) == count == sum(array.size for pair in initial(layout, 0) for array in pair)
    outcome, why, measurements = ran(tiny(dropout=published.dropout), {**published.values, "epochs": 2})
    assert (outcome, why) == (Outcome.COMPLETED, None)
    assert measurements[-1].epoch == 2


def test_wrong_settings_are_all_listed() -> None:
    with pytest.raises(InvalidSettings) as caught:
        mlp.settings_from({"data": 3.5, "scale": 0, "dropout": "yes", "least_epochs": 0, "colour": 1})
    for words in ("data: got 3.5", "scale: got 0", "dropout: got 'yes'", "least_epochs: got 0", "colour: unknown"):
        assert words in str(caught.value)
    with pytest.raises(InvalidSettings, match="least_epochs is 35, expected less than max_epochs, 35"):
        mlp.settings_from({"least_epochs": 35})
    with pytest.raises(
        InvalidSettings, match=r"lane: got 'fast', expected auto or whole or stacked or general; precision: got 'bf16'"
    ):
        mlp.settings_from({"lane": "fast", "precision": "bf16"})
    assert mlp.settings_from({"data": 8, "scale": 1}) == mlp.MlpSettings("08", 1.0)


def test_the_version_follows_every_setting_and_the_content_of_files_but_not_their_place(tmp_path: Path) -> None:
    changes: list[dict[str, Any]] = [
        {"data": "09", "scale": 0.001},
        {"scale": 0.03},
        {"dropout": True},
        {"least_epochs": 2},
        {"max_epochs": 30},
        {"lane": "general"},
        {"precision": "fp64"},
    ]
    versions = [tiny().version, *(tiny(**change).version for change in changes)]
    assert len(set(versions)) == 8
    assert tasks.load(tiny().spec).version == versions[0]
    for folder in ("here", "there"):
        points.write(tmp_path / folder, points.locate("10", 0.02))
    here, there = (tiny(data=str(tmp_path / folder), scale=1) for folder in ("here", "there"))
    assert here.version == there.version != versions[0]
    assert tiny().statistics["origin"] == GENERATED
    generated = dict(tiny().statistics)
    assert generated.pop("test points") == 200  # of files it is not opened before an evaluation
    assert here.statistics == {**generated, "origin": "files"}
    assert here.statistics["training points"] == 2_000


def test_a_training_learns_and_reports() -> None:
    task = tiny()
    outcome, why, measurements = ran(task, {**GOOD, "epochs": 12})
    assert (outcome, why) == (Outcome.COMPLETED, None)
    epochs = [measurement for measurement in measurements if measurement.epoch is not None]
    parts = [measurement for measurement in measurements if measurement.epoch is None]
    steps = 63  # of 32 points each, the last of 16
    assert [measurement.step for measurement in epochs] == [steps * number for number in range(1, 13)]
    assert len(parts) == 12 * 16  # every fourth step, and the last
    assert [measurement.step for measurement in parts[:16]] == [*range(4, 61, 4), 63]
    sizes = [128] * 15 + [80]
    first = [measurement.loss or 0.0 for measurement in parts[:16]]
    assert epochs[0].loss == pytest.approx(float(np.average(first, weights=sizes)), rel=1e-5)
    predict = mlp.fitted(task, {**GOOD, "epochs": 12}, seed=1)
    errors = points.errors_of(mlp.data_of(task), predict)
    assert errors.train < 15  # of the Bayes error's 9
    assert errors.dev == pytest.approx(100 * (1 - (epochs[-1].value or 0)))  # as tuned: the very same model


@pytest.mark.slow
@pytest.mark.parametrize("lane", engines.LANES)
def test_two_runs_are_equal_bit_for_bit_also_in_another_process(lane: str) -> None:
    need(f"lane {lane}")
    task = tiny(dropout=True, lane=lane)
    configuration = {**GOOD, "optimizer": "rmsprop", "dropout": 0.2, "activation_2": "tanh", "output": "sigmoid"}
    first, again = (numbers(ran(task, configuration)[2]) for _ in range(2))
    assert first == again
    code = (
        "from evenhand import tasks\nfound = []\n"
        f"task = tasks.load(tasks.TaskSpec('mlp', {dict(task.settings)!r}))\n"
        f"tasks.run_trial(task, {configuration!r}, seed=1, evaluation=False, report=found.append)\n"
        "print(repr([(each.step, each.epoch, each.loss, each.value) for each in found]))"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == repr(first)
    assert numbers(ran(task, configuration, seed=2)[2]) != first


@pytest.mark.parametrize("optimizer", list(mlp.OPTIMIZERS))
def test_a_resumed_training_equals_an_uninterrupted_one(optimizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    task = tiny(dropout=True, scale=0.005)
    raw = {**GOOD, "optimizer": optimizer, "dropout": 0.1}
    whole = ran(task, {**raw, "epochs": 5})[2]
    first: list[Measurement] = []
    assert tasks.run_trial(task, {**raw, "epochs": 2}, seed=1, evaluation=False, report=first.append, keep=True)[0] is COMPLETED
    files = list((tmp_path / "checkpoints").iterdir())
    assert len(files) == 1
    for state_is_here in (True, False):  # without the state the two epochs are trained again, and not reported
        if not state_is_here:
            files[0].unlink()
        rest: list[Measurement] = []
        outcome, _ = tasks.run_trial(task, {**raw, "epochs": 5}, seed=1, evaluation=False, report=rest.append, epochs_before=2)
        assert outcome is COMPLETED
        assert numbers([*first, *rest]) == numbers(whole)


@pytest.mark.slow
@pytest.mark.parametrize("lane", engines.LANES)
def test_what_trains_together_reports_the_very_numbers_that_it_does_alone(lane: str) -> None:
    need(f"lane {lane}")
    task = tiny(dropout=True, scale=0.005, lane=lane)
    wide = {**GOOD, "batch_size": 37, "dropout": 0.2}
    asked: list[tuple[dict[str, Any], int, bool]] = [  # (configuration, seed, evaluation)
        *((wide, seed, True) for seed in range(5)),
        ({**wide, "learning_rate": 0.5, "epochs": 2}, 7, True),
        (wide, 1, False),
        ({**wide, "loss": "nll", "output": "linear"}, 1, True),  # cannot be built
        ({**wide, "optimizer": "sgd", "learning_rate": 0.1}, 1, False),
        (wide, 8, True),  # stopped amid its second epoch
        (wide, 9, True),  # its reporter fails at once
    ]
    measurements: list[list[Measurement]] = [[] for _ in asked]
    failure = ConnectionError("the server is gone")

    def reporter(at: int) -> Callable[[Measurement], None]:
        def report(measurement: Measurement) -> None:
            if at == 10:
                raise failure
            if at == 9 and measurement.epoch is None and len(measurements[at]) == 20:
                raise Stopped
            measurements[at].append(measurement)

        return report

    members = [TrainingRequest(raw, seed, final, reporter(at)) for at, (raw, seed, final) in enumerate(asked)]
    ended = run_together(task, members)
    for at, (raw, seed, final) in enumerate(asked):
        outcome, why, alone = ran(task, raw, seed=seed, evaluation=final)
        if at == 9:
            assert (ended[at], numbers(measurements[at])) == ((Outcome.STOPPED, None), numbers(alone[:20]))
        elif at == 10:
            assert (ended[at], measurements[at]) == (failure, [])
        else:
            assert (ended[at], numbers(measurements[at])) == ((outcome, why), numbers(alone))
    assert ended[7] != ended[0] == (Outcome.COMPLETED, None)


@pytest.mark.slow
def test_together_goes_on_from_kept_states_and_keeps_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENHAND_DATA", str(tmp_path))
    task = tiny(scale=0.005, lane="stacked")
    measurements: dict[int, list[Measurement]] = {seed: [] for seed in range(3)}
    for before, epochs in ((0, 2), (2, 4)):
        raw = {**GOOD, "epochs": epochs}
        asked = [
            TrainingRequest(raw, seed, False, measurements[seed].append, before if seed else 0, keep=True)
            for seed in measurements
        ]
        assert run_together(task, asked) == [(Outcome.COMPLETED, None)] * 3
    assert len(list((tmp_path / "checkpoints").iterdir())) == 6
    for seed, measured in measurements.items():
        whole = numbers(ran(task, {**GOOD, "epochs": 4}, seed=seed)[2])
        assert numbers(measured) == (whole if seed else whole[: len(whole) // 2] + whole)


@pytest.mark.parametrize("output", list(mlp.OUTPUTS))
def test_losses_are_what_they_say(output: str) -> None:
    raw, labels = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.25, 1.0]]), torch.tensor([0, 2])
    numbers = raw.double().numpy()
    powers = np.exp(numbers)
    out = {"softmax": powers / powers.sum(1, keepdims=True), "sigmoid": 1 / (1 + np.exp(-numbers)), "linear": numbers}[output]
    targets = np.eye(3)[labels.numpy()]
    chances = powers / powers.sum(1, keepdims=True) if output == "linear" else out / out.sum(1, keepdims=True)
    expected = {"cross_entropy": -np.log(chances[[0, 1], [0, 2]]).mean(), "mse": ((out - targets) ** 2).mean()}
    if output == "softmax":
        expected["nll"] = expected["cross_entropy"]
    if output != "linear":
        expected["binary_cross_entropy"] = -(targets * np.log(out) + (1 - targets) * np.log(1 - out)).mean()
    for name, value in expected.items():
        assert general.loss_of(name, output, raw, labels).item() == pytest.approx(value, rel=1e-5), name
        lost = general.loss_of(name, output, raw * torch.nan, labels)
        assert torch.isnan(lost), name  # and nothing raised, so that the run can say that it diverged
        extreme = (raw * 1e4).requires_grad_()
        general.loss_of(name, output, extreme, labels).backward()
        assert extreme.grad is not None
        assert torch.isfinite(extreme.grad).all(), name
    refused = {name for name in mlp.LOSSES if not accepted(name, output)}
    assert refused == mlp.LOSSES.keys() - expected.keys()


def accepted(loss: str, output: str) -> bool:
    try:
        mlp.check({"loss": loss, "output": output})
    except InvalidConfiguration:
        return False
    return True


def test_what_cannot_be_built_is_invalid_and_says_why() -> None:
    outcome, why, measurements = ran(tiny(), {**GOOD, "loss": "nll", "output": "sigmoid"})
    assert (outcome, measurements) == (Outcome.INVALID, [])
    assert why == (
        "output: got sigmoid with the loss negative log-likelihood, expected softmax, since it takes logarithms of chances that "
        "add to one; or another loss"
    )
    outcome, why, _ = ran(tiny(), {**GOOD, "loss": "binary_cross_entropy", "output": "linear"})
    assert outcome is Outcome.INVALID
    assert "expected softmax or sigmoid, since it takes logarithms of outputs from 0 to 1" in str(why)


def test_exponentials_one_after_the_other_diverge() -> None:
    stack = {
        f"{what}_{number}": value for number in (1, 2, 3, 4) for what, value in (("activation", "exponential"), ("units", 64))
    }
    outcome, why, _ = ran(tiny(), {**GOOD, "layers": 4, **stack, "learning_rate": 1.0, "optimizer": "sgd"})
    assert outcome is Outcome.DIVERGED
    assert "loss became" in str(why)


def test_random_configurations_all_end_and_the_invalid_ones_are_the_refused() -> None:
    task = tiny(dropout=True, scale=0.002, max_epochs=2)
    rng, ends = np.random.default_rng(42), []
    for _ in range(60):
        configuration = task.space.sample(rng)
        outcome, why, _ = ran(task, configuration)
        ends.append(outcome)
        assert (outcome is Outcome.INVALID) == (not accepted(str(configuration["loss"]), str(configuration["output"]))), why
        assert outcome in (Outcome.COMPLETED, Outcome.INVALID, Outcome.DIVERGED)
    assert 5 <= ends.count(Outcome.INVALID) <= 30


def test_tuning_never_opens_eval_and_an_evaluation_learns_from_dev_too() -> None:
    task = tiny()
    assert task.data is not None
    splits = task.data()

    def refuse() -> Any:
        raise AssertionError("eval was opened")

    blind = replace(task, data=lambda: Splits(splits.train, splits.validation, refuse))
    assert ran(blind, GOOD)[0] is Outcome.COMPLETED
    outcome, why, _ = ran(blind, GOOD, evaluation=True)
    assert outcome is Outcome.INVALID
    assert "eval was opened" in str(why)
    outcome, _, measurements = ran(task, GOOD, evaluation=True)
    assert outcome is Outcome.COMPLETED
    assert measurements[-1].step == 3 * 69  # 2,000 and 200 points by 32
    assert [measurement.value is None for measurement in measurements if measurement.epoch is not None] == [
        True,
        True,
        True,
        False,
    ]


def test_a_stop_ends_it_at_the_next_report() -> None:
    measurements: list[Measurement] = []

    def report(measurement: Measurement) -> None:
        measurements.append(measurement)
        if len(measurements) == 3:
            raise Stopped("tuner")

    outcome, why = tasks.run_trial(tiny(), GOOD, seed=1, evaluation=False, report=report)
    assert (outcome, why, len(measurements)) == (Outcome.STOPPED, "tuner", 3)


def test_other_sets_train_and_other_tasks_have_no_points() -> None:
    three = tiny(data="08", scale=0.003)
    predict = mlp.fitted(three, {**GOOD, "epochs": 8}, derive_seed(0, "any"))
    assert set(predict(mlp.data_of(three).part("dev")[0]).tolist()) == {0, 1, 2}
    with pytest.raises(InvalidSettings, match="task 'practice': expected the task mlp"):
        mlp.data_of(tasks.load(TaskSpec("practice")))
    with pytest.raises(InvalidConfiguration, match="since it takes logarithms"):
        mlp.fitted(tiny(), {**GOOD, "loss": "nll", "output": "linear"}, 1)


def test_ranges_and_weights_are_those_of_the_documentation() -> None:
    section = DOCS.read_text().split("\n## The mlp task\n")[1].split("\n## ")[0]
    rows = [row for row in section.splitlines() if row.startswith("| ")]
    space = tiny(dropout=True, least_epochs=10).space
    for name in ("batch_size", "learning_rate", "layers", "units_N", "dropout"):
        domain = space[name.replace("N", "1")].domain
        (row,) = (row for row in rows if f"`{name}`" in row and row.count("|") == 6)
        assert not isinstance(domain, Choice)
        assert f"{show(domain.low)} to {show(domain.high)}" in row
    for name, published in mlp.PUBLISHED.items():
        assert any(row.startswith(f"| {name} | {mlp.weights(published.values):,} |") for row in rows)
