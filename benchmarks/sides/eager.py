"""The training of the peers' trials, as PyTorch's tutorials write it, but on tensors that are sliced: no data loader."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

RATES = [10 ** (-4 + 2 * index / 15) for index in range(16)]  # 0.0001 to 0.01


def points(folder: str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Points and labels to train on, then those to score on."""
    with np.load(Path(folder, "points.npz")) as arrays:
        train_x, train_y, dev_x, dev_y = (torch.from_numpy(arrays[name]) for name in ("train_x", "train_y", "dev_x", "dev_y"))
    return train_x, train_y, dev_x, dev_y


class Training:
    """A perceptron 2-64-32-16-2 with Adam."""

    def __init__(self, learning_rate: float, batch: int) -> None:
        torch.manual_seed(0)
        self._batch = batch
        self._network = nn.Sequential(
            nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2)
        )
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=learning_rate)
        self._loss_of = nn.CrossEntropyLoss()

    def epoch(self, x: torch.Tensor, y: torch.Tensor) -> None:
        """One epoch, in a new order."""
        for rows in torch.randperm(len(x)).split(self._batch):
            self._optimizer.zero_grad()
            self._loss_of(self._network(x[rows]), y[rows]).backward()
            self._optimizer.step()

    def accuracy(self, x: torch.Tensor, y: torch.Tensor) -> float:
        """The share of points whose class is found."""
        with torch.no_grad():
            return float((self._network(x).argmax(1) == y).float().mean())

    def save(self, path: Path) -> None:
        """Write the network and the optimizer."""
        torch.save((self._network.state_dict(), self._optimizer.state_dict()), path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        network, optimizer = torch.load(path)
        self._network.load_state_dict(network)
        self._optimizer.load_state_dict(optimizer)
