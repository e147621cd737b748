"""Multilayer perceptrons in PyTorch: the network, its losses, and a training loop for points that lie in memory.

On the processor always, on one thread: these networks are too small for a GPU to be quicker, and here the numbers repeat bit
for bit. Initial weights, order and dropout come from streams of the seed, the epoch and a point's place in it, never of the
batch size.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from evenhand.protocol import derive_seed
from evenhand.tasks.mixtures import Labels, Numbers
from evenhand.tasks.run import Run
from evenhand.tasks.training import order_of

REPORTS = 20  # of the loss in an epoch, each the mean over a twentieth of it
SCORE_BATCH = 8192
EPSILON = 1e-7  # below which binary cross entropy takes no logarithm, as in Keras
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "exponential": torch.exp,
}


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


@dataclass(frozen=True)
class Plan:
    """How to train: the loss and optimizer by name, the learning rate, points a step, passes over the data."""

    loss: str
    optimizer: str
    learning_rate: float
    batch_size: int
    epochs: int


class Dropout(nn.Module):
    """Dropout whose bits are 32 for each value, in the order of points, from a stream that is begun anew each epoch."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.stream = np.random.PCG64(0)

    def forward(self, values: Tensor) -> Tensor:
        """(N, units): a share of the values 0, the others made larger by as much; unchanged outside training."""
        if not self.training or self.rate == 0:
            return values
        count, units = values.shape
        words = self.stream.random_raw(count * math.ceil(units / 2)).astype("<u8").view("<u4").reshape(count, -1)
        kept = torch.from_numpy(words[:, :units] >= self.rate * 2.0**32)
        return values * kept.to(values.dtype).mul_(1 / (1 - self.rate))


class Perceptron(nn.Module):
    """A multilayer perceptron without its output's activation, which `loss_of` and `outputs_of` apply."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.layout = layout
        sizes = (layout.features, *layout.units, layout.classes)
        self.layers = nn.ModuleList([nn.Linear(low, high) for low, high in pairwise(sizes)])
        self.dropouts = nn.ModuleList([Dropout(layout.dropout) for _ in layout.units])
        self.activations = [ACTIVATIONS[name] for name in layout.activations]

    def forward(self, points: Tensor) -> Tensor:
        """(N, features) to what the output's activation is applied to (N, classes)."""
        values = points
        for layer, activation, dropout in zip(self.layers, self.activations, self.dropouts, strict=False):
            values = dropout(activation(layer(values)))
        found: Tensor = self.layers[-1](values)
        return found

    def restart(self, seed: int, epoch: int) -> None:
        """Begin the dropouts' streams anew, as is done before each epoch."""
        for number, dropout in enumerate(self.dropouts):
            assert isinstance(dropout, Dropout)
            dropout.stream = np.random.PCG64(derive_seed(seed, "dropout", epoch, number))

    def flatten(self) -> nn.Parameter:
        """All weights and their gradients as one vector each, which an optimizer steps at once: quicker than layer by layer."""
        parts = list(self.parameters())
        flat = nn.Parameter(torch.cat([each.data.flatten() for each in parts]))
        flat.grad = torch.zeros_like(flat)
        start = 0
        for each in parts:
            rows = slice(start, start + each.numel())
            each.data, each.grad = flat.data[rows].view_as(each), flat.grad[rows].view_as(each)
            start += each.numel()
        return flat


def build(layout: Layout, seed: int) -> Perceptron:
    """The network with its initial weights, by `seed` only: Glorot uniform and biases 0, as Keras does."""
    network = Perceptron(layout)
    generator = torch.Generator().manual_seed(seed)
    for layer in network.layers:
        assert isinstance(layer, nn.Linear)
        nn.init.xavier_uniform_(layer.weight, generator=generator)
        nn.init.zeros_(layer.bias)
    return network


def outputs_of(raw: Tensor, output: str) -> Tensor:
    """The outputs (N, classes) that `raw` (N, classes) gives under the output's activation."""
    if output == "softmax":
        return functional.softmax(raw, 1)
    return torch.sigmoid(raw) if output == "sigmoid" else raw


