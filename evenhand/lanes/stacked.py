"""The stacked lane: networks of one layout as stacked arrays, trained together by PyTorch with gradients written by hand.

One call works on all members at once, so that what a call costs is shared. A member's bits hang on no other member: each product
of matrices is one of a batch (`torch.bmm`) whose arrays all begin at a multiple of 64 bytes, since a library's kernels may choose
their way by that; and whatever works number by number does so on whole vectors, since a sigmoid at an array's end may have other
bits than one amid it. So arrays are padded: units and points by what counts for nothing.

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

    layers, slopes: views of the weights and their gradients (K, inputs with the one, outputs with the one); turned: those of the
    weights with inputs and outputs changed about. rates: each weight's learning rate, 0 for what is padding.
    """

    def __init__(self, layout: Layout, members: int, dtype: torch.dtype, device: str) -> None:
        self.shapes = tuple(pairwise(_rows(layout)))
        length = _padded(members * sum(low * high for low, high in self.shapes), VECTORS)
        kinds = torch.zeros(7, length, dtype=dtype, device=device)
        self.weights, self.gradients, self.first, self.second, self.rates, self.spare, self.other = kinds
        self.members = members
        self.layers, self.slopes = self.views(self.weights), self.views(self.gradients)
        self.turned = [each.transpose(1, 2) for each in self.layers]

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


# Optimizers: PyTorch's, with its settings. They write over `gradients`, `spare` and `other`; c: what `_coefficients` gives.


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


def _coefficients(optimizer: str, before: int, steps: int) -> list[list[float]]:
    """Of the `steps` steps after the first `before`: what the optimizer takes of each; none for those that do not count steps."""
    if optimizer not in ("adam", "nadam"):
        return [[]] * steps
    count = np.arange(1, before + steps + 1)
    first, second = 1 - 0.9**count, np.sqrt(1 - 0.999**count)
    if optimizer == "adam":
        found = np.stack([first / second, 1e-8 * first])
    else:
        momenta = 0.9 * (1 - 0.5 * 0.96 ** (np.arange(1, before + steps + 2) * 0.004))
        product = np.cumprod(momenta)
        found = np.stack([1 / second, (1 - momenta[:-1]) / (1 - product[:-1]), momenta[1:] / (1 - product[1:])])
    rows: list[list[float]] = found[:, before:].T.tolist()
    return rows


# Losses


class Scores:
    """The outputs of a step and their loss, of K networks with B points each, padded.

    raw, slope: (K, classes padded, B), what the output's activation is applied to and the loss's derivative for it; outputs,
    slopes: the same without padding classes. right: (K, classes, B), 1 for the right class, else 0. share: (B,), 1 over the number
    of points, 0 for padding. lost: (K, classes, B), the terms of the losses, summed over steps.
    """

    def __init__(self, layout: Layout, members: int, points: int, like: Tensor, right: Tensor) -> None:
        self.layout, self.right = layout, right
        padded = _padded(points, POINTS)
        self.raw, self.slope = (room(members, _rows(layout)[-1], padded, like) for _ in range(2))
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
        found = [each[:, : self._points].sum(dtype=torch.float64) for each in self.lost.values]
        self.lost.flat.zero_()
        losses: list[float] = torch.stack(found).tolist()
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


class Step:
    """A step of all members of `weights` with `points` points each, and the arrays it is computed in."""

    def __init__(self, layout: Layout, plan: Plan, weights: Weights, table: Tensor, points: int) -> None:
        """table: (N, inputs with the one, then 1 for the right class and 0 for others)."""
        self.layout, self.weights, self.points = layout, weights, points
        self._optimizer, self._loss, self._table = OPTIMIZERS[plan.optimizer], LOSSES[plan.loss], table
        rows, members, padded, like = _rows(layout), weights.members, _padded(points, POINTS), weights.weights
        self._drawn = like.new_zeros(members * padded, table.shape[1])
        drawn = self._drawn.view(members, padded, -1).transpose(1, 2)
        self.scores = Scores(layout, members, points, like, drawn[:, rows[0] : rows[0] + layout.classes])
        hidden = rows[1:-1]
        self._values = [room(members, each, padded, like) for each in hidden]
        self._slopes = [*(room(members, each, padded, like) for each in hidden), self.scores.slope]
        self._turned = [each.values.transpose(1, 2) for each in self._slopes]
        self._kept = [room(members, each, padded, like) for each in hidden] if layout.threshold else self._values
        self._inputs = [drawn[:, : rows[0]], *(each.values for each in self._kept)]

    def take(self, places: Tensor, masks: Sequence[Tensor], coefficients: Coefficients) -> None:
        """places: (K * B,) rows of the table. masks: of each layer (K, units, B), what dropout multiplies its values by, or none."""
        torch.index_select(self._table, 0, places, out=self._drawn)
        self.forward(masks)
        self._loss(self.scores)
        self._backward(masks)
        self._optimizer(self.weights, coefficients)

    def forward(self, masks: Sequence[Tensor]) -> None:
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


