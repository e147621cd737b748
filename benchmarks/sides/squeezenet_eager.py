"""SqueezeNet as PyTorch's tutorials train it: a data loader, images as N x C x H x W, float32, a thread a core.

The images are at hand as arrays of bytes, as torchvision's data sets keep them: nothing is decoded. `--workers` is the data
loader's setting; its default of 0 has the training's own process make the batches.
"""

import argparse
import json
import os
import statistics
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import ConcatDataset, DataLoader, Dataset

from evenhand.tasks.builtin import images, squeezenet
from evenhand.tasks.builtin.images import PreparedImages


class Photos(Dataset[tuple[Tensor, int]]):
    """A split, each image mirrored at random (where `mirror` says so) and normalised when it is asked for."""

    def __init__(self, prepared: PreparedImages, split: str, mirror: bool) -> None:
        pixels, self._labels = prepared.load(split)
        self._pixels, self._mirror = torch.from_numpy(np.array(pixels)), mirror
        self._mean = torch.tensor(prepared.mean).view(3, 1, 1)
        self._std = torch.tensor(prepared.std).view(3, 1, 1)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self._pixels[index].permute(2, 0, 1).float()
        if self._mirror and torch.rand(1) < 0.5:
            image = image.flip(2)
        return (image - self._mean) / self._std, int(self._labels[index])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=0, help="of the evaluation of one configuration; 0: trainings instead")
    parser.add_argument("--rates", default="3e-4", help="learning rates, each a training, with commas between")
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1: the least that runs")
    options = parser.parse_args()
    rates = [float(rate) for rate in options.rates.split(",")]
    if options.scale < 1:  # a smoke test
        options.epochs, rates, options.seeds = 1, rates[:1], min(options.seeds, 2)
    torch.set_num_threads(os.cpu_count() or 1)
    prepared = images.prepare("digits", options.size, 0)
    parts = ("train", "validation") if options.seeds else ("train",)
    learnt: ConcatDataset[tuple[Tensor, int]] = ConcatDataset([Photos(prepared, part, True) for part in parts])
    scored = Photos(prepared, "test" if options.seeds else "validation", False)
    runs: Sequence[tuple[int, float]] = (
        [(seed, rates[0]) for seed in range(options.seeds)] if options.seeds else [(0, rate) for rate in rates]
    )
    every = 0 if options.seeds else 1
    accuracies = [trained(learnt, scored, seed, rate, every, options) for seed, rate in runs]
    print(
        json.dumps(
            {
                "trainings": len(accuracies),
                "images": len(accuracies) * options.epochs * len(learnt),
                "accuracy": statistics.mean(accuracies),
            }
        )
    )


def trained(
    learnt: Dataset[tuple[Tensor, int]],
    scored: Photos,
    seed: int,
    rate: float,
    every: int,
    options: argparse.Namespace,
) -> float:
    """The accuracy after the last epoch; `every` 1 scores after the others, too."""
    torch.manual_seed(seed)
    network = squeezenet.build(10, last_relu=False, seed=seed)
    network.dropout = nn.Dropout(0.5)  # type: ignore[assignment]
    for parameter in network.parameters():
        parameter.data = parameter.data.contiguous(memory_format=torch.contiguous_format)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, eps=1e-5)
    loss_of = nn.CrossEntropyLoss()
    loader = DataLoader(learnt, options.batch, shuffle=True, num_workers=options.workers)
    checked = DataLoader(scored, options.batch, num_workers=options.workers)
    accuracy = 0.0
    for epoch in range(options.epochs):
        network.train()
        for inputs, labels in loader:
            optimizer.zero_grad()
            loss = loss_of(network(inputs), labels)
            loss.backward()
            optimizer.step()
        if every or epoch == options.epochs - 1:
            accuracy = score(network, checked)
    return accuracy


def score(network: nn.Module, checked: DataLoader[tuple[Tensor, int]]) -> float:
    """The share of images whose class is found."""
    network.eval()
    right = count = 0
    with torch.no_grad():
        for inputs, labels in checked:
            right += int((network(inputs).argmax(1) == labels).sum())
            count += len(labels)
    return right / count


if __name__ == "__main__":
    main()
