"""The network that is trained: SAM-2's image encoder and the feature decoder, without a prompt."""

from __future__ import annotations

from torch import Tensor

from sss_model.config import Model
from sss_model.network.decoder import FeatureDecoder
from sss_model.network.encoder import ImageEncoder
from sss_model.network.network import Network
from sss_model.network.noise import SliceNoise
from sss_model.network.pretrained import Pretrained


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

    def glance(self, images: Tensor, places: Tensor) -> Tensor:
        logits: Tensor = self(images=images, places=places)["logits"]
        return logits
