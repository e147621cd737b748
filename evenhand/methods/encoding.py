"""Configurations as numbers, for models: points of the unit cube, and what a kernel sees of them.

A point has one coordinate for each hyperparameter, in the space's order, on the scale of its domain; what is inactive has a
coordinate too, which is not seen.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evenhand.methods.base import is_there
from evenhand.methods.optuna_history import to_unit
from evenhand.model.condition import Condition
from evenhand.model.domain import ZERO_SHARE, Choice, Domain, Float, Integer, Value
from evenhand.model.hyperparameter import Hyperparameter
from evenhand.model.space import Space

Matrix = np.ndarray[Any, np.dtype[np.float64]]
INACTIVE_COORDINATE = 0.5  # the coordinate of what is inactive


@dataclass(frozen=True)
class Encoding:
    """Points (n, hyperparameters) of a space's unit cube, and features (n, columns).

    A number, or a choice in an order, has one column; another choice one for each option. Inactive numbers are seen in the
    middle, inactive choices as none of their options.
    """

    space: Space

    def point(self, values: Mapping[str, Value]) -> list[float]:
        """The point of a configuration; what is inactive or absent has its default's coordinate."""
        return [self._coordinate(hyperparameter, values) for hyperparameter in self.space]

    def _coordinate(self, hyperparameter: Hyperparameter, values: Mapping[str, Value]) -> float:
        if hyperparameter.name in values and is_there(hyperparameter.domain, values[hyperparameter.name]):
            return to_unit(hyperparameter, values[hyperparameter.name])
        return INACTIVE_COORDINATE if hyperparameter.mandatory else to_unit(hyperparameter, hyperparameter.default)

    def snapped(self, points: Matrix) -> Matrix:
        """Each coordinate moved to the middle of its value's cell, so that equal configurations are equal points."""
        return np.column_stack([_snapped(hyperparameter.domain, points[:, at]) for at, hyperparameter in enumerate(self.space)])

    def active(self, points: Matrix) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which hyperparameters are active at each point, (n, hyperparameters)."""
        names = self.space.names
        mask = np.ones(points.shape, dtype=bool)
        for at, hyperparameter in enumerate(self.space):
            for part in hyperparameter.condition.parts if hyperparameter.condition else ():
                on = names.index(part.on)
                mask[:, at] &= mask[:, on] & _holds(part, self.space[part.on], points[:, on])
        return mask

    def features(self, points: Matrix, weights: Sequence[float] | None = None) -> Matrix:
        """What a kernel sees of the points, (n, columns). weights: by which each hyperparameter's columns are stretched."""
        snapped, active = self.snapped(points), self.active(points)
        columns: list[Matrix] = []
        for at, hyperparameter in enumerate(self.space):
            weight = 1.0 if weights is None else weights[at]
            if isinstance(hyperparameter.domain, Choice) and not hyperparameter.domain.ordered:
                count = len(hyperparameter.domain.options)
                option = np.minimum((snapped[:, at] * count).astype(int), count - 1)
                columns.append(weight * (np.eye(count)[option] / math.sqrt(2)) * active[:, at, None])
            else:
                columns.append(weight * np.where(active[:, at], snapped[:, at], INACTIVE_COORDINATE)[:, None])
        return np.hstack(columns)


def to_coordinate(hyperparameter: Hyperparameter, value: Value) -> float:
    """A value's coordinate, an option's too."""
    return hyperparameter.domain.to_unit(value) if isinstance(hyperparameter.domain, Choice) else to_unit(hyperparameter, value)


def _holds(part: Condition, parent: Hyperparameter, units: Matrix) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Whether a simple condition holds at each of the parent's coordinates, (n,)."""
    if part.has_bounds:
        return np.array([part.is_within(parent.domain.from_unit(float(unit))) for unit in units], dtype=bool)
    coordinates = [_snapped(parent.domain, np.array([to_coordinate(parent, value)]))[0] for value in part.values]
    there: np.ndarray[Any, np.dtype[np.bool_]] = np.isclose(
        _snapped(parent.domain, units)[:, None], np.array(coordinates)[None, :]
    ).any(axis=1)
    return there


def _snapped(domain: Domain, units: Matrix) -> Matrix:
    cells = domain.cells
    if cells is not None:
        return (np.minimum(np.floor(units * cells), cells - 1) + 0.5) / cells
    if isinstance(domain, Integer):
        return _snapped_integer(domain, units)
    assert isinstance(domain, Float)
    if domain.step is not None:
        return np.array([domain.to_unit(domain.from_unit(float(unit))) for unit in units])
    return np.where(units < ZERO_SHARE, 0.0, units) if domain.or_zero else units


def _snapped_integer(domain: Integer, units: Matrix) -> Matrix:
    low, high = domain.low - 0.5, domain.high + 0.5
    at = low * (high / low) ** units if domain.log else low + (high - low) * units
    values = np.clip(np.rint(at), domain.low, domain.high)
    coordinates: Matrix = np.log(values / low) / math.log(high / low) if domain.log else (values - low) / (high - low)
    return coordinates