class Captured:
    """A step on a GPU, captured as a graph: what it takes is copied to where the graph looks for it."""

    def __init__(self, step: Step, places: Tensor, masks: Sequence[Tensor], coefficients: Coefficients) -> None:
        self.scores, weights = step.scores, step.weights
        self._places, self._masks = places.clone(), [each.clone() for each in masks]
        self._coefficients = [torch.zeros((), dtype=torch.float64, device=places.device) for _ in coefficients]
        before = [each.clone() for each in (weights.weights, weights.first, weights.second)]
        aside = torch.cuda.Stream()
        with torch.cuda.stream(aside):  # once as it is, since libraries prepare themselves at the first call
            step.take(self._places, self._masks, self._coefficients)
        aside.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            step.take(self._places, self._masks, self._coefficients)
        for each, kept in zip((weights.weights, weights.first, weights.second), before, strict=True):
            each.copy_(kept)
        self.scores.lost.flat.zero_()

    def take(self, places: Tensor, masks: Sequence[Tensor], coefficients: Coefficients) -> None:
        """As `Step.take`."""
        self._places.copy_(places)
        for mine, given in zip(self._masks, masks, strict=True):
            mine.copy_(given)
        for mine, given in zip(self._coefficients, coefficients, strict=True):
            mine.fill_(given)
        self._graph.replay()


# Groups


