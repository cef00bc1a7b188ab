"""SSS: the segmenter with feature enhancement, PCSW's prompts and the memory decoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sss_model.config import Config, Model
from sss_model.data.slice_position import volume_places
from sss_model.network.base import Network, SliceNoise, Spacing
from sss_model.network.dfe import FeatureEnhancement
from sss_model.network.encoder import ImageEncoder
from sss_model.network.feature_decoder import FeatureDecoder
from sss_model.network.memory_decoder import Masks, MemoryDecoder, fuse
from sss_model.network.pretrained import Pretrained
from sss_model.network.prompts import PromptBatch, Prompter
from sss_model.network.sam2 import MEMORY_PARTS, build_memory_parts

# The network that is trained: SAM-2's image encoder and the feature decoder, without a prompt.


class SamNetwork(Network):
    """A network around SAM-2's image encoder and the feature decoder."""

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
    """Slices to class logits."""

    def __init__(self, config: Model, *, classes: int, feature_dropout: float) -> None:
        super().__init__(config, classes=classes)
        self._feature_dropout = feature_dropout

    def forward(
        self,
        images: Tensor,
        *,
        places: Tensor | None = None,
        seeds: Tensor | None = None,
        perturbed: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """``logits`` (B, classes, S, S), float32, of slices (B, 3, S, S); S divisible by 32.

        Args:
            places: (B, 3) or (B, 3 + K) where slices lie in their volumes, and what those are made of, for a decoder
                that is told.
            seeds: (B,) int64, from which perturbation draws.
            perturbed: (B,) booleans: slices whose features F1..F3 lose channels, as in UniMatch; needs `seeds`.
        """
        features = self.encoder(images)
        if perturbed is not None:
            assert seeds is not None
            noise = SliceNoise(seeds, images.device)
            features = [noise.drop_channels(one, self._feature_dropout, perturbed) for one in features]
        return {"logits": self.decoder(images, features, places).float()}

    def _slice_logits(self, images: Tensor, places: Tensor) -> Tensor:
        logits: Tensor = self(images=images, places=places)["logits"]
        return logits


_SCALES = 3


class SssSegmenter(SamNetwork):
    """Clips of neighbouring slices to class logits, with no human in it.

    image → features → DFE → class logits (``coarse``) → PCSW's prompts → memory decoder → ``fused`` class logits.
    Inference takes the same path: there a clip is a whole volume, and every stream meets itself in DFE.
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

    def forward(
        self,
        images: Tensor,
        *,
        spacing: Tensor,
        clip: int,
        places: Tensor | None = None,
        partners: list[Tensor] | None = None,
        paired: Tensor | None = None,
        channels: list[Tensor] | None = None,
        prompting: dict[str, Tensor] | None = None,
        draws: Tensor | None = None,
        remember: bool = True,
        memory_alone: bool = False,
        keep: bool = False,
    ) -> dict[str, Tensor]:
        """Segment n clips of `clip` slices each, B = n · clip.

        Args:
            images: (B, 3, S, S); S divisible by 32.
            spacing: (B, 3) mm between slices, rows and columns.
            places: (B, 3) or (B, 3 + K), see `sss_model.data.slice_position.volume_places`, for a decoder that is told.
            partners: F1..F3 (B, …) of another view of the same slices, for DFE.
            paired: (B,) booleans: whose partner is used; the others meet themselves.
            channels: per scale, (B, C) factors laid on the enhanced features.
            prompting: what replaces a slice's own prompts (see `Prompter`); None leaves every slice its own.
            draws: (B, classes − 1, reads) uniform numbers for the memory bank; None reads deterministically.
            remember: whether the memory decoder takes part.
            memory_alone: whether nothing but the memory decoder gets a gradient.
            keep: whether to hand out the encoder's features, too.

        Returns:
            ``coarse`` class logits (B, classes, S, S), float32; with the memory decoder ``fused`` of the same shape,
            ``masks``, ``iou`` and ``prompted`` (see `Masks`); if asked for, ``features0`` to ``features2``.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not memory_alone):
            features = self.encoder(images)
            enhanced = self._enhance(features, partners, paired, channels)
            coarse = self.decoder(images, enhanced, places).float()
        outputs = {"coarse": coarse}
        if keep:
            outputs |= {f"features{scale}": feature for scale, feature in enumerate(features)}
        if self.memory is None or not remember:
            return outputs
        prompts = self._prompter(coarse, spacing, clip=clip, **(prompting or {}))
        if not self._shapes_features:
            enhanced = [feature.detach() for feature in enhanced]
        return outputs | self._remember(enhanced, coarse, prompts, draws, clip)

    def _slice_logits(self, images: Tensor, places: Tensor) -> Tensor:
        """The feature decoder's word, to which the memory decoder adds nothing yet."""
        coarse: Tensor = self.decoder(images, self._enhance(self.encoder(images)), places)
        return coarse.float()

    def segment(
        self,
        images: Tensor,
        spacing: Spacing,
        *,
        batch: int,
        proportions: Tensor | None = None,
        prompts: PromptBatch | None = None,
    ) -> Tensor:
        """As every network's; with the memory decoder, `prompts` of the slices replace the network's own."""
        # A volume is one clip; each of its slices is encoded once.
        pieces = images.split(batch)
        features = [self._enhance(self.encoder(piece)) for piece in pieces]
        places = volume_places(len(images), images.device, proportions).split(batch)
        coarse = torch.cat([self.decoder(*one).float() for one in zip(pieces, features, places, strict=True)])
        if self.memory is None:
            return coarse
        whole = [torch.cat(scale) for scale in zip(*features, strict=True)]
        if prompts is None:
            prompts = self._prompter(coarse, coarse.new_tensor([spacing]).expand(len(images), 3), clip=len(images))
        return self._remember(whole, coarse, prompts, None, len(images))["fused"]

    def _enhance(
        self,
        features: list[Tensor],
        partners: list[Tensor] | None = None,
        paired: Tensor | None = None,
        channels: list[Tensor] | None = None,
    ) -> list[Tensor]:
        if self.enhancement is not None:
            # A partner is only looked at; who meets itself learns through both roles.
            looked_at = partners and [partner.detach().to(features[0].dtype) for partner in partners]
            features = self.enhancement(features, looked_at, paired)
        if channels is not None:
            features = [
                feature * kept[:, :, None, None].to(feature.dtype)
                for feature, kept in zip(features, channels, strict=True)
            ]
        return features

    def _remember(
        self, features: list[Tensor], coarse: Tensor, prompts: PromptBatch, draws: Tensor | None, clip: int
    ) -> dict[str, Tensor]:
        assert self.memory is not None
        masks: Masks = self.memory(features, coarse, prompts, self.gate, clip=clip, draws=draws)
        return {
            "fused": fuse(coarse, masks, self.gate),
            "masks": masks.logits.float(),
            "iou": masks.iou.float(),
            "prompted": masks.prompted,
        }
