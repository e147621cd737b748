"""The ConvNet of "On Automating Hyperparameter Optimization for Deep Learning Applications", data set #11: its space and shapes.

Settings whose layers do not fit into each other, on which the paper's autotuner stopped ("negative dimension of the layer input
shape"), end a trial as `invalid` before anything is trained: `shapes` says which layer, and which sizes. The network itself
is in networks.py. docs/tasks.md says what the paper leaves open.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from evenhand.errors import DataError, InvalidConfiguration, Problem
from evenhand.model.condition import Condition
from evenhand.model.domain import Choice, Float, Integer, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.tasks.builtin.black_magic import LOSSES, OPTIMIZERS

DEEPEST_CONV, DEEPEST_DENSE = 4, 3
BATCH_LEAST, BATCH_MOST = 8, 512  # the paper's Table 2
EPOCHS_LEAST, EPOCHS_MOST = 10, 35  # the paper's Table 2
ACTIVATIONS = {
    "relu": "ReLU",
    "elu": "ELU",
    "tanh": "Tanh",
    "sigmoid": "Sigmoid",
    "exponential": "Exponential",
}
PADDINGS = {"valid": "Without", "same": "Keeps the size"}
TUNED_LOSSES = {name: label for name, label in LOSSES.items() if name != "nll"}  # over log-probabilities it is cross entropy
EXAMPLE: Mapping[str, Value] = {
    "epochs": 10,
    "batch_size": 32,
    "optimizer": "adam",
    "padding": "same",
    "conv_layers": 2,
    "dense_layers": 1,
    "filters_1": 16,
}
# Table 5. What it does not print is as PyTorch has it: no momentum; and cross entropy, as the text says of the other data sets.
# "Conv2d (1,8)" of the autotuned one is read in Keras's order, filters and kernel size. Without padding its third pooling would
# then have no room at any size below 132 pixels, so its padding is taken to keep the size.
PUBLISHED: Mapping[str, Mapping[str, Value]] = {
    "manual": {
        "epochs": 15,
        "batch_size": 8,
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "learning_rate": 0.001,
        "padding": "valid",
        "conv_layers": 3,
        **{f"filters_{n}": filters for n, filters in enumerate((16, 32, 64), 1)},
        **{f"{name}_{n}": value for n in (1, 2, 3) for name, value in (("kernel", 5), ("pool", 2), ("conv_activation", "relu"))},
        **{f"conv_dropout_{n}": 0.0 for n in (1, 2, 3)},
        "dense_layers": 1,
        "units_1": 128,
        "dense_activation_1": "relu",
        "dense_dropout_1": 0.25,
    },
    "auto": {
        "epochs": 10,
        "batch_size": 32,
        "loss": "cross_entropy",
        "optimizer": "adam",
        "learning_rate": 0.001,
        "padding": "same",
        "conv_layers": 3,
        **{f"filters_{n}": 1 for n in (1, 2, 3)},
        **{f"kernel_{n}": kernel for n, kernel in enumerate((8, 5, 5), 1)},
        **{f"pool_{n}": pool for n, pool in enumerate((5, 3, 3), 1)},
        **{f"conv_activation_{n}": "tanh" for n in (1, 2, 3)},
        **{f"conv_dropout_{n}": dropout for n, dropout in enumerate((0.0, 0.25, 0.25), 1)},
        "dense_layers": 3,
        **{f"units_{n}": 25 for n in (1, 2, 3)},
        **{f"dense_activation_{n}": "relu" for n in (1, 2, 3)},
        **{f"dense_dropout_{n}": 0.0 for n in (1, 2, 3)},
    },
}


@dataclass(frozen=True)
class Layer:
    """What one layer gives: its name, its shape for one example (channels first), and its number of weights, biases included."""

    name: str
    shape: tuple[int, ...]
    weights: int


def shapes(configuration: Mapping[str, Value], size: int, classes: int = 2) -> list[Layer]:
    """Every layer from the image of `size` x `size` pixels to the scores of the classes.

    Raises:
        InvalidConfiguration: a kernel or a pooling window is larger than what is left; it names the first layer where it is.
    """
    layers, side, channels = [], size, 3
    way = [size]
    for n in range(1, int(configuration["conv_layers"]) + 1):
        filters, kernel, pool = (int(configuration[f"{name}_{n}"]) for name in ("filters", "kernel", "pool"))
        side = convolved(n, side, kernel, str(configuration["padding"]), way)
        layers.append(Layer(f"convolution {n}", (filters, side, side), channels * filters * kernel**2 + filters))
        side = pooled(n, side, pool, way)
        if pool > 1:
            layers.append(Layer(f"pooling {n}", (filters, side, side), 0))
        channels = filters
    return layers + dense(configuration, channels * side**2, classes)


def convolved(n: int, length: int, kernel: int, padding: str, way: list[int]) -> int:
    """The length that convolution `n` leaves of `length`; `way` holds the lengths so far and gets the new one."""
    if padding == "valid":
        if kernel > length:
            raise InvalidConfiguration([_problem(f"kernel_{n}", kernel, f"convolution {n}", length, way)])
        length = length - kernel + 1
        way.append(length)
    return length


def pooled(n: int, length: int, pool: int, way: list[int]) -> int:
    """The length that pooling `n` leaves of `length`, a rest at the edge left out; `way` as in `convolved`."""
    if pool > length:
        raise InvalidConfiguration([_problem(f"pool_{n}", pool, f"pooling {n}", length, way)])
    way.append(length // pool)
    return length // pool


def _problem(name: str, given: int, layer: str, length: int, way: Sequence[int]) -> Problem:
    lengths = " → ".join(str(size) for size in way)
    return Problem(name, str(given), f"at most {length}, which is the length that {layer} is given ({lengths})")


def dense(configuration: Mapping[str, Value], inputs: int, classes: int) -> list[Layer]:
    """The dense layers on `inputs` values, then the output layer."""
    layers = []
    for n in range(1, int(configuration["dense_layers"]) + 1):
        units = int(configuration[f"units_{n}"])
        layers.append(Layer(f"dense {n}", (units,), inputs * units + units))
        inputs = units
    return [*layers, Layer("output", (classes,), inputs * classes + classes)]


def weights_of(layers: Sequence[Layer]) -> int:
    """All weights of a network, biases included."""
    return sum(layer.weights for layer in layers)


def values_of(layers: Sequence[Layer]) -> int:
    """The numbers that a network computes for one example: what its memory grows with."""
    return sum(prod(layer.shape) for layer in layers)


def limit_weights(layers: Sequence[Layer], most: int) -> None:
    """InvalidConfiguration where a network has more than `most` weights; it names the layer that has most of them."""
    total, largest = weights_of(layers), max(layers, key=lambda layer: layer.weights)
    if total > most:
        given = f"{total:,}, of them {largest.weights:,} in {largest.name}"
        raise InvalidConfiguration(
            [Problem("number of weights", given, f"at most {most:,}, as this task's setting max_weights says")]
        )


def example(published: Mapping[str, Value], examples: int, epochs: int) -> dict[str, Value]:
    """A configuration known to train, for data of so many training examples: its batches are no larger than these."""
    return {**published, "epochs": epochs, "batch_size": min(int(published["batch_size"]), examples)}


def space(training_images: int, epochs: tuple[int, int] = (EPOCHS_LEAST, EPOCHS_MOST)) -> Space:
    """The paper's dimensions (a) to (j) for the ConvNet and its training; layers beyond the chosen number are inactive.

    Its ranges are not printed but for batch size and epochs; the others are wide enough for both columns of Table 5.
    """
    hyperparameters = [*of_training(training_images, epochs), padding(), layers_of("conv", DEEPEST_CONV, 1)]
    for n in range(1, DEEPEST_CONV + 1):
        hyperparameters += conv_layer(n, Integer(1, 64, log=True), Integer(1, 11), Integer(1, 6))
    hyperparameters.append(layers_of("dense", DEEPEST_DENSE, 0))
    for n in range(1, DEEPEST_DENSE + 1):
        hyperparameters += dense_layer(n)
    return Space(hyperparameters)


def of_training(examples: int, epochs: tuple[int, int]) -> list[Hyperparameter]:
    """Epochs, batch size, loss, optimizer and learning rate, for `examples` training examples; DataError for fewer than nine."""
    if examples <= BATCH_LEAST:
        raise DataError(f"the training split has {examples} examples, expected more than the smallest batch, {BATCH_LEAST}")
    return [
        Hyperparameter(
            "epochs",
            Integer(*epochs),
            label="Epochs",
            help="How many times the network sees every training example. More take longer and may overfit.",
            fidelity=True,
        ),
        Hyperparameter(
            "batch_size",
            Integer(BATCH_LEAST, min(BATCH_MOST, examples), log=True),
            label="Batch size",
            help="How many examples make one step. Small batches take more and noisier steps; large ones fewer and steadier.",
        ),
        Hyperparameter(
            "optimizer",
            Choice(tuple(OPTIMIZERS), tuple(OPTIMIZERS.values())),
            label="Optimizer",
            help="The rule that turns gradients into steps, with PyTorch's own values for what else it has.",
        ),
        Hyperparameter(
            "loss",
            Choice(tuple(TUNED_LOSSES), tuple(TUNED_LOSSES.values())),
            default="cross_entropy",
            label="Loss function",
            help="What training makes small. L1 and mean squared compare the predicted probabilities with 1 for the right class "
            "and 0 for the others.",
        ),
        Hyperparameter(
            "learning_rate",
            Float(1e-5, 1.0, log=True),
            default=0.001,
            label="Learning rate",
            help="The size of a step. Too small learns slowly, too large jumps about or diverges.",
        ),
    ]


def padding() -> Hyperparameter:
    """Whether convolutions lose the edge."""
    return Hyperparameter(
        "padding",
        Choice(tuple(PADDINGS), tuple(PADDINGS.values())),
        default="valid",
        label="Padding",
        help="Without padding a convolution with a kernel of k makes its input smaller by k - 1.",
    )


def layers_of(kind: str, most: int, least: int) -> Hyperparameter:
    """The number of layers of one kind."""
    label = {"conv": "Convolutions", "dense": "Dense layers", "lstm": "LSTM layers"}[kind]
    return Hyperparameter(
        f"{kind}_layers", Integer(least, most), label=label, help=f"How many there are, from {least} to {most}."
    )


def conv_layer(n: int, filters: Integer, kernel: Integer, pool: Integer) -> list[Hyperparameter]:
    """Convolution `n` and the pooling after it, active where there are as many."""
    there = Condition("conv_layers", tuple(range(n, DEEPEST_CONV + 1)))
    return [
        Hyperparameter(f"filters_{n}", filters, 32, f"Filters {n}", f"Output channels of convolution {n}.", there),
        Hyperparameter(f"kernel_{n}", kernel, 3, f"Kernel {n}", "Its length; not more than what the layer is given.", there),
        Hyperparameter(f"pool_{n}", pool, 2, f"Pooling {n}", "The window of which the largest value is kept; 1 is none.", there),
        _activation(f"conv_activation_{n}", f"Activation {n}", there),
        _dropout(f"conv_dropout_{n}", f"Dropout {n}", there),
    ]


def dense_layer(n: int) -> list[Hyperparameter]:
    """Dense layer `n`, active where there are as many."""
    there = Condition("dense_layers", tuple(range(n, DEEPEST_DENSE + 1)))
    units = Integer(2, 512, log=True)
    return [
        Hyperparameter(f"units_{n}", units, 64, f"Dense neurons {n}", f"Neurons of dense layer {n}.", there),
        _activation(f"dense_activation_{n}", f"Dense activation {n}", there),
        _dropout(f"dense_dropout_{n}", f"Dense dropout {n}", there),
    ]


def _activation(name: str, label: str, there: Condition) -> Hyperparameter:
    options = Choice(tuple(ACTIVATIONS), tuple(ACTIVATIONS.values()))
    return Hyperparameter(name, options, "relu", label, "What the layer computes of its sums.", there)


def _dropout(name: str, label: str, there: Condition) -> Hyperparameter:
    share = Float(0.05, 0.7, or_zero=True)
    return Hyperparameter(
        name, share, 0.0, label, "The part of the layer's values that is dropped in training; 0 is none.", there
    )
