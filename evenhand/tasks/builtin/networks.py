"""The ConvNet and the ConvNet with LSTM in PyTorch, and the loop that trains them.

On the processor the numbers are the same bit for bit for a seed: one thread; initial weights, order, augmentation and dropout
come from streams of the seed and the epoch, never of the batch size.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from evenhand.model.configuration import Configuration
from evenhand.model.rules import derive_seed
from evenhand.tasks.builtin import black_magic
from evenhand.tasks.builtin.convlstm import Windows
from evenhand.tasks.builtin.training import SCORE_BATCH, Losses, order_of
from evenhand.tasks.run import Run

MOST_VALUES = 1 << 26  # that a network computes at once; a batch that needs more is computed in pieces
# What the paper's spaces do not tune, as PyTorch has it:
PYTORCH_VALUES: dict[str, dict[str, float]] = {
    "adam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
    "adadelta": {"rho": 0.9, "epsilon": 1e-6},
    "asgd": {"lambd": 1e-4, "alpha": 0.75},
    "rmsprop": {"alpha": 0.99, "epsilon": 1e-8},
    "sgd": {},
    "adagrad": {},
}


class Exponential(nn.Module):
    """e to the power of each value, as Keras's activation of that name."""

    def forward(self, values: Tensor) -> Tensor:
        """Any shape to the same."""
        return values.exp()


MODULES: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "exponential": Exponential,
}


class Dropout(nn.Module):
    """Dropout whose masks come from a stream of its own, drawn on the processor and so the same on every device."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.stream = torch.Generator()

    def forward(self, values: Tensor) -> Tensor:
        """A part of `share` of the values becomes 0 in training, the others grow so that the mean stays."""
        if not self.training or not self.share:
            return values
        kept = torch.rand(values.shape, generator=self.stream) >= self.share
        return values * kept.to(values.device) / (1 - self.share)


def restart(network: nn.Module, seed: int) -> None:
    """Begin every dropout's stream anew, as is done before each epoch."""
    for place, module in enumerate(layer for layer in network.modules() if isinstance(layer, Dropout)):
        module.stream.manual_seed(derive_seed(seed, place))


