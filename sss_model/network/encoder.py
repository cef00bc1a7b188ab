"""SAM-2's image encoder: the one place that touches the ``sam2`` package."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from sss_model.config import Encoder, Model
from sss_model.network.pretrained import read_pretrained

_SUFFIX = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
_PREFIX = "image_encoder."

# A Hiera for CPUs, from SAM-2's classes by configuration alone. Windows of 4 are what a CPU's attention is fastest at.
_MICRO: dict[str, Any] = {
    "trunk": {
        "embed_dim": 32,
        "stages": [1, 1, 2, 1],
        "global_att_blocks": [3],
        "window_spec": [4, 4, 4, 2],
        "window_pos_embed_bkg_spatial_size": [4, 4],
    },
    "neck": {
        "d_model": 64,
        "backbone_channel_list": [256, 128, 64, 32],
        "position_encoding": {"num_pos_feats": 64},
    },
}


class ImageEncoder(nn.Module):
    """Hiera and its feature pyramid, as SAM-2 configures them.

    Attributes:
        channels: channels of every scale of the output.
    """

    def __init__(self, config: Model) -> None:
        super().__init__()
        self.sam = _build(config.encoder, config.version)
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
    """Fill the encoder from a SAM-2 checkpoint.

    Raises:
        InputError: the file is missing, is not such a checkpoint, or belongs to another size.
    """
    read_pretrained(path).fill(encoder.sam, _PREFIX)


def _build(size: Encoder, version: str) -> Any:
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    # The micro encoder changes numbers of the tiny one; what sam2's file says of the rest stays.
    config = OmegaConf.load(config_file("tiny" if size == "micro" else size, version)).model.image_encoder
    return instantiate(OmegaConf.merge(config, _MICRO) if size == "micro" else config)


def config_file(size: str, version: str) -> Path:
    """sam2's own configuration of one of Meta's sizes."""
    folder, stem = ("sam2.1", "sam2.1_hiera") if version == "2.1" else ("sam2", "sam2_hiera")
    return Path(str(resources.files("sam2"))) / "configs" / folder / f"{stem}_{_SUFFIX[size]}.yaml"
