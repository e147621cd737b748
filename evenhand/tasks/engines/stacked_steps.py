"""The steps of the stacked lane: arrays of several networks, their optimizers and losses, and gradients written by hand.

One call works on all members at once, so that what a call costs is shared. A member's bits hang on no other member: each product
of matrices is one of a batch (`torch.bmm`) whose arrays all begin at a multiple of 64 bytes, since a library's kernels may choose
their way by that; and whatever works number by number does so on whole vectors, since a sigmoid at an array's end may have other
bits than one amid it. So arrays are padded: units and points by what counts for nothing.

Values lie by member, unit and point, (K, units, B): so the points, which are many, fill the vectors. Biases are a row of
the weights, of an input that is always one.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from evenhand.tasks.engines import base
from evenhand.tasks.engines.base import Layout, TrainingPlan

ROWS, POINTS, VECTORS = 4, 16, 64  # what units, points and whole arrays are padded to: ROWS * POINTS numbers are whole vectors
ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
    "exponential": torch.exp_,
}
INPUTS_OF_ONE = {"relu": 1.0, "tanh": 40.0, "sigmoid": 100.0, "exponential": 0.0}  # what each makes exactly one of
Coefficients = Sequence[Any]  # of a step: floats, or tensors of one number


# Arrays


def padded_to(count: int, to: int) -> int:
    """The least multiple of `to` that is no less than `count`."""
    return -count % to + count


class Room(NamedTuple):
    """Numbers (K, rows, columns), and the same with the padding after them: whole vectors, for what works number by number."""

    values: Tensor
    flat: Tensor


def room(members: int, rows: int, columns: int, like: Tensor) -> Room:
    """Zeros, of the precision and on the device of `like`."""
    count = members * rows * columns
    flat = like.new_zeros(padded_to(count, VECTORS))
    return Room(flat[:count].view(members, rows, columns), flat)


def rows_of(layout: Layout) -> tuple[int, ...]:
    """Of each layer's inputs, with the one and padding; last of the outputs, which have no one."""
    return (*(padded_to(size + 1, ROWS) for size in layout.sizes[:-1]), padded_to(layout.classes, ROWS))


class Weights:
    """All weights of `members` networks and what an optimizer keeps of them: one vector each, layer by layer, then by member.

    layers, slopes: views of the weights and their gradients (K, inputs with the one, outputs with the one); turned: those of the
    weights with inputs and outputs changed about. rates: each weight's learning rate, 0 for what is padding.
    """

    def __init__(self, layout: Layout, members: int, dtype: torch.dtype, device: str) -> None:
        self.shapes = tuple(pairwise(rows_of(layout)))
        length = padded_to(members * sum(low * high for low, high in self.shapes), VECTORS)
        kinds = torch.zeros(7, length, dtype=dtype, device=device)
        self.weights, self.gradients, self.first, self.second, self.rates, self.spare, self.other = kinds
        self.members = members
        self.layers, self.slopes = self.views(self.weights), self.views(self.gradients)
        self.turned = [layer.transpose(1, 2) for layer in self.layers]

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


def initial_of(layout: Layout, seed: int) -> Tensor:
    """A member's weights (P,): `base.initial` with the padding, and for each layer a unit that makes the one of the next."""
    layers = []
    pairs = zip(base.initial(layout, seed), pairwise(rows_of(layout)), (*layout.activations, None), strict=True)
    for (weights, biases), (low, high), activation in pairs:
        inputs, outputs = weights.shape
        padded = np.zeros((low, high))
        padded[:inputs, :outputs], padded[inputs, :outputs] = weights, biases
        if activation is not None:
            padded[inputs, outputs] = INPUTS_OF_ONE[activation]
        layers.append(padded.ravel())
    return torch.from_numpy(np.concatenate(layers))


def trained_of(layout: Layout) -> Tensor:
    """1 for each of a member's numbers that is a weight, 0 for what is padding."""
    masks = []
    for (inputs, outputs), (low, high) in zip(pairwise(layout.sizes), pairwise(rows_of(layout)), strict=True):
        padded = np.zeros((low, high))
        padded[: inputs + 1, :outputs] = 1
        masks.append(padded.ravel())
    return torch.from_numpy(np.concatenate(masks))


# Optimizers: PyTorch's, with its settings. They write over `gradients`, `spare` and `other`; c: what `coefficients_of` gives.