def initialised(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """What `build` returns, with PyTorch's own initial weights, by `seed` only; the global stream is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


def convnet(configuration: Configuration, size: int, classes: int) -> nn.Sequential:
    """The network that `convnet.shapes` describes: (N, 3, size, size) to scores (N, classes)."""
    layers: list[nn.Module] = []
    channels, length = 3, size
    for n in range(1, int(configuration["conv_layers"]) + 1):
        filters, kernel, pool = (int(configuration[f"{name}_{n}"]) for name in ("filters", "kernel", "pool"))
        same = configuration["padding"] == "same"
        if same:  # an even kernel has one more row below and one more column to the right
            layers.append(nn.ZeroPad2d(((kernel - 1) // 2, kernel // 2) * 2))
        layers += [nn.Conv2d(channels, filters, kernel), *_after(configuration, "conv", n, nn.MaxPool2d(pool), pool)]
        length = (length if same else length - kernel + 1) // pool
        channels = filters
    whole = nn.Sequential(*layers, nn.Flatten(), *_dense(configuration, channels * length**2, classes))
    for module in whole:
        if isinstance(module, nn.Conv2d):  # pooling and large batches are quicker so
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
    return whole


def _after(configuration: Configuration, kind: str, n: int, pooling: nn.Module | None = None, pool: int = 1) -> list[nn.Module]:
    """What follows the sums of layer `n`: its activation, pooling and dropout."""
    layers = [MODULES[str(configuration[f"{kind}_activation_{n}"])]()]
    if pooling is not None and pool > 1:
        layers.append(pooling)
    share = configuration.number(f"{kind}_dropout_{n}")
    return [*layers, Dropout(share)] if share else layers


def _dense(configuration: Configuration, inputs: int, classes: int) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for n in range(1, int(configuration["dense_layers"]) + 1):
        units = int(configuration[f"units_{n}"])
        layers += [nn.Linear(inputs, units), *_after(configuration, "dense", n)]
        inputs = units
    return [*layers, nn.Linear(inputs, classes)]


class ConvLstm(nn.Module):
    """The network that `convlstm.shapes` describes: (N, channels, samples) to scores (N, classes)."""

    def __init__(self, configuration: Configuration, windows: Windows, classes: int) -> None:
        super().__init__()
        self.windows = windows
        layers: list[nn.Module] = []
        channels, length = windows.channels, windows.length
        for n in range(1, int(configuration["conv_layers"]) + 1):
            filters, kernel, pool = (int(configuration[f"{name}_{n}"]) for name in ("filters", "kernel", "pool"))
            same = configuration["padding"] == "same"
            if same:
                layers.append(nn.ConstantPad1d(((kernel - 1) // 2, kernel // 2), 0.0))
            layers += [nn.Conv1d(channels, filters, kernel), *_after(configuration, "conv", n, nn.MaxPool1d(pool), pool)]
            length = (length if same else length - kernel + 1) // pool
            channels = filters
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        self.recurrent, self.dropouts = nn.ModuleList(), nn.ModuleList()
        inputs = channels * length
        for n in range(1, int(configuration["lstm_layers"]) + 1):
            hidden = int(configuration[f"hidden_{n}"])
            self.recurrent.append(nn.LSTM(inputs, hidden, batch_first=True))
            self.dropouts.append(Dropout(configuration.number(f"lstm_dropout_{n}")))
            inputs = hidden
        self.last = nn.Linear(inputs, classes)

    def forward(self, signals: Tensor) -> Tensor:
        """(N, channels, samples) to scores (N, classes)."""
        cut = signals.unfold(2, self.windows.length, self.windows.hop).transpose(1, 2)  # (N, windows, channels, length)
        values = self.convolutions(cut.flatten(0, 1)).unflatten(0, cut.shape[:2])
        for layer, dropout in zip(self.recurrent, self.dropouts, strict=True):
            values = dropout(layer(values)[0])
        scores: Tensor = self.last(values[:, -1])
        return scores


class SignalFeed:
    """Signals (N, channels, samples), normalised by the mean and deviation of each channel; never changed at random."""

    def __init__(
        self,
        signals: NDArray[np.float32],
        labels: NDArray[np.int64],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        where: torch.device,
    ) -> None:
        self.signals = torch.from_numpy(signals).to(where)
        self.labels = torch.from_numpy(labels).to(where)
        self._mean, self._std = (
            torch.tensor(statistic, dtype=torch.float32, device=where).view(1, -1, 1) for statistic in (mean, std)
        )

    def begin(self, seed: int, epoch: int) -> None:
        """Nothing is drawn."""

    def inputs(self, rows: Tensor, training: bool) -> Tensor:
        """The signals `rows`, normalised."""
        return (self.signals.index_select(0, rows) - self._mean) / self._std


class ExampleFeed(Protocol):
    """Examples on their way into a network."""

    @property
    def labels(self) -> Tensor:
        """Class numbers (N,)."""

    def begin(self, seed: int, epoch: int) -> None:
        """Draw how the examples are changed in an epoch of training."""

    def inputs(self, rows: Tensor, training: bool) -> Tensor:
        """The examples `rows`, normalised, as the network takes them; changed at random where it is training."""


@dataclass(frozen=True)
class NetworkPlan:
    """How to train. values: the numbers that the network computes for one example."""

    epochs: int
    batch_size: int
    values: int


def optimizer_of(configuration: Configuration, network: nn.Module) -> torch.optim.Optimizer:
    """The optimizer and learning rate of a configuration; all else as PyTorch has it."""
    whole = Configuration({**PYTORCH_VALUES[str(configuration["optimizer"])], **configuration})
    return black_magic.optimizer_of(whole, list(network.parameters()))


def fit(
    network: nn.Module,
    configuration: Configuration,
    feed_of: Callable[[Any, NDArray[np.int64]], ExampleFeed],
    values: int,
    run: Run,
    where: torch.device,
) -> None:
    """Train for the configuration's epochs; reports each batch's loss, after each epoch its mean, the accuracy, the error rate.

    feed_of: (X, y) of a split to a Feed. values: the numbers that the network computes for one example.
    """
    plan = NetworkPlan(int(configuration["epochs"]), int(configuration["batch_size"]), values)
    network.to(where)
    optimizer = optimizer_of(configuration, network)
    loss_of = partial(black_magic.loss_of, str(configuration["loss"]))
    feed, losses = feed_of(*run.train), Losses(run, where)
    step = 0
    if (kept := run.restore()) is not None:
        network.load_state_dict(kept["network"])
        optimizer.load_state_dict(kept["optimizer"])
        step = kept["step"]
    run.keep(lambda: {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step})
    for epoch in range(run.completed_epochs + 1, plan.epochs + 1):
        network.train()
        restart(network, derive_seed(run.seed, "dropout", epoch))
        feed.begin(run.seed, epoch)
        for rows in order_of(run.seed, epoch, len(feed.labels)).to(where).split(plan.batch_size):
            step += 1
            losses.add(step, len(rows), _step(network, optimizer, loss_of, feed, rows, plan))
        mean = losses.epoch_mean()
        score = run.score(lambda x: predict(network, feed_of(x, np.zeros(len(x), np.int64)), plan))
        run.report(step=step, epoch=epoch, loss=mean, accuracy=score, error_rate=1 - score)


def _step(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    feed: ExampleFeed,
    rows: Tensor,
    plan: NetworkPlan,
) -> Tensor:
    """One step on one batch, computed in pieces that fit into memory; returns its mean loss."""
    optimizer.zero_grad(set_to_none=True)
    total = torch.zeros((), device=rows.device)
    for piece in rows.split(max(1, MOST_VALUES // plan.values)):
        loss = loss_of(network(feed.inputs(piece, True)), feed.labels.index_select(0, piece)) * (len(piece) / len(rows))
        loss.backward()
        total += loss.detach()
    optimizer.step()
    return total


def predict(network: nn.Module, feed: ExampleFeed, plan: NetworkPlan) -> NDArray[np.int64]:
    """The most likely class of each example; the network stays in scoring mode."""
    network.eval()
    at_once = max(1, min(SCORE_BATCH, MOST_VALUES // plan.values))
    with torch.inference_mode():
        rows = torch.arange(len(feed.labels), device=feed.labels.device).split(at_once)
        predictions = [network(feed.inputs(piece, False)).argmax(1) for piece in rows]
    classes: NDArray[np.int64] = torch.cat(predictions).cpu().numpy()
    return classes
