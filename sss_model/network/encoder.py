"""SAM-2's image encoder, as the other parts see it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from sss_model.config import Model
from sss_model.errors import InputError
from sss_model.network.sam import build_image_encoder
from sss_model.weights import read_weights

_PREFIX = "image_encoder."


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


def load_pretrained(encoder: ImageEncoder, path: Path) -> None:
    """Fill the encoder from one of Meta's SAM-2 checkpoints (``{"model": state_dict}``).

    Raises:
        InputError: the file is missing, is not such a checkpoint, or belongs to another size.
    """
    weights = {key.removeprefix(_PREFIX): value for key, value in _read(path).items() if key.startswith(_PREFIX)}
    if not weights:
        raise InputError(
            f"{path}: no {_PREFIX}* weights in it; expected a SAM-2 checkpoint such as sam2.1_hiera_tiny.pt"
        )
    own = encoder.sam.state_dict()
    unlike = sorted(own.keys() ^ weights.keys()) or [key for key in own if own[key].shape != weights[key].shape]
    if unlike:
        raise InputError(f"{path}: {unlike[0]} does not fit this encoder; expected a checkpoint of the same size")
    encoder.sam.load_state_dict(weights)


def _read(path: Path) -> dict[str, Tensor]:
    content = read_weights(path)
    weights = content.get("model") if isinstance(content, dict) else None
    if not isinstance(weights, dict):
        raise InputError(f"{path}: no 'model' in it; expected one of Meta's SAM-2 checkpoints")
    return weights
