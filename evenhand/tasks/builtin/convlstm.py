"""ConvNet with LSTM, as for data set #12 of "On Automating Hyperparameter Optimization for Deep Learning Applications".

A signal is cut into windows; the same convolutions over time see each of them, LSTM layers read what they give in order, and the
last step's state is scored. The paper prints neither the hand-tuned settings nor the tuned ranges for this data set.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from evenhand.model.condition import Condition
from evenhand.model.domain import Float, Integer, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space
from evenhand.tasks.builtin import convnet
from evenhand.tasks.builtin.convnet import DEEPEST_CONV, EPOCHS_LEAST, EPOCHS_MOST, Layer, convolved, pooled

DEEPEST_LSTM = 3
EXAMPLE: Mapping[str, Value] = {
    "epochs": 10,
    "batch_size": 32,
    "optimizer": "adam",
    "padding": "same",
    "conv_layers": 2,
    "filters_1": 16,
    "lstm_layers": 1,
}
PUBLISHED: Mapping[str, Mapping[str, Value]] = {}  # none is printed, and none is made up


@dataclass(frozen=True)
class Windows:
    """How a signal is cut: `count` windows of `length` samples, one every `hop` samples, of `channels` channels."""

    channels: int
    length: int
    hop: int
    count: int


def windows_of(channels: int, samples: int, length: int, hop: int) -> Windows:
    """The windows that fit whole into `samples` samples."""
    return Windows(channels, length, hop, (samples - length) // hop + 1)


def shapes(configuration: Mapping[str, Value], windows: Windows, classes: int = 2) -> list[Layer]:
    """Every layer from the windows to the scores of the classes; shapes begin with the number of windows.

    Raises:
        InvalidConfiguration: a kernel or a pooling window is longer than what is left; it names the first layer where it is.
    """
    layers, channels, length = [], windows.channels, windows.length
    way = [length]
    for n in range(1, int(configuration["conv_layers"]) + 1):
        filters, kernel, pool = (int(configuration[f"{name}_{n}"]) for name in ("filters", "kernel", "pool"))
        length = convolved(n, length, kernel, str(configuration["padding"]), way)
        layers.append(Layer(f"convolution {n}", (windows.count, filters, length), channels * filters * kernel + filters))
        length = pooled(n, length, pool, way)
        if pool > 1:
            layers.append(Layer(f"pooling {n}", (windows.count, filters, length), 0))
        channels = filters
    inputs = channels * length
    for n in range(1, int(configuration["lstm_layers"]) + 1):
        hidden = int(configuration[f"hidden_{n}"])
        # Four gates, each with weights for its input and for the last state, and (as PyTorch has it) two biases.
        layers.append(Layer(f"LSTM {n}", (windows.count, hidden), 4 * hidden * (inputs + hidden + 2)))
        inputs = hidden
    return [*layers, Layer("output", (classes,), inputs * classes + classes)]


def space(training_segments: int, epochs: tuple[int, int] = (EPOCHS_LEAST, EPOCHS_MOST)) -> Space:
    """Convolutions over time (none: LSTM layers alone, as the paper's autotuner), LSTM layers, dropout, and the training."""
    hyperparameters = [
        *convnet.of_training(training_segments, epochs),
        convnet.padding(),
        convnet.layers_of("conv", DEEPEST_CONV, 0),
    ]
    for n in range(1, DEEPEST_CONV + 1):
        hyperparameters += convnet.conv_layer(n, Integer(1, 64, log=True), Integer(1, 25), Integer(1, 8))
    hyperparameters.append(convnet.layers_of("lstm", DEEPEST_LSTM, 1))
    for n in range(1, DEEPEST_LSTM + 1):
        hyperparameters += _lstm_layer(n)
    return Space(hyperparameters)


def _lstm_layer(n: int) -> list[Hyperparameter]:
    """LSTM layer `n`, active where there are as many."""
    there = Condition("lstm_layers", tuple(range(n, DEEPEST_LSTM + 1)))
    hidden, share = Integer(4, 256, log=True), Float(0.05, 0.7, or_zero=True)
    what = "The part of the layer's states that is dropped in training; 0 is none."
    return [
        Hyperparameter(f"hidden_{n}", hidden, 64, f"LSTM units {n}", f"The size of the state of LSTM layer {n}.", there),
        Hyperparameter(f"lstm_dropout_{n}", share, 0.0, f"LSTM dropout {n}", what, there),
    ]
