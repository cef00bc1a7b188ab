"""The network that is trained: SAM-2's image encoder and the feature decoder."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from sss_model.config import Model
from sss_model.network.decoder import FeatureDecoder
from sss_model.network.encoder import ImageEncoder, load_pretrained


class Segmenter(nn.Module):
    """Slices to class logits, prompt-free."""

    def __init__(self, config: Model, *, classes: int) -> None:
        super().__init__()
        self.encoder = ImageEncoder(config)
        self.decoder = FeatureDecoder(classes=classes, features=self.encoder.channels, channels=config.decoder_channels)
        self.encoder.requires_grad_(not config.freeze_encoder)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, classes, S, S), float32, from slices (B, 3, S, S); S divisible by 32."""
        logits: Tensor = self.decoder(images, self.encoder(images))
        return logits.float()


def build_segmenter(config: Model, *, classes: int, seed: int) -> Segmenter:
    """A network with seeded weights, its encoder filled from ``config.checkpoint`` when one is named.

    Raises:
        InputError: the checkpoint is missing or does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Segmenter(config, classes=classes)
    if config.checkpoint is not None:
        load_pretrained(network.encoder, Path(config.checkpoint))
    return network
