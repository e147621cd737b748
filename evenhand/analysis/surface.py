"""Decision surfaces: the class that a model names at every place of a plane, and points beside it (paper 003, Fig. 5).

Numbers only; what draws them is elsewhere.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evenhand.errors import InvalidSettings

Points = NDArray[np.float64]  # (N, 2)
Classes = NDArray[np.int64]  # (N,)
Predict = Callable[[Points], Classes]
LONGER_SIDE_CELLS = 160  # of the longer side
MARGIN_SHARE = 0.04  # of the range, around the points
SHOWN_POINTS = 600  # points of each split


@dataclass(frozen=True)
class Shown:
    """Some of a split's points (n, 2), their classes (n,), and of how many they are. error: of all of them, in percent."""

    points: Points
    classes: Classes
    of: int
    error: float


@dataclass(frozen=True)
class Surface:
    """The class at the middle of each cell: classes (len(y), len(x)), from the lowest y up; x, y: the middles, evenly spaced.

    shown: thinned points by split. label: where the data comes from. shares: the part of the area that each class covers.
    """

    x: Points
    y: Points
    classes: Classes
    shown: Mapping[str, Shown]
    shares: Mapping[int, float]
    label: str


def surface(
    predict: Predict,
    splits: Mapping[str, tuple[Points, Classes]],
    label: str,
    *,
    cells: int = LONGER_SIDE_CELLS,
    most: int = SHOWN_POINTS,
) -> Surface:
    """The decision surface of `predict` over the range of all splits together, with at most `most` points of each.

    splits: points (N, 2) and classes (N,) by name. cells: of the longer side; the others are as long. Raises InvalidSettings
    where the points do not have two features, or there are none.
    """
    for name, (points, _) in splits.items():
        if points.ndim != 2 or points.shape[1] != 2 or not len(points):
            raise InvalidSettings(
                f"decision surface: split {name!r} has the shape {points.shape}, expected (N, 2) with N above 0"
            )
    if not splits or cells < 2 or most < 1:
        raise InvalidSettings(f"decision surface: {len(splits)} splits, {cells} cells, {most} points; expected at least 1, 2, 1")
    x, y = _middles([points for points, _ in splits.values()], cells)
    across, up = np.meshgrid(x, y)
    classes = np.asarray(predict(np.stack([across.ravel(), up.ravel()], axis=1))).reshape(across.shape)
    class_numbers, counts = np.unique(classes, return_counts=True)
    return Surface(
        x=x,
        y=y,
        classes=classes,
        shown={name: _shown(predict, *part, most) for name, part in splits.items()},
        shares={
            int(class_number): float(count / classes.size) for class_number, count in zip(class_numbers, counts, strict=True)
        },
        label=label,
    )


def disagreement(first: Surface, second: Surface) -> float:
    """The part of the area, 0 to 1, where two surfaces of the same range name different classes."""
    if not (np.array_equal(first.x, second.x) and np.array_equal(first.y, second.y)):
        raise InvalidSettings("decision surfaces: of different ranges or cells; expected two over the same points")
    return float(np.mean(first.classes != second.classes))


def _middles(parts: list[Points], cells: int) -> tuple[Points, Points]:
    low = np.min([part.min(0) for part in parts], axis=0)
    high = np.max([part.max(0) for part in parts], axis=0)
    extent = np.maximum(high - low, 1e-9)  # all points may lie on one line
    low, extent = low - MARGIN_SHARE * extent, (1 + 2 * MARGIN_SHARE) * extent
    size = extent.max() / cells
    counts = np.maximum(2, np.ceil(extent / size - 1e-9)).astype(int)
    x, y = (low[axis] + (np.arange(counts[axis]) + 0.5) * extent[axis] / counts[axis] for axis in (0, 1))
    return x, y


def _shown(predict: Predict, points: Points, classes: Classes, most: int) -> Shown:
    """Evenly spaced ones of the points, in their order, which for generated data is random."""
    rows = np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).round().astype(int))
    error = 100 * float(np.mean(np.asarray(predict(points)) != classes))
    return Shown(points[rows], classes[rows], len(points), error)
