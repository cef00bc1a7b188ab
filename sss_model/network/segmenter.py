"""The network that is trained: SAM-2's image encoder and the feature decoder, without a prompt."""

from __future__ import annotations

import torch
from torch import Tensor

from sss_model.config import Model
from sss_model.network.decoder import FeatureDecoder
from sss_model.network.encoder import ImageEncoder
from sss_model.network.network import Network, Spacing


class SamNetwork(Network):
    """A network around SAM-2's image encoder and the feature decoder."""

    def __init__(self, config: Model, *, classes: int) -> None:
        super().__init__()
        self.encoder = ImageEncoder(config)
        self.decoder = FeatureDecoder(classes=classes, features=self.encoder.channels, channels=config.decoder_channels)
        self.encoder.requires_grad_(not config.freeze_encoder)


class Segmenter(SamNetwork):
    """Slices to class logits."""

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """``logits`` (B, classes, S, S), float32, of slices (B, 3, S, S); S divisible by 32."""
        return {"logits": self.decoder(images, self.encoder(images)).float()}

    def segment(self, images: Tensor, spacing: Spacing, *, batch: int) -> Tensor:
        return torch.cat([self(images=piece)["logits"] for piece in images.split(batch)])
