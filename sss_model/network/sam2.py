"""SAM-2's parts, built by configuration: the one place that touches the ``sam2`` package.

``micro`` is made from SAM-2's classes by numbers alone; the other sizes are as Meta configured them, so that Meta's
checkpoints fit.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.checkpoint import checkpoint

from sss_model.config import Encoder, Model
from sss_model.network.pretrained import Pretrained

_SUFFIX = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}

# A Hiera for CPUs. Windows of 4 are what a CPU's attention is fastest at.
_MICRO: dict[str, Any] = {
    "image_encoder": {
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
    },
    "memory_attention": {
        "d_model": 64,
        "num_layers": 1,
        "layer": {
            "d_model": 64,
            "dim_feedforward": 128,
            "self_attention": {"embedding_dim": 64},
            "cross_attention": {"embedding_dim": 64, "kv_in_dim": 32},
        },
    },
    "memory_encoder": {
        "in_dim": 64,
        "out_dim": 32,
        "position_encoding": {"num_pos_feats": 32},
        # A mask comes at a quarter of the slice's size, as the mask decoder makes it.
        "mask_downsampler": {"embed_dim": 64, "total_stride": 4},
        "fuser": {"layer": {"dim": 64}, "num_layers": 1},
    },
}
# Training draws all its random numbers from the seed and the step; torch's dropout would not.
_NO_DROPOUT: dict[str, Any] = {
    "layer": {"dropout": 0.0, "self_attention": {"dropout": 0.0}, "cross_attention": {"dropout": 0.0}}
}

MEMORY_PARTS = ("memory_attention", "memory_encoder", "sam_prompt_encoder", "sam_mask_decoder")
"""SAM-2's modules around its memory, under the names that its checkpoints give them."""


class ImageEncoder(nn.Module):
    """SAM-2's image encoder: Hiera and its feature pyramid.

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
        """Recompute each block's activations in the backward pass (gradient checkpointing, Chen et al., 2016).

        Memory then holds one block's activations at a time; gradients stay the same.
        """
        for block in self.sam.trunk.blocks:
            block.forward = partial(checkpoint, block.forward, use_reentrant=False, context_fn=self._attention_twice)

    def _attention(self) -> AbstractContextManager[None]:
        # On a CPU the plain formula is faster than the fused kernel for windows as small as the micro encoder's.
        plain = self._micro and next(self.parameters()).device.type == "cpu"
        return sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()

    def _attention_twice(self) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        # The recomputation must use the same kernel.
        return self._attention(), self._attention()


class MemoryParts(NamedTuple):
    """The modules of `MEMORY_PARTS` and what they are used with.

    Attributes:
        position: the position encoding of image features; it has no weights.
        mask_stride: by how much the memory encoder reduces a mask's side.
    """

    memory_attention: nn.Module
    memory_encoder: nn.Module
    sam_prompt_encoder: nn.Module
    sam_mask_decoder: nn.Module
    position: nn.Module
    mask_stride: int


def build_image_encoder(size: Encoder, version: str) -> Any:
    """Hiera and its feature pyramid."""
    from hydra.utils import instantiate

    return instantiate(_configuration(size, version).image_encoder)


def build_memory_parts(size: Encoder, version: str) -> MemoryParts:
    """Memory attention, memory encoder, prompt encoder and mask decoder.

    Tensors that play no part here (masks in three variants, the object's score, negative points) do not learn.
    """
    from hydra.utils import instantiate
    from omegaconf import OmegaConf

    config = _configuration(size, version)
    attention = instantiate(OmegaConf.merge(config.memory_attention, _NO_DROPOUT))
    parts = MemoryParts(
        attention,
        instantiate(config.memory_encoder),
        _prompt_encoder(channels=config.memory_attention.d_model),
        _mask_decoder(config, micro=size == "micro"),
        instantiate(config.image_encoder.neck.position_encoding),
        config.memory_encoder.mask_downsampler.get("total_stride", 16),
    )
    _freeze_unused(parts)
    return parts


def _prompt_encoder(*, channels: int) -> nn.Module:
    from sam2.modeling.sam.prompt_encoder import PromptEncoder

    # The sizes only scale coordinates; they are set to those of the images at hand whenever it is used.
    return PromptEncoder(channels, (64, 64), (1024, 1024), mask_in_chans=16)


def _mask_decoder(config: Any, *, micro: bool) -> nn.Module:
    from sam2.modeling.sam.mask_decoder import MaskDecoder
    from sam2.modeling.sam.transformer import TwoWayTransformer

    channels = config.memory_attention.d_model
    transformer = TwoWayTransformer(
        depth=2, embedding_dim=channels, mlp_dim=128 if micro else 2048, num_heads=2 if micro else 8
    )
    return MaskDecoder(
        transformer_dim=channels,
        transformer=transformer,
        num_multimask_outputs=0 if micro else 3,
        iou_head_hidden_dim=64 if micro else 256,
        use_high_res_features=True,
        iou_prediction_use_sigmoid=config.iou_prediction_use_sigmoid,
        pred_obj_scores=config.pred_obj_scores and not micro,
        pred_obj_scores_mlp=config.pred_obj_scores_mlp and not micro,
    )


def _freeze_unused(parts: MemoryParts) -> None:
    decoder, prompts = parts.sam_mask_decoder, parts.sam_prompt_encoder
    unused = [*decoder.output_hypernetworks_mlps[1:], prompts.point_embeddings[0]]  # type: ignore[index]
    unused += [decoder.pred_obj_score_head] if decoder.pred_obj_scores else []
    for module in unused:
        module.requires_grad_(False)


def _configuration(size: Encoder, version: str) -> Any:
    from omegaconf import OmegaConf

    # The micro model is sam2's tiny one with other numbers.
    config: Any = OmegaConf.load(config_file("tiny" if size == "micro" else size, version)).model
    return OmegaConf.merge(config, _MICRO) if size == "micro" else config


def config_file(size: str, version: str) -> Path:
    """sam2's own configuration of one of Meta's sizes."""
    folder, stem = ("sam2.1", "sam2.1_hiera") if version == "2.1" else ("sam2", "sam2_hiera")
    return Path(str(resources.files("sam2"))) / "configs" / folder / f"{stem}_{_SUFFIX[size]}.yaml"
