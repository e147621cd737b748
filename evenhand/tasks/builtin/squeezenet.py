"""SqueezeNet 1.1 (Iandola et al., arXiv:1602.07360, and the authors' later revision with fewer operations), for any image size.

Convolutions only, about 0.7 million weights. Two things differ from common implementations, neither in what is computed: the
last average is a plain mean, whose gradient adds in a fixed order on every device, and dropout takes its bits from a stream
that the training loop restarts each epoch.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

SMALLEST_PIXELS = 17  # pixels: below this the third pooling has nothing left to pool
# Each row is one stage between poolings: (squeeze, expand) channels of its Fire modules; each expands to twice `expand`.
STAGES = (((16, 64), (16, 64)), ((32, 128), (32, 128)), ((48, 192), (48, 192), (64, 256), (64, 256)))
STEM_CHANNELS = 64
LAST_STD = 0.01  # of the last convolution's initial weights, as in torchvision


def build(classes: int, *, last_relu: bool, last_std: float = LAST_STD, norm: bool = False, seed: int) -> "SqueezeNet":
    """The network with its initial weights, by `seed` only: Kaiming uniform, the last convolution normal, biases 0.

    last_std: the standard deviation of the last convolution's initial weights. norm: whether each image's values are normalised
    before each ReLU but the last.
    """
    network = SqueezeNet(classes, last_relu=last_relu, norm=norm)
    generator = torch.Generator().manual_seed(seed)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            if module is network.last:
                nn.init.normal_(module.weight, std=last_std, generator=generator)
            else:
                nn.init.kaiming_uniform_(module.weight, generator=generator)
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return network


class Fire(nn.Module):
    """Squeeze to few channels by 1 x 1, then expand by 1 x 1 and by 3 x 3 side by side."""

    def __init__(self, channels: int, squeeze: int, expand: int, norm: bool) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeeze, 1)
        self.point = nn.Conv2d(squeeze, expand, 1)
        self.patch = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.norms = nn.ModuleList([_norm(squeeze, norm), _norm(2 * expand, norm)])

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, 2 * expand, H, W)."""
        narrow_norm, wide_norm = self.norms
        narrow = functional.relu(narrow_norm(self.squeeze(images)), inplace=True)
        return functional.relu(wide_norm(torch.cat((self.point(narrow), self.patch(narrow)), 1)), inplace=True)


def _norm(channels: int, norm: bool) -> nn.Module:
    """All values of an image brought to mean 0 and deviation 1, whatever else is in its batch; or nothing."""
    return nn.GroupNorm(1, channels) if norm else nn.Identity()


class HalfDropout(nn.Module):
    """Dropout of one half, one bit a value, in the order of images and of channels-last values within an image.

    So an image's mask depends on the stream's seed and the image's place in the epoch, not on the batch size or the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stream = np.random.PCG64(0)

    def restart(self, seed: int) -> None:
        """Begin the stream of bits anew."""
        self.stream = np.random.PCG64(seed)

    def forward(self, values: Tensor) -> Tensor:
        """(N, C, H, W) with C a multiple of 64: half of the values doubled, the others 0; unchanged outside training."""
        if not self.training:
            return values
        count, channels, height, width = values.shape
        words = self.stream.random_raw(values.numel() // 64)
        bits = np.unpackbits(words.astype("<u8").view(np.uint8)).reshape(count, height, width, channels)
        mask = torch.from_numpy(bits).to(values.device).permute(0, 3, 1, 2)
        dropped: Tensor = values * (mask.to(values.dtype) * 2)
        return dropped


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 for `classes` classes.

    last_relu: whether a ReLU follows the last convolution, as in the original. norm: whether each image's values are normalised
    before each other ReLU, which the original does not.
    """

    def __init__(self, classes: int, *, last_relu: bool, norm: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 3, stride=2)
        self.stem_norm = _norm(STEM_CHANNELS, norm)
        channels = STEM_CHANNELS
        self.stages = nn.ModuleList()
        for stage in STAGES:
            modules = []
            for squeeze, expand in stage:
                modules.append(Fire(channels, squeeze, expand, norm))
                channels = 2 * expand
            self.stages.append(nn.Sequential(*modules))
        self.dropout = HalfDropout()
        self.last = nn.Conv2d(channels, classes, 1)
        self.last_relu = last_relu

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) with H, W >= 17 to logits (N, classes)."""
        values = functional.relu(self.stem_norm(self.stem(images)), inplace=True)
        for stage in self.stages:
            values = stage(functional.max_pool2d(values, 3, 2, ceil_mode=True))
        scores: Tensor = self.last(self.dropout(values))
        if self.last_relu:
            scores = functional.relu(scores, inplace=True)
        return scores.mean((2, 3))

    def restart(self, seed: int) -> None:
        """Begin the dropout's stream of bits anew, as is done before each epoch."""
        self.dropout.restart(seed)
