"""The mlp task: multilayer perceptrons on points, with the search space and the printed models of paper 003.

"On Automating Hyperparameter Optimization for Deep Learning Applications": section 4 names the dimensions of its space, Table 2
gives batch sizes and epochs, Table 4 the models for its data set #10. docs/tasks.md says what it leaves open and what was
decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from evenhand.errors import InvalidConfiguration, InvalidSettings, Problem
from evenhand.model.condition import Condition
from evenhand.model.configuration import Configuration
from evenhand.model.domain import Choice, Float, Integer, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.tasks import engines, versions
from evenhand.tasks.base import Task
from evenhand.tasks.builtin import perceptron, points, shapes
from evenhand.tasks.builtin.points import PointSet, Predict
from evenhand.tasks.engines.base import Layout, Training, TrainingPlan
from evenhand.tasks.run import Run
from evenhand.tasks.settings import Checks, checked, text, whole
from evenhand.tasks.settings import number as within
from evenhand.tasks.splits import Splits

NAME = "mlp"
REVISION = 1  # raised when its numbers change; tests/golden holds it to that
LAYERS_MOST = 6  # before the output; the largest network that the paper prints has five
UNITS_LEAST, UNITS_MOST = 4, 128
BATCH_LEAST, BATCH_MOST = 8, 512  # Table 2
EPOCHS_LEAST, EPOCHS_MOST = 10, 35  # Table 2
ACTIVATIONS = {"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "exponential": "Exponential"}
OUTPUTS = {"softmax": "Softmax", "sigmoid": "Sigmoid", "linear": "Linear"}
LOSSES = {
    "cross_entropy": "Cross entropy",
    "nll": "Negative log-likelihood",
    "binary_cross_entropy": "Binary cross entropy",
    "mse": "Mean squared",
}
OPTIMIZERS = {
    "adam": "Adam",
    "nadam": "Adam with Nesterov momentum",
    "rmsprop": "RMSprop",
    "sgd": "Stochastic gradient",
    "adagrad": "Adagrad",
    "adadelta": "Adadelta",
}
# The outputs that a loss can be computed for, and why no others; losses that are not here take any.
NEEDS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "nll": (("softmax",), "it takes logarithms of chances that add to one"),
    "binary_cross_entropy": (("softmax", "sigmoid"), "it takes logarithms of outputs from 0 to 1"),
}


@dataclass(frozen=True)
class MlpSettings:
    """What belongs to a version of the task and is never tuned.

    data: "08", "09", "10" (generated) or a folder of CSV files. scale: the share of its points to use. dropout: whether there is
    a dropout rate to tune, as for the paper's models ending in 2. least_epochs, max_epochs: what may be asked for. lane: what
    trains (see `evenhand.tasks.engines`), or "auto" for the quickest that is here. precision: of its numbers.
    """

    data: str = "10"
    scale: float = 1.0
    dropout: bool = False
    least_epochs: int = EPOCHS_LEAST
    max_epochs: int = EPOCHS_MOST
    lane: str = "auto"
    precision: str = "fp32"


@dataclass(frozen=True)
class Published:
    """A model that the paper prints for data set #10. dropout: the task's setting it belongs to; values: its configuration."""

    dropout: bool
    values: Mapping[str, Value]


CHECKS: Checks = {
    "data": text(f"{', '.join(shapes.SETS)} or the path of a folder"),
    "scale": (lambda v: within(0, 1)[0](v) and v > 0, "a number above 0 and at most 1"),
    "dropout": (lambda v: isinstance(v, bool), "true or false"),
    "least_epochs": whole(1, 10_000),
    "max_epochs": whole(1, 10_000),
    "lane": (lambda v: v in ("auto", *engines.LANES), f"auto or {' or '.join(engines.LANES)}"),
    "precision": (lambda v: v in engines.PRECISIONS, " or ".join(engines.PRECISIONS)),
}


