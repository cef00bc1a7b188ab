"""The networks around SAM-2's image encoder: `Segmenter` for single slices, `SssSegmenter` for the whole of SSS."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sss_model.config import Config, Model
from sss_model.data.slice_position import volume_positions
from sss_model.network.base import ClipBatch, MemoryMasks, Network, SegmenterOutput, SliceDropout, Spacing
from sss_model.network.dfe import FeatureEnhancement
from sss_model.network.feature_decoder import FeatureDecoder
from sss_model.network.memory_decoder import MemoryDecoder, fuse_masks
from sss_model.network.pretrained import Pretrained
from sss_model.network.prompts import PromptBatch, Prompter
from sss_model.network.sam2 import MEMORY_PARTS, ImageEncoder, build_memory_parts

_SCALES = 3


class SamNetwork(Network):
    """A network with SAM-2's image encoder and the feature decoder."""

    def __init__(self, config: Model, *, classes: int) -> None:
        super().__init__()
        self.encoder = ImageEncoder(config)
        self.decoder = FeatureDecoder(
            classes=classes,
            features=self.encoder.channels,
            channels=config.decoder_channels,
            context=config.context,
            proportions=config.proportions,
        )
        self.encoder.requires_grad_(not config.freeze_encoder)
        self.decoder.requires_grad_(not config.freeze_decoder)

    def fill(self, pretrained: Pretrained) -> None:
        """Take what one of Meta's checkpoints has for this network; raises `InputError` where it doesn't fit."""
        self.encoder.fill(pretrained)


class Segmenter(SamNetwork):
    """Slices to class logits: image encoder and feature decoder, without a prompt."""

    def __init__(self, config: Model, *, classes: int, feature_dropout: float) -> None:
        super().__init__(config, classes=classes)
        self._feature_dropout = feature_dropout

    def forward(self, batch: ClipBatch) -> SegmenterOutput:
        features = self.encoder(batch.images)
        if batch.perturbed is not None:
            assert batch.seeds is not None
            dropout = SliceDropout(batch.seeds, batch.images.device)
            features = [dropout.drop_channels(one, self._feature_dropout, batch.perturbed) for one in features]
        return SegmenterOutput(self.decoder(batch.images, features, batch.slice_position).float())


class SssSegmenter(SamNetwork):
    """Clips of neighbouring slices to class logits, without a person in the loop.

    image → features → DFE → class logits (``coarse``) → PCSW's prompts → memory decoder → ``fused`` class logits.
    Inference takes the same path: there a clip is a whole volume, and every slice is paired with itself in DFE.
    """

    def __init__(self, config: Config, *, classes: int) -> None:
        super().__init__(config.model, classes=classes)
        model, sss, channels = config.model, config.sss, self.encoder.channels
        self.enhancement = FeatureEnhancement(channels=channels, scales=_SCALES) if sss.enhancement else None
        self.memory: MemoryDecoder | None = None
        if sss.memory:
            parts = build_memory_parts(model.encoder, model.version)
            self.memory = MemoryDecoder(parts, capacity=sss.bank, reads=sss.reads)
            self.gate = nn.Parameter(torch.zeros(classes - 1))
        self._shapes_features = sss.memory_shapes_features
        self._prompter = Prompter(config, foreground=classes - 1)

    def fill(self, pretrained: Pretrained) -> None:
        super().fill(pretrained)
        for name in MEMORY_PARTS if self.memory is not None else ():
            pretrained.fill(getattr(self.memory, name), f"{name}.")

    def forward(self, batch: ClipBatch) -> SegmenterOutput:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not batch.memory_alone):
            features = self.encoder(batch.images)
            enhanced = self._enhance(features, batch)
            coarse = self.decoder(batch.images, enhanced, batch.slice_position).float()
        kept = tuple(features) if batch.keep_features else None
        if self.memory is None or not batch.use_memory:
            return SegmenterOutput(coarse, features=kept)
        assert batch.spacing is not None
        prompts = self._prompter(coarse, batch.spacing, clip=batch.clip, prompting=batch.prompting)
        if not self._shapes_features:
            enhanced = [feature.detach() for feature in enhanced]
        fused, masks = self._remember(enhanced, coarse, prompts, batch.memory_draws, batch.clip)
        return SegmenterOutput(coarse, fused, masks, kept)

    def segment(
        self,
        images: Tensor,
        spacing: Spacing,
        *,
        batch: int,
        proportions: Tensor | None = None,
        prompts: PromptBatch | None = None,
    ) -> Tensor:
        """As `Network.segment`; with the memory decoder, `prompts` of the slices replace the network's own."""
        # A volume is one clip; each of its slices is encoded once.
        pieces = images.split(batch)
        features = [self._enhance(self.encoder(piece)) for piece in pieces]
        positions = volume_positions(len(images), images.device, proportions).split(batch)
        coarse = torch.cat([self.decoder(*one).float() for one in zip(pieces, features, positions, strict=True)])
        if self.memory is None:
            return coarse
        whole = [torch.cat(scale) for scale in zip(*features, strict=True)]
        if prompts is None:
            prompts = self._prompter(coarse, coarse.new_tensor([spacing]).expand(len(images), 3), clip=len(images))
        fused, _ = self._remember(whole, coarse, prompts, None, len(images))
        return fused

    def _enhance(self, features: list[Tensor], batch: ClipBatch | None = None) -> list[Tensor]:
        partners = batch.partners if batch else None
        if self.enhancement is not None:
            # No gradient reaches a partner; a slice that is paired with itself learns through both roles.
            fixed = partners and [partner.detach().to(features[0].dtype) for partner in partners]
            features = self.enhancement(features, fixed, batch.paired if batch else None)
        if batch and batch.channel_factors is not None:
            features = [
                feature * factors[:, :, None, None].to(feature.dtype)
                for feature, factors in zip(features, batch.channel_factors, strict=True)
            ]
        return features

    def _remember(
        self, features: list[Tensor], coarse: Tensor, prompts: PromptBatch, draws: Tensor | None, clip: int
    ) -> tuple[Tensor, MemoryMasks]:
        assert self.memory is not None
        masks: MemoryMasks = self.memory(features, coarse, prompts, self.gate, clip=clip, draws=draws)
        fused = fuse_masks(coarse, masks, self.gate)
        return fused, MemoryMasks(masks.logits.float(), masks.iou.float(), masks.prompted)
