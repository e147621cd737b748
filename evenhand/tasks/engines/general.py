"""The general lane: PyTorch step by step, its own gradients and optimizers. The reference of the other lanes.

On the processor, on one thread: these networks are too small for a GPU to be quicker, and here the numbers repeat bit for bit.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn, optim
from torch.nn import functional

from evenhand.tasks.engines import base
from evenhand.tasks.engines.base import EpochPart, LabelledPoints, Layout, Numbers, TrainingPlan

SCORE_BATCH = 8192
PRECISIONS = {"fp32": torch.float32, "fp64": torch.float64}
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "exponential": torch.exp,
}
OPTIMIZERS: Mapping[str, Callable[..., optim.Optimizer]] = {
    "adam": optim.Adam,
    "nadam": optim.NAdam,
    "rmsprop": optim.RMSprop,
    "sgd": optim.SGD,
    "adagrad": optim.Adagrad,
    "adadelta": optim.Adadelta,
}


def begin(layout: Layout, plan: TrainingPlan, seed: int, data: LabelledPoints, precision: str) -> "GeneralTraining":
    """A network with its initial weights, which hang on `seed` alone."""
    return GeneralTraining(layout, plan, seed, data, precision)


def loss_of(name: str, output: str, raw: Tensor, labels: Tensor) -> Tensor:
    """The mean loss of `raw` (B, classes) under the output's activation, against labels (B,); see `base.Plan`."""
    if name in ("cross_entropy", "nll"):
        if output == "sigmoid":
            raw = functional.logsigmoid(raw)  # their softmax is each sigmoid's share of the sum
        return functional.cross_entropy(raw, labels)
    targets = functional.one_hot(labels, raw.shape[1]).to(raw.dtype)
    if name == "mse":
        outputs = functional.softmax(raw, 1) if output == "softmax" else torch.sigmoid(raw) if output == "sigmoid" else raw
        return functional.mse_loss(outputs, targets)
    if output == "sigmoid":
        return functional.binary_cross_entropy_with_logits(raw, targets)
    # By hand, since PyTorch's own raises where outputs are not numbers, and a training that diverged is to say that it did.
    others = torch.log((1 - functional.softmax(raw, 1)).clamp(min=base.LEAST_CHANCE))
    return -torch.mean(targets * functional.log_softmax(raw, 1) + (1 - targets) * others)


class GeneralTraining:
    """See `base.Training`."""

    def __init__(self, layout: Layout, plan: TrainingPlan, seed: int, data: LabelledPoints, precision: str) -> None:
        torch.set_num_threads(1)
        self.layout, self.plan, self.seed = layout, plan, seed
        dtype = PRECISIONS[precision]
        self._points = torch.from_numpy(np.array(data.points)).to(dtype)
        self._labels = torch.from_numpy(np.array(data.labels, dtype=np.int64))
        drawn = [torch.from_numpy(array).to(dtype) for pair in base.initial(layout, seed) for array in pair]
        # All weights and their gradients are one vector each, which the optimizer steps at once: quicker than layer by layer.
        self._flat = nn.Parameter(torch.cat([part.flatten() for part in drawn]))
        self._flat.grad = torch.zeros_like(self._flat)
        self._optimizer = OPTIMIZERS[plan.optimizer]([self._flat], lr=plan.learning_rate)
        self._layers: list[tuple[Tensor, Tensor]] = []
        start = 0
        for at, tensor in enumerate(drawn):
            rows = slice(start, start + tensor.numel())
            leaf = self._flat.data[rows].view_as(tensor).requires_grad_()
            leaf.grad = self._flat.grad[rows].view_as(tensor)
            start += tensor.numel()
            if at % 2:
                self._layers[-1] = self._layers[-1][0], leaf
            else:
                self._layers.append((leaf, leaf))

    def _raw(self, values: Tensor, masks: Sequence[Tensor | None]) -> Tensor:
        for (weights, biases), name, mask in zip(self._layers[:-1], self.layout.activations, masks, strict=True):
            values = ACTIVATIONS[name](torch.addmm(biases, values, weights))
            values = values if mask is None else values * mask
        weights, biases = self._layers[-1]
        return torch.addmm(biases, values, weights)

    def _masks(self, number: int, count: int) -> list[Tensor | None]:
        """What each layer's values are multiplied by, (N, units), in the epoch's order."""
        threshold = self.layout.threshold
        if not threshold:
            return [None] * len(self.layout.units)
        masks: list[Tensor | None] = []
        for layer, units in enumerate(self.layout.units):
            kept = base.kept(base.dropout_key(self.seed, number, layer), count, units, threshold)
            masks.append(torch.from_numpy(kept).to(self._flat.dtype) * (base.CHANCES / (base.CHANCES - threshold)))
        return masks

    def epoch(self, number: int) -> Iterator[EpochPart]:
        count, size = len(self._labels), self.plan.batch_size
        order = torch.from_numpy(np.argsort(base.order_keys(self.seed, number, count), kind="stable"))
        points, labels, masks = self._points[order], self._labels[order], self._masks(number, count)
        gradient = self._flat.grad
        assert gradient is not None
        for part in base.parts(count, size):
            total = torch.zeros((), dtype=torch.float64)
            for begin in range(part.begin, part.end, size):
                rows = slice(begin, min(begin + size, part.end))
                gradient.zero_()
                raw = self._raw(points[rows], [None if mask is None else mask[rows] for mask in masks])
                loss = loss_of(self.plan.loss, self.layout.output, raw, labels[rows])
                loss.backward()
                self._optimizer.step()
                total += loss.detach() * len(raw)
            yield part.lost(total.item())

    def outputs(self, points: Numbers) -> Numbers:
        with torch.inference_mode():
            parts = torch.from_numpy(np.array(points)).to(self._flat.dtype).split(SCORE_BATCH)
            scores: Numbers = torch.cat([self._raw(part, [None] * len(self.layout.units)) for part in parts]).numpy()
        return scores

    def state(self) -> dict[str, Any]:
        return {"weights": self._flat.detach().clone(), "optimizer": copy.deepcopy(dict(self._optimizer.state[self._flat]))}

    def restore(self, state: dict[str, Any]) -> None:
        self._flat.data.copy_(state["weights"])
        # Not by `load_state_dict`, which changes the precision of what PyTorch keeps in another one than the weights'.
        self._optimizer.state[self._flat] = copy.deepcopy(state["optimizer"])
