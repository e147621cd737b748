"""Lanes: engines that train multilayer perceptrons, interchangeable but for their speed and their last bits.

A lane belongs to the task's version: `proposed` fills it in where a task is made, and from then on it is kept.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from evenhand.errors import LaneMissing
from evenhand.lanes import whole
from evenhand.lanes.base import Data, Group, Layout, Plan, Training
from evenhand.lanes.groups import OneByOne

LANES: Mapping[str, tuple[str, ...]] = {  # module: the files that a training's numbers hang on; the quickest first
    "whole": ("base.py", "whole.py", "whole.cpp"),
    "stacked": ("base.py", "stacked.py", "stackedsteps.py"),
    "general": ("base.py", "general.py"),
}
PRECISIONS = ("fp32", "fp64")


class Lane(Protocol):
    """A module that is a lane."""

    def begin(self, layout: Layout, plan: Plan, seed: int, data: Data, precision: str) -> Training:
        """A network with its initial weights, which hang on `seed` alone."""


def proposed() -> str:
    """The quickest lane that this machine has, or `general` where it has none: all that this one needs is PyTorch."""
    return next((name for name in LANES if why_not(name) is None), "general")


def why_not(name: str) -> str | None:
    """Why this machine does not have a lane, and what to do; None where it does."""
    if name != "whole":
        return None if importlib.util.find_spec("torch") else "it needs PyTorch: pip install 'evenhand[torch]'"
    return whole.why_not()


def check(name: str) -> None:
    """Nothing, or LaneMissing where this machine does not have the lane."""
    if (missing := why_not(name)) is not None:
        raise LaneMissing(f"the training lane {name!r} is not on this machine: {missing}")


def begin(name: str, layout: Layout, plan: Plan, seed: int, data: Data, precision: str) -> Training:
    """A network with its initial weights in the lane called `name`; see `Lane`. Raises LaneMissing where it is not here."""
    check(name)
    lane: Lane = importlib.import_module(f"evenhand.lanes.{name}")
    return lane.begin(layout, plan, seed, data, precision)


def begin_group(
    name: str, layout: Layout, plans: Sequence[Plan], seeds: Sequence[int], data: Data, precision: str, device: str = "cpu"
) -> Group:
    """Networks in training together in the lane called `name`, one for each plan and seed; the plans are of one `groups.key`.

    Where the lane has no way of its own for several, it trains them one by one. device: "cpu", or PyTorch's name of a GPU.
    Raises LaneMissing where the lane is not here, or not for the device.
    """
    check(name)
    own = getattr(importlib.import_module(f"evenhand.lanes.{name}"), "begin_group", None)
    if own is not None:
        group: Group = own(layout, plans, seeds, data, precision, device)
        return group
    if device != "cpu":
        raise LaneMissing(f"the training lane {name!r} trains on the processor only, not on {device!r}: use the lane 'stacked'")
    return OneByOne([begin(name, layout, plan, seed, data, precision) for plan, seed in zip(plans, seeds, strict=True)])


def group_size(name: str, batch_size: int, device: str = "cpu") -> int:
    """How many members make a group quick in a lane: 1 where it trains them one by one."""
    check(name)
    own: Callable[[int, str], int] | None = getattr(importlib.import_module(f"evenhand.lanes.{name}"), "group_size", None)
    return 1 if own is None else own(batch_size, device)