def settings_from(raw: Mapping[str, Any]) -> MlpSettings:
    """The settings that `raw` holds; those left out have their defaults. InvalidSettings lists all that are wrong."""
    given = dict(raw)
    if isinstance(given.get("data"), int):
        given["data"] = f"{given['data']:02d}"  # `--set data=10` is read as a number
    settings = MlpSettings(**checked(NAME, given, CHECKS))
    settings = replace(settings, scale=float(settings.scale))  # a version must not depend on how 1 was written
    if settings.least_epochs >= settings.max_epochs:
        raise InvalidSettings(
            f"settings of {NAME}: least_epochs is {settings.least_epochs}, expected less than max_epochs, {settings.max_epochs}"
        )
    return settings


def load(raw: Mapping[str, Any]) -> Task:
    """The task with these settings; its metric is the accuracy on dev (the paper's val_accuracy), its test split is eval."""
    settings = settings_from(raw)
    lane = engines.proposed() if settings.lane == "auto" else settings.lane
    engines.check(lane)
    data = points.locate(settings.data, settings.scale)
    place = settings.data if data.generated else str(Path(settings.data).expanduser().resolve())
    full = {
        "data": place,
        "scale": settings.scale,
        "dropout": settings.dropout,
        "least_epochs": settings.least_epochs,
        "max_epochs": settings.max_epochs,
        "lane": lane,
        "precision": settings.precision,
    }
    own_space = space(settings)
    fixed = {name: value for name, value in full.items() if name not in ("data", "lane")}
    engine = [lane, engines.LANES[lane]]
    return Task(
        name=NAME,
        version=versions.of_built_in(NAME, REVISION, fixed, own_space.digest, data.digest, engine=engine),
        space=own_space,
        metric="accuracy",
        direction="maximize",
        max_epochs=settings.max_epochs,
        train=partial(_train, data, lane, settings.precision),
        together=partial(_train_together, data, lane, settings.precision),
        group_size=lambda configuration: engines.group_size(lane, int(configuration["batch_size"])),
        data=partial(_splits, data),
        test_data=data.digest,
        settings=full,
        statistics={
            "classes": len(data.classes),
            "features": data.features,
            "training points": len(data.part("train")[1]),
            "validation points": len(data.part("dev")[1]),
            **({"test points": shapes.size(settings.data, "eval", settings.scale)} if data.generated else {}),
            "origin": data.label if data.generated else "files",
        },
        example=_example(settings),
        threads=lane == "whole",
    )


def data_of(task: Task) -> PointSet:
    """The points of an mlp task: its splits train, dev and eval, and the label that says whether they are generated."""
    if task.name != NAME:
        raise InvalidSettings(f"task {task.name!r}: expected the task {NAME}, which alone is of points")
    return points.locate(task.settings["data"], task.settings["scale"])


def _splits(data: PointSet) -> Splits:
    account = data.account() if data.account else None
    return Splits(*(partial(data.part, split) for split in shapes.SPLITS), account=account)


def space(settings: MlpSettings) -> Space:
    """The paper's dimensions: training, then for each layer its units and activation, the output, dropout where it is set."""
    return Space([*_training(settings), *_layers(), *_output(settings.dropout)])


def _training(settings: MlpSettings) -> list[Hyperparameter]:
    return [
        Hyperparameter(
            "epochs",
            Integer(settings.least_epochs, settings.max_epochs),
            label="Epochs",
            help="How many times the network sees every training point. More take longer and may overfit.",
            fidelity=True,
        ),
        Hyperparameter(
            "batch_size",
            Integer(BATCH_LEAST, BATCH_MOST, log=True),
            label="Batch size",
            help="How many points make one step. Small batches take more and noisier steps; large ones fewer and steadier.",
        ),
        Hyperparameter(
            "loss",
            Choice(tuple(LOSSES), tuple(LOSSES.values())),
            label="Loss function",
            help="What training makes small. Negative log-likelihood needs softmax outputs, binary cross entropy softmax or "
            "sigmoid ones; with others the trial is invalid.",
        ),
        Hyperparameter(
            "optimizer",
            Choice(tuple(OPTIMIZERS), tuple(OPTIMIZERS.values())),
            label="Optimizer",
            help="The rule that turns gradients into steps.",
        ),
        Hyperparameter(
            "learning_rate",
            Float(1e-5, 1.0, log=True),
            default=0.001,
            label="Learning rate",
            help="The size of a step. Too small learns slowly, too large jumps about or diverges; good values differ between "
            "optimizers by factors of hundreds.",
        ),
    ]


