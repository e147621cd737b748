"""The stacked lane: networks of one layout as stacked arrays, trained together by PyTorch, with the bits each has alone.

The same code runs on a GPU, where a step is captured once as a graph; what is said of bits was tested on processors only.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from evenhand.tasks.engines import base
from evenhand.tasks.engines.base import EpochPart, LabelledPoints, Layout, Numbers, TrainingPlan
from evenhand.tasks.engines.stacked_steps import (
    ACTIVATIONS,
    POINTS,
    Captured,
    Coefficients,
    StackedStep,
    Weights,
    coefficients_of,
    initial_of,
    padded_to,
    rows_of,
    trained_of,
)

PRECISIONS = {"fp32": torch.float32, "fp64": torch.float64}
POINTS_AT_ONCE = 1 << 16  # points of all members whose dropout is drawn at a time
SCORE_BATCH = 2048
MEMBERS_ON_GPU = 1000


def begin(layout: Layout, plan: TrainingPlan, seed: int, data: LabelledPoints, precision: str) -> "StackedTraining":
    """A network with its initial weights, which hang on `seed` alone: a group of one."""
    return StackedTraining(begin_group(layout, [plan], [seed], data, precision))


def begin_group(
    layout: Layout, plans: Sequence[TrainingPlan], seeds: Sequence[int], data: LabelledPoints, precision: str, device: str = "cpu"
) -> "StackedGroup":
    """Networks with their initial weights, which hang on each one's seed alone; the plans are of one `groups.key`."""
    return StackedGroup(layout, plans, seeds, data, precision, device)