def _root(at: Weights) -> Tensor:
    """The root of `second`, in `spare`; not of less than the least normal number, which takes twenty times as long."""
    return torch.clamp(at.second, min=torch.finfo(at.second.dtype).tiny, out=at.spare).sqrt_()


def _moments(at: Weights) -> None:
    at.first.lerp_(at.gradients, 1 - 0.9)
    at.second.mul_(0.999).addcmul_(at.gradients, at.gradients, value=1 - 0.999)
    _root(at)


def _go(at: Weights, by: Tensor) -> None:
    at.weights.addcmul_(by, at.rates, value=-1)


def _adam(at: Weights, c: Coefficients) -> None:
    _moments(at)
    at.spare.mul_(c[0]).add_(c[1])
    _go(at, torch.div(at.first, at.spare, out=at.spare))


def _nadam(at: Weights, c: Coefficients) -> None:
    _moments(at)
    at.spare.mul_(c[0]).add_(1e-8)
    at.gradients.mul_(c[1]).add_(torch.mul(at.first, c[2], out=at.other))
    _go(at, at.gradients.div_(at.spare))


def _rmsprop(at: Weights, c: Coefficients) -> None:
    at.second.mul_(0.99).addcmul_(at.gradients, at.gradients, value=1 - 0.99)
    _root(at).add_(1e-8)
    _go(at, at.gradients.div_(at.spare))


def _sgd(at: Weights, c: Coefficients) -> None:
    _go(at, at.gradients)


def _adagrad(at: Weights, c: Coefficients) -> None:
    at.second.addcmul_(at.gradients, at.gradients)
    _root(at).add_(1e-10)
    _go(at, at.gradients.div_(at.spare))


def _adadelta(at: Weights, c: Coefficients) -> None:
    at.second.mul_(0.9).addcmul_(at.gradients, at.gradients, value=1 - 0.9)
    torch.add(at.second, 1e-6, out=at.spare).sqrt_()
    torch.add(at.first, 1e-6, out=at.other).sqrt_().div_(at.spare).mul_(at.gradients)
    at.first.mul_(0.9).addcmul_(at.other, at.other, value=1 - 0.9)
    _go(at, at.other)


OPTIMIZERS: Mapping[str, Callable[[Weights, Coefficients], None]] = {
    "adam": _adam,
    "nadam": _nadam,
    "rmsprop": _rmsprop,
    "sgd": _sgd,
    "adagrad": _adagrad,
    "adadelta": _adadelta,
}


def coefficients_of(optimizer: str, before: int, steps: int) -> list[list[float]]:
    """Of the `steps` steps after the first `before`: what the optimizer takes of each; none for those that do not count steps."""
    if optimizer not in ("adam", "nadam"):
        return [[]] * steps
    count = np.arange(1, before + steps + 1)
    first, second = 1 - 0.9**count, np.sqrt(1 - 0.999**count)
    if optimizer == "adam":
        coefficients = np.stack([first / second, 1e-8 * first])
    else:
        momenta = 0.9 * (1 - 0.5 * 0.96 ** (np.arange(1, before + steps + 2) * 0.004))
        product = np.cumprod(momenta)
        coefficients = np.stack([1 / second, (1 - momenta[:-1]) / (1 - product[:-1]), momenta[1:] / (1 - product[1:])])
    rows: list[list[float]] = coefficients[:, before:].T.tolist()
    return rows


# Losses


class Scores:
    """The outputs of a step and their loss, of K networks with B points each, padded.

    raw, slope: (K, classes padded, B), what the output's activation is applied to and the loss's derivative for it; outputs,
    slopes: the same without padding classes. right: (K, classes, B), 1 for the right class, else 0. share: (B,), 1 over the
    number of points, 0 for padding. lost: (K, classes, B), the terms of the losses, summed over steps.
    """

    def __init__(self, layout: Layout, members: int, points: int, like: Tensor, right: Tensor) -> None:
        self.layout, self.right = layout, right
        padded = padded_to(points, POINTS)
        self.raw, self.slope = (room(members, rows_of(layout)[-1], padded, like) for _ in range(2))
        self.outputs, self.slopes = self.of_classes(self.raw.flat), self.of_classes(self.slope.flat)
        self.logs, self.chances, self.spare, self.lost = (room(members, layout.classes, padded, like) for _ in range(4))
        self.share = like.new_zeros(padded)
        self.share[:points] = 1 / points
        self._points, self._ones = points, like.new_ones(1, ROWS, layout.classes)

    def of_classes(self, flat: Tensor) -> Tensor:
        """`flat`, as long as that of `raw`, as (K, classes, B)."""
        values = self.raw.values
        return flat[: values.numel()].view(values.shape)[:, : self.layout.classes]

    def softmax(self, raw: Tensor) -> None:
        """Write the softmax of `raw` (K, classes, B) to `chances`, and its logarithm to `logs`."""
        torch.log_softmax(raw, 1, out=self.logs.values)
        torch.exp(self.logs.flat, out=self.chances.flat)

    def summed(self, values: Tensor) -> Tensor:
        """`values` (K, classes, B), whose arrays begin where vectors do, summed over the classes (K, 1, B)."""
        return torch.bmm(self._ones.expand(len(values), -1, -1), values)[:, :1]

    def take_losses(self) -> list[float]:
        """The sum of each member's losses since it was last taken."""
        sums = [part[:, : self._points].sum(dtype=torch.float64) for part in self.lost.values]
        self.lost.flat.zero_()
        losses: list[float] = torch.stack(sums).tolist()
        return losses


