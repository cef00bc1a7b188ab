"""The U-Net that the field's semi-supervised methods are compared on.

Its size and dropout are those of SSL4MIS and UniMatch (channels 16 to 256, full resolution); the code is ours.
Normalisation is by instance where theirs is by batch: a slice's result then depends on itself alone, so that labelled,
weak and strong slices don't shift each other's statistics, the moving average has no statistics to keep, and a step in
pieces or on two processes stays the whole step. nnU-Net shows that a U-Net loses nothing by it.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from sss_model.network.base import ClipBatch, Network, SegmenterOutput, SliceDropout
from sss_model.network.feature_decoder import InstanceNorm

_WIDTHS = (16, 32, 64, 128, 256)
_DROPOUT = (0.05, 0.1, 0.2, 0.3, 0.5)
_SLOPE = 0.01


class UNet(Network):
    """Slices to class logits, by convolutions alone; S divisible by 16.

    >>> network = UNet(classes=4, feature_dropout=0.5)
    >>> network(ClipBatch(torch.zeros(2, 3, 32, 32))).logits.shape
    torch.Size([2, 4, 32, 32])
    """

    def __init__(self, *, classes: int, feature_dropout: float) -> None:
        super().__init__()
        self._feature_dropout = feature_dropout
        self.down = nn.ModuleList(
            _Block(a, b, share) for (a, b), share in zip(pairwise((3, *_WIDTHS)), _DROPOUT, strict=True)
        )
        self.reduce = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairwise(_WIDTHS))
        self.up = nn.ModuleList(_Block(2 * width, width, 0.0) for width in _WIDTHS[:-1])
        self.head = nn.Conv2d(_WIDTHS[0], classes, 3, padding=1)
        self._initialise()

    def forward(self, batch: ClipBatch) -> SegmenterOutput:
        dropout = None if batch.seeds is None else SliceDropout(batch.seeds, batch.images.device)
        features: list[Tensor] = []
        for block in self.down:
            features.append(block(F.max_pool2d(features[-1], 2) if features else batch.images, dropout))
        if batch.perturbed is not None:
            assert dropout is not None
            features = [dropout.drop_channels(one, self._feature_dropout, batch.perturbed) for one in features]
        x = features.pop()
        for reduce, block in zip(reversed(self.reduce), reversed(self.up), strict=True):
            x = F.interpolate(reduce(x), scale_factor=2, mode="bilinear", align_corners=False)
            x = block(torch.cat([features.pop(), x], 1), dropout)
        return SegmenterOutput(self.head(x).float())

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, a=_SLOPE, nonlinearity="leaky_relu")
        # Nearly every pixel is background; the feature decoder starts alike.
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        self.head.bias.data[0] = 3.0


class _Block(nn.Module):
    """Two convolutions, dropout between them."""

    def __init__(self, inputs: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self._share = dropout
        self.first, self.second = _convolve(inputs, outputs), _convolve(outputs, outputs)

    def forward(self, x: Tensor, dropout: SliceDropout | None) -> Tensor:
        x = self.first(x)
        if dropout is not None and self._share:
            x = dropout.drop(x, self._share)
        result: Tensor = self.second(x)
        return result


def _convolve(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        InstanceNorm(outputs, affine=True),
        nn.LeakyReLU(_SLOPE, inplace=True),
    )