def _layers() -> list[Hyperparameter]:
    """The number of layers before the output (the paper's input layer is the first), then two hyperparameters for each."""
    hyperparameters = [
        Hyperparameter(
            "layers",
            Integer(1, LAYERS_MOST),
            label="Layers",
            help="How many layers of units there are before the output. More can bend the boundary more, and train less easily.",
        )
    ]
    for number in range(1, LAYERS_MOST + 1):
        there = Condition("layers", tuple(range(number, LAYERS_MOST + 1))) if number > 1 else None
        hyperparameters += [
            Hyperparameter(
                f"units_{number}",
                Integer(UNITS_LEAST, UNITS_MOST),
                default=32,
                label=f"Units of layer {number}",
                help=f"How many units layer {number} has.",
                condition=there,
            ),
            Hyperparameter(
                f"activation_{number}",
                Choice(tuple(ACTIVATIONS), tuple(ACTIVATIONS.values())),
                default="relu",
                label=f"Activation of layer {number}",
                help=f"What bends the sums of layer {number}. Several exponentials one after the other grow out of all bounds.",
                condition=there,
            ),
        ]
    return hyperparameters


def _output(dropout: bool) -> list[Hyperparameter]:
    output = Hyperparameter(
        "output",
        Choice(tuple(OUTPUTS), tuple(OUTPUTS.values())),
        default="softmax",
        label="Output",
        help="What the last sums, one for each class, become: chances that add to one, numbers from 0 to 1, or nothing else.",
    )
    if not dropout:
        return [output]
    rate = Hyperparameter(
        "dropout",
        Float(0.0, 0.8),
        default=0.25,
        label="Dropout rate",
        help="The share of the values of each layer before the output that is 0 at random in training, against overfitting.",
    )
    return [output, rate]


def _example(settings: MlpSettings) -> Mapping[str, Value]:
    common: dict[str, Value] = {"batch_size": 64, "loss": "cross_entropy", "optimizer": "adam", "layers": 2}
    return {**common, "epochs": settings.least_epochs}


def _stack(*layers: tuple[int, str]) -> dict[str, Value]:
    values: dict[str, Value] = {"layers": len(layers)}
    for number, (units, activation) in enumerate(layers, start=1):
        values |= {f"units_{number}": units, f"activation_{number}": activation}
    return values


# Section 5: by hand Adam 0.0001, batches of 16, 25 epochs, cross entropy; by the autotuner Adam 0.001, 512, 10, and sparse
# categorical cross entropy, which is the same for classes given by number.
_BY_HAND: Mapping[str, Value] = {
    "epochs": 25,
    "batch_size": 16,
    "loss": "cross_entropy",
    "optimizer": "adam",
    "learning_rate": 1e-4,
}
_AUTOTUNED: Mapping[str, Value] = {
    "epochs": 10,
    "batch_size": 512,
    "loss": "cross_entropy",
    "optimizer": "adam",
    "learning_rate": 1e-3,
}
PUBLISHED: Mapping[str, Published] = {  # Table 4
    "MLP-M1": Published(False, {**_BY_HAND, **_stack((64, "relu"), (32, "relu"), (16, "relu")), "output": "linear"}),
    "MLP-M2": Published(True, {**_BY_HAND, **_stack((64, "relu"), (32, "relu")), "output": "linear", "dropout": 0.3}),
    "MLP-A1": Published(
        False,
        {
            **_AUTOTUNED,
            **_stack((52, "sigmoid"), (92, "sigmoid"), (62, "sigmoid"), (72, "sigmoid"), (67, "tanh")),
            "output": "softmax",
        },
    ),
    "MLP-A2": Published(
        True,
        {
            **_AUTOTUNED,
            **_stack((97, "tanh"), (47, "sigmoid"), (62, "exponential"), (37, "tanh")),
            "output": "sigmoid",
            "dropout": 0.25,
        },
    ),
}