def _cross_entropy(at: Scores) -> None:
    if at.layout.output == "sigmoid":  # their softmax is each sigmoid's share of the sum
        at.softmax(at.of_classes(functional.logsigmoid(at.raw.flat)))
    else:
        at.softmax(at.outputs)
    at.lost.values.addcmul_(at.logs.values, at.right, value=-1)
    torch.sub(at.chances.values, at.right, out=at.slopes).mul_(at.share)
    if at.layout.output == "sigmoid":
        at.slopes.mul_(at.of_classes(torch.sigmoid(-at.raw.flat)))


def _through_softmax(at: Scores) -> None:
    """Turn the derivatives for `chances`, which `spare` holds, into those for the raw outputs; they are added to `slopes`."""
    at.spare.flat.mul_(at.chances.flat)
    at.slopes.add_(at.spare.values.sub_(at.chances.values * at.summed(at.spare.values)))


def _mean_squared(at: Scores) -> None:
    raw = at.outputs
    if at.layout.output == "softmax":
        at.softmax(raw)
        raw = at.chances.values
    elif at.layout.output == "sigmoid":
        raw = at.of_classes(torch.sigmoid(at.raw.flat))
    difference = torch.sub(raw, at.right, out=at.spare.values)
    at.lost.flat.addcmul_(at.spare.flat, at.spare.flat, value=1 / at.layout.classes)
    difference.mul_(at.share * (2 / at.layout.classes))
    if at.layout.output == "softmax":
        at.slopes.zero_()
        _through_softmax(at)
    elif at.layout.output == "sigmoid":
        at.slopes.copy_(difference.mul_(raw).mul_(1 - raw))
    else:
        at.slopes.copy_(difference)


def _binary_cross_entropy(at: Scores) -> None:
    raw, classes = at.outputs, at.layout.classes
    if at.layout.output == "sigmoid":
        logs = at.of_classes(functional.logsigmoid(at.raw.flat))  # of a chance c; that of 1 - c is less by the raw output
        at.lost.values.sub_((logs - raw + raw * at.right).div_(classes))
        torch.sub(at.of_classes(torch.sigmoid(at.raw.flat)), at.right, out=at.slopes).mul_(at.share / classes)
        return
    at.softmax(raw)
    others = 1 - at.chances.flat
    seen = others >= base.LEAST_CHANCE
    others.clamp_(min=base.LEAST_CHANCE)
    count = at.chances.values.numel()
    wrong = 1 - at.right
    logs = torch.log(others)[:count].view_as(wrong)
    at.lost.values.sub_((at.logs.values * at.right + logs * wrong).div_(classes))
    torch.sub(at.chances.values, at.right, out=at.slopes)
    torch.div(seen, others, out=at.spare.flat)
    at.spare.values.mul_(wrong)
    _through_softmax(at)
    at.slopes.mul_(at.share / classes)


LOSSES: Mapping[str, Callable[[Scores], None]] = {
    "cross_entropy": _cross_entropy,
    "nll": _cross_entropy,
    "mse": _mean_squared,
    "binary_cross_entropy": _binary_cross_entropy,
}


# Steps


