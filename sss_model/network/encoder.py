"""SAM-2's image encoder, as the other parts see it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from sss_model.config import Model
from sss_model.network.pretrained import Pretrained
from sss_model.network.sam2 import build_image_encoder


class ImageEncoder(nn.Module):
    """Hiera and its feature pyramid, as SAM-2 configures them.

    Attributes:
        channels: channels of every scale of the output.
    """

    def __init__(self, config: Model) -> None:
        super().__init__()
        self.sam = build_image_encoder(config.encoder, config.version)
        self._micro = config.encoder == "micro"
        self.channels: int = self.sam.neck.d_model

    def forward(self, images: Tensor) -> list[Tensor]:
        """Encode slices.

        Args:
            images: (B, 3, S, S), S divisible by 32.

        Returns:
            Features F1..F3, (B, channels, S/4, S/4), (…, S/8, S/8) and (…, S/16, S/16).
        """
        with self._attention():
            features: list[Tensor] = self.sam(images)["backbone_fpn"]
        return features

    def fill(self, pretrained: Pretrained) -> None:
        """Take the weights of one of Meta's checkpoints; raises `InputError` where they don't fit."""
        pretrained.fill(self.sam, "image_encoder.")

    def recompute_activations(self) -> None:
        """Let the backward pass compute each block's activations once more, so that memory holds one block's at a time.

        Gradients stay the same (gradient checkpointing, Chen et al., 2016).
        """
        for block in self.sam.trunk.blocks:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False, context_fn=self._attention_twice)

    def _attention(self) -> AbstractContextManager[None]:
        # On a CPU the plain formula beats the fused kernel for windows as small as the micro encoder's.
        plain = self._micro and next(self.parameters()).device.type == "cpu"
        return sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()

    def _attention_twice(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        # The second computation must use the kernel of the first.
        return self._attention(), self._attention()
