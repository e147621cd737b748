"""Generated stand-ins for the paper's synthetic data sets #08, #09 and #10, whose class densities are known.

"On Automating Hyperparameter Optimization for Deep Learning Applications" describes its sets in words and gives their sizes
(Table 1); the points themselves are a course's. What is here is generated after the words: two features, balanced classes, the
sizes, and noise, overlap and shifts between the splits chosen so that errors are near those of its Table 3. Numbers from
these sets are not numbers from the course's.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from evenhand.errors import InvalidSettings
from evenhand.model.rules import derive_seed
from evenhand.tasks.builtin.mixtures import (
    BayesError,
    Labels,
    Mixture,
    Numbers,
    curve,
    draw,
    gaussians,
    grid_error,
    sampled_error,
)

Split = Literal["train", "dev", "eval"]
SPLITS: tuple[Split, ...] = ("train", "dev", "eval")
GENERATED = "generated after the paper's description, not the course's data"
LEAST_POINTS = 60  # points of a split, however small the scale
COMPONENTS = 96  # Gaussians along a curve: at most one deviation apart, so that no ripple shows


@dataclass(frozen=True)
class Shapes:
    """One generated data set: what it is in words, the paper's sizes of its splits, and each split's classes as mixtures."""

    name: str
    about: str
    sizes: Mapping[Split, int]
    classes: Callable[[Split], tuple[Mixture, ...]]


def shapes(name: str) -> Shapes:
    """The data set "08", "09" or "10"; InvalidSettings for another."""
    if name not in SETS:
        raise InvalidSettings(f"generated data set {name!r}: unknown, expected one of {', '.join(SETS)}")
    return SETS[name]


def size(name: str, split: Split, scale: float = 1.0) -> int:
    """How many points a split has at `scale` (0 to 1] of the paper's size, 60 at least."""
    if not 0 < scale <= 1:
        raise InvalidSettings(f"scale of data set {name!r}: got {scale!r}, expected a number above 0 and at most 1")
    return max(LEAST_POINTS, round(shapes(name).sizes[split] * scale))


def points(name: str, split: Split, scale: float = 1.0) -> tuple[Numbers, Labels]:
    """The split's points (N, 2) and classes (N,), always the same ones at one scale: each split has a fixed seed of its own."""
    return draw(shapes(name).classes(split), size(name, split, scale), derive_seed(0, "shapes", name, split))


def bayes_error(name: str, split: Split, way: Literal["grid", "sample"] = "grid") -> BayesError:
    """The lowest error that any classifier can have on a split, from the known densities: by integration or by sampling."""
    classes = shapes(name).classes(split)
    return grid_error(classes) if way == "grid" else sampled_error(classes)


def shifted_error(name: str, learnt: Split, scored: Split) -> BayesError:
    """The error on the split `scored` of the rule that is the best one for the split `learnt`: what the shift costs."""
    figures = shapes(name)
    return grid_error(figures.classes(scored), figures.classes(learnt))


def _moved(
    vertices: Sequence[tuple[float, float]], *, turn: float = 0.0, by: tuple[float, float] = (0.0, 0.0), swell: float = 1.0
) -> Numbers:
    """Vertices (V, 2) stretched upwards by `swell`, turned by `turn` degrees about the origin, and moved by `by`."""
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    turned: Numbers = np.array(vertices) * (1, swell) @ np.array([[cos, sin], [-sin, cos]]) + by
    return turned


HOOK = ((-0.75, 0.55), (-0.35, 0.72), (0.05, 0.60), (0.18, 0.25), (-0.05, -0.02), (-0.40, -0.08), (-0.62, -0.30))
SICKLE = ((0.72, 0.62), (0.80, 0.20), (0.62, -0.18), (0.25, -0.30), (-0.08, -0.42), (-0.20, -0.72))
LIGHTNING = ((-0.88, 0.10), (-0.55, 0.30), (-0.15, 0.32), (0.38, -0.02), (0.42, 0.40), (0.55, 0.85))


def _curves(split: Split) -> tuple[Mixture, ...]:
    """#08: a hook, a sickle and a zigzag that run into one another; dev is a little moved, eval turned by 40 degrees."""
    turn, by, deviation = {"train": (0, (0, 0), 0.17), "dev": (0, (0.05, 0.03), 0.176), "eval": (40, (0, 0), 0.165)}[split]
    return tuple(curve(_moved(line, turn=turn, by=by), deviation, COMPONENTS) for line in (HOOK, SICKLE, LIGHTNING))


SLANT_RADIANS = math.radians(30)  # of the row of Gaussians
SPACING = 0.4


def _row(split: Split) -> tuple[Mixture, ...]:
    """#09: five Gaussians in a slanted row, their classes in turn; dev is moved a little along the row, eval further."""
    along, across, deviation = {"train": (0, 0, 0.09), "dev": (0.045, 0.02, 0.091), "eval": (0.117, 0.2, 0.088)}[split]
    cos, sin = math.cos(SLANT_RADIANS), math.sin(SLANT_RADIANS)
    places = [(along + SPACING * step, across) for step in (-2, -1, 0, 1, 2)]
    turned = [(cos * u - sin * v, sin * u + cos * v) for u, v in places]
    return gaussians(turned[::2], deviation), gaussians(turned[1::2], deviation)


WAVE = (
    (-1.00, -0.10), (-0.82, 0.22), (-0.66, 0.40), (-0.50, 0.30), (-0.36, -0.02), (-0.22, -0.34), (-0.06, -0.42), (0.10, -0.22),
    (0.22, 0.10), (0.36, 0.40), (0.52, 0.44), (0.66, 0.18), (0.78, -0.14), (0.90, -0.36), (1.02, -0.30),
)  # fmt: skip
WAVE_GAP = 0.178  # of either class from the wave, upwards


def _waves(split: Split) -> tuple[Mixture, ...]:
    """#10: two bands, above and below a wave drawn by hand, with white noise.

    Dev is moved along the wave, so that a rule without its bends does better there than one with them, though not on the
    others; eval is twice as high, wider apart and turned. So whoever tunes on dev is misled.
    """
    along, swell, gap, turn, up, deviation = {
        "train": (0.0, 1.0, WAVE_GAP, 0.0, 0.0, 0.07),
        "dev": (0.69, 1.0, WAVE_GAP, 0.0, 0.0, 0.082),
        "eval": (-0.1, 2.08, 1.62 * WAVE_GAP, 34.0, -0.27, 0.082),
    }[split]
    bands = [[(x + along, y + side * gap / swell) for x, y in WAVE] for side in (1, -1)]
    return tuple(curve(_moved(band, swell=swell, turn=turn, by=(0.0, up)), deviation, COMPONENTS) for band in bands)


def _sizes(train: int, dev: int, held: int) -> Mapping[Split, int]:
    return {"train": train, "dev": dev, "eval": held}


SETS: Mapping[str, Shapes] = {
    "08": Shapes("08", "three classes of complex shape", _sizes(300_000, 15_000, 15_000), _curves),
    "09": Shapes("09", "five tight, equally spaced Gaussians in two classes", _sizes(500_000, 250_000, 250_000), _row),
    "10": Shapes("10", "two classes of hand-made shape with Gaussian noise", _sizes(100_000, 10_000, 10_000), _waves),
}