def loss_of(name: str, output: str, raw: Tensor, labels: Tensor) -> Tensor:
    """The mean loss of `raw` (B, classes) under the output's activation, against labels (B,).

    Cross entropy takes outputs as chances: softmax as it is, linear after a softmax (as PyTorch does), sigmoid divided by the sum
    (as Keras does). Mean squared and binary cross entropy compare each output with 1 for the right class and 0 for the others.
    """
    if name in ("cross_entropy", "nll"):
        if output == "sigmoid":
            raw = functional.logsigmoid(raw)  # their softmax is each sigmoid's share of the sum
        return functional.cross_entropy(raw, labels)
    targets = functional.one_hot(labels, raw.shape[1]).to(raw.dtype)
    if name == "mse":
        return functional.mse_loss(outputs_of(raw, output), targets)
    if output == "sigmoid":
        return functional.binary_cross_entropy_with_logits(raw, targets)
    # By hand, since PyTorch's own raises where outputs are not numbers, and a training that diverged is to say that it did.
    others = torch.log((1 - functional.softmax(raw, 1)).clamp(min=EPSILON))
    return -torch.mean(targets * functional.log_softmax(raw, 1) + (1 - targets) * others)


def optimizer_of(name: str, weights: list[nn.Parameter], rate: float) -> optim.Optimizer:
    """The optimizer called `name`, its settings but the learning rate as PyTorch has them."""
    kinds: Mapping[str, Callable[..., optim.Optimizer]] = {
        "adam": optim.Adam,
        "nadam": optim.NAdam,
        "rmsprop": optim.RMSprop,
        "sgd": optim.SGD,
        "adagrad": optim.Adagrad,
        "adadelta": optim.Adadelta,
    }
    return kinds[name](weights, lr=rate)


def fit(layout: Layout, plan: Plan, run: Run) -> Perceptron:
    """Train for the planned epochs; reports the loss as often as `REPORTS` says and after each epoch its mean and the score.

    An evaluation is scored after its last epoch only, so that test data is looked at once.
    """
    torch.set_num_threads(1)
    points, labels = run.train
    data = torch.from_numpy(np.array(points, dtype=np.float32)), torch.from_numpy(np.array(labels, dtype=np.int64))
    network = build(layout, derive_seed(run.seed, "init"))
    weights = network.flatten()
    optimizer = optimizer_of(plan.optimizer, [weights], plan.learning_rate)
    if (kept := run.restore()) is not None:
        weights.data.copy_(kept["weights"])
        optimizer.load_state_dict(kept["optimizer"])
    run.keep(lambda: {"weights": weights.detach().clone(), "optimizer": optimizer.state_dict()})
    steps = math.ceil(len(labels) / plan.batch_size)
    for epoch in range(run.completed_epochs + 1, plan.epochs + 1):
        mean = _one_epoch(network, weights, optimizer, plan, run, data, epoch)
        if run.evaluation and epoch < plan.epochs:
            run.report(step=steps * epoch, epoch=epoch, loss=mean)
        else:
            score = run.score(lambda x: predict(network, x))
            run.report(step=steps * epoch, epoch=epoch, loss=mean, **{run.task.metric: score})
    return network


def _one_epoch(
    network: Perceptron,
    weights: nn.Parameter,
    optimizer: optim.Optimizer,
    plan: Plan,
    run: Run,
    data: tuple[Tensor, Tensor],
    epoch: int,
) -> float:
    """One pass over all points in the epoch's order; the last batch may be smaller. Returns the mean loss over the points."""
    network.train()
    network.restart(run.seed, epoch)
    order = order_of(run.seed, epoch, len(data[1]))
    batches = list(zip(*(each[order].split(plan.batch_size) for each in data), strict=True))
    every, output = math.ceil(len(batches) / REPORTS), network.layout.output
    first, total, part, seen = (epoch - 1) * len(batches), 0.0, torch.zeros(()), 0
    assert weights.grad is not None
    for step, (points, labels) in enumerate(batches, start=1):
        weights.grad.zero_()
        loss = loss_of(plan.loss, output, network(points), labels)
        loss.backward()
        optimizer.step()
        part += loss.detach() * len(labels)
        seen += len(labels)
        if step % every == 0 or step == len(batches):
            total += part.item()
            run.report(step=first + step, loss=part.item() / seen)
            part, seen = torch.zeros(()), 0
    return total / len(order)


def predict(network: Perceptron, points: Numbers) -> Labels:
    """The class (N,) of the largest output at each of `points` (N, features); the network stays in scoring mode."""
    network.eval()
    values = torch.from_numpy(np.array(points, dtype=np.float32))
    with torch.inference_mode():
        found: Labels = torch.cat([network(part).argmax(1) for part in values.split(SCORE_BATCH)]).numpy()
    return found