def group_size(batch_size: int, device: str = "cpu") -> int:
    """How many members make a group quick: on a processor as many as stay in its cache."""
    return MEMBERS_ON_GPU if device != "cpu" else min(max(4096 // batch_size, 4), 64)


def _captures(device: str) -> bool:
    return device != "cpu"


def _placed(order: Tensor, steps: int) -> Tensor:
    """(steps, K * B padded) of an order (K, steps * B); padding is a step's first point."""
    members = len(order)
    places = order.reshape(members, steps, -1).transpose(0, 1)
    first = places[:, :, :1].expand(-1, -1, -places.shape[2] % POINTS)
    return torch.cat([places, first], 2).view(steps, -1)


class StackedGroup:
    """See `base.Group`. Members that have equally many steps behind them are trained together."""

    def __init__(
        self,
        layout: Layout,
        plans: Sequence[TrainingPlan],
        seeds: Sequence[int],
        data: LabelledPoints,
        precision: str,
        device: str,
    ) -> None:
        torch.set_num_threads(1)
        self.layout, self.plans, self.seeds = layout, tuple(plans), tuple(seeds)
        self._dtype, self._device, self._captures = PRECISIONS[precision], device, _captures(device)
        self._count = len(data.labels)
        self._table = self._drawn_up(data)
        self._trained = trained_of(layout)
        first = [initial_of(layout, seed).to(self._dtype) for seed in seeds]
        self._kept = [(weights, torch.zeros_like(weights), torch.zeros_like(weights)) for weights in first]
        self._steps = [0] * len(self.seeds)
        self._stopped: set[int] = set()
        self._crew: tuple[int, ...] = ()  # whose numbers are in `_weights`; those of others are in `_kept`
        self._weights = Weights(layout, 0, self._dtype, device)
        self._ways: dict[int, StackedStep | Captured] = {}  # by the number of points

    def _drawn_up(self, data: LabelledPoints) -> Tensor:
        """A row a point: its numbers, the one, padding, and 1 for its class among 0 for others."""
        inputs = rows_of(self.layout)[0]
        table = torch.zeros(self._count, inputs + self.layout.classes, dtype=self._dtype)
        table[:, : self.layout.features] = torch.from_numpy(np.array(data.points))
        table[:, self.layout.features] = 1
        table[torch.arange(self._count), inputs + torch.from_numpy(np.array(data.labels, dtype=np.int64))] = 1
        return table.to(self._device)

    def stop(self, member: int) -> None:
        self._stopped.add(member)

    def epoch(self, numbers: Mapping[int, int]) -> Iterator[tuple[int, EpochPart]]:
        going = [member for member in numbers if member not in self._stopped]
        by_steps: dict[int, list[int]] = {}
        for member in going:
            by_steps.setdefault(self._steps[member], []).append(member)
        for members in by_steps.values():
            yield from self._together(members, numbers)

    def _together(self, members: list[int], numbers: Mapping[int, int]) -> Iterator[tuple[int, EpochPart]]:
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
    def _advance(self, part: EpochPart, order: Tensor, numbers: Mapping[int, int]) -> list[float]:
        """Train the crew on a part, whose points' places are `order` (K, points); the sum of each member's losses."""
        size, before = self.plans[0].batch_size, self._steps[self._crew[0]]
        coefficients = coefficients_of(self.plans[0].optimizer, before, math.ceil(part.points / size))
        whole = part.points // size
        at_once = max(1, POINTS_AT_ONCE // (size * len(self._crew)))
        runs = [(first, min(at_once, whole - first), size) for first in range(0, whole, at_once)]
        if part.points % size:
            runs.append((whole, 1, part.points % size))
        for first, steps, points in runs:
            begin = first * size
            places = _placed(order[:, begin : begin + steps * points], steps)
            masks = self._masks(numbers, part.begin + begin, steps, points)
            for at in range(steps):
                self._take(points, places[at], [mask[at] for mask in masks], coefficients[first + at])
        for member in self._crew:
            self._steps[member] = before + len(coefficients)
        taken = [way.scores.take_losses() for way in self._ways.values()]
        return [sum(losses) for losses in zip(*taken, strict=True)]

    def _take(self, points: int, places: Tensor, masks: Sequence[Tensor], coefficients: Coefficients) -> None:
        if points not in self._ways:
            step = StackedStep(self.layout, self.plans[0], self._weights, self._table, points)
            self._ways[points] = Captured(step, places, masks, coefficients) if self._captures else step
        self._ways[points].take(places, masks, coefficients)

    def _masks(self, numbers: Mapping[int, int], begin: int, steps: int, points: int) -> list[Tensor]:
        """What dropout multiplies each layer's values by, (steps, K, units, B), from the place `begin` of the order on."""
        layout, threshold, layer_masks = self.layout, self.layout.threshold, []
        if not threshold:
            return []
        for layer, (units, rows) in enumerate(zip(layout.units, rows_of(layout)[1:-1], strict=True)):
            masks = torch.ones(steps, len(self._crew), rows, padded_to(points, POINTS), dtype=self._dtype)
            for at, member in enumerate(self._crew):
                key = base.dropout_key(self.seeds[member], numbers[member], layer)
                kept = torch.from_numpy(base.kept(key, steps * points, units, threshold, begin))
                masks[:, at, :units, :points] = kept.view(steps, points, units).transpose(1, 2)
            masks[:, :, :units] *= base.CHANCES / (base.CHANCES - threshold)
            layer_masks.append(masks.to(self._device))
        return layer_masks

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
        inputs = torch.zeros(len(points), rows_of(self.layout)[0], dtype=self._dtype)
        inputs[:, : self.layout.features] = torch.from_numpy(np.array(points))
        inputs[:, self.layout.features] = 1
        scores = []
        with torch.inference_mode():
            for part in inputs.to(self._device).split(SCORE_BATCH):
                values = part.T[None]
                for layer, name in zip(weights.turned, self.layout.activations, strict=False):
                    values = ACTIVATIONS[name](torch.bmm(layer, values))
                scores.append(torch.bmm(weights.turned[-1], values)[0, : self.layout.classes].T)
        raw: Numbers = torch.cat(scores).cpu().numpy()
        return raw

    def state(self, member: int) -> dict[str, Any]:
        weights, first, second = (tensor.cpu().numpy().copy() for tensor in self._numbers(member))
        return {"weights": weights, "first": first, "second": second, "steps": self._steps[member]}

    def restore(self, member: int, state: dict[str, Any]) -> None:
        self._load(())
        first, second, third = (torch.from_numpy(state[name]).clone() for name in ("weights", "first", "second"))
        self._kept[member], self._steps[member] = (first, second, third), state["steps"]


class StackedTraining:
    """A group of one as a training; see `base.Training`."""

    def __init__(self, group: StackedGroup) -> None:
        self._group = group

    def epoch(self, number: int) -> Iterator[EpochPart]:
        for _, part in self._group.epoch({0: number}):
            yield part

    def outputs(self, points: Numbers) -> Numbers:
        return self._group.outputs(0, points)

    def state(self) -> dict[str, Any]:
        return self._group.state(0)

    def restore(self, state: dict[str, Any]) -> None:
        self._group.restore(0, state)