class Group:
    """See `base.Group`. Members that have equally many steps behind them are trained together."""

    def __init__(
        self, layout: Layout, plans: Sequence[Plan], seeds: Sequence[int], data: Data, precision: str, device: str
    ) -> None:
        torch.set_num_threads(1)
        self.layout, self.plans, self.seeds = layout, tuple(plans), tuple(seeds)
        self._dtype, self._device = PRECISIONS[precision], device
        self._count = len(data.labels)
        self._table = self._drawn_up(data)
        self._trained = _trained(layout)
        first = [_initial(layout, seed).to(self._dtype) for seed in seeds]
        self._kept = [(each, torch.zeros_like(each), torch.zeros_like(each)) for each in first]
        self._steps = [0] * len(self.seeds)
        self._stopped: set[int] = set()
        self._crew: tuple[int, ...] = ()  # whose numbers are in `_weights`; those of others are in `_kept`
        self._weights = Weights(layout, 0, self._dtype, device)
        self._ways: dict[int, Step | Captured] = {}  # by the number of points

    def _drawn_up(self, data: Data) -> Tensor:
        """A row a point: its numbers, the one, padding, and 1 for its class among 0 for others."""
        inputs = _rows(self.layout)[0]
        table = torch.zeros(self._count, inputs + self.layout.classes, dtype=self._dtype)
        table[:, : self.layout.features] = torch.from_numpy(np.array(data.points))
        table[:, self.layout.features] = 1
        table[torch.arange(self._count), inputs + torch.from_numpy(np.array(data.labels, dtype=np.int64))] = 1
        return table.to(self._device)

    def stop(self, member: int) -> None:
        self._stopped.add(member)

    def epoch(self, numbers: Mapping[int, int]) -> Iterator[tuple[int, Part]]:
        going = [member for member in numbers if member not in self._stopped]
        by_steps: dict[int, list[int]] = {}
        for member in going:
            by_steps.setdefault(self._steps[member], []).append(member)
        for members in by_steps.values():
            yield from self._together(members, numbers)

    def _together(self, members: list[int], numbers: Mapping[int, int]) -> Iterator[tuple[int, Part]]:
        """An epoch of members that have equally many steps behind them."""
        orders = {member: self._order(member, numbers[member]) for member in members}
        for part in base.parts(self._count, self.plans[0].batch_size):
            members = [member for member in members if member not in self._stopped]
            if not members:
                return
            self._load(tuple(members))
            order = torch.stack([orders[member][part.begin : part.end] for member in members])
            losses = self._advance(part, order, numbers)
            for member, loss in zip(members, losses, strict=True):
                if member not in self._stopped:
                    yield member, part.lost(loss)

    def _order(self, member: int, number: int) -> Tensor:
        keys = base.order_keys(self.seeds[member], number, self._count) ^ np.uint64(1 << 63)  # as signed numbers they sort alike
        signed = torch.from_numpy(keys.view(np.int64)).to(self._device)
        return torch.sort(signed, stable=True).indices.to(torch.int32)

    @torch.inference_mode()
    def _advance(self, part: Part, order: Tensor, numbers: Mapping[int, int]) -> list[float]:
        """Train the crew on a part, whose points' places are `order` (K, points); the sum of each member's losses."""
        size, before = self.plans[0].batch_size, self._steps[self._crew[0]]
        coefficients = _coefficients(self.plans[0].optimizer, before, math.ceil(part.points / size))
        whole = part.points // size
        at_once = max(1, AT_ONCE // (size * len(self._crew)))
        runs = [(first, min(at_once, whole - first), size) for first in range(0, whole, at_once)]
        if part.points % size:
            runs.append((whole, 1, part.points % size))
        for first, steps, points in runs:
            begin = first * size
            places = _placed(order[:, begin : begin + steps * points], steps)
            masks = self._masks(numbers, part.begin + begin, steps, points)
            for at in range(steps):
                self._take(points, places[at], [each[at] for each in masks], coefficients[first + at])
        for member in self._crew:
            self._steps[member] = before + len(coefficients)
        taken = [way.scores.take_losses() for way in self._ways.values()]
        return [sum(each) for each in zip(*taken, strict=True)]

    def _take(self, points: int, places: Tensor, masks: Sequence[Tensor], coefficients: Coefficients) -> None:
        if points not in self._ways:
            step = Step(self.layout, self.plans[0], self._weights, self._table, points)
            self._ways[points] = Captured(step, places, masks, coefficients) if places.is_cuda else step
        self._ways[points].take(places, masks, coefficients)

    def _masks(self, numbers: Mapping[int, int], begin: int, steps: int, points: int) -> list[Tensor]:
        """What dropout multiplies each layer's values by, (steps, K, units, B), from the place `begin` of the order on."""
        layout, threshold, found = self.layout, self.layout.threshold, []
        if not threshold:
            return []
        for layer, (units, rows) in enumerate(zip(layout.units, _rows(layout)[1:-1], strict=True)):
            masks = torch.ones(steps, len(self._crew), rows, _padded(points, POINTS), dtype=self._dtype)
            for at, member in enumerate(self._crew):
                key = base.dropout_key(self.seeds[member], numbers[member], layer)
                kept = torch.from_numpy(base.kept(key, steps * points, units, threshold, begin))
                masks[:, at, :units, :points] = kept.view(steps, points, units).transpose(1, 2)
            masks[:, :, :units] *= base.CHANCES / (base.CHANCES - threshold)
            found.append(masks.to(self._device))
        return found

    def _load(self, crew: tuple[int, ...]) -> None:
        """Have these members' numbers, and no others', in `_weights`."""
        if crew == self._crew:
            return
        for member in self._crew:
            self._kept[member] = self._numbers(member)
        weights = Weights(self.layout, len(crew), self._dtype, self._device)
        for at, member in enumerate(crew):
            for flat, numbers in zip((weights.weights, weights.first, weights.second), self._kept[member], strict=True):
                weights.write(at, flat, numbers)
            weights.write(at, weights.rates, self._trained * self.plans[member].learning_rate)
        self._weights, self._crew = weights, crew
        self._ways.clear()

    def _numbers(self, member: int) -> tuple[Tensor, Tensor, Tensor]:
        """A member's weights and what its optimizer keeps of them, (P,) each."""
        if member not in self._crew:
            return self._kept[member]
        at, of = self._crew.index(member), self._weights
        return of.read(at, of.weights), of.read(at, of.first), of.read(at, of.second)

    def outputs(self, member: int, points: Numbers) -> Numbers:
        weights = Weights(self.layout, 1, self._dtype, self._device)
        weights.write(0, weights.weights, self._numbers(member)[0])
        inputs = torch.zeros(len(points), _rows(self.layout)[0], dtype=self._dtype)
        inputs[:, : self.layout.features] = torch.from_numpy(np.array(points))
        inputs[:, self.layout.features] = 1
        found = []
        with torch.inference_mode():
            for part in inputs.to(self._device).split(SCORE_BATCH):
                values = part.T[None]
                for layer, name in zip(weights.turned, self.layout.activations, strict=False):
                    values = ACTIVATIONS[name](torch.bmm(layer, values))
                found.append(torch.bmm(weights.turned[-1], values)[0, : self.layout.classes].T)
        raw: Numbers = torch.cat(found).cpu().numpy()
        return raw

    def state(self, member: int) -> dict[str, Any]:
        weights, first, second = (each.cpu().numpy().copy() for each in self._numbers(member))
        return {"weights": weights, "first": first, "second": second, "steps": self._steps[member]}

    def restore(self, member: int, state: dict[str, Any]) -> None:
        self._load(())
        first, second, third = (torch.from_numpy(state[name]).clone() for name in ("weights", "first", "second"))
        self._kept[member], self._steps[member] = (first, second, third), state["steps"]


def _placed(order: Tensor, steps: int) -> Tensor:
    """(steps, K * B padded) of an order (K, steps * B); padding is a step's first point."""
    members = len(order)
    places = order.reshape(members, steps, -1).transpose(0, 1)
    first = places[:, :, :1].expand(-1, -1, -places.shape[2] % POINTS)
    return torch.cat([places, first], 2).view(steps, -1)


class Training:
    """A group of one as a training; see `base.Training`."""

    def __init__(self, group: Group) -> None:
        self._group = group

    def epoch(self, number: int) -> Iterator[Part]:
        for _, part in self._group.epoch({0: number}):
            yield part

    def outputs(self, points: Numbers) -> Numbers:
        return self._group.outputs(0, points)

    def state(self) -> dict[str, Any]:
        return self._group.state(0)

    def restore(self, state: dict[str, Any]) -> None:
        self._group.restore(0, state)