def _slope_of(activation: str, slope: Tensor, values: Tensor) -> None:
    """Turn the derivatives for an activation's `values` into those for what it was applied to."""
    if activation == "relu":
        torch.ops.aten.threshold_backward.grad_input(slope, values, 0, grad_input=slope)
    elif activation == "tanh":
        torch.ops.aten.tanh_backward.grad_input(slope, values, grad_input=slope)
    elif activation == "sigmoid":
        torch.ops.aten.sigmoid_backward.grad_input(slope, values, grad_input=slope)
    else:
        slope.mul_(values)


class StackedStep:
    """A step of all members of `weights` with `points` points each, and the arrays it is computed in."""

    def __init__(self, layout: Layout, plan: TrainingPlan, weights: Weights, table: Tensor, points: int) -> None:
        """table: (N, inputs with the one, then 1 for the right class and 0 for others)."""
        self.layout, self.weights, self.points = layout, weights, points
        self._optimizer, self._loss, self._table = OPTIMIZERS[plan.optimizer], LOSSES[plan.loss], table
        rows, members, padded, like = rows_of(layout), weights.members, padded_to(points, POINTS), weights.weights
        self._drawn = like.new_zeros(members * padded, table.shape[1])
        drawn = self._drawn.view(members, padded, -1).transpose(1, 2)
        self.scores = Scores(layout, members, points, like, drawn[:, rows[0] : rows[0] + layout.classes])
        hidden = rows[1:-1]
        self._values = [room(members, count, padded, like) for count in hidden]
        self._slopes = [*(room(members, count, padded, like) for count in hidden), self.scores.slope]
        self._turned = [slope.values.transpose(1, 2) for slope in self._slopes]
        self._kept = [room(members, count, padded, like) for count in hidden] if layout.threshold else self._values
        self._inputs = [drawn[:, : rows[0]], *(layer.values for layer in self._kept)]

    def take(self, places: Tensor, masks: Sequence[Tensor], coefficients: Coefficients) -> None:
        """places: (K * B,) rows of the table. masks: what dropout multiplies each layer's values by, (K, units, B), or none."""
        torch.index_select(self._table, 0, places, out=self._drawn)
        self._forward(masks)
        self._loss(self.scores)
        self._backward(masks)
        self._optimizer(self.weights, coefficients)

    def _forward(self, masks: Sequence[Tensor]) -> None:
        """From the table's rows drawn to the raw outputs."""
        for at, name in enumerate(self.layout.activations):
            values = self._values[at]
            torch.bmm(self.weights.turned[at], self._inputs[at], out=values.values)
            ACTIVATIONS[name](values.flat)
            if masks:
                torch.mul(values.values, masks[at], out=self._kept[at].values)
        torch.bmm(self.weights.turned[-1], self._inputs[-1], out=self.scores.raw.values)

    def _backward(self, masks: Sequence[Tensor]) -> None:
        for at in range(len(self._inputs) - 1, -1, -1):
            torch.bmm(self._inputs[at], self._turned[at], out=self.weights.slopes[at])
            if at:
                slope = self._slopes[at - 1]
                torch.bmm(self.weights.layers[at], self._slopes[at].values, out=slope.values)
                if masks:
                    slope.values.mul_(masks[at - 1])
                _slope_of(self.layout.activations[at - 1], slope.flat, self._values[at - 1].flat)


def captured(call: Callable[[], None]) -> Callable[[], None]:
    """What does on a GPU what `call` does, as one graph; `call` is run once before, since in a first run libraries prepare."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        call()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


class Captured:
    """A step that looks for what it takes in arrays of its own, as a captured graph must; see `StackedStep`."""

    def __init__(self, step: StackedStep, places: Tensor, masks: Sequence[Tensor], coefficients: Coefficients) -> None:
        self.scores, weights = step.scores, step.weights
        self._places, self._masks = places.clone(), [mask.clone() for mask in masks]
        self._coefficients = [torch.ones((), dtype=torch.float64, device=places.device) for _ in coefficients]
        before = [
            (numbers, numbers.clone()) for numbers in (weights.weights, weights.first, weights.second, step.scores.lost.flat)
        ]
        self._run = captured(lambda: step.take(self._places, self._masks, self._coefficients))
        for tensor, kept in before:
            tensor.copy_(kept)

    def take(self, places: Tensor, masks: Sequence[Tensor], coefficients: Coefficients) -> None:
        """As `StackedStep.take`."""
        self._places.copy_(places)
        for mine, given in zip((*self._masks, *self._coefficients), (*masks, *coefficients), strict=True):
            mine.copy_(given) if isinstance(given, Tensor) else mine.fill_(given)
        self._run()
