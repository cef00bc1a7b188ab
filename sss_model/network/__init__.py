"""The networks: SAM-2's encoder with our decoders, and a U-Net to compare with."""

from __future__ import annotations

from pathlib import Path

import torch

from sss_model.config import Config
from sss_model.network.base import Network
from sss_model.network.pretrained import read_pretrained
from sss_model.network.segmenter import SamNetwork, Segmenter, SssSegmenter
from sss_model.network.unet import UNet


def build_network(config: Config, *, classes: int, pretrained: Path | None = None) -> Network:
    """The network that a recipe describes; its weights depend on the recipe's seed alone.

    Args:
        classes: background included.
        pretrained: a file with Meta's weights to start from.

    Raises:
        InputError: the checkpoint is missing or does not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        network = _untrained(config, classes)
    if pretrained is not None and isinstance(network, SamNetwork):
        network.fill(read_pretrained(pretrained))
    return network


def _untrained(config: Config, classes: int) -> Network:
    if config.train.method == "sss":
        return SssSegmenter(config, classes=classes)
    dropout = config.unimatch.feature_dropout
    if config.model.network == "unet":
        return UNet(classes=classes, feature_dropout=dropout)
    return Segmenter(config.model, classes=classes, feature_dropout=dropout)
