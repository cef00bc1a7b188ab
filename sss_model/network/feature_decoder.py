"""The feature decoder D_sam: multi-scale features to class logits, without a prompt.

Convolutions at full resolution are slow on a CPU, so the stem starts at stride 2 and the last step is sub-pixel
upsampling. Instance normalisation keeps a slice's result independent of its batch, as nnU-Net's does.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from sss_model.data.slice_position import WIDTH

_HIDDEN = 64
_SLOPE = 0.01


class Modulation(NamedTuple):
    """FiLM scale, shift, gain and bias per slice; zero-initialised, i.e. the identity."""

    scale: Tensor
    """(B, deep, 1, 1): the deepest features are multiplied by 1 + scale."""
    shift: Tensor
    """(B, deep, 1, 1), added to them."""
    gain: Tensor
    """(B, fine, 1, 1): the finest features are multiplied by 1 + gain."""
    bias: Tensor
    """(B, classes, 1, 1), added to the logits."""


class SliceContext(nn.Module):
    """Modulates the decoder by the slice as a whole, its position in the volume and the volume's proportions.

    At a volume's ends, labels follow rules that a pixel's neighbourhood doesn't show: which slice is the last in which
    an organ is drawn, and that it is another one once a heart has contracted. A channel that held a slice's position
    would be lost, since instance normalisation subtracts each channel's mean over the slice. So the position and the
    mean of the deepest features are kept beside the path, as in squeeze-and-excitation (Hu et al., 2018), and modulate
    channels, as in FiLM (Perez et al., 2018), and classes.

    Args:
        deep: channels of the deepest features.
        fine: channels of the finest features.
        classes: background included.
        proportions: whether it uses the volume's proportions.
    """

    def __init__(self, *, deep: int, fine: int, classes: int, proportions: bool) -> None:
        super().__init__()
        self._widths = [deep, deep, fine]
        # A Sequential of one layer, because checkpoints call its weights look.0.
        self.look = nn.Sequential(nn.Linear(deep + WIDTH, _HIDDEN))
        # A row a class. Zero at the start, as are proportions that aren't known.
        self.proportions = nn.Parameter(torch.zeros(classes - 1, _HIDDEN)) if proportions else None
        # A layer of its own for the classes: its rows are theirs, so that fine-tuning can inherit them by name.
        self.channels, self.classes = nn.Linear(_HIDDEN, sum(self._widths)), nn.Linear(_HIDDEN, classes)
        for last in (self.channels, self.classes):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, deepest: Tensor, slice_position: Tensor) -> Modulation:
        """From the deepest features (B, deep, H, W) and slice positions (B, 3) or (B, 3 + K), see `ClipBatch`."""
        hidden = self.look(torch.cat([deepest.float().mean((2, 3)), slice_position[:, :WIDTH]], 1))
        if self.proportions is not None and slice_position.shape[1] > WIDTH:
            hidden = hidden + slice_position[:, WIDTH:] @ self.proportions
        hidden = F.gelu(hidden)
        parts = [*self.channels(hidden).split(self._widths, 1), self.classes(hidden)]
        return Modulation(*(part.to(deepest.dtype)[:, :, None, None] for part in parts))


class FeatureDecoder(nn.Module):
    """A convolutional stem joined by the encoder's features, and a path back up to the slice's resolution."""

    def __init__(self, *, classes: int, features: int, channels: int, context: bool, proportions: bool) -> None:
        super().__init__()
        widths = [channels, 2 * channels, 4 * channels, 8 * channels, 8 * channels]  # strides 2, 4, 8, 16, 32
        self.stem = nn.ModuleList(_double(a, b, stride=2) for a, b in pairwise([3, *widths]))
        self.lateral = nn.ModuleList(nn.Conv2d(features, width, 1) for width in widths[1:4])
        self.reduce = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(widths))
        self.merge = nn.ModuleList(_double(2 * width, width, stride=1) for width in widths[:-1])
        self.head = nn.Conv2d(channels, 4 * classes, 1)
        self._initialise(classes)
        self.context: SliceContext | None = None
        if context:
            self.context = SliceContext(deep=widths[-1], fine=channels, classes=classes, proportions=proportions)

    def forward(self, images: Tensor, features: list[Tensor], slice_position: Tensor | None = None) -> Tensor:
        """Logits (B, classes, S, S) from slices (B, 3, S, S) and their features F1..F3 at strides 4, 8 and 16.

        Args:
            slice_position: (B, 3) or (B, 3 + K), see `ClipBatch`; used with context only.
        """
        skips = [self.stem[0](images)]
        for stem, lateral, feature in zip(self.stem[1:4], self.lateral, features, strict=True):
            skips.append(stem(skips[-1]) + lateral(feature))
        x = self.stem[4](skips[-1])
        modulation: Modulation | None = None
        if self.context is not None:
            assert slice_position is not None
            modulation = self.context(x, slice_position)
            x = x * (1 + modulation.scale) + modulation.shift
        for reduce, merge in zip(reversed(self.reduce), reversed(self.merge), strict=True):
            x = F.interpolate(reduce(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = merge(torch.cat([x, skips.pop()], dim=1))
        if modulation is None:
            return F.pixel_shuffle(self.head(x), 2)
        return F.pixel_shuffle(self.head(x * (1 + modulation.gain)), 2) + modulation.bias

    def _initialise(self, classes: int) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=_SLOPE, nonlinearity="leaky_relu")
        # Nearly every pixel is background; a bias that says so leaves the first steps for the structures.
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        self.head.bias.data.view(classes, 4)[0] = 3.0


def _double(inputs: int, outputs: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(_convolve(inputs, outputs, stride), _convolve(outputs, outputs, 1))


def _convolve(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        InstanceNorm(outputs, affine=True),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )


class InstanceNorm(nn.InstanceNorm2d):
    """torch's instance normalisation, also for maps of one pixel, and fast on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        # torch refuses maps of one pixel, which slices of 32 have at stride 32; group normalisation is the same there.
        if x.shape[2:].numel() == 1:
            return F.group_norm(x, x.shape[1], self.weight, self.bias, self.eps)
        if x.device.type != "cpu":
            return super().forward(x)
        # The same as batch normalisation slice by slice, whose CPU kernel supports channels_last: a U-Net's step takes
        # 0.6 times as long.
        one_each = [F.batch_norm(one, None, None, self.weight, self.bias, True, 0.0, self.eps) for one in x.split(1)]
        return torch.cat(one_each)
