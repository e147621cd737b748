"""The stacked lane: networks of one layout as stacked arrays, trained together by PyTorch with gradients written by hand.

One call works on all members at once, so that what a call costs is shared. A member's bits hang on no other member: each product
of matrices is one of a batch (`torch.bmm`), whose arrays all begin at a multiple of 64 bytes, since the kernels of some libraries
choose their way by that; and whatever works number by number does so on whole vectors, since at an array's end exponentials may be
others. So arrays are padded: units and points by nothing that counts.

Values lie by member, unit and point, (K, units, B): so the points, which are many, fill the vectors. Biases are a row of
the weights, of an input that is always one.

The same code runs on a GPU, where a step is captured once as a graph; what is said of bits was tested on processors only.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from evenhand.lanes import base
from evenhand.lanes.base import Data, Layout, Numbers, Part, Plan

PRECISIONS = {"fp32": torch.float32, "fp64": torch.float64}
ROWS, POINTS, VECTORS = 4, 16, 64  # what units, points and whole arrays are padded to: ROWS * POINTS numbers are whole vectors
AT_ONCE = 1 << 16  # points of all members whose dropout is drawn at a time
SCORE_BATCH = 2048
MEMBERS_ON_GPU = 1000
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
    "exponential": torch.exp_,
}
ONE = {"relu": 1.0, "tanh": 40.0, "sigmoid": 100.0, "exponential": 0.0}  # what each makes exactly one of
Coefficients = Sequence[Any]  # of a step: floats, or tensors of one number


def begin(layout: Layout, plan: Plan, seed: int, data: Data, precision: str) -> "Training":
    """A network with its initial weights, which hang on `seed` alone: a group of one."""
    return Training(begin_group(layout, [plan], [seed], data, precision))


def begin_group(
    layout: Layout, plans: Sequence[Plan], seeds: Sequence[int], data: Data, precision: str, device: str = "cpu"
) -> "Group":
    """Networks with their initial weights, each of which hang on its seed alone; the plans are of one `groups.key`."""
    return Group(layout, plans, seeds, data, precision, device)


def group_size(batch_size: int, device: str = "cpu") -> int:
    """How many members make a group quick: on a processor as many as stay in its cache."""
    return MEMBERS_ON_GPU if device != "cpu" else min(max(2048 // batch_size, 4), 64)


# Arrays


def _padded(count: int, to: int) -> int:
    return -count % to + count


class Room(NamedTuple):
    """Numbers (K, rows, columns), and the same with the padding after them: whole vectors, for what works number by number."""

    values: Tensor
    flat: Tensor


def room(members: int, rows: int, columns: int, like: Tensor) -> Room:
    """Zeros, of the precision and on the device of `like`."""
    count = members * rows * columns
    flat = like.new_zeros(_padded(count, VECTORS))
    return Room(flat[:count].view(members, rows, columns), flat)


def _rows(layout: Layout) -> tuple[int, ...]:
    """Of each layer's inputs, with the one and padding; last of the outputs, which have no one."""
    return (*(_padded(size + 1, ROWS) for size in layout.sizes[:-1]), _padded(layout.classes, ROWS))


class Weights:
    """All weights of `members` networks and what an optimizer keeps of them: one vector each, layer by layer, then by member.

    layers: views (K, inputs with the one, outputs with the one). rates: each weight's learning rate, 0 for what is padding.
    """

    def __init__(self, layout: Layout, members: int, dtype: torch.dtype, device: str) -> None:
        self.shapes = tuple(pairwise(_rows(layout)))
        length = _padded(members * sum(low * high for low, high in self.shapes), VECTORS)
        kinds = torch.zeros(7, length, dtype=dtype, device=device)
        self.weights, self.gradients, self.first, self.second, self.rates, self.spare, self.other = kinds
        self.members = members
        self.layers, self.slopes = self.views(self.weights), self.views(self.gradients)

    def views(self, flat: Tensor) -> list[Tensor]:
        """Of each layer (K, inputs, outputs)."""
        sizes = [self.members * low * high for low, high in self.shapes]
        return [
            part.view(self.members, low, high)
            for part, (low, high) in zip(flat.split([*sizes, len(flat) - sum(sizes)])[:-1], self.shapes, strict=True)
        ]

    def write(self, member: int, flat: Tensor, numbers: Tensor) -> None:
        """Copy a member's `numbers`, layer by layer, to its places in `flat`."""
        start = 0
        for view in self.views(flat):
            count = view[member].numel()
            view[member] = numbers[start : start + count].view(view.shape[1:])
            start += count

    def read(self, member: int, flat: Tensor) -> Tensor:
        """A member's numbers in `flat`, layer by layer, in an array of their own."""
        return torch.cat([view[member].flatten() for view in self.views(flat)])


def _initial(layout: Layout, seed: int) -> Tensor:
    """A member's weights (P,): `base.initial` with the padding, and for each layer a unit that makes the one of the next."""
    found = []
    pairs = zip(base.initial(layout, seed), pairwise(_rows(layout)), (*layout.activations, None), strict=True)
    for (weights, biases), (low, high), activation in pairs:
        inputs, outputs = weights.shape
        padded = np.zeros((low, high))
        padded[:inputs, :outputs], padded[inputs, :outputs] = weights, biases
        if activation is not None:
            padded[inputs, outputs] = ONE[activation]
        found.append(padded.ravel())
    return torch.from_numpy(np.concatenate(found))


def _trained(layout: Layout) -> Tensor:
    """1 for each of a member's numbers that is a weight, 0 for what is padding."""
    found = []
    for (inputs, outputs), (low, high) in zip(pairwise(layout.sizes), pairwise(_rows(layout)), strict=True):
        padded = np.zeros((low, high))
        padded[: inputs + 1, :outputs] = 1
        found.append(padded.ravel())
    return torch.from_numpy(np.concatenate(found))
