"""Lanes: engines that train multilayer perceptrons, interchangeable but for their speed and their last bits.

A lane belongs to the task's version: `proposed` fills it in where a task is made, and from then on it is kept.
"""

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from evenhand.errors import LaneMissing
from evenhand.model.extras import is_here, missing
from evenhand.tasks.engines import whole
from evenhand.tasks.engines.base import EpochPart, LabelledPoints, Layout, Numbers, Training, TrainingGroup, TrainingPlan
from evenhand.tasks.engines.groups import OneByOne

# By module its REVISION, which is raised when its numbers change (tests/golden holds it to that); the quickest first. They stand
# here and not in the lanes, since a task's version is asked for where PyTorch is not loaded.
LANES: Mapping[str, int] = {"whole": 1, "stacked": 1, "general": 1}
PRECISIONS = ("fp32", "fp64")


class Lane(Protocol):
    """A module that is a lane."""

    def begin(self, layout: Layout, plan: TrainingPlan, seed: int, data: LabelledPoints, precision: str) -> Training:
        """A network with its initial weights, which hang on `seed` alone."""


def proposed() -> str:
    """The quickest lane that this machine has, or `general` where it has none: all that this one needs is PyTorch."""
    return next((name for name in LANES if why_not(name) is None), "general")


def why_not(name: str) -> str | None:
    """Why this machine does not have a lane, and what to do; None where it does."""
    if name != "whole":
        return None if is_here("torch") else str(missing("torch", "it"))
    return whole.why_not()


def build() -> str | None:
    """A digest of the compiled lane as it was built here; None where this machine does not have it."""
    return None if whole.why_not() is not None else whole.build(whole.LIBRARY.stat().st_mtime_ns)


def check(name: str) -> None:
    """Nothing, or LaneMissing where this machine does not have the lane."""
    if (why := why_not(name)) is not None:
        raise LaneMissing(f"the training lane {name!r} is not on this machine: {why}")


def begin(name: str, layout: Layout, plan: TrainingPlan, seed: int, data: LabelledPoints, precision: str) -> Training:
    """A network with its initial weights in the lane called `name`; see `Lane`. Raises LaneMissing where it is not here."""
    check(name)
    lane: Lane = importlib.import_module(f"evenhand.tasks.engines.{name}")
    return lane.begin(layout, plan, seed, data, precision)


@dataclass(frozen=True)
class StorableTraining:
    """A training that can be pickled, with what `Training.state` keeps and without the points that it learns from."""

    lane: str
    layout: Layout
    plan: TrainingPlan
    precision: str
    training: Training

    def epoch(self, number: int) -> Iterator[EpochPart]:
        """As `Training.epoch`."""
        return self.training.epoch(number)

    def outputs(self, points: Numbers) -> Numbers:
        """As `Training.outputs`."""
        return self.training.outputs(points)

    def state(self) -> dict[str, Any]:
        """As `Training.state`."""
        return self.training.state()

    def restore(self, state: dict[str, Any]) -> None:
        """As `Training.restore`."""
        self.training.restore(state)

    def __reduce__(self) -> tuple[Any, ...]:
        return _of_state, (self.lane, self.layout, self.plan, self.precision, self.state())


def _of_state(lane: str, layout: Layout, plan: TrainingPlan, precision: str, state: dict[str, Any]) -> StorableTraining:
    """A training with the weights of one that was stored; its one point is there since a lane wants some."""
    nothing = LabelledPoints(np.zeros((1, layout.features)), np.zeros(1, np.int32))
    training = begin(lane, layout, plan, 0, nothing, precision)
    training.restore(state)
    return StorableTraining(lane, layout, plan, precision, training)


def begin_group(
    name: str,
    layout: Layout,
    plans: Sequence[TrainingPlan],
    seeds: Sequence[int],
    data: LabelledPoints,
    precision: str,
    device: str = "cpu",
) -> TrainingGroup:
    """Networks in training together in the lane called `name`, one for each plan and seed; the plans are of one `groups.key`.

    Where the lane has no way of its own for several, it trains them one by one. device: "cpu", or PyTorch's name of a GPU.
    Raises LaneMissing where the lane is not here, or not for the device.
    """
    check(name)
    own = getattr(importlib.import_module(f"evenhand.tasks.engines.{name}"), "begin_group", None)
    if own is not None:
        group: TrainingGroup = own(layout, plans, seeds, data, precision, device)
        return group
    if device != "cpu":
        raise LaneMissing(f"the training lane {name!r} trains on the processor only, not on {device!r}: use the lane 'stacked'")
    return OneByOne([begin(name, layout, plan, seed, data, precision) for plan, seed in zip(plans, seeds, strict=True)])


def group_size(name: str, batch_size: int, device: str = "cpu") -> int:
    """How many members make a group quick in a lane: 1 where it trains them one by one."""
    check(name)
    own: Callable[[int, str], int] | None = getattr(importlib.import_module(f"evenhand.tasks.engines.{name}"), "group_size", None)
    return 1 if own is None else own(batch_size, device)
