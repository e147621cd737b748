"""The one training loop for networks in PyTorch: data resident as uint8, no loader processes, every random number derived.

For a given seed, precision and kind of machine the numbers are the same bit for bit on the processor: one thread, and
initialisation, order, mirroring and dropout come from streams of the seed and the epoch, never of the batch size. On a GPU the
same code runs, but some of PyTorch's kernels there (the gradient of max pooling) may add in varying order.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from evenhand.model.rules import derive_seed
from evenhand.tasks.precision import Precision
from evenhand.tasks.readers import Pixels
from evenhand.tasks.run import Run

READ_EVERY = 0.1  # seconds between readings of the losses on a GPU, each of which waits for its queue
SCORE_BATCH = 250


class Network(Protocol):
    """A module for images whose dropout can be restarted."""

    def __call__(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) to logits (N, classes)."""

    def train(self, mode: bool = True) -> object:
        """Switch between training and scoring."""

    def restart(self, seed: int) -> None:
        """Begin the dropout's random stream anew."""

    def state_dict(self) -> Any:
        """All weights."""

    def load_state_dict(self, state_dict: Any) -> object:
        """Take weights that `state_dict` gave."""


@dataclass(frozen=True)
class LoopPlan:
    """How to train: the settings of the task, and of the configuration what the loop itself needs."""

    epochs: int
    batch_size: int
    precision: Precision
    mirror: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]


def device() -> torch.device:
    """The GPU where there is one, else the processor with one thread."""
    torch.set_num_threads(1)
    if torch.cuda.is_available():
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        return torch.device("cuda")
    return torch.device("cpu")


def raw_bits(seed: int, count: int) -> NDArray[np.uint64]:
    """`count` random 64-bit words, the same in every version of NumPy."""
    return np.random.PCG64(seed).random_raw(count)


def order_of(seed: int, epoch: int, count: int) -> Tensor:
    """The order of `count` examples in an epoch: a permutation that depends on the seed and the epoch only."""
    return torch.from_numpy(np.argsort(raw_bits(derive_seed(seed, "shuffle", epoch), count), kind="stable"))


def mirrored(seed: int, epoch: int, count: int) -> Tensor:
    """For each of `count` examples whether it is mirrored in an epoch, with equal chances."""
    return torch.from_numpy((raw_bits(derive_seed(seed, "augment", epoch), count) >> np.uint64(63)).astype(np.bool_))


