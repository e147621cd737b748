"""Fronts of several metrics: which trials no other one is better than in everything, and how alone each stands there."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from evenhand.model.direction import sign_of
from evenhand.model.trial import Trial


def costs(trial: Trial, maximize: bool, beside: Sequence[tuple[str, str]]) -> tuple[float, ...]:
    """Every metric as something to be minimized: its value, then those `beside`, each as (name, direction)."""
    first = -sign_of(maximize) * (trial.value or 0.0)
    return (first, *(-sign_of(way == "maximize") * trial.extra[name] for name, way in beside))


def in_fronts(trials: Sequence[Trial], maximize: bool, beside: Sequence[tuple[str, str]]) -> list[tuple[Trial, int]]:
    """The trials that have every metric with their front (from 1), in its order; within a front those that stand alone first."""
    whole = [trial for trial in trials if all(name in trial.extra for name, _ in beside)]
    rows = np.array([costs(trial, maximize, beside) for trial in whole])
    ranked: list[tuple[Trial, int]] = []
    for number, front in enumerate(fronts(rows) if whole else (), start=1):
        alone = crowding(rows[front])
        order = sorted(range(len(front)), key=lambda at: (-alone[at], whole[front[at]].number))
        ranked += [(whole[front[at]], number) for at in order]
    return ranked


def fronts(costs: np.ndarray[Any, np.dtype[np.float64]]) -> list[list[int]]:
    """The rows of costs (n, metrics), all to be minimized, in fronts: no row is dominated by one of its own or a later front."""
    no_worse, better = np.ones((len(costs), len(costs)), dtype=bool), np.zeros((len(costs), len(costs)), dtype=bool)
    for column in costs.T:
        no_worse &= column[:, None] <= column
        better |= column[:, None] < column
    dominates = no_worse & better
    dominators = dominates.sum(axis=0)  # of each row, those that are in no front yet
    rest, groups = np.ones(len(costs), dtype=bool), []
    while rest.any():
        front = np.flatnonzero(rest & (dominators == 0))
        groups.append(front.tolist())
        rest[front] = False
        dominators -= dominates[front].sum(axis=0)
    return groups


def crowding(costs: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    """How alone each row of a front stands: the sum over metrics of the gap between its neighbours; infinite at the ends."""
    alone = np.zeros(len(costs))
    for column in costs.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        alone[order[[0, -1]]] = np.inf
        if span > 0 and len(order) > 2:
            alone[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return [float(gap) for gap in alone]
