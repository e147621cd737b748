"""Configurations as numbers, for models: points of the unit cube, and what a kernel sees of them.

A point has one coordinate for each hyperparameter, in the space's order, on the scale of its domain; what is inactive has a
coordinate too, which is not seen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand.space import ZERO_SHARE, Choice, Domain, Float, Hyperparameter, Integer, Space, Value
from evenhand.tuners.frozen import to_unit

Matrix = np.ndarray[Any, np.dtype[np.float64]]
HIDDEN = 0.5  # the coordinate of what is inactive


@dataclass(frozen=True)
class Encoding:
    """Points (n, hyperparameters) of a space's unit cube, and features (n, columns).

    A number, or a choice in an order, has one column; another choice one for each option. Inactive numbers are seen in the
    middle, inactive choices as none of their options.
    """

    space: Space

    def point(self, values: Mapping[str, Value]) -> list[float]:
        """The point of a configuration; what is inactive or absent has its default's coordinate."""
        return [self._coordinate(each, values.get(each.name)) for each in self.space]

    def _coordinate(self, each: Hyperparameter, value: Value | None) -> float:
        if isinstance(each.domain, Choice) and value not in each.domain.options:
            value = None
        value = each.default if value is None else value
        return HIDDEN if value is None else to_unit(each, value)

    def snapped(self, points: Matrix) -> Matrix:
        """Each coordinate moved to the middle of its value's cell, so that equal configurations are equal points."""
        return np.column_stack([_snapped(each.domain, points[:, at]) for at, each in enumerate(self.space)])

    def active(self, points: Matrix) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which hyperparameters are active at each point, (n, hyperparameters)."""
        names = self.space.names
        found = np.ones(points.shape, dtype=bool)
        for at, each in enumerate(self.space):
            if each.condition:
                on = names.index(each.condition.on)
                parent = self.space[each.condition.on]
                units = [_snapped(parent.domain, np.array([to_coordinate(parent, value)]))[0] for value in each.condition.values]
                there = np.isclose(_snapped(parent.domain, points[:, on])[:, None], np.array(units)[None, :]).any(axis=1)
                found[:, at] = found[:, on] & there
        return found

    def features(self, points: Matrix, weights: Sequence[float] | None = None) -> Matrix:
        """What a kernel sees of the points, (n, columns). weights: by which each hyperparameter's columns are stretched."""
        snapped, active = self.snapped(points), self.active(points)
        columns: list[Matrix] = []
        for at, each in enumerate(self.space):
            weight = 1.0 if weights is None else weights[at]
            if isinstance(each.domain, Choice) and not each.domain.ordered:
                count = len(each.domain.options)
                option = np.minimum((snapped[:, at] * count).astype(int), count - 1)
                columns.append(weight * (np.eye(count)[option] / math.sqrt(2)) * active[:, at, None])
            else:
                columns.append(weight * np.where(active[:, at], snapped[:, at], HIDDEN)[:, None])
        return np.hstack(columns)


def to_coordinate(each: Hyperparameter, value: Value) -> float:
    """A value's coordinate, an option's too."""
    return each.domain.to_unit(str(value)) if isinstance(each.domain, Choice) else to_unit(each, value)


def _snapped(domain: Domain, units: Matrix) -> Matrix:
    if isinstance(domain, Choice):
        count = len(domain.options)
        return (np.minimum(np.floor(units * count), count - 1) + 0.5) / count
    if isinstance(domain, Float):
        return np.where(units < ZERO_SHARE, 0.0, units) if domain.or_zero else units
    return _snapped_integer(domain, units)


def _snapped_integer(domain: Integer, units: Matrix) -> Matrix:
    low, high = domain.low - 0.5, domain.high + 0.5
    at = low * (high / low) ** units if domain.log else low + (high - low) * units
    values = np.clip(np.rint(at), domain.low, domain.high)
    found: Matrix = np.log(values / low) / math.log(high / low) if domain.log else (values - low) / (high - low)
    return found
