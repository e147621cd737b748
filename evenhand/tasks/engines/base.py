"""What all lanes share: the network, the plan, what is drawn at random and how, and what a lane does.

Everything random comes from streams of the seed, the epoch and a point's place in it: never of the batch size, the lane, or
what is trained beside it.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from evenhand.model.rules import derive_seed

Numbers = NDArray[Any]  # of floats, of the lane's precision
Words = NDArray[np.uint64]
Order = NDArray[np.int32]

ACTIVATIONS = ("relu", "tanh", "sigmoid", "exponential")
OUTPUTS = ("softmax", "sigmoid", "linear")
LOSSES = ("cross_entropy", "nll", "mse", "binary_cross_entropy")
OPTIMIZERS = ("adam", "nadam", "rmsprop", "sgd", "adagrad", "adadelta")
REPORTS = 20  # of the loss in an epoch, each the mean over a twentieth of it
LEAST_CHANCE = 1e-7  # below which binary cross entropy takes no logarithm, as in Keras
CHANCES = 1 << 16  # a dropout rate is a whole number of these


@dataclass(frozen=True)
class Layout:
    """A network from `features` numbers to `classes` outputs: the units and activation of each layer before the output.

    output: softmax, sigmoid or linear. dropout: the share of each of those layers' values that is set to 0 in training.
    """

    features: int
    classes: int
    units: tuple[int, ...]
    activations: tuple[str, ...]
    output: str
    dropout: float = 0.0

    @property
    def sizes(self) -> tuple[int, ...]:
        """Of the inputs, each layer, and the outputs."""
        return (self.features, *self.units, self.classes)

    @property
    def threshold(self) -> int:
        """The dropout rate as a number of `CHANCES`."""
        return round(self.dropout * CHANCES)


@dataclass(frozen=True)
class TrainingPlan:
    """How to train: the loss and the optimizer by name, the learning rate, points a step.

    Optimizers have PyTorch's settings but for the learning rate. Cross entropy and nll take outputs as chances: softmax as it is,
    linear after a softmax (as PyTorch does), sigmoid divided by the sum (as Keras does). Mean squared and binary cross entropy
    compare each output with 1 for the right class and 0 for the others.
    """

    loss: str
    optimizer: str
    learning_rate: float
    batch_size: int


class LabelledPoints(NamedTuple):
    """Points (N, F) and their class numbers (N,)."""

    points: Numbers
    labels: NDArray[np.int32]


class EpochPart(NamedTuple):
    """A twentieth of an epoch: the points at the places `begin` to `end` of its order.

    step: the last of its steps, counted from 1 in its epoch, which has `steps`. loss: the mean over its points.
    """

    begin: int
    end: int
    step: int
    steps: int
    loss: float = math.nan

    @property
    def points(self) -> int:
        """How many."""
        return self.end - self.begin

    def lost(self, total: float) -> "EpochPart":
        """The part with the mean of its points' losses, whose sum is `total`."""
        return self._replace(loss=total / self.points)


class Training(Protocol):
    """One network in training. Its state changes in place."""

    def epoch(self, number: int) -> Iterator[EpochPart]:
        """One pass over the data, the `number`-th from 1, in parts; whoever leaves it between two of them leaves it for good."""

    def outputs(self, points: Numbers) -> Numbers:
        """What the output's activation is applied to, (N, classes), of points (N, F)."""

    def state(self) -> dict[str, Any]:
        """All that the next epoch hangs on, as arrays of its own."""

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` returned in this lane."""


class TrainingGroup(Protocol):
    """Networks in training together: of one layout, on the same data, with plans of one `key`.

    A member is known by its place in what the group was begun with. Its bits hang on no other member.
    """

    def epoch(self, numbers: Mapping[int, int]) -> Iterator[tuple[int, EpochPart]]:
        """For each member that `numbers` names one pass over the data, the how-manieth from 1 says its number there.

        A member's parts come in order, those of several in any. After its last part its outputs and state are those of the
        epoch's end. Whoever leaves it between two of them leaves it for good.
        """

    def stop(self, member: int) -> None:
        """Train a member no further, be it amid an epoch: no part of it comes after the call, which may come from any thread."""

    def outputs(self, member: int, points: Numbers) -> Numbers:
        """As `Training.outputs`, of a member."""

    def state(self, member: int) -> dict[str, Any]:
        """As `Training.state`, of a member: what any training or group of this lane can go on from."""

    def restore(self, member: int, state: dict[str, Any]) -> None:
        """Have a member go on from what `state` returned in this lane."""


def initial(layout: Layout, seed: int) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Weights (inputs, outputs) and biases (outputs,) of each layer: Glorot uniform and 0, as Keras does."""
    layers = []
    for number, (low, high) in enumerate(pairwise(layout.sizes)):
        bits = np.random.PCG64(derive_seed(seed, "init", number)).random_raw(low * high)
        unit = (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53  # [0, 1), as NumPy's own doubles are made
        bound = math.sqrt(6 / (low + high))
        layers.append(((2 * unit - 1).reshape(low, high) * bound, np.zeros(high)))
    return layers


def order_keys(seed: int, epoch: int, count: int) -> Words:
    """Random words (count,): sorted, equal ones by place, they give the epoch's order."""
    keys: Words = np.random.PCG64(derive_seed(seed, "shuffle", epoch)).random_raw(count)
    return keys


def dropout_key(seed: int, epoch: int, layer: int) -> tuple[int, int]:
    """The key of a layer's Philox stream in an epoch."""
    return derive_seed(seed, "dropout", epoch, layer), 0


def kept(key: tuple[int, int], places: int, units: int, threshold: int, begin: int = 0) -> NDArray[np.bool_]:
    """Which values (places, units) dropout keeps, of the points at `places` places of an epoch's order, from `begin` on.

    Each is 16 bits of Philox 4x64 (Salmon et al., 2011); a point's values are a whole number of its blocks of 256 bits.
    """
    blocks = math.ceil(units / 16)
    stream = np.random.Philox(key=np.array(key, dtype=np.uint64), counter=begin * blocks)
    words = stream.random_raw(places * blocks * 4)
    drawn = words.astype("<u8").view("<u2").reshape(places, blocks * 16)
    mask: NDArray[np.bool_] = drawn[:, :units] >= threshold
    return mask


def parts(count: int, batch_size: int) -> list[EpochPart]:
    """The parts of an epoch over `count` points, of equal numbers of steps but for the last."""
    steps = math.ceil(count / batch_size)
    every = math.ceil(steps / REPORTS)
    ends = [*range(every, steps, every), steps]
    return [
        EpochPart(begin * batch_size, min(end * batch_size, count), end, steps)
        for begin, end in zip([0, *ends], ends, strict=False)
    ]