def weights(configuration: Mapping[str, Value], features: int = 2, classes: int = 2) -> int:
    """How many weights, biases included, the network of a configuration has."""
    sizes = (features, *_units(configuration), classes)
    return sum((low + 1) * high for low, high in pairwise(sizes))


def _units(configuration: Mapping[str, Value]) -> tuple[int, ...]:
    return tuple(int(configuration[f"units_{number}"]) for number in range(1, int(configuration["layers"]) + 1))


def check(configuration: Mapping[str, Value]) -> None:
    """InvalidConfiguration where the loss cannot be computed for the output: valid values that do not go together."""
    loss, output = str(configuration["loss"]), str(configuration["output"])
    outputs, why = NEEDS.get(loss, (tuple(OUTPUTS), ""))
    if output not in outputs:
        allowed = " or ".join(OUTPUTS[choice].lower() for choice in outputs)
        raise InvalidConfiguration(
            [Problem("output", f"{output} with the loss {LOSSES[loss].lower()}", f"{allowed}, since {why}; or another loss")]
        )


def fitted(task: Task, configuration: Mapping[str, object], seed: int) -> Predict:
    """The model that a trial of `configuration` with `seed` on an mlp task ends with, trained again: points to class numbers.

    It learns from the training split only and gives the very numbers that the trial had ("as tuned").

    Raises:
        InvalidConfiguration: the configuration cannot be built. Diverged: its training did not stay finite.
    """
    run = Run(task, seed=seed, evaluation=False, report=lambda measurement: None)
    lane, precision = task.settings["lane"], task.settings["precision"]
    return partial(perceptron.predict, _fit(data_of(task), lane, precision, task.space.configuration(configuration), run))


def _train(data: PointSet, lane: str, precision: str, configuration: Configuration, run: Run) -> None:
    _fit(data, lane, precision, configuration, run)


def _fit(data: PointSet, lane: str, precision: str, configuration: Configuration, run: Run) -> Training:
    return perceptron.fit(*_member(data, lane, precision, configuration, run))


def _train_together(
    data: PointSet, lane: str, precision: str, members: Sequence[tuple[Configuration, Run]]
) -> list[perceptron.Ending]:
    endings: dict[int, perceptron.Ending] = {}
    valid: dict[int, perceptron.NetworkMember] = {}
    for at, (configuration, run) in enumerate(members):
        try:
            valid[at] = _member(data, lane, precision, configuration, run)
        except InvalidConfiguration as error:
            endings[at] = error
    endings |= zip(valid, perceptron.fit_together(tuple(valid.values())), strict=True)
    return [endings[at] for at in range(len(members))]


def _member(data: PointSet, lane: str, precision: str, configuration: Configuration, run: Run) -> perceptron.NetworkMember:
    check(configuration)
    units = _units(configuration)
    layout = Layout(
        features=data.features,
        classes=len(data.classes),
        units=units,
        activations=tuple(str(configuration[f"activation_{number}"]) for number in range(1, len(units) + 1)),
        output=str(configuration["output"]),
        dropout=configuration.number("dropout"),
    )
    plan = TrainingPlan(
        loss=str(configuration["loss"]),
        optimizer=str(configuration["optimizer"]),
        learning_rate=configuration.number("learning_rate"),
        batch_size=int(configuration["batch_size"]),
    )
    return perceptron.NetworkMember(layout, plan, perceptron.Engine(lane, precision, int(configuration["epochs"])), run)
