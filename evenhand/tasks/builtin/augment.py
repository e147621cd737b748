"""Image patches as a network gets them: in training cropped, turned and jittered at random, always normalised.

Every random number comes from a stream of the seed and the epoch, in the order of the examples: so what happens to a patch
does not depend on the batch size. The paper names the three changes and gives no numbers; see docs/tasks.md.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from evenhand.model.rules import derive_seed
from evenhand.tasks.builtin.training import raw_bits
from evenhand.tasks.readers import Pixels

DRAWS = 7  # numbers for one patch in one epoch: size of the crop, its place (2), angle, brightness, contrast, saturation
LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # ITU-R BT.601: red, green and blue in the grey of a picture


@dataclass(frozen=True)
class Augmentation:
    """How far patches are changed in training.

    crop: the least side of the piece that is cut out, as part of the patch's, then resized to the whole; 1 is none. rotate: the
    largest angle in degrees, either way. jitter: the largest relative change of brightness, contrast and saturation.
    """

    crop: float
    rotate: float
    jitter: float


class PatchFeed:
    """Patches resident as uint8 (N, H, W, 3), handed out as normalised (B, 3, H, W). mean, std: of each channel, 0 to 255."""

    def __init__(
        self,
        pixels: Pixels,
        labels: NDArray[np.int64],
        change: Augmentation,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        where: torch.device,
    ) -> None:
        self.pixels = torch.from_numpy(np.ascontiguousarray(pixels)).to(where)
        self.labels = torch.from_numpy(labels).to(where)
        self._change = change
        self._mean, self._std = (
            torch.tensor(statistic, dtype=torch.float32, device=where).view(1, 3, 1, 1) for statistic in (mean, std)
        )
        self._drawn = torch.zeros(0, DRAWS)

    def begin(self, seed: int, epoch: int) -> None:
        """Draw what happens to each patch in an epoch."""
        bits = raw_bits(derive_seed(seed, "augment", epoch), len(self.labels) * DRAWS)
        units = (bits >> np.uint64(40)).astype(np.float32) / 2**24  # in [0, 1), exact in float32
        self._drawn = torch.from_numpy(units.reshape(-1, DRAWS)).to(self.pixels.device)

    def inputs(self, rows: Tensor, training: bool) -> Tensor:
        """The patches `rows`, normalised; changed as drawn where it is training."""
        images = self.pixels.index_select(0, rows).permute(0, 3, 1, 2).float()
        if training:
            images = changed(images, self._drawn.index_select(0, rows), self._change)
        return ((images - self._mean) / self._std).contiguous(memory_format=torch.channels_last)


def changed(images: Tensor, drawn: Tensor, change: Augmentation) -> Tensor:
    """Images (B, 3, H, W) from 0 to 255, changed by numbers `drawn` (B, 7) in [0, 1)."""
    if change.crop < 1 or change.rotate > 0:
        images = moved(images, drawn[:, :4], change)
    return jittered(images, drawn[:, 4:], change.jitter) if change.jitter > 0 else images


def moved(images: Tensor, drawn: Tensor, change: Augmentation) -> Tensor:
    """Crop and rotation in one bilinear resampling; beyond the edge the image is reflected."""
    side = change.crop + (1 - change.crop) * drawn[:, 0]
    across, down = ((1 - side) * (2 * drawn[:, column] - 1) for column in (1, 2))
    angle = (2 * drawn[:, 3] - 1) * math.radians(change.rotate)
    cos, sin = side * angle.cos(), side * angle.sin()
    affine = torch.stack((torch.stack((cos, -sin, across), 1), torch.stack((sin, cos, down), 1)), 1)
    grid = functional.affine_grid(affine, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def jittered(images: Tensor, drawn: Tensor, most: float) -> Tensor:
    """Brightness, then contrast around the mean grey, then saturation, each times 1 - most to 1 + most; cut at 0 and 255."""
    brightness, contrast, saturation = (1 + most * (2 * drawn[:, column] - 1).view(-1, 1, 1, 1) for column in range(3))
    images = (images * brightness).clamp(0, 255)
    middle = _grey(images).mean((1, 2, 3), keepdim=True)
    images = ((images - middle) * contrast + middle).clamp(0, 255)
    grey = _grey(images)
    return ((images - grey) * saturation + grey).clamp(0, 255)


def _grey(images: Tensor) -> Tensor:
    return (images * images.new_tensor(LUMA_WEIGHTS).view(1, 3, 1, 1)).sum(1, keepdim=True)