class Images:
    """Images resident on the device as uint8 (N, H, W, 3), handed out as normalised channels-last batches."""

    def __init__(self, pixels: Pixels, labels: NDArray[np.int64], plan: LoopPlan, where: torch.device) -> None:
        self.pixels = torch.from_numpy(pixels).to(where)
        self.labels = torch.from_numpy(labels).to(where)
        self._input = torch.bfloat16 if plan.precision == "bf16" else torch.float32
        # One factor and one offset for each value of an image: long rows, which are added many times faster than rows of three.
        spots = pixels.shape[1] * pixels.shape[2]
        std = torch.tensor(plan.std, dtype=torch.float64)
        self._factor = (1 / std).repeat(spots).to(where, torch.float32)
        self._offset = (-torch.tensor(plan.mean, dtype=torch.float64) / std).repeat(spots).to(where, torch.float32)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, indices: Tensor, mirror: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Normalised images (B, 3, H, W) in channels-last order and labels (B,); `mirror` (B,) says which to mirror."""
        pixels = self.pixels.index_select(0, indices)
        if mirror is not None:
            pixels = torch.where(mirror.view(-1, 1, 1, 1), pixels.flip(2), pixels)
        values = pixels.view(len(indices), -1).to(torch.float32).mul_(self._factor).add_(self._offset)
        return values.to(self._input).view(pixels.shape).permute(0, 3, 1, 2), self.labels.index_select(0, indices)


class Losses:
    """Batch losses on their way to the run: at once from the processor, several together from a GPU."""

    def __init__(self, run: Run, where: torch.device) -> None:
        self._run = run
        self._at_once = where.type == "cpu"
        self._waiting: list[tuple[int, int, Tensor]] = []
        self._read_at = time.monotonic()
        self._sum = 0.0
        self._count = 0

    def add(self, step: int, count: int, loss: Tensor) -> None:
        """Take the mean loss of `count` examples at `step`; reports raise Stopped and Diverged from here."""
        self._waiting.append((step, count, loss.detach()))
        if self._at_once or time.monotonic() - self._read_at > READ_EVERY:
            self.flush()

    def flush(self) -> None:
        """Report every loss taken so far."""
        waiting, self._waiting = self._waiting, []
        values = torch.stack([loss for _, _, loss in waiting]).tolist() if waiting else []
        for (step, count, _), value in zip(waiting, values, strict=True):
            self._sum += value * count
            self._count += count
            self._run.report(step=step, loss=value)
        self._read_at = time.monotonic()

    def epoch_mean(self) -> float:
        """The mean loss over the examples since the last call."""
        self.flush()
        mean = self._sum / self._count
        self._sum, self._count = 0.0, 0
        return mean


def fit(
    network: Network,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    plan: LoopPlan,
    run: Run,
    where: torch.device,
) -> None:
    """Train for the planned epochs, reporting each batch's loss and after each epoch its mean loss and the run's score.

    loss_of: (logits (B, classes) float32, labels (B,)) to the batch's mean loss.
    """
    pixels, labels = run.train
    images = Images(pixels, labels, plan, where)
    losses = Losses(run, where)
    step = 0
    if (kept := run.restore()) is not None:
        network.load_state_dict(kept["network"])
        optimizer.load_state_dict(kept["optimizer"])
        step = kept["step"]
    run.keep(lambda: {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step})
    for epoch in range(run.completed_epochs + 1, plan.epochs + 1):
        step = _one_epoch(network, optimizer, loss_of, plan, run, images, losses, (epoch, step))
        mean = losses.epoch_mean()
        score = run.score(partial(predict, network, plan=plan, where=where))
        run.report(step=step, epoch=epoch, loss=mean, **{run.task.metric: score})


def _one_epoch(
    network: Network,
    optimizer: torch.optim.Optimizer,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    plan: LoopPlan,
    run: Run,
    images: Images,
    losses: Losses,
    at: tuple[int, int],
) -> int:
    """One pass over all images; the last batch may be smaller. at: (epoch, steps done); returns the steps done."""
    epoch, step = at
    where = images.pixels.device
    network.train()
    network.restart(derive_seed(run.seed, "dropout", epoch))
    order = order_of(run.seed, epoch, len(images)).to(where)
    mirror = mirrored(run.seed, epoch, len(images)).to(where) if plan.mirror else None
    for start in range(0, len(images), plan.batch_size):
        rows = slice(start, start + plan.batch_size)
        inputs, labels = images.batch(order[rows], None if mirror is None else mirror[rows])
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(_logits(network, inputs, plan), labels)
        loss.backward()
        optimizer.step()
        step += 1
        losses.add(step, len(labels), loss)
    return step


def _logits(network: Network, inputs: Tensor, plan: LoopPlan) -> Tensor:
    with torch.autocast(inputs.device.type, torch.bfloat16, enabled=plan.precision == "bf16"):
        logits = network(inputs)
    return logits.float()


def predict(network: Network, pixels: Pixels, plan: LoopPlan, where: torch.device) -> NDArray[np.int64]:
    """The most likely class of each of `pixels` (N, H, W, 3); the network stays in scoring mode."""
    images = Images(pixels, np.zeros(len(pixels), np.int64), plan, where)
    network.train(False)
    predictions = []
    with torch.inference_mode():
        for rows in torch.arange(len(pixels), device=where).split(SCORE_BATCH):
            inputs, _ = images.batch(rows)
            predictions.append(_logits(network, inputs, plan).argmax(1))
    classes: NDArray[np.int64] = torch.cat(predictions).cpu().numpy()
    return classes
